"""What is still to come before a text is enough, counted down reply by reply."""

from __future__ import annotations

from collections.abc import Iterable

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.node import Group, node_name, number
from check_celery_workers.pattern import first_match
from check_celery_workers.replies.body import Replies


class AwaitedInventory:
    """The expected workers that have not replied yet, and the queues that lack consumers.

    Each reply costs the same, however large the fleet: where replies come one by one, comparing anew for each of them
    would take as long as the fleet is large, each time.
    """

    def __init__(self, inventory: Inventory, replies: Replies) -> None:
        self.expected = inventory.size
        self._missing = inventory.size
        self._groups = inventory.groups
        self._limits = list(inventory.patterns.values())
        self._find = first_match(inventory.patterns)
        self._matched = [0] * len(self._limits)
        self._replied: dict[Group, set[int]] = {}
        self._queues = inventory.queues
        self._replies = replies

    @property
    def missing(self) -> int:
        """How many expected workers, and consumers of queues, are missing still; 1 as long as nobody replied."""
        lacking = (limit.low - len(self._replies.queues.get(name, ())) for name, limit in self._queues.items())
        return (self._missing + sum(short for short in lacking if short > 0)) or int(not self._replies.count)

    def notice(self, group: Group, digits: str) -> None:
        """Note a node that replied for the first time."""
        demand = self._groups.get(group)
        index = number(digits)
        if demand and demand.owns(index):
            replied = self._replied.setdefault(group, set())
            self._missing -= demand.brings(index, replied)
            replied.add(index)
        elif self._limits:
            place = self._find(node_name(group, digits))
            if place is not None:
                self._missing -= self._matched[place] < self._limits[place].low
                self._matched[place] += 1


class AwaitedNodes:
    """The nodes that have not answered to a second question yet."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self.nodes = set(nodes)
        self.expected = len(self.nodes)

    @property
    def missing(self) -> int:
        """How many nodes are missing still."""
        return len(self.nodes)

    def notice(self, group: Group, digits: str) -> None:
        """Note a node that answered."""
        self.nodes.discard(node_name(group, digits))
