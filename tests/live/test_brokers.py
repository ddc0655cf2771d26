"""The plugin running `celery status` itself: on the embedded broker, on a real Redis and on a real RabbitMQ."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from brokers import Broker, Contents, RabbitMQ, Redis
from fleet import Fleet
from processes import all_ended
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

NODES = ("worker-1@serverA", "worker-2@serverA", "celery@serverB")
EXPECTED = ("worker-1..2@serverA", "celery@serverB")
BROKERS: dict[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMQ}

ALL_WELL = Outcome(
    "CELERY WORKERS OK - 3 of 3 workers online on 2 servers | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;3 "
    "missing_servers=0;;;0 online=3;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n",
    OK,
)
ONE_KILLED = Outcome(
    "CELERY WORKERS CRITICAL - 1 of 3 workers missing: worker-2@serverA | duplicate=0;0;;0 malfunctioning=0;;0;0 "
    "missing=1;;0;0;3 missing_servers=0;;;0 online=2;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
    "Worker worker-2@serverA was missing\n",
    CRITICAL,
)
ALL_KILLED = Outcome(
    "CELERY WORKERS CRITICAL - 3 of 3 workers missing | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=3;;0;0;3 "
    "missing_servers=2;;;0 online=0;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
    "Server serverA was missing, accounts for 2 missing workers\n"
    "Server serverB was missing, accounts for 1 missing worker\n",
    CRITICAL,
)


class Site(NamedTuple):
    """A fleet, all of NODES online, and its broker, None where that is in files."""

    broker: Broker | None
    fleet: Fleet


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Start a site for each broker that there is, all at once; a test that changes one changes it back."""

    def site(name: str) -> Site:
        broker = stack.enter_context(BROKERS[name](tmp_path_factory.mktemp(name))) if name in BROKERS else None
        fleet = stack.enter_context(Fleet(broker=broker.url) if broker else Fleet())
        fleet.start(*NODES)
        return Site(broker, fleet)

    names = ["filesystem", *(name for name, kind in BROKERS.items() if kind.installed())]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        yield dict(zip(names, pool.map(site, names)))


@pytest.fixture(params=BROKERS)
def kind(request: pytest.FixtureRequest) -> type[Broker]:
    kind = BROKERS[request.param]
    if not kind.installed():
        pytest.skip(f"needs {kind.package}: apt-get install {kind.package}")
    return kind


@pytest.fixture
def site(kind: type[Broker], sites: dict[str, Site]) -> Site:
    return next(site for site in sites.values() if isinstance(site.broker, kind))


