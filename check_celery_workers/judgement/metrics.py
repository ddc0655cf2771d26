"""The table of metrics: what is counted, what that needs, and what of it nobody can know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement import faults
from check_celery_workers.judgement.finding import Cause, Comparison, Finding
from check_celery_workers.replies.doubt import Doubt, doubt_about, doubt_about_lengths, doubt_about_watch
from check_celery_workers.replies.output import Output
from check_celery_workers.replies.question import (
    ACTIVE_QUEUES,
    LENGTHS,
    NEEDED_FOR,
    PING,
    RESERVED,
    Question,
    is_given,
    needed_for,
)

# How many, of what, in which state, and the findings that it sums up: (2, "worker", "missing", [...]).
Phrase = tuple[int, str, str, Sequence[Finding]]


class Row:
    """A metric.

    find: finds what is wrong; `compared` if `compare` has
    value_of: counts it in a comparison, None: it does not apply; by default it counts the findings
    phrases_of: the words of the status line, see Phrase; by default the state is the label
    unheard: the nodes whose answers to a question it lacks; by default all that something claims
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- a row of the table
        self,
        label: str,  # of the perfdata, and the start of the names of its options
        options: Collection[str],  # those it judges, by name: without what they need it is in doubt
        find: Callable[[Comparison], Iterable[Finding]],
        what: str = "",  # what it counts, for --help; without it, it has no thresholds
        warning: str | None = None,  # the default ranges, which hold unless one of its thresholds is given
        critical: str | None = "0",
        value_of: Callable[[Comparison], int | float | None] | None = None,
        noun: str = "worker",
        phrases_of: Callable[[Comparison, int], list[Phrase]] | None = None,
        most: Callable[[Inventory], int | None] = lambda _inventory: None,  # its maximum
        is_percentage: bool = False,  # whether thresholds may be percent of it
        unit: str = "",  # "s", or "" for a number
        unheard: Callable[[Comparison, Question], Collection[str]] | None = None,
    ) -> None:
        self.label, self.options, self.what, self.warning, self.critical = label, options, what, warning, critical
        self.find, self.noun, self.most, self.is_percentage, self.unit = find, noun, most, is_percentage, unit
        metric = label.partition("_")[0]
        count = Comparison.count_servers if noun == "server" else Comparison.count
        self.value_of = value_of or (lambda comparison: count(comparison, metric))
        self.phrases_of = phrases_of or (lambda comparison, value: _phrases(comparison, metric, noun, value))
        self._unheard = unheard or _claimed_and_unheard
        self.raises_alerts = bool(what) or noun == "queue"

    def unheard(self, comparison: Comparison) -> dict[Question, Collection[str]]:
        """Return the nodes whose answers are lacking, by question; none where the metric does not apply."""
        if self.value_of(comparison) is None:
            return {}
        needed = needed_for(comparison.inventory, self.options)
        return {question: nodes for question in needed if (nodes := self._unheard(comparison, question))}


def _claimed_and_unheard(comparison: Comparison, question: Question) -> Collection[str]:
    return [*filter(comparison.claimed, comparison.replies.unheard(question))]


def _unheard_but_not_silent(comparison: Comparison, question: Question) -> Collection[str]:
    if question is LENGTHS:
        return ()
    unheard = {*_claimed_and_unheard(comparison, question), *comparison.unclear.get(question, ())}
    doubtful = [fault.option for fault in faults.FAULTS if fault.silence == faults.IN_DOUBT]
    if question in needed_for(comparison.inventory, doubtful):
        return unheard
    # Who was asked and kept silent is malfunctioning, which is certain, or being silent leaves no doubt.
    return unheard.difference(comparison.unanswered.get(question, ()))


def _phrases(comparison: Comparison, metric: str, noun: str, value: int) -> list[Phrase]:
    found = [finding for finding in comparison.findings if finding.metric == metric]
    if noun == "server":
        return [(value, noun, metric, [finding for finding in found if finding.kind == Finding.SERVER])]
    own, of_beats = ([one for one in found if (one.noun == "beat") is is_beat] for is_beat in (False, True))
    beats = sum(finding.count for finding in of_beats)
    phrases: list[Phrase] = [(value - beats, noun, metric, own), (beats, "beat", metric, of_beats)]
    return [phrase for phrase in phrases if phrase[0]] or phrases[:1]


