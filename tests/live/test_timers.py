"""contrib/cron, contrib/systemd and contrib/sudoers.d in the real cron, systemd and sudo.

The daemons read the system's own files. They run in a mount namespace, where these are replaced by the tests' files.
"""

from __future__ import annotations

import email
import os
import pwd
import subprocess
from contextlib import suppress
from email.message import Message
from pathlib import Path

import pytest
from daemons import adapted, application, celery_of, children, confinement, daemon, executable, over_broker
from fleet import Fleet
from paths import CONTRIB
from processes import run_merged
from running import OK, PLUGIN, UNKNOWN, Outcome, timeless

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
SENDMAIL = '#!/bin/sh\ncat > "$(mktemp {directory}/XXXXXX)"\n'
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
ILL = """\
CELERY WORKERS CRITICAL - 1 of 7 workers missing: worker-0@app1 or worker-5@app1 | duplicate=0;0;;0 \
malfunctioning=0;;0;0 missing=1;;0;0;7 missing_servers=0;;;0 oldest_task=0.0s;;;0 online=6;;;0 queues=0;;0;0 \
time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Worker worker-0@app1 or worker-5@app1 was missing
"""


# With a --stall-limit.
ILL_OVER_BROKER = ILL.replace(" | ", " | backlog=0;;;0 backlog_celery=0;;;0 ")


def changes(fleet: Fleet) -> dict[str, str]:
    """Return those that make the fleet that of the crontab and of the service, both ways."""
    return {
        INSTALLED: PLUGIN,
        **over_broker(fleet),
        "--timeout 90": "--timeout 200",
        "inspect {} -t 30": "inspect {} -t 100",
        "emails=2..": "celery=2..",
        "venv/bin/celery -A shop": f"{celery_of(fleet)} -A proj",
        "/srv/shop": str(fleet.directory),
    }


def over(mounts: dict[Path, str], *command: str | Path) -> list[str | Path]:
    """Return the command line that runs the command with each of these files and directories mounted over another."""
    pairs = [path for pair in mounts.items() for path in pair]
    return ["sh", "-c", MOUNT, "sh", *pairs, "--", *command]


def run_privately(mounts: dict[Path, str], *command: str | Path) -> Outcome:
    """Return what a command prints on both outputs with these files and directories mounted over others."""
    done = run_merged(*confinement(*PRIVATE), *over(mounts, *command))
    return Outcome(done.stdout, done.returncode)


class Mailbox:
    """Takes the place of the system's sendmail and keeps what it is given."""

    def __init__(self, directory: Path) -> None:
        self.place = os.path.realpath(executable("sendmail", package="bsd-mailx"))
        self.sendmail = directory / "sendmail"
        self._mails = directory / "mails"
        self._mails.mkdir()
        self.sendmail.write_text(SENDMAIL.format(directory=self._mails), encoding="utf-8")
        self.sendmail.chmod(0o755)

    def mails(self) -> list[Message]:
        return [email.message_from_bytes(file.read_bytes()) for file in self._mails.iterdir()]


def text_of(mail: Message) -> str:
    """Return the text of a mail, with 0.5 for the seconds that the check took."""
    return timeless(str(mail.get_payload()))


def used(way: str) -> dict[str, str]:
    """Return the changes that make one of the crontab's two lines the one that is used, at once."""
    times = {"*/5 * * * *": "@reboot", " shopuser ": " root "}
    return times if way == "broker" else {"\n*/5": "\n##*/5", "\n#*/5": "\n*/5", **times}


@needs_root
@pytest.mark.celery
@pytest.mark.parametrize("way", ["broker", "command"])
def test_cron_mails_when_something_is_wrong_and_then_alone(tmp_path: Path, fleet: Fleet, way: str) -> None:
    cron = executable("cron", package="cron")
    mailbox = Mailbox(tmp_path)
    crontabs, none, nothing = tmp_path / "cron.d", tmp_path / "none", tmp_path / "nothing"
    crontabs.mkdir()
    none.mkdir()
    nothing.touch()
    crontab = adapted("cron/celery_workers", {**used(way), **changes(fleet)})
    (line,) = (line for line in crontab.splitlines() if line.startswith("@reboot"))
    assert ("--broker" in line) == (way == "broker")
    ends = {name: tmp_path / f"{name}.end" for name in ("well", "ill")}
    jobs = {name: f"{line}; touch {end}" for name, end in ends.items()}
    jobs["ill"] = jobs["ill"].replace("worker-4@app1", "worker-5@app1")
    for name, job in jobs.items():
        (crontabs / name).write_text(crontab.replace(line, job), encoding="utf-8")
    mounts = {
        crontabs: "/etc/cron.d",
        none: "/var/spool/cron/crontabs",
        nothing: "/etc/crontab",
        mailbox.sendmail: mailbox.place,
    }
    with daemon(*over(mounts, cron, "-f"), log=tmp_path / "log", inside=PRIVATE) as running:

        def done() -> bool:
            return all(end.exists() for end in ends.values()) and not children(running.pid or 0)

        running.wait_for(done, "the jobs have not ended")
    (mail,) = mailbox.mails()
    assert text_of(mail) == (ILL_OVER_BROKER if way == "broker" else ILL)
    assert mail["To"] == "root"
    assert mail["Subject"].endswith(jobs["ill"].partition(" root ")[2])


