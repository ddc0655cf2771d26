"""Asked over a real Redis: each way in, the least rights, the queues' lengths, and nothing left behind."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from brokers import Redis, Sentinel
from certificates import make_certificates
from fleet import Fleet
from kombu import Connection
from listening import answered
from paths import CONTRIB
from processes import DEADLINE, all_ended, free_port, wait_for
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, at_the_timeout, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon]

TIME = "0.5s;;;0"
NODES = ("w-1@a", "w-2@a")
# All that must be percent-encoded in a URL, and more.
ODD_WORD = "s3/#?;@:%&=+ t"
ENCODED = quote(ODD_WORD, safe="")
REPLIES = "_kombu.binding.reply.celery.pidbox"
DEADLINES = "_kombu.binding_deadlines"
QUESTIONS = ("--task-limit", "60", "--backlog-warning", "10", "--backlog-warning", "emails=10")

# As the page says: to ask each question, and to leave nothing behind; with the last two, to measure queues.
PAGE = (CONTRIB / "broker" / "README.md").read_text(encoding="utf-8")
RIGHTS = tuple(re.findall(r"^    ACL SETUSER monitor on >PASSWORD (.*)$", PAGE, re.MULTILINE)[0].split())


def well(count: int = 2, servers: int = 1, **metrics: str) -> Outcome:
    """Return the outcome where so many workers, all that are expected, are well."""
    workers, on = f"{count} of {count} worker{'s' * (count > 1)}", f"{servers} server{'s' * (servers > 1)}"
    values = perfdata(missing=f"0;;0;0;{count}", online=f"{count};;;0", time=TIME, **metrics)
    return Outcome(f"CELERY WORKERS OK - {workers} online on {on} | {values}\n", OK)


def unknown(reason: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


NOBODY = Outcome(
    "CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a | "
    f"{perfdata(missing='2;;0;0;2', missing_servers='1;;;0', online='0;;;0', time=TIME)}\n"
    "Server a was missing, accounts for 2 missing workers\n"
    "Nobody replied over the broker. If workers run: is the application on another database or virtual host, or does "
    "it set control_exchange, global_keyprefix, fanout_prefix or a serializer? --broker-options must name these\n",
    CRITICAL,
)


# The workers tidy up when they start, and not what a test has left there since.
SWEEPS_ONCE = "from kombu.transport import redis\nredis.BINDING_SWEEP_INTERVAL = float('inf')"


class Site(NamedTuple):
    """A Redis with every way in, and its fleet, all of NODES online; `files` has certificates, and what tests write."""

    redis: Redis
    fleet: Fleet
    files: Path
    tls_port: int

    @property
    def socket(self) -> Path:
        return self.files / "redis.sock"

    def url(self, scheme: str = "redis", user: str = f":{ENCODED}", database: int = 0, arguments: str = "") -> str:
        port = self.tls_port if scheme == "rediss" else self.redis.port
        return f"{scheme}://{user}@127.0.0.1:{port}/{database}{arguments}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    files, port = tmp_path_factory.mktemp("files"), free_port()
    make_certificates(files)
    options = (
        *("--unixsocket", str(files / "redis.sock")),
        *("--tls-port", str(port), "--tls-auth-clients", "optional", "--tls-ca-cert-file", str(files / "ca.pem")),
        *("--tls-cert-file", str(files / "server.pem"), "--tls-key-file", str(files / "server.key")),
    )
    redis = Redis(tmp_path_factory.mktemp("redis"), *options, password=ODD_WORD)
    with redis, Fleet(broker=redis.url, settings=SWEEPS_ONCE) as fleet:
        fleet.start(*NODES)
        yield Site(redis, fleet, files, port)


def check(
    *arguments: str,
    broker: str,
    options: Mapping[str, object] | str = "",
    expected: Sequence[str] = ("w-2@a",),
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run the plugin, which judges as soon as it can, with an environment of nothing but `env`."""
    text = options if isinstance(options, str) else json.dumps(options)
    words = (*expected, "-t", "200", "--settle", "0", *arguments, "--broker", broker)
    with all_ended() as mark:
        said = run(*words, *(("--broker-options", text) if text else ()), env={**mark, **(env or {})})
    return said.timeless


