"""A fleet of real Celery workers for the tests, each in processes of its own.

with Fleet() as fleet:
    fleet.start("worker-1@a", "worker-2@a")
    fleet.start("mail@a", pool="prefork", concurrency=2, queues=("emails", "letters"))
    fleet.kill("worker-2@a")
    with fleet.holding("emails"), fleet.ending_with_the_last_reply():
        text = fleet.text("inspect", "active", "-t", "60")

with Fleet(broker=redis.url, settings="app.conf.task_serializer = 'pickle'") as fleet:
    ...
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from processes import run_merged, wait_for

CELERY = (sys.executable, "-m", "celery", "-A", "proj")
FILESYSTEM = "filesystem://"
DEFAULT_QUEUE = "celery"
WORKER_OPTIONS = ("--without-gossip", "--without-mingle", "--without-heartbeat")

# Any Celery from 3.1 runs it, in any Python from 2.7.
APP = """\
import os
import signal
import sys
import threading
import time

from celery import Celery
from kombu import pidbox

FOLDER = os.path.dirname(os.path.abspath(__file__))

app = Celery("proj", broker={broker!r})
# What is left behind on RabbitMQ stays there.
app.conf.control_queue_expires = 3600.0


def note(name):
    with open(os.path.join(FOLDER, "started"), "a") as file:
        file.write("%s %d\\n" % (name, os.getpid()))


@app.task(bind=True, name="proj.nap")
def nap(self, seconds):
    note(self.name)
    time.sleep(seconds)


@app.task(bind=True, name="proj.busy")
def busy(self, seconds, others=0):
    if os.path.exists(os.path.join(FOLDER, "busy")):
        note(self.name)
        time.sleep(seconds)
        for _ in range(1 + others):
            self.apply_async((seconds,), queue=self.request.delivery_info["routing_key"])
    else:
        note(self.name + ".last")


@app.task(bind=True, name="proj.held")
def held(self):
    note(self.name)
    while os.path.exists(os.path.join(FOLDER, "held")):
        time.sleep(0.05)


@app.task(bind=True, name="proj.endless")
def endless(self):
    note(self.name)
    while True:
        time.sleep(1)


# Where it is known how many workers will reply, Celery ends with the last, whatever its -t is.
collect = pidbox.Mailbox._collect


def collect_so_many(self, ticket, limit=None, **options):
    try:
        with open(os.path.join(FOLDER, "replies")) as file:
            limit = limit or int(file.read())
    except IOError:
        pass
    return collect(self, ticket, limit=limit, **options)


pidbox.Mailbox._collect = collect_so_many


def end_with_the_tests():
    os.read(int(os.environ["FLEET_LIFELINE"]), 1)
    # The worker leads a process group of its own, with its pool in it.
    os.killpg(os.getpid(), signal.SIGKILL)


if "FLEET_LIFELINE" in os.environ and "gevent.monkey" in sys.modules:
    # What Thread is there stops all others while it reads.
    sys.modules["gevent"].get_hub().threadpool.spawn(end_with_the_tests)
elif "FLEET_LIFELINE" in os.environ:
    thread = threading.Thread(target=end_with_the_tests)
    thread.daemon = True
    thread.start()
"""

FILESYSTEM_OPTIONS = """
import shutil
import uuid

from kombu.transport import filesystem
from kombu.utils.json import dumps

app.conf.broker_transport_options = {options!r}


# kombu opens a message where its reader looks for it, and then writes it: on a busy machine, a
# worker comes between the two, reads nothing, and dies of it.
def put_whole(channel, queue, message, **options):
    name = "%d_%s.%s.msg" % (time.monotonic_ns(), uuid.uuid4(), queue)
    with open(os.path.join({scratch!r}, name), "w") as file:
        file.write(dumps(message))
    os.rename(file.name, os.path.join({queue!r}, name))


filesystem.Channel._put = put_whole


