"""A real icinga2 of a test's own, which executes checks with the files of contrib.

with Icinga2(tmp_path, plugins, {"conf.d/hosts.conf": hosts}) as icinga:
    result = icinga.result("app1", "celery-workers")
"""

from __future__ import annotations

import getpass
import grp
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import pytest

CONTRIB = Path(__file__).resolve().parents[1] / "contrib" / "icinga2"
ICINGA2 = shutil.which("icinga2", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))
needs_icinga2 = pytest.mark.skipif(
    not ICINGA2 or not Path("/usr/share/icinga2/include/itl").exists(),
    reason="needs icinga2: apt-get install icinga2-bin icinga2-common",
)
DEADLINE = 120.0

CONFIGURATION = """\
include <itl>
include <plugins>

object CheckerComponent "checker" { }

object LivestatusListener "livestatus" {
	socket_type = "unix"
	socket_path = LivestatusSocket
}

template Host "generic-host" {
	check_command = "dummy"
}

template Service "generic-service" {
	max_check_attempts = 1
	check_interval = 1
	retry_interval = 1
}

include_recursive "conf.d"
"""


class Result(NamedTuple):
    """What Icinga holds of a service's last check."""

    state: int
    output: str
    long_output: str
    perfdata: str


class Icinga2:
    """An Icinga node in a directory of its own; as a context manager, a running one.

    `plugins` is the directory of its plugins, and `files` are those in its configuration directory beside icinga2.conf,
    whose services it checks each second.
    """

    def __init__(self, directory: Path, plugins: Path, files: Mapping[str, str], *, name: str = "master") -> None:
        self.directory = directory
        self.log = directory / "icinga2.log"
        self.socket = directory / "livestatus"
        self.configuration = directory / "etc"
        for path, text in {"icinga2.conf": CONFIGURATION, **files}.items():
            file = self.configuration / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        self.constants = {
            "ConfigDir": self.configuration,
            "ZonesDir": self.configuration / "zones.d",
            **{f"{kind}Dir": directory / kind.lower() for kind in ("Cache", "Data", "Log", "Spool")},
            "InitRunDir": directory / "run",
            "LivestatusSocket": self.socket,
            "NodeName": name,
            "ZoneName": name,
            "PluginDir": plugins,
            "PluginContribDir": plugins,
            "RunAsUser": getpass.getuser(),
            "RunAsGroup": grp.getgrgid(os.getgid()).gr_name,
        }

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of icinga2 with all that makes it this node."""
        defines = (f"--define={name}={value}" for name, value in self.constants.items())
        return [str(ICINGA2), *arguments, *defines]

    def run(self, *arguments: str) -> str:
        """Return what a command of icinga2's prints; CalledProcessError with it where it fails."""
        return subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            encoding="utf-8",
            timeout=DEADLINE,
        ).stdout

    def validate(self) -> str:
        """Return what `icinga2 daemon -C` prints; CalledProcessError where it finds an error."""
        return self.run("daemon", "-C", "-c", str(self.configuration / "icinga2.conf"))

    def __enter__(self) -> Icinga2:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command("daemon", "-c", str(self.configuration / "icinga2.conf")),
                env={**os.environ, "ICINGA2_OF_TEST": str(self.directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=30)
        # A check that was under way goes on without Icinga.
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            deadline = time.monotonic() + seconds
            while (left := list(self._processes())) and time.monotonic() < deadline:
                for process in left:
                    with suppress(ProcessLookupError):
                        os.kill(process, number)
                time.sleep(0.1)
        self._process.wait()

    def _processes(self) -> Iterator[int]:
        marker = os.fsencode(f"ICINGA2_OF_TEST={self.directory}\0")
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if marker in (process / "environ").read_bytes():
                    yield int(process.name)

    def result(
        self, host: str, service: str = "celery-workers", until: Callable[[Result], bool] = lambda _: True
    ) -> Result:
        """Return the first result of the service's that satisfies `until`; TimeoutError with the last one otherwise."""
        deadline = time.monotonic() + DEADLINE
        while (result := self._result(host, service)) is None or not until(result):
            if time.monotonic() > deadline:
                log = self.log.read_text(encoding="utf-8", errors="replace")
                raise TimeoutError(f"{service} of {host} has {result} after {DEADLINE:g} seconds:\n{log}")
            time.sleep(0.1)
        return result

    def _result(self, host: str, service: str) -> Result | None:
        query = (
            "GET services",
            "Columns: state plugin_output long_plugin_output perf_data",
            f"Filter: host_name = {host}",
            f"Filter: description = {service}",
            "Filter: has_been_checked = 1",
            "OutputFormat: json",
        )
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(os.fsencode(self.socket))
            except OSError:
                return None
            connection.sendall("".join(f"{line}\n" for line in (*query, "")).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile(encoding="utf-8") as answer:
                rows = json.load(answer)
        return Result(*rows[0]) if rows else None
