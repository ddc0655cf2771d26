"""The check in the words of nagiosplugin: Resource, Context and Summary."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import nagiosplugin
from nagiosplugin.state import ServiceState

from check_celery_workers import report
from check_celery_workers.compare import Comparison, compare
from check_celery_workers.errors import CannotJudge
from check_celery_workers.inquiry import Inquiry
from check_celery_workers.inventory import Inventory
from check_celery_workers.node import printable
from check_celery_workers.pattern import PatternIndex

OK = int(nagiosplugin.Ok)
UNKNOWN = int(nagiosplugin.Unknown)

# Python writes numbers of more places with an exponent, which the guidelines do not know.
_NUMBER = r"(?:[0-9]{1,15}(?:\.[0-9]{1,4})?|\.[0-9]{1,4})"
_RANGE = rf"(?=.*[0-9~])@?(?:(?:~|-?{_NUMBER})?:)?(?:-?{_NUMBER})?"


class Threshold:
    """A Nagios range, `[@]start:end`, from the Monitoring Plugins Development Guidelines.

    One that ends in % has numbers that are percent of the most that the metric can be.
    """

    def __init__(self, text: str) -> None:
        self._text = text.removesuffix("%")
        self._percent = text != self._text

    @classmethod
    def parse(cls, text: str, percent: bool) -> Threshold:
        """Return the threshold that a user wrote; with `percent` it may end in %.

        Raises ValueError where the text is no range.
        """
        if not re.fullmatch(_RANGE, text.removesuffix("%") if percent else text):
            raise ValueError(f"{printable(text)!r} is no range, write [@]start:end such as 2, 10: or ~:")
        threshold = cls(text)
        # Raises where its start is over its end.
        threshold.range_of(100)
        return threshold

    def range_of(self, most: float) -> nagiosplugin.Range:
        """Return the range in absolute numbers; percent are percent of `most`."""
        text = self._text
        if self._percent:
            text = re.sub(_NUMBER, lambda number: _decimal(float(number[0]) * most / 100), text)
        # Of a string, since to nagiosplugin the number 0 is no threshold at all.
        return nagiosplugin.Range(text)


def _decimal(number: float) -> str:
    return f"{number:.4f}".rstrip("0").rstrip(".")


class CountContext(nagiosplugin.Context):
    """Judges how many there are of something."""

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
        warning, critical = (limit.range_of(metric.max) if limit else None for limit in (self._warning, self._critical))
        return nagiosplugin.ScalarContext(self.name, warning, critical)


class Workers(nagiosplugin.Resource):
    """The workers that answer, compared with those that should."""

    name = "CELERY WORKERS"

    def __init__(self, inquiry: Inquiry, inventory: Inventory, ignore: PatternIndex, timed: bool) -> None:
        """`ignore` are patterns of workers that are never unexpected; `timed` adds the metric of how long it took."""
        self.inquiry = inquiry
        self.comparison: Comparison | None = None
        self.inventory = inventory
        self._ignore = ignore
        self._timed = timed

    def probe(self) -> list[nagiosplugin.Metric]:
        """Read the status text, compare, and return all metrics at once.

        Raises CheckError where the text does not let it judge.
        """
        started = time.monotonic()
        try:
            self.inquiry.ask()
        except CannotJudge as error:
            raise nagiosplugin.CheckError(str(error)) from error
        comparison = self.comparison = compare(self.inventory, self.inquiry.answers, self._ignore)
        metrics = [
            nagiosplugin.Metric("missing", comparison.missing.count, min=0, max=comparison.expected),
            nagiosplugin.Metric("malfunctioning", len(comparison.malfunctioning), min=0),
            nagiosplugin.Metric("duplicate", len(comparison.duplicates), min=0),
            nagiosplugin.Metric("unexpected", comparison.unexpected.count, min=0),
            nagiosplugin.Metric("missing_servers", len(comparison.missing.servers), min=0),
            nagiosplugin.Metric("unexpected_servers", len(comparison.unexpected.servers), min=0),
            nagiosplugin.Metric("online", comparison.online, min=0, context="default"),
        ]
        if self._timed:
            seconds = round(time.monotonic() - started, 3)
            metrics.append(nagiosplugin.Metric("time", seconds, "s", min=0, context="default"))
        return metrics


class Headline(nagiosplugin.Summary):
    """The status line in one breath: what is worst first, and where there is one finding alone, its name."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def ok(self, results: nagiosplugin.Results) -> str:
        """Return how many workers are online, and what the thresholds let pass."""
        return self._headline(results, well=True)

    def problem(self, results: nagiosplugin.Results) -> str:
        """Return what is wrong, or why that cannot be known."""
        return self._headline(results, well=False)

    def _headline(self, results: nagiosplugin.Results, well: bool) -> str:
        comparison = self._workers.comparison
        if comparison is None:
            return results.first_significant.hint or ""
        problems = [
            (metric.name, metric.value)
            for metric, state in _judged(results)
            # Missing servers are missing workers as well, and need no word of their own.
            if state != nagiosplugin.Ok or (metric.value and not metric.name.endswith("_servers"))
        ]
        headline = report.headline(comparison, problems, well)
        if self._workers.inquiry.empty:
            headline += ", the status text was empty"
        if report.count_findings(comparison) == 1:
            headline += f": {report.subject(next(report.findings(comparison)))}"
        return headline


def explain(results: nagiosplugin.Results) -> Iterator[str]:
    """Yield a line for each metric that tells how its state came about."""
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
