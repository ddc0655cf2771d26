"""The plugin where something is lacking or broken: the right verdict or a clear UNKNOWN, and nothing left running."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from processes import MARK, started_with
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, outcome_of
from test_command import BOTH, WELL

pytestmark = [pytest.mark.exhaustive, pytest.mark.usefixtures("nothing_is_left_running")]

MODULE = ("-m", "check_celery_workers")
WELL_PIPED = WELL.replace(" time=0.5s;;;0", "")
# Sets limits of the process, which are given as NAME=SOFT, and becomes the command that follows.
LIMIT = """
import os, resource, sys
limits, command = sys.argv[1].split(), sys.argv[2:]
for name, limit in (pair.split("=") for pair in limits):
    resource.setrlimit(getattr(resource, name), (int(limit), int(limit)))
os.execv(command[0], command)
"""


def limited(**limits: int) -> list[str]:
    """Return how to run the plugin with these limits."""
    pairs = " ".join(f"{name}={limit}" for name, limit in limits.items())
    return [sys.executable, "-c", LIMIT, pairs, PLUGIN]


def run_as(
    plugin: Sequence[str], *arguments: str, text: bytes = b"", stdout: int = subprocess.PIPE, cwd: Path | None = None
) -> Outcome:
    """Run the plugin that is started this way; the time in the perfdata is written as 0.5s."""
    return outcome_of(*plugin, *arguments, text=text, stdout=stdout, cwd=cwd).timeless


def both_ways(plugin: Sequence[str], cwd: Path | None = None) -> list[Outcome]:
    """Run the plugin that is started this way on a text, and with a command that prints it."""
    return [
        run_as(plugin, "w-1..2@a", text=b"w-1@a: OK\nw-2@a: OK\n", cwd=cwd),
        run_as(plugin, "w-1..2@a", "--settle", "0.1", "--", "sh", "-c", BOTH, cwd=cwd),
    ]


BOTH_WELL = [Outcome(WELL_PIPED, OK), Outcome(WELL, OK)]


@pytest.mark.parametrize(
    "plugin",
    [
        pytest.param(["env", "-u", "HOME", PLUGIN], id="without HOME"),
        pytest.param(["env", "HOME=/nonexistent", "TMPDIR=/nonexistent", PLUGIN], id="HOME does not exist"),
        pytest.param(["env", "-i", PLUGIN], id="an empty environment"),
        *([sys.executable, *flags.split(), *MODULE] for flags in ("-O", "-OO", "-I", "-s -E -B", "-W error", "-bb")),
        [sys.executable, "-X", "dev", "-W", "error", *MODULE],
        pytest.param(
            ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", PLUGIN],
            id="in a directory that is gone",
        ),
        pytest.param(["sh", "-c", 'umask 777 && exec "$@"', "sh", PLUGIN], id="with a umask of 777"),
    ],
    ids=lambda plugin: " ".join(Path(word).name for word in plugin),
)
def test_the_environment_and_flags_of_python_do_not_change_the_verdict(tmp_path: Path, plugin: list[str]) -> None:
    assert both_ways(plugin, tmp_path) == BOTH_WELL


def test_a_read_only_file_system_does_not_change_the_verdict() -> None:
    """In a mount namespace of its own, where everything below / can be made read-only."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare: apt-get install util-linux")
    namespace = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]
    read_only = 'mount --bind / / && mount -o remount,bind,ro / && cd / && exec "$@"'
    within = [*namespace, "sh", "-c", read_only, "sh"]
    tried = subprocess.run([*within, "touch", "/read-only"], capture_output=True, text=True, check=False)
    if "Read-only file system" not in tried.stderr:
        pytest.skip(f"needs root, or namespaces for users: {tried.stderr}")
    assert both_ways([*within, PLUGIN]) == BOTH_WELL


@pytest.mark.parametrize("number", range(5, 17))
def test_few_file_descriptors_are_enough_or_unknown(number: int) -> None:
    piped, commanded = both_ways(limited(RLIMIT_NOFILE=number))
    assert piped == BOTH_WELL[0]
    lacking = Outcome("CELERY WORKERS UNKNOWN - sh cannot be started: Too many open files\n", UNKNOWN)
    assert commanded == lacking or (commanded == BOTH_WELL[1] and number > 10)


def needed_memory() -> int:
    """Return how much address space the plugin takes until it begins, in bytes."""
    script = (
        "import check_celery_workers.sources.command, check_celery_workers.cli; print(open('/proc/self/status').read())"
    )
    status = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    peak = re.search(r"VmPeak:\s+([0-9]+) kB", status)
    assert peak
    return int(peak[1]) * 1024


def test_little_memory_is_enough_or_unknown(tmp_path: Path) -> None:
    plugin = limited(RLIMIT_AS=needed_memory() + (64 << 20))
    assert both_ways(plugin) == BOTH_WELL

    text = tmp_path / "text"
    text.write_text("".join(f"->  w-{i}@a: OK\n" for i in range(1, 100_000)) + "\n99999 nodes online.\n")
    for outcome in (
        run_as(plugin, "w-100000@a", text=text.read_bytes()),
        run_as(plugin, "w-100000@a", "--", "cat", str(text)),
    ):
        assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 100,000 workers missing: w-0@a or w-100000@a"
        assert outcome.code == CRITICAL

    text.write_bytes(b"x" * (60 << 20))
    for outcome in (run_as(plugin, "w@a", text=text.read_bytes()), run_as(plugin, "w@a", "--", "cat", str(text))):
        assert outcome.output.startswith("CELERY WORKERS UNKNOWN - ")
        assert (outcome.output.count("\n"), outcome.code) == (1, UNKNOWN)


