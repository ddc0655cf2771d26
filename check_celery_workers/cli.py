"""The command line: wiring and exit code."""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections.abc import Sequence

from check_celery_workers import streams
from check_celery_workers.errors import CannotJudge, UsageError
from check_celery_workers.expected.inventory import Awaited, Inventory
from check_celery_workers.judgement.finding import Comparison
from check_celery_workers.plugin import OK, UNKNOWN, Workers, judge
from check_celery_workers.replies.doubt import doubt_of
from check_celery_workers.replies.output import Inquiry
from check_celery_workers.replies.question import ACTIVE_QUEUES, Question, asked_by, fill_in, questions_for
from check_celery_workers.report.verdict import MOST_BYTES, explain_doubt, unknown
from check_celery_workers.settings.options import Asked
from check_celery_workers.settings.settings import Settings, parse
from check_celery_workers.sources.reader import Reader
from check_celery_workers.sources.stream import Source, Stream, read_file
from check_celery_workers.streams import Watch


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
        streams.reserve()
        settings = parse(sys.argv[1:] if argv is None else argv)
        verbose = settings.verbose
        output, code = _describe(settings) if settings.baseline else _check(settings)
    except Asked as asked:
        output = str(asked)
    except CannotJudge as error:
        output = unknown(str(error)).output()
    except KeyboardInterrupt:
        output = unknown("interrupted").output()
    except MemoryError:
        output = unknown("not enough memory").output()
    except Exception as error:
        from check_celery_workers.replies.quote import quotable

        message = quotable(" ".join(str(error).split()))
        output = unknown(f"a bug, please report it: {type(error).__name__}: {message}").output()
        if verbose >= 3:
            output += "".join(f"{quotable(line)}\n" for line in traceback.format_exc().splitlines())
    return code if streams.write(output) else UNKNOWN


def _check(settings: Settings) -> tuple[str, int]:
    """Compare the workers with those expected; return the output and the exit code."""
    deadline = time.monotonic() + settings.timeout
    inventory = _inventory(settings, deadline)
    with Watch(MOST_BYTES if settings.verbose >= 3 else 0, shows=bool(settings.command)) as watch:

        def ask(awaited: Awaited | None) -> Inquiry:
            return _ask(settings, deadline, questions_for(inventory), awaited, watch)

        verdict, code = judge(Workers(ask, inventory, deadline, timed=bool(settings.command)), settings.thresholds)
    if settings.quiet and code == OK:
        return "", OK
    return verdict.output(settings.verbose, watch.raw), code


def _describe(settings: Settings) -> tuple[str, int]:
    """Return the EXPECTED of the workers online as the output, and the exit code."""
    from check_celery_workers.expected.baseline import baseline

    inquiry = _ask(settings, time.monotonic() + settings.timeout, (ACTIVE_QUEUES,))
    replies = inquiry.replies
    texts = inquiry.asked[0].texts
    # Whatever is expected later: nothing may be in doubt now.
    doubt = doubt_of(texts, lacking=True) or doubt_of(texts, lacking=False)
    if doubt:
        raise CannotJudge(explain_doubt(doubt, Comparison(Inventory(), replies)))
    if not replies.count:
        raise CannotJudge("no worker replied, so there is nothing to write")
    return "".join(f"{line}\n" for line in baseline(replies.groups, replies.consumers())), OK


def _inventory(settings: Settings, deadline: float) -> Inventory:
    inventory = Inventory(settings.numbered_from)
    for text in settings.expected:
        inventory.expect(text)
    for file in settings.expect_file:
        inventory.expect_lines(read_file(file, deadline), file)
    for text in settings.queue:
        inventory.expect_queue(text)
    if not inventory:
        raise UsageError("no worker is expected, write EXPECTED such as worker-4@serverA (see --help)")
    inventory.task_limits = settings.task_limit
    inventory.ignore(settings.ignore)
    return inventory


def _ask(
    settings: Settings,
    deadline: float,
    questions: Sequence[Question],
    awaited: Awaited | None = None,
    watch: Watch | None = None,
) -> Inquiry:
    """Ask these questions if COMMAND leaves that to us; else read what there is."""
    command = settings.command
    if command:
        # Imported here: subprocess takes longer to import than most checks take without it.
        from check_celery_workers.sources.command import Command

    def open_source(question: Question | None) -> Source:
        if command:
            return Command(fill_in(command, question), deadline, bodies_follow=question is not None)
        if sys.stdin is None:
            raise CannotJudge("standard input is closed, pipe the text of `celery status` into it, or use -- COMMAND")
        if os.isatty(0):
            raise UsageError(
                "standard input is a terminal, pipe the text of `celery status` into it, or use -- COMMAND (see --help)"
            )
        return Stream(0, "standard input", deadline)

    reader = Reader(open_source, deadline, settle=settings.settle, attempts=settings.attempts, watch=watch)
    return reader.read(asked_by(command, questions), awaited)
