"""The commands of the pages, as written and in their order, on a booted machine: sshd, cron, systemd and the agents.

Each block of a page is taken, in the order of the page. What a test changes in it, it says why. /etc/celery_broker gets
the URL of the fleet's Redis, which an administrator types.
"""

from __future__ import annotations

import email
import itertools
import os
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import Broker, Redis
from daemons import WORKERS, executable
from fleet import Fleet
from machine import Machine, booted
from paths import CLONE
from processes import wait_for

pytestmark = [pytest.mark.daemon, pytest.mark.celery]

ADDRESS = "192.0.2.10"
URL = "redis+socket:///srv/redis/redis.sock"
WELL = "CELERY WORKERS OK - 6 of 6 workers online on 3 servers"
BASELINE = """\
celery@web-1
celery@web-2
worker-1..4@app1
queue emails=6..
stall-limit 15s
"""
# An application as the pages have it: its files are its user's own, and so is its virtual environment.
SHOP = """\
useradd --system --create-home --shell /usr/sbin/nologin shopuser
/usr/bin/python3 -m venv /srv/shop/venv
/srv/shop/venv/bin/pip install --quiet 'celery[redis]'
printf 'from celery import Celery\\napp = Celery("shop", broker="%s")\\n' "$(cat)" >/srv/shop/shop.py
chown -R shopuser: /srv/shop
chmod 0750 /srv/shop
"""


class Page:
    """The blocks of a page, one after the other."""

    def __init__(self, name: str, heading: str = "") -> None:
        """`heading` is that of the only section that is wanted."""
        text = (CLONE / name).read_text(encoding="utf-8")
        if heading:
            text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        blocks = re.findall(r"(?:^    .*\n)+(?:\n(?:    .*\n)+)*", text, re.MULTILINE)
        self._blocks = [textwrap.dedent(block) for block in blocks]

    def next(self, start: str) -> str:
        """Return the next block, which must start so."""
        assert self._blocks[0].startswith(start)
        return self._blocks.pop(0)

    def all_taken(self) -> bool:
        return self._blocks == []