@pytest.fixture(scope="module", autouse=True)
def pipe(sites: dict[str, Site]) -> Iterator[Future[float]]:
    """Measure the seconds that `celery status -t 30 | check_celery_workers` takes, while the other tests go on."""
    fleet = sites["filesystem"].fleet
    status, plugin = shlex.join(fleet.status_command("-t", "30")), shlex.join((PLUGIN, *EXPECTED))
    start = time.monotonic()
    process = subprocess.Popen(
        ("sh", "-c", f"{status} 2>&1 | {plugin}"),
        cwd=fleet.directory,
        env=fleet.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )

    def seconds() -> float:
        assert process.wait() == OK
        return time.monotonic() - start

    with ThreadPoolExecutor() as pool:
        yield pool.submit(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def arguments(fleet: Fleet, *options: str, status: tuple[str, ...]) -> list[str]:
    return [*EXPECTED, *options, "--", *fleet.status_command(*status)]


def check(fleet: Fleet, *options: str, status: tuple[str, ...]) -> Outcome:
    """Run the plugin with `celery status` as its COMMAND; the time in the perfdata is written as 0.5s."""
    with all_ended() as mark:
        return run(
            *arguments(fleet, *options, status=status), env={**fleet.environment, **mark}, cwd=fleet.directory
        ).timeless


def check_20_times(fleet: Fleet, *options: str, status: tuple[str, ...]) -> list[Outcome]:
    """Run the plugin 20 times, four at once."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda _: check(fleet, *options, status=status), range(20)))


def contents_soon(broker: Broker, expected: Contents) -> Contents:
    """Return the contents once they are the expected ones, or when it is no longer a matter of a moment.

    A reply queue that was left behind would be taken away by the broker after ten seconds.
    """
    deadline = time.monotonic() + 5
    while (contents := broker.contents()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return contents


@contextlib.contextmanager
def restless(fleet: Fleet) -> Iterator[None]:
    """Stop each worker for 1 to 4 seconds and let it run for half to 1.5, at random, again and again."""
    ended = threading.Event()
    uniform = random.SystemRandom().uniform

    def rest(node: str) -> None:
        while not ended.is_set():
            fleet.freeze(node)
            ended.wait(uniform(1, 4))
            fleet.thaw(node)
            ended.wait(uniform(0.5, 1.5))

    with ThreadPoolExecutor() as pool:
        resting = pool.map(rest, NODES)
        try:
            yield
        finally:
            ended.set()
        list(resting)


def test_nothing_is_left_on_the_broker_by_20_checks_that_end_early(site: Site) -> None:
    assert site.broker
    before = site.broker.contents()
    assert check_20_times(site.fleet, "--settle", "0", status=("-t", "30")) == [ALL_WELL] * 20
    assert contents_soon(site.broker, before) == before


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
def test_no_false_alarm_in_20_checks_where_workers_stop_and_go_on(site: Site) -> None:
    with restless(site.fleet):
        assert check_20_times(site.fleet, "-t", "60", status=("-t", "10")) == [ALL_WELL] * 20


def test_crit_one_killed_and_then_all(site: Site) -> None:
    first, *others = killed = ["worker-2@serverA", "worker-1@serverA", "celery@serverB"]
    site.fleet.kill(first)
    one_killed = check(site.fleet, status=("-t", "5"))
    for node in others:
        site.fleet.kill(node)
    all_killed = check(site.fleet, status=("-t", "3"))
    site.fleet.start(*killed)
    assert one_killed == ONE_KILLED
    assert all_killed == ALL_KILLED


def check_while(fleet: Fleet, answered: int, disturb: Callable[[], None]) -> Outcome:
    """Run the plugin, and do this to it once so many workers have answered."""
    with all_ended() as mark:
        own, terminal = pty.openpty()
        plugin = subprocess.Popen(
            [PLUGIN, *arguments(fleet, "-t", "100", status=("-t", "100"))],
            cwd=fleet.directory,
            env={**fleet.environment, **mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
        )
        # Only the plugin holds it now: if that ends, reading what it shows fails, and does not hang.
        os.close(terminal)
        with plugin, os.fdopen(own, "rb", buffering=0) as progress:
            try:
                shown = b""
                while f"{answered} answered".encode() not in shown:
                    shown += progress.read(4096)
                disturb()
                output, _ = plugin.communicate(timeout=60)
            finally:
                plugin.kill()
    return Outcome(output, plugin.returncode)


def test_unknown_broker_stopped(kind: type[Broker], tmp_path: Path) -> None:
    reason = (
        r"CELERY WORKERS UNKNOWN - \S+ ended with exit status \d+, "
        r"{} of 3 workers had answered: .*(Connection refused|Connection reset|CONNECTION_FORCED).*\n"
    )
    with kind(tmp_path) as broker, Fleet(broker=broker.url) as fleet:
        fleet.start("celery@serverB")
        outcome = check_while(fleet, 1, broker.stop)
        assert outcome.code == UNKNOWN
        assert re.fullmatch(reason.format(1), outcome.output)
        outcome = check(fleet, status=("-t", "5"))
        assert outcome.code == UNKNOWN
        assert re.fullmatch(reason.format(0), outcome.output)


@pytest.mark.parametrize("name", ["filesystem", *BROKERS])
def test_a_healthy_fleet_is_judged_in_under_a_fifth_of_what_the_pipe_takes(
    name: str, sites: dict[str, Site], pipe: Future[float]
) -> None:
    if name not in sites:
        pytest.skip(f"needs {BROKERS[name].package}: apt-get install {BROKERS[name].package}")
    seconds = pipe.result()
    start = time.monotonic()
    assert check(sites[name].fleet, status=("-t", "30")) == ALL_WELL
    assert time.monotonic() - start < seconds / 5
