"""Every sentence of the output: the status line, the findings, hints, and what -v adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from check_celery_workers.expected.baseline import listed
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.finding import GROUP, NODE, PATTERN, QUEUE, SERVER, Comparison, Faults, Finding
from check_celery_workers.judgement.metrics import Metric
from check_celery_workers.node import Group, natural, node_name, number, printable
from check_celery_workers.replies.body import Replies

NO_QUEUES = "the text tells no queues, ask inspect active_queues"
NO_TASKS = "the text tells no running tasks, ask inspect active"
NO_START = "Celery before 4.2 does not say when a task was started, --task-limit cannot be judged"
EMPTY_TEXT = "The status text was empty. Put 2>&1 before the pipe to see whether the status command failed"

# No more lines of one kind than this can fit.
_MOST_LINES = 400

_KINDS = {SERVER: "Server", GROUP: "Worker", NODE: "Worker", PATTERN: "Pattern", QUEUE: "Queue"}
_NOUNS = {"missing": "missing worker", "unexpected": "worker"}


def status_line(comparison: Comparison, problems: Iterable[tuple[Metric, int]], ok: bool, empty: bool) -> str:
    """Return what is wrong, the worst first, and its name if there is only one finding.

    problems: the metrics that are not zero or that alert, with their values, the worst first
    ok: the state is OK, so that the workers online lead
    empty: the text was empty
    """
    parts = [_online(comparison)] if ok else []
    # Use the noun only once.
    named = ok
    for metric, value in problems:
        if metric.noun == "queue":
            parts += _queues(comparison, value)
            continue
        if metric.noun == "server":
            words = count_of(value, "server")
        elif metric.label == "missing" and not ok:
            words = f"{value:,} of {comparison.expected:,}" if named else _of(value, comparison.expected)
        else:
            words = f"{value:,}" if named else count_of(value, "worker")
        named = named or metric.noun == "worker"
        parts.append(f"{words} {metric.state}")
    line = ", ".join(parts)
    if len(comparison.findings) == 1:
        line += f": {subject(comparison.findings[0])}"
    return f"{line}, the status text was empty" if empty else line


def _queues(comparison: Comparison, value: int) -> list[str]:
    found = [finding for finding in comparison.findings if finding.metric == "queues"]
    short = sum(bool(finding.limit and finding.number < finding.limit.low) for finding in found)
    crowded = len(found) - short
    words = [f"{count_of(short, 'queue')} short"] if short or not value else []
    if crowded:
        words.append(f"{crowded:,} crowded" if words else f"{count_of(crowded, 'queue')} crowded")
    return words


def _online(comparison: Comparison) -> str:
    present, expected = comparison.present, comparison.expected
    # Of patterns without a fixed number, more than the least that is expected may be there.
    exact = expected and present + comparison.count("missing") == expected
    workers = _of(present, expected) if exact else count_of(present, "worker")
    return f"{workers} online on {count_of(len(comparison.servers), 'server')}"


def subject(finding: Finding) -> str:
    """Return what the first line calls the one thing that a finding is about."""
    name = printable(finding.name)
    return f"server {name}" if finding.kind == SERVER else name


def sentence(finding: Finding, silent: bool = False) -> str:
    """Return a finding as a sentence; `silent` if nobody can know whether what did not answer is missing."""
    start = f"{_KINDS[finding.kind]} {printable(finding.name)}"
    number, limit = finding.number, finding.limit
    if limit and finding.kind == QUEUE:
        return f"{start} is consumed by {count_of(number, 'worker')} instead of {limit.wanted(number)}"
    if limit:
        noun = f"{finding.metric} worker"
        start += f" matched {count_of(number, 'worker')} instead of {limit.wanted(number)}"
        return f"{start}, accounts for {count_of(finding.count, noun)}"
    if isinstance(finding.cause, Faults):
        return f"{start} was malfunctioning, {' and '.join(_causes(finding.cause))}"
    if finding.metric == "duplicate":
        return f"{start} was duplicate, more than one worker answers to this name"
    state = "was unexpectedly present" if finding.metric == "unexpected" else "was missing"
    words = f"{start} {'had not answered' if silent else state}"
    if finding.kind == NODE:
        return words
    noun = "worker" if silent else _NOUNS[finding.metric]
    only = f": {printable(finding.cause)}" if finding.cause and finding.count == 1 else ""
    return f"{words}, accounts for {count_of(finding.count, noun)}{only}"


def _causes(faults: Faults) -> Iterator[str]:
    if faults.error:
        yield "it answered ERROR"
    if faults.no_queue:
        yield "it consumes from no queue"
    if faults.unanswered:
        yield "it did not answer to active"
    if faults.overdue:
        seconds, name = faults.overdue
        more = f", {faults.overdue_count:,} tasks over their limit" if faults.overdue_count > 1 else ""
        yield f"it has run {printable(name, 100)} for {duration(seconds)}{more}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: "3 h 12 min"."""
    whole = int(seconds)
    units = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next((place for place, (value, _) in enumerate(units) if value), 3)
    return " ".join(f"{value} {unit}" for value, unit in units[first : first + 2] if value) or "0 s"


def hints(comparison: Comparison, empty: bool) -> Iterator[str]:
    """Yield what may help below the findings: that the text was empty, that a node name may have been copied."""
    if empty:
        yield EMPTY_TEXT
    for group, count in comparison.copied[:_MOST_LINES]:
        name = printable(node_name(group, count))
        span = printable(node_name(group, f"{count}..{count}"))
        yield f"{name} means {count:,} workers; for the one worker of that name write {span}"


def online(replies: Replies) -> Iterator[str]:
    """Yield a line for every server with the workers online there, and for every queue with its consumers."""
    servers: dict[str, dict[Group, set[str]]] = {}
    for group, indexes in replies.groups.items():
        servers.setdefault(group[1][1:], {})[group] = indexes
    for server in sorted(servers, key=natural)[:_MOST_LINES]:
        groups = servers[server]
        nodes = printable(", ".join(listed(groups)), 1000)
        place = f" on {printable(server)}" if server else ""
        yield f"Online{place}: {count_of(sum(map(len, groups.values())), 'worker')}, {nodes}"
    for queue in sorted(replies.queues, key=natural)[:_MOST_LINES]:
        yield f"Queue {printable(queue)}: {count_of(len(replies.queues[queue]), 'worker')}"


def numbering(inventory: Inventory, replies: Replies) -> Iterator[str]:
    """Yield a line for every group of which the replies had to show where COUNT is numbered from."""
    counted = {node_name(group): group for group, demand in inventory.groups.items() if demand.count}
    for name in sorted(counted, key=natural)[:_MOST_LINES]:
        demand = inventory.groups[counted[name]]
        indexes = set(map(number, replies.groups.get(counted[name], ())))
        if indexes:
            expected, pair = demand.numbered(indexes)
            first = "0 or 1" if pair else int(0 not in expected)
            yield f"{printable(name)}: COUNT {demand.count:,} is numbered from {first}"


def _of(number: int, all_of_them: int) -> str:
    return f"{number:,} of {count_of(all_of_them, 'worker')}"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: "1 worker", "2 workers"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
