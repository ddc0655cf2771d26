"""What workers answer over the broker and what Celery prints of the same answers come to the same verdict."""

from __future__ import annotations

import time
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from running import CRITICAL, OK, UNKNOWN

from check_celery_workers.errors import Unreachable
from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.node import split_node
from check_celery_workers.plugin import Workers, judge
from check_celery_workers.replies.answers import Answers
from check_celery_workers.replies.inquiry import Inquiry, Text
from check_celery_workers.replies.item import Task
from check_celery_workers.replies.output import Output
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, LENGTHS, PING, Question
from check_celery_workers.replies.text import TextReader
from check_celery_workers.settings.settings import parse

NODES = st.sampled_from(["w-1@a", "w-2@a", "w-02@a", "w-3@b", "v@b", "celerybeat@a", "celerybeat@b"])
QUEUE = st.builds(
    lambda name, alias: {"name": name, "exchange": {"name": name}, "routing_key": name, "alias": alias},
    st.sampled_from(["emails", "bcast.1", "it's"]),
    st.sampled_from([None, "news"]),
)
TASK = st.builds(
    lambda number, started: {
        "id": f"id-{number}",
        "name": f"shop.task{number % 3}",
        "args": ["x, 'name': 'y'"],
        "kwargs": {},
        "type": "t",
        "hostname": "w@a",
        "time_start": started,
        "acknowledged": True,
        "delivery_info": {"exchange": ""},
        "worker_pid": 1,
    },
    st.integers(0, 9),
    st.sampled_from([None, 1.5, 4e9]),
)
ERROR = st.just({"error": "KeyError('5',)"})
ANSWERS = {
    ACTIVE_QUEUES: st.one_of(st.lists(QUEUE, max_size=3), ERROR),
    ACTIVE: st.one_of(st.lists(TASK, max_size=3), ERROR),
    PING: st.just({"ok": "pong"}),
}
OPTIONS = st.sampled_from(
    [
        ("w-3@a", "v@b", "--queue", "emails=2"),
        ("*@*=2..4", "--beat", "celerybeat@*", "--queue", "news=1"),
        ("w-2..3@a", "--task-limit", "0.5", "--beat", "celerybeat@a"),
        ("--queue", "emails", "--task-limit", "shop.task1=1", "--task-limit", "1000"),
    ]
)


@st.composite
def replies(draw: st.DrawFn) -> tuple[Question, list[tuple[str, Any]]]:
    """Draw a question and who answers what to it, some twice."""
    question = draw(st.sampled_from([ACTIVE_QUEUES, ACTIVE, PING]))
    return question, draw(st.lists(st.tuples(NODES, ANSWERS[question]), min_size=1, max_size=8))


def printed(answers: list[tuple[str, Any]]) -> str:
    """Return what `celery inspect` prints of these."""
    lines = []
    for node, answer in answers:
        if isinstance(answer, dict):
            lines += [f"->  {node}: {'ERROR' if 'error' in answer else 'OK'}", f"        {next(iter(answer.values()))}"]
        else:
            lines += [f"->  {node}: OK", *(f"    * {item!r}" for item in answer)]
            lines += [] if answer else ["    - empty -"]
    return "\n".join([*lines, "", f"{len({node for node, _ in answers})} nodes online.", ""])


def verdict(options: tuple[str, ...], *asked: tuple[Question, Text]) -> tuple[str, int]:
    """Return the output on these answers to these questions, and the exit code."""
    settings = parse(options)
    inventory = Inventory(None, settings.ignore, vars(settings))
    for expected in settings.expected:
        inventory.expect(expected)
    for option in ("queue", "beat", "backlog_warning"):
        for value in getattr(settings, option):
            inventory.expect_option(option, value)
    inquiry = Inquiry()
    for question, text in asked:
        inquiry.add(question, [text])
    judged, code = judge(Workers(lambda: inquiry, inventory, settings.deadline), settings.thresholds)
    return judged.output(), code


@examples(300)
@given(drawn=replies(), options=OPTIONS)
def test_both_ways_come_to_the_same_verdict(
    drawn: tuple[Question, list[tuple[str, Any]]], options: tuple[str, ...]
) -> None:
    question, said = drawn
    answers, reader = Answers(question), TextReader(question)
    for node, answer in said:
        answers.add({node: answer})
    reader.feed(printed(said))
    over_broker = Text([answers.output()], None, (), is_blank=False)
    assert verdict(options, (question, over_broker)) == verdict(
        options, (question, reader.finish(None, whole=True, ended_well=False))
    )