USER_SYSTEMD = """\
mkdir -p /run/systemd/system /run/user
export XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME="$1"
/lib/systemd/systemd --user --unit=celery_workers.timer &
until systemctl --user show -p ExecMainExitTimestampMonotonic celery_workers.service 2>&- | grep -q '=[1-9]'
do sleep .1; done
systemctl --user show -p Result -p ExecMainStatus celery_workers.service
systemctl --user exit
wait
"""


# The last three lines instead of the one with the broker.
WITH_CELERY = {
    "    --broker /etc/celery_broker --stall-limit 15s\n#": "#",
    "#    --timeout 90": "    --timeout 90",
    "\n#WorkingDirectory": "\nWorkingDirectory",
    "\n#EnvironmentFile": "\nEnvironmentFile",
}


@needs_root
@pytest.mark.celery
@pytest.mark.parametrize("way", ["broker", "command"])
@pytest.mark.parametrize(("expected", "result"), [(4, "success 0"), (5, "exit-code 2")], ids=["ok", "crit"])
def test_systemd_mails_when_something_is_wrong_and_then_alone(
    tmp_path: Path, fleet: Fleet, expected: int, result: str, way: str
) -> None:
    executable("mail", package="bsd-mailx")
    executable("/lib/systemd/systemd", package="systemd")
    mailbox = Mailbox(tmp_path)
    units = tmp_path / "systemd" / "user"
    units.mkdir(parents=True)
    expecting = {"worker-4@app1": f"worker-{expected}@app1"}
    own = {"User=shopuser\n": "", **expecting, **(WITH_CELERY if way == "command" else {}), **changes(fleet)}
    if way == "command":
        del own["--broker /etc/celery_broker"]
    service = adapted("systemd/celery_workers.service", own)
    (units / "celery_workers.service").write_text(service, encoding="utf-8")
    timer = adapted("systemd/celery_workers.timer", {"OnCalendar=*:0/5": "OnActiveSec=0", "DelaySec=30": "DelaySec=0"})
    (units / "celery_workers.timer").write_text(timer, encoding="utf-8")
    try:
        mounts = {mailbox.sendmail: mailbox.place}
        said = run_privately(mounts, "sh", "-c", USER_SYSTEMD, "sh", units.parents[1]).output
    finally:
        remove_control_groups()
    assert "Result={}\nExecMainStatus={}\n".format(*result.split()) in said
    mails = mailbox.mails()
    assert [text_of(mail) for mail in mails] == (
        [] if result == "success 0" else [ILL_OVER_BROKER if way == "broker" else ILL]
    )
    assert all(mail["Subject"] == f"Celery workers on {os.uname().nodename}" for mail in mails)


def remove_control_groups() -> None:
    """Take away the empty ones that systemd leaves behind."""
    root = Path("/sys/fs/cgroup")
    own = {line.split(":", 2)[2].lstrip("/") for line in Path("/proc/self/cgroup").read_text("ascii").splitlines()}
    for hierarchy in (root, *root.iterdir()):
        for group in own:
            with suppress(OSError):
                (hierarchy / group / "init.scope").rmdir()


def test_systemd_verifies_the_units() -> None:
    analyze = executable("systemd-analyze", package="systemd")
    units = [CONTRIB / "systemd" / f"celery_workers.{kind}" for kind in ("service", "timer")]
    done = subprocess.run((analyze, "verify", *units), capture_output=True, check=False, encoding="utf-8", timeout=60)
    # It reports the system's own units as well.
    assert [line for line in done.stderr.splitlines() if "celery" in line] == []
    assert done.returncode == 0


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
