"""`--task-limit`: workers that run a task for too long; and the two questions that a COMMAND with {} is asked."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, at_the_timeout, check, perfdata

HOUR = 3600.0
Task = tuple[str, float]
Fleet = dict[str, list[Task]]


def task(name: str, age: float, args: object = ("jane@example.com",)) -> dict[str, object]:
    """Return a task as `inspect active` tells it, running for so many seconds."""
    return {
        "id": "8b5cd44e-892f-4496-9a9c-736e60d41d2e",
        "name": name,
        "args": args,
        "kwargs": {"to": "jane"},
        "type": name,
        "hostname": "w-1@a",
        "time_start": time.time() - age,
        "acknowledged": True,
        "delivery_info": {"exchange": "", "routing_key": "qa", "priority": 0, "redelivered": False},
        "worker_pid": 17427,
    }


def lines(tasks: Iterable[dict[str, object]]) -> str:
    """Return what stands below a node."""
    return "".join(f"    * {details!r}\n" for details in tasks) or "    - empty -\n"


def active(fleet: Fleet) -> str:
    """Return what `inspect active` of Celery 5 prints."""
    replies = "".join(
        f"->  {node}: OK\n{lines(task(name, age) for name, age in tasks)}" for node, tasks in fleet.items()
    )
    return f"{replies}\n{len(fleet)} node{'s' * (len(fleet) > 1)} online.\n"


EXPORT = ("shop.tasks.export", 3 * HOUR + 12 * 60 + 20)
MAIL = ("shop.tasks.mail", 2 * HOUR)
YOUNG = ("shop.tasks.mail", 30.0)
BOTH = ["w-1..2@a"]
WELL = "CELERY WORKERS OK - 2 of 2 workers online on 1 server"


def test_the_whole_output() -> None:
    outcome = check(*BOTH, "--task-limit", "3600", text=active({"w-1@a": [EXPORT, YOUNG], "w-2@a": [YOUNG]}))
    assert re.sub(r"=115[0-9]{2}(\.[0-9]+)?s", "=11540s", outcome.output) == (
        """\
CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-1@a | duplicate=0;0;;0 malfunctioning=1;;0;0 missing=0;;0;0;2 \
missing_servers=0;;;0 oldest_task=11540s;;;0 online=2;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Worker w-1@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min
"""
    )
    assert outcome.code == CRITICAL


@pytest.mark.parametrize(
    ("limits", "findings"),
    [
        ("3600", ["it has run shop.tasks.export for 3 h 12 min, 2 tasks over their limit"]),
        ("10000", ["it has run shop.tasks.export for 3 h 12 min"]),
        ("20000", []),
        ("shop.*=3600", ["it has run shop.tasks.export for 3 h 12 min, 2 tasks over their limit"]),
        ("*.export=3600", ["it has run shop.tasks.export for 3 h 12 min"]),
        ("shop.tasks.export=3600", ["it has run shop.tasks.export for 3 h 12 min"]),
        ("export=3600", []),
        ("shop.tasks.expor?=3600", ["it has run shop.tasks.export for 3 h 12 min"]),
        ("shop.tasks.[!e]*=20000 3600", ["it has run shop.tasks.export for 3 h 12 min"]),
        # The first whose pattern matches; the one without a pattern is for all others.
        ("*.export=20000 3600", ["it has run shop.tasks.mail for 2 h"]),
        ("3600 *.export=20000", ["it has run shop.tasks.mail for 2 h"]),
        ("*.export=20000 shop.*=3600", ["it has run shop.tasks.mail for 2 h"]),
        (
            "shop.*=3600 *.export=20000",
            ["it has run shop.tasks.export for 3 h 12 min, 2 tasks over their limit"],
        ),
        ("*.mail=20000 *.export=20000 1", []),
        ("Shop.*=1", []),
    ],
)
def test_limits(limits: str, findings: list[str]) -> None:
    options = [option for limit in limits.split() for option in ("--task-limit", limit)]
    outcome = check(*BOTH, *options, text=active({"w-1@a": [MAIL, EXPORT], "w-2@a": []}))
    told = [line.replace("for 2 h 0 min", "for 2 h") for line in outcome.findings]
    assert told == [f"Worker w-1@a was malfunctioning, {finding}" for finding in findings]
    assert outcome.code == (CRITICAL if findings else OK)
    assert 11540 <= float(outcome.perfdata["oldest_task"].removesuffix("s;;;0")) < 11900


@pytest.mark.parametrize("age", [61.0, 150.0, 4000.0, 90_000.0, 3_000_000.0])
def test_any_age(age: float) -> None:
    outcome = check(*BOTH, "--task-limit", "60.5", text=active({"w-1@a": [("t", age)], "w-2@a": []}))
    told = r"Worker w-1@a was malfunctioning, it has run t for [0-9][0-9,]* (s|min|h|d)\b.*"
    assert re.fullmatch(told, outcome.findings[0])
    assert float(outcome.perfdata["oldest_task"].removesuffix("s;;;0")) >= age - 1


@pytest.mark.parametrize(
    "limit", ["90", "90.0", "90s", "1.5m", "1m30s", "1m29.5s", "0h1m30s", "0.025h", ".025h", "0d90s"]
)
def test_a_limit_in_any_unit(limit: str) -> None:
    short, over = (active({"w-1@a": [("t", age)], "w-2@a": []}) for age in (80.0, 95.0))
    assert check(*BOTH, "--task-limit", limit, text=short).code == OK
    assert check(*BOTH, "--task-limit", f"t={limit}", text=over).code == CRITICAL


@pytest.mark.parametrize(
    ("limit", "hours"), [("3h", 3), ("1d", 24), ("1d12h", 36), ("1.5d", 36), ("2d1h60m", 50), ("1h3600s", 2)]
)
def test_a_limit_of_hours(limit: str, hours: int) -> None:
    short, over = (active({"w-1@a": [("t", hours * 3600.0 + more)], "w-2@a": []}) for more in (-60, 5))
    assert check(*BOTH, "--task-limit", limit, text=short).code == OK
    assert check(*BOTH, "--task-limit", limit, text=over).code == CRITICAL


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(active({"w-1@a": [], "w-2@a": []}), id="idle"),
        pytest.param(active({"w-1@a": [("t", -500_000.0)], "w-2@a": []}), id="a-clock-ahead"),
        pytest.param("-> w-1@a: OK\n    - empty -\n-> w-2@a: OK\n    - empty -\n", id="idle-in-Celery-4"),
        pytest.param('{"w-1@a": [], "w-2@a": []}\n', id="idle-in-JSON"),
    ],
)
def test_nothing_has_run_for_long(text: str) -> None:
    outcome = check(*BOTH, "--task-limit", "1", text=text)
    assert (outcome.headline, outcome.findings, outcome.code) == (WELL, [], OK)
    assert float(outcome.perfdata["oldest_task"].removesuffix("s;;;0")) == 0


def test_without_the_option_nothing_is_judged() -> None:
    outcome = check(*BOTH, text=active({"w-1@a": [EXPORT], "w-2@a": []}))
    assert (outcome.headline, outcome.code) == (WELL, OK)
    assert "oldest_task" not in outcome.perfdata


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("", CRITICAL),
        ("--malfunctioning-warning 0", WARNING),
        ("--malfunctioning-critical 1", OK),
        ("--malfunctioning-critical ~:", OK),
    ],
)
def test_thresholds(options: str, code: int) -> None:
    outcome = check(*BOTH, "--task-limit", "60", *options.split(), text=active({"w-1@a": [MAIL, EXPORT], "w-2@a": []}))
    assert outcome.code == code
    assert len(outcome.findings) == 1
    assert outcome.perfdata["malfunctioning"].startswith("1;")


def test_a_worker_that_nothing_expects_does_not_malfunction() -> None:
    text = active({"w-1@a": [], "w-2@a": [], "x@a": [EXPORT]})
    outcome = check(*BOTH, "--task-limit", "60", text=text)
    assert outcome.findings == ["Worker x@a was unexpectedly present"]
    assert check(*BOTH, "--task-limit", "60", "--ignore", "x@*", text=text).code == OK


@pytest.mark.parametrize(
    ("name", "options"),
    [("inspect active", ["--task-limit", "60"]), ("both", ["--task-limit", "60", "--queue", "celery=2"])],
)
def test_celery_before_4_2_does_not_tell_when_a_task_was_started(name: str, options: list[str]) -> None:
    queues = "".join(
        f"-> {node}: OK\n    * {{u'name': u'celery', u'routing_key': u'celery'}}\n" for node in ("w-1@a", "w-2@a")
    )
    tasks = (
        "-> w-1@a: OK\n    * {u'args': u'[]', u'time_start': 1496.322484031, u'name': u'proj.nap', u'kwargs': u'{}'}\n"
        "-> w-2@a: OK\n    - empty -\n"
    )
    outcome = check(*BOTH, *options, text=(queues if name == "both" else "") + tasks)
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert "4.2" in outcome.headline


@pytest.mark.parametrize(
    "args",
    [
        ("'name': 'evil', 'time_start': 5.0",),
        ("', 'name': 'evil', 'time_start': 5.0, 'x': '",),
        ('", "name": "evil", "time_start": 5.0, "x": "',),
        ({"name": "evil", "time_start": 5.0},),
        ({"name": "evil", "routing_key": "celery", "exchange": {"name": "evil"}},),
        ("it's", 'a "quoted" one', "\\", "\\'"),
        ("new\nline", "->  x@evil: OK", "\n->  x@evil: OK\n"),
        ("evil\u2028->  x@evil: OK\u2028", "\x1b[31m", "\x85x@evil: OK\x85"),
        "[\"'time_start': 5.0\"]",
        ("}", "]}", "{'"),
        ("x" * 200_000,),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_arguments_mislead_nobody(args: object, form: str) -> None:
    details = [task("shop.good", 2 * HOUR, args), task("shop.young", 30, args)]
    if form == "json":
        text = json.dumps({"w-1@a": details, "w-2@a": []}) + "\n"
    else:
        text = f"->  w-1@a: OK\n{lines(details)}->  w-2@a: OK\n    - empty -\n\n2 nodes online.\n"
    outcome = check(*BOTH, "--task-limit", "3600", "-vvv", text=text)
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-1@a"
    assert outcome.findings[0].startswith("Worker w-1@a was malfunctioning, it has run shop.good for 2 h")
    assert "evil" not in outcome.output
    assert "xxx" not in outcome.output
    assert outcome.perfdata["online"] == "2;;;0"
    assert float(outcome.perfdata["oldest_task"].removesuffix("s;;;0")) < 7800
    # A task is no queue, whatever its arguments hold.
    assert check(*BOTH, "--queue", "evil", text=text).code == UNKNOWN


@pytest.mark.parametrize(
    "line",
    [
        "{u'args': u\"[u\\\"'time_start': 5.0\\\"]\", u'time_start': %s, u'name': u'shop.good', u'kwargs': u'{}'}",
        "{u'kwargs': u\"{u'name': u'evil', u'time_start': 5.0}\", u'name': u'shop.good', u'time_start': %s}",
        "{u'delivery_info': {u'name': u'evil', u'time_start': 5.0}, u'name': u'shop.good', u'time_start': %s}",
        "{'time_start': %s, 'args': \"{'name': 'evil'}\", 'name': 'shop.good'}",
    ],
)
def test_keys_in_any_order(line: str) -> None:
    text = f"-> w-1@a: OK\n    * {line % (time.time() - 2 * HOUR)}\n-> w-2@a: OK\n    - empty -\n"
    outcome = check(*BOTH, "--task-limit", "3600", text=text)
    assert outcome.findings[0].startswith("Worker w-1@a was malfunctioning, it has run shop.good for 2 h")


def test_hostile_names_of_tasks_are_made_harmless() -> None:
    text = active({"w-1@a": [("a|b\x1b[31m" + "x" * 5000, HOUR)], "w-2@a": []})
    outcome = check(*BOTH, "--task-limit", "60", text=text)
    assert outcome.code == CRITICAL
    assert outcome.output.count("|") == 1
    assert "\x1b" not in outcome.output
    assert len(outcome.findings[0]) < 500


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("->  w-1@a: OK\n->  w-2@a: OK\n\n2 nodes online.\n", id="status"),
        pytest.param("-> w-1@a: OK\n        pong\n-> w-2@a: OK\n        pong\n", id="ping"),
        pytest.param('{"w-1@a": {"ok": "pong"}, "w-2@a": {"ok": "pong"}}\n', id="JSON-ping"),
        pytest.param(
            "".join(f"->  {node}: OK\n    * {{'name': 'q', 'routing_key': 'q'}}\n" for node in ("w-1@a", "w-2@a"))
            + "\n2 nodes online.\n",
            id="active_queues",
        ),
    ],
)
def test_a_text_that_tells_no_tasks(text: str) -> None:
    outcome = check(*BOTH, "--task-limit", "60", text=text)
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert "inspect active" in outcome.headline


@pytest.mark.parametrize("value", ["", "x", "-1", "x=", "x=y", "=5", "1e", "nan", "inf", "x=-5"])
def test_a_wrong_limit(value: str) -> None:
    outcome = check(*BOTH, f"--task-limit={value}", text=active({"w-1@a": [], "w-2@a": []}))
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert "--task-limit" in outcome.headline


def test_a_worker_that_lists_nothing_beside_one_that_lists_tasks_is_in_doubt() -> None:
    text = f"->  w-1@a: OK\n{lines([task(*YOUNG)])}->  w-2@a: OK\n        pong\n\n2 nodes online.\n"
    reason = "Celery's output shows no running tasks of w-2@a; run inspect active"
    assert check(*BOTH, "--task-limit", "1h", text=text) == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def test_a_reply_behind_other_text_hides_nothing_of_the_worker_above() -> None:
    text = f"-> w-1@a: OK\n{lines([task(*YOUNG)])}12:00:00 INFO -> v@a: OK\n"
    outcome = check("w-1..1@a", "--task-limit", "1h", text=text)
    assert (outcome.headline, outcome.code) == ("CELERY WORKERS OK - 1 of 1 worker online on 1 server", OK)


def test_who_is_missing_and_who_is_stuck() -> None:
    outcome = check("w-1..3@a", "--task-limit", "60", text=active({"w-1@a": [EXPORT], "w-2@a": [("shop.x", HOUR)]}))
    assert outcome.headline == (
        "CELERY WORKERS CRITICAL - 1 of 3 workers missing (w-3@a), 2 malfunctioning (w-1@a, w-2@a)"
    )
    assert [line.split(",")[0] for line in outcome.findings] == [
        "Worker w-3@a was missing",
        "Worker w-1@a was malfunctioning",
        "Worker w-2@a was malfunctioning",
    ]


def queues(*nodes: str) -> str:
    """Return what `inspect active_queues` of Celery 5 prints where all consume from `celery`."""
    replies = "".join(f"->  {node}: OK\n    * {{'name': 'celery', 'routing_key': 'celery'}}\n" for node in nodes)
    return f"{replies}\n{len(nodes)} node{'s' * (len(nodes) > 1)} online.\n"


def test_both_questions_in_one_text() -> None:
    text = queues("w-1@a", "w-2@a") + active({"w-1@a": [EXPORT], "w-2@a": []})
    outcome = check(*BOTH, "--queue", "celery=2", "--task-limit", "3600", text=text)
    assert outcome.findings == ["Worker w-1@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min"]
    assert outcome.perfdata["queues"] == "0;;0;0"


class Celery:
    """A stand-in for Celery that a shell plays, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "asked"

    def command(self, active_queues: str, active: str = "exit 9", *arguments: str) -> list[str]:
        """Return a COMMAND that answers the two questions by these scripts; $n is how often each was asked."""
        log = shlex.quote(str(self._log))
        script = (
            f'echo "$1" >> {log}; n=$(grep -cx "$1" {log})\n'
            f"case $1 in\nactive_queues)\n{active_queues}\n;;\nactive)\n{active}\n;;\nesac"
        )
        return ["--", "sh", "-c", script, "celery", *(arguments or ["{}"])]

    def prints(self, text: str) -> str:
        """Return a script that prints the text."""
        file = self._directory / f"text{len(list(self._directory.iterdir()))}"
        file.write_text(text, encoding="utf-8")
        return f"cat {shlex.quote(str(file))}"

    @property
    def asked(self) -> list[str]:
        """The questions in their order."""
        return self._log.read_text().split()


