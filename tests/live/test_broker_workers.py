"""Asked over the broker: workers of every kind, and what they write their messages in."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import celery  # type: ignore[import-untyped]
import pytest
from ages import ageless
from brokers import Redis
from celeries import Release, releases
from crowd import Crowd
from fleet import Fleet
from kombu import Connection, Consumer, Exchange, Message, Producer
from kombu.pidbox import Mailbox
from listening import listening
from processes import DEADLINE, all_ended, wait_for
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, at_the_timeout, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

TIME = "0.5s;;;0"
# A task that is held runs for longer than this, and none else does.
LIMIT = ("--task-limit", "proj.held=0.001", "--task-limit", "600")
PICKLE = "application/x-python-serialize"
YAML = "application/x-yaml"


def well(count: int = 1, **metrics: str) -> Outcome:
    """Return the outcome where so many workers of one server, all that are expected, are well."""
    workers = f"{count} of {count} worker{'s' * (count > 1)}"
    values = perfdata(missing=f"0;;0;0;{count}", online=f"{count};;;0", time=TIME, **metrics)
    return Outcome(f"CELERY WORKERS OK - {workers} online on 1 server | {values}\n", OK)


def unknown(reason: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


WELL_AND_IDLE = well(oldest_task="0s;;;0")
ONE_TASK_TOO_LONG = Outcome(
    "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w@a | "
    f"{perfdata(missing='0;;0;0;1', online='1;;;0', malfunctioning='1;;0;0', oldest_task='AGE;;;0', time=TIME)}\n"
    "Worker w@a was malfunctioning, it has run proj.held for AGE\n",
    CRITICAL,
)
NOBODY = Outcome(
    "CELERY WORKERS CRITICAL - 1 of 1 worker missing: server a | "
    f"{perfdata(missing='1;;0;0;1', missing_servers='1;;;0', online='0;;;0', time=TIME)}\n"
    "Server a was missing, accounts for 1 missing worker: w@a\n"
    "Nobody replied over the broker. If workers run: is the application on another database or virtual host, or does "
    "it set control_exchange, global_keyprefix, fanout_prefix or a serializer? --broker-options must name these\n",
    CRITICAL,
)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    redis = Redis(tmp_path_factory.mktemp("redis"), "--databases", "100")
    with redis:
        yield redis


@contextmanager
def application(redis: Redis, **named: object) -> Iterator[Fleet]:
    """Start a fleet with a database of its own."""
    with Fleet(broker=database(redis), **named) as fleet:  # type: ignore[arg-type]
        yield fleet


def database(redis: Redis) -> str:
    """Return the URL of a database that no other test uses."""
    (number,) = redis.ask("INCR", "tests:databases")
    return redis.url.removesuffix("0") + number


def check(
    broker: str,
    *arguments: str,
    options: Mapping[str, object] | None = None,
    expected: Sequence[str] = ("w@a",),
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run the plugin, which judges as soon as it can; the age of a task is AGE."""
    end = () if "--wait" in arguments else ("--settle", "0")
    words = (*expected, "-t", "200", *end, *arguments, "--broker", broker)
    with all_ended() as mark:
        said = run(*words, "--broker-options", json.dumps(options or {}), env={**mark, **(env or {})}).timeless
    return said._replace(output=ageless(said.output))


def by_command(fleet: Fleet, *arguments: str, expected: Sequence[str] = ("w@a",)) -> Outcome:
    """Run the plugin with a COMMAND that ends with the last reply, however long its -t is."""
    with all_ended() as mark, fleet.ending_with_the_last_reply():
        words = (*expected, "-t", "200", "--settle", "0", *arguments, "--", *fleet.inspect_command("-t", "100"))
        said = run(*words, env={**fleet.environment, **mark}, cwd=fleet.directory).timeless
    return said._replace(output=ageless(said.output))


# Serializers.

ANSWERS = {
    "json": ("json", ["json"], {}),
    "pickle alone": ("pickle", ["pickle"], {"serializer": "pickle"}),
    "pickle, asked in json": ("pickle", ["pickle", "json"], {}),
    "pickle, asked in pickle": ("pickle", ["pickle", "json"], {"serializer": "pickle"}),
    "yaml": ("yaml", ["yaml", "json"], {}),
    "msgpack": ("msgpack", ["msgpack", "json"], {}),
}


@contextmanager
def writing(redis: Redis, serializer: str, accepted: Sequence[str]) -> Iterator[Fleet]:
    """Start the worker w@a of an application that writes messages in this serializer, and accepts these."""
    settings = f"app.conf.update(task_serializer={serializer!r}, accept_content={accepted!r})"
    with application(redis, settings=settings, environment={"C_FORCE_ROOT": "1"}) as fleet:
        fleet.serializer = accepted[0]
        fleet.start("w@a", pool="threads")
        yield fleet


