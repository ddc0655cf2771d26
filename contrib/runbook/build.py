#!/usr/bin/env python3
"""Print the runbook, with what the plugin says below each command.

    .venv/bin/python contrib/runbook/build.py > README.new && mv README.new contrib/runbook/README.md

It needs the packages that the tests need. Below are the scenes of the page, by their headings: what Celery prints
there, or what the workers answer over the broker.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

PAGE = Path(__file__).with_name("README.md")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "lib"))

from answering import Worker, asked, verdict, watched  # noqa: E402 -- helpers of the tests
from running import run  # noqa: E402

from check_celery_workers.errors import Unreachable  # noqa: E402
from check_celery_workers.replies.inquiry import Inquiry, Text  # noqa: E402
from check_celery_workers.replies.output import Output  # noqa: E402
from check_celery_workers.replies.question import ACTIVE_QUEUES, STATS  # noqa: E402

# What makes the output of a command, from its words.
Scene = Callable[[list[str]], str]

HOUR = 3600
QUEUE = "    * {{'name': '{0}', 'exchange': {{'name': '{0}', 'type': 'direct'}}, 'routing_key': '{0}'}}\n"
NO_SUCH_MODULE = """\
Usage: celery [OPTIONS] COMMAND [ARGS]...

Error: Invalid value for '-A' / '--app':
Unable to load celery application.
The module proj was not found.
"""


def output(bodies: Mapping[str, str]) -> str:
    """Return what Celery prints of these workers, each with what stands below its name."""
    replies = "".join(f"->  {node}: OK\n{body}" for node, body in bodies.items())
    return f"{replies}\n{len(bodies)} node{'s' * (len(bodies) != 1)} online.\n"


def on_standard_input(text: str) -> Scene:
    """Return a scene where Celery prints this: over the broker the verdict is the same."""
    return lambda words: run(*without_broker(words), text=text).output


def over_the_broker(inquiry: Inquiry) -> Scene:
    """Return a scene where this came over the broker."""
    return lambda words: verdict(inquiry, *without_broker(words)).output


def by_command(script: str) -> Scene:
    """Return a scene where `celery` is this shell script."""

    def said(words: list[str]) -> str:
        with TemporaryDirectory() as folder:
            celery = Path(folder) / "celery"
            celery.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            celery.chmod(0o755)
            return run(*words, env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}).output

    return said


def without_the_file(path: str) -> Scene:
    """Return a scene where this file is not there."""

    def said(words: list[str]) -> str:
        with TemporaryDirectory() as folder:
            other = f"{folder}/none"
            return run(*(other if word == path else word for word in words), text="").output.replace(other, path)

    return said


def without_broker(words: list[str]) -> list[str]:
    """Return the words of a command without the broker that it asks."""
    if "--broker" not in words:
        return words
    place = words.index("--broker")
    return words[:place] + words[place + 2 :]


def inquiry_of(text: Text) -> Inquiry:
    """Return an inquiry over the broker to which this came."""
    inquiry = Inquiry()
    inquiry.add(ACTIVE_QUEUES, [text])
    return inquiry


def nobody() -> Inquiry:
    """Return an inquiry over the broker that nobody answered."""
    text = Text([Output(Output.NOBODY)], None, (), is_blank=False)
    text.origin = "kombu"
    return inquiry_of(text)


def unreachable() -> Inquiry:
    """Return an inquiry where the broker is down."""
    reason = "Error 111 connecting to redis1:6379. Connection refused."
    failure = Unreachable(f"the broker redis://redis1:6379/0 cannot be reached: {reason}")
    return inquiry_of(Text([], failure, (), is_blank=False))


def released() -> Inquiry:
    """Return an inquiry where a release came two hours ago, and a worker was started three days ago."""
    fleet = {"mail-1@app1": Worker(uptime=HOUR), "mail-2@app1": Worker(uptime=74 * HOUR)}
    inquiry = asked(fleet, {}, ACTIVE_QUEUES, STATS)
    inquiry.changes = {"/srv/shop/current": time.time() - 2 * HOUR}
    return inquiry


STARTED = f"'time_start': {time.time() - 3.2 * HOUR - 30}, 'acknowledged': True, 'worker_pid': 4711"
RUNNING = f"    * {{'id': '8b5c', 'name': 'shop.report', 'args': [], 'kwargs': {{}}, {STARTED}}}\n"
TWO_QUEUES = output({"celery@web1": QUEUE.format("celery"), "mail-1@app1": QUEUE.format("emails")})
BOTH = output({"celery@web1": QUEUE.format("celery"), "celery@web2": QUEUE.format("celery")})
ONE_IS_IDLE = output({"celery@web1": "    - empty -\n"})
# Its arguments are -A proj inspect QUESTION -t 10.
SILENT_LATER = f"""\
if [ "$4" = active ]; then cat <<'end'
{ONE_IS_IDLE}end
else cat <<'end'
{BOTH}end
fi"""

SCENES: dict[str, Scene] = {
    "A worker is missing": on_standard_input(output({"mail-1@app1": "", "mail-3@app1": ""})),
    "Nobody replies over the broker": over_the_broker(nobody()),
    "A worker starts no task": over_the_broker(
        watched({"mail-1@app1": Worker(runs=1), "mail-2@app1": Worker()}, {"emails": 1204})
    ),
    "A task runs too long": on_standard_input(output({"celery@web1": RUNNING})),
    "A worker consumes from no queue": on_standard_input(
        output({"celery@web1": "    - empty -\n", "celery@web2": QUEUE.format("celery")})
    ),
    "A worker answers with an error, or not to every question": by_command(SILENT_LATER),
    "A worker runs old code": over_the_broker(released()),
    "A queue has too few or too many consumers": on_standard_input(TWO_QUEUES),
    "A queue is backed up": over_the_broker(
        asked({"celery@web1": Worker(("emails",))}, {"emails": 1204}, ACTIVE_QUEUES)
    ),
    "Two workers have one name": on_standard_input(
        output({"celery@web1": ""}).replace("->", "->  celery@web1: OK\n->", 1).replace("1 node", "2 nodes")
    ),
    "A worker is unexpected": on_standard_input(output({"celery@web1": "", "celery@web9": "", "mail@web9": ""})),
    "The scheduler is missing, or there are two": on_standard_input(output({"celery@web1": "", "celerybeat@web2": ""})),
    "The broker cannot be asked": over_the_broker(unreachable()),
    "Celery's output is cut, or is something else": on_standard_input("->  celery@web1: OK\n"),
    "COMMAND failed": by_command(f"cat >&2 <<'end'\n{NO_SUCH_MODULE}end\nexit 2"),
    "Something was not asked, or Celery does not say it": on_standard_input(output({"celery@web1": ""})),
    "A usage error": on_standard_input(""),
    "A file cannot be read": without_the_file("/etc/celery_workers"),
}


def page() -> str:
    """Return the page, with the output of each of its commands below it."""
    sections = re.split(r"(?m)^(?=### )", PAGE.read_text(encoding="utf-8"))
    return "".join(map(told, sections))


def told(section: str) -> str:
    """Return a section with what the plugin says in its scene, without the perfdata."""
    heading = section.partition("\n")[0].removeprefix("### ")
    if heading not in SCENES:
        return section

    def answered(block: re.Match[str]) -> str:
        words = shlex.split(block["command"].rpartition("check_celery_workers ")[2])
        said = re.sub(r" \| .*", "", SCENES[heading](words), count=1)
        return block["command"] + "".join(f"    {line}\n" for line in said.splitlines())

    return re.sub(r"(?m)^(?P<command>    \$ .*check_celery_workers .*\n)(?:    .+\n)*", answered, section, count=1)


if __name__ == "__main__":
    print(page(), end="")
