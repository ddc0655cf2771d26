"""Who is offered work over a real Redis and starts none, and all the workers that do start it: --stall-limit."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple
from uuid import uuid4

import kombu
import pytest
from brokers import Redis
from celery import Celery  # type: ignore[import-untyped]
from crowd import Crowd
from fleet import Fleet
from listening import GONE, Listening, listening
from processes import DEADLINE, wait_for
from proxy import Proxy
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, at_the_timeout, interruptible, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon, pytest.mark.usefixtures("nothing_is_left_running")]

TIME = "0.5s;;;0"
# What an idle worker says to the three questions that are asked in any case.
IDLE = "->  {0}: OK\n    * {1}\n->  {0}: OK\n    - empty -\n->  {0}: OK\n    - empty -\n"
DETAILS = """\
OK: missing is 0 (warning ~:, critical 0)
OK: malfunctioning is 0 (warning ~:, critical 0)
OK: duplicate is 0 (warning 0, critical ~:)
{more}OK: unexpected is 0 (warning 0, critical ~:)
OK: missing_servers is 0 (warning ~:, critical ~:)
OK: unexpected_servers is 0 (warning ~:, critical ~:)
Asked with kombu {kombu}, {broker}, lengths of the priorities 0, 3, 6, 9
Celery's output:
"""
NOBODY = (
    "Nobody replied over the broker. If workers run: is the application on another database or virtual host, or does "
    "it set control_exchange, global_keyprefix, fanout_prefix or a serializer? --broker-options must name these"
)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    with Redis(tmp_path_factory.mktemp("redis"), "--databases", "100") as redis:
        assert isinstance(redis, Redis)
        yield redis


@pytest.fixture
def broker(redis: Redis) -> str:
    """Return the URL of a database that no other test uses."""
    (number,) = redis.ask("INCR", "tests:databases")
    return redis.url.removesuffix("0") + number


@contextmanager
def working(broker: str, settings: Mapping[str, object] | None = None) -> Iterator[Fleet]:
    """Yield a fleet whose application has these settings; no worker of it is started yet."""
    with Fleet(broker=broker, settings=f"app.conf.update({dict(settings or {})!r})") as fleet:
        yield fleet


def check(broker: str, *arguments: str, expected: Sequence[str] = ("w@a",), limit: str = "2s") -> Outcome:
    """Run the plugin, which judges as soon as it can."""
    words = (*expected, "-t", "100", "--settle", "0", *arguments)
    return run(*words, "--stall-limit", limit, "--broker", broker).timeless


def figures(count: int, *, online: int = 0, backlog: object = 0, **others: str) -> str:
    """Return the perfdata where so many workers are expected, and as many online if no other number is given."""
    known = {"missing": f"0;;0;0;{count}", "backlog": f"{backlog};;;0", "time": TIME}
    return perfdata(online=f"{online or count};;;0", **{**known, **others})


def well(count: int = 1, more: str = "", **others: object) -> Outcome:
    """Return the outcome where so many workers of one server, all that are expected, are well, and further lines."""
    workers = f"{count} of {count} worker{'s' * (count > 1)}"
    values = figures(count, **others)  # type: ignore[arg-type]
    return Outcome(f"CELERY WORKERS OK - {workers} online on 1 server | {values}\n{more}", OK)


def stalls(cause: str, node: str = "w@a", *, count: int = 1, online: int = 0, backlog: object = 0) -> Outcome:
    """Return the outcome where this one stalls of so many workers that are expected."""
    values = figures(count, online=online, backlog=backlog, malfunctioning="1;;0;0")
    return Outcome(
        f"CELERY WORKERS CRITICAL - 1 worker malfunctioning: {node} | {values}\n"
        f"Worker {node} was malfunctioning, {cause}\n",
        CRITICAL,
    )


def countless(said: Outcome) -> Outcome:
    """Return the outcome with N for how many messages wait, where that changes all the time."""
    return said._replace(output=re.sub(r"(?<=backlog=)\d+|(?<= while )\d+(?= waits? )", "N", said.output))


def send(broker: str, task: str, *arguments: object, count: int = 1, queue: str = "celery", **options: object) -> None:
    """Send so many tasks."""
    with Celery(broker=broker) as application:
        for _ in range(count):
            application.send_task(task, arguments, queue=queue, **options)


@contextmanager
def coming(broker: str) -> Iterator[None]:
    """Let instant tasks come all the time."""
    ended = Event()

    def come() -> None:
        with Celery(broker=broker) as application:
            while not ended.wait(0.02):
                application.send_task("proj.nap", (0,), queue="celery")

    with ThreadPoolExecutor(1) as pool:
        sender = pool.submit(come)
        try:
            yield
        finally:
            ended.set()
        sender.result()


def logged(fleet: Fleet, what: str) -> int:
    """Return how often workers have logged that: "received" for each task that one has fetched."""
    return "".join(fleet.logs().values()).count(f"] {what}")


def wait_until_all_have_worked(fleet: Fleet, node: str, queue: str = "celery") -> None:
    """Return once each pool process of this worker has run a task, and all tasks have ended.

    One that is not yet up is replaced if it stays so.
    """
    sent = logged(fleet, "succeeded")

    def all_have() -> bool:
        nonlocal sent
        send(fleet.broker, "proj.nap", 0.1, count=2, queue=queue)
        sent += 2
        return set(fleet.pool(node)) <= set(fleet.started("proj.nap"))

    wait_for(all_have, f"not each pool process of {node} runs a task")
    wait_for(lambda: logged(fleet, "succeeded") == sent, "tasks run still")


@contextmanager
def stopped(processes: Sequence[int]) -> Iterator[None]:
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


# Workers that are well.


def test_ok_an_idle_fleet_is_judged_at_the_first_look(broker: str) -> None:
    with working(broker) as fleet:
        fleet.start("w-1@a", "w-2@a")
        said = check(broker, "-vvv", expected=["w-2@a"])
    more = "w@a: its 2 workers are numbered from 1\nAsked"
    details = DETAILS.format(more="", kombu=kombu.__version__, broker=broker).replace("Asked", more)
    top = f"{well(2).output}Online on a: 2 workers, w-1..2@a\nQueue celery: 2 workers\n{details}"
    raw = IDLE.format("w-1@a", "celery") + IDLE.format("w-2@a", "celery")
    assert said.output.startswith(top)
    # They answer at the same time.
    assert sorted(said.output.splitlines()) == sorted((top + raw).splitlines())
    assert said.code == OK


def test_crit_nobody_consumes_from_a_queue_whose_backlog_is_told(broker: str) -> None:
    send(broker, "proj.nap", 0, count=3, queue="emails")
    with working(broker) as fleet:
        fleet.start("w@a")
        said = at_the_timeout(lambda seconds: check(broker, "--queue", "emails", "--reply-timeout", seconds), "emails")
    values = figures(1, backlog=3, backlog_emails="3;;;0", queues="1;;0;0")
    assert said == Outcome(
        f"CELERY WORKERS CRITICAL - 1 queue short of consumers: emails | {values}\n"
        "Queue emails has 0 consumers instead of at least 1\n",
        CRITICAL,
    )


def test_each_question_is_asked_once_whatever_options_need_it(broker: str) -> None:
    limits = ("--queue", "celery=1", "--task-limit", "60", "--backlog-critical", "celery=5", "--backlog-warning", "3")
    with working(broker) as fleet:
        fleet.start("w@a")
        said = check(broker, *limits, "--attempts", "3", "-vvv")
    more = "OK: queues is 0 (warning ~:, critical 0)\nOK: backlog_celery is 0 (warning 3, critical 5)\n"
    details = DETAILS.format(more=more, kombu=kombu.__version__, broker=broker)
    values = {"oldest_task": "0.0s;;;0", "queues": "0;;0;0", "backlog_celery": "0;3;5;0"}
    raw = IDLE.format("w@a", "celery")
    assert said == well(1, f"Online on a: 1 worker, w@a\nQueue celery: 1 worker\n{details}{raw}", **values)


class Kind(NamedTuple):
    """How a worker works: its pool, the application's settings, further options, and the limit that it keeps to."""

    pool: str
    settings: Mapping[str, object] = {}
    options: Sequence[str] = ()
    limit: str = "2s"


