"""`--beat`: whether Celery's scheduler answers, which is a node of its own kind."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, at_the_timeout, check, perfdata

STATES = {"OK": OK, "WARNING": WARNING, "CRITICAL": CRITICAL, "UNKNOWN": UNKNOWN}
HINT = "A beat replies from Celery 5.7 on, if the application sets beat_enable_remote_control"
NO_BEATS = "Celery's output shows no beats; run inspect ping"
NOBODY = "Error: No nodes replied within time constraint\n"


def told(status: str, *below: str, numbers: str = "") -> Outcome:
    """Return what the plugin says: `OK - ...`, the perfdata behind it if there are any, and the lines below."""
    top = f"CELERY WORKERS {status} | {numbers}" if numbers else f"CELERY WORKERS {status}"
    return Outcome("".join(f"{line}\n" for line in (top, *below)), STATES[status.split(maxsplit=1)[0]])


def closing(nodes: tuple[str, ...]) -> str:
    """Return the last line of Celery 5."""
    return f"\n{len(nodes)} node{'s' * (len(nodes) != 1)} online.\n"


def status(*nodes: str) -> str:
    """Return what `status` prints."""
    return "".join(f"->  {node}: OK\n" for node in nodes) + closing(nodes)


def pong(*nodes: str) -> str:
    """Return what `inspect ping` prints."""
    return "".join(f"->  {node}: OK\n        pong\n" for node in nodes) + closing(nodes)


def pong_json(*nodes: str) -> str:
    """Return what `inspect ping --json` prints."""
    return json.dumps({node: {"ok": "pong"} for node in nodes}) + "\n"


def consuming(*nodes: str) -> str:
    """Return what `inspect active_queues` prints, where all consume from `mail`."""
    queue = "    * {'name': 'mail', 'exchange': {'name': 'mail'}, 'routing_key': 'mail'}\n"
    return "".join(f"->  {node}: OK\n{queue}" for node in nodes) + closing(nodes)


def idle(*nodes: str) -> str:
    """Return what `inspect active` prints where nobody runs a task."""
    return "".join(f"->  {node}: OK\n    - empty -\n" for node in nodes) + closing(nodes)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--beat", "celerybeat@a"], id="by its name"),
        pytest.param(["--beat", "celerybeat@a=1"], id="by its name and how many there are of that"),
        pytest.param(["--beat", "celerybeat@*"], id="by a pattern, which means exactly one"),
        pytest.param(["--beat", "celerybeat@*=1"], id="by a pattern and a number"),
        pytest.param(["--beat", "celerybeat@*=1..2"], id="by a pattern and a range of numbers"),
        pytest.param(["--beat", "celerybeat@*=1.."], id="by a pattern and the least number"),
        pytest.param(["--beat", "*@a=0..1"], id="by a pattern that may match none"),
        pytest.param(["celerybeat@a"], id="as EXPECTED"),
        pytest.param(["-e", "celerybeat@a"], id="as EXPECTED behind its option"),
        pytest.param(["celerybeat@{a..a}"], id="as EXPECTED with braces"),
        pytest.param(["celerybeat@*=1"], id="as EXPECTED with a pattern"),
        pytest.param(["celerybeat@[ab]=1.."], id="as EXPECTED with a pattern and the least number"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(status("w-1@b", "w-2@b", "celerybeat@a"), id="status"),
        pytest.param(pong("celerybeat@a", "w-1@b", "w-2@b"), id="ping"),
        pytest.param(pong("celerybeat@a", "w-1@b", "w-2@b").replace("->  ", "-> ").partition("\n\n")[0] + "\n", id="4"),
        pytest.param(pong_json("w-1@b", "w-2@b", "celerybeat@a"), id="JSON"),
        pytest.param(consuming("w-1@b", "w-2@b") + pong("w-1@b", "w-2@b", "celerybeat@a"), id="two questions"),
    ],
)
def test_a_beat_that_answers_is_online_beside_the_workers(arguments: list[str], text: str) -> None:
    most = "2" if "0..1" in arguments[-1] else "3"
    assert check("w-1..2@b", *arguments, text=text) == told(
        "OK - 2 of 2 workers and 1 beat online on 2 servers",
        numbers=perfdata(missing=f"0;;0;0;{most}", online="3;;;0"),
    )


@pytest.mark.parametrize(
    ("arguments", "nodes", "expected"),
    [
        pytest.param(
            "w@a --beat celerybeat@app1",
            "w@a",
            told(
                "CRITICAL - 1 beat missing: celerybeat@app1",
                "Beat celerybeat@app1 was missing",
                HINT,
                numbers=perfdata(missing="1;;0;0;2", online="1;;;0"),
            ),
            id="one by its name",
        ),
        pytest.param(
            "w@a celerybeat@app1",
            "w@a",
            told(
                "CRITICAL - 1 beat missing: celerybeat@app1",
                "Beat celerybeat@app1 was missing",
                HINT,
                numbers=perfdata(missing="1;;0;0;2", online="1;;;0"),
            ),
            id="one as EXPECTED",
        ),
        pytest.param(
            "w@a celerybeat@{a,b}",
            "w@a celerybeat@a",
            told(
                "CRITICAL - 1 beat missing: celerybeat@b",
                "Beat celerybeat@b was missing",
                HINT,
                numbers=perfdata(missing="1;;0;0;3", online="2;;;0"),
            ),
            id="one of two in braces",
        ),
        pytest.param(
            "w@a --beat celerybeat@*",
            "w@a",
            told(
                "CRITICAL - 1 beat missing: celerybeat@*",
                "Pattern celerybeat@* matched 0 beats instead of 1, accounts for 1 missing beat",
                HINT,
                numbers=perfdata(missing="1;;0;0;2", online="1;;;0"),
            ),
            id="the one of a pattern",
        ),
        pytest.param(
            "w@a celerybeat@*=2",
            "w@a celerybeat@b",
            told(
                "CRITICAL - 1 beat missing: celerybeat@*",
                "Pattern celerybeat@* matched 1 beat instead of 2, accounts for 1 missing beat",
                HINT,
                numbers=perfdata(missing="1;;0;0;3", online="2;;;0"),
            ),
            id="one of two of a pattern that is EXPECTED",
        ),
        pytest.param(
            "w@a --beat celerybeat@*=2..3",
            "w@a",
            told(
                "CRITICAL - 2 beats missing: celerybeat@*",
                "Pattern celerybeat@* matched 0 beats instead of at least 2, accounts for 2 missing beats",
                HINT,
                numbers=perfdata(missing="2;;0;0;3", online="1;;;0"),
            ),
            id="two of a pattern",
        ),
        pytest.param(
            "w@a w@b --beat celerybeat@* --beat cron@b --beat cron@a",
            "w@a",
            told(
                "CRITICAL - 1 of 2 workers missing (server b), 3 beats missing",
                "Server b was missing, accounts for 1 missing worker: w@b",
                "Beat cron@a was missing",
                "Beat cron@b was missing",
                "Pattern celerybeat@* matched 0 beats instead of 1, accounts for 1 missing beat",
                HINT,
                numbers=perfdata(missing="4;;0;0;5", missing_servers="1;;;0", online="1;;;0"),
            ),
            id="several, which stand below the workers",
        ),
        pytest.param(
            "w@a v@a --beat celerybeat@a",
            "w@a celerybeat@a",
            told(
                "CRITICAL - 1 of 2 workers missing: v@a",
                "Worker v@a was missing",
                numbers=perfdata(missing="1;;0;0;3", online="2;;;0"),
            ),
            id="none, and a worker",
        ),
    ],
)
def test_beats_that_are_missing(arguments: str, nodes: str, expected: Outcome) -> None:
    assert check(*arguments.split(), text=status(*nodes.split())) == expected


@pytest.mark.parametrize(
    ("arguments", "nodes", "expected"),
    [
        pytest.param(
            "w@a",
            "w@a celerybeat@app2",
            told(
                "WARNING - 1 beat unexpected: celerybeat@app2",
                "Beat celerybeat@app2 was unexpectedly present",
                numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0"),
            ),
            id="where a worker is expected",
        ),
        pytest.param(
            "*@a=1..",
            "w@a celerybeat@app2",
            told(
                "WARNING - 1 beat unexpected: celerybeat@app2",
                "Beat celerybeat@app2 was unexpectedly present",
                numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0"),
            ),
            id="where a pattern of workers is expected",
        ),
        pytest.param(
            "--beat celerybeat@app1",
            "w@a celerybeat@app2 celerybeat@app1",
            told(
                "WARNING - 1 beat unexpected: celerybeat@app2",
                "Beat celerybeat@app2 was unexpectedly present",
                numbers=perfdata(missing="0;;0;0;1", online="3;;;0", unexpected="1;0;;0"),
            ),
            id="where a beat alone is expected",
        ),
        pytest.param(
            "w@a celerybeat@b",
            "w@a celerybeat@a",
            told(
                "CRITICAL - 1 beat missing (celerybeat@b), 1 beat unexpected (celerybeat@a)",
                "Beat celerybeat@b was missing",
                "Beat celerybeat@a was unexpectedly present",
                HINT,
                numbers=perfdata(missing="1;;0;0;2", online="2;;;0", unexpected="1;0;;0"),
            ),
            id="on another host than the one expected",
        ),
        pytest.param(
            "w@a",
            "w@a x@a celerybeat@b10 celerybeat@b2",
            told(
                "WARNING - 1 worker unexpected (x@a), 2 beats unexpected (celerybeat@b2, celerybeat@b10)",
                "Worker x@a was unexpectedly present",
                "Beat celerybeat@b2 was unexpectedly present",
                "Beat celerybeat@b10 was unexpectedly present",
                numbers=perfdata(missing="0;;0;0;1", online="4;;;0", unexpected="3;0;;0"),
            ),
            id="several, below the workers and in natural order",
        ),
        pytest.param(
            "w@a --beat celerybeat@*",
            "w@a celerybeat@a celerybeat@b",
            told(
                "WARNING - 1 beat unexpected: celerybeat@*",
                "Pattern celerybeat@* matched 2 beats instead of 1, accounts for 1 unexpected beat",
                numbers=perfdata(missing="0;;0;0;2", online="3;;;0", unexpected="1;0;;0"),
            ),
            id="one more than a pattern means",
        ),
        pytest.param(
            "w@a --beat celerybeat@*=1..2",
            "w@a celerybeat@a celerybeat@b celerybeat@c celerybeat@d",
            told(
                "WARNING - 2 beats unexpected: celerybeat@*",
                "Pattern celerybeat@* matched 4 beats instead of at most 2, accounts for 2 unexpected beats",
                numbers=perfdata(missing="0;;0;0;2", online="5;;;0", unexpected="2;0;;0"),
            ),
            id="two more than there may be",
        ),
        pytest.param(
            "w@a --beat celerybeat@*=0..1",
            "w@a celerybeat@a celerybeat@b",
            told(
                "WARNING - 1 beat unexpected: celerybeat@*",
                "Pattern celerybeat@* matched 2 beats instead of at most 1, accounts for 1 unexpected beat",
                numbers=perfdata(missing="0;;0;0;1", online="3;;;0", unexpected="1;0;;0"),
            ),
            id="two where there may be one or none",
        ),
        pytest.param(
            "w@a --beat cron@b",
            "w@a cron@a",
            told(
                "CRITICAL - 1 beat missing (cron@b), 1 worker unexpected (cron@a)",
                "Beat cron@b was missing",
                "Worker cron@a was unexpectedly present",
                HINT,
                numbers=perfdata(missing="1;;0;0;2", online="2;;;0", unexpected="1;0;;0"),
            ),
            id="none: only what is called celerybeat or expected as one is a beat",
        ),
        pytest.param(
            "w@a",
            "w@a celerybeats@a celerybeat-1@a",
            told(
                "WARNING - 2 workers unexpected: celerybeat-1@a, celerybeats@a",
                "Worker celerybeat-1@a was unexpectedly present",
                "Worker celerybeats@a was unexpectedly present",
                numbers=perfdata(missing="0;;0;0;1", online="3;;;0", unexpected="2;0;;0"),
            ),
            id="none: names compare exactly",
        ),
    ],
)
def test_beats_that_are_unexpected(arguments: str, nodes: str, expected: Outcome) -> None:
    assert check(*arguments.split(), text=status(*nodes.split())) == expected


@pytest.mark.parametrize("pattern", ["*@a", "celery*@a", "[cw]*@a"])
def test_a_beat_counts_for_no_pattern_of_workers(pattern: str) -> None:
    assert check(f"{pattern}=2", "--beat", "celerybeat@a", text=status("celery@a", "celerybeat@a")) == told(
        f"CRITICAL - 1 of 2 workers missing: {pattern}",
        f"Pattern {pattern} matched 1 worker instead of 2, accounts for 1 missing worker",
        numbers=perfdata(missing="1;;0;0;3", online="2;;;0"),
    )
    assert check(f"{pattern}=2", text=status("celery@a", "celerybeat@a")) == told(
        f"CRITICAL - 1 of 2 workers missing ({pattern}), 1 beat unexpected (celerybeat@a)",
        f"Pattern {pattern} matched 1 worker instead of 2, accounts for 1 missing worker",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="1;;0;0;2", online="2;;;0", unexpected="1;0;;0"),
    )


def test_a_beat_named_otherwise_counts_for_no_pattern_of_workers_either() -> None:
    assert check("*@a=1", "--beat", "cron-1@a", text=status("w@a", "cron-1@a")) == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server", numbers=perfdata(missing="0;;0;0;2", online="2;;;0")
    )


def test_a_beat_named_otherwise_leaves_the_workers_of_its_group() -> None:
    text = status("cron-1@a", "cron-2@a", "cron-3@a")
    assert check("cron-2..3@a", "--beat", "cron-1@a", text=text) == told(
        "OK - 2 of 2 workers and 1 beat online on 1 server", numbers=perfdata(missing="0;;0;0;3", online="3;;;0")
    )


def test_beats_may_be_several_or_none() -> None:
    none = perfdata(missing="0;;0;0;1", online="1;;;0")
    assert check("w@a", "--beat", "celerybeat@*=0..1", text=status("w@a")) == told(
        "OK - 1 of 1 worker and 0 beats online on 1 server", numbers=none
    )
    three = status("w@a", "celerybeat@a", "celerybeat@b", "celerybeat@c")
    assert check("w@a", "--beat", "celerybeat@*=2..", text=three) == told(
        "OK - 1 of 1 worker and 3 beats online on 3 servers", numbers=perfdata(missing="0;;0;0;3", online="4;;;0")
    )


@pytest.mark.parametrize(
    ("arguments", "nodes", "headline", "numbers"),
    [
        pytest.param(
            "*@a=1.. celerybeat@a",
            "v@a w@a celerybeat@a",
            "OK - 2 workers and 1 beat online on 1 server",
            perfdata(missing="0;;0;0;2", online="3;;;0"),
            id="more workers than are needed",
        ),
        pytest.param(
            "*@a=0..1 celerybeat@a",
            "celerybeat@a",
            "OK - 0 workers and 1 beat online on 1 server",
            perfdata(missing="0;;0;0;1", online="1;;;0"),
            id="no worker, and none is needed",
        ),
        pytest.param(
            "--queue mail=0.. celerybeat@a",
            "celerybeat@a",
            "OK - 0 workers and 1 beat online on 1 server",
            perfdata(missing="0;;0;0;1", online="1;;;0", queues="0;;0;0"),
            id="no worker, where any number may consume from a queue",
        ),
    ],
)
def test_where_all_is_well_workers_and_beats_are_counted(
    arguments: str, nodes: str, headline: str, numbers: str
) -> None:
    assert check(*arguments.split(), text=status(*nodes.split())) == told(headline, numbers=numbers)


def test_workers_and_beats_that_may_be_missing_are_counted_apart() -> None:
    assert check("w@a", "v@a", "celerybeat@a", "-c", "2", text=status("w@a")) == told(
        "OK - 1 of 2 workers and 0 beats online on 1 server, 1 missing (v@a), 1 beat missing (celerybeat@a)",
        "Worker v@a was missing",
        "Beat celerybeat@a was missing",
        HINT,
        numbers=perfdata(missing="2;;2;0;3", online="1;;;0"),
    )


def test_a_beat_that_several_patterns_match_counts_for_the_first() -> None:
    text = status("w@a", "celerybeat@a", "celerybeat@b")
    fine = told(
        "OK - 1 of 1 worker and 2 beats online on 2 servers", numbers=perfdata(missing="0;;0;0;3", online="3;;;0")
    )
    assert check("w@a", "--beat", "celerybeat@a", "--beat", "celerybeat@*", text=text) == fine
    # Of both kinds of arguments EXPECTED is the first.
    assert check("w@a", "--beat", "celerybeat@*", "celerybeat@a", text=text) == fine
    assert check("w@a", "--beat", "celerybeat@*", "--beat", "celerybeat@a", text=text) == told(
        "CRITICAL - 1 beat missing (celerybeat@a), 1 beat unexpected (celerybeat@*)",
        "Beat celerybeat@a was missing",
        "Pattern celerybeat@* matched 2 beats instead of 1, accounts for 1 unexpected beat",
        HINT,
        numbers=perfdata(missing="1;;0;0;3", online="3;;;0", unexpected="1;0;;0"),
    )


@pytest.mark.parametrize(
    ("options", "state", "missing"),
    [
        pytest.param("-w 10% -c 80%", "WARNING", "2;0.4;3.2;0;4", id="two of four are over 10 % and within 80 %"),
        pytest.param("-w 10% -c 49.9999%", "CRITICAL", "2;0.4;1.999996;0;4", id="two of four are over 49.9999 %"),
        pytest.param("-c 50%", "OK", "2;;2;0;4", id="two of four are 50 %"),
        pytest.param("-w 1 -c 2", "WARNING", "2;1;2;0;4", id="two are over one"),
    ],
)
def test_beats_are_among_the_missing_that_have_thresholds(options: str, state: str, missing: str) -> None:
    arguments = ["w@a", "v@a", "--beat", "celerybeat@*", "--beat", "cron@b", *options.split()]
    online = "2 of 2 workers and 0 beats online on 1 server, " if state == "OK" else ""
    assert check(*arguments, text=status("w@a", "v@a")) == told(
        f"{state} - {online}2 beats missing: cron@b, celerybeat@*",
        "Beat cron@b was missing",
        "Pattern celerybeat@* matched 0 beats instead of 1, accounts for 1 missing beat",
        HINT,
        numbers=perfdata(missing=missing, online="2;;;0"),
    )


def test_beats_are_among_the_unexpected_that_have_thresholds() -> None:
    text = status("w@a", "celerybeat@a")
    assert check("w@a", "--unexpected-critical", "0", text=text) == told(
        "CRITICAL - 1 beat unexpected: celerybeat@a",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;;0;0"),
    )
    assert check("w@a", "--unexpected-warning", "~:", text=text) == told(
        "OK - 1 of 1 worker online on 1 server, 1 beat unexpected: celerybeat@a",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;~:;;0"),
    )


def test_where_neither_a_worker_nor_a_beat_is_expected_none_is_unexpected() -> None:
    text = consuming("w@a") + pong("w@a", "celerybeat@a")
    assert check("--queue", "mail=1", text=text) == told(
        "OK - 1 worker online on 1 server", numbers=perfdata(missing="0;;0;0;0", online="2;;;0", queues="0;;0;0")
    )


def test_beats_alone_are_an_inventory_in_which_no_worker_is_unexpected() -> None:
    assert check("--beat", "celerybeat@a", text=status("w-1@b", "w-2@b", "celerybeat@a")) == told(
        "OK - 2 workers and 1 beat online on 2 servers", numbers=perfdata(missing="0;;0;0;1", online="3;;;0")
    )
    assert check("celerybeat@*=1..", text=status("celerybeat@a", "celerybeat@b")) == told(
        "OK - 2 beats online on 2 servers", numbers=perfdata(missing="0;;0;0;1", online="2;;;0")
    )
    assert check("--beat", "celerybeat@a", text=status("w@a")) == told(
        "CRITICAL - 1 beat missing: celerybeat@a",
        "Beat celerybeat@a was missing",
        HINT,
        numbers=perfdata(missing="1;;0;0;1", online="1;;;0"),
    )


@pytest.mark.parametrize(
    ("text", "end", "lines"),
    [
        pytest.param(NOBODY, "", [], id="Celery says so"),
        pytest.param(
            "",
            ", Celery's output was empty",
            ["Celery's output was empty. Put 2>&1 before the pipe to see its errors"],
            id="nothing is said",
        ),
    ],
)
def test_nobody_answers(text: str, end: str, lines: list[str]) -> None:
    assert check("celerybeat@a", text=text) == told(
        f"CRITICAL - 1 beat missing: celerybeat@a{end}",
        "Beat celerybeat@a was missing",
        *lines,
        HINT,
        numbers=perfdata(missing="1;;0;0;1", online="0;;;0"),
    )
    assert check("w@a", "celerybeat@a", text=text) == told(
        f"CRITICAL - 1 of 1 worker missing (server a), 1 beat missing (celerybeat@a){end}",
        "Server a was missing, accounts for 1 missing worker: w@a",
        "Beat celerybeat@a was missing",
        *lines,
        HINT,
        numbers=perfdata(missing="2;;0;0;2", missing_servers="1;;;0", online="0;;;0"),
    )


def test_a_server_of_which_a_beat_answers_is_not_missing() -> None:
    assert check("w@a", "v@a", "celerybeat@a", text=status("celerybeat@a")) == told(
        "CRITICAL - 2 of 2 workers missing: v@a, w@a",
        "Worker v@a was missing",
        "Worker w@a was missing",
        numbers=perfdata(missing="2;;0;0;3", online="1;;;0"),
    )


def test_a_server_of_which_a_beat_is_expected_is_not_unexpected() -> None:
    assert check("w@b", "celerybeat@a", text=status("w@b", "x@a", "celerybeat@a")) == told(
        "WARNING - 1 worker unexpected: x@a",
        "Worker x@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;2", online="3;;;0", unexpected="1;0;;0"),
    )


def test_a_server_of_which_a_beat_is_unexpected_as_well_is_unexpected() -> None:
    assert check("w@b", text=status("w@b", "x@a", "y@a", "celerybeat@a")) == told(
        "WARNING - 2 workers unexpected (server a), 1 beat unexpected (celerybeat@a)",
        "Server a was unexpectedly present, accounts for 2 workers",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;1", online="4;;;0", unexpected="3;0;;0", unexpected_servers="1;;;0"),
    )


def test_the_server_of_a_beat_is_all_behind_its_first_at_sign() -> None:
    text = status("w@b", "x@a@b", "celerybeat@a@b")
    assert check("w@b", "--beat", "celerybeat@*", "--unexpected-warning", "~:", text=text) == told(
        "OK - 1 of 1 worker and 1 beat online on 2 servers, 1 unexpected: x@a@b",
        "Worker x@a@b was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;2", online="3;;;0", unexpected="1;~:;;0"),
    )


def test_an_ignored_beat_is_left_out_of_every_count() -> None:
    text = status("w@a", "celerybeat@a")
    assert check("w@a", "--ignore", "celerybeat@*", text=text) == told(
        "OK - 1 of 1 worker online on 1 server", numbers=perfdata(missing="0;;0;0;1", online="1;;;0")
    )


def test_a_beat_that_is_expected_is_not_ignored() -> None:
    text = status("w@a", "celerybeat@a")
    assert check("w@a", "--beat", "celerybeat@a", "--ignore", "celerybeat@*", text=text) == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server", numbers=perfdata(missing="0;;0;0;2", online="2;;;0")
    )


def test_an_ignored_beat_is_never_too_many_for_a_pattern() -> None:
    text = status("w@a", "celerybeat@a", "celerybeat@b", "celerybeat@c")
    arguments = ["w@a", "--beat", "celerybeat@*", "--ignore", "celerybeat@b"]
    outcome = check(*arguments, text=text)
    assert (outcome.headline, outcome.findings, outcome.code) == (
        "CELERY WORKERS WARNING - 1 beat unexpected: celerybeat@*",
        ["Pattern celerybeat@* matched 2 beats instead of 1, accounts for 1 unexpected beat"],
        WARNING,
    )
    fine = check(*arguments, "--ignore", "celerybeat@c", text=text)
    assert (fine.findings, fine.code) == ([], OK)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(status("w@a", "celerybeat@a", "celerybeat@a"), id="it answers twice"),
        pytest.param(
            "DuplicateNodenameWarning: Received multiple replies from node name: celerybeat@a.\n"
            + pong_json("w@a", "celerybeat@a"),
            id="Celery warns of it",
        ),
    ],
)
def test_two_beats_of_one_name(text: str) -> None:
    assert check("w@a", "celerybeat@a", text=text) == told(
        "WARNING - 1 beat duplicate: celerybeat@a",
        "Node name celerybeat@a was used by more than one beat",
        numbers=perfdata(duplicate="1;0;;0", missing="0;;0;0;2", online="2;;;0"),
    )
    # What nothing expects is unexpected, and only that.
    assert check("w@a", text=text) == told(
        "WARNING - 1 beat unexpected: celerybeat@a",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0"),
    )


def test_a_beat_that_answers_ERROR() -> None:  # noqa: N802 -- as Celery writes it
    text = status("w@a", "celerybeat@a").replace("celerybeat@a: OK", "celerybeat@a: ERROR")
    assert check("w@a", text=text) == told(
        "WARNING - 1 beat unexpected: celerybeat@a",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0"),
    )
    assert check("w@a", "celerybeat@a", text=text) == told(
        "CRITICAL - 1 beat malfunctioning: celerybeat@a",
        "Beat celerybeat@a was malfunctioning, it answered ERROR",
        numbers=perfdata(malfunctioning="1;;0;0", missing="0;;0;0;2", online="2;;;0"),
    )


@pytest.mark.parametrize("beat", ["celerybeat@a", "cron@a"])
def test_a_beat_never_malfunctions_for_not_answering_what_workers_are_asked(beat: str) -> None:
    text = pong("w@a", beat) + consuming("w@a") + idle("w@a")
    options = ["--queue", "mail=1", "--task-limit", "60"]
    assert check("w@a", "--beat", beat, *options, text=text) == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server",
        numbers=perfdata(missing="0;;0;0;2", oldest_task="0.0s;;;0", online="2;;;0", queues="0;;0;0"),
    )


def test_verbose_lists_the_beats_in_natural_order() -> None:
    text = status("w@a", "celerybeat@b10", "celerybeat@b2")
    assert check("w@a", "--beat", "celerybeat@b2", "-v", text=text) == told(
        "WARNING - 1 beat unexpected: celerybeat@b10",
        "Beat celerybeat@b10 was unexpectedly present",
        "Online on a: 1 worker, w@a",
        "Online: 2 beats, celerybeat@b2, celerybeat@b10",
        numbers=perfdata(missing="0;;0;0;2", online="3;;;0", unexpected="1;0;;0"),
    )
    assert check("celerybeat@a", "-v", text=status("celerybeat@a")) == told(
        "OK - 1 beat online on 1 server",
        "Online: 1 beat, celerybeat@a",
        numbers=perfdata(missing="0;;0;0;1", online="1;;;0"),
    )


def test_verbose_lists_the_first_of_many_beats() -> None:
    nodes = [f"celerybeat@shop-{number:02}.example.com" for number in range(40)]
    assert check("--beat", "celerybeat@*=40", "-v", text=status(*nodes)).findings == [
        f"Online: 40 beats, {', '.join(nodes)[:997]}..."
    ]


def test_quiet_says_nothing_of_a_beat_that_is_there() -> None:
    assert check("w@a", "celerybeat@a", "-q", text=status("w@a", "celerybeat@a")) == Outcome("", OK)


def test_hostile_names_are_made_harmless() -> None:
    assert check("w@a", "-v", text=status("w@a", "celerybeat@a|b")) == told(
        "WARNING - 1 beat unexpected: celerybeat@a?b",
        "Beat celerybeat@a?b was unexpectedly present",
        "Online on a: 1 worker, w@a",
        "Online: 1 beat, celerybeat@a?b",
        numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0"),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param("w@a --beat celerybeat@a", id="by its name"),
        pytest.param("w@a celerybeat@a", id="as EXPECTED"),
        pytest.param("w@a --beat celerybeat@*", id="by a pattern"),
        pytest.param("w@a --beat celerybeat@*=0..1", id="not needed, and maybe one too many"),
        pytest.param("--beat cron@a", id="alone"),
        pytest.param("--beat celerybeat@a --queue mail", id="beside a queue"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(consuming("w@a"), id="active_queues"),
        pytest.param(consuming("w@a").replace("->  ", "-> ").replace("\n1 node online.\n", ""), id="active_queues-4"),
        pytest.param(json.dumps({"w@a": [{"name": "mail", "routing_key": "mail"}]}) + "\n", id="active_queues-JSON"),
        pytest.param(consuming("w@a") + idle("w@a"), id="active_queues-and-active"),
        pytest.param(NOBODY + consuming("w@a"), id="active_queues-the-second-time"),
        pytest.param("Error: broken\n" + consuming("w@a"), id="active_queues-after-a-failure"),
    ],
)
def test_a_text_that_cannot_show_beats_leaves_them_in_doubt(arguments: str, text: str) -> None:
    assert check(*arguments.split(), text=text) == told(f"UNKNOWN - {NO_BEATS}")


def test_where_no_beat_is_expected_a_text_that_cannot_show_them_is_fine() -> None:
    assert check("w@a", text=consuming("w@a")) == told(
        "OK - 1 of 1 worker online on 1 server", numbers=perfdata(missing="0;;0;0;1", online="1;;;0")
    )
    assert check("w@a", text=consuming("w@a", "celerybeat@a")) == told(
        "WARNING - 1 beat unexpected: celerybeat@a",
        "Beat celerybeat@a was unexpectedly present",
        numbers=perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0"),
    )


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        pytest.param(
            ["w@a", "v@a", "--beat", "celerybeat@a"],
            consuming("w@a"),
            told(
                "CRITICAL - 1 of 2 workers missing: v@a",
                "Worker v@a was missing",
                f"In doubt: {NO_BEATS}",
                numbers=perfdata(missing="1;;0;0;3", online="1;;;0"),
            ),
            id="a worker is missing",
        ),
        pytest.param(
            ["w@a", "v@a", "--beat", "celerybeat@a"],
            consuming("w@a", "v@a").replace("v@a: OK", "v@a: ERROR"),
            told(
                "CRITICAL - 1 worker malfunctioning: v@a",
                "Worker v@a was malfunctioning, it answered ERROR",
                f"In doubt: {NO_BEATS}",
                numbers=perfdata(malfunctioning="1;;0;0", missing="", online="2;;;0").replace(" missing= ", " "),
            ),
            id="a worker malfunctions, and how many are missing is in doubt",
        ),
        pytest.param(
            ["celerybeat@a", "--queue", "mail=2"],
            consuming("w@a"),
            told(
                "CRITICAL - 1 queue short of consumers: mail",
                "Queue mail has 1 consumer instead of 2",
                f"In doubt: {NO_BEATS}",
                numbers=perfdata(missing="", online="1;;;0", queues="1;;0;0").replace(" missing= ", " "),
            ),
            id="a queue is short of consumers",
        ),
    ],
)
def test_what_is_certain_and_critical_stands_above_the_doubt(
    arguments: list[str], text: str, expected: Outcome
) -> None:
    assert check(*arguments, text=text) == expected


def test_a_warning_does_not_stand_above_the_doubt() -> None:
    assert check("w@a", "--beat", "celerybeat@a", text=consuming("w@a", "x@a")) == told(f"UNKNOWN - {NO_BEATS}")


CUT = "Celery's output is cut: its closing line is missing (a timeout or a filter?)"


def test_in_a_text_that_is_cut_nobody_is_called_missing() -> None:
    text = "->  w@a: OK\n->  celerybeat@a: OK\n"
    assert check("w@a", "v@b", "celerybeat@{a,b}", text=text) == told(
        f"UNKNOWN - {CUT}, 1 of 2 workers had replied, no reply from v@b, celerybeat@b",
        "Server b had not replied, accounts for 1 worker: v@b",
        "Beat celerybeat@b had not replied",
    )
    assert check("w@a", "celerybeat@a", text=text) == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server", numbers=perfdata(missing="0;;0;0;2", online="2;;;0")
    )


def test_where_beats_alone_are_expected_and_all_have_answered_a_cut_text_is_judged() -> None:
    numbers = perfdata(missing="0;;0;0;1", online="2;;;0")
    for nodes in (["x@a", "celerybeat@a"], ["celerybeat@a", "x@a"]):
        text = "".join(f"->  {node}: OK\n" for node in nodes)
        assert check("celerybeat@a", text=text) == told("OK - 1 worker and 1 beat online on 1 server", numbers=numbers)
    assert check("celerybeat@a", text="->  celerybeat@a: OK\n") == told(
        "OK - 1 beat online on 1 server", numbers=perfdata(missing="0;;0;0;1", online="1;;;0")
    )


def test_where_beats_alone_are_expected_it_says_how_many_of_them_had_answered() -> None:
    assert check("celerybeat@{a,b}", text="->  celerybeat@a: OK\n") == told(
        f"UNKNOWN - {CUT}, 1 of 2 beats had replied, no reply from celerybeat@b",
        "Beat celerybeat@b had not replied",
    )


def test_an_error_instead_of_an_answer_says_nothing_of_a_beat() -> None:
    for expected in (["celerybeat@a"], ["w@a", "celerybeat@a"]):
        assert check(*expected, text="Error: broken\n") == told("UNKNOWN - Error: broken")


class Celery:
    """A stand-in for Celery that a shell plays, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "asked"

    def command(self, *words: str, **answers: str) -> list[str]:
        """Return a COMMAND that answers each question by a script, in which $n is how often it was asked."""
        log = shlex.quote(str(self._log))
        cases = "".join(f"{question})\n{script}\n;;\n" for question, script in answers.items())
        script = f'echo "$1" >> {log}; n=$(grep -cx "$1" {log})\ncase $1 in\n{cases}*) exit 9;;\nesac'
        return ["--", "sh", "-c", script, "celery", *(words or ["{}"])]

    @property
    def asked(self) -> list[str]:
        """The questions in their order, since this was read last."""
        asked = self._log.read_text().split()
        self._log.unlink()
        return asked


