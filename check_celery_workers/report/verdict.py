"""The verdict: a value first (state, status line, metrics, findings, details), then as much text as fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from check_celery_workers.errors import Doubt
from check_celery_workers.judgement.finding import NODE, PATTERN, Comparison, Finding
from check_celery_workers.judgement.metrics import METRICS
from check_celery_workers.node import natural, printable
from check_celery_workers.report.sentences import count_of, sentence, subject

NAME = "CELERY WORKERS"

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000
# No more findings than this can fit.
_MOST_LINES = 400
# How much of the first line the names of silent workers may take.
_MOST_NAMES = 200

_ORDER = [metric.label for metric in METRICS]


class Verdict:
    """What a check says.

    state: OK, WARNING, CRITICAL or UNKNOWN
    status_line: what is wrong, or that nothing is
    perfdata: the metrics as perfdata
    findings: what accounts for it, each to be said in a line; those of an UNKNOWN are the workers that are silent
    details: further lines, as far as they fit
    """

    def __init__(self, state: str, status_line: str, perfdata: Sequence[str] = ()) -> None:
        self.state = state
        self.status_line = status_line
        self.perfdata = perfdata
        self.findings: Sequence[Finding] = ()
        self.details: list[str] = []

    def __str__(self) -> str:
        """Return the output, at most MOST_BYTES of it.

        The perfdata always go on the first line: NRPE may cut at 1 KiB.
        """
        top = f"{NAME} {self.state} - {self.status_line}"
        if self.perfdata:
            top += f" | {' '.join(self.perfdata)}"
        sentences = (sentence(finding, self.state == "UNKNOWN") for finding in in_order(self.findings))
        return fit(top, sentences, len(self.findings), self.details)


def unknown(reason: str, findings: Sequence[Finding] = ()) -> Verdict:
    """Return the verdict that the state cannot be known, and why."""
    verdict = Verdict("UNKNOWN", printable(" ".join(reason.split()), 900))
    verdict.findings = findings
    return verdict


def doubtful(doubt: Doubt, replied: int, comparison: Comparison | None = None) -> tuple[str, list[Finding]]:
    """Return why a text does not let it judge and whom it is about, and the findings of those that are silent.

    "celery did not end before the timeout, 4 of 5 workers had answered, no answer from mail@app1"
    """
    reason = doubt.problem
    silent = [finding for finding in comparison.findings if finding.metric == "missing"] if comparison else []
    if doubt.silent:
        silent = [Finding("missing", NODE, node) for node in doubt.silent]
        reason += f", {replied - len(silent):,} of {replied:,} workers had answered to active"
    elif not doubt.counts:
        silent = []
    elif comparison and comparison.expected:
        answered = comparison.expected - sum(finding.count for finding in silent)
        reason += f", {answered:,} of {comparison.expected:,} workers had answered"
    else:
        reason += f", {count_of(replied, 'worker')} had answered"
    if silent:
        reason += f", no answer from {_names(silent)}"
    if doubt.reason:
        reason += f": {doubt.reason}"
    return reason, silent


def _names(findings: list[Finding]) -> str:
    names: list[str] = []
    for finding in in_order(findings):
        only = isinstance(finding.cause, str) and finding.count == 1 and finding.cause
        name = printable(only) if only else subject(finding)
        if names and sum(map(len, names)) + len(name) > _MOST_NAMES:
            return f"{', '.join(names)} and {len(findings) - len(names):,} more"
        names.append(name)
    return ", ".join(names)


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings in output order, at most those that can fit."""
    places: dict[tuple[int, int], list[Finding]] = {}
    for finding in findings:
        places.setdefault((_ORDER.index(finding.metric), finding.kind), []).append(finding)
    left = _MOST_LINES
    for place in sorted(places):
        found = places[place]
        yield from found[:left] if place[1] == PATTERN else _first(found, left)
        left = max(0, left - len(found))


def _first(findings: list[Finding], most: int) -> list[Finding]:
    if len(findings) <= most:
        return sorted(findings, key=lambda finding: natural(finding.name))
    # Imported here: rarely needed, and imports cost start-up.
    from heapq import nsmallest

    return nsmallest(most, findings, key=lambda finding: natural(finding.name))


def fit(top: str, sentences: Iterable[str], count: int, more: Iterable[str]) -> str:
    """Return the first line, as many of `count` findings as fit, then as many further lines as fit.

    Findings that do not fit are counted on a line of their own, `... and 9,950 more`.
    """
    lines = [top]
    room = MOST_BYTES - len(top.encode()) - 1
    reserve = len(f"... and {count:,} more\n")
    for line in sentences:
        size = len(line.encode()) + 1
        if size > room - reserve:
            break
        room -= size
        lines.append(line)
    untold = count - len(lines) + 1
    if untold:
        lines.append(f"... and {untold:,} more")
        room = 0
    for line in more:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines) + "\n"