def without_editor(block: str) -> str:
    """Return a block that types the URL of the broker instead of opening an editor."""
    typed, count = re.subn(r"^editor (/etc/celery_broker) .*$", rf"echo '{URL}' >\1", block, flags=re.MULTILINE)
    assert count == 1
    return typed


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Redis that listens on a socket too, which the machine can reach from its own network."""
    executable("redis-server", package=Redis.package)
    directory = tmp_path_factory.mktemp("redis")
    directory.chmod(0o755)
    with Redis(directory, "--unixsocket", str(directory / "redis.sock"), "--unixsocketperm", "777") as broker:
        yield broker


@pytest.fixture(scope="module")
def fleet(redis: Broker) -> Iterator[Fleet]:
    """The workers that the pages expect, all online."""
    with Fleet(broker=redis.url) as fleet:
        fleet.start(*WORKERS, queues=("emails",))
        yield fleet


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, redis: Broker) -> Iterator[Machine]:
    """A machine without the plugin, with the application of the pages."""
    executable("sudo", package="sudo")
    with booted(tmp_path_factory.mktemp("machine"), (ADDRESS,), {redis.directory: "/srv/redis"}) as machine:
        machine.run(f"echo {ADDRESS} app1.example.com >>/etc/hosts")
        machine.run(SHOP, text=URL, online=True)
        yield machine


@pytest.fixture(scope="module")
def machine(bare: Machine) -> Machine:
    """The same with the plugin, installed as README says."""
    page = Page("README.md", "Install")
    told = bare.run(page.next("/usr/bin/python3 -m venv"), CLONE, online=True)
    assert page.all_taken()
    assert told.splitlines()[-1].startswith("CELERY WORKERS OK - 1 of 1 worker online on 1 server | ")
    return bare


def test_pipx(bare: Machine) -> None:
    executable("pipx", package="pipx")
    (command,) = re.findall(r"^- pipx: `(.*)`$", (CLONE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    bare.run(command, CLONE, online=True)
    tried = Page("README.md", "Install").next("/usr/bin/python3 -m venv").splitlines()[-1]
    assert bare.run(f"sudo -u shopuser sh -c {shlex.quote(tried)}").startswith("CELERY WORKERS OK - 1 of 1 worker")
    bare.run("rm -r /usr/local/bin/check_celery_workers /opt/pipx")


@pytest.mark.usefixtures("fleet")
def test_one_file(bare: Machine) -> None:
    page = Page("contrib/zipapp/README.md")
    # The file is written to the current directory, which is to be the machine's own.
    bare.run("mkdir /srv/clone; cp -r check_celery_workers contrib *.toml *.md LICENSE /srv/clone", CLONE)
    bare.run(page.next("python3 contrib/zipapp/build.py"), Path("/srv/clone"), online=True)
    # The machine is its own host, and root has no login there.
    bare.run(page.next("scp").replace("scp", "cp").replace("root@app1:", ""), Path("/srv/clone"))
    assert bare.run(page.next("echo")).startswith("CELERY WORKERS OK - 1 of 1 worker online on 1 server | ")
    # The application has kombu, and so are these not needed; test_debian.py needs them.
    page.next("apt install")
    bare.run(f"echo {URL} >/etc/celery_broker")
    told = verdict(bare.run(page.next("/srv/shop/venv/bin/python -IS")))
    assert told == f"{WELL}\n"
    assert page.all_taken()
    bare.run("rm /usr/local/bin/check_celery_workers")


def test_install_twice(machine: Machine) -> None:
    machine.run(Page("README.md", "Install").next("/usr/bin/python3 -m venv"), CLONE, online=True)


def answer(machine: Machine, command: str, question: str, reply: str) -> None:
    """Run a command on a terminal, and reply to its question as soon as it is there, as an administrator does."""
    words = (*machine.enter(), "script", "-qec", command, "/dev/null")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        asked = b""
        while question.encode() not in asked:
            said = os.read(process.stdout.fileno(), 1000)
            assert said, asked
            asked += said
        process.stdin.write(reply.encode())
        process.stdin.flush()
        assert process.wait() == 0, process.stdout.read()


def verdict(output: str) -> str:
    """Return the lines of a verdict without the perfdata."""
    return re.sub(r" \| .*", "", output, count=1)


@pytest.mark.usefixtures("fleet")
def test_ssh(machine: Machine) -> None:
    executable("sshd", package="openssh-server")
    executable("check_by_ssh", package="monitoring-plugins-basic")
    # As many hosts have it. check_by_ssh without -q reports it.
    machine.run("echo 'Banner /etc/issue.net' >/etc/ssh/sshd_config.d/banner.conf; systemctl start ssh")
    page = Page("contrib/ssh/README.md")
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    key = machine.run(page.next("sudo -u nagios mkdir"))
    machine.run(page.next("usermod"), text=key)
    login, ask = page.next("sudo -u nagios ssh ").splitlines()
    answer(machine, login, question="continue connecting", reply="yes\n")
    assert verdict(machine.run(ask)) == f"{WELL}\n"
    banner = machine.run("cat /etc/issue.net")
    assert machine.run(f"! {ask.replace(' -q ', ' ')}") == f"Remote command execution failed: {banner}"
    forced = page.next("restrict,").replace("ssh-ed25519 AAAA... nagios@monitor\n", key)
    there, here = page.next("sudo -u nagios").strip(), page.next("sudo -u nagios").strip()
    assert page.all_taken()
    assert verdict(machine.run(there)) == f"{WELL}\n"
    assert verdict(machine.run(here)) == f"{WELL}\n"
    machine.run("cat > ~shopuser/.ssh/authorized_keys", text=forced)
    assert verdict(machine.run(re.sub('-C ".*"', "-C 'cat /etc/passwd'", ask))) == f"{WELL}\n"
    assert "UNKNOWN" in machine.run(f"! {here}")


def edited(machine: Machine, file: str, changes: dict[str, str]) -> None:
    """Edit a file as an administrator does; each change must apply."""
    text = machine.run(f"cat {file}")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    machine.run(f"cat >{file}", text=text)


AGENTS = {
    "zabbix_agentd": ("zabbix-agent", "/etc/zabbix/zabbix_agentd.conf"),
    "zabbix_agent2": ("zabbix-agent2", "/etc/zabbix/zabbix_agent2.conf"),
}


@pytest.mark.parametrize("program", AGENTS)
@pytest.mark.usefixtures("fleet")
def test_zabbix(machine: Machine, program: str) -> None:
    package, configuration = AGENTS[program]
    executable(program, package=package)
    executable("zabbix_get", package="zabbix-proxy-sqlite3")
    page = Page("contrib/zabbix/README.md")
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    text = (CLONE / "contrib" / "zabbix" / "README.md").read_text(encoding="utf-8")

    def of_this_agent(command: str) -> str:
        """Return a command for agent 2 as the text beside it says."""
        if program == "zabbix_agentd":
            return command
        folder = "/etc/zabbix/zabbix_agent2.d/"
        assert f"For agent 2 the directory is `{folder}`" in text
        return (
            command.replace("/etc/zabbix/zabbix_agentd.conf.d/", folder)
            .replace("zabbix_agentd", program)
            .replace("zabbix-agent", package)
        )

    machine.run(of_this_agent(page.next("cp contrib")), CLONE)
    machine.run(f"cat >>{configuration}", text=page.next("Timeout=30"))
    machine.run(of_this_agent(page.next("systemctl restart")))
    tried = machine.run(of_this_agent(page.next("sudo -u zabbix")))
    assert re.match(rf"celery\.workers +\[[ts]\|{WELL} \| .*\]$", tried)
    page.next("High:")
    page.next("{{ITEM")
    assert page.all_taken()
    machine.run(of_this_agent("systemctl is-active zabbix-agent"))
    ping = "zabbix_get -s 127.0.0.1 -k agent.ping || true"
    wait_for(lambda: machine.run(ping) == "1\n", "the agent does not answer")
    assert verdict(machine.run("zabbix_get -s 127.0.0.1 -k celery.workers -t 30")) == f"{WELL}\n"
    machine.run(of_this_agent("systemctl stop zabbix-agent"))


SENDMAIL = """\
#!/bin/sh
cat >"$(mktemp /var/mail/test/XXXXXX)"
"""


@pytest.fixture
def mails(machine: Machine) -> Iterator[Path]:
    """The directory of the mails that are sent: the machine has no mail server."""
    executable("mail", package="bsd-mailx")
    machine.run("rm -rf /var/mail/test; install -d -m 1777 /var/mail/test; rm -f /usr/sbin/sendmail")
    machine.run("cat >/usr/sbin/sendmail; chmod +x /usr/sbin/sendmail", text=SENDMAIL)
    yield Path("/var/mail/test")
    machine.run("rm -rf /var/lib/celery_workers")


def news(machine: Machine) -> list[str]:
    """Return the text of each mail, without a repetition in the next hour."""
    texts = machine.run(r"for mail in $(ls -tr /var/mail/test/*); do cat $mail; printf '\f'; done").split("\f")[:-1]
    return [text for text, _ in itertools.groupby(str(email.message_from_string(text).get_payload()) for text in texts)]


ONE_MISSING = "CELERY WORKERS CRITICAL - 1 of 6 workers missing: worker-3@app1\nWorker worker-3@app1 was missing\n"


def check_thrice(fleet: Fleet, check: Callable[[], None]) -> None:
    """Have a check run when a worker is killed, once more, and when it is back."""
    fleet.kill("worker-3@app1")
    try:
        check()
        check()
    finally:
        fleet.start("worker-3@app1", queues=("emails",))
    check()


# The second line instead of the first.
WITHOUT_BROKER = {"\n*/5": "\n##*/5", "\n#*/5": "\n*/5"}


@pytest.mark.usefixtures("mails")
@pytest.mark.parametrize("way", [{}, WITHOUT_BROKER], ids=["broker", "command"])
def test_cron(machine: Machine, fleet: Fleet, way: dict[str, str]) -> None:
    executable("cron", package="cron")
    page = Page("contrib/cron/README.md")
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    machine.run(page.next("install -d"), CLONE)
    assert verdict(machine.run(page.next("sudo -u shopuser"))) == f"{WELL}\n"
    assert page.all_taken()
    # Whenever cron starts, instead of each five minutes. A mark shows that the command has ended, and its mail is sent.
    # A worker that is missing is not waited for so long.
    end = "; touch /var/lib/celery_workers/end\n"
    changes = {
        **way,
        "\n*/5 * * * *": "\n@reboot",
        "--task-limit 1h\n": f"--task-limit 1h{end}",
        "-t 30\n": f"-t 10{end}",
    }
    edited(machine, "/etc/cron.d/celery_workers", changes)
    # The mails of others are not wanted here.
    machine.run("for tab in /etc/cron.d/*; do [ ${tab##*/} = celery_workers ] || rm $tab; done; >/etc/crontab")

    def check() -> None:
        machine.run("systemctl stop cron; rm -f /run/crond.reboot /var/lib/celery_workers/end; systemctl start cron")
        wait_for(
            lambda: machine.run("cd /var/lib/celery_workers; [ ! -e end ] || pgrep -f 'cron -f$' -c || true") == "1\n",
            "the command has not ended",
        )

    check()
    check_thrice(fleet, check)
    machine.run("systemctl stop cron")
    assert news(machine) == [f"{WELL}\n", ONE_MISSING, f"{WELL}\n"]


# The last three lines instead of the one before them; a worker that is missing is not waited for so long.
THREE_LINES = {
    "    --broker /etc/celery_broker --stall-limit 15s\n#": "#",
    "#    --timeout 90": "    --timeout 90",
    " inspect {} -t 30": " inspect {} -t 10",
    "\n#WorkingDirectory": "\nWorkingDirectory",
    "\n#EnvironmentFile": "\nEnvironmentFile",
}


@pytest.mark.usefixtures("mails")
@pytest.mark.parametrize("way", [{}, THREE_LINES], ids=["broker", "command"])
def test_systemd(machine: Machine, fleet: Fleet, way: dict[str, str]) -> None:
    page = Page("contrib/systemd/README.md")
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    machine.run(page.next("install -m 0755"), CLONE)
    edited(machine, "/etc/systemd/system/celery_workers.service", way)
    verify, others = page.next("systemd-analyze").split("\n", 1)
    # It reports the system's own units as well.
    assert "celery" not in machine.run(verify)
    machine.run(others)
    journal = others.splitlines()[-1]
    wait_for(lambda: f": {WELL}\n" in machine.run(journal), "the journal does not show the status line")
    machine.run(page.next("install -m 0600"))
    assert page.all_taken()
    # A check that the timer starts is not to come between ours.
    machine.run("systemctl is-enabled celery_workers.timer; systemctl is-active celery_workers.timer")
    machine.run("systemctl disable --now celery_workers.timer")

    def check() -> None:
        machine.run("systemctl start celery_workers.service || true")

    def status() -> str:
        return machine.run("systemctl status celery_workers.service || true")

    check()
    assert "inactive (dead)" in status()
    check_thrice(fleet, check)
    assert news(machine) == [f"{WELL}\n", ONE_MISSING, f"{WELL}\n"]
    assert "inactive (dead)" in status()
    fleet.kill("worker-3@app1")
    try:
        check()
    finally:
        fleet.start("worker-3@app1", queues=("emails",))
    text = (CLONE / "contrib" / "systemd" / "README.md").read_text(encoding="utf-8")
    assert "status=2/INVALIDARGUMENT" in status()
    assert "`2/INVALIDARGUMENT` is CRITICAL" in text


# Asks for a check of the service, and prints its output when it has come.
ICINGA = """\
import json, socket, time
def say(*lines):
    with socket.socket(socket.AF_UNIX) as livestatus:
        livestatus.connect("/run/icinga2/cmd/livestatus")
        livestatus.sendall("".join(f"{line}\\n" for line in (*lines, "")).encode())
        livestatus.shutdown(socket.SHUT_WR)
        return livestatus.makefile().read()