def says(text: str) -> str:
    """Return a script that prints the text."""
    return f"printf %s {shlex.quote(text)}"


def begins(text: str) -> str:
    """Return a script that prints the text without its closing line."""
    return says(text.partition("\n\n")[0] + "\n")


@pytest.fixture
def celery(tmp_path: Path) -> Celery:
    """A Celery in a directory of the test's own."""
    return Celery(tmp_path)


commands = pytest.mark.usefixtures("nothing_is_left_running")
BOTH = ["w@a", "celerybeat@a"]
ONE = says(consuming("w@a"))
SILENT = "echo 'Error: No nodes replied within time constraint' >&2; exit 69"
BROKEN = "echo 'Error: Could not connect to the message broker.' >&2; exit 1"


def timed(missing: str, online: str, **others: str) -> str:
    """Return the perfdata where COMMAND was run."""
    return perfdata(missing=missing, online=online, time="0.5s;;;0", **others)


WELL = told("OK - 1 of 1 worker and 1 beat online on 1 server", numbers=timed("0;;0;0;2", "2;;;0"))
NO_BEAT = told(
    "CRITICAL - 1 beat missing: celerybeat@a",
    "Beat celerybeat@a was missing",
    HINT,
    numbers=timed("1;;0;0;2", "1;;;0"),
)


