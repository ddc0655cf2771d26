"""What is wrong with workers that replied: errors, no queue, tasks over their limit, two workers of one name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from check_celery_workers.judgement.finding import NODE, Comparison, Faults
from check_celery_workers.pattern import first_match
from check_celery_workers.replies.body import Replies, Task


class TaskLimits:
    """How many seconds a task may run, by the first pattern that matches its name."""

    def __init__(self, limits: Sequence[tuple[str | None, float]]) -> None:
        """Take (pattern, seconds) in order; the pattern None is for all tasks that no other matches."""
        named = [(pattern, seconds) for pattern, seconds in limits if pattern is not None]
        self._seconds = [seconds for _, seconds in named]
        self._find = first_match(pattern for pattern, _ in named)
        self._otherwise = next((seconds for pattern, seconds in limits if pattern is None), None)

    def is_over(self, task: Task) -> bool:
        """Return whether the task has run for longer than it may."""
        place = self._find(task.name)
        limit = self._otherwise if place is None else self._seconds[place]
        return limit is not None and task.age > limit


def find_faults(
    comparison: Comparison,
    replies: Replies,
    claimed: Callable[[str], str | None],
    limits: TaskLimits | None,
    unanswered: Iterable[str],
) -> None:
    """Add the workers that are malfunctioning or duplicate.

    `claimed` returns the name of the worker that some EXPECTED has claimed a node for, or None. It is another one than
    the node's own if a worker replied in two spellings of its index.
    """
    workers = _Workers(claimed)
    for fault in workers.of(replies.errors):
        fault.error = True
    for fault in workers.of(replies.without_queue):
        fault.no_queue = True
    for fault in workers.of(unanswered):
        fault.unanswered = True
    for node, tasks in replies.tasks.items():
        for fault in workers.of([node]):
            _judge_tasks(comparison, fault, tasks, limits)
    for worker, fault in workers.faults.items():
        if fault:
            comparison.add("malfunctioning", NODE, worker).cause = fault
    for worker in comparison.repeated.union(filter(None, map(claimed, replies.duplicates))):
        comparison.add("duplicate", NODE, worker)


class _Workers:
    """The faults of the workers that some EXPECTED has claimed."""

    def __init__(self, claimed: Callable[[str], str | None]) -> None:
        self.faults: dict[str, Faults] = {}
        self._claimed = claimed

    def of(self, nodes: Iterable[str]) -> Iterator[Faults]:
        """Yield the faults of the worker behind each of these nodes, as far as it is claimed."""
        for worker in filter(None, map(self._claimed, nodes)):
            yield self.faults.setdefault(worker, Faults())


def _judge_tasks(comparison: Comparison, fault: Faults, tasks: Iterable[Task], limits: TaskLimits | None) -> None:
    if limits is None:
        return
    comparison.oldest_task = max(comparison.oldest_task, *(task.age for task in tasks))
    overdue = [(task.age, task.name) for task in tasks if limits.is_over(task)]
    if overdue:
        fault.overdue = max(overdue)
        fault.overdue_count += len(overdue)
