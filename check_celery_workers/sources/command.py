"""The command that prints the status text: run, read while it runs, and stopped."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from check_celery_workers.errors import CannotJudge, EndedBadly, SaidNothing, SourceError
from check_celery_workers.node import printable
from check_celery_workers.sources.signals import Signals, pipe
from check_celery_workers.sources.stream import CHUNK, LONGEST_LINE, Lines, Source, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST_PIPE = 1 << 20
_LONGEST_ERROR_LINE = 64 << 10
# How often to see whether the command is gone, in seconds.
_STEP = 0.02
# Ends a process group when its standard input ends, that is, when the plugin does.
_GUARD = 'read -r _; kill -INT -"$1"; sleep 1; kill -KILL -"$1"'


class Command(Source):
    """A command that prints the status text; a context manager that leaves no process of it running.

    It starts with standard input closed and SIGINT at its default: Celery takes its reply queue off the broker at
    SIGINT alone, and whoever started the plugin may have ignored it. PYTHONUNBUFFERED=1 is set, because Celery before 5
    does not flush what it prints into a pipe.
    """

    def __init__(self, argv: Sequence[str], deadline: float, bodies_follow: bool = False) -> None:
        """`deadline` is a time of `time.monotonic`, in seconds; for `bodies_follow` see Source."""
        self.bodies_follow = bodies_follow
        self._argv, self._name = argv, printable(argv[0])
        self._deadline, self._settled = deadline, math.inf
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Command:
        """Start the command. Raises CannotJudge, with its name and the reason, if that is not possible."""
        with contextlib.ExitStack() as cleanup, contextlib.ExitStack() as write_ends:
            try:
                self._signals = cleanup.enter_context(Signals())
                self._stdout, stdout = pipe(cleanup, write_ends)
                self._stderr, stderr = pipe(cleanup, write_ends)
                guard = cleanup.enter_context(contextlib.ExitStack())
                null, env = subprocess.DEVNULL, {**os.environ, "PYTHONUNBUFFERED": "1"}
                self._process = _Group(
                    self._argv, stdin=null, stdout=stdout, stderr=stderr, env=env, start_new_session=True
                )
            except OSError as error:
                name = os.devnull if error.filename == os.devnull and error.errno == errno.ENOENT else self._name
                lacking = _interpreter(self._argv[0]) if error.errno == errno.ENOENT else ""
                why = f"its interpreter {lacking} is not there" if lacking else error.strerror
                raise CannotJudge(f"{name} cannot be started: {why}") from None
            cleanup.callback(self._stop)
            with contextlib.suppress(OSError):
                _start_guard(self._process.pid, guard)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what is left of the command. Raises CannotJudge if a signal came to end the plugin meanwhile."""
        self._cleanup.close()
        self._raise_if_ending()

    def __iter__(self) -> Iterator[str]:
        """Yield text of whole lines, of standard output and standard error, as it comes.

        Raises EndedBadly if its exit status is not 0, SourceError at the deadline, CannotJudge at a signal to end.
        """
        said = False
        for text in self._texts():
            said = said or not (text.isspace() or not text)
            yield text
        if self.was_stopped:
            return
        self._raise_if_failed()
        if not said:
            raise SaidNothing(f"{self._name} said nothing, and Celery always says something")

    def settle(self, seconds: float) -> None:
        """Stop reading this many seconds from now."""
        self._settled = time.monotonic() + seconds

    def _texts(self) -> Iterator[str]:
        """Yield what it prints until it is enough, its output ends or the deadline comes."""
        lines = {self._stdout: Lines(LONGEST_LINE), self._stderr: Lines(_LONGEST_ERROR_LINE, keep_end=True)}
        poll = select.poll()
        for fd in (self._signals.fd, *lines):
            poll.register(fd, select.POLLIN)
        while True:
            poll.poll(until(min(self._deadline, self._settles(lines))))
            self._signals.drain()
            self._raise_if_ending()
            # Asked before the pipes are read, to the end of what it printed.
            self.has_ended = self._process.poll() is not None
            yield from _read(lines, poll)
            if self.has_ended:
                # Who reads may have enough.
                yield ""
            now = time.monotonic()
            if self.has_ended and (not lines or now >= self._settled):
                break
            if now >= self._settles(lines):
                self.was_stopped = True
                return
            if now >= self._deadline:
                self._raise_at_deadline()
        for pending in lines.values():
            yield pending.rest()

    def _settles(self, lines: Mapping[int, Lines]) -> float:
        """Return when to stop reading: not in a line that has begun, since the list of a worker may go on in it."""
        printed = lines.get(self._stdout)
        return math.inf if printed and printed.size else self._settled

    def _raise_at_deadline(self) -> None:
        if not self.has_ended:
            raise SourceError(f"{self._name} did not end before the timeout")
        self._raise_if_failed()
        raise SourceError(f"{self._name} ended, but something that it started did not before the timeout")

    def _raise_if_failed(self) -> None:
        code = self._process.returncode
        if code > 0:
            raise EndedBadly(f"{self._name} ended with exit status {code}")
        if code < 0:
            raise EndedBadly(f"{self._name} was ended by signal {-code}, {signal.strsignal(-code)}")

    def _raise_if_ending(self) -> None:
        if self._signals.ending:
            raise CannotJudge(f"the check was ended by {self._signals.ending} before {self._name} finished")

    def _stop(self) -> None:
        """End the command and its children: first SIGINT, for a clean exit, then harder.

        Now and then Celery on Redis hangs after SIGINT, in its own clean-up and with its reply queue already gone. A
        command that may not be signalled, such as sudo, is left to end by itself.
        """
        for number, patience in ((signal.SIGINT, 1.0), (signal.SIGTERM, 0.5), (signal.SIGKILL, 0.5)):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return
            except PermissionError:
                continue
            if self._gone(patience):
                return
        # Popen would warn of what is still running.
        self._process.returncode = 0

    def _gone(self, patience: float) -> bool:
        """Wait so many seconds for the whole process group to be gone; return whether it is.

        It waits in short steps: while a machine stands still, the command cannot end either.
        """
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        for _ in range(round(patience / _STEP)):
            self._process.poll()
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            except PermissionError:
                return False
            poll.poll(_STEP * 1000)
            self._signals.drain()
        return False