def check_until(seen: str, *arguments: str, broker: str, options: Mapping[str, object] | str = "") -> Outcome:
    """Do so where somebody does not reply, with a --reply-timeout that is long enough for what others say."""
    return at_the_timeout(
        lambda seconds: check("--reply-timeout", seconds, *arguments, broker=broker, options=options), seen
    )


def test_ok_password_with_everything_in_it_that_must_be_encoded(site: Site) -> None:
    assert check(broker=site.url()) == well()


@pytest.mark.parametrize("mark", ["/", "#", "?", ";"])
def test_unknown_password_that_is_not_encoded(site: Site, mark: str) -> None:
    outcome = check(broker=site.url(user=f":first{mark}second"))
    assert outcome.code == UNKNOWN
    assert "first" not in outcome.output
    assert "second" not in outcome.output
    assert (
        "in a user name or password, write %2F for /, %23 for #, %3F for ?, %3B for ; and %40 for @" in outcome.output
    )


def test_unknown_wrong_password(site: Site) -> None:
    assert check(broker=site.url(user=":wrong")) == unknown(
        f"the broker redis://127.0.0.1:{site.redis.port}/0 cannot be reached: invalid username-password pair or "
        "user is disabled."
    )


def test_unknown_no_password(site: Site) -> None:
    assert check(broker=f"redis://127.0.0.1:{site.redis.port}/0") == unknown(
        f"the broker redis://127.0.0.1:{site.redis.port}/0 cannot be reached: Authentication required."
    )


def test_ok_unix_socket(site: Site) -> None:
    assert check(broker=f"redis+socket://:{ENCODED}@{site.socket}") == well()


def test_ok_unix_socket_and_the_number_of_the_database(site: Site) -> None:
    assert check(broker=f"redis+socket://:{ENCODED}@{site.socket}?virtual_host=0") == well()


def test_crit_another_number_of_the_database(site: Site) -> None:
    assert check("--reply-timeout", "1", broker=site.url(database=5)) == NOBODY


def test_ok_url_in_a_file_with_comments(site: Site) -> None:
    file = site.files / "url"
    file.write_text(f"# The broker of the shop\n\n  {site.url()}  \n", encoding="utf-8")
    assert check(broker=str(file)) == well()


@pytest.mark.parametrize("form", ["CELERY_BROKER_URL={}", "export CELERY_BROKER_URL='{}'", 'CELERY_BROKER_URL = "{}"'])
def test_ok_url_in_a_file_of_settings(site: Site, form: str) -> None:
    file = site.files / "settings"
    lines = ["# Of all services", "DJANGO_SETTINGS_MODULE=shop", form.format(site.url()), "CELERY_RESULT_BACKEND=x"]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert check(broker=str(file)) == well()


def test_ok_url_in_the_environment(site: Site) -> None:
    assert check(broker="env", env={"CELERY_BROKER_URL": site.url()}) == well()


def test_unknown_no_url_in_the_environment() -> None:
    assert check(broker="env") == unknown("the variable CELERY_BROKER_URL is empty; write the URL of the broker")


def test_ok_the_second_of_two_brokers_is_there(site: Site) -> None:
    assert check(broker=f"redis://127.0.0.1:1/0;{site.url()}") == well()


def test_ok_the_first_of_two_brokers_is_there(site: Site) -> None:
    assert check(broker=f"{site.url()};redis://127.0.0.1:1/0") == well()


def test_unknown_none_of_two_brokers_is_there() -> None:
    assert check(broker="redis://:secret@127.0.0.1:1/0;redis://:secret@127.0.0.1:2/0") == unknown(
        "the broker redis://127.0.0.1:1/0 or redis://127.0.0.1:2/0 cannot be reached: Error 111 connecting to "
        "127.0.0.1:2. Connection refused."
    )


def test_ok_tls_by_the_url(site: Site) -> None:
    arguments = f"?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={quote(str(site.files / 'ca.pem'))}"
    assert check(broker=site.url("rediss", arguments=arguments)) == well()


def test_ok_tls_by_the_url_without_a_look_at_the_certificate(site: Site) -> None:
    assert check(broker=site.url("rediss", arguments="?ssl_cert_reqs=none")) == well()


@pytest.mark.parametrize("prefix", ["ssl_", ""])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_ok_tls_by_the_options(site: Site, scheme: str, prefix: str) -> None:
    settings = {f"{prefix}cert_reqs": "CERT_REQUIRED", f"{prefix}ca_certs": str(site.files / "ca.pem")}
    url = site.url("rediss").replace("rediss:", f"{scheme}:")
    assert check(broker=url, options={"ssl": settings}) == well()


