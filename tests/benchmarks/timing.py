"""Times whole processes side by side."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Neither variables that change what Python does nor those of a virtual environment.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


class Case(NamedTuple):
    """A process to be timed.

    says: how its output starts, without which it has not done what it is timed for
    text: what it reads from standard input
    """

    name: str
    command: Sequence[str]
    says: str = ""
    text: Path = Path(os.devnull)
    cwd: Path | None = None
    environment: Mapping[str, str] = ENVIRONMENT


class Run(NamedTuple):
    """One run of a case: seconds from start to end, those of processors, and the most memory that it held, in KiB."""

    seconds: float
    processor: float
    peak: int


class Timing(NamedTuple):
    """All runs of a case, in the order of the rounds."""

    case: Case
    runs: list[Run]

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def processor(self) -> float:
        """The median of the seconds of processors, those of the processes that it started included."""
        return statistics.median(run.processor for run in self.runs)

    @property
    def peak(self) -> str:
        """The most memory that any of them held."""
        peak = max(run.peak for run in self.runs)
        # Linux counts for a process also what its parent held when it started it.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{peak >> 10} MiB" if peak > own else f"< {(own >> 10) + 1} MiB"

    def against(self, other: Timing) -> str:
        """Return the median of the ratios to the other's runs in the same rounds, and between what half of them lie."""
        if other is self:
            return "1"
        ratios = [one.seconds / two.seconds for one, two in zip(self.runs, other.runs)]
        if len(ratios) < 4:
            return f"{statistics.median(ratios):.2f}"
        low, middle, high = statistics.quantiles(ratios, n=4)
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def interleave(rounds: int, *cases: Case) -> list[Timing]:
    """Run every case once in each round, so that whatever else the machine does slows all of them.

    Raises RuntimeError where one does not say what it should. That is asked in a first round, which is not timed.
    """
    for case in cases:
        _run(case)
    timings = [Timing(case, []) for case in cases]
    for _ in range(rounds):
        for timing in timings:
            timing.runs.append(_run(timing.case))
    return timings


def _run(case: Case) -> Run:
    with case.text.open("rb") as text, tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            case.command, stdin=text, stdout=output, stderr=output, cwd=case.cwd, env=case.environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read(1000).decode()
    if not said.startswith(case.says):
        raise RuntimeError(f"{case.name}: {said}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
