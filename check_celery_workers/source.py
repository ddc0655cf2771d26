"""Input as text of whole lines: a stream, or a file. The command that prints it is a room of its own, `command`."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

from check_celery_workers.errors import CannotJudge, SourceError
from check_celery_workers.node import printable

CHUNK = 1 << 18
# The JSON of a million workers is one line of 50 MB.
LONGEST_LINE = 64 << 20


class Source:
    """Where status text comes from: a context manager, to be read once."""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def __iter__(self) -> Iterator[str]:
        """Yield text of whole lines."""
        raise NotImplementedError

    def settle(self, seconds: float) -> None:
        """Take what comes within so many seconds from now for all that comes, where reading on would take longer."""


class Stream(Source):
    """An open file descriptor, read to its end or to a deadline."""

    def __init__(self, fd: int, name: str, deadline: float) -> None:
        """`name` is what the stream is called in an error; `deadline` is a time of `time.monotonic`, in seconds."""
        self._fd = fd
        self._name = name
        self._deadline = deadline

    def __iter__(self) -> Iterator[str]:
        """Yield text of whole lines.

        Raises SourceError where the end does not come before the deadline, CannotJudge where it cannot be read.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        lines = Lines(LONGEST_LINE)
        while poll.poll(milliseconds(self._deadline)):
            try:
                data = os.read(self._fd, CHUNK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise CannotJudge(f"{self._name} cannot be read: {error.strerror}") from None
            if not data:
                yield lines.rest()
                return
            yield lines.feed(data)
            if time.monotonic() >= self._deadline:
                break
        raise SourceError(f"{self._name} did not end before the timeout")


def read_file(path: str, deadline: float) -> Iterator[str]:
    """Yield the lines of a file, or of whatever else the path names.

    Raises CannotJudge where it cannot be read, or does not end before the deadline.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise CannotJudge(f"{printable(path)} cannot be read: {error.strerror}") from None
    try:
        for text in Stream(fd, printable(path), deadline):
            if text:
                yield from text.removesuffix("\n").split("\n")
    finally:
        os.close(fd)


class Lines:
    """Puts text of whole lines together from the bytes that come."""

    def __init__(self, longest: int, keep_end: bool = False) -> None:
        """Of a line of more than `longest` bytes keep the end alone, or else raise CannotJudge."""
        self._longest = longest
        self._keep_end = keep_end
        self._started: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> str:
        """Return the lines that this brings to their end, "" for none."""
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            whole = b"".join((*self._started, whole, newline))
            self._started.clear()
            self._size = 0
        self._started.append(rest)
        self._size += len(rest)
        if self._size > self._longest:
            if not self._keep_end:
                raise CannotJudge(f"no status text: a line of more than {self._longest >> 20} MiB")
            self._started = [b"".join(self._started)[-self._longest :]]
            self._size = self._longest
        return _decode(whole)

    def rest(self) -> str:
        """Return the last line, which no newline ended."""
        return _decode(b"".join(self._started))


def _decode(text: bytes) -> str:
    """Every byte that is no UTF-8 stays distinct, so that names compare exactly."""
    return text.decode("utf-8", "surrogateescape")


def milliseconds(deadline: float) -> float:
    """Return what is left until the deadline, for poll, which takes some weeks at the most."""
    return min(max(0, deadline - time.monotonic()) * 1000, 1e9)
