"""The wiring: from Settings to the output and the exit code."""

from __future__ import annotations

import os
import sys
from functools import partial

from check_celery_workers.errors import CannotJudge, UsageError
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.compare import compare
from check_celery_workers.judgement.finding import Comparison
from check_celery_workers.judgement.stall import watched
from check_celery_workers.plugin import OK, STATES, UNKNOWN, Workers, judge
from check_celery_workers.replies.doubt import doubt_about
from check_celery_workers.replies.inquiry import Inquiry
from check_celery_workers.replies.question import (
    ACTIVE,
    ACTIVE_QUEUES,
    LENGTHS,
    PING,
    RESERVED,
    Question,
    asked_by,
    fill_in,
    needed_for,
    questions_for,
)
from check_celery_workers.report.reason import explain_doubt
from check_celery_workers.report.verdict import MOST_BYTES
from check_celery_workers.settings.settings import Settings
from check_celery_workers.sources.file import read_file, read_if_there, replace_file
from check_celery_workers.sources.progress import Progress
from check_celery_workers.sources.reader import Reader, TextSource
from check_celery_workers.sources.stream import Source, Stream

# So many seconds before the deadline a watch ends: the verdict comes in any case.
_LEAST = 0.5


def judge_workers(settings: Settings) -> tuple[str, int]:
    """Compare the workers with those expected; return the output and the exit code."""
    inventory = _inventory(settings)
    asks = bool(settings.command or settings.broker is not None)
    with Progress(MOST_BYTES if settings.verbose >= 3 else 0, shows=asks) as progress:

        def ask() -> Inquiry:
            return _ask(settings, inventory, progress)

        workers = Workers(ask, inventory, settings.deadline, timed=asks)
        verdict, code = judge(workers, settings.thresholds)
    if code == UNKNOWN and settings.unknown_as and not isinstance(workers.error, UsageError):
        verdict.ends_as, code = settings.unknown_as.upper(), STATES[settings.unknown_as]
    if settings.quiet and code == OK:
        return "", OK
    return verdict.output(settings.verbose, progress.raw), code


def describe(settings: Settings) -> tuple[str, int]:
    """Return the EXPECTED of the workers online as the output, and the exit code. A FILE is replaced by the output."""
    from check_celery_workers.expected.baseline import baseline, renewed

    inquiry = _ask(settings, Inventory())
    found = compare(Comparison(Inventory(None, settings.ignore), inquiry))
    for asked in inquiry.asked:
        # Whatever is expected later: nothing may be in doubt now.
        doubt = doubt_about(asked.texts, lacking=True) or doubt_about(asked.texts, lacking=False)
        if doubt:
            raise CannotJudge(explain_doubt(doubt, found))
    if not found.present and not found.beats_online:
        broker = inquiry.origin.partition(", ")[2]
        raise CannotJudge(f"no worker replied{broker and f' over {broker}'}, so there is nothing to write")
    over_broker = settings.broker is not None
    replies = found.replies.without(found.ignored)
    lines = baseline(replies.groups, replies.consumers(found.ignored), found.beats_online, over_broker)
    if settings.baseline:
        lines = renewed(lines, read_if_there(settings.baseline, settings.deadline))
    output = "".join(f"{line}\n" for line in lines)
    if settings.baseline:
        replace_file(settings.baseline, output)
    return output, OK


def _inventory(settings: Settings) -> Inventory:
    inventory = Inventory(settings.numbered_from, settings.ignore, vars(settings))
    for text in settings.expected:
        inventory.expect(text)
    for file in settings.expect_file:
        inventory.expect_lines(read_file(file, settings.deadline), file)
    for option in ("queue", "beat", "backlog_warning", "backlog_critical", "started_after"):
        for text in getattr(settings, option):
            inventory.expect_option(option, text)
    inventory.stall_limit = settings.stall_limit or inventory.stall_limit
    if not inventory:
        where = " before the --, all behind it is COMMAND" if settings.command else ""
        raise UsageError(f"no worker is expected; write EXPECTED such as worker-4@serverA{where} (see --help)")
    if settings.broker is None:
        inventory.pass_over()
    return inventory


def _ask(settings: Settings, wanted: Inventory, progress: Progress | None = None) -> Inquiry:
    """Ask what is wanted, until it has replied; where nothing is, ask for everything, to the end."""
    questions = questions_for(wanted) if wanted else (ACTIVE_QUEUES, PING)
    if settings.broker is not None:
        return _ask_broker(settings, wanted, questions, progress)
    questions = questions or (ACTIVE_QUEUES,)
    # A stream ends by itself: nobody waits for what is still to come.
    awaited = wanted if settings.command and wanted else None
    # Where every reply is empty, the options decide what was asked.
    assumed = ACTIVE_QUEUES if wanted.queues and not settings.task_limit else ACTIVE
    source = TextSource(partial(_open, settings), progress, assumed)
    reader = Reader(source.ask, settings.deadline, settings.attempts)
    return reader.read(asked_by(settings.command, questions), awaited, settings.settle)


def _ask_broker(
    settings: Settings, wanted: Inventory, questions: tuple[Question, ...], progress: Progress | None
) -> Inquiry:
    """Ask over the broker, then look on at the workers that may stall."""
    # Imported here: kombu takes longer to import than all the rest.
    from check_celery_workers.sources.broker.address import read_address
    from check_celery_workers.sources.broker.asking import Broker
    from check_celery_workers.sources.release import changes_of
    from check_celery_workers.sources.watching import PATIENCE, watch

    limit = wanted.stall_limit or 0.0
    if limit and limit + settings.reply_timeout + PATIENCE >= settings.timeout:
        times = f"--stall-limit {limit:g}, --reply-timeout {settings.reply_timeout:g} and {PATIENCE:g} seconds"
        raise UsageError(f"{times} must be less than --timeout {settings.timeout:g} together")
    address = read_address(settings.broker or "", settings.broker_options or "", settings.deadline)
    questions += (LENGTHS,) if LENGTHS in needed_for(wanted) else ()
    with Broker(address, questions, wanted, progress).until(settings.deadline, settings.reply_timeout) as broker:
        reader = Reader(broker.ask, settings.deadline, settings.attempts)
        inquiry = reader.read(questions, wanted or None, settings.settle)
        inquiry.changes = changes_of(file for _, file in wanted.releases)
        is_asked = any(asked.question is RESERVED for asked in inquiry.asked)
        if limit and is_asked and not any(text.failure for text in inquiry.texts):
            suspects = partial(watched, compare(Comparison(wanted, inquiry)))
            watch(inquiry, broker.look_at, suspects, limit, settings.deadline - _LEAST, progress)
        return inquiry


def _open(settings: Settings, question: Question | None) -> Source:
    if settings.command:
        # Imported here: subprocess takes longer to import than most checks take without it.
        from check_celery_workers.sources.command import Command

        return Command(fill_in(settings.command, question), settings.deadline, bodies_follow=question is not None)
    pipe = "use --broker or -- COMMAND, or pipe the text of `celery status` into it"
    if sys.stdin is None:
        raise CannotJudge(f"standard input is closed; {pipe}")
    if os.isatty(0):
        raise UsageError(f"standard input is a terminal; {pipe} (see --help)")
    return Stream(0, "standard input", settings.deadline)
