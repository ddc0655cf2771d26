"""Shell patterns of names, and the first of many that a name matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


def is_wild(text: str) -> bool:
    """Return whether the text, as a pattern, may match another name than itself."""
    return "*" in text or "?" in text or "[" in text


def problem_of(text: str) -> str:
    """Return what is wrong with a text that is to be one pattern, such as "holds a comma"; "" if nothing is.

    Such texts match nobody. In other programs they stand for several names.
    """
    if not text:
        return "is empty"
    if "," in text:
        return "holds a comma"
    if "{" in text or "}" in text:
        return "holds braces"
    return "holds a range of hosts" if host_ranges(text) else ""


def host_ranges(text: str) -> list[str]:
    """Return what the brackets hold that are ranges of hosts in Ansible, clush and Slurm: [1:3], [01-20], [01-03,07].

    A shell pattern takes them for single characters. None of [1-3]: that is a pattern, too.
    """
    brackets = re.findall(r"\[([0-9]+(?:[-:][0-9]+)?(?:,[0-9]+(?:[-:][0-9]+)?)*)\]", text)
    return brackets if any(re.search("[0-9]{2}-|-[0-9]{2}|:", within) for within in brackets) else []


def first_match(patterns: Iterable[str]) -> Callable[[str], int | None]:
    """Return a function that finds the first pattern that a whole name matches: its place in `patterns`, or None.

        first_match(["a*", "*b"])("cab") -> 1

    Only those are tried that begin and end as the name does, so that a thousand patterns cost little more than one.
    """
    by_ends: dict[tuple[int, int], dict[tuple[str, str], list[tuple[int, Callable[[str], object]]]]] = {}
    for place, text in enumerate(patterns):
        # What stands before the first wildcard, and after the last.
        start, end = re.split(r"[*?[]", text)[0], re.split(r"[]*?[]", text)[-1]
        alike = by_ends.setdefault((len(start), len(end)), {})
        alike.setdefault((start, end), []).append((place, _matcher(text)))

    def find(name: str) -> int | None:
        size = len(name)
        candidates = [
            candidate
            for (first, last), alike in by_ends.items()
            for candidate in alike.get((name[:first], name[size - last :]), ())
        ]
        candidates.sort()
        return next((place for place, matches in candidates if matches(name)), None)

    return find


def value_of(rules: Sequence[tuple[str | None, T]]) -> Callable[[str], T | None]:
    """Return a function that finds the value of the first pattern that a whole name matches.

    Where none does, it is the value of the pattern None, or None.
    """
    named = [(pattern, value) for pattern, value in rules if pattern is not None]
    otherwise = next((value for pattern, value in rules if pattern is None), None)
    find = first_match(pattern for pattern, _ in named)

    def value(name: str) -> T | None:
        place = find(name)
        return otherwise if place is None else named[place][1]

    return value


def _matcher(text: str) -> Callable[[str], object]:
    from fnmatch import translate

    try:
        return re.compile(translate(text)).match
    except re.error:  # pragma: no cover -- in Python 3.9 alone
        # Python 3.9 cannot read a range that ends before it starts, [z-a]. It matches nothing.
        return lambda _name: None