def _phrases_of_queues(comparison: Comparison, value: int) -> list[Phrase]:
    found = [finding for finding in comparison.findings if finding.metric == "queues"]
    absent = [finding for finding in found if any(cause.kind == Cause.NOT_THERE for cause in finding.causes)]
    many = [finding for finding in found if finding.is_final and finding not in absent]
    few = [finding for finding in found if not finding.is_final]
    phrases: list[Phrase] = [
        (len(absent), "queue", "does not exist" if len(absent) == 1 else "do not exist", absent),
        (value - len(many) - len(absent), "queue", "short of consumers", few),
        (len(many), "queue", "with too many consumers", many),
    ]
    return [phrase for phrase in phrases if phrase[0]] or phrases[1:2]


def _unheard_of_queues(comparison: Comparison) -> Collection[str]:
    """Return who may consume from queues that nobody knows of, where the backlogs of all queues are judged."""
    replies = comparison.replies
    if "" not in comparison.inventory.backlogs or not (comparison.lengths_measured or ACTIVE_QUEUES in replies.told):
        return ()
    return replies.unheard(ACTIVE_QUEUES) - comparison.ignored


def _count_queues(comparison: Comparison) -> int | None:
    inventory = comparison.inventory
    return comparison.count("queues") if inventory.queues or {*inventory.backlogs} - {""} else None


def _count_messages(comparison: Comparison) -> int | None:
    if not (comparison.lengths_asked or comparison.inventory.asks_for_lengths):
        return None
    return sum(length for length in comparison.backlogs.values() if length is not None)


def compared(_comparison: Comparison) -> Iterable[Finding]:
    """Find nothing: `compare` has found it, or there is nothing to find."""
    return ()


# In the order of the output: what weighs most comes first. A new metric is a row here.
ROWS = (
    Row(
        *("missing", ("beat",), compared, "missing workers"),
        most=lambda inventory: inventory.size,
        is_percentage=True,
        # Beats are in doubt all at once, see `compare`.
        unheard=lambda _comparison, _question: (),
    ),
    Row(
        "malfunctioning",
        [fault.option for fault in faults.FAULTS],
        faults.malfunctioning,
        "malfunctioning workers",
        unheard=_unheard_but_not_silent,
    ),
    Row("duplicate", (), faults.duplicate, "duplicate node names", "0", None),
    Row(
        *("queues", ("queue",), faults.off_queues, "queues with too few or too many consumers"),
        value_of=_count_queues,
        noun="queue",
        phrases_of=_phrases_of_queues,
        unheard=lambda found, asked: (
            (found.replies.unheard(asked) or found.replies.nodes()) if found.queues_undecided else ()
        ),
    ),
    Row(
        *("backlog", ("backlog", "queue"), faults.backed_up),
        value_of=_count_messages,
        noun="queue",
        phrases_of=lambda found, _value: [
            (found.count("backlog"), "queue", "backed up", [one for one in found.findings if one.metric == "backlog"])
        ],
        unheard=lambda found, asked: found.unmeasured if asked is LENGTHS else _unheard_of_queues(found),
    ),
    Row("unexpected", (), compared, "unexpected workers", "0", None),
    Row("missing_servers", (), compared, "missing servers", None, None, noun="server"),
    Row("unexpected_servers", (), compared, "unexpected servers", None, None, noun="server"),
    Row(
        *("online", (), compared),
        value_of=lambda found: found.replies.count - len(found.ignored) + len(found.beats_online),
    ),
    *(
        Row(
            *(fault.label, (fault.option,), compared),
            value_of=fault.value_of,
            unit=fault.unit,
            unheard=_unheard_but_not_silent,
        )
        for fault in faults.FAULTS
        if fault.label
    ),
    Row("time", (), compared, value_of=lambda found: found.seconds, unit="s"),
)
JUDGED = tuple(row for row in ROWS if row.what)  # by thresholds


