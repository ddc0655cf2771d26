"""What holds of any fleet and any inventory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import NamedTuple

from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from running import OK, check

from check_celery_workers.pattern import first_match

hundred_examples = examples(100)

NAMES = st.sampled_from(["w", "v", "a-b", "celery"])
SERVERS = st.sampled_from(["a", "b", "s1.example.com"])
PATTERNS = ["*", "w-*", "celery@*", "?-[0-3]@*", "*-1@?", "[!w]*@*", "[vw]*@*.example.com", "*@b", "w-0@a", "celery@a"]


class Node(NamedTuple):
    """A worker by what tells it from others, and how it answers."""

    name: str
    number: int | None
    server: str
    zeros: str = ""
    times: int = 1
    verdict: str = "OK"

    def __str__(self) -> str:
        """Return the node name as the worker writes it."""
        index = "" if self.number is None else f"-{self.zeros}{self.number}"
        return f"{self.name}{index}@{self.server}"


class Wanted(NamedTuple):
    """What is expected of one worker: the one without index, COUNT of them, and FIRST..LAST."""

    name: str
    server: str
    plain: bool
    counted: int
    spans: list[tuple[int, int]]

    def expected(self) -> list[str]:
        """Return it as EXPECTED."""
        plain = [f"{self.name}@{self.server}"] if self.plain else []
        counted = [f"{self.name}-{self.counted}@{self.server}"] if self.counted else []
        return plain + counted + [f"{self.name}-{first}..{last}@{self.server}" for first, last in self.spans]

    def nodes(self, first_index: int) -> set[Node]:
        """Return the workers that must be there, those of COUNT numbered from here."""
        indexes: set[int | None] = set(range(first_index, first_index + self.counted))
        indexes.update(index for first, last in self.spans for index in range(first, last + 1))
        if self.plain:
            indexes.add(None)
        return {Node(self.name, index, self.server) for index in indexes}


class Limit(NamedTuple):
    """How many workers must and may match a pattern."""

    pattern: str
    low: int
    high: int | None

    def __str__(self) -> str:
        """Return it as EXPECTED."""
        if self.high is None:
            return f"{self.pattern}={self.low}.."
        return f"{self.pattern}={self.low}" + (f"..{self.high}" if self.low != self.high or not self.low else "")


@st.composite
def wanted(draw: st.DrawFn, worker: tuple[str, str]) -> Wanted:
    """Draw what is expected of one worker, without expecting any twice."""
    count = draw(st.integers(0, 4))
    # COUNT takes the indexes from 0 to COUNT, one of which stays free.
    free = count + 1 if count else 0
    spans = []
    for gap, more in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=2)):
        spans.append((free + gap, free + gap + more))
        free += gap + more + 1
    return Wanted(*worker, draw(st.booleans()), count, spans)


@st.composite
def limits(draw: st.DrawFn) -> list[Limit]:
    """Draw patterns that differ."""
    drawn = []
    for pattern in draw(st.lists(st.sampled_from(PATTERNS), unique=True, max_size=3)):
        low = draw(st.integers(0, 4 if set(pattern) & set("*?[") else 1))
        high = draw(st.none() | st.integers(low, low + 3))
        drawn.append(Limit(pattern, low, high))
    return drawn


WORKERS = st.lists(st.tuples(NAMES, SERVERS), unique=True, max_size=5)
INVENTORIES = WORKERS.flatmap(lambda workers: st.tuples(*map(wanted, workers)))
NODES = st.builds(
    Node,
    NAMES | st.just("stranger"),
    st.none() | st.integers(0, 7),
    SERVERS | st.just("stray"),
    st.sampled_from(["", "", "0"]),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from(["OK", "OK", "OK", "ERROR"]),
)
FLEETS = st.lists(NODES, unique_by=lambda node: node[:3], max_size=20)
# As Celery 3.1, 4.x, 5.x and 5.x with --quiet print it.
LINES = ["\x1b[1;36m{}: \x1b[0m\x1b[1;32m{}\x1b[0m", "{}: {}", "->  {}: {}", " {}: {}"]


def answers(nodes: Iterable[Node], line: str = "{}: {}") -> list[str]:
    return [line.format(node, node.verdict) for node in nodes for _ in range(node.times)]


def closing(nodes: Sequence[object]) -> str:
    if not nodes:
        return "Error: No nodes replied within time constraint"
    return f"{len(nodes)} node{'s' * (len(nodes) > 1)} online."


def as_json(nodes: list[Node]) -> list[str]:
    """Return it as `--json` tells it, where an ERROR cannot be told from an OK but by the reply."""
    replies = {str(node): {"ok": "pong"} if node.verdict == "OK" else {"error": "no pong"} for node in nodes}
    twice = ", ".join(str(node) for node in nodes if node.times > 1)
    warning = f"control.py:56: DuplicateNodenameWarning: Received multiple replies from node names: {twice}."
    return ([warning] if twice else []) + ([json.dumps(replies)] if nodes else [])


# What stands between the answers where standard error is read as well, or where a worker logs to the terminal.
LOG_LINES = [
    "",
    "   ",
    "/usr/lib/python3/dist-packages/celery/platforms.py:829: SecurityWarning: You're running the worker as superuser",
    "  warnings.warn(RuntimeWarning(ROOT_DISCOURAGED.format(",
    '  File "/srv/app/tasks.py", line 7, in connect',
    "redis.exceptions.ConnectionError: Error 111 connecting to broker@10.0.0.7:6379. Connection refused.",
    "[2024-02-29 12:00:00,000: ERROR/MainProcess] w-1@a: OK is what I would like to hear",
    "w-1@a: OK, thanks",
    "w-1@a: FAILED",
    "w-1@a",
    "@a: OK",
    "{}",
    '{"level": "info", "user": "w-1@a"}',
    "        pong",
    "        {'ok': 'pong'}",
]
OTHER_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=40)
LOGGED = st.lists(st.sampled_from(LOG_LINES) | OTHER_TEXT.map("app: {}.".format), max_size=8)


@hundred_examples
@given(
    inventory=INVENTORIES,
    limited=limits(),
    fleet=FLEETS,
    other_fleet=FLEETS,
    logged=LOGGED,
    line=st.sampled_from(LINES),
    random=st.randoms(use_true_random=False),
)
def test_neither_the_order_of_the_answers_nor_log_lines_change_the_verdict(
    inventory: tuple[Wanted, ...],
    limited: list[Limit],
    fleet: list[Node],
    other_fleet: list[Node],
    logged: list[str],
    line: str,
    random: Random,
) -> None:
    arguments = [text for worker in inventory for text in worker.expected()] + list(map(str, limited))
    assume(arguments)
    # Two spellings of one index, and two outputs in one text, are among what must not matter.
    told = [*fleet, *(node._replace(zeros="00") for node in other_fleet if node.number is not None)]
    in_order = answers(told)
    shuffled = random.sample(answers(told, line), len(in_order))
    for log_line in logged:
        shuffled.insert(random.randint(0, len(shuffled)), log_line)
    nodes = len({str(node) for node in told})
    end = ["", f"{nodes} nodes online." if told else closing([]), ""]
    assert check(*arguments, text="\n".join(shuffled + end)) == check(*arguments, text="\n".join(in_order + end))


# Any character but those that end a line or part words; `@` ends a name.
LETTERS = st.characters(
    exclude_categories=["Z", "Cs"], exclude_characters="@\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f\x85\x9b\ufeff"
)
ANY_NAME = st.text(st.sampled_from("w-01.=*?[]#,|'@") | LETTERS, min_size=1, max_size=8)
ANY_NODE = st.builds("{}@{}".format, ANY_NAME.map(lambda name: name.replace("@", "-")), ANY_NAME)


@hundred_examples
@given(fleet=FLEETS, others=st.lists(ANY_NODE, unique=True, max_size=6))
def test_a_baseline_fed_back_is_ok(tmp_path: Path, fleet: list[Node], others: list[str]) -> None:
    nodes = list({*map(str, fleet), *others})
    # Two spellings of one index are one worker's, and so a duplicate to whoever expects them.
    assume(nodes and len({re.sub(r"-0*([0-9]{1,18})@", r"-\1@", node) for node in nodes}) == len(nodes))
    text = "".join(f"->  {node}: OK\n" for node in nodes) + f"\n{closing(nodes)}\n"
    described = check("--baseline", text=text)
    assert described.code == OK
    file = tmp_path / "expected"
    file.write_text(described.output)
    for outcome in (
        check("-f", str(file), text=text),
        check(*described.output.splitlines(), text=text),
        check(*(argument for line in described.output.splitlines() for argument in ("-e", line)), text=text),
    ):
        assert outcome.code == OK
        assert outcome.headline.startswith(f"CELERY WORKERS OK - {len(nodes)} of {len(nodes)} worker")


WILDCARDS = ["*", "?", "[ab]", "[!a]", "[@]", "[]a]", "[", "]", "!"]
SHORT_NODES = st.builds(
    "{}@{}".format, st.text("ab-1*[]", min_size=1, max_size=4), st.text("ab@@", min_size=1, max_size=4)
)


@st.composite
def patterns_of(draw: st.DrawFn, node: str) -> str:
    """Draw a pattern that has much of the node name in it."""
    kept = [st.just(character) for character in node]
    return "".join(draw(character | character | st.sampled_from(["", "*", *WILDCARDS])) for character in kept)


def matches(node: str, pattern: str) -> bool:
    """Return whether the pattern matches; Python 3.9 cannot read one with a range that ends before it starts."""
    try:
        return fnmatchcase(node, pattern)
    except re.error:
        return False


@hundred_examples
@given(nodes=st.lists(SHORT_NODES, min_size=1, max_size=8), data=st.data())
def test_the_first_pattern_that_matches_is_found(nodes: list[str], data: st.DataObject) -> None:
    texts = [data.draw(patterns_of(node)) for node in nodes for _ in range(3)]
    patterns = data.draw(st.permutations(texts))
    find = first_match(patterns)
    for node in nodes:
        assert find(node) == next((place for place, text in enumerate(patterns) if matches(node, text)), None)
