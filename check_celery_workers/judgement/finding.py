"""What the comparison finds: a value that the verdict puts into words."""

from __future__ import annotations

from check_celery_workers.expected.grammar import Limit
from check_celery_workers.node import Group

# What a finding is about, in the order of the output.
SERVER, GROUP, NODE, PATTERN, QUEUE = range(5)


class Finding:
    """What accounts for some workers that are missing, unexpected, ... or for one queue.

    metric: the label of the metric that it counts in
    kind: SERVER, GROUP, NODE, PATTERN or QUEUE
    name: of what it is; of two names of which one is meant, and nobody can know which, both
    count: how many workers, or queues, it accounts for
    cause: what is wrong with a malfunctioning worker, as Faults; the node of a SERVER with one worker
    limit, number: of a PATTERN or a QUEUE, how many there should be and how many there are
    """

    __slots__ = ("cause", "count", "kind", "limit", "metric", "name", "number")

    def __init__(self, metric: str, kind: int, name: str, count: int = 1) -> None:
        self.metric = metric
        self.kind = kind
        self.name = name
        self.count = count
        self.cause: Faults | str | None = None
        self.limit: Limit | None = None
        self.number = 0


class Faults:
    """What is wrong with a worker that replied: an ERROR, no queue, tasks over their limit, a question not answered.

    overdue: (seconds, task name) of the task that has run longest, and how many are over their limit
    """

    __slots__ = ("error", "no_queue", "overdue", "overdue_count", "unanswered")

    def __init__(self) -> None:
        self.error = self.no_queue = self.unanswered = False
        self.overdue: tuple[float, str] | None = None
        self.overdue_count = 0

    def __bool__(self) -> bool:
        """Return whether anything is wrong."""
        return self.error or self.no_queue or self.unanswered or self.overdue is not None


class Comparison:
    """The inventory against the replies.

    expected: how many workers must be there, of patterns the least number
    present: how many of those that must or may be there replied
    servers: on how many servers these are
    online: how many node names replied
    oldest_task: for how many seconds the oldest task has run
    findings: see Finding
    repeated: node names of which an index replied in two spellings
    copied: EXPECTED that look as if a node name was copied: of COUNT workers, only the one of that name replied
    """

    def __init__(self, expected: int, online: int) -> None:
        self.expected = expected
        self.online = online
        self.present = 0
        self.servers: set[str] = set()
        self.oldest_task = 0.0
        self.findings: list[Finding] = []
        self.repeated: set[str] = set()
        self.copied: list[tuple[Group, int]] = []

    def count(self, metric: str) -> int:
        """Return how many workers, or queues, the findings of a metric account for."""
        return sum(finding.count for finding in self.findings if finding.metric == metric)

    def count_servers(self, metric: str) -> int:
        """Return how many whole servers are among the findings of a metric."""
        return sum(finding.metric == metric and finding.kind == SERVER for finding in self.findings)

    def add(self, metric: str, kind: int, name: str, count: int = 1) -> Finding:
        """Add a finding and return it."""
        finding = Finding(metric, kind, name, count)
        self.findings.append(finding)
        return finding
