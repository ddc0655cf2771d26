"""What is wrong with those who replied: errors, silence, tasks over their limit, shared names, queues off limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from check_celery_workers.judgement.finding import Cause, Comparison, Finding
from check_celery_workers.pattern import first_match
from check_celery_workers.replies.item import Task
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES


def malfunctioning(comparison: Comparison) -> Iterator[Finding]:
    """Yield the workers that replied ERROR, consume from no queue, kept silent later, or run tasks for too long."""
    replies = comparison.replies
    causes: dict[str, list[Cause]] = {}

    def blame(nodes: Iterable[str], cause: Cause) -> None:
        for worker in set(filter(None, map(comparison.claimed, nodes))):
            causes.setdefault(worker, []).append(cause)

    # A scheduler answers to `ping` alone.
    inquiry = comparison.inquiry
    pinged = inquiry.pinged.errors | (inquiry.replies.errors if inquiry.asked[0].shows_beats else set())
    blame((replies.errors - comparison.beats) | (comparison.beats & pinged), Cause(Cause.ERROR))
    blame(replies.without_queue, Cause(Cause.NO_QUEUE))
    for question, nodes in comparison.unanswered.items():
        blame(nodes, Cause(Cause.SILENT, question))
    for worker, overdue in _overdue(comparison) if comparison.inventory.given("task_limit") else ():
        causes.setdefault(worker, []).append(overdue)
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
        yield Finding("queues", Finding.QUEUE, name, Cause(Cause.NOT_THERE), noun="queue")
    consumers = replies.consumers(by_any_name=True) if queues else {}
    unheard = len(replies.unheard(ACTIVE_QUEUES)) if queues else 0
    nobody_heard = replies.count > 0 and ACTIVE_QUEUES not in replies.told
    for name, limit in queues.items():
        count = len(consumers.get(name, ()))
        if name in absent:
            continue
        # Each of those who were not heard may consume from it as well.
        if nobody_heard or limit.side_of(count) != limit.side_of(count + unheard):
            comparison.undecided.append(name)
        elif limit.side_of(count):
            yield Finding("queues", Finding.QUEUE, name, Cause(Cause.CONSUMERS, count, limit), noun="queue")


def backed_up(comparison: Comparison) -> Iterator[Finding]:
    """Yield the queues with another number of messages than may wait there; note those of which nobody can know."""
    wanted = comparison.inventory.backlogs
    if not wanted:
        return
    queues = {*wanted}
    if "" in wanted and comparison.backlogs:
        queues.discard("")
        # Over the broker whatever can be measured is.
        queues.update(() if comparison.lengths_measured else comparison.replies.consumers())
    if comparison.lengths_asked or comparison.inventory.asks_for_lengths:
        comparison.unmeasured = [*queues.difference(comparison.backlogs)]
    for name, length in comparison.backlogs.items():
        crossed = None if length is None else comparison.inventory.backlog_of(name).crossed_by(length)
        if crossed:
            yield Finding("backlog", Finding.QUEUE, name, Cause(Cause.BACKLOG, length, crossed), noun="queue")


def _overdue(comparison: Comparison) -> Iterator[tuple[str, Cause]]:
    """Yield the workers with tasks over their limit; note the age of the oldest task, and the tasks without an age."""
    limit_of = _find_limits(comparison.inventory.options["task_limit"])
    running: dict[str, set[Task]] = {}
    for node, tasks in comparison.replies.told.get(ACTIVE, {}).items():
        worker = comparison.claimed(node)
        if worker:
            started = (task for task in tasks if isinstance(task, Task) and task.started is not None)
            running.setdefault(worker, set()).update(started)
    every = [task.age for tasks in running.values() for task in tasks if task.age is not None]
    comparison.oldest_task = round(max(every, default=0.0), 1)
    for worker, known in running.items():
        ages = [(task.age, task.name) for task in known if task.age is not None]
        overdue = [(age, name) for age, name in ages if age > limit_of(name)]
        if len(ages) < len(known):
            comparison.undated.add(worker)
        if overdue:
            seconds, name = max(overdue)
            yield worker, Cause(Cause.OVERDUE, name, seconds, len(overdue))


def _find_limits(limits: Sequence[tuple[str | None, float]]) -> Callable[[str], float]:
    """Return a function from the name of a task to the seconds that it may run; a pattern None is for all others."""
    named = [(pattern, seconds) for pattern, seconds in limits if pattern is not None]
    otherwise = next((seconds for pattern, seconds in limits if pattern is None), math.inf)
    find = first_match(pattern for pattern, _ in named)

    def limit_of(name: str) -> float:
        place = find(name)
        return otherwise if place is None else named[place][1]

    return limit_of
