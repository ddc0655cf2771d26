"""What cannot be judged: exceptions that end the check as UNKNOWN, and doubts that may."""

from __future__ import annotations


class CannotJudge(Exception):  # noqa: N818 -- it is no error of the plugin's
    """The state of the workers cannot be known; the message says why, in one line."""


class UsageError(CannotJudge):
    """An argument, or a line of a file, is wrong; the message says which and how to write it right."""


class SourceError(CannotJudge):
    """The text ended prematurely; what was read may still be enough."""


class EndedBadly(SourceError):  # noqa: N818 -- likewise
    """A command ended with another exit status than 0, or was ended by a signal."""


class Doubt:
    """A reason why the text may not let it judge.

    when: ALWAYS, if something is missing (IF_MISSING), or if nothing is (IF_COMPLETE)
    problem, reason: what is wrong with the text, and the line of it that says why, or ""
    counts: whether it makes a difference who has replied and who has not
    silent: the nodes that had not answered to a second question
    """

    ALWAYS, IF_MISSING, IF_COMPLETE = range(3)

    def __init__(self, when: int, problem: str, reason: str = "", counts: bool = True) -> None:
        self.when = when
        self.problem = problem
        self.reason = reason
        self.counts = counts
        self.silent: set[str] = set()
