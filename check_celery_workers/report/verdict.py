"""The verdict: a value first (state, status line, metrics, and what it is about), then as much text as fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from check_celery_workers.judgement.finding import Comparison, Finding
from check_celery_workers.judgement.metrics import ROWS
from check_celery_workers.node import natural, printable
from check_celery_workers.replies.doubt import Doubt, Untold
from check_celery_workers.replies.output import Inquiry
from check_celery_workers.report import sentences

NAME = "CELERY WORKERS"

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000
# No more findings than this can fit.
_MOST_LINES = 400
# How much of the first line the names of silent workers may take.
_MOST_NAMES = 200

_ORDER = [row.label for row in ROWS]


class Verdict:
    """What a check says.

    state: OK, WARNING, CRITICAL or UNKNOWN
    status_line: what is wrong, or that nothing is
    perfdata: the metrics as perfdata
    explanations: how each state came about, a line each
    comparison, inquiry: what it is about; None if it did not come to that
    """

    def __init__(self, state: str, status_line: str, perfdata: Sequence[str] = ()) -> None:
        self.state = state
        self.status_line = status_line
        self.perfdata = perfdata
        self.explanations: Sequence[str] = ()
        self.comparison: Comparison | None = None
        self.inquiry = Inquiry()

    @property
    def is_unknown(self) -> bool:
        """Whether nobody can know the state; then the findings are those who are silent, and no more is told."""
        return self.state == "UNKNOWN"

    def output(self, verbose: int = 0, raw: str = "") -> str:
        """Return the output, at most MOST_BYTES of it; `raw` is the beginning of the text, if it is to be shown.

        The perfdata always go on the first line: NRPE may cut at 1 KiB.
        """
        top = f"{NAME} {self.state} - {self.status_line}"
        if self.perfdata:
            top += f" | {' '.join(self.perfdata)}"
        findings: Sequence[Finding] = []
        if self.comparison:
            doubts = self.comparison.doubts
            findings = _silent(doubts[0], self.comparison) if self.is_unknown else self.comparison.findings
        lines = (sentences.sentence(finding, self.is_unknown) for finding in in_order(findings))
        return fit(top, lines, len(findings), self._details(verbose, raw, bool(findings)))

    def _details(self, verbose: int, raw: str, has_findings: bool) -> Iterator[str]:
        comparison = self.comparison
        if comparison and not self.is_unknown:
            yield from sentences.hints(comparison, self.inquiry.is_blank)
            yield from (f"In doubt: {explain_doubt(doubt, comparison)}" for doubt in comparison.doubts)
        if comparison and verbose and (has_findings or not self.is_unknown):
            yield from sentences.online(comparison.replies)
        if comparison and verbose >= 2 and not self.is_unknown:
            yield from self.explanations
            yield from sentences.numbering(comparison.inventory, comparison.replies)
            if self.inquiry.passed_over:
                yield f"Passed over in the status text: {self.inquiry.passed_over}"
        if raw:
            from check_celery_workers.replies.quote import quotable

            yield "The status text:"
            yield from map(quotable, raw.splitlines())


def unknown(reason: str) -> Verdict:
    """Return the verdict that the state cannot be known, and why."""
    return Verdict("UNKNOWN", printable(" ".join(reason.split()), 900))


def explain_doubt(doubt: Doubt, comparison: Comparison | None = None, replied: int = 0) -> str:
    """Return why something cannot be known, and whom that is about; without a comparison, `replied` is all that counts.

    "celery did not end before the timeout, 4 of 5 workers had answered, no answer from mail@app1"
    """
    if comparison and isinstance(doubt, Untold):
        return sentences.untold(doubt, comparison)
    lines = doubt.problem
    findings = _silent(doubt, comparison) if comparison else []
    expected = comparison.inventory.size if comparison else 0
    replied = comparison.replies.count if comparison else replied
    if doubt.question and findings:
        lines += f", {replied - len(findings):,} of {replied:,} workers had answered to {doubt.question.name}"
    elif doubt.counts and expected:
        lines += f", {expected - sum(finding.count for finding in findings):,} of {expected:,} workers had answered"
    elif doubt.counts:
        lines += f", {sentences.count_of(replied, 'worker')} had answered"
    if findings:
        lines += f", no answer from {_names(findings)}"
    return f"{lines}: {doubt.reason}" if doubt.reason else lines


def _silent(doubt: Doubt, comparison: Comparison) -> list[Finding]:
    """Return those of whom nobody can know whether they are missing, as findings."""
    if not doubt.counts:
        return []
    if doubt.question:
        return [Finding("missing", Finding.NODE, node) for node in doubt.silent]
    return [finding for finding in comparison.withdrawn if finding.metric == "missing"]


def _names(findings: list[Finding]) -> str:
    names: list[str] = []
    for finding in in_order(findings):
        name = printable(finding.node) or sentences.subject(finding)
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
        yield from found[:left] if place[1] == Finding.PATTERN else _first(found, left)
        left = max(0, left - len(found))


def _first(findings: list[Finding], most: int) -> list[Finding]:
    if len(findings) <= most:
        return sorted(findings, key=lambda finding: natural(finding.name))
    # Imported here: rarely needed, and imports cost start-up.
    from heapq import nsmallest

    return nsmallest(most, findings, key=lambda finding: natural(finding.name))


def fit(top: str, lines: Iterable[str], count: int, more: Iterable[str]) -> str:
    """Return the first line, as many of `count` findings as fit, then as many further lines as fit.

    Findings that do not fit are counted on a line of their own, `... and 9,950 more`.
    """
    kept = [top]
    room = MOST_BYTES - len(top.encode()) - 1
    reserve = len(f"... and {count:,} more\n")
    for line in lines:
        size = len(line.encode()) + 1
        if size > room - reserve:
            break
        room -= size
        kept.append(line)
    untold = count - len(kept) + 1
    if untold:
        kept.append(f"... and {untold:,} more")
        room = 0
    for line in more:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
