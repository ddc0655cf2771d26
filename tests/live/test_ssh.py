"""The verdicts that come through check_by_ssh and a real sshd. test_pages.py runs the whole page of contrib/ssh."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Sshd, application, command_of, executable, over_broker, sshd
from fleet import Fleet
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, outcome_of

pytestmark = pytest.mark.daemon

CHECK_BY_SSH = executable("check_by_ssh", package="monitoring-plugins-basic")
WELL = """\
CELERY WORKERS OK - 6 of 6 workers online on 3 servers | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 \
missing_servers=0;;;0 oldest_task=0.0s;;;0 online=6;;;0 queues=0;;0;0 time=0.5s;;;0 unexpected=0;0;;0 \
unexpected_servers=0;;;0
"""
ILL = """\
CELERY WORKERS CRITICAL - 2 of 8 workers missing: server lost, worker-0@app1 or worker-5@app1 | \
duplicate=0;0;;0 malfunctioning=0;;0;0 missing=2;;0;0;8 missing_servers=1;;;0 oldest_task=0.0s;;;0 \
online=6;;;0 queues=0;;0;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Server lost was missing, accounts for 1 missing worker: celery@lost
Worker worker-0@app1 or worker-5@app1 was missing
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as server:
        yield server


def with_celery(fleet: Fleet) -> dict[str, str]:
    """Return the changes that make the fleet that of a COMMAND of the page."""
    return {**application(fleet), "--timeout 50": "--timeout 200", "-t 15": "-t 100"}


def changes(server: Sshd | None = None) -> dict[str, str]:
    """Return those that make the plugin, the queue and the server those of the page."""
    own = {"-H 192.0.2.10 -l shopuser -t 55": f"{shlex.join(server.options)} -t 250"} if server else {}
    return {**own, '"check_celery_workers': f'"{PLUGIN}', "emails=2..": "celery=2.."}


def run(command: str) -> Outcome:
    """Return what the command of a shell prints, with 0.5 for the seconds that it took."""
    return outcome_of("sh", "-c", command).timeless


@pytest.mark.celery
@pytest.mark.parametrize(("option", "way"), [("--broker", over_broker), ("--timeout", with_celery)])
def test_verdicts_of_real_workers(
    server: Sshd, fleet: Fleet, option: str, way: Callable[[Fleet], dict[str, str]]
) -> None:
    asking = "sudo -u nagios /usr/lib/nagios/plugins/check_by_ssh"
    login = f'{asking} -q -H 192.0.2.10 -l shopuser -t 55 -C "check_celery_workers {option}'
    command = command_of("ssh/README.md", login, {asking: CHECK_BY_SSH, **changes(server), **way(fleet)})
    # With a --stall-limit over the broker.
    lengths = " | backlog=0;;;0 backlog_celery=0;;;0 " if way is over_broker else " | "
    assert run(command) == (WELL.replace(" | ", lengths), OK)
    ill = run(command.replace("worker-4@app1", "worker-5@app1 celery@lost"))
    assert ill == (ILL.replace(" | ", lengths), CRITICAL)


def check_by_ssh(server: Sshd, command: str) -> Outcome:
    """Return what check_by_ssh prints, with 0.5 for the seconds that it took."""
    return outcome_of(CHECK_BY_SSH, *server.options, "-t", "250", "-C", command).timeless


def test_unknown(server: Sshd) -> None:
    assert check_by_ssh(server, f"{PLUGIN} worker-4@app1 -- celery-of-nowhere status") == (
        "CELERY WORKERS UNKNOWN - celery-of-nowhere cannot be started: No such file or directory\n",
        UNKNOWN,
    )
