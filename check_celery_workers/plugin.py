"""The check in the words of nagiosplugin: Resource, Context and Summary."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import nagiosplugin
from nagiosplugin.state import ServiceState

from check_celery_workers.errors import CannotJudge, Doubt
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.compare import compare
from check_celery_workers.judgement.faults import TaskLimits
from check_celery_workers.judgement.finding import Comparison, Finding
from check_celery_workers.judgement.metrics import METRICS, Metric
from check_celery_workers.judgement.threshold import Threshold
from check_celery_workers.pattern import first_match
from check_celery_workers.report import sentences, verdict
from check_celery_workers.sources.awaited import AwaitedInventory
from check_celery_workers.sources.reader import Reader

OK = int(nagiosplugin.Ok)
UNKNOWN = int(nagiosplugin.Unknown)

# Where all the time went into reading, the comparison has this many seconds still.
_LEAST = 1.0
# Unix time had passed this in 2001; the clock of a host that runs has not.
_FIRST_UNIX_TIME = 1e9


class Workers(nagiosplugin.Resource):
    """The workers that reply, compared with those that should."""

    name = verdict.NAME

    def __init__(  # noqa: PLR0913
        self,
        reader: Reader,
        inventory: Inventory,
        deadline: float,
        *,
        ignore: Sequence[str] = (),
        task_limits: Sequence[tuple[str | None, float]] = (),
        timed: bool = False,
    ) -> None:
        """Compare what `reader` reads.

        deadline: a time of `time.monotonic`, in seconds
        ignore: patterns of workers that are left out unless something expects them
        task_limits: patterns of task names, each with the seconds that such a task may run; None: any other task
        timed: a COMMAND is read, which is stopped when it is enough, and of which the time is a metric
        """
        self.reader = reader
        self.inventory = inventory
        self.comparison: Comparison | None = None
        self.silent: list[Finding] = []
        self._deadline = deadline
        self._ignore = first_match(ignore)
        self._task_limits = task_limits
        self._timed = timed

    def probe(self) -> list[nagiosplugin.Metric]:
        """Read the status text, compare, and return all metrics at once.

        Raises CheckError if the text does not let it judge.
        """
        started = time.monotonic()
        try:
            # A stream ends by itself: nobody waits for what is still to come.
            awaited = AwaitedInventory(self.inventory, self.reader.replies) if self._timed else None
            doubt = self.reader.read(awaited)
            with _within(self._deadline):
                comparison = self._compare()
            self._raise_if(doubt, comparison)
        except CannotJudge as error:
            raise nagiosplugin.CheckError(str(error)) from error
        self.comparison = comparison
        metrics = [
            nagiosplugin.Metric(metric.label, metric.value_of(comparison), min=0, max=self._most(metric))
            for metric in METRICS
            if metric.label != "queues" or self.inventory.queues
        ]
        metrics.append(nagiosplugin.Metric("online", comparison.online, min=0, context="default"))
        if self._task_limits:
            oldest = round(comparison.oldest_task, 1)
            metrics.append(nagiosplugin.Metric("oldest_task", oldest, "s", min=0, context="default"))
        if self._timed:
            seconds = round(time.monotonic() - started, 3)
            metrics.append(nagiosplugin.Metric("time", seconds, "s", min=0, context="default"))
        return metrics

    def _most(self, metric: Metric) -> int | None:
        return self.inventory.size if metric.label == "missing" else None

    def _compare(self) -> Comparison:
        limits = TaskLimits(self._task_limits) if self._task_limits else None
        return compare(self.inventory, self.reader.replies, self._ignore, limits, self.reader.unanswered)

    def _raise_if(self, doubt: Doubt | None, comparison: Comparison) -> None:
        """Raise CannotJudge if the text, or the lack of something in it, does not let it judge."""
        replies = self.reader.replies
        if doubt:
            lacks = comparison.count("missing") or comparison.count("queues") or not replies.count
            if doubt.when == Doubt.ALWAYS or bool(lacks) == (doubt.when == Doubt.IF_MISSING):
                reason, self.silent = verdict.doubtful(doubt, replies.count, comparison)
                raise CannotJudge(reason)
        if self.inventory.queues and replies.count and not replies.tell_queues:
            raise CannotJudge(sentences.NO_QUEUES)
        if self._task_limits and replies.count and not replies.tell_tasks:
            raise CannotJudge(sentences.NO_TASKS)
        if self._task_limits and any(
            task.started < _FIRST_UNIX_TIME for tasks in replies.tasks.values() for task in tasks
        ):
            raise CannotJudge(sentences.NO_START)


class CountContext(nagiosplugin.Context):
    """Judges a count."""

    def __init__(self, name: str, warning: Threshold | None, critical: Threshold | None) -> None:
        super().__init__(name)
        self._warning = warning
        self._critical = critical

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        """Return the state of the metric."""
        return self._scalar(metric).evaluate(metric, resource)

    def performance(
        self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource
    ) -> nagiosplugin.Performance | None:
        """Return the perfdata of the metric, with its thresholds in absolute numbers."""
        return self._scalar(metric).performance(metric, resource)

    def _scalar(self, metric: nagiosplugin.Metric) -> nagiosplugin.ScalarContext:
        most = int(metric.max or 0)
        warning, critical = (limit.range_of(most) if limit else None for limit in (self._warning, self._critical))
        return nagiosplugin.ScalarContext(self.name, warning, critical)


class StatusLine(nagiosplugin.Summary):
    """The status line: worst first, with the name if there is only one finding."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def ok(self, results: nagiosplugin.Results) -> str:
        """Return how many workers are online, and what the thresholds let pass."""
        return self._line(results, ok=True)

    def problem(self, results: nagiosplugin.Results) -> str:
        """Return what is wrong, or why that cannot be known."""
        return self._line(results, ok=False)

    def _line(self, results: nagiosplugin.Results, ok: bool) -> str:
        comparison = self._workers.comparison
        if comparison is None:
            return results.first_significant.hint or ""
        rows = {metric.label: metric for metric in METRICS}
        problems = [
            (rows[metric.name], metric.value)
            for metric, state in _judged(results)
            # Missing servers are missing workers as well, and need no word of their own.
            if state != nagiosplugin.Ok or (metric.value and rows[metric.name].noun != "server")
        ]
        return sentences.status_line(comparison, problems, ok, self._workers.reader.empty)


def explain(results: nagiosplugin.Results) -> Iterator[str]:
    """Yield a line for each metric that says how its state came about."""
    for metric, state in _judged(results):
        performance = metric.performance()
        if performance:
            limits = f"warning {str(performance.warn) or '~:'}, critical {str(performance.crit) or '~:'}"
            yield f"{str(state).upper()}: {metric.name} is {metric.value} ({limits})"


def _judged(results: nagiosplugin.Results) -> Iterator[tuple[nagiosplugin.Metric, ServiceState]]:
    """Yield the metrics that have thresholds, with their states, the worst first."""
    for result in results:
        if result.metric and isinstance(result.context, CountContext):
            yield result.metric, result.state


@contextmanager
def _within(deadline: float) -> Iterator[None]:
    """Raise CannotJudge in what runs inside when the deadline comes."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise CannotJudge("the comparison did not end before the timeout")

    before: Callable[[int, FrameType | None], object] | int | None = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, min(max(_LEAST, deadline - time.monotonic()), 1e6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