@commands
def test_ping_is_asked_only_where_a_beat_is_expected(celery: Celery, tmp_path: Path) -> None:
    command = celery.command(active_queues=ONE, active=says(idle("w@a")), ping=says(pong("w@a", "celerybeat@a")))
    assert check("w@a", *command).timeless == told(
        "OK - 1 of 1 worker online on 1 server", numbers=timed("0;;0;0;1", "1;;;0")
    )
    assert celery.asked == ["active_queues"]
    (tmp_path / "expected").write_text("beat celerybeat@a\n")
    for beat in (["celerybeat@a"], ["--beat", "celerybeat@*"], ["-f", str(tmp_path / "expected")]):
        assert check("w@a", *beat, *command).timeless == WELL
        assert celery.asked == ["active_queues", "ping"]


@commands
def test_ping_is_asked_last(celery: Celery) -> None:
    command = celery.command(active_queues=ONE, active=says(idle("w@a")), ping=says(pong("w@a", "celerybeat@a")))
    assert check(*BOTH, "--task-limit", "60", "--queue", "mail=1", *command).timeless == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server",
        numbers=timed("0;;0;0;2", "2;;;0", oldest_task="0.0s;;;0", queues="0;;0;0"),
    )
    assert celery.asked == ["active_queues", "active", "ping"]


