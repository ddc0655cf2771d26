"""How many there may be: of workers or beats that match a pattern, of a queue's consumers, of messages that wait in it.

And for how long a worker may start no task, and since when it must have been started.

celery@web-*=2..8            two to eight workers; =N, =MIN.. as well
--queue emails=2..           consumers of a queue; NAME alone: one or more
--beat 'celerybeat@*'        one scheduler, or as many as a number behind it says
--backlog-warning emails=9   messages that wait in a queue, as a Nagios range; RANGE alone: in each of the others
backlog emails=9/99          the same in a file, as WARNING/CRITICAL
stall-limit 15s              for how long a worker may start no task while work waits for it, in a file
--started-after /srv/shop/current               workers must have been started after this file was changed
--started-after 'celery@shop-*=/srv/shop/current'    those that match the pattern
"""

from __future__ import annotations

import re

from check_celery_workers.duration import parse_duration
from check_celery_workers.expected.mistakes import FORMS, WrongError, is_implausible
from check_celery_workers.node import BEAT
from check_celery_workers.pattern import is_wild, problem_of
from check_celery_workers.threshold import Threshold

MOST = 1_000_000

_NUMBER = "[0-9]{1,18}"
LIMIT = rf"(.+)=({_NUMBER})(?:(\.\.)({_NUMBER})?)?"
_OF_QUEUE = "NAME, NAME=N, NAME=MIN..MAX or NAME=MIN.."


class Expected:
    """What an EXPECTED, an option or a line of a file asks for."""

    __slots__ = ()


class Limit(Expected):
    """At least `low` and at most `high` (None: any number) of what has this name or matches this pattern.

    what: "pattern" for workers, "beat" for schedulers, "queue" for the consumers of a queue
    """

    __slots__ = ("high", "low", "name", "what")

    def __init__(self, name: str, low: int, high: int | None, what: str = "pattern") -> None:
        self.name, self.low, self.high, self.what = name, low, high, what

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


class Backlog(Expected):
    """The ranges of how many messages may wait in a queue, None: any number. The name "" stands for all others."""

    __slots__ = ("critical", "name", "warning")

    def __init__(self, name: str, warning: Threshold | None = None, critical: Threshold | None = None) -> None:
        self.name, self.warning, self.critical = name, warning, critical

    def or_else(self, other: Backlog) -> Backlog:
        """Return these ranges, and those of the other for what has none here."""
        return Backlog(self.name, self.warning or other.warning, self.critical or other.critical)

    def as_options(self) -> str:
        """Return it as it is written on the command line."""
        limits = (("warning", self.warning), ("critical", self.critical))
        return " ".join(f"--backlog-{severity} {self.name}={limit}" for severity, limit in limits if limit)

    def crossed_by(self, number: int) -> Threshold | None:
        """Return the range that this number is outside of, the critical one first."""
        return next((limit for limit in (self.critical, self.warning) if limit and limit.alerts_at(number)), None)


