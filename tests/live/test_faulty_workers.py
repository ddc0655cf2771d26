"""Real workers that answer and do not work, judged by two questions on the embedded broker and on a real Redis."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from ages import ageless
from brokers import Redis
from fleet import Fleet
from processes import all_ended
from running import CRITICAL, OK, Outcome, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

NODES = ("w-1@a", "w-2@a", "mail@b")
EXPECTED = ("w-2@a", "mail@b", "--queue", "orders=2..", "--queue", "emails")
# Seconds, that no task here reaches, and that each one has reached when the second question is asked: before it the
# plugin waits for a second, for workers that nobody expects.
HIGH, LOW = 600, 0.5


def outcome(code: int, headline: str, *findings: str, **others: str) -> Outcome:
    """Return what the plugin should say; `others` are the perfdata that are not as in a fleet that is well."""
    well = {"missing": "0;;0;0;3", "online": "3;;;0", "oldest_task": "0s;;;0", "queues": "0;;0;0", "time": "0.5s;;;0"}
    first = f"{headline} | {perfdata(**{**well, **others})}"
    return Outcome("".join(f"{line}\n" for line in (first, *findings)), code)


WELL = outcome(OK, "CELERY WORKERS OK - 3 of 3 workers online on 2 servers")
# A task runs, and how long it has is another number each time.
WELL_AND_BUSY = outcome(OK, "CELERY WORKERS OK - 3 of 3 workers online on 2 servers", oldest_task="AGE;;;0")
ENDLESS = outcome(
    CRITICAL,
    "CELERY WORKERS CRITICAL - 1 worker malfunctioning: mail@b",
    "Worker mail@b was malfunctioning, it has run proj.endless for AGE, 2 tasks over their limit",
    malfunctioning="1;;0;0",
    oldest_task="AGE;;;0",
)
SILENT = outcome(
    CRITICAL,
    "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-1@a",
    "Worker w-1@a was malfunctioning, it did not reply to inspect active",
    malfunctioning="1;;0;0",
)
STOPPED_CHILD = outcome(
    CRITICAL,
    "CELERY WORKERS CRITICAL - 1 worker malfunctioning: mail@b",
    "Worker mail@b was malfunctioning, it has run proj.held for AGE",
    malfunctioning="1;;0;0",
    oldest_task="AGE;;;0",
)
WRONG_QUEUE = outcome(
    CRITICAL,
    "CELERY WORKERS CRITICAL - 1 queue short of consumers: orders",
    "Queue orders has 1 consumer instead of at least 2",
    queues="1;;0;0",
)
NO_QUEUE = outcome(
    CRITICAL,
    "CELERY WORKERS CRITICAL - 1 worker malfunctioning (mail@b), 1 queue short of consumers (emails)",
    "Worker mail@b was malfunctioning, it consumes from no queue",
    "Queue emails has 0 consumers instead of at least 1",
    malfunctioning="1;;0;0",
    queues="1;;0;0",
)


@pytest.fixture(scope="module", params=["filesystem", "redis"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """All of NODES online, two on the queue orders, one on emails; a test that changes that changes it back."""
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            if not Redis.installed():
                pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
            broker = stack.enter_context(Redis(tmp_path_factory.mktemp("redis")))
            fleet = stack.enter_context(Fleet(broker=broker.url))
        else:
            fleet = stack.enter_context(Fleet())
        start_orders(fleet, "w-1@a", "w-2@a")
        start_emails(fleet)
        yield fleet


def start_orders(fleet: Fleet, *nodes: str) -> None:
    fleet.start(*nodes, pool="prefork", queues=("orders",))


def start_emails(fleet: Fleet) -> None:
    fleet.start("mail@b", pool="prefork", concurrency=2, queues=("emails",))


def check(fleet: Fleet, *limits: str, command: list[str] | None = None) -> Outcome:
    """Run the plugin with these limits for tasks before a high one, and write each age of a task as AGE."""
    options = [f"--task-limit={limit}" for limit in (*limits, HIGH)]
    with all_ended() as mark:
        said = run(
            *(*EXPECTED, *options, "-t", "200", "--", *(command or fleet.inspect_command("-t", "100"))),
            env={**fleet.environment, **mark},
            cwd=fleet.directory,
        ).timeless
    return said._replace(output=ageless(said.output))


def test_ok_idle(fleet: Fleet) -> None:
    assert check(fleet) == WELL


def test_ok_busy(fleet: Fleet) -> None:
    with fleet.holding("emails"), fleet.busy("orders", "emails", seconds=1):
        assert check(fleet) == WELL_AND_BUSY
    fleet.wait_until_idle()


def test_crit_worker_on_the_wrong_queue(fleet: Fleet) -> None:
    fleet.kill("w-2@a")
    fleet.start("w-2@a", pool="prefork", queues=("order",))
    try:
        with fleet.ending_with_the_last_reply():
            assert check(fleet) == WRONG_QUEUE
    finally:
        fleet.kill("w-2@a")
        start_orders(fleet, "w-2@a")


def test_crit_consumer_cancelled(fleet: Fleet) -> None:
    fleet.cancel_consumer("mail@b", "emails")
    try:
        with fleet.ending_with_the_last_reply():
            assert check(fleet) == NO_QUEUE
    finally:
        fleet.add_consumer("mail@b", "emails")


def test_crit_all_slots_taken_by_endless_tasks(fleet: Fleet) -> None:
    before = len(fleet.started("proj.endless"))
    try:
        for _ in range(2):
            fleet.send("proj.endless", queue="emails")
        fleet.wait_until_started("proj.endless", before + 2)
        with fleet.ending_with_the_last_reply():
            assert "mail@b: OK" in fleet.status_text("-t", "100")
        assert check(fleet, f"proj.e*={LOW}") == ENDLESS
        assert check(fleet, f"proj.e*={HIGH}", str(LOW)) == WELL_AND_BUSY
    finally:
        fleet.kill("mail@b")
        start_emails(fleet)


def test_crit_pool_child_stopped_with_a_task(fleet: Fleet) -> None:
    with fleet.holding("emails") as child:
        os.kill(child, signal.SIGSTOP)
    # Now nothing but that keeps the task from ending.
    try:
        assert check(fleet, str(LOW)) == STOPPED_CHILD
    finally:
        os.kill(child, signal.SIGCONT)
    fleet.wait_until_idle()
    assert check(fleet, str(LOW)) == WELL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_crit_gone_between_the_two_questions(fleet: Fleet, number: signal.Signals) -> None:
    lose = f"kill -{number} -{fleet.pid('w-1@a')}; echo 2 > {fleet.replies}"
    ask = f'{shlex.join(fleet.celery)} inspect "$1" -t 100'
    command = ["sh", "-c", f'if [ "$1" = active ]; then {lose}; fi; exec {ask}', "sh", "{}"]
    try:
        with fleet.ending_with_the_last_reply():
            assert check(fleet, command=command) == SILENT
    finally:
        fleet.kill("w-1@a")
        start_orders(fleet, "w-1@a")


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_no_false_alarm_in_20_checks_of_busy_workers_that_stall(fleet: Fleet) -> None:
    with fleet.busy("orders", "emails", seconds=0.5), fleet.stalling(), ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: check(fleet), range(20)))
    fleet.wait_until_idle()
    assert [outcome for outcome in outcomes if outcome not in (WELL, WELL_AND_BUSY)] == []
