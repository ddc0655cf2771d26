"""Who is offered work and starts none: small scenes, and what holds in any fleet that is watched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.compare import compare
from check_celery_workers.judgement.finding import Comparison
from check_celery_workers.judgement.stall import stalled, suspects, watched
from check_celery_workers.node import split_node
from check_celery_workers.replies.inquiry import Inquiry, Look
from check_celery_workers.replies.item import Queue, SpecialQueue, Stats, Task
from check_celery_workers.replies.output import Replies
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, RESERVED, STATS


class Shows(NamedTuple):
    """What a worker shows in a look: which tasks it runs and holds, a letter each, and what it says of itself."""

    runs: str = ""
    holds: str = ""
    total: int | None = 7
    pid: int | None = 300


class Seen(NamedTuple):
    """A look: how many messages wait in each queue, and what each worker shows, None if it is silent."""

    lengths: Mapping[str, int | None]
    workers: Mapping[str, Shows | None]


def replies_of(seen: Seen) -> Replies:
    """Return what is replied in a look."""
    replies = Replies()
    replies.lengths = dict(seen.lengths)
    for node, shown in seen.workers.items():
        if shown is None:
            continue
        replies.tell(ACTIVE, node, *(Task("shop.pay", 1.6e9, letter) for letter in shown.runs))
        replies.tell(RESERVED, node, *(Task("shop.pay", None, letter) for letter in shown.holds))
        if (shown.total, shown.pid) != (None, None):
            replies.tell(STATS, node, Stats(shown.total, shown.pid))
    return replies


def looks_of(every: Sequence[Seen]) -> list[Look]:
    """Return the looks, one second between two of them."""
    return [Look(float(second), replies_of(seen)) for second, seen in enumerate(every)]


IDLE = Shows()
# Of a worker that was not asked for it, or said what cannot be read.
UNTOLD = Shows(total=None, pid=None)


def w(*shown: Shows | None, waiting: Sequence[int | None] = (), gone: bool = False) -> list[Seen]:
    """Return looks at the worker `w`, which consumes from `mail`, where as many wait each time, by default 3."""
    lengths = waiting or [3] * len(shown)
    return [Seen({} if gone else {"mail": length}, {"w": one}) for one, length in zip(shown, lengths)]


def all_from_mail(seen: Sequence[Seen]) -> dict[str, list[Queue]]:
    return {node: [Queue("mail")] for node in seen[0].workers}


def w_and_v(*shown: tuple[Shows | None, Shows | None], waiting: Sequence[int]) -> list[Seen]:
    """Return looks at the workers `w` and `v`, both of which consume from `mail`."""
    return [Seen({"mail": length}, {"w": one, "v": other}) for (one, other), length in zip(shown, waiting)]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(w(Shows(runs="a")), id="it runs a task at the first look"),
        pytest.param(w(IDLE, Shows(runs="a")), id="it runs a task at a later look"),
        pytest.param(w(IDLE, Shows(runs="a"), IDLE), id="it ran a task in between"),
        pytest.param(w(Shows(runs="a", holds="b")), id="it runs a task and holds another"),
        pytest.param(w(IDLE, Shows(total=8)), id="it has started one more"),
        pytest.param(w(UNTOLD, IDLE, Shows(total=8)), id="it has started one more since it first said how many"),
        pytest.param(w(IDLE, IDLE, Shows(total=8), Shows(total=8)), id="it has started one, and then no more"),
        pytest.param(w(IDLE, Shows(total=0)), id="it counts from 0 again"),
        pytest.param(w(IDLE, Shows(pid=301)), id="it is another process"),
        pytest.param(w(IDLE, Shows(total=None, pid=301)), id="it is another process, and does not say how many"),
        pytest.param(w(Shows(holds="ab"), Shows(holds="b")), id="it no longer holds one of its tasks"),
        pytest.param(w(Shows(holds="ab"), Shows(holds="bc")), id="it holds another in place of one"),
        pytest.param(w(Shows(holds="a"), IDLE), id="it no longer holds its only task"),
        pytest.param(w(IDLE, Shows(holds="a")), id="it has fetched its first task"),
        pytest.param(w(IDLE, None, Shows(holds="a")), id="it has fetched its first task and was silent in between"),
        pytest.param(w(IDLE, None, Shows(total=8)), id="it has started one and was silent in between"),
        pytest.param(w(IDLE, waiting=[0]), id="nothing waits at the first look"),
        pytest.param(w(IDLE, IDLE, waiting=[3, 0]), id="nothing waits any more"),
        pytest.param(w(IDLE, IDLE, IDLE, waiting=[3, 0, 9]), id="nothing waited in between"),
        pytest.param(w(IDLE, IDLE, waiting=[0, 9]), id="nothing waited at first"),
        pytest.param(
            w_and_v((IDLE, Shows(runs="a")), (IDLE, None), waiting=[3, 0]),
            id="nothing waits any more, since another works",
        ),
        pytest.param(
            w_and_v((IDLE, Shows(runs="a")), (IDLE, None), (IDLE, None), waiting=[3, 0, 9]),
            id="nothing waited in between, since another works",
        ),
        pytest.param(w(IDLE, IDLE, waiting=[None, None]), id="its queue does not exist"),
        pytest.param(w(IDLE, IDLE, waiting=[3, None]), id="its queue was deleted"),
        pytest.param(w(IDLE, IDLE, gone=True), id="its queue cannot be measured"),
        pytest.param(w(IDLE, IDLE, IDLE, waiting=[4, 4, 3]), id="its queue is shorter, and it is the only consumer"),
        pytest.param(
            w(IDLE, IDLE, IDLE, IDLE, waiting=[4, 4, 3, 9]), id="its queue was shorter once, and is longer than ever"
        ),
        pytest.param(
            w_and_v((IDLE, IDLE), (IDLE, IDLE), (IDLE, IDLE), waiting=[4, 4, 3]),
            id="its queue is shorter, and no other consumer started a task",
        ),
        pytest.param(
            w_and_v((IDLE, IDLE), (IDLE, IDLE), (IDLE, IDLE), (None, None), (IDLE, IDLE), waiting=[4, 4, 3, 3, 3]),
            id="nor is it under suspicion again because nobody looked at it then",
        ),
    ],
)
def test_a_sign_of_life_clears(seen: list[Seen]) -> None:
    assert "w" not in suspects(looks_of(seen), all_from_mail(seen))


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(w(IDLE), id="messages wait at the first look"),
        pytest.param(w(IDLE, IDLE, IDLE), id="messages wait at every look"),
        pytest.param(w(IDLE, IDLE, IDLE, waiting=[3, 4, 9]), id="its queue grows"),
        pytest.param(w(Shows(holds="a"), waiting=[0]), id="it holds a task at the first look"),
        pytest.param(w(Shows(holds="ab"), Shows(holds="ab"), waiting=[0, 0]), id="it holds the same tasks"),
        pytest.param(w(Shows(holds="ab"), Shows(holds="ba"), waiting=[0, 0]), id="it holds them in another order"),
        pytest.param(w(Shows(holds="a"), Shows(holds="ab")), id="it holds one more"),
        pytest.param(w(Shows(holds="a"), Shows(holds="ab"), waiting=[3, 0]), id="it has fetched the last that waited"),
        pytest.param(w(Shows(holds="a"), Shows(holds="a"), gone=True), id="it holds a task, its queue is not measured"),
        pytest.param(w(Shows(holds="a"), Shows(holds="a"), waiting=[3, None]), id="it holds a task, its queue is gone"),
        pytest.param(w(UNTOLD, IDLE, IDLE), id="it was not asked at first how many it has started"),
        pytest.param(w(IDLE, UNTOLD, IDLE), id="it does not say once how many it has started"),
        pytest.param(w(UNTOLD, UNTOLD), id="it never says how many it has started"),
        pytest.param(w(Shows(pid=None), Shows(pid=301)), id="it did not say at first which process it is"),
        pytest.param(w(Shows(total=None), Shows(total=7)), id="it did not say at first how many, but which process"),
        pytest.param(w(IDLE, None), id="it is silent"),
        pytest.param(w(IDLE, None, IDLE), id="it was silent in between"),
        pytest.param(w(IDLE, None, IDLE, waiting=[3, 0, 3]), id="nothing waited while it was silent"),
        pytest.param(w(Shows(holds="a"), None, Shows(holds="a"), waiting=[0, 0, 0]), id="it was silent with its task"),
        pytest.param(w(None), id="it was silent at the first look"),
        pytest.param(w(None, IDLE), id="it was silent at the first look alone"),
        pytest.param(w(None, None), id="it was never heard"),
        pytest.param(
            w_and_v((IDLE, Shows(runs="a")), (IDLE, None), (IDLE, None), waiting=[9, 7, 5]),
            id="another runs a task, whose queue gets shorter",
        ),
        pytest.param(
            w_and_v((IDLE, IDLE), (IDLE, IDLE), (IDLE, Shows(total=8)), waiting=[9, 9, 8]),
            id="another has started what is gone",
        ),
        pytest.param(
            w_and_v((IDLE, IDLE), (IDLE, IDLE), (IDLE, Shows(holds="a")), waiting=[9, 9, 8]),
            id="another has fetched what is gone",
        ),
        pytest.param(
            w_and_v((IDLE, IDLE), (IDLE, IDLE), (IDLE, None), waiting=[9, 9, 8]),
            id="another was silent, which may have started what is gone",
        ),
        pytest.param(
            w_and_v((UNTOLD, UNTOLD), (IDLE, IDLE), waiting=[9, 8]),
            id="nobody was asked before whether another has started what is gone",
        ),
        pytest.param(
            w_and_v((IDLE, UNTOLD), (IDLE, UNTOLD), waiting=[9, 8]),
            id="another does not say whether it has started what is gone",
        ),
    ],
)
def test_what_is_no_sign_of_life_does_not_clear(seen: list[Seen]) -> None:
    assert "w" in suspects(looks_of(seen), all_from_mail(seen))


def test_half_an_answer_is_none() -> None:
    looks = looks_of(w(Shows(holds="a"), IDLE, Shows(holds="a")))
    for question in (ACTIVE, RESERVED):
        del looks[1].replies.told[question]
        assert set(suspects(looks, {"w": [Queue("mail")]})) == {"w"}
        looks[1].replies.tell(question, "w")
    assert suspects(looks, {"w": [Queue("mail")]}) == {}


def test_a_suspect_has_the_queues_in_which_its_work_waits() -> None:
    consumed = {"w": [*map(Queue, ("mail", "bulk", "slow", "gone"))], "v": [Queue("slow")]}
    lengths = {"mail": 1, "bulk": 0, "slow": 2, "gone": None, "other": 5}
    seen = [Seen(lengths, {"w": IDLE, "v": Shows(runs="a")}), Seen(lengths, {"w": IDLE})]
    assert suspects(looks_of(seen), consumed) == {"w": ["mail", "slow"]}
    held = [Seen({"mail": 0}, {"w": Shows(holds="a")})]
    assert suspects(looks_of(held), consumed) == {"w": []}


def test_work_that_waits_in_another_queue_each_time_is_work() -> None:
    every = [{"mail": 1, "bulk": 1}, {"mail": 1, "bulk": 0}]
    consumed = {"w": [Queue("mail"), Queue("bulk")]}
    assert set(suspects(looks_of([Seen(lengths, {"w": IDLE}) for lengths in every]), consumed)) == {"w"}


def test_what_is_lost_from_one_queue_says_nothing_of_another() -> None:
    every = [{"mail": 9, "bulk": 9}, {"mail": 8, "bulk": 9}]
    consumed = {"w": [Queue("mail"), Queue("bulk")]}
    assert suspects(looks_of([Seen(lengths, {"w": IDLE}) for lengths in every]), consumed) == {"w": ["bulk"]}


def test_the_last_message_of_a_queue_may_be_lost_as_well() -> None:
    every = [{"mail": 1, "bulk": 9}, {"mail": 0, "bulk": 9}, {"mail": 5, "bulk": 9}]
    consumed = {"w": [Queue("mail"), Queue("bulk")]}
    assert suspects(looks_of([Seen(lengths, {"w": IDLE}) for lengths in every]), consumed) == {"w": ["bulk"]}
    # Somebody may have started it if not all said before how many they have; and an empty queue does not lose any.
    first, *later = every[0], every[1], every[1], every[2]
    seen = [Seen(first, {"w": UNTOLD}), *(Seen(lengths, {"w": IDLE}) for lengths in later)]
    assert suspects(looks_of(seen), consumed) == {"w": ["mail", "bulk"]}


def comparison_of(
    expected: Collection[str],
    consumed: Mapping[str, Collection[Queue]],
    looks: Sequence[Look],
    *,
    ignored: Sequence[str] = (),
    limit: float = 2.0,
) -> Comparison:
    """Return the comparison of these workers with those expected, after a watch of which these are the looks."""
    inventory = Inventory(None, ignored, {})
    for text in expected:
        inventory.expect(text)
    inventory.stall_limit = limit
    inquiry = Inquiry()
    replies = Replies()
    for node, queues in consumed.items():
        group, digits = split_node(node)
        replies.groups.setdefault(group, set()).add(digits)
        replies.count += 1
        replies.tell(ACTIVE_QUEUES, node, *queues)
    inquiry.replies = replies
    inquiry.looks = [*looks]
    return compare(Comparison(inventory, inquiry))


def test_of_a_single_active_consumer_nobody_knows_whose_turn_it_is() -> None:
    turns = SpecialQueue("mail", "", takes_turns=True)
    looks = looks_of([Seen({"mail": 3}, {"w@a": IDLE, "v@a": Shows(holds="a"), "u@a": IDLE})])
    consumed = {"w@a": [turns], "v@a": [turns], "u@a": [SpecialQueue("mail", "post", takes_turns=False)]}
    assert watched(comparison_of(["*@a=3"], consumed, looks), looks) == {"v@a": [], "u@a": ["mail"]}


def test_who_is_not_expected_is_not_watched() -> None:
    looks = looks_of([Seen({"mail": 3}, {"w@a": IDLE, "v@a": IDLE, "u@a": IDLE, "t@a": IDLE})])
    consumed = {node: [Queue("mail")] for node in ("w@a", "v@a", "u@a")}
    assert set(watched(comparison_of(["w@a"], consumed, looks, ignored=["v@*"]), looks)) == {"w@a"}


class Message(NamedTuple):
    """A task in a queue.

    takes: for how many looks it is seen to run; 0: it is over before anybody looks
    expired: whoever fetches it throws it away
    """

    number: int
    takes: int
    expired: bool


@dataclass
class Worker:
    """A worker of the world. It fetches up to `prefetch` tasks, and starts one after the other.

    kind: "healthy"; "solo", which is silent while it runs a task; "deaf", which fetches nothing; "hung", which starts
        nothing
    """

    name: str
    kind: str
    queues: list[str]
    prefetch: int
    tells_total: bool
    held: list[Message] = field(default_factory=list)
    left: int = 0  # for how many looks it is still seen to run its task
    total: int = 0
    started_before: set[int] = field(default_factory=set)  # the looks since the one before which it started a task
    fetched_before: int = -1  # the last look before which it held nothing, and fetched something

    def take_turn(self, queues: Mapping[str, list[Message]], look: int) -> None:
        """Do what it can before this look."""
        self.left = max(0, self.left - 1)
        for _ in range(3):
            self._fetch(queues, look)
            if self.kind in {"deaf", "hung"} or self.left or not self.held:
                return
            message = self.held.pop(0)
            if not message.expired:
                self.total += 1
                self.left = message.takes
                self.started_before.add(look)

    def _fetch(self, queues: Mapping[str, list[Message]], look: int) -> None:
        waiting = [] if self.kind == "deaf" else [queues[name] for name in self.queues if queues[name]]
        if waiting and not self.held:
            self.fetched_before = look
        for queue in waiting:
            while queue and len(self.held) < self.prefetch:
                self.held.append(queue.pop(0))

    def shows(self, asks_stats: bool) -> Shows | None:
        """Return what it answers now."""
        if self.kind == "solo" and self.left:
            return None
        holds = "".join(chr(1000 + message.number) for message in self.held)
        shown = Shows("a" * bool(self.left), holds, self.total)
        return shown if asks_stats and self.tells_total else shown._replace(total=None, pid=None)


@dataclass
class World:
    """A fleet with its queues, what is put into them before each look, and who is silent in which look."""

    workers: list[Worker]
    queues: dict[str, list[Message]]
    produced: list[dict[str, list[Message]]]
    silent: set[tuple[str, int]]
    expected: list[str]
    asks_stats_first: bool
    seen: list[Seen] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The look with which the watch ends."""
        return len(self.produced) - 1

    def watch(self) -> Comparison:
        """Let it live on from look to look, at those who are under suspicion then; return what came of that."""
        consumed = {worker.name: [*map(Queue, worker.queues)] for worker in self.workers}
        under_suspicion: Collection[str] = consumed
        for look, produced in enumerate(self.produced):
            for name, messages in produced.items():
                self.queues[name] += messages
            for worker in self.workers:
                worker.take_turn(self.queues, look)
            self.seen.append(self._look(look, under_suspicion))
            looks = looks_of(self.seen)
            comparison = comparison_of(
                self.expected, consumed, looks, ignored=["*@ignored"], limit=float(self.last - 1)
            )
            under_suspicion = watched(comparison, looks)
            if not under_suspicion:
                break
        return comparison

    def _look(self, look: int, nodes: Collection[str]) -> Seen:
        shown = {
            worker.name: worker.shows(look > 0 or self.asks_stats_first)
            for worker in self.workers
            if worker.name in nodes and (worker.name, look) not in self.silent
        }
        return Seen({name: len(messages) for name, messages in self.queues.items()}, shown)

    def shown_by(self, worker: Worker) -> dict[int, Shows]:
        """Return what a worker showed, by the looks in which it did."""
        shown = ((look, seen.workers.get(worker.name)) for look, seen in enumerate(self.seen))
        return {look: one for look, one in shown if one}

    def shorter(self, queue: str) -> list[int]:
        """Return the looks in which a queue was shorter than in the one before, and all its consumers told enough.

        Enough to know whether they had started a task: how many in all, then and before.
        """
        consumers = [self.shown_by(worker) for worker in self.workers if queue in worker.queues]
        lengths = [seen.lengths[queue] or 0 for seen in self.seen]
        told = [{look for look, one in shown.items() if one.total is not None} for shown in consumers]
        return [
            look
            for look in range(1, len(lengths))
            if lengths[look] < lengths[look - 1] and all({look - 1, look} <= own for own in told)
        ]