@commands
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--queue", "mail"], id="a queue"),
        pytest.param(["--task-limit", "60"], id="limits of tasks"),
    ],
)
def test_active_queues_is_asked_where_something_needs_it(celery: Celery, options: list[str]) -> None:
    command = celery.command(active_queues=ONE, active=says(idle("w@a")), ping=says(pong("w@a", "celerybeat@a")))
    outcome = check("celerybeat@a", *options, *command)
    assert (outcome.headline, outcome.findings, outcome.code) == (
        "CELERY WORKERS OK - 1 worker and 1 beat online on 1 server",
        [],
        OK,
    )
    assert celery.asked == ["active_queues", *["active"] * ("--task-limit" in options), "ping"]


@commands
def test_where_beats_alone_are_expected_ping_is_enough(celery: Celery) -> None:
    command = celery.command(active_queues=ONE, ping=says(pong("w@a", "celerybeat@a")))
    assert check("celerybeat@a", *command).headline == "CELERY WORKERS OK - 1 beat online on 1 server"
    assert celery.asked == ["ping"]


@commands
def test_a_worker_that_comes_up_in_ping_alone_does_not_count(celery: Celery) -> None:
    command = celery.command(active_queues=ONE, ping=says(pong("w@a", "v@a", "x@a", "celerybeat@a")))
    assert check(*BOTH, "v@a", *command).timeless == told(
        "CRITICAL - 1 of 2 workers missing: v@a",
        "Worker v@a was missing",
        numbers=timed("1;;0;0;3", "2;;;0"),
    )


