"""What is wrong with workers that replied: errors, no queue, tasks over their limit, two workers of one name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from check_celery_workers.judgement.finding import Cause, Comparison, Finding
from check_celery_workers.pattern import first_match
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, Task


class TaskLimits:
    """How many seconds a task may run, by the first pattern that matches its name."""

    def __init__(self, limits: Sequence[tuple[str | None, float]]) -> None:
        """Take (pattern, seconds) in order; the pattern None is for all tasks that no other matches."""
        named = [(pattern, seconds) for pattern, seconds in limits if pattern is not None]
        self._seconds = [seconds for _, seconds in named]
        self._find = first_match(pattern for pattern, _ in named)
        self._otherwise = next((seconds for pattern, seconds in limits if pattern is None), None)

    def is_over(self, name: str, age: float) -> bool:
        """Return whether a task of this name, and of this age in seconds, has run for longer than it may."""
        place = self._find(name)
        limit = self._otherwise if place is None else self._seconds[place]
        return limit is not None and age > limit


def find_faults(comparison: Comparison) -> None:
    """Add the workers that are malfunctioning or duplicate."""
    replies = comparison.replies
    causes: dict[str, list[Cause]] = {}

    def blame(nodes: Iterable[str], cause: Cause) -> None:
        for worker in {worker: None for worker in map(comparison.claimed, nodes) if worker}:
            causes.setdefault(worker, []).append(cause)

    blame(replies.errors, Cause(Cause.ERROR))
    blame((node for node, queues in replies.told.get(ACTIVE_QUEUES, {}).items() if not queues), Cause(Cause.NO_QUEUE))
    for question, nodes in comparison.unanswered.items():
        blame(nodes, Cause(Cause.SILENT, question))
    if comparison.inventory.task_limits:
        for worker, overdue in _judge_tasks(comparison).items():
            causes.setdefault(worker, []).append(overdue)
    for worker, found in causes.items():
        comparison.add("malfunctioning", Finding.NODE, worker).causes += found
    for worker in comparison.repeated.union(filter(None, map(comparison.claimed, replies.duplicates))):
        comparison.add("duplicate", Finding.NODE, worker)


def _judge_tasks(comparison: Comparison) -> dict[str, Cause]:
    """Return the workers with tasks over their limit; note the oldest task, and what has no age."""
    limits = TaskLimits(comparison.inventory.task_limits)
    running: dict[str, dict[Task, float | None]] = {}
    for node, tasks in comparison.replies.told.get(ACTIVE, {}).items():
        worker = comparison.claimed(node)
        if worker:
            started = {task: task.age for task in tasks if isinstance(task, Task) and task.started is not None}
            running.setdefault(worker, {}).update(started)
    ages = [age for known in running.values() for age in known.values() if age is not None]
    comparison.oldest_task = max(ages, default=0.0)
    comparison.undated = {worker for worker, known in running.items() if None in known.values()}
    found = {}
    for worker, known in running.items():
        dated = [(age, task.name) for task, age in known.items() if age is not None]
        overdue = [(age, name) for age, name in dated if limits.is_over(name, age)]
        if overdue:
            seconds, name = max(overdue)
            found[worker] = Cause(Cause.OVERDUE, name, seconds, len(overdue))
    return found
