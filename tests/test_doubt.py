"""What nobody told is in doubt; what is certain stands."""

from __future__ import annotations

import re

import pytest
from ages import ageless
from running import CRITICAL, OK, UNKNOWN, Outcome, check, perfdata, run

from check_celery_workers import plugin
from check_celery_workers.judgement import faults, metrics
from check_celery_workers.judgement.faults import Fault
from check_celery_workers.judgement.metrics import JUDGED, ROWS, Row, compared
from check_celery_workers.replies.question import ACTIVE_QUEUES, NEEDED_FOR, QUESTIONS, Question

QUEUE = "    * {'name': 'mail', 'exchange': {'name': 'mail', 'type': 'direct'}, 'routing_key': 'mail'}\n"
EMPTY = "    - empty -\n"


def output(**bodies: str) -> str:
    """Return an output of Celery 5: for each worker of server `a` what stands below its name."""
    replies = "".join(f"->  {name.replace('_', '-')}@a: OK\n{body}" for name, body in bodies.items())
    return f"{replies}\n{len(bodies)} node{'s' * (len(bodies) > 1)} online.\n"


def task(name: str, started: float | str | None = 1.6e9, end: str = "'worker_pid': 7}") -> str:
    """Return the line of a task, which has run for years if it does not wait."""
    head = f"    * {{'id': '{name}', 'name': 'shop.{name}', 'args': [], 'kwargs': {{}}, 'hostname': 'w@a', "
    return f"{head}'time_start': {started}, 'acknowledged': True, 'delivery_info': {{}}, {end}\n"


def unknown(reason: str, *findings: str) -> Outcome:
    return Outcome("".join(f"{line}\n" for line in (f"CELERY WORKERS UNKNOWN - {reason}", *findings)), UNKNOWN)


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        pytest.param(
            ["--task-limit", "60"],
            output(w=task("mail", None)),
            "Celery's output shows no running tasks; run inspect active",
            id="tasks-that-wait-are-not-those-that-run",
        ),
        pytest.param(
            ["--task-limit", "60"],
            output(v=EMPTY, w=task("mail", None)),
            "Celery's output shows no running tasks; run inspect active",
            id="nor-are-those-of-an-idle-worker-beside-it",
        ),
        pytest.param(
            ["--task-limit", "60"],
            output(v=QUEUE, w=QUEUE) + output(v=EMPTY),
            "Celery's output shows no running tasks of w@a; run inspect active",
            id="one-worker-is-in-the-first-output-alone",
        ),
        pytest.param(
            ["--task-limit", "60"],
            output(u=QUEUE, v=QUEUE, w=QUEUE) + output(u=EMPTY),
            "Celery's output shows no running tasks of v@a and 1 more; run inspect active",
            id="two-workers-are-in-the-first-output-alone",
        ),
        pytest.param(
            ["--task-limit", "60"],
            output(v=EMPTY, w=task("mail", end="'worker_pid': <Pool")),
            "Celery's output shows no running tasks of w@a; run inspect active",
            id="a-task-cannot-be-read",
        ),
        pytest.param(
            ["--task-limit", "60"],
            output(v=EMPTY, w=task("pay", 9e9) + task("mail", 1496.3)),
            "--task-limit needs Celery 4.2: earlier ones do not say when a task was started",
            id="a-start-is-no-time",
        ),
        pytest.param(
            ["--queue", "mail=2"],
            output(v=QUEUE) + output(w=""),
            "Celery's output shows no queues of w@a; run inspect active_queues",
            id="one-who-was-not-asked-may-be-the-second-consumer",
        ),
        pytest.param(
            ["--queue", "mail=1"],
            output(v=QUEUE) + output(w=""),
            "Celery's output shows no queues of w@a; run inspect active_queues",
            id="or-one-too-many",
        ),
        pytest.param(
            ["--queue", "mail=0.."],
            output(v=task("mail", None)),
            "Celery's output shows no queues; run inspect active_queues",
            id="any-number-of-consumers-of-which-nothing-is-told",
        ),
    ],
)
def test_what_nobody_told_is_unknown(options: list[str], text: str, reason: str) -> None:
    assert check("*@a=1..", *options, text=text) == unknown(reason)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(["--queue", "mail"], output(v=QUEUE) + output(w=""), id="there-are-enough-consumers-already"),
        pytest.param(["--queue", "mail=1..2"], output(v=QUEUE) + output(w=""), id="one-more-would-do-no-harm"),
        pytest.param(
            ["--ignore", "w@a", "--task-limit", "60"], output(v=EMPTY) + output(w=QUEUE), id="nobody-needs-it"
        ),
    ],
)
def test_what_makes_no_difference_is_no_doubt(options: list[str], text: str) -> None:
    assert check("v@a", *(() if "--ignore" in options else ("w@a",)), *options, text=text).code == OK


