"""EXPECTED: which workers must be there.

    NAME-COUNT@SERVER          specialworker-4@serverA   four workers, numbered without gaps from 0 or from 1
    NAME-FIRST..LAST@SERVER    worker-3..7@serverA       worker-3@serverA to worker-7@serverA
    NAME@SERVER                celery@web1               the one worker of exactly that name
    PATTERN=N                  celery@web-*=4            four workers whose node name matches the shell pattern
    PATTERN=MIN..MAX           celery@web-*=2..8         two to eight of them
    PATTERN=MIN..              celery@web-*=2..          two or more

A file holds one of these a line, blank lines and what follows a # left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from sys import intern

from check_celery_workers.errors import UsageError
from check_celery_workers.node import UNNUMBERED, Worker, join, natural, numbers, printable
from check_celery_workers.pattern import Pattern, is_wild

_NUMBER = "[0-9]{1,18}"
_FIXED = re.compile(rf"([^@]+?)(?:-({_NUMBER})(?:\.\.({_NUMBER}))?)?@(.+)").fullmatch
# Compiled where they are needed: that takes longer than to match them a few times.
_COUNTED = rf"(.+)=({_NUMBER})(?:(\.\.)({_NUMBER})?)?"
_MISNUMBERED = r"-(?:[0-9]+|[0-9]+\.\.[0-9]*|\.\.[0-9]+)$"
_COMMENT = r"(?:^|\s)#.*"

_FORMS = "NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N"
_PATTERN_FORMS = "PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN.."


class Demand:
    """The instances expected of one worker.

    spans: in ascending order, pairs of an index and the one after the last; a worker without index has UNNUMBERED
    count: so many more, numbered from 0 or from 1, whichever the answers show
    size: how many instances these are
    """

    __slots__ = ("count", "size", "spans")

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self.count = 0
        self.size = 0

    def add(self, start: int, stop: int) -> bool:
        """Expect the indexes from start to before stop; False where one of them is expected already."""
        place = bisect_left(self.spans, (start, stop))
        if self.spans and any(one < stop and start < end for one, end in self.spans[max(0, place - 1) : place + 1]):
            return False
        self.spans.insert(place, (start, stop))
        self.size += stop - start
        return True

    def add_count(self, count: int) -> bool:
        """Expect so many; False where one of them may be expected already."""
        if self.count or any(start <= count and stop > 0 for start, stop in self.spans):
            return False
        self.count = count
        self.size += count
        return True

    def first(self, indexes: set[int]) -> int:
        """Return where COUNT is numbered from, as the indexes that answered show: where it leaves fewer missing.

        It is 0 where both leave as many missing (see `undecided`).
        """
        return int(self.count in indexes and 0 not in indexes)

    def numbered(self, indexes: set[int]) -> list[tuple[int, int]]:
        """Return the spans expected, those of COUNT among them."""
        if not self.count:
            return self.spans
        first = self.first(indexes)
        return sorted([(first, first + self.count), *self.spans])

    def is_met(self, indexes: set[int]) -> bool:
        """Tell whether all that are expected answered and no other: the fast way for a fleet that is well."""
        if len(indexes) != self.size:
            return False
        return all(indexes.issuperset(range(start, stop)) for start, stop in self.numbered(indexes))

    def undecided(self, indexes: set[int]) -> bool:
        """Tell whether numbering from 0 and from 1 leave as many missing, so that index 0 or index COUNT is the one."""
        return bool(self.count) and (0 in indexes) == (self.count in indexes)


class Inventory:
    """All that must be there, built from EXPECTED.

    workers: what is expected of each worker by a fixed form
    patterns: in the order given, in which they take the workers that match
    size: how many workers these are, of patterns the least number
    """

    def __init__(self, first_index: int | None = None) -> None:
        """Number COUNT workers from `first_index`, 0 or 1; None: from whichever the answers show, worker by worker."""
        self.workers: dict[Worker, Demand] = {}
        self.patterns: dict[str, Pattern] = {}
        self.size = 0
        self._first_index = first_index

    def __bool__(self) -> bool:
        """Tell whether anything was given."""
        return bool(self.workers or self.patterns)

    def expect(self, text: str) -> None:
        """Add what one EXPECTED asks for.

        Raises UsageError, with the text in it, where it is wrong or asks for a worker a second time.
        """
        try:
            self._add(text)
        except _WrongError as wrong:
            raise UsageError(f"EXPECTED {printable(text)}: {wrong.explained()}") from None

    def expect_lines(self, lines: Iterable[str], file: str) -> None:
        """Add what the lines of a file ask for.

        Raises UsageError that names FILE:LINE. It never repeats the line: under sudo that would read out any file.
        """
        for place, line in enumerate(lines, start=1):
            text = line.lstrip("\ufeff").strip()
            if "#" in text:
                text = re.sub(_COMMENT, "", text).rstrip()
            if text:
                try:
                    self._add(text)
                except _WrongError as wrong:
                    raise UsageError(f"{printable(file)}:{place}: {wrong}") from None

    def _add(self, text: str) -> None:
        if text.split() != [text]:
            raise _WrongError("one worker without white space is wanted here", _FORMS)
        counted = "=" in text and re.fullmatch(_COUNTED, text)
        if counted:
            self._add_pattern(*counted.groups())
        elif is_wild(text):
            raise _WrongError("a pattern needs the number of workers", _PATTERN_FORMS)
        else:
            self._add_fixed(text)

    def _add_pattern(self, text: str, low: str, upto: str | None, high: str | None) -> None:
        least = int(low)
        most = int(high) if high else None if upto else least
        if most is not None and least > most:
            raise _WrongError("MIN is over MAX", "PATTERN=MIN..MAX")
        if not least and not upto:
            raise _WrongError("it expects no worker", "PATTERN=0..MAX for up to MAX workers")
        if least > 1 and not is_wild(text):
            raise _WrongError("without *, ? or [...] it matches one worker alone", _FORMS)
        if text in self.patterns:
            raise _WrongError("the pattern is given twice", "it once")
        self.patterns[text] = Pattern(text, least, most)
        self.size += least

    def _add_fixed(self, text: str) -> None:
        fixed = _FIXED(text)
        if not fixed:
            problem = "NAME or SERVER is empty" if "@" in text else "it names no server"
            raise _WrongError(problem, _FORMS)
        name, first, last, server = fixed.groups()
        if "-" in name and re.search(_MISNUMBERED, name):
            raise _WrongError("NAME is empty, or its numbers cannot be read", _FORMS)
        # Many workers have few names, and each is held once.
        worker = (intern(name), server)
        if last:
            self._add_span(worker, int(first), int(last))
        elif first:
            self._add_count(worker, int(first))
        else:
            self._add_span(worker, UNNUMBERED, UNNUMBERED)

    def _add_span(self, worker: Worker, first: int, last: int) -> None:
        if first > last:
            raise _WrongError("FIRST is over LAST", f"NAME-{last}..{first}@SERVER", worker)
        demand = self.workers.setdefault(worker, Demand())
        may_be_numbered = demand.count and first <= demand.count and last >= 0
        if may_be_numbered or not demand.add(first, last + 1):
            raise _WrongError("the same worker is expected twice", "it once")
        self.size += last + 1 - first

    def _add_count(self, worker: Worker, count: int) -> None:
        if not count:
            raise _WrongError("it expects no worker", "NAME-0..0@SERVER for the one worker NAME-0@SERVER", worker)
        if self._first_index is not None:
            self._add_span(worker, self._first_index, self._first_index + count - 1)
            return
        if not self.workers.setdefault(worker, Demand()).add_count(count):
            raise _WrongError("the same worker is expected twice", "it once")
        self.size += count


def baseline(workers: Mapping[Worker, Iterable[str]]) -> list[str]:
    """Return the EXPECTED that describe exactly these workers, given by their indexes in digits.

    What a fixed form cannot say, such as a name with a wildcard in it, becomes a pattern for one worker, with ? for
    what does not print. Patterns with fewer ? come first, so that each takes the worker that it is meant for.
    """
    fixed: list[str] = []
    patterns: dict[tuple[int, str], int] = {}
    for worker, indexes in workers.items():
        runs = [_say(worker, first, last) for first, last in _runs(sorted(numbers(indexes)))]
        if all(_says(text, worker) for text in runs):
            fixed += runs
            continue
        for node in (join(worker, digits) for digits in indexes):
            pattern = _pattern_of(node)
            patterns[pattern] = patterns.get(pattern, 0) + 1
    fixed.sort(key=natural)
    return fixed + [f"{text}={count}" for (_, text), count in sorted(patterns.items())]


def _say(worker: Worker, first: int, last: int) -> str:
    return join(worker, UNNUMBERED if first == UNNUMBERED else f"{first}..{last}")


def _says(text: str, worker: Worker) -> bool:
    """Tell whether the text, as a fixed form, expects this worker."""
    fixed = _FIXED(text)
    plain = text.isprintable() and text[0] not in "#-" and not is_wild(text) and not re.fullmatch(_COUNTED, text)
    return plain and fixed is not None and fixed.group(1, 4) == worker and not re.search(_MISNUMBERED, worker[0])


def _pattern_of(node: str) -> tuple[int, str]:
    """Return a pattern for the node name, after the number of its characters that only a ? can say."""
    unsayable = sum(not character.isprintable() for character in node)
    text = "".join(f"[{c}]" if c in "*?[" else c if c.isprintable() else "?" for c in node)
    return unsayable, f"[{text[0]}]{text[1:]}" if text[0] in "#-" else text


def _runs(indexes: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of indexes without a gap; UNNUMBERED is one by itself."""
    first = last = indexes[0]
    for index in indexes[1:]:
        if index != last + 1 or last == UNNUMBERED:
            yield first, last
            first = index
        last = index
    yield first, last


class _WrongError(Exception):
    """An EXPECTED is wrong. As a string it tells nothing of what the EXPECTED says."""

    def __init__(self, problem: str, right: str, worker: Worker = ("NAME", "SERVER")) -> None:
        super().__init__(f"{problem}, write {right}")
        self._worker = worker

    def explained(self) -> str:
        """Return the message with the names of the EXPECTED in it."""
        name, server = self._worker
        return str(self).replace("NAME", printable(name)).replace("SERVER", printable(server))
