"""The verdict: a value first (state, status line, metrics, findings, details), then text. All sentences stand here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from check_celery_workers.baseline import listed
from check_celery_workers.finding import GROUP, NODE, PATTERN, QUEUE, SERVER, Comparison, Faults, Finding
from check_celery_workers.inventory import Inventory
from check_celery_workers.metrics import METRICS, Metric
from check_celery_workers.node import Group, natural, node_name, number, printable
from check_celery_workers.reader import Doubt
from check_celery_workers.reply import Replies

NAME = "CELERY WORKERS"

NO_QUEUES = "the text tells no queues, ask inspect active_queues"
NO_TASKS = "the text tells no running tasks, ask inspect active"
NO_START = "Celery before 4.2 does not say when a task was started, --task-limit cannot be judged"
EMPTY_TEXT = "The status text was empty. Put 2>&1 before the pipe to see whether the status command failed"

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000
# No more findings than this can fit.
_MOST_LINES = 400
# How much of the first line the names of silent workers may take.
_MOST_NAMES = 200

_KINDS = {SERVER: "Server", GROUP: "Worker", NODE: "Worker", PATTERN: "Pattern", QUEUE: "Queue"}
_NOUNS = {"missing": "missing worker", "unexpected": "worker"}
_ORDER = [metric.label for metric in METRICS]


class Verdict:
    """What a check says.

    state: OK, WARNING, CRITICAL or UNKNOWN
    status_line: what is wrong, or that nothing is
    perfdata: the metrics as perfdata
    findings: what accounts for it, each to be said in a line; those of an UNKNOWN are the workers that are silent
    details: further lines, as far as they fit
    """

    def __init__(self, state: str, status_line: str, perfdata: Sequence[str] = ()) -> None:
        self.state = state
        self.status_line = status_line
        self.perfdata = perfdata
        self.findings: Sequence[Finding] = ()
        self.details: list[str] = []

    def __str__(self) -> str:
        """Return the output, at most MOST_BYTES of it.

        The perfdata always go on the first line: NRPE may cut at 1 KiB.
        """
        top = f"{NAME} {self.state} - {self.status_line}"
        if self.perfdata:
            top += f" | {' '.join(self.perfdata)}"
        sentences = (sentence(finding, self.state == "UNKNOWN") for finding in in_order(self.findings))
        return fit(top, sentences, len(self.findings), self.details)


def unknown(reason: str, findings: Sequence[Finding] = ()) -> Verdict:
    """Return the verdict that the state cannot be known, and why."""
    verdict = Verdict("UNKNOWN", printable(" ".join(reason.split()), 900))
    verdict.findings = findings
    return verdict


def doubtful(doubt: Doubt, replied: int, comparison: Comparison | None = None) -> tuple[str, list[Finding]]:
    """Return why a text does not let it judge and whom it is about, and the findings of those that are silent.

    "celery did not end before the timeout, 4 of 5 workers had answered, no answer from mail@app1"
    """
    reason = doubt.problem
    silent = [finding for finding in comparison.findings if finding.metric == "missing"] if comparison else []
    if doubt.silent:
        silent = [Finding("missing", NODE, node) for node in doubt.silent]
        reason += f", {replied - len(silent):,} of {replied:,} workers had answered to active"
    elif not doubt.counts:
        silent = []
    elif comparison and comparison.expected:
        answered = comparison.expected - sum(finding.count for finding in silent)
        reason += f", {answered:,} of {comparison.expected:,} workers had answered"
    else:
        reason += f", {_count(replied, 'worker')} had answered"
    if silent:
        reason += f", no answer from {_names(silent)}"
    if doubt.reason:
        reason += f": {doubt.reason}"
    return reason, silent


def _names(findings: list[Finding]) -> str:
    names: list[str] = []
    for finding in in_order(findings):
        only = isinstance(finding.cause, str) and finding.count == 1 and finding.cause
        name = printable(only) if only else subject(finding)
        if names and sum(map(len, names)) + len(name) > _MOST_NAMES:
            return f"{', '.join(names)} and {len(findings) - len(names):,} more"
        names.append(name)
    return ", ".join(names)


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
            words = _count(value, "server")
        elif metric.label == "missing" and not ok:
            words = f"{value:,} of {comparison.expected:,}" if named else _of(value, comparison.expected)
        else:
            words = f"{value:,}" if named else _count(value, "worker")
        named = named or metric.noun == "worker"
        parts.append(f"{words} {metric.state}")
    if empty:
        parts.append("the status text was empty")
    line = ", ".join(parts)
    if len(comparison.findings) == 1:
        line += f": {subject(comparison.findings[0])}"
    return line


def _queues(comparison: Comparison, value: int) -> list[str]:
    found = [finding for finding in comparison.findings if finding.metric == "queues"]
    short = sum(bool(finding.limit and finding.number < finding.limit.low) for finding in found)
    crowded = len(found) - short
    words = [f"{_count(short, 'queue')} short"] if short or not value else []
    if crowded:
        words.append(f"{crowded:,} crowded" if words else f"{_count(crowded, 'queue')} crowded")
    return words


def _online(comparison: Comparison) -> str:
    present, expected = comparison.present, comparison.expected
    # Of patterns without a fixed number, more than the least that is expected may be there.
    exact = expected and present + comparison.count("missing") == expected
    workers = _of(present, expected) if exact else _count(present, "worker")
    return f"{workers} online on {_count(len(comparison.servers), 'server')}"


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings in output order, at most those that can fit."""
    places: dict[tuple[int, int], list[Finding]] = {}
    for finding in findings:
        places.setdefault((_ORDER.index(finding.metric), finding.kind), []).append(finding)
    left = _MOST_LINES
    for place in sorted(places):
        found = places[place]
        yield from found[:left] if place[1] == PATTERN else _first(found, left)
        left = max(0, left - len(found))


