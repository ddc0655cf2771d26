"""What the tests of daemons share: they find daemons, start them, wait for them, and leave none running.

NRPE = executable("nrpe", package="nagios-nrpe-server")

with daemon(NRPE, "-c", configuration, "-f", log=tmp_path / "log") as nrpe:
    nrpe.wait_for_port(port)
"""

from __future__ import annotations

import functools
import getpass
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from fleet import Fleet
from paths import CONTRIB
from processes import free_port, wait_for

PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/lib/nagios/plugins"))

# Whoever is missing is waited for that long, which is enough for all others to reply on a slow machine.
PATIENT = "--reply-timeout 15 --timeout 200"

# The workers that the files in contrib expect.
WORKERS = (
    *("worker-1@app1", "worker-2@app1", "worker-3@app1", "worker-4@app1"),
    *("celery@web-1", "celery@web-2"),
)

NRPE = """\
pid_file={directory}/nrpe.pid
log_file={directory}/nrpe.log
server_address=127.0.0.1
server_port={port}
nrpe_user={user}
nrpe_group={group}
allowed_hosts=127.0.0.1
dont_blame_nrpe=0
command_timeout=300
include_dir={directory}/nrpe.d
"""

SSHD = """\
ListenAddress 127.0.0.1:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


def executable(name: str, *, package: str) -> str:
    """Return the path of a program; skip the test if Debian's package is missing."""
    path = shutil.which(name, path=PLACES)
    if path is None:
        pytest.skip(f"needs {package}: apt-get install {package}", allow_module_level=True)
    return path


def adapted(file: str, changes: Mapping[str, str]) -> str:
    """Return the text of a file in contrib with changes as an administrator makes them; each must apply."""
    text = (CONTRIB / file).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def application(fleet: Fleet) -> dict[str, str]:
    """Return the changes that make the fleet the application of a file in contrib."""
    return {
        "/srv/shop/venv/bin/celery -A shop": f"{celery_of(fleet)} -A proj",
        "/srv/shop": str(fleet.directory),
    }


def broker_file(fleet: Fleet) -> str:
    """Return the path of a file with the URL of the fleet's broker, which must be a real one."""
    file = fleet.directory / "celery_broker"
    file.write_text(f"{fleet.broker}\n", encoding="ascii")
    return str(file)


def over_broker(fleet: Fleet) -> dict[str, str]:
    """Return the changes that make the fleet's broker that of a file in contrib."""
    return {"--broker /etc/celery_broker": f"--broker {broker_file(fleet)} {PATIENT}"}


def command_of(page: str, start: str, changes: Mapping[str, str] | None = None) -> str:
    """Return the one command of a page in contrib that starts like this, with changes as in `adapted`."""
    lines = [line.strip() for line in (CONTRIB / page).read_text(encoding="utf-8").splitlines() if line[:4] == "    "]
    (command,) = (line for line in lines if line.startswith(start))
    for old, new in (changes or {}).items():
        assert old in command
        command = command.replace(old, new)
    return command


def celery_of(fleet: Fleet) -> Path:
    """Return the `celery` that users type, of the fleet's virtual environment."""
    return Path(fleet.celery[0]).with_name("celery")


def children(process: int) -> list[int]:
    """Return the process IDs of the children of a process; of one that has ended, none."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


class Daemon(NamedTuple):
    """A running daemon, and the file that its output goes to."""

    process: subprocess.Popen[bytes]
    log: Path
    confined: bool

    @property
    def pid(self) -> int | None:
        """The process ID of the daemon itself, None while there is none."""
        return next(iter(children(self.process.pid)), None) if self.confined else self.process.pid

    def kill(self) -> None:
        """End the daemon and return when it is gone and, with its namespace, all that it started."""
        with suppress(ProcessLookupError):
            if self.pid is None:
                self.process.kill()
            else:
                os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Return as soon as the condition is true; RuntimeError or TimeoutError with the log if it never is."""

        def come() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"ended with {self.process.returncode}")
            return condition()

        try:
            wait_for(come, what)
        except (RuntimeError, TimeoutError) as error:
            raise type(error)(f"{error}:\n{self.log.read_text(encoding='utf-8', errors='replace')}") from None

    def wait_for_port(self, port: int) -> None:
        """Return as soon as something listens on this port of the loopback interface."""

        def listens() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            return False

        self.wait_for(listens, f"nothing listens on port {port}")


