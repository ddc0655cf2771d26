"""The table of metrics that thresholds judge.

A new metric is a row here, and the sentence of its finding in `verdict`.
"""

from __future__ import annotations

from collections.abc import Callable

from check_celery_workers.judgement.finding import Comparison


class Metric:
    """A metric with thresholds.

    label: its perfdata label, and the start of the names of its options
    what: what it counts, for --help
    noun, state: the words of the status line, "2 workers missing"
    warning, critical: the default ranges, which hold unless one of its thresholds is given
    value_of: counts it in a comparison
    """

    __slots__ = ("critical", "label", "noun", "state", "value_of", "warning", "what")

    def __init__(  # noqa: PLR0913, PLR0917 -- a row of the table
        self,
        label: str,
        what: str,
        noun: str,
        state: str,
        warning: str | None,
        critical: str | None,
        value_of: Callable[[Comparison], int],
    ) -> None:
        self.label = label
        self.what = what
        self.noun = noun
        self.state = state
        self.warning = warning
        self.critical = critical
        self.value_of = value_of


def _count(metric: str) -> Callable[[Comparison], int]:
    return lambda comparison: comparison.count(metric)


def _count_servers(metric: str) -> Callable[[Comparison], int]:
    return lambda comparison: comparison.count_servers(metric)


# In the order of the output: what weighs most comes first.
METRICS = (
    Metric("missing", "missing workers", "worker", "missing", None, "0", _count("missing")),
    Metric("malfunctioning", "malfunctioning workers", "worker", "malfunctioning", None, "0", _count("malfunctioning")),
    Metric("duplicate", "duplicate node names", "worker", "duplicate", "0", None, _count("duplicate")),
    Metric("queues", "queues with too few or too many consumers", "queue", "short", None, "0", _count("queues")),
    Metric("unexpected", "unexpected workers", "worker", "unexpected", "0", None, _count("unexpected")),
    Metric("missing_servers", "missing servers", "server", "missing", None, None, _count_servers("missing")),
    Metric(
        "unexpected_servers", "unexpected servers", "server", "unexpected", None, None, _count_servers("unexpected")
    ),
)
