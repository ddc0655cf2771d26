"""The workers, asked over the broker: all questions at once, over one connection."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from threading import Lock

from check_celery_workers.errors import SourceError, Unreachable
from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.replies.answers import Answers
from check_celery_workers.replies.inquiry import Look, Text, sum_of
from check_celery_workers.replies.item import Queue
from check_celery_workers.replies.output import Output
from check_celery_workers.replies.question import ACTIVE, LENGTHS, RESERVED, STATS, Question
from check_celery_workers.sources.aside import Aside
from check_celery_workers.sources.broker.address import Address
from check_celery_workers.sources.broker.connection import SLICE, Connection, NobodyListensError
from check_celery_workers.sources.progress import Progress
from check_celery_workers.sources.watching import PATIENCE

# Where nobody is expected by name, it is over so many seconds after the last reply.
_QUIET = 3.0
# For how many seconds at least to wait for a later question: its replies come right behind those to the first.
_LATER = 2.0
# After how many seconds whoever lacks is asked again: on Redis a worker of Celery 3.1 reads one of the messages that
# come at once, and the others when the next one comes.
_AGAIN = 0.5
# How many seconds a message to oneself may take, and how many it may take to leave nothing behind.
_ECHO = 5.0
_CLOSING = 2.0
# How many seconds an answer that has come may take to be added.
_SHARE = 0.5
# How many seconds after a failure it is tried again, where there are attempts left: a broker that starts needs time.
_PAUSE = 1.0


class Broker:
    """Asks over the broker: what a Reader needs to ask. A context manager that leaves nothing on the broker."""

    def __init__(
        self, address: Address, questions: Sequence[Question], inventory: Inventory, progress: Progress | None = None
    ) -> None:
        """Ask these questions for an inventory, an empty one to see who is there; `progress` notes what comes.

        Raises CannotJudge if the address or kombu does not serve.
        """
        self._address, self._inventory, self._progress = address, inventory, progress
        self._questions = [question for question in questions if question is not LENGTHS]
        self._connection = Connection(address, self._take)
        self._is_open = False
        self._failed = -math.inf  # when, a time of `time.monotonic` in seconds
        self._aside = Aside("the workers had replied")
        # Held while answers are added, and by who takes them when the connection hangs.
        self._lock = Lock()
        self._answers: dict[Question, Answers] = {}
        self._tickets: dict[str, tuple[Answers, set[str]]] = {}
        self._queues: set[Queue] = set()
        self._present: set[str] = set()  # who has answered to the first question
        self._lacks = False  # whether somebody who is awaited has not answered
        self._end = self._patience = self._deadline = 0.0

    def until(self, deadline: float, patience: float) -> Broker:
        """Wait so many seconds for those that do not reply; a time of `time.monotonic` is the end of everything."""
        self._deadline, self._patience = deadline, patience
        return self

    def __enter__(self) -> Broker:
        self._aside.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the reply queue off the broker, unless the connection hangs."""
        if not self._aside.is_stuck:
            awaited = self._aside.is_ending or self._lacks or bool(self._answers)
            close = partial(self._connection.close, awaited)
            self._aside.do(close, time.monotonic() + _CLOSING, cleaning=True)
        self._aside.__exit__()

    def ask(self, question: Question | None, awaited: Awaited | None, settle: float | None) -> Text:
        """Return the answers to the question; for `awaited` and `settle` see Reader. Raises CannotJudge."""
        if question is LENGTHS or question is None:
            lengths: dict[str, int | None] = {}
            failure = self._do(lambda: self._connection.measure(self._queues_to_measure(), lengths))
            return self._text([Output.of_lengths(lengths)], failure)
        failure = self._gather(question, awaited, settle) or self._check(question, awaited)
        if isinstance(failure, NobodyListensError):
            return self._text([Output(Output.NOBODY)], None, str(failure))
        # Who adds an answer that is too large holds it past the deadline.
        if not self._lock.acquire(timeout=max(_SHARE, self._deadline - time.monotonic())):
            return self._text([], failure)
        answers = self._answers.pop(question, None)
        if answers and question is self._questions[0]:
            self._present |= answers.nodes
        # What comes later comes too late.
        self._tickets = {ticket: one for ticket, one in self._tickets.items() if one[0] is not answers}
        self._lock.release()
        if not answers or (failure and not answers.nodes):
            return self._text([], failure)
        output = answers.output()
        self._queues.update(item for item in output.items() if isinstance(item, Queue))
        return self._text([output], failure)

    def look_at(self, suspects: Mapping[str, Collection[str]], at: float) -> tuple[Look, SourceError | None]:
        """Return what these workers, and the queues of each, show at that time, and what went wrong.

        Raises CannotJudge if a signal came to end the plugin.
        """
        answers = [Answers(question) for question in (ACTIVE, RESERVED, STATS)]
        lengths: dict[str, int | None] = {}

        def seek() -> None:
            self._wait_until(at)
            for own in answers:
                self._put(own, sorted(suspects))
            self._connection.measure({queue for queues in suspects.values() for queue in queues}, lengths)
            again = time.monotonic() + _AGAIN
            end = min(time.monotonic() + PATIENCE, self._deadline - 2 * SLICE)
            while not self._aside.is_ending and (lacking := [own for own in answers if suspects.keys() - own.nodes]):
                now = time.monotonic()
                if now >= end:
                    break
                if now >= again:
                    self._put(lacking[-1], sorted(suspects.keys() - lacking[-1].nodes))
                    again = math.inf
                self._connection.listen(min(SLICE, end - now))

        failure = self._do(seek)
        is_late = time.monotonic() >= self._deadline - 2 * SLICE
        if is_late and not failure and any(suspects.keys() - own.nodes for own in answers):
            # Who lacks was not silent: there was no time for an answer.
            failure = SourceError("the timeout came during the look")
        self._tickets = {ticket: one for ticket, one in self._tickets.items() if one[0] not in answers}
        # Where the connection hangs, answers may still be added.
        outputs = [] if failure else [*(own.output() for own in answers), Output.of_lengths(lengths)]
        return Look(time.monotonic(), sum_of(output.replies for output in outputs)), failure

    def _text(self, outputs: Sequence[Output], failure: SourceError | None, hint: str = "") -> Text:
        text = Text(outputs, failure, (), is_blank=False)
        text.origin, text.hint = self._connection.description, hint
        return text

    def _do(self, work: Callable[[], None], end: float = math.inf) -> SourceError | None:
        """Do what needs the connection, which may take until `end`; return what went wrong. Raises CannotJudge."""

        def opened() -> None:
            self._wait_until(min(self._failed + _PAUSE, self._deadline))
            if not self._is_open:
                self._connection.open()
                self._is_open = True
            work()

        try:
            if not self._aside.is_stuck and self._aside.do(opened, min(end, self._deadline)):
                return None
        except SourceError as error:
            self._failed = time.monotonic()
            if not isinstance(error, NobodyListensError):
                self._leave()
            return error
        if end < self._deadline:
            self._begin_anew()
            return self._connection.deaf()
        hint = "" if self._is_open or not self._address.is_encrypted else " (is TLS spoken there?)"
        return Unreachable(f"the broker {self._address.shown} did not answer before the timeout{hint}")

    def _leave(self) -> None:
        """Close a connection that has failed, which may hang: another attempt begins anew."""
        self._is_open = False
        if not self._aside.do(self._connection.close, time.monotonic() + _CLOSING, cleaning=True):
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Leave alone what hangs."""
        self._is_open, self._failed = False, time.monotonic()
        self._aside.begin()
        self._connection = Connection(self._address, self._take)

    def _wait_until(self, moment: float) -> None:
        while not self._aside.is_ending and (left := moment - time.monotonic()) > 0:
            time.sleep(min(SLICE, left))

    def _gather(self, question: Question, awaited: Awaited | None, settle: float | None) -> SourceError | None:
        """Ask, and ask once more whoever lacks when half of the time is over; return what went wrong.

        On Redis a question is lost to a worker that is just connecting anew.
        """
        collect = partial(self._collect, question, awaited, settle)
        failure = self._do(partial(collect, self._patience / 2))
        now = time.monotonic()
        is_over = self._is_later(question) or now >= min(self._end, self._deadline)
        if failure or is_over or not self._awaits_more(question, awaited):
            return failure
        # It hangs where the broker does.
        return self._do(partial(self._put, self._answers[question]), now + _ECHO) or self._do(collect)

    def _is_later(self, question: Question) -> bool:
        """Whether only those are awaited who have answered to another question."""
        return question.kind is not None and question is not self._questions[0]

    def _awaits_more(self, question: Question, awaited: Awaited | None) -> bool:
        """Whether somebody has not answered to this question who should."""
        return bool(awaited.missing if awaited else not self._answers[question].nodes)

    def _collect(self, question: Question, awaited: Awaited | None, settle: float | None, earlier: float = 0.0) -> None:
        """Ask, unless that is done already, and wait until it is enough, or until so many seconds before its end.

        Raises SourceError.
        """
        if question not in self._answers:
            self._publish(question)
        answers, connection = self._answers[question], self._connection
        answers.tell(awaited)
        is_later = self._is_later(question)
        # Who answers to a later question is known: nobody else is awaited.
        settle = 0.0 if is_later else settle
        # Who has answered to the first question in the last moment answers to the others right behind that.
        end = min(max(self._end, time.monotonic() + _LATER) if is_later else self._end - earlier, self._deadline)
        again = time.monotonic() + _AGAIN if is_later else math.inf
        while not self._aside.is_ending:
            left = min(end, self._enough(answers, awaited, settle)) - time.monotonic()
            if left <= 0:
                break
            if time.monotonic() >= again and (lacking := self._present - answers.nodes):
                self._put(answers, sorted(lacking))
                again = math.inf
            connection.listen(min(SLICE, left))

    def _check(self, question: Question, awaited: Awaited | None) -> SourceError | None:
        """Return why replies may be lacking, if any are, for another reason than that nobody has sent them."""
        if not self._awaits_more(question, awaited):
            return self._connection.problem
        self._lacks = True
        seconds = min(_ECHO, max(0.0, self._deadline - time.monotonic()))
        return self._do(lambda: self._connection.check(seconds), time.monotonic() + seconds + SLICE)

    def _publish(self, question: Question) -> None:
        """Ask the question, and with the first all others: their replies come while those to the first are awaited."""
        for asked in self._questions if question is self._questions[0] else (question,):
            self._put(self._answers.setdefault(asked, Answers(asked)))
        self._end = time.monotonic() + self._patience

    def _put(self, answers: Answers, nodes: Sequence[str] | None = None) -> None:
        """Ask the question of these answers these workers, None: all."""
        self._tickets[self._connection.ask(answers.question, nodes)] = answers, set()

    def _enough(self, answers: Answers, awaited: Awaited | None, settle: float | None) -> float:
        """Return when it is enough, a time of `time.monotonic` in seconds, if nobody else replies until then."""
        if settle is None or (awaited and awaited.missing) or not answers.nodes:
            return math.inf
        is_named = self._inventory.names_workers or self._inventory.beats
        return answers.heard + (settle if is_named or answers.question is not self._questions[0] else _QUIET)

    def _take(self, ticket: str, body: object) -> None:
        answers, seen = self._tickets.get(ticket, (None, None))
        if not answers:
            return
        with self._lock:
            text = answers.add(body, seen)
        if self._progress:
            self._progress.note(text)
        if self._progress and self._answers.get(answers.question) is answers:
            self._progress.count(*answers.progress)

    def _queues_to_measure(self) -> list[str]:
        """Return the queues of which an option wants the length, those it names first, by the broker's names."""
        inventory = self._inventory
        every = "" in inventory.backlogs or inventory.stall_limit
        named = {*inventory.backlogs, *(inventory.queues if every else ())} - {""}
        own_names: dict[str, set[str]] = {}
        for queue in self._queues:
            own_names.setdefault(queue.known_as, set()).add(str(queue))
        measured = [own for name in sorted(named) for own in own_names.get(name, {name})]
        return [*dict.fromkeys((*measured, *(map(str, self._queues) if every else ())))]
