"""What is wrong with workers that replied: errors, no queue, tasks over their limit, two workers of one name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from check_celery_workers.finding import NODE, Comparison, Faults
from check_celery_workers.pattern import first_match
from check_celery_workers.reply import Replies, Task


class TaskLimits:
    """How many seconds a task may run, by the first pattern that matches its name, and the time it is now."""

    def __init__(self, limits: Iterable[tuple[str | None, float]], now: float) -> None:
        """Take (pattern, seconds) in order; the pattern None is for all tasks that no other matches."""
        named = [(pattern, seconds) for pattern, seconds in limits if pattern is not None]
        self._seconds = [seconds for _, seconds in named]
        self._find = first_match(pattern for pattern, _ in named)
        self._otherwise = next((seconds for pattern, seconds in limits if pattern is None), None)
        self._now = now

    def age(self, task: Task) -> float:
        """Return for how many seconds the task has run; one that starts in the future has run for none."""
        return max(0.0, self._now - task.started)

    def is_over(self, task: Task) -> bool:
        """Return whether the task has run for longer than it may."""
        place = self._find(task.name)
        limit = self._otherwise if place is None else self._seconds[place]
        return limit is not None and self.age(task) > limit


def find_faults(
    comparison: Comparison,
    replies: Replies,
    is_claimed: Callable[[str], bool],
    limits: TaskLimits | None,
    unanswered: Iterable[str],
) -> None:
    """Add the workers that are malfunctioning or duplicate, among the nodes that some EXPECTED has claimed."""
    faults: dict[str, Faults] = {}
    for node in filter(is_claimed, replies.errors):
        faults.setdefault(node, Faults()).error = True
    for node in filter(is_claimed, replies.without_queue):
        faults.setdefault(node, Faults()).no_queue = True
    for node in filter(is_claimed, unanswered):
        faults.setdefault(node, Faults()).unanswered = True
    if limits:
        for node in filter(is_claimed, replies.tasks):
            ages = [(limits.age(task), task) for task in replies.tasks[node]]
            comparison.oldest_task = max(comparison.oldest_task, *(age for age, _ in ages))
            overdue = [(age, task.name) for age, task in ages if limits.is_over(task)]
            if overdue:
                fault = faults.setdefault(node, Faults())
                fault.overdue = max(overdue)
                fault.overdue_count = len(overdue)
    for node, cause in faults.items():
        comparison.add("malfunctioning", NODE, node).cause = cause
    for node in comparison.repeated.union(filter(is_claimed, replies.duplicates)):
        comparison.add("duplicate", NODE, node)
