"""A fleet that is changed at random, and the model of it that `truth` judges by.

with OnRedis(directory) as world:
    world.change(random.Random(1))    # "mail@b: stop the pool (5)"
    world.fleet.text("inspect", "ping")
    outcome(world.workers.values(), ...)

Each change returns when it shows in the fleet.
"""

from __future__ import annotations

import os
import random
import signal
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import kombu
from brokers import Broker, RabbitMQ, Redis
from celery import Celery  # type: ignore[import-untyped]
from fleet import CELERY, Fleet
from processes import wait_for
from proxy import Proxy
from truth import EXPECTED, LONG, MOST_HELD, NODES, SHARED, SHORT, Worker

# Tasks that run until the test removes a file, one for each worker; and no broker that closes the connection of a
# worker which is stopped for minutes.
SETTINGS = f"""
app.conf.broker_heartbeat = 0


def run_while_there(task, flag):
    note(task.name)
    while os.path.exists(os.path.join(FOLDER, flag)):
        time.sleep(0.05)


for name in ({LONG!r}, {SHORT!r}):
    app.task(bind=True, name=name)(run_while_there)
"""


class World(ABC):
    """All workers of NODES and what was done to each, as long as the context. Those of EXPECTED are up at first."""

    daemon: type[Broker]
    broker: Broker

    def __init__(
        self, directory: Path, celery: Sequence[str] = CELERY, environment: Mapping[str, str] | None = None
    ) -> None:
        """Take a directory for the broker, and a Celery as Fleet does."""
        self.broker = self.daemon(directory)
        self.workers = {node: Worker(node) for node in NODES}
        self.counts: Counter[str] = Counter()
        self._celery, self._environment = celery, environment
        self._stack = ExitStack()
        self.fleet: Fleet

    def __enter__(self) -> World:
        with ExitStack() as stack:
            url, settings = self._prepare(stack)
            application = Fleet(
                broker=url, celery=self._celery, settings=SETTINGS + settings, environment=self._environment
            )
            self.fleet = stack.enter_context(application)
            self._client = stack.enter_context(Celery(broker=self.broker.url))
            workers = [self.workers[node] for node in EXPECTED]
            with ThreadPoolExecutor(len(workers)) as pool:
                list(pool.map(self._begin, workers))
            for worker in workers:
                self._work_off(worker, 1)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def _prepare(self, stack: ExitStack) -> tuple[str, str]:
        """Start the broker; return the URL for the application, and further settings of it."""

    @abstractmethod
    def _length(self, queue: str) -> int:
        """Return how many messages wait in a queue."""

    @abstractmethod
    def _keep_messages_from(self, worker: Worker) -> None:
        """Let an idle worker get no message, though it goes on to consume."""

    @abstractmethod
    def _let_messages_through(self) -> None:
        """Let the worker get messages again."""

    @abstractmethod
    def _return_unfinished(self, worker: Worker) -> None:
        """Note what becomes of the tasks that a worker held which was killed."""

    def change(self, chance: random.Random) -> str:
        """Do something to one of the workers; return what."""
        possible = {
            name: able
            for name, change in CHANGES.items()
            if (able := [one for one in self.workers.values() if change.is_possible(self, one)])
        }
        # What was seldom done is likely, so that a short walk is a wide one.
        (name,) = chance.choices([*possible], [(1 + self.counts[name]) ** -2 for name in possible])
        worker = chance.choice(possible[name])
        number = chance.randint(1, MOST_HELD + 2)
        self.counts[name] += 1
        CHANGES[name].make(self, worker, number)
        return f"{worker.node}: {name} ({number})"

    @property
    def answering(self) -> int:
        return sum(one.answers for one in self.workers.values())

    def is_nobody_deaf(self) -> bool:
        return not any(one.is_deaf for one in self.workers.values())

    # The changes. The number is of messages.

    def start(self, worker: Worker, _number: int) -> None:
        # A pool process that has run a task is not replaced when it stops.
        count = worker.waiting + 1
        self._work_off(worker, count, already=worker.waiting, before=lambda: self._begin(worker))

    def _begin(self, worker: Worker) -> None:
        self.fleet.start(worker.node, pool="prefork", queues=(worker.queue, SHARED))
        worker.is_up, worker.consumed = True, {worker.queue, SHARED}

    def kill(self, worker: Worker, _number: int) -> None:
        self._flag(worker).unlink(missing_ok=True)
        self.fleet.kill(worker.node)
        if worker.is_deaf:
            self._let_messages_through()
        self._return_unfinished(worker)
        self.workers[worker.node] = Worker(worker.node, waiting=worker.waiting)
        self._wait_until_waiting(self.workers[worker.node])

    def stop(self, worker: Worker, _number: int) -> None:
        self.fleet.freeze(worker.node)
        worker.is_stopped = True
        wait_for(lambda: _hangs(self.fleet.pid(worker.node)), f"{worker.node} does not stop")

    def go_on(self, worker: Worker, _number: int) -> None:
        self.fleet.thaw(worker.node)
        worker.is_stopped = False
        wait_for(lambda: self._asked(worker).ping(), f"{worker.node} does not answer")
        self._wait_until_held(worker)

    def cancel(self, worker: Worker, number: int) -> None:
        for queue in sorted(worker.consumed)[: 1 + number % 2]:
            self.fleet.cancel_consumer(worker.node, queue)
            worker.consumed.remove(queue)

    def consume(self, worker: Worker, _number: int) -> None:
        for queue in {worker.queue, SHARED} - worker.consumed:
            self.fleet.add_consumer(worker.node, queue)
            worker.consumed.add(queue)

    def deafen(self, worker: Worker, number: int) -> None:
        self._keep_messages_from(worker)
        worker.is_deaf, worker.waiting = True, number
        self._send(worker, "proj.nap", number)
        self._wait_until_waiting(worker)

    def hear(self, worker: Worker, _number: int) -> None:
        worker.is_deaf = False
        self._work_off(worker, worker.waiting, already=worker.waiting, before=self._let_messages_through)

    def stop_pool(self, worker: Worker, number: int) -> None:
        self._signal_pool(worker, signal.SIGSTOP)
        worker.has_stopped_pool = True
        self.pile(worker, number)

    def go_on_pool(self, worker: Worker, _number: int) -> None:
        worker.has_stopped_pool = False
        if worker.task:
            # What is behind that stays there.
            self._signal_pool(worker, signal.SIGCONT)
        else:
            count = worker.held + worker.waiting
            self._work_off(worker, count, already=count, before=lambda: self._signal_pool(worker, signal.SIGCONT))

    def run_nap(self, worker: Worker, number: int) -> None:
        self._work_off(worker, number)

    def run_long(self, worker: Worker, _number: int) -> None:
        self._run(worker, LONG)

    def run_short(self, worker: Worker, _number: int) -> None:
        self._run(worker, SHORT)

    def _run(self, worker: Worker, task: str) -> None:
        flag = self._flag(worker)
        flag.touch()
        before = len(self.fleet.started(task))
        self._send(worker, task, 1, flag.name)
        self.fleet.wait_until_started(task, before + 1)
        # Until then it goes back into the queue if the worker is killed.
        wait_for(
            lambda: [one["acknowledged"] for one in self._listed(worker, "active")] == [True],
            f"{task} is not acknowledged",
        )
        worker.task = task

    def pile(self, worker: Worker, number: int) -> None:
        """Send tasks that the worker cannot start."""
        self._send(worker, "proj.nap", number)
        worker.held, worker.waiting = min(number, MOST_HELD), max(0, number - MOST_HELD)
        self._wait_until_held(worker)
        self._wait_until_waiting(worker)

    def end(self, worker: Worker, _number: int) -> None:
        """Let the task end that the worker runs."""
        worker.task = ""
        count = worker.held + worker.waiting
        self._work_off(worker, count, already=count, before=self._flag(worker).unlink)

    # What they need.

    def _flag(self, worker: Worker) -> Path:
        return self.fleet.directory / f"task-of-{worker.node}"

    def _asked(self, worker: Worker) -> Any:  # noqa: ANN401 -- Celery has no types
        return self._client.control.inspect([worker.node], timeout=5)

    def _listed(self, worker: Worker, question: str) -> list[dict[str, Any]]:
        """Return the tasks that a worker lists; TimeoutError if it does not answer."""
        told: list[dict[str, Any]] = []

        def is_told() -> bool:
            reply = getattr(self._asked(worker), question)()
            told.extend(reply[worker.node] if reply else ())
            return bool(reply)

        wait_for(is_told, f"{worker.node} does not answer")
        return told

    def _send(self, worker: Worker, task: str, count: int, *arguments: str) -> None:
        queue = kombu.Queue(worker.queue, no_declare=True)
        for _ in range(count):
            self._client.send_task(task, arguments or (0,), queue=queue)

    def _work_off(
        self, worker: Worker, count: int, *, already: int = 0, before: Callable[[], None] | None = None
    ) -> None:
        """Let a worker start so many naps, of which so many are sent already, and do nothing then."""
        started = self._naps(worker)
        if before:
            before()
        self._send(worker, "proj.nap", count - already)
        wait_for(lambda: self._naps(worker) >= started + count, f"{worker.node} does not start {count} tasks")
        worker.held = worker.waiting = 0
        self._wait_until_waiting(worker)
        self._wait_until_held(worker)
        wait_for(lambda: not self._listed(worker, "active"), f"{worker.node} is not idle")

    def _naps(self, worker: Worker) -> int:
        """Return how many naps its pool has started."""
        pool = self.fleet.pool(worker.node) if worker.is_up else []
        return sum(process in pool for process in self.fleet.started("proj.nap"))

    def _wait_until_waiting(self, worker: Worker) -> None:
        wait_for(lambda: self._length(worker.queue) == worker.waiting, f"there wait no {worker.waiting} messages")

    def _wait_until_held(self, worker: Worker) -> None:
        wait_for(
            lambda: len(self._listed(worker, "reserved")) == worker.held,
            f"{worker.node} does not hold {worker.held} tasks",
        )

    def _signal_pool(self, worker: Worker, number: signal.Signals) -> None:
        pool, hang = self.fleet.pool(worker.node), number == signal.SIGSTOP
        for process in pool:
            os.kill(process, number)
        wait_for(lambda: all(_hangs(process) == hang for process in pool), f"{pool} do not heed {number.name}")


