"""The comparison in words: the headline, the findings in sentences, and as many of them as fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nsmallest

from check_celery_workers.compare import Comparison, Tally
from check_celery_workers.inventory import Pattern, baseline
from check_celery_workers.node import UNNUMBERED, Worker, join, natural, printable

# What is told of, its name, and what there is to tell: together they are the sentence.
Finding = tuple[str, str, str]

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000
# No more findings than this fit into it, so that no more need to be put into words and in order.
_MOST_LINES = 400


def online(comparison: Comparison) -> str:
    """Return the headline of a check that is well."""
    amount = f"{comparison.present:,}"
    if comparison.present + comparison.missing.count == comparison.expected:
        amount += f" of {comparison.expected:,}"
    servers = len(comparison.servers)
    return f"{amount} {_plural('worker', comparison.present)} online on {_count(servers, 'server')}"


def problem(label: str, value: int, comparison: Comparison, first: bool) -> str:
    """Return what a headline says of one metric, by its perfdata label; what comes after the first says it shorter."""
    amount, number = f"{value:,}", value
    if label == "missing":
        amount, number = f"{value:,} of {comparison.expected:,}", comparison.expected
    what, _, of_servers = label.partition("_")
    if of_servers:
        return f"{_count(value, 'server')} {what}"
    return f"{amount} {_plural('worker', number)} {what}" if first else f"{amount} {what}"


def count_findings(comparison: Comparison) -> int:
    """Return how many findings there are."""
    tallied = comparison.missing.findings + comparison.unexpected.findings
    return tallied + len(comparison.malfunctioning) + len(comparison.duplicates)


def name(finding: Finding) -> str:
    """Return what the headline calls the one thing that it is about."""
    kind, subject, _ = finding
    return f"server {subject}" if kind == "Server" else subject


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
    return nsmallest(_MOST_LINES, names, key=natural)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {_plural(noun, number)}"


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
