"""contrib/icinga2 in the hands of a real icinga2."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fleet import Fleet
from helptext import options
from icinga2 import CONTRIB, Icinga2, Result, needs_icinga2
from running import CRITICAL, OK, PLUGIN

pytestmark = [pytest.mark.daemon, needs_icinga2]

CHECK_COMMAND = (CONTRIB / "check_celery_workers.conf").read_text(encoding="utf-8")
SERVICES = (CONTRIB / "services.conf").read_text(encoding="utf-8")
# Each of these means something to a shell, to Icinga or to who takes it for an option.
COMMAND = ["it's", 'two "words"', "$HOME", "`id`", "web-*", "-e", "--", "", "\\", "ü;&|"]
# Prints its arguments, so that Icinga itself tells them.
RECORDER = f"""\
#!{sys.executable}
import json, sys
print("arguments", json.dumps(sys.argv[1:]).replace("|", "\\\\u007c"))
"""
VERBOSITY = 3


def host(name: str, checked: str, variables: Mapping[str, object]) -> str:
    """Return the definition of a host that services.conf gives its service."""
    lines = [f'object Host "{name}" {{', '\timport "generic-host"', '\taddress = "127.0.0.1"']
    for variable, value in {"celery_checked": checked, **variables}.items():
        # Icinga's strings are written as JSON's are, and a dollar sign in them starts a macro.
        lines.append(f"\tvars.{variable} = {json.dumps(value, ensure_ascii=False).replace('$', '$$')}")
    return "\n".join([*lines, "}", ""])


def single(tmp_path: Path, plugins: Path, hosts: str) -> Icinga2:
    """Return a node without agents, with the files in conf.d."""
    files = {"check_celery_workers.conf": CHECK_COMMAND, "services.conf": SERVICES, "hosts.conf": hosts}
    return Icinga2(tmp_path / "icinga2", plugins, {f"conf.d/{name}": text for name, text in files.items()})


def recorder(directory: Path) -> Path:
    """Return a new directory of plugins with a stand-in for this one, that tells its arguments."""
    directory.mkdir()
    executable = directory / "check_celery_workers"
    executable.write_text(RECORDER, encoding="utf-8")
    executable.chmod(0o755)
    return directory


def arguments(result: Result) -> list[str]:
    """Return what the recorder was executed with."""
    word, _, told = result.output.partition(" ")
    assert word == "arguments", result
    return list(json.loads(told))


def every_option() -> tuple[dict[str, object], list[list[str]]]:
    """Return custom variables that set every option, and what they should become."""
    variables: dict[str, object] = {}
    expected: list[list[str]] = []
    for option in options():
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


def by_option(told: list[str]) -> list[list[str]]:
    """Return options, each with its value, where no value starts with two dashes."""
    grouped: list[list[str]] = []
    for argument in told:
        if argument.startswith("--"):
            grouped.append([])
        grouped[-1].append(argument)
    return grouped


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet() as fleet:
        fleet.start("worker-1@app1", "worker-2@app1", "celery@web-7f3a")
        yield fleet


@pytest.mark.celery
def test_icinga_holds_ok_and_then_critical(tmp_path: Path, fleet: Fleet) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "check_celery_workers").symlink_to(PLUGIN)
    environment = [f"{name}={fleet.environment[name]}" for name in ("PYTHONPATH", "TMPDIR")]
    variables = {
        "celery_workers_expect": ["worker-2@app1", "celery@web-*=1..2"],
        "celery_workers_command": ["env", *environment, *fleet.status_command("-t", "5")],
    }

    def told(result: Result) -> Result:
        return result._replace(perfdata=re.sub(r"(?<=time=)[0-9.]+", "SECONDS", result.perfdata))

    with single(tmp_path, plugins, host("app1", "locally", variables)) as icinga:
        assert told(icinga.result("app1", until=lambda result: result.state == OK)) == Result(
            OK,
            "CELERY WORKERS OK - 3 of 3 workers online on 2 servers ",
            "",
            "duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;3 missing_servers=0;;;0 online=3;;;0 "
            "time=SECONDSs;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0",
        )
        fleet.kill("worker-2@app1")
        assert told(icinga.result("app1", until=lambda result: result.state == CRITICAL)) == Result(
            CRITICAL,
            "CELERY WORKERS CRITICAL - 1 of 3 workers missing: worker-2@app1 ",
            "Worker worker-2@app1 was missing",
            "duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;3 missing_servers=0;;;0 online=2;;;0 "
            "time=SECONDSs;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0",
        )


def test_every_option_reaches_the_plugin(tmp_path: Path) -> None:
    variables, expected = every_option()
    hosts = host("full", "locally", {**variables, "celery_workers_command": COMMAND})
    hosts += host("bare", "locally", {})
    with single(tmp_path, recorder(tmp_path / "plugins"), hosts) as icinga:
        told = arguments(icinga.result("full"))
        end = len(told) - len(COMMAND) - 1
        assert told[end:] == ["--", *COMMAND]
        assert sorted(by_option(told[:end])) == sorted(expected)
        assert arguments(icinga.result("bare")) == []
