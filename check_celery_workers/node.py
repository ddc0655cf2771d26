"""A Celery node name: split, join, order, print.

    NAME@SERVER          celery@web1               the one worker of that name
    NAME-INDEX@SERVER    specialworker-2@serverA   one of a group of workers, NAME on SERVER

Celery splits a node name at its first @ (`celery.utils.nodenames.nodesplit`). The index is this plugin's reading of it:
a dash and up to 18 digits, compared as a number, so that `w-01@a` has index 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection

# NAME and @SERVER of workers that differ in their index alone. @SERVER keeps its @: it is "" for a node without one.
Group = tuple[str, str]

UNNUMBERED = -1

# NAME of Celery's scheduler, as a node.
BEAT = "celerybeat"

_LONGEST_INDEX = 18


def split_index(name: str) -> tuple[str, str]:
    """Split `w-2` into ("w", "2"); the digits are "" if there is no index."""
    stem, _, digits = name.rpartition("-")
    if stem and digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_INDEX:
        return stem, digits
    return name, ""


def split_node(node: str) -> tuple[Group, str]:
    """Split `w-01@a` into its group ("w", "@a") and the digits "01"."""
    name, at, server = node.partition("@")
    name, digits = split_index(name)
    return (name, at + server), digits


def index_of(digits: str) -> int:
    """Return the index that the digits stand for, UNNUMBERED for ""."""
    return int(digits) if digits else UNNUMBERED


def indexes_of(digits: set[str]) -> set[int]:
    """Return the indexes that these digits stand for."""
    return {UNNUMBERED, *map(int, digits - {""})} if "" in digits else set(map(int, digits))


def node_name(group: Group, index: int | str = "") -> str:
    """Return the node name of a worker with that index: a number, or the digits as the worker writes them."""
    name, at_server = group
    return f"{name}{at_server}" if index in ("", UNNUMBERED) else f"{name}-{index}{at_server}"


def natural(text: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts `w-2@a` before `w-10@a`."""
    parts: list[str | int] = [*re.split(r"([0-9]{1,18})", text)]
    parts[1::2] = map(int, parts[1::2])
    return parts, text


def printable(text: str, longest: int = 200) -> str:
    """Return the text fit for a line of plugin output.

    Names come from the network. Whatever does not print (control characters, newlines, writing direction marks, bytes
    that are not UTF-8) and the `|` that would start the perfdata become `?`. At most `longest` characters are kept.
    """
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    if text.isprintable() and "|" not in text:
        return text
    return "".join(character if character.isprintable() and character != "|" else "?" for character in text)


def first_of(names: Collection[str]) -> str:
    """Return the first of these names, and how many more they are: "w-1@a and 3 more". At least one is needed."""
    first, *others = sorted(names, key=natural)
    return printable(first) + (f" and {len(others):,} more" if others else "")
