"""The plugin asking over a broker or a network that fails: the reason, in time, and never a false alarm."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from brokers import Broker, RabbitMQ, Redis
from certificates import make_certificates
from daemons import daemon, executable
from fleet import Fleet
from listening import listening
from processes import DEADLINE, free_port
from proxy import Proxy
from running import CRITICAL, OK, UNKNOWN, Outcome, at_the_timeout, interruptible, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon, pytest.mark.usefixtures("nothing_is_left_running")]

NODES = ("worker-1@serverA", "celery@serverB")
BROKERS: dict[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMQ}
# How a question begins on the wire.
QUESTION = {"redis": b"PUBLISH", "rabbitmq": b"\x00\x3c\x00\x28"}
SILENT = ("worker-1..1@serverA", "celery@serverB", "mail@serverC")
EXPECTED = SILENT[:2]

ALL_WELL = Outcome(
    "CELERY WORKERS OK - 2 of 2 workers online on 2 servers | "
    f"{perfdata(missing='0;;0;0;2', online='2;;;0', time='0.5s;;;0')}\n",
    OK,
)
ONE_MISSING = Outcome(
    "CELERY WORKERS CRITICAL - 1 of 3 workers missing: server serverC | "
    f"{perfdata(missing='1;;0;0;3', online='2;;;0', missing_servers='1;;;0', time='0.5s;;;0')}\n"
    "Server serverC was missing, accounts for 1 missing worker: mail@serverC\n",
    CRITICAL,
)
ONE_SILENT = "2 of 3 workers had replied, no reply from mail@serverC"
NOT_ANSWERED = "Server serverC had not replied, accounts for 1 worker: mail@serverC\n"


class Site(NamedTuple):
    """A broker of this name, with all of NODES online."""

    name: str
    broker: Broker

    def url(self, port: int | None = None) -> str:
        """Return the URL of the broker, with the port of a proxy."""
        return self.broker.url.replace(str(self.broker.port), str(port or self.broker.port))

    def shown(self, port: int | None = None) -> str:
        return self.url(port).replace("guest:guest@", "")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Start a site for each broker that there is; a test that changes one changes it back."""

    def site(name: str) -> Site:
        broker = stack.enter_context(BROKERS[name](tmp_path_factory.mktemp(name)))
        stack.enter_context(Fleet(broker=broker.url)).start(*NODES)
        return Site(name, broker)

    with ExitStack() as stack:
        yield {name: site(name) for name, kind in BROKERS.items() if kind.installed()}


@pytest.fixture(params=BROKERS)
def site(request: pytest.FixtureRequest, sites: dict[str, Site]) -> Site:
    if request.param not in sites:
        package = BROKERS[request.param].package
        pytest.skip(f"needs {package}: apt-get install {package}")
    return sites[request.param]


def ask(url: str, *arguments: str, timeout: str = "200", patience: str = "1") -> Outcome:
    """Run the plugin; who does not answer soon does not answer."""
    return run(*arguments, "-t", timeout, "--broker", url, "--reply-timeout", patience).timeless


def ask_until(seen: str, url: str, *arguments: str) -> Outcome:
    """Do so with a patience that is long enough for what others say."""
    return at_the_timeout(lambda seconds: ask(url, *arguments, patience=seconds), seen)


def unknown(reason: str, more: str = "") -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n{more}", UNKNOWN)


def explained(said: tuple[str, int], reason: str, more: str = "") -> bool:
    """Tell whether it is UNKNOWN with a reason that matches this pattern, and these further lines."""
    pattern = f"CELERY WORKERS UNKNOWN - {reason}\n{re.escape(more)}"
    return said[1] == UNKNOWN and re.fullmatch(pattern, said[0]) is not None


def test_unknown_a_broker_that_is_down(kind: type[Broker], tmp_path: Path) -> None:
    broker = kind(tmp_path)
    shown = broker.url.replace("guest:guest@", "")
    refused = {
        Redis: f"Error 111 connecting to 127.0.0.1:{broker.port}. Connection refused.",
        RabbitMQ: "[Errno 111] Connection refused",
    }
    for options in ((), ("--attempts", "3"), ("--task-limit", "60", "--backlog-warning", "5"), ("--wait",)):
        assert ask(broker.url, *EXPECTED, *options) == unknown(f"the broker {shown} cannot be reached: {refused[kind]}")


