"""One fleet, asked by a COMMAND and over the broker: the verdict is the same to the letter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from ages import ageless
from brokers import Redis
from fleet import FILESYSTEM, Fleet
from processes import all_ended
from running import CRITICAL, OK, WARNING, Outcome, at_the_timeout, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

NODES = ("worker-1@serverA", "worker-2@serverA", "celery@serverB")
EXPECTED = ("worker-1..2@serverA", "celery@serverB")
TIME = "0.5s;;;0"
# A task that is held runs for longer than this, and none else does.
LIMIT = ("--task-limit", "proj.held=0.001", "--task-limit", "600")

ALL_WELL = Outcome(
    "CELERY WORKERS OK - 3 of 3 workers online on 2 servers | "
    f"{perfdata(missing='0;;0;0;3', online='3;;;0', time=TIME)}\n",
    OK,
)


@pytest.fixture(scope="module", params=["filesystem", "redis"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """All of NODES online; a test that changes that changes it back."""
    with ExitStack() as stack:
        broker = FILESYSTEM
        if request.param == "redis":
            if not Redis.installed():
                pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
            broker = stack.enter_context(Redis(tmp_path_factory.mktemp("redis"))).url
        fleet = stack.enter_context(Fleet(broker=broker))
        # The task that is held leaves the worker free to answer.
        fleet.start(*NODES, pool="threads")
        yield fleet


def by_command(fleet: Fleet, *arguments: str) -> Outcome:
    """Run the plugin with a COMMAND that ends with the last reply, however long its -t is."""
    with all_ended() as mark, fleet.ending_with_the_last_reply():
        words = (*arguments, "-t", "200", "--", *fleet.inspect_command("-t", "100"))
        return comparable(run(*words, env={**fleet.environment, **mark}, cwd=fleet.directory))


def over_the_broker(fleet: Fleet, *arguments: str) -> Outcome:
    """Run the plugin with --broker, outside of the application's directory and without its modules."""
    options = ("--broker-options", json.dumps(fleet.broker_options)) if fleet.broker_options else ()
    with all_ended() as mark:
        env = {**fleet.environment, **mark, "PYTHONPATH": ""}
        return comparable(run(*arguments, "-t", "200", "--broker", fleet.broker, *options, env=env))


def comparable(outcome: Outcome) -> Outcome:
    """Return the outcome with 0.5 for the seconds that the check took, and AGE for those that a task has run."""
    return outcome.timeless._replace(output=ageless(outcome.timeless.output))


def both(fleet: Fleet, *arguments: str, waits: bool = False) -> Outcome:
    """Return the outcome by COMMAND, once it is the same over the broker; `waits`: for one that does not reply."""
    command = by_command(fleet, *arguments)
    if waits:
        headline = command.headline
        broker = at_the_timeout(lambda end: over_the_broker(fleet, *arguments, "--reply-timeout", end), headline)
    else:
        broker = over_the_broker(fleet, *arguments, "--reply-timeout", "100")
    assert broker == command
    return command


@contextmanager
def killed(fleet: Fleet, node: str) -> Iterator[None]:
    fleet.kill(node)
    try:
        yield
    finally:
        fleet.start(node, pool="threads")


@contextmanager
def another(fleet: Fleet, node: str) -> Iterator[None]:
    fleet.start(node, pool="threads")
    try:
        yield
    finally:
        fleet.kill(node)


def test_ok_all_are_well(fleet: Fleet) -> None:
    assert both(fleet, *EXPECTED) == ALL_WELL


def test_crit_one_is_missing(fleet: Fleet) -> None:
    with killed(fleet, "worker-2@serverA"):
        assert both(fleet, *EXPECTED, waits=True) == Outcome(
            "CELERY WORKERS CRITICAL - 1 of 3 workers missing: worker-2@serverA | "
            f"{perfdata(missing='1;;0;0;3', online='2;;;0', time=TIME)}\n"
            "Worker worker-2@serverA was missing\n",
            CRITICAL,
        )


def test_warn_one_is_unexpected(fleet: Fleet) -> None:
    # Nobody knows when somebody unexpected answers, so that both listen to the end.
    with another(fleet, "mail@serverB"):
        command = by_command(fleet, *EXPECTED, "--wait")
        assert command == Outcome(
            "CELERY WORKERS WARNING - 1 worker unexpected: mail@serverB | "
            f"{perfdata(missing='0;;0;0;3', online='4;;;0', unexpected='1;0;;0', time=TIME)}\n"
            "Worker mail@serverB was unexpectedly present\n",
            WARNING,
        )
        ask = (fleet, *EXPECTED, "--wait", "--reply-timeout")
        assert at_the_timeout(lambda end: over_the_broker(*ask, end), command.headline) == command


