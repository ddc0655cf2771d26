"""The command line: options, streams, exit codes, and what is said when something is wrong."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import wait_for
from running import OK, PLUGIN, UNKNOWN, WARNING, Outcome, check, interruptible, run

import check_celery_workers
from check_celery_workers.replies.question import NEEDED_FOR
from check_celery_workers.settings.options import parser

ALL_WELL = """\
CELERY WORKERS OK - 1 of 1 worker online on 1 server | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;1 \
missing_servers=0;;;0 online=1;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
"""


@pytest.mark.parametrize(
    "command", [[PLUGIN], [sys.executable, "-m", "check_celery_workers"]], ids=["script", "module"]
)
def test_the_installed_plugin_prints_one_line(command: list[str]) -> None:
    done = subprocess.run([*command, "w@a"], input="w@a: OK\n", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (ALL_WELL, "", OK)


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_shown(option: str) -> None:
    assert run(option) == Outcome(f"check_celery_workers {check_celery_workers.__version__}\n", UNKNOWN)


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_help_fits_a_terminal_whatever_its_width(columns: str) -> None:
    outcome = run("--help", env={**os.environ, "COLUMNS": columns})
    assert outcome.code == UNKNOWN
    assert outcome.output == run("-h").output
    assert outcome.output.startswith("usage: check_celery_workers [OPTION]... [EXPECTED]... [-- COMMAND [ARG]...]\n")
    assert max(map(len, outcome.output.splitlines())) < 80


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            "w@a --nonsense", "unrecognized arguments: --nonsense (see --help)", id="an option that does not exist"
        ),
        pytest.param(
            "w@a --crit 5", "unrecognized arguments: --crit 5 (see --help)", id="an option that is abbreviated"
        ),
        pytest.param(
            "w@a -w", "argument -w/--warning: expected one argument (see --help)", id="an option without its value"
        ),
        pytest.param(
            "w@a -c abc",
            "argument -c/--critical: 'abc' is not a range; write [@]start:end such as 2, 10: or ~: (see --help)",
            id="a range that is a word",
        ),
        pytest.param(
            "w@a -c 5:2",
            "argument -c/--critical: start 5 must not be greater than end 2 (see --help)",
            id="a range whose start is over its end",
        ),
        pytest.param(
            "w@a --unexpected-warning 5%",
            "argument --unexpected-warning: '5%' is not a range; write [@]start:end such as 2, 10: or ~: (see --help)",
            id="percent where only missing workers take it",
        ),
        pytest.param(
            "w@a -t 0",
            "argument -t/--timeout: '0' is no time at all; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a timeout of nothing",
        ),
        pytest.param(
            "w@a -t nan",
            "argument -t/--timeout: 'nan' is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a timeout that is not a number",
        ),
        pytest.param(
            "w@a -t inf",
            "argument -t/--timeout: 'inf' is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a timeout that never comes",
        ),
        pytest.param(
            "w@a --settle=-1 -- true",
            "argument --settle: '-1' is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a negative time to settle",
        ),
        pytest.param(
            "w@a --task-limit 0",
            "argument --task-limit: '0' is no time at all; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a limit of nothing",
        ),
        pytest.param(
            "w@a --baseline",
            "--baseline writes down what is there; leave out EXPECTED",
            id="a baseline of what is expected",
        ),
        pytest.param(
            "--baseline w@a",
            "--baseline w@a: FILE must be a full path, and there is no EXPECTED beside --baseline",
            id="a baseline in a file that is none",
        ),
        pytest.param(
            "--no-command --baseline /etc/celery_workers",
            "--no-command lets --baseline write no FILE; leave out FILE",
            id="a baseline in a file that others name",
        ),
        pytest.param(
            "--baseline --critical 1",
            "--baseline writes down what is there; leave out --critical",
            id="a baseline with a threshold",
        ),
        pytest.param(
            "--baseline --missing-servers-warning 1",
            "--baseline writes down what is there; leave out --missing-servers-warning",
            id="a baseline with a threshold of servers",
        ),
        pytest.param(
            "--baseline --task-limit 5m",
            "--baseline writes down what is there; leave out --task-limit",
            id="a baseline with a limit",
        ),
        pytest.param(
            "w@a --attempts 0 -- true",
            "argument --attempts: '0' is not a number of attempts; write 1 or more (see --help)",
            id="not a single attempt",
        ),
        pytest.param(
            "w@a --attempts x -- true",
            "argument --attempts: 'x' is not a number of attempts; write 1 or more (see --help)",
            id="attempts that are not a number",
        ),
        pytest.param(
            "w@a --settle 1 --wait -- true",
            "argument --wait: not allowed with argument --settle (see --help)",
            id="two options of which one excludes the other",
        ),
        pytest.param(
            "w@a --first-index 2",
            "argument --first-index: invalid choice: '2' (choose from 'auto', '0', '1') (see --help)",
            id="a choice that does not exist",
        ),
        pytest.param("w@a --critical=--", "--critical=--: -- is not a value (see --help)", id="two dashes as a value"),
        pytest.param("w@a -qe--", "-qe--: -- is not a value (see --help)", id="two dashes for a short option"),
        pytest.param("w@a --settle 1", "--settle needs --broker, or a COMMAND after --", id="settle without a COMMAND"),
        pytest.param(
            "w@a --settle 0", "--settle needs --broker, or a COMMAND after --", id="no settling without a COMMAND"
        ),
        pytest.param(
            "w@a --attempts 2", "--attempts needs --broker, or a COMMAND after --", id="attempts without a COMMAND"
        ),
        pytest.param("w@a --wait", "--wait needs --broker, or a COMMAND after --", id="wait without a COMMAND"),
        pytest.param("w@a --", "COMMAND is missing after --", id="nothing after the two dashes"),
    ],
)
def test_wrong_usage_is_unknown_and_says_what_is_wrong(arguments: str, reason: str) -> None:
    outcome = check(*arguments.split())
    # Python 3.12 and later write the choices without quotes.
    quoted = outcome.output.replace("choose from auto, 0, 1", "choose from 'auto', '0', '1'")
    assert (quoted, outcome.code) == (f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


@pytest.mark.parametrize(
    "range_",
    [
        pytest.param("", id="empty"),
        pytest.param(":", id="colon alone"),
        pytest.param("@", id="at sign alone"),
        pytest.param("1e5", id="exponent"),
        pytest.param(" 5", id="leading blank"),
        pytest.param("-5", id="a negative end"),
        pytest.param("1:2:3", id="three parts"),
        pytest.param("5%%", id="two percent signs"),
        pytest.param("%", id="percent sign alone"),
        pytest.param("\u0663", id="digit beyond ASCII"),
        pytest.param("5\n", id="newline at its end"),
        pytest.param("9" * 16, id="16 digits"),
    ],
)
def test_a_range_that_cannot_be_read_is_refused(range_: str) -> None:
    outcome = check("w@a", f"--critical={range_}", text="w@a: OK\n")
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - argument -c/--critical: ")
    assert (outcome.output.count("\n"), outcome.code) == (1, UNKNOWN)


@pytest.mark.parametrize("option", ["--timeout", "--settle", "--task-limit"])
@pytest.mark.parametrize(
    "time", ["", "soon", "5min", "1m1h", "1h30", "90 s", "1e3", "٣", ".", "s", "1,5m", "5M", "-1", "nan", "9" * 400]
)
def test_a_time_that_cannot_be_read_is_refused(option: str, time: str) -> None:
    outcome = check("w@a", f"{option}={time}", text="w@a: OK")
    asked = "-t/--timeout" if option == "--timeout" else option
    shown = time if len(time) < 200 else f"{time[:197]}..."
    reason = f"argument {asked}: {shown!r} is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)"
    assert (outcome.headline, outcome.code) == (f"CELERY WORKERS UNKNOWN - {reason}", UNKNOWN)


def test_options_and_expected_stand_in_any_order() -> None:
    arguments = ["v@a", "-w", "1", "w@a", "-q", "-e", "x@a", "y@a", "--critical", "2"]
    outcome = check(*arguments, text="v@a: OK\nw@a: OK\n")
    assert outcome.headline == "CELERY WORKERS WARNING - 2 of 4 workers missing: x@a, y@a"


def test_quiet_prints_nothing_but_what_is_wrong() -> None:
    assert check("-q", "w@a", text="w@a: OK\n") == Outcome("", OK)
    assert check("--quiet", "w@a", text="w@a: OK\nv@a: OK\n").code == WARNING
    assert check("-q", "w@a", text="v@a: OK\n").findings[0] == "Worker w@a was missing"
    assert check("-q", "w@a", text="?\n").code == UNKNOWN


VERBOSE = [
    "Online on a: 3 workers, v-1..3@a",
    "Online on b: 1 worker, w@b",
    "CRITICAL: missing is 1 (warning ~:, critical 0)",
    "WARNING: unexpected is 1 (warning 0, critical ~:)",
    "OK: malfunctioning is 0 (warning ~:, critical 0)",
    "OK: duplicate is 0 (warning 0, critical ~:)",
    "OK: missing_servers is 0 (warning ~:, critical ~:)",
    "OK: unexpected_servers is 1 (warning ~:, critical ~:)",
    "v@a: its 3 workers are numbered from 1",
    "Passed over in Celery's output: ConnectionError: no route to the other broker",
    "Celery's output:",
    "v-1@a: OK",
    "v-2@a: OK",
    "v-3@a: OK",
    "?[1mw@b: OK",
    "bye",
    "ConnectionError: no route to the other broker",
]


@pytest.mark.parametrize(("option", "lines"), [("-v", 2), ("-vv", 10), ("-vvv", 17), ("-vvvv", 17)])
def test_verbose_adds_lines_below(option: str, lines: int) -> None:
    text = "v-1@a: OK\nv-2@a: OK\nv-3@a: OK\n\x1b[1mw@b: OK\nbye\nConnectionError: no route to the other broker\n"
    plain = check("v-3@a", "x@a", text=text)
    assert check("v-3@a", "x@a", option, text=text).output == plain.output + "".join(
        f"{line}\n" for line in VERBOSE[:lines]
    )


def test_verbose_says_where_each_worker_is_numbered_from() -> None:
    text = "v9-0@a: OK\nv10-1@a: OK\nv10-2@a: OK\nw-1@a: OK\n"
    lines = check("v9-2@a", "v10-2@a", "w-2@a", "x-2@a", "y-1..1@a", "-vv", text=text).findings
    assert [line for line in lines if "numbered" in line] == [
        "v9@a: its 2 workers are numbered from 0",
        "v10@a: its 2 workers are numbered from 1",
        "w@a: its 2 workers are numbered from 0 or 1",
    ]


def test_verbose_lists_the_workers_of_a_server_on_one_line() -> None:
    nodes = ["v10@a", "w-7@a", "w-3@a", "w-2@a", "v9@a", "v@a", *(f"{letter * 300}@b" for letter in "uvwx")]
    lines = check("w-7@a", "-v", "--unexpected-warning", "9", text="".join(f"{node}: OK\n" for node in nodes)).findings
    listed = ", ".join(f"{letter * 300}@b" for letter in "uvwx")
    assert lines[-2:] == [
        "Online on a: 6 workers, v9@a, v10@a, v@a, w-2..3@a, w-7@a",
        f"Online on b: 4 workers, {listed[:997]}...",
    ]


def test_a_server_is_what_stands_behind_the_first_at_sign() -> None:
    assert check("w*=1", "-v", text="w-1@b@c: OK\n").findings == ["Online on b@c: 1 worker, w-1@b@c"]


def test_verbose_shows_the_raw_text_below_an_unknown() -> None:
    assert check("w@a", "-vvv", text="no\nsuch | thing\n").output == (
        "CELERY WORKERS UNKNOWN - such ? thing\nCelery's output:\nno\nsuch ? thing\n"
    )


def test_verbose_keeps_the_output_within_8000_bytes() -> None:
    text = "".join(f"w@server{i}: OK\n" for i in range(1000))
    outcome = check("w@server*=1000", "-vvv", text=text)
    assert outcome.code == OK
    assert 7900 < len(outcome.output.encode()) <= 8000


def test_a_terminal_on_standard_input_is_unknown_at_once() -> None:
    own, terminal = pty.openpty()
    try:
        done = subprocess.run([PLUGIN, "w@a"], stdin=terminal, capture_output=True, text=True, check=False, timeout=60)
    finally:
        os.close(own)
        os.close(terminal)
    ways = "use --broker or -- COMMAND, or pipe the text of `celery status` into it (see --help)"
    reason = f"standard input is a terminal; {ways}"
    assert (done.stdout, done.stderr, done.returncode) == (f"CELERY WORKERS UNKNOWN - {reason}\n", "", UNKNOWN)


def unended(expected: str, text: bytes) -> Outcome:
    """Run the plugin on a text after which standard input stays open."""
    reader, writer = os.pipe()
    try:
        os.write(writer, text)
        command = [PLUGIN, "-t", "0.5", expected]
        done = subprocess.run(command, stdin=reader, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        return Outcome(done.stdout, done.returncode)
    finally:
        os.close(reader)
        os.close(writer)


def test_an_input_that_does_not_end_is_unknown_at_the_timeout() -> None:
    assert unended("w-2@a", b"w-1@a: OK\n") == Outcome(
        "CELERY WORKERS UNKNOWN - standard input did not end before the timeout, 1 of 2 workers had replied, "
        "no reply from w-0@a or w-2@a\nWorker w-0@a or w-2@a had not replied\n",
        UNKNOWN,
    )


def test_an_input_that_does_not_end_is_judged_when_all_have_answered() -> None:
    assert unended("w@a", b"w@a: OK\n") == Outcome(ALL_WELL, OK)


def test_an_input_that_floods_is_unknown_at_the_timeout() -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as flood:
        done = subprocess.run(
            [PLUGIN, "-t", "0.5", "w@a"], stdin=flood.stdout, capture_output=True, text=True, check=False
        )
        flood.kill()
    assert (done.stdout, done.stderr, done.returncode) == (
        ("CELERY WORKERS UNKNOWN - y (standard input did not end before the timeout)\n"),
        "",
        UNKNOWN,
    )


def test_a_line_without_an_end_is_unknown() -> None:
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        done = subprocess.run([PLUGIN, "w@a"], stdin=zeros.stdout, capture_output=True, text=True, check=False)
        zeros.kill()
    assert (done.stdout, done.stderr, done.returncode) == (
        ("CELERY WORKERS UNKNOWN - not Celery's output: a line of more than 64 MiB, no worker had replied\n"),
        "",
        UNKNOWN,
    )


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which $PLUGIN is the plugin."""
    env = {**os.environ, "PLUGIN": PLUGIN}
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=env, check=False, timeout=60)


