"""Output that says how long tasks have run, which is never the same twice."""

from __future__ import annotations

import re

_NONE = re.compile(r"(?<=oldest_task=)0(?:\.0)?s")
_OLDEST = re.compile(r"(?<=oldest_task=)(?!0s)[\d.]+s")
_RUN_FOR = re.compile(r"(?<= for )\d+ (?:s|min|h|d)(?: \d+ (?:s|min|h))?(?=,|$)", re.MULTILINE)


def ageless(output: str) -> str:
    """Return the output with AGE for each age of a task, and 0s where none runs.

    >>> ageless("Worker w-1@a was malfunctioning, it has run shop.export for 3 h 12 min, 2 tasks over their limit")
    'Worker w-1@a was malfunctioning, it has run shop.export for AGE, 2 tasks over their limit'
    """
    return _RUN_FOR.sub("AGE", _OLDEST.sub("AGE", _NONE.sub("0s", output)))
