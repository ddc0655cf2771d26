"""Every sentence about what is known: the status line, the findings, hints, and what -v adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from check_celery_workers.duration import duration
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.finding import Cause, Comparison, Finding
from check_celery_workers.judgement.metrics import ROWS, Row
from check_celery_workers.node import Group, first_of, index_of, natural, node_name, printable
from check_celery_workers.replies.output import Replies
from check_celery_workers.replies.question import LENGTHS
from check_celery_workers.replies.quote import quotable
from check_celery_workers.threshold import Threshold

_BEAT_ANSWERS = "A beat replies from Celery 5.7 on, if the application sets beat_enable_remote_control"
_NOT_MEASURED = "Backlogs were not judged: that needs --broker"
_PASSED_OVER = {
    "stall_limit": "The stall-limit was passed over: it needs --broker",
    "started_after": "started-after was passed over: it needs --broker",
}
_NOBODY_OVER_BROKER = (
    "Nobody replied over the broker. If workers run: is the application on another database or virtual host, or does "
    "it set control_exchange, global_keyprefix, fanout_prefix or a serializer? --broker-options must name these"
)
_EMPTY_TEXT = "Celery's output was empty. Put 2>&1 before the pipe to see its errors"

# So many findings of one kind are named in the status line, up to this length of it.
_MOST_NAMED, _MOST_LINE = 2, 200
# No more lines of one kind than this can fit.
MOST_LINES = 400

_ORDER = [row.label for row in ROWS]
# In the order of the kinds of Finding.
_KINDS = ("Server", "Worker", "Worker", "Pattern", "Queue")
_NOUNS = {"missing": "missing worker", "unexpected": "worker"}
_STATES = {"missing": "was missing", "unexpected": "was unexpectedly present"}
# Of the metrics whose findings say what is wrong.
_VERBS = {"malfunctioning": "was malfunctioning, ", "queues": "", "backlog": ""}


def status_line(comparison: Comparison, problems: Iterable[tuple[Row, int]], ok: bool) -> str:
    """Return what is wrong, the worst first, and one or two names of each kind: a pager shows no more.

    problems: the metrics that are not zero or that alert, with their values, the worst first
    ok: the state is OK, so that the workers online lead
    """
    parts = [_online(comparison)] if ok else []
    names = [""] * len(parts)
    # Use a noun only once, but those that might be taken for others.
    used = {"worker"} if ok else set()
    for row, value in problems:
        for count, noun, state, found in row.phrases_of(comparison, value):
            words = f"{count:,}" if noun in used else count_of(count, noun)
            if state == "missing" and noun == "worker" and not ok:
                expected = comparison.inventory.least_workers
                words = f"{count:,} of {expected:,}" if noun in used else _of(count, expected)
            used |= {noun} - {"server", "beat"}
            parts.append(f"{words} {state}")
            named = in_order(found) if len(found) <= _MOST_NAMED else []
            names.append(", ".join(printable(one.name) if noun == "server" else subject(one) for one in named))
    line = _named(parts, names, alone=len(parts) == 1 + ok)
    while len(line) > _MOST_LINE and any(names):
        names[max(place for place, own in enumerate(names) if own)] = ""
        line = _named(parts, names)
    return f"{line}, Celery's output was empty" if comparison.inquiry.is_blank else line


def _named(parts: Sequence[str], names: Sequence[str], alone: bool = False) -> str:
    """Return the parts of the status line with the names of each: behind a colon if there is one alone."""
    form = "{}: {}" if alone else "{} ({})"
    return ", ".join(form.format(part, own) if own else part for part, own in zip(parts, names))


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings in output order, at most those that can fit."""
    places: dict[tuple[int, bool, int], list[Finding]] = {}
    for finding in findings:
        place = (_ORDER.index(finding.metric), finding.noun == "beat", finding.kind)
        places.setdefault(place, []).append(finding)
    left = MOST_LINES
    for place in sorted(places):
        from heapq import nsmallest

        found = places[place]
        is_ordered = place[2] == Finding.PATTERN
        yield from found[:left] if is_ordered else nsmallest(left, found, key=lambda finding: natural(finding.name))
        left = max(0, left - len(found))


