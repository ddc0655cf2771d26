"""`--queue`: how many of the workers that answer consume from a queue."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, check, perfdata, run

Fleet = dict[str, list[str]]


def queue(name: str, exchange: str | None = None) -> str:
    """Return the line of a queue as Celery 4 and 5 print it."""
    route = exchange or name
    details = {"name": name, "exchange": {"name": route, "type": "direct"}, "routing_key": route, "alias": None}
    return f"    * {details!r}\n"


def queue_3(name: str, exchange: str) -> str:
    """Return the line of a queue as Celery 3.1 prints it, whose keys come in any order."""
    details = f"{{u'exchange': {{u'name': u'{exchange}'}}, u'name': u'{name}', u'routing_key': u'x'}}"
    return f"    \x1b[0m\x1b[1;37m*\x1b[0m {details}\x1b[0m\n"


def consuming(fleet: Fleet) -> str:
    """Return what `inspect active_queues` of Celery 5 prints."""
    replies = "".join(f"->  {node}: OK\n{body(queues)}" for node, queues in fleet.items())
    return f"{replies}\n{len(fleet)} nodes online.\n"


def body(queues: Iterable[str]) -> str:
    """Return what stands below a node."""
    return "".join(map(queue, queues)) or "    - empty -\n"


FLEET = {"w-1@a": ["emails", "celery"], "w-2@a": ["emails"], "v@b": ["celery"]}
EXPECTED = ["w-1..2@a", "v@b"]
WARNING_LINE = "DuplicateNodenameWarning: Received multiple replies from node name: v@b.\n"
WELL = "OK - 3 of 3 workers online on 2 servers"


@pytest.mark.parametrize(
    ("wanted", "headline", "findings"),
    [
        ("emails", WELL, []),
        ("emails=2", WELL, []),
        ("emails=1..", WELL, []),
        ("emails=2..", WELL, []),
        ("emails=1..2", WELL, []),
        (
            "emails=3..",
            "CRITICAL - 1 queue short of consumers: emails",
            ["Queue emails has 2 consumers instead of at least 3"],
        ),
        ("emails=3", "CRITICAL - 1 queue short of consumers: emails", ["Queue emails has 2 consumers instead of 3"]),
        (
            "emails=3..4",
            "CRITICAL - 1 queue short of consumers: emails",
            ["Queue emails has 2 consumers instead of at least 3"],
        ),
        (
            "emails=1",
            "CRITICAL - 1 queue with too many consumers: emails",
            ["Queue emails has 2 consumers instead of 1"],
        ),
        (
            "emails=0..1",
            "CRITICAL - 1 queue with too many consumers: emails",
            ["Queue emails has 2 consumers instead of at most 1"],
        ),
        (
            "ledger",
            "CRITICAL - 1 queue short of consumers: ledger",
            ["Queue ledger has 0 consumers instead of at least 1"],
        ),
        # Names compare exactly.
        (
            "Emails",
            "CRITICAL - 1 queue short of consumers: Emails",
            ["Queue Emails has 0 consumers instead of at least 1"],
        ),
        (
            "email",
            "CRITICAL - 1 queue short of consumers: email",
            ["Queue email has 0 consumers instead of at least 1"],
        ),
        ("x*", "CRITICAL - 1 queue short of consumers: x*", ["Queue x* has 0 consumers instead of at least 1"]),
        ("x,y", "CRITICAL - 1 queue short of consumers: x,y", ["Queue x,y has 0 consumers instead of at least 1"]),
        (
            "emails=3.. ledger",
            "CRITICAL - 2 queues short of consumers: emails, ledger",
            [
                "Queue emails has 2 consumers instead of at least 3",
                "Queue ledger has 0 consumers instead of at least 1",
            ],
        ),
        (
            "celery=0..1 emails=0..1",
            "CRITICAL - 2 queues with too many consumers: celery, emails",
            [
                "Queue celery has 2 consumers instead of at most 1",
                "Queue emails has 2 consumers instead of at most 1",
            ],
        ),
    ],
)
def test_how_many_consume(wanted: str, headline: str, findings: list[str]) -> None:
    options = [option for name in wanted.split() for option in ("--queue", name)]
    outcome = check(*EXPECTED, *options, text=consuming(FLEET))
    # The one queue that is off its number may be called `queue emails`, as a server is `server a`.
    told = outcome.headline.replace(": queue ", ": ")
    assert (told, outcome.findings) == (f"CELERY WORKERS {headline}", findings)
    assert outcome.code == (CRITICAL if findings else OK)
    assert outcome.perfdata["queues"] == f"{len(findings)};;0;0"


def test_the_whole_output() -> None:
    assert check("w-1..3@a", "v@b", "--queue", "emails=3..", text=consuming(FLEET)) == Outcome(
        """\
