"""What the judgement finds, as values that the report puts into words."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.node import Group, index_of, node_name, split_node
from check_celery_workers.replies.doubt import Doubt, later_answers
from check_celery_workers.replies.inquiry import Inquiry
from check_celery_workers.replies.output import Replies
from check_celery_workers.replies.question import LENGTHS, PING, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a group has its share in: its workers that are missing, or unexpected: how many, their names, whether all are.
Share = tuple[Group, int, Iterator[str], bool]


class Cause:
    """What is wrong with a worker or with a number, and the facts of it.

    ERROR: a worker answered ERROR, and (what it said), "" for nothing
    NO_QUEUE: it consumes from no queue
    SILENT: it did not answer a (question)
    OVERDUE: it has run (task) for (seconds), and (number) tasks for too long
    OFF_LIMIT: a pattern matched another (number of nodes) than the (limit) allows
    CONSUMERS: a queue has another (number of consumers) than the (limit) allows, unless (something else was asked)
    BACKLOG: (number) messages wait in a queue, which is outside of the (threshold)
    NOT_THERE: the broker has no such queue
    STARTS_NONE: it started no task for (seconds) while messages wait in (queues with their lengths)
    STARTS_NO_HELD: it started none of the (number) tasks that it holds for (seconds)
    OLD: it was started (seconds) ago, before (file) was changed (seconds) ago
    """

    ERROR, NO_QUEUE, SILENT, OVERDUE, OFF_LIMIT = "error", "no queue", "silent", "overdue", "off limit"
    CONSUMERS, BACKLOG, NOT_THERE = "consumers", "backlog", "not there"
    STARTS_NONE, STARTS_NO_HELD, OLD = "starts none", "starts none that it holds", "old"

    __slots__ = ("facts", "kind")

    def __init__(self, kind: str, *facts: Any) -> None:  # noqa: ANN401 -- each kind has its own
        self.kind = kind
        self.facts = facts


class Finding:
    """What accounts for some workers or beats that are missing, unexpected, ... or for one queue."""

    # In the order of the output.
    SERVER, GROUP, NODE, PATTERN, QUEUE = range(5)

    __slots__ = ("causes", "count", "kind", "metric", "name", "node", "noun")

    def __init__(  # noqa: PLR0913 -- all that a finding consists of
        self, metric: str, kind: int, name: str, *causes: Cause, count: int = 1, noun: str = "worker"
    ) -> None:
        """Take the label of the metric that it counts in, what it is about, and how many workers it accounts for.

        Of two names of which one is meant, and nobody can know which, it has both.
        noun: "worker", "beat" or "queue", what it counts
        """
        self.noun = "queue" if kind == Finding.QUEUE else noun
        self.metric, self.kind, self.name, self.count = metric, kind, name, count
        # The name of the worker, if it accounts for one that has a name.
        self.node = name if kind == Finding.NODE else ""
        self.causes = causes

    @property
    def is_final(self) -> bool:
        """Whether no reply that is still to come can undo it."""
        limits = [cause.facts[:2] for cause in self.causes if cause.kind in {Cause.OFF_LIMIT, Cause.CONSUMERS}]
        return self.metric != "missing" and not any(limit.side_of(number) < 0 for number, limit in limits)


def roll_up(metric: str, shares: Iterable[Share], servers: Container[str]) -> Iterator[Finding]:
    """Yield what accounts for these workers: the whole `servers`, groups of which all are in it, and single workers."""
    rolled: dict[str, Finding] = {}
    for (name, at_server), count, nodes, is_all in shares:
        if at_server in rolled:
            rolled[at_server].count += count
            rolled[at_server].node = ""
        elif at_server in servers:
            finding = rolled[at_server] = Finding(metric, Finding.SERVER, at_server[1:], count=count)
            finding.node = next(nodes) if count == 1 else ""
        elif is_all and count > 1:
            yield Finding(metric, Finding.GROUP, f"{name}{at_server}", count=count)
        else:
            yield from (Finding(metric, Finding.NODE, node) for node in nodes)
    yield from rolled.values()


class Comparison:
    """The inventory against the replies, and what of it is in doubt."""

    def __init__(self, inventory: Inventory, inquiry: Inquiry) -> None:
        self.inventory, self.inquiry = inventory, inquiry
        beats = inventory.beats_among(inquiry.replies.groups)
        # Those of the workers: where beats were asked for alone, who else answers, and how soon, is chance.
        beats_alone = inventory.only_beats_are_expected and inquiry.asked[0].question is PING
        self.replies = Replies() if beats_alone else inquiry.replies.without(beats)
        self.beats = beats | inventory.beats_among(inquiry.pinged.groups)  # the schedulers that replied
        # What came of the later questions, and the nodes that certainly kept silent on each.
        self.later = list(later_answers(inquiry))
        self.unanswered = {question: silent for question, silent, doubt in self.later if not doubt}
        self.beats_online = {node for node in self.beats if self.claimed(node) or not inventory.ignores(node)}
        self.present = self.beats_present = 0  # how many workers, and beats, that must or may be there replied
        self.servers: set[str] = set()  # where these are
        self.unclaimed: dict[Group, set[str]] = {}  # what no EXPECTED has claimed
        self.ignored: set[str] = set()  # workers that nothing has claimed and that count for nothing
        self.repeated: set[str] = set()  # workers of which an index replied in two spellings
        self.copied: list[tuple[Group, int]] = []  # COUNTs of which only the worker of that name replied
        self.findings: list[Finding] = []
        self.oldest_task: float | None = None  # its age in seconds, where tasks have limits
        self.seconds: float | None = None  # how long it took to ask
        # Nodes whose answer to a question leaves open what it should decide; and why, "" for an old Celery.
        self.unclear: dict[Question, dict[str, str]] = {}
        self.fell_silent: list[str] = []  # nodes that were watched, and did not always answer
        self.watched_still: list[str] = []  # nodes that were not watched for long enough
        self.queues_undecided = False  # whether nobody knows of some queue if it is off limits
        # How many messages wait in each queue, None: it does not exist.
        self.backlogs: dict[str, int | None] = {}
        self.lengths_measured = any(asked.question is LENGTHS for asked in inquiry.asked)
        self.lengths_asked = self.lengths_measured or bool(self.replies.lengths)
        self.unmeasured: list[str] = []  # queues of which nobody knows that; "" where it is not even known which
        self.beats_doubt: Doubt | None = None  # why nobody can know which beats are there
        self.doubts: list[Doubt] = []  # what cannot be known
        self.in_doubt: set[str] = set()  # the labels of the metrics that this makes doubtful
        self.withdrawn: list[Finding] = []  # and the findings

    def count(self, metric: str, noun: str = "") -> int:
        """Return how many workers, beats or queues the findings of a metric account for: all, or those of one noun."""
        found = (finding for finding in self.findings if finding.metric == metric)
        return sum(finding.count for finding in found if noun in {"", finding.noun})

    def count_servers(self, metric: str) -> int:
        """Return how many whole servers are among the findings of a metric."""
        return sum(finding.metric == metric and finding.kind == Finding.SERVER for finding in self.findings)

    def noun_of(self, node: str) -> str:
        """Return what a node is: "worker" or "beat"."""
        return "beat" if node in self.beats else "worker"

    def claimed(self, node: str) -> str | None:
        """Return the name of the worker, or beat, that something expected has claimed a node for, None if nothing has.

        It is another one than the node's own if a worker replied in two spellings of its index.
        """
        if node in self.beats:
            return node if self.inventory.find_beat(node) is not None else None
        group, digits = split_node(node)
        if digits not in self.replies.groups.get(group, ()) or digits in self.unclaimed.get(group, ()):
            return None
        name = node_name(group, index_of(digits))
        return name if name in self.repeated else node
