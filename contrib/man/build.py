#!/usr/bin/env python3
"""Print the manual page, from the plugin's options.

    .venv/bin/python contrib/man/build.py > contrib/man/check_celery_workers.1

It needs the packages that the tests need.
"""

from __future__ import annotations

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

from check_celery_workers import __version__
from check_celery_workers.options import parser


def page() -> str:
    """Return the manual page."""
    options = parser()
    notes = str(options.epilog)
    # argparse-manpage would run its lines together.
    options.epilog = None
    data = {
        "description": "check that all Celery workers are there that should be",
        "manual_title": "Monitoring Plugins",
        "project_name": "check_celery_workers",
        "version": __version__,
    }
    manpage = Manpage(options, data)
    # The day on which it is built says nothing, and would make each build another.
    manpage.date = ""
    manpage.add_section("notes", ">", roff(notes))
    return str(manpage)


def roff(text: str) -> str:
    """Return the text with its tables and its examples as a manual page has them, the rest as paragraphs."""
    lines = []
    for line in text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").splitlines():
        form, _, meaning = line.strip().partition("  ")
        if not line:
            lines.append(".PP")
        elif meaning:
            lines += [".TP", rf"\fB{form}\fR", meaning.strip()]
        elif line.startswith(" "):
            lines += [".EX", form, ".EE"]
        else:
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
