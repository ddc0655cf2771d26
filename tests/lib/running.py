"""Runs the plugin as its users do, and gives back all that they see."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from processes import DEADLINE

from check_celery_workers.cli import main

OK, WARNING, CRITICAL, UNKNOWN = range(4)
PLUGIN = str(Path(sys.executable).with_name("check_celery_workers"))


class Outcome(NamedTuple):
    """What a run of the plugin left."""

    output: str
    code: int

    @property
    def timeless(self) -> Outcome:
        """The same with 0.5 for the seconds that COMMAND took."""
        return self._replace(output=timeless(self.output))

    @property
    def headline(self) -> str:
        """The first line up to the perfdata."""
        return self.output.split("\n", 1)[0].split(" | ")[0]

    @property
    def findings(self) -> list[str]:
        """The lines after the first."""
        return self.output.splitlines()[1:]

    @property
    def perfdata(self) -> dict[str, str]:
        """The perfdata by their labels."""
        return dict(item.split("=") for item in self.output.split("\n", 1)[0].split(" | ")[1].split())


def check(*arguments: str, text: str | bytes = "") -> Outcome:
    """Run the plugin in this process, which is the fastest, with `text` on standard input."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(encoded(text))
        stdin.seek(0)
        with _standard_streams(stdin, stdout, stderr):
            code = main(arguments)
        stderr.seek(0)
        assert stderr.read() == b""
        stdout.seek(0)
        return Outcome(stdout.read().decode(), code)


def run(
    *arguments: str, text: str | bytes = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Outcome:
    """Run the installed plugin as a process of its own, with `text` on standard input."""
    return outcome_of(PLUGIN, *arguments, text=text, env=env, cwd=cwd)


def at_the_timeout(run: Callable[[str], Outcome], seen: str) -> Outcome:
    """Return the outcome of a check that waits for somebody who may be late, with a time that is long enough.

    That is, the first of 2, 8 and 32 seconds with which `seen` is in the output, or else the last.
    """
    for seconds in ("2", "8", "32"):
        outcome = run(seconds)
        if seen in outcome.output:
            break
    return outcome


def outcome_of(
    *command: str | Path,
    text: str | bytes = "",
    stdout: int = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Outcome:
    """Run a command, which must leave standard error alone, with `text` on standard input."""
    done = subprocess.run(
        command,
        input=encoded(text),
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        check=False,
        timeout=DEADLINE,
    )
    assert done.stderr == b""
    return Outcome((done.stdout or b"").decode(), done.returncode)


def timeless(output: str) -> str:
    """Return the output with 0.5 for the seconds that COMMAND took."""
    return re.sub(r"time=[0-9.]+s;;;0", "time=0.5s;;;0", output)


def perfdata(*, missing: str, online: str, **others: str) -> str:
    """Return the whole perfdata: `missing="7;;0;0;11", online="8;;;0"` and the zeros of what is not given.

    Labels that are not always there (`time`, `queues`, `oldest_task`) only where they are given.
    """
    zeros = {
        "duplicate": "0;0;;0",
        "malfunctioning": "0;;0;0",
        "missing_servers": "0;;;0",
        "unexpected": "0;0;;0",
        "unexpected_servers": "0;;;0",
    }
    values = {**zeros, "missing": missing, "online": online, **others}
    return " ".join(f"{label}={value}" for label, value in sorted(values.items()))


@contextmanager
def interruptible() -> Iterator[None]:
    """Start processes with SIGINT and SIGHUP at their defaults, also where they are ignored here, as in a job."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGHUP, hangup)


def encoded(text: str | bytes) -> bytes:
    """Return the bytes of a text in which what is no UTF-8 stands as the plugin has it."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


@contextmanager
def _standard_streams(*files: IO[bytes]) -> Iterator[None]:
    saved = [os.dup(fd) for fd in range(3)]
    try:
        for fd, file in enumerate(files):
            os.dup2(file.fileno(), fd)
        yield
    finally:
        for fd, own in enumerate(saved):
            os.dup2(own, fd)
            os.close(own)
