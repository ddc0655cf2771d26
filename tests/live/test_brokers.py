"""The plugin running Celery itself: on the embedded broker, on a real Redis and on a real RabbitMQ."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from ages import ageless
from brokers import Broker, RabbitMQ, Redis
from fleet import Fleet
from listening import answered
from processes import DEADLINE, MARK, all_ended, started_with, wait_for
from running import CRITICAL, OK, UNKNOWN, Outcome, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

NODES = ("worker-1@serverA", "worker-2@serverA", "celery@serverB")
EXPECTED = ("worker-1..2@serverA", "celery@serverB")
BROKERS: dict[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMQ}

ALL_WELL = Outcome(
    "CELERY WORKERS OK - 3 of 3 workers online on 2 servers | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;3 "
    "missing_servers=0;;;0 online=3;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n",
    OK,
)
ALL_WELL_AND_IDLE = ALL_WELL._replace(output=ALL_WELL.output.replace(" online=", " oldest_task=0s;;;0 online="))
ONE_KILLED = Outcome(
    "CELERY WORKERS CRITICAL - 1 of 3 workers missing: worker-2@serverA | duplicate=0;0;;0 malfunctioning=0;;0;0 "
    "missing=1;;0;0;3 missing_servers=0;;;0 online=2;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
    "Worker worker-2@serverA was missing\n",
    CRITICAL,
)
ALL_KILLED = Outcome(
    "CELERY WORKERS CRITICAL - 3 of 3 workers missing: server serverA, server serverB | duplicate=0;0;;0 "
    "malfunctioning=0;;0;0 missing=3;;0;0;3 missing_servers=2;;;0 online=0;;;0 time=0.5s;;;0 "
    "unexpected=0;0;;0 unexpected_servers=0;;;0\n"
    "Server serverA was missing, accounts for 2 missing workers\n"
    "Server serverB was missing, accounts for 1 missing worker: celery@serverB\n",
    CRITICAL,
)


class Site(NamedTuple):
    """A fleet, all of NODES online, and its broker, None where that is in files."""

    broker: Broker | None
    fleet: Fleet


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Start a site for each broker that there is, all at once; a test that changes one changes it back."""

    def site(name: str, directory: Path) -> Site:
        broker = stack.enter_context(BROKERS[name](directory)) if name in BROKERS else None
        fleet = stack.enter_context(Fleet(broker=broker.url) if broker else Fleet())
        fleet.start(*NODES)
        return Site(broker, fleet)

    names = ["filesystem", *(name for name, kind in BROKERS.items() if kind.installed())]
    directories = [tmp_path_factory.mktemp(name) for name in names]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        yield dict(zip(names, pool.map(site, names, directories)))


@pytest.fixture(params=BROKERS)
def kind(request: pytest.FixtureRequest) -> type[Broker]:
    kind = BROKERS[request.param]
    if not kind.installed():
        pytest.skip(f"needs {kind.package}: apt-get install {kind.package}")
    return kind


@pytest.fixture
def site(kind: type[Broker], sites: dict[str, Site]) -> Site:
    return next(site for site in sites.values() if isinstance(site.broker, kind))


def arguments(*options: str, command: list[str]) -> list[str]:
    return [*EXPECTED, *options, "--", *command]


def check(fleet: Fleet, *options: str, command: list[str]) -> Outcome:
    """Run the plugin with this COMMAND; the time in the perfdata is written as 0.5s."""
    with all_ended() as mark:
        words = arguments("-t", "200", *options, command=command)
        said = run(*words, env={**fleet.environment, **mark}, cwd=fleet.directory)
    return said._replace(output=ageless(said.timeless.output))