def _online(comparison: Comparison) -> str:
    inventory, present = comparison.inventory, comparison.present
    if comparison.lengths_asked and not inventory.expects_nodes:
        waiting = sum(length or 0 for length in comparison.backlogs.values())
        verb = "waits" if waiting == 1 else "wait"
        return f"{count_of(waiting, 'task')} {verb} in {count_of(len(comparison.backlogs), 'queue')}"
    expected, beats = inventory.least_workers, comparison.beats_present
    # Of patterns without a fixed number, more than the least that is expected may be there.
    exact = expected and present + comparison.count("missing", "worker") == expected
    online = [_of(present, expected) if exact else count_of(present, "worker")]
    if inventory.beats:
        online = [*(online if present or not inventory.only_beats_are_expected else ()), count_of(beats, "beat")]
    return f"{' and '.join(online)} online on {count_of(len(comparison.servers), 'server')}"


def subject(finding: Finding) -> str:
    """Return what the first line calls the one thing that a finding is about."""
    name = printable(finding.name)
    return f"server {name}" if finding.kind == Finding.SERVER else name


def sentence(finding: Finding, is_unknown: bool = False) -> str:
    """Return a finding as a sentence; `is_unknown` if nobody can know whether what did not answer is missing."""
    kind = "Beat" if finding.kind == Finding.NODE and finding.noun == "beat" else _KINDS[finding.kind]
    start = f"{kind} {printable(finding.name)}"
    causes = " and ".join(_CAUSES[cause.kind](*cause.facts) for cause in finding.causes)
    if finding.metric in _VERBS:
        return f"{start} {_VERBS[finding.metric]}{causes}"
    if finding.metric == "duplicate":
        return f"Node name {printable(finding.name)} was used by more than one {finding.noun}"
    state = "had not replied" if is_unknown else _STATES[finding.metric]
    if finding.kind == Finding.NODE:
        return f"{start} {state}"
    if finding.kind == Finding.PATTERN:
        (number, limit), noun = finding.causes[0].facts, finding.noun
        matched = f"matched {count_of(number, noun)} instead of {limit.wanted(number)}"
        return f"{start} {matched}, accounts for {count_of(finding.count, f'{finding.metric} {noun}')}"
    noun = "worker" if is_unknown else _NOUNS[finding.metric]
    node = f": {printable(finding.node)}" if finding.node else ""
    return f"{start} {state}, accounts for {count_of(finding.count, noun)}{node}"


_CAUSES: dict[str, Callable[..., str]] = {
    Cause.ERROR: lambda said: f"it answered {quotable(said, 150) if said else 'ERROR'}",
    Cause.NO_QUEUE: lambda: "it consumes from no queue",
    Cause.SILENT: lambda question: f"it did not reply to inspect {question.name}",
    Cause.OVERDUE: lambda task, seconds, count: (
        f"it has run {printable(task, 100)} for {duration(seconds)}"
        + (f", {count:,} tasks over their limit" if count > 1 else "")
    ),
    Cause.OFF_LIMIT: lambda number, limit: f"{number:,} instead of {limit.wanted(number)}",
    Cause.CONSUMERS: lambda number, limit, is_assumed: (
        f"has {count_of(number, 'consumer')} instead of {limit.wanted(number)}"
        + (", or this is not what inspect active_queues prints" if is_assumed else "")
    ),
    Cause.BACKLOG: lambda number, crossed: f"has a backlog of {count_of(number, 'task')}, {_off(crossed, number)}",
    Cause.NOT_THERE: lambda: "does not exist",
    Cause.STARTS_NONE: lambda seconds, queues: f"it started no task for {duration(seconds)} while {_waiting(queues)}",
    Cause.STARTS_NO_HELD: lambda seconds, count: (
        f"it {'did not start the 1 task' if count == 1 else f'started none of the {count:,} tasks'} that it holds for "
        f"{duration(seconds)}"
    ),
    Cause.OLD: lambda age, file, changed: (
        f"it was started {duration(age)} ago, before {printable(file)} was changed {duration(changed)} ago"
    ),
}


def _waiting(queues: Mapping[str, int]) -> str:
    """Return how many messages wait in which queues: "1,204 wait in queue emails"."""
    count, names = sum(queues.values()), [printable(name) for name in sorted(queues, key=natural)]
    where = f"queue {names[0]}" if len(names) == 1 else f"queues {names[0]} and {names[1]}"
    if len(names) > _MOST_NAMED:
        where = f"{len(names):,} queues"
    return f"{count:,} {'waits' if count == 1 else 'wait'} in {where}"