def test_unknown_tls_with_a_certificate_of_an_authority_that_is_not_known(site: Site) -> None:
    output, code = check(broker=site.url("rediss", arguments="?ssl_cert_reqs=required"))
    assert re.fullmatch(
        rf"CELERY WORKERS UNKNOWN - the broker rediss://127.0.0.1:{site.tls_port}/0 cannot be reached: Error 1 "
        rf"connecting to 127.0.0.1:{site.tls_port}\. .*CERTIFICATE_VERIFY_FAILED. certificate verify failed: "
        r"self.signed certificate in certificate chain \(_ssl\.c:\d+\)\.\n",
        output,
    )
    assert code == UNKNOWN


@contextmanager
def client_certificates_required(site: Site) -> Iterator[None]:
    site.redis.ask("CONFIG", "SET", "tls-auth-clients", "yes")
    try:
        yield
    finally:
        site.redis.ask("CONFIG", "SET", "tls-auth-clients", "optional")


def test_ok_client_certificate_by_the_url(site: Site) -> None:
    names = {"ssl_ca_certs": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}
    paths = "&".join(f"{name}={quote(str(site.files / file))}" for name, file in names.items())
    with client_certificates_required(site):
        assert check(broker=site.url("rediss", arguments=f"?ssl_cert_reqs=required&{paths}")) == well()


def test_ok_client_certificate_by_the_options(site: Site) -> None:
    names = {"ca_certs": "ca.pem", "certfile": "client.pem", "keyfile": "client.key"}
    paths = {name: str(site.files / file) for name, file in names.items()}
    with client_certificates_required(site):
        said = check(broker=site.url("rediss"), options={"ssl": {"cert_reqs": "CERT_REQUIRED", **paths}})
    assert said == well()


def test_unknown_no_client_certificate(site: Site) -> None:
    with client_certificates_required(site):
        said = check(broker=site.url("rediss"), options={"ssl": {"cert_reqs": "CERT_NONE"}})
    assert said.code == UNKNOWN
    assert said.output.startswith(f"CELERY WORKERS UNKNOWN - the broker rediss://127.0.0.1:{site.tls_port}/0 ")


@contextmanager
def user(site: Site, *rights: str) -> Iterator[str]:
    """Let "nagios" in with these rights; yield the URL."""
    redis = site.redis
    redis.ask("ACL", "SETUSER", "nagios", "reset", "on", ">x", *rights)
    redis.ask("ACL", "LOG", "RESET")
    # As after a start of Redis: who needs a script loads it.
    redis.ask("SCRIPT", "FLUSH")
    # What an application left, which kombu 5.7 sweeps away.
    redis.ask("ZADD", DEADLINES, "1", "old.reply.celery.pidbox")
    try:
        yield site.url(user="nagios:x")
    finally:
        redis.ask("ACL", "DELUSER", "nagios")
        # Who may not tidy up leaves it.
        redis.ask("DEL", REPLIES)
        redis.ask("ZREM", DEADLINES, "old.reply.celery.pidbox")


def denied(redis: Redis) -> list[str]:
    """Return all lines of the log of what was denied."""
    return list(filter(None, redis.ask("ACL", "LOG")))


def test_ok_least_rights(site: Site) -> None:
    before = site.redis.contents()
    with user(site, *RIGHTS) as url:
        said = check(*QUESTIONS, broker=url)
        assert denied(site.redis) == []
        assert site.redis.contents_soon(before) == before
    assert said == well(oldest_task="0.0s;;;0", backlog="0;;;0", backlog_emails="0;10;;0", queues="0;;0;0")


def test_crit_least_rights_and_somebody_is_missing(site: Site) -> None:
    before = site.redis.contents()
    ask = ("-e", "nobody@b", "--beat", "celerybeat@a", *QUESTIONS)
    with user(site, *RIGHTS) as url:
        said = check_until("1 of 3 workers", *ask, broker=url)
        assert denied(site.redis) == []
        assert site.redis.contents_soon(before) == before
    values = perfdata(
        missing="2;;0;0;4",
        missing_servers="1;;;0",
        online="2;;;0",
        time=TIME,
        oldest_task="0.0s;;;0",
        backlog="0;;;0",
        backlog_emails="0;10;;0",
        queues="0;;0;0",
    )
    assert said == Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 3 workers missing (server b), 1 beat missing (celerybeat@a) | {values}\n"
        "Server b was missing, accounts for 1 missing worker: nobody@b\n"
        "Beat celerybeat@a was missing\n"
        "A beat replies from Celery 5.7 on, if the application sets beat_enable_remote_control\n",
        CRITICAL,
    )


