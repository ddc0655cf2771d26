"""What is expected of one group of workers, and where its COUNT is numbered from."""

from __future__ import annotations

from check_celery_workers.node import UNNUMBERED


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