QUEUES = ("mail", "bulk")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    numbers = iter(range(10_000))
    looks = draw(st.integers(3, 7))
    queues: dict[str, list[Message]] = {}
    produced: list[dict[str, list[Message]]] = [{} for _ in range(looks)]
    for name in QUEUES:
        takes = draw(st.integers(0, 3))
        expired = draw(st.sampled_from([[False], [False], [True], [True, False], [True, True, False]]))
        rates = draw(st.lists(st.integers(0, 4), min_size=looks, max_size=looks))
        for count, messages in (
            (draw(st.integers(0, 30)), queues.setdefault(name, [])),
            *((rate, one.setdefault(name, [])) for rate, one in zip(rates, produced)),
        ):
            messages += [Message(number := next(numbers), takes, expired[number % len(expired)]) for _ in range(count)]
    servers = draw(st.lists(st.sampled_from(["a", "a", "a", "a", "ignored", "unexpected"]), min_size=1, max_size=4))
    workers = [
        Worker(
            f"{letter}@{server}",
            draw(st.sampled_from(["healthy", "healthy", "healthy", "solo", "deaf", "deaf", "hung"])),
            draw(st.sampled_from([["mail"], ["bulk"], ["mail", "bulk"]])),
            draw(st.sampled_from([1, 1, 4])),
            draw(st.sampled_from([True, True, True, False])),
        )
        for letter, server in zip("tuvw", servers)
    ]
    silences = st.tuples(st.sampled_from([worker.name for worker in workers]), st.integers(0, looks - 1))
    silent = draw(st.sets(silences, max_size=3))
    expected = [worker.name for worker in workers if worker.name.endswith("@a")] or ["x@a"]
    return World(workers, queues, produced, silent, expected, draw(st.booleans()))


