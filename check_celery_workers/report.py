"""The comparison in words: the headline, the findings in sentences, and as many of them as fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from check_celery_workers.compare import Comparison, Tally
from check_celery_workers.inventory import Inventory, baseline
from check_celery_workers.node import UNNUMBERED, Worker, join, natural, numbers, printable
from check_celery_workers.pattern import Pattern

# What is told of, its name, and what there is to tell: together they are the sentence.
Finding = tuple[str, str, str]

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000
# No more findings than this fit into it, so that no more need to be put into words and in order.
_MOST_LINES = 400


def headline(comparison: Comparison, problems: Iterable[tuple[str, int]], well: bool) -> str:
    """Return the status in one breath.

    problems: what there is to tell, as perfdata labels and their values, the worst first
    well: the state is OK, so that the workers online lead
    """
    parts = [_online(comparison)] if well else []
    # What is counted is said once.
    said = well
    for label, value in problems:
        what, _, of_servers = label.partition("_")
        if of_servers:
            told = _count(value, "server")
        elif what == "missing" and not well:
            told = f"{value:,} of {comparison.expected:,}" if said else _of(value, comparison.expected)
        else:
            told = f"{value:,}" if said else _count(value, "worker")
        said = said or not of_servers
        parts.append(f"{told} {what}")
    return ", ".join(parts)


def _online(comparison: Comparison) -> str:
    present, expected = comparison.present, comparison.expected
    # Of patterns without a fixed number, more than the least that is expected may be there.
    exact = present + comparison.missing.count == expected
    workers = _of(present, expected) if exact else _count(present, "worker")
    return f"{workers} online on {_count(len(comparison.servers), 'server')}"


def _of(number: int, all_of_them: int) -> str:
    return f"{number:,} of {_count(all_of_them, 'worker')}"


def count_findings(comparison: Comparison) -> int:
    """Return how many findings there are."""
    tallied = comparison.missing.findings + comparison.unexpected.findings
    return tallied + len(comparison.malfunctioning) + len(comparison.duplicates)


def subject(finding: Finding) -> str:
    """Return what the headline calls the one thing that it is about."""
    kind, name, _ = finding
    return f"server {name}" if kind == "Server" else name


def findings(comparison: Comparison) -> Iterator[Finding]:
    """Yield what there is to tell, in the order in which it is told; of very much, the first that would fit."""
    yield from _tallied(comparison.missing, "was missing", "missing worker", "missing worker")
    for node in _first(comparison.malfunctioning):
        yield "Worker", printable(node), f"was malfunctioning, {comparison.malfunctioning[node]}"
    for node in _first(comparison.duplicates):
        yield "Worker", printable(node), "was duplicate, more than one worker answers to this name"
    yield from _tallied(comparison.unexpected, "was unexpectedly present", "worker", "unexpected worker")


def _tallied(tally: Tally, state: str, noun: str, pattern_noun: str) -> Iterator[Finding]:
    for server in _first(tally.servers):
        yield "Server", printable(server), f"{state}, accounts for {_count(tally.servers[server], noun)}"
    workers = {join(worker, UNNUMBERED): count for worker, count in tally.workers}
    for worker in _first(workers):
        yield "Worker", printable(worker), f"{state}, accounts for {_count(workers[worker], noun)}"
    for node in _first(_nodes(tally)):
        yield "Worker", printable(node), state
    for pattern, matched, count in tally.patterns:
        told = f"matched {_count(matched, 'worker')} instead of {_wanted(pattern, matched)}"
        yield "Pattern", printable(pattern.text), f"{told}, accounts for {_count(count, pattern_noun)}"


def _nodes(tally: Tally) -> Iterator[str]:
    for worker, indexes in tally.nodes:
        some = indexes[:_MOST_LINES] if isinstance(indexes, range) else indexes
        for index in some:
            yield join(worker, index)
    for one, other in tally.pairs:
        yield f"{one} or {other}"


def _wanted(pattern: Pattern, matched: int) -> str:
    if pattern.low == pattern.high:
        return f"{pattern.low:,}"
    return f"at least {pattern.low:,}" if matched < pattern.low else f"at most {pattern.high:,}"


def by_server(workers: dict[Worker, set[str]]) -> Iterator[str]:
    """Yield a line for every server that tells which workers are online there."""
    servers: dict[str, dict[Worker, set[str]]] = {}
    for worker, indexes in workers.items():
        servers.setdefault(worker[1], {})[worker] = indexes
    for server in _first(servers):
        there = servers[server]
        nodes = printable(", ".join(baseline(there)), 1000)
        yield f"Online on {printable(server)}: {_count(sum(map(len, there.values())), 'worker')}, {nodes}"


def numbering(inventory: Inventory, workers: dict[Worker, set[str]]) -> Iterator[str]:
    """Yield a line for every worker of which the answers had to show where COUNT is numbered from."""
    counted = {join(worker, UNNUMBERED): worker for worker, demand in inventory.workers.items() if demand.count}
    for name in _first(counted):
        demand = inventory.workers[counted[name]]
        indexes = numbers(workers.get(counted[name], ()))
        if indexes:
            first = "0 or 1" if demand.undecided(indexes) else demand.first(indexes)
            yield f"{printable(name)}: COUNT {demand.count:,} is numbered from {first}"


def fit(headline: str, told: Iterable[str], count: int, more: Iterable[str]) -> str:
    """Return the output: the headline, of `count` findings those that fit, and then what else fits.

    Findings that do not fit are counted on a line of their own, `... and 9,950 more`.
    """
    lines = [headline]
    room = MOST_BYTES - len(headline.encode()) - 1
    reserve = len(f"... and {count:,} more\n")
    for line in told:
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


def _first(names: Iterable[str]) -> list[str]:
    some = list(names)
    if len(some) <= _MOST_LINES:
        return sorted(some, key=natural)
    # Here, because hardly a check needs it.
    from heapq import nsmallest

    return nsmallest(_MOST_LINES, some, key=natural)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
