"""The plugin asking real workers over a real RabbitMQ: rights, TLS, alarms, lengths, and what it leaves there."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import kombu
import pytest
from ages import ageless
from brokers import RabbitMQ
from certificates import make_certificates
from daemons import executable
from fleet import Fleet
from listening import listening
from paths import CONTRIB
from processes import DEADLINE, wait_for
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, at_the_timeout, interruptible, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon, pytest.mark.usefixtures("nothing_is_left_running")]

NODES = ("worker-1@serverA", "worker-2@serverA", "celery@serverB")
EXPECTED = ("worker-2@serverA", "celery@serverB")
QUEUES = ("emails", "letters")
PASSWORD = "open/sesame:7f3@x"  # noqa: S105 -- of nobody
ENCODED = "open%2Fsesame%3A7f3%40x"
# The least rights, as the page gives them: configure, write, read.
PAGE = (CONTRIB / "broker" / "README.md").read_text(encoding="utf-8")
CONFIGURE, WRITE, READ = re.findall(
    "'([^']+)'", re.findall(r"^    rabbitmqctl set_permissions .*$", PAGE, re.MULTILINE)[0]
)

WELL = perfdata(missing="0;;0;0;3", online="3;;;0", time="0.5s;;;0")
ALL_WELL = Outcome(f"CELERY WORKERS OK - 3 of 3 workers online on 2 servers | {WELL}\n", OK)
BLOCKED = "the broker takes no messages: connection blocked, see broker logs"
ONE_MISSING = Outcome(
    "CELERY WORKERS CRITICAL - 1 of 4 workers missing: server serverC | "
    f"{perfdata(missing='1;;0;0;4', online='3;;;0', missing_servers='1;;;0', time='0.5s;;;0')}\n"
    "Server serverC was missing, accounts for 1 missing worker: mail@serverC\n",
    CRITICAL,
)


class Shop(NamedTuple):
    """RabbitMQ with the virtual host `shop`, where all of NODES are online."""

    broker: RabbitMQ
    fleet: Fleet

    def url(self, user: str = "shop", password: str = ENCODED, vhost: str = "shop") -> str:
        return f"amqp://{user}:{password}@127.0.0.1:{self.broker.port}/{vhost}"

    def shown(self, vhost: str = "shop") -> str:
        return f"amqp://127.0.0.1:{self.broker.port}/{vhost}"

    def logs(self) -> dict[str, str]:
        """Return what each worker has logged."""
        return {log.name: log.read_text() for log in self.fleet.directory.glob("worker-*.log")}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Start it; a test that changes it changes it back."""
    if not RabbitMQ.installed():
        pytest.skip("needs rabbitmq-server: apt-get install rabbitmq-server")
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    with broker:
        broker.vhost = "shop"
        for vhost in ("shop", "empty"):
            broker.ctl("add_vhost", vhost)
        for user in ("shop", "monitor"):
            broker.ctl("add_user", user, PASSWORD)
        for vhost in ("shop", "empty"):
            broker.ctl("set_permissions", "-p", vhost, "shop", ".*", ".*", ".*")
        with Fleet(broker=f"amqp://shop:{ENCODED}@127.0.0.1:{broker.port}/shop") as fleet:
            fleet.start(*NODES, pool="prefork", queues=QUEUES)
            yield Shop(broker, fleet)


def ask(*arguments: str) -> Outcome:
    """Run the plugin with a timeout that is long enough; the time in the perfdata is written as 0.5s."""
    said = run(*arguments, "-t", "200").timeless
    return said._replace(output=ageless(said.output))


def ask_as(url: str, *arguments: str, seen: str = "") -> Outcome:
    """Run the plugin; who does not answer soon does not answer, once `seen` is in the output."""
    return at_the_timeout(lambda seconds: ask(*arguments, "--broker", url, "--reply-timeout", seconds), seen)


