"""The options: from arguments to Settings, or to what is wrong with them."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from functools import partial

from check_celery_workers import __version__
from check_celery_workers.errors import UsageError
from check_celery_workers.metrics import METRICS
from check_celery_workers.node import printable
from check_celery_workers.question import has_placeholder
from check_celery_workers.threshold import Threshold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

TIMEOUT = 30.0
SETTLE = 1.0

# Words of a status command that somebody wrote without the -- before it.
_COMMANDS = {
    *("celery", "manage.py", "django-admin", "python", "python2", "python3", "status", "inspect"),
    *("docker", "kubectl", "podman", "ssh", "sudo", "env", "sh", "bash", "timeout"),
}

_EPILOG = """\
EXPECTED is one of
  NAME-COUNT@SERVER        COUNT workers NAME-i on SERVER, numbered from 0 or 1
  NAME-FIRST..LAST@SERVER  the workers NAME-FIRST to NAME-LAST;
                           NAME-3..3@SERVER is the single worker NAME-3
  NAME@SERVER              the one worker of exactly that name: celery@web1
  PATTERN=N                N workers whose node name matches: celery@web-*=4
  PATTERN=MIN..MAX         MIN to MAX of them; PATTERN=MIN.. MIN or more
Braces stand for several, as in a shell: celery@web{01..20}, w-4@{app,db}.

COMMAND prints the status text and is run without a shell. It is run once for
each question that the options need, with the question in place of {}.

RANGE is a Nagios range, [@]start:end, and alerts outside of it; ~: never does.
Unless you give a threshold, any missing or malfunctioning worker and any queue
off its number is CRITICAL, any unexpected or duplicate worker WARNING, and
servers are counted but never raise an alert.

examples:
  check_celery_workers worker-4@serverA -- celery -A proj inspect {} -t 10
  celery -A proj status -t 10 2>&1 | check_celery_workers worker-4@serverA
  check_celery_workers --baseline -- celery -A proj inspect {} > FILE

exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (cannot judge; wrong usage)
"""


class Settings:
    """What the command line asks for.

    expected, expect_files, queues: EXPECTED, files of them, and --queue, as written
    ignore: patterns of node names
    task_limits: patterns of task names with seconds; None for all other tasks
    first_index: what COUNT workers are numbered from; None: as the replies show
    thresholds: the warning and the critical one of each metric, by its label
    timeout: seconds
    settle: seconds to read on once every expected worker has replied; None: to the end
    command: COMMAND, empty if the text comes on standard input
    """

    def __init__(self, options: argparse.Namespace, command: Sequence[str]) -> None:
        self.expected: list[str] = options.expected + options.expect
        self.expect_files: list[str] = options.expect_file
        self.queues: list[str] = options.queue
        self.task_limits: list[tuple[str | None, float]] = options.task_limit
        self.ignore: list[str] = options.ignore
        self.first_index = None if options.first_index == "auto" else int(options.first_index)
        self.thresholds = {metric.label: _thresholds(options, metric.label) for metric in METRICS}
        self.timeout: float = options.timeout
        settle = SETTLE if options.settle is None else options.settle
        self.settle: float | None = None if options.wait or not command else settle
        self.attempts: int = options.attempts or 1
        self.command = command
        self.baseline: bool = options.baseline
        self.quiet: bool = options.quiet
        self.verbose: int = options.verbose


def parse(arguments: Sequence[str]) -> Settings:
    """Return the settings.

    Raises UsageError if the arguments are wrong, and Asked for `--help` and `--version`.
    """
    own, command = _split(arguments)
    for argument in own:
        # Before Python 3.13 argparse turns such a value into an empty list, which silently drops a threshold.
        if argument.endswith("--") and re.fullmatch("-[a-zA-Z]+--|--[a-z-]+=--", argument):
            raise UsageError(f"{argument}: -- is not a value (see --help)")
    # Names are compared as UTF-8, whatever the locale has made of them.
    own = [os.fsencode(argument).decode("utf-8", "surrogateescape") for argument in own]
    forgotten = next((word for word in own if not command and word.rpartition("/")[2] in _COMMANDS), None)
    try:
        options = parser().parse_intermixed_args(own)
    except UsageError:
        if forgotten is None:
            raise
        raise _forgotten(forgotten) from None
    if forgotten in options.expected:
        raise _forgotten(str(forgotten))
    _check_command(options, command)
    return Settings(options, command)


def _check_command(options: argparse.Namespace, command: Sequence[str]) -> None:
    """Raise UsageError if the options and COMMAND, or its absence, do not go together."""
    if not command:
        for name in ("settle", "attempts", "wait"):
            if getattr(options, name) not in (None, False):
                raise UsageError(f"--{name} needs a COMMAND after --")
    elif options.no_command:
        raise UsageError("--no-command accepts no COMMAND, leave out what follows the --")
    elif options.queue and options.task_limit and not has_placeholder(command):
        raise UsageError(
            "--queue and --task-limit need two questions, write {} in COMMAND for the question: "
            "-- celery -A proj inspect {} -t 10"
        )


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what stands before the first --, and COMMAND after it."""
    own = list(arguments)
    if "--" not in own:
        return own, []
    place = own.index("--")
    own, command = own[:place], own[place + 1 :]
    if not command:
        raise UsageError("COMMAND is missing after --")
    if len(command) == 1 and " " in command[0].strip() and not os.path.exists(command[0]):
        raise UsageError(f"COMMAND is one word in quotes, write it without: -- {printable(command[0])}")
    return own, command


def _forgotten(word: str) -> UsageError:
    return UsageError(f"{printable(word)} looks like COMMAND, write -- before it: -- celery -A proj inspect {{}} -t 10")


