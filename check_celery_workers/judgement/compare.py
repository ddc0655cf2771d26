"""The inventory against the replies: which workers and beats are there, missing, unexpected.

What belongs together is one finding: a server of which nothing replied, a group of which no worker replied, and single
workers only beyond that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from functools import partial

from check_celery_workers.expected.demand import Demand
from check_celery_workers.expected.limits import Limit
from check_celery_workers.judgement.finding import Cause, Comparison, Finding, roll_up
from check_celery_workers.node import Group, index_of, indexes_of, node_name
from check_celery_workers.pattern import first_match, is_wild
from check_celery_workers.replies.doubt import doubt_about_beats


def compare(comparison: Comparison) -> Comparison:
    """Return the comparison with those in it who are missing or unexpected, and the backlogs of the others' queues."""
    groups, replied = comparison.inventory.groups, comparison.replies.groups
    findings = comparison.findings
    if comparison.inventory.names_workers:
        turnouts = [Turnout(group, demand, replied.get(group, set())) for group, demand in groups.items()]
        _note_present(comparison, turnouts)
        findings += _missing(comparison, turnouts)
        matched = _claim_by_pattern(comparison)
        comparison.servers.update(node.partition("@")[2] for nodes in matched.values() for node in nodes)
        comparison.present += _count_within(comparison.inventory.patterns, matched)
        findings += _off_patterns(comparison, comparison.inventory.patterns, matched)
        findings += _unexpected(comparison, turnouts)
        _note_ignored(comparison, turnouts)
    else:
        _note_everybody(comparison)
    if comparison.inventory.beats or (comparison.beats and comparison.inventory.names_workers):
        _compare_beats(comparison)
    comparison.backlogs = comparison.replies.backlogs(comparison.inventory.names_queue, comparison.ignored)
    return comparison


def _compare_beats(comparison: Comparison) -> None:
    """Find the beats that are missing, unless nobody can know, and those that are unexpected."""
    inventory = comparison.inventory
    matched: dict[str, list[str]] = {text: [] for text in inventory.beats}
    texts = list(matched)
    places = {node: inventory.find_beat(node) for node in comparison.beats}
    for node, place in places.items():
        if place is not None:
            matched[texts[place]].append(node)
            comparison.servers.add(node.partition("@")[2])
    comparison.beats_present = _count_within(inventory.beats, matched)
    found = [*_off_patterns(comparison, inventory.beats, matched, "beat")]
    missing = [finding.name for finding in found if finding.metric == "missing"]
    comparison.beats_doubt = doubt_about_beats(comparison.inquiry, missing) if inventory.beats else None
    unknown = "missing" if comparison.beats_doubt else ""
    comparison.findings += (finding for finding in found if finding.metric != unknown)
    for node, place in places.items():
        if place is None and not inventory.ignores(node):
            comparison.findings.append(Finding("unexpected", Finding.NODE, node, noun="beat"))