@pytest.fixture
def celery(tmp_path: Path) -> Celery:
    """A Celery in a directory of the test's own."""
    return Celery(tmp_path)


LIMIT = ["--task-limit", "3600"]
IDLE = active({"w-1@a": [], "w-2@a": []})
QUEUES = queues("w-1@a", "w-2@a")

commands = pytest.mark.usefixtures("nothing_is_left_running")


@commands
def test_one_question_where_no_option_needs_another(celery: Celery) -> None:
    assert check(*BOTH, *celery.command(celery.prints(QUEUES))).headline == WELL
    assert celery.asked == ["active_queues"]


@commands
def test_two_questions_one_after_the_other(celery: Celery) -> None:
    outcome = check(*BOTH, *LIMIT, "--queue", "celery=2", *celery.command(celery.prints(QUEUES), celery.prints(IDLE)))
    assert outcome.headline == WELL
    assert outcome.perfdata.keys() >= {"oldest_task", "queues", "time"}
    assert list(outcome.perfdata) == sorted(outcome.perfdata)
    assert celery.asked == ["active_queues", "active"]


@commands
def test_the_second_answer_is_judged(celery: Celery) -> None:
    stuck = celery.prints(active({"w-1@a": [EXPORT, MAIL], "w-2@a": []}))
    outcome = check(*BOTH, *LIMIT, *celery.command(celery.prints(QUEUES), stuck))
    assert outcome.findings == [
        "Worker w-1@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min, 2 tasks over their limit"
    ]
    assert outcome.code == CRITICAL


