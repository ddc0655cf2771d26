"""Text in, replies out: read until it is enough, and say what is doubtful about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from check_celery_workers.errors import Doubt, EndedBadly, SourceError
from check_celery_workers.replies.body import Replies
from check_celery_workers.replies.text import Status
from check_celery_workers.sources.awaited import AwaitedInventory, AwaitedNodes
from check_celery_workers.sources.stream import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    Awaited = Union[AwaitedInventory, AwaitedNodes]
    # Opens the source of the text that answers a question; None is whatever the source asks by itself.
    Open = Callable[[Union[str, None]], Source]

# How long a body may take after its node where nobody knows whether there will be one.
_GRACE = 0.1
_NOT_WHOLE = "the status text is not whole"


class Reader:
    """Reads one text for each question, several times over if need be, until every awaited worker has replied.

    replies: who replied, all times together
    unanswered: node names that replied to the first question and not to the second
    empty: there was no text at all
    passed_over: the line that says best what went wrong, among those that no output consists of, "" for none
    """

    def __init__(  # noqa: PLR0913
        self,
        open_source: Open,
        deadline: float,
        *,
        questions: Sequence[str | None] = (None,),
        settle: float | None = None,
        attempts: int = 1,
        watch: Callable[[str, int, int], None] | None = None,
    ) -> None:
        """Read what `open_source` gives, up to `attempts` times while workers are missing or it fails.

        deadline: a time of `time.monotonic`, in seconds, after which it is not read another time
        questions: one text is read for each
        settle: seconds to read on once every awaited worker has replied; None: to the end of the text
        watch: is called with each text as it comes, how many have replied by then and how many are expected
        """
        self.replies = Replies()
        self.unanswered: set[str] = set()
        self.empty = True
        self.passed_over = ""
        self._open = open_source
        self._deadline = deadline
        self._questions = questions
        self._settle = settle
        self._attempts = attempts
        self._watch = watch

    def read(self, awaited: AwaitedInventory | None) -> Doubt | None:
        """Read; `awaited` are the workers after which the text is enough, None: everybody.

        The second question waits for those alone that answered the first, and brings nobody new: no settling.
        Raises CannotJudge if the text cannot be read.
        """
        first, *more = self._questions
        doubt = self._read_attempts(first, self.replies, awaited, self._settle)
        for question in more:
            if _ends(doubt, awaited) or not self.replies.count:
                break
            answers = Replies()
            nodes = AwaitedNodes(self.replies.nodes())
            settle = None if self._settle is None else 0.0
            second = self._read_attempts(question, answers, nodes, settle)
            self.replies.add(answers)
            if second and _ends(second, nodes):
                second.when = Doubt.ALWAYS
                second.silent = nodes.nodes
                return second
            self.unanswered |= nodes.nodes
        return doubt

    def _read_attempts(
        self, question: str | None, replies: Replies, awaited: Awaited | None, settle: float | None
    ) -> Doubt | None:
        doubts: list[Doubt | None] = []
        while len(doubts) < self._attempts and (not doubts or time.monotonic() < self._deadline):
            doubt = self._read_once(question, replies, awaited, settle)
            doubts.append(doubt)
            if awaited and not awaited.missing and not (doubt and doubt.when == Doubt.ALWAYS):
                return doubt
        # A text that ended as it should shows who is missing, whatever went wrong before or after it.
        return doubts[-1] if all(doubts) else None

    def _read_once(
        self, question: str | None, replies: Replies, awaited: Awaited | None, settle: float | None
    ) -> Doubt | None:
        status = Status(replies, question, awaited.notice if awaited else None)
        source = self._open(question)
        error = None
        seen = None
        try:
            with source:
                for text in source:
                    status.feed(text)
                    if self._watch:
                        self._watch(text, replies.count, awaited.expected if awaited else 0)
                    # A reply has arrived when the lines below it have.
                    if settle is None or not awaited or awaited.missing or (status.bare and source.bodies_follow):
                        continue
                    if seen != (replies.count, status.bare):
                        seen = (replies.count, status.bare)
                        source.settle(max(settle, _GRACE) if status.bare else settle)
        except SourceError as exception:
            error = exception
        status.finish(whole=source.ends_by_itself and error is None)
        self.empty = self.empty and status.empty
        self.passed_over = status.reason or self.passed_over
        return doubt_of(status, error)


def _ends(doubt: Doubt | None, awaited: Awaited | None) -> bool:
    """Return whether the doubt leaves no verdict, whatever else may be asked."""
    if doubt is None or doubt.when == Doubt.IF_COMPLETE:
        return False
    return doubt.when == Doubt.ALWAYS or awaited is None or awaited.missing > 0


def doubt_of(status: Status, error: SourceError | None) -> Doubt | None:
    """Return what is doubtful about a text, the worst first."""
    if status.failed:
        outputs = f"one of {status.outputs} outputs" if status.outputs > 1 else "the output"
        return Doubt(Doubt.ALWAYS, str(error) if error else f"{outputs} failed", status.reason)
    # That nobody replied ends with exit status 69 too, and is no failure.
    if error and not (isinstance(error, EndedBadly) and (status.nobody or status.silent_outputs)):
        return Doubt(Doubt.IF_MISSING, str(error), status.reason)
    if not (status.replied or status.nobody or status.empty):
        nothing = Doubt(Doubt.ALWAYS, "no worker's answer in the status text", status.reason, counts=False)
        return Doubt(Doubt.ALWAYS, f"{_NOT_WHOLE}: {status.cut}") if status.cut else nothing
    if status.cut:
        return Doubt(Doubt.ALWAYS if status.hides else Doubt.IF_MISSING, f"{_NOT_WHOLE}: {status.cut}")
    if status.silent_outputs:
        silent = "one" if status.silent_outputs == 1 else str(status.silent_outputs)
        return Doubt(Doubt.IF_COMPLETE, f"{silent} of {status.outputs} outputs: no nodes replied", counts=False)
    return None
