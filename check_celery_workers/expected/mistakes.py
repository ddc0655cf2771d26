"""What may be wrong with an EXPECTED, and how to write it right."""

from __future__ import annotations

import re

from check_celery_workers.node import Group, node_name, printable
from check_celery_workers.pattern import host_ranges, is_wild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

FORMS = "NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N"
ONE_EACH = f"one EXPECTED per argument or line: {FORMS}"
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_REPLY = r"(?:->\s*)?([^\s@]+@\S+?):?(?:\s+(?:OK|ERROR))?"


class WrongError(Exception):
    """An EXPECTED is wrong. str() never has the user's text in it: under sudo, that would read out any file."""

    def __init__(self, problem: str, right: str, group: Group = ("NAME", "@SERVER"), own: str = "") -> None:
        """Name the problem and the right form, with %(name)s and %(server)s in both; `own` also repeats the text."""
        self._message, self._group, self._own = f"{problem}; write {right}", group, own
        super().__init__(self._with("NAME", "@SERVER"))

    def explained(self) -> str:
        """Return the message with the names of the EXPECTED in it."""
        return self._own or self._with(*map(printable, self._group))

    def _with(self, name: str, at_server: str) -> str:
        return self._message % {"name": name, "server": at_server}


def is_implausible(text: str) -> bool:
    """Return whether a line of a file is more likely something else: a URL with a password, a setting."""
    name, _, server = text.partition("@")
    return not (set("/:=\\\"',;").isdisjoint(name) and set("/=\\\"',;").isdisjoint(server))


def explain_white_space(text: str) -> None:
    """Raise WrongError for an EXPECTED with white space in it."""
    _explain_reply(text.strip(), "a line")
    if re.match(r"[A-Z ]+ (OK|WARNING|CRITICAL|UNKNOWN)\b", text):
        raise WrongError("it is the output of a check", "the list again with --baseline FILE")
    raise WrongError("it holds white space" if text else "it is empty", ONE_EACH)


def explain_foreign(text: str) -> None:
    """Raise WrongError if the text is what other programs take."""
    if "://" in text:
        raise WrongError("it is a URL", f"--broker URL, or {FORMS}")
    compared = re.fullmatch(r"([^<>=]+)([<>]=?|==)([0-9]{1,18})", text)
    if compared:
        pattern, sign, number = compared.groups()
        least, most = int(number) + (sign == ">"), int(number) - (sign == "<")
        right = {">": f"{least}..", "<": f"0..{most}", "=": number}[sign[0]]
        _explain("it compares", f"{pattern}={right}", "PATTERN=MIN.., PATTERN=0..MAX")
    _explain_brackets(text)
    if re.search(r"@\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]", text):
        right = re.sub(r"@\[", "@[[]", text.partition("=")[0]) + "=1"
        _explain("an address in brackets is a pattern", right, "[[] for [, and =1 behind it")


def _explain_brackets(text: str) -> None:
    """Raise WrongError for a range of hosts in brackets."""
    brackets = host_ranges(text)
    if not brackets:
        return
    if any("," in within for within in brackets):
        raise WrongError("a list in brackets needs braces", "{FIRST..LAST} or {A,B}")
    right = re.sub(r"\[([0-9]+)[-:]([0-9]+)\]", r"{\1..\2}", text)
    # Each is one worker then, and no pattern that matches some.
    right = right if is_wild(right) else right.partition("=")[0]
    _explain("a range in brackets needs braces", right, "{FIRST..LAST}")


def _explain(problem: str, own: str, right: str) -> NoReturn:
    """Raise WrongError with the right form, and the one of this text."""
    raise WrongError(problem, right, own=f"{problem}; write {printable(own)}")


def explain_typos(text: str) -> None:
    """Raise WrongError if the text is what people type first instead of a fixed form."""
    _explain_reply(text, "a part")
    for character, what in ((",", "a comma"), ('"', "a quotation mark"), ("'", "a quotation mark")):
        if character in text:
            raise WrongError(f"it holds {what}", ONE_EACH)
    if text.count("@") > 1:
        raise WrongError("it holds more than one @", ONE_EACH)
    undashed = re.fullmatch(r"([^@]*[^-0-9.@])([0-9]{1,18}\.\.[0-9]{1,18})(@.+)", text)
    if undashed:
        name, numbers, at_server = undashed.groups()
        right = f"%(name)s{{{numbers}}}%(server)s"
        raise WrongError("a range without a dash needs braces", right, (name, at_server))


def _explain_reply(text: str, what: str) -> None:
    reply = re.fullmatch(_REPLY, text)
    if reply and text != reply[1]:
        raise WrongError(f"it is {what} of Celery's output", f"{FORMS}, or let --baseline write it")


def names_copied(group: Group, one: int, other: int) -> WrongError:
    """Return the error for `worker-1@a worker-2@a`: the first thing people type is the node names they see."""
    names = [printable(node_name(group, index)) for index in (one, other)]
    spans = [f"{one}..{one}", f"{other}..{other}"]
    both = f"{min(one, other)}..{max(one, other)}" if abs(one - other) == 1 else " and ".join(spans)
    exactly = " and ".join(printable(node_name(group, span)) for span in both.split(" and "))
    return WrongError(
        "NAME-COUNT@SERVER means COUNT workers, and of these some are expected already",
        "NAME-INDEX..INDEX@SERVER for the one worker NAME-INDEX@SERVER",
        own=f"it means {in_words(other, 'worker')} and overlaps what is expected already; write {exactly} for exactly "
        f"{names[0]} and {names[1]}, {printable(node_name(group, spans[1]))} for the one worker of that name, or let "
        "--baseline write it",
    )


def in_words(number: int, noun: str) -> str:
    """Return a number of things in words: "two workers"."""
    words = _WORDS[number] if number < len(_WORDS) else f"{number:,}"
    return f"{words} {noun}{'s' * (number != 1)}"
