r"""What of a foreign text may be quoted, and which line says best why there was no answer.

Nothing secret leaves: the credentials in a URL are `**`, and task arguments are left out.

    amqp://app:secret@rabbit:5672//                  -> amqp://**@rabbit:5672//
    invalid literal for int() with base 10: 'secret' -> invalid literal for int() with base 10: **
        * {'id': '8b5c', 'name': 'shop.pay', ...}    ->     * {...}
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from check_celery_workers.node import printable

TRACEBACK = "Traceback (most recent call last):"

# Everything up to the last @, since a password may hold / and @ itself.
_SECRETS = (
    (r"([a-zA-Z][a-zA-Z0-9+.-]*://)\S*@", r"\1**@"),
    (r"(?<![^\s'\"=(\[,])[^\s:@/'\"=(\[,]*:(?!//)[^\s@]*[^\s@:]@(?=[\w.\[-])", "**@"),
    (r"(invalid literal for int\(\) with base \d+: |could not be cast to integer value as ).*", r"\1**"),
    (r"(?i)((?:port|scheme|url)[^:'\"]*: ?)(['\"]).*\2", r"\1**"),
    (r"(?i)([?&;][\w-]*(?:pass|pwd|secret|token|key|auth)[\w-]*=)[^\s&;'\"]+", r"\1**"),
    (r"(?i)(\w*(?:passw|pwd|secret|token|api_?key)\w*['\"]?(?: ?= ?|': ?|\": ?))\S+", r"\1**"),
)
_QUOTED_ARGUMENTS = r"""(?s)(?:[ \t]{2,}|\* ?)(?:\* )?[\[{(].*|.*["']args["']: .*"""

_SPREAD_JSON = r'\s+"[^"]+": [{\[](?:"ok"|\s*$)'
_BEHIND_TEXT = r".*\S\s*(?:->|\s|\|)\s*\S+@\S+: (?:OK|ERROR)\s*$"
_TELLING = (
    r"(?i)error|exception|denied|refused|not found|no such|unable|cannot|could not|unknown|failed|closed|"
    r"timed? ?out|killed"
)
# What programs add once the error has been said.
_NOISE = (
    r"(?i)for further information|press ctrl-c|pending error|^waiting up to|exited with code|"
    r"terminated with exit code|initializing audit plugin|conda\.cli|failed to send|^exception ignored|"
    r"^error in (?:atexit|sys\.)|see above for error"
)
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")


def quotable(line: str, longest: int = 300) -> str:
    """Return what may be quoted of a line: printable, on one line, without credentials and task arguments."""
    if re.fullmatch(_QUOTED_ARGUMENTS, line):
        return printable(f"{line[: len(line) - len(line.lstrip(' *'))]}{{...}}", longest)
    for secret, instead in _SECRETS if "@" in line or ":" in line or "=" in line or "cast" in line else ():
        line = re.sub(secret, instead, line)
    return printable(line, longest)


def is_unhandled(before: str) -> bool:
    """Return whether a traceback ends its program, by the line `before` it.

    A traceback that was logged, or that Python prints at exit, has a line of its own above it. Warnings do not count.
    """
    return not before or before.startswith(_CHAINED) or "Warning: " in before or before.lstrip().startswith("warnings.")


def is_behind_text(line: str) -> bool:
    """Return whether a reply stands behind other text on its line, as docker compose or journald prints it."""
    return re.match(_BEHIND_TEXT, line) is not None


def reason(lines: Sequence[str], replied: bool = False) -> str:
    """Return the line that says best what went wrong, fit to be quoted, or "".

    It is Celery's own `Error:` line, or the exception of a traceback that ended the program, whichever came last. Then
    any other line that speaks of a failure, the last one first. If nobody replied, it says where replies hide.
    """
    if not replied:
        if any(re.match(_SPREAD_JSON, line) for line in lines):
            return "its JSON is spread over several lines, print each output on one line (jq -c)"
        behind = next(filter(is_behind_text, lines), None)
        if behind is not None:
            return f"replies stand behind other text on their lines: {quotable(' '.join(behind.split()))}"
    return quotable(" ".join(_best(lines).split()))


def _best(lines: Sequence[str]) -> str:
    best = ""
    for place, line in enumerate(lines):
        following = lines[place + 1 :]
        if line.startswith("Error:"):
            # Where it ends with a colon, Celery puts what went wrong on the lines below it.
            best = (line.rstrip().endswith(":") and _telling(following)) or line
        elif line.rstrip() == TRACEBACK and is_unhandled(lines[place - 1] if place else ""):
            best = _exception(following) or best
    return best or _telling(lines) or (lines[-1] if lines else "")


def _telling(lines: Sequence[str]) -> str:
    """Return the exception of the first traceback, or else the last line that speaks of a failure; "" for none."""
    for place, line in enumerate(lines):
        if line.rstrip() == TRACEBACK:
            return _exception(lines[place + 1 :])
    telling = [line for line in lines if re.search(_TELLING, line)]
    return ([line for line in telling if not re.search(_NOISE, line)] or telling or [""])[-1]


def _exception(lines: Sequence[str]) -> str:
    """Return the first line of the exception, which stands below the indented lines of its traceback."""
    return next((line for line in lines if line[:1].strip()), "")
