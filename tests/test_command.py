"""The status command: judged while it runs, and stopped. Its part is played by shell scripts here."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from processes import MARK, started_with, wait_for
from running import CRITICAL, OK, PLUGIN, UNKNOWN, Outcome, at_the_timeout, check, interruptible, perfdata, run

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


def command(script: str, *arguments: str) -> Outcome:
    """Run the plugin with a shell script as its COMMAND; the time in the perfdata is written as 0.5s."""
    return check(*arguments, "--", "sh", "-c", script).timeless


WELL = """\
CELERY WORKERS OK - 2 of 2 workers online on 1 server | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;2 \
missing_servers=0;;;0 online=2;;;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
"""
ONE_MISSING = f"""\
CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-2@a | \
{perfdata(missing="1;;0;0;2", online="1;;;0", time="0.5s;;;0")}
Worker w-2@a was missing
"""
ONE = "1 of 2 workers had replied, no reply from w-2@a"
NONE = "no worker had replied"
BOTH = "echo 'w-1@a: OK'; echo 'w-2@a: OK'"


@pytest.mark.parametrize(
    ("script", "output", "code"),
    [
        pytest.param(f"{BOTH}; echo; echo 2 nodes online.", WELL, OK, id="all answer and it ends"),
        pytest.param(f"{BOTH}; sleep 100", WELL, OK, id="all answer and it goes on"),
        pytest.param("echo 'w-1@a: OK'; echo; echo 1 node online.", ONE_MISSING, CRITICAL, id="one is missing"),
        pytest.param(f"{BOTH}; echo oops >&2; exit 1", WELL, OK, id="all answered before it failed"),
        pytest.param(f"{BOTH}; kill -9 $$", WELL, OK, id="all answered before it was killed"),
        pytest.param("printf 'w-1@a: OK\\nw-2@a: OK'", WELL, OK, id="the last line has no end"),
        pytest.param(
            f"sleep 100 & {BOTH}", WELL, OK, id="a child it leaves behind holds the pipes", marks=pytest.mark.waiting
        ),
        pytest.param(
            f"(trap '' INT TERM HUP; sleep 100) & {BOTH}",
            WELL,
            OK,
            id="a child it leaves behind ignores signals",
            marks=pytest.mark.waiting,
        ),
        pytest.param(
            f"trap '' INT TERM HUP; {BOTH}; while :; do sleep 1; done",
            WELL,
            OK,
            id="it ignores signals",
            marks=pytest.mark.waiting,
        ),
        pytest.param(f"cat; {BOTH}", WELL, OK, id="its standard input is closed"),
        pytest.param('test "$PYTHONUNBUFFERED" = 1 && ' + BOTH, WELL, OK, id="its output is not buffered"),
    ],
)
def test_a_command_is_judged_by_its_answers(script: str, output: str, code: int) -> None:
    assert command(script, "w-1..2@a", "--settle", "0.2") == Outcome(output, code)


def test_no_replies_are_not_a_failure_but_all_missing() -> None:
    outcome = command("echo 'Error: No nodes replied within time constraint' >&2; exit 69", "w-1..2@a")
    assert outcome.headline == "CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a"


@pytest.mark.parametrize("script", ["true", "echo", "printf '\\r\\n'; echo >&2"])
def test_a_command_that_says_nothing_is_unknown(script: str) -> None:
    reason = "sh said nothing, and Celery always says something"
    for arguments in (["w-1..2@a"], ["w-*@a=0..5"], ["--baseline"]):
        assert command(script, *arguments) == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(
            "echo 'w-1@a: OK'; exit 3",
            f"sh ended with exit status 3, {ONE}",
            id="it fails after one answer",
        ),
        pytest.param(
            "echo 'Error: Could not connect to the broker.' >&2; exit 69",
            "Error: Could not connect to the broker. (sh ended with exit status 69)",
            id="it fails and says why",
        ),
        pytest.param(
            "echo 'w-1@a: OK'; kill -9 $$",
            f"sh was ended by signal 9, Killed, {ONE}",
            id="it is killed",
        ),
        pytest.param(
            "printf 'w-1@a: OK\nw-2@a: O'; kill $$",
            f"sh was ended by signal 15, Terminated, {ONE}: w-2@a: O",
            id="it is killed in the middle of a line",
        ),
        pytest.param(
            "echo 'w-1@a: OK'; sleep 100",
            f"sh did not end before the timeout, {ONE}",
            id="it hangs after one answer",
            marks=pytest.mark.waiting,
        ),
        pytest.param(
            "trap '' INT TERM; sleep 100 & sleep 100",
            f"sh did not end before the timeout, {NONE}",
            id="it hangs and ignores signals",
            marks=pytest.mark.waiting,
        ),
        pytest.param(
            "exec >&- 2>&-; sleep 100",
            f"sh did not end before the timeout, {NONE}",
            id="it hangs with its outputs closed",
            marks=pytest.mark.waiting,
        ),
        pytest.param(
            "yes no such thing",
            "no such thing (sh did not end before the timeout)",
            id="it prints without end",
            marks=pytest.mark.waiting,
        ),
        pytest.param("echo hello", "hello", id="it prints something else"),
        pytest.param(
            "echo 'w-1@a: OK'; echo 2 nodes online.",
            f"Celery's output is cut: it counts 2 nodes and lists 1, {ONE}",
            id="it prints fewer answers than it counts",
        ),
        pytest.param(
            "head -c 70000000 /dev/zero",
            f"not Celery's output: a line of more than 64 MiB, {NONE}",
            id="it prints a line without end",
        ),
        pytest.param(
            "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1",
            f"{'x' * 297}... (sh ended with exit status 1)",
            id="it fails with a long line of standard error",
        ),
    ],
)
def test_a_command_that_cannot_be_judged_is_unknown_and_says_why(script: str, reason: str) -> None:
    if "before the timeout" in reason:
        outcome = at_the_timeout(lambda seconds: command(script, "w-1..2@a", "-t", seconds), reason)
    else:
        outcome = command(script, "w-1..2@a", "-t", "100")
    assert (outcome.headline, outcome.code) == (f"CELERY WORKERS UNKNOWN - {reason}", UNKNOWN)
    assert outcome.findings == (["Worker w-2@a had not replied"] if ONE in reason else [])


# Until the plugin has seen that the command ended, there is a process of its ID.
ONCE_IT_ENDED = "while kill -0 $$ 2>&-; do :; done"
CLOSED = "printf -- '->  w-1@a: OK\\n\\n1 node online.\\n'"


@pytest.mark.parametrize(
    ("script", "output", "code"),
    [
        pytest.param(f"{BOTH}; echo; echo 2 nodes online.; sleep 1000 &", WELL, OK, id="all have answered"),
        pytest.param(f"{CLOSED}; sleep 1000 &", ONE_MISSING, CRITICAL, id="one is missing"),
        pytest.param(f"({ONCE_IT_ENDED}; {CLOSED}; exec sleep 1000) &", ONE_MISSING, CRITICAL, id="it comes late"),
    ],
)
@pytest.mark.waiting
def test_a_text_that_is_whole_is_judged_at_once_though_a_child_holds_it_open(
    script: str, output: str, code: int
) -> None:
    assert command(script, "w-1..2@a", "-t", "2000", "--settle", "1000") == Outcome(output, code)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(f"({ONCE_IT_ENDED}; {BOTH}; echo; echo 2 nodes online.) &", id="nothing was there"),
        pytest.param(
            f"echo '->  w-1@a: OK'; ({ONCE_IT_ENDED}; printf -- '->  w-2@a: OK\\n\\n2 nodes online.\\n') &",
            id="the closing line was lacking",
        ),
        pytest.param(
            f"printf -- '->  w-1@a: O'; ({ONCE_IT_ENDED}; printf -- 'K\\n->  w-2@a: OK\\n\\n2 nodes online.\\n') &",
            id="half a line was there",
        ),
    ],
)
def test_what_a_child_writes_on_is_read_where_the_text_is_not_whole(script: str) -> None:
    assert command(script, "w-1..2@a", "-t", "1000") == Outcome(WELL, OK)


@pytest.mark.waiting
def test_a_child_that_holds_a_text_open_that_is_never_whole() -> None:
    outcome = at_the_timeout(
        lambda seconds: command("echo '->  w-1@a: OK'; sleep 1000 &", "w-1..2@a", "-t", seconds), "1 of 2"
    )
    reason = f"sh ended, but something that it started did not before the timeout, {ONE}"
    assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\nWorker w-2@a had not replied\n", UNKNOWN)


def test_a_child_that_holds_json_open_is_not_waited_for() -> None:
    outcome = command("""echo '{"w-1@a": {"ok": "pong"}}'; sleep 1000 & exit 0""", "w-1..2@a")
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-2@a"
    assert outcome.code == CRITICAL


def test_a_child_that_holds_a_text_open_in_which_nobody_replied_is_not_waited_for() -> None:
    outcome = command("echo 'Error: No nodes replied within time constraint'; sleep 1000 &", "w-1..2@a")
    assert outcome.headline == "CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a"
    assert outcome.code == CRITICAL


def test_a_flood_of_100_mb_is_read_and_does_not_hide_the_answers() -> None:
    noise = f"yes '{'of no interest ' * 50}' | head -c 100000000; echo"
    script = f"{{ {noise}; }} & {{ {noise}; }} >&2 & wait; {BOTH}"
    assert command(script, "w-1..2@a", "--wait") == Outcome(WELL, OK)


def test_a_command_that_cannot_be_started_is_unknown_and_says_why(tmp_path: Path) -> None:
    script = tmp_path / "status"
    script.write_text("#!/no/such/interpreter\n")
    for path, reason in (
        (tmp_path / "missing", "No such file or directory"),
        (script, "Permission denied"),
        (tmp_path, "Permission denied"),
    ):
        assert run("w@a", "--", str(path)) == Outcome(
            f"CELERY WORKERS UNKNOWN - {path} cannot be started: {reason}\n", UNKNOWN
        )
    script.chmod(0o755)
    assert run("w@a", "--", str(script)).output == (
        f"CELERY WORKERS UNKNOWN - {script} cannot be started: its interpreter /no/such/interpreter is not there\n"
    )
    script.write_bytes(b"\x7fELF no")
    assert (
        run("w@a", "--", str(script)).output
        == f"CELERY WORKERS UNKNOWN - {script} cannot be started: Exec format error\n"
    )


@pytest.mark.waiting
def test_settling_waits_for_unexpected_workers() -> None:
    script = f"{BOTH}; sleep 0.3; echo 'x@a: OK'; sleep 0.3; echo 'y@a: OK'"
    headline = "CELERY WORKERS WARNING - 2 workers unexpected: x@a, y@a"
    assert command(script, "w-1..2@a", "--settle", "50").headline == headline
    script = f"{BOTH}; sleep 60; echo 'x@a: OK'"
    for settle in ("0", "0.1"):
        assert command(script, "w-1..2@a", "--settle", settle, "-t", "100") == Outcome(WELL, OK)


@pytest.mark.waiting
def test_wait_lets_the_command_finish() -> None:
    script = f"{BOTH}; sleep 1.5; echo 'x@a: OK'"
    assert command(script, "w-1..2@a", "--wait").headline == "CELERY WORKERS WARNING - 1 worker unexpected: x@a"


def test_the_answers_of_all_attempts_add_up(tmp_path: Path) -> None:
    script = f"""
        echo >> {shlex.quote(str(tmp_path / "attempts"))}
        case $(wc -l < {shlex.quote(str(tmp_path / "attempts"))}) in
        1) echo 'w-1@a: OK';;
        2) echo 'Error: broken' >&2; exit 1;;
        3) echo 'w-2@a: OK';;
        *) echo 'too many'
        esac"""
    assert command(script, "w-1..2@a", "--attempts", "9") == Outcome(WELL, OK)
    assert (tmp_path / "attempts").read_text() == "\n" * 3


@pytest.mark.parametrize(
    ("attempts", "script", "output"),
    [
        # One attempt that ended as it should shows who is missing.
        pytest.param("2", "[ $n = 1 ] && echo 'w-1@a: OK' || exit 1", ONE_MISSING, id="the second of two fails"),
        pytest.param("2", "[ $n = 1 ] && exit 1 || echo 'w-1@a: OK'", ONE_MISSING, id="the first of two fails"),
        pytest.param(
            "2",
            "echo 'w-1@a: OK'; exit $n",
            f"CELERY WORKERS UNKNOWN - sh ended with exit status 2, {ONE}\nWorker w-2@a had not replied\n",
            id="both fail",
        ),
    ],
)
def test_one_attempt_that_ended_well_is_enough(tmp_path: Path, attempts: str, script: str, output: str) -> None:
    count = shlex.quote(str(tmp_path / "attempts"))
    script = f"echo >> {count}; n=$(wc -l < {count}); {script}"
    assert command(script, "w-1..2@a", "--attempts", attempts).output == output


@pytest.mark.waiting
def test_no_attempt_begins_after_the_timeout(tmp_path: Path) -> None:
    count = tmp_path / "attempts"
    script = f"echo >> {count}; [ $(wc -l < {count}) = 1 ] || sleep 100; echo 'w-1@a: OK'"
    outcome = command(script, "w-1..2@a", "--attempts", "99", "-t", "4")
    assert outcome == Outcome(ONE_MISSING, CRITICAL)
    assert count.read_text() == "\n" * 2


@pytest.mark.waiting
def test_a_baseline_waits_for_the_end_of_the_command() -> None:
    assert command(f"{BOTH}; sleep 1.2; echo 'x@b: OK'", "--baseline") == Outcome("w-1..2@a\nx@b\n", OK)
    assert command(f"{BOTH}; exit 1", "--baseline") == Outcome(
        "CELERY WORKERS UNKNOWN - sh ended with exit status 1, 2 workers had replied\n", UNKNOWN
    )


@pytest.mark.waiting
def test_sigint_comes_first_and_reaches_the_command_even_where_the_plugin_ignores_it(tmp_path: Path) -> None:
    log = tmp_path / "signals"
    script = f"""
        trap 'echo INT >> {log}' INT; trap 'echo TERM >> {log}' TERM
        {BOTH}; while :; do sleep 0.1; done"""
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", PLUGIN, "w-1..2@a", "--settle", "0.1", "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == OK
    assert log.read_text().split() == ["INT", "TERM"]


@pytest.mark.waiting
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: signal.Signals(number).name
)
def test_a_signal_to_the_plugin_stops_the_command_too(tmp_path: Path, number: signal.Signals) -> None:
    started = tmp_path / "started"
    script = f"trap '' INT TERM HUP; sleep 100 & touch {shlex.quote(str(started))}; while :; do sleep 1; done"
    arguments = [PLUGIN, "w@a", "--", "sh", "-c", script]
    with interruptible(), subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as plugin:
        wait_for(started.exists, "the command has not begun")
        plugin.send_signal(number)
        assert plugin.stdout
        assert (
            plugin.stdout.read()
            == f"CELERY WORKERS UNKNOWN - the check was ended by {number.name} before sh finished\n"
        )
        assert plugin.wait() == UNKNOWN


@pytest.mark.waiting
def test_a_signal_that_comes_between_attempts_ends_them(tmp_path: Path) -> None:
    ready, stopping = tmp_path / "ready", tmp_path / "stopping"
    # A child that the command leaves behind shows when the plugin stops it, and goes on.
    child = f"trap 'touch {stopping}' INT; trap '' TERM; touch {ready}; while :; do sleep 0.05; done"
    start = f"env --default-signal=INT sh -c {shlex.quote(child)} >/dev/null 2>&1 &"
    script = f"[ -e {stopping} ] && sleep 60; {start} until [ -e {ready} ]; do sleep 0.05; done; exit 1"
    arguments = ["-t", "50", "w@a", "--attempts", "2", "--", "sh", "-c", script]
    with subprocess.Popen([PLUGIN, *arguments], stdout=subprocess.PIPE, text=True) as plugin:
        wait_for(stopping.exists, "the command has not ended")
        plugin.send_signal(signal.SIGTERM)
        assert plugin.stdout
        assert plugin.stdout.read() == "CELERY WORKERS UNKNOWN - the check was ended by SIGTERM before sh finished\n"


@pytest.mark.waiting
def test_a_command_that_may_not_be_signalled_is_not_waited_for() -> None:
    """As sudo: here root without the right to signal the processes of others runs the plugin."""
    unprivileged = ["setpriv", "--bounding-set", "-kill", PLUGIN]
    as_other = ["setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c", f"{BOTH}; sleep 1000"]
    if subprocess.run([*unprivileged, "-V"], capture_output=True, check=False).returncode != UNKNOWN:
        pytest.skip("needs root, and setpriv from Debian's util-linux")
    done = subprocess.run(
        [*unprivileged, "w-1..2@a", "--settle", "0.1", "--", *as_other],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    left = started_with(os.environ[MARK])
    assert (done.stderr, done.returncode) == ("", OK)
    assert left
    for process in left:
        os.kill(process, signal.SIGKILL)
    wait_for(lambda: not started_with(os.environ[MARK]), "the command has not ended")


@pytest.mark.waiting
def test_progress_on_a_terminal_is_gone_when_the_verdict_comes() -> None:
    own, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [PLUGIN, "w-1..2@a", "--", "sh", "-c", "echo 'w-1@a: OK'; sleep 2; echo 'w-2@a: OK'"],
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=False,
            timeout=60,
        )
        shown = os.read(own, 65536).decode()
    finally:
        os.close(own)
        os.close(terminal)
    assert done.returncode == OK
    assert "\r\x1b[K1 answered, 2 expected\r\x1b[K2 answered, 2 expected" in shown
    assert shown.endswith("\r\x1b[K")
