"""check_by_ssh asks an sshd for the plugin's verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Sshd, executable, sshd
from fleet import Fleet
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, outcome_of

pytestmark = pytest.mark.daemon

CHECK_BY_SSH = executable("check_by_ssh", package="monitoring-plugins-basic")
WELL = """\
CELERY WORKERS OK - 6 of 6 workers online on 3 servers | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 \
missing_servers=0;;;0 online=6;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
"""
ILL = """\
CELERY WORKERS CRITICAL - 2 of 8 workers missing | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=2;;0;0;8 \
missing_servers=1;;;0 online=6;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Server lost was missing, accounts for 1 missing worker
Worker worker-0@app1 or worker-5@app1 was missing
"""


def check_by_ssh(server: Sshd, command: str) -> Outcome:
    """Return what check_by_ssh says, with 0.5 for the seconds that it took."""
    return outcome_of(CHECK_BY_SSH, *server.options, "-t", "100", "-C", command).timeless


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as server:
        yield server


def check_of(fleet: Fleet, expected: str) -> str:
    """Return a command line for a shell that checks the fleet, from any directory and with any environment."""
    status = shlex.join([*fleet.celery, "--workdir", str(fleet.directory), "status", "-t", "3"])
    return f"{PLUGIN} --timeout 60 {expected} -- {status}"


@pytest.mark.celery
def test_verdicts_of_real_workers(server: Sshd, fleet: Fleet) -> None:
    assert check_by_ssh(server, check_of(fleet, "worker-4@app1 'celery@web-*=2..8'")) == (WELL, OK)
    ill = check_by_ssh(server, check_of(fleet, "worker-5@app1 'celery@web-*=2..8' celery@lost"))
    assert ill == (ILL, CRITICAL)


@pytest.mark.celery
def test_a_key_that_may_do_nothing_else(server: Sshd, fleet: Fleet) -> None:
    forced = check_of(fleet, "worker-4@app1 'celery@web-*'=2..8")
    server.authorized_keys.write_text(f'restrict,command="{forced}" {server.public_key}', encoding="utf-8")
    verdict = check_by_ssh(server, "cat /etc/passwd")
    assert (verdict.headline, verdict.code) == ("CELERY WORKERS OK - 6 of 6 workers online on 3 servers", OK)


def test_unknown(server: Sshd) -> None:
    assert check_by_ssh(server, f"{PLUGIN} worker-4@app1 -- celery-of-nowhere status") == (
        "CELERY WORKERS UNKNOWN - celery-of-nowhere cannot be started: No such file or directory\n",
        UNKNOWN,
    )
