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
    most, is_percentage: its maximum; whether thresholds may be percent of it
    unit: "s", or "" for a number
    unheard: the nodes whose answers to a question it lacks; by default all that something claims
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- a row of the table
        self,
        label: str,
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
        self.label, self.needs, self.value_of = label, needs, value_of
        self.what, self.warning, self.critical = what, warning, critical
        self.noun, self.most, self.is_percentage, self.unit = noun, most, is_percentage, unit
        self.states_of = states_of or (lambda _comparison, value: {label.partition("_")[0]: value})
        self._unheard = unheard or _claimed_and_unheard

    def unheard(self, comparison: Comparison) -> dict[Question, Collection[str]]:
        """Return the nodes whose answers are lacking, by question; none where the metric does not apply."""
        applies = self.value_of(comparison) is not None
        wanted = [question for question in self.needs if applies and question.is_wanted(comparison.inventory)]
        return {question: nodes for question in wanted if (nodes := self._unheard(comparison, question))}


def _claimed_and_unheard(comparison: Comparison, question: Question) -> Collection[str]:
    # Who was asked and kept silent is malfunctioning, which is certain.
    unheard = comparison.replies.unheard(question).difference(comparison.unanswered.get(question, ()))
    return [*filter(comparison.claimed, unheard), *(comparison.undated if question is ACTIVE else ())]


def _unheard_of_queues(comparison: Comparison, question: Question) -> Collection[str]:
    replies = comparison.replies
    return (replies.unheard(question) or replies.nodes()) if comparison.undecided else ()


def _counted(label: str) -> Callable[[Comparison], int]:
    return lambda comparison: comparison.count(label)


def _servers(label: str) -> Callable[[Comparison], int]:
    return lambda comparison: comparison.count_servers(label)


def _queues(comparison: Comparison) -> int | None:
    return comparison.count("queues") if comparison.inventory.queues else None


def _states_of_queues(comparison: Comparison, value: int) -> dict[str, int]:
    crowded = sum(finding.is_final for finding in comparison.findings if finding.metric == "queues")
    states = {"short": value - crowded, "crowded": crowded}
    return {state: number for state, number in states.items() if number} or {"short": 0}


def _oldest_task(comparison: Comparison) -> float | None:
    return None if comparison.oldest_task is None else round(comparison.oldest_task, 1)


def _seconds(comparison: Comparison) -> float | None:
    return None if comparison.seconds is None else round(comparison.seconds, 3)


def _size(inventory: Inventory) -> int:
    return inventory.size


# In the order of the output: what weighs most comes first. A new metric is a row here.
ROWS = (
    Row("missing", (), _counted("missing"), "missing workers", critical="0", most=_size, is_percentage=True),
    Row("malfunctioning", (ACTIVE,), _counted("malfunctioning"), "malfunctioning workers", critical="0"),
    Row("duplicate", (), _counted("duplicate"), "duplicate node names", warning="0"),
    Row(
        *("queues", (ACTIVE_QUEUES,), _queues, "queues with too few or too many consumers", None, "0"),
        noun="queue",
        states_of=_states_of_queues,
        unheard=_unheard_of_queues,
    ),
    Row("unexpected", (), _counted("unexpected"), "unexpected workers", warning="0"),
    Row("missing_servers", (), _servers("missing"), "missing servers", noun="server"),
    Row("unexpected_servers", (), _servers("unexpected"), "unexpected servers", noun="server"),
    Row("online", (), lambda comparison: comparison.replies.count),
    Row("oldest_task", (ACTIVE,), _oldest_task, unit="s"),
    Row("time", (), _seconds, unit="s"),
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
