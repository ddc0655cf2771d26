"""Questions in, outputs out: read each text until it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from check_celery_workers.errors import SourceError
from check_celery_workers.expected.inventory import Awaited, Inventory
from check_celery_workers.replies.doubt import doubt_of
from check_celery_workers.replies.output import Inquiry, Text
from check_celery_workers.replies.question import Question
from check_celery_workers.replies.text import TextReader
from check_celery_workers.sources.stream import Source

# How long a body may take after its node where nobody knows whether there will be one.
_GRACE = 0.1


class Reader:
    """Reads one text for each question, several times over if need be, until every awaited worker has replied."""

    def __init__(
        self,
        open_source: Callable[[Question | None], Source],
        deadline: float,
        *,
        settle: float | None = None,
        attempts: int = 1,
        watch: Callable[[str, int, int], None] | None = None,
    ) -> None:
        """Read what `open_source` gives, up to `attempts` times while workers are missing or it fails.

        open_source: opens the text that answers a question; None is whatever it asks by itself
        deadline: a time of `time.monotonic`, in seconds, after which it is not read another time
        settle: seconds to read on once every awaited worker has replied; None: to the end of the text
        watch: is called with each text as it comes, how many have replied by then and how many are expected
        """
        self._open = open_source
        self._deadline, self._settle, self._attempts, self._watch = deadline, settle, attempts, watch

    def read(self, questions: Sequence[Question | None], awaited: Awaited | None) -> Inquiry:
        """Return what came of these questions; `awaited` are the workers after which it is enough, None: everybody.

        The later questions wait for those alone that answered the first, and bring nobody new: no settling. They are
        not asked if the first leaves no verdict. Raises CannotJudge if a text cannot be read.
        """
        inquiry = Inquiry()
        first, *more = questions
        texts = self._ask(first, awaited, self._settle)
        inquiry.add(first, texts)
        lacking = awaited is None or awaited.missing > 0
        for question in more:
            if not inquiry.replies.count or doubt_of(texts, lacking):
                break
            replied = Awaited(Inventory.of(inquiry.replies.groups))
            texts = self._ask(question, replied, None if self._settle is None else 0.0)
            inquiry.add(question, texts)
            lacking = replied.missing > 0
        return inquiry

    def _ask(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> list[Text]:
        texts: list[Text] = []
        while len(texts) < self._attempts and (not texts or time.monotonic() < self._deadline):
            texts.append(self._read_once(question, awaited, settle))
            if awaited and not awaited.missing and not doubt_of(texts[-1:], lacking=False):
                break
        return texts

    def _read_once(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> Text:
        reader = TextReader(question, awaited)
        source = self._open(question)
        failure = None
        seen = None
        try:
            with source:
                for text in source:
                    reader.feed(text)
                    if self._watch:
                        self._watch(text, *((awaited.replied, awaited.expected) if awaited else (0, 0)))
                    # A reply has arrived when the lines below it have.
                    if (
                        settle is None
                        or not awaited
                        or awaited.missing
                        or (reader.awaits_body and source.bodies_follow)
                    ):
                        continue
                    if seen != (awaited.replied, reader.awaits_body):
                        seen = (awaited.replied, reader.awaits_body)
                        source.settle(max(settle, _GRACE) if reader.awaits_body else settle)
        except SourceError as error:
            failure = error
        return reader.finish(failure, whole=source.ends_by_itself and failure is None)