@pytest.fixture(params=BROKERS)
def kind(request: pytest.FixtureRequest) -> type[Broker]:
    kind = BROKERS[request.param]
    if not kind.installed():
        pytest.skip(f"needs {kind.package}: apt-get install {kind.package}")
    return kind


LOST = (
    r"the broker \S+ (was lost: (Connection closed by server\.|Server unexpectedly closed connection|"
    r"\[Errno 104\] Connection reset by peer|Socket closed|.*CONNECTION_FORCED.*)|"
    r"cannot be reached: .*Connection refused\.?)"
)


def test_unknown_a_broker_that_ends_while_one_is_awaited(kind: type[Broker], tmp_path: Path) -> None:
    with kind(tmp_path) as broker, Fleet(broker=broker.url) as fleet:
        fleet.start(*NODES)
        with listening(*SILENT, "-t", "200", "--reply-timeout", "190", "--broker", broker.url) as plugin:
            plugin.wait_until_shown("2 answered, 3 expected")
            broker.stop()
            said = plugin.finish(DEADLINE)
        assert explained(said, f"{LOST}, {ONE_SILENT}", NOT_ANSWERED), said


def test_a_broker_that_is_started_again_is_asked_again(kind: type[Broker], tmp_path: Path) -> None:
    """Another attempt asks those again who have answered, and whoever has come meanwhile."""
    with kind(tmp_path) as broker, Fleet(broker=broker.url) as fleet:
        fleet.start(*NODES)
        arguments = ("-t", "200", "--reply-timeout", "5", "--attempts", "100", "--broker", broker.url)
        with listening(*SILENT, *arguments) as plugin:
            plugin.wait_until_shown("2 answered, 3 expected")
            broker.stop()
            broker.start()
            with Fleet(broker=broker.url) as others:
                others.start("mail@serverC")
                said = Outcome(*plugin.finish(DEADLINE)).timeless
    assert said == Outcome(
        "CELERY WORKERS OK - 3 of 3 workers online on 3 servers | "
        f"{perfdata(missing='0;;0;0;3', online='3;;;0', time='0.5s;;;0')}\n",
        OK,
    )


def test_unknown_a_broker_that_hangs_before_it_is_asked(site: Site) -> None:
    with site.broker.frozen():
        said = ask(site.url(), *EXPECTED, timeout="3")
    assert said == unknown(f"the broker {site.shown()} did not answer before the timeout")


def test_unknown_a_broker_that_hangs_while_one_is_awaited(site: Site) -> None:
    with listening(*SILENT, "-t", "200", "--reply-timeout", "3", "--broker", site.url()) as plugin:
        plugin.wait_until_shown("2 answered, 3 expected")
        with site.broker.frozen():
            said = plugin.finish(DEADLINE)
    reason = f"the broker {site.shown()} delivers no messages any more, {ONE_SILENT}"
    assert said == unknown(reason, NOT_ANSWERED)


def test_unknown_redis_that_pauses_its_clients(sites: dict[str, Site]) -> None:
    if "redis" not in sites:
        pytest.skip("needs redis-server: apt-get install redis-server")
    site = sites["redis"]
    assert isinstance(site.broker, Redis)
    # All that needs a right to write, a question among it: it lasts until it is taken back.
    site.broker.ask("CLIENT", "PAUSE", "600000", "WRITE")
    said = ask(site.url(), *EXPECTED, timeout="2")
    site.broker.ask("CLIENT", "UNPAUSE")
    assert said == unknown(f"the broker {site.shown()} did not answer before the timeout")
    assert ask(site.url(), *EXPECTED, patience="60") == ALL_WELL


# A command to Redis waits for what Redis says to it, a question to RabbitMQ does not.
DEAF = {"redis": "did not answer before the timeout", "rabbitmq": "delivers no messages any more"}


def test_unknown_a_network_that_goes_deaf_before_the_question(site: Site) -> None:
    with Proxy(site.broker.port) as proxy:
        proxy.go_deaf_before(QUESTION[site.name])
        said = ask(site.url(proxy.port), *EXPECTED, timeout="10")
        assert proxy.is_deaf.is_set()
    assert said == unknown(f"the broker {site.shown(proxy.port)} {DEAF[site.name]}")


def test_unknown_a_network_that_goes_deaf_after_the_question(site: Site) -> None:
    with Proxy(site.broker.port) as proxy:
        proxy.go_deaf_after(QUESTION[site.name])
        said = ask(site.url(proxy.port), *EXPECTED, timeout="10")
        assert proxy.is_deaf.is_set()
    assert said == unknown(f"the broker {site.shown(proxy.port)} {DEAF[site.name]}")