def test_the_tasks_of_an_unexpected_worker_are_in_no_doubt() -> None:
    outcome = check("v@a", "--unexpected-warning", "~:", "--task-limit", "60", text=output(v=EMPTY) + output(w=QUEUE))
    assert outcome.headline == "CELERY WORKERS OK - 1 of 1 worker online on 1 server, 1 unexpected: w@a"
    assert outcome.code == OK


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        pytest.param(
            ["v@a", "w@b", "--queue", "mail", "--task-limit", "60"],
            output(v=""),
            """\
CELERY WORKERS CRITICAL - 1 of 2 workers missing: server b | duplicate=0;0;;0 missing=1;;0;0;2 missing_servers=1;;;0 \
online=1;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Server b was missing, accounts for 1 missing worker: w@b
In doubt: Celery's output shows no queues; run inspect active_queues
In doubt: Celery's output shows no running tasks; run inspect active
""",
            id="who-is-missing-though-queues-and-tasks-were-not-told",
        ),
        pytest.param(
            ["v@a", "w@a", "--task-limit", "60"],
            output(v=task("mail")) + output(w=QUEUE),
            """\
CELERY WORKERS CRITICAL - 1 worker malfunctioning: v@a | duplicate=0;0;;0 malfunctioning=1;;0;0 missing=0;;0;0;2 \
missing_servers=0;;;0 online=2;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Worker v@a was malfunctioning, it has run shop.mail for AGE
In doubt: Celery's output shows no running tasks of w@a; run inspect active
""",
            id="a-task-over-its-limit-beside-a-worker-without-an-answer",
        ),
        pytest.param(
            ["v@a", "w@a", "x@a"],
            "->  v@a: ERROR\n->  w@a: OK\n",
            """\
CELERY WORKERS CRITICAL - 1 worker malfunctioning: v@a | malfunctioning=1;;0;0
Worker v@a was malfunctioning, it answered ERROR
In doubt: Celery's output is cut: its closing line is missing (a timeout or a filter?), 2 of 3 workers had \
replied, no reply from x@a
""",
            id="an-error-in-a-text-that-is-cut",
        ),
        pytest.param(
            ["v@a", "w@a"],
            "->  v@a: ERROR\n\n1 node online.\nError: Could not connect to the message broker.\n",
            """\
CELERY WORKERS CRITICAL - 1 worker malfunctioning: v@a | malfunctioning=1;;0;0
Worker v@a was malfunctioning, it answered ERROR
In doubt: one of 2 outputs failed, 1 of 2 workers had replied, no reply from w@a: Error: Could not connect to the \
message broker.
""",
            id="an-error-beside-an-output-that-failed",
        ),
        pytest.param(
            ["v@a", "w@a", "--queue", "mail=0..1", "--queue", "slow=1"],
            f"->  v@a: OK\n{QUEUE}->  u@a: OK\n{QUEUE}",
            """\
CELERY WORKERS CRITICAL - 1 queue with too many consumers (mail), 1 worker unexpected (u@a) | queues=1;;0;0
Queue mail has 2 consumers instead of at most 1
Worker u@a was unexpectedly present
In doubt: Celery's output is cut: its closing line is missing (a timeout or a filter?), 1 of 2 workers had \
replied, no reply from w@a
""",
            id="too-many-consumers-stay-too-many",
        ),
    ],
)
def test_what_is_certain_and_critical_stands(arguments: list[str], text: str, expected: str) -> None:
    outcome = check(*arguments, text=text)
    assert ageless(outcome.output) == expected
    assert outcome.code == CRITICAL


