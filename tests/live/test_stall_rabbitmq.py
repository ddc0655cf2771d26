"""Real workers on a real RabbitMQ that are offered work: who starts none stalls, who only waits does not."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import kombu
import pytest
from brokers import RabbitMQ
from fleet import Fleet
from listening import listening
from processes import DEADLINE, wait_for
from running import CRITICAL, OK, UNKNOWN, Outcome, at_the_timeout, perfdata, run
from stalling import stopped_pool, wait_until_held, wait_until_scheduled

pytestmark = [pytest.mark.celery, pytest.mark.daemon, pytest.mark.usefixtures("nothing_is_left_running")]

LIMIT = ("--stall-limit", "2s")
# Of a prefork worker with two processes: it fetches four tasks for each.
FETCHED = 8


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    if not RabbitMQ.installed():
        pytest.skip("needs rabbitmq-server: apt-get install rabbitmq-server")
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    with broker:
        yield broker


@contextmanager
def application(rabbit: RabbitMQ, queue: str = "", settings: str = "") -> Iterator[Fleet]:
    """Start an application in a virtual host of its own.

    queue: how it declares its queue `emails`, if not as Celery does
    """
    rabbit.vhost = f"test-{len(rabbit.ctl('list_vhosts'))}"
    rabbit.ctl("add_vhost", rabbit.vhost)
    rabbit.ctl("set_permissions", "-p", rabbit.vhost, "guest", ".*", ".*", ".*")
    if queue:
        settings += f"\nfrom kombu import Exchange, Queue\napp.conf.task_queues = [Queue('emails', {queue})]"
    with Fleet(broker=f"{rabbit.url.removesuffix('//')}/{rabbit.vhost}", settings=settings) as fleet:
        yield fleet


def start(fleet: Fleet, *nodes: str) -> None:
    fleet.start(*nodes, pool="prefork", concurrency=2, queues=("emails",))


def check(fleet: Fleet, *expected: str) -> Outcome:
    return run(*words(fleet, *expected)).timeless


def words(fleet: Fleet, *expected: str, limit: Sequence[str] = LIMIT) -> tuple[str, ...]:
    return (*expected, "-t", "200", "--settle", "0", *limit, "--broker", fleet.broker)


def well(*lines: str, waiting: int = 0, count: int = 1) -> Outcome:
    """Return the outcome where so many workers are well, and so many messages wait, with these lines below."""
    numbers = perfdata(missing=f"0;;0;0;{count}", online=f"{count};;;0", backlog=f"{waiting};;;0", time="0.5s;;;0")
    workers = f"{count} of {count} worker{'s' * (count > 1)}"
    first = f"CELERY WORKERS OK - {workers} online on 1 server | {numbers}"
    return Outcome("".join(f"{line}\n" for line in (first, *lines)), OK)


def stalled(finding: str, waiting: int = 0, count: int = 1) -> Outcome:
    """Return the outcome where one of so many workers stalls, and so many messages wait."""
    numbers = perfdata(
        missing=f"0;;0;0;{count}",
        online=f"{count};;;0",
        malfunctioning="1;;0;0",
        backlog=f"{waiting};;;0",
        time="0.5s;;;0",
    )
    (node,) = re.findall("^Worker (.*) was malfunctioning", finding)
    return Outcome(f"CELERY WORKERS CRITICAL - 1 worker malfunctioning: {node} | {numbers}\n{finding}\n", CRITICAL)


def wait_until_waiting(fleet: Fleet, count: int) -> None:
    """Return when so many messages wait in the queue `emails`, besides those that workers have fetched."""
    with kombu.Connection(fleet.broker) as connection:
        queue = kombu.Queue("emails")(connection.channel())
        wait_for(lambda: queue.queue_declare(passive=True).message_count == count, f"no {count} messages wait")


CLASSIC = ""
QUORUM = "durable=True, queue_arguments={'x-queue-type': 'quorum'}"
IN_TURN = "queue_arguments={'x-single-active-consumer': True}"
HELD = f"it started none of the {FETCHED} tasks that it holds for 2 s"
both_types = pytest.mark.parametrize("queue", [CLASSIC, QUORUM], ids=["classic", "quorum"])


@both_types
def test_the_pool_hangs_and_goes_on(rabbit: RabbitMQ, queue: str) -> None:
    with application(rabbit, queue) as fleet:
        start(fleet, "w@a")
        assert check(fleet, "w@a") == well()
        assert f"emails\t{'quorum' if queue else 'classic'}" in rabbit.ctl(
            "list_queues", "-p", rabbit.vhost, "name", "type"
        )
        with stopped_pool(fleet, "w@a"):
            fleet.send_many("proj.nap", FETCHED + 4, 0, queue="emails")
            wait_until_waiting(fleet, 4)
            wait_until_held(fleet, "w@a", FETCHED)
            assert check(fleet, "w@a") == stalled(f"Worker w@a was malfunctioning, {HELD}", waiting=4)
        fleet.wait_until_started("proj.nap", FETCHED + 4)
        assert check(fleet, "w@a") == well()


def test_crit_a_queue_does_not_exist_that_an_option_names(rabbit: RabbitMQ) -> None:
    with application(rabbit) as fleet:
        start(fleet, "w@a")
        numbers = perfdata(missing="0;;0;0;1", online="1;;;0", backlog="0;;;0", queues="1;;0;0", time="0.5s;;;0")
        ask = ("w@a", "--queue", "letters", "--reply-timeout")
        assert at_the_timeout(lambda seconds: check(fleet, *ask, seconds), "does not exist") == Outcome(
            f"CELERY WORKERS CRITICAL - 1 queue does not exist: letters | {numbers}\nQueue letters does not exist\n",
            CRITICAL,
        )


def test_crit_beside_one_that_does_the_work(rabbit: RabbitMQ) -> None:
    with application(rabbit) as fleet:
        start(fleet, "w-1@a", "w-2@a")
        with stopped_pool(fleet, "w-2@a"):
            fleet.send_many("proj.nap", FETCHED + 30, 0, queue="emails")
            fleet.wait_until_started("proj.nap", 30)
            wait_until_held(fleet, "w-2@a", FETCHED)
            assert check(fleet, "w-2@a") == stalled(f"Worker w-2@a was malfunctioning, {HELD}", count=2)


@pytest.mark.parametrize(
    ("queue", "fetched"),
    [
        # The worker fetches more for each task that is for later.
        pytest.param(CLASSIC, FETCHED + 4, id="fetched by the worker"),
        pytest.param(f"Exchange('shop', type='topic'), routing_key='emails', {QUORUM}", 0, id="kept by the broker"),
    ],
)
def test_ok_tasks_for_later(rabbit: RabbitMQ, queue: str, fetched: int) -> None:
    with application(rabbit, queue) as fleet:
        start(fleet, "w@a")
        fleet.send_many("proj.nap", FETCHED + 4, 0, queue="emails", countdown=3600)
        wait_until_scheduled(fleet, "w@a", fetched)
        assert check(fleet, "w@a") == well()


@pytest.mark.parametrize(
    ("queue", "settings"),
    [
        # With a direct exchange Celery cannot leave them to the broker, and fetches no more for each.
        pytest.param(QUORUM, "", id="from a quorum queue"),
        pytest.param(CLASSIC, f"app.conf.worker_eta_task_limit = {FETCHED}", id="up to its limit"),
    ],
)
def test_crit_full_of_tasks_for_later(rabbit: RabbitMQ, queue: str, settings: str) -> None:
    with application(rabbit, queue, settings) as fleet:
        start(fleet, "w@a")
        fleet.send_many("proj.nap", FETCHED + 3, 0, queue="emails", countdown=3600)
        wait_until_scheduled(fleet, "w@a", FETCHED)
        # A task for now, which nobody starts.
        fleet.send("proj.held", queue="emails")
        wait_until_waiting(fleet, 4)
        finding = "Worker w@a was malfunctioning, it started no task for 2 s while 4 wait in queue emails"
        assert check(fleet, "w@a") == stalled(finding, waiting=4)
        assert fleet.started("proj.held") == []


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param("", id="as it is"),
        pytest.param(
            "app.conf.task_acks_late = True\napp.conf.worker_prefetch_multiplier = 1",
            id="acknowledged late and fetched one by one",
        ),
    ],
)
def test_ok_tasks_that_take_no_time(rabbit: RabbitMQ, settings: str) -> None:
    with application(rabbit, settings=settings) as fleet:
        start(fleet, "w@a")
        with fleet.busy("emails", seconds=0):
            told = [check(fleet, "w@a") for _ in range(5)]
    assert {said._replace(output=re.sub("backlog=[0-9]+", "backlog=0", said.output)) for said in told} == {well()}


@contextmanager
def one_gets_all(rabbit: RabbitMQ, queue: str, arguments: Mapping[str, object] | None = None) -> Iterator[Fleet]:
    """Start two workers of a queue that gives everything to the first, which holds 4 tasks and is busy; 6 more wait.

    arguments: those that an administrator has made the queue with, if not the application
    """
    with application(rabbit, queue) as fleet:
        if arguments:
            with kombu.Connection(fleet.broker) as connection:
                kombu.Queue("emails", queue_arguments=arguments)(connection.channel()).queue_declare()
        for node in ("w-1@a", "w-2@a"):
            fleet.start(node, pool="prefork", queues=("emails",))
        with fleet.holding("emails"):
            fleet.send_many("proj.nap", 10, 0, queue="emails")
            wait_until_held(fleet, "w-1@a", 4)
            wait_until_waiting(fleet, 6)
            yield fleet


def test_ok_one_waits_for_its_turn(rabbit: RabbitMQ) -> None:
    with one_gets_all(rabbit, IN_TURN) as fleet:
        assert check(fleet, "w-2@a") == well(waiting=6, count=2)


def test_crit_the_one_whose_turn_it_is_hangs(rabbit: RabbitMQ) -> None:
    with application(rabbit, IN_TURN) as fleet:
        for node in ("w-1@a", "w-2@a"):
            start(fleet, node)
        with stopped_pool(fleet, "w-1@a"):
            fleet.send_many("proj.nap", FETCHED + 4, 0, queue="emails")
            wait_until_waiting(fleet, 4)
            wait_until_held(fleet, "w-1@a", FETCHED)
            assert check(fleet, "w-2@a") == stalled(f"Worker w-1@a was malfunctioning, {HELD}", waiting=4, count=2)


@contextmanager
def one_gets_nothing(rabbit: RabbitMQ) -> Iterator[Fleet]:
    """Start two workers, to the second of which the broker gives nothing, as after a connection that broke.

    An administrator made the queue, for one consumer at a time, and the application does not know that.
    """
    with one_gets_all(rabbit, "no_declare=True", {"x-single-active-consumer": True}) as fleet:
        yield fleet


WATCHING = "\r\x1b[Kwatching w-2@a"
NOTHING = "Worker w-2@a was malfunctioning, it started no task for 2 s while 6 wait in queue emails"


def test_crit_one_is_given_nothing_of_what_waits(rabbit: RabbitMQ) -> None:
    with one_gets_nothing(rabbit) as fleet:
        assert check(fleet, "w-2@a") == stalled(NOTHING, waiting=6, count=2)


def test_ok_restarted_while_it_is_watched(rabbit: RabbitMQ) -> None:
    with one_gets_nothing(rabbit) as fleet:
        with listening(*words(fleet, "w-2@a", limit=("--stall-limit", "150s"))) as plugin:
            # At the second look its answer to the first is there.
            plugin.wait_until_shown(f"{WATCHING}{WATCHING}")
            fleet.kill("w-2@a")
            fleet.start("w-2@a", pool="prefork", queues=("emails",))
            said = Outcome(*plugin.finish(DEADLINE)).timeless
        # It has as little to do as before: that it is another process clears it.
        assert said == well(waiting=6, count=2)
        assert check(fleet, "w-2@a") == stalled(NOTHING, waiting=6, count=2)


def test_ok_lost_while_it_is_watched(rabbit: RabbitMQ) -> None:
    with one_gets_nothing(rabbit) as fleet:
        with listening(*words(fleet, "w-2@a", limit=("--stall-limit", "8s"))) as plugin:
            plugin.wait_until_shown("watching w-2@a")
            fleet.kill("w-2@a")
            said = Outcome(*plugin.finish(DEADLINE)).timeless
        # It had replied: the next check will miss it.
        silent = "Not judged by --stall-limit, because silent while it was watched: w-2@a"
        assert said == well(silent, waiting=6, count=2)


def test_unknown_ended_by_a_signal_while_it_watches(rabbit: RabbitMQ) -> None:
    with one_gets_nothing(rabbit) as fleet:
        before = rabbit.contents()
        with listening(*words(fleet, "w-2@a", limit=("--stall-limit", "150s"))) as plugin:
            plugin.wait_until_shown("watching w-2@a")
            plugin.process.send_signal(signal.SIGTERM)
            assert plugin.finish(DEADLINE) == (
                "CELERY WORKERS UNKNOWN - the check was ended by SIGTERM before the workers had replied\n",
                UNKNOWN,
            )
        assert rabbit.contents_soon(before) == before
