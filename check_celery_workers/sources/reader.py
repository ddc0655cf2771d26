"""Questions in, outputs out: read each text until it is enough."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from check_celery_workers.errors import SourceError
from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.replies.doubt import doubt_about
from check_celery_workers.replies.output import Inquiry, Text
from check_celery_workers.replies.question import Question
from check_celery_workers.replies.text import TextReader
from check_celery_workers.sources.stream import Source

# How long a body may take after its node, or an item after another, where nobody knows whether there will be one.
_GRACE = 0.1


class Watch:
    """Observes the text as it is read: keeps its beginning in `raw`, and shows progress on a terminal."""

    def __init__(self, keeps: int, shows: bool) -> None:
        """Keep so many characters; show progress only if standard error is a terminal."""
        self.raw = ""
        self._keeps = keeps
        self._shows = shows and os.isatty(2)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the progress line."""
        self._show("")

    def __call__(self, text: str, replied: int, expected: int) -> None:
        """Note more text, how many workers have replied by now, and how many are expected."""
        if len(self.raw) < self._keeps:
            self.raw += text[: self._keeps]
        self._show(f"{replied:,} answered, {expected:,} expected")

    def _show(self, line: str) -> None:
        if self._shows:
            with suppress(OSError):
                os.write(2, f"\r\x1b[K{line}".encode())


class Reader:
    """Reads one text for each question, several times over if need be, until every awaited worker has replied."""

    def __init__(
        self,
        open_source: Callable[[Question | None], Source],
        deadline: float,
        attempts: int = 1,
        watch: Watch | None = None,
    ) -> None:
        """Read what `open_source` gives, up to `attempts` times while workers are missing or it fails.

        open_source: opens the text that answers a question; None is whatever it asks by itself
        deadline: a time of `time.monotonic`, in seconds, after which it is not read another time
        watch: observes each text as it comes
        """
        self._open, self._deadline, self._attempts, self._watch = open_source, deadline, attempts, watch

    def read(self, questions: Sequence[Question | None], awaited: Awaited | None, settle: float | None) -> Inquiry:
        """Return what came of these questions. Raises CannotJudge if a text cannot be read.

        awaited: the workers after which it is enough, None: everybody
        settle: seconds to read on once every awaited worker has replied; None: to the end of the text

        The later questions wait for those alone that answered the first, and bring nobody new: no settling. They are
        not asked if the first leaves no verdict.
        """
        inquiry = Inquiry()
        texts: list[Text] = []
        for question in questions:
            if inquiry.asked:
                if not inquiry.replies.count or doubt_about(texts, awaited is None or awaited.missing > 0):
                    break
                awaited, settle = Awaited(Inventory.of(inquiry.replies.groups)), settle and 0.0
            texts = self._ask(question, awaited, settle)
            inquiry.add(question, texts)
        return inquiry

    def _ask(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> list[Text]:
        texts: list[Text] = []
        while len(texts) < self._attempts and (not texts or time.monotonic() < self._deadline):
            texts.append(self._read_once(question, awaited, settle))
            if awaited and not awaited.missing and not doubt_about(texts[-1:], lacking=False):
                break
        return texts

    def _read_once(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> Text:
        reader = TextReader(question, awaited)
        source = self._open(question)
        failure = seen = None
        try:
            with source:
                for text in source:
                    reader.feed(text)
                    if self._watch:
                        self._watch(text, *((awaited.replied, awaited.expected) if awaited else (0, 0)))
                    # A reply has arrived when the lines below it have.
                    arrived = not (reader.awaits_body and source.bodies_follow)
                    if settle is None or not awaited or awaited.missing or not arrived:
                        continue
                    if seen != (awaited.replied, reader.awaits_body, reader.listed):
                        seen = (awaited.replied, reader.awaits_body, reader.listed)
                        source.settle(max(settle, _GRACE) if reader.awaits_body or reader.is_listing else settle)
        except SourceError as error:
            failure = error
        return reader.finish(failure, whole=source.ends_by_itself and failure is None)