def test_ok_least_rights_where_others_have_left_something(site: Site) -> None:
    site.redis.ask("ZADD", DEADLINES, "1", "orders")
    site.redis.ask("SADD", "_kombu.binding.orders", "orders")
    try:
        with user(site, *RIGHTS) as url:
            assert check(broker=url) == well()
        assert "_kombu.binding.orders" in site.redis.contents()
    finally:
        site.redis.ask("ZREM", DEADLINES, "orders")
        site.redis.ask("DEL", "_kombu.binding.orders")


@pytest.mark.parametrize("right", [right for right in RIGHTS if right[0] in "+&~%"])
def test_each_of_the_least_rights_is_needed(site: Site, right: str) -> None:
    with user(site, *(other for other in RIGHTS if other != right)) as url:
        check("-e", "nobody@b", "--reply-timeout", "1", *QUESTIONS, "--backlog-critical", "celery=10", broker=url)
        assert denied(site.redis) != []


SETTINGS: dict[str, dict[str, object]] = {
    "prefix": {"global_keyprefix": "shop:"},
    "priorities": {"priority_steps": [0, 5], "sep": ":", "queue_order_strategy": "priority"},
    "no fanout prefix": {"fanout_prefix": False},
    "control exchange": {"control_exchange": "shop"},
}


@pytest.fixture(scope="module")
def fleets(site: Site) -> Iterator[dict[str, tuple[Fleet, str, dict[str, object]]]]:
    """Yield for each of SETTINGS a fleet with a database of its own, its URL, and what it has set."""
    started: dict[str, tuple[Fleet, str, dict[str, object]]] = {}

    def start(name: str, database: int) -> Fleet:
        url, options = site.url(database=database), SETTINGS[name]
        settings = options if "control_exchange" in options else {"broker_transport_options": options}
        fleet = Fleet(broker=url, settings=f"app.conf.update({settings!r})")
        started[name] = fleet, url, options
        fleet.start("celery@b")
        return fleet

    try:
        for database, name in enumerate(SETTINGS, 1):
            start(name, database)
        yield started
    finally:
        for fleet, _, _ in started.values():
            fleet.__exit__()


@pytest.mark.parametrize("name", SETTINGS)
def test_ok_with_the_settings_of_the_application(
    name: str, fleets: dict[str, tuple[Fleet, str, dict[str, object]]]
) -> None:
    _, url, options = fleets[name]
    assert check(broker=url, options=options, expected=["celery@b"]) == well(1)


@pytest.mark.parametrize("name", ["prefix", "no fanout prefix", "control exchange"])
def test_crit_nobody_is_there_without_the_settings_of_the_application(
    name: str, fleets: dict[str, tuple[Fleet, str, dict[str, object]]]
) -> None:
    _, url, _ = fleets[name]
    assert check("--reply-timeout", "1", broker=url) == NOBODY


def test_ok_settings_in_a_file(site: Site, fleets: dict[str, tuple[Fleet, str, dict[str, object]]]) -> None:
    _, url, options = fleets["prefix"]
    file = site.files / "options.json"
    file.write_text(json.dumps(options), encoding="utf-8")
    assert check(broker=url, options=str(file), expected=["celery@b"]) == well(1)


@pytest.fixture(scope="module")
def sentinel(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinel]:
    sentinel = Sentinel(tmp_path_factory.mktemp("sentinel"), site.redis, ODD_WORD)
    with sentinel:
        yield sentinel


def test_ok_sentinel(sentinel: Sentinel) -> None:
    assert check(broker=sentinel.url, options={"master_name": "mymaster"}) == well()


@pytest.mark.parametrize("form", ["{};{}", "{1};{0}"])
def test_ok_one_of_two_sentinels_is_there(sentinel: Sentinel, form: str) -> None:
    url = form.format(f"sentinel://:{ENCODED}@127.0.0.1:1/0", sentinel.url)
    assert check(broker=url, options={"master_name": "mymaster"}) == well()


