"""Workers of Celery 3.1, in Python 2.7, and of 4.4 on Redis: who starts no task, and who is older than a release."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from brokers import Redis
from celeries import Release, releases
from deployment import Deployment, undated, wait_until_old
from fleet import Fleet
from listening import listening
from processes import DEADLINE, wait_for
from running import CRITICAL, OK, UNKNOWN, Outcome, perfdata, run
from stalling import stopped_pool, wait_until_held, wait_until_scheduled

pytestmark = [pytest.mark.celery, pytest.mark.daemon, pytest.mark.usefixtures("nothing_is_left_running")]

CELERIES = releases("3.1", "4.4")
# No package of Debian's would bring what is lacking, so that there is nothing to skip.
__test__ = bool(CELERIES)

WORKER = "w@a"
STALL = ("--stall-limit", "2s")
# With two processes it fetches four tasks for each.
FETCHED = 8


class Site(NamedTuple):
    """A worker of two processes, the version of its Celery, and its broker."""

    celery: str
    fleet: Fleet
    broker: Redis

    def words(self, *arguments: str) -> tuple[str, ...]:
        options = json.dumps({"fanout_prefix": False} if self.celery == "3.1" else {})
        broker = ("--broker", self.broker.url, "--broker-options", options)
        return (WORKER, "-t", "200", "--settle", "0", *arguments, *broker)

    def check(self, *arguments: str) -> Outcome:
        """Run the plugin over the broker, with AGE for how long ago something was."""
        said = run(*self.words(*arguments)).timeless
        return said._replace(output=undated(said.output))

    def published(self) -> int:
        """Return how many messages Redis was given for all of those who listen."""
        told = "".join(self.broker.ask("INFO", "commandstats"))
        return int(re.findall(r"cmdstat_publish:calls=(\d+)", told)[0])


@pytest.fixture(scope="module", params=CELERIES, ids=[old.celery for old in CELERIES])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The worker online; a test that changes that changes it back."""
    old: Release = request.param
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    environment = old.install(tmp_path_factory.mktemp("packages"))
    broker = Redis(tmp_path_factory.mktemp("redis"))
    with (
        broker,
        Fleet(broker=broker.url, celery=old.command, environment=environment) as fleet,
    ):
        start(fleet)
        yield Site(old.celery, fleet, broker)


def start(fleet: Fleet) -> None:
    fleet.start(WORKER, pool="prefork", concurrency=2)


def well(**others: str) -> Outcome:
    numbers = perfdata(missing="0;;0;0;1", online="1;;;0", time="0.5s;;;0", **others)
    return Outcome(f"CELERY WORKERS OK - 1 of 1 worker online on 1 server | {numbers}\n", OK)


def malfunctioning(finding: str, **others: str) -> Outcome:
    numbers = perfdata(missing="0;;0;0;1", online="1;;;0", malfunctioning="1;;0;0", time="0.5s;;;0", **others)
    return Outcome(
        f"CELERY WORKERS CRITICAL - 1 worker malfunctioning: {WORKER} | {numbers}\n"
        f"Worker {WORKER} was malfunctioning, {finding}\n",
        CRITICAL,
    )


def test_the_pool_hangs_and_goes_on(site: Site) -> None:
    fleet, idle = site.fleet, well(backlog="0;;;0")
    assert site.check(*STALL) == idle
    with stopped_pool(fleet, WORKER):
        fleet.send_many("proj.nap", FETCHED + 4, 0)
        wait_until_held(fleet, WORKER, FETCHED)
        held = f"it started none of the {FETCHED} tasks that it holds for 2 s"
        assert site.check(*STALL) == malfunctioning(held, backlog="4;;;0")
    fleet.wait_until_started("proj.nap", FETCHED + 4)
    assert site.check(*STALL) == idle


def test_ok_tasks_for_later(site: Site) -> None:
    site.fleet.send_many("proj.nap", FETCHED + 4, 0, countdown=3600)
    wait_until_scheduled(site.fleet, WORKER, FETCHED + 4)
    assert site.check(*STALL) == well(backlog="0;;;0")


def test_started_before_a_release(site: Site, tmp_path: Path) -> None:
    shop = Deployment(tmp_path / "shop")
    shop.deploy("a")
    after = ("--started-after", str(shop.current))
    now = (*after, "--started-grace", "0.001")
    if site.celery == "3.1":
        # Which it does not say.
        reason = "Celery before 4.4.3 does not say when a worker was started"
        said = f"CELERY WORKERS UNKNOWN - --started-after cannot be judged of {WORKER}: {reason}\n"
        for options in (after, now):
            assert site.check(*options) == Outcome(said, UNKNOWN)
        return
    wait_until_old(site.fleet, WORKER)
    shop.deploy("b")
    assert site.check(*after) == well()
    assert site.check(*now) == malfunctioning(f"it was started AGE ago, before {shop.current} was changed AGE ago")
    site.fleet.kill(WORKER)
    start(site.fleet)
    assert site.check(*now) == well()


def test_ok_all_questions_reach_the_worker_at_once(site: Site) -> None:
    """On Redis a worker of 3.1 reads one of them, and the others when it gets another message."""
    before = site.published()
    site.fleet.freeze(WORKER)
    with listening(*site.words(*STALL, "--task-limit", "600")) as plugin:
        try:
            wait_for(lambda: site.published() >= before + 3, "not all questions are asked")
        finally:
            site.fleet.thaw(WORKER)
        said = Outcome(*plugin.finish(DEADLINE)).timeless
    assert said == well(backlog="0;;;0", oldest_task="0.0s;;;0")