BUSY = {
    "late acknowledgement": Kind("prefork", {"task_acks_late": True, "worker_prefetch_multiplier": 1}),
    "threads": Kind("threads"),
    "gevent": Kind("gevent"),
    "solo": Kind("solo"),
    # Celery replaces a process that has ended by itself within 5 seconds.
    "a process for each task": Kind("prefork", {"worker_max_tasks_per_child": 1}, limit="10s"),
    "autoscale": Kind("prefork", options=("--autoscale", "3,1")),
}


@pytest.mark.parametrize("kind", BUSY)
def test_ok_instant_tasks_come_all_the_time(broker: str, kind: str) -> None:
    pool, settings, options, limit = BUSY[kind]
    if pool == "gevent":
        pytest.importorskip("gevent")
    with working(broker, settings) as fleet:
        fleet.start("w@a", pool=pool, options=options)
        with coming(broker):
            fleet.wait_until_started("proj.nap", 1)
            said = [countless(check(broker, limit=limit)) for _ in range(3)]
    assert said == [well(backlog="N")] * 3


def test_ok_pool_processes_are_killed_again_and_again_while_tasks_come(broker: str) -> None:
    ended = Event()

    def kill() -> None:
        wanted = 5
        while not ended.is_set():
            if len(fleet.started("proj.nap")) > wanted:
                for process in fleet.pool("w@a"):
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                wanted = len(fleet.started("proj.nap")) + 5
            ended.wait(0.02)

    with working(broker) as fleet, ThreadPoolExecutor(1) as pool:
        fleet.start("w@a", pool="prefork", concurrency=2)
        with coming(broker):
            killer = pool.submit(kill)
            try:
                said = [countless(check(broker, limit="10s")) for _ in range(4)]
            finally:
                ended.set()
            killer.result()
    assert said == [well(backlog="N")] * 4


