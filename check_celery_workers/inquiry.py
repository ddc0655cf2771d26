"""Text in, answers out: read the status text until it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable

from check_celery_workers.compare import compare
from check_celery_workers.errors import CannotJudge, SourceError
from check_celery_workers.inventory import Inventory
from check_celery_workers.pattern import PatternIndex
from check_celery_workers.source import Source
from check_celery_workers.status import Answers, Status


class Inquiry:
    """Reads the status text, several times over if need be, until every expected worker has answered.

    answers: who answered, all times together
    empty: there was no text at all
    passed_over: the most telling line of the text that was no part of a status output, "" for none
    """

    def __init__(  # noqa: PLR0913 -- the whole question in one place
        self,
        open_source: Callable[[], Source],
        inventory: Inventory | None,
        deadline: float,
        *,
        settle: float | None = None,
        attempts: int = 1,
        watch: Callable[[str, int], None] | None = None,
    ) -> None:
        """Read what `open_source` gives, up to `attempts` times while workers are missing or it fails.

        inventory: who is expected; None: everybody, so that no text is enough before its end
        deadline: a time of `time.monotonic`, in seconds, after which it is not read another time
        settle: seconds to listen on once every expected worker has answered; None: to the end of the text
        watch: is told each text as it comes, and how many workers have answered by then
        """
        self.answers = Answers()
        self.empty = True
        self.passed_over = ""
        self._open_source = open_source
        self._inventory = inventory
        self._deadline = deadline
        self._settle = settle
        self._attempts = attempts
        self._watch = watch

    def ask(self) -> None:
        """Read.

        Raises CannotJudge where the text or its end does not let it judge, and what answered is not enough.
        """
        problems: list[str | None] = []
        while len(problems) < self._attempts and (not problems or time.monotonic() < self._deadline):
            status = Status(self.answers)
            problem = self._read(status)
            self.empty = self.empty and status.empty
            self.passed_over = status.reason or self.passed_over
            problems.append(problem)
            last = len(problems) == self._attempts
            # Not asked where it changes nothing: to compare takes as long as to read.
            if not (last and problem is None) and self._enough() and not status.truncated:
                return
        # A text that came to its end shows who is missing, whatever went wrong before or after it.
        if all(problems):
            raise CannotJudge(problems[-1])

    def _read(self, status: Status) -> str | None:
        """Read the text once; return what is wrong with it, if anything."""
        try:
            with self._open_source() as source:
                answered = 0
                for text in source:
                    status.feed(text)
                    before, answered = answered, len(status.answers)
                    if self._settle is not None and answered > before and self._enough():
                        source.settle(self._settle)
                    if self._watch:
                        self._watch(text, answered)
        except SourceError as error:
            # An output that nobody answers to ends with exit status 69, and is no failure.
            if not status.nobody:
                reason = f": {status.reason}" if status.reason else ""
                return f"{error}, {self._told_answered()}{reason}"
        return status.doubt

    def _enough(self) -> bool:
        if self._inventory is None or len(self.answers) < max(1, self._inventory.size):
            return False
        return not self._missing(self._inventory)

    def _told_answered(self) -> str:
        if self._inventory is None:
            return f"{len(self.answers):,} workers had answered"
        expected = self._inventory.size
        return f"{expected - self._missing(self._inventory):,} of {expected:,} workers had answered"

    def _missing(self, inventory: Inventory) -> int:
        return compare(inventory, self.answers, PatternIndex(())).missing.count
