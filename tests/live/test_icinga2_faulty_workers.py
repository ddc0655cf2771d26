"""A real icinga2 that alarms for workers which answer and do not work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ages import ageless
from fleet import Fleet
from icinga2 import SERVICES, Icinga2, Result, host
from paths import CONTRIB
from running import CRITICAL, OK, PLUGIN, perfdata, timeless

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

CHECK_COMMAND = (CONTRIB / "icinga2" / "check_celery_workers.conf").read_text(encoding="utf-8")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet() as fleet, fleet.ending_with_the_last_reply():
        fleet.start("worker-1@app1", pool="prefork", queues=("orders",))
        fleet.start("mail@app2", pool="prefork", queues=("emails",))
        yield fleet


def expected(**others: str) -> str:
    """Return the perfdata; `others` are those that are not as in a fleet that is well."""
    well = {"missing": "0;;0;0;2", "online": "2;;;0", "oldest_task": "0s;;;0", "queues": "0;;0;0", "time": "0.5s;;;0"}
    return perfdata(**{**well, **others})


def shown(result: Result) -> Result:
    """Return the result with lines, AGE for each age of a task but 0 s, and 0.5s for the time."""
    lines = result.long_output.replace("\\n", "\n")
    return result._replace(long_output=ageless(lines), perfdata=timeless(ageless(result.perfdata)))


def test_icinga_shows_a_short_queue_and_an_endless_task(tmp_path: Path, fleet: Fleet) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "check_celery_workers").symlink_to(PLUGIN)
    environment = [f"{name}={fleet.environment[name]}" for name in ("PYTHONPATH", "TMPDIR")]
    variables = {
        "celery_workers_expect": ["worker-1..1@app1", "mail@app2"],
        "celery_workers_queue": ["orders", "emails=1.."],
        "celery_workers_task_limit": ["proj.endless=2", "600"],
        "celery_workers_timeout": 100,
        "celery_workers_command": ["env", *environment, *fleet.inspect_command("-t", "60")],
    }
    files = {
        "check_celery_workers.conf": CHECK_COMMAND,
        "celery_workers_services.conf": SERVICES,
        "hosts.conf": host("app1", "locally", variables),
    }
    node = Icinga2(tmp_path / "icinga2", plugins, {f"conf.d/{name}": text for name, text in files.items()})
    with node.running() as icinga:
        assert shown(icinga.result("app1", until=lambda result: result.state == OK)) == Result(
            OK, "CELERY WORKERS OK - 2 of 2 workers online on 2 servers ", "", expected()
        )

        fleet.add_consumer("worker-1@app1", "order")
        fleet.cancel_consumer("worker-1@app1", "orders")
        assert shown(icinga.result("app1", until=lambda result: result.state == CRITICAL)) == Result(
            CRITICAL,
            "CELERY WORKERS CRITICAL - 1 queue short of consumers: orders ",
            "Queue orders has 0 consumers instead of at least 1",
            expected(queues="1;;0;0"),
        )

        fleet.send("proj.endless", queue="emails")
        both = icinga.result("app1", until=lambda result: "malfunctioning" in result.output)
        assert shown(both) == Result(
            CRITICAL,
            "CELERY WORKERS CRITICAL - 1 worker malfunctioning (mail@app2), 1 queue short of consumers (orders) ",
            "Worker mail@app2 was malfunctioning, it has run proj.endless for AGE\n"
            "Queue orders has 0 consumers instead of at least 1",
            expected(malfunctioning="1;;0;0", oldest_task="AGE;;;0", queues="1;;0;0"),
        )

        fleet.add_consumer("worker-1@app1", "orders")
        endless = icinga.result("app1", until=lambda result: "queue" not in result.output)
        assert shown(endless) == Result(
            CRITICAL,
            "CELERY WORKERS CRITICAL - 1 worker malfunctioning: mail@app2 ",
            "Worker mail@app2 was malfunctioning, it has run proj.endless for AGE",
            expected(malfunctioning="1;;0;0", oldest_task="AGE;;;0"),
        )