def test_a_worker_that_starts_in_front_of_a_long_queue_is_no_alarm_at_any_moment(broker: str) -> None:
    values = figures(1, missing="1;;0;0;1", missing_servers="1;;;0", backlog="N").replace("online=1", "online=0")
    absent = Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 1 worker missing: server a | {values}\n"
        f"Server a was missing, accounts for 1 missing worker: w@a\n{NOBODY}\n",
        CRITICAL,
    )
    send(broker, "proj.nap", 0.05, count=100)
    said = [absent]
    with working(broker) as fleet, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(fleet.start, "w@a", pool="prefork")
        while said[-1] == absent or len(fleet.started("proj.nap")) < 100:
            said.append(countless(check(broker, "--reply-timeout", "0.5")))
            assert said[-1] in {absent, well(backlog="N")}
        starting.result()


def test_ok_tasks_are_held_that_are_due_later(broker: str) -> None:
    with working(broker) as fleet:
        fleet.start("w@a", pool="threads")
        send(broker, "proj.nap", 0, count=5, countdown=600)
        wait_for(lambda: logged(fleet, "received") == 5, "not all tasks are held")
        said = check(broker)
        assert fleet.started("proj.nap") == []
    assert said == well()


def test_ok_a_rate_limit_is_faster_than_one_task_in_the_limit(broker: str) -> None:
    with working(broker, {"task_annotations": {"proj.nap": {"rate_limit": "2/s"}}}) as fleet:
        fleet.start("w@a", pool="threads")
        send(broker, "proj.nap", 0, count=100)
        fleet.wait_until_started("proj.nap", 2)
        said = [countless(check(broker, limit="5s")) for _ in range(3)]
        assert len(fleet.started("proj.nap")) < 100
    assert said == [well(backlog="N")] * 3


def test_crit_a_rate_limit_is_slower_than_one_task_in_the_limit(broker: str) -> None:
    """By design: nothing tells such a worker from one that starts none."""
    with working(broker, {"task_annotations": {"proj.nap": {"rate_limit": "1/h"}}}) as fleet:
        fleet.start("w@a", pool="threads")
        send(broker, "proj.nap", 0, count=20)
        fleet.wait_until_started("proj.nap", 1)
        wait_for(lambda: logged(fleet, "received") == 5, "it does not hold as many as it may")
        said = check(broker)
        assert len(fleet.started("proj.nap")) == 1
    assert said == stalls("it started no task for 2 s while 15 wait in queue celery", backlog=15)


# Pool processes that are stopped.


