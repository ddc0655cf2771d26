"""The plugin against real Celery workers, through a pipe, as users run it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ages import ageless
from fleet import Fleet
from processes import run_merged

pytestmark = pytest.mark.celery

NODES = (
    *("specialworker-1@serverA", "specialworker-2@serverA", "specialworker-3@serverA"),
    *("otherworker-0@serverB", "otherworker-1@serverB"),
    "celery@serverC",
)
EXPECTED = ("specialworker-3@serverA", "otherworker-2@serverB", "celery@serverC")
PATIENT = ("-t", "100")
PLUGIN = (sys.executable, "-m", "check_celery_workers", "-t", "200")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """All of NODES online; a test that changes the fleet changes it back."""
    with Fleet() as fleet, fleet.ending_with_the_last_reply():
        fleet.start(*NODES)
        yield fleet


def check(fleet: Fleet, status: list[str], *arguments: str) -> str:
    """Return the output of `STATUS 2>&1 | check_celery_workers ARGUMENTS`, and its exit code."""
    return check_line(fleet, shlex.join(status), *arguments)


def check_line(fleet: Fleet, line: str, *arguments: str) -> str:
    """Do the same with a line of shell."""
    line = f"{line} 2>&1 | {shlex.join((*PLUGIN, *arguments))}"
    done = run_merged("sh", "-c", line, cwd=fleet.directory, env=fleet.environment)
    return f"{ageless(done.stdout)}exit code {done.returncode}\n"


def check_expected(fleet: Fleet) -> str:
    return check(fleet, fleet.status_command(*PATIENT), *EXPECTED)


def test_ok_all_online(fleet: Fleet) -> None:
    assert check_expected(fleet) == (
        "CELERY WORKERS OK - 6 of 6 workers online on 3 servers"
        " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0"
        " online=6;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
        "exit code 0\n"
    )


def test_ok_baseline_fed_back(fleet: Fleet, tmp_path: Path) -> None:
    status = fleet.status_command(*PATIENT)
    baseline, exit_code = check(fleet, status, "--baseline").split("exit code")
    assert baseline == "celery@serverC\notherworker-0..1@serverB\nspecialworker-1..3@serverA\n"
    assert exit_code == " 0\n"
    expected = tmp_path / "expected"
    expected.write_text(baseline, encoding="utf-8")
    assert check(fleet, status, "-q", "-f", str(expected)) == "exit code 0\n"


def test_crit_one_killed(fleet: Fleet) -> None:
    fleet.kill("specialworker-2@serverA")
    try:
        assert check_expected(fleet) == (
            "CELERY WORKERS CRITICAL - 1 of 6 workers missing: specialworker-2@serverA"
            " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;6 missing_servers=0;;;0"
            " online=5;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
            "Worker specialworker-2@serverA was missing\n"
            "exit code 2\n"
        )
    finally:
        fleet.start("specialworker-2@serverA")


def test_crit_one_stopped(fleet: Fleet) -> None:
    fleet.freeze("celery@serverC")
    try:
        assert check_expected(fleet) == (
            "CELERY WORKERS CRITICAL - 1 of 6 workers missing: server serverC"
            " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;6 missing_servers=1;;;0"
            " online=5;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
            "Server serverC was missing, accounts for 1 missing worker: celery@serverC\n"
            "exit code 2\n"
        )
    finally:
        fleet.thaw("celery@serverC")


def test_warn_two_of_one_name(fleet: Fleet) -> None:
    fleet.start("celery@serverC")
    try:
        assert check_expected(fleet) == (
            "CELERY WORKERS WARNING - 1 worker duplicate: celery@serverC"
            " | duplicate=1;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0"
            " online=6;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
            "Node name celery@serverC was used by more than one worker\n"
            "exit code 1\n"
        )
    finally:
        fleet.kill("celery@serverC")


def test_warn_stranger(fleet: Fleet) -> None:
    fleet.start("newspecialworker-1@serverA")
    try:
        assert check_expected(fleet) == (
            "CELERY WORKERS WARNING - 1 worker unexpected: newspecialworker-1@serverA"
            " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0"
            " online=7;;;0 unexpected=1;0;;0 unexpected_servers=0;;;0\n"
            "Worker newspecialworker-1@serverA was unexpectedly present\n"
            "exit code 1\n"
        )
    finally:
        fleet.kill("newspecialworker-1@serverA")


def test_crit_consumer_cancelled(fleet: Fleet) -> None:
    fleet.cancel_consumer("celery@serverC")
    try:
        inspect = [*fleet.celery, "inspect", "active_queues", *PATIENT]
        assert check(fleet, inspect, *EXPECTED, "--queue", "celery=6") == (
            "CELERY WORKERS CRITICAL - 1 worker malfunctioning (celery@serverC), 1 queue short of consumers (celery)"
            " | duplicate=0;0;;0 malfunctioning=1;;0;0 missing=0;;0;0;6 missing_servers=0;;;0"
            " online=6;;;0 queues=1;;0;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
            "Worker celery@serverC was malfunctioning, it consumes from no queue\n"
            "Queue celery has 5 consumers instead of 6\n"
            "exit code 2\n"
        )
    finally:
        fleet.add_consumer("celery@serverC")


def test_ok_two_questions_in_one_text(fleet: Fleet) -> None:
    inspect = shlex.join([*fleet.celery, "inspect"])
    line = f"({inspect} active_queues -t 100; {inspect} active -t 100)"
    assert check_line(fleet, line, *EXPECTED, "--queue", "celery=6", "--task-limit", "60") == (
        "CELERY WORKERS OK - 6 of 6 workers online on 3 servers"
        " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0"
        " oldest_task=0s;;;0 online=6;;;0 queues=0;;0;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
        "exit code 0\n"
    )


def test_unknown_no_queues_in_the_text(fleet: Fleet) -> None:
    assert check(fleet, fleet.status_command(*PATIENT), *EXPECTED, "--queue", "celery") == (
        "CELERY WORKERS UNKNOWN - Celery's output shows no queues; run inspect active_queues\nexit code 3\n"
    )


def test_crit_none_at_all() -> None:
    with Fleet() as deserted:
        assert check(deserted, deserted.status_command("-t", "1"), *EXPECTED) == (
            "CELERY WORKERS CRITICAL - 6 of 6 workers missing"
            " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=6;;0;0;6 missing_servers=3;;;0"
            " online=0;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
            "Server serverA was missing, accounts for 3 missing workers\n"
            "Server serverB was missing, accounts for 2 missing workers\n"
            "Server serverC was missing, accounts for 1 missing worker: celery@serverC\n"
            "exit code 2\n"
        )


def test_unknown_broker_gone() -> None:
    with Fleet(broker="redis://127.0.0.1:1/0") as unreachable:
        assert check(unreachable, unreachable.status_command("-t", "1"), *EXPECTED) == (
            "CELERY WORKERS UNKNOWN - Error: Could not connect"
            " to the message broker. Please make sure your broker (e.g., RabbitMQ or Redis) is"
            " running and the connection settings are correct."
            " Reason: Error 111 connecting to 127.0.0.1:1. Connection refused.\n"
            "exit code 3\n"
        )


def test_unknown_no_such_app() -> None:
    celery = (sys.executable, "-m", "celery", "-A", "nosuchapp")
    with Fleet(celery=celery) as misconfigured:
        assert check(misconfigured, misconfigured.status_command("-t", "1"), *EXPECTED) == (
            "CELERY WORKERS UNKNOWN - The module nosuchapp was not found.\nexit code 3\n"
        )
