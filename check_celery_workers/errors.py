"""What ends a check early, always as UNKNOWN."""

from __future__ import annotations


class HelpAsked(Exception):  # noqa: N818 -- it is no error
    """The help or the version was asked for; the message is what to print."""


class CannotJudge(Exception):  # noqa: N818 -- it is no error of the plugin's
    """The state of the workers cannot be known; the message says why, in one line."""


class UsageError(CannotJudge):
    """An argument or a line of a file is wrong, or a package is lacking; the message says how to put it right."""


class SourceError(CannotJudge):
    """The text ended prematurely; what was read may still be enough."""


class EndedBadly(SourceError):  # noqa: N818 -- likewise
    """A command ended with another exit status than 0, or was ended by a signal."""


class SaidNothing(SourceError):  # noqa: N818 -- likewise
    """A command ended well, and without a word: Celery always says something."""


class Unreachable(SourceError):  # noqa: N818 -- likewise
    """The broker could not be asked: that nobody answered says nothing of the workers."""