@pytest.mark.parametrize(
    ("script", "output"),
    [
        pytest.param('echo "w@a: OK" | "$PLUGIN" w@a >&-', "", id="standard output is closed"),
        pytest.param('echo "w@a: OK" | "$PLUGIN" w@a >/dev/full', "", id="standard output is a full disk"),
        pytest.param(
            '"$PLUGIN" w@a <&-',
            "standard input is closed; use --broker or -- COMMAND, or pipe the text of `celery status` into it",
            id="standard input is closed",
        ),
        pytest.param(
            '"$PLUGIN" w@a <&- 2>&-',
            "standard input is closed; use --broker or -- COMMAND, or pipe the text of `celery status` into it",
            id="standard input and standard error are closed",
        ),
    ],
)
def test_closed_or_broken_streams_are_unknown(script: str, output: str) -> None:
    done = shell(script)
    assert (done.stdout, done.stderr, done.returncode) == (
        output and f"CELERY WORKERS UNKNOWN - {output}\n",
        "",
        UNKNOWN,
    )


def test_a_closed_standard_error_does_no_harm() -> None:
    done = shell('echo "w@a: OK" | "$PLUGIN" w@a 2>&-')
    assert (done.stdout, done.returncode) == (ALL_WELL, OK)


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1", "no_such.locale"])
def test_names_beyond_ascii_are_shown_in_any_locale(locale: str) -> None:
    outcome = run("w-2@s\u00fcd", text="w-1@s\u00fcd: OK\n", env={**os.environ, "LC_ALL": locale, "LANG": locale})
    assert outcome.findings == ["Worker w-0@s\u00fcd or w-2@s\u00fcd was missing"]


