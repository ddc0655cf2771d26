"""Make the captures in this directory and in ../malfunction again, with real workers. README.md here says how."""

from __future__ import annotations

import argparse
import json
import os
import pty
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fleet import Fleet

TESTS = Path(__file__).resolve().parents[1]
NODES = (
    "specialworker-1@serverA",
    "specialworker-2@serverA",
    "other-worker-0@server-b.example.com",
    "other-worker-1@server-b.example.com",
    "celery@serverC",
)
DEAD_BROKER = "redis://127.0.0.1:1/0"

MANAGE = """\
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

SETTINGS = """\
import djcelery

djcelery.setup_loader()
SECRET_KEY = "no secret"
INSTALLED_APPS = ["djcelery"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
BROKER_URL = {broker!r}
CELERY_ACCEPT_CONTENT = ["json"]
"""


class Release(NamedTuple):
    """One Celery, what it runs on, how it is called, and the command of each scenario."""

    celery: str
    python: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    scenarios: Mapping[str, str]


DJANGO_STATUS = "python manage.py celery status -t 2"
STATUS_4 = "celery status -A proj"
STATUS_5 = "celery -A proj status -t 2"

RELEASES = (
    Release(
        celery="3.1",
        python="2.7",
        packages=(
            "celery==3.1.26.post2",
            "kombu==3.0.37",
            "redis==2.10.6",
            "django==1.8.19",
            "django-celery==3.3.1",
        ),
        command=("python", "manage.py", "celery"),
        scenarios={
            "all-online": DJANGO_STATUS,
            "all-online-terminal": DJANGO_STATUS,
            "inspect-ping": "python manage.py celery inspect ping -t 2",
            "no-queue": "python manage.py celery inspect active_queues -t 2",
            "one-killed": DJANGO_STATUS,
            "one-stopped": DJANGO_STATUS,
            "duplicate-and-unexpected": DJANGO_STATUS,
            "no-worker": "python manage.py celery status -t 1",
            "broker-down": "python manage.py celery status -t 1",
        },
    ),
    Release(
        celery="4.4",
        python="3.8",
        packages=("celery==4.4.7", "redis==6.1.1"),
        command=("celery", "-A", "proj"),
        scenarios={
            "all-online": STATUS_4,
            "all-online-json": f"{STATUS_4} --json",
            "all-online-quiet": f"{STATUS_4} --quiet",
            "status-with-t": f"{STATUS_4} -t 2",
            "no-such-app": "celery status -A nosuchapp",
            "inspect-ping": "celery inspect ping -A proj -t 2",
            "no-queue": "celery inspect active_queues -A proj -t 2",
            "no-queue-json": "celery inspect active_queues -A proj -t 2 --json",
            "one-killed": STATUS_4,
            "one-stopped": STATUS_4,
            "duplicate-and-unexpected": STATUS_4,
            "duplicate-json": f"{STATUS_4} --json",
            "no-worker": STATUS_4,
        },
    ),
    Release(
        celery="5.6",
        python="3.13",
        packages=("celery[redis]==5.6.3",),
        command=("celery", "-A", "proj"),
        scenarios={
            "all-online": STATUS_5,
            "all-online-json": f"{STATUS_5} --json",
            "all-online-quiet": "celery -A proj --quiet status -t 2",
            "all-online-terminal": STATUS_5,
            "no-such-app": "celery -A nosuchapp status -t 1",
            "inspect-ping": "celery -A proj inspect ping -t 2",
            "no-queue": "celery -A proj inspect active_queues -t 2",
            "no-queue-json": "celery -A proj inspect active_queues -t 2 --json",
            "one-killed": STATUS_5,
            "one-stopped": STATUS_5,
            "duplicate-and-unexpected": STATUS_5,
            "duplicate-json": f"{STATUS_5} --json",
            "no-worker": "celery -A proj status -t 1",
            "broker-down": "celery -A proj status -t 1",
        },
    ),
)


def states(fleet: Fleet) -> Iterator[tuple[str, ...]]:
    """Bring the fleet from one state to the next, and tell what is to be captured in each."""
    fleet.start(*NODES)
    yield "all-online", "all-online-json", "all-online-quiet", "all-online-terminal"
    yield "inspect-ping", "status-with-t", "no-such-app"
    fleet.text("control", "cancel_consumer", "celery", "-d", "celery@serverC")
    yield "no-queue", "no-queue-json"
    fleet.kill("specialworker-2@serverA")
    yield ("one-killed",)
    fleet.freeze("celery@serverC")
    yield ("one-stopped",)
    fleet.thaw("celery@serverC")
    fleet.start("celery@serverC", "newspecialworker-1@serverA")
    yield "duplicate-and-unexpected", "duplicate-json"


MALFUNCTION_COMMANDS = ("active_queues", "active", "reserved", "stats", "ping", "status")


def malfunctions(fleet: Fleet) -> Iterator[str]:
    """Bring w-1@a from one malfunction to the next, and name each; w-2@b stays healthy."""

    def renew(queue: str, pool: str = "prefork") -> None:
        fleet.kill("w-1@a")
        fleet.start("w-1@a", pool=pool, concurrency=2, queues=(queue,))

    def occupy(slots: int) -> None:
        before = len(fleet.started("proj.nap"))
        for _ in range(slots + 2):
            fleet.send("proj.nap", 100000, queue="qa")
        fleet.wait_until_started("proj.nap", before + slots)

    fleet.start("w-1@a", "w-2@b", pool="prefork", concurrency=2)
    yield "healthy-idle"
    with fleet.busy("celery", seconds=3):
        yield "healthy-busy"
    fleet.wait_until_idle()
    renew("qa")
    fleet.cancel_consumer("w-1@a", "qa")
    yield "consumer-cancelled"
    renew("qaa")
    yield "wrong-queue"
    renew("qa")
    with fleet.busy("qa", seconds=3):
        os.kill(fleet.started("proj.busy")[-1], signal.SIGSTOP)
        yield "one-child-stopped-busy"
    renew("qa")
    fleet.freeze("w-1@a")
    yield "main-stopped"
    renew("qa")
    occupy(2)
    yield "endless"
    renew("qa", pool="solo")
    occupy(1)
    yield "solo-busy"


class Capture(NamedTuple):
    """What a command printed, and its exit code unless a terminal took that."""

    stdout: bytes
    stderr: bytes
    exit: int | None


def run(fleet: Fleet, argv: Sequence[str]) -> Capture:
    done = subprocess.run(
        argv,
        cwd=fleet.directory,
        env=fleet.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return Capture(done.stdout, done.stderr, done.returncode)


def run_on_terminal(fleet: Fleet, argv: Sequence[str]) -> Capture:
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            argv,
            cwd=fleet.directory,
            env=fleet.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        shown = b""
        with suppress(OSError):  # Linux ends a terminal that nobody holds open with EIO
            while chunk := terminal.read(4096):
                shown += chunk
        process.wait()
    return Capture(shown, b"", None)


class Recorder:
    """Captures the scenarios of one release, and writes them to its directories below `output`."""

    def __init__(self, release: Release, venv: Path, output: Path) -> None:
        self.release = release
        self.venv = venv
        self.output = output

    def fleet(self, broker: str, command: tuple[str, ...]) -> Fleet:
        """Return a fleet of this release's workers, none of them started."""
        fleet = Fleet(broker=broker, celery=command)
        fleet.environment["PATH"] = f"{self.venv}/bin{os.pathsep}{os.environ['PATH']}"
        # 3.1 refuses to run as root otherwise: it accepts pickles.
        fleet.environment["C_FORCE_ROOT"] = "1"
        (fleet.directory / "manage.py").write_text(MANAGE, encoding="ascii")
        (fleet.directory / "settings.py").write_text(SETTINGS.format(broker=broker), encoding="ascii")
        return fleet

    def record(self, fleet: Fleet, scenario: str) -> None:
        """Run the scenario's command, if this release has the scenario, and write what it did."""
        if command := self.release.scenarios.get(scenario):
            self._run(fleet, f"captures/{self.release.celery}/{scenario}", command)

    def record_malfunction(self, fleet: Fleet, scenario: str) -> None:
        """Ask each question, as text and where this release can do so as JSON, and write what it did."""
        for question in MALFUNCTION_COMMANDS:
            command = f"celery -A proj inspect {question} -t 1.5"
            if question == "status":
                command = f"celery -A proj status{'' if self.release.celery == '4.4' else ' -t 1.5'}"
            place = f"malfunction/{self.release.celery}/{scenario}.{question}"
            self._run(fleet, place, command, when=True)
            if self.release.celery != "3.1" and question != "status":
                self._run(fleet, f"{place}-json", f"{command} --json", when=True)

    def _run(self, fleet: Fleet, place: str, command: str, *, when: bool = False) -> None:
        print(place, command, flush=True)  # noqa: T201 - it takes a while
        output = self.output / place
        output.parent.mkdir(parents=True, exist_ok=True)
        argv = shlex.split(command)
        taken = time.time()
        capture = (run_on_terminal if place.endswith("-terminal") else run)(fleet, argv)
        for suffix, content in ("stdout", capture.stdout), ("stderr", capture.stderr):
            path = Path(f"{output}.{suffix}")
            if content:
                path.write_bytes(content.replace(bytes(self.venv), b"/srv/app/venv"))
            else:
                path.unlink(missing_ok=True)
        about: dict[str, object] = {"celery": self.release.celery, "argv": argv, "exit": capture.exit}
        if when:
            about["taken"] = round(taken, 3)
        Path(f"{output}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="ascii")

    def record_all(self, broker: str) -> None:
        """Record every scenario of the release."""
        command = self.release.command
        with self.fleet(broker, command) as fleet:
            for scenarios in states(fleet):
                for scenario in scenarios:
                    self.record(fleet, scenario)
        with self.fleet(broker, command) as fleet:
            self.record(fleet, "no-worker")
        with self.fleet(DEAD_BROKER, command) as fleet:
            self.record(fleet, "broker-down")
        with self.fleet(broker, ("celery", "-A", "proj")) as fleet:
            for scenario in malfunctions(fleet):
                self.record_malfunction(fleet, scenario)


def find_python(version: str) -> Path:
    """Return the interpreter of this version, from PATH or from pyenv; LookupError if none is."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = (Path(directory) / name for directory in os.get_exec_path())
    for candidate in (*on_path, *sorted(pyenv.glob(f"{version}.*/bin/{name}"))):
        with suppress(OSError, subprocess.CalledProcessError):
            # A shim of pyenv's is there for each version, and fails for those not chosen.
            subprocess.run([candidate, "-c", ""], check=True, capture_output=True)
            return candidate
    raise LookupError(f"no {name} on PATH or under {pyenv}; give --python {version}=PATH")


def make_venv(venv: Path, python: Path, release: Release) -> None:
    """Make a virtual environment with the release's packages in it."""
    if release.python == "2.7":
        # Python 2.7 has no venv, and virtualenv has dropped it since.
        tool = venv.with_name("virtualenv")
        subprocess.run([sys.executable, "-m", "venv", tool], check=True)
        subprocess.run([tool / "bin/pip", "install", "-q", "virtualenv<20.22"], check=True)
        subprocess.run([tool / "bin/virtualenv", "-q", "-p", python, venv], check=True)
    else:
        subprocess.run([python, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/python", "-m", "pip", "install", "-q", *release.packages], check=True)


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Run a Redis of our own, and yield its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""),
        cwd=directory,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not accepts_connections(port):
            if process.poll() is not None:
                raise RuntimeError(f"redis-server ended with status {process.returncode}")
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def accepts_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("celery", nargs="*", metavar="CELERY", help="3.1, 4.4 or 5.6; else all")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="VERSION=PATH",
        help="where a Python is, as 2.7=/opt/python2.7/bin/python",
    )
    parser.add_argument("--output", type=Path, default=TESTS, metavar="DIR", help="where to write, instead of tests")
    options = parser.parse_args(argv)
    pythons = dict(given.split("=", 1) for given in options.python)
    unknown = set(options.celery) - {release.celery for release in RELEASES}
    if unknown:
        parser.error(f"no recipe for Celery {', '.join(sorted(unknown))}")
    if not shutil.which("redis-server"):
        parser.error("no redis-server on PATH")
    for release in RELEASES:
        if options.celery and release.celery not in options.celery:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            python = Path(pythons.get(release.python) or find_python(release.python))
            make_venv(directory / "venv", python, release)
            with redis_server(directory) as broker:
                Recorder(release, directory / "venv", options.output).record_all(broker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
