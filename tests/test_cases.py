"""The form of the cases: what stands in the file is what runs, and nobody rewrites a case without seeing it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

import pytest
from cases import Case, section
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from paths import CLONE
from running import perfdata

HEAD = "One worker is there.\n\n$ check_celery_workers w@a\n"
TEXT = "-- text --\nw@a: OK\n"
ONLINE = f"""\
-- output, exit 0 --
CELERY WORKERS OK - 1 of 1 worker online on 1 server | {perfdata(missing="0;;0;0;1", online="1;;;0")}
"""
WRONG = ONLINE.replace("exit 0", "exit 2")


def read(source: str, folder: Path) -> Case:
    path = folder / "some.case"
    path.write_bytes(source.encode())
    return Case.read(path)


LINES = st.sampled_from(
    ["-- text --\n", "-- output, exit 0 --\n", "-- Reboot --\n", "->  w@a: OK\n", "\\x41", "$ ls\n", " "]
)
TRICKY = st.lists(LINES | st.sampled_from("\n\t\r\0\x1b\xa0\u200bé☃\\-") | st.characters(), max_size=12).map("".join)
ANY_BYTES = TRICKY.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary()


@examples(100)
@given(text=ANY_BYTES, script=ANY_BYTES)
def test_any_text_and_any_script_are_in_a_case_what_they_were(text: bytes, script: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        head = "Anything.\n\n$ sh status.sh\n"
        case = read(f"{head}{section('text', text)}{section('file status.sh', script)}{ONLINE}", Path(folder))
    assert (case.text, case.files, case.expected) == (text, {"status.sh": script}, ONLINE)


@pytest.mark.parametrize(
    ("data", "written"),
    [
        pytest.param(b"", "-- text --\n", id="nothing"),
        pytest.param(b'{"log": "a\\n\\u003e"}\n', '-- text --\n{"log": "a\\n\\u003e"}\n', id="backslashes"),
        pytest.param("wörker@a: ✓\n".encode(), "-- text --\nwörker@a: ✓\n", id="another-alphabet"),
        pytest.param(b"a\tb\r\n", "-- text, escaped --\na\\tb\\r\n", id="tabs-and-carriage-returns"),
        pytest.param(b"\x1b[1mw@a\0\n", "-- text, escaped --\n\\x1b[1mw@a\\x00\n", id="control-characters"),
        pytest.param(b"\xff\\\n", "-- text, escaped --\n\\xff\\\\\n", id="no-UTF-8"),
        pytest.param("a\xa0b\n".encode(), "-- text, escaped --\na\\xc2\\xa0b\n", id="a-space-that-is-none"),
        pytest.param(b"w@a: OK", "-- text, escaped --\nw@a: OK\\\n", id="no-newline-at-the-end"),
        pytest.param(b"-- Reboot --\n", "-- text, escaped --\n\\-- Reboot --\n", id="a-line-like-a-header"),
    ],
)
def test_a_text_is_escaped_only_where_it_must_be(data: bytes, written: str) -> None:
    assert section("text", data) == written


def test_the_readme_shows_a_case_as_it_is() -> None:
    readme = (CLONE / "tests" / "README.md").read_text(encoding="utf-8")
    shown = readme.split("## Cases\n\n")[1].split("\n\n    ", 1)[1].split("\n\n`-- text --`")[0]
    case = CLONE / "tests" / "field" / "01-two-apps-one-name-one-dead.case"
    assert dedent(f"    {shown}\n") == case.read_text(encoding="utf-8")


def test_a_file_is_printed_as_a_section() -> None:
    command = [sys.executable, str(CLONE / "tests" / "lib" / "cases.py")]
    done = subprocess.run(command, input=b"w@a: OK\r\n", capture_output=True, check=True)
    assert done.stdout == b"-- text, escaped --\nw@a: OK\\r\n"


def test_a_text_may_have_an_encoding(tmp_path: Path) -> None:
    latin = read(f"{HEAD}-- text in latin-1 --\nwörker@a: OK\n", tmp_path)
    assert latin.text == b"w\xf6rker@a: OK\n"
    windows = read(f"{HEAD}-- text in utf-16, escaped --\nw@a: OK\\r\n", tmp_path)
    assert windows.text == "w@a: OK\r\n".encode("utf-16")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            f"{HEAD}-- text --\nw@a: OK\r\n", "some.case:5: 'w@a: OK\\r' has what nobody sees", id="invisible"
        ),
        pytest.param(f"{HEAD}-- txet --\nw@a: OK\n", "-- txet -- is no section of it", id="a-mistake"),
        pytest.param(f"{HEAD}{TEXT}-- Reboot --\n", "in a text write \\-- Reboot --, escaped", id="a-header-in-a-text"),
        pytest.param(f"{HEAD}{TEXT}{TEXT}", "-- text -- is no section of it", id="two-texts"),
        pytest.param(f"{HEAD}{ONLINE}{TEXT}", "-- output, exit 0 -- is no section of it", id="output-first"),
        pytest.param(f"{HEAD}-- file a.sh --\n", "-- file a.sh -- is no section of it", id="a-file-of-no-use"),
        pytest.param(f"{HEAD}-- text, escaped --\n\\q\n", "\\q is no escape", id="no-escape"),
        pytest.param(f"{HEAD}-- text, escaped --\n\\xfg\n", "\\x is no escape", id="no-byte"),
        pytest.param(f"$ check_celery_workers w@a\n{TEXT}", "write a sentence", id="no-sentence"),
        pytest.param(f"One worker is there.\n\n{TEXT}", "`$ ` with the command", id="no-command"),
        pytest.param(f"{HEAD}{TEXT}"[:-1], "write a sentence", id="a-last-line-without-end"),
    ],
)
def test_what_is_not_what_it_looks_like_is_refused(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(source, tmp_path)


def test_a_shell_runs_the_command_beside_its_files(tmp_path: Path) -> None:
    source = """\
