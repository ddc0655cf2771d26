"""A Celery node name: parse, order, print.

    NAME@SERVER          celery@web1               the one worker of that name
    NAME-INDEX@SERVER    specialworker-2@serverA   one of the workers NAME on SERVER

Celery cuts a node name at its first @ (`celery.utils.nodenames.nodesplit`). The index is this plugin's reading of it:
a dash and up to 18 digits, compared as a number, so that `w-01@a` has index 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# (NAME, SERVER) of workers that differ in their index alone.
Worker = tuple[str, str]

UNNUMBERED = -1

_LONGEST_INDEX = 18


def split_index(name: str) -> tuple[str, str]:
    """Cut what stands before the @ into NAME and the digits of its index, which are empty where it has none."""
    stem, _, digits = name.rpartition("-")
    if stem and digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_INDEX:
        return stem, digits
    return name, ""


def number(digits: str) -> int:
    """Return the index that the digits stand for, UNNUMBERED for none."""
    return int(digits) if digits else UNNUMBERED


def numbers(digits: Iterable[str]) -> set[int]:
    """Return the indexes that these digits stand for."""
    return set(map(number, digits))


def join(worker: Worker, index: int | str) -> str:
    """Return the node name of a worker with that index, a number or its digits as the worker wrote them."""
    name, server = worker
    return f"{name}@{server}" if index in ("", UNNUMBERED) else f"{name}-{index}@{server}"


def natural(text: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts `w-2@a` before `w-10@a`."""
    parts: list[str | int] = [*re.split(r"([0-9]{1,18})", text)]
    parts[1::2] = map(int, parts[1::2])
    return parts, text


def printable(text: str, longest: int = 200) -> str:
    """Return the text fit for a line of plugin output.

    Names come from the network: whatever does not print (control characters, newlines, writing direction marks, bytes
    that are no UTF-8) and the `|` that would start the perfdata become `?`, and at most `longest` characters are kept.
    """
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    if text.isprintable() and "|" not in text:
        return text
    return "".join(c if c.isprintable() and c != "|" else "?" for c in text)