def test_crit_all_pool_processes_are_stopped(broker: str) -> None:
    with working(broker) as fleet:
        for node, queue in (("w-1@a", "one"), ("w-2@a", "two")):
            fleet.start(node, pool="prefork", concurrency=2, queues=[queue])
            wait_until_all_have_worked(fleet, node, queue)
        started, received = len(fleet.started("proj.nap")), logged(fleet, "received")
        with stopped(fleet.pool("w-1@a")):
            for queue in ("one", "two"):
                send(broker, "proj.nap", 0, count=5, queue=queue)
            wait_for(lambda: logged(fleet, "received") == received + 10, "not all tasks are received")
            fleet.wait_until_started("proj.nap", started + 5)
            said = check(broker, expected=["w-2@a"])
        fleet.wait_until_started("proj.nap", started + 10)
        after = check(broker, expected=["w-2@a"])
    assert said == stalls("it started none of the 5 tasks that it holds for 2 s", "w-1@a", count=2)
    assert after == well(2)


def test_one_of_two_pool_processes_is_stopped(broker: str) -> None:
    """By design it is no alarm while the other one starts tasks. What only the stopped one could start is one then."""
    with working(broker) as fleet, ExitStack() as stopping:
        fleet.start("w@a", pool="prefork", concurrency=2)
        wait_until_all_have_worked(fleet, "w@a")
        with fleet.holding("celery") as running:
            (idle,) = {*fleet.pool("w@a")} - {running}
            stopping.enter_context(stopped([idle]))
            # The idle one gets it.
            send(broker, "proj.nap", 0)
            wait_for(lambda: logged(fleet, "received") == logged(fleet, "succeeded") + 2, "it is not received")
        with coming(broker):
            fleet.wait_until_started("proj.nap", len(fleet.started("proj.nap")) + 10)
            while_tasks_come = [countless(check(broker)) for _ in range(3)]
        wait_for(lambda: logged(fleet, "received") == logged(fleet, "succeeded") + 1, "not all but one have ended")
        then = check(broker)
    assert while_tasks_come == [well(backlog="N")] * 3
    assert then == stalls("it did not start the 1 task that it holds for 2 s")


# A worker that answers, and whose connection for messages is half-open.


class Site(NamedTuple):
    """A database with deaf@a, which answers, consumes from celery, a and b, and gets no message."""

    redis: Redis
    proxy: Proxy
    fleet: Fleet
    broker: str

    def close_ears(self) -> None:
        """Let deaf@a get no message from now on."""
        self.proxy.keep_back(b"BRPOP")
        wait_for(lambda: self.proxy.keeps_back, "deaf@a does not ask for messages")

    def length(self, queue: str = "celery") -> int:
        return int(self.redis.ask("-n", self.broker.rpartition("/")[2], "LLEN", queue)[0])

    @contextmanager
    def waiting(self, **counts: int) -> Iterator[None]:
        """Let so many tasks wait in these queues."""
        try:
            for queue, count in counts.items():
                send(self.broker, "proj.nap", 0, count=count, queue=queue)
            yield
        finally:
            self.redis.ask("-n", self.broker.rpartition("/")[2], "DEL", *counts)

    @contextmanager
    def watching(self, limit: str = "90s") -> Iterator[Listening]:
        """Run the plugin, which looks on at deaf@a."""
        words = ("deaf@a", "-t", "200", "--settle", "0", "--stall-limit", limit, "--broker", self.broker)
        with listening(*words) as plugin:
            plugin.wait_until_shown(WATCHING)
            yield plugin


@pytest.fixture(scope="module")
def site(redis: Redis) -> Iterator[Site]:
    """Yield the site; a test that lets deaf@a hear closes its ears again."""
    broker = redis.url.removesuffix("0") + "99"
    with Proxy(redis.port) as proxy, Fleet(broker=broker.replace(str(redis.port), str(proxy.port))) as fleet:
        fleet.start("deaf@a", queues=["celery", "a", "b"])
        site = Site(redis, proxy, fleet, broker)
        site.close_ears()
        yield site


WATCHING = "watching deaf@a"
FIVE_WAIT = "it started no task for 2 s while 5 wait in queue celery"


def test_crit_a_worker_is_deaf_while_messages_wait(site: Site) -> None:
    with site.waiting(celery=5):
        said = check(site.broker, expected=["deaf@a"])
    assert said == stalls(FIVE_WAIT, "deaf@a", backlog=5)


def test_ok_a_worker_is_deaf_and_nothing_waits(site: Site) -> None:
    """By design: nothing shows it."""
    assert check(site.broker, expected=["deaf@a"]) == well()


