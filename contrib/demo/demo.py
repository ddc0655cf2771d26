#!/usr/bin/env python3
"""Show check_celery_workers at work, on real Celery workers and without a server.

    python3 contrib/demo/demo.py

It needs Python 3.9 or later, with pip and venv, and a package index. The broker is a directory
(Celery's filesystem:// transport). The virtual environment, the broker and the workers are gone
when the demo ends, also if you interrupt it. It exits with 0 if each check said what it should.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

CLONE = Path(__file__).resolve().parents[2]
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

# What the application and --broker-options both say.
OPTIONS = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}

APP = """\
import json
import os
import shutil
import time
import uuid
from pathlib import Path

from celery import Celery
from kombu.transport import filesystem
from kombu.utils.json import dumps

app = Celery("proj", broker="filesystem://")
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_transport_options = {"polling_interval": 0.2, **json.loads(Path("broker.json").read_text())}


@app.task(name="proj.export", ignore_result=True)
def export():
    while True:
        time.sleep(1)


# kombu opens a message where its reader looks for it, and then writes it: on a busy machine a
# worker comes between the two, reads nothing, and dies of it.
def put_whole(channel, queue, message, **options):
    file = Path(f"{time.monotonic_ns()}_{uuid.uuid4()}.{queue}.msg")
    file.write_text(dumps(message))
    file.rename(Path("queue") / file)


# The plugin does not know this application, and writes as kombu does: an empty file is left for later.
class Mover:
    @staticmethod
    def move(path, folder):
        if not os.path.getsize(path):
            raise OSError("not yet written")
        shutil.move(path, folder)


filesystem.Channel._put = put_whole
filesystem.shutil = Mover
"""

# The queue that each worker consumes from.
WORKERS = {
    "worker-1@app1": "celery",
    "worker-2@app1": "celery",
    "worker-3@app1": "celery",
    "mail-0@app2": "emails",
    "mail-1@app2": "emails",
    "reports@app3": "reports",
}
# A solo worker answers nothing while it runs a task.
WORKER = ("celery", "-A", "proj", "worker", "-c", "1", "-l", "INFO")
# It has a process of its own for tasks, which can hang.
PREFORK = "reports@app3"
QUIET = ("--without-gossip", "--without-mingle")

WARNING, CRITICAL = 1, 2
ASK = "-- celery -A proj inspect {} -t 5"
BROKER = '--broker filesystem:// --broker-options "$PWD/broker.json"'


class Stage:
    """A temporary directory and the processes that run in it; both go when the context ends.

    Signals wait until `interruptible`: no process is started, nor ended, by halves.
    """

    def __enter__(self) -> Stage:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, stop)
        self.processes: list[subprocess.Popen[str]] = []
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self.right = True
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
                # A check stops its COMMAND, which has a process group of its own. A worker would finish its task.
                end(process, kill=process in self.workers.values())
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
        (self.directory / "broker.json").write_text(f"{json.dumps(OPTIONS)}\n")
        for name in ("queue", "control"):
            (self.directory / name).mkdir()
        for exchange in ("celery.pidbox", "reply.celery.pidbox", *WORKERS.values()):
            # Workers that create such a file at the same moment lose each other's entries.
            (self.directory / "control" / f"{exchange}.exchange").write_text("[]")

    def start(self, workers: dict[str, str]) -> None:
        """Start Celery workers, by node name and queue, and wait until they say that they are ready."""
        for node, queue in workers.items():
            with (self.directory / f"{node}.log").open("wb") as log:
                pool = "prefork" if node == PREFORK else "threads"
                command = (*WORKER, *QUIET, "-P", pool, "-Q", queue, "-n", node)
                self.workers[node] = self.spawn(*command, output=log.fileno())
        deadline = time.monotonic() + 120
        for node in workers:
            while f"{node} ready." not in (text := (self.directory / f"{node}.log").read_text()):
                if self.workers[node].poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{node} did not start:\n{text}")
                with interruptible():
                    time.sleep(0.1)

    def kill(self, node: str) -> None:
        """Kill a worker, and show how."""
        worker = self.workers[node]
        say(f"$ kill -KILL {worker.pid}   # {node}")
        worker.kill()
        worker.wait()

    def signal_pool(self, node: str, name: str) -> None:
        """Send a signal to the pool process of a worker, and show how."""
        ask = ("celery", "-A", "proj", "inspect", "stats", "-d", node, "-t", "60", "--json")
        output = self.run(*ask)[1]
        (pid,) = json.loads(output[output.index("{") :])[node]["pool"]["processes"]
        say(f"$ kill -{name} {pid}   # the pool of {node}")
        os.kill(pid, signal.Signals[f"SIG{name}"])

    def type(self, command: str, code: int = 0, *expected: str) -> None:
        """Run a command as a person would type it and show what it prints; note whether that was as expected."""
        say(f"$ {command}")
        ended, output = self.run("sh", "-c", f"exec {command}")
        if output:
            say(output.rstrip("\n"))
        if command.startswith("check_celery_workers"):
            say(f"exit code {ended}")
        if ended != code or not all(text in output for text in expected):
            self.right = False


def end(process: subprocess.Popen[str], *, kill: bool) -> None:
    """End a process and its group, first gently unless it is to be killed."""
    for number in (signal.SIGKILL,) if kill else (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)


class Interrupted(Exception):  # noqa: N818 -- it is not an error
    """A signal came; the argument is its number."""


def stop(number: int, _frame: object) -> NoReturn:
    """End the program from where it waits, and heed no further signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    raise Interrupted(number)


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


