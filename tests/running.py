"""Runs the plugin as its users do, and gives back all that they see."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from check_celery_workers.cli import main

OK, WARNING, CRITICAL, UNKNOWN = range(4)
PLUGIN = str(Path(sys.executable).with_name("check_celery_workers"))


class Outcome(NamedTuple):
    """What a run of the plugin left."""

    output: str
    code: int

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
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(data)
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
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    done = subprocess.run(
        [PLUGIN, *arguments], input=data, capture_output=True, env=env, cwd=cwd, check=False, timeout=120
    )
    assert done.stderr == b""
    return Outcome(done.stdout.decode(), done.returncode)


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
