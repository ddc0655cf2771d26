"""The inventory against the replies: what is missing, malfunctioning, duplicate, unexpected, which queues are short.

What belongs together is one finding: a server of which nothing replied, a group of which no worker replied, and single
workers only beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from check_celery_workers.expected.inventory import Demand, Inventory
from check_celery_workers.judgement.faults import TaskLimits, find_faults
from check_celery_workers.judgement.finding import GROUP, NODE, PATTERN, QUEUE, SERVER, Comparison, Finding
from check_celery_workers.node import Group, node_name, number, numbers, split_node
from check_celery_workers.pattern import first_match
from check_celery_workers.replies.body import Replies


def compare(
    inventory: Inventory,
    replies: Replies,
    ignore: Callable[[str], object] = lambda _node: None,
    limits: TaskLimits | None = None,
    unanswered: Iterable[str] = (),
) -> Comparison:
    """Return the comparison.

    ignore: finds a pattern that a node name matches; one that nothing expects is then left out of every count
    limits: how long tasks may run; None: as long as they like
    unanswered: node names that did not answer to a second question
    """
    comparison = Comparison(inventory.size, replies.count)
    # The workers that replied and that no EXPECTED has claimed.
    unclaimed: dict[Group, set[str]] = {}
    if inventory.names_workers:
        unclaimed = {group: indexes for group, indexes in replies.groups.items() if group not in inventory.groups}
        either = _compare_groups(comparison, inventory, replies, unclaimed, ignore)
        matched = _match_patterns(inventory, unclaimed)
        _add_pattern_findings(comparison, inventory, matched, ignore)
    else:
        comparison.present = replies.count
        comparison.servers = {at_server[1:] for _, at_server in replies.groups}
        either = {}
        # Nothing expects them, so that the ignored ones are left out.
        unclaimed = {
            group: {own for own in digits if ignore(node_name(group, own)) is not None}
            for group, digits in replies.groups.items()
        }

    def claimed(node: str) -> str | None:
        group, digits = split_node(node)
        if digits not in replies.groups.get(group, ()) or digits in unclaimed.get(group, ()):
            return None
        name = node_name(group, number(digits))
        return name if name in comparison.repeated else node

    find_faults(comparison, replies, claimed, limits, unanswered)
    _compare_queues(comparison, inventory, replies)
    if unclaimed or either:
        unexpected = _unexpected(unclaimed, inventory.groups, ignore)
        _add_unexpected(comparison, inventory, replies, unexpected, either)
    return comparison


def _compare_groups(
    comparison: Comparison,
    inventory: Inventory,
    replies: Replies,
    unclaimed: dict[Group, set[str]],
    ignore: Callable[[str], object],
) -> dict[Group, int]:
    """Find what is missing of the fixed forms; return the groups of which index 0 or this one is unexpected."""
    silent = []
    either: dict[Group, int] = {}
    for group, demand in inventory.groups.items():
        digits = replies.groups.get(group)
        if not digits:
            silent.append((group, demand))
            continue
        indexes = numbers(digits)
        expected, pair = demand.numbered(indexes)
        if indexes == expected and not pair and len(indexes) == len(digits):
            comparison.present += len(indexes)
            comparison.servers.add(group[1][1:])
            continue
        both = bool(pair) and pair <= indexes
        comparison.present += len(indexes & expected) + both
        # If one of the two is ignored, that is the one.
        if both and all(ignore(node_name(group, index)) is None for index in pair):
            either[group] = demand.count
        _add_missing(comparison, group, expected - indexes, set() if both else pair)
        extra = indexes - expected - pair
        if extra:
            unclaimed[group] = {own for own in digits if number(own) in extra}
        if indexes & expected or both:
            comparison.servers.add(group[1][1:])
        if len(indexes) < len(digits):
            _add_repeated(comparison, group, digits, extra)
        if indexes == {demand.count} and demand.count > 1 and not demand.indexes:
            comparison.copied.append((group, demand.count))
    _add_silent(comparison, silent, replies)
    return either


def _add_missing(comparison: Comparison, group: Group, indexes: Iterable[int], pair: set[int]) -> None:
    if pair:
        comparison.add("missing", NODE, _either(group, max(pair)))
    for index in indexes:
        comparison.add("missing", NODE, node_name(group, index))


def _either(group: Group, count: int) -> str:
    return f"{node_name(group, 0)} or {node_name(group, count)}"


def _add_repeated(comparison: Comparison, group: Group, digits: Iterable[str], extra: set[int]) -> None:
    """Add an index that replied in two spellings: `w-1` and `w-01` are one worker, and a duplicate."""
    seen: set[int] = set()
    repeated: set[int] = set()
    for index in map(number, digits):
        (repeated if index in seen else seen).add(index)
    comparison.repeated.update(node_name(group, index) for index in repeated - extra)


def _add_silent(comparison: Comparison, silent: list[tuple[Group, Demand]], replies: Replies) -> None:
    """Add the groups of which no worker replied: by server if nothing of it did, else by group."""
    replied_servers = {at_server for _, at_server in replies.groups} if silent else set()
    servers: dict[str, Finding] = {}
    for group, demand in silent:
        expected, pair = demand.numbered(set())
        one = (_either(group, demand.count) if pair else node_name(group, *expected)) if demand.size == 1 else ""
        name, at_server = group
        if at_server in replied_servers:
            if one:
                comparison.add("missing", NODE, one)
            else:
                comparison.add("missing", GROUP, f"{name}{at_server}", demand.size)
        elif at_server in servers:
            servers[at_server].count += demand.size
        else:
            servers[at_server] = comparison.add("missing", SERVER, at_server[1:], demand.size)
            servers[at_server].cause = one


def _match_patterns(inventory: Inventory, unclaimed: dict[Group, set[str]]) -> dict[str, list[str]]:
    """Let each pattern claim the workers of which it is the first that matches; return their nodes by pattern."""
    matched: dict[str, list[str]] = {text: [] for text in inventory.patterns}
    if not matched:
        return matched
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
    return matched


def _add_pattern_findings(
    comparison: Comparison,
    inventory: Inventory,
    matched: dict[str, list[str]],
    ignore: Callable[[str], object],
) -> None:
    for text, limit in inventory.patterns.items():
        nodes = matched[text]
        number = len(nodes)
        finding = None
        if number < limit.low:
            finding = comparison.add("missing", PATTERN, text, limit.low - number)
        elif limit.high is not None and number > limit.high:
            # The ignored ones fill it up to what may be there, and are never too many.
            number = sum(ignore(node) is None for node in nodes)
            if number > limit.high:
                finding = comparison.add("unexpected", PATTERN, text, number - limit.high)
        if finding:
            finding.limit = limit
            finding.number = number
        comparison.present += min(len(nodes), len(nodes) if limit.high is None else limit.high)
        comparison.servers.update(node.partition("@")[2] for node in nodes)


def _compare_queues(comparison: Comparison, inventory: Inventory, replies: Replies) -> None:
    for name, limit in inventory.queues.items():
        consumers = len(replies.queues.get(name, ()))
        if consumers < limit.low or (limit.high is not None and consumers > limit.high):
            finding = comparison.add("queues", QUEUE, name)
            finding.limit = limit
            finding.number = consumers


def _unexpected(
    unclaimed: dict[Group, set[str]], owned: Mapping[Group, Demand], ignore: Callable[[str], object]
) -> dict[Group, set[str]]:
    """Return the unclaimed workers that are not ignored; in a group of a fixed form each index counts once."""
    rest = {}
    for group, digits in unclaimed.items():
        left = {own for own in digits if ignore(node_name(group, own)) is None}
        if group in owned:
            left = set({number(own): own for own in sorted(left)}.values())
        if left:
            rest[group] = left
    return rest


def _add_unexpected(
    comparison: Comparison,
    inventory: Inventory,
    replies: Replies,
    unexpected: dict[Group, set[str]],
    either: dict[Group, int],
) -> None:
    """Add the workers that nothing expects: by server if it has no others, by group if all of it are, or one by one."""
    expected_servers = {at_server for _, at_server in inventory.groups}
    replied = _count_by_server(replies.groups)
    left = _count_by_server(unexpected)
    servers: dict[str, Finding] = {}
    for group, digits in unexpected.items():
        name, at_server = group
        if len(at_server) > 1 and left[at_server] == replied[at_server] and at_server not in expected_servers:
            if at_server in servers:
                servers[at_server].count += len(digits)
            else:
                servers[at_server] = comparison.add("unexpected", SERVER, at_server[1:], len(digits))
                servers[at_server].cause = node_name(group, *digits) if len(digits) == 1 else ""
        elif len(digits) == len(replies.groups[group]) > 1 and group not in inventory.groups:
            comparison.add("unexpected", GROUP, f"{name}{at_server}", len(digits))
        else:
            for own in digits:
                comparison.add("unexpected", NODE, node_name(group, own))
    for group, count in either.items():
        comparison.add("unexpected", NODE, _either(group, count))


def _count_by_server(groups: dict[Group, set[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (_, at_server), digits in groups.items():
        counts[at_server] = counts.get(at_server, 0) + len(digits)
    return counts