@commands
def test_a_beat_that_comes_up_in_ping_alone_is_unexpected_or_a_duplicate(celery: Celery) -> None:
    command = celery.command(active_queues=ONE, ping=says(pong("w@a", "celerybeat@a", "celerybeat@b")))
    assert check(*BOTH, *command).timeless == told(
        "WARNING - 1 beat unexpected: celerybeat@b",
        "Beat celerybeat@b was unexpectedly present",
        numbers=timed("0;;0;0;2", "3;;;0", unexpected="1;0;;0"),
    )
    twice = celery.command(active_queues=ONE, ping=says(pong("w@a", "w@a", "celerybeat@a", "celerybeat@a")))
    assert check(*BOTH, *twice).timeless == told(
        "WARNING - 1 beat duplicate: celerybeat@a",
        "Node name celerybeat@a was used by more than one beat",
        numbers=timed("0;;0;0;2", "2;;;0", duplicate="1;0;;0"),
    )


@commands
def test_a_beat_that_answers_ERROR_to_ping(celery: Celery) -> None:  # noqa: N802 -- as Celery writes it
    text = pong("w@a", "celerybeat@a").replace(": OK\n        pong", ": ERROR\n        late")
    assert check(*BOTH, *celery.command(active_queues=ONE, ping=says(text))).timeless == told(
        "CRITICAL - 1 beat malfunctioning: celerybeat@a",
        "Beat celerybeat@a was malfunctioning, it answered late",
        numbers=timed("0;;0;0;2", "2;;;0", malfunctioning="1;;0;0"),
    )