def test_an_interrupt_is_unknown() -> None:
    with (
        interruptible(),
        subprocess.Popen([PLUGIN, "w@a"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as plugin,
    ):
        waited = Path(f"/proc/{plugin.pid}/wchan")
        wait_for(lambda: "poll" in waited.read_text(), "the plugin does not wait for text")
        plugin.send_signal(signal.SIGINT)
        assert plugin.stdout
        assert plugin.stdout.read().decode() == "CELERY WORKERS UNKNOWN - interrupted\n"
        assert plugin.wait() == UNKNOWN


def test_a_bug_is_unknown_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("not\nnow")

    monkeypatch.setattr("check_celery_workers.plugin.compare", broken)
    assert check("w@a", text="w@a: OK\n") == Outcome(
        "CELERY WORKERS UNKNOWN - a bug, please report it: ZeroDivisionError: not now\n", UNKNOWN
    )
    assert "Traceback (most recent call last)" in check("w@a", "-vvv", text="w@a: OK\n").output


def test_every_option_is_described() -> None:
    assert all(action.help for action in parser()._actions)  # noqa: SLF001 -- argparse has no other way


def test_every_option_about_workers_needs_an_answer_or_says_who_counts() -> None:
    """Whoever adds one and forgets what it needs hears of it here: nothing would judge it."""
    (group,) = (group for group in parser()._action_groups if group.title == "workers")  # noqa: SLF001 # no other way
    who_counts = {"expected", "expect", "expect_file", "ignore", "first_index"}
    with_others = {"backlog_warning", "backlog_critical", "started_grace"}
    assert {action.dest for action in group._group_actions} <= {*NEEDED_FOR, *who_counts, *with_others}  # noqa: SLF001


def test_a_plugin_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    """Half of it is installed, say."""
    package = tmp_path / "check_celery_workers"
    package.mkdir()
    source = Path(check_celery_workers.__file__).parent
    for name in ("__init__.py", "__main__.py"):
        (package / name).write_text((source / name).read_text())
    command = [sys.executable, "-m", "check_celery_workers", "w@a"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    reason = "cannot import name 'cli' from 'check_celery_workers' ("
    assert done.stdout.startswith(f"CELERY WORKERS UNKNOWN - the plugin cannot be loaded: {reason}")
    assert (done.stdout.count("\n"), done.stderr, done.returncode) == (1, "", 3)