def check_20_times(fleet: Fleet, *options: str, command: list[str]) -> list[Outcome]:
    """Run the plugin 20 times, four at once."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda _: check(fleet, *options, command=command), range(20)))


def test_nothing_is_left_on_the_broker_by_20_checks_that_end_early(site: Site) -> None:
    assert site.broker
    before = site.broker.contents()
    status = site.fleet.status_command("-t", "100")
    assert check_20_times(site.fleet, "--settle", "0", command=status) == [ALL_WELL] * 20
    assert site.broker.contents_soon(before) == before


@pytest.mark.parametrize("early", [True, False], ids=["ended early", "to their end"])
def test_nothing_is_left_on_the_broker_by_20_checks_of_two_questions(site: Site, early: bool) -> None:
    assert site.broker
    before = site.broker.contents()
    options = ("--settle", "0") if early else ("--wait",)
    with contextlib.nullcontext() if early else site.fleet.ending_with_the_last_reply():
        inspect = site.fleet.inspect_command("-t", "100")
        outcomes = check_20_times(site.fleet, "--task-limit", "60", *options, command=inspect)
    assert outcomes == [ALL_WELL_AND_IDLE] * 20
    assert site.broker.contents_soon(before) == before


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
def test_no_false_alarm_in_20_checks_where_workers_stop_and_go_on(site: Site) -> None:
    with site.fleet.stalling():
        status = site.fleet.status_command("-t", "100")
        assert check_20_times(site.fleet, command=status) == [ALL_WELL] * 20


def test_crit_one_killed_and_then_all(site: Site) -> None:
    first, *others = killed = ["worker-2@serverA", "worker-1@serverA", "celery@serverB"]
    site.fleet.kill(first)
    with site.fleet.ending_with_the_last_reply():
        one_killed = check(site.fleet, command=site.fleet.status_command("-t", "100"))
    for node in others:
        site.fleet.kill(node)
    all_killed = check(site.fleet, command=site.fleet.status_command("-t", "3"))
    site.fleet.start(*killed)
    assert one_killed == ONE_KILLED
    assert all_killed == ALL_KILLED


def listening(
    fleet: Fleet, *options: str, number: int, env: dict[str, str]
) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Run the plugin with a Celery that listens for an hour, and go on once so many workers have answered."""
    words = arguments("-t", "200", *options, command=fleet.status_command("-t", "3600"))
    return answered(number, *words, env={**fleet.environment, **env}, cwd=fleet.directory)


def test_unknown_broker_stopped(kind: type[Broker], tmp_path: Path) -> None:
    reason = ".*(Connection refused|Connection reset|CONNECTION_FORCED).*"
    with kind(tmp_path) as broker, Fleet(broker=broker.url) as fleet:
        fleet.start("celery@serverB")
        with all_ended() as mark, listening(fleet, number=1, env=mark) as plugin:
            broker.stop()
            output, _ = plugin.communicate(timeout=DEADLINE)
        assert plugin.returncode == UNKNOWN
        assert re.fullmatch(
            r"CELERY WORKERS UNKNOWN - \S+ ended with exit status \d+, 1 of 3 workers had replied, no reply from "
            f"server serverA: {reason}\nServer serverA had not replied, accounts for 2 workers\n",
            output,
        )
        output, code = check(fleet, command=fleet.status_command("-t", "5"))
        assert code == UNKNOWN
        assert re.fullmatch(rf"CELERY WORKERS UNKNOWN - {reason} \(\S+ ended with exit status \d+\)\n", output)


def test_celery_ends_with_a_plugin_that_is_killed(site: Site) -> None:
    assert site.broker
    before = site.broker.contents()
    with all_ended() as mark, listening(site.fleet, "-e", "nobody@serverC", number=3, env=mark) as plugin:
        assert any("status" in command for command in started_with(mark[MARK]).values())
        os.killpg(plugin.pid, signal.SIGKILL)
        wait_for(lambda: not started_with(mark[MARK]), "Celery goes on")
    assert site.broker.contents_soon(before) == before


@pytest.mark.parametrize("questions", [1, 2])
@pytest.mark.parametrize("name", ["filesystem", *BROKERS])
def test_a_healthy_fleet_is_judged_though_celery_would_go_on_for_an_hour(
    name: str, questions: int, sites: dict[str, Site]
) -> None:
    if name not in sites:
        pytest.skip(f"needs {BROKERS[name].package}: apt-get install {BROKERS[name].package}")
    fleet = sites[name].fleet
    patient = ("-t", "3600")
    if questions == 1:
        assert check(fleet, *patient, command=fleet.status_command(*patient)) == ALL_WELL
    else:
        limit = ("--task-limit", "60")
        assert check(fleet, *patient, *limit, command=fleet.inspect_command(*patient)) == ALL_WELL_AND_IDLE