@commands
def test_a_beat_named_otherwise_is_known_by_the_option(celery: Celery) -> None:
    command = celery.command(active_queues=ONE, ping=says(pong("w@a", "cron@a")))
    assert check("w@a", "--beat", "cron@a", *command).timeless == WELL
    assert check("w@a", "--beat", "cr*@*", *command).timeless == WELL


@commands
def test_a_beat_that_does_not_answer_ping_is_missing(celery: Celery) -> None:
    for answer in (says(pong("w@a")), SILENT):
        assert check(*BOTH, *celery.command(active_queues=ONE, ping=answer)).timeless == NO_BEAT


@commands
def test_a_beat_answers_where_no_worker_does(celery: Celery) -> None:
    command = celery.command(active_queues=SILENT, ping=says(pong("celerybeat@a")))
    assert check("w@b", "celerybeat@a", *command).timeless == told(
        "CRITICAL - 1 of 1 worker missing: server b",
        "Server b was missing, accounts for 1 missing worker: w@b",
        numbers=timed("1;;0;0;2", "1;;;0", missing_servers="1;;;0"),
    )


@commands
def test_a_beat_that_is_missing_is_no_doubt_of_the_question_before(celery: Celery) -> None:
    command = celery.command(active_queues=f"{ONE}; exit 3", ping=says(pong("w@a")))
    assert check(*BOTH, *command).timeless == NO_BEAT


@commands
def test_where_the_first_question_leaves_no_verdict_ping_is_not_asked(celery: Celery) -> None:
    command = celery.command(active_queues=BROKEN, ping=says(pong("w@a", "celerybeat@a")))
    reason = "Error: Could not connect to the message broker. (sh ended with exit status 1)"
    assert check(*BOTH, *command) == told(f"UNKNOWN - {reason}")
    assert celery.asked == ["active_queues"]


@commands
def test_ping_fails(celery: Celery) -> None:
    reason = (
        "sh ended with exit status 1, 0 of 1 beat had replied to inspect ping, no reply from celerybeat@a: "
        "Error: Could not connect to the message broker."
    )
    assert check(*BOTH, *celery.command(active_queues=ONE, ping=BROKEN)) == told(
        f"UNKNOWN - {reason}", "Beat celerybeat@a had not replied"
    )


@commands
def test_ping_ends_badly_before_the_beat_has_answered(celery: Celery) -> None:
    reason = "sh ended with exit status 3, 0 of 1 beat had replied to inspect ping, no reply from celerybeat@a"
    assert check(*BOTH, *celery.command(active_queues=ONE, ping=f"{says(pong('w@a'))}; exit 3")) == told(
        f"UNKNOWN - {reason}", "Beat celerybeat@a had not replied"
    )


@commands
def test_ping_fails_and_what_is_certain_and_critical_stands(celery: Celery) -> None:
    outcome = check(*BOTH, "v@a", *celery.command(active_queues=ONE, ping=BROKEN)).timeless
    assert outcome == told(
        "CRITICAL - 1 of 2 workers missing: v@a",
        "Worker v@a was missing",
        "In doubt: sh ended with exit status 1, 0 of 1 beat had replied to inspect ping, no reply from celerybeat@a: "
        "Error: Could not connect to the message broker.",
        numbers=timed("1;;0;0;3", "1;;;0"),
    )


@commands
def test_ping_fails_where_beats_alone_are_expected(celery: Celery) -> None:
    outcome = check("celerybeat@a", *celery.command(active_queues=ONE, ping="exit 4"))
    assert outcome == told("UNKNOWN - sh ended with exit status 4, no beat had replied")


@commands
def test_ping_fails_after_the_beat_has_answered(celery: Celery) -> None:
    for answer in (says(pong("w@a", "celerybeat@a")), begins(pong("celerybeat@a"))):
        assert check(*BOTH, *celery.command(active_queues=ONE, ping=f"{answer}; exit 3")).timeless == WELL


@commands
@pytest.mark.waiting
def test_the_deadline_names_the_beat_that_was_silent(celery: Celery) -> None:
    command = celery.command(active_queues=ONE, ping=f"{begins(pong('w@a'))}; sleep 100")
    silent = "sh did not end before the timeout, 0 of 1 beat had replied to inspect ping, no reply from celerybeat@a"
    outcome = at_the_timeout(lambda seconds: check(*BOTH, "-t", seconds, *command), silent)
    assert outcome == told(f"UNKNOWN - {silent}", "Beat celerybeat@a had not replied")


@commands
@pytest.mark.waiting
def test_ping_waits_for_the_beats_and_for_nobody_else(celery: Celery) -> None:
    beats = [begins(pong(f"celerybeat@{server}")) for server in "ab"]
    command = celery.command(active_queues=ONE, ping=f"{beats[0]}; sleep 0.3; {beats[1]}; sleep 100")
    outcome = check("w@a", "--beat", "celerybeat@*=2", "--settle", "0", *command)
    assert outcome.timeless == told(
        "OK - 1 of 1 worker and 2 beats online on 2 servers", numbers=timed("0;;0;0;3", "3;;;0")
    )
    # It was stopped long before the timeout.
    assert float(outcome.perfdata["time"].partition("s")[0]) < 30


@commands
@pytest.mark.waiting
def test_ping_settles_once_the_beats_have_answered(celery: Celery) -> None:
    beats = [begins(pong(f"celerybeat@{server}")) for server in "ab"]
    command = celery.command(active_queues=ONE, ping=f"{beats[0]}; sleep 0.3; {beats[1]}\necho; echo 2 nodes online.")
    assert check(*BOTH, "--settle", "20", *command).timeless == told(
        "WARNING - 1 beat unexpected: celerybeat@b",
        "Beat celerybeat@b was unexpectedly present",
        numbers=timed("0;;0;0;2", "3;;;0", unexpected="1;0;;0"),
    )


@commands
@pytest.mark.waiting
def test_a_beat_is_not_waited_for_in_place_of_a_worker_of_a_pattern(celery: Celery) -> None:
    script = f"{begins(status('celerybeat@a'))}; sleep 0.3; {begins(status('w@a'))}; sleep 100"
    outcome = check("*@a=1", "--beat", "celerybeat@*=0..1", "--settle", "0", *celery.command("status", status=script))
    assert outcome.timeless == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server", numbers=timed("0;;0;0;1", "2;;;0")
    )
    assert float(outcome.perfdata["time"].partition("s")[0]) < 30


@commands
def test_ping_has_attempts_of_its_own(celery: Celery) -> None:
    answer = f'[ "$n" = 1 ] && exec {says(pong("w@a"))}; {says(pong("celerybeat@a"))}'
    assert check(*BOTH, "--attempts", "3", *celery.command(active_queues=ONE, ping=answer)).timeless == WELL
    assert celery.asked == ["active_queues", "ping", "ping"]


