"""The inventory: all that should be so, as plain sets and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from check_celery_workers.errors import UsageError
from check_celery_workers.expected.grammar import Limit, Span, parse, parse_queue
from check_celery_workers.expected.mistakes import WrongError, names_copied
from check_celery_workers.node import UNNUMBERED, Group, indexes_of, printable
from check_celery_workers.pattern import first_match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COMMENT = r"(?:^|\s)#.*"


class Demand:
    """The workers expected of one group.

    indexes: those expected by their own index; UNNUMBERED is the worker without one
    count: so many more, numbered from 0 or from 1, whichever the replies show
    """

    __slots__ = ("count", "indexes")

    def __init__(self) -> None:
        self.indexes: set[int] = set()
        self.count = 0

    def numbered(self, replied: set[int]) -> tuple[set[int], set[int]]:
        """Return the indexes expected, and those two, if any, of which nobody can know which one is.

        COUNT is numbered from where it leaves fewer missing. Of `w-4`:

            {0, 1, 2}    -> {0, 1, 2, 3}, {}
            {1, 2, 3}    -> {1, 2, 3}, {0, 4}     one is missing: w-0 or w-4
            {0, 1, ...4} -> {1, 2, 3}, {0, 4}     one is unexpected: w-0 or w-4
        """
        if not self.count:
            return self.indexes, set()
        sure = self.indexes | set(range(1, self.count))
        if (0 in replied) == (self.count in replied):
            return sure, {0, self.count}
        return sure | {0 if 0 in replied else self.count}, set()

    def owns(self, index: int) -> bool:
        """Return whether a worker with this index is judged by the fixed form alone, and by no pattern.

        A form that expects some NAME-i owns every NAME-i of the server.
        """
        is_numbered = self.count or len(self.indexes) > (UNNUMBERED in self.indexes)
        return index in self.indexes or bool(is_numbered and index != UNNUMBERED)

    def brings(self, index: int, replied: set[int]) -> bool:
        """Return whether a reply with this index leaves fewer missing than these replies alone."""
        if index in replied:
            return False
        if self.count and index in (0, self.count):
            return not replied & {0, self.count}
        return index in self.indexes or 0 < index < self.count

    def overlaps(self, first: int, last: int) -> bool:
        """Return whether one of these indexes is, or may be, expected already."""
        is_counted = self.count and first <= self.count and last >= 0
        return bool(is_counted) or not self.indexes.isdisjoint(range(first, last + 1))


class Inventory:
    """All that must be there, built from EXPECTED."""

    def __init__(
        self,
        first_index: int | None = None,
        ignored: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Number COUNT workers from `first_index`, 0 or 1; None: from whichever the replies show, group by group.

        ignored: patterns of the workers to leave out of every count, unless something expects them
        options: what else is wanted of the workers, by the names of the options, such as "task_limit"
        """
        # What the fixed forms expect; patterns, in the order in which they take workers; how many consume from a queue.
        self.groups: dict[Group, Demand] = {}
        self.patterns: dict[str, Limit] = {}
        self.queues: dict[str, Limit] = {}
        self.options = options or {}
        # How many workers these are, of patterns the least number.
        self.size = 0
        self._first_index = first_index
        self._ignored = first_match(ignored)

    @classmethod
    def of(cls, groups: Mapping[Group, set[str]]) -> Inventory:
        """Return the inventory of exactly these workers, whose indexes are given in digits."""
        inventory = cls()
        for group, digits in groups.items():
            demand = inventory.groups[group] = Demand()
            demand.indexes = indexes_of(digits)
            inventory.size += len(demand.indexes)
        return inventory

    def __bool__(self) -> bool:
        """Return whether anything was given."""
        return bool(self.groups or self.patterns or self.queues)

    @property
    def names_workers(self) -> bool:
        """Whether workers are expected, and not only consumers of queues."""
        return bool(self.groups or self.patterns)

    def ignores(self, node: str) -> bool:
        """Return whether this worker is ignored if nothing expects it."""
        return self._ignored(node) is not None

    def expect(self, text: str) -> None:
        """Add what one EXPECTED asks for. Raises UsageError if it is wrong or asks for a worker a second time."""
        try:
            for expected in parse(text):
                self._add(expected)
        except WrongError as wrong:
            raise UsageError(f"EXPECTED {printable(text)}: {wrong.explained()}") from None

    def expect_queue(self, text: str) -> None:
        """Add what one --queue asks for. Raises UsageError if it is wrong or asks for a queue a second time."""
        try:
            self._add(parse_queue(text))
        except WrongError as wrong:
            raise UsageError(f"--queue {printable(text)}: {str(wrong).replace('PATTERN', 'NAME')}") from None

    def expect_lines(self, lines: Iterable[str], file: str) -> None:
        """Add what the lines of a file ask for.

        Raises UsageError that names FILE:LINE. It never quotes the line: under sudo that would disclose any file.
        """
        for place, line in enumerate(lines, start=1):
            text = line.lstrip("\ufeff").strip()
            if "#" in text:
                text = re.sub(_COMMENT, "", text).rstrip()
            if text:
                try:
                    for expected in parse(text, in_file=True):
                        self._add(expected)
                except WrongError as wrong:
                    raise UsageError(f"{printable(file)}:{place}: {wrong}") from None

    def _add(self, expected: Span | Limit) -> None:
        if isinstance(expected, Span):
            self._add_span(expected.group, expected.first, expected.last)
            return
        limits, what = (self.queues, "queue") if expected.is_queue else (self.patterns, "pattern")
        if expected.name in limits:
            raise WrongError(f"the {what} is given twice", "it once")
        limits[expected.name] = expected
        self.size += 0 if expected.is_queue else expected.low

    def _add_span(self, group: Group, first: int | None, last: int) -> None:
        """Add the workers from `first` to `last`, or COUNT of them if it is None (see Span)."""
        if first is None and self._first_index is not None:
            first, last = self._first_index, self._first_index + last - 1
        demand = self.groups.setdefault(group, Demand())
        if first is None and demand.count not in (0, last):
            raise names_copied(group, demand.count, last)
        if demand.overlaps(first or 0, last):
            raise WrongError("the same worker is expected twice", "it once")
        if first is None:
            demand.count = last
        else:
            demand.indexes.update(range(first, last + 1))
        self.size += last if first is None else last + 1 - first