@examples(100)
@given(drawn=replies(), told_after=st.integers(0, 8))
def test_who_waits_is_told_what_came_before_and_what_comes_then(
    drawn: tuple[Question, list[tuple[str, Any]]], told_after: int
) -> None:
    question, said = drawn
    inventory = Inventory()
    inventory.expect("w-2@a")
    inventory.expect("celerybeat@a")
    inventory.expect_option("queue", "emails=1")
    late, early = Awaited(inventory), Awaited(inventory)
    answers, at_once = Answers(question), Answers(question)
    at_once.tell(early)
    for place, (node, answer) in enumerate(said):
        if place == told_after:
            answers.tell(late)
        answers.add({node: answer})
        at_once.add({node: answer})
    answers.tell(late)
    assert (late.missing, late.replied) == (early.missing, early.replied)
    assert answers.progress == (early.replied, early.expected) == (len({split_node(n) for n, _ in said}), 3)


def test_what_is_no_answer_is_passed_over() -> None:
    answers = Answers(PING)
    assert answers.add(["w@a"]) == answers.add({1: {"ok": "pong"}}) == ""
    assert answers.progress == (0, 0)
    assert answers.output().end == answers.output().NOBODY


def test_another_round_is_no_duplicate() -> None:
    answers = Answers(PING)
    rounds = [set[str](), set[str]()]
    for seen in (rounds[0], rounds[1]):
        answers.add({"w@a": {"ok": "pong"}}, seen)
    answers.tell(None)
    assert answers.output().replies.duplicates == set()
    tasks = Answers(ACTIVE)
    for running in ("shop.mail", "shop.pay"):
        tasks.add({"w@a": [{"id": running, "name": running, "time_start": 1.5}]}, set())
    # What it says now holds.
    assert [item.name for item in tasks.output().items() if isinstance(item, Task)] == ["shop.pay"]


@pytest.mark.parametrize("first", [[], [5]], ids=["it had none", "it could not be read"])
def test_a_worker_that_lists_its_queues_in_another_round_is_well(first: list[object]) -> None:
    answers = Answers(ACTIVE_QUEUES)
    answers.add({"w@a": first}, set())
    answers.add({"w@a": [{"name": "emails", "routing_key": "emails"}]}, set())
    said = Text([answers.output()], None, (), is_blank=False)
    assert verdict(("w@a", "--queue", "emails"), (ACTIVE_QUEUES, said))[1] == OK


def test_when_the_last_answer_came_is_known() -> None:
    answers = Answers(PING)
    answers.add({"w@": {"ok": "pong"}})
    assert answers.heard == 0.0
    before = time.monotonic()
    answers.add({"w@a": {"ok": "pong"}})
    assert before <= answers.heard <= time.monotonic()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(
            Text([], Unreachable("the broker was lost"), (), is_blank=False), "the broker was lost", id="it was lost"
        ),
        pytest.param(
            Text([Output.of_lengths({})], None, (), is_blank=False),
            "the broker shows no backlog of emails, which another connection uses exclusively",
            id="the queue is another's",
        ),
    ],
)
def test_why_a_backlog_cannot_be_measured(said: Text, reason: str) -> None:
    answers = Answers(ACTIVE_QUEUES)
    answers.add({"w@a": [{"name": "celery", "routing_key": "celery"}]})
    workers = Text([answers.output()], None, (), is_blank=False)
    options = ("w@a", "--backlog-warning", "emails=5")
    assert verdict(options, (ACTIVE_QUEUES, workers), (LENGTHS, said)) == (f"CELERY WORKERS UNKNOWN - {reason}\n", 3)


def test_where_no_worker_says_which_queues_there_are_they_must_be_named() -> None:
    silent = Text([Output(Output.NOBODY)], None, (), is_blank=False)
    none = Text([Output.of_lengths({})], None, (), is_blank=False)
    assert verdict(("--backlog-warning", "5"), (ACTIVE_QUEUES, silent), (LENGTHS, none)) == (
        "CELERY WORKERS UNKNOWN - no worker says which queues there are; name them: --backlog-critical NAME=RANGE\n",
        UNKNOWN,
    )


def test_a_hint_stands_only_where_nobody_answered() -> None:
    silent = Text([Output(Output.NOBODY)], None, (), is_blank=False)
    silent.origin, silent.hint = "kombu", "The broker has no exchange"
    output, code = verdict(("w@a",), (ACTIVE_QUEUES, silent))
    assert output.splitlines()[1:] == [
        "Server a was missing, accounts for 1 missing worker: w@a",
        "The broker has no exchange",
    ]
    assert code == CRITICAL


