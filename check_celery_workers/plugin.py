"""The check in the words of nagiosplugin: Resource, Context and Summary."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import nagiosplugin
from nagiosplugin.state import ServiceState

from check_celery_workers.errors import CannotJudge
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.expected.limits import Backlog as Limits
from check_celery_workers.judgement.compare import compare
from check_celery_workers.judgement.finding import Comparison
from check_celery_workers.judgement.metrics import JUDGED, ROWS, find
from check_celery_workers.replies.inquiry import Inquiry
from check_celery_workers.report.reason import explain_doubt
from check_celery_workers.report.sentences import status_line
from check_celery_workers.report.verdict import NAME, Verdict, unknown
from check_celery_workers.threshold import Threshold

OK = int(nagiosplugin.Ok)
UNKNOWN = int(nagiosplugin.Unknown)
# What an UNKNOWN may end as.
STATES = {"warning": int(nagiosplugin.Warn), "critical": int(nagiosplugin.Critical)}

_BACKLOG = "backlog_"

# Where all the time went into reading, the comparison has this many seconds still.
_LEAST = 1.0


class Workers(nagiosplugin.Resource):
    """The workers that reply, compared with those that should.

    comparison: what came of it, None until then; error: why nothing did
    """

    name = NAME

    def __init__(self, ask: Callable[[], Inquiry], inventory: Inventory, deadline: float, timed: bool = False) -> None:
        """Compare what `ask` returns until the deadline, a time of `time.monotonic` in seconds.

        timed: how long that takes is a metric
        """
        self.inventory = inventory
        self.comparison: Comparison | None = None
        self.error: CannotJudge | None = None
        self._ask, self._deadline, self._timed = ask, deadline, timed

    def probe(self) -> list[nagiosplugin.Metric]:
        """Ask, compare, and return all metrics at once. Raises CheckError if that is not possible."""
        started = time.monotonic()
        try:
            inquiry = self._ask()
            with _within(self._deadline):
                comparison = compare(Comparison(self.inventory, inquiry))
                find(comparison)
        except CannotJudge as error:
            self.error = error
            raise nagiosplugin.CheckError(str(error)) from error
        comparison.seconds = round(time.monotonic() - started, 3) if self._timed else None
        self.comparison = comparison
        metrics = []
        for row in ROWS:
            value = row.value_of(comparison)
            # That nothing was found yet of what is in doubt says nothing.
            if value is not None and not (row.what and not value and row.label in comparison.in_doubt):
                context, most = row.label if row.what else "default", row.most(self.inventory)
                metrics.append(nagiosplugin.Metric(row.label, value, row.unit, 0, most, context))
            if row.label == "backlog":
                metrics += _lengths(comparison)
        return metrics


def _lengths(comparison: Comparison) -> Iterator[nagiosplugin.Metric]:
    """Yield a metric for each queue that an option is about, if it is known how many messages wait there."""
    inventory = comparison.inventory
    for queue, length in comparison.backlogs.items():
        if length is not None and (inventory.names_queue(queue) or "" in inventory.backlogs):
            yield nagiosplugin.Metric(f"{_BACKLOG}{queue}", length, min=0, context="backlog")


class Backlog(nagiosplugin.Context):
    """The judgement on the metrics that are the number of messages in a queue."""

    def __init__(self, workers: Workers) -> None:
        super().__init__("backlog")
        self._workers = workers

    def evaluate(self, metric: nagiosplugin.Metric, _resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        """Return the state by the ranges of the queue."""
        limits = self._limits(metric)
        crossed = limits.crossed_by(metric.value)
        state = nagiosplugin.Ok
        if crossed:
            state = nagiosplugin.Critical if crossed is limits.critical else nagiosplugin.Warn
        return self.result_cls(state, None, metric)

    def performance(
        self, metric: nagiosplugin.Metric, _resource: nagiosplugin.Resource
    ) -> nagiosplugin.Performance | None:
        """Return perfdata with the ranges of the queue."""
        limits = self._limits(metric)
        warning, critical = (limit.range_of(0) if limit else None for limit in (limits.warning, limits.critical))
        return nagiosplugin.Performance(self.labels[metric.name], metric.value, "", warning, critical, 0)

    @cached_property
    def labels(self) -> dict[str, str]:
        """The labels of the metrics, no two alike: first those of queues that an option names."""
        inventory, comparison = self._workers.inventory, self._workers.comparison
        queues = sorted(comparison.backlogs if comparison else (), key=lambda queue: not inventory.names_queue(queue))
        labels: dict[str, str] = {}
        for queue in queues:
            label = own = _BACKLOG + re.sub("[^A-Za-z0-9_.-]", "_", queue)
            while own in labels.values():
                own = f"{label}_{len(labels)}"
            labels[f"{_BACKLOG}{queue}"] = own
        return labels

    def hidden(self) -> set[str]:
        """Return the labels that are not shown: of queues that no option names."""
        names_queue = self._workers.inventory.names_queue
        return {label for name, label in self.labels.items() if not names_queue(name.removeprefix(_BACKLOG))}

    def _limits(self, metric: nagiosplugin.Metric) -> Limits:
        return self._workers.inventory.backlog_of(metric.name.removeprefix(_BACKLOG))


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
        rows = {row.label: row for row in ROWS}
        problems = {
            row: metric.value
            for row, metric, state in ((rows[metric.context], metric, state) for metric, state in _judged(results))
            # Missing servers are missing workers as well, and need no word of their own; some messages may always wait.
            if state != nagiosplugin.Ok or (metric.value and row.noun != "server" and row.what)
        }
        return status_line(comparison, problems.items(), ok)


def judge(workers: Workers, thresholds: Mapping[str, tuple[Threshold | None, Threshold | None]]) -> tuple[Verdict, int]:
    """Return the verdict on the workers, by the warning and the critical threshold of each metric, and its exit code.

    What is in doubt makes it UNKNOWN, unless something that is certain is CRITICAL.
    """
    check = nagiosplugin.Check(workers, StatusLine(workers))
    for row in JUDGED:
        most = row.most(workers.inventory) or 0
        warning, critical = (limit.range_of(most) if limit else None for limit in thresholds[row.label])
        check.add(nagiosplugin.ScalarContext(row.label, warning, critical))
    backlog = Backlog(workers)
    check.add(backlog)
    check()
    comparison = workers.comparison
    if comparison is None:
        return unknown(check.summary_str), UNKNOWN
    if comparison.doubts and check.state != nagiosplugin.Critical:
        return unknown(explain_doubt(comparison.doubts[0], comparison), comparison), UNKNOWN
    # Numbers in doubt are not shown, but for those that are bad enough already.
    alerts = {metric.name for metric, state in _judged(check.results) if state == nagiosplugin.Critical}
    uncertain = comparison.in_doubt - alerts
    hidden = uncertain | backlog.hidden()
    # nagiosplugin quotes labels with a dash or a dot, which need none.
    shown = [text.replace("'", "") for text in check.perfdata]
    perfdata = sorted(text for text in shown if text.partition("=")[0] not in hidden)
    explanations = list(_explain(check.results, uncertain))
    state = str(check.state).upper()
    return Verdict(state, check.summary_str, comparison, perfdata, explanations), check.exitcode


def _explain(results: nagiosplugin.Results, uncertain: Container[str]) -> Iterator[str]:
    """Yield a line for each metric that says how its state came about, if it is not uncertain."""
    for metric, state in _judged(results):
        performance = metric.performance()
        if performance and metric.name not in uncertain:
            limits = f"warning {str(performance.warn) or '~:'}, critical {str(performance.crit) or '~:'}"
            yield f"{str(state).upper()}: {metric.name} is {metric.value} ({limits})"


def _judged(results: nagiosplugin.Results) -> Iterator[tuple[nagiosplugin.Metric, ServiceState]]:
    """Yield the metrics that have thresholds, with their states, the worst first."""
    for result in results:
        if result.metric and result.metric.context != "default":
            yield result.metric, result.state


@contextmanager
def _within(deadline: float) -> Iterator[None]:
    """Raise CannotJudge in what runs inside when the deadline comes."""

    def stop(*_: object) -> None:
        raise CannotJudge("the comparison did not end before the timeout")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, min(max(_LEAST, deadline - time.monotonic()), 1e6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