def _first(findings: list[Finding], most: int) -> list[Finding]:
    if len(findings) <= most:
        return sorted(findings, key=lambda finding: natural(finding.name))
    # Imported here: rarely needed, and imports cost start-up.
    from heapq import nsmallest

    return nsmallest(most, findings, key=lambda finding: natural(finding.name))


def subject(finding: Finding) -> str:
    """Return what the first line calls the one thing that a finding is about."""
    name = printable(finding.name)
    return {SERVER: f"server {name}", QUEUE: f"queue {name}"}.get(finding.kind, name)


def sentence(finding: Finding, silent: bool = False) -> str:
    """Return a finding as a sentence; `silent` if nobody can know whether what did not answer is missing."""
    start = f"{_KINDS[finding.kind]} {printable(finding.name)}"
    number, limit = finding.number, finding.limit
    if limit and finding.kind == QUEUE:
        return f"{start} is consumed by {_count(number, 'worker')} instead of {limit.wanted(number)}"
    if limit:
        noun = f"{finding.metric} worker"
        start += f" matched {_count(number, 'worker')} instead of {limit.wanted(number)}"
        return f"{start}, accounts for {_count(finding.count, noun)}"
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
    return f"{words}, accounts for {_count(finding.count, noun)}{only}"


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
        yield f"Online{place}: {_count(sum(map(len, groups.values())), 'worker')}, {nodes}"
    for queue in sorted(replies.queues, key=natural)[:_MOST_LINES]:
        yield f"Queue {printable(queue)}: {_count(len(replies.queues[queue]), 'worker')}"


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


def fit(top: str, sentences: Iterable[str], count: int, more: Iterable[str]) -> str:
    """Return the first line, as many of `count` findings as fit, then as many further lines as fit.

    Findings that do not fit are counted on a line of their own, `... and 9,950 more`.
    """
    lines = [top]
    room = MOST_BYTES - len(top.encode()) - 1
    reserve = len(f"... and {count:,} more\n")
    for line in sentences:
        size = len(line.encode()) + 1
        if size > room - reserve:
            break
        room -= size
        lines.append(line)
    untold = count - len(lines) + 1
    if untold:
        lines.append(f"... and {untold:,} more")
        room = 0
    for line in more:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _of(number: int, all_of_them: int) -> str:
    return f"{number:,} of {_count(all_of_them, 'worker')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
