#!/usr/bin/env python3
"""Show check_celery_workers at work, on real Celery workers and without a server.

    python3 contrib/demo/demo.py

It needs Python 3.9 or later, with pip and venv, and a package index. The virtual environment,
the broker (a directory, by Celery's filesystem:// transport) and the workers are gone when it
ends, also when it is interrupted. It exits with 0 if both verdicts were what they should be.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

CLONE = Path(__file__).resolve().parents[2]
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

APP = """\
import time
import uuid
from pathlib import Path

from celery import Celery
from kombu.transport.filesystem import Channel
from kombu.utils.json import dumps

app = Celery("proj", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
    "polling_interval": 0.2,
}


# kombu's own lets a worker read half a message on a busy machine, and the worker dies of it.
def put_whole(channel, queue, message, **options):
    file = Path(f"{time.monotonic_ns()}_{uuid.uuid4()}.{queue}.msg")
    file.write_text(dumps(message))
    file.rename(Path("queue") / file)


Channel._put = put_whole
"""

WORKERS = (
    *("specialworker-1@serverA", "specialworker-2@serverA", "specialworker-3@serverA"),
    *("otherworker-0@serverB", "otherworker-1@serverB"),
    "celery@serverC",
)
WORKER = ("celery", "-A", "proj", "worker", "-P", "solo", "-l", "INFO", "--without-gossip", "--without-mingle", "-n")
CHECK = (
    "celery -A proj status -t 2 2>&1"
    " | check_celery_workers specialworker-3@serverA otherworker-2@serverB celery@serverC"
)
WELL = ("6 of 6 workers online", "exit code 0")
ILL = (
    "Worker specialworker-2@serverA was missing\n",
    "Worker newspecialworker-1@serverA was unexpectedly present\n",
    "exit code 2",
)


class Stage:
    """A temporary directory and the processes that run in it; both go when the context ends.

    Signals wait until `interruptible`: no process is started, nor ended, by halves.
    """

    def __enter__(self) -> Stage:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, stop)
        self.processes: list[subprocess.Popen[str]] = []
        self.directory = Path(tempfile.mkdtemp(prefix="check-celery-workers-demo-"))
        self.environment = {
            **os.environ,
            "PATH": f"{self.directory}/venv/bin{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(self.directory),
        }
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.directory)

    def spawn(self, *command: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        process = subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, *command: str) -> tuple[int, str]:
        """Return the exit code of a command and what it printed."""
        process = self.spawn(*command)
        with interruptible():
            output = process.communicate()[0]
        return process.returncode, output

    def install(self) -> None:
        """Install the plugin and Celery into a virtual environment."""
        pip = ("venv/bin/pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check")
        for command in (sys.executable, "-m", "venv", "venv"), (*pip, str(CLONE), "celery>=5.4,<6"):
            code, output = self.run(*command)
            if code:
                sys.exit(f"{' '.join(command)} failed:\n{output}")

    def make_broker(self) -> None:
        """Write the Celery app and the directories that are its broker."""
        (self.directory / "proj.py").write_text(APP)
        for name in ("queue", "control"):
            (self.directory / name).mkdir()
        for exchange in ("celery", "celery.pidbox"):
            # Workers that create such a file at the same moment lose each other's entries.
            (self.directory / "control" / f"{exchange}.exchange").write_text("[]")

    def start(self, *nodes: str) -> dict[str, subprocess.Popen[str]]:
        """Start Celery workers and wait until they say that they are ready."""
        workers = {}
        for node in nodes:
            with (self.directory / f"{node}.log").open("wb") as log:
                workers[node] = self.spawn(*WORKER, node, output=log.fileno())
        deadline = time.monotonic() + 120
        for node, worker in workers.items():
            while f"{node} ready." not in (text := (self.directory / f"{node}.log").read_text()):
                if worker.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{node} did not start:\n{text}")
                with interruptible():
                    time.sleep(0.1)
        return workers

    def check(self) -> str:
        """Run the check as a person would type it; show and return what it says."""
        say(f"\n$ {CHECK}")
        code, output = self.run("sh", "-c", CHECK)
        say(f"{output}exit code {code}")
        return f"{output}exit code {code}"


def stop(number: int, _frame: object) -> NoReturn:
    """End the program from where it waits, and hear no further signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    sys.exit(128 + number)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let signals in while the program waits."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def main() -> int:
    """Show a fleet that is well, then one that is not."""
    with Stage() as stage:
        say("Installing the plugin and Celery into a temporary virtual environment ...")
        stage.install()
        say(f"Starting {len(WORKERS)} Celery workers ...")
        stage.make_broker()
        workers = stage.start(*WORKERS)
        well = stage.check()

        doomed = workers["specialworker-2@serverA"]
        say(f"\n$ kill -KILL {doomed.pid}   # specialworker-2@serverA")
        doomed.kill()
        doomed.wait()
        say("$ celery -A proj worker -n newspecialworker-1@serverA &")
        stage.start("newspecialworker-1@serverA")
        ill = stage.check()

    if not all(text in well for text in WELL) or not all(text in ill for text in ILL):
        say("\nThat is not what the plugin should have said.")
        return 1
    say("\nThe workers are stopped, and nothing is left behind.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