def must_be_accused(world: World, worker: Worker) -> bool:
    """Return whether it is deaf or hung, told enough at the first and the last look, and work waited throughout."""
    is_known = worker.name in world.expected and worker.tells_total
    if not is_known or not {1, world.last} <= set(world.shown_by(worker)):
        return False
    if worker.kind == "hung":
        # It has not fetched its first task while it was watched.
        return worker.fetched_before == 0
    return worker.kind == "deaf" and any(
        all(seen.lengths[queue] for seen in world.seen) and (is_worked_on(world, queue) or not world.shorter(queue))
        for queue in worker.queues
    )


def is_worked_on(world: World, queue: str) -> bool:
    """Return whether a consumer certainly shows that it starts tasks."""
    return any(queue in worker.queues and shows_work(world, worker) for worker in world.workers)


def shows_work(world: World, worker: Worker) -> bool:
    """Return whether it is seen to run a task, or says that it has started more than before."""
    shown = world.shown_by(worker)
    told = [look for look, one in shown.items() if one.total is not None]
    started = bool(told) and any(told[0] < look <= told[-1] for look in worker.started_before)
    return started or any(one.runs for one in shown.values())


def must_not_be_accused(world: World, worker: Worker) -> bool:
    """Return whether it is nobody's business, shows that it works, is not known well enough, or its tasks expire."""
    shown = world.shown_by(worker)
    is_known = worker.name in world.expected and worker.tells_total
    # Looks 1 to the last are as long as the limit.
    if not is_known or shows_work(world, worker) or not {1, world.last} <= set(shown):
        return True
    if worker.kind == "hung":
        return 0 in shown and worker.fetched_before > 0
    return not worker.held and all(is_lost(world, queue) for queue in worker.queues)