def test_warn_two_have_one_name(fleet: Fleet) -> None:
    with another(fleet, "worker-2@serverA"):
        command = by_command(fleet, *EXPECTED, "--wait")
        assert command == Outcome(
            "CELERY WORKERS WARNING - 1 worker duplicate: worker-2@serverA | "
            f"{perfdata(duplicate='1;0;;0', missing='0;;0;0;3', online='3;;;0', time=TIME)}\n"
            "Node name worker-2@serverA was used by more than one worker\n",
            WARNING,
        )
        ask = (fleet, *EXPECTED, "--wait", "--reply-timeout")
        assert at_the_timeout(lambda end: over_the_broker(*ask, end), command.headline) == command


def test_crit_one_consumes_from_no_queue(fleet: Fleet) -> None:
    fleet.cancel_consumer("worker-2@serverA")
    try:
        assert both(fleet, *EXPECTED) == Outcome(
            "CELERY WORKERS CRITICAL - 1 worker malfunctioning: worker-2@serverA | "
            f"{perfdata(missing='0;;0;0;3', online='3;;;0', malfunctioning='1;;0;0', time=TIME)}\n"
            "Worker worker-2@serverA was malfunctioning, it consumes from no queue\n",
            CRITICAL,
        )
    finally:
        fleet.add_consumer("worker-2@serverA")


def test_ok_no_task_runs_too_long(fleet: Fleet) -> None:
    assert both(fleet, *EXPECTED, *LIMIT) == Outcome(
        "CELERY WORKERS OK - 3 of 3 workers online on 2 servers | "
        f"{perfdata(missing='0;;0;0;3', online='3;;;0', oldest_task='0s;;;0', time=TIME)}\n",
        OK,
    )


def test_crit_a_task_runs_too_long(fleet: Fleet) -> None:
    fleet.add_consumer("celery@serverB", "held")
    try:
        with fleet.holding("held"):
            said = both(fleet, *EXPECTED, *LIMIT)
        assert said == Outcome(
            "CELERY WORKERS CRITICAL - 1 worker malfunctioning: celery@serverB | "
            + perfdata(missing="0;;0;0;3", online="3;;;0", malfunctioning="1;;0;0", oldest_task="AGE;;;0", time=TIME)
            + "\nWorker celery@serverB was malfunctioning, it has run proj.held for AGE\n",
            CRITICAL,
        )
    finally:
        fleet.cancel_consumer("celery@serverB", "held")


def test_crit_a_queue_is_short_of_consumers(fleet: Fleet) -> None:
    # A consumer that is lacking is waited for, as a worker is.
    assert both(fleet, *EXPECTED, "--queue", "celery=4", "--queue", "emails", waits=True) == Outcome(
        "CELERY WORKERS CRITICAL - 2 queues short of consumers: celery, emails | "
        f"{perfdata(missing='0;;0;0;3', online='3;;;0', queues='2;;0;0', time=TIME)}\n"
        "Queue celery has 3 consumers instead of 4\n"
        "Queue emails has 0 consumers instead of at least 1\n",
        CRITICAL,
    )


def test_ok_a_queue_has_enough_consumers(fleet: Fleet) -> None:
    assert both(fleet, *EXPECTED, "--queue", "celery=3") == ALL_WELL._replace(
        output=ALL_WELL.output.replace(" time=", " queues=0;;0;0 time=")
    )


def test_the_baseline_is_the_same_but_for_the_stall_limit(fleet: Fleet, tmp_path: Path) -> None:
    lines = Outcome("celery@serverB\nworker-1..2@serverA\nqueue celery=3..\n", OK)
    assert by_command(fleet, "--baseline") == lines
    told = at_the_timeout(lambda end: over_the_broker(fleet, "--baseline", "--reply-timeout", end), "celery@")
    assert told == lines._replace(output=f"{lines.output}stall-limit 15s\n")
    chosen = tmp_path / "list"
    chosen.write_text("stall-limit 1m\n")
    told = at_the_timeout(
        lambda end: over_the_broker(fleet, "--baseline", str(chosen), "--reply-timeout", end), "celery@"
    )
    assert told == lines._replace(output=f"{lines.output}stall-limit 1m\n")
