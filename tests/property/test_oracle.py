"""The verdict counted by plain sets, as the contract reads, beside the one that the plugin gives.

Inventories, fleets, --ignore, thresholds, patterns, braces, queues, and two spellings of one index.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import product
from typing import NamedTuple, Optional

from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from running import CRITICAL, OK, WARNING, Outcome, check

some = examples(150)

# A worker by what tells it from others: its name, its index, None where it has none, and its server.
Id = tuple[str, Optional[int], str]

NAMES = st.sampled_from(["w", "v", "a-b", "celery"])
SERVERS = st.sampled_from(["a", "b", "s1.example.com"])
GROUPS = st.lists(st.tuples(NAMES, SERVERS), unique=True, max_size=4)
PATTERNS = ["*", "w-*", "celery@*", "?-[0-3]@*", "*-1@?", "[!w]*@*", "[vw]*@*.example.com", "*@b", "w-0*@a"]


class Reply(NamedTuple):
    """One worker that answers, under each of these spellings of its index, the first so many times."""

    id: Id
    spellings: tuple[str, ...]
    times: int = 1
    verdict: str = "OK"

    @property
    def nodes(self) -> list[str]:
        """The names that answer."""
        name, index, server = self.id
        return [f"{name}@{server}" if index is None else f"{name}-{digits}@{server}" for digits in self.spellings]

    @property
    def lines(self) -> list[str]:
        """The lines of Celery 4."""
        first, *others = self.nodes
        return [f"{first}: {self.verdict}"] * self.times + [f"{node}: OK" for node in others]


class Group(NamedTuple):
    """What fixed forms expect of the workers NAME-i of SERVER."""

    name: str
    server: str
    plain: bool
    counted: int
    spans: tuple[tuple[int, int], ...]

    @property
    def expected(self) -> list[str]:
        """The EXPECTED of it."""
        plain = [f"{self.name}@{self.server}"] if self.plain else []
        counted = [f"{self.name}-{self.counted}@{self.server}"] if self.counted else []
        return plain + counted + [f"{self.name}-{first}..{last}@{self.server}" for first, last in self.spans]

    @property
    def owns(self) -> bool:
        """Whether every NAME-i of SERVER is judged by it alone."""
        return bool(self.counted or self.spans)

    def ids(self, first: int) -> set[Id]:
        """Return the workers that must be there, those of COUNT numbered from here."""
        indexes: set[int | None] = set(range(first, first + self.counted))
        indexes.update(index for span in self.spans for index in range(span[0], span[1] + 1))
        if self.plain:
            indexes.add(None)
        return {(self.name, index, self.server) for index in indexes}


class Limit(NamedTuple):
    """How many workers must and may match a pattern."""

    pattern: str
    low: int
    high: int | None

    def __str__(self) -> str:
        """Return it as EXPECTED."""
        high = "" if self.high is None else str(self.high)
        return (
            f"{self.pattern}={self.low}" if self.low and self.low == self.high else f"{self.pattern}={self.low}..{high}"
        )


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    """Draw what fixed forms expect, no worker twice."""
    drawn = []
    for name, server in draw(GROUPS):
        count = draw(st.integers(0, 4))
        # COUNT takes the indexes from 0 to COUNT, one of which stays free.
        free = count + 1 if count else 0
        spans = []
        for gap, more in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=2)):
            spans.append((free + gap, free + gap + more))
            free += gap + more + 1
        drawn.append(Group(name, server, draw(st.booleans()), count, tuple(spans)))
    return [group for group in drawn if group.expected]


@st.composite
def limits(draw: st.DrawFn) -> list[Limit]:
    """Draw patterns that differ."""
    drawn = []
    for pattern in draw(st.lists(st.sampled_from(PATTERNS), unique=True, max_size=3)):
        low = draw(st.integers(0, 4))
        drawn.append(Limit(pattern, low, draw(st.none() | st.integers(low, low + 3))))
    return drawn


@st.composite
def fleets(draw: st.DrawFn, inventory: list[Group]) -> list[Reply]:
    """Draw workers that answer; those of a group that a fixed form expects may spell their index twice."""
    owned = {(group.name, group.server) for group in inventory if group.owns}
    ids = st.tuples(NAMES | st.just("stranger"), st.none() | st.integers(0, 7), SERVERS | st.just("stray"))
    drawn = []
    for name, index, server in draw(st.lists(ids, unique=True, max_size=20)):
        digits: tuple[str, ...] = ("",)
        if index is not None:
            digits = (f"{draw(st.sampled_from(['', '', '0', '00']))}{index}",)
            if (name, server) in owned and draw(st.integers(0, 5)) == 0:
                digits += (f"000{index}",)
        times = draw(st.sampled_from([1, 1, 1, 2]))
        drawn.append(Reply((name, index, server), digits, times, draw(st.sampled_from(["OK", "OK", "OK", "ERROR"]))))
    return drawn


class Counts(NamedTuple):
    """What the perfdata say."""

    missing: int
    unexpected: int
    malfunctioning: int
    duplicate: int
    missing_servers: int


def count(
    expected: set[Id], owned: set[tuple[str, str]], limited: list[Limit], ignore: list[str], fleet: list[Reply]
) -> Counts:
    """Count by plain sets."""
    online = {reply.id for reply in fleet}
    missing = len(expected - online)
    wanted = [reply for reply in fleet if reply.id in expected]
    unexpected = 0
    matched: dict[str, list[Reply]] = {limit.pattern: [] for limit in limited}
    for reply in fleet:
        if reply.id in expected:
            continue
        name, index, server = reply.id
        fixed = index is not None and (name, server) in owned
        first = next((p for p in matched if fnmatchcase(reply.nodes[0], p)), None)
        if first and not fixed:
            matched[first].append(reply)
            wanted.append(reply)
        elif not ignored(reply, ignore):
            unexpected += 1
    for pattern, low, high in limited:
        missing += max(0, low - len(matched[pattern]))
        if high is not None:
            unexpected += max(0, sum(not ignored(reply, ignore) for reply in matched[pattern]) - high)
    malfunctioning = sum(reply.verdict == "ERROR" for reply in wanted)
    duplicate = sum(reply.times > 1 or len(reply.spellings) > 1 for reply in wanted)
    servers = {server for _, _, server in expected} - {server for _, _, server in online}
    return Counts(missing, unexpected, malfunctioning, duplicate, len(servers))


def ignored(reply: Reply, ignore: list[str]) -> bool:
    """Tell whether --ignore leaves it out, under each of its names."""
    return all(any(fnmatchcase(node, pattern) for pattern in ignore) for node in reply.nodes)


def readings(inventory: list[Group], fleet: list[Reply], first_index: str) -> Iterator[set[Id]]:
    """Yield what may be expected: each group is numbered from where fewer are missing, a tie either way."""
    online = {reply.id for reply in fleet}
    possible: list[list[set[Id]]] = []
    for group in inventory:
        both = [group.ids(0), group.ids(1)] if first_index == "auto" else [group.ids(int(first_index))]
        least = min(len(ids - online) for ids in both)
        possible.append([ids for ids in both if len(ids - online) == least])
    for reading in product(*possible):
        yield set().union(*reading)


def told(outcome: Outcome) -> dict[str, int]:
    """Return the counts of the perfdata."""
    return {label: int(value.split(";")[0]) for label, value in outcome.perfdata.items()}


def worst(counts: Counts) -> int:
    """Return the state where no threshold is given."""
    if counts.missing or counts.malfunctioning:
        return CRITICAL
    return WARNING if counts.unexpected or counts.duplicate else OK


@some
@given(
    data=st.data(),
    inventory=groups(),
    limited=limits(),
    ignore=st.lists(st.sampled_from(PATTERNS), unique=True, max_size=2),
    first_index=st.sampled_from(["auto", "auto", "0", "1"]),
)
def test_counts(
    data: st.DataObject, inventory: list[Group], limited: list[Limit], ignore: list[str], first_index: str
) -> None:
    fleet = data.draw(fleets(inventory))
    arguments = data.draw(st.permutations([text for group in inventory for text in group.expected]))
    arguments = [*arguments, *map(str, limited)]
    assume(arguments and fleet)
    lines = data.draw(st.permutations([line for reply in fleet for line in reply.lines]))
    nodes = {node for reply in fleet for node in reply.nodes}
    outcome = check(
        *arguments,
        "--first-index",
        first_index,
        *(f"--ignore={pattern}" for pattern in ignore),
        text="".join(f"{line}\n" for line in lines) + f"\n{len(nodes)} nodes online.\n",
    )
    owned = {(group.name, group.server) for group in inventory if group.owns}
    possible = {count(expected, owned, limited, ignore, fleet) for expected in readings(inventory, fleet, first_index)}
    shown = told(outcome)
    counts = Counts(*(shown[label] for label in Counts._fields))
    assert counts in possible, (arguments, ignore, lines, outcome.output)
    assert outcome.code == worst(counts)
    size = sum(len(group.ids(0)) for group in inventory) + sum(limit.low for limit in limited)
    assert outcome.perfdata["missing"].endswith(f";0;{size}")


@some
@given(
    expected=st.integers(1, 60),
    missing=st.integers(0, 60),
    percent=st.decimals(0, 100, places=4) | st.integers(0, 100),
    data=st.data(),
)
def test_percent_is_exact(expected: int, missing: int, percent: object, data: st.DataObject) -> None:
    missing = min(missing, expected)
    limit = Fraction(str(percent))
    if data.draw(st.booleans()):
        # As near as the digits allow to what is there.
        limit = round(Fraction(100 * missing, expected) * 10_000 + data.draw(st.integers(-1, 1))) * Fraction(1, 10_000)
        assume(0 <= limit <= 100)
    text = f"{float(limit):.4f}"
    nodes = [f"w-{index}@a" for index in range(missing + 1, expected + 1)]
    status = "".join(f"{node}: OK\n" for node in nodes) or "Error: No nodes replied within time constraint\n"
    share = Fraction(100 * missing, expected)
    above = check(f"w-1..{expected}@a", "-c", f"{text}%", text=status)
    assert above.code == (CRITICAL if share > Fraction(text) else OK)
    inside = check(f"w-1..{expected}@a", "-c", f"@{text}:100%", text=status)
    assert inside.code == (CRITICAL if share >= Fraction(text) else OK)


@some
@given(
    counts=st.tuples(*[st.integers(0, 3)] * 3),
    limits_of=st.tuples(*[st.none() | st.integers(0, 3)] * 6),
)
def test_thresholds(counts: tuple[int, ...], limits_of: tuple[int | None, ...]) -> None:
    missing, unexpected, malfunctioning = counts
    labels = ("", "unexpected-", "malfunctioning-")
    options = []
    state = OK
    for number, label, warning, critical, default in zip(
        counts, labels, limits_of[::2], limits_of[1::2], (CRITICAL, WARNING, CRITICAL)
    ):
        options += [f"--{label}warning={warning}"] if warning is not None else []
        options += [f"--{label}critical={critical}"] if critical is not None else []
        if warning is None and critical is None:
            own = default if number else OK
        elif critical is not None and number > critical:
            own = CRITICAL
        else:
            own = WARNING if warning is not None and number > warning else OK
        state = max(state, own)
    lines = [f"w-{index}@a: {'ERROR' if index <= malfunctioning else 'OK'}" for index in range(1, 7 - missing)]
    lines += [f"x{index}@a: OK" for index in range(unexpected)]
    outcome = check("w-1..6@a", *options, text="".join(f"{line}\n" for line in lines))
    assert outcome.code == state, outcome.output


WORDS = st.text("ab1", min_size=1, max_size=2)
NUMBERS = st.integers(0, 12)


@st.composite
def braces(draw: st.DrawFn) -> str:
    """Draw braces that a shell knows."""
    if draw(st.booleans()):
        return "{" + ",".join(draw(st.lists(WORDS, unique=True, min_size=2, max_size=3))) + "}"
    first = draw(NUMBERS)
    last = first + draw(st.integers(0, 3))
    width = draw(st.sampled_from([1, 2, 3]))
    # A shell fills up with zeros where one of the two begins with one.
    return f"{{{first:0{width}}..{last:0{width}}}}"


def by_a_shell(text: str) -> list[str]:
    """Return what bash makes of it."""
    script = f"printf '%s\\n' {text}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


@examples(60)
@given(first=st.just("") | braces(), second=st.just("") | braces(), data=st.data())
def test_braces_are_a_shells(first: str, second: str, data: st.DataObject) -> None:
    expected = f"n{first}x@s{second}.example.com"
    nodes = by_a_shell(expected)
    assume(len(set(nodes)) == len(nodes))
    online = data.draw(st.lists(st.sampled_from([*nodes, "stranger@z"]), unique=True, min_size=1))
    text = "".join(f"{node}: OK\n" for node in online)
    assert check(expected, text=text) == check(*nodes, text=text)


@examples(60)
@given(first=NUMBERS, more=st.integers(0, 5), width=st.integers(1, 3), data=st.data())
def test_braces_in_the_place_of_the_index_are_workers_of_exactly_these_names(
    first: int, more: int, width: int, data: st.DataObject
) -> None:
    expected = f"w-{{{first:0{width}}..{first + more:0{width}}}}@a"
    online = data.draw(st.lists(st.integers(0, 20), unique=True, min_size=1))
    text = "".join(f"w-{index}@a: OK\n" for index in online)
    assert check(expected, text=text).output == check(f"w-{first}..{first + more}@a", text=text).output


QUEUES = ["emails", "celery", "ledger"]


@some
@given(
    fleet=st.lists(st.lists(st.sampled_from(QUEUES), unique=True), min_size=1, max_size=6),
    wanted=st.dictionaries(
        st.sampled_from([*QUEUES, "nobody"]), st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), min_size=1
    ),
    alone=st.booleans(),
)
def test_queues(fleet: list[list[str]], wanted: dict[str, tuple[int, int | None]], alone: bool) -> None:
    assume(any(fleet))
    options = []
    off = 0
    for name, (low, more) in wanted.items():
        high = None if more is None else low + more
        options.append(f"--queue={name}={low}..{'' if high is None else high}")
        consumers = sum(name in queues for queues in fleet)
        off += consumers < low or (high is not None and consumers > high)
    body = "    * {{'name': '{0}', 'exchange': {{'name': '{0}'}}, 'routing_key': '{0}'}}\n"
    replies = (
        f"->  w-{i}@a: OK\n{''.join(map(body.format, queues)) or '    - empty -' + chr(10)}"
        for i, queues in enumerate(fleet)
    )
    text = "".join(replies) + f"\n{len(fleet)} nodes online.\n"
    expected = [] if alone else [f"w-0..{len(fleet) - 1}@a"]
    outcome = check(*expected, *options, text=text)
    assert told(outcome)["queues"] == off
    assert told(outcome)["unexpected"] == 0
    assert told(outcome)["malfunctioning"] == fleet.count([])
    assert outcome.code == (CRITICAL if off or [] in fleet else OK)
    assert sum(line.startswith("Queue ") for line in outcome.findings) == off


def spelled(indexes: Iterable[int], zeros: int) -> list[str]:
    return [f"w-{index:0{zeros}}@a" for index in indexes]


@some
@given(
    expected=st.sampled_from(["w-3@a", "w-1..3@a", "w-{1..3}@a", "w-{01..03}@a"]),
    first=st.sets(st.integers(0, 5)),
    second=st.sets(st.integers(0, 5)),
    strange=st.lists(st.sampled_from(["w-*@a=0..", "?-[0-9]*@*=1..2", "w-0*@a=1"]), unique=True, max_size=2),
)
def test_two_spellings_of_one_index_are_one_worker(
    expected: str, first: set[int], second: set[int], strange: list[str]
) -> None:
    assume(first | second)
    text = "".join(f"{node}: OK\n" for node in spelled(first, 1) + spelled(second, 4))
    once = "".join(f"{node}: OK\n" for node in spelled(first | second, 1))
    counts = told(check(expected, *strange, text=text))
    plain = told(check(expected, *strange, text=once))
    for label in ("missing", "unexpected", "malfunctioning", "missing_servers", "unexpected_servers"):
        assert counts[label] == plain[label]
    assert plain["duplicate"] == 0
    assert counts["duplicate"] <= len(first & second)