@commands
@pytest.mark.parametrize(
    ("arguments", "nodes"),
    [
        pytest.param("celerybeat@a", "w@a", id="a beat"),
        pytest.param("celerybeat@a --beat cron@*", "celerybeat@a", id="one of two beats"),
        pytest.param("--beat cr*@*=2", "cron@a celerybeat@a", id="one of two of a pattern"),
        pytest.param("--beat celerybeat@* --beat cron@c", "celerybeat@a celerybeat@b", id="one beside one too many"),
        pytest.param("*@a=1", "celerybeat@a", id="a worker of a pattern, for which no beat counts"),
        pytest.param("*@a=1 --beat cron-1@a", "cron-1@a", id="nor does one that is named otherwise"),
        pytest.param("cron-1..2@a --beat cron-1@b", "cron-1@b cron-1@a", id="a worker of a group"),
    ],
)
def test_another_attempt_is_made_while_one_is_missing(celery: Celery, arguments: str, nodes: str) -> None:
    command = celery.command("status", status=says(status(*nodes.split())))
    check(*arguments.split(), "--attempts", "2", *command)
    assert celery.asked == ["status", "status"]


@commands
@pytest.mark.parametrize(
    ("arguments", "nodes"),
    [
        pytest.param("celerybeat@a", "celerybeat@a", id="a beat"),
        pytest.param("celerybeat@a w@a", "w@a celerybeat@a", id="a worker and a beat"),
        pytest.param("--beat cr*@*=2", "cron@a crond@a", id="two of a pattern"),
        pytest.param("--beat celerybeat@*=0..1 *@a=1", "w@a", id="none is needed"),
        pytest.param("cron-1..2@a --beat cron-3@a", "cron-3@a cron-1@a cron-2@a", id="a beat and workers of its group"),
    ],
)
def test_no_other_attempt_is_made_once_all_have_answered(celery: Celery, arguments: str, nodes: str) -> None:
    command = celery.command("status", status=says(status(*nodes.split())))
    assert check(*arguments.split(), "--attempts", "2", *command).code == OK
    assert celery.asked == ["status"]


@commands
def test_a_command_that_asks_one_thing(celery: Celery) -> None:
    texts = {"ping": pong("w@a"), "status": status("w@a"), "active_queues": consuming("w@a")}
    scripts = {question: says(text) for question, text in texts.items()}
    for words, expected in (
        (["ping", "inspect", "ping"], NO_BEAT),
        (["status"], NO_BEAT),
        (["active_queues", "inspect", "active_queues"], told(f"UNKNOWN - {NO_BEATS}")),
        # Its text has a beat's name in it all the same: what was asked decides.
        (["ping", "inspect", "-t", "5", "active_queues"], told(f"UNKNOWN - {NO_BEATS}")),
    ):
        assert check(*BOTH, *celery.command(*words, **scripts)).timeless == expected
    found = celery.command("ping", "inspect", "ping", ping=says(pong("w@a", "celerybeat@a")))
    assert check(*BOTH, *found).timeless == WELL


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        pytest.param(["--queue", "mail"], "--queue and --beat need two inspect commands", id="a queue"),
        pytest.param(["--task-limit", "60"], "--task-limit and --beat need two inspect commands", id="limits of tasks"),
    ],
)
def test_options_that_need_two_questions_need_braces(options: list[str], problem: str) -> None:
    assert check("--beat", "celerybeat@a", *options, "--", "celery", "inspect", "ping") == told(
        f"UNKNOWN - {problem}; write {{}} where COMMAND names one: -- celery -A proj inspect {{}} -t 10"
    )


def test_the_baseline_writes_beats_and_is_ok_when_it_is_fed_back(tmp_path: Path) -> None:
    text = consuming("w-1@a", "w-2@a") + pong("w-1@a", "w-2@a", "celerybeat@app10", "celerybeat@app2")
    outcome = check("--baseline", text=text)
    assert outcome == Outcome("w-1..2@a\nbeat celerybeat@app2\nbeat celerybeat@app10\nqueue mail=2..\n", OK)
    (tmp_path / "expected").write_text(outcome.output)
    assert check("-f", str(tmp_path / "expected"), text=text) == told(
        "OK - 2 of 2 workers and 2 beats online on 3 servers",
        numbers=perfdata(missing="0;;0;0;4", online="4;;;0", queues="0;;0;0"),
    )
    fewer = text.replace("celerybeat@app2", "celerybeat@app3")
    assert check("-f", str(tmp_path / "expected"), text=fewer) == told(
        "CRITICAL - 1 beat missing (celerybeat@app2), 1 beat unexpected (celerybeat@app3)",
        "Beat celerybeat@app2 was missing",
        "Beat celerybeat@app3 was unexpectedly present",
        HINT,
        numbers=perfdata(missing="1;;0;0;4", online="4;;;0", queues="0;;0;0", unexpected="1;0;;0"),
    )


@pytest.mark.parametrize(
    ("node", "line"),
    [
        pytest.param("celerybeat@a*", "beat celerybeat@a[*]=1", id="a wildcard"),
        pytest.param("celerybeat@[a]", "beat celerybeat@[[]a]=1", id="brackets"),
        pytest.param("celerybeat@a;b", "beat celerybeat@a?b=1", id="what no EXPECTED may hold"),
        pytest.param("celerybeat@a=2", "beat celerybeat@a?2=1", id="a number behind an equals sign"),
        pytest.param("celerybeat@a#b", "beat celerybeat@a#b", id="a number sign"),
    ],
)
def test_the_baseline_of_a_beat_with_any_name_is_ok_when_it_is_fed_back(tmp_path: Path, node: str, line: str) -> None:
    assert check("--baseline", text=status(node)) == Outcome(f"{line}\n", OK)
    (tmp_path / "expected").write_text(f"{line}\n")
    assert check("-f", str(tmp_path / "expected"), text=status(node)) == told(
        "OK - 1 beat online on 1 server", numbers=perfdata(missing="0;;0;0;1", online="1;;;0")
    )


@commands
def test_the_baseline_asks_ping_of_beats_alone_and_is_ok_when_it_is_fed_back(celery: Celery, tmp_path: Path) -> None:
    command = celery.command(active_queues=ONE, ping=says(pong("w@a", "x@a", "celerybeat@a")))
    outcome = check("--baseline", *command)
    assert outcome == Outcome("w@a\nbeat celerybeat@a\nqueue mail=1..\n", OK)
    assert celery.asked == ["active_queues", "ping"]
    (tmp_path / "expected").write_text(outcome.output)
    assert check("-f", str(tmp_path / "expected"), *command).timeless == told(
        "OK - 1 of 1 worker and 1 beat online on 1 server", numbers=timed("0;;0;0;2", "2;;;0", queues="0;;0;0")
    )


@commands
def test_the_baseline_of_a_beat_alone(celery: Celery) -> None:
    command = celery.command(active_queues=SILENT, ping=says(pong("celerybeat@a")))
    assert check("--baseline", *command) == Outcome("beat celerybeat@a\n", OK)


@commands
def test_the_baseline_where_no_beat_answers(celery: Celery) -> None:
    for answer in (says(pong("w@a")), SILENT):
        assert check("--baseline", *celery.command(active_queues=ONE, ping=answer)) == Outcome(
            "w@a\nqueue mail=1..\n", OK
        )
    assert check("--baseline", *celery.command(active_queues=SILENT, ping=SILENT)) == told(
        "UNKNOWN - no worker replied, so there is nothing to write"
    )


@commands
def test_nothing_is_a_baseline_where_ping_fails(celery: Celery) -> None:
    outcome = check("--baseline", *celery.command(active_queues=ONE, ping=BROKEN))
    assert outcome.code == UNKNOWN
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - sh ended with exit status 1")
    assert outcome.output.endswith(": Error: Could not connect to the message broker.\n")
    assert outcome.output.count("\n") == 1


def test_the_baseline_leaves_out_an_ignored_beat() -> None:
    text = status("w@a", "celerybeat@a", "celerybeat@b")
    outcome = check("--baseline", "--ignore", "celerybeat@a", text=text)
    assert outcome == Outcome("w@a\nbeat celerybeat@b\n", OK)