def show(stage: Stage) -> None:
    """Show a fleet that is well, and what can be wrong with it."""
    say("This takes about 50 seconds.")
    say("Installing the plugin and Celery into a temporary virtual environment ...")
    stage.install()
    say(f"Starting {len(WORKERS)} Celery workers ...")
    stage.make_broker()
    stage.start(WORKERS)

    say("\n# All workers are online. Let the plugin write down which.")
    stage.type(f"check_celery_workers --baseline {ASK} > celery_workers")
    stage.type("cat celery_workers", 0, "worker-1..3@app1\nqueue celery=3..\n")

    say("\n# All is well.")
    stage.type(f"check_celery_workers -f celery_workers {ASK}", 0, "6 of 6 workers online")

    say("\n# One worker is killed.")
    stage.kill("worker-2@app1")
    stage.type(f"check_celery_workers -f celery_workers {ASK}", CRITICAL, "Worker worker-2@app1 was missing\n")

    say("\n# It is started again, and so is a worker that nobody expects. --wait listens for all who reply.")
    say("$ celery -A proj worker -n worker-2@app1 -Q celery &")
    say("$ celery -A proj worker -n celery@app9 -Q nightly &")
    stage.start({"worker-2@app1": "celery", "celery@app9": "nightly"})
    stage.type(f"check_celery_workers -f celery_workers --wait {ASK}", WARNING, "celery@app9")
    stage.kill("celery@app9")

    say("\n# The pool of a worker hangs: it answers everything, and starts no task. --stall-limit shows it. The check")
    say("# asks over the broker, without Celery and without the application.")
    stage.signal_pool(PREFORK, "STOP")
    stage.type("celery -A proj call proj.export --queue reports")
    stage.type("celery -A proj status -t 5", 0, "reports@app3: OK", "6 nodes online")
    stage.type("cat broker.json", 0, json.dumps(OPTIONS))
    stage.type(
        f"check_celery_workers -f celery_workers --stall-limit 5s {BROKER}",
        CRITICAL,
        "Worker reports@app3 was malfunctioning, it did not start the 1 task that it holds for 5 s\n",
    )

    say("\n# The pool goes on. But the task never ends, and takes the only slot: --task-limit shows it.")
    stage.signal_pool(PREFORK, "CONT")
    stage.type(
        f"check_celery_workers -f celery_workers --task-limit 1s {ASK}",
        CRITICAL,
        "Worker reports@app3 was malfunctioning, it has run proj.export for ",
    )

    say("\n# Nobody consumes from the queue that a new release uses: --queue shows it.")
    stage.type(
        f"check_celery_workers -f celery_workers --queue invoices {ASK}",
        CRITICAL,
        "Queue invoices has 0 consumers instead of ",
    )

    say("\n# A task waits there: --backlog-critical shows it.")
    stage.type("celery -A proj call proj.export --queue invoices")
    stage.type(
        f"check_celery_workers -f celery_workers --backlog-critical invoices=0 {BROKER}",
        CRITICAL,
        "Queue invoices has a backlog of 1 task, more than 0\n",
    )


def main() -> int:
    """Show it; clean up in any case."""
    try:
        with Stage() as stage:
            show(stage)
    except Interrupted as interrupted:
        # The terminal may be gone.
        with suppress(OSError):
            say("\nInterrupted; nothing is left behind.")
        return 128 + int(interrupted.args[0])
    say("\nThe workers are stopped, and nothing is left behind.")
    if not stage.right:
        say("Not every check said what it should have.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
