"""What of the inventory is still awaited while replies come."""

from __future__ import annotations

from collections.abc import Mapping

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.expected.limits import Limit
from check_celery_workers.node import BEAT, Group, index_of, node_name
from check_celery_workers.pattern import first_match


class Awaited:
    """The expected workers and beats that have not replied yet, and the queues that lack consumers.

    Each reply costs the same, however large the fleet: where replies come one by one, comparing anew for each of them
    would take as long as the fleet is large, each time.
    """

    def __init__(self, inventory: Inventory, beats: bool = True) -> None:
        """Await the workers; and the beats, unless they would not answer what is asked."""
        self._inventory = inventory
        self.expected = self._missing = inventory.size if beats else inventory.least_workers
        self.replied = 0
        self._is_spoilt = False
        self._groups, self._queues = inventory.groups, inventory.queues
        self._patterns, self._beats = _Tally(inventory.patterns), _Tally(inventory.beats)
        self._seen: dict[Group, set[str]] = {}
        self._indexes: dict[Group, set[int]] = {}
        self._consumers: dict[str, set[str]] = {name: set() for name in inventory.queues}

    @property
    def missing(self) -> int:
        """How many expected workers, and consumers of queues, are missing still; 1 as long as nobody replied."""
        lacking = (limit.low - len(self._consumers[name]) for name, limit in self._queues.items())
        lacking_in_all = self._missing + sum(short for short in lacking if short > 0)
        return lacking_in_all or int(self._is_spoilt or not self.replied)

    def spoil(self) -> None:
        """Note that something was noticed that was no reply, so that nobody knows when it is enough."""
        self._is_spoilt = True

    def notice(self, group: Group, digits: str) -> None:
        """Note a node that replied, maybe not for the first time."""
        seen = self._seen.setdefault(group, set())
        if digits in seen:
            return
        seen.add(digits)
        self.replied += 1
        if (self._inventory.beats or group[0] == BEAT) and self._inventory.is_beat(node_name(group, digits)):
            self._missing -= self._beats.brings(node_name(group, digits))
            return
        demand = self._groups.get(group)
        index = index_of(digits)
        if demand and demand.owns(index):
            replied = self._indexes.setdefault(group, set())
            self._missing -= demand.brings(index, replied)
            replied.add(index)
        elif self._inventory.patterns:
            self._missing -= self._patterns.brings(node_name(group, digits))

    def hear(self, node: str, item: object) -> None:
        """Note something that a node listed: the name of a queue counts, unless the node does not."""
        if not self._consumers or (self._inventory.ignores(node) and not self._inventory.may_expect(node)):
            return
        for name in {item, getattr(item, "known_as", None)}:
            if name in self._consumers:
                self._consumers[name].add(node)


class _Tally:
    """Counts the nodes of which each of some patterns is the first that matches."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = list(limits.values())
        self._find = first_match(limits)
        self._matched = [0] * len(limits)

    def brings(self, node: str) -> bool:
        """Count a node; return whether fewer are missing then."""
        place = self._find(node)
        if place is None:
            return False
        self._matched[place] += 1
        return self._matched[place] <= self._limits[place].low