def test_crit_messages_wait_for_a_deaf_worker_in_two_queues(site: Site) -> None:
    with site.waiting(a=1, b=2):
        said = check(site.broker, expected=["deaf@a"])
    assert said == stalls("it started no task for 2 s while 3 wait in queues a and b", "deaf@a", backlog=3)


def test_crit_messages_wait_for_a_deaf_worker_in_three_queues(site: Site) -> None:
    with site.waiting(a=1, b=2, celery=3):
        said = check(site.broker, expected=["deaf@a"])
    assert said == stalls("it started no task for 2 s while 6 wait in 3 queues", "deaf@a", backlog=6)


@pytest.mark.parametrize("other", ["expected", "ignored", "unexpected"])
def test_crit_a_worker_is_deaf_beside_one_that_works_off_the_same_queue(site: Site, other: str) -> None:
    words = {"expected": ("deaf@a", "busy@a"), "ignored": ("deaf@a", "--ignore", "busy@a"), "unexpected": ("deaf@a",)}
    with working(site.broker, {"worker_prefetch_multiplier": 1}) as fleet:
        fleet.start("busy@a", pool="threads")
        with fleet.busy("celery", seconds=0.1):
            # Only who is expected is waited for.
            said = at_the_timeout(
                lambda seconds: check(site.broker, "--settle", seconds, expected=words[other]),
                "Worker busy@a was unexpectedly" if other == "unexpected" else "deaf@a",
            )
        fleet.wait_until_idle()
    cause = "it started no task for 2 s while N wait in queue celery"
    if other == "unexpected":
        values = figures(1, online=2, backlog="N", malfunctioning="1;;0;0", unexpected="1;0;;0")
        expected = Outcome(
            f"CELERY WORKERS CRITICAL - 1 worker malfunctioning (deaf@a), 1 unexpected (busy@a) | {values}\n"
            f"Worker deaf@a was malfunctioning, {cause}\n"
            "Worker busy@a was unexpectedly present\n",
            CRITICAL,
        )
    else:
        count = 1 + (other == "expected")
        expected = stalls(cause, "deaf@a", count=count, online=count, backlog="N")
    assert countless(said) == expected


def missing_beside_deaf(cause: str) -> Outcome:
    values = figures(2, online=1, backlog=5, missing="1;;0;0;2", missing_servers="1;;;0", malfunctioning="1;;0;0")
    return Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 2 workers missing (server b), 1 malfunctioning (deaf@a) | {values}\n"
        "Server b was missing, accounts for 1 missing worker: mail@b\n"
        f"Worker deaf@a was malfunctioning, {cause}\n",
        CRITICAL,
    )


def test_crit_one_is_missing_beside_a_worker_that_is_deaf(site: Site) -> None:
    with site.waiting(celery=5):
        said = at_the_timeout(
            lambda seconds: check(site.broker, "--reply-timeout", seconds, expected=["deaf@a", "mail@b"]),
            "1 of 2 workers missing",
        )
    assert said == missing_beside_deaf(FIVE_WAIT)


@pytest.mark.waiting
def test_crit_one_is_missing_beside_a_worker_that_is_deaf_with_the_defaults(site: Site) -> None:
    with site.waiting(celery=5):
        said = run("deaf@a", "mail@b", "--stall-limit", "15s", "--broker", site.broker).timeless
    assert said == missing_beside_deaf(FIVE_WAIT.replace("2 s", "15 s"))


def test_crit_another_has_worked_off_one_of_its_queues(site: Site) -> None:
    with site.waiting(a=3, b=2), working(site.broker) as fleet:
        fleet.start("well@a", queues=["a"])
        wait_for(lambda: not site.length("a"), "queue a is not empty")
        said = check(site.broker, expected=["deaf@a", "well@a"])
    assert said == stalls("it started no task for 2 s while 2 wait in queue b", "deaf@a", count=2, backlog=2)


def test_crit_a_worker_that_shuts_down_is_missing_and_no_stall(broker: str) -> None:
    with working(broker) as fleet:
        fleet.start("w@a", "v@a", pool="prefork", queues=["own", "celery"])
        fleet.cancel_consumer("v@a", "own")
        with fleet.holding("own"):
            os.kill(fleet.pid("w@a"), signal.SIGTERM)
            wait_for(lambda: "Warm shutdown" in "".join(fleet.logs().values()), "it does not shut down")
            send(broker, "proj.nap", 0, queue="own", count=2)
            said = at_the_timeout(
                lambda seconds: check(broker, "--reply-timeout", seconds, expected=["w@a", "v@a"]),
                "1 of 2 workers missing",
            )
    values = figures(2, online=1, missing="1;;0;0;2")
    assert said == Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 2 workers missing: w@a | {values}\nWorker w@a was missing\n", CRITICAL
    )


