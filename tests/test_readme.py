"""README says what is so. `.venv/bin/python tests/test_readme.py` writes its table of options."""

from __future__ import annotations

import re

import test_verdict
from paths import CLONE

from check_celery_workers.options import parser

README = CLONE / "README.md"
BEGIN, END = "<!-- made from the parser: .venv/bin/python tests/test_readme.py -->\n", "<!-- /made -->\n"


def options_table() -> str:
    """Return the table of the options, by the groups of the parser."""
    rows = ["| option | meaning |", "| --- | --- |"]
    for group in parser()._action_groups:  # noqa: SLF001 -- argparse has no other way
        for action in group._group_actions:  # noqa: SLF001
            names = ", ".join(f"`{name}`" for name in action.option_strings)
            value = action.metavar or ", ".join(action.choices or ())
            text = (action.help or "").replace("%%", "%")
            rows.append(f"| {f'{names} {value}'.strip()} | {text} |")
    return "\n".join(rows) + "\n"


def test_the_options_are_those_of_help() -> None:
    assert BEGIN + options_table() + END in README.read_text()


def test_the_example_is_what_the_plugin_says() -> None:
    output = test_verdict.EXAMPLE_OUTPUT
    assert "".join(f"    {line}\n" for line in output.splitlines()) in README.read_text()


def test_every_file_and_every_heading_that_is_linked_exists() -> None:
    text = README.read_text()
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (CLONE / target).exists(), target


def test_every_folder_of_contrib_is_told_of() -> None:
    text = README.read_text()
    for folder in (CLONE / "contrib").iterdir():
        assert f"contrib/{folder.name}" in text


if __name__ == "__main__":
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + options_table() + END + rest.partition(END)[2])
