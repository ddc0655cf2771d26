"""This machine with files of its own, to install things on; booted if need be, with systemd, and a network of its own.

with machine(directory) as host:
    host.run("apt install ./package.deb", directory)

with machine(directory, addresses=("192.0.2.10",), mounts={redis: "/srv/redis"}) as host:
    host.run("systemctl start ssh")
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from daemons import Daemon, daemon, executable
from paths import CLONE
from processes import run_merged

# An overlay does not bear changes below it, so apt and dpkg get copies of their books: these change whenever something
# is installed. All ends by itself where the tests are killed.
OVERLAYS = """\
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$1"
for directory in usr etc var opt srv home
do
    mkdir "$1/$directory" "$1/$directory/upper" "$1/$directory/work"
    mount -t overlay -o "lowerdir=/$directory,upperdir=$1/$directory/upper,workdir=$1/$directory/work" \\
        overlay "/$directory"
done
for directory in var/lib/apt var/lib/dpkg
do
    mkdir -p "$1/$directory"
    cp -a "/$directory/." "$1/$directory"
    mount --bind "$1/$directory" "/$directory"
done
"""
WATCH = """\
echo ready
while [ -e "/proc/$2" ]; do sleep 1; done
"""
# systemd gets a /dev, /proc/sys, /sys and /tmp that it cannot change for others, and no unit that would set up the
# hardware. Control groups of version 1 and 2 have different places.
BOOT = """\
shift 2
mkdir /run/watched /run/dev /run/clone
mount --bind "/proc/$1" /run/watched
mount -t tmpfs -o mode=0755 tmpfs /run/dev
for node in null zero full random urandom tty fd stdin stdout stderr; do cp -a "/dev/$node" /run/dev; done
mkdir /run/dev/pts /run/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts /run/dev/pts
ln -s pts/ptmx /run/dev/ptmx
mount --move /run/dev /dev
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
ip link set lo up
for address in $2; do ip address add "$address/32" dev lo; done
groups=/sys/fs/cgroup
[ ! -d "$groups/systemd" ] || groups=$groups/systemd
group=$groups/$3
mkdir "$group"
echo 0 >"$group/cgroup.procs"
clone=$4
shift 4
while [ $# -gt 0 ]; do mkdir -p "$2"; mount --bind "$1" "$2"; shift 2; done
mount --bind "$clone" /run/clone
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p "$clone"
mount --move /run/clone "$clone"
cd /etc/systemd/system
for unit in /lib/systemd/system/sysinit.target.wants/* sysinit.target.wants/* tmp.mount
do
    case $unit in *systemd-journald.service) ;; *) ln -sf /dev/null "${unit##*/}" ;; esac
done
systemd-tmpfiles --create --prefix=/run
printf '[Unit]\\nWants=systemd-journald.service\\n' >machine.target
(while [ -e /run/watched/stat ]; do sleep 1; done; kill -s RTMIN+14 1) &
export container=other
unset NOTIFY_SOCKET
exec unshare --cgroup sh -ec '
mount -o remount,bind,ro /sys
umount -l /sys/fs/cgroup
if [ "$1" = /sys/fs/cgroup ]
then
    mount -t cgroup2 cgroup /sys/fs/cgroup
else
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir "$1"
    mount -t cgroup -o none,name=systemd cgroup "$1"
fi
exec /lib/systemd/systemd --unit=machine.target
' sh "$groups"
"""


class Machine(NamedTuple):
    """This machine, with a /usr, /etc, /var, /opt, /srv and /home of its own."""

    process: Daemon
    overlays: Path
    namespaces: tuple[str, ...]

    def enter(self, *namespaces: str) -> tuple[str, ...]:
        """Return what to put before a command that is to run there, by default in all of its namespaces."""
        return ("nsenter", f"--target={self.process.pid}", *(namespaces or self.namespaces), "--")

    def run(self, command: str, directory: Path = Path("/"), text: str = "", online: bool = False) -> str:
        """Return what a shell prints; AssertionError with it where a command fails; `online` with our network."""
        namespaces = self.namespaces if not online else ("--mount",)
        done = run_merged(*self.enter(*namespaces), "sh", "-ec", f'cd "$1"\n{command}', "sh", directory, text=text)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def added(self) -> set[str]:
        """Return all new paths outside of caches, logs and the books of apt and dpkg."""
        found = self.run("find */upper ! -type c", self.overlays).splitlines()
        paths = {f"/{path.replace('/upper', '', 1)}" for path in found}
        passing = ("/var/cache/", "/var/log/")
        return {path for path in paths if not path.startswith(passing) and not os.path.lexists(path)}


@contextmanager
def machine(directory: Path) -> Iterator[Machine]:
    """Yield a machine that shares our network and our processes; skip the test where that is not allowed."""
    script = OVERLAYS + WATCH
    with _running(directory, script, str(os.getpid()), inside=("--mount",)) as running:
        yield running


@contextmanager
def booted(directory: Path, addresses: tuple[str, ...], mounts: Mapping[Path, str]) -> Iterator[Machine]:
    """Yield a machine with these addresses, on which systemd runs; `mounts` are further directories of ours there."""
    executable("/lib/systemd/systemd", package="systemd")
    executable("ip", package="iproute2")
    group = f"check-celery-workers-{uuid.uuid4().hex}"
    pairs = [str(path) for pair in mounts.items() for path in pair]
    options = (str(os.getpid()), " ".join(addresses), group, str(CLONE), *pairs)
    inside = ("--mount", "--uts", "--ipc", "--net")
    try:
        with _running(directory, OVERLAYS + BOOT, "", *options, inside=inside) as running:
            yield running
    finally:
        for place in Path("/sys/fs/cgroup").rglob(group):
            for path in sorted((place, *place.rglob("*")), key=lambda path: -len(path.parts)):
                with suppress(OSError):
                    path.rmdir()


@contextmanager
def _running(directory: Path, script: str, *arguments: str, inside: tuple[str, ...]) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to install things")
    overlays = directory / "overlays"
    overlays.mkdir()
    is_booted = "--net" in inside
    command = ("sh", "-c", script, "sh", str(overlays), *arguments)
    with daemon(*command, log=directory / "log", inside=inside) as process:
        namespaces = (*inside, "--pid", "--cgroup") if is_booted else inside
        running = Machine(process, overlays, namespaces)

        def is_ready() -> bool:
            if not is_booted:
                return "ready\n" in process.log.read_text()
            state = run_merged(*running.enter(), "systemctl", "is-system-running").stdout
            return state in ("running\n", "degraded\n")

        try:
            process.wait_for(is_ready, "it does not get ready")
        except RuntimeError as error:
            pytest.skip(f"needs overlays{' and control groups' if is_booted else ''}: {error}")
        yield running