def test_crit_200_workers_are_idle_in_front_of_a_queue(broker: str) -> None:
    """All of them are watched: the more they are, the less often."""
    with Crowd(broker, 200, "stuck") as crowd:
        send(broker, "proj.nap", 0, count=5, queue="stuck")
        # On a busy machine the crowd may be too slow for a look, and those who are late are not accused then.
        for _ in range(5):
            before = crowd.asked["dump_active"]
            said = check(broker, "--reply-timeout", "60", expected=["w-200@a"])
            if "200 workers malfunctioning" in said.headline:
                break
    values = figures(200, backlog=5, malfunctioning="200;;0;0")
    top, *findings, rest = said.output.splitlines()
    assert top == f"CELERY WORKERS CRITICAL - 200 workers malfunctioning | {values}"
    cause = "it started no task for 2 s while 5 wait in queue stuck"
    assert findings == [f"Worker w-{number}@a was malfunctioning, {cause}" for number in range(1, len(findings) + 1)]
    assert rest == f"... and {200 - len(findings)} more"
    assert said.code == CRITICAL
    # Once at first and twice in the watch, and some of them once more: 50 a second would take longer than it lasts.
    assert 600 <= crowd.asked["dump_active"] - before < 1000


@pytest.mark.parametrize("other", ["ignored", "unexpected"])
def test_a_deaf_worker_that_nothing_expects_is_not_watched(site: Site, other: str) -> None:
    """Each is asked three questions, and none a second time."""
    words = {"ignored": ("well@a", "--ignore", "deaf@a"), "unexpected": ("well@a",)}
    with site.waiting(celery=5), working(site.broker) as fleet:
        fleet.start("well@a", queues=["well"])
        ask = (*words[other], "-t", "200", "--stall-limit", "90s", "--broker", site.broker, "-vvv", "--settle")
        said = at_the_timeout(lambda seconds: run(*ask, seconds).timeless, "->  deaf@a: OK")
    lines = said.output.splitlines()
    assert lines.count("->  well@a: OK") == lines.count("->  deaf@a: OK") == 3
    details = DETAILS.format(more="", kombu=kombu.__version__, broker=site.broker).splitlines()
    queues = [f"Queue {queue}: 1 worker" for queue in ("a", "b", "celery", "well")]
    if other == "unexpected":
        values = figures(1, online=2, backlog=5, unexpected="1;0;;0")
        top = [f"CELERY WORKERS WARNING - 1 worker unexpected: deaf@a | {values}"]
        # What alerts comes first.
        details.remove("OK: unexpected is 0 (warning 0, critical ~:)")
        details.insert(0, "WARNING: unexpected is 1 (warning 0, critical ~:)")
        top.append("Worker deaf@a was unexpectedly present")
    else:
        # Its queues count for nothing.
        top, queues = well(online=1).output.splitlines(), ["Queue well: 1 worker"]
    online = "2 workers, deaf@a, well@a" if other == "unexpected" else "1 worker, well@a"
    more = [*top, f"Online on a: {online}", *queues, *details]
    assert lines[: len(more)] == more
    assert said.code == (WARNING if other == "unexpected" else OK)


def test_a_terminal_shows_whom_it_watches(site: Site) -> None:
    """And nothing of it is left at the end."""
    with site.waiting(celery=5), site.watching("2s") as plugin:
        said = Outcome(*plugin.finish(DEADLINE)).timeless
    assert said == stalls(FIVE_WAIT, "deaf@a", backlog=5)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_unknown_ended_by_a_signal_while_it_watches(site: Site, name: str) -> None:
    with site.waiting(celery=5):
        before = site.redis.ask("-n", "99", "KEYS", "*")
        with interruptible(), site.watching() as plugin:
            plugin.process.send_signal(getattr(signal, name))
            said = Outcome(*plugin.finish(DEADLINE))
        wait_for(lambda: site.redis.ask("-n", "99", "KEYS", "*") == before, "something is left")
    assert said == Outcome(
        f"CELERY WORKERS UNKNOWN - the check was ended by {name} before the workers had replied\n", UNKNOWN
    )


