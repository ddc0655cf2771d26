"""How long whole runs take, as ratios of processes run side by side. Prints the tables of README.md here.

PYTHONPATH=tests .venv/bin/python -m benchmarks

The plugin is installed into a virtual environment of its own for it, and built as one file, both with compiled code.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import shlex
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from brokers import Redis
from fleet import Fleet as Workers

from benchmarks.fleets import Fleet, lone_workers, other_fleets, slow_patterns, usual_fleet, write_text
from benchmarks.timing import ENVIRONMENT, Case, interleave

CLONE = Path(__file__).resolve().parents[2]

# The minimal loop, a lower bound for any check in Python that reads a status text.
LOOP = r"""
import re, sys
match = re.compile(r"(?:->  | )?(\S+@\S+): (OK|ERROR)$").match
answered = 0
for line in sys.stdin:
    if match(line):
        answered += 1
print(answered, "workers")
"""

# An application of Django's with nothing of its own.
DJANGO = """
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        *("django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"),
        *("django.contrib.messages", "django.contrib.staticfiles"),
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()

from django.contrib import admin
from proj import app

admin.autodiscover()
"""

# Prints a text line by line, each when the one before it has been read, and then goes on until it is stopped.
ONE_BY_ONE = """
import fcntl, os, sys, termios, time
for line in open(sys.argv[1], "rb"):
    os.write(1, line)
    while any(fcntl.ioctl(1, termios.FIONREAD, bytes(4))):
        os.sched_yield()
time.sleep(3600)
"""


class Installed:
    """The plugin in a virtual environment, and as one file, with the Python that runs both."""

    def __init__(self, directory: Path) -> None:
        environment = directory / "venv"
        venv.create(environment, with_pip=True)
        self.python = str(environment / "bin" / "python")
        self.plugin = str(environment / "bin" / "check_celery_workers")
        self.one_file = str(directory / "check_celery_workers.pyz")
        build = CLONE / "contrib" / "zipapp" / "build.py"
        for command in (
            ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--compile", f"{CLONE}[broker]"),
            (build, "--python", self.python, "--output", self.one_file),
        ):
            subprocess.run((self.python, *command), env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""}, check=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only see whether they run: once each, and nothing large")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        directory = Path(temporary)
        installed = Installed(directory)
        print(f"{dt.datetime.now().astimezone().date()}, {machine()}:\n")
        show(start(installed, directory, 1 if quick else 40))
        show(fleets(installed, directory, 1 if quick else 9, 1000 if quick else 1_000_000))
        show(one_by_one(installed, directory, 1 if quick else 9, (20, 100) if quick else (2000, 10_000)))
        show(deadline(installed, directory, *((1, 10, 200) if quick else (5, 1000, 20_000))))
        if not quick:
            show(command(installed, 5))
        show(asking(installed, directory, 1 if quick else 5))


def machine() -> str:
    """Return what ran the benchmarks."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.partition(": ")[2] for line in cpuinfo.splitlines() if line.startswith("model name")]
    model = f" of {models[0]}" if models else ""
    return (
        f"{os.cpu_count()} cores{model}, {platform.system()} {platform.release().partition('-')[0]}, Python"
        f" {platform.python_version()}, nagiosplugin {version('nagiosplugin')}, Celery {version('celery')}"
    )


def show(rows: Iterator[tuple[str, ...]]) -> None:
    """Print a Markdown table, its first row the heading, as its rows come."""
    for place, row in enumerate(rows):
        print(f"| {' | '.join(row)} |", flush=True)
        if not place:
            print(f"| --- |{' ---: |' * (len(row) - 1)}", flush=True)
    print()


def start(installed: Installed, directory: Path, rounds: int) -> Iterator[tuple[str, ...]]:
    """Yield the table of a check of twelve workers: hardly more than the start of its process."""
    yield "12 workers, wall time", "ms", "times `import nagiosplugin`"
    names = {"specialworker": "serverA", "otherworker": "serverB", "workername": "serverC"}
    nodes = [f"{name}-{i}@{server}" for name, server in names.items() for i in range(4)]
    text = write_text(directory / "text-12", len(nodes), nodes.__getitem__)
    expected = [f"{name}-4@{server}" for name, server in names.items()]
    says = "CELERY WORKERS OK - 12 of 12 workers online on 3 servers | "
    imported, *others = interleave(
        rounds,
        Case("`import nagiosplugin`", (installed.python, "-c", "import nagiosplugin")),
        Case("a bare interpreter", (installed.python, "-c", "pass")),
        Case("`check_celery_workers`", (installed.plugin, *expected), says, text),
        Case("`check_celery_workers.pyz`", (installed.one_file, *expected), says, text),
    )
    for timing in (imported, *others):
        yield timing.case.name, f"{timing.seconds * 1000:.0f}", timing.against(imported)


def fleets(installed: Installed, directory: Path, rounds: int, largest: int) -> Iterator[tuple[str, ...]]:
    """Yield the table of fleets of any size."""
    yield "fleet", "seconds", "times a minimal loop", "peak memory"
    sizes = [size for size in (1000, 10_000, 100_000, 1_000_000) if size <= largest]
    usual = {size: usual_fleet(directory, size) for size in sizes}
    for one in usual.values():
        yield against_loop(installed, one, one.text, rounds)
    size = min(largest, 100_000)
    for other in other_fleets(directory, usual[size], size):
        yield against_loop(installed, other, usual[size].text, rounds)