name = "app1.example.com;celery-workers"
asked = time.time()
while True:
    try:
        answer = say("GET services", "Columns: last_check plugin_output", "Filter: description = celery-workers")
        if (rows := answer.splitlines()) and float(rows[0].split(";")[0]) > asked:
            break
        say(f"COMMAND [{int(asked)}] SCHEDULE_FORCED_SVC_CHECK;{name};{int(asked)}")
    except OSError:
        pass
    time.sleep(0.5)
print(rows[0].split(";")[1])
"""


@pytest.mark.usefixtures("fleet")
def test_icinga2(machine: Machine) -> None:
    executable("icinga2", package="icinga2-bin")
    python = "/opt/check_celery_workers/bin/python"
    machine.run("icinga2 feature enable livestatus; systemctl start icinga2")
    page = Page("contrib/icinga2/README.md")
    machine.run(page.next("ln -sf"))
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    machine.run(page.next("cp contrib"), CLONE)
    with_agents = page.next("mkdir -p")
    definition = page.next("object Host")
    machine.run("cat >/etc/icinga2/conf.d/app1.conf", text=definition)
    reload = page.next("icinga2 daemon -C")
    machine.run(reload)
    assert machine.run(f"{python} -", text=ICINGA) == f"{WELL} \n"

    own = page.next("vars.celery_workers_command")
    # This is for an application that the monitoring user may read.
    machine.run("chmod 0755 /srv/shop")
    assert "worker-1@app1: OK" in machine.run(page.next("sudo -u nagios env -i"))
    assert page.all_taken()
    instead = re.sub(r" +vars.celery_workers_broker = .*\n", own, definition)
    # Only for the broker.
    instead = re.sub(r" +vars.celery_workers_stall_limit = .*\n", "", instead)
    machine.run("cat >/etc/icinga2/conf.d/app1.conf", text=instead)
    machine.run(reload)
    assert machine.run(f"{python} -", text=ICINGA) == f"{WELL} \n"
    machine.run("chmod 0750 /srv/shop; systemctl stop icinga2; rm /etc/icinga2/conf.d/c*workers*.conf")

    machine.run(with_agents, CLONE)
    machine.run("icinga2 daemon -C")


# Asks for a check again and again, as Nagios forgets it where it loads its files at that moment.
NAGIOS = """\
commands=/var/lib/nagios4/rw/nagios.cmd
until grep -s 'plugin_output=CELERY' /var/lib/nagios4/status.dat
do
    asked=$(date +%s)
    check="[$asked] SCHEDULE_FORCED_SVC_CHECK;app1;Celery workers;$asked"
    [ ! -p $commands ] || timeout 5 sh -c 'echo "$1" >"$2"' sh "$check" $commands || true
    sleep 2