# Whoever asks from outside of this app opens it first, too: so what is empty is left for later.
class Mover:
    @staticmethod
    def move(path, folder):
        if not os.path.getsize(path):
            raise OSError("not yet written")
        shutil.move(path, folder)


filesystem.shutil = Mover

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

    def signal_all(self, number: int) -> None:
        """Send a signal to the worker and its pool."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Fleet:
    """Workers by their node names, with the directory and the app that they share.

    `broker` is the URL of a running broker, if not of files in the fleet's own directory;
    `celery` is the start of each command line, which "worker" or "status" follows; `settings`
    is Python that the app ends with, `environment` is for its workers besides, and `broker_options`
    are the transport options of an app on files. What is left of the fleet ends with the context.
    """

    def __init__(
        self,
        *,
        broker: str = FILESYSTEM,
        celery: Sequence[str] = CELERY,
        settings: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.celery = tuple(celery)
        self.broker = broker
        self.broker_options: dict[str, object] = {}
        # What tasks are sent in, whatever the application's task_serializer is.
        self.serializer = "json"
        self._workers: list[Worker] = []
        self._frozen: list[Worker] = []
        self._lines = 0
        self._numbers = itertools.count()
        # No end of the tests, not even SIGKILL, leaves a worker: the pipe from them ends as well.
        self._lifeline, self._held = os.pipe()
        self._temporary = tempfile.TemporaryDirectory(prefix="celery-fleet-")
        self.directory = Path(self._temporary.name)
        self._scratch = self.directory / "tmp"
        self._scratch.mkdir()
        # How many workers reply, where Celery ends with the last of them.
        self.replies = self.directory / "replies"
        others = {**os.environ, **(environment or {})}
        self.environment = {
            **others,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self.directory), others.get("PYTHONPATH")))),
            # The filesystem broker moves each message there before it reads it.
            "TMPDIR": str(self._scratch),
        }
        app = APP.format(broker=broker)
        if broker == FILESYSTEM:
            app += self._filesystem_options()
        (self.directory / "proj.py").write_text(f"{app}\n{settings}\n", encoding="utf-8")

    def _filesystem_options(self) -> str:
        queue, control = self.directory / "queue", self.directory / "control"
        queue.mkdir()
        control.mkdir()
        self._create_exchanges(DEFAULT_QUEUE, "celery.pidbox", "reply.celery.pidbox")
        self.broker_options = {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "polling_interval": 0.1,
        }
        return FILESYSTEM_OPTIONS.format(queue=str(queue), options=self.broker_options, scratch=str(self._scratch))

    def _create_exchanges(self, *names: str) -> None:
        """Create the files of exchanges: workers that do so at the same moment lose each other's entries."""
        control = self.directory / "control"
        for name in names if control.exists() else ():
            # One that is there keeps what is in it.
            with suppress(FileExistsError), (control / f"{name}.exchange").open("x", encoding="ascii") as file:
                file.write("[]")

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.signal_all(signal.SIGKILL)
        for worker in self._workers:
            worker.process.wait()
        os.close(self._lifeline)
        os.close(self._held)
        self._temporary.cleanup()

    def start(
        self,
        *nodes: str,
        pool: str = "solo",
        concurrency: int = 1,
        queues: Sequence[str] = (DEFAULT_QUEUE,),
        options: Sequence[str] = (),
    ) -> None:
        """Start a worker for each name, all at once, and return when every one answers; `options` are further ones.

        A worker of the pool "solo" does not answer while it runs a task; one of "prefork" does.
        """
        self._create_exchanges(*queues)
        words = ("-l", "INFO", "-P", pool, "-c", str(concurrency), "-Q", ",".join(queues), *WORKER_OPTIONS, *options)
        workers = [self._spawn(node, "worker", "-n", node, *words) for node in nodes]
        wait_for(lambda: all(worker.is_ready() for worker in workers), f"not all of {nodes} are ready")
        self._wait_until_answering(*nodes)

    def start_beat(self, node: str) -> None:
        """Start a scheduler that answers to this name, and return when it does: Celery 5.7 or later."""
        schedule = f"schedule-{len(self._workers)}"
        self._spawn(node, "beat", "-n", node, "-l", "INFO", "--enable-remote-control", "--pidfile", "", "-s", schedule)
        self._wait_until_answering(node)

    def _wait_until_answering(self, *nodes: str) -> None:
        ping = ("inspect", "ping", "-t", "5", "-d", ",".join(nodes))
        wait_for(lambda: self.text(*ping).count("pong") >= len(set(nodes)), f"not all of {nodes} answer")
        self._count_again()

    def _spawn(self, node: str, *arguments: str) -> Worker:
        log = self.directory / f"worker-{next(self._numbers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (*self.celery, *arguments),
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

    def logs(self) -> dict[str, str]:
        """Return what workers have logged, by the names of the files."""
        logs = sorted(self.directory.glob("*.log"))
        return {log.name: log.read_text(encoding="utf-8", errors="replace") for log in logs}

    def kill(self, node: str) -> None:
        """End a worker of this name, the newest, and its pool, as the kernel does when memory runs out."""
        worker = self._newest(node)
        worker.signal_all(signal.SIGKILL)
        worker.process.wait()
        self._workers.remove(worker)
        self._count_again()

    def pid(self, node: str) -> int:
        """Return the process ID of a worker of this name, the newest; its process group has the same."""
        return self._newest(node).process.pid

    def pool(self, node: str) -> list[int]:
        """Return the IDs of the pool processes of a worker of this name, the newest."""
        pid = self.pid(node)
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]

    def freeze(self, node: str) -> None:
        """Stop a worker of this name, the newest, so that it hangs."""
        worker = self._newest(node)
        worker.process.send_signal(signal.SIGSTOP)
        self._frozen.append(worker)
        self._count_again()

    def thaw(self, node: str) -> None:
        """Let a frozen worker go on."""
        worker = self._newest(node)
        worker.process.send_signal(signal.SIGCONT)
        self._frozen.remove(worker)
        self._count_again()

    @contextmanager
    def ending_with_the_last_reply(self) -> Iterator[None]:
        """Let Celery end as soon as all workers that are neither killed nor frozen have replied.

        As it is, it listens for more of them until its -t is over, which takes long where the -t is enough for a busy
        machine.
        """
        self.replies.touch()
        self._count_again()
        try:
            yield
        finally:
            self.replies.unlink()

    def _count_again(self) -> None:
        if self.replies.exists():
            # At once, so that nobody reads half of it.
            counted = self._scratch / "replies"
            counted.write_text(str(len(set(self._workers) - set(self._frozen))), encoding="ascii")
            counted.replace(self.replies)

    @contextmanager
    def stalling(self) -> Iterator[None]:
        """Stop each worker for 1 to 4 seconds and let it run for half to 1.5, at random, again and again."""
        ended = threading.Event()
        uniform = random.SystemRandom().uniform

        def stall(worker: Worker) -> None:
            while not ended.is_set():
                worker.process.send_signal(signal.SIGSTOP)
                ended.wait(uniform(1, 4))
                worker.process.send_signal(signal.SIGCONT)
                ended.wait(uniform(0.5, 1.5))

        with ThreadPoolExecutor(len(self._workers)) as pool:
            stalled = pool.map(stall, self._workers)
            try:
                yield
            finally:
                ended.set()
            list(stalled)

    def send(self, task: str, *arguments: object, queue: str = DEFAULT_QUEUE) -> None:
        """Send "proj.nap", which takes a number of seconds, or "proj.endless" to a queue."""
        options = (f"--args={json.dumps(arguments)}", f"--queue={queue}", f"--serializer={self.serializer}")
        self.text("call", task, *options)

    def send_many(self, task: str, count: int, *arguments: object, **options: object) -> None:
        """Send a task so many times, all at once, with these options of apply_async."""
        send = f"app.send_task({task!r}, {arguments!r}, serializer={self.serializer!r}, **{options!r})"
        code = f"from proj import app\nfor _ in range({count}): {send}"
        sent = run_merged(self.celery[0], "-c", code, cwd=self.directory, env=self.environment)
        if sent.returncode:
            raise RuntimeError(f"{task} was not sent:\n{sent.stdout}")

    def started(self, task: str) -> list[int]:
        """Return for each time that a task of this name was started the ID of the process that did it."""
        with suppress(FileNotFoundError):
            lines = (self.directory / "started").read_text(encoding="ascii").splitlines()
            return [int(pid) for name, pid in map(str.split, lines) if name == task]
        return []

    def wait_until_started(self, task: str, count: int) -> None:
        """Return when tasks of this name were started so many times."""
        wait_for(lambda: len(self.started(task)) >= count, f"{task} is not started {count} times")

    @contextmanager
    def busy(self, *queues: str, seconds: float) -> Iterator[None]:
        """Keep tasks of so many seconds coming on these queues, eight at a time on each."""
        flag = self.directory / "busy"
        flag.touch()
        try:
            for queue in queues:
                before = len(self.started("proj.busy"))
                self._lines += 8
                self.send("proj.busy", seconds, 7, queue=queue)
                self.wait_until_started("proj.busy", before + 9)
            yield
        finally:
            flag.unlink()

    @contextmanager
    def holding(self, queue: str) -> Iterator[int]:
        """Keep a task running that was sent to this queue; yield the ID of the process that runs it."""
        flag = self.directory / "held"
        flag.touch()
        try:
            before = len(self.started("proj.held"))
            self.send("proj.held", queue=queue)
            self.wait_until_started("proj.held", before + 1)
            yield self.started("proj.held")[-1]
        finally:
            flag.unlink()

    def wait_until_idle(self) -> None:
        """Return when nothing is left of what kept workers busy, and every worker says that it runs no task."""
        wait_for(lambda: len(self.started("proj.busy.last")) >= self._lines, "tasks come still")
        nodes = {worker.node for worker in self._workers}
        ask = ("inspect", "active", "-t", "5", "-d", ",".join(nodes))
        wait_for(lambda: self.text(*ask).count("- empty -") >= len(nodes), "tasks run still")

    def cancel_consumer(self, node: str, queue: str = DEFAULT_QUEUE) -> None:
        """Let a worker consume from this queue no more."""
        self._control(node, "cancel_consumer", queue)

    def add_consumer(self, node: str, queue: str = DEFAULT_QUEUE) -> None:
        """Let a worker consume from this queue as well."""
        self._create_exchanges(queue)
        self._control(node, "add_consumer", queue)

    def _control(self, node: str, command: str, queue: str) -> None:
        control = ("control", command, queue, "-d", node, "-t", "5")
        # Of that node alone; 3.1 writes it in colours.
        wait_for(lambda: "OK" in self.text(*control), f"{node} does not answer to {command}")

    def _newest(self, node: str) -> Worker:
        for worker in reversed(self._workers):
            if worker.node == node:
                return worker
        raise KeyError(f"no worker {node} in this fleet")

    def inspect_command(self, *arguments: str) -> list[str]:
        """Return the COMMAND that asks each question which the plugin puts in the place of {}."""
        return [*self.celery, "inspect", "{}", *arguments]

    def status_command(self, *arguments: str) -> list[str]:
        """Return the command line of `celery status`, to be run in `directory`."""
        return [*self.celery, "status", *arguments]

    def status_text(self, *arguments: str) -> str:
        """Return what `celery status` prints on both its outputs, in the order of `2>&1`."""
        return self.text("status", *arguments)

    def text(self, *arguments: str) -> str:
        """Return what any command of Celery's prints on both its outputs."""
        return run_merged(*self.celery, *arguments, cwd=self.directory, env=self.environment).stdout
