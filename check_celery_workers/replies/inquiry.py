"""All of a check: texts, the questions that they answer, looks, and the inquiry that is all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from check_celery_workers.errors import SourceError
from check_celery_workers.replies.output import Output, Replies
from check_celery_workers.replies.question import PING, Question


class Text:
    """The outputs of one text, in order.

    failure: how the source of the text failed, None if the text ended by itself
    others: the lines that no output consists of; is_blank: nothing was said at all
    """

    def __init__(
        self, outputs: Sequence[Output], failure: SourceError | None, others: Sequence[str], is_blank: bool
    ) -> None:
        self.outputs, self.failure, self.others, self.is_blank = outputs, failure, others, is_blank
        # Over the broker: how it was asked, and what may explain that nobody answered.
        self.origin = self.hint = ""
        self.is_recoded = False  # whether not all of it was UTF-8, so that names may be others than they look

    @property
    def has_failed(self) -> bool:
        """Whether its source, or an output of it, failed."""
        return bool(self.failure) or any(output.end == Output.FAILED for output in self.outputs)

    @property
    def reason(self) -> str:
        """The line that says best what went wrong, among those that no output consists of, or ""."""
        from check_celery_workers.replies import failure

        return failure.reason(self.others, any(self.outputs)) if self.others else ""


class Asked:
    """A question, None where the texts alone say what it is, and the texts that came: one for each attempt."""

    def __init__(self, question: Question | None, texts: Sequence[Text]) -> None:
        self.question, self.texts = question, texts
        self.replies = sum_of(output.replies for text in texts for output in text.outputs)

    @property
    def shows_beats(self) -> bool:
        """Whether a scheduler would have answered: `ping` or `status` was asked."""
        if self.question:
            return self.question is PING
        shown = {output.question for text in self.texts for output in text.outputs if output}
        return not shown or not shown.isdisjoint({None, PING})


class Look:
    """What some workers and queues showed at about the same time.

    when: a time of `time.monotonic`, in seconds
    replies: to `active`, `reserved` and `stats`, and the lengths of the queues
    """

    def __init__(self, when: float, replies: Replies) -> None:
        self.when, self.replies = when, replies


class Inquiry:
    """All that was asked in a check, in order: first who is there, then those who replied to that; and all replies.

    pinged: who replied when, after the workers were asked, only schedulers were meant; not in `replies`
    looks: what the workers under suspicion showed, look by look; the first is what everybody has replied
    watch_failure: why the watch ended too early, None if it did not
    changes: when each file of a release was last changed, a Unix time in seconds, or why nobody can know
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies = self.pinged = Replies()
        self.looks: list[Look] = []
        self.watch_failure: SourceError | None = None
        self.changes: dict[str, float | str] = {}

    def add(self, question: Question | None, texts: Sequence[Text]) -> None:
        """Add the texts that came when this was asked."""
        asked = Asked(question, texts)
        if self.asked and question is PING:
            self.pinged = asked.replies
        self.asked.append(asked)
        self.replies = sum_of(one.replies for one in self.asked if one.replies is not self.pinged)

    @property
    def texts(self) -> list[Text]:
        """The texts of all questions."""
        return [text for asked in self.asked for text in asked.texts]

    @property
    def is_blank(self) -> bool:
        """Whether nothing was said at all."""
        return all(text.is_blank for text in self.texts)

    @property
    def origin(self) -> str:
        """How the workers were asked over the broker, or ""."""
        return next((text.origin for text in reversed(self.texts)), "")

    @property
    def hints(self) -> list[str]:
        """What may explain that nobody answered."""
        return [*dict.fromkeys(text.hint for text in self.texts if text.hint)]

    @property
    def passed_over(self) -> str:
        """The last line that speaks of a failure and makes no difference, or ""."""
        return next(filter(None, (text.reason for text in reversed(self.texts))), "")


def sum_of(parts: Iterable[Replies]) -> Replies:
    """Return all replies together: of one part that has any, which is the rule, itself and not a copy."""
    parts = [part for part in parts if part.count or part.duplicates or part.lengths]
    if len(parts) == 1:
        return parts[0]
    total = Replies()
    for part in parts:
        total.add(part)
    return total
