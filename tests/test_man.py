"""The manual page and the completion are built from the options."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from daemons import executable
from paths import CONTRIB

from check_celery_workers.settings.options import parser

COMPLETION = CONTRIB / "completion" / "check_celery_workers.bash"
PAGE = CONTRIB / "man" / "check_celery_workers.1"
COMPLETE = """\
. "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$(($# - 2))
"$(complete -p check_celery_workers | sed 's/.* -F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("file", [PAGE, COMPLETION], ids=["man", "completion"])
def test_the_built_file_is_what_the_build_prints(file: Path) -> None:
    build = (sys.executable, file.with_name("build.py"))
    assert subprocess.run(build, stdout=subprocess.PIPE, check=True).stdout == file.read_bytes()


@pytest.mark.daemon
def test_the_man_page_describes_every_option_and_has_the_usual_sections() -> None:
    man = executable("man", package="man-db")
    done = subprocess.run(
        (man, "--warnings", "-l", PAGE),
        env={"MANWIDTH": "80", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    options = {text for action in parser()._actions for text in action.option_strings}  # noqa: SLF001
    headings = re.findall(r"^ {7}(-.*)$", done.stdout, re.MULTILINE)
    listed = {option for heading in headings for option in re.findall(r"(?<!\S)--?\w[\w-]*", heading)}
    # argparse-manpage takes it for granted.
    assert options - listed == {"-h", "--help"}
    sections = re.findall(r"^[A-Z][A-Z ]+$", done.stdout, re.MULTILINE)
    assert sections[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert sections[-5:] == ["NOTES", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"]
    assert re.findall(r"^ {7}(\d) +(\w+)", done.stdout, re.MULTILINE) == [
        *(("0", "OK"), ("1", "WARNING"), ("2", "CRITICAL"), ("3", "UNKNOWN")),
    ]
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        pytest.param(
            ["--malf"], ["--malfunctioning-warning", "--malfunctioning-critical"], id="the begin of an option"
        ),
        pytest.param(["w-2@a", "--first-index", ""], ["auto", "0", "1"], id="the choices of an option"),
        pytest.param(["--expect-file", str(CONTRIB / "ma")], [str(CONTRIB / "man")], id="a file"),
        pytest.param(["--broker", str(CONTRIB / "ma")], [str(CONTRIB / "man")], id="a file instead of a URL"),
        pytest.param(["w-2@a", "--", "celery", "--"], [""], id="nothing of the COMMAND"),
    ],
)
def test_the_completion_offers_what_fits(typed: list[str], offered: list[str]) -> None:
    bash = executable("bash", package="bash")
    done = subprocess.run(
        (bash, "--norc", "-c", COMPLETE, "bash", COMPLETION, "check_celery_workers", *typed),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert (done.stdout.splitlines(), done.stderr) == (offered, "")
