"""The units of contrib/systemd, verified, and contrib/sudoers.d in a real sudo. test_pages.py runs the pages.

sudo reads the system's own file. It runs in a mount namespace, where this is replaced by the test's file.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest
from daemons import adapted, application, confinement, executable
from fleet import Fleet
from paths import CONTRIB
from processes import run_merged
from running import OK, PLUGIN, UNKNOWN, Outcome, outcome_of

pytestmark = pytest.mark.daemon

INSTALLED = "/usr/lib/nagios/plugins/check_celery_workers"
PRIVATE = ("--mount", "--mount-proc")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: run the tests as root")
# Mounts each pair of paths before the --, the first over the second, and becomes the command after it.
MOUNT = """\
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done
mount -t tmpfs tmpfs /run || exit
shift
exec "$@"
"""
SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
Defaults use_pty
"""
WELL = """\
CELERY WORKERS OK - 6 of 6 workers online on 3 servers | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 \
missing_servers=0;;;0 oldest_task=0.0s;;;0 online=6;;;0 queues=0;;0;0 time=0.5s;;;0 unexpected=0;0;;0 \
unexpected_servers=0;;;0
"""


def over(mounts: dict[Path, str], *command: str | Path) -> list[str | Path]:
    """Return the command line that runs the command with each of these files and directories mounted over another."""
    pairs = [path for pair in mounts.items() for path in pair]
    return ["sh", "-c", MOUNT, "sh", *pairs, "--", *command]


def run_privately(mounts: dict[Path, str], *command: str | Path) -> Outcome:
    """Return what a command prints on both outputs with these files and directories mounted over others."""
    done = run_merged(*confinement(*PRIVATE), *over(mounts, *command))
    return Outcome(done.stdout, done.returncode)


def test_systemd_verifies_the_units() -> None:
    analyze = executable("systemd-analyze", package="systemd")
    units = [CONTRIB / "systemd" / f"celery_workers.{kind}" for kind in ("service", "timer")]
    done = subprocess.run((analyze, "verify", *units), capture_output=True, check=False, encoding="utf-8", timeout=60)
    # It reports the system's own units as well.
    assert [line for line in done.stderr.splitlines() if "celery" in line] == []
    assert done.returncode == 0


def test_news_is_what_changed_and_what_lasts_into_another_hour(tmp_path: Path) -> None:
    date, said, code = (tmp_path / name for name in ("date", "said", "code"))
    date.write_text('#!/bin/sh\n[ "$1" = "+%F %H:00" ] && cat "$0.now"\n', encoding="ascii")
    date.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    def check(now: str, output: str, exit_code: int) -> Outcome:
        date.with_name("date.now").write_text(now, encoding="ascii")
        said.write_text(output, encoding="ascii")
        code.write_text(str(exit_code), encoding="ascii")
        told = f'cat {said}; exit "$(cat {code})"'
        command = (CONTRIB / "cron" / "when_changed", tmp_path / "mailed", "sh", "-c", told)
        return outcome_of(*command, env=env)

    one, two = (f"C CRITICAL - {count} missing | missing={count};;0\nWorker w@a \\n | was missing\n" for count in "12")
    mailed = one.replace(" | missing=1;;0", "")
    assert check("8", "C OK - 3 online | time=1\n", 0) == ("C OK - 3 online\n", 0)
    assert check("9", "C OK - 4 online | time=2\n", 0) == ("", 0)
    assert check("9", one, 2) == (mailed, 2)
    assert check("9", one.replace("=1;", "=1.5;"), 2) == ("", 2)
    assert check("9", two, 2) == (two.replace(" | missing=2;;0", ""), 2)
    assert check("9", one, 2) == (mailed, 2)
    assert check("10", one, 2) == (mailed, 2)
    assert check("10", one, 2) == ("", 2)
    assert check("11", "C OK - 4 online | time=2\n", 0) == ("C OK - 4 online\n", 0)


def test_visudo_accepts_the_line() -> None:
    visudo = executable("visudo", package="sudo")
    file = CONTRIB / "sudoers.d" / "celery_workers"
    done = subprocess.run((visudo, "-c", "-f", file), capture_output=True, check=False, encoding="utf-8", timeout=60)
    assert (done.stdout.strip(), done.stderr, done.returncode) == (f"{file}: parsed OK", "", 0)


def check_with_sudo(directory: Path, sudoers: str, command: str) -> Outcome:
    """Return what the command of a shell prints when the user nobody runs it, with these sudoers."""
    executable("sudo", package="sudo")
    file = directory / "sudoers"
    file.write_text(SUDOERS + sudoers, encoding="utf-8")
    file.chmod(0o440)
    nobody = pwd.getpwnam("nobody")
    # The user nobody may read all files, because the plugin may be in a home directory, and has no other rights.
    setpriv = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    reading = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
    return run_privately({file: "/etc/sudoers"}, *setpriv, *reading, "sh", "-c", command)


@needs_root
@pytest.mark.celery
def test_nrpe_and_sudoers_fit_together(tmp_path: Path, fleet: Fleet) -> None:
    who = {"nagios ALL=(shopuser)": "nobody ALL=(root)", "Defaults:nagios": "Defaults:nobody"}
    patient = {" -t 4\n": " -t 100\n"}
    sudoers = adapted("sudoers.d/celery_workers", {**who, **patient, **application(fleet)})
    nrpe = adapted(
        "nrpe/celery_workers.cfg",
        {
            INSTALLED: PLUGIN,
            "--timeout 25": "--timeout 200",
            "-u shopuser": "-u root",
            "emails=2..": "celery=2..",
            **patient,
            **application(fleet),
        },
    )
    command = nrpe.partition("command[check_celery_workers_sudo]=")[2].strip()
    verdict = check_with_sudo(tmp_path, sudoers, command).timeless
    assert verdict == (WELL, OK)

    celery = command.partition(" -- ")[2]
    for other in (
        f"sudo -n -u root {PLUGIN} -V",
        celery.replace("-t 100", "-t 101"),
        celery.replace("{}", "stats"),
        celery.replace("inspect {} -t 100", "control shutdown"),
    ):
        refused = check_with_sudo(tmp_path, sudoers, f"{PLUGIN} worker-4@app1 -- {other}")
        assert "sudo: a password is required" in refused.output
        assert refused.code == UNKNOWN