def test_the_timeout_ends_the_watch_after_several_attempts(site: Site) -> None:
    words = ("-t", "14", "--reply-timeout", "2", "--attempts", "3")
    with site.waiting(celery=5):
        said = check(site.broker, *words, expected=["deaf@a", "mail@b"], limit="9s")
    values = figures(2, online=1, backlog=5, missing="1;;0;0;2", missing_servers="1;;;0")
    assert said == Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 2 workers missing: server b | {values}\n"
        "Server b was missing, accounts for 1 missing worker: mail@b\n"
        "Not judged by --stall-limit, because --timeout ended the watch: deaf@a\n",
        CRITICAL,
    )


@pytest.mark.parametrize(("timeout", "reply"), [("5", "1"), ("4", "0.5")])
def test_unknown_the_limit_does_not_fit_into_the_timeout(redis: Redis, timeout: str, reply: str) -> None:
    times = f"--stall-limit 2, --reply-timeout {reply} and 2 seconds must be less than --timeout {timeout} together"
    said = check(redis.url, "-t", timeout, "--reply-timeout", reply)
    assert said == Outcome(f"CELERY WORKERS UNKNOWN - {times}\n", UNKNOWN)


def test_ok_a_worker_that_begins_a_task_while_it_is_watched_falls_silent(site: Site) -> None:
    held = site.fleet.directory / "held"
    held.touch()
    try:
        send(site.broker, "proj.held", queue="a")
        with site.watching("2s") as plugin:
            # Shown again, the first look is over, and the second comes a second later.
            plugin.wait_until_shown(f"{WATCHING}{GONE.decode()}{WATCHING}")
            with stopped([plugin.process.pid]):
                site.proxy.let_through()
                site.fleet.wait_until_started("proj.held", 1)
            said = Outcome(*plugin.finish(DEADLINE)).timeless
    finally:
        held.unlink()
    site.close_ears()
    silent = "Not judged by --stall-limit, because silent while it was watched: deaf@a\n"
    assert said == well(1, silent, backlog=1)


@pytest.mark.parametrize("fate", ["expired", "revoked"])
def test_ok_hundreds_of_tasks_are_thrown_away(site: Site, fate: str) -> None:
    ids = [str(uuid4()) for _ in range(300)]
    with Celery(broker=site.broker) as application:
        for task_id in ids:
            past = {"expires": 0.01} if fate == "expired" else {}
            application.send_task("proj.nap", (0,), queue="celery", task_id=task_id, **past)
        if fate == "revoked":
            application.control.revoke(ids)
            # One after the other is heard.
            wait_for(lambda: application.control.ping(timeout=5, limit=1), "nobody answers")
    started = len(site.fleet.started("proj.nap"))
    with site.watching("3s") as plugin:
        site.proxy.let_through()
        said = Outcome(*plugin.finish(DEADLINE)).timeless
    wait_for(lambda: not site.length(), "tasks wait still")
    site.close_ears()
    assert len(site.fleet.started("proj.nap")) == started
    assert said == well(backlog=300)


def test_unknown_the_broker_ends_while_it_watches(tmp_path: Path) -> None:
    with ExitStack() as stack:
        redis = Redis(tmp_path)
        stack.enter_context(redis)
        proxy = stack.enter_context(Proxy(redis.port))
        fleet = stack.enter_context(Fleet(broker=redis.url.replace(str(redis.port), str(proxy.port))))
        fleet.start("deaf@a")
        site = Site(redis, proxy, fleet, redis.url)
        site.close_ears()
        send(redis.url, "proj.nap", 0)
        with site.watching() as plugin:
            redis.stop()
            output, code = plugin.finish(DEADLINE)
    reason = (
        rf"the broker {redis.url} "
        r"(was lost|does not take the question|does not tell the length of a queue): [^\n]*[Cc]onnection [^\n]*"
    )
    silent = "0 of 1 worker had replied to inspect reserved, no reply from deaf@a\nWorker deaf@a had not replied\n"
    assert re.fullmatch(f"CELERY WORKERS UNKNOWN - {reason}, {silent}", output), output
    assert code == UNKNOWN
