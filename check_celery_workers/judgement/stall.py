"""Who is offered work and starts none, told from the looks alone.

A worker is under suspicion if work waits for it (messages in a queue that it consumes from, or tasks that it holds) and
it runs none. Any sign of life clears it. Whoever is still under suspicion after --stall-limit stalls.

    look 1    runs none, has started 7 in all, 3 wait in emails    under suspicion
    look 2    runs none, has started 7 in all, 4 wait in emails    still
    look 3    runs none, has started 8 in all, 4 wait in emails    cleared
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from check_celery_workers.judgement.finding import Cause, Comparison
from check_celery_workers.replies.inquiry import Look
from check_celery_workers.replies.item import Item, Queue, Stats
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, RESERVED, STATS

# Queues by the node names of the workers that consume from them.
Consumed = Mapping[str, Collection[Queue]]


class Sight:
    """What one worker showed in one look.

    runs: whether it runs a task; held: the tasks that it has fetched and not started
    total, pid: of its `stats`, None if that is not known
    """

    __slots__ = ("held", "pid", "runs", "total")

    def __init__(self, runs: bool, held: Collection[Item], stats: Stats | None) -> None:
        self.runs, self.held = runs, frozenset(held)
        self.total, self.pid = (stats.total, stats.pid) if stats else (None, None)

    @classmethod
    def of(cls, node: str, look: Look) -> Sight | None:
        """Return what the worker showed, None if it was silent, or nobody asked it."""
        active, reserved, stats = (look.replies.told.get(one, {}).get(node) for one in (ACTIVE, RESERVED, STATS))
        if active is None or reserved is None:
            return None
        known = [item for item in stats or () if isinstance(item, Stats)]
        return cls(bool(active), reserved, known[-1] if known else None)

    def shows_life_after(self, before: Sight) -> bool:
        """Return whether a task was started, fetched or taken off since then, or the worker itself was started."""
        taken, fetched = before.held - self.held, self.held and not before.held
        pairs = ((before.total, self.total), (before.pid, self.pid))
        return bool(taken or fetched) or any(None not in pair and pair[0] != pair[1] for pair in pairs)


def suspects(looks: Sequence[Look], consumed: Consumed) -> dict[str, Collection[Queue]]:
    """Return the workers that show no sign of life in these looks though work waits for them, with its queues.

    looks: the first is at everybody, each later one at least at the suspects of the looks before it
    consumed: the queues from which each worker should get messages if any wait there

    A worker that is silent in a look is neither cleared nor accused by that. It, and one that does not say how many
    tasks it has started, may have started what is gone from its queues since the look before.
    """
    sights = {node: [Sight.of(node, look) for look in looks] for node in consumed}
    alive = {node for node, seen in sights.items() if _is_alive(seen)}
    # Nobody has started what is gone from these, so tasks expired there or were revoked.
    lost = set[str]()
    for place, shorter in enumerate(_shorter(looks)):
        for node, queues in consumed.items() if shorter else ():
            pair = sights[node][place : place + 2]
            if node in alive or any(sight is None or sight.total is None for sight in pair):
                shorter.difference_update(queues)
        lost |= shorter
    found: dict[str, Collection[Queue]] = {}
    for node, queues in consumed.items():
        waiting = [queue for queue in queues if looks[0].replies.lengths.get(queue) and queue not in lost]
        if node not in alive and _has_work(looks, sights[node], waiting):
            found[node] = waiting
    return found


def _is_alive(sights: Sequence[Sight | None]) -> bool:
    seen = [sight for sight in sights if sight]
    pairs = zip(seen, seen[1:])
    return any(sight.runs for sight in seen) or any(later.shows_life_after(before) for before, later in pairs)


def _shorter(looks: Sequence[Look]) -> Iterator[set[str]]:
    """Yield for each look but the first the queues that were shorter than in the one before."""
    lengths = [look.replies.lengths for look in looks]
    for before, later in zip(lengths, lengths[1:]):
        yield {queue for queue in later if (later[queue] or 0) < (before.get(queue) or 0)}


def _has_work(looks: Sequence[Look], sights: Sequence[Sight | None], queues: Collection[str]) -> bool:
    """Return whether work waited for a worker whenever it was seen; if it never was, whenever somebody looked."""
    seen = [(look, sight) for look, sight in zip(looks, sights) if sight or not any(sights)]
    return all((sight and sight.held) or any(map(look.replies.lengths.get, queues)) for look, sight in seen)


def watched(comparison: Comparison, looks: Sequence[Look]) -> dict[str, Collection[Queue]]:
    """Return those among the suspects that something expects."""
    told = comparison.replies.told.get(ACTIVE_QUEUES, {})
    consumed = {
        node: [item for item in items if isinstance(item, Queue) and not item.takes_turns]
        for node, items in told.items()
    }
    return {node: queues for node, queues in suspects(looks, consumed).items() if comparison.claimed(node)}


def stalled(comparison: Comparison) -> Iterator[tuple[str, Cause]]:
    """Yield the nodes that stall, with the cause; note those of which nobody can know."""
    looks, limit = comparison.inquiry.looks, comparison.inventory.stall_limit
    if not looks or limit is None:
        return
    for node, queues in watched(comparison, looks).items():
        sights = [Sight.of(node, look) for look in looks[1:]]
        seen = [look.when for look, sight in zip(looks[1:], sights) if sight and sight.total is not None]
        if seen and seen[-1] - seen[0] >= limit:
            yield node, _cause(limit, looks[-1], sights[-1], queues)
        elif len(seen) < len(sights):
            comparison.fell_silent.append(node)
        else:
            comparison.watched_still.append(node)


def _cause(limit: float, look: Look, sight: Sight | None, queues: Collection[Queue]) -> Cause:
    if sight and sight.held:
        return Cause(Cause.STARTS_NO_HELD, limit, len(sight.held))
    lengths = {queue.known_as: look.replies.lengths.get(queue) for queue in queues}
    return Cause(Cause.STARTS_NONE, limit, {queue: length for queue, length in lengths.items() if length})
