"""contrib/nrpe in a real NRPE daemon, asked by check_nrpe."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from daemons import adapted, application, command_of, executable, nrpe, over_broker
from fleet import Fleet
from paths import CONTRIB
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, outcome_of, perfdata, run

pytestmark = pytest.mark.daemon

CHECK_NRPE = executable("check_nrpe", package="nagios-nrpe-plugin")
PLUGINS = "/usr/lib/nagios/plugins"
PATIENT = ("-t", "250")
SUDO = "/usr/bin/sudo -n -u shopuser "
TWO_MISSING = """\
Worker worker-3@app1 was missing
Pattern celery@web-* matched 1 worker instead of at least 2, accounts for 1 missing worker
"""


def perfdata_of(missing: int, expected: int, command: str = "check_celery_workers") -> str:
    online = f"{expected - missing};;;0"
    tasks = {"oldest_task": "0.0s;;;0", "queues": "0;;0;0"}
    tasks |= {} if command.endswith("_sudo") else {"backlog": "0;;;0", "backlog_celery": "0;;;0"}
    return perfdata(missing=f"{missing};;0;0;{expected}", online=online, time="0.5s;;;0", **tasks)


def check_nrpe(port: int, *options: str, command: str = "check_celery_workers") -> Outcome:
    """Return what the page's check_nrpe prints, with 0.5 for the seconds that it took."""
    time = "-t 30 " if command.endswith("_sudo") else "-t 55 "
    asking = command_of("nrpe/README.md", f"{PLUGINS}/check_nrpe -H app1.example.com {time}-c {command}")
    words = asking.replace(f"{PLUGINS}/check_nrpe", CHECK_NRPE).replace("app1.example.com", "127.0.0.1").split()
    return outcome_of(*words, "-p", str(port), *options).timeless


def commands(fleet: Fleet, changes: dict[str, str]) -> str:
    """Return contrib's commands for the fleet, with enough time for a slow machine."""
    plugin = {f"{PLUGINS}/check_celery_workers": PLUGIN, "emails=2..": "celery=2.."}
    patient = {"--timeout 25": "--timeout 200", "inspect {} -t 4": "inspect {} -t 100"}
    ways = {SUDO: "", **application(fleet), **over_broker(fleet)}
    return adapted("nrpe/celery_workers.cfg", {**plugin, **patient, **ways, **changes})


@pytest.mark.celery
@pytest.mark.parametrize("command", ["check_celery_workers", "check_celery_workers_sudo"], ids=["broker", "command"])
def test_contrib_as_it_is(tmp_path: Path, fleet: Fleet, command: str) -> None:
    with nrpe(tmp_path, commands(fleet, {})) as port:
        assert check_nrpe(port, *PATIENT, command=command) == (
            f"CELERY WORKERS OK - 6 of 6 workers online on 3 servers | {perfdata_of(0, 6, command)}\n",
            OK,
        )
        fleet.kill("worker-3@app1")
        fleet.kill("celery@web-1")
        try:
            ill = check_nrpe(port, *PATIENT, command=command)
        finally:
            fleet.start("worker-3@app1", "celery@web-1")
        top = "CELERY WORKERS CRITICAL - 2 of 6 workers missing: worker-3@app1, celery@web-*"
        assert ill == (f"{top} | {perfdata_of(2, 6, command)}\n{TWO_MISSING}", CRITICAL)


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
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0"
        (tmp_path / "celery_broker").write_text(url, encoding="ascii")
        own = {"/etc/celery_broker": str(tmp_path / "celery_broker"), "--stall-limit 15s": "--timeout 5"}
        plugin = {f"{PLUGINS}/check_celery_workers": PLUGIN}
        with nrpe(tmp_path, adapted("nrpe/celery_workers.cfg", {**plugin, **own})) as port:
            verdict = check_nrpe(port, *PATIENT)
    broker = url.replace(":secret@", "")
    assert verdict == (f"CELERY WORKERS UNKNOWN - the broker {broker} did not answer before the timeout\n", UNKNOWN)