def _off(threshold: Threshold, number: int) -> str:
    """Return in which way a number is off a threshold: "more than 1,000"."""
    limits = threshold.range_of(0)
    if limits.invert:
        return f"in the range {threshold}"
    return f"more than {limits.end:,}" if number > limits.end else f"fewer than {limits.start:,}"


def hints(comparison: Comparison) -> Iterator[str]:
    """Yield what may help below the findings: that the text was empty, that a node name may have been copied."""
    if comparison.inquiry.is_blank:
        yield _EMPTY_TEXT
    inquiry = comparison.inquiry
    nobody = inquiry.origin and not (comparison.replies.count or comparison.beats)
    if nobody and inquiry.hints:
        yield from inquiry.hints
    elif nobody and inquiry.asked[0].question is not LENGTHS:
        yield _NOBODY_OVER_BROKER
    if comparison.count("missing", "beat"):
        yield _BEAT_ANSWERS
    if comparison.inventory.backlogs and not (comparison.lengths_asked or comparison.inventory.asks_for_lengths):
        yield _NOT_MEASURED
    yield from map(_PASSED_OVER.__getitem__, comparison.inventory.passed_over)
    # Why a watch failed is told as a doubt.
    if comparison.fell_silent and not inquiry.watch_failure:
        yield f"Not judged by --stall-limit, because silent while it was watched: {first_of(comparison.fell_silent)}"
    if comparison.watched_still and not inquiry.watch_failure:
        yield f"Not judged by --stall-limit, because --timeout ended the watch: {first_of(comparison.watched_still)}"
    yield from _first_mistakes(comparison)


def _first_mistakes(comparison: Comparison) -> Iterator[str]:
    """Yield what an EXPECTED means that somebody may have meant otherwise."""
    for finding in comparison.findings:
        if finding.kind == Finding.PATTERN and ".*" in finding.name and not finding.causes[0].facts[0]:
            yield f"{printable(finding.name)} is a shell pattern, not a regular expression: write * for .*"
    for group, count in comparison.copied[:MOST_LINES]:
        name = printable(node_name(group, count))
        span = printable(node_name(group, f"{count}..{count}"))
        yield f"{name} means {count:,} workers; for the one worker of that name write {span}"


def online(comparison: Comparison) -> Iterator[str]:
    """Yield a line for every server with the workers online there, the beats, and every queue with its consumers."""
    from check_celery_workers.expected.baseline import listed

    replies, beats = comparison.replies.without(comparison.ignored), comparison.beats
    servers: dict[str, dict[Group, set[str]]] = {}
    for group, indexes in replies.groups.items():
        servers.setdefault(group[1][1:], {})[group] = indexes
    for server in sorted(servers, key=natural)[:MOST_LINES]:
        groups = servers[server]
        nodes = printable(", ".join(listed(groups)), 1000)
        place = f" on {printable(server)}" if server else ""
        yield f"Online{place}: {count_of(sum(map(len, groups.values())), 'worker')}, {nodes}"
    if beats:
        names = printable(", ".join(sorted(beats, key=natural)), 1000)
        yield f"Online: {count_of(len(beats), 'beat')}, {names}"
    # A queue that an option names has a line even if nobody consumes from it.
    none = {queue: set[str]() for queue in comparison.inventory.queues}
    consumers = {**none, **replies.consumers(comparison.ignored)}
    for queue in sorted(consumers, key=natural)[:MOST_LINES]:
        yield f"Queue {printable(queue)}: {count_of(len(consumers[queue]), 'worker')}"


def numbering(inventory: Inventory, replies: Replies) -> Iterator[str]:
    """Yield a line for every group of which the replies had to show where COUNT is numbered from."""
    counted = {node_name(group): group for group, demand in inventory.groups.items() if demand.count}
    for name in sorted(counted, key=natural)[:MOST_LINES]:
        demand = inventory.groups[counted[name]]
        indexes = set(map(index_of, replies.groups.get(counted[name], ())))
        if indexes:
            expected, pair = demand.numbered(indexes)
            first = "0 or 1" if pair else int(0 not in expected)
            yield f"{printable(name)}: its {demand.count:,} workers are numbered from {first}"


def _of(number: int, all_of_them: int) -> str:
    return f"{number:,} of {count_of(all_of_them, 'worker')}"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: "1 worker", "2 workers"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
