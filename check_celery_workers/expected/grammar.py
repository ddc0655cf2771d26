"""The grammar of EXPECTED: from a text to what it asks for, or to what is wrong with it.

    NAME-COUNT@SERVER          worker-4@serverA        four workers, numbered without gaps from 0 or from 1
    NAME-FIRST..LAST@SERVER    worker-3..7@serverA     worker-3@serverA to worker-7@serverA
    NAME@SERVER                celery@web1             the one worker of exactly that name
    PATTERN=N                  celery@web-*=4          four workers whose node name matches the shell pattern
    PATTERN=MIN..MAX           celery@web-*=2..8       two to eight of them
    PATTERN=MIN..              celery@web-*=2..        two or more
    queue NAME=N, ...          queue emails=2..        how many workers consume from a queue; in files, as
    beat NODE, ...             beat celerybeat@app1    backlogs, stall limits and releases are (see `limits`)

Braces stand for several of these, as in a shell: `celery@web{01..20}`, `worker-4@{app,db}`. An index that comes from
braces is exact: `worker-{1..4}@a` is the four workers of these names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from sys import intern

from check_celery_workers.expected.limits import (
    LIMIT,
    MOST,
    Expected,
    Limit,
    parse_backlog_line,
    parse_beat,
    parse_pattern,
    parse_queue,
    parse_release,
    parse_stall_limit,
)
from check_celery_workers.expected.mistakes import (
    FORMS,
    WrongError,
    explain_foreign,
    explain_typos,
    explain_white_space,
    is_implausible,
)
from check_celery_workers.node import BEAT, UNNUMBERED, Group, printable
from check_celery_workers.pattern import is_wild

# Marks the end of what comes from braces.
_MARK = "\0"
_NUMBER = "[0-9]{1,18}"
# What can be nothing else, nor a mistake.
_match_plain = re.compile(rf"([\w%-]+?)(?:-({_NUMBER})(?:\.\.({_NUMBER}))?)?@([\w.-]+)").fullmatch
# Compiled on first use: that takes longer than to match them a few times.
_FIXED = rf"([^@]+?)(?:-({_NUMBER})(?:\.\.({_NUMBER}))?)?@([^@]+)"
_MISNUMBERED = r"-(?:[0-9]+|[0-9]+[.:]+[0-9]*|\.\.[0-9]+)$"
_KEYWORD = r"(queue(?=\s)|beat|backlog|stall-limit|started-after)(?:\s+(\S.*)?)?"
_EXACT = rf"-[0-9]*{_MARK}[0-9{_MARK}]*@"


class Span(Expected):
    """The workers of a group with the indexes from `first` to `last`; UNNUMBERED twice is the one without index.

    Where `first` is None they are COUNT: as many as `last`, numbered from 0 or from 1.
    """

    __slots__ = ("first", "group", "last")

    def __init__(self, group: Group, first: int | None, last: int) -> None:
        self.group, self.first, self.last = group, first, last


# What a line of a file that begins with one of these words asks for.
_LINES: dict[str, Callable[[str], Expected]] = {
    "queue": parse_queue,
    "beat": parse_beat,
    "backlog": parse_backlog_line,
    "stall-limit": parse_stall_limit,
    "started-after": parse_release,
}


def parse(text: str, in_file: bool = False) -> Iterator[Expected]:
    """Yield what an EXPECTED, or a line of a file, asks for: one thing, or with braces several. Raises WrongError."""
    plain = _match_plain(text)
    if plain:
        yield _read_fixed(plain, exact=False)
        return
    if _MARK in text:
        raise WrongError("it holds a NUL character", FORMS)
    keyword = re.fullmatch(_KEYWORD, text)
    if keyword and not in_file:
        what, own = keyword[1], printable(keyword[2] or "")
        write = parse_backlog_line(own).as_options() if what == "backlog" else f"--{what} {own}"
        raise WrongError(f"a {what} has an option of its own", f"--{what}", own=f"write {write}")
    if keyword:
        yield _LINES[keyword[1]](keyword[2] or "")
        return
    texts = [text]
    if "{" in text or "}" in text:
        from check_celery_workers.expected.braces import expand

        texts = expand(text, MOST, _MARK)
    for one in texts:
        exact = _MARK in one and re.search(_EXACT, one) is not None
        yield _parse_one(one.replace(_MARK, ""), exact, in_file)


def is_plain(text: str, group: Group) -> bool:
    """Return whether the text, as an EXPECTED of a file, is a fixed form that expects workers of this group."""
    try:
        (expected,) = parse(text, in_file=True)
    except (WrongError, ValueError):
        return False
    return text.isprintable() and text[0] not in "#-" and isinstance(expected, Span) and expected.group == group


def _parse_one(text: str, exact: bool, in_file: bool) -> Span | Limit:
    if text.split() != [text]:
        explain_white_space(text)
    explain_foreign(text)
    limit = "=" in text and re.fullmatch(LIMIT, text)
    if is_wild(text) and not limit:
        raise WrongError("a pattern needs the number of workers", "PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN..")
    if in_file and is_implausible(limit[1] if limit else text):
        raise WrongError("it is not a node name", FORMS)
    if limit:
        return parse_pattern(limit)
    explain_typos(text)
    fixed = re.fullmatch(_FIXED, text)
    if not fixed:
        raise WrongError("NAME or SERVER is empty" if "@" in text else "it names no server", FORMS)
    return _read_fixed(fixed, exact)


def _read_fixed(fixed: re.Match[str], exact: bool) -> Span | Limit:
    name, first, last, server = fixed.groups()
    if "-" in name and re.search(_MISNUMBERED, name):
        raise WrongError("NAME is empty, or the numbers after it cannot be read", FORMS)
    # Interned, since many workers share few names.
    group = (intern(name), f"@{server}")
    if not first:
        return Limit(f"{name}@{server}", 1, 1, "beat") if name == BEAT else Span(group, UNNUMBERED, UNNUMBERED)
    if exact or last:
        return _span(group, int(first), int(last or first))
    return _count(group, int(first))


def _span(group: Group, first: int, last: int) -> Span:
    if first > last:
        raise WrongError("FIRST is greater than LAST", f"%(name)s-{last}..{first}%(server)s", group)
    if last - first >= MOST:
        raise WrongError(f"it means more than {MOST:,} workers", "fewer")
    return Span(group, first, last)


def _count(group: Group, count: int) -> Span:
    the_one = f"%(name)s-{count}..{count}%(server)s for the one worker %(name)s-{count}%(server)s"
    if not count:
        raise WrongError("it expects no worker", the_one, group)
    if count > MOST:
        raise WrongError(f"it means {count:,} workers, more than {MOST:,}", the_one, group)
    return Span(group, None, count)