class OnRedis(World):
    """The application gets to Redis through a proxy, which keeps back what a deaf worker asks for."""

    daemon = Redis
    broker: Redis
    _proxy: Proxy

    def _prepare(self, stack: ExitStack) -> tuple[str, str]:
        stack.enter_context(self.broker)
        self._proxy = stack.enter_context(Proxy(self.broker.port))
        return self.broker.url.replace(str(self.broker.port), str(self._proxy.port)), ""

    def _length(self, queue: str) -> int:
        return int(self.broker.ask("LLEN", queue)[0])

    def _keep_messages_from(self, worker: Worker) -> None:
        # The list of the lowest priority, which only who wants messages names.
        self._proxy.keep_back(f"{worker.queue}\x06\x169".encode())
        wait_for(lambda: self._proxy.keeps_back, f"{worker.node} does not ask for messages")

    def _let_messages_through(self) -> None:
        self._proxy.let_through()
        wait_for(lambda: not self._proxy.keeps_back, "what was kept back is not sent")

    def _return_unfinished(self, worker: Worker) -> None:
        """Leave them where they are: Redis gives them back after an hour."""


class OnRabbitMQ(World):
    """Each queue gives everything to the first of its consumers, which a deaf worker is not.

    An administrator made it so, and the application does not know that.
    """

    daemon = RabbitMQ
    broker: RabbitMQ
    _channel: kombu.transport.virtual.Channel
    _first: ExitStack

    def _prepare(self, stack: ExitStack) -> tuple[str, str]:
        stack.enter_context(self.broker)
        self._channel = stack.enter_context(kombu.Connection(self.broker.url)).default_channel
        self._first = stack.enter_context(ExitStack())
        queues = [Worker(node).queue for node in NODES]
        for queue in queues:
            kombu.Queue(queue, queue_arguments={"x-single-active-consumer": True})(self._channel).queue_declare()
        return self.broker.url, (
            "from kombu import Queue\n"
            f"app.conf.task_queues = [Queue(name, no_declare=True) for name in {queues}] + [Queue({SHARED!r})]\n"
        )

    def _length(self, queue: str) -> int:
        return int(kombu.Queue(queue)(self._channel).queue_declare(passive=True).message_count)

    def _keep_messages_from(self, worker: Worker) -> None:
        self.fleet.cancel_consumer(worker.node, worker.queue)
        channel = self._first.enter_context(kombu.Connection(self.broker.url)).default_channel
        channel.basic_qos(0, 1, False)
        channel.basic_consume(worker.queue, callback=lambda _message: None)
        self.fleet.add_consumer(worker.node, worker.queue)
        # That one keeps the first message.
        self._send(worker, "proj.nap", 1)

    def _let_messages_through(self) -> None:
        self._first.close()

    def _return_unfinished(self, worker: Worker) -> None:
        worker.waiting += worker.held + worker.is_deaf