@commands
@pytest.mark.waiting
def test_both_commands_are_stopped_once_all_have_answered(celery: Celery) -> None:
    first, second = (celery.prints(text.partition("\n\n")[0] + "\n") for text in (QUEUES, IDLE))
    for settle in ("0", "0.3"):
        outcome = check(
            *BOTH, *LIMIT, "--settle", settle, *celery.command(f"{first}; sleep 100", f"{second}; sleep 100")
        )
        assert outcome.headline == WELL
    assert celery.asked == ["active_queues", "active"] * 2


@commands
def test_the_second_question_waits_for_those_alone_who_answered_the_first(celery: Celery) -> None:
    first = celery.prints(queues("w-1@a"))
    second = celery.prints(active({"w-1@a": []}).partition("\n\n")[0] + "\n")
    outcome = check(*BOTH, *LIMIT, *celery.command(first, f"{second}; sleep 100"))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-2@a"
    assert outcome.findings == ["Worker w-2@a was missing"]


@commands
@pytest.mark.parametrize("form", ["Celery-5", "Celery-4"])
def test_who_answered_the_first_question_and_not_the_second(celery: Celery, form: str) -> None:
    text = active({"w-2@a": []})
    if form == "Celery-4":
        text = text.replace("->  ", "-> ").replace("\n1 node online.\n", "")
    outcome = check(*BOTH, *LIMIT, *celery.command(celery.prints(QUEUES), celery.prints(text)))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-1@a"
    assert outcome.findings == ["Worker w-1@a was malfunctioning, it did not reply to inspect active"]
    assert outcome.code == CRITICAL


