"""Why something cannot be known, and whom that is about, in words."""

from __future__ import annotations

from collections.abc import Collection

from check_celery_workers.judgement.finding import Comparison, Finding
from check_celery_workers.node import first_of, printable
from check_celery_workers.replies.doubt import Doubt
from check_celery_workers.replies.question import ACTIVE, LENGTHS, PING, STATS, Question
from check_celery_workers.report.sentences import count_of, in_order, subject

_NO_START = "--task-limit needs Celery 4.2: earlier ones do not say when a task was started"
_NO_UPTIME = "Celery before 4.4.3 does not say when a worker was started"
_NO_QUEUE = "no worker says which queues there are; name them: --backlog-critical NAME=RANGE"

# How much of the first line the names of silent workers may take.
_MOST_NAMES = 200


def explain_doubt(doubt: Doubt, comparison: Comparison) -> str:
    """Return why something cannot be known, and whom that is about.

    "celery did not end before the timeout, 4 of 5 workers had replied, no reply from mail@app1"
    """
    if doubt.question and not doubt.problem:
        return _untold(doubt.question, doubt.silent, comparison)
    if _nobody_answered(comparison) and not doubt.question:
        return _why_nobody(doubt, comparison)
    words = doubt.problem
    silent = silent_in(doubt, comparison)
    expected, replied = comparison.inventory.least_workers, comparison.replies.count
    beats = comparison.inventory.size - expected
    if doubt.question is PING and silent:
        words += f", {beats - len(silent):,} of {count_of(beats, 'beat')} had replied to inspect ping"
    elif doubt.question and silent:
        all_of_them = count_of(replied, "worker")
        words += f", {replied - len(silent):,} of {all_of_them} had replied to inspect {doubt.question.name}"
    elif doubt.counts and comparison.inventory.only_beats_are_expected:
        words += f", {beats - len(silent):,} of {count_of(beats, 'beat')} had replied"
    elif doubt.counts and expected:
        lacking = sum(finding.count for finding in silent if finding.noun == "worker")
        words += f", {expected - lacking:,} of {count_of(expected, 'worker')} had replied"
    elif doubt.counts:
        words += f", {count_of(replied, 'worker')} had replied"
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


def silent_in(doubt: Doubt, comparison: Comparison) -> list[Finding]:
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
        name = printable(finding.node) or subject(finding)
        if names and sum(map(len, names)) + len(name) > _MOST_NAMES:
            return f"{', '.join(names)} and {len(findings) - len(names):,} more"
        names.append(name)
    return ", ".join(names)


def _untold(question: Question, silent: Collection[str], comparison: Comparison) -> str:
    """Return why answers to a question are lacking that something needs, and whose if it is not everybody's."""
    if question is LENGTHS:
        return _untold_backlog([name for name in silent if name], comparison.lengths_measured)
    unclear = [node for node in comparison.unclear.get(question, ()) if node in silent]
    if question is ACTIVE and unclear:
        return _NO_START
    whose = f" of {first_of(silent)}" if question in comparison.replies.told else ""
    if question is STATS and unclear:
        reason = next(filter(None, comparison.unclear[question].values()), _NO_UPTIME)
        return f"--started-after cannot be judged{whose}: {reason}"
    asked = next((asked for asked in comparison.inquiry.asked if asked.question is question), None)
    if not asked or not silent:
        return f"Celery's output shows no {question.what}{whose}; run inspect {question.name}"
    unread = asked.replies.nodes().intersection(silent)
    if unread:
        return f"the reply of {first_of(unread)} to inspect {question.name} cannot be read"
    return f"{first_of(silent)} did not reply to inspect {question.name}"


def _untold_backlog(queues: Collection[str], is_measured: bool) -> str:
    whose = f" of {first_of(queues)}" if queues else ""
    if is_measured:
        return f"the broker shows no backlog{whose}, which another connection uses exclusively" if queues else _NO_QUEUE
    return f"Celery's output shows no backlog{whose}; use --broker"
