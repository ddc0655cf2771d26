"""From arguments to Settings, or to what is wrong with them."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Sequence

from check_celery_workers.errors import UsageError
from check_celery_workers.expected.mistakes import in_words
from check_celery_workers.judgement.metrics import JUDGED, Row
from check_celery_workers.node import printable
from check_celery_workers.replies.question import NEEDED_FOR, has_placeholder, is_given
from check_celery_workers.settings.options import GRACE, REPLY, SETTLE, flags_of, parser
from check_celery_workers.sources.stream import decode
from check_celery_workers.threshold import Threshold

# Words of a status command that somebody wrote without the -- before it.
_COMMANDS = {
    *("celery", "manage.py", "django-admin", "python", "python2", "python3", "status", "inspect"),
    *("docker", "kubectl", "podman", "ssh", "sudo", "env", "sh", "bash", "timeout"),
}
# The options that need --broker.
_OF_BROKER = ("broker_options", "reply_timeout", "stall_limit", "started_after", "started_grace")

# The options that say what should be so, besides thresholds and those that need an answer.
_EXPECTING = ("expect", "expect_file", "backlog_warning", "backlog_critical", "started_grace")


class Settings(argparse.Namespace):
    """What the command line asks for: the options by their names, and what parse makes of them."""

    expected: list[str]  # as written, and the same from --expect
    task_limit: list[tuple[str | None, float]]  # patterns with seconds; None for all other tasks
    timeout: float  # in seconds
    deadline: float  # the end of it, a time of `time.monotonic` in seconds
    settle: float | None  # in seconds; None: read to the end
    broker: str | None  # a URL, the path of a file, or "env"
    reply_timeout: float  # in seconds
    stall_limit: float | None  # in seconds
    baseline: str | None  # the full path of the file that gets it, "" for none
    unknown_as: str | None  # "warning" or "critical"
    started_after: list[str]  # as written
    started_grace: float  # in seconds
    numbered_from: int | None  # the first index of COUNT workers; None: as the replies show
    command: list[str]  # empty for standard input
    thresholds: dict[str, tuple[Threshold | None, Threshold | None]]  # warning and critical, by the metric's label


def parse(arguments: Sequence[str]) -> Settings:
    """Return the settings. Raises UsageError if the arguments are wrong, and HelpAsked for --help and --version."""
    own, command = _split(arguments)
    for argument in own:
        # Before Python 3.13 argparse turns such a value into an empty list, which silently drops a threshold.
        if argument.endswith("--") and re.fullmatch("-[a-zA-Z]+--|--[a-z-]+=--", argument):
            raise UsageError(f"{argument}: -- is not a value (see --help)")
    # Names are compared as UTF-8, whatever the locale has made of them.
    own = [decode(os.fsencode(argument)) for argument in own]
    forgotten = next((word for word in own if not command and word.rpartition("/")[2] in _COMMANDS), None)
    try:
        settings = parser().parse_intermixed_args(own, Settings())
    except UsageError:
        if forgotten is None:
            raise
        raise _forgotten(forgotten) from None
    if forgotten in settings.expected:
        raise _forgotten(str(forgotten))
    _check_asking(settings, command)
    if settings.baseline is not None:
        _check_baseline(settings)
    settings.expected += settings.expect
    settings.numbered_from = None if settings.first_index == "auto" else int(settings.first_index)
    settings.thresholds = {row.label: _thresholds(settings, row) for row in JUDGED}
    to_the_end = settings.wait or not (command or settings.broker)
    settings.settle = None if to_the_end else SETTLE if settings.settle is None else settings.settle
    settings.attempts = settings.attempts or 1
    settings.deadline = time.monotonic() + settings.timeout
    # Whatever the deadline is, some of it is left to judge.
    settings.reply_timeout = settings.reply_timeout or min(REPLY, settings.timeout * 0.8)
    settings.started_grace = settings.started_grace or GRACE
    settings.command = command
    return settings


def _check_asking(settings: Settings, command: Sequence[str]) -> None:
    """Raise UsageError if the options and COMMAND, --broker or the absence of both do not go together."""
    over_broker = settings.broker is not None
    if settings.no_command and (command or over_broker):
        raise UsageError("--no-command accepts no COMMAND and no --broker; leave it out")
    if settings.no_command and settings.baseline:
        raise UsageError("--no-command lets --baseline write no FILE; leave out FILE")
    if over_broker and command:
        raise UsageError("--broker asks the workers itself; leave out --broker or what follows the --")
    if over_broker and settings.reply_timeout and settings.reply_timeout >= settings.timeout:
        raise UsageError("--reply-timeout must be less than --timeout")
    needed = dict.fromkeys(_OF_BROKER, "--broker")
    if not command:
        needed |= dict.fromkeys(("settle", "attempts", "wait"), "--broker, or a COMMAND after --")
    for name, what in needed.items() if not over_broker else ():
        if is_given(getattr(settings, name)):
            raise UsageError(f"--{name.replace('_', '-')} needs {what}")
    if command:
        _check_questions(settings, command)


def _check_baseline(settings: Settings) -> None:
    """Raise UsageError if something is to be judged that --baseline is to write down, or if its FILE is none."""
    judging = {"expected": "EXPECTED"}
    judging |= {name: f"--{name.replace('_', '-')}" for name in (*_EXPECTING, *NEEDED_FOR)}
    for row in JUDGED:
        for severity in ("warning", "critical"):
            judging[f"{row.label}_{severity}"] = flags_of(row.label, severity)[-1]
    for name, what in judging.items():
        if is_given(getattr(settings, name, None)):
            raise UsageError(f"--baseline writes down what is there; leave out {what}")
    if settings.baseline and not settings.baseline.startswith("/"):
        file = printable(settings.baseline)
        raise UsageError(f"--baseline {file}: FILE must be a full path, and there is no EXPECTED beside --baseline")


def _check_questions(settings: Settings, command: Sequence[str]) -> None:
    """Raise UsageError if COMMAND asks one question, and the options need several."""
    if not has_placeholder(command):
        wanted = [option for option in NEEDED_FOR if is_given(getattr(settings, option, None))]
        questions = {question for option in wanted for question in NEEDED_FOR[option]}
        if len(questions) > 1:
            options = " and ".join(f"--{option.replace('_', '-')}" for option in wanted)
            example = "-- celery -A proj inspect {} -t 10"
            needed = in_words(len(questions), "inspect command")
            raise UsageError(f"{options} need {needed}; write {{}} where COMMAND names one: {example}")


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
        raise UsageError(f"COMMAND is quoted as one word; remove the quotes: -- {printable(command[0])}")
    return own, command


def _forgotten(word: str) -> UsageError:
    return UsageError(f"{printable(word)} looks like COMMAND; write -- before it: -- celery -A proj inspect {{}} -t 10")


def _thresholds(settings: Settings, row: Row) -> tuple[Threshold | None, Threshold | None]:
    """Return the warning and the critical threshold of a metric; its defaults if neither is given."""
    warning, critical = (getattr(settings, f"{row.label}_{severity}") for severity in ("warning", "critical"))
    if warning is None and critical is None:
        warning, critical = (text and Threshold(text) for text in (row.warning, row.critical))
    return warning, critical