@commands
def test_nobody_answers_the_second_question(celery: Celery) -> None:
    nobody = "echo 'Error: No nodes replied within time constraint' >&2; exit 69"
    outcome = check(*BOTH, *LIMIT, *celery.command(celery.prints(QUEUES), nobody))
    assert outcome.findings == [
        "Worker w-1@a was malfunctioning, it did not reply to inspect active",
        "Worker w-2@a was malfunctioning, it did not reply to inspect active",
    ]
    assert outcome.code == CRITICAL


@commands
def test_nobody_answers_the_first_question(celery: Celery) -> None:
    nobody = "echo 'Error: No nodes replied within time constraint' >&2; exit 69"
    outcome = check(*BOTH, *LIMIT, *celery.command(nobody, nobody))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a"


@commands
@pytest.mark.parametrize(
    "failure",
    [
        "echo 'Error: Could not connect to the message broker.' >&2; exit 69",
        "echo '->  w-1@a: OK'; echo '    []'; echo 'Error: Could not connect to the message broker.' >&2; exit 1",
    ],
    ids=["at-once", "after-a-reply"],
)
def test_the_second_question_fails(celery: Celery, failure: str) -> None:
    outcome = check(*BOTH, *LIMIT, *celery.command(celery.prints(QUEUES), failure))
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert "Could not connect to the message broker" in outcome.headline
    assert "malfunctioning" not in outcome.output


