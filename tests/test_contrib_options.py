"""The options in contrib are those of `--help`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helptext import NOT_ICINGAS, Option, options
from paths import CONTRIB
from running import run

CHECK_COMMAND = (CONTRIB / "icinga2" / "check_celery_workers.conf").read_text(encoding="utf-8")
SERVICES = (CONTRIB / "icinga2" / "celery_workers_services.conf").read_text(encoding="utf-8")
OPTIONS = {option.name: option for option in options()}
NOT_THE_PLUGINS = {
    "--enable-command-args": "configure of NRPE",
    "--failed": "systemctl",
    "--json": "icingacli",
    "--now": "systemctl",
    "--output": "contrib/zipapp/build.py",
    "--python": "contrib/zipapp/build.py",
    "--workdir": "celery",
}
# Its own text refers to the positional form.
EXPECT = "EXPECTED, the workers that must be online; repeatable"
# Their options are those of pip, Celery and Debian's tools.
OTHERS = ("debian", "demo")


def texts() -> list[Path]:
    """Return the configuration files and the pages."""
    files = (path for path in CONTRIB.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".png"))
    return sorted(path for path in files if path.relative_to(CONTRIB).parts[0] not in OTHERS)


def pages() -> list[Path]:
    return [path for path in texts() if path.name == "README.md"]


def check_command_arguments() -> dict[str, str]:
    """Return the inside of the braces of each argument."""
    return dict(re.findall(r'^\t\t"(--[\w-]*)" = \{\n(.*?)^\t\t\}\n', CHECK_COMMAND, re.MULTILINE | re.DOTALL))


def test_these_tests_read_every_option_of_help() -> None:
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run("--help").output))
    assert {*OPTIONS, "--help", "--version"} == shown - {*NOT_THE_PLUGINS}


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(CONTRIB)))
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
    assert set(check_command_arguments()) == {*OPTIONS, "--"} - {*NOT_ICINGAS}


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS.values() if option.name not in NOT_ICINGAS], ids=lambda option: option.name
)
def test_the_check_command_describes_an_option_as_help_does(option: Option) -> None:
    argument = check_command_arguments()[option.name]
    text = EXPECT if option.name == "--expect" else option.text
    assert f'\t\t\tdescription = "{text}"\n' in argument
    assert ("repeat_key = true" in argument) == option.repeatable


def test_the_check_command_outlasts_the_plugin() -> None:
    minutes = re.search(r"^\ttimeout = (\d+)m$", CHECK_COMMAND, re.MULTILINE)
    seconds = re.search(r"default (\d+)$", OPTIONS["--timeout"].text)
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


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.parent.name)
def test_page_links_to_what_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.parent.name)
def test_page_copies_what_exists(page: Path) -> None:
    for target in re.findall(r"(?<![\w/])contrib/[\w./*-]+", page.read_text(encoding="utf-8")):
        assert list(CONTRIB.parent.glob(target)), target


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.parent.name)
def test_page_says_how_it_was_verified(page: Path) -> None:
    assert "\n## How this was verified\n" in page.read_text(encoding="utf-8")


def test_every_folder_has_a_page() -> None:
    folders = {path.name for path in CONTRIB.iterdir() if path.is_dir()} - {*OTHERS, "completion"}
    assert {page.parent.name for page in pages()} == folders


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(CONTRIB)))
def test_workdir_is_one_word(path: Path) -> None:
    """Celery 3.1 takes a directory behind a space for a command."""
    assert not re.search(r"--workdir\s", path.read_text(encoding="utf-8"))
