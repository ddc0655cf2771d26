"""A fleet of real Celery workers for the tests, each in a process of its own.

with Fleet() as fleet:
    fleet.start("worker-1@a", "worker-2@a")
    fleet.kill("worker-2@a")
    text = fleet.status_text("-t", "2")
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from processes import run_merged, wait_for

CELERY = (sys.executable, "-m", "celery", "-A", "proj")
FILESYSTEM = "filesystem://"
WORKER_OPTIONS = ("-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat")

APP = """\
import os
import threading

from celery import Celery

app = Celery("proj", broker={broker!r})


def end_with_the_tests():
    os.read(int(os.environ["FLEET_LIFELINE"]), 1)
    os._exit(1)


if "FLEET_LIFELINE" in os.environ:
    threading.Thread(target=end_with_the_tests, daemon=True).start()
"""

FILESYSTEM_OPTIONS = """
import time
import uuid

from kombu.transport import filesystem
from kombu.utils.json import dumps

app.conf.broker_transport_options = {{
    "data_folder_in": {queue!r},
    "data_folder_out": {queue!r},
    "control_folder": {control!r},
    "polling_interval": 0.1,
}}


# kombu opens a message where its reader looks for it, and then writes it: on a busy machine, a
# worker comes between the two, reads nothing, and dies of it.
def put_whole(channel, queue, message, **options):
    name = "%d_%s.%s.msg" % (time.monotonic_ns(), uuid.uuid4(), queue)
    with open(os.path.join({scratch!r}, name), "w") as file:
        file.write(dumps(message))
    os.rename(file.name, os.path.join({queue!r}, name))


filesystem.Channel._put = put_whole

# A broadcast reaches every worker on Redis. Here it is one file for each queue, and of two
# workers of one name, which share their queue, only one would find it: each gets its own.
mailbox = app.control.mailbox
shared_queue = mailbox.get_queue


def queue_of_this_process(hostname):
    queue = shared_queue(hostname)
    queue.name = "%d.%s" % (os.getpid(), queue.name)
    return queue


mailbox.get_queue = queue_of_this_process
"""


class Worker(NamedTuple):
    """A worker's process, and the file that its log goes to."""

    node: str
    process: subprocess.Popen[bytes]
    log: Path

    def is_ready(self) -> bool:
        """Tell whether it has said so in its log; RuntimeError if it has ended instead."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.node} did not start:\n{text}")
        return f"{self.node} ready." in text


class Fleet:
    """Workers by their node names, with the directory and the app that they share.

    `broker` is the URL of a running broker, if not of files in the fleet's own directory;
    `celery` is the start of each command line, which "worker" or "status" follows. What is
    left of the fleet ends with the context.
    """

    def __init__(self, *, broker: str = FILESYSTEM, celery: Sequence[str] = CELERY) -> None:
        self.celery = tuple(celery)
        self._workers: list[Worker] = []
        # No end of the tests, not even SIGKILL, leaves a worker: the pipe from them ends as well.
        self._lifeline, self._held = os.pipe()
        self._temporary = tempfile.TemporaryDirectory(prefix="celery-fleet-")
        self.directory = Path(self._temporary.name)
        self._scratch = self.directory / "tmp"
        self._scratch.mkdir()
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self.directory), os.environ.get("PYTHONPATH")))),
            # The filesystem broker moves each message there before it reads it.
            "TMPDIR": str(self._scratch),
        }
        app = APP.format(broker=broker)
        if broker == FILESYSTEM:
            app += self._filesystem_options()
        (self.directory / "proj.py").write_text(app, encoding="utf-8")

    def _filesystem_options(self) -> str:
        queue, control = self.directory / "queue", self.directory / "control"
        queue.mkdir()
        control.mkdir()
        for exchange in ("celery", "celery.pidbox", "reply.celery.pidbox"):
            # Workers that create such a file at the same moment lose each other's entries.
            (control / f"{exchange}.exchange").write_text("[]", encoding="ascii")
        return FILESYSTEM_OPTIONS.format(queue=str(queue), control=str(control), scratch=str(self._scratch))

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
        os.close(self._lifeline)
        os.close(self._held)
        self._temporary.cleanup()

    def start(self, *nodes: str) -> None:
        """Start a worker for each name, all at once, and return when every one answers."""
        workers = [self._spawn(node) for node in nodes]
        wait_for(lambda: all(worker.is_ready() for worker in workers), f"not all of {nodes} are ready")
        ping = ("inspect", "ping", "-t", "5", "-d", ",".join(nodes))
        wait_for(lambda: self.text(*ping).count("pong") >= len(set(nodes)), f"not all of {nodes} answer")

    def _spawn(self, node: str) -> Worker:
        log = self.directory / f"worker-{len(list(self.directory.glob('worker-*.log')))}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (*self.celery, "worker", "-n", node, "-l", "INFO", *WORKER_OPTIONS),
                cwd=self.directory,
                env={**self.environment, "FLEET_LIFELINE": str(self._lifeline)},
                pass_fds=(self._lifeline,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        worker = Worker(node, process, log)
        self._workers.append(worker)
        return worker

    def kill(self, node: str) -> None:
        """End a worker of this name, the newest, as the kernel does when memory runs out."""
        worker = self._newest(node)
        worker.process.kill()
        worker.process.wait()
        self._workers.remove(worker)

    def freeze(self, node: str) -> None:
        """Stop a worker of this name, the newest, so that it hangs."""
        self._newest(node).process.send_signal(signal.SIGSTOP)

    def thaw(self, node: str) -> None:
        """Let a frozen worker go on."""
        self._newest(node).process.send_signal(signal.SIGCONT)

    def _newest(self, node: str) -> Worker:
        for worker in reversed(self._workers):
            if worker.node == node:
                return worker
        raise KeyError(f"no worker {node} in this fleet")

    def status_command(self, *arguments: str) -> list[str]:
        """Return the command line of `celery status`, to be run in `directory`."""
        return [*self.celery, "status", *arguments]

    def status_text(self, *arguments: str) -> str:
        """Return what `celery status` prints on both its outputs, in the order of `2>&1`."""
        return self.text("status", *arguments)

    def text(self, *arguments: str) -> str:
        """Return what any command of Celery's prints on both its outputs."""
        return run_merged(*self.celery, *arguments, cwd=self.directory, env=self.environment).stdout
