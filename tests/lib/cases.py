r"""Cases of one file each: what the situation is, the command, its text and files, and below them the whole output.

    The broker of the second application is gone.

    $ check_celery_workers w@a v@b -- sh status.sh
    -- text --
    What is on standard input. Where there is no such section, nothing is.
    -- file status.sh --
    echo 'w@a: OK'
    -- output, exit 3 --
    CELERY WORKERS UNKNOWN - ...

A section is as it stands, and has no character that nobody sees. A text that has one, or a line like a header, is in
`-- text, escaped --`: `\t`, `\r`, `\\` and `\xNN` are bytes, `\-- Reboot --` is a line of the text, and a backslash at
the very end takes the last newline away. `-- text in latin-1 --` is in that encoding. In each output `time=0.5s` is
any time, and AGE the age of any task.

    .venv/bin/python tests/lib/cases.py <FILE

prints FILE as such a section.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from ages import ageless
from running import PLUGIN, outcome_of

_HEADER = re.compile(r"^(?=-- .+ --$)", re.MULTILINE)
_INPUT = re.compile(r"-- (?:text|file (?P<name>[\w.-]+))(?: in (?P<encoding>[\w-]+))?(?P<escaped>, escaped)? --")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|.)", re.DOTALL)
_ESCAPED = {"\t": "\\t", "\r": "\\r", "\\": "\\\\"}
_MEANING = {"\\-": "-", "\\\n": "", **{escape: character for character, escape in _ESCAPED.items()}}


class Case(NamedTuple):
    """A situation, and the section of what is right in it."""

    path: Path
    above: str
    command: str
    text: bytes
    files: dict[str, bytes]
    expected: str

    @classmethod
    def read(cls, path: Path) -> Case:
        """Return the one in the file; ValueError where something in it is not what it looks like."""
        source = path.read_bytes().decode()
        for number, line in enumerate(source.split("\n"), 1):
            if not line.isprintable():
                raise ValueError(f"{path.name}:{number}: {line!a} has what nobody sees; write the section escaped")
        head, *sections = _HEADER.split(source)
        expected = sections.pop() if sections and sections[-1].startswith("-- output, ") else ""
        situation, _, command = head.partition("\n\n$ ")
        if not (situation and command and source.endswith("\n")):
            raise ValueError(f"{path.name}: write a sentence, an empty line, and `$ ` with the command")
        files: dict[str, bytes] = {}
        for part in sections:
            header, body = part.split("\n", 1)
            kind = _INPUT.fullmatch(header)
            name = (kind["name"] or "") if kind else ""
            if not kind or name in files or name not in command:
                raise ValueError(rf"{path.name}: {header} is no section of it; in a text write \{header}, escaped")
            body = _unescaped(body) if kind["escaped"] else body
            files[name] = body.encode(kind["encoding"] or "utf-8", "surrogateescape")
        return cls(path, head + "".join(sections), command.rstrip(), files.pop("", b""), files, expected)

    def printed(self, folder: Path) -> str:
        """Run the command by a shell in the folder; return the section of its output, without times and ages."""
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o755)
        path = os.pathsep.join((str(Path(PLUGIN).parent), os.environ["PATH"]))
        outcome = outcome_of("sh", "-c", self.command, text=self.text, env={**os.environ, "PATH": path}, cwd=folder)
        return section(f"output, exit {outcome.code}", ageless(outcome.timeless.output).encode())

    def rewrite(self, printed: str) -> None:
        """Expect from now on what was printed, and fail where that is something new."""
        if printed != self.expected:
            self.path.write_bytes((self.above + printed).encode())
            pytest.fail(f"{self.path} was rewritten, read whether its output is right now", pytrace=False)


def section(title: str, data: bytes) -> str:
    """Return the section of a case that has this data, escaped only where that must be."""
    text = data.decode("utf-8", "surrogateescape")
    whole = text.endswith("\n") or not text
    if whole and text.replace("\n", "").isprintable() and not _HEADER.search(text):
        return f"-- {title} --\n{text}"
    escaped = _HEADER.sub(r"\\", "".join(map(_escaped, text)))
    return f"-- {title}, escaped --\n{escaped}" + ("" if whole else "\\\n")


def _escaped(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    if character.isprintable() or character == "\n":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _unescaped(text: str) -> str:
    def meaning(escape: re.Match[str]) -> str:
        if escape[1]:
            return bytes.fromhex(escape[1]).decode("ascii", "surrogateescape")
        if escape[0] not in _MEANING:
            raise ValueError(f"{escape[0]} is no escape")
        return _MEANING[escape[0]]

    return _ESCAPE.sub(meaning, text)


if __name__ == "__main__":
    sys.stdout.write(section("text", sys.stdin.buffer.read()))