CELERY WORKERS CRITICAL - 1 of 4 workers missing (w-3@a), 1 queue short of consumers (emails) | \
duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;4 missing_servers=0;;;0 online=3;;;0 queues=1;;0;0 \
unexpected=0;0;;0 unexpected_servers=0;;;0
Worker w-3@a was missing
Queue emails has 2 consumers instead of at least 3
""",
        CRITICAL,
    )


def test_without_the_option_perfdata_do_not_have_it() -> None:
    assert "queues" not in check(*EXPECTED, text=consuming(FLEET)).perfdata


def test_queues_stand_between_duplicates_and_unexpected_workers() -> None:
    text = consuming({**FLEET, "x@a": ["celery"]}) + WARNING_LINE
    outcome = check(*EXPECTED, "u@a", "--queue", "ledger", text=text)
    assert [line.split()[:2] for line in outcome.findings] == [
        ["Worker", "u@a"],
        ["Node", "name"],
        ["Queue", "ledger"],
        ["Worker", "x@a"],
    ]


def test_queues_short_of_consumers_and_with_too_many_are_one_metric() -> None:
    outcome = check(*EXPECTED, "--queue", "emails=1", "--queue", "ledger", text=consuming(FLEET))
    assert outcome.perfdata["queues"] == "2;;0;0"
    assert outcome.headline == (
        "CELERY WORKERS CRITICAL - 1 queue short of consumers (ledger), 1 with too many consumers (emails)"
    )
    assert len(outcome.findings) == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--queues-warning 0", WARNING),
        ("--queues-critical 0", CRITICAL),
        ("--queues-warning 0 --queues-critical 1", CRITICAL),
        ("--queues-warning 1 --queues-critical 2", WARNING),
        ("--queues-critical 2", OK),
        ("--queues-critical ~:", OK),
    ],
)
def test_thresholds(options: str, code: int) -> None:
    wanted = ["--queue", "ledger", "--queue", "reports"]
    outcome = check(*EXPECTED, *wanted, *options.split(), text=consuming(FLEET))
    assert outcome.code == code
    assert "2 queues short of consumers" in outcome.headline or code == OK
    assert len(outcome.findings) == 2


@pytest.mark.parametrize(
    ("text", "consumers"),
    [
        pytest.param(consuming(FLEET), 2, id="Celery-5"),
        pytest.param(consuming(FLEET) * 2, 2, id="asked-twice"),
        pytest.param(
            "".join(f"-> {node}: OK\n{body(queues)}" for node, queues in FLEET.items()) * 2,
            2,
            id="Celery-4-asked-twice",
        ),
        pytest.param(
            json.dumps({node: [{"name": name, "routing_key": "x"} for name in names] for node, names in FLEET.items()})
            + "\n",
            2,
            id="JSON",
        ),
        pytest.param(consuming({"w-1@a": ["emails", "emails"], "w-2@a": [], "v@b": []}), 1, id="twice-by-one-worker"),
        pytest.param(f"->  w-1@a: OK\n{queue('emails', 'other')}\n1 node online.\n", 1, id="another-exchange"),
        pytest.param(f"->  w-1@a: OK\n{queue('other', 'emails')}\n1 node online.\n", 0, id="the-exchange-of-another"),
        pytest.param(f"-> w-1@a: OK\n{queue_3('emails', 'other')}", 1, id="Celery-3.1"),
        pytest.param(f"-> w-1@a: OK\n{queue_3('other', 'emails')}", 0, id="Celery-3.1-the-exchange-of-another"),
        # Whoever answers counts, expected or not.
        pytest.param(consuming({"x@z": ["emails"], "y@z": ["emails"]}), 2, id="unexpected-workers"),
    ],
)
def test_consumers_are_counted(text: str, consumers: int) -> None:
    options = ["-c", "~:", "--unexpected-warning", "~:", "--malfunctioning-critical", "~:"]
    if consumers:
        assert check(*EXPECTED, *options, "--queue", f"emails={consumers}", text=text).code == OK
    assert check(*EXPECTED, *options, "--queue", f"emails={consumers + 1}", text=text).code == CRITICAL
    told = check("--queue", "emails=9", text=text).output
    noun = "consumer" if consumers == 1 else "consumers"
    assert f"Queue emails has {consumers} {noun} instead of 9" in told


@pytest.mark.parametrize("name", ["it's", 'say "hi"', "\u00e4", "a b", "tab\there", "back\\slash", "a.b-c_d#1", "x@y"])
def test_any_name(name: str) -> None:
    for text in (
        consuming({"w@a": [name]}),
        json.dumps({"w@a": [{"name": name, "routing_key": name}]}) + "\n",
    ):
        assert check("w@a", "--queue", name, text=text).code == OK


def test_a_name_of_celery_3_beyond_ascii() -> None:
    text = "-> w@a: OK\n    * {u'exchange': {u'name': u'x'}, u'name': u'\\xe4\\u20ac', u'routing_key': u'x'}\n"
    assert check("w@a", "--queue", "\u00e4\u20ac", text=text).code == OK


def test_hostile_names_are_made_harmless() -> None:
    text = consuming({"w@a": ["a|b\x1b[31m"]})
    outcome = check("w@a", "--queue", "c|d", "-v", text=text)
    assert outcome.output.count("|") == 1
    assert "\x1b" not in outcome.output


def test_queues_that_nobody_named_are_told_by_verbose_alone() -> None:
    assert "celery" not in check(*EXPECTED, "--queue", "emails", text=consuming(FLEET)).output.replace("CELERY", "")
    told = check(*EXPECTED, "--queue", "emails", "-v", text=consuming(FLEET)).findings
    assert any("celery" in line for line in told)
    assert any("emails" in line for line in told)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("->  w@a: OK\n\n1 node online.\n", id="status"),
        pytest.param("w@a: OK\n\n1 node online.\n", id="Celery-4-status"),
        pytest.param("-> w@a: OK\n        pong\n", id="Celery-4-ping"),
        pytest.param('{"w@a": {"ok": "pong"}}\n', id="JSON-ping"),
        pytest.param("->  w@a: OK\n    * {'name': 'emails', 'time_start': 2e9}\n\n1 node online.\n", id="tasks"),
        pytest.param("->  w@a: OK\n    * shop.emails\n\n1 node online.\n", id="registered"),
    ],
)
@pytest.mark.parametrize("expected", [["w@a"], []], ids=["with-EXPECTED", "alone"])
def test_a_text_that_tells_no_queues(text: str, expected: list[str]) -> None:
    outcome = check(*expected, "--queue", "emails", text=text)
    assert "shows no queues; run inspect active_queues" in outcome.headline
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert outcome.code == UNKNOWN


@pytest.mark.parametrize("expected", [["w@a"], []], ids=["with-EXPECTED", "alone"])
@pytest.mark.parametrize("text", ["->  w@a: OK\n    - empty -\n\n1 node online.\n", '{"w@a": []}\n'])
def test_where_everybody_lists_nothing_no_queue_has_a_consumer(text: str, expected: list[str]) -> None:
    outcome = check(*expected, "--queue", "emails", text=text)
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 queue short of consumers: emails"
    assert outcome.findings == [
        "Queue emails has 0 consumers instead of at least 1, or this is not what inspect active_queues prints"
    ]
    assert outcome.code == CRITICAL


def test_queues_alone_are_an_inventory() -> None:
    outcome = check("--queue", "emails=2..", "--queue", "celery", text=consuming(FLEET))
    assert outcome.code == OK
    assert outcome.headline == "CELERY WORKERS OK - 3 workers online on 2 servers"
    assert outcome.perfdata["unexpected"] == "0;0;;0"
    assert outcome.perfdata["missing"] == "0;;0;0;0"
    assert outcome.perfdata["unexpected_servers"] == "0;;;0"


def test_queues_alone_count_all_workers() -> None:
    text = consuming({"w-1@a": ["emails"], "w-2@a": []}) + "->  x@b: ERROR\n\n1 node online.\n"
    outcome = check("--queue", "emails", text=text)
    assert outcome.findings == [
        "Worker w-2@a was malfunctioning, it consumes from no queue",
        "Worker x@b was malfunctioning, it answered ERROR",
    ]
    ignored = check("--queue", "emails", "--ignore", "x@*", "--ignore", "w-2@a", text=text)
    assert (ignored.findings, ignored.code) == ([], OK)


def test_queues_alone_count_no_ignored_worker() -> None:
    fleet = {"w-1@a": ["emails"], "dev@a": ["emails"], "dev-1@b": ["emails"], "dev-2@b": ["celery"]}
    assert check("--queue", "emails=1", "--ignore", "dev*", "-v", text=consuming(fleet)) == Outcome(
        f"""\
