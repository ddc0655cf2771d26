"""The grammar of EXPECTED: from a text to what it asks for, or to what is wrong with it.

    NAME-COUNT@SERVER          worker-4@serverA        four workers, numbered without gaps from 0 or from 1
    NAME-FIRST..LAST@SERVER    worker-3..7@serverA     worker-3@serverA to worker-7@serverA
    NAME@SERVER                celery@web1             the one worker of exactly that name
    PATTERN=N                  celery@web-*=4          four workers whose node name matches the shell pattern
    PATTERN=MIN..MAX           celery@web-*=2..8       two to eight of them
    PATTERN=MIN..              celery@web-*=2..        two or more
    queue NAME=N, ...          queue emails=2..        how many workers consume from a queue; in files

Braces stand for several of these, as in a shell: `celery@web{01..20}`, `worker-4@{app,db}`. An index that comes from
braces is exact: `worker-{1..4}@a` is the four workers of these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from sys import intern

from check_celery_workers.expected.mistakes import FORMS, WrongError, explain_typos, explain_white_space, is_implausible
from check_celery_workers.node import UNNUMBERED, Group, printable
from check_celery_workers.pattern import is_wild

MOST = 1_000_000

# Marks the end of what comes from braces.
_MARK = "\0"
_NUMBER = "[0-9]{1,18}"
# What can be nothing else, nor a mistake.
_match_plain = re.compile(rf"([\w%-]+?)(?:-({_NUMBER})(?:\.\.({_NUMBER}))?)?@([\w.-]+)").fullmatch
# Compiled on first use: that takes longer than to match them a few times.
_FIXED = rf"([^@]+?)(?:-({_NUMBER})(?:\.\.({_NUMBER}))?)?@([^@]+)"
_LIMIT = rf"(.+)=({_NUMBER})(?:(\.\.)({_NUMBER})?)?"
_MISNUMBERED = r"-(?:[0-9]+|[0-9]+[.:]+[0-9]*|\.\.[0-9]+)$"
_EXACT = rf"-[0-9{_MARK}]*{_MARK}[0-9{_MARK}]*@"


class Span:
    """The workers of a group with the indexes from `first` to `last`; UNNUMBERED twice is the one without index.

    Where `first` is None they are COUNT: as many as `last`, numbered from 0 or from 1.
    """

    __slots__ = ("first", "group", "last")

    def __init__(self, group: Group, first: int | None, last: int) -> None:
        self.group, self.first, self.last = group, first, last


class Limit:
    """At least `low` and at most `high` (None: any number) of what matches this pattern, or consume from this queue."""

    __slots__ = ("high", "is_queue", "low", "name")

    def __init__(self, name: str, low: int, high: int | None, is_queue: bool = False) -> None:
        self.name, self.low, self.high, self.is_queue = name, low, high, is_queue

    def side_of(self, number: int) -> int:
        """Return on which side of the limit a number is: -1 too few, 1 too many, 0 neither."""
        if number < self.low:
            return -1
        return int(self.high is not None and number > self.high)

    def wanted(self, number: int) -> str:
        """Return how many there should be where there are `number`: "2", "at least 2" or "at most 8"."""
        if self.low == self.high:
            return f"{self.low:,}"
        return f"at least {self.low:,}" if number < self.low else f"at most {self.high:,}"


def parse(text: str, in_file: bool = False) -> Iterator[Span | Limit]:
    """Yield what an EXPECTED asks for: one thing, or with braces several. Raises WrongError."""
    plain = _match_plain(text)
    if plain:
        yield _read_fixed(plain, exact=False)
        return
    if _MARK in text:
        raise WrongError("it holds a NUL character", FORMS)
    queue = re.fullmatch(r"queue\s+(\S.*)", text)
    if queue and not in_file:
        own = f"write --queue {printable(queue[1])}"
        raise WrongError("a queue has an option of its own", "--queue NAME=N", own=own)
    texts = [queue[1] if queue else text]
    if "{" in text:
        from check_celery_workers.expected.braces import expand

        texts = expand(texts[0], MOST, _MARK)
    for one in texts:
        if queue:
            yield parse_queue(one.replace(_MARK, ""))
        else:
            exact = _MARK in one and re.search(_EXACT, one) is not None
            yield _parse_one(one.replace(_MARK, ""), exact, in_file)


def parse_queue(text: str) -> Limit:
    """Return what NAME, NAME=N, NAME=MIN..MAX or NAME=MIN.. asks for; NAME alone is NAME=1.. Raises WrongError."""
    limit = re.fullmatch(_LIMIT, text)
    if not text.strip() or text.startswith("="):
        raise WrongError("NAME is empty", "NAME, NAME=N, NAME=MIN..MAX or NAME=MIN..")
    return Limit(limit[1], *_bounds(limit), is_queue=True) if limit else Limit(text, 1, None, is_queue=True)


def is_plain(text: str, group: Group) -> bool:
    """Return whether the text, as an EXPECTED of a file, is a fixed form that expects workers of this group."""
    try:
        (expected,) = parse(text, in_file=True)
    except (WrongError, ValueError):
        return False
    return text.isprintable() and text[0] not in "#-" and not isinstance(expected, Limit) and expected.group == group


def _parse_one(text: str, exact: bool, in_file: bool) -> Span | Limit:
    if text.split() != [text]:
        explain_white_space(text)
    limit = "=" in text and re.fullmatch(_LIMIT, text)
    if is_wild(text) and not limit:
        raise WrongError("a pattern needs the number of workers", "PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN..")
    if in_file and is_implausible(limit[1] if limit else text):
        raise WrongError("it is not a node name", FORMS)
    if limit:
        return _parse_pattern(limit)
    explain_typos(text)
    fixed = re.fullmatch(_FIXED, text)
    if not fixed:
        raise WrongError("NAME or SERVER is empty" if "@" in text else "it names no server", FORMS)
    return _read_fixed(fixed, exact)


def _parse_pattern(limit: re.Match[str]) -> Limit:
    low, high = _bounds(limit)
    if low > MOST:
        raise WrongError(f"it means more than {MOST:,} workers", "fewer")
    if not low and high == 0 and not limit[3]:
        raise WrongError("it expects no worker", "PATTERN=0..MAX for up to MAX workers")
    if low > 1 and not is_wild(limit[1]):
        raise WrongError("without *, ? or [...] it matches one worker alone", FORMS)
    return Limit(limit[1], low, high)


def _bounds(limit: re.Match[str]) -> tuple[int, int | None]:
    low = int(limit[2])
    high = int(limit[4]) if limit[4] else None if limit[3] else low
    if high is not None and low > high:
        raise WrongError("MIN is over MAX", "PATTERN=MIN..MAX")
    return low, high


def _read_fixed(fixed: re.Match[str], exact: bool) -> Span:
    name, first, last, server = fixed.groups()
    if "-" in name and re.search(_MISNUMBERED, name):
        raise WrongError("NAME is empty, or its numbers cannot be read", FORMS)
    # Interned, since many workers share few names.
    group = (intern(name), f"@{server}")
    if not first:
        return Span(group, UNNUMBERED, UNNUMBERED)
    if exact or last:
        return _span(group, int(first), int(last or first))
    return _count(group, int(first))


def _span(group: Group, first: int, last: int) -> Span:
    if first > last:
        raise WrongError("FIRST is over LAST", f"%(name)s-{last}..{first}%(server)s", group)
    if last - first >= MOST:
        raise WrongError(f"it means more than {MOST:,} workers", "fewer")
    return Span(group, first, last)


def _count(group: Group, count: int) -> Span:
    the_one = f"%(name)s-{count}..{count}%(server)s for the one worker %(name)s-{count}%(server)s"
    if not count:
        raise WrongError("it expects no worker", the_one, group)
    if count > MOST:
        raise WrongError(f"it means {count:,} workers, more than {MOST:,}", the_one, group)
    return Span(group, None, count)