class Change(NamedTuple):
    """When it can be done to a worker, and how."""

    is_possible: Callable[[World, Worker], bool]
    make: Callable[[World, Worker, int], None]


def _hangs(process: int) -> bool:
    """Tell whether SIGSTOP has stopped this process."""
    return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"


# Somebody always answers: nobody tells a fleet that is down from a broker that is.
CHANGES = {
    "start": Change(lambda _, one: not one.is_up, World.start),
    "kill": Change(lambda world, one: one.is_up and world.answering > one.answers, World.kill),
    "stop": Change(lambda world, one: one.answers and not one.is_deaf and world.answering > 1, World.stop),
    "continue": Change(lambda _, one: one.is_stopped, World.go_on),
    "cancel consumers": Change(
        lambda _, one: one.answers and bool(one.consumed) and not (one.is_deaf or one.waiting), World.cancel
    ),
    "add the consumers": Change(lambda _, one: one.answers and len(one.consumed) < 2, World.consume),
    "deaf": Change(lambda world, one: one.is_idle and world.is_nobody_deaf(), World.deafen),
    "hears": Change(lambda _, one: one.is_deaf, World.hear),
    "stop the pool": Change(
        lambda _, one: (
            one.answers and one.queue in one.consumed and not (one.is_deaf or one.has_stopped_pool or one.held)
        ),
        World.stop_pool,
    ),
    "continue the pool": Change(lambda _, one: one.answers and one.has_stopped_pool, World.go_on_pool),
    "instant tasks": Change(lambda _, one: one.is_idle, World.run_nap),
    "a task over its limit": Change(lambda _, one: one.is_idle, World.run_long),
    "a task below its limit": Change(lambda _, one: one.is_idle, World.run_short),
    "tasks behind another": Change(
        lambda _, one: (
            one.answers and one.queue in one.consumed and bool(one.task) and not (one.held or one.has_stopped_pool)
        ),
        World.pile,
    ),
    "the task ends": Change(lambda _, one: one.answers and bool(one.task) and not one.has_stopped_pool, World.end),
}