def test_the_shorter_limits_of_the_page_fit_check_nrpe_as_it_is(tmp_path: Path) -> None:
    page = (CONTRIB / "nrpe" / "README.md").read_text(encoding="utf-8")
    (limits,) = re.findall(r"`(--reply-timeout .* --timeout [0-9]+)`", page)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
    (tmp_path / "celery_broker").write_text(url, encoding="ascii")
    verdict = run("w@a", "--broker", str(tmp_path / "celery_broker"), *limits.split())
    assert verdict.headline.startswith(f"CELERY WORKERS UNKNOWN - the broker {url} cannot be reached: ")
    # It has two seconds to leave the broker.
    patience = re.search(r"before connection times out \(default=(\d+)\)", outcome_of(CHECK_NRPE, "-h").output)
    assert patience
    assert int(patience[1]) >= int(limits.split()[-1]) + 2


def test_verdict_of_a_command_before_check_nrpe_gives_up(tmp_path: Path) -> None:
    celery = f"{SUDO}/srv/shop/venv/bin/celery -A shop --workdir=/srv/shop inspect {{}} -t 4"
    # One question, as it has no {}.
    plugin = {f"{PLUGINS}/check_celery_workers": PLUGIN, "--timeout 25": "--timeout 1", " --task-limit 1h": ""}
    with nrpe(tmp_path, adapted("nrpe/celery_workers.cfg", {**plugin, celery: "sleep 1000"})) as port:
        verdict = check_nrpe(port, *PATIENT, command="check_celery_workers_sudo")
    reason = "sleep did not end before the timeout, no worker had replied"
    assert verdict == (f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def with_argument(start: str, argument: str, changes: Mapping[str, str]) -> Outcome:
    """Return what a command of the page prints with this $ARG1$, which NRPE writes into the text for the shell."""
    command = command_of("nrpe/README.md", f"command[check_celery_workers]={start}", changes).partition("]=")[2]
    return outcome_of("sh", "-c", command.replace("$ARG1$", argument)).timeless


BROKER = f"{PLUGINS}/check_celery_workers --broker /etc/celery_broker"
CELERY, EXPECT = "/srv/shop/venv/bin/celery", f"{PLUGINS}/check_celery_workers --timeout 7 -e"


@pytest.mark.celery
@pytest.mark.parametrize(
    ("start", "argument", "online"),
    [(BROKER, "*@*=6", "6 of 6"), (CELERY, "worker-4@app1 celery@web-*=2..8", "6 of 6"), (EXPECT, "*@*=6", "6 of 6")],
    ids=["over the broker", "no command", "quoted"],
)
def test_arguments_from_the_network(fleet: Fleet, start: str, argument: str, online: str) -> None:
    patient = {"-t 4": "-t 100", **application(fleet)}
    if start == BROKER:
        patient = over_broker(fleet)
    elif start == EXPECT:
        patient["--timeout 7"] = "--timeout 200"
    changes = {f"{PLUGINS}/check_celery_workers": PLUGIN, **patient}
    verdict = with_argument(start, argument, changes)
    assert (verdict.headline, verdict.code) == (f"CELERY WORKERS OK - {online} workers online on 3 servers", OK)


@pytest.mark.parametrize("start", [BROKER, CELERY, EXPECT], ids=["over the broker", "no command", "quoted"])
def test_arguments_from_the_network_start_nothing(tmp_path: Path, start: str) -> None:
    made = tmp_path / "made"
    celery = {} if start == BROKER else {"/srv/shop/venv/bin/celery": "echo"}
    for argument in (f"worker-4@app1 -- touch {made}", f"-- touch {made}", "--"):
        verdict = with_argument(start, argument, {f"{PLUGINS}/check_celery_workers": PLUGIN, **celery})
        assert verdict.headline.startswith("CELERY WORKERS UNKNOWN - ")
        assert verdict.code == UNKNOWN
        assert not made.exists()
