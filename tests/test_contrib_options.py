"""The options in contrib are those of `--help`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helptext import Option, options
from paths import CONTRIB
from running import run

CHECK_COMMAND = (CONTRIB / "icinga2" / "check_celery_workers.conf").read_text(encoding="utf-8")
SERVICES = (CONTRIB / "icinga2" / "celery_workers_services.conf").read_text(encoding="utf-8")
OPTIONS = {option.name: option for option in options()}
NOT_THE_PLUGINS = {
    "--workdir": "celery",
    "--failed": "systemctl",
    "--now": "systemctl",
}
# Its own text refers to the positional form, which configurations do without.
EXPECT = "EXPECTED, the workers that must be there; repeatable"


def configuration_files() -> list[Path]:
    """Return all files but the programs, most of whose options are those of pip and Celery."""
    return sorted(path for path in CONTRIB.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))


def check_command_arguments() -> dict[str, str]:
    """Return the inside of the braces of each argument."""
    return dict(re.findall(r'^\t\t"(--[\w-]*)" = \{\n(.*?)^\t\t\}\n', CHECK_COMMAND, re.MULTILINE | re.DOTALL))


def test_these_tests_read_every_option_of_help() -> None:
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run("--help").output))
    assert {*OPTIONS, "--help", "--version"} == told


@pytest.mark.parametrize("path", configuration_files(), ids=lambda path: str(path.relative_to(CONTRIB)))
def test_a_configuration_uses_options_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(r"\-", "-")
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert used <= {*OPTIONS, "--help", "--version", *NOT_THE_PLUGINS}


@pytest.mark.parametrize(
    ("arguments", "built"),
    [((), "icinga2/check_celery_workers.conf"), (("--basket",), "icinga-director/celery_workers.json")],
)
def test_the_built_files_are_what_the_build_prints(arguments: tuple[str, ...], built: str) -> None:
    build = (sys.executable, str(CONTRIB / "icinga2" / "build.py"), *arguments)
    printed = subprocess.run(build, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert printed == (CONTRIB / built).read_text(encoding="utf-8")


def test_the_check_command_has_every_option() -> None:
    assert set(check_command_arguments()) == {*OPTIONS, "--"}


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_the_check_command_describes_an_option_as_help_does(option: Option) -> None:
    argument = check_command_arguments()[option.name]
    text = EXPECT if option.name == "--expect" else option.text
    assert f'\t\t\tdescription = "{text}"\n' in argument
    assert ("repeat_key = true" in argument) == option.repeatable


def test_the_check_command_outlasts_the_plugin() -> None:
    minutes = re.search(r"^\ttimeout = (\d+)m$", CHECK_COMMAND, re.MULTILINE)
    seconds = re.search(r"by default (\d+)$", OPTIONS["--timeout"].text)
    assert minutes
    assert seconds
    assert int(minutes[1]) * 60 > int(seconds[1])


def test_icinga_has_no_files_of_these_names_already() -> None:
    samples = {
        *("app.conf", "commands.conf", "downtimes.conf", "groups.conf", "hosts.conf", "notifications.conf"),
        *("services.conf", "templates.conf", "timeperiods.conf", "users.conf"),
    }
    assert samples.isdisjoint(path.name for path in (CONTRIB / "icinga2").iterdir())


def test_nrpe_has_the_command_that_the_service_calls() -> None:
    name = re.search(r'vars\.nrpe_command = "(.*)"', SERVICES)
    assert name
    assert f"command[{name[1]}]=" in (CONTRIB / "nrpe" / "celery_workers.cfg").read_text(encoding="utf-8")
