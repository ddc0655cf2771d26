"""contrib/nagios in a real Nagios Core, with the stock configuration of its Debian package."""

from __future__ import annotations

import getpass
import grp
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import PATIENT, Daemon, adapted, application, broker_file, daemon, executable, nrpe, over_broker, sshd
from fleet import Fleet
from running import CRITICAL, OK, PLUGIN, perfdata, timeless

pytestmark = pytest.mark.daemon

NAGIOS = executable("nagios4", package="nagios4-core")
CHECK_NRPE = executable("check_nrpe", package="nagios-nrpe-plugin")
CHECK_BY_SSH = executable("check_by_ssh", package="monitoring-plugins-basic")
STOCK = Path("/etc/nagios4/objects")

MAIN = """\
cfg_file={stock}/commands.cfg
cfg_file={stock}/contacts.cfg
cfg_file={stock}/templates.cfg
cfg_file={stock}/timeperiods.cfg
cfg_dir={directory}/conf.d
resource_file={directory}/resource.cfg
log_file={directory}/nagios.log
object_cache_file={directory}/objects.cache
precached_object_file={directory}/objects.precache
status_file={directory}/status.dat
command_file={directory}/nagios.cmd
lock_file={directory}/nagios.pid
temp_file={directory}/nagios.tmp
temp_path={directory}
check_result_path={directory}/results
state_retention_file={directory}/retention.dat
query_socket={directory}/nagios.qh
nagios_user={user}
nagios_group={group}
status_update_interval=1
check_result_reaper_frequency=1
service_check_timeout=250
illegal_macro_output_chars=`~$&|'"<>
use_syslog=0
enable_notifications=0
check_for_updates=0
"""
HOST = """\
define host {{
    use                 linux-server
    host_name           {name}
    address             127.0.0.1
    check_interval      0
    check_command       check_dummy!0
}}
"""


HOSTS = ("app1", "app2", "app3", "app4")


class Nagios:
    """A Nagios of a test's own, to be run in a directory of its own."""

    def __init__(self, directory: Path, objects: str) -> None:
        self.directory = directory
        self.configuration = directory / "nagios.cfg"
        self.status = directory / "status.dat"
        self.commands = directory / "nagios.cmd"
        plugins = directory / "plugins"
        for new in (directory / "conf.d", directory / "results", plugins):
            new.mkdir()
        for plugin in (PLUGIN, CHECK_NRPE, CHECK_BY_SSH):
            (plugins / Path(plugin).name).symlink_to(plugin)
        group = grp.getgrgid(os.getegid()).gr_name
        main = MAIN.format(stock=STOCK, directory=directory, user=getpass.getuser(), group=group)
        self.configuration.write_text(main, encoding="utf-8")
        (directory / "resource.cfg").write_text(f"$USER1$={plugins}\n", encoding="utf-8")
        (directory / "conf.d" / "celery_workers.cfg").write_text(objects, encoding="utf-8")
        hosts = "".join(HOST.format(name=name) for name in HOSTS)
        dummy = "define command {\n command_name check_dummy\n command_line /bin/true\n}\n"
        (directory / "conf.d" / "hosts.cfg").write_text(dummy + hosts, encoding="utf-8")

    def verify(self) -> str:
        """Return what `nagios4 -v` prints."""
        return subprocess.run(
            (NAGIOS, "-v", self.configuration), capture_output=True, check=False, encoding="utf-8", timeout=60
        ).stdout

    def check(self, running: Daemon, *hosts: str) -> list[dict[str, str]]:
        """Have Nagios check the service of each host now, and return what it then knows about them."""
        running.wait_for(self.commands.exists, "no command file")
        # The next second, so that no earlier check is taken for this one.
        asked = int(time.time()) + 1
        with self.commands.open("w", encoding="utf-8") as commands:
            for host in hosts:
                commands.write(f"[{asked}] SCHEDULE_FORCED_SVC_CHECK;{host};Celery workers;{asked}\n")

        def done() -> bool:
            return all(int(self._service(host).get("last_check", "0")) >= asked for host in hosts)

        running.wait_for(done, "no result")
        return [self._service(host) for host in hosts]

    def _service(self, host: str) -> dict[str, str]:
        """Return what status.dat says about the service of the host."""
        text = self.status.read_text(encoding="utf-8") if self.status.exists() else ""
        for block in re.findall(r"^servicestatus \{\n(.*?)^\t\}$", text, re.MULTILINE | re.DOTALL):
            fields = dict(line.strip().split("=", 1) for line in block.splitlines())
            if fields["host_name"] == host:
                return fields
        return {}


