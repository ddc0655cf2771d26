"""The signals that would end the plugin, noted until what it has begun is ended cleanly."""

from __future__ import annotations

import contextlib
import os
import signal


class Signals:
    """Notes the signals that would end the plugin, and wakes a poll for these and for the end of a child.

    A signal that was ignored stays ignored here, but children get the default handler.
    """

    _ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.ending: str | None = None  # the name of the signal that came to end the plugin
        self._before: dict[int, object] = {}

    def __enter__(self) -> Signals:
        with contextlib.ExitStack() as cleanup:
            self.fd, wakeup_fd = pipe(cleanup, cleanup)
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

    def _note(self, number: int, *_: object) -> None:
        if number in self._ENDING and self._before.get(number) is not signal.SIG_IGN:
            self.ending = signal.Signals(number).name


def pipe(read_end: contextlib.ExitStack, write_end: contextlib.ExitStack) -> tuple[int, int]:
    """Return the two ends of a pipe; the first does not block, and each is closed with its stack."""
    read_fd, write_fd = os.pipe()
    read_end.callback(os.close, read_fd)
    write_end.callback(os.close, write_fd)
    os.set_blocking(read_fd, False)
    return read_fd, write_fd