def is_lost(world: World, queue: str) -> bool:
    """Return whether the queue became shorter though none of its consumers showed any sign of life."""
    consumers = [worker for worker in world.workers if queue in worker.queues]
    held = (one.holds for worker in consumers for one in world.shown_by(worker).values())
    return bool(world.shorter(queue)) and not is_worked_on(world, queue) and not any(held)


def is_free_and_offered_work(world: World, worker: Worker) -> bool:
    """Return whether a healthy worker that is known well enough got a task to start while it was watched."""
    in_time = worker.started_before.intersection(range(2, world.last + 1))
    return worker.kind in {"healthy", "solo"} and bool(in_time)


@examples(1000)
@given(world=worlds())
def test_exactly_those_are_accused_who_are_offered_work_and_start_none(world: World) -> None:
    comparison = world.watch()
    accused = {node for node, _ in stalled(comparison)}
    for worker in world.workers:
        if must_be_accused(world, worker):
            assert worker.name in accused, f"{worker.name} is {worker.kind}, and was not accused"
        if must_not_be_accused(world, worker) or is_free_and_offered_work(world, worker):
            assert worker.name not in accused, f"{worker.name} is {worker.kind}, and was accused"
    # Nobody is both accused and not judged.
    assert accused.isdisjoint({*comparison.fell_silent, *comparison.watched_still})
