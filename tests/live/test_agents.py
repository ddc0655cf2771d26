"""The commands of contrib/checkmk and contrib/sensu, run in a shell as the agents of these systems run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from daemons import adapted, application, command_of, executable, over_broker
from fleet import Fleet
from paths import CONTRIB
from running import CRITICAL, OK, PLUGIN, Outcome, outcome_of

from check_celery_workers.settings.options import TIMEOUT

pytestmark = [pytest.mark.daemon, pytest.mark.celery]

INSTALLED = "check_celery_workers --"
SUDO = "/usr/bin/sudo -n -u shopuser "


def check_both(fleet: Fleet, shell: str, command: str) -> tuple[Outcome, Outcome]:
    """Return the outcomes of a command of the shell with all workers online, and with one killed."""
    program = executable(shell, package=shell)
    well = outcome_of(program, "-c", command).timeless
    fleet.kill("worker-3@app1")
    try:
        return well, outcome_of(program, "-c", command).timeless
    finally:
        fleet.start("worker-3@app1")


@pytest.mark.parametrize("way", ["broker", "command"])
def test_checkmk(tmp_path: Path, fleet: Fleet, way: str) -> None:
    expected = tmp_path / "celery_workers"
    start = "check_celery_workers --baseline /etc" if way == "broker" else "cd /srv/shop && sudo -u shopuser"
    baseline = command_of("checkmk/README.md", start, {"/etc/celery_workers": str(expected), INSTALLED: f"{PLUGIN} --"})
    baseline = baseline.replace("sudo -u shopuser venv/bin/celery -A shop", "/srv/shop/venv/bin/celery -A shop")
    for old, new in {**over_broker(fleet), **application(fleet)}.items():
        baseline = baseline.replace(old, new)
    written = outcome_of("sh", "-c", baseline)
    assert written == (expected.read_text(encoding="utf-8"), OK)
    assert "queue celery=6..\n" in written.output

    own = {"/etc/celery_workers --task": f"{expected} --task", "--timeout 50": "--timeout 200"}
    changes = {INSTALLED: f"{PLUGIN} --", SUDO: "", **own, **application(fleet), **over_broker(fleet)}
    lines = adapted("checkmk/celery_workers.cfg", changes).splitlines()
    (line,) = (line for line in lines if line.startswith("Celery" if way == "broker" else "#Celery"))
    assert ("--broker" in line) == (way == "broker")
    service, interval, command = line.lstrip("#").split(maxsplit=2)
    assert (service, interval) == ("Celery_workers", "(interval=120)")
    assert not set("'\"\\") & set(command)
    # The agent evaluates the command within quotes, and again without.
    well, ill = check_both(fleet, "bash", f'run() {{ eval "$*"; }}; eval "run \'{command}\'"')
    assert (well.headline, well.code) == ("CELERY WORKERS OK - 6 of 6 workers online on 3 servers", OK)
    assert ill.headline == (
        "CELERY WORKERS CRITICAL - 1 of 6 workers missing (worker-3@app1), 1 queue short of consumers (celery)"
    )
    assert ill.findings == [
        "Worker worker-3@app1 was missing",
        "Queue celery has 5 consumers instead of at least 6",
    ]
    assert ill.code == CRITICAL


@pytest.mark.parametrize("way", ["broker", "command"])
def test_sensu(fleet: Fleet, way: str) -> None:
    patient = {"--timeout 50": "--timeout 200", "inspect {} -t 4": "inspect {} -t 100"}
    changes = {INSTALLED: f"{PLUGIN} --", SUDO: "", "emails=2..": "celery=2..", **patient, **application(fleet)}
    definition = adapted("sensu/celery_workers.yml", {**changes, **over_broker(fleet)})
    start = "  " if way == "broker" else "  # "
    command = " ".join(
        line.removeprefix(start).strip()
        for line in re.search(rf"^{start}command: >-\n((?:{start}  .*\n)+)", definition, re.MULTILINE)[1].splitlines()  # type: ignore[index]
    )
    assert ("--broker" in command) == (way == "broker")
    assert "{{" not in definition
    well, ill = check_both(fleet, "sh", command)
    assert (well.headline, well.code) == ("CELERY WORKERS OK - 6 of 6 workers online on 3 servers", OK)
    assert (ill.headline, ill.code) == ("CELERY WORKERS CRITICAL - 1 of 6 workers missing: worker-3@app1", CRITICAL)
    assert metrics(well.output)["missing"] == 0
    assert metrics(ill.output) == {**metrics(well.output), "missing": 1, "online": 5}


def metrics(output: str) -> dict[str, float]:
    """Return the metrics that Sensu's agent finds: after the only |, a value before each ;, in what blanks separate."""
    _, perfdata = output.split("|")
    pairs = (metric.partition(";")[0].split("=") for metric in perfdata.split(" ") if metric.strip())
    return {pair[0]: float(re.sub(r"[^-\d.]", "", pair[1])) for pair in pairs if len(pair) == 2}


def test_sensu_waits_longer_than_the_plugin() -> None:
    definition = (CONTRIB / "sensu" / "celery_workers.yml").read_text(encoding="utf-8")
    command, sensu = (int(re.search(rf"{word}(\d+)", definition)[1]) for word in ("--timeout ", " timeout: "))  # type: ignore[index]
    assert max(TIMEOUT, command) < sensu