@commands
def test_the_first_question_fails(celery: Celery) -> None:
    failure = "echo 'Error: Could not connect to the message broker.' >&2; exit 69"
    outcome = check(*BOTH, *LIMIT, *celery.command(failure, failure))
    assert outcome.code == UNKNOWN
    assert "Could not connect to the message broker" in outcome.headline


@commands
def test_a_failure_after_all_answered_both_changes_nothing(celery: Celery) -> None:
    first, second = (f"{celery.prints(text)}; exit 3" for text in (QUEUES, IDLE))
    assert check(*BOTH, *LIMIT, *celery.command(first, second)).headline == WELL


@commands
def test_attempts_are_counted_per_question(celery: Celery) -> None:
    one = celery.prints(queues("w-1@a"))
    both = celery.prints(QUEUES)
    first = f'[ "$n" = 1 ] && exec {one}; exec {both}'
    one_idle = celery.prints(active({"w-2@a": []}))
    both_idle = celery.prints(IDLE)
    second = f'[ "$n" = 1 ] && exec {one_idle}; exec {both_idle}'
    assert check(*BOTH, *LIMIT, "--attempts", "2", *celery.command(first, second)).headline == WELL
    assert celery.asked == ["active_queues", "active_queues", "active", "active"]


@commands
@pytest.mark.waiting
def test_the_deadline_names_who_was_silent(celery: Celery) -> None:
    first = f"{celery.prints(queues('w-1@a').partition(chr(10) * 2)[0] + chr(10))}; sleep 100"
    silent = "sh did not end before the timeout, 1 of 2 workers had replied, no reply from w-2@a"
    outcome = at_the_timeout(lambda seconds: check(*BOTH, *LIMIT, "-t", seconds, *celery.command(first)), silent)
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert outcome.headline.endswith(silent)
    assert outcome.findings == ["Worker w-2@a had not replied"]
    assert outcome.code == UNKNOWN


@commands
def test_who_was_silent_to_the_second_question_is_named_where_that_ends_badly(celery: Celery) -> None:
    command = celery.command(celery.prints(QUEUES), f"{celery.prints(active({'w-1@a': []}))}; exit 3")
    outcome = check(*BOTH, *LIMIT, "--settle", "0", *command)
    assert outcome.code == UNKNOWN
    assert outcome.headline == (
        "CELERY WORKERS UNKNOWN - sh ended with exit status 3, 1 of 2 workers had replied to inspect active, "
        "no reply from w-2@a"
    )


@commands
@pytest.mark.waiting
def test_the_deadline_names_who_was_silent_to_the_second_question(celery: Celery) -> None:
    second = f"{celery.prints(active({'w-1@a': []}).partition(chr(10) * 2)[0] + chr(10))}; sleep 100"
    command = celery.command(celery.prints(QUEUES), second)
    outcome = at_the_timeout(
        lambda seconds: check(*BOTH, *LIMIT, "-t", seconds, "--settle", "0", *command), "no reply from w-2@a"
    )
    assert outcome.code == UNKNOWN
    assert "sh did not end before the timeout" in outcome.headline
    assert "w-2@a" in outcome.headline
    assert "w-1@a" not in outcome.headline


@commands
@pytest.mark.waiting
def test_many_silent_workers_are_named_as_far_as_they_fit(celery: Celery) -> None:
    command = celery.command("echo '->  w-1@a: OK'; sleep 100")
    silent = "sh did not end before the timeout, 1 of 2,000 workers had replied"
    outcome = at_the_timeout(lambda seconds: check("w-1..2000@a", "-t", seconds, *command), silent)
    assert silent in outcome.headline
    assert "w-2@a" in outcome.headline
    assert len(outcome.headline) < 1000
    assert outcome.findings[0] == "Worker w-2@a had not replied"
    assert re.fullmatch(r"\.\.\. and [0-9,]+ more", outcome.findings[-1])
    assert len(outcome.output.encode()) <= 8000


