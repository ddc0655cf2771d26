"""The command that prints the status text: run, read while it runs, and stopped."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from check_celery_workers.errors import CannotJudge, SourceError
from check_celery_workers.node import printable
from check_celery_workers.source import CHUNK, LONGEST_LINE, Lines, Source, milliseconds

_LARGEST_PIPE = 1 << 20
_LONGEST_ERROR_LINE = 64 << 10


class Command(Source):
    """A command that prints the status text; a context manager that leaves no process of it running.

    It starts with standard input closed, SIGINT at its default (Celery takes its reply queue off the broker at SIGINT
    alone, and whoever started the plugin may have had it ignored), and PYTHONUNBUFFERED=1 (Celery before 5 does not
    flush what it prints into a pipe).
    """

    def __init__(self, argv: Sequence[str], deadline: float) -> None:
        """`deadline` is a time of `time.monotonic`, in seconds."""
        self._argv = argv
        self._name = printable(argv[0])
        self._deadline = deadline
        self._settled = math.inf
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Command:
        """Start the command.

        Raises CannotJudge, with its name and the reason, where that is not possible.
        """
        with contextlib.ExitStack() as cleanup, contextlib.ExitStack() as write_ends:
            try:
                self._signals = cleanup.enter_context(_Signals())
                self._stdout, stdout = _pipe(cleanup, write_ends)
                self._stderr, stderr = _pipe(cleanup, write_ends)
                self._process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    start_new_session=True,
                )
            except OSError as error:
                raise CannotJudge(f"{self._name} cannot be started: {error.strerror}") from None
            cleanup.callback(self._stop)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what is left of the command.

        Raises CannotJudge where a signal came to end the plugin meanwhile, which otherwise would go on.
        """
        self._cleanup.close()
        self._heed_signals()

    def settle(self, seconds: float) -> None:
        """End after so many seconds from now, as if the text had."""
        self._settled = time.monotonic() + seconds

    def __iter__(self) -> Iterator[str]:
        """Yield text of whole lines, of standard output and standard error, as it comes.

        Raises SourceError where the command ends with another exit status than 0 or not before the deadline, and
        CannotJudge where a signal ends the plugin.
        """
        lines = {
            self._stdout: Lines(LONGEST_LINE),
            self._stderr: Lines(_LONGEST_ERROR_LINE, keep_end=True),
        }
        poll = select.poll()
        for fd in (self._signals.fd, *lines):
            poll.register(fd, select.POLLIN)
        ended = False
        while not ended:
            poll.poll(milliseconds(min(self._deadline, self._settled)))
            self._signals.drain()
            self._heed_signals()
            # Asked before the pipes are read, to the end of what it printed: its children may hold them open for ever.
            ended = self._process.poll() is not None
            yield from _read(lines, poll)
            if not ended and time.monotonic() >= self._settled:
                return
            if not ended and time.monotonic() >= self._deadline:
                raise SourceError(f"{self._name} did not end before the timeout")
        for pending in lines.values():
            yield pending.rest()
        if self._process.returncode:
            raise SourceError(f"{self._name} {_told_end(self._process.returncode)}")

    def _heed_signals(self) -> None:
        if self._signals.ending:
            raise CannotJudge(f"ended by {self._signals.ending} before {self._name} came to its end")

    def _stop(self) -> None:
        """End the command and its children: with SIGINT as long as there is hope that it goes orderly, then harder.

        Now and then Celery on Redis hangs after SIGINT, in its own clean-up and with its reply queue already gone. What
        may not be signalled, such as sudo, is left to end by itself.
        """
        for number, patience in ((signal.SIGINT, 1.0), (signal.SIGTERM, 0.5), (signal.SIGKILL, 0.5)):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return
            except PermissionError:
                # Popen would warn of what is still running.
                self._process.returncode = 0
                return
            if self._gone(time.monotonic() + patience):
                return

    def _gone(self, deadline: float) -> bool:
        """Wait for the whole process group to be gone; tell whether it is."""
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        while time.monotonic() < deadline:
            self._process.poll()
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            except PermissionError:
                return False
            poll.poll(20)
            self._signals.drain()
        return False


class _Signals:
    """Notes the signals that would end the plugin, and wakes a poll for these and for the end of a child.

    A signal that was ignored before has no more effect than that, but a child has it at its default again.

    ending: the name of the signal that came to end the plugin, None as long as none did
    """

    _ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.ending: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        with contextlib.ExitStack() as cleanup:
            self.fd, wakeup_fd = _pipe(cleanup, cleanup)
            os.set_blocking(wakeup_fd, False)
            cleanup.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False))
            for number in (*self._ENDING, signal.SIGCHLD):
                self._before[number] = before = signal.signal(number, self._note)
                cleanup.callback(signal.signal, number, signal.SIG_DFL if before is None else before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Let signals do again what they did before."""
        self._cleanup.close()

    def drain(self) -> None:
        """Let a poll sleep again until the next signal."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in self._ENDING and self._before.get(number) is not signal.SIG_IGN:
            self.ending = signal.Signals(number).name


def _pipe(read_end: contextlib.ExitStack, write_end: contextlib.ExitStack) -> tuple[int, int]:
    """Return the ends of a pipe, of which the first does not block; each is closed with its stack."""
    read_fd, write_fd = os.pipe()
    read_end.callback(os.close, read_fd)
    write_end.callback(os.close, write_fd)
    os.set_blocking(read_fd, False)
    return read_fd, write_fd


def _read(lines: dict[int, Lines], poll: select.poll) -> Iterator[str]:
    """Yield what can be read without waiting, of each pipe what it can hold at most; forget those at their end."""
    for fd, pending in list(lines.items()):
        with contextlib.suppress(BlockingIOError):
            for _ in range(_LARGEST_PIPE // CHUNK):
                data = os.read(fd, CHUNK)
                if not data:
                    poll.unregister(fd)
                    del lines[fd]
                    yield pending.rest()
                    break
                yield pending.feed(data)


def _told_end(returncode: int) -> str:
    if returncode > 0:
        return f"ended with exit status {returncode}"
    return f"was ended by signal {-returncode}, {signal.strsignal(-returncode)}"
