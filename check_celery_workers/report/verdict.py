"""The verdict: a value first (state, status line, metrics, and what it is about), then as much text as fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from check_celery_workers.judgement.finding import Comparison, Finding
from check_celery_workers.judgement.metrics import ROWS
from check_celery_workers.node import natural, printable
from check_celery_workers.replies.doubt import Doubt
from check_celery_workers.replies.question import PING
from check_celery_workers.report import sentences
from check_celery_workers.secret import hidden

NAME = "CELERY WORKERS"

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000
# How much of the first line the names of silent workers may take.
_MOST_NAMES = 200

_ORDER = [row.label for row in ROWS]


class Verdict:
    """What a check says.

    ends_as: the state that is shown; where UNKNOWN is to end as another, that one
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- all that a verdict consists of
        self,
        state: str,  # OK, WARNING, CRITICAL or UNKNOWN
        status_line: str,  # what is wrong, or that nothing is
        comparison: Comparison | None = None,  # what it is about; None if it did not come to that
        perfdata: Sequence[str] = (),
        explanations: Sequence[str] = (),  # how each state came about, a line each
    ) -> None:
        self.state = self.ends_as = state
        self.status_line, self.comparison = status_line, comparison
        self.perfdata, self.explanations = perfdata, explanations

    def output(self, verbose: int = 0, raw: str = "") -> str:
        """Return the output, at most MOST_BYTES of it; `raw` is the beginning of the text, if it is to be shown.

        Perfdata are on the first line: NRPE may cut at 1 KiB. Those who are silent are the findings of an UNKNOWN.
        """
        top = " | ".join(filter(None, (f"{NAME} {self.ends_as} - {self.status_line}", " ".join(self.perfdata))))
        is_unknown = self.state == "UNKNOWN"
        findings, doubts = list[Finding](), list[str]()
        if self.comparison and is_unknown:
            findings = _silent(self.comparison.doubts[0], self.comparison)
        elif self.comparison:
            findings = self.comparison.findings
            doubts = [f"In doubt: {explain_doubt(doubt, self.comparison)}" for doubt in self.comparison.doubts]
        lines = (sentences.sentence(finding, is_unknown) for finding in in_order(findings))
        return fit(top, lines, len(findings), self._details(verbose, raw, bool(findings)), doubts)

    def _details(self, verbose: int, raw: str, has_findings: bool) -> Iterator[str]:
        comparison, is_known = self.comparison, self.state != "UNKNOWN"
        if comparison and is_known:
            yield from sentences.hints(comparison)
        if comparison and verbose and (is_known or has_findings):
            yield from sentences.online(comparison)
        if comparison and verbose >= 2 and is_known:
            yield from self.explanations
            yield from sentences.numbering(comparison.inventory, comparison.replies)
            if comparison.inquiry.origin:
                yield f"Asked with {comparison.inquiry.origin}"
            if comparison.inquiry.passed_over:
                yield f"Passed over in Celery's output: {comparison.inquiry.passed_over}"
        if raw:
            from check_celery_workers.replies.quote import quotable

            yield "Celery's output:"
            yield from map(quotable, raw.splitlines())


def unknown(reason: str, comparison: Comparison | None = None) -> Verdict:
    """Return the verdict that the state cannot be known, and why."""
    return Verdict("UNKNOWN", hidden(" ".join(reason.split()), 900), comparison)


def explain_doubt(doubt: Doubt, comparison: Comparison) -> str:
    """Return why something cannot be known, and whom that is about.

    "celery did not end before the timeout, 4 of 5 workers had replied, no reply from mail@app1"
    """
    if doubt.question and not doubt.problem:
        return sentences.untold(doubt.question, doubt.silent, comparison)
    if _nobody_answered(comparison) and not doubt.question:
        return _why_nobody(doubt, comparison)
    words = doubt.problem
    silent = _silent(doubt, comparison)
    expected, replied = comparison.inventory.least_workers, comparison.replies.count
    beats = comparison.inventory.size - expected
    if doubt.question is PING and silent:
        words += f", {beats - len(silent):,} of {sentences.count_of(beats, 'beat')} had replied to inspect ping"
    elif doubt.question and silent:
        all_of_them = sentences.count_of(replied, "worker")
        words += f", {replied - len(silent):,} of {all_of_them} had replied to inspect {doubt.question.name}"
    elif doubt.counts and comparison.inventory.only_beats_are_expected:
        words += f", {beats - len(silent):,} of {sentences.count_of(beats, 'beat')} had replied"
    elif doubt.counts and expected:
        lacking = sum(finding.count for finding in silent if finding.noun == "worker")
        words += f", {expected - lacking:,} of {sentences.count_of(expected, 'worker')} had replied"
    elif doubt.counts:
        words += f", {sentences.count_of(replied, 'worker')} had replied"
    if silent:
        words += f", no reply from {_names(silent)}"
    return f"{words}: {doubt.reason}" if doubt.reason else words


def _nobody_answered(comparison: Comparison) -> bool:
    return not (comparison.replies.count or comparison.beats)


def _why_nobody(doubt: Doubt, comparison: Comparison) -> str:
    """Return the reason, or else what is wrong: "The module shop was not found (celery ended with exit status 2)"."""
    failure = comparison.inquiry.asked[0].texts[-1].failure
    if doubt.reason:
        return f"{doubt.reason} ({failure})" if failure else doubt.reason
    noun = "beat" if comparison.inventory.only_beats_are_expected else "worker"
    return f"{doubt.problem}, no {noun} had replied" if doubt.counts else doubt.problem


def _silent(doubt: Doubt, comparison: Comparison) -> list[Finding]:
    """Return those of whom nobody can know whether they are missing, as findings."""
    if not doubt.counts or (_nobody_answered(comparison) and not doubt.question):
        # That all of them are silent says nothing.
        return []
    if doubt.question:
        noun = "beat" if doubt.question is PING else "worker"
        return [Finding("missing", Finding.NODE, node, noun=noun) for node in doubt.silent]
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
    places: dict[tuple[int, bool, int], list[Finding]] = {}
    for finding in findings:
        place = (_ORDER.index(finding.metric), finding.noun == "beat", finding.kind)
        places.setdefault(place, []).append(finding)
    left = sentences.MOST_LINES
    for place in sorted(places):
        from heapq import nsmallest

        found = places[place]
        is_ordered = place[2] == Finding.PATTERN
        yield from found[:left] if is_ordered else nsmallest(left, found, key=lambda finding: natural(finding.name))
        left = max(0, left - len(found))


def fit(  # noqa: PLR0913, PLR0917 -- each is another kind of line
    top: str, lines: Iterable[str], count: int, more: Iterable[str], doubts: Sequence[str] = ()
) -> str:
    """Return the first line, as many of `count` findings as fit, all doubts, then as many further lines as fit.

    Findings that do not fit are counted on a line of their own, `... and 9,950 more`.
    """
    kept = [top]
    room = MOST_BYTES - sum(len(line.encode()) + 1 for line in (top, *doubts))
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
    kept += doubts
    for line in more:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