def test_unknown_a_network_that_goes_deaf_after_some_replies(site: Site) -> None:
    with Proxy(site.broker.port) as proxy:
        arguments = ("-t", "200", "--reply-timeout", "3", "--broker", site.url(proxy.port))
        with listening(*SILENT, *arguments) as plugin:
            plugin.wait_until_shown("2 answered, 3 expected")
            proxy.go_deaf()
            said = plugin.finish(DEADLINE)
    reason = f"the broker {site.shown(proxy.port)} delivers no messages any more, {ONE_SILENT}"
    assert said == unknown(reason, NOT_ANSWERED)


def test_ok_a_network_that_goes_deaf_after_all_replies(site: Site) -> None:
    with Proxy(site.broker.port) as proxy:
        arguments = ("-t", "200", "--reply-timeout", "5", "--wait", "--broker", site.url(proxy.port))
        with listening(*EXPECTED, *arguments) as plugin:
            plugin.wait_until_shown("2 answered, 2 expected")
            proxy.go_deaf()
            said = Outcome(*plugin.finish(DEADLINE)).timeless
    assert said == ALL_WELL


def test_unknown_a_network_that_goes_deaf_before_the_lengths(site: Site) -> None:
    """Everybody has answered: it is the backlog alone that nobody can know."""
    with Proxy(site.broker.port) as proxy:
        backlog = ("--backlog-critical", "celery=5")
        arguments = ("-t", "8", "--reply-timeout", "3", "--wait", *backlog, "--broker", site.url(proxy.port))
        with listening(*EXPECTED, *arguments) as plugin:
            plugin.wait_until_shown("2 answered, 2 expected")
            proxy.go_deaf()
            said = plugin.finish(DEADLINE)
    assert said == unknown(f"the broker {site.shown(proxy.port)} did not answer before the timeout")


def test_another_attempt_comes_through_where_the_network_was_deaf(site: Site) -> None:
    with Proxy(site.broker.port) as proxy:
        arguments = ("-t", "200", "--reply-timeout", "3", "--attempts", "2", "--broker", site.url(proxy.port))
        with listening(*SILENT, *arguments) as plugin:
            plugin.wait_until_shown("2 answered, 3 expected")
            # The connections that there are stay deaf.
            proxy.go_deaf()
            proxy.hear()
            said = Outcome(*plugin.finish(DEADLINE)).timeless
    assert said == ONE_MISSING


def test_crit_missing_is_missing_through_a_proxy_that_hears(site: Site) -> None:
    """The network is what makes the difference in the tests above."""
    with Proxy(site.broker.port) as proxy:
        assert ask_until("1 of 3", site.url(proxy.port), *SILENT) == ONE_MISSING
        assert ask(site.url(proxy.port), *EXPECTED, patience="60") == ALL_WELL


def test_another_attempt_comes_through_where_the_broker_was_down(kind: type[Broker], tmp_path: Path) -> None:
    with kind(tmp_path) as broker, Fleet(broker=broker.url) as fleet:
        fleet.start(*NODES)
        broker.stop()
        arguments = ("-t", "200", "--attempts", "100", "--broker", broker.url)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(run, *EXPECTED, *arguments)
            broker.start()
            assert asked.result().timeless == ALL_WELL


