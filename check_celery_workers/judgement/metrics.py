"""The table of metrics: what is counted, what that needs, and what of it nobody can know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.finding import Comparison
from check_celery_workers.replies.doubt import Doubt, Untold, doubt_of, doubts_about_answers
from check_celery_workers.replies.output import Inquiry
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, QUESTIONS, Question


class Row:
    """A metric.

    label: its perfdata label, and the start of the names of its options
    needs: the questions without whose answers it is in doubt, as far as the inventory wants them
    value_of: counts it in a comparison; None: it does not apply
    what: what it counts, for --help; without it, it has no thresholds
    warning, critical: the default ranges, which hold unless one of its thresholds is given
    noun, states_of: the words of the status line, "2 workers missing": how many are in which state
    most: its maximum; is_percentage: thresholds may be percent of it
    unit: "s", or "" for a number
    unheard: the nodes that would have to answer each question, and did not
    """

    def __init__(  # noqa: PLR0913 -- a row of the table
        self,
        label: str,
        *,
        needs: Collection[Question],
        value_of: Callable[[Comparison], int | float | None],
        what: str = "",
        warning: str | None = None,
        critical: str | None = None,
        noun: str = "worker",
        states_of: Callable[[Comparison, int], Mapping[str, int]] | None = None,
        most: Callable[[Inventory], int | None] = lambda _inventory: None,
        is_percentage: bool = False,
        unit: str = "",
        unheard: Callable[[Comparison, Question], Collection[str]] | None = None,
    ) -> None:
        self.label = label
        self.needs = needs
        self.value_of = value_of
        self.what = what
        self.warning = warning
        self.critical = critical
        self.noun = noun
        self.states_of = states_of or (lambda _comparison, value: {label.partition("_")[0]: value})
        self.most = most
        self.is_percentage = is_percentage
        self.unit = unit
        self._unheard = unheard or _claimed_and_unheard

    def unheard(self, comparison: Comparison) -> dict[Question, Collection[str]]:
        """Return the nodes whose answers are lacking, by question; none where the metric does not apply."""
        if self.value_of(comparison) is None:
            return {}
        wanted = [question for question in self.needs if question.is_wanted(comparison.inventory)]
        lacking = {question: self._unheard(comparison, question) for question in wanted}
        return {question: nodes for question, nodes in lacking.items() if nodes}


def _claimed_and_unheard(comparison: Comparison, question: Question) -> Collection[str]:
    # Who was asked and kept silent is malfunctioning, which is certain.
    unheard = comparison.replies.unheard(question).difference(comparison.unanswered.get(question, ()))
    return [*filter(comparison.claimed, unheard), *(comparison.undated if question is ACTIVE else ())]


def _unheard_of_queues(comparison: Comparison, _question: Question) -> Collection[str]:
    return comparison.replies.nodes() if comparison.undecided else ()


def _counted(label: str) -> Callable[[Comparison], int]:
    return lambda comparison: comparison.count(label)


def _servers(label: str) -> Callable[[Comparison], int]:
    return lambda comparison: comparison.count_servers(label)


def _queues(comparison: Comparison) -> int | None:
    return comparison.count("queues") if comparison.inventory.queues else None


def _states_of_queues(comparison: Comparison, value: int) -> dict[str, int]:
    found = [finding for finding in comparison.findings if finding.metric == "queues"]
    crowded = sum(finding.is_final for finding in found)
    states = {"short": value - crowded, "crowded": crowded}
    return {state: number for state, number in states.items() if number or (state == "short" and not value)}


def _oldest_task(comparison: Comparison) -> float | None:
    return None if comparison.oldest_task is None else round(comparison.oldest_task, 1)


def _seconds(comparison: Comparison) -> float | None:
    return None if comparison.seconds is None else round(comparison.seconds, 3)


# In the order of the output: what weighs most comes first.
ROWS = (
    Row(
        "missing",
        needs=(),
        value_of=_counted("missing"),
        what="missing workers",
        critical="0",
        most=lambda inventory: inventory.size,
        is_percentage=True,
    ),
    Row(
        "malfunctioning",
        needs=(ACTIVE,),
        value_of=_counted("malfunctioning"),
        what="malfunctioning workers",
        critical="0",
    ),
    Row("duplicate", needs=(), value_of=_counted("duplicate"), what="duplicate node names", warning="0"),
    Row(
        "queues",
        needs=(ACTIVE_QUEUES,),
        value_of=_queues,
        what="queues with too few or too many consumers",
        critical="0",
        noun="queue",
        states_of=_states_of_queues,
        unheard=_unheard_of_queues,
    ),
    Row("unexpected", needs=(), value_of=_counted("unexpected"), what="unexpected workers", warning="0"),
    Row("missing_servers", needs=(), value_of=_servers("missing"), what="missing servers", noun="server"),
    Row("unexpected_servers", needs=(), value_of=_servers("unexpected"), what="unexpected servers", noun="server"),
    Row("online", needs=(), value_of=lambda comparison: comparison.replies.count),
    Row("oldest_task", needs=(ACTIVE,), value_of=_oldest_task, unit="s"),
    Row("time", needs=(), value_of=_seconds, unit="s"),
)
# Those that thresholds judge.
JUDGED = tuple(row for row in ROWS if row.what)


def note_doubts(comparison: Comparison, inquiry: Inquiry) -> None:
    """Note what cannot be known, and withdraw the findings that this makes doubtful.

    What is missing may be among what was not heard. What was heard is certain.
    """
    lacking = comparison.count("missing") + comparison.count("queues") > 0 or not inquiry.replies.count
    doubt = doubt_of(inquiry.asked[0].texts, lacking)
    if doubt:
        comparison.doubts = [doubt]
        comparison.in_doubt = {row.label for row in ROWS}
        comparison.withdrawn = [finding for finding in comparison.findings if not finding.is_final]
        comparison.findings = [finding for finding in comparison.findings if finding.is_final]
        return
    doubts: dict[Question | None, Doubt] = {doubt.question: doubt for doubt in doubts_about_answers(inquiry)}
    for row in ROWS:
        for question, nodes in row.unheard(comparison).items():
            doubts.setdefault(question, Untold(question, nodes))
        if not doubts.keys().isdisjoint(row.needs):
            comparison.in_doubt.add(row.label)
    comparison.doubts = [doubts[question] for question in QUESTIONS if question in doubts]
