"""A time as people write it, `1h30m`, and as they read it, "1 h 30 min"."""

from __future__ import annotations

import math
import re
from itertools import dropwhile, islice

from check_celery_workers.node import printable

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_WRITTEN = "".join(rf"(?:({_NUMBER}){unit})?" for unit in "dhms")
_SECONDS = (86400, 3600, 60, 1)


def parse_duration(text: str, may_be_zero: bool = False) -> float:
    """Return the seconds that a DURATION means. Raises ValueError if it is none, or 0 where that has no meaning.

    "90", "90s", "1.5m", "1m30s" -> 90.0
    """
    written = re.fullmatch(_WRITTEN, f"{text}s" if re.fullmatch(_NUMBER, text) else text)
    numbers = written.groups("0") if written and text else ("inf",)
    seconds = sum(float(number) * unit for number, unit in zip(numbers, _SECONDS))
    if seconds == math.inf:
        raise ValueError(f"{printable(text)!r} is no time; write 90s, 15m, 6h, 2d or 1h30m")
    if not seconds and not may_be_zero:
        raise ValueError(f"{printable(text)!r} is no time at all; write 90s, 15m, 6h, 2d or 1h30m")
    return seconds


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: "3 h 12 min"."""
    whole = int(seconds)
    units = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    largest = islice(dropwhile(lambda unit: not unit[0], units), 2)
    return " ".join(f"{value} {unit}" for value, unit in largest if value) or "0 s"