@contextmanager
def silence() -> Iterator[socket.socket]:
    """Listen on a port, and accept and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


HANGING_URLS = ["redis://127.0.0.1:{}/0", "rediss://127.0.0.1:{}/0", "amqp://127.0.0.1:{}//", "amqps://127.0.0.1:{}//"]


@pytest.mark.waiting
@pytest.mark.parametrize("url", HANGING_URLS)
def test_the_deadline_holds_where_nothing_is_said(url: str) -> None:
    hint = " (is TLS spoken there?)" if url.startswith(("rediss", "amqps")) else ""
    with silence() as server:
        port = server.getsockname()[1]
        said = run("celery@serverB", "-t", "3", "--broker", url.format(port))
    assert said == unknown(f"the broker {url.format(port)} did not answer before the timeout{hint}")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("url", HANGING_URLS)
def test_unknown_ended_by_a_signal_while_it_connects(url: str, name: str) -> None:
    with silence() as server:
        url = url.format(server.getsockname()[1])
        with interruptible(), listening("celery@serverB", "-t", "200", "--broker", url) as plugin:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                plugin.process.send_signal(getattr(signal, name))
                assert plugin.finish(DEADLINE) == unknown(
                    f"the check was ended by {name} before the workers had replied"
                )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_unknown_ended_by_a_signal_while_one_is_awaited(site: Site, name: str) -> None:
    before = site.broker.contents()
    arguments = ("-t", "200", "--reply-timeout", "190", "--broker", site.url())
    with interruptible(), listening(*SILENT, *arguments) as plugin:
        plugin.wait_until_shown("2 answered, 3 expected")
        plugin.process.send_signal(getattr(signal, name))
        assert plugin.finish(DEADLINE) == unknown(f"the check was ended by {name} before the workers had replied")
    assert site.broker.contents_soon(before) == before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_unknown_ended_by_a_signal_while_the_broker_hangs(site: Site, name: str) -> None:
    arguments = ("-t", "200", "--reply-timeout", "190", "--broker", site.url())
    with interruptible(), listening(*SILENT, *arguments) as plugin:
        plugin.wait_until_shown("2 answered, 3 expected")
        with site.broker.frozen():
            plugin.process.send_signal(getattr(signal, name))
            assert plugin.finish(DEADLINE) == unknown(f"the check was ended by {name} before the workers had replied")


def test_a_signal_that_is_ignored_is_ignored(site: Site) -> None:
    """As nohup ignores SIGHUP."""
    arguments = ("-t", "200", "--reply-timeout", "3", "--broker", site.url())
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening(*SILENT, *arguments) as plugin:
            plugin.wait_until_shown("2 answered, 3 expected")
            plugin.process.send_signal(signal.SIGHUP)
            assert Outcome(*plugin.finish(DEADLINE)).timeless == ONE_MISSING
    finally:
        signal.signal(signal.SIGHUP, before)


class Ports(NamedTuple):
    """The ports of one broker, the one plain, the other with TLS."""

    plain: int
    tls: int


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ports]]:
    """Start each broker with a plain port and one with TLS."""
    executable("openssl", package="openssl")
    redis_server = executable("redis-server", package="redis-server")
    if not RabbitMQ.installed():
        pytest.skip("needs rabbitmq-server: apt-get install rabbitmq-server")
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    files = {"cacertfile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"}
    settings = "listeners.ssl.1 = 127.0.0.1:{port}\n"
    settings += "".join(f"ssl_options.{name} = {folder}/{file}\n" for name, file in files.items())
    redis = Ports(free_port(), free_port())
    rabbitmq = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), settings)
    command = (
        *(redis_server, "--bind", "127.0.0.1", "--save", "", "--port", str(redis.plain)),
        *("--tls-port", str(redis.tls), "--tls-auth-clients", "no", "--tls-ca-cert-file", f"{folder}/ca.pem"),
        *("--tls-cert-file", f"{folder}/server.pem", "--tls-key-file", f"{folder}/server.key"),
    )
    with rabbitmq, daemon(*command, log=folder / "redis.log") as running:
        running.wait_for_port(redis.tls)
        yield {"redis": redis, "amqp": Ports(rabbitmq.port, rabbitmq.other_port)}


@pytest.mark.waiting
def test_unknown_tls_is_not_spoken_there(ports: dict[str, Ports]) -> None:
    redis, amqp = (f"rediss://127.0.0.1:{ports['redis'].plain}/0", f"amqps://127.0.0.1:{ports['amqp'].plain}//")
    hint = (
        r"(did not answer before the timeout \(is TLS spoken there\?\)|cannot be reached: .*(SSL|EOF|reset|closed).*)"
    )
    for url in (redis, amqp):
        said = run("celery@serverB", "-t", "5", "--broker", url)
        assert explained(said, f"the broker {url} {hint}"), said


@pytest.mark.waiting
def test_unknown_tls_is_spoken_there(ports: dict[str, Ports]) -> None:
    redis, amqp = (f"redis://127.0.0.1:{ports['redis'].tls}/0", f"amqp://127.0.0.1:{ports['amqp'].tls}//")
    hint = r"(did not answer before the timeout|cannot be reached: .*(closed|reset|format).*)"
    for url in (redis, amqp):
        said = run("celery@serverB", "-t", "5", "--broker", url)
        assert explained(said, f"the broker {url} {hint}"), said
