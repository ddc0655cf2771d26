"""The runbook: each block is what the plugin says, and each line of its table leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys

from paths import CONTRIB

PAGE = CONTRIB / "runbook" / "README.md"
TEXT = PAGE.read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """Return what a link to a heading ends with."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_the_page_shows_what_the_plugin_says() -> None:
    """`nox -s build` writes it."""
    command = (sys.executable, PAGE.with_name("build.py"))
    assert subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout == TEXT


def test_each_section_can_be_found_from_the_table_on_top() -> None:
    table, _, sections = TEXT.partition("\n## Findings\n")
    assert {*re.findall(r"\(#([a-z0-9-]+)\)", table)} == {*map(anchor, re.findall(r"(?m)^### (.+)$", sections))}