def _thresholds(options: argparse.Namespace, label: str) -> tuple[Threshold | None, Threshold | None]:
    """Return the warning and the critical threshold of a metric; its defaults if neither is given."""
    warning, critical = (getattr(options, f"{label}_{severity}") for severity in ("warning", "critical"))
    if warning is None and critical is None:
        (metric,) = (metric for metric in METRICS if metric.label == label)
        warning, critical = (text and Threshold(text) for text in (metric.warning, metric.critical))
    return warning, critical


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before COMMAND."""
    options = _Parser(
        prog="check_celery_workers",
        usage="%(prog)s [OPTION]... [EXPECTED]... [-- COMMAND [ARG]...]",
        description="Check that the expected Celery workers are online, consume from their queues\n"
        "and work. The output of `celery status` or `celery inspect` is read from\n"
        "standard input, or COMMAND is run to get it.",
        epilog=_EPILOG,
        formatter_class=_formatter,
        allow_abbrev=False,
        add_help=False,
    )
    _add_workers(options.add_argument_group("workers"))
    _add_thresholds(options.add_argument_group("thresholds"))
    _add_command(options.add_argument_group("running COMMAND"))
    _add_output(options.add_argument_group("output"))
    return options


def _add_workers(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("expected", nargs="*", metavar="EXPECTED", help="workers that must be online (see below)")
    repeatable = partial(add, action="append", default=[])
    repeatable("-e", "--expect", metavar="EXPECTED", help="same as the positional EXPECTED; repeatable")
    repeatable(
        *("-f", "--expect-file"),
        metavar="FILE",
        help="read EXPECTED from FILE, one per line; # starts a comment; repeatable",
    )
    repeatable(
        "--queue",
        metavar="NAME[=N]",
        help="N workers must consume from queue NAME; also MIN..MAX, MIN.., by default 1..; repeatable",
    )
    repeatable(
        "--task-limit",
        type=_checked(_task_limit),
        metavar="[PATTERN=]SECONDS",
        help="a worker is malfunctioning if it runs a task for longer; the first PATTERN that matches the task's name "
        "holds, then SECONDS alone; repeatable",
    )
    repeatable(
        "--ignore", metavar="PATTERN", help="leave workers that match out of every count unless expected; repeatable"
    )
    add(
        "--first-index",
        choices=("auto", "0", "1"),
        default="auto",
        help="number of the first worker in NAME-COUNT; default auto: inferred from the replies",
    )


def _add_thresholds(group: argparse._ArgumentGroup) -> None:
    for metric in METRICS:
        percent = metric.label == "missing"
        for severity in ("warning", "critical"):
            group.add_argument(
                *_flags(metric.label, severity),
                dest=f"{metric.label}_{severity}",
                type=_checked(partial(Threshold.parse, percent=percent)),
                metavar="RANGE",
                help=f"{severity.upper()} if the number of {metric.what} is outside RANGE"
                + (" (append %% for percent)" if percent else ""),
            )


def _add_command(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        *("-t", "--timeout"),
        type=_checked(_timeout),
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"deadline for the whole check, default {TIMEOUT:g}",
    )
    end = group.add_mutually_exclusive_group()
    end.add_argument(
        "--settle",
        type=_checked(_seconds),
        metavar="SECONDS",
        help="with COMMAND: how long to listen on for unexpected workers once every expected one has replied, "
        f"default {SETTLE:g}",
    )
    end.add_argument("--wait", action="store_true", help="do not stop COMMAND early")
    group.add_argument(
        "--attempts",
        type=_checked(_attempts),
        metavar="N",
        help="with COMMAND: run it up to N times while workers are missing or it fails, default 1",
    )
    group.add_argument(
        "--no-command",
        action="store_true",
        help="accept no COMMAND after this, where others supply EXPECTED",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--baseline",
        action="store_true",
        help="print EXPECTED lines for the workers and queues online now, and exit 0",
    )
    add("-q", "--quiet", action="store_true", help="print nothing when the state is OK")
    add(
        *("-v", "--verbose"),
        action="count",
        default=0,
        help="list the workers online; -vv: explain each state; -vvv: add the raw status text",
    )
    add("-h", "--help", action="help", help="show this and exit 3")
    add("-V", "--version", action="version", version=f"%(prog)s {__version__}", help="show the version and exit 3")


class Asked(Exception):  # noqa: N818 -- it is no error
    """The help or the version was asked for; the message is what to print."""


class _Parser(argparse.ArgumentParser):
    """Exits as a plugin must: argparse itself would exit with the codes for CRITICAL and OK."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")

    def _print_message(self, message: str, file: object = None) -> NoReturn:  # noqa: ARG002 -- argparse's own
        raise Asked(message)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, width=79, max_help_position=26)


def _flags(label: str, severity: str) -> tuple[str, ...]:
    """Return the option strings of a threshold; those for missing workers are the usual -w and -c."""
    if label == "missing":
        return f"-{severity[0]}", f"--{severity}"
    return (f"--{label.replace('_', '-')}-{severity}",)


def _checked(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Make argparse print the ValueError's message, which it would drop."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{printable(text)!r} is not a number of seconds, write 10 or 0.5")
    return seconds


def _timeout(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise ValueError("a deadline of 0 seconds leaves no time to read, write 10 or 0.5")
    return seconds


def _attempts(text: str) -> int:
    if not text.isdecimal() or int(text[:9]) < 1:
        raise ValueError(f"{printable(text)!r} is not a number of attempts, write 1 or more")
    return int(text[:9])


def _task_limit(text: str) -> tuple[str | None, float]:
    pattern, equals, seconds = text.rpartition("=")
    if equals and not pattern:
        raise ValueError(f"{printable(text)!r} has no pattern, write SECONDS or PATTERN=SECONDS")
    return (pattern or None), _seconds(seconds)