def test_unknown_sentinel_knows_no_master_of_this_name(sentinel: Sentinel) -> None:
    assert check(broker=sentinel.url, options={"master_name": "other"}) == unknown(
        f"the broker sentinel://127.0.0.1:{sentinel.port}/0 cannot be reached: No master found for 'other'"
    )


def test_unknown_sentinel_without_the_name_of_the_master(sentinel: Sentinel) -> None:
    assert check(broker=sentinel.url) == unknown(
        f"the broker sentinel://127.0.0.1:{sentinel.port}/0 cannot be reached: 'master_name' transport option must be "
        "specified."
    )


def send(url: str, queue: str, count: int, options: Mapping[str, object] | None = None, priority: int = 0) -> None:
    """Put messages into a queue."""
    with Connection(url, transport_options=dict(options or {})) as connection:
        queues = connection.SimpleQueue(queue)
        for _ in range(count):
            queues.put({}, priority=priority)
        queues.close()


@contextmanager
def waiting(redis: Redis, url: str, **counts: int) -> Iterator[None]:
    """Let so many messages wait in queues that nobody consumes from."""
    before = redis.contents()
    for queue, count in counts.items():
        send(url, queue, count)
    try:
        yield
    finally:
        for key in set(redis.contents()) - set(before):
            redis.ask("DEL", key)


def test_backlogs_of_queues_that_nobody_consumes_from(site: Site) -> None:
    with waiting(site.redis, site.url(), emails=7, letters=3):
        limits = ("emails=5", "letters=5", "absent=5")
        ask = [word for limit in limits for word in ("--backlog-warning", limit)]
        said = check(*ask, "--backlog-critical", "letters=2", broker=site.url())
    values = perfdata(
        missing="0;;0;0;2",
        online="2;;;0",
        time=TIME,
        backlog="10;;;0",
        backlog_absent="0;5;;0",
        backlog_emails="7;5;;0",
        backlog_letters="3;5;2;0",
        queues="0;;0;0",
    )
    assert said == Outcome(
        f"CELERY WORKERS CRITICAL - 2 queues backed up: emails, letters | {values}\n"
        "Queue emails has a backlog of 7 tasks, more than 5\n"
        "Queue letters has a backlog of 3 tasks, more than 2\n",
        CRITICAL,
    )


def test_warn_backlog_of_a_queue_that_workers_consume_from(site: Site) -> None:
    url = site.url(database=8)
    with Fleet(broker=url, settings="app.conf.worker_prefetch_multiplier = 1") as fleet:
        fleet.start("celery@b", pool="threads")
        with fleet.holding("celery"):
            for _ in range(3):
                fleet.send("proj.nap", 0)
            # It has fetched one of them.
            wait_for(lambda: site.redis.ask("-n", "8", "LLEN", "celery") == ["2"], "not all of them wait")
            said = check("--backlog-warning", "1", broker=url, expected=["celery@b"])
    values = perfdata(missing="0;;0;0;1", online="1;;;0", time=TIME, backlog="2;;;0")
    assert said == Outcome(
        f"CELERY WORKERS WARNING - 1 queue backed up: celery | {values}\n"
        "Queue celery has a backlog of 2 tasks, more than 1\n",
        WARNING,
    )


def test_lengths_are_added_up_over_the_priorities(fleets: dict[str, tuple[Fleet, str, dict[str, object]]]) -> None:
    _, url, options = fleets["priorities"]
    for priority, count in ((0, 1), (5, 2), (9, 3)):
        send(url, "emails", count, options, priority)
    said = check("--backlog-warning", "emails=5", "-vv", broker=url, options=options, expected=["celery@b"])
    values = perfdata(
        missing="0;;0;0;1", online="1;;;0", time=TIME, backlog="6;;;0", backlog_emails="6;5;;0", queues="0;;0;0"
    )
    assert said.findings[-1].endswith(", lengths of the priorities 0, 5")
    said = check("--backlog-warning", "emails=5", broker=url, options=options, expected=["celery@b"])
    assert said == Outcome(
        f"CELERY WORKERS WARNING - 1 queue backed up: emails | {values}\n"
        "Queue emails has a backlog of 6 tasks, more than 5\n",
        WARNING,
    )


