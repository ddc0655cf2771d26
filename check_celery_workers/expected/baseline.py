"""The way back: from the workers that replied to the EXPECTED that describe them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from check_celery_workers.expected.grammar import is_plain
from check_celery_workers.node import UNNUMBERED, Group, index_of, natural, node_name

# One worker's own queues: of broadcasts, and Celery's direct ones.
_OF_ONE_WORKER = (("bcast.", ""), ("", ".dq"))


# Longer than a task waits that a healthy worker may start, short enough for the limits of those who run the plugin.
_STALL_LIMIT = "stall-limit 15s"
# The first words of lines that describe no state, and the comment on those that describe one that is no more.
_CHOSEN = ("backlog", "stall-limit", "started-after")
_BEFORE = "# before: "


def baseline(
    groups: Mapping[Group, Iterable[str]],
    queues: Mapping[str, Iterable[str]],
    beats: Iterable[str],
    watches: bool,
) -> list[str]:
    """Return the lines that expect exactly these workers and beats, and of each queue as many consumers or more.

    watches: whether workers can be watched, so that they have a stall-limit

    `groups` are the indexes in digits, `queues` the node names that consume from each, `beats` nodes. What a fixed form
    cannot say, such as a name with a wildcard in it, becomes a pattern for one worker, with ? for what does not print.
    Patterns with fewer ? come first, so that each takes the worker that it is meant for.
    """
    fixed: list[str] = []
    patterns: dict[tuple[int, str], int] = {}
    for group, indexes in groups.items():
        runs = [_span(group, first, last) for first, last in _runs(indexes)]
        if all(is_plain(text, group) for text in runs):
            fixed += runs
            continue
        for node in (node_name(group, digits) for digits in indexes):
            pattern = _pattern_of(node)
            patterns[pattern] = patterns.get(pattern, 0) + 1
    fixed.sort(key=natural)
    lines = fixed + [f"{text}={count}" for (_, text), count in sorted(patterns.items())]
    shared = sorted(filter(_is_shared, queues), key=natural)
    lines += sorted(map(_beat, beats), key=natural)
    lines += [f"queue {name}={len(set(queues[name]))}.." for name in shared]
    return lines + ([_STALL_LIMIT] if groups and watches else [])


def renewed(lines: Iterable[str], before: Iterable[str]) -> list[str]:
    """Return the lines of a file that get these instead of what a baseline has written there before.

    What somebody has chosen stays: comments, on top, and limits such as `backlog emails=1000`. What was expected and is
    not there any more becomes a comment: it may be missing just now.
    """
    new = [*lines]
    comments, chosen, gone = list[str](), list[str](), list[str]()
    for line in filter(None, map(str.strip, before)):
        if line.startswith(_BEFORE) or line in new:
            continue
        word = line.split()[0]
        kept = comments if line.startswith("#") else chosen if word in _CHOSEN else gone
        kept.append(line)
    if any(line.startswith("stall-limit") for line in chosen):
        new = [line for line in new if line != _STALL_LIMIT]
    return [*comments, *new, *chosen, *(f"{_BEFORE}{line}" for line in gone)]


def _beat(node: str) -> str:
    pattern = _pattern_of(node)[1]
    return f"beat {node if pattern == node else f'{pattern}=1'}"


def listed(groups: Mapping[Group, Iterable[str]]) -> list[str]:
    """Return the workers as a person reads them: `w-1..3@a` for three, `w-7@a` for one, in natural order."""
    runs = ((group, *run) for group, indexes in groups.items() for run in _runs(indexes))
    return sorted((_span(group, first, last, first == last) for group, first, last in runs), key=natural)


def _span(group: Group, first: int, last: int, plain: bool = False) -> str:
    return node_name(group, first if plain or first == UNNUMBERED else f"{first}..{last}")


def _is_shared(queue: str) -> bool:
    if not queue.isprintable() or queue != queue.strip() or "#" in queue:
        return False
    return not any(queue.startswith(start) and queue.endswith(end) for start, end in _OF_ONE_WORKER)


def _pattern_of(node: str) -> tuple[int, str]:
    """Return a pattern for the node name, after the number of its characters that only a ? can say."""
    said = [_said(character) for character in node]
    if said[0] in ("#", "-"):
        said[0] = f"[{said[0]}]"
    return said.count("?"), "".join(said)


def _said(character: str) -> str:
    if character in "*?[":
        return f"[{character}]"
    return character if character.isprintable() and character not in "/:=\\\"',;{}<> " else "?"


def _runs(indexes: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of indexes without a gap; UNNUMBERED is one by itself."""
    numbers = sorted(set(map(index_of, indexes)))
    first = last = numbers[0]
    for index in numbers[1:]:
        if index != last + 1 or last == UNNUMBERED:
            yield first, last
            first = index
        last = index
    yield first, last