@contextmanager
def daemon(
    *command: str | Path, log: Path, env: Mapping[str, str] | None = None, inside: Sequence[str] = ()
) -> Iterator[Daemon]:
    """Run a command that stays in the foreground; at the end of the context it is gone, with all that it started.

    `inside` are further options of `unshare`, for namespaces that the command needs.
    """
    confined = confinement(*inside)
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*confined, *command),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Daemon(process, log, confined=bool(confined))
    try:
        yield running
    finally:
        running.kill()


@functools.cache
def confinement(*options: str) -> tuple[str, ...]:
    """Return what to put before a command so that none of its processes outlives it: a PID namespace.

    `options` are further options of unshare. Without the right to do this, return nothing if there are no options: then
    every process must end by itself. With options, skip the test.
    """
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    unshare = ("unshare", *user, *options, "--pid", "--fork", "--kill-child", "--")
    try:
        subprocess.run((*unshare, "true"), stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        if options:
            pytest.skip(f"needs the right to run {' '.join(unshare)} true")
        return ()
    return unshare


@contextmanager
def nrpe(directory: Path, commands: str) -> Iterator[int]:
    """Run NRPE with these commands and an empty environment; yield its port."""
    program = executable("nrpe", package="nagios-nrpe-server")
    port = free_port()
    options: tuple[str, ...] = ()
    user = getpass.getuser()
    if os.geteuid() == 0:
        # NRPE refuses to run as root. To itself it is nobody now, to the files it is root as before.
        user = "nobody"
        account = pwd.getpwnam(user)
        options = ("--user", f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}")
    group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    (directory / "nrpe.d").mkdir()
    (directory / "nrpe.d" / "celery_workers.cfg").write_text(commands, encoding="utf-8")
    configuration = directory / "nrpe.cfg"
    configuration.write_text(NRPE.format(directory=directory, port=port, user=user, group=group), encoding="utf-8")
    with daemon(program, "-c", configuration, "-f", log=directory / "nrpe.out", env={}, inside=options) as running:
        running.wait_for_port(port)
        yield port


class Sshd(NamedTuple):
    """A running sshd, and the options that let check_by_ssh in."""

    options: tuple[str, ...]
    authorized_keys: Path
    public_key: str


@contextmanager
def sshd(directory: Path) -> Iterator[Sshd]:
    """Run an sshd with keys of its own, which lets the user that runs the tests in."""
    program = executable("sshd", package="openssh-server")
    port = free_port()
    for name in ("host_key", "user_key"):
        subprocess.run(
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name),
            stdin=subprocess.DEVNULL,
            check=True,
        )
    host_key, public_key = ((directory / f"{name}.pub").read_text() for name in ("host_key", "user_key"))
    known_hosts, authorized_keys = directory / "known_hosts", directory / "authorized_keys"
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_key}")
    authorized_keys.write_text(public_key)
    configuration = directory / "sshd_config"
    configuration.write_text(SSHD.format(directory=directory, port=port), encoding="utf-8")
    command: tuple[str | Path, ...] = (program, "-D", "-e", "-f", configuration)
    options: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # As root it wants a directory of its own there.
        options = ("--mount",)
        command = ("sh", "-c", 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"', "sh", *command)
    with daemon(*command, log=directory / "sshd.out", inside=options) as running:
        running.wait_for_port(port)
        yield Sshd(
            (
                *("-H", "127.0.0.1", "-p", str(port), "-l", getpass.getuser(), "-i", str(directory / "user_key")),
                *("-F", "none", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "IdentitiesOnly=yes"),
            ),
            authorized_keys,
            public_key,
        )
