"""Processes that tests start: a port for them, waiting for what they do, and finding those that are left."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

DEADLINE = 300.0

MARK = "CHECK_CELERY_WORKERS_TEST"


# Below those that Linux gives to whoever connects, and other ones in each process of pytest-xdist: a daemon may take
# seconds to listen on its port, which nobody else may take meanwhile.
_OWN = range(10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8, 32_000, 8)
_ports: Iterator[int] = itertools.cycle([*_OWN[os.getpid() % len(_OWN) :], *_OWN[: os.getpid() % len(_OWN)]])


def free_port() -> int:
    """Return a TCP port of the loopback interface that nothing listens on, and that was not returned lately."""
    while True:
        port = next(_ports)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return as soon as the condition is true; TimeoutError that tells what did not come about."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} after {DEADLINE:g} seconds")
        time.sleep(0.02)


def run_merged(
    *command: str | Path, text: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with `text` on standard input; `stdout` is what it prints on both outputs, as of `2>&1`."""
    return subprocess.run(
        command,
        input=text,
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        errors="replace",
        timeout=DEADLINE,
    )


def is_being_killed(process: Path) -> bool:
    """Tell whether a process, by its directory in /proc, was sent SIGKILL: it is gone as soon as it gets the CPU."""
    pending = re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)$", (process / "status").read_text(encoding="utf-8"), re.MULTILINE)
    return any(int(signals, 16) >> signal.SIGKILL - 1 & 1 for signals in pending)


def started_with(text: str) -> dict[int, str]:
    """Return the IDs and command lines of the living processes that were started with the text in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if is_being_killed(process) or text.encode() not in (process / "environ").read_bytes():
                continue
            # One that has just ended has no command line any more.
            if command := (process / "cmdline").read_bytes():
                found[int(process.name)] = command.replace(b"\0", b" ").decode()
    return found


@contextmanager
def all_ended() -> Iterator[dict[str, str]]:
    """Assert that no process is left of those that were started with what this yields in their environment."""
    mark = uuid.uuid4().hex
    left: dict[int, str] = {}
    try:
        yield {MARK: mark}
    finally:
        left = started_with(mark)
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    assert list(left.values()) == []