@pytest.mark.parametrize("form", ANSWERS)
def test_a_task_that_runs_too_long_is_seen_whatever_the_serializer_is(redis: Redis, form: str) -> None:
    serializer, accepted, options = ANSWERS[form]
    with writing(redis, serializer, accepted) as fleet:
        before = fleet.logs()
        idle = check(fleet.broker, *LIMIT, options=options)
        assert fleet.logs() == before
        with fleet.holding("celery"):
            busy = check(fleet.broker, *LIMIT, options=options)
    assert idle == WELL_AND_IDLE
    assert busy == ONE_TASK_TOO_LONG


@pytest.mark.parametrize("serializer", ["yaml", "msgpack"])
def test_unknown_what_would_read_the_replies_is_not_installed(redis: Redis, serializer: str, tmp_path: Path) -> None:
    (tmp_path / f"{serializer}.py").write_text(f"raise ImportError(name={serializer!r})\n", encoding="ascii")
    package = {"yaml": "PyYAML", "msgpack": "msgpack"}[serializer]
    with writing(redis, serializer, [serializer, "json"]) as fleet:
        ask = (fleet.broker, "--reply-timeout")
        said = at_the_timeout(lambda seconds: check(*ask, seconds, env={"PYTHONPATH": str(tmp_path)}), "install")
    assert said == Outcome(
        f"CELERY WORKERS UNKNOWN - a reply is written in application/x-{serializer}, install {package} to read it, "
        "no worker had replied\n",
        UNKNOWN,
    )


def test_ok_a_worker_that_has_not_heard_the_question_is_asked_again(redis: Redis) -> None:
    """It connects anew while others are asked."""
    with application(redis) as fleet:
        fleet.start("v@a")
        words = ("v@a", "w-1@a", "-t", "200", "--reply-timeout", "12", "--settle", "0", "--broker", fleet.broker)
        with listening(*words) as plugin:
            plugin.wait_until_shown("1 answered, 2 expected")
            with Crowd(fleet.broker, 1, "celery"):
                said = Outcome(*plugin.finish(DEADLINE)).timeless
    assert said == well(2)


def test_an_application_that_accepts_pickle_alone_is_silent_and_complains_when_asked_in_json(redis: Redis) -> None:
    with writing(redis, "pickle", ["pickle"]) as fleet:
        said = check(fleet.broker, "--reply-timeout", "1")
        wait_for(lambda: "Can't decode message body" in "".join(fleet.logs().values()), "the worker does not complain")
    assert said == NOBODY


def test_unknown_serializer_that_kombu_does_not_know(redis: Redis) -> None:
    assert check(redis.url, options={"serializer": "pikle"}) == unknown(
        "--broker-options: no serializer pikle is installed, there are json, pickle, yaml (with PyYAML) and msgpack "
        "(with msgpack)"
    )


# Replies that nobody should trust.


@contextmanager
def answering(broker: str, *replies: tuple[str, bytes]) -> Iterator[None]:
    """Answer to each question with these: content type and body."""
    ended, listens = Event(), Event()

    def answer(body: dict[str, dict[str, str]], message: Message) -> None:
        message.ack()
        exchange = Exchange(body["reply_to"]["exchange"], type="direct", delivery_mode="transient")
        for content_type, text in replies:
            Producer(message.channel, auto_declare=False).publish(
                text,
                exchange=exchange,
                routing_key=body["reply_to"]["routing_key"],
                content_type=content_type,
                content_encoding="binary",
                headers={"ticket": body["ticket"]},
            )

    def work() -> None:
        with Connection(broker) as connection:
            queue = Mailbox("celery", type="fanout")(connection).get_queue("fake@a")
            with Consumer(connection, [queue], callbacks=[answer]):
                # The subscription is made with the first look.
                while not ended.is_set():
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=0.05)
                    listens.set()

    thread = Thread(target=work)
    thread.start()
    try:
        assert listens.wait(60)
        yield
    finally:
        ended.set()
        thread.join()