One script calls another, and the worker has run a task for years.

$ check_celery_workers w@a --ignore 'my *' \\
    --task-limit 9 -- ./ask.sh tasks.sh
-- file ask.sh --
#!/bin/sh
exec "./$1"
-- file tasks.sh --
#!/bin/sh
echo '->  w@a: OK'
echo "    * {'id': 'x', 'name': 'shop.export', 'time_start': 1700000000.0}"
echo
echo '1 node online.'
"""
    values = perfdata(
        malfunctioning="1;;0;0", missing="0;;0;0;1", oldest_task="AGE;;;0", online="1;;;0", time="0.5s;;;0"
    )
    assert (
        read(source, tmp_path).printed(tmp_path)
        == f"""\
-- output, exit 2 --
CELERY WORKERS CRITICAL - 1 worker malfunctioning: w@a | {values}
Worker w@a was malfunctioning, it has run shop.export for AGE
"""
    )


def test_a_case_that_is_right_is_not_rewritten(tmp_path: Path) -> None:
    case = read(HEAD + TEXT + ONLINE, tmp_path)
    before = case.path.stat()
    case.rewrite(ONLINE)
    assert case.path.stat() == before


@pytest.mark.parametrize("expected", [WRONG, ""], ids=["a-wrong-one", "none"])
def test_a_case_is_rewritten_with_a_failure_that_names_it(tmp_path: Path, expected: str) -> None:
    case = read(HEAD + TEXT + expected, tmp_path)
    with pytest.raises(pytest.fail.Exception, match=re.escape(f"{case.path} was rewritten")):
        case.rewrite(case.printed(tmp_path))
    assert case.path.read_text(encoding="utf-8") == HEAD + TEXT + ONLINE


def test_a_run_rewrites_on_demand_only_and_never_passes_by_that(tmp_path: Path) -> None:
    case = tmp_path / "tests" / "field" / "one-worker.case"
    case.parent.mkdir(parents=True)
    case.write_text(HEAD + TEXT + WRONG, encoding="utf-8")
    shutil.copytree(CLONE / "tests" / "lib", tmp_path / "tests" / "lib")
    for file in ("pyproject.toml", "tests/conftest.py", "tests/test_field.py"):
        shutil.copy(CLONE / file, tmp_path / file)
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}

    def judged(*options: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "tests/test_field.py::test_a_situation", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)
        return done.returncode, done.stdout

    code, report = judged()
    assert (code, case.read_text(encoding="utf-8")) == (pytest.ExitCode.TESTS_FAILED, HEAD + TEXT + WRONG), report
    assert "output, exit 0" in report

    code, report = judged("--rewrite-cases")
    assert (code, case.read_text(encoding="utf-8")) == (pytest.ExitCode.TESTS_FAILED, HEAD + TEXT + ONLINE), report
    assert f"{case} was rewritten, read whether its output is right now" in report

    code, report = judged()
    assert code == pytest.ExitCode.OK, report
