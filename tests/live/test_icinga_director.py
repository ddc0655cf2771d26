"""The basket in contrib/icinga-director, restored by a real Icinga Director and run by a real icinga2."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemons import command_of, daemon, executable
from icinga2 import SERVICES, Icinga2, arguments, assert_every_option, every_variable, host, recorder
from paths import CONTRIB
from processes import DEADLINE, run_merged

pytestmark = pytest.mark.daemon

BASKET = (CONTRIB / "icinga-director" / "celery_workers.json").read_text(encoding="utf-8")
MODULES = Path("/usr/share/icingaweb2/modules")
CONFIGURATION = {
    "config.ini": '[global]\nconfig_resource = "director"\n[logging]\nlog = "none"\n',
    "resources.ini": '[director]\ntype = "db"\ndb = "mysql"\nhost = "localhost"\n'
    'dbname = "director"\nusername = "root"\npassword = ""\ncharset = "utf8mb4"\n',
    "modules/director/config.ini": '[db]\nresource = "director"\n',
}
# As the page's template is meant to be used.
FROM_TEMPLATE = """\
object Host "app1" {
	import "generic-host"
}
object Service "celery-workers" {
	import "Celery workers"
	host_name = "app1"
}
"""


class Director:
    """An Icinga Director with its database in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        if not (MODULES / "director").exists():
            pytest.skip("needs icingaweb2-module-director: apt-get install icingaweb2-module-director")
        self._directory = directory
        self._socket = directory / "db.sock"
        self._php = executable("php", package="php-cli php-mysql")
        self._icingacli = executable("icingacli", package="icingacli")
        for name, text in CONFIGURATION.items():
            file = directory / "etc" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        enabled = directory / "etc" / "enabledModules"
        enabled.mkdir()
        for module in ("director", "incubator", "reactbundle"):
            (enabled / module).symlink_to(MODULES / module)

    @contextmanager
    def running(self) -> Iterator[Director]:
        """Run its database."""
        install = executable("mariadb-install-db", package="mariadb-server-core")
        server = executable("mariadbd", package="mariadb-server-core")
        # The first of them needs it.
        executable("my_print_defaults", package="mariadb-client-core")
        own = (f"--user={pwd.getpwuid(os.geteuid()).pw_name}", f"--datadir={self._directory / 'data'}")
        subprocess.run(
            (install, "--no-defaults", *own, "--auth-root-authentication-method=normal"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=DEADLINE,
        )
        start = self._directory / "start.sql"
        start.write_text("CREATE DATABASE director CHARACTER SET utf8mb4;\n", encoding="utf-8")
        options = (*own, "--skip-networking", f"--socket={self._socket}", f"--init-file={start}")
        log = self._directory / "db.log"
        with daemon(server, "--no-defaults", *options, log=log) as database:
            database.wait_for(self._socket.exists, "no database listens")
            self.run("migration", "run")
            yield self

    def run(self, *command: str, text: str = "") -> str:
        """Return what a command of `icingacli director` prints, with `text` on its standard input."""
        program = (self._php, "-d", f"pdo_mysql.default_socket={self._socket}", self._icingacli, "director")
        environment = {**os.environ, "ICINGAWEB_CONFIGDIR": str(self._directory / "etc")}
        done = run_merged(*program, *command, text=text, env=environment)
        assert done.returncode == 0, done.stdout
        return done.stdout


def test_every_option(tmp_path: Path) -> None:
    directory = tmp_path / "director"
    directory.mkdir()
    with Director(directory).running() as director:
        assert director.run("basket", "restore", text=BASKET) == "Objects from Basket Snapshot have been restored\n"
        fields = json.loads(director.run("export", "datafields"))
        assert {field["varname"] for field in fields} == set(every_variable())
        command = json.loads(director.run("command", "show", "celery_workers", "--json"))
        assert len(command["fields"]) == len(fields)
        template = shlex.split(command_of("icinga-director/README.md", "icingacli director service create"))
        assert director.run(*template[2:]) == "Service 'Celery workers' has been created\n"
        files = {
            "conf.d/commands.conf": director.run("command", "show", "celery_workers"),
            "conf.d/templates.conf": director.run("service", "show", "Celery workers"),
            "conf.d/celery_workers_services.conf": SERVICES,
            "conf.d/hosts.conf": host("full", "locally", every_variable())
            + host("bare", "locally", {})
            + FROM_TEMPLATE,
        }
    with Icinga2(tmp_path / "icinga2", recorder(tmp_path / "plugins"), files).running() as icinga:
        assert_every_option(arguments(icinga.result("full")))
        assert arguments(icinga.result("bare")) == []
        told = arguments(icinga.result("app1"))
        limits = [("--stall-limit", "15s"), ("--task-limit", "1h")]
        assert sorted(zip(told[::2], told[1::2])) == [("--broker", "/etc/celery_broker"), *limits]
