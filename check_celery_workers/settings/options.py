"""The parser of the options, and the text of --help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from check_celery_workers import __version__
from check_celery_workers.duration import parse_duration
from check_celery_workers.errors import HelpAsked, UsageError
from check_celery_workers.judgement.metrics import JUDGED
from check_celery_workers.node import printable
from check_celery_workers.pattern import problem_of
from check_celery_workers.threshold import Threshold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

TIMEOUT = 30.0
SETTLE = 1.0
REPLY = 10.0
GRACE = 600.0

_EPILOG = """\
EXPECTED is one of
  NAME-COUNT@SERVER        COUNT workers NAME-i on SERVER, numbered from 0 or 1
  NAME-FIRST..LAST@SERVER  the workers NAME-FIRST to NAME-LAST;
                           NAME-3..3@SERVER is the single worker NAME-3
  NAME@SERVER              the one worker of exactly that name: celery@web1
  PATTERN=N                N workers whose node name matches: celery@web-*=4
  PATTERN=MIN..MAX         MIN to MAX of them; PATTERN=MIN.. MIN or more
Braces stand for several, as in a shell: celery@web{01..20}, w-4@{app,db}.

COMMAND prints Celery's output. It runs without a shell, once for each inspect
command that the options need, whose name replaces {}.

DURATION is seconds, or 90s, 15m, 6h, 2d, 1h30m.
RANGE is a Nagios threshold range, [@]start:end. A value outside it alerts,
with @ a value inside it; ~: never alerts. Without thresholds, any missing or
malfunctioning worker and any queue with too few or too many consumers is
CRITICAL, any unexpected or duplicate worker is WARNING, and servers are
counted but never alert. One threshold of a metric replaces both its defaults.

examples:
  check_celery_workers --baseline FILE --broker /etc/celery_broker
  check_celery_workers -f FILE --broker /etc/celery_broker
  check_celery_workers worker-4@serverA -- celery -A proj inspect {} -t 10
  celery -A proj status -t 10 2>&1 | check_celery_workers worker-4@serverA

exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (cannot judge; wrong usage)
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before COMMAND."""
    # argparse would look on the disk for translations of its headings: a millisecond, and there are none.
    argparse._ = str  # type: ignore[attr-defined]
    options = _Parser(
        prog="check_celery_workers",
        usage="%(prog)s [OPTION]... [EXPECTED]... [-- COMMAND [ARG]...]",
        description="Check that the expected Celery workers are online, consume from their queues\n"
        "and work, and that tasks do not pile up. The plugin asks the workers over the\n"
        "broker (--broker), or runs COMMAND, or reads the output of `celery status` or\n"
        "`celery inspect` from standard input.",
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=79, max_help_position=26),
        allow_abbrev=False,
        add_help=False,
    )
    _add_workers(options.add_argument_group("workers"))
    _add_thresholds(options.add_argument_group("thresholds"))
    _add_asking(options.add_argument_group("asking"))
    _add_output(options.add_argument_group("output"))
    return options


def _add_workers(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("expected", nargs="*", metavar="EXPECTED", help="workers that must be online (see below)")
    repeatable = partial(add, action="append", default=[])
    repeatable("-e", "--expect", metavar="EXPECTED", help="same as the positional EXPECTED; repeatable")
    file = "read EXPECTED from FILE, one per line; # starts a comment; repeatable"
    repeatable("-f", "--expect-file", metavar="FILE", help=file)
    queue = "N workers must consume from queue NAME; also MIN..MAX, MIN.., by default 1..; repeatable"
    repeatable("--queue", metavar="NAME[=N]", help=queue)
    backlog = (
        "{} if the number of messages waiting in queue NAME is outside RANGE; without NAME: in each queue that a "
        "worker consumes from or an option names; repeatable"
    )
    for severity in ("warning", "critical"):
        repeatable(f"--backlog-{severity}", metavar="[NAME=]RANGE", help=backlog.format(severity.upper()))
    beat = "this scheduler must be online; also PATTERN[=N], PATTERN=MIN..MAX, PATTERN=MIN..; repeatable"
    repeatable("--beat", metavar="NODE", help=beat)
    limit = (
        "a worker is malfunctioning if it has been running a task for longer than DURATION; the first PATTERN that "
        "matches the task's name applies, otherwise the DURATION without one; repeatable"
    )
    repeatable("--task-limit", type=_checked(_task_limit), metavar="[PATTERN=]DURATION", help=limit)
    stall = (
        "with --broker: a worker is malfunctioning if it starts no task for DURATION while work waits for it; 15s is "
        "a good choice"
    )
    add("--stall-limit", type=_checked(parse_duration), metavar="DURATION", help=stall)
    release = (
        "with --broker: a worker is malfunctioning if it was started before FILE was last changed, such as the link "
        "that a release moves; with PATTERN, a worker whose name matches; repeatable"
    )
    repeatable("--started-after", metavar="[PATTERN=]FILE", help=release)
    grace = f"how long after that change a worker may still be restarted, default {GRACE // 60:g}m"
    add("--started-grace", type=_checked(parse_duration), metavar="DURATION", help=grace)
    ignore = "do not count workers whose node name matches PATTERN, unless EXPECTED names them; repeatable"
    repeatable("--ignore", type=_checked(_pattern), metavar="PATTERN", help=ignore)
    first = "number of the first worker in NAME-COUNT; default auto: inferred from the replies"
    add("--first-index", choices=("auto", "0", "1"), default="auto", help=first)


def _add_thresholds(group: argparse._ArgumentGroup) -> None:
    for row in JUDGED:
        convert = _checked(partial(Threshold.parse, percent=row.is_percentage))
        percent = " (append %% for percent)" if row.is_percentage else ""
        for severity in ("warning", "critical"):
            meaning = f"{severity.upper()} if the number of {row.what} is outside RANGE{percent}"
            dest = f"{row.label}_{severity}"
            group.add_argument(*flags_of(row.label, severity), dest=dest, type=convert, metavar="RANGE", help=meaning)


def _add_asking(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    broker = (
        "ask the workers over the broker: a URL, the full path of a file that holds it, or env for CELERY_BROKER_URL"
    )
    add("--broker", metavar="URL", help=broker)
    options = (
        "settings of the application, as JSON or the full path of a file that holds it: its "
        "broker_transport_options, control_exchange, serializer, ssl"
    )
    add("--broker-options", metavar="JSON", help=options)
    time = _checked(parse_duration)
    reply = f"with --broker: how long to wait for workers that do not reply, default {REPLY:g}"
    add("--reply-timeout", type=time, metavar="DURATION", help=reply)
    timeout = f"deadline for the whole check, default {TIMEOUT:g}"
    add("-t", "--timeout", type=time, default=TIMEOUT, metavar="DURATION", help=timeout)
    end = group.add_mutually_exclusive_group()
    settle = (
        f"how long to keep listening for unexpected workers after every expected worker has replied, default {SETTLE:g}"
    )
    may_be_zero = _checked(partial(parse_duration, may_be_zero=True))
    end.add_argument("--settle", type=may_be_zero, metavar="DURATION", help=settle)
    end.add_argument(
        "--wait", action="store_true", help="listen to the end, even after every expected worker has replied"
    )
    attempts = "ask up to N times while workers are missing or the question fails, default 1"
    add("--attempts", type=_checked(_attempts), metavar="N", help=attempts)
    refuse = "refuse COMMAND, --broker and --baseline FILE: for arguments that untrusted people supply"
    add("--no-command", action="store_true", help=refuse)


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    state = "the state to end with if the workers cannot be judged, instead of UNKNOWN"
    add("--unknown-as", choices=("warning", "critical"), help=state)
    baseline = (
        "print the lines for --expect-file that describe what is online now, and exit 0; with FILE, a full path, "
        "also write them there, if all went well: its comments stay, and what is not online becomes one"
    )
    add("--baseline", nargs="?", const="", metavar="FILE", help=baseline)
    add("-q", "--quiet", action="store_true", help="print nothing when the state is OK")
    verbose = "list the workers online; -vv: explain each state; -vvv: add Celery's output"
    add("-v", "--verbose", action="count", default=0, help=verbose)
    add("-h", "--help", action="help", help="show this and exit 3")
    add("-V", "--version", action="version", version=f"%(prog)s {__version__}", help="show the version and exit 3")


class _Parser(argparse.ArgumentParser):
    """Exits as a plugin must: argparse itself would exit with the codes for CRITICAL and OK."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")

    def _print_message(self, message: str, file: object = None) -> NoReturn:  # noqa: ARG002 -- argparse's own
        raise HelpAsked(message)


def flags_of(label: str, severity: str) -> tuple[str, ...]:
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


def _attempts(text: str) -> int:
    if not text.isdecimal() or int(text[:9]) < 1:
        raise ValueError(f"{printable(text)!r} is not a number of attempts; write 1 or more")
    return int(text[:9])


def _pattern(text: str) -> str:
    problem = problem_of(text)
    if problem:
        raise ValueError(f"the PATTERN {problem}; give the option once for each PATTERN, such as 'celery@dev-*'")
    return text


def _task_limit(text: str) -> tuple[str | None, float]:
    pattern, equals, limit = text.rpartition("=")
    problem = problem_of(pattern) if equals else ""
    if problem:
        raise ValueError(f"the PATTERN {problem}; give the option once for each PATTERN=DURATION, or DURATION alone")
    return (pattern or None), parse_duration(limit)
