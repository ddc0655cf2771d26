"""Questions in, outputs out: read each text until it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from check_celery_workers.errors import SourceError
from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.replies.doubt import doubt_about
from check_celery_workers.replies.inquiry import Inquiry, Text
from check_celery_workers.replies.question import ACTIVE, LENGTHS, PING, Question
from check_celery_workers.replies.text import TextReader
from check_celery_workers.sources.progress import Progress
from check_celery_workers.sources.stream import Source

# How long a body may take after its node, or an item after another, where nobody knows whether there will be one.
_GRACE = 0.1


class Reader:
    """Asks each question, several times over if need be, until every awaited worker has replied."""

    def __init__(
        self,
        ask: Callable[[Question | None, Awaited | None, float | None], Text],
        deadline: float,
        attempts: int = 1,
    ) -> None:
        """Ask up to `attempts` times while workers are missing or it fails.

        ask: returns the text that answers a question, None: whatever is asked elsewhere; it stops once every awaited
            worker has replied and then nobody else for so many seconds, None: at the end of the text
        deadline: a time of `time.monotonic`, in seconds, after which nothing is asked another time
        """
        self._ask, self._deadline, self._attempts = ask, deadline, attempts

    def read(self, questions: Sequence[Question | None], inventory: Inventory | None, settle: float | None) -> Inquiry:
        """Return what came of these questions. Raises CannotJudge if nobody can be asked.

        inventory: it is enough once all of it has replied; None: everybody is awaited, to the end
        settle: seconds to wait for others then; None: to the end

        The later questions are about those alone that answered the first, and bring no worker that is new. They are not
        asked if the first leaves no verdict.
        """
        inquiry = Inquiry()
        for question in questions:
            is_of_workers = bool(inquiry.asked) and question not in {PING, LENGTHS}
            if is_of_workers and not inquiry.replies.count:
                continue
            awaited = _awaited(question, inventory, inquiry)
            texts = self._try(question, awaited, settle and 0.0 if is_of_workers else settle)
            inquiry.add(question, texts)
            if len(inquiry.asked) == 1 and doubt_about(texts, awaited is None or awaited.missing > 0):
                break
        return inquiry

    def _try(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> list[Text]:
        texts: list[Text] = []
        while len(texts) < self._attempts and (not texts or time.monotonic() < self._deadline):
            texts.append(self._ask(question, awaited, settle))
            if question is LENGTHS and not texts[-1].failure:
                break
            if awaited and not awaited.missing and not doubt_about(texts[-1:], lacking=False):
                break
        return texts


class TextSource:
    """Asks by reading text: what a Reader needs to ask."""

    def __init__(
        self,
        open_source: Callable[[Question | None], Source],
        progress: Progress | None = None,
        assumed: Question = ACTIVE,
    ) -> None:
        """Read what `open_source` gives for a question; `progress` notes each text as it comes.

        assumed: what was asked where the text does not say so, since nobody listed anything
        """
        self._open, self._progress, self._assumed = open_source, progress, assumed

    def ask(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> Text:
        """Return the text that answers the question; for `awaited` and `settle` see Reader. Raises CannotJudge."""
        reader = TextReader(question, awaited, self._assumed)
        source = self._open(question)
        failure = seen = None
        try:
            with source:
                for piece in source:
                    if piece:
                        reader.feed(piece)
                    if piece and self._progress:
                        self._progress.note(piece)
                        self._progress.count(*((awaited.replied, awaited.expected) if awaited else (0, 0)))
                    if source.has_ended and reader.is_whole:
                        source.settle(0.0)
                        continue
                    # A reply has arrived when the lines below it have.
                    arrived = not (reader.awaits_body and source.bodies_follow)
                    if settle is None or not awaited or awaited.missing or not arrived:
                        continue
                    if seen != (awaited.replied, reader.awaits_body, reader.listed):
                        seen = (awaited.replied, reader.awaits_body, reader.listed)
                        source.settle(max(settle, _GRACE) if reader.awaits_body or reader.is_listing else settle)
        except SourceError as error:
            failure = error
        text = reader.finish(failure, whole=source.was_stopped, ended_well=source.has_ended and not failure)
        text.is_recoded = source.is_recoded
        return text


def _awaited(question: Question | None, inventory: Inventory | None, inquiry: Inquiry) -> Awaited | None:
    """Return whom this question waits for, after what was asked already; None: everybody."""
    if question is LENGTHS:
        return None
    if inquiry.asked and question is not PING:
        return Awaited(Inventory.of(inquiry.replies.groups))
    if inventory is None:
        return None
    return Awaited(inventory.only_beats() if inquiry.asked else inventory, beats=question in {None, PING})
