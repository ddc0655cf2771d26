"""README says what is so."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from paths import CLONE, CONTRIB
from running import CRITICAL, run

README = CLONE / "README.md"
CELERY = r"""#!/bin/sh
[ "$*" = "-A proj inspect active_queues -t 10" ] || exit 64
for node in celery@app1 celery@app2 celery@app9; do
    printf '%s\n' "->  $node: OK" "    * {'name': 'celery', 'exchange': {'name': 'celery'}}"
done
printf '\n3 nodes online.\n'
"""


def test_is_short_enough_to_be_read() -> None:
    assert README.stat().st_size <= 12 * 1024


def test_the_example_is_what_the_plugin_says(tmp_path: Path) -> None:
    example = re.search(r"^    \$ check_celery_workers (.*)\n((?:    .*\n)+)", README.read_text(), re.MULTILINE)
    assert example
    celery = tmp_path / "celery"
    celery.write_text(CELERY)
    celery.chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    # The verdict does not depend on how the workers are asked.
    asked = example[1].replace("--broker /etc/celery_broker", "-- celery -A proj inspect {} -t 10")
    assert asked != example[1]
    done = run(*shlex.split(asked), env={**os.environ, "PATH": path})
    pattern = re.escape(example[2].replace("    ", "")).replace(r"\.\.\.", ".*")
    assert re.fullmatch(pattern, done.output), done.output
    assert done.code == CRITICAL


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
            assert (CLONE / target).is_file(), target


def test_every_page_of_contrib_is_linked() -> None:
    text = README.read_text()
    for page in CONTRIB.glob("*/README.md"):
        assert f"]({page.relative_to(CLONE)})" in text


def test_the_ci_finds_the_test_command() -> None:
    assert len(re.findall(r"^    python3 -m venv \.venv && .*$", README.read_text(), re.MULTILINE)) == 1