def test_shows_what_comes_as_celery_prints_it_without_arguments() -> None:
    task = {"id": "1", "name": "shop.pay", "args": ["secret"], "time_start": None}
    said = [
        Answers(ACTIVE).add({"w@a": [task, 5]}),
        Answers(ACTIVE_QUEUES).add({"w@a": [{"name": "emails", "routing_key": "x"}]}),
        Answers(ACTIVE_QUEUES).add({"w@a": []}),
        Answers(PING).add({"w@a": {"ok": "pong"}, "v@a": {"ok": "pong"}}),
        Answers(PING).add({"w@a": {"error": "no"}}),
        Answers(PING).add({"w@a": None}),
    ]
    assert said == [
        "->  w@a: OK\n    * shop.pay\n    * ...\n",
        "->  w@a: OK\n    * emails\n",
        "->  w@a: OK\n    - empty -\n",
        "->  w@a: OK\n        pong\n->  v@a: OK\n        pong\n",
        "->  w@a: ERROR\n        no\n",
        "->  w@a: OK\n        ...\n",
    ]


@pytest.mark.parametrize("started", [float("nan"), float("inf"), -1.0, 1.79e12, True, "179", [1], 10**400])
def test_a_start_that_is_none_is_in_doubt(started: object) -> None:
    answers = Answers(ACTIVE)
    answers.add({"w@a": [{"id": "1", "name": "shop.pay", "args": [], "time_start": started}]})
    said = Text([answers.output()], None, (), is_blank=False)
    output, code = verdict(("w@a", "--task-limit", "3600"), (ACTIVE, said))
    assert output == "CELERY WORKERS UNKNOWN - the reply of w@a to inspect active cannot be read\n"
    assert code == UNKNOWN


def test_where_one_task_cannot_be_read_the_others_do_not_make_the_worker_well() -> None:
    answers = Answers(ACTIVE)
    answers.add({"w@a": [{"id": "1", "name": "shop.pay", "time_start": time.time()}, {"id": "2"}]})
    said = Text([answers.output()], None, (), is_blank=False)
    reason = "the reply of w@a to inspect active cannot be read"
    assert verdict(("w@a", "--task-limit", "3600"), (ACTIVE, said)) == (f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def test_a_late_answer_to_the_first_asking_is_no_duplicate() -> None:
    answers = Answers(PING)
    first, second = set[str](), set[str]()
    for seen in (first, second):
        answers.add({"w@a": {"ok": "pong"}}, seen)
    assert answers.output().replies.duplicates == set()
    answers.add({"w@a": {"ok": "pong"}}, second)
    assert answers.output().replies.duplicates == {"w@a"}


def test_a_name_that_is_no_node_is_passed_over() -> None:
    answers = Answers(PING)
    assert [answers.add({node: {"ok": "pong"}}) for node in ("", "@", "w", "w@", "@a", "@a@b", 5)] == [""] * 7
    assert answers.nodes == set()


def test_no_container_is_put_into_words() -> None:
    bomb: object = ["lol"] * 10
    for _ in range(9):
        bomb = [bomb] * 10
    assert Answers(PING).add({"w@a": {"error": bomb}}) == "->  w@a: ERROR\n        ...\n"
    task = {"id": bomb, "name": "shop.pay", "time_start": 1.5}
    assert Answers(ACTIVE).add({"w@a": [task]}) == "->  w@a: OK\n    * shop.pay\n"


def test_where_a_worker_tells_no_queues_the_backlogs_are_in_doubt() -> None:
    answers = Answers(ACTIVE_QUEUES)
    answers.add({"w-1@a": [{"name": "celery", "routing_key": "celery"}], "w-2@a": [{"name": "emails"}]})
    workers = Text([answers.output()], None, (), is_blank=False)
    lengths = Text([Output.of_lengths({"celery": 0})], None, (), is_blank=False)
    asked = (ACTIVE_QUEUES, workers), (LENGTHS, lengths)
    output, code = verdict(("w-1..2@a", "--backlog-warning", "3"), *asked)
    reason = "the reply of w-2@a to inspect active_queues cannot be read"
    assert (output, code) == (f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)
    assert verdict(("w-1..2@a", "--backlog-warning", "celery=3"), *asked)[1] == 0


def test_a_beat_that_refuses_another_question_is_well() -> None:
    answers, pinged = Answers(ACTIVE_QUEUES), Answers(PING)
    answers.add({"w@a": [], "celerybeat@a": {"error": "KeyError('active_queues',)"}})
    pinged.add({"celerybeat@a": {"ok": "pong"}})
    texts = [Text([one.output()], None, (), is_blank=False) for one in (answers, pinged)]
    output, _ = verdict(("w@a", "--beat", "celerybeat@a"), (ACTIVE_QUEUES, texts[0]), (PING, texts[1]))
    assert "celerybeat" not in output
