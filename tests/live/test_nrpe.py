"""contrib/nrpe in the hands of a real NRPE daemon, asked by check_nrpe."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemons import adapted, application, executable, nrpe
from fleet import Fleet
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, outcome_of

pytestmark = pytest.mark.daemon

CHECK_NRPE = executable("check_nrpe", package="nagios-nrpe-plugin")
PATIENT = ("-t", "100")
TWO_MISSING = """\
Worker worker-3@app1 was missing
Pattern celery@web-* matched 1 worker instead of at least 2, accounts for 1 missing worker
"""


def perfdata(missing: int, expected: int) -> str:
    return (
        f"duplicate=0;0;;0 malfunctioning=0;;0;0 missing={missing};;0;0;{expected} missing_servers=0;;;0"
        f" online={expected - missing};;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0"
    )


def check_nrpe(port: int, *options: str) -> Outcome:
    """Return what check_nrpe says, with 0.5 for the seconds that it took."""
    command = (CHECK_NRPE, "-H", "127.0.0.1", "-p", str(port), *options, "-c", "check_celery_workers")
    return outcome_of(*command).timeless


def commands(fleet: Fleet, changes: dict[str, str]) -> str:
    """Return those of contrib for the fleet, with time enough for a slow machine."""
    plugin = {"/usr/lib/nagios/plugins/check_celery_workers --timeout 7": f"{PLUGIN} --timeout 60"}
    return adapted("nrpe/celery_workers.cfg", {**plugin, **application(fleet), **changes})


@pytest.mark.celery
def test_contrib_as_it_is(tmp_path: Path, fleet: Fleet) -> None:
    with nrpe(tmp_path, commands(fleet, {})) as port:
        assert check_nrpe(port, *PATIENT) == (
            f"CELERY WORKERS OK - 6 of 6 workers online on 3 servers | {perfdata(0, 6)}\n",
            OK,
        )
        fleet.kill("worker-3@app1")
        fleet.kill("celery@web-1")
        try:
            ill = check_nrpe(port, *PATIENT)
        finally:
            fleet.start("worker-3@app1", "celery@web-1")
        assert ill == (
            f"CELERY WORKERS CRITICAL - 2 of 6 workers missing | {perfdata(2, 6)}\n{TWO_MISSING}",
            CRITICAL,
        )


@pytest.mark.celery
def test_500_missing(tmp_path: Path, fleet: Fleet) -> None:
    top = f"CELERY WORKERS CRITICAL - 500 of 506 workers missing | {perfdata(500, 506)}\n"
    with nrpe(tmp_path, commands(fleet, {"worker-4@app1": "worker-1..504@app1"})) as port:
        whole = check_nrpe(port, *PATIENT)
        assert whole.code == CRITICAL
        first, *findings, last = whole.output.splitlines(keepends=True)
        assert first == top
        assert findings == [f"Worker worker-{index}@app1 was missing\n" for index in range(5, 5 + len(findings))]
        assert last == f"... and {500 - len(findings)} more\n"
        # Nothing is cut that the plugin could have said within its 8,000 bytes.
        assert len(findings) > 200

        short = check_nrpe(port, "-2", *PATIENT)
        assert short.code == CRITICAL
        assert short.output.startswith(f"{top}Worker worker-5@app1 was missing\n")
        assert whole.output.startswith(short.output.removesuffix("\n"))


def test_verdict_before_check_nrpe_gives_up(tmp_path: Path) -> None:
    status = "/srv/shop/venv/bin/celery -A shop --workdir /srv/shop status -t 4"
    plugins = {"/usr/lib/nagios/plugins/check_celery_workers": PLUGIN}
    with nrpe(tmp_path, adapted("nrpe/celery_workers.cfg", {**plugins, status: "sleep 100"})) as port:
        assert check_nrpe(port) == (
            "CELERY WORKERS UNKNOWN - /usr/bin/env did not end before the timeout, 0 of 6 workers had answered\n",
            UNKNOWN,
        )