@commands
@pytest.mark.waiting
def test_the_reason_stands_behind_the_silent(celery: Celery) -> None:
    script = "echo '->  w-1@a: OK'; echo 'ssh: connection to app2 timed out' >&2; sleep 100"
    silent = (
        "CELERY WORKERS UNKNOWN - sh did not end before the timeout, 1 of 2 workers had replied, "
        "no reply from w-2@a: ssh: connection to app2 timed out"
    )
    outcome = at_the_timeout(lambda seconds: check(*BOTH, "-t", seconds, *celery.command(script)), silent)
    assert outcome.headline == silent


def test_two_questions_need_braces() -> None:
    outcome = check(*BOTH, "--queue", "celery", *LIMIT, "--", "celery", "inspect", "active_queues")
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert "{}" in outcome.headline


@commands
def test_one_question_needs_no_braces(celery: Celery) -> None:
    text = active({"w-1@a": [EXPORT], "w-2@a": []})
    outcome = check(*BOTH, *LIMIT, *celery.command("exit 9", celery.prints(text), "active", "inspect", "active"))
    assert outcome.findings == ["Worker w-1@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min"]


@commands
def test_a_program_that_is_not_there() -> None:
    outcome = check(*BOTH, *LIMIT, "--", "/no/such/celery", "inspect", "{}")
    assert outcome == Outcome(
        "CELERY WORKERS UNKNOWN - /no/such/celery cannot be started: No such file or directory\n", UNKNOWN
    )


@commands
def test_who_answers_the_second_question_alone_is_online_too(celery: Celery) -> None:
    late = IDLE.replace("->  w-1@a: OK", "->  x@a: OK\n    - empty -\n->  w-1@a: OK").replace("2 nodes", "3 nodes")
    outcome = check(*BOTH, *LIMIT, "--wait", *celery.command(celery.prints(QUEUES), celery.prints(late)))
    assert outcome.headline == "CELERY WORKERS WARNING - 1 worker unexpected: x@a"
    assert outcome.perfdata["online"] == "3;;;0"


@commands
def test_an_error_in_answer_to_the_second_question_is_a_fault(celery: Celery) -> None:
    error = IDLE.replace("w-1@a: OK", "w-1@a: ERROR")
    outcome = check(*BOTH, *LIMIT, "--wait", *celery.command(celery.prints(QUEUES), celery.prints(error)))
    assert outcome.findings == ["Worker w-1@a was malfunctioning, it answered ERROR"]


# The answer to `active` in pieces: its last worker lists tasks, and the last of them is the one over its limit.
IN_PIECES = """\
import os, sys, time
text = open(sys.argv[1]).read() if sys.argv[1].endswith("active") else {queues!r}
for piece in text.split("!"):
    data = piece.encode()
    while data:
        data = data[os.write(1, data) :]
    if piece is not text:
        time.sleep(0.5)
time.sleep(100)
"""


@pytest.mark.parametrize("pieces", [pytest.param(1, id="in-one-go"), pytest.param(2, id="with-a-break-in-a-line")])
def test_a_long_list_of_the_last_worker_is_read_to_its_end(tmp_path: Path, pieces: int) -> None:
    listed = [dict(task("shop.tasks.mail", 30), id=str(number)) for number in range(5000 if pieces == 1 else 3)]
    text = f"->  w-2@a: OK\n    - empty -\n->  w-1@a: OK\n{lines([*listed, task(*EXPORT)])}"
    if pieces > 1:
        place = text.rindex("'kwargs'")
        text = f"{text[:place]}!{text[place:]}"
    (tmp_path / "active").write_text(text, encoding="utf-8")
    script = IN_PIECES.format(queues=QUEUES.removesuffix("\n2 nodes online.\n"))
    outcome = check(*BOTH, *LIMIT, "--settle", "0", "--", sys.executable, "-c", script, f"{tmp_path}/{{}}")
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-1@a"
    assert outcome.findings == ["Worker w-1@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min"]


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (0.4, "0 s"),
        (59.5, "59 s"),
        (60.5, "1 min"),
        (61.5, "1 min 1 s"),
        (3599.5, "59 min 59 s"),
        (3600.5, "1 h"),
        (3661.5, "1 h 1 min"),
        (86399.5, "23 h 59 min"),
        (86400.5, "1 d"),
        (90000.5, "1 d 1 h"),
        (100 * 86400 + 3599.5, "100 d"),
    ],
)
def test_a_duration_is_in_its_two_largest_units(monkeypatch: pytest.MonkeyPatch, age: float, words: str) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.8e9)
    text = active({"w-1@a": [("shop.export", age)], "w-2@a": []})
    (finding,) = check(*BOTH, "--task-limit", "0.1", text=text).findings
    assert finding == f"Worker w-1@a was malfunctioning, it has run shop.export for {words}"


