"""The plugin's own standard streams: reserved, written to, and a line of progress on a terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from check_celery_workers.errors import CannotJudge


def reserve() -> None:
    """Reserve the descriptors of closed standard streams, so that no file takes their place.

    Raises CannotJudge if that is not possible.
    """
    if sys.stdin is None or sys.stderr is None:
        try:
            fd = os.open(os.devnull, os.O_RDWR)
        except OSError as error:
            raise CannotJudge(f"a standard stream is closed, and {os.devnull}: {error.strerror}") from None
        while fd <= 2:
            fd = os.dup(fd)
        os.close(fd)


def write(output: str) -> bool:
    """Write to standard output; return whether all of it was taken.

    In UTF-8 whatever the locale, as Icinga and Nagios read it, and bypassing Python's buffer, which reports write
    errors too late.
    """
    data = output.encode()
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True


class Watch:
    """Observes the text as it is read: keeps its beginning, and shows progress on a terminal.

    raw: the beginning of the text
    """

    def __init__(self, keeps: int, shows: bool) -> None:
        """Keep so many characters; show progress only if standard error is a terminal."""
        self.raw = ""
        self._keeps = keeps
        self._shows = shows and os.isatty(2)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the progress line."""
        self._show("")

    def __call__(self, text: str, replied: int, expected: int) -> None:
        """Note more text, how many workers have replied by now, and how many are expected."""
        if len(self.raw) < self._keeps:
            self.raw += text[: self._keeps]
        self._show(f"{replied:,} answered, {expected:,} expected")

    def _show(self, line: str) -> None:
        if self._shows:
            with suppress(OSError):
                os.write(2, f"\r\x1b[K{line}".encode())
