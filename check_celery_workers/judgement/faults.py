"""What is wrong with those who replied: errors, silence, stalls, old code, long tasks, shared names, queues."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from check_celery_workers.errors import UsageError
from check_celery_workers.judgement.finding import Cause, Comparison, Finding
from check_celery_workers.judgement.stall import stalled
from check_celery_workers.node import printable
from check_celery_workers.pattern import first_match, is_wild, value_of
from check_celery_workers.replies.item import Stats, Task
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, STATS, is_given, needed_for

# What it means if a worker that has replied does not answer what an option needs.
IN_DOUBT, MALFUNCTIONING, FORGIVEN = "in doubt", "malfunctioning", "forgiven"
# Workers say in whole seconds for how long they have run.
_ROUNDED = 1.0


class Fault:
    """What an option sees that may be wrong with a worker, and a number of it."""

    def __init__(  # noqa: PLR0913, PLR0917 -- a row of the table
        self,
        option: str,  # by its name, see NEEDED_FOR for what it needs
        find: Callable[[Comparison], Iterable[tuple[str, Cause]]],  # yields nodes, each with what is wrong with it
        silence: str = IN_DOUBT,
        label: str = "",  # of the number in the perfdata
        value_of: Callable[[Comparison], float | None] = lambda _comparison: None,
        unit: str = "",
    ) -> None:
        self.option, self.find, self.silence = option, find, silence
        self.label, self.value_of, self.unit = label, value_of, unit


def malfunctioning(comparison: Comparison) -> Iterator[Finding]:
    """Yield the workers that replied ERROR, consume from no queue, kept silent later, or do not work as they should."""
    replies = comparison.replies
    causes: dict[str, list[Cause]] = {}

    def blame(nodes: Iterable[str], cause: Cause) -> None:
        for worker in set(filter(None, map(comparison.claimed, nodes))):
            causes.setdefault(worker, []).append(cause)

    # A scheduler answers to `ping` alone.
    inquiry = comparison.inquiry
    pinged = inquiry.pinged.errors | (inquiry.replies.errors if inquiry.asked[0].shows_beats else set())
    for node in (replies.errors - comparison.beats) | (comparison.beats & pinged):
        blame({node}, Cause(Cause.ERROR, replies.causes.get(node) or inquiry.pinged.causes.get(node, "")))
    blame(replies.without_queue, Cause(Cause.NO_QUEUE))
    blamed = [fault.option for fault in FAULTS if fault.silence == MALFUNCTIONING]
    for question in needed_for(comparison.inventory, blamed):
        blame(comparison.unanswered.get(question, ()), Cause(Cause.SILENT, question))
    for fault in FAULTS:
        for node, cause in fault.find(comparison) if is_given(comparison.inventory.given(fault.option)) else ():
            blame({node}, cause)
    for worker, found in causes.items():
        yield Finding("malfunctioning", Finding.NODE, worker, *found, noun=comparison.noun_of(worker))


def duplicate(comparison: Comparison) -> Iterator[Finding]:
    """Yield the names that more than one worker, or beat, answers to."""
    inquiry = comparison.inquiry
    named = inquiry.replies.duplicates | comparison.beats.intersection(inquiry.pinged.duplicates)
    for node in comparison.repeated.union(filter(None, map(comparison.claimed, named))):
        yield Finding("duplicate", Finding.NODE, node, noun=comparison.noun_of(node))


def off_queues(comparison: Comparison) -> Iterator[Finding]:
    """Yield the queues that do not exist, or have too few or too many consumers; note those nobody can know of."""
    inventory, replies = comparison.inventory, comparison.replies
    queues = inventory.queues
    absent = [name for name, length in comparison.backlogs.items() if length is None and inventory.names_queue(name)]
    for name in absent:
        yield Finding("queues", Finding.QUEUE, name, Cause(Cause.NOT_THERE))
    if not queues:
        return
    consumers = replies.consumers(comparison.ignored, by_any_name=True)
    unheard = len(replies.unheard(ACTIVE_QUEUES) - comparison.ignored)
    nobody_heard = replies.count > 0 and ACTIVE_QUEUES not in replies.told
    for name, limit in queues.items():
        count = len(consumers.get(name, ()))
        if not count:
            _refuse_several(name, consumers)
        if name in absent:
            continue
        # Each of those who were not heard may consume from it as well.
        if nobody_heard or limit.side_of(count) != limit.side_of(count + unheard):
            comparison.queues_undecided = True
        elif limit.side_of(count):
            cause = Cause(Cause.CONSUMERS, count, limit, bool(replies.maybe_without_queue))
            yield Finding("queues", Finding.QUEUE, name, cause)


def _refuse_several(name: str, consumers: Collection[str]) -> None:
    """Raise UsageError if it is no queue, but a list or a pattern of some from which workers consume."""
    parts = {part.strip() for part in name.split(",")}
    matches = first_match([name])
    if not parts.isdisjoint(consumers) or (is_wild(name) and any(matches(queue) is not None for queue in consumers)):
        raise UsageError(f"--queue {printable(name)}: it means several queues; write --queue once for each of them")


def backed_up(comparison: Comparison) -> Iterator[Finding]:
    """Yield the queues with another number of messages than may wait there; note those of which nobody can know."""
    wanted = comparison.inventory.backlogs
    if not wanted:
        return
    queues = {*wanted}
    if "" in wanted and comparison.backlogs:
        queues.discard("")
        # Over the broker whatever can be measured is.
        queues.update(() if comparison.lengths_measured else comparison.replies.consumers(comparison.ignored))
    if comparison.lengths_asked or comparison.inventory.asks_for_lengths:
        comparison.unmeasured = [*queues.difference(comparison.backlogs)]
    for name, length in comparison.backlogs.items():
        crossed = None if length is None else comparison.inventory.backlog_of(name).crossed_by(length)
        if crossed:
            yield Finding("backlog", Finding.QUEUE, name, Cause(Cause.BACKLOG, length, crossed))


def _overdue(comparison: Comparison) -> Iterator[tuple[str, Cause]]:
    """Yield the nodes with tasks over their limit; note the age of the oldest task, and the tasks without an age."""
    limit_of = value_of(comparison.inventory.options["task_limit"])
    running: dict[str, tuple[str, set[Task]]] = {}
    for node, tasks in comparison.replies.told.get(ACTIVE, {}).items():
        worker = comparison.claimed(node)
        if worker:
            started = (task for task in tasks if isinstance(task, Task) and task.started is not None)
            running.setdefault(worker, (node, set()))[1].update(started)
    every = [task.age for _, tasks in running.values() for task in tasks if task.age is not None]
    comparison.oldest_task = round(max(every, default=0.0), 1)
    for worker, (node, known) in running.items():
        ages = [(task.age, task.name) for task in known if task.age is not None]
        overdue = [(age, name) for age, name in ages if age > (limit_of(name) or math.inf)]
        if len(ages) < len(known):
            comparison.unclear.setdefault(ACTIVE, {})[worker] = ""
        if overdue:
            seconds, name = max(overdue)
            yield node, Cause(Cause.OVERDUE, name, seconds, len(overdue))


def _outdated(comparison: Comparison) -> Iterator[tuple[str, Cause]]:
    """Yield the nodes that were started before the last change of their release's file; note those nobody can judge."""
    inventory, changes = comparison.inventory, comparison.inquiry.changes
    file_of, now = value_of(inventory.releases), time.time()
    for node, items in comparison.replies.told.get(STATS, {}).items():
        file = file_of(node) if comparison.claimed(node) else None
        if file is None:
            continue
        changed, grace = changes[file], inventory.options["started_grace"]
        started = next(item.started for item in reversed(items) if isinstance(item, Stats))
        if isinstance(changed, str) or changed > now + grace:
            problem = changed if isinstance(changed, str) else "it was changed in the future"
            comparison.unclear.setdefault(STATS, {})[node] = f"{printable(file)}: {problem}"
        elif started is None:
            comparison.unclear.setdefault(STATS, {})[node] = ""
        elif started + _ROUNDED < changed < now - grace:
            yield node, Cause(Cause.OLD, now - started, file, now - changed)


# In the order in which a finding names them. A new fault of workers is a row here.
FAULTS = (
    # One that has begun a task may be silent while it is watched.
    Fault("stall_limit", stalled, FORGIVEN),
    Fault("task_limit", _overdue, MALFUNCTIONING, "oldest_task", lambda comparison: comparison.oldest_task, "s"),
    Fault("started_after", _outdated, MALFUNCTIONING),
)
