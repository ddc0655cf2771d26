"""README's first command, run for real: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import CLONE
from processes import started_with

pytestmark = pytest.mark.celery

CHECK = (
    "$ celery -A proj status -t 2 2>&1"
    " | check_celery_workers specialworker-3@serverA otherworker-2@serverB celery@serverC\n"
)


def start_demo(directory: Path) -> subprocess.Popen[str]:
    """Start the demo so that its temporary files go to this directory."""
    return subprocess.Popen(
        (sys.executable, "contrib/demo/demo.py"),
        cwd=CLONE,
        env={**os.environ, "TMPDIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def assert_nothing_left(directory: Path) -> None:
    assert started_with(str(directory)) == {}
    assert list(directory.iterdir()) == []


def build_files() -> set[Path]:
    return {*CLONE.glob("build"), *CLONE.glob("dist"), *CLONE.glob("*.egg-info")}


def test_shows_ok_then_the_findings(tmp_path: Path) -> None:
    before = build_files()
    with start_demo(tmp_path) as demo:
        output = demo.communicate(timeout=600)[0]
    assert re.sub("kill -KILL [0-9]+", "kill -KILL PID", output) == (
        "Installing the plugin and Celery into a temporary virtual environment ...\n"
        "Starting 6 Celery workers ...\n"
        "\n" + CHECK + "CELERY WORKERS OK - 6 of 6 workers online on 3 servers"
        " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0"
        " online=6;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
        "exit code 0\n"
        "\n"
        "$ kill -KILL PID   # specialworker-2@serverA\n"
        "$ celery -A proj worker -n newspecialworker-1@serverA &\n"
        "\n" + CHECK + "CELERY WORKERS CRITICAL - 1 of 6 workers missing, 1 unexpected"
        " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;6 missing_servers=0;;;0"
        " online=6;;;0 unexpected=1;0;;0 unexpected_servers=0;;;0\n"
        "Worker specialworker-2@serverA was missing\n"
        "Worker newspecialworker-1@serverA was unexpectedly present\n"
        "exit code 2\n"
        "\n"
        "The workers are stopped, and nothing is left behind.\n"
    )
    assert demo.returncode == 0
    assert_nothing_left(tmp_path)
    assert build_files() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with start_demo(tmp_path) as demo:
        assert demo.stdout is not None
        shown = ""
        while CHECK not in shown:
            line = demo.stdout.readline()
            assert line, f"the demo ended early:\n{shown}"
            shown += line
        assert sum("worker" in command for command in started_with(str(tmp_path)).values()) >= 6
        demo.send_signal(number)
        rest = demo.communicate(timeout=60)[0]
    assert (demo.returncode, rest) == (128 + number, "")
    assert_nothing_left(tmp_path)
