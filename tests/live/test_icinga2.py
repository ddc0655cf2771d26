"""contrib/icinga2 in a real icinga2."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import Redis
from daemons import Sshd, broker_file, executable, sshd
from fleet import Fleet
from icinga2 import SERVICES, Icinga2, Result, arguments, assert_every_option, every_variable, host, recorder
from paths import CONTRIB
from processes import free_port
from running import CRITICAL, OK, PLUGIN, timeless

pytestmark = pytest.mark.daemon

CHECK_COMMAND = (CONTRIB / "icinga2" / "check_celery_workers.conf").read_text(encoding="utf-8")
ZONES = """\
object Endpoint "master" {{
	host = "127.0.0.1"
	port = {port}
}}
object Zone "master" {{
	endpoints = [ "master" ]
}}
object Endpoint "agent" {{ }}
object Zone "agent" {{
	parent = "master"
	endpoints = [ "agent" ]
}}
object Zone "global-templates" {{
	global = true
}}
"""
API = """\
object ApiListener "api" {{
	bind_host = "127.0.0.1"
	bind_port = {port}
	accept_config = true
	accept_commands = true
}}
"""


def single(tmp_path: Path, plugins: Path, hosts: str) -> Icinga2:
    """Return a node without agents, with the files in conf.d."""
    # A directory of the test's instead of one on PATH.
    services = SERVICES.replace('[ "check_celery_workers" ]', f'[ "{plugins}/check_celery_workers" ]')
    files = {"check_celery_workers.conf": CHECK_COMMAND, "celery_workers_services.conf": services, "hosts.conf": hosts}
    return Icinga2(tmp_path / "icinga2", plugins, {f"conf.d/{name}": text for name, text in files.items()})


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    executable("redis-server", package=Redis.package)
    (tmp_path / "redis").mkdir()
    with Redis(tmp_path / "redis") as broker, Fleet(broker=broker.url) as fleet, fleet.ending_with_the_last_reply():
        fleet.start("worker-1@app1", "worker-2@app1", "celery@web-7f3a")
        yield fleet


def test_icinga_accepts_the_files(tmp_path: Path) -> None:
    files = {
        "conf.d/zones.conf": ZONES.format(port=5665),
        "zones.d/global-templates/check_celery_workers.conf": CHECK_COMMAND,
        "zones.d/master/celery_workers_services.conf": SERVICES,
        "zones.d/master/hosts.conf": "".join(
            host(name, checked, {})
            for name, checked in [("app1", "locally"), ("agent", "agent"), ("app3", "ssh"), ("app4", "nrpe")]
        ),
    }
    output = Icinga2(tmp_path / "icinga2", tmp_path, files).validate()
    assert "Instantiated 4 Services." in output
    assert "warning/" not in output


def over_the_broker(fleet: Fleet) -> dict[str, object]:
    return {"celery_workers_broker": broker_file(fleet), "celery_workers_reply_timeout": 20}


def with_celery(fleet: Fleet) -> dict[str, object]:
    environment = [f"{name}={fleet.environment[name]}" for name in ("PYTHONPATH", "TMPDIR")]
    # The check that runs when a worker is killed listens for it until this is over.
    return {"celery_workers_command": ["env", *environment, *fleet.inspect_command("-t", "20")]}


@pytest.mark.celery
@pytest.mark.parametrize("way", [over_the_broker, with_celery])
def test_icinga_holds_ok_and_then_critical(
    tmp_path: Path, fleet: Fleet, way: Callable[[Fleet], dict[str, object]]
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "check_celery_workers").symlink_to(PLUGIN)
    variables = {
        "celery_workers_expect": ["worker-1..2@app1", "celery@web-*=1..2"],
        "celery_workers_timeout": 100,
        **way(fleet),
    }

    def without_time(result: Result) -> Result:
        return result._replace(perfdata=timeless(result.perfdata))

    with single(tmp_path, plugins, host("app1", "locally", variables)).running() as icinga:
        assert without_time(icinga.result("app1", until=lambda result: result.state == OK)) == Result(
            OK,
            "CELERY WORKERS OK - 3 of 3 workers online on 2 servers ",
            "",
            "duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;3 missing_servers=0;;;0 online=3;;;0 "
            "time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0",
        )
        fleet.kill("worker-2@app1")
        assert without_time(icinga.result("app1", until=lambda result: result.state == CRITICAL)) == Result(
            CRITICAL,
            "CELERY WORKERS CRITICAL - 1 of 3 workers missing: worker-2@app1 ",
            "Worker worker-2@app1 was missing",
            "duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;3 missing_servers=0;;;0 online=2;;;0 "
            "time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0",
        )


def test_every_option_reaches_the_plugin(tmp_path: Path) -> None:
    hosts = host("full", "locally", every_variable()) + host("bare", "locally", {})
    with single(tmp_path, recorder(tmp_path / "plugins"), hosts).running() as icinga:
        assert_every_option(arguments(icinga.result("full")))
        assert arguments(icinga.result("bare")) == []


def variables_of(server: Sshd) -> dict[str, object]:
    """Return the custom variables that let check_by_ssh in."""
    pairs = list(zip(server.options[::2], server.options[1::2]))
    options = dict(pairs)
    return {
        "by_ssh_port": options["-p"],
        "by_ssh_logname": options["-l"],
        "by_ssh_identity": options["-i"],
        "by_ssh_options": [value for option, value in pairs if option == "-o"],
    }


def test_every_option_reaches_the_plugin_through_ssh(tmp_path: Path) -> None:
    plugins = recorder(tmp_path / "plugins")
    (plugins / "check_by_ssh").symlink_to(executable("check_by_ssh", package="monitoring-plugins-basic"))
    with sshd(tmp_path) as server:
        login = variables_of(server)
        hosts = host("full", "ssh", {**login, **every_variable()}) + host("bare", "ssh", login)
        with single(tmp_path, plugins, hosts).running() as icinga:
            assert_every_option(arguments(icinga.result("full")))
            assert arguments(icinga.result("bare")) == []


def certify(authority: Path, *nodes: Icinga2) -> None:
    """Give each node a certificate of the same new authority."""
    program = executable("openssl", package="openssl")

    def create(name: str, path: Path, *options: str | Path) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{path}.key")
        command = (program, "req", "-x509", "-subj", f"/CN={name}", *key, "-out", f"{path}.crt", *options)
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    authority.mkdir()
    create("Icinga CA", authority / "ca")
    for node in nodes:
        directory = node.data / "certs"
        directory.mkdir()
        shutil.copy(authority / "ca.crt", directory)
        create(node.name, directory / node.name, "-CA", authority / "ca.crt", "-CAkey", authority / "ca.key")


def test_every_option_reaches_the_plugin_of_an_agent(tmp_path: Path) -> None:
    ports = {"master": free_port(), "agent": free_port()}
    files = {
        "zones.d/global-templates/check_celery_workers.conf": CHECK_COMMAND,
        "zones.d/master/celery_workers_services.conf": SERVICES,
        "zones.d/master/hosts.conf": host("agent", "agent", every_variable()),
    }
    zones = {name: ZONES.format(port=ports["master"]) + API.format(port=port) for name, port in ports.items()}
    nothing = tmp_path / "no plugins"
    master = Icinga2(tmp_path / "master", nothing, {**files, "conf.d/zones.conf": zones["master"]})
    plugins = recorder(tmp_path / "plugins")
    agent = Icinga2(tmp_path / "agent", plugins, {"conf.d/zones.conf": zones["agent"]}, name="agent")
    certify(tmp_path / "authority", master, agent)
    with master.running() as icinga:
        icinga.process.wait_for_port(ports["master"])
        with agent.running():
            # Until the agent has the CheckCommand from its master, Icinga reports that it has not.
            result = icinga.result("agent", until=lambda result: result.output.startswith("arguments "))
    assert_every_option(arguments(result))
