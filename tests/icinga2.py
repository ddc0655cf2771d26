"""A real icinga2 of a test's own, for the files of contrib.

node = Icinga2(tmp_path / "master", plugins, {"conf.d/hosts.conf": hosts})
with node.running() as checks:
    result = checks.result("app1")
"""

from __future__ import annotations

import getpass
import grp
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from daemons import DEADLINE, Daemon, daemon, executable

SERVICE = "celery-workers"
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
    """An Icinga node in a directory of its own.

    `plugins` is the directory of its plugins. `files` are those in its configuration directory beside icinga2.conf.
    """

    def __init__(self, directory: Path, plugins: Path, files: Mapping[str, str], *, name: str = "master") -> None:
        self.name = name
        self.data = directory / "data"
        self._program = executable("icinga2", package="icinga2-bin")
        self._log = directory / "icinga2.log"
        self._socket = directory / "livestatus"
        configuration = directory / "etc"
        self._main_file = configuration / "icinga2.conf"
        constants = {
            "CacheDir": directory / "cache",
            "ConfigDir": configuration,
            "DataDir": self.data,
            "InitRunDir": directory / "run",
            "LogDir": directory / "log",
            "SpoolDir": directory / "spool",
            "ZonesDir": configuration / "zones.d",
        }
        for path in constants.values():
            path.mkdir(parents=True)
        for name_of_file, text in {"icinga2.conf": CONFIGURATION, **files}.items():
            file = configuration / name_of_file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        settings = {
            **constants,
            "LivestatusSocket": self._socket,
            "NodeName": name,
            "ZoneName": name,
            "PluginDir": plugins,
            "PluginContribDir": plugins,
            "RunAsUser": getpass.getuser(),
            "RunAsGroup": grp.getgrgid(os.getgid()).gr_name,
        }
        self._defines = [f"--define={constant}={value}" for constant, value in settings.items()]

    def run(self, *arguments: str) -> str:
        """Return what a command of icinga2's prints; AssertionError with it where the command fails."""
        done = subprocess.run(
            (self._program, *arguments, *self._defines),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            encoding="utf-8",
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def validate(self) -> str:
        """Return what `icinga2 daemon -C` prints; AssertionError with it where it finds an error."""
        return self.run("daemon", "-C", "-c", str(self._main_file))

    @contextmanager
    def running(self) -> Iterator[Checks]:
        """Check all services each second."""
        with daemon(self._program, "daemon", "-c", self._main_file, *self._defines, log=self._log) as process:
            yield Checks(process, self._socket)


class Checks(NamedTuple):
    """What a running icinga2 knows."""

    process: Daemon
    livestatus: Path

    def result(self, host: str, until: Callable[[Result], bool] = lambda _: True) -> Result:
        """Return the first result of the host's celery-workers that satisfies `until`."""
        results: list[Result] = []

        def come() -> bool:
            results[:] = self._results(host)
            return bool(results) and until(results[0])

        self.process.wait_for(come, f"another result of {host} is not there")
        return results[0]

    def _results(self, host: str) -> list[Result]:
        query = (
            "GET services",
            "Columns: state plugin_output long_plugin_output perf_data",
            f"Filter: host_name = {host}",
            f"Filter: description = {SERVICE}",
            "Filter: has_been_checked = 1",
            "OutputFormat: json",
        )
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(os.fsencode(self.livestatus))
            except OSError:
                # It starts, or starts again.
                return []
            connection.sendall("".join(f"{line}\n" for line in (*query, "")).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile(encoding="utf-8") as answer:
                return [Result(*row) for row in json.load(answer)]
