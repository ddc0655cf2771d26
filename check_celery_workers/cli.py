"""The command line: from arguments to what is printed and the exit code."""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import nagiosplugin

from check_celery_workers import report
from check_celery_workers.errors import CannotJudge, UsageError
from check_celery_workers.inquiry import Inquiry
from check_celery_workers.inventory import Inventory, baseline
from check_celery_workers.node import printable
from check_celery_workers.options import METRICS, SETTLE, Asked, parse, thresholds
from check_celery_workers.pattern import Pattern, PatternIndex
from check_celery_workers.plugin import OK, UNKNOWN, CountContext, Headline, Workers, explain
from check_celery_workers.source import Source, Stream, read_file


def run() -> None:
    """Run the check, and end the process with its exit code.

    At once, because all is written by then and nothing is left running: to take Python apart takes as long as a tenth
    of a small check.
    """
    os._exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check with these arguments, by default those of the process; return the exit code.

    Whatever happens is told in one line on standard output. Where nothing can be written there, the code is UNKNOWN's.
    """
    if sys.stdout is None:
        return UNKNOWN
    _occupy_standard_streams()
    # In a large fleet, half the time went into looking for garbage, of which there is none.
    gc.disable()
    verbose = 0
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        verbose = options.verbose
        output, code = _describe(options) if options.baseline else _check(options)
    except Asked as asked:
        output, code = str(asked), UNKNOWN
    except CannotJudge as error:
        output, code = _unknown(str(error)), UNKNOWN
    except KeyboardInterrupt:
        output, code = _unknown("interrupted"), UNKNOWN
    except MemoryError:
        output, code = _unknown("not enough memory"), UNKNOWN
    except Exception as error:
        output, code = _unknown(f"a bug, please report it: {type(error).__name__}: {error}"), UNKNOWN
        if verbose >= 3:
            output += traceback.format_exc()
    finally:
        gc.enable()
    return code if _write(output) else UNKNOWN


def _check(options: Namespace) -> tuple[str, int]:
    """Compare the workers with those expected; return the output and the exit code."""
    deadline = time.monotonic() + options.timeout
    inventory = Inventory(None if options.first_index == "auto" else int(options.first_index))
    for text in options.expected:
        inventory.expect(text)
    for file in options.expect_file:
        inventory.expect_lines(read_file(file, deadline), file)
    if not inventory:
        raise UsageError("no worker is expected, write EXPECTED such as worker-4@serverA (see --help)")
    ignore = PatternIndex(Pattern(text, 0, None) for text in options.ignore)

    with _Watch(options, inventory) as watch:
        workers = Workers(_inquiry(options, inventory, deadline, watch), inventory, ignore, timed=bool(options.command))
        contexts = [CountContext(label, *thresholds(options, label)) for label in METRICS]
        check = nagiosplugin.Check(workers, *contexts, Headline(workers))
        check()
    if options.quiet and check.exitcode == OK:
        return "", OK
    return _output(check, workers, options.verbose, watch.raw), check.exitcode


def _describe(options: Namespace) -> tuple[str, int]:
    """Return the EXPECTED of the workers online as the output, and the exit code."""
    inquiry = _inquiry(options, None, time.monotonic() + options.timeout, None)
    inquiry.ask()
    if not inquiry.answers:
        raise CannotJudge("no worker answered, so there is nothing to describe")
    return "".join(f"{expected}\n" for expected in baseline(inquiry.answers.workers)), OK


def _inquiry(options: Namespace, inventory: Inventory | None, deadline: float, watch: _Watch | None) -> Inquiry:
    if options.command:
        # Here, because subprocess takes longer to import than most checks take without it.
        from check_celery_workers.command import Command

        settle = None if options.wait else SETTLE if options.settle is None else options.settle
        source: Callable[[], Source] = partial(Command, options.command, deadline)
        return Inquiry(source, inventory, deadline, settle=settle, attempts=options.attempts or 1, watch=watch)
    if sys.stdin is None:
        raise CannotJudge("standard input is closed, pipe the text of `celery status` into it")
    if os.isatty(0):
        raise UsageError("standard input is a terminal, pipe the text of `celery status` into it (see --help)")
    return Inquiry(partial(Stream, 0, "standard input", deadline), inventory, deadline, watch=watch)


def _output(check: nagiosplugin.Check, workers: Workers, verbose: int, raw: str) -> str:
    """Put together what is printed. The perfdata stand on the first line whatever follows: NRPE may cut at 1 KiB."""
    top = f"{check.name} {str(check.state).upper()} - {check.summary_str}"
    if check.perfdata:
        top += f" | {' '.join(check.perfdata)}"
    more = _shown(raw) if verbose >= 3 else []
    comparison = workers.comparison
    if comparison is None:
        return report.fit(top, [], 0, more)
    online = workers.inquiry.answers.workers
    if workers.inquiry.empty:
        top += "\nAn empty text: with 2>&1 before the pipe a dead fleet can be told from a failed status command"
    if verbose >= 2:
        more = [*explain(check.results), *report.numbering(workers.inventory, online), *_passed_over(workers), *more]
    if verbose:
        more = [*report.by_server(online), *more]
    told = (" ".join(finding) for finding in report.findings(comparison))
    return report.fit(top, told, report.count_findings(comparison), more)


def _passed_over(workers: Workers) -> list[str]:
    line = workers.inquiry.passed_over
    return [f"Passed over in the status text: {line}"] if line else []


def _shown(raw: str) -> list[str]:
    return ["The status text:", *(printable(line) for line in raw.splitlines())] if raw else []


def _unknown(reason: str) -> str:
    return f"{Workers.name} UNKNOWN - {printable(' '.join(reason.split()), 700)}\n"


class _Watch:
    """Looks on while the status text is read: keeps it for -vvv, and tells a terminal how many have answered.

    raw: the beginning of the text
    """

    def __init__(self, options: Namespace, inventory: Inventory) -> None:
        self.raw = ""
        self._keeps = options.verbose >= 3
        self._shows = options.command and os.isatty(2)
        self._expected = inventory.size

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line off the terminal."""
        self._show("")

    def __call__(self, text: str, answered: int) -> None:
        """Take note of more text, and of the number of workers that have answered by now."""
        if self._keeps and len(self.raw) < report.MOST_BYTES:
            self.raw += text[: report.MOST_BYTES]
        self._show(f"{answered:,} answered, {self._expected:,} expected")

    def _show(self, line: str) -> None:
        if self._shows:
            with suppress(OSError):
                os.write(2, f"\r\x1b[K{line}".encode())


def _write(output: str) -> bool:
    """Write to standard output; tell whether all of it was taken.

    In UTF-8 whatever the locale, as Icinga and Nagios read it, and past Python's buffer, which would find out too late
    that it cannot be written.
    """
    data = output.encode()
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True


def _occupy_standard_streams() -> None:
    """Keep the descriptors of standard streams that are closed from being given to anything else."""
    if sys.stdin is None or sys.stderr is None:
        fd = os.open(os.devnull, os.O_RDWR)
        while fd <= 2:
            fd = os.dup(fd)
        os.close(fd)
