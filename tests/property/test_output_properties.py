"""What holds of any text, however many outputs are in it, and wherever it is cut."""

from __future__ import annotations

import json
import time

from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from running import CRITICAL, OK, UNKNOWN, check

some = examples(150)

# Of whole seconds, so that all texts are as long.
NOW = float(int(time.time()))

NODES = [f"{name}-{i}@{server}" for name in "wv" for server in "ab" for i in (1, 2)]
EXPECTED = ["w-1..2@a", "w-1..2@b", "v-1..2@a", "v-1..2@b"]
STRANGERS = ["x@a", "my laptop@b", "worker1"]

SOME_NODES = st.lists(st.sampled_from(NODES), unique=True, min_size=1)
QUEUE = "    * {'name': 'celery', 'exchange': {'name': 'celery', 'type': 'direct'}, 'routing_key': 'celery'}\n"


def closing(number: int) -> str:
    return f"\n{number} node{'s' * (number > 1)} online.\n"


def status_3(nodes: list[str]) -> str:
    return "".join(f"\x1b[1;36m{node}: \x1b[0m\x1b[1;32mOK\x1b[0m\n" for node in nodes) + closing(len(nodes))


def status_4(nodes: list[str]) -> str:
    return "".join(f"{node}: OK\n" for node in nodes) + closing(len(nodes))


def status_5(nodes: list[str]) -> str:
    return "".join(f"->  {node}: OK\n" for node in nodes) + closing(len(nodes))


def quiet_5(nodes: list[str]) -> str:
    return "".join(f" {node}: OK\n" for node in nodes) + closing(len(nodes))


def ping_4(nodes: list[str]) -> str:
    return "".join(f"-> {node}: OK\n        pong\n" for node in nodes)


def queues_5(nodes: list[str]) -> str:
    return "".join(f"->  {node}: OK\n{QUEUE}" for node in nodes) + closing(len(nodes))


def idle_5(nodes: list[str]) -> str:
    return "".join(f"->  {node}: OK\n    - empty -\n" for node in nodes) + closing(len(nodes))


def json_ping(nodes: list[str]) -> str:
    return json.dumps({node: {"ok": "pong"} for node in nodes}) + "\n"


def json_status(nodes: list[str]) -> str:
    return json_ping(nodes) + closing(len(nodes))


def json_queues(nodes: list[str]) -> str:
    return json.dumps({node: [{"name": "celery", "routing_key": "celery"}] for node in nodes}) + "\n"


FORMS = [status_3, status_4, status_5, quiet_5, ping_4, queues_5, idle_5, json_ping, json_status, json_queues]
OUTPUTS = st.lists(st.tuples(st.sampled_from(FORMS), SOME_NODES), min_size=1, max_size=4)

NOBODY = "Error: No nodes replied within time constraint\n"
FAILURES = [
    "Error: Could not connect to the message broker. Reason: Error 111\n",
    "Error: Unable to run the `status` command. Reason: Error 111 connecting to 127.0.0.1:6442. Connection refused.\n",
    'Traceback (most recent call last):\n  File "/usr/bin/celery", line 8, in <module>\nOperationalError: refused\n',
    "Usage: celery [OPTIONS] COMMAND [ARGS]...\nTry 'celery --help' for help.\n\nError: No such option '-A'.\n",
]


def text_of(outputs: list[tuple[object, list[str]]]) -> str:
    return "".join(form(nodes) for form, nodes in outputs if callable(form))


@some
@given(outputs=OUTPUTS)
def test_any_sequence_of_whole_outputs_adds_up(outputs: list[tuple[object, list[str]]]) -> None:
    told = {node for _, nodes in outputs for node in nodes}
    outcome = check(*EXPECTED, text=text_of(outputs))
    assert outcome.code == (OK if len(told) == len(NODES) else CRITICAL)
    assert outcome.perfdata["missing"] == f"{len(NODES) - len(told)};;0;0;{len(NODES)}"
    assert outcome.perfdata["online"] == f"{len(told)};;;0"
    assert outcome.perfdata["duplicate"].startswith("0;")
    assert outcome.perfdata["malfunctioning"].startswith("0;")
    # The same from one output in which all of them reply.
    assert outcome == check(*EXPECTED, text=status_4(sorted(told)))


