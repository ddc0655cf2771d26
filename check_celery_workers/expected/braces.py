"""Braces, as in a shell: `web{01..20}`, `{a,b}`, `{1..9..2}`, `{a..e}`, several at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from check_celery_workers.expected.mistakes import WrongError

_NUMBER = "[0-9]{1,18}"
_BRACES = r"\{(?:(\w+)\.\.(\w+)(?:\.\.([0-9]+))?|([^{},]*,[^{}]*))\}"


def expand(text: str, most: int, mark: str) -> list[str]:
    """Return the texts that braces stand for, each with the mark behind what comes from braces.

    "w{1..2}", with the mark "!" -> ["w1!", "w2!"]; Raises WrongError if these are more than `most`, or if the
    braces hold no range and no comma.
    """
    texts = [text]
    while True:
        expanded = []
        for one in texts:
            braces = re.search(_BRACES, one)
            if not braces:
                if "{" in one or "}" in one:
                    raise WrongError("its braces hold neither .. nor a comma, or are not closed", "{1..4} or {a,b}")
                return texts
            before, after = one[: braces.start()], one[braces.end() :]
            for word in _words(braces):
                expanded.append(f"{before}{word}{mark}{after}")
                if len(expanded) > most:
                    raise WrongError(f"its braces stand for more than {most:,} workers", "fewer")
        texts = expanded


def _words(braces: re.Match[str]) -> Iterator[str]:
    first, last, step, listed = braces.groups()
    if listed is not None:
        yield from listed.split(",")
        return
    by = max(1, int(step or 1))
    if re.fullmatch(_NUMBER, first) and re.fullmatch(_NUMBER, last):
        width = max(len(first), len(last)) if "0" in (first[0], last[0]) else 1
        texts = (str(number).zfill(width) for number in _range(int(first), int(last), by))
    elif len(first) == len(last) == 1 and (first + last).isalpha():
        texts = (chr(code) for code in _range(ord(first), ord(last), by))
    else:
        raise WrongError("a range in braces needs two numbers or two letters", "{FIRST..LAST}")
    yield from texts


def _range(start: int, stop: int, step: int) -> range:
    return range(start, stop + 1, step) if start <= stop else range(start, stop - 1, -step)