class Command:
    """What a pickle runs when it is read."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("place", ["in a queue", "as a queue", "as all queues", "as the name"])
def test_a_command_in_a_pickle_does_not_run(redis: Redis, tmp_path: Path, place: str) -> None:
    made = tmp_path / "made"
    command = Command(os.mkdir, str(made))
    bodies: dict[str, dict[object, object]] = {
        "in a queue": {"w@a": [{"name": "celery", "alias": command}]},
        "as a queue": {"w@a": [{"name": "celery"}, command]},
        "as all queues": {"w@a": command},
        "as the name": {"w@a": [{"name": "celery"}], command: []},
    }
    text = pickle.dumps(bodies[place])
    with answering(broker := database(redis), (PICKLE, text)):
        said = check(broker)
    assert not made.exists()
    # It would.
    pickle.loads(text)  # noqa: S301
    assert made.exists()
    assert said == well()


def test_unknown_a_pickle_that_is_no_reply(redis: Redis, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with answering(broker := database(redis), (PICKLE, pickle.dumps(Command(os.mkdir, str(made))))):
        said = check_unread(broker)
    assert not made.exists()
    assert said == lost(f"a reply in {PICKLE} names no worker")


def test_unknown_a_command_in_yaml(redis: Redis, tmp_path: Path) -> None:
    made = tmp_path / "made"
    text = f"w@a: !!python/object/apply:os.mkdir [{made}]\n".encode()
    with answering(broker := database(redis), (YAML, text)):
        said = check_unread(broker)
    assert not made.exists()
    assert said == lost(f"a reply in {YAML} cannot be read: DecodeError")


@pytest.mark.parametrize("content_type", ["application/data", "application/x-shop"])
def test_unknown_a_reply_that_is_signed_or_in_a_serializer_of_the_application(redis: Redis, content_type: str) -> None:
    with answering(broker := database(redis), (content_type, b'{"w@a": []}')):
        said = check_unread(broker)
    assert said == lost(f"a reply in {content_type} cannot be read, only JSON, pickle, YAML and msgpack can")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"\x80", "cannot be read: DecodeError", id="no text"),
        pytest.param(b"{", "cannot be read: DecodeError", id="cut"),
        pytest.param(b"[1]", "names no worker", id="a list"),
        pytest.param(b"null", "names no worker", id="nothing"),
    ],
)
def test_unknown_a_reply_that_is_broken(redis: Redis, text: bytes, reason: str) -> None:
    with answering(broker := database(redis), ("application/json", text)):
        said = check_unread(broker)
    assert said == lost(f"a reply in application/json {reason}")


def check_unread(broker: str) -> Outcome:
    """Return the outcome once a reply has come that cannot be read."""
    return at_the_timeout(lambda seconds: check(broker, "--reply-timeout", seconds), "a reply ")


def lost(reason: str) -> Outcome:
    """Return the outcome where w@a is expected, and its reply says nothing."""
    return Outcome(
        f"CELERY WORKERS UNKNOWN - {reason}, no worker had replied\n",
        UNKNOWN,
    )


# Versions.


@pytest.fixture(scope="module", params=releases("3.1", "4.4", "5.6"), ids=lambda release: release.celery)
def other(request: pytest.FixtureRequest, redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    """Two workers of another Celery; a test that changes that changes it back."""
    release: Release = request.param
    environment = release.install(tmp_path_factory.mktemp("packages"))
    with application(redis, celery=release.command, environment=environment) as fleet:
        fleet.start("w-1@a", pool="prefork", queues=("orders",))
        start_second(fleet)
        yield Other(release.celery, fleet, {"fanout_prefix": False} if release.celery == "3.1" else {})


def start_second(fleet: Fleet) -> None:
    fleet.start("w-2@a", pool="prefork", queues=("orders", "held"))


class Other(NamedTuple):
    """A fleet of another Celery, and the options that it needs."""

    celery: str
    fleet: Fleet
    options: Mapping[str, object]

    def both(self, *arguments: str) -> Outcome:
        """Return the outcome by COMMAND, once it is the same over the broker."""
        command = by_command(self.fleet, *arguments, expected=["w-2@a"])

        def over_the_broker(seconds: str) -> Outcome:
            ask = (self.fleet.broker, "--reply-timeout", seconds, *arguments)
            return check(*ask, options=self.options, expected=["w-2@a"])

        assert at_the_timeout(over_the_broker, command.headline) == command
        return command


def test_ok_another_version(other: Other) -> None:
    assert other.both("--queue", "orders=2", *LIMIT) == well(2, oldest_task="0s;;;0", queues="0;;0;0")


def test_crit_one_of_another_version_is_missing(other: Other) -> None:
    other.fleet.kill("w-2@a")
    try:
        said = other.both()
    finally:
        start_second(other.fleet)
    assert said == Outcome(
        "CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-0@a or w-2@a | "
        f"{perfdata(missing='1;;0;0;2', online='1;;;0', time=TIME)}\n"
        "Worker w-0@a or w-2@a was missing\n",
        CRITICAL,
    )


def test_a_task_of_another_version_runs_too_long(other: Other) -> None:
    with other.fleet.holding("held"):
        said = other.both(*LIMIT)
    if other.celery == "3.1":
        assert said == unknown("--task-limit needs Celery 4.2: earlier ones do not say when a task was started")
    else:
        values = perfdata(missing="0;;0;0;2", online="2;;;0", malfunctioning="1;;0;0", oldest_task="AGE;;;0", time=TIME)
        assert said == Outcome(
            f"CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-2@a | {values}\n"
            "Worker w-2@a was malfunctioning, it has run proj.held for AGE\n",
            CRITICAL,
        )


# Pools.


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_task_that_runs_too_long_is_seen_in_each_pool(redis: Redis, pool: str) -> None:
    if pool == "gevent":
        pytest.importorskip("gevent")
    with application(redis) as fleet:
        fleet.start("w@a", pool=pool)
        before = fleet.logs()
        idle = check(fleet.broker, *LIMIT)
        assert fleet.logs() == before
        with fleet.holding("celery"):
            busy = check(fleet.broker, *LIMIT)
            assert by_command(fleet, *LIMIT) == busy
    assert idle == WELL_AND_IDLE
    assert busy == ONE_TASK_TOO_LONG


def test_a_solo_worker_is_well_when_it_is_idle_and_missing_while_it_runs_a_task(redis: Redis) -> None:
    with application(redis) as fleet:
        fleet.start("w@a", pool="solo")
        idle = check(fleet.broker, *LIMIT)
        with fleet.holding("celery"):
            busy = check(fleet.broker, "--reply-timeout", "1")
    assert idle == WELL_AND_IDLE
    assert busy == NOBODY


# Beats.


@pytest.fixture(scope="module")
def beats(redis: Redis) -> Iterator[Fleet]:
    """A worker and a scheduler; a test that changes that changes it back."""
    if celery.VERSION < (5, 7):
        pytest.skip("needs Celery 5.7: its beat answers")
    with application(redis) as fleet:
        fleet.start("w@a")
        fleet.start_beat("celerybeat@a")
        yield fleet


def missing_beat(node: str) -> Outcome:
    return Outcome(
        f"CELERY WORKERS CRITICAL - 1 beat missing: {node} | "
        f"{perfdata(missing='1;;0;0;2', online='1;;;0', time=TIME)}\n"
        f"Beat {node} was missing\n"
        "A beat replies from Celery 5.7 on, if the application sets beat_enable_remote_control\n",
        CRITICAL,
    )


@pytest.mark.parametrize("expected", ["celerybeat@a", "celerybeat@*"])
def test_ok_beat(beats: Fleet, expected: str) -> None:
    before = beats.logs()
    said = check(beats.broker, "--beat", expected)
    assert beats.logs() == before
    assert by_command(beats, "--beat", expected) == said
    assert said == Outcome(
        "CELERY WORKERS OK - 1 of 1 worker and 1 beat online on 1 server | "
        f"{perfdata(missing='0;;0;0;2', online='2;;;0', time=TIME)}\n",
        OK,
    )


def test_ok_beat_alone(beats: Fleet) -> None:
    assert check(beats.broker, "--beat", "celerybeat@a", expected=[]) == Outcome(
        f"CELERY WORKERS OK - 1 beat online on 1 server | {perfdata(missing='0;;0;0;1', online='1;;;0', time=TIME)}\n",
        OK,
    )


def test_crit_another_beat_is_expected(beats: Fleet) -> None:
    ask = (beats.broker, "--beat", "celerybeat@z", "--reply-timeout")
    words = "1 beat missing (celerybeat@z), 1 beat unexpected (celerybeat@a)"
    assert at_the_timeout(lambda seconds: check(*ask, seconds), words) == Outcome(
        f"CELERY WORKERS CRITICAL - {words} | "
        f"{perfdata(missing='1;;0;0;2', online='2;;;0', unexpected='1;0;;0', time=TIME)}\n"
        "Beat celerybeat@z was missing\n"
        "Beat celerybeat@a was unexpectedly present\n"
        "A beat replies from Celery 5.7 on, if the application sets beat_enable_remote_control\n",
        CRITICAL,
    )


def test_crit_beat_that_is_stopped(beats: Fleet) -> None:
    beats.freeze("celerybeat@a")
    try:
        ask = (beats.broker, "--beat", "celerybeat@a", "--reply-timeout")
        said = at_the_timeout(lambda seconds: check(*ask, seconds), "1 beat missing")
    finally:
        beats.thaw("celerybeat@a")
    assert said == missing_beat("celerybeat@a")


def test_warn_two_beats(beats: Fleet) -> None:
    beats.start_beat("celerybeat@b")
    try:
        ask = (beats.broker, "--beat", "celerybeat@a", "--wait", "--reply-timeout")
        said = at_the_timeout(lambda seconds: check(*ask, seconds), "1 beat unexpected")
    finally:
        beats.kill("celerybeat@b")
    assert said == Outcome(
        "CELERY WORKERS WARNING - 1 beat unexpected: celerybeat@b | "
        f"{perfdata(missing='0;;0;0;2', online='3;;;0', unexpected='1;0;;0', time=TIME)}\n"
        "Beat celerybeat@b was unexpectedly present\n",
        WARNING,
    )
