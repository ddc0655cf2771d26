"""The verdict: a value first (state, status line, metrics, and what it is about), then as much text as fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from check_celery_workers.judgement.finding import Comparison, Finding
from check_celery_workers.report import sentences
from check_celery_workers.report.reason import explain_doubt, silent_in
from check_celery_workers.secret import hidden

NAME = "CELERY WORKERS"

# Icinga and Nagios keep some 8 KiB of output.
MOST_BYTES = 8000


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
            findings = silent_in(self.comparison.doubts[0], self.comparison)
        elif self.comparison:
            findings = self.comparison.findings
            doubts = [f"In doubt: {explain_doubt(doubt, self.comparison)}" for doubt in self.comparison.doubts]
        lines = (sentences.sentence(finding, is_unknown) for finding in sentences.in_order(findings))
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
