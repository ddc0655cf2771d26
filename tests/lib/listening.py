"""The plugin while it waits, as a terminal shows it: `3 answered, 4 expected`, or `watching mail@a and 2 more`."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from running import PLUGIN

# It writes this over its progress, and then nothing.
GONE = b"\r\x1b[K"


class Listening:
    """The plugin, which waits."""

    def __init__(self, process: subprocess.Popen[str], terminal: int) -> None:
        self.process, self._terminal = process, terminal
        self.shown = b""

    def wait_until_shown(self, progress: str) -> None:
        """Return once it has shown this; fails if it ends before."""
        while progress.encode() not in self.shown:
            # Only the plugin holds the other end: if that ends, this fails and does not hang.
            self.shown += os.read(self._terminal, 4096)

    def finish(self, timeout: float) -> tuple[str, int]:
        """Return the output and the exit code; nothing but its progress was on standard error, and that is gone."""
        output, _ = self.process.communicate(timeout=timeout)
        try:
            while more := os.read(self._terminal, 4096):
                self.shown += more
        except OSError:
            pass
        lines = self.shown.split(GONE)
        assert all(not line or line.endswith(b" expected") or line.startswith(b"watching ") for line in lines)
        assert not lines[-1]
        return output, self.process.returncode


@contextmanager
def listening(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[Listening]:
    """Run the plugin with its standard error on a terminal; it does not outlive the context."""
    own, terminal = pty.openpty()
    process = subprocess.Popen(
        [PLUGIN, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        # As monitoring systems do, which kill the whole group.
        start_new_session=True,
    )
    os.close(terminal)
    with process:
        try:
            yield Listening(process, own)
        finally:
            process.kill()
            os.close(own)


@contextmanager
def answered(
    number: int, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run the plugin, which has not heard all that are expected, and go on once so many workers have answered."""
    with listening(*arguments, env=env, cwd=cwd) as plugin:
        plugin.wait_until_shown(f"{number} answered")
        yield plugin.process
