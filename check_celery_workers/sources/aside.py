"""Work that may hang, done aside by a thread, so that the deadline and signals are heeded whatever a library does."""

from __future__ import annotations

import _thread
import contextlib
import os
import select
from collections.abc import Callable
from queue import SimpleQueue

from check_celery_workers.errors import CannotJudge
from check_celery_workers.sources.signals import Signals, pipe
from check_celery_workers.sources.stream import until


class Aside:
    """Does one piece of work after the other, all in one thread. A context manager, to be used in the main thread."""

    def __init__(self, name: str) -> None:
        """`name` says what is going on, for the message if a signal ends it."""
        self._name = name
        self._error: BaseException | None = None
        self.is_stuck = False  # whether a piece of work did not end in its time: nothing more can be done

    def __enter__(self) -> Aside:
        with contextlib.ExitStack() as cleanup:
            self._signals = cleanup.enter_context(Signals())
            self._cleanup = cleanup.pop_all()
        self.begin()
        return self

    def begin(self) -> None:
        """Begin to work, anew where a piece of work hangs: that is left alone."""
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        with contextlib.ExitStack() as cleanup:
            self._done, note_done = pipe(cleanup, cleanup)
            self._pipe = cleanup.pop_all()
        self.is_stuck = False
        # A thread that hangs does not keep the process from ending. Nobody waits until it has begun, as threading does
        # for ever where memory is lacking.
        try:
            _thread.start_new_thread(self._run, (self._work, note_done))
        except RuntimeError:
            raise CannotJudge("no thread can be started: not enough memory, or too many processes") from None

    def __exit__(self, *_: object) -> None:
        """Let signals do again what they did before. A pipe that the thread may still write to stays open."""
        if not self.is_stuck:
            self._pipe.close()
            self._cleanup.close()

    @property
    def is_ending(self) -> bool:
        """Whether a signal came to end the plugin."""
        return bool(self._signals.ending)

    def do(self, work: Callable[[], None], deadline: float, cleaning: bool = False) -> bool:
        """Do this until the deadline, a time of `time.monotonic` in seconds; return whether it ended in time.

        Raises what it raises; and CannotJudge if a signal came to end the plugin, unless this is the cleaning up.
        """
        self._error = None
        self._work.put(work)
        poll = select.poll()
        for fd in (self._signals.fd, self._done):
            poll.register(fd, select.POLLIN)
        ended: list[int] = []
        while self._done not in ended and (cleaning or not self.is_ending):
            ended = [fd for fd, _ in poll.poll(until(deadline))]
            if not ended:
                self.is_stuck = True
                return False
            self._signals.drain()
        if self.is_ending and not cleaning:
            self._wait_a_moment(poll, ended)
            raise CannotJudge(f"the check was ended by {self._signals.ending} before {self._name}")
        os.read(self._done, 1)
        if self._error:
            raise self._error
        return True

    def _wait_a_moment(self, poll: select.poll, ended: list[int]) -> None:
        """Give the work that sees `is_ending` a second to end; a machine that stands still uses up little of it."""
        poll.unregister(self._signals.fd)
        if self._done in ended or any(poll.poll(50) for _ in range(20)):
            os.read(self._done, 1)
        else:
            self.is_stuck = True

    def _run(self, works: SimpleQueue[Callable[[], None]], note_done: int) -> None:
        while True:
            work = works.get()
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- raised in the main thread
                # Nobody waits for what was left alone.
                if works is self._work:
                    self._error = error
            # Once more where that fails: nobody else can say that it is done.
            for _ in range(2):
                with contextlib.suppress(OSError):
                    os.write(note_done, b".")
                    break
