"""Try mutants: each in a fork of one pytest, which has imported the plugin and collected the tests.

mutmut itself starts pytest anew for each of them. That takes longer than the test that notices the mutant.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest
import tomllib

SURVIVED = Path("survived.json")
# The name of no mutant: all tests must pass, or what they say of mutants is worth nothing.
UNCHANGED = ""
# After how many seconds a test is slow.
SLOW = 0.3


class Fork(NamedTuple):
    """A process in which tests run on one mutant."""

    mutant: str
    pid: int
    result: int  # what it writes the name of a test to that has failed
    end: float  # when it is stopped, a time of `time.monotonic` in seconds


class Trial:
    """A plugin for pytest that tries mutants instead of running each test once.

    survivors: the names of the mutants that no test has noticed
    """

    def __init__(
        self, mutants: Collection[str], reaching: Mapping[str, Sequence[str]], seconds: Mapping[str, float]
    ) -> None:
        """`reaching` are the tests of each function, by its name, and `seconds` how long each test takes."""
        self.survivors: list[str] = []
        self._reaching, self._seconds = reaching, seconds
        # Those of one function one after the other: what has noticed one often notices the next.
        self._waiting = deque(sorted(mutants))
        self._forks: list[Fork] = []
        # The tests that have noticed a mutant, the last first.
        self._noticing: deque[str] = deque()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all mutants, as many at a time as there are processors."""
        items = {item.nodeid: item for item in session.items}
        count, tried = len(self._waiting), 0
        while self._waiting or self._forks:
            while self._waiting and len(self._forks) < (os.cpu_count() or 1):
                self._start(session, items, self._waiting.popleft())
            ready, _, _ = select.select([fork.result for fork in self._forks], [], [], 1.0)
            for fork in [*self._forks]:
                if fork.result in ready or time.monotonic() > fork.end:
                    self._end(fork)
                    tried += 1
                    if tried % 100 == 0 or tried == count:
                        print(f"{tried:,} of {count:,} tried", file=sys.stderr, flush=True)
        return True

    def _start(self, session: pytest.Session, items: Mapping[str, pytest.Item], mutant: str) -> None:
        names = self._in_order(
            name for name in self._reaching.get(mutant.partition("__mutmut_")[0], ()) if name in items
        )
        seconds = sum(self._seconds.get(name, 0.0) for name in names)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            # What is stopped is stopped with all that it has started.
            os.setsid()
            os.environ["MUTANT_UNDER_TEST"] = mutant
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            code = 1
            with suppress(BaseException):
                failed = self._first_failure(session, [items[name] for name in names])
                os.write(writing, failed.encode())
                code = bool(failed)
            os._exit(code)
        os.close(writing)
        self._forks.append(Fork(mutant, pid, reading, time.monotonic() + 10 + 4 * seconds))

    def _in_order(self, names: Iterable[str]) -> list[str]:
        """Return tests so that one which fails comes soon: those that have before, of each file in turns, slow ones."""
        places = {name: place for place, name in enumerate(self._noticing)}
        order, of_file = dict[str, tuple[bool, bool, int]](), Counter[str]()
        for name in sorted(names, key=lambda name: self._seconds.get(name, 0.0)):
            file = name.partition("::")[0]
            is_slow = self._seconds.get(name, 0.0) > SLOW
            order[name] = (is_slow, name not in places, places.get(name, of_file[file]))
            of_file[file] += 1
        return sorted(order, key=order.__getitem__)

    def _first_failure(self, session: pytest.Session, items: Sequence[pytest.Item]) -> str:
        """Run tests up to the first that fails, and return its name, "" if none does."""
        for item, following in zip(items, [*items[1:], None]):
            # A mutant that loops for ever ends by this signal.
            signal.setitimer(signal.ITIMER_PROF, 5 + 10 * self._seconds.get(item.nodeid, 0.0))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return item.nodeid
        return ""

    def _end(self, fork: Fork) -> None:
        self._forks.remove(fork)
        is_late = time.monotonic() > fork.end
        failed = "" if is_late else os.read(fork.result, select.PIPE_BUF).decode()
        os.close(fork.result)
        if is_late:
            os.kill(fork.pid, signal.SIGKILL)
        _, status = os.waitpid(fork.pid, 0)
        with suppress(ProcessLookupError):
            os.killpg(fork.pid, signal.SIGKILL)
        if status == 0 and fork.mutant != UNCHANGED:
            self.survivors.append(fork.mutant)
            print(f"{fork.mutant} survived", file=sys.stderr, flush=True)
        elif status and fork.mutant == UNCHANGED:
            pytest.exit(f"{failed} fails, and nothing is changed", returncode=1)
        if failed:
            with suppress(ValueError):
                self._noticing.remove(failed)
            self._noticing.appendleft(failed)


def pytest_arguments(mutants: Path) -> list[str]:
    """Return the arguments of pytest that mutmut's settings name, from the folder of the mutants."""
    settings = tomllib.loads((mutants / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    return [*settings["pytest_add_cli_args"], *settings["pytest_add_cli_args_test_selection"]]


def main() -> None:
    """Try the mutants whose names match one of the arguments, or all; write those that survive to SURVIVED."""
    found = [name for meta in Path().rglob("*.meta") for name in json.loads(meta.read_text())["exit_code_by_key"]]
    mutants = [name for name in found if not sys.argv[1:] or any(fnmatch(name, pattern) for pattern in sys.argv[1:])]
    stats = json.loads(Path("mutmut-stats.json").read_text())
    seconds = stats["duration_by_test"]
    trial = Trial([UNCHANGED, *mutants], {**stats["tests_by_mangled_function_name"], UNCHANGED: [*seconds]}, seconds)
    # An example that fails is enough, no need to look for the smallest.
    hypothesis.settings.register_profile("mutation", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
    hypothesis.settings.load_profile("mutation")
    code = pytest.main(["-q", "-s", "--tb=no", "-p", "no:cacheprovider", *pytest_arguments(Path())], plugins=[trial])
    SURVIVED.write_text(json.dumps(trial.survivors))
    sys.exit(code)


if __name__ == "__main__":
    main()
