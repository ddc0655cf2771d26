"""The table of metrics: what is counted, what that needs, and what of it nobody can know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement import faults
from check_celery_workers.judgement.finding import Comparison, Finding
from check_celery_workers.replies.doubt import Doubt, doubt_about
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, QUESTIONS, Question


class Row:
    """A metric.

    find: finds what is wrong, if `compare` does not
    value_of: counts it in a comparison, None: it does not apply; by default it counts the findings
    states_of: the words of the status line, "2 workers missing": how many are in which state; by default in the label's
    unheard: the nodes whose answers to a question it lacks; by default all that something claims
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- a row of the table
        self,
        label: str,  # of the perfdata, and the start of the names of its options
        needs: Collection[Question],  # without whose answers it is in doubt, as far as the inventory wants them
        what: str = "",  # what it counts, for --help; without it, it has no thresholds
        warning: str | None = None,  # the default ranges, which hold unless one of its thresholds is given
        critical: str | None = None,
        find: Callable[[Comparison], Iterable[Finding]] = lambda _comparison: (),
        value_of: Callable[[Comparison], int | float | None] | None = None,
        noun: str = "worker",
        states_of: Callable[[Comparison, int], Mapping[str, int]] | None = None,
        most: Callable[[Inventory], int | None] = lambda _inventory: None,  # its maximum
        is_percentage: bool = False,  # whether thresholds may be percent of it
        unit: str = "",  # "s", or "" for a number
        unheard: Callable[[Comparison, Question], Collection[str]] | None = None,
    ) -> None:
        self.label, self.needs, self.what, self.warning, self.critical = label, needs, what, warning, critical
        self.find, self.noun, self.most, self.is_percentage, self.unit = find, noun, most, is_percentage, unit
        metric = label.partition("_")[0]
        count = Comparison.count_servers if noun == "server" else Comparison.count
        self.value_of = value_of or (lambda comparison: count(comparison, metric))
        self.states_of = states_of or (lambda _comparison, value: {metric: value})
        self._unheard = unheard or _claimed_and_unheard

    def unheard(self, comparison: Comparison) -> dict[Question, Collection[str]]:
        """Return the nodes whose answers are lacking, by question; none where the metric does not apply."""
        applies = self.value_of(comparison) is not None
        wanted = [question for question in self.needs if applies and question.is_wanted(comparison.inventory)]
        return {question: nodes for question in wanted if (nodes := self._unheard(comparison, question))}


def _claimed_and_unheard(comparison: Comparison, question: Question) -> Collection[str]:
    return [*filter(comparison.claimed, comparison.replies.unheard(question))]


def _unheard_but_not_silent(comparison: Comparison, question: Question) -> Collection[str]:
    # Who was asked and kept silent is malfunctioning, which is certain.
    unheard = set(_claimed_and_unheard(comparison, question)).difference(comparison.unanswered.get(question, ()))
    return unheard.union(comparison.undated if question is ACTIVE else ())


def _states_of_queues(comparison: Comparison, value: int) -> dict[str, int]:
    crowded = sum(finding.is_final for finding in comparison.findings if finding.metric == "queues")
    states = {"short": value - crowded, "crowded": crowded}
    return {state: number for state, number in states.items() if number} or {"short": 0}


# In the order of the output: what weighs most comes first. A new metric is a row here.
ROWS = (
    Row("missing", (), "missing workers", None, "0", most=lambda inventory: inventory.size, is_percentage=True),
    Row(
        *("malfunctioning", QUESTIONS[1:], "malfunctioning workers", None, "0", faults.malfunctioning),
        unheard=_unheard_but_not_silent,
    ),
    Row("duplicate", (), "duplicate node names", "0", find=faults.duplicate),
    Row(
        *("queues", (ACTIVE_QUEUES,), "queues with too few or too many consumers", None, "0", faults.off_queues),
        value_of=lambda comparison: comparison.count("queues") if comparison.inventory.queues else None,
        noun="queue",
        states_of=_states_of_queues,
        unheard=lambda found, asked: (found.replies.unheard(asked) or found.replies.nodes()) if found.undecided else (),
    ),
    Row("unexpected", (), "unexpected workers", "0"),
    Row("missing_servers", (), "missing servers", noun="server"),
    Row("unexpected_servers", (), "unexpected servers", noun="server"),
    Row("online", (), value_of=lambda comparison: comparison.replies.count),
    Row("oldest_task", (ACTIVE,), value_of=lambda found: found.oldest_task, unit="s", unheard=_unheard_but_not_silent),
    Row("time", (), value_of=lambda comparison: comparison.seconds, unit="s"),
)
JUDGED = tuple(row for row in ROWS if row.what)  # by thresholds


def find(comparison: Comparison) -> None:
    """Find what is wrong, and what of it is in doubt.

    What is missing may be among what was not heard. What was heard is certain.
    """
    for row in ROWS:
        comparison.findings += row.find(comparison)
    lacking = comparison.count("missing") + comparison.count("queues") > 0 or not comparison.replies.count
    doubt = doubt_about(comparison.inquiry.asked[0].texts, lacking)
    if doubt:
        comparison.doubts = [doubt]
        comparison.in_doubt = {row.label for row in ROWS}
        comparison.withdrawn = [finding for finding in comparison.findings if not finding.is_final]
        comparison.findings = [finding for finding in comparison.findings if finding.is_final]
        return
    doubts = {question: doubt for question, _, doubt in comparison.later if doubt}
    for row in ROWS:
        unheard = row.unheard(comparison)
        if unheard or any(question in doubts for question in row.needs):
            comparison.in_doubt.add(row.label)
        # What has no thresholds makes nothing UNKNOWN.
        for question, nodes in unheard.items() if row.what else ():
            doubts.setdefault(question, Doubt(counts=False).about(question, nodes))
    # What was asked first weighs most.
    comparison.doubts = sorted(doubts.values(), key=lambda doubt: doubt.question is not ACTIVE_QUEUES)