@some
@given(outputs=OUTPUTS, retries=st.lists(st.sampled_from([*FAILURES, NOBODY]), max_size=3))
def test_what_failed_before_the_first_reply_is_forgiven_if_nothing_is_missing(
    outputs: list[tuple[object, list[str]]], retries: list[str]
) -> None:
    text = text_of(outputs)
    outcome, without = check(*EXPECTED, text="".join(retries) + text), check(*EXPECTED, text=text)
    if without.code == OK or {*retries} <= {NOBODY}:
        assert outcome == without
    else:
        # A retry and a loop over applications look the same: who is missing may belong to the one that failed.
        assert outcome.code == UNKNOWN
        assert "was missing" not in outcome.output


@some
@given(before=OUTPUTS, failure=st.sampled_from(FAILURES), after=OUTPUTS)
def test_one_that_failed_in_between_is_forgiven_if_nothing_is_missing(
    before: list[tuple[object, list[str]]], failure: str, after: list[tuple[object, list[str]]]
) -> None:
    told = {node for _, nodes in before + after for node in nodes}
    outcome = check(*EXPECTED, text=text_of(before) + failure + text_of(after))
    if len(told) == len(NODES):
        assert outcome == check(*EXPECTED, text=status_4(sorted(told)))
    else:
        assert outcome.code == UNKNOWN
        assert "was missing" not in outcome.output


@some
@given(before=OUTPUTS, failure=st.sampled_from(FAILURES), closed=st.booleans(), data=st.data())
def test_one_that_failed_last_is_unknown_whatever_the_others_say(
    before: list[tuple[object, list[str]]], failure: str, closed: bool, data: st.DataObject
) -> None:
    text = text_of(before)
    if not closed:
        # The output that failed began with replies of its own.
        nodes = data.draw(SOME_NODES)
        text += "".join(f"->  {node}: OK\n" for node in nodes)
    outcome = check(*EXPECTED, text=text + failure)
    assert outcome.code == UNKNOWN
    assert "was missing" not in outcome.output


@some
@given(before=OUTPUTS, after=st.just([]) | OUTPUTS)
def test_nobody_after_a_reply_is_never_ok(
    before: list[tuple[object, list[str]]], after: list[tuple[object, list[str]]]
) -> None:
    told = {node for _, nodes in before + after for node in nodes}
    outcome = check(*EXPECTED, text=text_of(before) + NOBODY + text_of(after))
    assert outcome.code == (UNKNOWN if len(told) == len(NODES) else CRITICAL)
    if outcome.code == CRITICAL:
        assert outcome == check(*EXPECTED, text=status_4(sorted(told)))


# What stands between the lines where standard error is read as well; none of it ends an output or is a reply.
NOISE = [
    "",
    "   ",
    "/usr/lib/python3/dist-packages/celery/platforms.py:829: SecurityWarning: You're running the worker as superuser",
    "  warnings.warn(RuntimeWarning(ROOT_DISCOURAGED.format(",
    "[2026-11-25 12:00:00,000: WARNING/MainProcess] w-1@a: OK is what I would like to hear",
    "w-1@a: OK, thanks",
    "w-1@a: FAILED",
    "w-1@a",
    "{}",
    '{"level": "info", "user": "w-1@a"}',
    '{"w-1@a": {"event": "worker-offline"}}',
    "** WARNING: connection is not using a post-quantum key exchange algorithm.",
    'Defaulted container "worker" out of: worker, istio-proxy',
    "mail to root@s1.example.com was sent",
]
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters=":{["), max_size=40)
LOGGED = st.lists(st.sampled_from(NOISE) | WORDS.map("app {}.".format), min_size=1, max_size=8)


@some
@given(outputs=OUTPUTS, logged=LOGGED, random=st.randoms(use_true_random=False))
def test_noise_between_lines_changes_nothing(
    outputs: list[tuple[object, list[str]]], logged: list[str], random: object
) -> None:
    assert hasattr(random, "randint")
    lines = text_of(outputs).split("\n")
    for noise in logged:
        lines.insert(random.randint(0, len(lines) - 1), noise)
    assert check(*EXPECTED, text="\n".join(lines)) == check(*EXPECTED, text=text_of(outputs))


VERDICTS = st.sampled_from(["OK", "OK", "OK", "ERROR"])


