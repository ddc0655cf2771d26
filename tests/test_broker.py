"""`--broker` without a broker: how it is written, what is secret of it, what is lacking, and who is not there."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, Outcome, check, perfdata, run

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

# Nothing listens on these: only root could.
REDIS, ANOTHER_REDIS = "redis://127.0.0.1:1/7", "redis://127.0.0.1:2/7"
RABBITMQ, ANOTHER_RABBITMQ = "amqp://127.0.0.1:1//shop", "amqp://127.0.0.1:2//shop"
REFUSED = f"the broker {REDIS} cannot be reached: Error 111 connecting to 127.0.0.1:1. Connection refused."
PASSWORD = "open-sesame_7f3"  # noqa: S105 -- of nobody
ENCODE = "in a user name or password, write %2F for /, %23 for #, %3F for ?, %3B for ; and %40 for @"
SEVERAL = "the URL of the broker names several hosts; write a URL for each, and ; between them"
EXTRA = "pip install 'check_celery_workers[broker]', on Debian python3-kombu, python3-redis and python3-packaging"
NO_URL = "--broker takes a URL, such as redis://redis1/0, the full path of a file that holds it, or env"
NO_OBJECT = (
    """is no JSON object; write one such as '{"global_keyprefix": "shop:"}', or the full path of a file that holds it"""
)
NOBODY = (
    "Nobody replied over the broker. If workers run: is the application on another database or virtual host, or does "
    "it set control_exchange, global_keyprefix, fanout_prefix or a serializer? --broker-options must name these\n"
)


def unknown(reason: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            ["--broker", REDIS, "--", "celery", "status"],
            "--broker asks the workers itself; leave out --broker or what follows the --",
            id="with COMMAND",
        ),
        pytest.param(["--broker-options", "{}"], "--broker-options needs --broker", id="options without a broker"),
        pytest.param(
            ["--broker-options", "{}", "--", "celery", "status"],
            "--broker-options needs --broker",
            id="options with COMMAND",
        ),
        pytest.param(["--reply-timeout", "3"], "--reply-timeout needs --broker", id="reply-timeout without a broker"),
        pytest.param(
            ["--reply-timeout", "3", "--", "celery", "status"],
            "--reply-timeout needs --broker",
            id="reply-timeout with COMMAND",
        ),
        pytest.param(
            ["--no-command", "--broker", REDIS],
            "--no-command accepts no COMMAND and no --broker; leave it out",
            id="a broker after --no-command",
        ),
        pytest.param(
            ["--broker", "env", "--no-command"],
            "--no-command accepts no COMMAND and no --broker; leave it out",
            id="a broker before --no-command",
        ),
        pytest.param(
            ["--no-command", "--broker-options", "{}"],
            "--broker-options needs --broker",
            id="options after --no-command",
        ),
        pytest.param(
            ["--no-command", "--reply-timeout", "3"],
            "--reply-timeout needs --broker",
            id="reply-timeout after --no-command",
        ),
        pytest.param(["--broker", "redis1"], NO_URL, id="a host"),
        pytest.param(["--broker", "redis1:6379"], NO_URL, id="a host and a port"),
        pytest.param(["--broker", "broker.txt"], NO_URL, id="a relative path"),
        pytest.param(["--broker", "ENV"], NO_URL, id="env in capitals"),
        pytest.param(
            ["--broker", REDIS, "--reply-timeout", "0"],
            "argument --reply-timeout: '0' is no time at all; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a reply-timeout of nothing",
        ),
        pytest.param(
            ["--broker", REDIS, "--reply-timeout", "soon"],
            "argument --reply-timeout: 'soon' is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a reply-timeout that is no time",
        ),
        pytest.param(
            ["--broker", REDIS, "--reply-timeout", "30"],
            "--reply-timeout must be less than --timeout",
            id="a reply-timeout as long as the timeout",
        ),
        pytest.param(
            ["--broker", REDIS, "--reply-timeout", "5", "-t", "5"],
            "--reply-timeout must be less than --timeout",
            id="a timeout as short as the reply-timeout",
        ),
        pytest.param(
            ["--broker", "", "-t", "20"], "--broker is empty; write the URL of the broker", id="an empty value"
        ),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(arguments: list[str], reason: str) -> None:
    assert check("w@a", *arguments) == unknown(reason)


def test_a_word_that_is_no_broker_is_not_shown_as_it_may_hold_a_password() -> None:
    assert check("w@a", "--broker", f"guest:{PASSWORD}@rabbit1") == unknown(NO_URL)


@pytest.mark.parametrize("value", [None, "", "  "], ids=["unset", "empty", "blank"])
def test_without_a_value_the_variable_is_unknown(value: str | None) -> None:
    environment = {name: held for name, held in os.environ.items() if name != "CELERY_BROKER_URL"}
    if value is not None:
        environment["CELERY_BROKER_URL"] = value
    assert run("w@a", "--broker", "env", env=environment) == unknown(
        "the variable CELERY_BROKER_URL is empty; write the URL of the broker"
    )


def test_the_variable_is_read() -> None:
    environment = {**os.environ, "CELERY_BROKER_URL": f" {REDIS}\n"}
    assert run("w@a", "--broker", "env", env=environment) == unknown(REFUSED)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(REDIS, id="the URL alone"),
        pytest.param(f"\n  {REDIS}  \r\n\n", id="blanks around it"),
        pytest.param(f"# the broker of the shop\n\n{REDIS}\n# and no other\n", id="comments"),
        pytest.param(f"CELERY_BROKER_URL={REDIS}\n", id="a setting"),
        pytest.param(f"export CELERY_BROKER_URL={REDIS}\n", id="an exported setting"),
        pytest.param(f"CELERY_BROKER_URL='{REDIS}'\n", id="a setting in single quotes"),
        pytest.param(f'  export   CELERY_BROKER_URL = "{REDIS}"\n', id="a setting in double quotes"),
        pytest.param(
            f"SECRET_KEY={PASSWORD}\nCELERY_BROKER_URL={REDIS}\nCELERY_RESULT_BACKEND={ANOTHER_REDIS}\n",
            id="a setting among others",
        ),
    ],
)
def test_a_file_holds_the_url(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broker"
    file.write_text(text)
    assert run("w@a", "--broker", str(file)) == unknown(REFUSED)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "{file} is empty; write the URL of the broker", id="nothing"),
        pytest.param("# the broker\n\n", "{file} is empty; write the URL of the broker", id="a comment"),
        pytest.param("CELERY_BROKER_URL=\n", "{file} is empty; write the URL of the broker", id="an empty setting"),
        pytest.param("CELERY_BROKER_URL=''\n", "{file} is empty; write the URL of the broker", id="empty quotes"),
        pytest.param(
            f"redis://:{PASSWORD}@h/0\nredis://:{PASSWORD}@h/1\n",
            "{file} holds 2 lines; write one URL, or CELERY_BROKER_URL=URL",
            id="two URLs",
        ),
        pytest.param(
            f"CELERY_BROKER_URL=redis://:{PASSWORD}@h/0\nCELERY_BROKER_URL=redis://:{PASSWORD}@h/1\n",
            "{file} holds 2 lines; write one URL, or CELERY_BROKER_URL=URL",
            id="two settings",
        ),
        pytest.param(
            f"SECRET_KEY={PASSWORD}\nBROKER=redis://:{PASSWORD}@h/0\n",
            "{file} holds 2 lines; write one URL, or CELERY_BROKER_URL=URL",
            id="other settings",
        ),
        pytest.param(
            f"root:{PASSWORD}:0\n",
            f"each URL of --broker needs its scheme, such as redis:// in front; {ENCODE}",
            id="something secret that is no URL",
        ),
    ],
)
def test_unknown_a_file_that_does_not_hold_one_url(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "broker"
    file.write_text(text)
    assert check("w@a", "--broker", str(file)) == unknown(reason.format(file=file))


def test_unknown_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert check("w@a", "--broker", str(gone)) == unknown(f"{gone} cannot be read: No such file or directory")
    assert check("w@a", "--broker", str(tmp_path)) == unknown(f"{tmp_path} cannot be read: Is a directory")
    assert check("w@a", "--broker", REDIS, "--broker-options", str(gone)) == unknown(
        f"{gone} cannot be read: No such file or directory"
    )


def pieces(password: str) -> Iterator[str]:
    """Yield each piece of three letters of a password."""
    return (password[place : place + 3] for place in range(len(password) - 2))


@pytest.mark.parametrize("url", ["redis://shop:{}@127.0.0.1:1/7", "amqp://shop:{}@127.0.0.1:1//shop"])
@pytest.mark.parametrize("character", "/#?;[]@%: &")
@pytest.mark.parametrize("password", ["kwzx{}jvqy", "{}kwzx", "kwzx{}", "493{}816", "kwzx{0}{0}jvqy"])
def test_no_piece_of_a_password_that_is_not_encoded_is_shown(url: str, character: str, password: str) -> None:
    password = password.format(character)
    output, code = check("w@a", "--broker", url.format(password))
    for piece in {password, *pieces(password)}:
        assert piece not in output
    if character in "/#?;[]":
        assert output in {
            f"CELERY WORKERS UNKNOWN - the URL of the broker cannot be read: {ENCODE}\n",
            f"CELERY WORKERS UNKNOWN - each URL of --broker needs its scheme, such as redis:// in front; {ENCODE}\n",
        }
    else:
        refused = "[Errno 111] Connection refused" if url.startswith("amqp") else REFUSED.partition("reached: ")[2]
        assert output == (
            f"CELERY WORKERS UNKNOWN - the broker {RABBITMQ if url.startswith('amqp') else REDIS} "
            f"cannot be reached: {refused}\n"
        )
    assert code == UNKNOWN


@pytest.mark.parametrize(
    ("broker", "reason"),
    [
        pytest.param("http://h/", "kombu knows no broker http://", id="a scheme that is no broker"),
        pytest.param("os.path://h/", "kombu knows no broker os.path://", id="a module"),
        pytest.param("os:path://h/", "kombu knows no broker os:path://", id="a module with an attribute"),
        pytest.param("os.path+redis://h/", "kombu knows no broker os.path+redis://", id="a module and a scheme"),
        pytest.param(f"{REDIS};os.path://h/", "kombu knows no broker os.path://", id="a module as an alternative"),
        pytest.param("://h/", "kombu knows no broker ://", id="no scheme"),
        pytest.param(
            f"{REDIS}?credential_provider=os.system",
            "credential_provider in the URL of the broker is the name of a class, which is never imported",
            id="a class in the URL",
        ),
        pytest.param(
            f"{REDIS};;",
            f"each URL of --broker needs its scheme, such as redis:// in front; {ENCODE}",
            id="nothing between two alternatives",
        ),
        pytest.param(
            f"{REDIS};127.0.0.1:2/7",
            f"each URL of --broker needs its scheme, such as redis:// in front; {ENCODE}",
            id="an alternative without a scheme",
        ),
        *(
            pytest.param(broker, SEVERAL, id=name)
            for name, broker in {
                "several hosts, one port": f"amqp://shop:{PASSWORD}@127.0.0.1,127.0.0.2:1//shop",
                "several hosts and ports": f"sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.2:1/0",
                "several hosts without a user": "redis://127.0.0.1:1,127.0.0.2:1",
                "several URLs with commas": f"amqp://u:{PASSWORD}@127.0.0.1:1,amqp://u:{PASSWORD}@127.0.0.2:1",
                "several URLs with blanks": f"amqp://u:{PASSWORD}@127.0.0.1:1 amqp://u:{PASSWORD}@127.0.0.2:1",
                "a list of Python": f"['redis://:{PASSWORD}@127.0.0.1:1', 'redis://:{PASSWORD}@127.0.0.2:1']",
            }.items()
        ),
    ],
)
def test_unknown_an_address_that_is_not_tried(broker: str, reason: str) -> None:
    assert run("w@a", "--broker", broker) == unknown(reason)


@pytest.mark.parametrize("url", [f"redis://shop:{PASSWORD},x@127.0.0.1:1/7", f"{REDIS}?ssl_ca_path=/etc/a,b"])
def test_a_comma_elsewhere_in_a_url_names_no_host(url: str) -> None:
    assert run("w@a", "--broker", url) == unknown(REFUSED)


@pytest.mark.parametrize(
    ("broker", "options", "reason"),
    [
        pytest.param(REDIS, "global_keyprefix=shop:", f"--broker-options {NO_OBJECT}", id="no JSON"),
        pytest.param(REDIS, "{'sep': ':'}", f"--broker-options {NO_OBJECT}", id="quotes of Python"),
        pytest.param(REDIS, "[1]", f"--broker-options {NO_OBJECT}", id="a list"),
        pytest.param(REDIS, "null", f"--broker-options {NO_OBJECT}", id="null"),
        pytest.param(
            REDIS,
            '{"global_key_prefix": "shop:"}',
            "--broker-options: global_key_prefix is no option of this broker, did you mean global_keyprefix?",
            id="the nearest name of Redis",
        ),
        pytest.param(
            REDIS,
            '{"control_exchang": "shop"}',
            "--broker-options: control_exchang is no option of this broker, did you mean control_exchange?",
            id="the nearest name of ours",
        ),
        pytest.param(
            RABBITMQ,
            '{"hart_beat": 3}',
            "--broker-options: hart_beat is no option of this broker, did you mean heartbeat?",
            id="the nearest name of AMQP",
        ),
        pytest.param(
            RABBITMQ,
            '{"global_keyprefix": "shop:"}',
            "--broker-options: global_keyprefix is no option of this broker",
            id="an option of another broker",
        ),
        pytest.param(REDIS, '{"xyzzy": 1}', "--broker-options: xyzzy is no option of this broker", id="a strange name"),
        pytest.param(REDIS, '{"a|b\\n": 1}', "--broker-options: a?b? is no option of this broker", id="a wild name"),
        pytest.param(
            REDIS,
            '{"credential_provider": "os.system"}',
            "--broker-options: credential_provider is no option of this broker",
            id="a class",
        ),
        pytest.param(
            RABBITMQ,
            '{"on_open": "os.system"}',
            "--broker-options: on_open is no option of this broker",
            id="a function",
        ),
        pytest.param(
            "amqps://127.0.0.1:1//shop",
            '{"ssl": {"cert_reqs": "yes"}}',
            "--broker-options: cert_reqs is one of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED",
            id="cert_reqs of AMQP",
        ),
        pytest.param(
            "rediss://127.0.0.1:1/7",
            '{"ssl": {"ssl_cert_reqs": "needed"}}',
            "--broker-options: cert_reqs is one of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED",
            id="cert_reqs of Redis",
        ),
    ],
)
def test_wrong_options_are_a_usage_error(broker: str, options: str, reason: str) -> None:
    assert run("w@a", "--broker", broker, "--broker-options", options) == unknown(reason)


def test_options_are_read_from_a_file_and_no_line_of_it_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "options"
    file.write_text(json.dumps({"global_keyprefix": "shop:"}, indent=4))
    assert run("w@a", "--broker", REDIS, "--broker-options", str(file)) == unknown(REFUSED)
    file.write_text(f"password: {PASSWORD}\n")
    assert run("w@a", "--broker", REDIS, "--broker-options", str(file)) == unknown(f"{file} {NO_OBJECT}")


@pytest.mark.parametrize(
    "options",
    ["", "{}", '{"sep": ":", "priority_steps": [0, 5], "fanout_prefix": false}', '{"control_exchange": "shop"}'],
)
def test_right_options_are_taken(options: str) -> None:
    assert run("w@a", "--broker", REDIS, "--broker-options", options) == unknown(REFUSED)


@pytest.mark.parametrize(
    ("broker", "reason"),
    [
        pytest.param(f"redis://shop:{PASSWORD}@127.0.0.1:1/7", REFUSED, id="Redis refuses"),
        pytest.param(
            f"amqp://shop:{PASSWORD}@127.0.0.1:1//shop",
            f"the broker {RABBITMQ} cannot be reached: [Errno 111] Connection refused",
            id="RabbitMQ refuses",
        ),
        pytest.param(
            f"redis://shop:{PASSWORD}@redis1.invalid:6380/7",
            "the broker redis://redis1.invalid:6380/7 cannot be reached: "
            "Error -2 connecting to redis1.invalid:6380. Name or service not known.",
            id="no such Redis",
        ),
        pytest.param(
            f"amqp://shop:{PASSWORD}@rabbit1.invalid//shop",
            "the broker amqp://rabbit1.invalid//shop cannot be reached: [Errno -2] Name or service not known",
            id="no such RabbitMQ",
        ),
        pytest.param(
            f"redis://shop:{PASSWORD}@127.0.0.1:1/7;redis://shop:{PASSWORD}@127.0.0.1:2/7",
            f"the broker {REDIS} or {ANOTHER_REDIS} cannot be reached: "
            "Error 111 connecting to 127.0.0.1:2. Connection refused.",
            id="both Redis refuse",
        ),
        pytest.param(
            f"amqp://shop:{PASSWORD}@127.0.0.1:1//shop;amqp://shop:{PASSWORD}@127.0.0.1:2//shop",
            f"the broker {RABBITMQ} or {ANOTHER_RABBITMQ} cannot be reached: [Errno 111] Connection refused",
            id="both RabbitMQ refuse",
        ),
        pytest.param(
            f"redis+socket://:{PASSWORD}@/nonexistent.sock",
            "the broker redis+socket:///nonexistent.sock cannot be reached: "
            "Error 2 connecting to /nonexistent.sock. No such file or directory.",
            id="no such socket",
        ),
        pytest.param(
            "redis://[::1]:1/7",
            "the broker redis://[::1]:1/7 cannot be reached: Error 111 connecting to ::1:1. Connection refused.",
            id="an address of IPv6",
        ),
        pytest.param(
            f"sentinel://:{PASSWORD}@127.0.0.1:1/0",
            "the broker sentinel://127.0.0.1:1/0 cannot be reached: 'master_name' transport option must be specified.",
            id="Sentinel without the name of its master",
        ),
        pytest.param(
            "filesystem://",
            "the broker filesystem:// cannot be reached: [Errno 2] No such file or directory: 'data_in'",
            id="no folders",
        ),
    ],
)
def test_unknown_a_broker_that_is_not_there(tmp_path: Path, broker: str, reason: str) -> None:
    """Within a folder of its own: kombu makes some where it is."""
    assert run("w@a", "--broker", broker, cwd=tmp_path) == unknown(reason)


def test_options_that_are_secret_are_not_shown() -> None:
    options = json.dumps({"sentinel_kwargs": {"password": PASSWORD}, "master_name": PASSWORD})
    output, code = run("w@a", "--broker", "sentinel://127.0.0.1:1", "--broker-options", options)
    assert PASSWORD not in output
    assert output.startswith("CELERY WORKERS UNKNOWN - the broker sentinel://127.0.0.1:1 cannot be reached: ")
    assert code == UNKNOWN


def test_vvv_shows_no_more_of_a_broker_that_is_not_there() -> None:
    output, code = run("w@a", "-vvv", "--broker", f"redis://shop:{PASSWORD}@127.0.0.1:1/7")
    assert (output, code) == unknown(REFUSED)


def without(folder: Path, module: str) -> dict[str, str]:
    """Return an environment in which this module is not installed."""
    (folder / f"{module}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')\n"
    )
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("module", "broker", "reason"),
    [
        pytest.param("kombu", RABBITMQ, f"--broker needs kombu, and kombu is not installed: {EXTRA}", id="kombu"),
        pytest.param("amqp", RABBITMQ, f"--broker needs kombu, and amqp is not installed: {EXTRA}", id="amqp"),
        pytest.param(
            "redis",
            REDIS,
            f"{REDIS} needs a package that is not installed (No module named 'redis'): {EXTRA}",
            id="redis",
        ),
        pytest.param(
            "packaging",
            REDIS,
            f"{REDIS} needs a package that is not installed (No module named 'packaging'): {EXTRA}",
            id="packaging",
        ),
        pytest.param(
            "botocore",
            "sqs://",
            "sqs:// needs a package that is not installed (No module named 'botocore'): pip install 'kombu[sqs]'",
            id="botocore",
        ),
        pytest.param(
            "pymongo",
            f"mongodb://shop:{PASSWORD}@mongo1/shop",
            "mongodb://mongo1/shop needs a package that is not installed (No module named 'pymongo'): "
            "pip install 'kombu[mongodb]'",
            id="pymongo",
        ),
    ],
)
def test_unknown_what_is_not_installed(tmp_path: Path, module: str, broker: str, reason: str) -> None:
    assert run("w@a", "--broker", broker, env=without(tmp_path, module)) == unknown(reason)


def test_rabbitmq_needs_no_redis(tmp_path: Path) -> None:
    assert run("w@a", "--broker", RABBITMQ, env=without(tmp_path, "redis")) == unknown(
        f"the broker {RABBITMQ} cannot be reached: [Errno 111] Connection refused"
    )


def test_text_on_standard_input_needs_no_kombu(tmp_path: Path) -> None:
    output, code = run("w-1..1@a", text="w-1@a: OK\n", env=without(tmp_path, "kombu"))
    well = f"CELERY WORKERS OK - 1 of 1 worker online on 1 server | {perfdata(missing='0;;0;0;1', online='1;;;0')}\n"
    assert (output, code) == (well, OK)


def test_unknown_a_kombu_that_is_too_old(tmp_path: Path) -> None:
    """As far as the plugin looks at it."""
    kombu = tmp_path / "kombu"
    (kombu / "transport").mkdir(parents=True)
    (kombu / "__init__.py").write_text("VERSION, __version__ = (4, 6, 11), '4.6.11'\n")
    (kombu / "pidbox.py").write_text("Mailbox = None\n")
    (kombu / "serialization.py").write_text("def register(*_, **__): pass\n")
    (kombu / "transport" / "__init__.py").write_text("TRANSPORT_ALIASES, get_transport_cls = {}, None\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert run("w@a", "--broker", REDIS, env=environment) == unknown(
        "kombu 4.6.11 is too old, --broker needs 5.2 or later"
    )


@pytest.fixture
def folders(tmp_path: Path) -> str:
    """Return options for a broker of files on which nobody listens."""
    queue, control = tmp_path / "queue", tmp_path / "control"
    queue.mkdir()
    control.mkdir()
    return json.dumps({"data_folder_in": str(queue), "data_folder_out": str(queue), "control_folder": str(control)})


def ask_nobody(folders: str, *arguments: str) -> Outcome:
    options = ("--broker", "filesystem://", "--broker-options", folders, "--reply-timeout", "0.1")
    return run(*arguments, *options).timeless


def test_crit_nobody_is_there(folders: str) -> None:
    numbers = perfdata(missing="3;;0;0;3", online="0;;;0", missing_servers="2;;;0", time="0.5s;;;0")
    assert ask_nobody(folders, "w-2@a", "celery@b") == Outcome(
        f"CELERY WORKERS CRITICAL - 3 of 3 workers missing: server a, server b | {numbers}\n"
        "Server a was missing, accounts for 2 missing workers\n"
        f"Server b was missing, accounts for 1 missing worker: celery@b\n{NOBODY}",
        CRITICAL,
    )


def test_nobody_is_there_and_nobody_must_be(folders: str) -> None:
    numbers = perfdata(missing="0;;0;0;0", online="0;;;0", time="0.5s;;;0")
    assert ask_nobody(folders, "celery@web-*=0..5") == Outcome(
        f"CELERY WORKERS OK - 0 workers online on 0 servers | {numbers}\n{NOBODY}", OK
    )


def test_a_backlog_is_measured_though_nobody_is_there(folders: str) -> None:
    numbers = perfdata(
        missing="0;;0;0;0",
        online="0;;;0",
        time="0.5s;;;0",
        queues="0;;0;0",
        backlog="0;;;0",
        backlog_emails="0;100;1000;0",
    )
    assert ask_nobody(folders, "--backlog-warning", "emails=100", "--backlog-critical", "emails=1000") == Outcome(
        f"CELERY WORKERS OK - 0 tasks wait in 1 queue | {numbers}\n", OK
    )


def test_unknown_a_backlog_of_queues_that_nobody_names(folders: str) -> None:
    assert ask_nobody(folders, "--backlog-warning", "100") == unknown(
        "no worker says which queues there are; name them: --backlog-critical NAME=RANGE"
    )


def test_unknown_baseline_where_nobody_is_there(folders: str) -> None:
    assert ask_nobody(folders, "--baseline") == unknown(
        "no worker replied over filesystem://, so there is nothing to write"
    )


def test_nothing_is_left_in_the_folders_but_exchanges(folders: str, tmp_path: Path) -> None:
    for _ in range(3):
        ask_nobody(folders, "w@a", "--attempts", "2")
    assert list((tmp_path / "queue").iterdir()) == []


def test_a_broker_in_this_process_where_nobody_listens() -> None:
    """The broker `memory://` is in the plugin itself: a message to itself comes back, and nobody else is there."""
    numbers = perfdata(missing="1;;0;0;1", online="0;;;0", missing_servers="1;;;0", time="0.5s;;;0")
    outcome = check("w@a", "--broker", "memory://", "--reply-timeout", "0.3", "-vv").timeless
    status, finding, hint, *explained, origin = outcome.output.splitlines(keepends=True)
    assert (status, finding, hint, outcome.code) == (
        f"CELERY WORKERS CRITICAL - 1 of 1 worker missing: server a | {numbers}\n",
        "Server a was missing, accounts for 1 missing worker: w@a\n",
        NOBODY,
        CRITICAL,
    )
    assert len(explained) == 6
    assert origin.startswith("Asked with kombu ")
    assert origin.endswith(", memory://\n")


def test_where_nobody_answers_a_backlog_needs_a_name() -> None:
    words = ("--backlog-warning", "5", "--broker", "memory://", "--reply-timeout", "0.3")
    assert check(*words) == unknown("no worker says which queues there are; name them: --backlog-critical NAME=RANGE")
    numbers = perfdata(
        missing="0;;0;0;0",
        online="0;;;0",
        time="0.5s;;;0",
        queues="0;;0;0",
        backlog="0;;;0",
        backlog_emails="0;5;;0",
    )
    named = check("--backlog-warning", "emails=5", "--broker", "memory://").timeless
    assert named == Outcome(f"CELERY WORKERS OK - 0 tasks wait in 1 queue | {numbers}\n", OK)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"control_exchange": {}}, "control_exchange is a name"),
        ({"control_exchange": None}, "control_exchange is a name"),
        ({"serializer": ""}, "serializer is a name"),
        ({"global_keyprefix": 5}, "global_keyprefix is a text"),
        ({"sep": 5}, "sep is a text"),
        ({"fanout_prefix": "false"}, "fanout_prefix is true, false, or a text"),
        ({"fanout_prefix": None}, "fanout_prefix is true, false, or a text"),
        ({"priority_steps": "x"}, "priority_steps is a list of numbers"),
        ({"priority_steps": []}, "priority_steps is a list of numbers"),
        ({"queue_order_strategy": "evil:x"}, "queue_order_strategy is round_robin, priority or sorted"),
    ],
    ids=str,
)
def test_an_option_of_another_kind_is_a_usage_error(options: dict[str, object], what: str) -> None:
    words = ("w@a", "--broker", REDIS, "--broker-options", json.dumps(options))
    assert check(*words) == unknown(f"--broker-options: {what}")


def test_options_that_are_nested_too_deep_are_no_json() -> None:
    assert check("w@a", "--broker", REDIS, "--broker-options", "[" * 100_000) == unknown(
        f"--broker-options {NO_OBJECT}"
    )


class Evil:
    """Runs a command where a pickle is read as Python does."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_calls_nothing_and_plain_values_come_through(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from check_celery_workers.sources.broker.serializers import _read_pickle

    monkeypatch.chdir(tmp_path)
    plain = {"w@a": [{"id": "1", "time_start": 1.5, "none": None}], 5: {"deep": (1, 2)}}
    odd = {"evil": Evil(), ("a", "key"): 1, "odd": OrderedDict(x=1), "set": {1, 2}, "frozen": frozenset([1])}
    read = _read_pickle(pickle.dumps({**plain, **odd}, protocol))
    assert isinstance(read, dict)
    assert {key: read[key] for key in plain} == plain
    assert len(read) == len(plain) + len(odd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x02}(" + b")" + b"\x85" * 100_000 + b"K\x01u.", id="a deep key"),
        pytest.param(b"\x80\x02}r" + (1 << 26).to_bytes(4, "little") + b".", id="a far place in the memo"),
        pytest.param(b"\x80\x02})K\x01s.", id="one key that is a tuple"),
        pytest.param(b"(()K\x01d.", id="a dictionary of such a key"),
    ],
)
def test_a_hostile_pickle_is_harmless(data: bytes) -> None:
    from check_celery_workers.sources.broker.serializers import _read_pickle

    assert isinstance(_read_pickle(data), dict)
