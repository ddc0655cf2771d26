#!/usr/bin/env python3
"""Print the manual page, from the plugin's options.

    .venv/bin/python contrib/man/build.py > contrib/man/check_celery_workers.1

It needs the packages that the tests need.
"""

from __future__ import annotations

import re

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

from check_celery_workers import __version__
from check_celery_workers.settings.options import parser

FILES = r"""
.TP
.I /etc/celery_broker
The usual place of the URL that \fB\-\-broker\fR reads. Only the user that runs the plugin should be able to read it.
.TP
.I /etc/celery_workers
A customary place for the list that \fB\-\-baseline\fR writes and \fB\-\-expect\-file\fR reads. The plugin opens
either only if it is told to.
"""
SEE_ALSO = r"""
.BR icinga2 (8),
.BR nagios4 (8),
.BR nrpe (8)
.PP
Celery's guide to monitoring:
.br
.UR https://docs.celeryq.dev/en/stable/userguide/monitoring.html
.UE
.PP
The guidelines of the Monitoring Plugins, with the format of RANGE:
.br
.UR https://www.monitoring\-plugins.org/doc/guidelines.html
.UE
"""


def page() -> str:
    """Return the manual page."""
    options = parser()
    notes = str(options.epilog)
    # argparse-manpage would run its lines together.
    options.epilog = None
    data = {
        "description": "check that all expected Celery workers are online",
        "manual_title": "Monitoring Plugins",
        "project_name": "check_celery_workers",
        "version": __version__,
    }
    manpage = Manpage(options, data)
    # The date of the build says nothing, and would change the page with each build.
    manpage.date = ""
    notes, examples = without(notes, "examples")
    notes, codes = without(notes, "exit codes")
    manpage.add_section("notes", ">", roff(notes))
    manpage.add_section("exit status", ">", roff(table_of_codes(codes)))
    manpage.add_section("files", ">", FILES.strip())
    manpage.add_section("examples", ">", roff(examples))
    manpage.add_section("see also", ">", SEE_ALSO.strip())
    return str(manpage)


def without(text: str, heading: str) -> tuple[str, str]:
    """Return the text without the part under this heading, which a blank line ends, and that part."""
    match = re.search(rf"^{heading}:[ \n](.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    if not match:
        raise ValueError(f"the help has nothing under {heading}:")
    return (text[: match.start()] + text[match.end() :]).strip("\n"), match[1].strip("\n")


def table_of_codes(text: str) -> str:
    """Return `0 OK, 1 WARNING` with a line for each code."""
    return "\n".join(
        f"  {code}  {meaning}" for code, meaning in re.findall(r"(\d) +(.*?)(?=,?\s+\d |$)", text, re.DOTALL)
    )


def roff(text: str) -> str:
    """Return the text for a manual page: tables, examples (lines that begin with a blank), and paragraphs."""
    lines = []
    in_table = False
    for line in text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").splitlines():
        form, _, meaning = line.strip().partition("  ")
        if not line:
            lines.append(".PP")
        elif line.startswith(" " * 10):
            # A table goes on.
            lines.append(form)
        elif meaning:
            lines += [".TP", rf"\fB{form}\fR", meaning.strip()]
        elif line.startswith(" "):
            lines += [".EX", form, ".EE"]
        else:
            if in_table:
                lines.append(".PP")
            lines.append(line)
        in_table = line.startswith(" ") and bool(meaning or in_table)
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