def test_each_doubt_is_about_its_own_question() -> None:
    text = output(w=task("mail", 1496.3))
    outcome = check("w@a", "v@b", "--queue", "mail", "--task-limit", "60", text=text)
    assert outcome.findings == [
        "Server b was missing, accounts for 1 missing worker: v@b",
        "In doubt: Celery's output shows no queues; run inspect active_queues",
        "In doubt: --task-limit needs Celery 4.2: earlier ones do not say when a task was started",
    ]


def test_whatever_is_asked_is_needed_by_something_with_thresholds() -> None:
    judged = {option for row in JUDGED for option in row.options}
    assert {question for option in judged for question in NEEDED_FOR[option]} >= set(QUESTIONS)


def test_a_doubt_has_its_place_below_however_many_findings() -> None:
    nodes = "".join(f"->  {'w' * 40}{number:04}@a: ERROR\n" for number in range(1000))
    outcome = check(f"{'w' * 40}*@a=1000", "v@a", text=nodes)
    assert len(outcome.output.encode()) <= 8000
    *_, rest, doubt = outcome.findings
    assert re.fullmatch(r"\.\.\. and [0-9]+ more", rest)
    assert doubt == (
        "In doubt: Celery's output is cut: its closing line is missing (a timeout or a filter?), "
        "1,000 of 1,001 workers had replied, no reply from v@a"
    )


def test_a_warning_does_not_stand() -> None:
    text = "->  v@a: OK\n->  u@a: OK\n"
    assert check("v@a", "w@a", text=text) == unknown(
        "Celery's output is cut: its closing line is missing (a timeout or a filter?), 1 of 2 workers had replied, "
        "no reply from w@a",
        "Worker w@a had not replied",
    )


def test_a_later_question_that_fails_leaves_who_is_missing() -> None:
    script = f"if [ $0 = active ]; then echo 'Error: broken' >&2; exit 1; fi; printf '%s' \"{output(v=QUEUE)}\""
    outcome = run("v@a", "w@a", "--task-limit", "60", "--", "sh", "-c", script, "{}").timeless
    numbers = perfdata(missing="1;;0;0;2", online="1;;;0", time="0.5s;;;0").replace("malfunctioning=0;;0;0 ", "")
    assert outcome.output == (
        f"CELERY WORKERS CRITICAL - 1 of 2 workers missing: w@a | {numbers}\n"
        "Worker w@a was missing\n"
        "In doubt: sh ended with exit status 1, 0 of 1 worker had replied to inspect active, no reply from v@a: "
        "Error: broken\n"
    )
    assert outcome.code == CRITICAL


def test_a_metric_whose_author_forgot_everything_else_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a label, an option that needs a question, and how it is counted; nobody asks that question."""
    monkeypatch.setitem(NEEDED_FOR, "timeout", (Question("scheduled", what="tasks with an ETA"),))
    rows = (*ROWS, Row("scheduled", ("timeout",), compared, "tasks with an ETA", value_of=lambda _comparison: 0))
    for module in (metrics, plugin):
        monkeypatch.setattr(module, "ROWS", rows)
    reason = "Celery's output shows no tasks with an ETA; run inspect scheduled"
    assert check("w@a", text=output(w=EMPTY)) == unknown(reason)
    missing = check("w@a", "v@a", text=output(w=EMPTY))
    assert missing.findings == ["Worker v@a was missing", f"In doubt: {reason}"]
    assert "scheduled" not in missing.perfdata


@pytest.mark.parametrize("words", [(), ("tasks with an ETA",)], ids=["none", "one that raises no alert"])
def test_an_option_that_no_metric_judges_is_unknown(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Its question is asked, and its answers are there."""
    monkeypatch.setitem(NEEDED_FOR, "timeout", (ACTIVE_QUEUES,))
    if words:
        monkeypatch.setattr(metrics, "ROWS", (*ROWS, Row("scheduled", ("timeout",), compared)))
    assert check("w@a", text=output(w=QUEUE)) == unknown(
        "a bug, please report it: NotImplementedError: no metric that raises alerts judges timeout"
    )