def test_a_reader_that_has_gone_is_unknown() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        for arguments in (("w@a",), ("w@a", "--", "echo", "w@a: OK"), ("-V",), ("--baseline",)):
            assert run_as([PLUGIN], *arguments, text=b"w@a: OK\n", stdout=writer).code == UNKNOWN
    finally:
        os.close(writer)


def test_a_file_that_may_not_grow_is_unknown(tmp_path: Path) -> None:
    plugin = limited(RLIMIT_FSIZE=100)
    for arguments in (("w@a",), ("w@a", "--", "echo", "w@a: OK")):
        with (tmp_path / "output").open("wb") as output:
            assert run_as(plugin, *arguments, text=b"w@a: OK\n", stdout=output.fileno()).code == UNKNOWN


@pytest.mark.parametrize(
    ("redirections", "expected"),
    [
        pytest.param(">&-", Outcome("", UNKNOWN), id="standard output is closed"),
        pytest.param(">/dev/full", Outcome("", UNKNOWN), id="standard output is a full disk"),
        pytest.param("<&- >&- 2>&-", Outcome("", UNKNOWN), id="all three are closed"),
        pytest.param("<&-", BOTH_WELL[1], id="standard input is closed"),
        pytest.param("2>&-", BOTH_WELL[1], id="standard error is closed"),
        pytest.param("<&- 2>&-", BOTH_WELL[1], id="standard input and standard error are closed"),
        pytest.param("2>/dev/full", BOTH_WELL[1], id="standard error is a full disk"),
        pytest.param("0>/dev/null", BOTH_WELL[1], id="standard input is not for reading"),
    ],
)
def test_a_verdict_with_a_command_needs_standard_output_alone(redirections: str, expected: Outcome) -> None:
    plugin = ["sh", "-c", f'exec "$@" {redirections}', "sh", PLUGIN]
    script = f"cat; echo 'what is wrong' >&2; {BOTH}"
    assert run_as(plugin, "w-1..2@a", "--settle", "0.1", "--", "sh", "-c", script) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["-V"], id="version"),
        pytest.param(["--baseline"], id="baseline"),
        pytest.param(["w-2@a"], id="a verdict"),
        pytest.param(["w@a", "-w", "x"], id="wrong usage"),
    ],
)
def test_nothing_that_cannot_be_written_looks_like_a_verdict(arguments: list[str]) -> None:
    for redirection in (">/dev/full", ">&-"):
        plugin = ["sh", "-c", f'exec "$@" {redirection}', "sh", PLUGIN]
        assert run_as(plugin, *arguments, text=b"w@a: OK\n") == Outcome("", UNKNOWN)


def test_standard_input_that_is_not_for_reading_is_unknown() -> None:
    assert run_as(["sh", "-c", 'exec "$@" 0>/dev/null', "sh", PLUGIN], "w@a") == Outcome(
        "CELERY WORKERS UNKNOWN - standard input cannot be read: Bad file descriptor\n", UNKNOWN
    )


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        pytest.param("nagiosplugin", "the plugin cannot be loaded: it is broken", id="before the check"),
        pytest.param("argparse", "a module cannot be imported: it is broken", id="in the check"),
    ],
)
def test_a_module_that_cannot_be_imported_is_unknown(tmp_path: Path, module: str, reason: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('it is\\nbroken')\n", encoding="utf-8")
    expected = Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)
    assert both_ways(["env", f"PYTHONPATH={tmp_path}", PLUGIN]) == [expected, expected]


HANGING = "sleep 60 & (sleep 60 & sleep 60) & : >started; echo 'w-1@a: OK';"
# By the signal itself before the command has started or when the verdict has been given, by the plugin in between.
ENDS = {
    Outcome("", -signal.SIGTERM),
    Outcome("CELERY WORKERS UNKNOWN - the check was ended by SIGTERM before sh finished\n", UNKNOWN),
    Outcome(WELL, OK),
    Outcome(WELL, -signal.SIGTERM),
}


@pytest.mark.parametrize(
    ("script", "settle"),
    [
        (f"{HANGING} echo 'w-2@a: OK'; sleep 60", "0"),
        (f"{HANGING} echo 'w-2@a: OK'", "0.05"),
        (f"{HANGING} sleep 60", "0"),
        (f"trap '' INT TERM; {HANGING} echo 'w-2@a: OK'; sleep 60; sleep 60", "0.1"),
    ],
    ids=["judged at once", "ended", "never judged", "stubborn"],
)
def test_sigterm_at_random_moments_leaves_nothing_running(tmp_path: Path, script: str, settle: str) -> None:
    random = Random(script)  # noqa: S311 -- the same moments in every run
    moments = [random.uniform(0, 0.3) for _ in range(50)]

    def interrupted(number: int) -> tuple[Outcome, str, dict[int, str]]:
        mark = f"{os.environ[MARK]}-{number:02}."
        directory = tmp_path / str(number)
        directory.mkdir()
        with subprocess.Popen(
            [PLUGIN, "w-1..2@a", "--settle", settle, "--", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: mark},
            cwd=directory,
        ) as plugin:
            # The start alone may take longer than all moments: every other one counts from when the command has begun.
            deadline = time.monotonic() + 60 * (number % 2)
            while not (directory / "started").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(moments[number])
            plugin.send_signal(signal.SIGTERM)
            output, error = plugin.communicate(timeout=60)
        return Outcome(output, plugin.returncode).timeless, error, started_with(mark)

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(interrupted, range(len(moments))))
    for outcome, error, left in seen:
        assert outcome in ENDS
        assert (error, left) == ("", {})
    assert any(outcome.output for outcome, _, _ in seen)
