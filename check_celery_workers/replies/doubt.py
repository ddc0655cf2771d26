"""What the outputs leave open, and so whether they let us judge.

A doubt is about who is there, or about one question: it belongs to what it makes doubtful. Whoever reads asks here
whether to read on, and the judgement asks here for the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from check_celery_workers.errors import EndedBadly, SaidNothing, Unreachable
from check_celery_workers.replies.inquiry import Inquiry, Text
from check_celery_workers.replies.output import Output
from check_celery_workers.replies.question import LENGTHS, PING, RESERVED, Question


class Doubt:
    """Why something cannot be known.

    problem, reason: what is wrong with a text, and the line of it that says why, or ""; no problem: nobody was asked
    counts: whether it makes a difference who has replied and who has not
    question, silent: what it is about, None for who is there; the nodes that did not answer that
    """

    def __init__(self, problem: str = "", reason: str = "", counts: bool = True) -> None:
        self.problem, self.reason, self.counts = problem, reason, counts
        self.question: Question | None = None
        self.silent: Collection[str] = ()

    def about(self, question: Question, silent: Collection[str]) -> Doubt:
        """Return it as a doubt about the answers to this question, which these nodes did not give."""
        self.question, self.silent = question, silent
        return self


def doubt_about(texts: Sequence[Text], lacking: bool) -> Doubt | None:
    """Return what is doubtful about the texts of one question, one for each attempt; None if they can be judged.

    lacking: something that is expected is missing
    A text that came to its end shows what is missing, whatever went wrong before or after it.
    """
    doubts = [_doubt_of_one(text, lacking) for text in texts]
    return doubts[-1] if all(doubts) else None


def later_answers(inquiry: Inquiry) -> Iterator[tuple[Question, set[str], Doubt | None]]:
    """Yield each later question, the nodes that replied to the first one and not to it, and what is doubtful there."""
    for question, asked in [(asked.question, asked) for asked in inquiry.asked[1:] if asked.question]:
        if not question.kind:
            continue
        silent = inquiry.asked[0].replies.nodes() - asked.replies.nodes()
        doubt = doubt_about(asked.texts, bool(silent))
        yield question, silent, doubt and doubt.about(question, silent)


def doubt_about_beats(inquiry: Inquiry, missing: Collection[str]) -> Doubt | None:
    """Return why nobody can know which schedulers are there; None if that is known, or as doubtful as the workers are.

    missing: those expected that have not answered
    """
    shown = [asked for asked in inquiry.asked if asked.shows_beats]
    if not shown:
        return Doubt(counts=False).about(PING, ())
    doubt = doubt_about(shown[-1].texts, bool(missing)) if shown[-1] is not inquiry.asked[0] else None
    return doubt and doubt.about(PING, missing)


def doubt_about_lengths(inquiry: Inquiry) -> Doubt | None:
    """Return why nobody can know how many messages wait, where the broker was asked for it and does not say."""
    failures = (asked.texts[-1].failure for asked in inquiry.asked if asked.question is LENGTHS)
    failure = next(failures, None)
    return Doubt(str(failure), counts=False).about(LENGTHS, ()) if failure else None


def doubt_about_watch(inquiry: Inquiry, watched: Collection[str]) -> Doubt | None:
    """Return why nobody can know whether the workers that were watched start tasks: looking at them failed."""
    failure = inquiry.watch_failure if watched else None
    return Doubt(str(failure)).about(RESERVED, watched) if failure else None


def _doubt_of_one(text: Text, lacking: bool) -> Doubt | None:
    finds = (find for find, if_complete, if_lacking in _TABLE if (if_lacking if lacking else if_complete))
    return next(filter(None, (find(text) for find in finds)), None)


def _failed(text: Text) -> Doubt | None:
    """One failed."""
    outputs = _asked(text)
    if not any(output.end == Output.FAILED for output in outputs):
        return None
    which = f"one of {len(outputs)} outputs" if len(outputs) > 1 else "the output"
    return Doubt(str(text.failure) if text.failure else f"{which} failed", text.reason)


def _failed_last(text: Text) -> Doubt | None:
    """One failed, and none with replies follows: where one does, that may have been another try."""
    outputs = _asked(text)
    replied = next((place for place in reversed(range(len(outputs))) if _replied(outputs[place])), -1)
    return _failed(text) if any(output.end == Output.FAILED for output in outputs[replied + 1 :]) else None


def _replied(output: Output) -> bool:
    return bool(output) and output.end != Output.FAILED


def _asked(text: Text) -> list[Output]:
    """Return the outputs, without those that only warn of a duplicate."""
    return [output for output in text.outputs if output or output.end in (Output.FAILED, Output.NOBODY)]


def _mute(text: Text) -> Doubt | None:
    """COMMAND said nothing at all."""
    return Doubt(str(text.failure), counts=False) if isinstance(text.failure, SaidNothing) else None


def _ended_badly(text: Text) -> Doubt | None:
    """COMMAND ended with another status than 0, or the deadline came. Status 69 is no failure if nobody replied."""
    nobody = any(output.end == Output.NOBODY for output in text.outputs)
    if text.failure and not (isinstance(text.failure, EndedBadly) and nobody):
        counts = any(text.outputs) or not isinstance(text.failure, Unreachable)
        return Doubt(str(text.failure), text.reason, counts)
    return None


def _hides(text: Text) -> Doubt | None:
    """A part is missing that may say what is wrong with a worker that replied."""
    return _cut(text) if any(output.hides for output in text.outputs) else None


def _cut(text: Text) -> Doubt | None:
    """A part is missing."""
    problem = next((output.problem for output in text.outputs if output.end == Output.CUT), None)
    return Doubt(f"Celery's output is cut: {problem}") if problem else None


def _says_nothing(text: Text) -> Doubt | None:
    """There is no reply, and no output says that nobody replied: something else is said."""
    if text.is_blank or any(text.outputs) or any(output.end == Output.NOBODY for output in text.outputs):
        return None
    return Doubt("no reply in Celery's output", text.reason, counts=False)


def _nobody_later(text: Text) -> Doubt | None:
    """Nobody replied to one output, after others did to another."""
    outputs = _asked(text)
    first = next((place for place, output in enumerate(outputs) if _replied(output)), len(outputs))
    silent = sum(output.end == Output.NOBODY for output in outputs[first:])
    if not silent:
        return None
    return Doubt(f"{'one' if silent == 1 else silent} of {len(outputs)} outputs: no nodes replied", counts=False)


# What is found in a text; whether it is in doubt then if everything expected has answered, and if something is missing.
_TABLE = (
    (_mute, True, True),
    (_failed_last, True, True),
    (_failed, False, True),
    (_ended_badly, False, True),
    (_hides, True, True),
    (_cut, False, True),
    (_says_nothing, True, True),
    (_nobody_later, True, False),
)