NOT_A_NODE = "it is not a node name; write celerybeat@SERVER, 'celerybeat@*' or PATTERN=N"
ONE_BEAT = "without *, ? or [...] it matches one beat alone; write celerybeat@SERVER, 'celerybeat@*' or PATTERN=N"
NO_BEAT_AT_ALL = "it expects no beat; write PATTERN=0..MAX for up to MAX beats"

WRONG = [
    pytest.param("beats", NOT_A_NODE, id="no server"),
    pytest.param("@a", NOT_A_NODE, id="an empty name"),
    pytest.param("beats@", NOT_A_NODE, id="an empty server"),
    pytest.param("beats@a@b", NOT_A_NODE, id="a second @"),
    pytest.param("beats@a b", NOT_A_NODE, id="a blank"),
    pytest.param("beats@a,beats@b", NOT_A_NODE, id="two of them"),
    pytest.param("beats@*=two", NOT_A_NODE, id="a word for its number"),
    pytest.param("beats@*=", NOT_A_NODE, id="no number"),
    pytest.param("beats@*=2:", NOT_A_NODE, id="a range of Nagios"),
    pytest.param("beats@*=-1", NOT_A_NODE, id="a number below 0"),
    pytest.param("=2", NOT_A_NODE, id="no pattern"),
    pytest.param("beats@a=2", ONE_BEAT, id="two of one name"),
    pytest.param("beats@a=2..", ONE_BEAT, id="two or more of one name"),
    pytest.param("beats@*=0", NO_BEAT_AT_ALL, id="none"),
    pytest.param("beats@*=0..0", NO_BEAT_AT_ALL, id="none to none"),
    pytest.param("beats@*=3..2", "MIN is greater than MAX; write PATTERN=MIN..MAX", id="MIN over MAX"),
    pytest.param("http://user:beats@a", NOT_A_NODE, id="a URL with a password"),
    pytest.param("'beats@*'", NOT_A_NODE, id="quotation marks"),
    pytest.param("beats@app{1..2}", "it holds braces; write one for each beat", id="braces"),
    pytest.param("beats@app[01-12]=2", "it holds a range of hosts; write one for each beat", id="a range of hosts"),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_wrong_option_is_named_with_how_to_write_it_right(text: str, problem: str) -> None:
    shown = text.replace("user:beats", "**")
    assert check("w@a", "--beat", text) == told(f"UNKNOWN - --beat {shown}: {problem}")


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_option_is_wrong(text: str) -> None:
    assert check("w@a", "--beat", text) == told(f"UNKNOWN - --beat : {NOT_A_NODE}")


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_wrong_line_of_a_file_is_named_and_never_repeated(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"w@a\n\nbeat celerybeat@a  # fine\nbeat {text}\n")
    outcome = check("-f", str(file), text=status("w@a"))
    assert outcome == told(f"UNKNOWN - {file}:4: {problem}")
    assert "beats" not in outcome.output.replace(problem, "")


def test_a_line_of_a_file_that_names_no_beat(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("w@a\nbeat\n")
    assert check("-f", str(file)) == told(f"UNKNOWN - {file}:2: {NOT_A_NODE}")


def test_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    text = status("w@a", "celerybeat@a", "celerybeat@b", "cron@c")
    file.write_text("w@a\n  beat   celerybeat@*=1..2   # pods\nbeat cron@c\n")
    assert check("-f", str(file), text=text) == told(
        "OK - 1 of 1 worker and 3 beats online on 3 servers", numbers=perfdata(missing="0;;0;0;3", online="4;;;0")
    )
    file.write_text("beat celerybeat@*\ncelerybeat@d\n")
    assert check("-f", str(file), text=text) == told(
        "CRITICAL - 1 beat missing (celerybeat@d), 1 beat unexpected (celerybeat@*)",
        "Beat celerybeat@d was missing",
        "Pattern celerybeat@* matched 2 beats instead of 1, accounts for 1 unexpected beat",
        HINT,
        numbers=perfdata(missing="1;;0;0;2", online="4;;;0", unexpected="1;0;;0"),
    )


def test_a_word_that_only_begins_like_the_one_of_a_line_is_none(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("beats@a\nbeat@a\n")
    assert check("-f", str(file), text=status("beats@a", "beat@a")) == told(
        "OK - 2 of 2 workers online on 1 server", numbers=perfdata(missing="0;;0;0;2", online="2;;;0")
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param("--beat celerybeat@a --beat celerybeat@a", "--beat celerybeat@a", id="an option twice"),
        pytest.param("--beat celerybeat@* --beat celerybeat@*=2", "--beat celerybeat@*=2", id="a pattern twice"),
        pytest.param("celerybeat@a celerybeat@a", "EXPECTED celerybeat@a", id="EXPECTED twice"),
        pytest.param("celerybeat@a celerybeat@{b,a}", "EXPECTED celerybeat@{b,a}", id="EXPECTED twice, once in braces"),
        pytest.param("celerybeat@a --beat celerybeat@a", "--beat celerybeat@a", id="as EXPECTED and as an option"),
    ],
)
def test_a_beat_given_twice_is_refused(arguments: str, problem: str) -> None:
    assert check("w@a", *arguments.split()) == told(f"UNKNOWN - {problem}: the beat is given twice; write it once")


def test_a_beat_given_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    for line in ("beat celerybeat@a", "celerybeat@a"):
        file.write_text(f"beat celerybeat@a\n{line}\n")
        assert check("-f", str(file)) == told(f"UNKNOWN - {file}:2: the beat is given twice; write it once")
    file.write_text("beat celerybeat@a\n")
    assert check("-f", str(file), "--beat", "celerybeat@a") == told(
        "UNKNOWN - --beat celerybeat@a: the beat is given twice; write it once"
    )


def test_one_node_as_a_beat_and_as_a_worker_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("beat cron@a\ncron@a\n")
    reason = f"{file}:2: it is expected as a beat; write it once"
    assert check("-f", str(file)) == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def test_one_node_as_a_worker_and_as_a_beat_is_refused() -> None:
    outcome = check("w@a", "cron@a", "--beat", "cron@a", text=status("w@a", "cron@a"))
    assert (outcome.output.count("\n"), outcome.code) == (1, UNKNOWN)
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - --beat cron@a: ")
    assert outcome.output.endswith(": it is expected as a worker; write it once\n")
    assert check("w-2..2@a", "--beat", "w-2@a") == Outcome(
        "CELERY WORKERS UNKNOWN - --beat w-2@a: it is expected as a worker; write it once\n", UNKNOWN
    )
    assert check("w-2..2@a", "--beat", "w-3@a", text=status("w-2@a", "w-3@a")).code == OK


def test_a_node_is_a_beat_by_what_stands_before_its_first_at_sign() -> None:
    outcome = check("w@a", text=status("w@a", "celerybeat@a@b"))
    assert outcome.findings == ["Beat celerybeat@a@b was unexpectedly present"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("beat celerybeat@a", "write --beat celerybeat@a", id="a line of a file"),
        pytest.param("beat  celerybeat@*=1..2", "write --beat celerybeat@*=1..2", id="a line of a file with a pattern"),
        pytest.param("celerybeat@*=3..2", "MIN is greater than MAX; write PATTERN=MIN..MAX", id="MIN over MAX"),
        pytest.param(
            "celerybeat@*",
            "a pattern needs the number of workers; write PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN..",
            id="a pattern without a number",
        ),
        pytest.param("celerybeat@*=0", NO_BEAT_AT_ALL, id="a pattern that expects none"),
        pytest.param("celerybeat@a=2", ONE_BEAT, id="two of one name"),
    ],
)
def test_an_EXPECTED_of_beats_that_is_wrong(text: str, problem: str) -> None:  # noqa: N802 -- as --help writes it
    assert check(text) == told(f"UNKNOWN - EXPECTED {' '.join(text.split())}: {problem}")