def with_all_services(objects: str) -> str:
    """Return the text with the # removed in front of services 2 to 4."""
    return re.sub(r"^#(?=define |    |\})", "", objects, flags=re.MULTILINE)


@pytest.mark.parametrize(("change", "services"), [(str, 1), (with_all_services, 4)], ids=["as it is", "all four"])
def test_nagios_accepts_the_file(tmp_path: Path, change: Callable[[str], str], services: int) -> None:
    output = Nagios(tmp_path, change(adapted("nagios/celery_workers.cfg", {}))).verify()
    assert f"Checked {services} services." in output
    assert "Total Warnings: 0\nTotal Errors:   0\n" in output


def expected_perfdata(host: str, *, missing: int) -> str:
    tasks = {"oldest_task": "0.0s;;;0", "queues": "0;;0;0"}
    # All but the last service ask over the broker, with a --stall-limit.
    tasks |= {"backlog": "0;;;0", "backlog_celery": "0;;;0"} if host != HOSTS[-1] else {}
    return perfdata(missing=f"{missing};;0;0;6", online=f"{6 - missing};;;0", time="0.5s;;;0", **tasks)


@pytest.mark.celery
def test_nagios_checks_over_the_broker_through_nrpe_through_ssh_and_with_celery(tmp_path: Path, fleet: Fleet) -> None:
    plugin = "/usr/lib/nagios/plugins/check_celery_workers"
    for directory in ("nagios", "nrpe", "sshd"):
        (tmp_path / directory).mkdir()
    commands = adapted(
        "nrpe/celery_workers.cfg",
        {
            plugin: PLUGIN,
            "emails=2..": "celery=2..",
            **over_broker(fleet),
        },
    )
    with nrpe(tmp_path / "nrpe", commands) as port, sshd(tmp_path / "sshd") as server:
        objects = adapted(
            "nagios/celery_workers.cfg",
            {
                "check_nrpe -H": f"check_nrpe -p {port} -H",
                "check_by_ssh -q -H $HOSTADDRESS$ -l shopuser": f"check_by_ssh -q {shlex.join(server.options)}",
                '-C "check_celery_workers': f'-C "{PLUGIN}',
                "worker-4@app3": "worker-4@app1",
                "worker-4@app4": "worker-4@app1",
                # A macro of Nagios's stands for the file.
                "--broker $ARG1$": f"{PATIENT} --broker $ARG1$",
                "/etc/celery_broker": broker_file(fleet),
                "emails=2..": "celery=2..",
                "-t 55": "-t 250",
                "--timeout 50": "--timeout 200",
                "inspect {} -t 15": "inspect {} -t 100",
                **application(fleet),
            },
        )
        nagios = Nagios(tmp_path / "nagios", with_all_services(objects))
        with daemon(NAGIOS, nagios.configuration, log=tmp_path / "log") as running:
            for host, well in zip(HOSTS, nagios.check(running, *HOSTS)):
                assert int(well["current_state"]) == OK
                assert well["plugin_output"] == "CELERY WORKERS OK - 6 of 6 workers online on 3 servers"
                assert well["long_plugin_output"] == ""
                assert timeless(well["performance_data"]) == expected_perfdata(host, missing=0)
            fleet.kill("worker-3@app1")
            fleet.kill("celery@web-1")
            try:
                verdicts = nagios.check(running, *HOSTS)
            finally:
                fleet.start("worker-3@app1", "celery@web-1")
            for host, ill in zip(HOSTS, verdicts):
                assert int(ill["current_state"]) == CRITICAL
                assert ill["plugin_output"] == (
                    "CELERY WORKERS CRITICAL - 2 of 6 workers missing: worker-3@app1, celery@web-*"
                )
                assert ill["long_plugin_output"].removesuffix(r"\n") == (
                    r"Worker worker-3@app1 was missing\n"
                    r"Pattern celery@web-* matched 1 worker instead of at least 2, accounts for 1 missing worker"
                )
                assert timeless(ill["performance_data"]) == expected_perfdata(host, missing=2)