class Turnout:
    """What a group that a fixed form expects turned out to be."""

    missing: Collection[int] = ()
    extra: Container[int] = ()  # the indexes that are too many
    repeated: Collection[int] = ()  # the indexes in two spellings
    # COUNT lacks a worker, or has one too many, that is either index 0 or index COUNT.
    lacks_one = has_one_more = False

    def __init__(self, group: Group, demand: Demand, digits: set[str]) -> None:
        """`digits` are of the indexes that replied; `present` is how many of the workers expected replied."""
        self.group, self.demand, self.digits, self.present = group, demand, digits, len(digits)
        indexes = indexes_of(digits)
        expected, pair = demand.numbered(indexes)
        if indexes == expected and not pair and len(indexes) == len(digits):
            return
        self.has_one_more = bool(pair) and pair <= indexes
        self.lacks_one = bool(pair) and not self.has_one_more
        self.missing = expected - indexes
        self.extra = extra = indexes - expected - pair
        self.present = len(indexes & expected) + self.has_one_more
        if len(indexes) < len(digits):
            self.repeated = {index for index, times in Counter(map(index_of, digits)).items() if times > 1} - extra

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the workers with index 0 and index COUNT."""
        return node_name(self.group, 0), node_name(self.group, self.demand.count)

    def names_missing(self) -> Iterator[str]:
        """Yield the names of the workers that are missing."""
        if self.lacks_one:
            yield " or ".join(self.ends)
        yield from map(partial(node_name, self.group), self.missing)


def _note_present(comparison: Comparison, turnouts: Iterable[Turnout]) -> None:
    expected, replied = comparison.inventory.groups, comparison.replies.groups
    comparison.unclaimed = {group: digits for group, digits in replied.items() if group not in expected}
    for turnout in turnouts:
        group, demand = turnout.group, turnout.demand
        comparison.present += turnout.present
        if turnout.present:
            comparison.servers.add(group[1][1:])
        if turnout.extra:
            comparison.unclaimed[group] = {own for own in turnout.digits if index_of(own) in turnout.extra}
        if turnout.repeated:
            comparison.repeated.update(node_name(group, index) for index in turnout.repeated)
        if turnout.present == 1 < demand.count and not demand.indexes and indexes_of(turnout.digits) == {demand.count}:
            comparison.copied.append((group, demand.count))


def _note_everybody(comparison: Comparison) -> None:
    """Count all workers where none is expected; the ignored ones are claimed by nobody."""
    groups, ignores = comparison.replies.groups, comparison.inventory.ignores
    for group, digits in groups.items():
        comparison.unclaimed[group] = {own for own in digits if ignores(node_name(group, own))}
        comparison.ignored.update(node_name(group, own) for own in comparison.unclaimed[group])
        if len(comparison.unclaimed[group]) < len(digits):
            comparison.servers.add(group[1][1:])
    comparison.present = comparison.replies.count - len(comparison.ignored)


def _note_ignored(comparison: Comparison, turnouts: Iterable[Turnout]) -> None:
    """Note the workers that nothing has claimed and that are ignored. Of two names of which one is too many, one is."""
    ignores = comparison.inventory.ignores
    for group, digits in comparison.unclaimed.items():
        comparison.ignored.update(node for own in digits if ignores(node := node_name(group, own)))
    for turnout in turnouts:
        if turnout.has_one_more:
            comparison.ignored.update([*filter(ignores, turnout.ends)][:1])


def _missing(comparison: Comparison, turnouts: Iterable[Turnout]) -> Iterator[Finding]:
    lacking = [turnout for turnout in turnouts if turnout.missing or turnout.lacks_one]
    answered = {at_server for _, at_server in comparison.replies.groups} | {*map(_at_server, comparison.beats)}
    silent = {turnout.group[1] for turnout in lacking} - answered
    shares = (
        (turnout.group, len(turnout.missing) + turnout.lacks_one, turnout.names_missing(), not turnout.digits)
        for turnout in lacking
    )
    return roll_up("missing", shares, silent)


def _claim_by_pattern(comparison: Comparison) -> dict[str, list[str]]:
    """Let each pattern claim the workers of which it is the first that matches; return their nodes by pattern."""
    inventory, unclaimed = comparison.inventory, comparison.unclaimed
    matched: dict[str, list[str]] = {text: [] for text in inventory.patterns}
    texts = list(matched)
    find = first_match(texts)
    for group, digits in list(unclaimed.items()) if matched else ():
        demand = inventory.groups.get(group)
        rest = set()
        for own in digits:
            node = node_name(group, own)
            place = None if demand and demand.owns(index_of(own)) else find(node)
            if place is None:
                rest.add(own)
            else:
                matched[texts[place]].append(node)
        if rest:
            unclaimed[group] = rest
        else:
            del unclaimed[group]
    return matched


def _count_within(limits: Mapping[str, Limit], matched: Mapping[str, Collection[str]]) -> int:
    """Return how many nodes matched, of each pattern at most as many as may be there."""
    counts = ((len(nodes), limits[text].high) for text, nodes in matched.items())
    return sum(count if high is None else min(count, high) for count, high in counts)


def _off_patterns(
    comparison: Comparison, limits: Mapping[str, Limit], matched: Mapping[str, Collection[str]], noun: str = "worker"
) -> Iterator[Finding]:
    for text, nodes in matched.items():
        limit, count = limits[text], len(nodes)
        metric, off = "missing", limit.low - count
        if limit.high is not None and count > limit.high:
            # The ignored ones fill it up to what may be there, and are never too many.
            count = sum(not comparison.inventory.ignores(node) for node in nodes)
            metric, off = "unexpected", count - limit.high
        if off > 0 and noun == "beat" and not is_wild(text):
            yield Finding(metric, Finding.NODE, text, noun=noun)
        elif off > 0:
            yield Finding(metric, Finding.PATTERN, text, Cause(Cause.OFF_LIMIT, count, limit), count=off, noun=noun)


def _unexpected(comparison: Comparison, turnouts: Iterable[Turnout]) -> Iterator[Finding]:
    groups, ignores, replied = comparison.inventory.groups, comparison.inventory.ignores, comparison.replies.groups
    unexpected = {}
    for group, digits in comparison.unclaimed.items():
        left = {own for own in digits if not ignores(node_name(group, own))}
        # In a group that is expected each index counts once.
        unexpected[group] = set({index_of(own): own for own in sorted(left)}.values()) if group in groups else left
    counts, left_of = _count_by_server(replied), _count_by_server(unexpected)
    whole = {server for server, left in left_of.items() if len(server) > 1 and left == counts[server]}
    shares = (
        (group, len(own), map(partial(node_name, group), own), len(own) == len(replied[group]) and group not in groups)
        for group, own in unexpected.items()
        if own
    )
    # A server of which something is expected, a beat too, is not unexpected as a whole.
    expected = {at_server for _, at_server in groups} | {*map(_at_server, filter(comparison.claimed, comparison.beats))}
    yield from roll_up("unexpected", shares, whole - expected)
    for turnout in turnouts:
        # If one of the two is ignored, that is the one.
        if turnout.has_one_more and not any(map(ignores, turnout.ends)):
            yield Finding("unexpected", Finding.NODE, " or ".join(turnout.ends))


def _at_server(node: str) -> str:
    return "".join(node.partition("@")[1:])


def _count_by_server(groups: Mapping[Group, Collection[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (_, at_server), digits in groups.items():
        counts[at_server] = counts.get(at_server, 0) + len(digits)
    return counts