def against_loop(installed: Installed, fleet: Fleet, loop_text: Path, rounds: int) -> tuple[str, ...]:
    """Return the row of a fleet, against the loop over that text."""
    loop, plugin = interleave(
        rounds,
        Case("the minimal loop", (installed.python, "-c", LOOP), text=loop_text),
        Case(fleet.name, (installed.plugin, "-t", "300", "-f", str(fleet.expected)), fleet.says, fleet.text),
    )
    return fleet.name, f"{plugin.seconds:.2f}", plugin.against(loop), plugin.peak


def one_by_one(installed: Installed, directory: Path, rounds: int, sizes: tuple[int, int]) -> Iterator[tuple[str, ...]]:
    """Yield the table of a COMMAND that is stopped when the last of many servers has answered."""
    yield "one worker on each server, answering one by one to a running COMMAND", "seconds", f"times {sizes[0]:,}"
    cases = []
    for size in sizes:
        fleet = lone_workers(directory, size, f"one-by-one-{size}")
        running = (installed.python, "-c", ONE_BY_ONE, str(fleet.text))
        plugin = (installed.plugin, "-t", "300", "--settle", "0", "-f", str(fleet.expected), "--", *running)
        cases.append(Case(f"{size:,} servers", plugin, fleet.says))
    timings = interleave(rounds, *cases)
    for timing in timings:
        yield timing.case.name, f"{timing.seconds:.2f}", timing.against(timings[0])


def deadline(
    installed: Installed, directory: Path, rounds: int, patterns: int, workers: int
) -> Iterator[tuple[str, ...]]:
    """Yield the table of a comparison that takes long, which the deadline has to end."""
    yield "`-t 3`", "seconds"
    fleet = slow_patterns(directory, patterns, workers)
    plugin = (installed.plugin, "-t", "3", "-f", str(fleet.expected))
    for timing in interleave(rounds, Case(fleet.name, plugin, fleet.says, fleet.text)):
        yield timing.case.name, f"{timing.seconds:.2f}"


def command(installed: Installed, rounds: int) -> Iterator[tuple[str, ...]]:
    """Yield the table of the plugin that runs the command itself, against the pipe."""
    yield "five real workers, all well, `-t 10`", "seconds", "times the pipe"
    nodes = [f"worker-{i}@a" for i in range(5)]
    says = "CELERY WORKERS OK - 5 of 5 workers online on 1 server | "
    with Workers() as workers:
        workers.start(*nodes)
        status = shlex.join(workers.status_command("-t", "10"))
        plugin = shlex.join([installed.plugin, "worker-5@a"])
        inspect = shlex.join(workers.inspect_command("-t", "10"))
        environment = {**workers.environment, **ENVIRONMENT}
        lines = {
            "`celery status -t 10 2>&1 \\| check_celery_workers worker-5@a`": f"{status} 2>&1 | {plugin}",
            "`check_celery_workers worker-5@a -- celery status -t 10`": f"exec {plugin} -- {status}",
            "`check_celery_workers worker-5@a --task-limit 600 -- celery inspect {} -t 10`, two questions": (
                f"exec {plugin} --task-limit 600 -- {inspect}"
            ),
        }
        timings = interleave(
            rounds,
            *(
                Case(name, ("sh", "-c", line), says, cwd=workers.directory, environment=environment)
                for name, line in lines.items()
            ),
        )
    for timing in timings:
        yield timing.case.name, f"{timing.seconds:.2f}", timing.against(timings[0])


def asking(installed: Installed, directory: Path, rounds: int) -> Iterator[tuple[str, ...]]:
    """Yield the table of asking over the broker against a COMMAND, with one question and with two."""
    yield "two real workers on Redis, all well", "seconds", "of a processor", "times one question to COMMAND"
    redis = directory / "redis"
    redis.mkdir()
    with Redis(redis) as broker, Workers(broker=broker.url) as workers:
        workers.start("worker-0@a", "worker-1@a")
        (workers.directory / "shop.py").write_text(DJANGO, encoding="utf-8")
        plugin = (installed.plugin, "worker-2@a", "-t", "30")
        inspect = [*workers.inspect_command("-t", "10")]
        with_django = ["shop" if word == "proj" else word for word in inspect]
        two = ("--task-limit", "600")
        commands = {
            "`-- celery -A proj inspect {} -t 10`, one question": (*plugin, "--", *inspect),
            "the same, two questions": (*plugin, *two, "--", *inspect),
            "with a Django application, one question": (*plugin, "--", *with_django),
            "with a Django application, two questions": (*plugin, *two, "--", *with_django),
            "`--broker redis://...`, one question": (*plugin, "--broker", broker.url),
            "the same with `--stall-limit 15s`": (*plugin, "--stall-limit", "15s", "--broker", broker.url),
            "the same, two questions and the backlogs": (
                *plugin,
                *two,
                "--backlog-critical",
                "9",
                "--broker",
                broker.url,
            ),
        }
        says = "CELERY WORKERS OK - 2 of 2 workers online on 1 server | "
        environment = {**workers.environment, **ENVIRONMENT}
        cases = [
            Case(name, command, says, cwd=workers.directory, environment=environment)
            for name, command in commands.items()
        ]
        timings = interleave(rounds, *cases)
    for timing in timings:
        seconds, processor = f"{timing.seconds:.2f}", f"{timing.processor:.2f}"
        yield timing.case.name, seconds, processor, f"{timing.processor / timings[0].processor:.2f}"


if __name__ == "__main__":
    main()
