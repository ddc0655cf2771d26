"""`--unknown-as`: the state to end with where the workers cannot be judged, and where it stays UNKNOWN."""

from __future__ import annotations

import pytest
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, check, perfdata, run

FAILED = "Error: Could not connect to the message broker.\n"
STATES = {"warning": ("WARNING", WARNING), "critical": ("CRITICAL", CRITICAL)}


@pytest.mark.parametrize("state", STATES)
def test_what_cannot_be_judged_ends_as_this_state(state: str) -> None:
    name, code = STATES[state]
    reason = "Error: Could not connect to the message broker."
    assert check("w@a", "--unknown-as", state, text=FAILED) == Outcome(f"CELERY WORKERS {name} - {reason}\n", code)
    assert check("w@a", "-q", "--unknown-as", state, text=FAILED) == Outcome(
        f"CELERY WORKERS {name} - {reason}\n", code
    )


def test_who_had_not_answered_is_not_called_missing() -> None:
    assert check("w-1..2@a", "--unknown-as", "critical", text="->  w-1@a: OK\n") == Outcome(
        "CELERY WORKERS CRITICAL - Celery's output is cut: its closing line is missing (a timeout or a filter?), "
        "1 of 2 workers had replied, no reply from w-2@a\nWorker w-2@a had not replied\n",
        CRITICAL,
    )


@pytest.mark.parametrize("command", ["/no/such/celery", "true"])
def test_a_command_that_cannot_be_started_or_says_nothing(command: str) -> None:
    outcome = run("w@a", "--unknown-as", "warning", "--", command)
    assert outcome.headline.startswith(f"CELERY WORKERS WARNING - {command} ")
    assert outcome.code == WARNING


def test_a_broker_that_refuses() -> None:
    outcome = run("w@a", "--unknown-as", "critical", "--broker", "redis://127.0.0.1:1/0")
    assert outcome.headline.startswith("CELERY WORKERS CRITICAL - the broker redis://127.0.0.1:1/0 cannot be reached: ")
    assert outcome.code == CRITICAL


@pytest.mark.parametrize(
    "arguments", [["w@a", "--queue", "a=x"], [], ["w@a", "--broker", "kafka-of-nobody://h"], ["-f", "/no/such/file"]]
)
def test_usage_errors_stay_unknown(arguments: list[str]) -> None:
    outcome = run(*arguments, "--unknown-as", "critical", text="w@a: OK\n")
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert outcome.code == UNKNOWN


def test_another_state_is_refused() -> None:
    assert check("w@a", "--unknown-as", "ok").output == (
        "CELERY WORKERS UNKNOWN - argument --unknown-as: invalid choice: 'ok' (choose from 'warning', 'critical') "
        "(see --help)\n"
    )


def test_what_is_judged_stays_as_it_is() -> None:
    well = f"CELERY WORKERS OK - 1 of 1 worker online on 1 server | {perfdata(missing='0;;0;0;1', online='1;;;0')}\n"
    assert check("w@a", "--unknown-as", "critical", text="w@a: OK\n\n1 node online.\n") == Outcome(well, OK)
