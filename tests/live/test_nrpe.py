"""contrib/nrpe in a real NRPE daemon, asked by check_nrpe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from daemons import adapted, application, command_of, executable, nrpe
from fleet import Fleet
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, outcome_of, perfdata

pytestmark = pytest.mark.daemon

CHECK_NRPE = executable("check_nrpe", package="nagios-nrpe-plugin")
PLUGINS = "/usr/lib/nagios/plugins"
PATIENT = ("-t", "250")
TWO_MISSING = """\
Worker worker-3@app1 was missing
Pattern celery@web-* matched 1 worker instead of at least 2, accounts for 1 missing worker
"""


def perfdata_of(missing: int, expected: int) -> str:
    online = f"{expected - missing};;;0"
    return perfdata(missing=f"{missing};;0;0;{expected}", online=online, queues="0;;0;0", time="0.5s;;;0")


def check_nrpe(port: int, *options: str, command: str = "check_celery_workers") -> Outcome:
    """Return what the page's check_nrpe prints, with 0.5 for the seconds that it took."""
    asking = command_of("nrpe/README.md", f"{PLUGINS}/check_nrpe -H app1.example.com -c {command}")
    words = asking.replace(f"{PLUGINS}/check_nrpe", CHECK_NRPE).replace("app1.example.com", "127.0.0.1").split()
    return outcome_of(*words, "-p", str(port), *options).timeless


def commands(fleet: Fleet, changes: dict[str, str]) -> str:
    """Return contrib's commands for the fleet, with enough time for a slow machine."""
    plugin = {f"{PLUGINS}/check_celery_workers --timeout 7": f"{PLUGIN} --timeout 200", "emails=2..": "celery=2.."}
    patient = {"inspect {} -t 4": "inspect {} -t 100"}
    return adapted("nrpe/celery_workers.cfg", {**plugin, **patient, **application(fleet), **changes})


@pytest.mark.celery
def test_contrib_as_it_is(tmp_path: Path, fleet: Fleet) -> None:
    with nrpe(tmp_path, commands(fleet, {})) as port:
        assert check_nrpe(port, *PATIENT) == (
            f"CELERY WORKERS OK - 6 of 6 workers online on 3 servers | {perfdata_of(0, 6)}\n",
            OK,
        )
        fleet.kill("worker-3@app1")
        fleet.kill("celery@web-1")
        try:
            ill = check_nrpe(port, *PATIENT)
        finally:
            fleet.start("worker-3@app1", "celery@web-1")
        assert ill == (
            f"CELERY WORKERS CRITICAL - 2 of 6 workers missing | {perfdata_of(2, 6)}\n{TWO_MISSING}",
            CRITICAL,
        )


@pytest.mark.celery
def test_500_missing(tmp_path: Path, fleet: Fleet) -> None:
    top = f"CELERY WORKERS CRITICAL - 500 of 506 workers missing | {perfdata_of(500, 506)}\n"
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
    celery = "/srv/shop/venv/bin/celery -A shop --workdir=/srv/shop inspect {} -t 4"
    plugin = {f"{PLUGINS}/check_celery_workers --timeout 7": f"{PLUGIN} --timeout 1"}
    with nrpe(tmp_path, adapted("nrpe/celery_workers.cfg", {**plugin, celery: "sleep 1000"})) as port:
        verdict = check_nrpe(port, *PATIENT)
    assert verdict.headline.startswith("CELERY WORKERS UNKNOWN - sleep did not end before the timeout, 0 of 6 workers")
    assert verdict.code == UNKNOWN
    # As it is, with two seconds to stop Celery.
    patience = re.search(r"before connection times out \(default=(\d+)\)", outcome_of(CHECK_NRPE, "-h").output)
    assert patience
    assert int(patience[1]) > 7 + 2


def with_argument(start: str, argument: str, changes: Mapping[str, str]) -> Outcome:
    """Return what a command of the page prints with this $ARG1$, which NRPE writes into the text for the shell."""
    command = command_of("nrpe/README.md", f"command[check_celery_workers]={start}", changes).partition("]=")[2]
    return outcome_of("sh", "-c", command.replace("$ARG1$", argument)).timeless


CELERY, EXPECT = "/srv/shop/venv/bin/celery", f"{PLUGINS}/check_celery_workers --timeout 7 -e"


@pytest.mark.celery
@pytest.mark.parametrize(
    ("start", "argument", "online"),
    [(CELERY, "worker-4@app1 celery@web-*=2..8", "6 of 6"), (EXPECT, "*@*=6", "6 of 6")],
    ids=["no command", "quoted"],
)
def test_arguments_from_the_network(fleet: Fleet, start: str, argument: str, online: str) -> None:
    time = {"--timeout 7": "--timeout 200"} if start == EXPECT else {}
    changes = {f"{PLUGINS}/check_celery_workers": PLUGIN, "-t 4": "-t 100", **time, **application(fleet)}
    verdict = with_argument(start, argument, changes)
    assert (verdict.headline, verdict.code) == (f"CELERY WORKERS OK - {online} workers online on 3 servers", OK)


@pytest.mark.parametrize("start", [CELERY, EXPECT], ids=["no command", "quoted"])
def test_arguments_from_the_network_start_nothing(tmp_path: Path, start: str) -> None:
    made = tmp_path / "made"
    for argument in (f"worker-4@app1 -- touch {made}", f"-- touch {made}", "--"):
        changes = {f"{PLUGINS}/check_celery_workers": PLUGIN, "/srv/shop/venv/bin/celery": "echo"}
        verdict = with_argument(start, argument, changes)
        assert verdict.headline.startswith("CELERY WORKERS UNKNOWN - ")
        assert verdict.code == UNKNOWN
        assert not made.exists()
