"""The inventory against the replies: who is missing, who is unexpected, which queues are off their limits.

What belongs together is one finding: a server of which nothing replied, a group of which no worker replied, and single
workers only beyond that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from functools import partial

from check_celery_workers.expected.inventory import Demand, Inventory
from check_celery_workers.judgement.faults import find_faults
from check_celery_workers.judgement.finding import Cause, Comparison, Finding, Share, Unanswered, roll_up
from check_celery_workers.node import Group, node_name, number, numbers
from check_celery_workers.pattern import first_match
from check_celery_workers.replies.output import Replies
from check_celery_workers.replies.question import ACTIVE_QUEUES


def compare(inventory: Inventory, replies: Replies, unanswered: Unanswered | None = None) -> Comparison:
    """Return the comparison; `unanswered` are the node names that kept silent on each question that they were asked."""
    comparison = Comparison(inventory, replies, unanswered or {})
    if inventory.names_workers:
        turnouts = [
            turn_out(group, demand, replies.groups.get(group, set())) for group, demand in inventory.groups.items()
        ]
        _add_present(comparison, turnouts)
        _add_missing(comparison, turnouts)
        _let_patterns_claim(comparison)
        _add_unexpected(comparison, turnouts)
    else:
        _add_everybody(comparison)
    find_faults(comparison)
    _compare_queues(comparison)
    return comparison


class Turnout:
    """What a group that a fixed form expects turned out to be.

    digits: of the indexes that replied
    present: how many of the workers expected replied
    missing, extra: the indexes that should reply and did not, and those that replied and should not
    repeated: the indexes that replied in two spellings
    lacks_one, has_one_more: COUNT is missing a worker, or has one too many, that is either index 0 or index COUNT
    """

    __slots__ = ("demand", "digits", "extra", "group", "has_one_more", "lacks_one", "missing", "present", "repeated")

    def __init__(self, group: Group, demand: Demand, digits: set[str]) -> None:
        self.group = group
        self.demand = demand
        self.digits = digits
        self.present = len(digits)
        self.missing: Collection[int] = ()
        self.extra: Container[int] = ()
        self.repeated: Collection[int] = ()
        self.lacks_one = self.has_one_more = False

    @property
    def either(self) -> str:
        """The names of the two workers of which one is missing or too many, and nobody can know which."""
        return f"{node_name(self.group, 0)} or {node_name(self.group, self.demand.count)}"

    def names_missing(self) -> Iterator[str]:
        """Yield the names of the workers that are missing."""
        if self.lacks_one:
            yield self.either
        for index in self.missing:
            yield node_name(self.group, index)


def turn_out(group: Group, demand: Demand, digits: set[str]) -> Turnout:
    """Return what a group turned out to be, of which these indexes replied, in digits."""
    turnout = Turnout(group, demand, digits)
    indexes = numbers(digits)
    expected, pair = demand.numbered(indexes)
    if indexes == expected and not pair and len(indexes) == len(digits):
        return turnout
    turnout.has_one_more = bool(pair) and pair <= indexes
    turnout.lacks_one = bool(pair) and not turnout.has_one_more
    turnout.missing = expected - indexes
    turnout.extra = extra = indexes - expected - pair
    turnout.present = len(indexes & expected) + turnout.has_one_more
    if len(indexes) < len(digits):
        times = Counter(map(number, digits))
        turnout.repeated = {index for index, count in times.items() if count > 1} - extra
    return turnout


def _add_present(comparison: Comparison, turnouts: Iterable[Turnout]) -> None:
    comparison.unclaimed = {
        group: digits for group, digits in comparison.replies.groups.items() if group not in comparison.inventory.groups
    }
    for turnout in turnouts:
        group, demand = turnout.group, turnout.demand
        comparison.present += turnout.present
        if turnout.present:
            comparison.servers.add(group[1][1:])
        if turnout.extra:
            comparison.unclaimed[group] = {digits for digits in turnout.digits if number(digits) in turnout.extra}
        comparison.repeated.update(node_name(group, index) for index in turnout.repeated)
        if demand.count > 1 and not demand.indexes and numbers(turnout.digits) == {demand.count}:
            comparison.copied.append((group, demand.count))


def _add_everybody(comparison: Comparison) -> None:
    """Count all workers where none is expected; the ignored ones are claimed by nobody."""
    inventory, replies = comparison.inventory, comparison.replies
    comparison.present = replies.count
    comparison.servers = {at_server[1:] for _, at_server in replies.groups}
    comparison.unclaimed = {
        group: {own for own in digits if inventory.ignores(node_name(group, own))}
        for group, digits in replies.groups.items()
    }


def _add_missing(comparison: Comparison, turnouts: Iterable[Turnout]) -> None:
    replied = {at_server for _, at_server in comparison.replies.groups}
    shares = [
        Share(turnout.group, len(turnout.missing) + turnout.lacks_one, turnout.names_missing(), not turnout.digits)
        for turnout in turnouts
        if turnout.missing or turnout.lacks_one
    ]
    silent = {share.group[1] for share in shares} - replied
    comparison.findings += roll_up("missing", shares, silent)


def _let_patterns_claim(comparison: Comparison) -> None:
    """Let each pattern claim the workers of which it is the first that matches, and compare how many these are."""
    inventory, unclaimed = comparison.inventory, comparison.unclaimed
    if not inventory.patterns:
        return
    matched: dict[str, list[str]] = {text: [] for text in inventory.patterns}
    texts = list(matched)
    find = first_match(texts)
    for group, digits in list(unclaimed.items()):
        demand = inventory.groups.get(group)
        rest = set()
        for own in digits:
            node = node_name(group, own)
            place = None if demand and demand.owns(number(own)) else find(node)
            if place is None:
                rest.add(own)
            else:
                matched[texts[place]].append(node)
        if rest:
            unclaimed[group] = rest
        else:
            del unclaimed[group]
    for text, nodes in matched.items():
        _compare_pattern(comparison, text, nodes)


def _compare_pattern(comparison: Comparison, text: str, nodes: Collection[str]) -> None:
    limit = comparison.inventory.patterns[text]
    number = len(nodes)
    comparison.present += number if limit.high is None else min(number, limit.high)
    comparison.servers.update(node.partition("@")[2] for node in nodes)
    if number < limit.low:
        comparison.add("missing", Finding.PATTERN, text, Cause(Cause.OFF_LIMIT, number, limit)).count = (
            limit.low - number
        )
    elif limit.high is not None and number > limit.high:
        # The ignored ones fill it up to what may be there, and are never too many.
        number = sum(not comparison.inventory.ignores(node) for node in nodes)
        if number > limit.high:
            comparison.add("unexpected", Finding.PATTERN, text, Cause(Cause.OFF_LIMIT, number, limit)).count = (
                number - limit.high
            )


def _add_unexpected(comparison: Comparison, turnouts: Iterable[Turnout]) -> None:
    inventory, replies = comparison.inventory, comparison.replies
    unexpected = {}
    for group, digits in comparison.unclaimed.items():
        left = {own for own in digits if not inventory.ignores(node_name(group, own))}
        if group in inventory.groups:
            # There each index counts once.
            left = set({number(own): own for own in sorted(left)}.values())
        if left:
            unexpected[group] = left
    replied, left_of = _count_by_server(replies.groups), _count_by_server(unexpected)
    expected = {at_server for _, at_server in inventory.groups}
    servers = {server for server in left_of if len(server) > 1 and left_of[server] == replied[server]} - expected
    shares = []
    for group, digits in unexpected.items():
        is_all = len(digits) == len(replies.groups[group]) and group not in inventory.groups
        shares.append(Share(group, len(digits), map(partial(node_name, group), digits), is_all))
    comparison.findings += roll_up("unexpected", shares, servers)
    for turnout in turnouts:
        # If one of the two is ignored, that is the one.
        ends = (node_name(turnout.group, 0), node_name(turnout.group, turnout.demand.count))
        if turnout.has_one_more and not any(map(inventory.ignores, ends)):
            comparison.add("unexpected", Finding.NODE, turnout.either)


def _count_by_server(groups: Mapping[Group, Collection[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (_, at_server), digits in groups.items():
        counts[at_server] = counts.get(at_server, 0) + len(digits)
    return counts


def _compare_queues(comparison: Comparison) -> None:
    queues, replies = comparison.inventory.queues, comparison.replies
    if not queues:
        return
    consumers = replies.consumers()
    unheard = len(replies.unheard(ACTIVE_QUEUES))
    nobody_heard = replies.count > 0 and ACTIVE_QUEUES not in replies.told
    for name, limit in queues.items():
        number = len(consumers.get(name, ()))
        # Each of those who were not heard may consume from it as well.
        if nobody_heard or limit.side_of(number) != limit.side_of(number + unheard):
            comparison.undecided.append(name)
        elif limit.side_of(number):
            comparison.add("queues", Finding.QUEUE, name, Cause(Cause.OFF_LIMIT, number, limit))
