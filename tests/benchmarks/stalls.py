"""How often --stall-limit is wrong, on real workers over Redis: busy ones, and some that start nothing.

    PYTHONPATH=tests/lib:tests .venv/bin/python -m benchmarks.stalls --rounds 10

checks each kind of worker so many times on an idle machine, and as often with all processors busy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from brokers import Redis
from celery import Celery  # type: ignore[import-untyped]
from fleet import Fleet
from processes import wait_for
from proxy import Proxy
from running import PLUGIN

LIMIT = "10s"
ONE_BY_ONE = {"task_acks_late": True, "worker_prefetch_multiplier": 1}
# Name, settings of the application, options of the worker, seconds that each task takes.
HEALTHY: tuple[tuple[str, Mapping[str, object], Mapping[str, object], float | None], ...] = (
    ("nothing to do", {}, {"pool": "prefork", "concurrency": 2}, None),
    ("instant tasks", {}, {"pool": "prefork", "concurrency": 2}, 0.0),
    ("instant tasks, acknowledged late, one at a time", ONE_BY_ONE, {"pool": "prefork", "concurrency": 2}, 0.0),
    ("tasks of 50 ms", {}, {"pool": "prefork", "concurrency": 2}, 0.05),
    ("tasks of 30 s", {}, {"pool": "prefork", "concurrency": 2}, 30.0),
    ("threads, instant tasks", {}, {"pool": "threads", "concurrency": 2}, 0.0),
    ("gevent, tasks of 50 ms", {}, {"pool": "gevent", "concurrency": 4}, 0.05),
    ("solo, tasks of 50 ms", {}, {"pool": "solo"}, 0.05),
    ("one task a second at most", {"task_default_rate_limit": "1/s"}, {"pool": "threads", "concurrency": 2}, 0.0),
    ("a process for each task", {"worker_max_tasks_per_child": 1}, {"pool": "prefork", "concurrency": 2}, 0.0),
)


@contextmanager
def coming(broker: str, seconds: float | None) -> Iterator[None]:
    """Keep tasks of so many seconds waiting all the time, None: none."""
    ended = threading.Event()

    def come() -> None:
        with Celery(broker=broker) as application, application.connection_for_read() as connection:
            channel = connection.channel()
            while not ended.wait(0.05):
                for _ in range(max(0, 20 - channel.queue_declare("celery").message_count)):
                    application.send_task("proj.nap", (seconds,), queue="celery")

    sender = threading.Thread(target=come)
    if seconds is not None:
        sender.start()
    try:
        yield
    finally:
        ended.set()
        if seconds is not None:
            sender.join()


@contextmanager
def load() -> Iterator[None]:
    """Keep all processors busy."""
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()


def spin() -> None:
    """Compute until somebody ends it."""
    while True:
        sum(range(10_000))


def check(broker: str, node: str = "w@a") -> tuple[float, str]:
    """Return how many seconds a check took, and what it says."""
    started = time.monotonic()
    ask = (PLUGIN, node, "--stall-limit", LIMIT, "--broker", broker, "-t", "60")
    said = subprocess.run(ask, stdout=subprocess.PIPE, check=False, text=True).stdout
    return time.monotonic() - started, said


def healthy(broker: Redis, rounds: int) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """Yield what the checks of each healthy kind of worker say."""
    for number, (name, settings, options, seconds) in enumerate(HEALTHY, 1):
        url = f"{broker.url.removesuffix('0')}{number}"
        with Fleet(broker=url, settings=f"app.conf.update({dict(settings)!r})") as fleet:
            fleet.start("w@a", **options)  # type: ignore[arg-type]
            with coming(url, seconds):
                said = [check(url) for _ in range(rounds)]
                with load():
                    said += [check(url) for _ in range(rounds)]
        yield name, said


def stalled(broker: Redis, rounds: int) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """Yield what the checks of workers say that start nothing, each beside a healthy one that nobody accuses."""
    url = f"{broker.url.removesuffix('0')}20"
    with Fleet(broker=url) as fleet:
        fleet.start("w@a", "v@a", pool="prefork", concurrency=2)
        found = subprocess.run(("pgrep", "-P", str(fleet.pid("w@a"))), stdout=subprocess.PIPE, check=True, text=True)
        for pid in map(int, found.stdout.split()):
            os.kill(pid, signal.SIGSTOP)
        for _ in range(40):
            fleet.send("proj.nap", 0)
        yield "all processes of the pool hang", [check(url, "?@a=2") for _ in range(rounds)]
    url = f"{broker.url.removesuffix('0')}21"
    with Proxy(broker.port) as proxy, ExitStack() as stack:
        deaf = stack.enter_context(Fleet(broker=url.replace(str(broker.port), str(proxy.port))))
        deaf.start("w@a", pool="threads", concurrency=2)
        proxy.keep_back(b"BRPOP")
        wait_for(lambda: proxy.keeps_back, "the worker does not wait for tasks")
        busy = stack.enter_context(Fleet(broker=url))
        busy.start("v@a", pool="threads", concurrency=2)
        with coming(url, 0.1):
            yield "half-open connection, beside a busy worker", [check(url, "?@a=2") for _ in range(rounds)]


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often to check each, default 10")
    rounds = parser.parse_args().rounds
    wrong = 0
    with tempfile.TemporaryDirectory() as directory, Redis(Path(directory), "--databases", "100") as broker:
        assert isinstance(broker, Redis)
        for what, wrongly, sets in (
            ("healthy workers", "alarms", healthy),
            ("workers that start nothing", "missed", stalled),
        ):
            print(f"\n| {what} | checks | {wrongly} | seconds, median and most |\n| --- | ---: | ---: | ---: |")
            right = "malfunctioning=0" if sets is healthy else "1 worker malfunctioning: w@a"
            for name, said in sets(broker, rounds if sets is healthy else max(1, rounds // 3)):
                wrong += show(name, said, sum(right not in words for _, words in said))
    sys.exit(wrong > 0)


def show(name: str, said: list[tuple[float, str]], wrong: int) -> int:
    """Print a row; return how many of the checks were wrong, each of which is printed as well."""
    seconds = [taken for taken, _ in said]
    print(f"| {name} | {len(said)} | {wrong} | {statistics.median(seconds):.1f}, {max(seconds):.1f} |", flush=True)
    if wrong:
        print("\n".join(words for _, words in said), file=sys.stderr)
    return wrong


if __name__ == "__main__":
    main()
