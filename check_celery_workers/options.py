"""The options, and what is wrong with them."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from functools import partial

from check_celery_workers import __version__
from check_celery_workers.errors import UsageError
from check_celery_workers.node import printable
from check_celery_workers.plugin import Threshold

TIMEOUT = 30.0
SETTLE = 1.0

# Of each metric that is judged: what it counts, and the warning and the critical RANGE while neither is given.
METRICS = {
    "missing": ("missing workers", None, "0"),
    "unexpected": ("unexpected workers", "0", None),
    "malfunctioning": ("malfunctioning workers", None, "0"),
    "duplicate": ("duplicate node names", "0", None),
    "missing_servers": ("missing servers", None, None),
    "unexpected_servers": ("unexpected servers", None, None),
}

_EPILOG = """\
EXPECTED is one of
  NAME-COUNT@SERVER        COUNT workers NAME-i on SERVER, numbered from 0 or 1
  NAME-FIRST..LAST@SERVER  the workers NAME-FIRST to NAME-LAST
  NAME@SERVER              the one worker of exactly that name: celery@web1
  PATTERN=N                N workers whose node name matches: celery@web-*=4
  PATTERN=MIN..MAX         MIN to MAX of them; PATTERN=MIN.. MIN or more

RANGE is a Nagios range, [@]start:end, and alerts outside of it; ~: never does.
While neither threshold is given, any missing or malfunctioning worker is
CRITICAL, any unexpected or duplicate one WARNING, and servers only count.

examples:
  celery -A proj status -t 10 2>&1 | check_celery_workers worker-4@serverA
  check_celery_workers worker-4@serverA -- celery -A proj status -t 10

exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (cannot judge; wrong usage)
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, with the COMMAND after a `--` as `command` and thresholds by metric as `thresholds`.

    Raises UsageError where they are wrong, and Asked for `--help` and `--version`.
    """
    own, command = list(arguments), None
    if "--" in own:
        place = own.index("--")
        own, command = own[:place], own[place + 1 :]
        if not command:
            raise UsageError("there is no COMMAND after the --")
    for argument in own:
        # Of such a value argparse makes an empty list before Python 3.13, and of a threshold thereby none.
        if argument.endswith("--") and re.fullmatch("-[a-zA-Z]+--|--[a-z-]+=--", argument):
            raise UsageError(f"{argument}: -- is no value (see --help)")
    # Names are compared as UTF-8, whatever the locale has made of them.
    own = [os.fsencode(argument).decode("utf-8", "surrogateescape") for argument in own]
    options = parser().parse_intermixed_args(own)
    options.command = command
    options.expected += options.expect
    if not command:
        for name in ("settle", "attempts"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} needs a COMMAND after --")
        if options.wait:
            raise UsageError("--wait needs a COMMAND after --")
    return options


def thresholds(options: argparse.Namespace, label: str) -> tuple[Threshold | None, Threshold | None]:
    """Return the warning and the critical threshold of a metric; its defaults where neither is given."""
    warning, critical = (getattr(options, f"{label}_{severity}") for severity in ("warning", "critical"))
    if warning is None and critical is None:
        warning, critical = (text and Threshold(text) for text in METRICS[label][1:])
    return warning, critical


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before COMMAND."""
    options = _Parser(
        prog="check_celery_workers",
        usage="%(prog)s [OPTION]... [EXPECTED]... [-- COMMAND [ARG]...]",
        description="Compare the Celery workers that answer `celery status`, whose text comes on\n"
        "standard input or from COMMAND, with those that should be there.",
        epilog=_EPILOG,
        formatter_class=_formatter,
        allow_abbrev=False,
        add_help=False,
    )
    add = options.add_argument_group("workers").add_argument
    add("expected", nargs="*", metavar="EXPECTED", help="workers that must be there, see below")
    add("-e", "--expect", action="append", default=[], metavar="EXPECTED", help="the same as an option; repeatable")
    add(
        *("-f", "--expect-file"),
        action="append",
        default=[],
        metavar="FILE",
        help="EXPECTED from a file, one a line, with # comments; repeatable",
    )
    add("--ignore", action="append", default=[], metavar="PATTERN", help="workers never unexpected; repeatable")
    add(
        "--first-index",
        choices=("auto", "0", "1"),
        default="auto",
        help="number of the first of NAME-COUNT; auto, the default: as the workers that answer show",
    )

    add = options.add_argument_group("thresholds").add_argument
    for label, (what, _, _) in METRICS.items():
        percent = label == "missing"
        for severity in ("warning", "critical"):
            add(
                *_flags(label, severity),
                dest=f"{label}_{severity}",
                type=_checked(partial(Threshold.parse, percent=percent)),
                metavar="RANGE",
                help=f"{severity.upper()} if {what} are outside RANGE" + (", RANGE%%: in percent" if percent else ""),
            )

    group = options.add_argument_group("asking")
    group.add_argument(
        *("-t", "--timeout"),
        type=_checked(_timeout),
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"deadline for the whole check, by default {TIMEOUT:g}",
    )
    end = group.add_mutually_exclusive_group()
    end.add_argument(
        "--settle",
        type=_checked(_seconds),
        metavar="SECONDS",
        help="with COMMAND: how long to listen on for unexpected workers once every expected one has answered, by "
        f"default {SETTLE:g}",
    )
    end.add_argument("--wait", action="store_true", help="with COMMAND: let it finish by itself instead")
    group.add_argument(
        "--attempts",
        type=_checked(_attempts),
        metavar="N",
        help="with COMMAND: run it up to N times while workers are missing or it fails, by default 1",
    )

    add = options.add_argument_group("output").add_argument
    add("--baseline", action="store_true", help="print the EXPECTED of the workers now online, and exit 0")
    add("-q", "--quiet", action="store_true", help="print nothing when the state is OK")
    add(
        *("-v", "--verbose"),
        action="count",
        default=0,
        help="tell the workers online; twice: how the verdict came about; three times: the raw status text",
    )
    add("-h", "--help", action="help", help="show this and exit 3")
    add("-V", "--version", action="version", version=f"%(prog)s {__version__}", help="show the version and exit 3")
    return options


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Asked(Exception):  # noqa: N818 -- it is no error
    """The help or the version was asked for, and nothing else is to be done; the message is what to print."""


class _Parser(argparse.ArgumentParser):
    """Leaves as a plugin must: argparse itself would exit with the codes for CRITICAL and OK."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")

    def _print_message(self, message: str, file: object = None) -> NoReturn:  # noqa: ARG002 -- argparse's own
        raise Asked(message)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, width=79, max_help_position=26)


def _flags(label: str, severity: str) -> tuple[str, ...]:
    """Return the option strings of a threshold; those for missing workers are the plugin's own -w and -c."""
    if label == "missing":
        return f"-{severity[0]}", f"--{severity}"
    return (f"--{label.replace('_', '-')}-{severity}",)


def _checked(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Let argparse tell what the ValueError says, of which it tells nothing otherwise."""

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
        raise ValueError(f"{printable(text)!r} is no number of seconds, write 10 or 0.5")
    return seconds


def _timeout(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise ValueError("a deadline of 0 seconds leaves no time to read, write 10 or 0.5")
    return seconds


def _attempts(text: str) -> int:
    if not text.isdecimal() or int(text[:9]) < 1:
        raise ValueError(f"{printable(text)!r} is no number of attempts, write 1 or more")
    return int(text[:9])