def assert_cut_safely(arguments: list[str], text: str, place: int) -> None:
    """Assert that what is left of a text never turns OK into CRITICAL, nor CRITICAL into OK."""
    whole = check(*arguments, text=text)
    raw = text.encode()
    cut = check(*arguments, text=raw[:place])
    assert {whole.code, cut.code} != {OK, CRITICAL}, (raw[:place], cut.output)


# Without a closing line a text of 3.1 and 4.x that is cut between two lines cannot be told from one that is whole.
CUTTABLE = [status_5, queues_5, idle_5, json_ping, json_queues]


@some
@given(form=st.sampled_from(CUTTABLE), nodes=SOME_NODES, strangers=st.booleans(), data=st.data())
def test_cutting_who_answers(form: object, nodes: list[str], strangers: bool, data: st.DataObject) -> None:
    assert callable(form)
    text = form([*nodes, *(STRANGERS if strangers else [])])
    expected = data.draw(st.sampled_from([EXPECTED, [f"{node}=1" for node in nodes], ["*=1.."]]))
    assert_cut_safely(expected, text, data.draw(st.integers(1, len(text.encode()) - 1)))


@some
@given(verdicts=st.lists(VERDICTS, min_size=1, max_size=len(NODES)), replies=st.sampled_from([1, 2]), data=st.data())
def test_cutting_replies_of_malfunctioning_workers(verdicts: list[str], replies: int, data: st.DataObject) -> None:
    answers = list(zip(NODES, verdicts))
    text = "".join(f"->  {node}: {verdict}\n" for node, verdict in answers) + closing(len(answers))
    if replies == 2:
        text += text
    expected = data.draw(st.sampled_from([EXPECTED, [f"{node}=1" for node, _ in answers]]))
    assert_cut_safely(expected, text, data.draw(st.integers(1, len(text.encode()) - 1)))


@some
@given(
    queues=st.lists(st.lists(st.sampled_from(["qa", "qb"]), unique=True), min_size=1, max_size=4),
    options=st.sampled_from([[], ["--queue", "qa"], ["--queue", "qa=2.."], ["--queue", "qa", "--queue", "qb"]]),
    data=st.data(),
)
def test_cutting_queues(queues: list[list[str]], options: list[str], data: st.DataObject) -> None:
    replies = [
        f"->  {node}: OK\n" + ("".join(QUEUE.replace("celery", name) for name in names) or "    - empty -\n")
        for node, names in zip(NODES, queues)
    ]
    text = "".join(replies) + closing(len(replies))
    expected = [f"{node}=1" for node, _ in zip(NODES, queues)]
    assert_cut_safely([*expected, *options], text, data.draw(st.integers(1, len(text.encode()) - 1)))


@some
@given(ages=st.lists(st.lists(st.sampled_from([10.0, 9000.0]), max_size=2), min_size=1, max_size=4), data=st.data())
def test_cutting_tasks(ages: list[list[float]], data: st.DataObject) -> None:
    replies = [
        f"->  {node}: OK\n"
        + (
            "".join(
                f"    * {{'id': 'x', 'name': 'shop.mail', 'args': [], 'time_start': {NOW - age!r}, 'worker_pid': 7}}\n"
                for age in running
            )
            or "    - empty -\n"
        )
        for node, running in zip(NODES, ages)
    ]
    text = "".join(replies) + closing(len(replies))
    expected = [f"{node}=1" for node, _ in zip(NODES, ages)]
    assert_cut_safely([*expected, "--task-limit", "3600"], text, data.draw(st.integers(1, len(text.encode()) - 1)))


@some
@given(outputs=OUTPUTS, data=st.data())
def test_cutting_several_outputs(outputs: list[tuple[object, list[str]]], data: st.DataObject) -> None:
    texts = [form(nodes) for form, nodes in outputs if callable(form) and form in CUTTABLE]
    assume(texts)
    text = "".join(texts)
    # Between two outputs there is nothing to see: the first of them is whole.
    ends = [len("".join(texts[: i + 1]).encode()) for i in range(len(texts) - 1)]
    place = data.draw(st.integers(1, len(text.encode()) - 1))
    assume(not any(end - 1 <= place <= end for end in ends))
    assert_cut_safely(EXPECTED, text, place)