def find(comparison: Comparison) -> None:
    """Find what is wrong, and what of it is in doubt.

    What is missing may be among what was not heard. What was heard is certain.
    """
    _refuse_unjudged(comparison.inventory)
    for row in ROWS:
        comparison.findings += row.find(comparison)
    if _is_in_doubt(comparison):
        return
    doubts = {question: doubt for question, _, doubt in comparison.later if doubt}
    if comparison.beats_doubt:
        doubts[PING] = comparison.beats_doubt
    watch_doubt = doubt_about_watch(comparison.inquiry, [*comparison.fell_silent, *comparison.watched_still])
    if watch_doubt:
        doubts[RESERVED] = watch_doubt
    lengths_doubt = doubt_about_lengths(comparison.inquiry)
    if lengths_doubt:
        doubts[LENGTHS] = lengths_doubt
        # Whichever option wanted them.
        comparison.in_doubt.add("backlog")
    failed = set(doubts)
    for row in ROWS:
        unheard = row.unheard(comparison)
        if unheard or not failed.isdisjoint(needed_for(comparison.inventory, row.options)):
            comparison.in_doubt.add(row.label)
        # What raises no alert makes nothing UNKNOWN.
        for question, nodes in unheard.items() if row.raises_alerts else ():
            doubts.setdefault(question, Doubt(counts=False).about(question, nodes))
    # What was asked first weighs most.
    comparison.doubts = sorted(doubts.values(), key=lambda doubt: doubt.question is not ACTIVE_QUEUES)


def _refuse_unjudged(inventory: Inventory) -> None:
    """Raise NotImplementedError if something is asked for that nothing judges: it would be OK by that."""
    judged = {option for row in ROWS if row.raises_alerts for option in row.options}
    unjudged = [option for option in NEEDED_FOR.keys() - judged if is_given(inventory.given(option))]
    if unjudged:
        raise NotImplementedError(f"no metric that raises alerts judges {unjudged[0]}")


def _is_in_doubt(comparison: Comparison) -> bool:
    """Return whether nobody can know who is there; if so, note why, and withdraw what another reply might undo."""
    inventory, texts = comparison.inventory, comparison.inquiry.asked[0].texts
    # Workers tell no backlogs, but which queues there are. That matters if the backlogs of all are judged.
    asks_for_queues = "" in inventory.backlogs and any(text.has_failed or any(text.outputs) for text in texts)
    if not inventory.expects_nodes and comparison.lengths_asked and not (comparison.unmeasured or asks_for_queues):
        return False
    if not inventory.asks_workers and not any(text.has_failed for text in texts):
        # That no worker answered matters to nobody.
        return False
    # Beats are asked by themselves, but where one text tells of both.
    beats = comparison.count("missing", "beat") if comparison.inquiry.asked[0].shows_beats else 0
    lacking = beats + comparison.count("missing", "worker") + comparison.count("queues") > 0
    lacking = lacking or not (comparison.replies.count or comparison.beats)
    # Where nobody is expected by name, nobody knows who is lacking.
    is_cut = asks_for_queues and any(output.end == Output.CUT for text in texts for output in text.outputs)
    lacking = lacking or (not inventory.names_workers and (is_cut or any(text.failure for text in texts)))
    doubt = doubt_about(texts, lacking)
    if not doubt and any(text.is_recoded for text in texts):
        missing = [finding.name for finding in comparison.findings if finding.metric == "missing"]
        odd = not all(map(str.isascii, missing))
        doubt = Doubt("Celery's output is not in UTF-8, so names beyond ASCII cannot be compared") if odd else None
    if doubt:
        comparison.doubts = [doubt]
        comparison.in_doubt = {row.label for row in ROWS}
        comparison.withdrawn = [finding for finding in comparison.findings if not finding.is_final]
        comparison.findings = [finding for finding in comparison.findings if finding.is_final]
    return bool(doubt)