def test_who_is_silent_where_nobody_said_what_that_means_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new fault of workers has its option and what finds it, and nothing else."""
    new = Fault("task_limit", lambda _comparison: ())
    monkeypatch.setattr(faults, "FAULTS", [new if fault.option == new.option else fault for fault in faults.FAULTS])
    script = f"if [ $0 = active ]; then echo '{output(v=EMPTY)}'; else echo \"{output(v=QUEUE, w=QUEUE)}\"; fi"
    words = ("v@a", "w@a", "--task-limit", "60", "--", "sh", "-c", script, "{}")
    assert check(*words).timeless == unknown("w@a did not reply to inspect active")


def test_an_answer_that_cannot_be_read_is_named_as_that() -> None:
    script = f'if [ $0 = active ]; then echo "{output(w=task("mail", "soon"))}"; else echo "{output(w=QUEUE)}"; fi'
    words = ("w@a", "--task-limit", "60", "--", "sh", "-c", script, "{}")
    assert check(*words).timeless == unknown("the reply of w@a to inspect active cannot be read")


def test_where_nobody_has_replied_and_nothing_says_why_it_says_just_that() -> None:
    assert check("w@a", "--", "sh", "-c", "exit 4") == unknown("sh ended with exit status 4, no worker had replied")


def test_who_is_silent_is_named_by_server_and_by_node() -> None:
    text = "->  w-1@a: OK\n->  w-3@a: OK\n"
    assert check("w-1..4@a", "v-2@b", "x@c", text=text) == unknown(
        "Celery's output is cut: its closing line is missing (a timeout or a filter?), 2 of 7 workers had replied, "
        "no reply from server b, x@c, w-2@a, w-4@a",
        "Server b had not replied, accounts for 2 workers",
        "Server c had not replied, accounts for 1 worker: x@c",
        "Worker w-2@a had not replied",
        "Worker w-4@a had not replied",
    )


def test_a_reply_behind_text_hides_no_task() -> None:
    text = output(v=EMPTY, w=task("mail", 9e9)).replace("\n2 nodes", "web_1 | x@a: OK\n\n2 nodes")
    assert check("v@a", "w@a", text=text).headline == "CELERY WORKERS OK - 2 of 2 workers online on 1 server"


def test_tasks_may_be_hidden_where_the_closing_line_is_missing_or_counts_more() -> None:
    whole, another = output(v=EMPTY, w=task("mail", 9e9)), '{"v@a": {"ok": "pong"}}\n'
    for text in (whole.replace("\n2 nodes online.\n", ""), whole.replace("2 nodes", "3 nodes")):
        assert check("v@a", "w@a", text=text + another).code == UNKNOWN
    assert check("v@a", "w@a", text=whole + another).code == OK


def test_what_several_outputs_say_adds_up() -> None:
    first = output(v=QUEUE, w=EMPTY).replace("w@a: OK", "w@a: ERROR")
    outcome = check(
        "v@a", "w@a", "--queue", "mail=1", "--queue", "slow=1", text=first + output(v=QUEUE.replace("mail", "slow"))
    )
    assert outcome.findings == ["Worker w@a was malfunctioning, it answered ERROR and it consumes from no queue"]


def test_an_error_is_an_answer_to_any_question() -> None:
    text = output(v=EMPTY) + output(w="").replace("w@a: OK", "w@a: ERROR")
    outcome = check("v@a", "w@a", "--task-limit", "60", text=text)
    assert outcome.findings == ["Worker w@a was malfunctioning, it answered ERROR"]
    assert re.fullmatch(r"0\.0s;;;0", outcome.perfdata["oldest_task"])
