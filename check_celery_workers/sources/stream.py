"""Input as text of whole lines, from a stream. Commands and files have modules of their own."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator

from check_celery_workers.errors import CannotJudge, SourceError

CHUNK = 1 << 18
# What Windows begins a text with.
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SAMPLE = 100
# The JSON of a million workers is one line of 50 MB.
LONGEST_LINE = 64 << 20


class Source:
    """Where status text comes from: a context manager, to be read once."""

    has_ended = False  # what prints the text has ended, though somebody may still hold it open
    was_stopped = False  # it was not read to its end, since it was enough
    is_recoded = False  # not all of it was UTF-8, so that names may be others than they look
    bodies_follow = False  # every node of the text is known to have a line below it

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def __iter__(self) -> Iterator[str]:
        """Yield text of whole lines."""
        raise NotImplementedError

    def settle(self, seconds: float) -> None:
        """Stop reading this many seconds from now, if the source can."""


class Stream(Source):
    """An open file descriptor, read to its end or to a deadline."""

    def __init__(self, fd: int, name: str, deadline: float) -> None:
        """`name` is what the stream is called in an error; `deadline` is a time of `time.monotonic`, in seconds."""
        self._fd, self._name, self._deadline = fd, name, deadline

    def __iter__(self) -> Iterator[str]:
        """Yield text of whole lines.

        Raises CannotJudge if it cannot be read, SourceError at the deadline or at an overlong line.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        lines = Lines(LONGEST_LINE)
        while poll.poll(until(self._deadline)):
            try:
                data = os.read(self._fd, CHUNK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise CannotJudge(f"{self._name} cannot be read: {error.strerror}") from None
            if not data:
                rest = lines.rest()
                self.is_recoded = lines.is_recoded
                yield rest
                return
            text = lines.feed(data)
            self.is_recoded = lines.is_recoded
            yield text
            lines.check()
            if time.monotonic() >= self._deadline:
                break
        raise SourceError(f"{self._name} did not end before the timeout")


class Lines:
    """Puts text of whole lines together from the bytes that come."""

    def __init__(self, longest: int, keep_end: bool = False) -> None:
        """For a line longer than `longest` bytes, keep only its end or let `check` raise SourceError."""
        self._longest, self._keep_end = longest, keep_end
        self.is_recoded = False  # whether some of it was not UTF-8
        self._decode_utf16: Callable[[bytes], str] | None = None
        self._is_begun = False
        self._started: list[bytes] = []
        self.size = 0  # of the line that has begun

    def feed(self, data: bytes) -> str:
        """Return the lines that this completes, "" for none."""
        if not self._is_begun:
            self._is_begun = True
            if data.startswith(_UTF16) and b"\0" in data[:_SAMPLE]:
                from codecs import getincrementaldecoder

                self._decode_utf16 = getincrementaldecoder("utf-16")("replace").decode
        if self._decode_utf16:
            data = self._decode_utf16(data).encode("utf-8", "replace")
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            whole = b"".join((*self._started, whole, newline))
            self._started.clear()
            self.size = 0
        self._started.append(rest)
        self.size += len(rest)
        if self.size > self._longest and self._keep_end:
            self._started = [b"".join(self._started)[-self._longest :]]
            self.size = self._longest
        return self._decode(whole)

    def check(self) -> None:
        """Raise SourceError if the line that has begun is longer than any status text."""
        if self.size > self._longest:
            raise SourceError(f"not Celery's output: a line of more than {self._longest >> 20} MiB")

    def rest(self) -> str:
        """Return the last line, which no newline ends."""
        return self._decode(b"".join(self._started))

    def _decode(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError:
            self.is_recoded = True
            return decode(text)


def decode(text: bytes) -> str:
    """Decode UTF-8, and each byte that is not of UTF-8 as Latin-1."""
    escaped = text.decode("utf-8", "surrogateescape")
    # The escape of a byte is 0xDC00 above it.
    return escaped.translate({0xDC00 + byte: byte for byte in range(0x80, 0x100)})


def is_writable(fd: int, deadline: float) -> bool:
    """Wait until somebody takes some bytes there, at most until the deadline; return whether somebody does."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(event & (select.POLLOUT | select.POLLERR) for _, event in poll.poll(until(deadline)))


def until(deadline: float) -> float:
    """Return the milliseconds left until the deadline, for poll, which takes some weeks at most."""
    return min(max(0, deadline - time.monotonic()) * 1000, 1e9)
