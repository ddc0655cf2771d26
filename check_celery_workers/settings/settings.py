"""From arguments to Settings, or to what is wrong with them."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from check_celery_workers.errors import UsageError
from check_celery_workers.judgement.metrics import JUDGED
from check_celery_workers.judgement.threshold import Threshold
from check_celery_workers.node import printable
from check_celery_workers.replies.question import has_placeholder
from check_celery_workers.settings.options import SETTLE, parser

# Words of a status command that somebody wrote without the -- before it.
_COMMANDS = {
    *("celery", "manage.py", "django-admin", "python", "python2", "python3", "status", "inspect"),
    *("docker", "kubectl", "podman", "ssh", "sudo", "env", "sh", "bash", "timeout"),
}


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
        self.thresholds = {metric.label: _thresholds(options, metric.label) for metric in JUDGED}
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
        (metric,) = (metric for metric in JUDGED if metric.label == label)
        warning, critical = (text and Threshold(text) for text in (metric.warning, metric.critical))
    return warning, critical