def unknown(reason: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def test_ok_with_a_password_and_a_virtual_host(shop: Shop) -> None:
    assert ask(*EXPECTED, "--broker", shop.url()) == ALL_WELL


def test_ok_with_a_password_that_no_process_list_shows(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "broker"
    file.write_text(f"CELERY_BROKER_URL='{shop.url()}'\n")
    assert ask(*EXPECTED, "--broker", str(file)) == ALL_WELL
    environment = {**os.environ, "CELERY_BROKER_URL": shop.url()}
    assert run(*EXPECTED, "-t", "200", "--broker", "env", env=environment).timeless == ALL_WELL


def test_ok_the_first_of_two_brokers_is_down(shop: Shop) -> None:
    for url in (f"amqp://guest@127.0.0.1:1//;{shop.url()}", f"{shop.url()};amqp://guest@127.0.0.1:1//"):
        assert ask(*EXPECTED, "--broker", url) == ALL_WELL


def test_vv_says_what_asked_and_vvv_what_came(shop: Shop) -> None:
    output, code = ask_as(shop.url(), *EXPECTED, "-vvv", "--wait", seen=ALL_WELL.headline)
    said, _, came = output.partition("Celery's output:\n")
    assert said == (
        f"{ALL_WELL.output}"
        "Online on serverA: 2 workers, worker-1..2@serverA\n"
        "Online on serverB: 1 worker, celery@serverB\n"
        "Queue emails: 3 workers\n"
        "Queue letters: 3 workers\n"
        "OK: missing is 0 (warning ~:, critical 0)\n"
        "OK: malfunctioning is 0 (warning ~:, critical 0)\n"
        "OK: duplicate is 0 (warning 0, critical ~:)\n"
        "OK: unexpected is 0 (warning 0, critical ~:)\n"
        "OK: missing_servers is 0 (warning ~:, critical ~:)\n"
        "OK: unexpected_servers is 0 (warning ~:, critical ~:)\n"
        "worker@serverA: its 2 workers are numbered from 1\n"
        f"Asked with kombu {kombu.__version__}, {shop.shown()}\n"
    )
    replies = [f"->  {node}: OK\n    * emails\n    * letters\n" for node in NODES]
    assert came in map("".join, itertools.permutations(replies))
    assert code == OK


@pytest.mark.parametrize(
    ("user", "password", "vhost", "reason"),
    [
        pytest.param(
            "shop",
            "wrong-sesame",
            "shop",
            "(403) ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            "For details see the broker logfile.",
            id="a wrong password",
        ),
        pytest.param(
            "nobody",
            ENCODED,
            "shop",
            "(403) ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            "For details see the broker logfile.",
            id="no such user",
        ),
        pytest.param(
            "shop",
            ENCODED,
            "shops",
            "Connection.open: (530) NOT_ALLOWED - vhost shops not found",
            id="no such virtual host",
        ),
        pytest.param(
            "monitor",
            ENCODED,
            "empty",
            "Connection.open: (530) NOT_ALLOWED - access to vhost 'empty' refused for user 'monitor'",
            id="no rights there",
        ),
    ],
)
def test_unknown_who_may_not_come_in(shop: Shop, user: str, password: str, vhost: str, reason: str) -> None:
    assert ask(*EXPECTED, "--broker", shop.url(user, password, vhost)) == unknown(
        f"the broker {shop.shown(vhost)} cannot be reached: {reason}"
    )


def test_crit_no_worker_has_ever_listened_there(shop: Shop) -> None:
    numbers = perfdata(missing="3;;0;0;3", online="0;;;0", missing_servers="2;;;0", time="0.5s;;;0")
    assert ask_as(shop.url(vhost="empty"), *EXPECTED) == Outcome(
        f"CELERY WORKERS CRITICAL - 3 of 3 workers missing: server serverA, server serverB | {numbers}\n"
        "Server serverA was missing, accounts for 2 missing workers\n"
        "Server serverB was missing, accounts for 1 missing worker: celery@serverB\n"
        "The broker has no exchange celery.pidbox: since it was started, no worker has listened on this virtual host\n",
        CRITICAL,
    )


def test_crit_nobody_listens_on_another_exchange(shop: Shop) -> None:
    options = json.dumps({"control_exchange": "bookshop"})
    numbers = perfdata(missing="1;;0;0;1", online="0;;;0", missing_servers="1;;;0", time="0.5s;;;0")
    assert ask_as(shop.url(), "celery@serverB", "--broker-options", options) == Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 1 worker missing: server serverB | {numbers}\n"
        "Server serverB was missing, accounts for 1 missing worker: celery@serverB\n"
        "The broker has no exchange bookshop.pidbox: since it was started, no worker has listened on this virtual "
        "host\n",
        CRITICAL,
    )


@contextmanager
def rights_of_monitor(shop: Shop, configure: str, write: str, read: str) -> Iterator[str]:
    """Give the user `monitor` these rights; yield its URL."""
    shop.broker.ctl("set_permissions", "-p", "shop", "monitor", configure, write, read)
    try:
        yield shop.url("monitor")
    finally:
        shop.broker.ctl("clear_permissions", "-p", "shop", "monitor")


def test_the_rights_that_readme_gives_are_enough_for_everything(shop: Shop) -> None:
    everything = (
        "--task-limit",
        "3600",
        "--queue",
        "emails=3",
        "--backlog-warning",
        "100",
        "--beat",
        "celerybeat@*=0..1",
    )
    numbers = perfdata(
        missing="0;;0;0;3",
        online="3;;;0",
        time="0.5s;;;0",
        oldest_task="0s;;;0",
        queues="0;;0;0",
        backlog="0;;;0",
        backlog_emails="0;100;;0",
    )
    with rights_of_monitor(shop, CONFIGURE, WRITE, READ) as url:
        assert ask(*EXPECTED, *everything, "--broker", url) == Outcome(
            f"CELERY WORKERS OK - 3 of 3 workers and 0 beats online on 2 servers | {numbers}\n", OK
        )
        missing = (*EXPECTED, "mail@serverC", "--attempts", "2")
        assert ask_as(url, *missing, seen=ONE_MISSING.headline) == ONE_MISSING


def test_who_has_these_rights_can_neither_read_nor_make_a_queue_of_the_application(shop: Shop) -> None:
    acts = (("basic_get", "emails"), ("queue_declare", "bills"), ("queue_purge", "emails"))
    with rights_of_monitor(shop, CONFIGURE, WRITE, READ) as url, kombu.Connection(url) as connection:
        for act, queue in acts:
            with pytest.raises(connection.channel_errors, match="ACCESS_REFUSED"):
                getattr(connection.channel(), act)(queue)


@pytest.mark.parametrize(
    ("configure", "write", "read", "reason"),
    [
        pytest.param(
            "^$",
            WRITE,
            READ,
            r"cannot be reached: Exchange\.declare: \(403\) ACCESS_REFUSED - access to exchange "
            r"'reply\.celery\.pidbox' in vhost 'shop' refused for user 'monitor'",
            id="to configure",
        ),
        pytest.param(
            CONFIGURE,
            "^$",
            READ,
            r"cannot be reached: Queue\.bind: \(403\) ACCESS_REFUSED - access to queue '[-\w]+\.reply\.celery\.pidbox' "
            "in vhost 'shop' refused for user 'monitor'",
            id="to write",
        ),
        pytest.param(
            CONFIGURE,
            READ,
            READ,
            r"(does not take the question|was lost): Basic\.publish: \(403\) ACCESS_REFUSED - access to exchange "
            r"'celery\.pidbox' in vhost 'shop' refused for user 'monitor'",
            id="to ask",
        ),
        pytest.param(
            CONFIGURE,
            WRITE,
            "^$",
            r"cannot be reached: Queue\.bind: \(403\) ACCESS_REFUSED - access to exchange 'reply\.celery\.pidbox' "
            "in vhost 'shop' refused for user 'monitor'",
            id="to read",
        ),
    ],
)
def test_unknown_a_right_is_lacking(shop: Shop, configure: str, write: str, read: str, reason: str) -> None:
    with rights_of_monitor(shop, configure, write, read) as url:
        output, code = ask_as(url, *EXPECTED)
    assert re.fullmatch(f"CELERY WORKERS UNKNOWN - the broker {shop.shown()} {reason}\n", output)
    assert code == UNKNOWN


@contextmanager
def filled(url: str, queue: kombu.Queue, count: int) -> Iterator[None]:
    """Make a queue that nobody consumes from, with so many messages of several priorities in it."""
    with kombu.Connection(url) as connection:
        channel = connection.channel()
        bound = queue(channel)
        bound.declare()
        try:
            producer = kombu.Producer(channel, routing_key=queue.name)
            for number in range(count):
                producer.publish({}, priority=number % 10)
            wait_for(lambda: bound.queue_declare(passive=True).message_count == count, "a queue lacks messages")
            yield
        finally:
            bound.delete()


@pytest.mark.parametrize(
    ("arguments", "durable"),
    [
        pytest.param({"x-queue-type": "quorum"}, True, id="a quorum queue"),
        pytest.param({"x-max-priority": 10}, False, id="a queue with priorities"),
        pytest.param({"x-single-active-consumer": True}, False, id="a queue for one consumer"),
    ],
)
def test_the_length_of(shop: Shop, arguments: dict[str, object], durable: bool) -> None:
    queue = kombu.Queue("bills", queue_arguments=arguments, durable=durable)
    numbers = {"missing": "0;;0;0;3", "online": "3;;;0", "time": "0.5s;;;0", "queues": "0;;0;0"}
    with filled(shop.url(), queue, 25):
        asked = (*EXPECTED, "--broker", shop.url(), "--backlog-warning")
        assert ask(*asked, "bills=25") == Outcome(
            "CELERY WORKERS OK - 3 of 3 workers online on 2 servers | "
            f"{perfdata(**numbers, backlog='25;;;0', backlog_bills='25;25;;0')}\n",
            OK,
        )
        assert ask(*asked, "bills=24") == Outcome(
            "CELERY WORKERS WARNING - 1 queue backed up: bills | "
            f"{perfdata(**numbers, backlog='25;;;0', backlog_bills='25;24;;0')}\n"
            "Queue bills has a backlog of 25 tasks, more than 24\n",
            WARNING,
        )


def test_crit_a_queue_does_not_exist_and_the_others_are_measured(shop: Shop) -> None:
    names = ("attic=1", "bills=10", "cellar=1", "emails=10")
    numbers = perfdata(
        missing="0;;0;0;3",
        online="3;;;0",
        time="0.5s;;;0",
        queues="2;;0;0",
        backlog="7;;;0",
        backlog_bills="7;;10;0",
        backlog_emails="0;;10;0",
    )
    with filled(shop.url(), kombu.Queue("bills", durable=False), 7):
        options = (word for name in names for word in ("--backlog-critical", name))
        assert ask(*EXPECTED, "--broker", shop.url(), *options) == Outcome(
            f"CELERY WORKERS CRITICAL - 2 queues do not exist: attic, cellar | {numbers}\n"
            "Queue attic does not exist\n"
            "Queue cellar does not exist\n",
            CRITICAL,
        )


def test_another_s_exclusive_queue_is_left_out(shop: Shop) -> None:
    shop.broker.ctl("add_vhost", "private")
    shop.broker.ctl("set_permissions", "-p", "private", "shop", ".*", ".*", ".*")
    numbers = perfdata(
        missing="0;;0;0;1", online="1;;;0", time="0.5s;;;0", queues="0;;0;0", backlog="3;;;0", backlog_bills="3;5;;0"
    )
    with Fleet(broker=shop.url(vhost="private")) as fleet:
        with (fleet.directory / "proj.py").open("a") as app:
            app.write("from kombu import Queue\n")
            app.write("app.conf.task_queues = [Queue('private', exclusive=True, durable=False), Queue('emails')]\n")
        fleet.start("celery@serverB", queues=("private", "emails"))
        with filled(shop.url(vhost="private"), kombu.Queue("bills", durable=False), 3):
            asked = ("celery@serverB", "--broker", shop.url(vhost="private"), "--backlog-warning", "5")
            assert ask(*asked, "--backlog-warning", "bills=5") == Outcome(
                f"CELERY WORKERS OK - 1 of 1 worker online on 1 server | {numbers}\n", OK
            )
    shop.broker.ctl("delete_vhost", "private")


def test_no_queue_is_made_by_asking_for_its_length(shop: Shop) -> None:
    before = shop.broker.contents()
    ask(*EXPECTED, "--broker", shop.url(), "--backlog-warning", "bills=5", "--backlog-warning", "emails=5")
    assert shop.broker.contents_soon(before) == before


def test_unknown_the_memory_alarm_blocks_who_publishes(shop: Shop) -> None:
    shop.broker.ctl("set_vm_memory_high_watermark", "absolute", "1000000")
    try:
        wait_for(lambda: "memory" in " ".join(shop.broker.ctl("eval", "rabbit_alarm:get_alarms().")), "no alarm")
        for options in ((), ("--attempts", "2"), ("--task-limit", "3600", "--backlog-warning", "5")):
            assert ask_as(shop.url(), *EXPECTED, *options) == unknown(BLOCKED)
    finally:
        shop.broker.ctl("set_vm_memory_high_watermark", "0.4")
    wait_for(lambda: shop.broker.ctl("eval", "rabbit_alarm:get_alarms().") == ["[]"], "the alarm stays")
    assert ask(*EXPECTED, "--broker", shop.url()) == ALL_WELL


SCENES = [
    pytest.param(EXPECTED, ALL_WELL, id="all is well"),
    pytest.param((*EXPECTED, "mail@serverC"), ONE_MISSING, id="one is missing"),
    pytest.param(
        # Only who is expected is waited for otherwise.
        ("celery@serverB", "--wait"),
        Outcome(
            "CELERY WORKERS WARNING - 2 workers unexpected: server serverA | "
            + perfdata(
                missing="0;;0;0;1",
                online="3;;;0",
                unexpected="2;0;;0",
                unexpected_servers="1;;;0",
                time="0.5s;;;0",
            )
            + "\nServer serverA was unexpectedly present, accounts for 2 workers\n",
            WARNING,
        ),
        id="two are unexpected",
    ),
    pytest.param(
        (*EXPECTED, "--queue", "emails=3", "--queue", "letters=4"),
        Outcome(
            "CELERY WORKERS CRITICAL - 1 queue short of consumers: letters | "
            + perfdata(missing="0;;0;0;3", online="3;;;0", queues="1;;0;0", time="0.5s;;;0")
            + "\nQueue letters has 3 consumers instead of 4\n",
            CRITICAL,
        ),
        id="a queue is short of consumers",
    ),
    pytest.param(
        (*EXPECTED, "--queue", "bills"),
        Outcome(
            "CELERY WORKERS CRITICAL - 1 queue short of consumers: bills | "
            + perfdata(missing="0;;0;0;3", online="3;;;0", queues="1;;0;0", time="0.5s;;;0")
            + "\nQueue bills has 0 consumers instead of at least 1\n",
            CRITICAL,
        ),
        id="nobody consumes from a queue",
    ),
]


@pytest.mark.parametrize(("arguments", "outcome"), SCENES)
def test_the_same_verdict_by_command_and_by_broker(shop: Shop, arguments: tuple[str, ...], outcome: Outcome) -> None:
    assert ask_as(shop.url(), *arguments, seen=outcome.headline) == outcome
    with shop.fleet.ending_with_the_last_reply():
        assert by_command(shop, *arguments) == outcome


def by_command(shop: Shop, *arguments: str) -> Outcome:
    command = shop.fleet.inspect_command("-t", "100")
    said = run(*arguments, "-t", "200", "--", *command, env={**os.environ, **shop.fleet.environment})
    return said._replace(output=ageless(said.timeless.output))


def test_the_same_verdict_of_a_task_over_its_limit(shop: Shop) -> None:
    with shop.fleet.holding("emails"), shop.fleet.ending_with_the_last_reply():
        told = [
            ask(*EXPECTED, "--task-limit", "0.001", "--broker", shop.url()),
            by_command(shop, *EXPECTED, "--task-limit", "0.001"),
        ]
    for said in told:
        node = re.findall("Worker (.*) was malfunctioning", said.output)[0]
        numbers = perfdata(
            missing="0;;0;0;3", online="3;;;0", malfunctioning="1;;0;0", oldest_task="AGE;;;0", time="0.5s;;;0"
        )
        assert said == Outcome(
            f"CELERY WORKERS CRITICAL - 1 worker malfunctioning: {node} | {numbers}\n"
            f"Worker {node} was malfunctioning, it has run proj.held for AGE\n",
            CRITICAL,
        )
    assert told[0] == told[1]


def test_the_same_baseline_by_command_and_by_broker_but_for_the_stall_limit(shop: Shop) -> None:
    written = Outcome("celery@serverB\nworker-1..2@serverA\nqueue emails=3..\nqueue letters=3..\n", OK)
    limited = written._replace(output=f"{written.output}stall-limit 15s\n")
    assert ask_as(shop.url(), "--baseline", seen=limited.output) == limited
    with shop.fleet.ending_with_the_last_reply():
        assert by_command(shop, "--baseline") == written


@pytest.mark.exhaustive
def test_nothing_is_left_by_50_checks_of_which_20_are_ended_and_no_worker_logs_a_line(shop: Shop) -> None:
    def connections() -> list[str]:
        return shop.broker.ctl("list_connections", "pid")

    before, connected, logged = shop.broker.contents(), connections(), shop.logs()
    silent = (*EXPECTED, "mail@serverC", "-t", "200", "--reply-timeout", "190", "--broker", shop.url())

    def is_left_alone(number: int) -> Outcome:
        options = (("--task-limit", "3600"), ("--backlog-warning", "bills=5"), ())[number % 3]
        return ask(*EXPECTED, *options, "--settle", "0", "--broker", shop.url())

    def is_ended(number: int) -> Outcome:
        with listening(*silent) as plugin:
            plugin.wait_until_shown("3 answered, 4 expected")
            plugin.process.send_signal(number)
            if number == signal.SIGKILL:
                return Outcome(plugin.process.communicate()[0], plugin.process.returncode)
            return Outcome(*plugin.finish(DEADLINE))

    with ThreadPoolExecutor(4) as pool:
        # Whoever is left alone has what it says asserted elsewhere.
        assert {said.headline for said in pool.map(is_left_alone, range(30))} == {
            "CELERY WORKERS OK - 3 of 3 workers online on 2 servers",
            "CELERY WORKERS CRITICAL - 1 queue does not exist: bills",
        }
        ended = list(pool.map(is_ended, [signal.SIGTERM, signal.SIGKILL] * 10))
    assert ended[::2] == [unknown("the check was ended by SIGTERM before the workers had replied")] * 10
    assert ended[1::2] == [Outcome("", -signal.SIGKILL)] * 10
    assert shop.broker.contents_soon(before) == before
    wait_for(lambda: connections() == connected, "connections are left")
    assert shop.logs() == logged


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_unknown_ended_by_a_signal_while_it_waits(shop: Shop, name: str) -> None:
    before = shop.broker.contents()
    silent = (*EXPECTED, "mail@serverC", "-t", "200", "--reply-timeout", "190", "--broker", shop.url())
    with interruptible(), listening(*silent) as plugin:
        plugin.wait_until_shown("3 answered, 4 expected")
        plugin.process.send_signal(getattr(signal, name))
        assert plugin.finish(DEADLINE) == unknown(f"the check was ended by {name} before the workers had replied")
    assert shop.broker.contents_soon(before) == before


TLS = """\
listeners.ssl.1 = 127.0.0.1:{{port}}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = {verify}
ssl_options.fail_if_no_peer_cert = {must}
"""


class Encrypted(NamedTuple):
    """The URLs of RabbitMQ for who shows no certificate and who does, and certificates."""

    for_all: str
    for_known: str
    folder: Path

    def options(self, authority: str = "ca", **others: str) -> str:
        ssl = {"ca_certs": str(self.folder / f"{authority}.pem"), "cert_reqs": "CERT_REQUIRED", **others}
        return json.dumps({"ssl": ssl})


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    """Start two RabbitMQ with TLS, the second of which wants a certificate, with one worker each."""
    executable("openssl", package="openssl")
    if not RabbitMQ.installed():
        pytest.skip("needs rabbitmq-server: apt-get install rabbitmq-server")
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    kinds = {"for-all": ("verify_none", "false"), "for-known": ("verify_peer", "true")}
    with ExitStack() as stack:
        urls = []
        for name, (verify, must) in kinds.items():
            settings = TLS.format(folder=folder, verify=verify, must=must)
            broker = RabbitMQ(tmp_path_factory.mktemp(name), settings)
            stack.enter_context(broker)
            stack.enter_context(Fleet(broker=broker.url)).start("celery@serverB")
            urls.append(f"amqps://guest:guest@127.0.0.1:{broker.other_port}//")
        yield Encrypted(urls[0], urls[1], folder)


ONE_WELL = Outcome(
    "CELERY WORKERS OK - 1 of 1 worker online on 1 server | "
    f"{perfdata(missing='0;;0;0;1', online='1;;;0', time='0.5s;;;0')}\n",
    OK,
)


def test_ok_with_tls(encrypted: Encrypted) -> None:
    for options in (encrypted.options(), '{"ssl": {"cert_reqs": "CERT_NONE"}}'):
        assert ask("celery@serverB", "--broker", encrypted.for_all, "--broker-options", options) == ONE_WELL


def test_ok_with_tls_that_the_options_alone_ask_for(encrypted: Encrypted) -> None:
    url = encrypted.for_all.replace("amqps", "amqp")
    assert ask("celery@serverB", "--broker", url, "--broker-options", encrypted.options()) == ONE_WELL


def test_ok_with_a_certificate_of_the_client(encrypted: Encrypted) -> None:
    client = {
        "certfile": str(encrypted.folder / "client.pem"),
        "keyfile": str(encrypted.folder / "client.key"),
    }
    options = encrypted.options(**client)
    assert ask("celery@serverB", "--broker", encrypted.for_known, "--broker-options", options) == ONE_WELL


UNVERIFIED = r"\[SSL: CERTIFICATE_VERIFY_FAILED\] certificate verify failed: .*"


def test_unknown_nobody_has_said_whom_to_trust(encrypted: Encrypted) -> None:
    shown = encrypted.for_all.replace("guest:guest@", "")
    for options in ("{}", '{"ssl": true}', encrypted.options("another-ca")):
        output, code = ask("celery@serverB", "--broker", encrypted.for_all, "--broker-options", options)
        assert re.fullmatch(f"CELERY WORKERS UNKNOWN - the broker {shown} cannot be reached: {UNVERIFIED}\n", output)
        assert code == UNKNOWN


def test_unknown_it_shows_no_certificate(encrypted: Encrypted) -> None:
    """What the server says of it may get lost, as it closes the connection at once."""
    shown = encrypted.for_known.replace("guest:guest@", "")
    options = encrypted.options()
    output, code = ask("celery@serverB", "--broker", encrypted.for_known, "--broker-options", options)
    reason = r"(EOF occurred in violation of protocol|.*certificate required|.*reset by peer).*"
    assert re.fullmatch(f"CELERY WORKERS UNKNOWN - the broker {shown} cannot be reached: {reason}\n", output)
    assert code == UNKNOWN


def test_unknown_a_certificate_is_not_there(encrypted: Encrypted) -> None:
    shown = encrypted.for_all.replace("guest:guest@", "")
    options = encrypted.options("gone")
    assert ask("celery@serverB", "--broker", encrypted.for_all, "--broker-options", options) == unknown(
        f"the broker {shown} cannot be reached: [Errno 2] No such file or directory"
    )
