"""A text as a sequence of outputs: how each ended, what it says of each node, and what that lets judge."""

from __future__ import annotations

import json

import pytest
from running import CRITICAL, OK, PLUGIN, UNKNOWN, WARNING, Outcome, check, outcome_of, perfdata, run

REPLY = "->  {}: OK\n"
NOBODY = "Error: No nodes replied within time constraint\n"
NOBODY_4 = "Error: No nodes replied within time constraint.\n"
FAILED = "Error: Could not connect to the message broker. Reason: Error 111 connecting to redis1:6379.\n"
USAGE = "Usage: celery [OPTIONS] COMMAND [ARGS]...\nTry 'celery --help' for help.\n\nError: No such option '-A'.\n"
TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/shop/venv/bin/celery", line 8, in <module>
    sys.exit(main())
kombu.exceptions.OperationalError: [Errno 111] Connection refused
"""
QUEUE = (
    "    * {{'name': '{0}', 'exchange': {{'name': '{0}', 'type': 'direct'}}, 'routing_key': '{0}', 'alias': None}}\n"
)


def whole(*nodes: str) -> str:
    """Return an output of Celery 5 in which these nodes reply."""
    return "".join(map(REPLY.format, nodes)) + f"\n{len(nodes)} node{'s' * (len(nodes) > 1)} online.\n"


def older(*nodes: str, body: str = "        pong\n") -> str:
    """Return an output of `inspect` as of Celery 4, which prints no closing line."""
    return "".join(f"-> {node}: OK\n{body}" for node in nodes)


W1, W2 = "w-1@a", "w-2@a"
BOTH = ["w-1..2@a"]
WELL = "CELERY WORKERS OK - 2 of 2 workers online on 1 server"
W2_MISSING = "CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-2@a"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(whole(W1, W2), id="one"),
        pytest.param(whole(W1) + whole(W2), id="two-that-add-up"),
        pytest.param(whole(W1, W2) + whole(W1, W2), id="the-same-fleet-twice"),
        pytest.param(whole(W1, W2) + whole(W2, W1) + whole(W1, W2), id="three-times"),
        pytest.param(older(W1, W2), id="Celery-4-inspect"),
        pytest.param(older(W1, W2) + older(W1, W2), id="Celery-4-inspect-twice"),
        pytest.param(older(W1, W2) + older(W2, W1), id="Celery-4-inspect-twice-in-another-order"),
        pytest.param(older(W1) + whole(W2), id="Celery-4-and-5"),
        pytest.param(
            older(W1, W2, body=QUEUE.format("celery")) + older(W2, W1, body="    - empty -\n"), id="two-questions"
        ),
        pytest.param(older(W1, W2) + "w-1@a: OK\nw-2@a: OK\n\n2 nodes online.\n", id="Celery-4-inspect-and-status"),
        pytest.param(older(W1, W2) + whole(W1, W2), id="the-same-fleet-by-Celery-4-and-5"),
        pytest.param('{"w-1@a": {"ok": "pong"}}\n' + whole(W2), id="JSON-without-closing-line-and-text"),
        pytest.param(
            '{"w-1@a": [{"name": "q", "routing_key": "q"}], "w-2@a": [{"name": "q", "routing_key": "q"}]}\n'
            + "".join(f"->  {node}: OK\n    - empty -\n" for node in (W1, W2))
            + "\n2 nodes online.\n",
            id="JSON-of-queues-and-no-running-tasks",
        ),
        pytest.param(FAILED + whole(W1, W2), id="failed-then-whole"),
        pytest.param(FAILED + FAILED + TRACEBACK + whole(W1, W2), id="failed-three-times-then-whole"),
        pytest.param(USAGE + whole(W1, W2), id="a-usage-error-then-whole"),
        pytest.param(TRACEBACK + whole(W1) + whole(W2), id="a-traceback-then-two-that-are-whole"),
        pytest.param(NOBODY + whole(W1, W2), id="nobody-then-whole"),
        pytest.param(NOBODY_4 + older(W1, W2), id="nobody-then-Celery-4"),
        pytest.param(NOBODY + FAILED + NOBODY + whole(W1, W2), id="retries-of-any-kind"),
        pytest.param(whole(W1) + FAILED + whole(W2), id="failed-in-between"),
        pytest.param(REPLY.format(W1) + FAILED + whole(W1, W2), id="failed-after-a-reply-then-whole"),
        # What is not missing is there, however the text ends.
        pytest.param(whole(W1, W2)[:-10], id="cut-after-all-replied"),
        pytest.param("".join(map(REPLY.format, (W1, W2))), id="no-closing-line-and-nobody-missing"),
        pytest.param(REPLY.format(W1) + REPLY.format(W2).rstrip(), id="the-last-reply-has-no-end"),
        pytest.param(REPLY.format(W1) + REPLY.format(W2) + "\n5 nodes online.\n", id="more-nodes-claimed-than-missing"),
        pytest.param("w-1@a: OK\nw-2@a: OK\n", id="Celery-4-status-without-closing-line"),
        pytest.param('{"w-1@a": {"ok": "pong"}, "w-2@a": {"ok": "pong"}}\n', id="JSON"),
        pytest.param('{"w-1@a": {"ok": "pong"}}\n{"w-2@a": {"ok": "pong"}}\n', id="JSON-twice"),
        pytest.param('{"w-1@a": {"ok": "pong"}}\n\n1 node online.\n' + whole(W2), id="JSON-and-text"),
        pytest.param('{"w-1@a": [], "w-2@a": []}\n', id="JSON-lists"),
    ],
)
def test_all_well(text: str) -> None:
    outcome = check(*BOTH, text=text)
    assert (outcome.headline, outcome.findings, outcome.code) == (WELL, [], OK)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(whole(W1), id="one"),
        pytest.param(whole(W1) + whole(W1), id="twice"),
        pytest.param(whole(W1) + NOBODY, id="whole-then-nobody"),
        pytest.param(NOBODY + whole(W1), id="nobody-then-whole"),
        pytest.param(NOBODY + whole(W1) + NOBODY, id="nobody-on-both-sides"),
        pytest.param(older(W1), id="Celery-4-inspect"),
        pytest.param("w-1@a: OK\n", id="Celery-4-status"),
        pytest.param("w-1@a: OK", id="the-last-line-is-a-reply"),
        pytest.param("w-1@a: OK\n\n1 node online.", id="the-last-line-is-a-closing-line"),
        pytest.param('{"w-1@a": {"ok": "pong"}}\n', id="JSON"),
        pytest.param('{"w-1@a": {"ok": "pong"}}', id="JSON-without-an-end"),
        # The closing line counts all replies, so what stands behind other text is none.
        pytest.param("w-1@a: OK\nwarning: mail to w-2@a: OK\n\n1 node online.\n", id="behind-a-warning"),
        # What stands behind other text and has no node is none.
        pytest.param("w-1@a: OK\nINFO database: OK\n", id="a-log-says-OK"),
        pytest.param("->  w-1@a: OK\n->  log: w-2@a: OK\n\n1 node online.\n", id="a-log-behind-an-arrow"),
        pytest.param("->  log: w-2@a: OK\n->  w-1@a: OK\n\n1 node online.\n", id="a-log-behind-the-first-arrow"),
        pytest.param("w-1@a: OK\nmail to @w-2: OK\n", id="a-log-says-OK-of-a-nickname"),
    ],
)
def test_what_is_missing_is_missing(text: str) -> None:
    outcome = check(*BOTH, text=text)
    assert (outcome.headline, outcome.findings) == (W2_MISSING, ["Worker w-2@a was missing"])
    assert outcome.code == CRITICAL


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(whole(W1, W2) + FAILED, "Could not connect to the message broker", id="whole-then-failed"),
        pytest.param(
            FAILED + whole(W1, W2) + FAILED, "Could not connect to the message broker", id="failed-on-both-sides"
        ),
        pytest.param(FAILED + whole(W1), "Could not connect to the message broker", id="failed-then-whole"),
        pytest.param(whole(W1) + FAILED + whole(W1), "Could not connect to the message broker", id="failed-in-between"),
        pytest.param(whole(W1, W2) + TRACEBACK, "[Errno 111] Connection refused", id="whole-then-a-traceback"),
        pytest.param(whole(W1, W2) + USAGE, "No such option '-A'", id="whole-then-a-usage-error"),
        pytest.param(older(W1, W2) + FAILED, "Could not connect to the message broker", id="Celery-4-then-failed"),
        pytest.param(REPLY.format(W1) + FAILED, "Could not connect to the message broker", id="failed-after-a-reply"),
        pytest.param(REPLY.format(W1) + "Terminated\n", "Terminated", id="terminated"),
        pytest.param(whole(W1) + NOBODY + FAILED, "Could not connect to the message broker", id="nobody-then-failed"),
        pytest.param(whole(W1, W2) + NOBODY, "one of 2 outputs: no nodes replied", id="nobody-though-none-is-missing"),
        pytest.param(
            whole(W1) + whole(W2) + NOBODY, "one of 3 outputs: no nodes replied", id="nobody-as-the-last-of-three"
        ),
    ],
)
def test_one_of_several_outputs_is_no_answer(text: str, words: str) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert words in outcome.headline
    assert outcome.code == UNKNOWN
    assert "was missing" not in outcome.output


@pytest.mark.parametrize("text", [FAILED, NOBODY + FAILED, FAILED + FAILED, TRACEBACK, USAGE])
def test_no_reply_and_a_failure(text: str) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")


@pytest.mark.parametrize("text", [NOBODY, NOBODY_4, NOBODY + NOBODY, f"warning\n{NOBODY}bye\n"])
def test_nobody_replied(text: str) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.headline == "CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a"
    assert outcome.code == CRITICAL


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(REPLY.format(W1), id="Celery-5-without-closing-line"),
        pytest.param(REPLY.format(W1) + "->  w-", id="cut-inside-a-reply"),
        pytest.param("w-1@a: OK\nw-2@a: O", id="Celery-4-cut-inside-a-reply"),
        pytest.param("w-1@a: OK\nw-2", id="Celery-4-cut-inside-a-name"),
        pytest.param(whole(W1, W2).replace(REPLY.format(W2), ""), id="more-nodes-claimed-than-read"),
        pytest.param(whole(W1) + REPLY.format(W1), id="the-second-of-two-is-cut"),
        pytest.param("w-1@a: OK\n\n1 node onl", id="cut-inside-the-closing-line"),
        pytest.param(NOBODY + "->  w-", id="the-second-of-two-is-cut-inside-its-first-reply"),
        pytest.param('{"w-1@a": {"ok": "pong"}, "w-2@', id="cut-JSON"),
        pytest.param(whole(W1) + '{"w-1@a": {"ok": "pong"}, "w-2@', id="cut-JSON-after-a-whole-output"),
        pytest.param("->  w-1@a: OK\n[warning] ->  w-2@a: OK\n\n2 nodes online.\n", id="a-reply-behind-other-text"),
        pytest.param("w-1@a: OK\nwarning: no cachew-2@a: OK\n\n2 nodes online.\n", id="a-reply-behind-a-warning"),
        pytest.param("w-1@a: OK\nwarning: no cachew-2@a: ERROR\n", id="an-error-behind-a-warning"),
        pytest.param(older(W1) + "warning: no cache-> w-2@a: OK\n", id="a-reply-of-Celery-4-behind-a-warning"),
    ],
)
def test_a_text_that_is_not_whole_does_not_let_judge_who_is_missing(text: str) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.code == UNKNOWN, outcome.output
    assert "is cut" in outcome.headline
    assert "was missing" not in outcome.output


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("status-1  | ->  w-1@a: OK", id="docker-compose"),
        pytest.param("Nov 25 09:00:01 app1 celery[311]: w-1@a: OK", id="journald"),
        pytest.param("Nov 25 09:00:01 ->  w-1@a: OK", id="ts"),
    ],
)
def test_prefixed_lines_are_named_as_such(line: str) -> None:
    outcome = check(*BOTH, text=f"{line}\n{line.replace(W1, W2)}\n")
    assert outcome.code == UNKNOWN
    assert W1 in outcome.headline or "prefix" in outcome.headline or "behind" in outcome.headline


def test_json_over_many_lines_is_named_as_such() -> None:
    outcome = check(*BOTH, text=json.dumps({W1: {"ok": "pong"}, W2: {"ok": "pong"}}, indent=2) + "\n")
    assert outcome.code == UNKNOWN
    assert "JSON" in outcome.headline


@pytest.mark.parametrize("node", ["my laptop@web9", "worker1", "celery@my server", "\u00e4 b", "w 1@a"])
def test_an_odd_node_is_a_node_and_hides_no_other(node: str) -> None:
    text = whole(W1, node, W2)
    outcome = check(*BOTH, text=text)
    assert outcome.headline.startswith("CELERY WORKERS WARNING - 1 worker unexpected: ")
    assert outcome.code == WARNING
    assert outcome.perfdata["online"] == "3;;;0"
    assert len(outcome.findings) == 1
    assert node in outcome.findings[0]
    assert check(*BOTH, "--ignore", node, text=text).code == OK
    as_json = json.dumps({name: {"ok": "pong"} for name in (W1, node, W2)}) + "\n"
    if "@" in node:
        assert check(*BOTH, text=as_json) == outcome
    else:
        # In JSON a name that has no @ may be anything.
        assert check(*BOTH, text=as_json) == Outcome(f"CELERY WORKERS UNKNOWN - {as_json}", UNKNOWN)


@pytest.mark.parametrize("node", ["my laptop@web9", "worker1", "w 1@a"])
def test_a_baseline_of_an_odd_node_fed_back_is_ok(node: str) -> None:
    text = whole(W1, node, W2)
    described = check("--baseline", text=text)
    assert described.code == OK
    assert check(*described.output.splitlines(), text=text).code == OK
    assert check(*described.output.splitlines(), text=whole(W1, W2)).code == CRITICAL


def test_a_pattern_expects_an_odd_node() -> None:
    assert check("worker*=1", "w*@a=2", text=whole(W1, "worker1", W2)).code == OK


@pytest.mark.parametrize(
    "line",
    [
        '{"w-2@a": {"event": "worker-offline"}}',
        '{"w-2@a": "pong"}',
        '{"w-2@a": null}',
        '{"w-2@a": 1}',
        '{"w-2@a": {}}',
        '{"level": "INFO", "message": "w-2@a: OK"}',
        "w-2@a: FAILED",
        "w-2@a: OK, thanks",
        "w-2@a: WARNING",
        "{}",
        "[]",
    ],
)
def test_no_reply(line: str) -> None:
    outcome = check(*BOTH, text=f"w-1@a: OK\n{line}\n\n1 node online.\n")
    assert outcome.headline == W2_MISSING
    alone = check(*BOTH, text=f"{line}\n")
    assert alone.code == UNKNOWN
    assert alone.headline.startswith("CELERY WORKERS UNKNOWN - ")


WARNING_LINE = "/srv/control.py:96: DuplicateNodenameWarning: Received multiple replies from node"


@pytest.mark.parametrize(
    ("text", "duplicates"),
    [
        pytest.param(whole(W1, W1, W2).replace("3 nodes", "2 nodes"), [W1], id="twice-in-one-output"),
        pytest.param(
            older(W1, W1, W2).replace("-> ", "->  ") + "\n2 nodes online.\n", [W1], id="twice-in-one-output-of-inspect"
        ),
        pytest.param("w-1@a: OK\nw-1@a: OK\nw-2@a: OK\n\n2 nodes online.\n", [W1], id="twice-in-Celery-4-status"),
        pytest.param("w-1@a: OK\nw-2@a: OK\nw-01@a: OK\n\n3 nodes online.\n", [W1], id="two-spellings"),
        pytest.param(f"{WARNING_LINE} name: w-1@a.\n{whole(W1, W2)}", [W1], id="the-warning"),
        pytest.param(f"{whole(W1, W2)}{WARNING_LINE} names: w-1@a, w-2@a.\n", [W1, W2], id="the-warning-of-two"),
        pytest.param(
            json.dumps({"message": f"{WARNING_LINE} name: w-1@a.", "level": "WARNING"}) + "\n" + whole(W1, W2),
            [W1],
            id="the-warning-in-JSON",
        ),
        pytest.param(
            whole(W1, W2)
            + json.dumps(
                {"msg": f"{WARNING_LINE} names: w-2@a, w-1@a.\nPlease make sure you give each node a unique nodename"}
            )
            + "\n",
            [W1, W2],
            id="the-whole-warning-in-JSON",
        ),
        pytest.param(
            json.dumps({"message": f"{WARNING_LINE} name: w-1@a."}) + "\n" + older(W1, W1, W2),
            [W1],
            id="the-warning-in-JSON-and-Celery-4-inspect",
        ),
        pytest.param(older(W1, W1, W2), [], id="Celery-4-inspect-without-the-warning"),
        pytest.param(whole(W1, W2) + whole(W1, W2), [], id="two-outputs"),
        pytest.param('{"w-1@a": {"ok": "pong"}}\n{"w-1@a": [], "w-2@a": []}\n', [], id="two-outputs-in-JSON"),
    ],
)
def test_duplicates(text: str, duplicates: list[str]) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.findings == [f"Node name {node} was used by more than one worker" for node in duplicates]
    assert outcome.code == (WARNING if duplicates else OK)


ALL_EMPTY = "".join(f"->  {node}: OK\n    - empty -\n" for node in (W1, W2)) + "\n2 nodes online.\n"
TASK = (
    "    * {'id': 'x', 'name': 'shop.mail', 'args': [], 'kwargs': {}, 'time_start': 1795579981.04, 'worker_pid': 7}\n"
)
NO_QUEUE = "Worker w-2@a was malfunctioning, it consumes from no queue"


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        pytest.param(ALL_EMPTY, [], id="all-empty"),
        pytest.param(ALL_EMPTY.replace("- empty -", "[]"), [], id="all-empty-lists"),
        pytest.param('{"w-1@a": [], "w-2@a": []}\n', [], id="all-empty-in-JSON"),
        pytest.param(ALL_EMPTY.replace("    - empty -\n", QUEUE.format("celery"), 1), [NO_QUEUE], id="a-queue-shown"),
        pytest.param(
            f"->  w-2@a: OK\n    []\n->  w-1@a: OK\n{QUEUE.format('celery')}\n2 nodes online.\n",
            [NO_QUEUE],
            id="a-queue-shown-later",
        ),
        pytest.param(f"-> w-2@a: OK\n    - empty -\n-> w-1@a: OK\n{QUEUE.format('celery')}", [NO_QUEUE], id="Celery-4"),
        pytest.param(
            '{"w-2@a": [], "w-1@a": [{"name": "celery", "exchange": {"name": "celery"}, "routing_key": "celery"}]}\n',
            [NO_QUEUE],
            id="a-queue-shown-in-JSON",
        ),
        pytest.param(ALL_EMPTY.replace("    - empty -\n", TASK, 1), [], id="a-task-shown"),
        pytest.param(
            '{"w-2@a": [], "w-1@a": [{"id": "x", "name": "shop.mail", "args": [], "time_start": 1795579981.04}]}\n',
            [],
            id="a-task-shown-in-JSON",
        ),
        pytest.param(
            ALL_EMPTY.replace("    - empty -\n", "    * {'eta': '2026-11-25', 'request': {'name': 'shop.mail'}}\n", 1),
            [],
            id="a-scheduled-task-shown",
        ),
        pytest.param(
            ALL_EMPTY.replace("    - empty -\n", TASK.replace("1795579981.04", "None"), 1), [], id="a-reserved-task"
        ),
        pytest.param(
            whole(W1, W2).replace("OK\n", "OK\n" + QUEUE.format("celery")) + ALL_EMPTY, [], id="of-another-output"
        ),
        pytest.param(
            older(W1, W2, body=QUEUE.format("celery")) + older(W1, W2, body="    - empty -\n"),
            [],
            id="of-another-output-of-Celery-4",
        ),
        pytest.param(
            older(W2, W1, body="    - empty -\n") + older(W1, W2, body=QUEUE.format("celery")),
            [],
            id="of-an-output-of-Celery-4-before",
        ),
        pytest.param(whole(W1, W2) + "    - empty -\n", [], id="below-no-node"),
    ],
)
def test_without_a_queue(text: str, findings: list[str]) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.findings == findings
    assert outcome.code == (CRITICAL if findings else OK)


@pytest.mark.parametrize("question", ["active_queues", "active", "reserved", "scheduled", "revoked", "ping"])
@pytest.mark.usefixtures("nothing_is_left_running")
def test_the_word_after_inspect_tells_the_question(question: str) -> None:
    script = f"printf -- '{ALL_EMPTY}'"
    outcome = run(
        *BOTH, "--wait", "--", "sh", "-c", script.replace("\n", "\\n"), "celery", "inspect", question, "-t", "5"
    )
    if question == "active_queues":
        assert outcome.headline == "CELERY WORKERS CRITICAL - 2 workers malfunctioning: w-1@a, w-2@a"
        assert outcome.findings == [NO_QUEUE.replace(W2, W1), NO_QUEUE]
    else:
        assert outcome.headline == WELL


@pytest.mark.usefixtures("nothing_is_left_running")
@pytest.mark.parametrize(
    "words",
    [
        "inspect active_queues",
        "inspect -t 5 active_queues",
        "inspect --timeout=5 active_queues",
        "inspect -d w-1@a,w-2@a active_queues",
        "inspect --destination w-1@a -t 5 active_queues",
        "-A proj inspect -t 5 -d w-1@a active_queues --json",
    ],
)
def test_options_may_stand_before_the_question(words: str) -> None:
    script = f"cat << END\n{ALL_EMPTY}END"
    outcome = run(*BOTH, "--wait", "--", "sh", "-c", script, "celery", *words.split())
    assert outcome.headline == "CELERY WORKERS CRITICAL - 2 workers malfunctioning: w-1@a, w-2@a"


@pytest.mark.usefixtures("nothing_is_left_running")
@pytest.mark.parametrize(
    ("script", "headline", "code"),
    [
        # A status of 0 does not say that the output is whole: `kubectl exec` that loses its connection ends so too.
        pytest.param("echo '->  w-1@a: OK'", None, UNKNOWN, id="no-closing-line"),
        pytest.param("echo 'w-1@a: OK'", W2_MISSING, CRITICAL, id="no-closing-line-of-Celery-4"),
        pytest.param("echo '->  w-1@a: OK'; exit 3", None, UNKNOWN, id="no-closing-line-and-another-status"),
        pytest.param("printf -- '->  w-1@a: OK\\n\\n2 nodes online.\\n'", None, UNKNOWN, id="fewer-than-claimed"),
        pytest.param(
            "echo 'w-1@a: OK'; echo; echo '1 node online.'; echo 'Error: No broker' >&2; exit 1",
            None,
            UNKNOWN,
            id="one-of-two-apps-failed",
        ),
        pytest.param(
            "echo 'w-1@a: OK'; echo; echo '1 node online.'; echo 'Error: No nodes replied within time constraint' >&2",
            W2_MISSING,
            CRITICAL,
            id="nobody-of-the-second-app",
        ),
    ],
)
def test_outputs_of_a_command(script: str, headline: str | None, code: int) -> None:
    outcome = run(*BOTH, "--", "sh", "-c", script)
    assert outcome.code == code
    assert headline is None or outcome.headline == headline


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            FAILED + "failed to send traces to Datadog Agent at http://localhost:8126\n" + TRACEBACK,
            "Could not connect to the message broker",
            id="noise-of-a-tracer-at-exit",
        ),
        pytest.param(
            TRACEBACK + "Sentry is attempting to send 1 pending events\nWaiting up to 2 seconds\n",
            "[Errno 111] Connection refused",
            id="Sentry-at-exit",
        ),
        pytest.param(
            FAILED + "\nERROR conda.cli.main_run:execute(127): `conda run celery status` failed.\n",
            "Could not connect to the message broker",
            id="conda-run",
        ),
        pytest.param(
            'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nsettings.Invalid: no REDIS_URL\n'
            "  For further information visit https://errors.example.com/v/missing\n",
            "no REDIS_URL",
            id="a-footer-with-a-link",
        ),
        pytest.param("***\nbanner\n***\nConnection closed by 192.0.2.7 port 22\n", "Connection closed by", id="closed"),
        pytest.param("hello\nssh: connect to host a port 22: Connection timed out\nbye\n", "timed out", id="timed-out"),
        pytest.param("hello\n/bin/sh: line 1: 4711 Killed\nbye\n", "Killed", id="killed"),
        pytest.param(
            "hello\nLoading of the application failed.\nTry again.\nNote: it is late.\n", "failed", id="failed"
        ),
    ],
)
def test_the_reason(text: str, words: str) -> None:
    outcome = check(*BOTH, text=text)
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert words in outcome.headline


PASSWORDS = [
    "redis://:S3cretPw@redis1:6379/0",
    "amqp://app:S3cretPw@rabbit:5672//",
    "amqp://app:pa/S3cretPw@rabbit:5672//",
    "AMQPS://app:S3cretPw@rabbit",
    "sentinel://:S3cretPw@r0:26379/0;sentinel://:S3cretPw@r1:26379/0",
    "db+postgresql://shop:S3cretPw@db/shop",
    "https://user:S3cretPw@example.com/?a=b@c",
]


@pytest.mark.parametrize("verbosity", ["-q", "-v", "-vv", "-vvv"])
@pytest.mark.parametrize("url", PASSWORDS)
def test_no_credentials_leave(url: str, verbosity: str) -> None:
    for line in (
        f"Worker using Redis url: {url}",
        f"Error: cannot connect to {url}.",
        f"ValueError: Invalid broker URL {url}",
        f"BROKER_URL='{url}' failed",
        json.dumps({"level": "error", "message": f"Cannot connect to {url}: refused"}),
    ):
        for text in (f"{line}\n", f"{line}\nw-1@a: OK\nw-2@a: OK\n", f"w-1@a: OK\n{line}\n\n1 node online.\n"):
            assert "S3cretPw" not in check(*BOTH, verbosity, text=text).output


@pytest.mark.usefixtures("nothing_is_left_running")
@pytest.mark.parametrize("verbosity", ["-q", "-vvv"])
@pytest.mark.parametrize("script", ["exit 3", "sleep 100", "echo 'w-1@a: OK'; exit 3"])
@pytest.mark.waiting
def test_no_credentials_of_the_command_leave(script: str, verbosity: str) -> None:
    outcome = run(*BOTH, "-t", "1", verbosity, "--", "sh", "-c", script, "amqp://app:S3cretPw@rabbit//")
    assert outcome.code == UNKNOWN
    assert "S3cretPw" not in outcome.output


ARGUMENTS = {
    "Celery-5": (
        "->  w-1@a: OK\n    * {'id': 'x', 'name': 'shop.mail', 'args': ['jane@example.com'], 'kwargs': {'to': 'jane'}, "
        "'type': 'shop.mail', 'time_start': 1795579981.04, 'delivery_info': {}}\n->  w-2@a: OK\n    - empty -\n"
        "\n2 nodes online.\n"
    ),
    "Celery-3.1": (
        "-> w-1@a: OK\n    * {u'args': u\"[u'jane@example.com']\", u'time_start': 1496.3, u'name': u'shop.mail', "
        "u'kwargs': u\"{u'to': u'jane'}\"}\n-> w-2@a: OK\n    - empty -\n"
    ),
    "scheduled": (
        "->  w-1@a: OK\n    * {'eta': '2026-11-25', 'priority': 6, 'request': {'id': 'x', 'name': 'shop.mail', "
        "'args': ('jane@example.com',), 'kwargs': {'to': 'jane'}}}\n->  w-2@a: OK\n    - empty -\n\n2 nodes online.\n"
    ),
    "JSON": json.dumps(
        {
            W1: [
                {
                    "id": "x",
                    "name": "shop.mail",
                    "args": ["jane@example.com"],
                    "kwargs": {"to": "jane"},
                    "time_start": 2e9,
                }
            ],
            W2: [],
        }
    )
    + "\n",
    "scheduled-JSON": json.dumps(
        {
            W1: [
                {"eta": "x", "request": {"name": "shop.mail", "args": ["jane@example.com"], "kwargs": {"to": "jane"}}}
            ],
            W2: [],
        }
    )
    + "\n",
    "cut": ("->  w-1@a: OK\n    * {'id': 'x', 'name': 'shop.mail', 'args': ['jane@example.com'], 'kwargs': {'to': 'ja"),
    "cut-JSON": '{"w-1@a": [{"id": "x", "name": "shop.mail", "args": ["jane@example.com"], "kwargs": {"to": "ja',
}


@pytest.mark.parametrize("options", ["-q", "-v", "-vv", "-vvv", "-vvv --task-limit 1", "-vvv --queue mail"])
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in ARGUMENTS.items()])
@pytest.mark.parametrize("expected", ["w-1..2@a", "w-1..3@a"])
def test_no_argument_of_a_task_leaves(expected: str, text: str, options: str) -> None:
    for printed in (text, f"{FAILED}{text}", f"{text}{FAILED}"):
        assert "jane" not in check(expected, *options.split(), text=printed).output


@pytest.mark.parametrize(
    "noise",
    [b"\xef\xbb\xbf", b"\x1b[0m", b"\xff\xfe\n", b"\x00\n", b"\r\n", b"\x1b]0;celery\x07"],
    ids=["BOM", "colours", "no-UTF-8", "NUL", "CR", "title"],
)
def test_bytes_that_do_no_harm(noise: bytes) -> None:
    assert check(*BOTH, text=noise + whole(W1, W2).encode()).code == OK
    assert check(*BOTH, text=whole(W1, W2).replace("\n", "\r\n").encode() + noise).code == OK
    assert check(*BOTH, text=noise + whole(W1).encode()).headline == W2_MISSING


@pytest.mark.parametrize(
    "text",
    [
        whole(W1, W2) + FAILED,
        REPLY.format(W1),
        whole(W1, W2) + NOBODY,
        FAILED,
        NOBODY,
        "",
        "hello\n",
        whole(W1, W2).replace("2 nodes", "3 nodes"),
    ],
    ids=["failed", "cut", "nobody-later", "failed-alone", "nobody", "empty", "noise", "more-claimed"],
)
def test_no_baseline_of_a_text_that_would_be_unknown(text: str) -> None:
    outcome = check("--baseline", text=text)
    assert outcome.code == UNKNOWN
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - ")
    assert outcome.output.count("\n") == 1


def test_an_empty_text_from_a_pipe() -> None:
    outcome = outcome_of("sh", "-c", f"true | exec {PLUGIN} w-1..2@a")
    assert outcome.code == CRITICAL
    assert "2>&1" in outcome.output


def test_the_outputs_are_counted() -> None:
    whole_output = "->  w-{}@a: OK\n\n1 node online.\n"
    text = whole_output.format(1) + whole_output.format(2) + "Error: broken\n"
    assert check("w-1..2@a", text=text).headline == (
        "CELERY WORKERS UNKNOWN - one of 3 outputs failed, 2 of 2 workers had replied: Error: broken"
    )
    text = whole_output.format(1) + "Error: No nodes replied within time constraint\n" * 2
    assert check("w-1..1@a", text=text).headline == "CELERY WORKERS UNKNOWN - 2 of 3 outputs: no nodes replied"


@pytest.mark.parametrize("blank", ["\n", " \n\n", "\r\n"])
def test_blank_lines_are_an_empty_text(blank: str) -> None:
    outcome = check(*BOTH, text=blank)
    assert outcome == check(*BOTH, text="")
    headline = "CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a, Celery's output was empty"
    assert (outcome.headline, outcome.code) == (headline, CRITICAL)


CLOSED = "\n1 node online.\n"


def all_well(online: int) -> Outcome:
    """Return that all are there who are expected."""
    workers = f"{online} of {online} worker{'s' * (online > 1)} online on 1 server"
    numbers = perfdata(missing=f"0;;0;0;{online}", online=f"{online};;;0")
    return Outcome(f"CELERY WORKERS OK - {workers} | {numbers}\n", OK)


def one_missing(node: str, expected: int = 2) -> Outcome:
    """Return that one is missing, beside whom others of its server are there."""
    numbers = perfdata(missing=f"1;;0;0;{expected}", online=f"{expected - 1};;;0")
    headline = f"CELERY WORKERS CRITICAL - 1 of {expected} workers missing: {node}"
    return Outcome(f"{headline} | {numbers}\nWorker {node} was missing\n", CRITICAL)


def not_whole(problem: str, node: str, expected: int = 2) -> Outcome:
    """Return that one has not answered, and that a part of the text is missing."""
    counts = f"{expected - 1} of {expected} workers had replied, no reply from {node}"
    reason = f"Celery's output is cut: {problem}, {counts}"
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\nWorker {node} had not replied\n", UNKNOWN)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param(REPLY.format(W1) + REPLY.format(W2) + 2 * CLOSED, all_well(2), id="all-are-there"),
        pytest.param(
            REPLY.format(W1) + REPLY.format(W1) + REPLY.format(W2) + "\n2 nodes online.\n" + CLOSED,
            all_well(2),
            id="two-ask-the-same-worker",
        ),
        pytest.param(
            REPLY.format(W1) + REPLY.format(W2) + CLOSED + REPLY.format(W1) + 2 * CLOSED, all_well(2), id="three-ask"
        ),
        pytest.param(3 * REPLY.format(W1) + 3 * CLOSED, one_missing(W2), id="three-ask-the-same-worker"),
        pytest.param("w-1@a: OK\nw-2@a: OK\n" + 2 * CLOSED, all_well(2), id="two-of-Celery-4"),
        pytest.param(REPLY.format(W1) + REPLY.format(W1) + 2 * CLOSED, one_missing(W2), id="one-is-missing"),
        pytest.param(
            REPLY.format(W1) + REPLY.format(W1) + 2 * CLOSED + NOBODY, one_missing(W2), id="nobody-of-the-third"
        ),
        pytest.param(
            REPLY.format(W1) + REPLY.format(W1) + CLOSED + "\n2 nodes online.\n",
            not_whole("it counts 2 nodes and lists 0", W2),
            id="more-claimed-than-all-have",
        ),
        pytest.param(
            CLOSED + REPLY.format(W1) + REPLY.format(W1) + CLOSED,
            not_whole("it counts 1 nodes and lists 0", W2),
            id="a-closing-line-before-all-replies",
        ),
    ],
)
def test_hosts_that_are_asked_side_by_side(text: str, outcome: Outcome) -> None:
    assert check(*BOTH, text=text) == outcome


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([(1, 2, 1), (3, 4, 1), (0, 0, 1), (5, 5, 2)], id="each-of-two-lacks-one"),
        pytest.param([(1, 2, 1), (3, 4, 1), (5, 5, 3)], id="one-lacks-two"),
    ],
)
def test_what_several_hosts_have_too_many_others_lack(counts: list[tuple[int, int, int]]) -> None:
    text = ""
    for first, last, claimed in counts:
        replies = "".join(REPLY.format(f"w-{number}@a") for number in range(first, last + 1) if number)
        text += f"{replies}\n{claimed} node{'s' * (claimed > 1)} online.\n"
    assert check("w-1..6@a", text=text) == one_missing("w-6@a", 6)
    less = text.replace(REPLY.format("w-4@a"), "")
    problem = "it counts 2 nodes and lists 1" if len(counts) == 4 else "it counts 3 nodes and lists 1"
    assert check("w-1..3@a", "w-5..6@a", text=less) == not_whole(problem, "w-6@a", 5)


def test_a_node_that_comes_twice_is_a_duplicate_only_where_nobody_else_asked() -> None:
    twice = REPLY.format(W1) + REPLY.format(W1)
    numbers = perfdata(missing="0;;0;0;1", online="1;;;0", duplicate="1;0;;0")
    duplicate = Outcome(
        f"CELERY WORKERS WARNING - 1 worker duplicate: {W1} | {numbers}\n"
        f"Node name {W1} was used by more than one worker\n",
        WARNING,
    )
    for text in (twice + CLOSED, twice + "\n2 nodes online.\n", twice + CLOSED + whole(W1)):
        assert check("w-1..1@a", text=text) == duplicate
    assert check("w-1..1@a", text=twice + 2 * CLOSED) == all_well(1)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param(f"w-2@a: OK\n{whole(W1)}", one_missing(W2), id="before"),
        pytest.param(f"w-2@a: ERROR\n{whole(W1)}", one_missing(W2), id="an-error-before"),
        pytest.param(f"w-2@a: OK\nw-2@a: OK\n{whole(W1)}", one_missing(W2), id="twice-before"),
        pytest.param(f"{REPLY.format(W1)}w-2@a: OK\n{CLOSED}", one_missing(W2), id="after"),
        pytest.param(f"{REPLY.format(W1)}w-2@a: ERROR\n{CLOSED}", one_missing(W2), id="an-error-after"),
        pytest.param(f"{REPLY.format(W1)}w-1@a: OK\n{CLOSED}", one_missing(W2), id="of-the-same-node"),
        pytest.param(f"w-2@a: OK\n{REPLY.format(W1)}w-2@a: OK\n{CLOSED}", one_missing(W2), id="on-both-sides"),
        pytest.param(f"w-2@a: OK\n{older(W1)}", one_missing(W2), id="before-Celery-4-inspect"),
        pytest.param(f"root@db: OK\n{whole(W1, W2)}", all_well(2), id="of-somebody-else"),
        pytest.param(f"{whole(W1)}w-2@a: OK\n{whole(W1)}", one_missing(W2), id="between-two-outputs"),
        pytest.param(
            f"w-2@a: OK\n{REPLY.format(W1)}\n2 nodes online.\n",
            not_whole("it counts 2 nodes and lists 1", W2),
            id="before-one-that-claims-more",
        ),
        # Where nothing has an arrow, each of these lines is a reply.
        pytest.param(f"w-2@a: OK\n{CLOSED}", one_missing(W1), id="alone"),
        pytest.param(f"w-2@a: OK\n{CLOSED}{whole(W1)}", all_well(2), id="in-an-output-of-its-own"),
    ],
)
def test_a_line_without_an_arrow_is_no_reply_where_others_have_one(text: str, outcome: Outcome) -> None:
    assert check(*BOTH, text=text) == outcome


def test_whose_tasks_break_off_may_have_more_though_nobody_is_missing() -> None:
    text = older(W1, body=TASK)
    assert check("w-1..1@a", text=f"{text}/srv/shop/settings.py:1: Warning: it is late\n").code == OK
    for cut in ("/srv/shop/settings.py:1: Warn", TASK[:-20]):
        assert check("w-1..1@a", text=text + cut) == Outcome(
            "CELERY WORKERS UNKNOWN - Celery's output is cut: its last line breaks off, 1 of 1 worker had replied\n",
            UNKNOWN,
        )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            older(W1, W2, body=QUEUE.format("celery")) + QUEUE.format("mail")[:-20],
            "its last line breaks off",
            id="in-a-queue",
        ),
        pytest.param(
            "->  w-1@a: OK\n        pong\n->  w-2@a: OK\n",
            "its closing line is missing (a timeout or a filter?)",
            id="before-it-begins",
        ),
        pytest.param(
            "->  w-1@a: OK\n        pong\n->  w-2@a: OK\n\n",
            "its closing line is missing (a timeout or a filter?)",
            id="before-it-begins-with-an-empty-line",
        ),
    ],
)
def test_what_the_last_worker_says_may_be_cut_though_nobody_is_missing(text: str, problem: str) -> None:
    outcome = Outcome(
        f"CELERY WORKERS UNKNOWN - Celery's output is cut: {problem}, 2 of 2 workers had replied\n", UNKNOWN
    )
    assert check(*BOTH, text=text) == check(*BOTH, "--", "printf", "%s", text) == outcome


@pytest.mark.usefixtures("nothing_is_left_running")
def test_what_was_asked_is_known_from_the_command() -> None:
    script = ["--", "sh", "-c", 'printf %s "$0"', older(W1, W2, body="    - empty -\n"), "inspect"]
    queues = check(*BOTH, *script, "active_queues")
    assert queues.headline == "CELERY WORKERS CRITICAL - 2 workers malfunctioning: w-1@a, w-2@a"
    assert check(*BOTH, *script, "active").headline == WELL


def test_a_failure_is_no_answer_where_nobody_need_be_there() -> None:
    assert check("w-*@a=0..2", text=NOBODY).headline == "CELERY WORKERS OK - 0 workers online on 0 servers"
    assert check("w-*@a=0..2", text=f"Error: gone\n{NOBODY}") == Outcome(
        "CELERY WORKERS UNKNOWN - Error: gone\n", UNKNOWN
    )


def test_the_last_reply_of_several_needs_no_end() -> None:
    assert check("w-1..3@a", text="w-1@a: OK\nw-2@a: OK") == one_missing("w-3@a", 3)


def test_json_that_breaks_off_was_passed_over() -> None:
    broken = '{"w-1@a": {"ok": "pong"}, "w-2@'
    findings = check(*BOTH, "-vv", text=whole(W1, W2) + broken).findings
    assert findings[-1] == f"Passed over in Celery's output: {broken}"


def test_what_is_taken_back_was_passed_over() -> None:
    for verdict in ("OK", "ERROR"):
        for text in (f"w-2@a: {verdict}\n{whole(W1)}", f"{REPLY.format(W1)}w-2@a: {verdict}\n{CLOSED}"):
            findings = check(*BOTH, "-vv", text=text).findings
            assert findings[-1] == f"Passed over in Celery's output: w-2@a: {verdict}"


@pytest.mark.usefixtures("nothing_is_left_running")
def test_what_is_taken_back_is_awaited_again() -> None:
    # Were it still a reply, all would have answered, and nobody would wait for what comes a little later.
    script = "echo 'w-2@a: OK'; echo '->  w-1@a: OK'; sleep 0.2; printf -- '->  w-2@a: OK\\n\\n2 nodes online.\\n'"
    outcome = run(*BOTH, "--settle", "0", "--", "sh", "-c", script)
    assert outcome.headline == WELL
    assert (outcome.findings, outcome.code) == ([], OK)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param(whole(W1)[:-1] + whole(W2), None, id="a-reply"),
        pytest.param(f"{whole(W1)[:-1]}Connection to app1 closed.\n{whole(W2)}", all_well(2), id="a-report-of-ssh"),
        pytest.param(f"{whole(W1)[:-1]}1 node online.\n", one_missing(W2), id="another-closing-line"),
        pytest.param(f"{whole(W1)[:-1]} bye\n", one_missing(W2), id="a-word"),
        pytest.param(f"{NOBODY[:-1]}non-zero return code\n{whole(W1)}", one_missing(W2), id="nobody-and-Ansible"),
        pytest.param(f"{NOBODY_4[7:-1]}bye\n{whole(W1, W2)}", all_well(2), id="nobody-of-5.0-and-a-word"),
    ],
)
def test_what_is_glued_behind_the_end_of_an_output(text: str, outcome: Outcome | None) -> None:
    # What is glued there is no reply, and the count of the next closing line shows that one is lacking.
    assert check(*BOTH, text=text) == (outcome or not_whole("it counts 1 nodes and lists 0", W2))


def test_a_line_of_a_log_before_the_first_arrow_ends_no_command_early() -> None:
    """It looked like the reply of the second worker, which comes later and says ERROR."""
    later = "sleep 0.3; printf -- '->  w-2@a: ERROR\\n\\n2 nodes online.\\n'"
    script = f"echo 'w-2@a: OK'; printf -- '->  w-1@a: OK\\n'; {later}"
    outcome = run(*BOTH, "--settle", "0", "--", "sh", "-c", script)
    assert outcome.findings == ["Worker w-2@a was malfunctioning, it answered ERROR"]
    assert outcome.code == CRITICAL


@pytest.mark.parametrize("node", ["w-1@a", "w-2@a"])
def test_an_ignored_worker_that_is_expected_consumes_all_the_same(node: str) -> None:
    item = "    * {'name': 'mail', 'exchange': {'name': 'mail'}, 'routing_key': 'mail'}\n"
    script = f'printf -- "->  {node}: OK\n{item}"; exec sleep 100'
    pattern = run(
        "w-*@a=1", "--queue", "mail", "--ignore", "w-*", "--settle", "0", "--", "sh", "-c", script, "active_queues"
    )
    assert (pattern.findings, pattern.code) == ([], OK)


def test_a_node_that_two_hosts_saw_is_no_duplicate() -> None:
    text = "->  w-1@a: OK\n->  w-1@a: OK\n->  w-2@a: OK\n\n2 nodes online.\n->  w-2@a: OK\n\n2 nodes online.\n"
    assert check(*BOTH, text=text).code == OK
    assert check(*BOTH, "w-3..3@a", text=text).headline == "CELERY WORKERS CRITICAL - 1 of 3 workers missing: w-3@a"


def test_a_node_that_is_repeated_does_not_stand_for_another() -> None:
    text = "->  w-1@a: OK\n->  w-1@a: OK\n\n1 node online.\n->  w-2@a: OK\n\n2 nodes online.\n"
    assert check(*BOTH, "w-3..3@a", text=text).headline == (
        "CELERY WORKERS UNKNOWN - Celery's output is cut: it counts 2 nodes and lists 1, 2 of 3 "
        "workers had replied, no reply from w-3@a"
    )