def _interpreter(program: str) -> str:
    """Return what the first line of a script that is there wants it to be run by, "" if it is not there."""
    from shutil import which

    try:
        with open(program if "/" in program else which(program) or program, "rb") as script:  # noqa: PTH123 -- slow
            first = script.readline(1000)
    except OSError:
        return ""
    return (
        printable(first[2:].split()[0].decode("utf-8", "replace")) if first[:2] == b"#!" and first[2:].split() else ""
    )


class _Group(subprocess.Popen[bytes]):
    """A process group, of which nothing is left where it cannot be started."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- those of Popen
        try:
            super().__init__(*args, **options)
        except BaseException:
            # It may run although nobody knows.
            if self.pid:
                with contextlib.suppress(OSError):
                    os.killpg(self.pid, signal.SIGKILL)
            raise


def _start_guard(pid: int, cleanup: contextlib.ExitStack) -> None:
    """Start a process that ends the command's group when the plugin is killed, which closes the pipe between them.

    The parent-death signal of Linux would reach the command alone and not its children.
    """
    lifeline, held_open = os.pipe()
    with contextlib.ExitStack() as failed:
        failed.callback(os.close, held_open)
        try:
            command, null = ("/bin/sh", "-c", _GUARD, "sh", str(pid)), subprocess.DEVNULL
            guard = _Group(command, stdin=lifeline, stdout=null, stderr=null, start_new_session=True)
        finally:
            os.close(lifeline)
        failed.pop_all()
    # Where it cannot be killed, it ends with the pipe.
    for end in (guard.wait, partial(os.close, held_open), guard.kill):
        cleanup.callback(end)


def _read(lines: dict[int, Lines], poll: select.poll) -> Iterator[str]:
    """Yield what can be read without waiting, at most a pipe full of each; forget the pipes that have ended."""
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
                pending.check()
