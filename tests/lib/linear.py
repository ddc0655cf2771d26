"""Whether a regular expression takes time in proportion to the text, whatever the text is.

Python's matcher tries one way through the expression after another. `a*a*b` has n ways through n letters a, each as
long as the text, as every a may belong to either loop. Such loops are looked for here, in the automaton of the
expression, and nothing is timed. Weber and Seidl, "On the degree of ambiguity of finite automata" (1991), have the
two criteria. There are exponentially many ways if a text leads from a state back to it in two ways. There are
polynomially many if a text leads from one state back to it, from another back to that, and from the first to the
second.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import permutations, product
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as names  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_constants as names
    import sre_parse as parser

# One character of each kind that an expression may tell from others.
ALPHABET = "".join(map(chr, range(0x180))) + "\u0660\u2007\u2028\u2500\u276f\u4e00\ud800\U0001f600"
CATEGORIES = {
    names.CATEGORY_DIGIT: r"\d",
    names.CATEGORY_NOT_DIGIT: r"\D",
    names.CATEGORY_SPACE: r"\s",
    names.CATEGORY_NOT_SPACE: r"\S",
    names.CATEGORY_WORD: r"\w",
    names.CATEGORY_NOT_WORD: r"\W",
}
REPEATS = [names.MAX_REPEAT, names.MIN_REPEAT, *filter(None, [getattr(names, "POSSESSIVE_REPEAT", None)])]

Characters = frozenset[str]
# What the parser makes of an expression: pairs of a kind and what belongs to it.
Items = Sequence[tuple[Any, Any]]


class Automaton:
    """The states of an expression, and which characters lead from one to another."""

    def __init__(self, pattern: re.Pattern[str], *, searched: bool, whole: bool) -> None:
        """`searched`: a match may begin anywhere in the text; `whole`: it must end where the text does."""
        self.steps: list[list[tuple[Characters, int]]] = []
        self.empty: list[list[int]] = []
        self._flags = pattern.flags
        items: Items = list(parser.parse(pattern.pattern, pattern.flags))
        start = state = self._state()
        if searched:
            self.steps[start].append((frozenset(ALPHABET), start))
            if self._begins_a_line(items):
                state = self._state()
                self.steps[start].append((frozenset("\n"), state))
        self._add(items if whole else _unfailing(items), state)
        # At its start a text has a line, too.
        self.first = {start, state}

    def _state(self) -> int:
        self.steps.append([])
        self.empty.append([])
        return len(self.steps) - 1

    def _begins_a_line(self, items: Items) -> bool:
        if not self._flags & re.MULTILINE:
            return False
        kind, value = items[0]
        if kind is names.BRANCH:
            return all(self._begins_a_line(branch) for branch in value[1])
        return (kind, value) == (names.AT, names.AT_BEGINNING)

    def _add(self, items: Items, state: int) -> int:
        """Add the way through these items of a parsed expression; return the state at its end."""
        for kind, value in items:
            if kind in REPEATS:
                state = self._repeat(value, state)
            elif kind is names.SUBPATTERN:
                _, added, removed, own = value
                if added or removed:
                    raise NotImplementedError("flags of a group")
                state = self._add(own, state)
            elif kind is names.BRANCH:
                state = self._join([self._add(branch, state) for branch in value[1]])
            elif kind in (names.ASSERT, names.ASSERT_NOT):
                # The text is read as far as it goes, and then again from here.
                self._add(value[1], state)
            elif kind is names.GROUPREF:
                raise NotImplementedError("an expression that refers to a group")
            elif kind is not names.AT:
                following = self._state()
                self.steps[state].append((self._characters(kind, value), following))
                state = following
        return state

    def _repeat(self, repeat: tuple[int, int, Items], state: int) -> int:
        least, most, items = repeat
        for _ in range(least if most < names.MAXREPEAT else max(least - 1, 0)):
            state = self._add(items, state)
        if most < names.MAXREPEAT:
            ends = [state]
            for _ in range(most - least):
                ends.append(self._add(items, ends[-1]))
            return self._join(ends)
        # A loop has a state of its own, which nothing else leads back to.
        loop, end = self._state(), self._state()
        last = self._add(items, loop)
        self.empty[last].append(loop)
        self.empty[state].append(loop)
        self.empty[last].append(end)
        if not least:
            self.empty[state].append(end)
        return end

    def _join(self, ends: Iterable[int]) -> int:
        joined = self._state()
        for end in ends:
            self.empty[end].append(joined)
        return joined

    def _characters(self, kind: Any, value: Any) -> Characters:  # noqa: ANN401 -- the parser's own
        ignores_case = self._flags & re.IGNORECASE

        def has(character: str) -> bool:
            forms = {character, character.lower(), character.upper()} if ignores_case else {character}
            return any(self._has(form, kind, value) for form in forms if len(form) == 1)

        return frozenset(filter(has, ALPHABET))

    def _has(self, character: str, kind: Any, value: Any) -> bool:  # noqa: ANN401 -- the parser's own
        if kind is names.LITERAL:
            return bool(ord(character) == value)
        if kind is names.NOT_LITERAL:
            return bool(ord(character) != value)
        if kind is names.ANY:
            return bool(self._flags & re.DOTALL) or character != "\n"
        if kind is names.RANGE:
            return bool(value[0] <= ord(character) <= value[1])
        if kind is names.CATEGORY:
            return re.match(CATEGORIES[value], character, self._flags & (re.ASCII | re.UNICODE)) is not None
        if kind is names.IN:
            negated = value[0][0] is names.NEGATE
            return negated != any(self._has(character, *part) for part in value[negated:])
        raise NotImplementedError(kind)

    @cached_property
    def classes(self) -> list[str]:
        """One character of each kind that this expression tells from others."""
        sets = {characters for steps in self.steps for characters, _ in steps}
        return list({tuple(character in one for one in sets): character for character in ALPHABET}.values())

    @cached_property
    def moves(self) -> list[dict[str, list[int]]]:
        """By state and character, each state that follows, as often as there are ways to it."""
        return [
            {character: list(self._after(state, character)) for character in self.classes}
            for state in range(len(self.steps))
        ]

    def _after(self, state: int, character: str, seen: tuple[int, ...] = ()) -> Iterator[int]:
        yield from (following for characters, following in self.steps[state] if character in characters)
        for following in self.empty[state]:
            # Python leaves a loop that has taken no character.
            if following not in seen:
                yield from self._after(following, character, (*seen, state))

    @cached_property
    def reached(self) -> list[set[int]]:
        """By state, all that some text leads to."""
        following = [{one for ones in move.values() for one in ones} for move in self.moves]
        return [_spread(following[state], lambda one: following[one]) for state in range(len(following))]


def _unfailing(items: Items) -> Items:
    """Return the items without what takes all that it can at the end of an expression, and so is never tried again."""
    if not items:
        return items
    *others, (kind, value) = items
    if kind in REPEATS:
        least, most, repeated = value
        looks_ahead = any(one in (names.ASSERT, names.ASSERT_NOT) for one, _ in repeated)
        least_only = most == names.MAXREPEAT and not looks_ahead
        value = (least, least if least_only else most, _unfailing(repeated) if most == 1 else repeated)
    elif kind is names.SUBPATTERN:
        value = (*value[:-1], _unfailing(value[-1]))
    elif kind is names.BRANCH:
        value = (value[0], [_unfailing(branch) for branch in value[1]])
    return [*others, (kind, value)]


def slow_because(pattern: re.Pattern[str], *, searched: bool = False, whole: bool = False) -> str:
    """Return why an expression may take longer than in proportion to the text, "" if it never does.

    searched: a match may begin anywhere in the text; whole: it must end where the text does
    """
    automaton = Automaton(pattern, searched=searched, whole=whole)
    reached, moves = automaton.reached, automaton.moves
    possible = automaton.first.union(*(reached[state] for state in automaton.first))
    loops = [state for state in possible if state in reached[state]]
    rooms = {state: {other for other in reached[state] if state in reached[other]} for state in loops}
    for state in loops:
        room = rooms[state]
        if any(len(ones) > len(set(ones)) for one in room for ones in moves[one].values() if room & set(ones)):
            return "one loop takes a text in two ways"
        step = _together(moves, room, room)
        split = [two for two in _spread([(state, state)], step) if two[0] != two[1]]
        if (state, state) in _spread(split, step):
            return "one loop takes a text in two ways"
    for first, second in permutations(loops, 2):
        if second in reached[first]:
            between = {other for other in reached[first] if second in reached[other]}
            step = _together(moves, rooms[first], between, rooms[second])
            if (first, second, second) in _spread([(first, first, second)], step):
                return "a text that loops in one place leads to another, where it loops as well"
    return ""


States = tuple[int, ...]


def _together(moves: Sequence[Mapping[str, Sequence[int]]], *rooms: set[int]) -> Callable[[States], Iterator[States]]:
    """Return what yields where one and the same character leads from some states, each in its own room."""

    def step(states: States) -> Iterator[States]:
        for character in moves[0]:
            yield from product(*(room.intersection(moves[one][character]) for one, room in zip(states, rooms)))

    return step


def _spread(start: Iterable[Any], following: Callable[[Any], Iterable[Any]]) -> set[Any]:
    """Return all that can be reached from what is at the start, which counts too."""
    reached = set(start)
    left = list(reached)
    while left:
        new = set(following(left.pop())) - reached
        reached |= new
        left += new
    return reached