def test_backlogs_alone_where_no_worker_is_expected(site: Site) -> None:
    with waiting(site.redis, site.url(database=6), emails=1):
        said = check("--backlog-warning", "emails=5", broker=site.url(database=6), expected=[])
    values = perfdata(
        missing="0;;0;0;0", online="0;;;0", time=TIME, backlog="1;;;0", backlog_emails="1;5;;0", queues="0;;0;0"
    )
    assert said == Outcome(f"CELERY WORKERS OK - 1 task waits in 1 queue | {values}\n", OK)


def test_nothing_is_left_by_50_checks(site: Site) -> None:
    before = site.redis.contents()
    url, ask = site.url(), ("--task-limit", "60")

    def one(number: int) -> Outcome:
        if number % 5:
            return check(*ask, broker=url)
        words = ("w-2@a", "nobody@b", *ask, "-t", "200", "--reply-timeout", "100", "--broker", url)
        with answered(2, *words) as plugin:
            plugin.send_signal(signal.SIGTERM)
            output, _ = plugin.communicate(timeout=DEADLINE)
        return Outcome(output, plugin.returncode)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(one, range(50)))
    assert site.redis.contents_soon(before) == before
    ended = unknown("the check was ended by SIGTERM before the workers had replied")
    assert outcomes == [one_outcome for _ in range(10) for one_outcome in (ended, *[well(oldest_task="0.0s;;;0")] * 4)]


def test_killed_checks_leave_where_replies_went_until_nobody_has_asked_for_an_hour(site: Site) -> None:
    # The fleet's own Celery lets a reply queue that was left behind stay for longer.
    site.redis.ask("ZREM", DEADLINES, "reply.celery.pidbox")
    before = site.redis.contents()
    words = ("w-2@a", "nobody@b", "-t", "200", "--reply-timeout", "100", "--broker", site.url())
    for _ in range(10):
        with answered(2, *words) as plugin:
            plugin.kill()
            plugin.wait()
    left = site.redis.contents()
    members = left.pop(REPLIES)
    assert left == before
    assert len(members) == 10
    (deadline,) = site.redis.ask("ZSCORE", DEADLINES, "reply.celery.pidbox")
    assert 3500 < float(deadline) / 1000 - time.time() <= 3600
    # An hour later, the next that uses kombu 5.7 sweeps it away: in another database, nobody else.
    url = site.url(database=9)
    site.redis.ask("-n", "9", "SADD", REPLIES, *members)
    site.redis.ask("-n", "9", "ZADD", DEADLINES, "1", "reply.celery.pidbox")
    with Connection(url) as connection:
        connection.default_channel.sweep_bindings()
    assert site.redis.ask("-n", "9", "KEYS", "*") == [""]
    site.redis.ask("DEL", REPLIES)


def test_a_message_that_another_consumer_has_held_for_two_hours_stays_with_it(site: Site) -> None:
    url, redis = site.url(database=7), site.redis
    # In this database, nobody but the plugin.
    message = json.dumps([{"body": "e30=", "properties": {"priority": 0}}, "", "emails"])
    redis.ask("-n", "7", "HSET", "unacked", "tag", message)
    redis.ask("-n", "7", "ZADD", "unacked_index", str(time.time() - 7200), "tag")

    def held() -> list[list[str]]:
        commands = (("HGETALL", "unacked"), ("ZCARD", "unacked_index"), ("LLEN", "emails"), ("EXISTS", "unacked_mutex"))
        return [redis.ask("-n", "7", *command) for command in commands]

    before = held()
    assert check("--reply-timeout", "1", "--backlog-warning", "emails=0", broker=url).code == CRITICAL
    assert held() == before == [["tag", message], ["1"], ["0"], ["0"]]
    # A consumer of tasks does put it back.
    with Connection(url) as connection:
        connection.default_channel.qos.restore_visible()
    assert held() == [[""], ["0"], ["1"], ["0"]]


def test_no_check_leaves_a_line_in_a_log(site: Site) -> None:
    before = site.fleet.logs()
    ask = (*QUESTIONS, "--beat", "celerybeat@a")
    assert check(*QUESTIONS, broker=site.url()).code == OK
    assert check("-e", "nobody@b", *ask, "--reply-timeout", "1", broker=site.url()).code == CRITICAL
    assert check("--baseline", broker=site.url(), expected=[]).code == OK
    words = ("w-2@a", "nobody@b", *ask, "-t", "200", "--broker", site.url())
    with answered(2, *words) as plugin:
        plugin.send_signal(signal.SIGTERM)
    assert site.fleet.logs() == before