class StallLimit(Expected):
    """For how many seconds a worker may start no task while work waits for it."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Release(Expected):
    """A file that changes with each release: workers that match the pattern, None: all others, must be younger."""

    __slots__ = ("file", "pattern")

    def __init__(self, pattern: str | None, file: str) -> None:
        self.pattern, self.file = pattern, file


def parse_pattern(limit: re.Match[str]) -> Limit:
    """Return what PATTERN=N and the like asks for. Raises WrongError."""
    if is_beat(limit[1]):
        return parse_beat(limit[0])
    low, high = _bounds(limit)
    if low > MOST:
        raise WrongError(f"it means more than {MOST:,} workers", "fewer")
    if not low and high == 0 and not limit[3]:
        raise WrongError("it expects no worker", "PATTERN=0..MAX for up to MAX workers")
    if low > 1 and not is_wild(limit[1]):
        raise WrongError("without *, ? or [...] it can match only one worker", FORMS)
    return Limit(limit[1], low, high)


def is_beat(node: str) -> bool:
    """Return whether a node, or a pattern of nodes, has the name that Celery gives to its scheduler."""
    return node.partition("@")[0] == BEAT


def parse_queue(text: str) -> Limit:
    """Return what NAME, NAME=N, NAME=MIN..MAX or NAME=MIN.. asks for; NAME alone is NAME=1.. Raises WrongError."""
    limit = re.fullmatch(LIMIT, text)
    if not text.strip() or text.startswith("="):
        raise WrongError("NAME is empty", _OF_QUEUE)
    if "=" in text and not limit:
        raise WrongError("its limit cannot be read", f"{_OF_QUEUE}; a NAME that holds = needs its limit")
    return Limit(limit[1], *_bounds(limit, "NAME"), "queue") if limit else Limit(text, 1, None, "queue")


def parse_beat(text: str) -> Limit:
    """Return what NODE, PATTERN, PATTERN=N, =MIN..MAX or =MIN.. asks for; without a number one. Raises WrongError."""
    limit = re.fullmatch(LIMIT, text)
    name, (low, high) = (limit[1], _bounds(limit)) if limit else (text, (1, 1))
    own, _, server = name.partition("@")
    forms = f"{BEAT}@SERVER, '{BEAT}@*' or PATTERN=N"
    odd = is_implausible(name) or "@" in server or name.split() != [name]
    if not own or not server or odd or ("=" in text and not limit):
        raise WrongError("it is not a node name", forms)
    problem = problem_of(name)
    if problem:
        raise WrongError(f"it {problem}", "one for each beat")
    if high == 0:
        raise WrongError("it expects no beat", "PATTERN=0..MAX for up to MAX beats")
    if low > 1 and not is_wild(name):
        raise WrongError("without *, ? or [...] it matches one beat alone", forms)
    return Limit(name, low, high, "beat")


def parse_backlog(text: str, severity: str) -> Backlog:
    """Return what [NAME=]RANGE asks for, as a range of this severity, "warning" or "critical". Raises WrongError."""
    name, equals, limit = text.rpartition("=")
    if equals and not name:
        raise WrongError("NAME is empty", "RANGE or NAME=RANGE")
    try:
        return Backlog(name, **{severity: Threshold.parse(limit)})
    except ValueError:
        raise WrongError("its RANGE cannot be read", "RANGE or NAME=RANGE, such as 1000 or emails=100") from None


def parse_backlog_line(text: str) -> Backlog:
    """Return what NAME=WARNING/CRITICAL in a file asks for, of which one may be lacking. Raises WrongError."""
    name, _, limits = text.rpartition("=")
    warning, _, critical = limits.partition("/")
    try:
        ranges = [Threshold.parse(limit) if limit else None for limit in (warning, critical)]
    except ValueError:
        ranges = []
    if not name or not any(ranges):
        raise WrongError("it is no backlog", "backlog NAME=WARNING/CRITICAL, such as backlog emails=100/1000")
    return Backlog(name, *ranges)


def parse_stall_limit(text: str) -> StallLimit:
    """Return what DURATION in a file asks for. Raises WrongError."""
    try:
        return StallLimit(parse_duration(text))
    except ValueError:
        raise WrongError("its DURATION cannot be read", "stall-limit 15s or stall-limit 1m30s") from None


def parse_release(text: str) -> Release:
    """Return what [PATTERN=]FILE asks for. Raises WrongError."""
    release = re.fullmatch("(?:([^/]+)=)?(/.*)", text)
    if not release:
        raise WrongError("FILE is no full path", "/srv/shop/current or PATTERN=/srv/shop/current")
    problem = "" if release[1] is None else problem_of(release[1])
    if problem:
        raise WrongError(f"the PATTERN {problem}", "one for each PATTERN, such as 'celery@shop-*=/srv/shop/current'")
    return Release(release[1], release[2])


def _bounds(limit: re.Match[str], name: str = "PATTERN") -> tuple[int, int | None]:
    low = int(limit[2])
    high = int(limit[4]) if limit[4] else None if limit[3] else low
    if high is not None and low > high:
        raise WrongError("MIN is greater than MAX", f"{name}=MIN..MAX")
    return low, high
