"""The inventory against the answers: who is missing, and who is there unexpectedly.

What belongs together is told together: a server of which nothing answered, a worker of which no instance answered,
and single instances only beyond that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from check_celery_workers.inventory import Demand, Inventory
from check_celery_workers.node import Worker, join, number, numbers
from check_celery_workers.pattern import Pattern, PatternIndex
from check_celery_workers.status import Answers


class Tally:
    """Workers that are missing, or that are unexpected: how many, and the findings that account for them.

    count: the workers
    servers: whole servers, each with its number of workers
    workers: all instances of a worker, with their number
    nodes: single instances, as a worker and some of its indexes
    pairs: two node names of which one is meant, and nobody can know which
    patterns: patterns with the number of workers that matched and that of workers too few or too many
    """

    __slots__ = ("count", "nodes", "pairs", "patterns", "servers", "workers")

    def __init__(self) -> None:
        self.count = 0
        self.servers: dict[str, int] = {}
        self.workers: list[tuple[Worker, int]] = []
        self.nodes: list[tuple[Worker, Sequence[int] | Sequence[str]]] = []
        self.pairs: list[tuple[str, str]] = []
        self.patterns: list[tuple[Pattern, int, int]] = []

    @property
    def findings(self) -> int:
        """How many findings account for them."""
        nodes = sum(len(indexes) for _, indexes in self.nodes)
        return len(self.servers) + len(self.workers) + nodes + len(self.pairs) + len(self.patterns)

    def add_server(self, server: str, count: int) -> None:
        """Count workers of a server that is told as a whole."""
        self.count += count
        self.servers[server] = self.servers.get(server, 0) + count

    def add_worker(self, worker: Worker, count: int) -> None:
        """Count a worker that is told as a whole."""
        self.count += count
        self.workers.append((worker, count))

    def add_nodes(self, worker: Worker, indexes: Sequence[int] | Sequence[str]) -> None:
        """Count single instances of a worker."""
        self.count += len(indexes)
        self.nodes.append((worker, indexes))

    def add_pair(self, one: str, other: str) -> None:
        """Count one worker, which has one of two names."""
        self.count += 1
        self.pairs.append((one, other))

    def add_pattern(self, pattern: Pattern, matched: int, count: int) -> None:
        """Count workers that a pattern has too few or too many of."""
        self.count += count
        self.patterns.append((pattern, matched, count))


class Comparison:
    """The inventory against the answers.

    expected: how many workers must be there, of patterns the least number
    present: how many of those that must or may be there answered
    servers: on how many servers these are
    online: how many node names answered
    missing, unexpected: see Tally
    malfunctioning: node names, each with what is wrong with it
    duplicates: node names that more than one worker answers to
    """

    __slots__ = ("duplicates", "expected", "malfunctioning", "missing", "online", "present", "servers", "unexpected")

    def __init__(self, expected: int, answers: Answers) -> None:
        self.expected = expected
        self.present = 0
        self.servers: set[str] = set()
        self.online = len(answers)
        self.missing = Tally()
        self.unexpected = Tally()
        self.malfunctioning = answers.malfunctioning
        self.duplicates = set(answers.duplicates)


def compare(inventory: Inventory, answers: Answers, ignore: PatternIndex) -> Comparison:
    """Return the comparison; workers that match one of the patterns to ignore are never unexpected."""
    comparison = Comparison(inventory.size, answers)
    spare = _Spare(answers.workers, inventory)
    _compare_fixed(comparison, inventory, answers, spare)
    if inventory.patterns:
        _compare_patterns(comparison, inventory, spare, ignore)
    if ignore:
        spare.take(ignore)
    spare.tell(comparison.unexpected)
    return comparison


def _compare_fixed(comparison: Comparison, inventory: Inventory, answers: Answers, spare: _Spare) -> None:
    """Find what is missing of the fixed forms; what of their workers answered beyond that is spare."""
    silent = []
    for worker, demand in inventory.workers.items():
        digits = answers.workers.get(worker)
        if digits:
            _compare_worker(comparison, worker, demand, digits, spare)
        else:
            silent.append((worker, demand))
    answered_servers = {server for _, server in answers.workers} if silent else set()
    for worker, demand in silent:
        if worker[1] not in answered_servers:
            comparison.missing.add_server(worker[1], demand.size)
        elif demand.size > 1:
            comparison.missing.add_worker(worker, demand.size)
        else:
            _compare_worker(comparison, worker, demand, set(), spare)


def _compare_worker(comparison: Comparison, worker: Worker, demand: Demand, digits: set[str], spare: _Spare) -> None:
    indexes = numbers(digits)
    if len(indexes) == len(digits) and demand.is_met(indexes):
        comparison.present += demand.size
        comparison.servers.add(worker[1])
        return
    gaps, left = _match(demand.numbered(indexes), sorted(indexes))
    if demand.undecided(indexes):
        if 0 in indexes:
            spare.either[worker] = demand.count
        else:
            comparison.missing.add_pair(join(worker, 0), join(worker, demand.count))
            gaps = [(start or 1, stop) for start, stop in gaps]
    for start, stop in gaps:
        comparison.missing.add_nodes(worker, range(start, stop))
    if left:
        spare.workers[worker] = [own for own in digits if number(own) in left]
    if len(indexes) < len(digits):
        comparison.duplicates.update(join(worker, index) for index in _repeated(digits))
    if len(indexes) > len(left):
        comparison.present += len(indexes) - len(left)
        comparison.servers.add(worker[1])


def _match(spans: list[tuple[int, int]], indexes: list[int]) -> tuple[list[tuple[int, int]], set[int]]:
    """Return the spans of expected indexes that did not answer, and the indexes that answered outside of every span."""
    gaps = []
    left: set[int] = set()
    place = 0
    for start, stop in spans:
        begin = bisect_left(indexes, start, place)
        end = bisect_left(indexes, stop, begin)
        left.update(indexes[place:begin])
        if end - begin < stop - start:
            following = start
            for index in indexes[begin:end]:
                if index > following:
                    gaps.append((following, index))
                following = index + 1
            if following < stop:
                gaps.append((following, stop))
        place = end
    left.update(indexes[place:])
    return gaps, left


def _repeated(digits: Iterable[str]) -> Iterator[int]:
    """Yield the indexes that come more than once: `w-1` and `w-01` are one to whoever expects them."""
    seen = set()
    for index in map(number, digits):
        if index in seen:
            yield index
        seen.add(index)


def _compare_patterns(comparison: Comparison, inventory: Inventory, spare: _Spare, ignore: PatternIndex) -> None:
    """Let the patterns take what they match of what is spare; find what is missing or too many of each."""
    taken = spare.take(PatternIndex(inventory.patterns.values()))
    for pattern in inventory.patterns.values():
        nodes = taken.get(pattern, [])
        matched = len(nodes)
        if matched < pattern.low:
            comparison.missing.add_pattern(pattern, matched, pattern.low - matched)
        elif pattern.high is not None and matched > pattern.high:
            # The ignored ones count up to what may be there, and are never too many.
            noticed = sum(not ignore.first(node) for node in nodes)
            if noticed > pattern.high:
                comparison.unexpected.add_pattern(pattern, noticed, noticed - pattern.high)
            matched = pattern.high
        comparison.present += matched
        comparison.servers.update(node.partition("@")[2] for node in nodes)


class _Spare:
    """The answers that nothing laid claim to yet.

    workers: the indexes of each, in digits as the worker wrote them
    either: workers of which index 0 or this one is spare, and nobody can know which; it stands under this one
    """

    def __init__(self, answered: dict[Worker, set[str]], inventory: Inventory) -> None:
        self._answered = answered
        self._expected = inventory.workers
        self.workers: dict[Worker, Collection[str]] = {
            worker: indexes for worker, indexes in answered.items() if worker not in inventory.workers
        }
        self.either: dict[Worker, int] = {}

    def take(self, patterns: PatternIndex) -> dict[Pattern, list[str]]:
        """Take away the workers that match one of the patterns; return their node names by pattern."""
        taken: dict[Pattern, list[str]] = {}
        for worker, indexes in list(self.workers.items()):
            rest = []
            for digits in indexes:
                node = join(worker, digits)
                pattern = patterns.first(node)
                if not pattern and number(digits) == self.either.get(worker):
                    pattern = patterns.first(join(worker, 0))
                if pattern:
                    taken.setdefault(pattern, []).append(node)
                else:
                    rest.append(digits)
            self.workers[worker] = rest
        return taken

    def tell(self, unexpected: Tally) -> None:
        """Tally what is left."""
        if not self.workers:
            return
        expected_servers = {server for _, server in self._expected}
        answered = _count_by_server(self._answered)
        left = _count_by_server(self.workers)
        for worker, indexes in self.workers.items():
            server = worker[1]
            if not indexes:
                continue
            if left[server] == answered[server] and server not in expected_servers:
                unexpected.add_server(server, len(indexes))
            elif len(indexes) == len(self._answered[worker]) > 1 and worker not in self._expected:
                unexpected.add_worker(worker, len(indexes))
            elif worker in self.either:
                self._tell_either(unexpected, worker, indexes)
            else:
                unexpected.add_nodes(worker, list(indexes))

    def _tell_either(self, unexpected: Tally, worker: Worker, indexes: Collection[str]) -> None:
        either = self.either[worker]
        sure = [digits for digits in indexes if number(digits) != either]
        if len(sure) < len(indexes):
            unexpected.add_pair(join(worker, 0), join(worker, either))
        unexpected.add_nodes(worker, sure)


def _count_by_server(workers: Mapping[Worker, Collection[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (_, server), indexes in workers.items():
        counts[server] = counts.get(server, 0) + len(indexes)
    return counts
