"""The user parameters of contrib/zabbix in a real Zabbix agent, asked by zabbix_get. test_pages.py runs the page."""

from __future__ import annotations

import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from daemons import adapted, application, broker_file, daemon, executable
from fleet import Fleet
from paths import CONTRIB
from running import PLUGIN, outcome_of, timeless

pytestmark = pytest.mark.daemon

AGENT = executable("zabbix_agentd", package="zabbix-agent")
ZABBIX_GET = executable("zabbix_get", package="zabbix-proxy-sqlite3")
CONFIGURATION = """\
Server=127.0.0.1
ListenIP=127.0.0.1
ListenPort={port}
PidFile={directory}/agent.pid
LogType=console
StartAgents=1
AllowRoot=1
Timeout=30
Include={directory}/zabbix_agentd.conf.d/*.conf
"""
PERFDATA = (
    "duplicate=0;0;;0 malfunctioning=0;;0;0 missing={missing};;0;0;6 missing_servers=0;;;0 oldest_task=0.0s;;;0"
    " online={online};;;0 queues=0;;0;0 time=0.5s;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0"
)


def low_port() -> int:
    """Return a free TCP port of those that the agent's configuration may name, which are below the ephemeral ones."""
    for port in random.sample(range(1024, 32768), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is free")


@contextmanager
def agent(directory: Path, parameter: str) -> Iterator[int]:
    """Run an agent with this user parameter; yield its port."""
    port = low_port()
    included = directory / "zabbix_agentd.conf.d"
    included.mkdir()
    (included / "celery_workers.conf").write_text(parameter, encoding="utf-8")
    configuration = directory / "zabbix_agentd.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=port), encoding="utf-8")
    with daemon(AGENT, "-f", "-c", configuration, log=directory / "log", env={"PATH": os.defpath}) as running:
        running.wait_for_port(port)
        yield port


def value(port: int) -> str:
    """Return what the agent sends, with 0.5 for the seconds that it took."""
    asking = (ZABBIX_GET, "-s", "127.0.0.1", "-k", "celery.workers", "-p", str(port), "-t", "30")
    return timeless(outcome_of(*asking).output)


def items(text: str) -> dict[str, str]:
    """Return what the regular expressions of the page find in a text, and which trigger and event name they make."""
    page = (CONTRIB / "zabbix" / "README.md").read_text(encoding="utf-8")
    patterns = {match["name"]: match["all"] for match in re.finditer(r"`(?P<all> (?P<name>\w+)=[^`]*)`", page)}
    severities = dict(re.findall(r'^    (\w+): +find\(.*,"regexp","(.*)"\)=1$', page, re.MULTILINE))
    assert list(severities) == ["High", "Warning"]
    patterns |= {name: f"({pattern})" for name, pattern in severities.items()}
    (event,) = re.findall(r'regsub\("(.*)", "\\1"\)', page)
    patterns["event"] = event
    assert list(patterns) == [
        "missing",
        "online",
        "malfunctioning",
        "unexpected",
        "queues",
        "oldest_task",
        "backlog",
        "High",
        "Warning",
        "event",
    ]
    return {name: found[1] for name, pattern in patterns.items() if (found := re.search(pattern, text))}


# Of the page's two lines, the second is used instead of the first.
SECOND = {"\nUserParameter": "\n##UserParameter", "\n#UserParameter": "\nUserParameter"}


@pytest.mark.celery
@pytest.mark.parametrize("way", [{}, SECOND], ids=["broker", "command"])
def test_user_parameter(tmp_path: Path, fleet: Fleet, way: dict[str, str]) -> None:
    parameter = adapted(
        "zabbix/celery_workers.conf",
        {
            **way,
            "check_celery_workers --": f"{PLUGIN} --",
            "/etc/celery_broker": broker_file(fleet),
            "/usr/bin/sudo -n -u shopuser ": "",
            "emails=2..": "celery=2..",
            # All that fits into the 30 seconds that the agent waits at most.
            "--timeout 25": "--timeout 28",
            **({"--reply-timeout 7": "--reply-timeout 10"} if not way else {}),
            "inspect {} -t 4": "inspect {} -t 20",
            **application(fleet),
        },
    )
    with agent(tmp_path, parameter) as port:
        well = value(port)
        fleet.kill("worker-3@app1")
        try:
            ill = value(port)
        finally:
            fleet.start("worker-3@app1")
    numbers = PERFDATA if way else f"backlog=0;;;0 backlog_celery=0;;;0 {PERFDATA}"
    assert well == f"CELERY WORKERS OK - 6 of 6 workers online on 3 servers | {numbers.format(missing=0, online=6)}\n"
    assert ill == (
        f"CELERY WORKERS CRITICAL - 1 of 6 workers missing: worker-3@app1 | {numbers.format(missing=1, online=5)}\n"
        "Worker worker-3@app1 was missing\n"
    )
    others = {"malfunctioning": "0", "unexpected": "0", "queues": "0", "oldest_task": "0.0"}
    others |= {} if way else {"backlog": "0"}
    others["event"] = "CELERY WORKERS OK - 6 of 6 workers online on 3 servers "
    assert items(well) == {"missing": "0", "online": "6", **others}
    others["event"] = "CELERY WORKERS CRITICAL - 1 of 6 workers missing: worker-3@app1 "
    assert items(ill) == {"High": "CELERY WORKERS CRITICAL", "missing": "1", "online": "5", **others}


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ({"/etc/celery_broker": "/srv/shop/none"}, "/srv/shop/none cannot be read: No such file or directory"),
        (SECOND, "/srv/shop/venv/bin/celery cannot be started: No such file or directory"),
    ],
    ids=["broker", "command"],
)
def test_unknown_is_a_state_without_numbers(tmp_path: Path, way: dict[str, str], reason: str) -> None:
    plugin = {"check_celery_workers --": f"{PLUGIN} --", "/usr/bin/sudo -n -u shopuser ": ""}
    with agent(tmp_path, adapted("zabbix/celery_workers.conf", {**way, **plugin})) as port:
        unknown = value(port)
    assert unknown == f"CELERY WORKERS UNKNOWN - {reason}\n"
    assert items(unknown) == {"Warning": "CELERY WORKERS UNKNOWN", "event": unknown}
