"""Real brokers of Debian's packages for the tests, each with ports and a directory of its own.

with Redis(directory) as broker:
    before = broker.contents()
    use(broker.url)
    assert broker.contents() == before

with Redis(directory, "--unixsocket", path, password="secret") as master, Sentinel(other, master, "secret") as sentinel:
    use(sentinel.url)
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Union
from urllib.parse import quote

from daemons import Daemon
from processes import DEADLINE, free_port

STOP_DEADLINE = 30.0
RABBITMQ_SCRIPTS = Path("/usr/lib/rabbitmq/bin")

Contents = dict[str, Union[list[str], str]]


class Broker(ABC):
    """A broker that runs as long as the context, and leaves no process and no file outside of its directory."""

    package: str
    url: str

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._log = directory / "output.log"
        self._processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Tell whether the package is."""

    @abstractmethod
    def contents(self) -> Contents:
        """Return all that clients made on it."""

    def contents_soon(self, expected: Contents) -> Contents:
        """Return the contents once they are the expected ones, or when it is no longer a matter of a moment.

        The fleet's app lets a reply queue that was left behind stay for an hour.
        """
        deadline = time.monotonic() + DEADLINE
        while (contents := self.contents()) != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        return contents

    @abstractmethod
    def _start(self) -> None:
        """Return when clients may come."""

    def __enter__(self) -> Broker:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it again, on the same port, and return when clients may come."""
        self._start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its processes, so that it hangs, and let them go on."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self._processes:
                os.killpg(process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it orderly, as an administrator does."""
        for process in reversed(self._processes):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_DEADLINE)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def _spawn(self, *command: str, env: Mapping[str, str] | None = None) -> Daemon:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return Daemon(process, self._log, confined=False)


class Redis(Broker):
    """Redis, which holds a queue as a list, and the bindings of an exchange as a set."""

    package = "redis-server"

    def __init__(self, directory: Path, *options: str, password: str = "") -> None:
        """`options` are those of redis-server; `password` is that of the user "default"."""
        super().__init__(directory)
        self._options = (*options, *(("--requirepass", password) if password else ()))
        # An empty one would be refused, and no database selected.
        self._environment = {**os.environ, **({"REDISCLI_AUTH": password} if password else {})}
        user = f":{quote(password, safe='')}@" if password else ""
        self.url = f"redis://{user}127.0.0.1:{self.port}/0"

    @classmethod
    def installed(cls) -> bool:
        return all(map(shutil.which, ("redis-server", "redis-cli")))

    def contents(self) -> Contents:
        """Return each key, with its members where it is a set."""
        keys = sorted(self.ask("KEYS", "*"))
        return {key: sorted(self.ask("SMEMBERS", key)) if self.ask("TYPE", key) == ["set"] else "" for key in keys}

    def ask(self, *command: str) -> list[str]:
        """Return the lines that redis-cli prints for a command; CalledProcessError if Redis refuses it."""
        done = subprocess.run(
            ("redis-cli", "-e", "-p", str(self.port), *command),
            env=self._environment,
            capture_output=True,
            check=True,
            text=True,
            timeout=DEADLINE,
        )
        return done.stdout.splitlines()

    def _start(self) -> None:
        command = ("redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *self._options)
        self._spawn(*command).wait_for_port(self.port)


class Sentinel(Broker):
    """A Sentinel that knows one Redis by the name "mymaster"."""

    package = Redis.package

    def __init__(self, directory: Path, master: Redis, password: str = "") -> None:
        """`password` is that of the master, which is in the URL, as Celery wants it."""
        super().__init__(directory)
        self._master = master
        self._configuration = directory / "sentinel.conf"
        lines = [f"bind 127.0.0.1\nport {self.port}\nsentinel monitor mymaster 127.0.0.1 {master.port} 1"]
        lines += [f'sentinel auth-pass mymaster "{password}"'] if password else []
        self._configuration.write_text("\n".join([*lines, ""]), encoding="utf-8")
        user = f":{quote(password, safe='')}@" if password else ""
        self.url = f"sentinel://{user}127.0.0.1:{self.port}/0"

    @classmethod
    def installed(cls) -> bool:
        return Redis.installed()

    def contents(self) -> Contents:
        """Return those of the master."""
        return self._master.contents()

    def _start(self) -> None:
        self._spawn("redis-server", str(self._configuration), "--sentinel").wait_for_port(self.port)


class RabbitMQ(Broker):
    """RabbitMQ, run by whoever runs the tests, with an epmd of its own.

    vhost: the virtual host of which `contents` are
    """

    package = "rabbitmq-server"

    def __init__(self, directory: Path, settings: str = "") -> None:
        """Run it with these lines of rabbitmq.conf, in which {port} is another port."""
        super().__init__(directory)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.vhost = "/"
        self.other_port = free_port()
        (directory / "rabbitmq.conf").write_text(settings.replace("{port}", str(self.other_port)), encoding="utf-8")
        self._epmd_port = free_port()
        plugins = directory / "enabled_plugins"
        plugins.write_text("[].\n", encoding="ascii")
        self._environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            # The cookie that opens the node to rabbitmqctl lies there.
            "HOME": str(directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_START_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # Then its script is replaced by the node itself, which ends orderly at SIGTERM.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    @classmethod
    def installed(cls) -> bool:
        return (RABBITMQ_SCRIPTS / "rabbitmq-server").exists() and shutil.which("epmd") is not None

    def contents(self) -> Contents:
        """Return the exchanges and the bindings, of which each queue has one, to the exchange without a name."""
        return {
            "exchanges": self.ctl("list_exchanges", "-p", self.vhost, "name"),
            "bindings": self.ctl("list_bindings", "-p", self.vhost, "source_name", "destination_name", "routing_key"),
        }

    def _start(self) -> None:
        # Where none listens, the node starts one that stays for ever.
        self._spawn("epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)).wait_for_port(self._epmd_port)
        self._spawn(str(RABBITMQ_SCRIPTS / "rabbitmq-server"), env=self._environment).wait_for_port(self.port)
        self.ctl("await_startup")

    def ctl(self, *command: str) -> list[str]:
        """Return the lines that rabbitmqctl prints, in order of the alphabet."""
        port = str(free_port())
        done = subprocess.run(
            (str(RABBITMQ_SCRIPTS / "rabbitmqctl"), "--quiet", *command),
            env={**self._environment, "RABBITMQ_CTL_DIST_PORT_MIN": port, "RABBITMQ_CTL_DIST_PORT_MAX": port},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            timeout=DEADLINE,
        )
        return sorted(done.stdout.splitlines())