CELERY WORKERS OK - 1 worker online on 1 server | {perfdata(missing="0;;0;0;0", online="1;;;0", queues="0;;0;0")}
Online on a: 1 worker, w-1@a
Queue emails: 1 worker
""",
        OK,
    )


@pytest.mark.parametrize("text", ["", "Error: No nodes replied within time constraint\n"], ids=["empty", "nobody"])
def test_nobody_answers_and_so_nobody_consumes(text: str) -> None:
    outcome = check("--queue", "emails", text=text)
    assert outcome.code == CRITICAL
    assert "Queue emails has 0 consumers instead of at least 1" in outcome.findings


def test_a_text_that_is_not_whole_does_not_let_judge_who_is_short() -> None:
    text = consuming(FLEET)
    cut = text[: text.index("->  w-2@a")]
    assert check("--queue", "emails=2..", text=cut).code == UNKNOWN
    assert check("--queue", "emails=1..", text=cut).code == OK
    failed = check("--queue", "emails=1..", text=text + "Error: Could not connect to the message broker.\n")
    assert failed.code == UNKNOWN
    assert "Could not connect to the message broker" in failed.headline


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("w-1..2@a  # mails\nv@b\n\nqueue emails=2\n  queue   celery=1..  # the rest\n")
    assert check("-f", str(file), text=consuming(FLEET)).code == OK
    file.write_text("queue ledger\nqueue emails=1\n")
    assert check("-f", str(file), text=consuming(FLEET)).findings == [
        "Queue emails has 2 consumers instead of 1",
        "Queue ledger has 0 consumers instead of at least 1",
    ]


@pytest.mark.parametrize("line", ["queue", "queue =2", "queue stuff=3..2"])
def test_a_wrong_line_of_a_file(tmp_path: Path, line: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"w@a\n{line}\n")
    outcome = check("-f", str(file), text=consuming(FLEET))
    assert outcome.code == UNKNOWN
    assert f"{file}:2: " in outcome.headline
    assert "stuff" not in outcome.output


@pytest.mark.parametrize("value", ["", "=2", "emails=3..2"])
def test_a_wrong_option(value: str) -> None:
    outcome = check("w@a", f"--queue={value}", text=consuming(FLEET))
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert "queue" in outcome.headline


def test_a_baseline_writes_queues_where_the_text_tells_them(tmp_path: Path) -> None:
    described = check("--baseline", text=consuming(FLEET))
    lines = described.output.splitlines()
    assert described.code == OK
    assert lines[:2] == ["v@b", "w-1..2@a"]
    assert [line.partition("=")[0] for line in lines[2:]] == ["queue celery", "queue emails"]
    file = tmp_path / "expected"
    file.write_text(described.output)
    assert check("-f", str(file), text=consuming(FLEET)).code == OK
    fewer = check("-f", str(file), text=consuming({**FLEET, "w-1@a": ["other"], "w-2@a": ["other"]}))
    assert "Queue emails has 0 consumers" in fewer.output
    assert check("--baseline", text="v@b: OK\n").output == "v@b\n"


def answering(log: Path, text: str, then: str = "") -> list[str]:
    """Return a COMMAND that logs the question and answers it so."""
    script = f'echo "$1" >> {shlex.quote(str(log))}; cat << "END"\n{text}END\n{then}'
    return ["--", "sh", "-c", script, "celery"]


@pytest.mark.usefixtures("nothing_is_left_running")
def test_the_question_takes_the_place_of_braces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(*EXPECTED, *answering(log, consuming(FLEET)), "{}").code == OK
    assert run(*EXPECTED, "--queue", "emails=2", *answering(log, consuming(FLEET)), "--question={}").code == OK
    assert log.read_text().split() == ["active_queues", "--question=active_queues"]


@pytest.mark.usefixtures("nothing_is_left_running")
def test_a_command_that_asks_something_else(tmp_path: Path) -> None:
    outcome = run("w@a", "--queue", "emails", *answering(tmp_path / "log", "w@a: OK\n"), "status")
    assert outcome.code == UNKNOWN
    assert "shows no queues; run inspect active_queues" in outcome.headline


@pytest.mark.usefixtures("nothing_is_left_running")
def test_a_command_known_to_ask_for_queues_may_show_none(tmp_path: Path) -> None:
    text = consuming({"w@a": [], "v@a": []})
    for arguments in (["{}"], ["inspect", "active_queues"]):
        outcome = run("w@a", "v@a", "--queue", "emails", *answering(tmp_path / "log", text), *arguments)
        assert outcome.findings == [
            "Worker v@a was malfunctioning, it consumes from no queue",
            "Worker w@a was malfunctioning, it consumes from no queue",
            "Queue emails has 0 consumers instead of at least 1",
        ]


@pytest.mark.usefixtures("nothing_is_left_running")
@pytest.mark.waiting
def test_queues_alone_end_the_command_once_they_are_met(tmp_path: Path) -> None:
    answers = consuming(FLEET).partition("\n\n")[0] + "\n"
    endless = answering(tmp_path / "log", answers, "sleep 100")
    assert run("--queue", "emails=2..", "--settle", "0.2", *endless, "{}").code == OK
    short = run("--queue", "emails=3..", "-t", "2", *endless, "{}")
    assert short.code == UNKNOWN
    assert "did not end before the timeout" in short.headline


@pytest.mark.usefixtures("nothing_is_left_running")
def test_without_settling_the_queue_of_the_last_worker_is_read() -> None:
    script = "echo '->  w@a: OK'; sleep 0.01; cat << END\n" + queue("celery") + "END\nsleep 100"
    outcome = run("w@a", "--settle", "0", "--queue", "celery", "--", "sh", "-c", script, "celery", "{}")
    assert (outcome.findings, outcome.code) == ([], OK)


@pytest.mark.parametrize("name", ["e*", "emails,celery", "celery, other", "*"])
def test_several_queues_in_one_name_are_refused(name: str) -> None:
    outcome = check("w@a", "--queue", f"{name}=1", text=consuming({"w@a": ["emails", "celery"]}))
    reason = f"--queue {name}: it means several queues; write --queue once for each of them"
    assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


@pytest.mark.parametrize("queue", ["a,b", "a*", "{shop}celery", "a=b", "a=1"])
def test_a_queue_of_any_name_can_be_written(queue: str, tmp_path: Path) -> None:
    text = consuming({"w@a": [queue]})
    assert check("--baseline", text=text).output == f"w@a\nqueue {queue}=1..\n"
    file = tmp_path / "expected"
    file.write_text(f"w@a\nqueue {queue}=1..\n")
    assert check("-f", str(file), text=text).code == OK
    assert check("w@a", "--queue", f"{queue}=1", text=text).code == OK


@pytest.mark.parametrize("limit", ["emails=two", "emails=2:", "emails=-1", "emails=", "emails=1..x", "a=b"])
def test_a_limit_that_cannot_be_read_is_refused(limit: str) -> None:
    right = "write NAME, NAME=N, NAME=MIN..MAX or NAME=MIN..; a NAME that holds = needs its limit"
    outcome = check("w@a", "--queue", limit, text="w@a: OK\n")
    assert outcome.output == f"CELERY WORKERS UNKNOWN - --queue {limit}: its limit cannot be read; {right}\n"


def test_a_limit_that_no_number_meets_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("queue emails=3..2\n")
    reason = "MIN is greater than MAX; write NAME=MIN..MAX"
    for arguments, place in ((["--queue", "emails=3..2"], "--queue emails=3..2"), (["-f", str(file)], f"{file}:1")):
        assert check(*arguments) == Outcome(f"CELERY WORKERS UNKNOWN - {place}: {reason}\n", UNKNOWN)


def test_a_queue_given_twice_is_refused() -> None:
    outcome = check("w@a", "--queue", "emails", "--queue", "emails=2")
    assert outcome.output == "CELERY WORKERS UNKNOWN - --queue emails=2: the queue is given twice; write it once\n"


@pytest.mark.parametrize("queue", ["a#b", " a", "bcast.5", "w.dq"])
def test_a_baseline_leaves_out_queues_that_a_file_cannot_name_or_that_are_of_one_worker(queue: str) -> None:
    outcome = check("--baseline", text=consuming({"w-1@a": ["emails", queue]}))
    assert outcome.output == "w-1..1@a\nqueue emails=1..\n"


def test_verbose_lists_servers_and_queues_in_natural_order() -> None:
    fleet = {"w@a10": ["q1-10", "q1-2"], "w@a2": ["q1-2"], "v@a2": ["q1-2"]}
    outcome = check("*@*=3", "-v", text=consuming(fleet))
    assert outcome.findings == [
        "Online on a2: 2 workers, v@a2, w@a2",
        "Online on a10: 1 worker, w@a10",
        "Queue q1-2: 3 workers",
        "Queue q1-10: 1 worker",
    ]


def test_verbose_names_no_server_where_a_node_has_none() -> None:
    outcome = check("worker=1", "-v", text="->  worker: OK\n\n1 node online.\n")
    assert outcome.findings == ["Online: 1 worker, worker"]


@pytest.mark.parametrize("name", ["", " ", "=2"])
def test_a_queue_without_a_name_is_a_usage_error(name: str) -> None:
    message = f"--queue {name}: NAME is empty; write NAME, NAME=N, NAME=MIN..MAX or NAME=MIN.."
    assert check("w@a", "--queue", name) == Outcome(f"CELERY WORKERS UNKNOWN - {' '.join(message.split())}\n", UNKNOWN)


def test_a_queue_that_cannot_be_read_may_be_any_beside_one_that_can() -> None:
    text = consuming({"w-1@a": ["emails"], "w-2@a": ["celery"]})
    unreadable = text.replace("\n->  w-2", "\n    * {'name': 'emails', 'exchange': <Exchange>}\n->  w-2")
    assert check("w-1..2@a", "--queue", "celery=1..2", text=unreadable).code == OK
    outcome = check("w-1..2@a", "--queue", "celery=1", text=unreadable)
    reason = "Celery's output shows no queues of w-1@a; run inspect active_queues"
    assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def test_the_baseline_has_the_queues_in_natural_order() -> None:
    outcome = check("--baseline", text=consuming({"w@a": ["q-10", "q-2"], "v@a": ["q-2"]}))
    assert outcome == Outcome("v@a\nw@a\nqueue q-2=2..\nqueue q-10=1..\n", OK)


def test_no_queue_short_may_be_what_alerts() -> None:
    outcome = check(*EXPECTED, "--queue", "emails", "--queues-critical", "1:", text=consuming(FLEET))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 0 queues short of consumers"
