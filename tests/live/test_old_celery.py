"""Workers of Celery 3.1, in Python 2.7, and of 4.4 on a real Redis, judged by two questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from ages import ageless
from brokers import Redis
from celeries import Release, releases
from fleet import Fleet
from processes import all_ended
from running import CRITICAL, OK, UNKNOWN, Outcome, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

EXPECTED = ("w-1..2@a", "mail@b", "--queue", "orders=2", "--queue", "emails")
LIMITS = ("--task-limit", "proj.endless=0.001", "--task-limit", "600")


CELERIES = releases("3.1", "4.4")
# No package of Debian's would bring what is lacking, so that there is nothing to skip.
__test__ = bool(CELERIES)


class Site(NamedTuple):
    """A fleet of two workers on the queue orders and one on emails, and the version of its Celery."""

    celery: str
    fleet: Fleet


@pytest.fixture(scope="module", params=CELERIES, ids=[old.celery for old in CELERIES])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All online; a test that changes that changes it back."""
    old: Release = request.param
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    environment = old.install(tmp_path_factory.mktemp("packages"))
    with (
        Redis(tmp_path_factory.mktemp("redis")) as broker,
        Fleet(broker=broker.url, celery=old.command, environment=environment) as fleet,
    ):
        fleet.start("w-1@a", "w-2@a", pool="prefork", queues=("orders",))
        start_emails(fleet)
        yield Site(old.celery, fleet)


def start_emails(fleet: Fleet) -> None:
    fleet.start("mail@b", pool="prefork", concurrency=2, queues=("emails",))


def check(fleet: Fleet, *options: str) -> Outcome:
    """Run the plugin; in what it says the age of a task that is not 0 is AGE, and the time 0.5s."""
    with all_ended() as mark:
        said = run(
            *(*EXPECTED, *options, "-t", "200", "--", *fleet.inspect_command("-t", "100")),
            env={**fleet.environment, **mark},
            cwd=fleet.directory,
        ).timeless
    return said._replace(output=ageless(said.output))


def test_ok_idle(site: Site) -> None:
    assert check(site.fleet, *LIMITS) == Outcome(
        "CELERY WORKERS OK - 3 of 3 workers online on 2 servers"
        " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;3 missing_servers=0;;;0 oldest_task=0s;;;0"
        " online=3;;;0 queues=0;;0;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n",
        OK,
    )


def test_crit_consumer_cancelled(site: Site) -> None:
    site.fleet.cancel_consumer("w-2@a", "orders")
    try:
        with site.fleet.ending_with_the_last_reply():
            said = check(site.fleet)
    finally:
        site.fleet.add_consumer("w-2@a", "orders")
    assert said == Outcome(
        "CELERY WORKERS CRITICAL - 1 worker malfunctioning (w-2@a), 1 queue short of consumers (orders)"
        " | duplicate=0;0;;0 malfunctioning=1;;0;0 missing=0;;0;0;3 missing_servers=0;;;0"
        " online=3;;;0 queues=1;;0;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
        "Worker w-2@a was malfunctioning, it consumes from no queue\n"
        "Queue orders has 1 consumer instead of 2\n",
        CRITICAL,
    )


def test_crit_one_killed(site: Site) -> None:
    site.fleet.kill("mail@b")
    try:
        with site.fleet.ending_with_the_last_reply():
            said = check(site.fleet)
    finally:
        start_emails(site.fleet)
    assert said == Outcome(
        "CELERY WORKERS CRITICAL - 1 of 3 workers missing (server b), 1 queue short of consumers (emails)"
        " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;3 missing_servers=1;;;0"
        " online=2;;;0 queues=1;;0;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
        "Server b was missing, accounts for 1 missing worker: mail@b\n"
        "Queue emails has 0 consumers instead of at least 1\n",
        CRITICAL,
    )


def test_all_slots_taken_by_endless_tasks(site: Site) -> None:
    try:
        for _ in range(2):
            site.fleet.send("proj.endless", queue="emails")
        site.fleet.wait_until_started("proj.endless", 2)
        if site.celery == "3.1":
            # The time that it gives is the worker's own, of no use on another host.
            assert check(site.fleet, *LIMITS) == Outcome(
                "CELERY WORKERS UNKNOWN - --task-limit needs Celery 4.2: earlier ones do not say when a task was "
                "started\n",
                UNKNOWN,
            )
        else:
            assert check(site.fleet, *LIMITS) == Outcome(
                "CELERY WORKERS CRITICAL - 1 worker malfunctioning: mail@b"
                " | duplicate=0;0;;0 malfunctioning=1;;0;0 missing=0;;0;0;3 missing_servers=0;;;0 oldest_task=AGE;;;0"
                " online=3;;;0 queues=0;;0;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
                "Worker mail@b was malfunctioning, it has run proj.endless for AGE, 2 tasks over their limit\n",
                CRITICAL,
            )
    finally:
        site.fleet.kill("mail@b")
        start_emails(site.fleet)
