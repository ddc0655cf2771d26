"""Start-up is most of what a check costs. How many modules it imports, and which: times differ from run to run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nagiosplugin
import pytest
from processes import free_port
from running import OK, UNKNOWN

import check_celery_workers

ANSWER = "->  w-1@a: OK\n\n1 node online.\n"
# What every check needs, whatever these two import in this Python.
NEEDED = "import argparse, nagiosplugin; argparse.ArgumentParser().add_argument('-x')"
CHECK = "from check_celery_workers.cli import main; code = main(sys.argv[1:])"
# Where these two are, as Python starts without site-packages: nothing is imported for what else is installed there.
SITE = [str(Path(module.__file__).parents[1]) for module in (check_celery_workers, nagiosplugin) if module.__file__]
RUN = """\
import sys
sys.path[:0] = {path}
code = 0
{statement}
print(*sys.modules, sep="\\n", file=sys.stderr)
sys.exit(code)
"""


def imported(statement: str, *arguments: str, expected: int = OK) -> set[str]:
    """Return the names of all modules that are imported in a Python that has executed a statement."""
    code = RUN.format(path=SITE, statement=statement)
    done = subprocess.run(
        (sys.executable, "-IS", "-c", code, *arguments),
        input=ANSWER,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "own", "others"),
    [
        (("w-1..1@a",), 45, {"contextlib", "gc", "select"}),
        (
            ("w-1..1@a", "--", "echo", ANSWER),
            47,
            {"_locale", "_posixsubprocess", "contextlib", "gc", "locale", "select", "selectors", "subprocess"},
        ),
    ],
    ids=["text", "command"],
)
def test_a_check_imports_no_more_than_this(arguments: tuple[str, ...], own: int, others: set[str]) -> None:
    added = imported(CHECK, *arguments) - imported(NEEDED)
    of_the_plugin = {name for name in added if name.partition(".")[0] == "check_celery_workers"}
    assert sorted(added - of_the_plugin - others) == []
    assert len(of_the_plugin) == own


def test_over_the_broker_there_is_kombu_and_what_it_imports() -> None:
    arguments = ("w-1..1@a", "--broker", f"redis://127.0.0.1:{free_port()}/0")
    top = {name.partition(".")[0] for name in imported(CHECK, *arguments, expected=UNKNOWN)}
    assert {"kombu", "redis"} <= top
    # They are installed where the tests run. kombu looks for django by itself.
    assert sorted(top & {"celery", "click", "gevent", "proj"}) == []
