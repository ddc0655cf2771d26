"""What cannot be judged: exceptions that end the check as UNKNOWN."""

from __future__ import annotations


class CannotJudge(Exception):  # noqa: N818 -- it is no error of the plugin's
    """The state of the workers cannot be known; the message says why, in one line."""


class UsageError(CannotJudge):
    """An argument, or a line of a file, is wrong; the message says which and how to write it right."""


class SourceError(CannotJudge):
    """The text ended prematurely; what was read may still be enough."""


class EndedBadly(SourceError):  # noqa: N818 -- likewise
    """A command ended with another exit status than 0, or was ended by a signal."""
