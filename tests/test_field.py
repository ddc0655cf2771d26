"""Situations that people who run Celery fleets met, and faults of the same kinds, through the installed program.

Each file of tests/field is a case, in the form that cases.py of tests/lib describes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from cases import Case
from paths import CLONE
from processes import MARK, started_with, wait_for
from running import OK, PLUGIN, UNKNOWN, WARNING, run

CASES = sorted((CLONE / "tests" / "field").iterdir())

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_situation(path: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    case = Case.read(path)
    printed = case.printed(tmp_path)
    if pytestconfig.getoption("--rewrite-cases"):
        case.rewrite(printed)
    assert printed == case.expected


def test_every_situation_is_a_case() -> None:
    assert {path.suffix for path in CASES} == {".case"}
    assert len(CASES) > 30


def test_without_settling_the_line_below_the_last_answer_is_waited_for() -> None:
    script = 'echo "w@a: OK"; sleep 0.01; echo "    - empty -"; sleep 100'
    outcome = run("w@a", "--settle", "0", "--", "sh", "-c", script, "celery", "inspect", "active_queues")
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w@a"
    assert outcome.findings == ["Worker w@a was malfunctioning, it consumes from no queue"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGALRM], ids=["SIGKILL", "SIGALRM"])
@pytest.mark.waiting
def test_a_plugin_that_is_killed_takes_the_command_along(tmp_path: Path, number: signal.Signals) -> None:
    started = tmp_path / "started"
    # More than a pipe holds, so that the plugin is reading when the file is there.
    script = "yes '' | head -c 1000000; touch \"$0\"; exec sleep 1000"
    command = [PLUGIN, "w@a", "-t", "1000", "--", "sh", "-c", script, str(started)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as plugin:
        wait_for(started.exists, "the plugin does not read")
        plugin.send_signal(number)
        plugin.wait()
    wait_for(lambda: not started_with(os.environ[MARK]), "the command has not ended")


@pytest.mark.waiting
def test_what_a_child_writes_just_after_the_command_ended_is_read() -> None:
    # Until the plugin has seen that the command ended, there is a process of its ID.
    child = "read -r line; while kill -0 $$ 2>&-; do :; done; echo $line"
    assert run("w@a", "--", "bash", "-c", f"echo 'w@a: OK' > >({child})").code == OK


@pytest.mark.waiting
def test_the_deadline_holds_while_it_compares(tmp_path: Path) -> None:
    patterns = tmp_path / "patterns"
    patterns.write_text("".join(f"*x{i}*y*=0..\n" for i in range(1000)))
    text = "".join(f"worker-{i}@host{i % 50}.example.com: OK\n" for i in range(20_000))
    outcome = run("-t", "1", "-f", str(patterns), text=text)
    # Whoever is fast enough for a verdict may give it.
    assert outcome.code in {WARNING, UNKNOWN}
    assert outcome.code == WARNING or "timeout" in outcome.headline


@pytest.mark.parametrize(
    ("arguments", "text", "first_line"),
    [
        pytest.param(
            "w-1..1@a",
            "-> w-1@a: OK\n        pong\n-> w-1@a: OK\n        pong\n",
            "OK - 1 of 1 worker online on 1 server",
            id="the-same-fleet-asked-twice-by-Celery-4",
        ),
        pytest.param(
            "w-1..1@a --ignore *",
            "w-1@a: OK\nw-3@a: OK\nw-03@a: OK\nz-3@a: OK\nz-03@a: OK\n",
            "OK - 1 of 1 worker online on 1 server",
            id="ignored-workers-are-no-duplicates",
        ),
        pytest.param(
            "w@a --ignore dev-*",
            "dev-1@x: ERROR\nw@a: OK\n",
            "OK - 1 of 1 worker online on 1 server",
            id="an-ignored-worker-does-not-malfunction",
        ),
        pytest.param(
            "w-2@a w-[01]@a=0..0 --ignore w-[01]@a",
            "w-0@a: OK\nw-1@a: OK\nw-2@a: OK\n",
            "OK - 2 of 2 workers online on 1 server",
            id="an-ignored-name-settles-which-is-unexpected",
        ),
        pytest.param(
            "w-1..3@a -c 33.3333%",
            "w-1@a: OK\nw-2@a: OK\n",
            "CRITICAL - 1 of 3 workers missing: w-3@a",
            id="no-rounding",
        ),
    ],
)
def test_a_first_line(arguments: str, text: str, first_line: str) -> None:
    assert run(*arguments.split(), text=text).headline == f"CELERY WORKERS {first_line}"


def test_json_of_another_kind_is_no_reply() -> None:
    outcome = run("celery@web1", text='{"celery@web1": {"event": "worker-offline"}}\n')
    assert outcome.code == UNKNOWN
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")


def test_no_command_is_accepted_where_the_arguments_are_those_of_others(tmp_path: Path) -> None:
    outcome = run("--no-command", "w@a", "--", "touch", "pwned", text="w@a: OK\n", cwd=tmp_path)
    assert outcome.code == UNKNOWN
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - ")
    assert list(tmp_path.iterdir()) == []
    assert run("--no-command", "w@a", text="w@a: OK\n").code == OK


def test_a_machine_without_dev_null(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if os.geteuid() or unshare is None:
        pytest.skip("needs root, and unshare from Debian's util-linux")
    script = 'mount -t tmpfs none /dev && exec "$0" w@a <&-'
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", script, PLUGIN], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    if "mount:" in done.stderr:
        pytest.skip("needs the right to mount a tmpfs")
    assert (done.stderr, done.returncode) == ("", UNKNOWN)
    assert done.stdout.startswith("CELERY WORKERS UNKNOWN - ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("first", ["auto", "0", "1"])
def test_one_spare_worker_under_two_spellings_is_one(first: str) -> None:
    text = "w-0@a: OK\nw-1@a: OK\nw-2@a: OK\nw-02@a: OK\n"
    outcome = run("w-2@a", "?-[0-2]@a=0..1", "--first-index", first, text=text)
    assert outcome.code == WARNING
    assert outcome.perfdata["unexpected"].startswith("1;")
    assert "Pattern" not in outcome.output


def test_a_baseline_of_a_failed_text_is_none() -> None:
    error = "Error: Unable to run the `status` command. Reason: Error 111 connecting to 127.0.0.1:6442."
    outcome = run("--baseline", text=f"w@a: OK\n{error} Connection refused.\n")
    assert outcome.code == UNKNOWN
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - ")
    assert "w@a" not in outcome.output.splitlines()


@pytest.mark.parametrize(
    ("first", "unexpected_of_padded", "told_of_spelled"),
    [
        ("auto", "w-0@a or w-2@a", "1 unexpected (w-0@a or w-2@a), 1 duplicate (w-2@a)"),
        ("0", "w-02@a", "1 unexpected (w-2@a)"),
        ("1", "w-00@a", "1 unexpected (w-0@a), 1 duplicate (w-2@a)"),
    ],
)
def test_no_pattern_counts_a_worker_of_a_group_that_a_fixed_form_expects(
    first: str, unexpected_of_padded: str, told_of_spelled: str
) -> None:
    padded = run("w-2@a", "w-?@a=1", "--first-index", first, text="w-00@a: OK\nw-01@a: OK\nw-02@a: OK\n")
    assert padded.headline == (
        f"CELERY WORKERS CRITICAL - 1 of 3 workers missing (w-?@a), 1 unexpected ({unexpected_of_padded})"
    )
    arguments = ["w-2@a", "?-[0-2]@a=2", "--duplicate-warning", "~:", "--first-index", first]
    spelled = run(*arguments, text="w-0@a: OK\nw-1@a: OK\nw-2@a: OK\nw-02@a: OK\n")
    assert spelled.headline == f"CELERY WORKERS CRITICAL - 2 of 4 workers missing (?-[0-2]@a), {told_of_spelled}"
