"""What the judgement finds, as values that the report puts into words."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.node import Group, node_name, number, split_node
from check_celery_workers.replies.doubt import Doubt
from check_celery_workers.replies.output import Replies
from check_celery_workers.replies.question import Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Unanswered = Mapping[Question, Collection[str]]


class Cause:
    """What is wrong with a worker or with a number, and the facts of it.

    ERROR, NO_QUEUE: a worker answered ERROR; it consumes from no queue
    SILENT: it did not answer a (question)
    OVERDUE: it has run (task) for (seconds), and (number) tasks for too long
    OFF_LIMIT: there is another (number) than the (limit) allows
    """

    ERROR, NO_QUEUE, SILENT, OVERDUE, OFF_LIMIT = range(5)

    __slots__ = ("facts", "kind")

    def __init__(self, kind: int, *facts: Any) -> None:  # noqa: ANN401 -- each kind has its own
        self.kind = kind
        self.facts = facts


class Finding:
    """What accounts for some workers that are missing, unexpected, ... or for one queue.

    metric: the label of the metric that it counts in
    kind: SERVER, GROUP, NODE, PATTERN or QUEUE
    name: of what it is; of two names of which one is meant, and nobody can know which, both
    count: how many workers, or queues, it accounts for
    node: the name of the worker, if it accounts for one that has a name
    causes: what is wrong, as far as there is more to say than the metric
    """

    # In the order of the output.
    SERVER, GROUP, NODE, PATTERN, QUEUE = range(5)

    __slots__ = ("causes", "count", "kind", "metric", "name", "node")

    def __init__(self, metric: str, kind: int, name: str, count: int = 1) -> None:
        self.metric = metric
        self.kind = kind
        self.name = name
        self.count = count
        self.node = name if kind == Finding.NODE else ""
        self.causes: list[Cause] = []

    @property
    def is_final(self) -> bool:
        """Whether no reply that is still to come can undo it."""
        lacks = any(
            cause.kind == Cause.OFF_LIMIT and cause.facts[1].side_of(cause.facts[0]) < 0 for cause in self.causes
        )
        return self.metric != "missing" and not lacks


class Share:
    """What a group has its share in: `count` workers that are missing, or unexpected; `is_all` of the group that is."""

    __slots__ = ("count", "group", "is_all", "nodes")

    def __init__(self, group: Group, count: int, nodes: Iterator[str], is_all: bool) -> None:
        self.group = group
        self.count = count
        self.nodes = nodes
        self.is_all = is_all


def roll_up(metric: str, shares: Iterable[Share], servers: Container[str]) -> Iterator[Finding]:
    """Yield what accounts for these workers: the whole `servers`, groups of which all are in it, and single workers."""
    rolled: dict[str, Finding] = {}
    for share in shares:
        name, at_server = share.group
        if at_server in rolled:
            rolled[at_server].count += share.count
            rolled[at_server].node = ""
        elif at_server in servers:
            finding = rolled[at_server] = Finding(metric, Finding.SERVER, at_server[1:], share.count)
            finding.node = next(share.nodes) if share.count == 1 else ""
        elif share.is_all and share.count > 1:
            yield Finding(metric, Finding.GROUP, f"{name}{at_server}", share.count)
        else:
            for node in share.nodes:
                yield Finding(metric, Finding.NODE, node)
    yield from rolled.values()


class Comparison:
    """The inventory against the replies.

    unanswered: the node names that kept silent on each question that they were asked
    present: how many of those that must or may be there replied
    servers: on how many servers these are
    unclaimed: the workers that replied and that no EXPECTED has claimed
    repeated: names of workers of which an index replied in two spellings, `w-1` and `w-01`
    copied: EXPECTED that look as if a node name was copied: of COUNT workers, only the one of that name replied
    oldest_task: for how many seconds the oldest task has run; None without a limit for tasks
    undated: workers with a task of which nobody can know how long it has run
    undecided: queues of which nobody can know whether enough workers consume from them
    seconds: how long it took to ask; None if nobody was asked
    doubts, in_doubt: what cannot be known, and the labels of the metrics that this makes doubtful
    withdrawn: findings that are in doubt
    """

    def __init__(self, inventory: Inventory, replies: Replies, unanswered: Unanswered) -> None:
        self.inventory = inventory
        self.replies = replies
        self.unanswered = unanswered
        self.present = 0
        self.servers: set[str] = set()
        self.unclaimed: dict[Group, set[str]] = {}
        self.repeated: set[str] = set()
        self.copied: list[tuple[Group, int]] = []
        self.findings: list[Finding] = []
        self.oldest_task: float | None = None
        self.undated: set[str] = set()
        self.undecided: list[str] = []
        self.seconds: float | None = None
        self.doubts: list[Doubt] = []
        self.in_doubt: set[str] = set()
        self.withdrawn: list[Finding] = []

    def add(self, metric: str, kind: int, name: str, cause: Cause | None = None) -> Finding:
        """Add a finding and return it."""
        finding = Finding(metric, kind, name)
        finding.causes += [cause] if cause else []
        self.findings.append(finding)
        return finding

    def count(self, metric: str) -> int:
        """Return how many workers, or queues, the findings of a metric account for."""
        return sum(finding.count for finding in self.findings if finding.metric == metric)

    def count_servers(self, metric: str) -> int:
        """Return how many whole servers are among the findings of a metric."""
        return sum(finding.metric == metric and finding.kind == Finding.SERVER for finding in self.findings)

    def claimed(self, node: str) -> str | None:
        """Return the name of the worker that some EXPECTED has claimed a node for, None if none has.

        It is another one than the node's own if a worker replied in two spellings of its index.
        """
        group, digits = split_node(node)
        if digits not in self.replies.groups.get(group, ()) or digits in self.unclaimed.get(group, ()):
            return None
        name = node_name(group, number(digits))
        return name if name in self.repeated else node