done
"""


@pytest.mark.usefixtures("fleet")
def test_nagios(machine: Machine) -> None:
    executable("nagios4", package="nagios4-core")
    host = f"define host {{\n use linux-server\n host_name app1\n address {ADDRESS}\n}}\n"
    machine.run("cat >/etc/nagios4/conf.d/app1.cfg; systemctl start nagios4", text=host)
    page = Page("contrib/nagios/README.md")
    machine.run(page.next("ln -sf"))
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    machine.run(page.next("cp contrib"), CLONE)
    machine.run(page.next("nagios4 -v"))
    assert machine.run(NAGIOS) == f"\tplugin_output={WELL}\n"
    machine.run("chmod 0755 /srv/shop")
    assert "worker-1@app1: OK" in machine.run(page.next("sudo -u nagios env -i"))
    machine.run("chmod 0750 /srv/shop; systemctl stop nagios4")
    assert page.all_taken()


@pytest.mark.usefixtures("fleet")
def test_nrpe_and_sudo(machine: Machine) -> None:
    executable("nrpe", package="nagios-nrpe-server")
    executable("check_nrpe", package="nagios-nrpe-plugin")
    page, sudo = Page("contrib/nrpe/README.md"), Page("contrib/sudoers.d/README.md")
    machine.run(page.next("ln -sf"))
    assert machine.run(without_editor(page.next("install -m 0640"))) == BASELINE
    machine.run(page.next("cp contrib"), CLONE)
    # The machine is the monitoring server as well.
    let_in = page.next("allowed_hosts=").replace("192.0.2.1\n", f"{ADDRESS}\n")
    machine.run("cat >>/etc/nagios/nrpe_local.cfg", text=let_in)
    restart, ask = page.next("systemctl restart"), page.next("/usr/lib/nagios/plugins/check_nrpe")

    def restart_it() -> None:
        """Restart NRPE, and return when it listens: whoever types the next command is not that quick."""
        machine.run(restart)
        hello = "/usr/lib/nagios/plugins/check_nrpe -H app1.example.com || true"
        wait_for(lambda: "NRPE v" in machine.run(hello), "NRPE does not answer")

    restart_it()
    assert verdict(machine.run(ask)) == f"{WELL}\n"

    # Nothing is to be changed, as the application is that of the page.
    machine.run(sudo.next("install -m 0440").replace("visudo -f", "EDITOR=/bin/true visudo -f"), CLONE)
    told = machine.run(sudo.next("visudo -c"))
    assert "worker-1@app1: OK" in told
    assert verdict(machine.run(f"sudo -u nagios {sudo.next('check_celery_workers')}")) == f"{WELL}\n"
    assert sudo.all_taken()
    restart_it()
    assert verdict(machine.run(page.next("/usr/lib/nagios/plugins/check_nrpe"))) == f"{WELL}\n"
    machine.run("chmod 0755 /srv/shop")
    assert "worker-1@app1: OK" in machine.run(page.next("sudo -u nagios env -i"))
    machine.run("chmod 0750 /srv/shop; systemctl stop nagios-nrpe-server")
    # What not to do, and lines for arguments from the network, which Debian's NRPE does not take: see test_nrpe.py.
    page.next("# Do NOT use this.")
    page.next("# One EXPECTED from the network")
    assert page.all_taken()


def test_man(machine: Machine) -> None:
    executable("man", package="man-db")
    page = Page("contrib/man/README.md")
    link = page.next("mkdir -p")
    machine.run(link)
    machine.run(link)
    # Of the link, or of what it leads to: that depends on man's database.
    found = machine.run("man -w check_celery_workers")
    assert found in {
        f"{place}/share/man/man1/check_celery_workers.1\n" for place in ("/usr/local", "/opt/check_celery_workers")
    }
    machine.run("test -e /usr/local/share/bash-completion/completions/check_celery_workers")
    # In a terminal; and how both are built, which test_man.py and test_contrib_options.py see.
    page.next("man check_celery_workers")
    page.next(".venv/bin/python")
    assert page.all_taken()
