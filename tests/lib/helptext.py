"""What `--help` says about each option."""

from __future__ import annotations

import re
from typing import NamedTuple

from running import run

# Icinga always gives a --broker or a COMMAND, and what the second does is no check.
NOT_ICINGAS = ("--no-command", "--baseline")

_ENTRY = re.compile(r"  (?:-\w(?: \S+)?, )?(?P<name>--[\w-]+)(?: (?P<value>\S+))?(?:  +(?P<text>\S.*))?$")
_MORE = re.compile(r"   +(?P<text>\S.*)$")


class Option(NamedTuple):
    """A long option; `value` is its placeholder, or empty if it takes no value."""

    name: str
    value: str
    text: str

    @property
    def repeatable(self) -> bool:
        """Whether each of several values counts."""
        return self.text.endswith("repeatable")


def options() -> list[Option]:
    """Return the options in `--help`, except --help and --version, which no configuration needs."""
    found: list[Option] = []
    under_option = False
    for line in run("--help").output.splitlines():
        if entry := _ENTRY.match(line):
            found.append(Option(entry["name"], entry["value"] or "", entry["text"] or ""))
            under_option = True
        elif under_option and (more := _MORE.match(line)):
            found[-1] = found[-1]._replace(text=f"{found[-1].text} {more['text']}".strip())
        else:
            under_option = False
    return [option for option in found if option.name not in ("--help", "--version")]
