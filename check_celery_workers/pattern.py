"""Shell patterns of node names, and the first of many that a name matches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

_WILDCARD = r"[*?]|\[!?\]?[^\]]*\]?"


def is_wild(text: str) -> bool:
    """Tell whether the text, as a pattern, may match another name than itself."""
    return "*" in text or "?" in text or "[" in text


class Pattern:
    """A number of workers, `low` or more and at most `high` (None: any number), whose node name matches."""

    __slots__ = ("high", "low", "matches", "text")

    def __init__(self, text: str, low: int, high: int | None) -> None:
        self.text = text
        self.low = low
        self.high = high
        self.matches = re.compile(translate(text)).match


class PatternIndex:
    """Finds the first of many patterns that a node name matches.

    Patterns are looked up by what stands before the first and after the last wildcard of NAME and of SERVER, so that a
    thousand of them cost little more than one.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = list(enumerate(patterns))
        # By the lengths of the four ends, by the ends themselves.
        self._by_ends: dict[tuple[int, ...], dict[tuple[str, ...], list[tuple[int, Pattern]]]] = {}
        for place, pattern in self._patterns:
            ends = _ends(pattern.text)
            alike = self._by_ends.setdefault(tuple(map(len, ends)), {})
            alike.setdefault(ends, []).append((place, pattern))

    def __bool__(self) -> bool:
        """Tell whether there are any patterns."""
        return bool(self._patterns)

    def first(self, node: str) -> Pattern | None:
        """Return the first of the patterns that the node name matches, None where none does."""
        name, _, server = node.partition("@")
        n, s = len(name), len(server)
        candidates = [
            candidate
            for (a, b, c, d), alike in self._by_ends.items()
            for candidate in alike.get((name[:a], name[n - b :], server[:c], server[s - d :]), ())
        ]
        candidates.sort()
        # Of several @ nobody knows at which a pattern parts NAME and SERVER.
        for _, pattern in self._patterns if "@" in server else candidates:
            if pattern.matches(node):
                return pattern
        return None


def _ends(pattern: str) -> tuple[str, str, str, str]:
    """Return how NAME and SERVER begin and end, as far as it tells, in all node names with one @ that it matches."""
    literals = re.split(_WILDCARD, pattern)
    first, last = literals[0], literals[-1]
    parting = [literal for literal in literals if "@" in literal]
    if not parting:
        return first, "", "", last
    name_end, _, server_start = parting[0].partition("@")
    return first.partition("@")[0], name_end, server_start, last.rpartition("@")[2]
