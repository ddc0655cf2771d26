"""A real icinga2 of a test's own, for the files of contrib.

node = Icinga2(tmp_path / "master", plugins, {"conf.d/hosts.conf": hosts})
with node.running() as checks:
    result = checks.result("app1")
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from daemons import Daemon, daemon, executable
from helptext import NOT_ICINGAS, options
from paths import CONTRIB
from processes import run_merged

SERVICES = (CONTRIB / "icinga2" / "celery_workers_services.conf").read_text(encoding="utf-8")
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

# Each of these means something to a shell, to Icinga or to an option parser.
COMMAND = ["it's", 'two "words"', "$HOME", "`id`", "web-*", "{}", "{1..3}", "-e", "--", "", "\\", "ü;&|"]
# Prints its arguments, so that Icinga itself reports them.
RECORDER = f"""\
#!{sys.executable}
import json, sys
print("arguments", json.dumps(sys.argv[1:]).replace("|", "\\\\u007c"))
"""
VERBOSITY = 3


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
            "RunAsUser": pwd.getpwuid(os.geteuid()).pw_name,
            "RunAsGroup": grp.getgrgid(os.getegid()).gr_name,
        }
        self._defines = [f"--define={constant}={value}" for constant, value in settings.items()]

    def run(self, *arguments: str) -> str:
        """Return what a command of icinga2's prints; AssertionError with it where the command fails."""
        done = run_merged(self._program, *arguments, *self._defines)
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
            "Filter: description = celery-workers",
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


def host(name: str, checked: str, variables: Mapping[str, object]) -> str:
    """Return the definition of a host that chooses this way for its service."""
    lines = [f'object Host "{name}" {{', '\timport "generic-host"', '\taddress = "127.0.0.1"']
    for variable, value in {"celery_checked": checked, **variables}.items():
        # Icinga's strings are written as JSON's are, and a dollar sign in them starts a macro.
        lines.append(f"\tvars.{variable} = {json.dumps(value, ensure_ascii=False).replace('$', '$$')}")
    return "\n".join([*lines, "}", ""])


def recorder(directory: Path) -> Path:
    """Return a new directory of plugins with a stand-in for this one that prints its arguments."""
    directory.mkdir()
    plugin = directory / "check_celery_workers"
    plugin.write_text(RECORDER, encoding="utf-8")
    plugin.chmod(0o755)
    return directory


def arguments(result: Result) -> list[str]:
    """Return what the recorder was executed with."""
    word, _, printed = result.output.partition(" ")
    assert word == "arguments", result
    return list(json.loads(printed))


def _every_option() -> tuple[dict[str, object], list[list[str]]]:
    """Return custom variables that set every option and the command, and the options that they should become."""
    variables: dict[str, object] = {"celery_workers_command": COMMAND}
    expected: list[list[str]] = []
    for option in options():
        if option.name in NOT_ICINGAS:
            continue
        variable = f"celery_workers_{option.name[2:].replace('-', '_')}"
        if option.name == "--verbose":
            variables[variable] = VERBOSITY
            expected += [[option.name]] * VERBOSITY
        elif not option.value:
            variables[variable] = True
            expected.append([option.name])
        elif option.repeatable:
            variables[variable] = [f"{option.name[2:]}-$*", "w 2"]
            expected += [[option.name, f"{option.name[2:]}-$*"], [option.name, "w 2"]]
        else:
            variables[variable] = f"@1:10% {option.name[2:]}"
            expected.append([option.name, f"@1:10% {option.name[2:]}"])
    return variables, expected


def every_variable() -> dict[str, object]:
    """Return custom variables that set every option and the command."""
    return _every_option()[0]


def _by_option(printed: list[str]) -> list[list[str]]:
    """Return options, each with its value, where no value starts with two dashes."""
    grouped: list[list[str]] = []
    for argument in printed:
        if argument.startswith("--"):
            grouped.append([])
        grouped[-1].append(argument)
    return grouped


def assert_every_option(printed: list[str]) -> None:
    """Compare with what `every_variable` should become."""
    options_end = len(printed) - len(COMMAND) - 1
    assert printed[options_end:] == ["--", *COMMAND]
    assert sorted(_by_option(printed[:options_end])) == sorted(_every_option()[1])
