"""The command line: wiring, streams, exit code."""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress

import nagiosplugin

from check_celery_workers.errors import CannotJudge, UsageError
from check_celery_workers.expected.baseline import baseline
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.plugin import OK, UNKNOWN, CountContext, StatusLine, Workers, explain
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, fill_in, has_placeholder, question_of
from check_celery_workers.replies.quote import quotable
from check_celery_workers.report import sentences, verdict
from check_celery_workers.report.verdict import Verdict, unknown
from check_celery_workers.settings.options import Asked
from check_celery_workers.settings.settings import Settings, parse
from check_celery_workers.sources.reader import Reader
from check_celery_workers.sources.stream import Source, Stream, read_file


def run() -> None:
    """Run the check, and end the process with its exit code.

    Skip interpreter shutdown, which would take a tenth of a small check: everything is written and nothing is left
    running.
    """
    # In a large fleet, garbage collection took half the time and found nothing.
    gc.disable()
    os._exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check with these arguments, by default those of the process; return the exit code.

    Whatever happens is reported on standard output; if that fails, the exit code is UNKNOWN.
    """
    if sys.stdout is None:
        return UNKNOWN
    verbose = 0
    code = UNKNOWN
    try:
        _reserve_standard_streams()
        settings = parse(sys.argv[1:] if argv is None else argv)
        verbose = settings.verbose
        output, code = _describe(settings) if settings.baseline else _check(settings)
    except Asked as asked:
        output = str(asked)
    except CannotJudge as error:
        output = str(unknown(str(error)))
    except KeyboardInterrupt:
        output = str(unknown("interrupted"))
    except MemoryError:
        output = str(unknown("not enough memory"))
    except Exception as error:
        message = quotable(" ".join(str(error).split()))
        output = str(unknown(f"a bug, please report it: {type(error).__name__}: {message}"))
        if verbose >= 3:
            output += "".join(f"{quotable(line)}\n" for line in traceback.format_exc().splitlines())
    return code if _write(output) else UNKNOWN


def _check(settings: Settings) -> tuple[str, int]:
    """Compare the workers with those expected; return the output and the exit code."""
    deadline = time.monotonic() + settings.timeout
    inventory = _inventory(settings, deadline)
    with _Watch(settings) as watch:
        workers = Workers(
            _reader(settings, deadline, watch),
            inventory,
            deadline,
            ignore=settings.ignore,
            task_limits=settings.task_limits,
            timed=bool(settings.command),
        )
        contexts = [CountContext(label, *limits) for label, limits in settings.thresholds.items()]
        check = nagiosplugin.Check(workers, *contexts, StatusLine(workers))
        check()
    if settings.quiet and check.exitcode == OK:
        return "", OK
    return str(_verdict(check, workers, settings.verbose, watch.raw)), check.exitcode


def _describe(settings: Settings) -> tuple[str, int]:
    """Return the EXPECTED of the workers online as the output, and the exit code."""
    reader = _reader(settings, time.monotonic() + settings.timeout)
    doubt = reader.read(None)
    if doubt:
        reason, _ = verdict.doubtful(doubt, reader.replies.count)
        raise CannotJudge(reason)
    if not reader.replies.count:
        raise CannotJudge("no worker replied, so there is nothing to write")
    return "".join(f"{line}\n" for line in baseline(reader.replies.groups, reader.replies.queues)), OK


def _inventory(settings: Settings, deadline: float) -> Inventory:
    inventory = Inventory(settings.first_index)
    for text in settings.expected:
        inventory.expect(text)
    for file in settings.expect_files:
        inventory.expect_lines(read_file(file, deadline), file)
    for text in settings.queues:
        inventory.expect_queue(text)
    if not inventory:
        raise UsageError("no worker is expected, write EXPECTED such as worker-4@serverA (see --help)")
    return inventory


def _reader(settings: Settings, deadline: float, watch: _Watch | None = None) -> Reader:
    command = settings.command
    questions: tuple[str | None, ...] = (question_of(command),)
    if has_placeholder(command):
        questions = (ACTIVE_QUEUES, ACTIVE) if settings.task_limits else (ACTIVE_QUEUES,)
    if command:
        # Imported here: subprocess takes longer to import than most checks take without it.
        from check_celery_workers.sources.command import Command

    def open_source(question: str | None) -> Source:
        if command:
            return Command(fill_in(command, question), deadline, bodies_follow=question is not None)
        if sys.stdin is None:
            raise CannotJudge("standard input is closed, pipe the text of `celery status` into it, or use -- COMMAND")
        if os.isatty(0):
            raise UsageError(
                "standard input is a terminal, pipe the text of `celery status` into it, or use -- COMMAND (see --help)"
            )
        return Stream(0, "standard input", deadline)

    return Reader(
        open_source,
        deadline,
        questions=questions,
        settle=settings.settle,
        attempts=settings.attempts,
        watch=watch,
    )


def _verdict(check: nagiosplugin.Check, workers: Workers, verbose: int, raw: str) -> Verdict:
    """Return the verdict that the check has come to."""
    comparison = workers.comparison
    details: list[str] = []
    if comparison is None:
        result = unknown(check.summary_str, workers.silent)
    else:
        result = Verdict(str(check.state).upper(), check.summary_str, check.perfdata)
        result.findings = comparison.findings
        details += sentences.hints(comparison, workers.reader.empty)
    if verbose and (comparison or workers.silent):
        details += sentences.online(workers.reader.replies)
    if verbose >= 2 and comparison:
        details += [*explain(check.results), *sentences.numbering(workers.inventory, workers.reader.replies)]
        if workers.reader.passed_over:
            details.append(f"Passed over in the status text: {workers.reader.passed_over}")
    if raw:
        details += ["The status text:", *(quotable(line) for line in raw.splitlines())]
    result.details = details
    return result


class _Watch:
    """Observes the status text as it is read: keeps it for -vvv, and shows progress on a terminal.

    raw: the beginning of the text
    """

    def __init__(self, settings: Settings) -> None:
        self.raw = ""
        self._keeps = settings.verbose >= 3
        self._shows = bool(settings.command) and os.isatty(2)

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the progress line."""
        self._show("")

    def __call__(self, text: str, replied: int, expected: int) -> None:
        """Note more text, how many workers have replied by now, and how many are expected."""
        if self._keeps and len(self.raw) < verdict.MOST_BYTES:
            self.raw += text[: verdict.MOST_BYTES]
        self._show(f"{replied:,} answered, {expected:,} expected")

    def _show(self, line: str) -> None:
        if self._shows:
            with suppress(OSError):
                os.write(2, f"\r\x1b[K{line}".encode())


def _write(output: str) -> bool:
    """Write to standard output; return whether all of it was taken.

    In UTF-8 whatever the locale, as Icinga and Nagios read it, and bypassing Python's buffer, which reports write
    errors too late.
    """
    data = output.encode()
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True


def _reserve_standard_streams() -> None:
    """Reserve the descriptors of closed standard streams."""
    if sys.stdin is None or sys.stderr is None:
        try:
            fd = os.open(os.devnull, os.O_RDWR)
        except OSError as error:
            raise CannotJudge(f"a standard stream is closed, and {os.devnull}: {error.strerror}") from None
        while fd <= 2:
            fd = os.dup(fd)
        os.close(fd)