def test_a_task_at_its_limit_is_not_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.8e9)
    text = active({"w-1@a": [("shop.export", 60.0)], "w-2@a": []})
    values = perfdata(missing="0;;0;0;2", online="2;;;0", oldest_task="60.0s;;;0")
    assert check(*BOTH, "--task-limit", "60", text=text) == Outcome(f"{WELL} | {values}\n", OK)
    text = active({"w-1@a": [("shop.export", 60.26)], "w-2@a": []})
    assert check(*BOTH, "--task-limit", "60", text=text).perfdata["oldest_task"] == "60.3s;;;0"


def test_ok_a_task_is_listed_that_has_not_started(celery: Celery) -> None:
    waiting = lines([{**task(*EXPORT), "time_start": None}])
    running = celery.prints(f"->  w-1@a: OK\n{waiting}->  w-2@a: OK\n    - empty -\n\n2 nodes online.\n")
    command = celery.command(celery.prints(queues("w-1@a", "w-2@a")), running)
    assert check(*BOTH, *LIMIT, *command).headline == WELL


def python2(tasks: Iterable[dict[str, object]]) -> str:
    """Return tasks as Celery 3.1 lists them."""
    listed = "".join(f"    * {dict(reversed(list(details.items())))!r}\n" for details in tasks)
    return listed.replace("'name'", "u'name'")


@pytest.mark.parametrize("form", [lines, python2], ids=["Celery-5", "Celery-3"])
def test_a_task_counts_once_however_often_it_is_listed(form: Callable[[Iterable[dict[str, object]]], str]) -> None:
    first = task(*EXPORT)
    # Two tasks of one name that started at the same moment are two.
    second = {**first, "id": "another"}
    reply = f"-> w@a: OK\n{form([first])}"
    once = check("w@a", *LIMIT, text=f"{reply}{reply}")
    assert once.findings == ["Worker w@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min"]
    two = check("w@a", *LIMIT, text=f"{reply}-> w@a: OK\n{form([first, second])}")
    more = "it has run shop.tasks.export for 3 h 12 min, 2 tasks over their limit"
    assert two.findings == [f"Worker w@a was malfunctioning, {more}"]


@pytest.mark.parametrize("key", [[], ["id"]], ids=["with-all-its-keys", "without-an-id"])
def test_tasks_in_json(key: list[str]) -> None:
    running = {name: value for name, value in task(*EXPORT).items() if name not in key}
    waiting = {**task(*EXPORT), "time_start": None}
    reply = json.dumps({"w@a": [running]}) + "\n"
    once = "Worker w@a was malfunctioning, it has run shop.tasks.export for 3 h 12 min"
    assert check("w@a", *LIMIT, text=reply + reply).findings == [once]
    another = {**running, **({} if key else {"id": "another"})}
    both = check("w@a", *LIMIT, text=json.dumps({"w@a": [running, another]}) + "\n")
    assert both.findings == [once if key else f"{once}, 2 tasks over their limit"]
    nothing = "CELERY WORKERS UNKNOWN - Celery's output shows no running tasks; run inspect active\n"
    assert check("w@a", *LIMIT, text=json.dumps({"w@a": [waiting]}) + "\n") == Outcome(nothing, UNKNOWN)


@pytest.mark.parametrize(
    "item", [{"name": "qa"}, {"name": "qa", "routing_key": "qa", "id": "1"}, {"routing_key": "qa"}]
)
def test_what_is_neither_a_queue_nor_a_task_is_in_doubt(item: dict[str, str]) -> None:
    text = json.dumps({"w@a": [item]}) + "\n"
    nothing = "CELERY WORKERS UNKNOWN - Celery's output shows no queues; run inspect active_queues\n"
    assert check("w@a", "--queue", "qa", text=text) == Outcome(nothing, UNKNOWN)
