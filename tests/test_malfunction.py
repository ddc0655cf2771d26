"""Workers that answer and do not work, as real Celery 3.1, 4.4 and 5.6 show them.

In each capture of tests/malfunction `w-1@a` has the fault and consumes from `qa`, and `w-2@b`, where it is there, is
healthy and consumes from `celery`. `SCENARIO.COMMAND.json` says how and when it was taken; `-json` stands for `--json`.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from paths import CLONE
from running import CRITICAL, OK, UNKNOWN, Outcome, check, run

CAPTURES = CLONE / "tests" / "malfunction"
VERSIONS = ("3.1", "4.4", "5.6")

# In these one worker was there at all.
ALONE = ("rabbitmq-", "redis-", "threads-")
# In these the worker with the fault answers to nothing.
SILENT = ("main-stopped", "solo-busy", "warm-shutdown", "rabbitmq-consumer-timeout", "redis-half-open-pubsub")
# In these nobody consumes from qa.
WITHOUT_CONSUMER = ("consumer-cancelled", "wrong-queue", "healthy-", *SILENT)
# In these it runs a task that does not end.
ENDLESS = ("endless", "one-child-stopped-busy", "threads-endless")
# The arguments of the endless task stand so in the captures.
ARGUMENTS = re.compile(r"[\[(]100000")


class Capture(NamedTuple):
    """What one command printed in one scenario."""

    version: str
    scenario: str
    command: str

    @classmethod
    def of(cls, path: Path) -> Capture:
        """Return the one of this .json."""
        scenario, command = path.stem.split(".", 1)
        return cls(path.parent.name, scenario, command)

    def __str__(self) -> str:
        """Return its name for the ID of a test."""
        return f"{self.version}-{self.scenario}.{self.command}"

    @property
    def facts(self) -> dict[str, float]:
        """How it was taken."""
        facts: dict[str, float] = json.loads(self._path("json").read_text(encoding="utf-8"))
        return facts

    @property
    def text(self) -> str:
        """The text as of `2>&1`, the times in it as if it had been taken just now."""
        later = time.time() - self.facts["taken"]

        def moved(match: re.Match[str]) -> str:
            # Celery before 4.2 has the worker's own clock here.
            return match[1] + (repr(float(match[2]) + later) if float(match[2]) > 1e9 else match[2])

        printed = "".join(
            path.read_text(encoding="utf-8") for path in (self._path("stderr"), self._path("stdout")) if path.exists()
        )
        return re.sub(r"(time_start['\"]: )([0-9.]+)", moved, printed)

    @property
    def question(self) -> str:
        """What was asked, without how it was printed."""
        return self.command.removesuffix("-json")

    @property
    def expected(self) -> list[str]:
        """EXPECTED of those that were there."""
        return ["w-1..1@a"] if self.scenario.startswith(ALONE) else ["w-1..1@a", "w-2..2@b"]

    @property
    def silent(self) -> bool:
        """Whether `w-1@a` does not answer."""
        return self.scenario.startswith(SILENT) or self.scenario == "redis-paused"

    @property
    def replies(self) -> bool:
        """Whether anybody answers."""
        return not (self.silent and len(self.expected) == 1)

    def _path(self, suffix: str) -> Path:
        return CAPTURES / self.version / f"{self.scenario}.{self.command}.{suffix}"


def captures(*questions: str) -> list[Capture]:
    """Return those of these questions."""
    found = [Capture.of(path) for path in sorted(CAPTURES.glob("*/*.json"))]
    return [capture for capture in found if capture.question in questions]


def answered(*questions: str) -> list[Capture]:
    """Return those of these questions that anybody answered: that nobody did is a verdict by itself."""
    return [capture for capture in captures(*questions) if capture.replies]


def test_every_capture_has_its_test() -> None:
    questions = {"status", "ping", "active_queues", "active", "reserved", "scheduled", *OTHERS}
    assert {path.parent.name for path in CAPTURES.glob("*/*.json")} == set(VERSIONS)
    assert len(captures(*questions)) == len(list(CAPTURES.glob("*/*.json"))) > 300


OTHERS = ("stats", "report", "registered", "clock")
MISSING = {1: "1 of 1 worker missing: server a", 2: "1 of 2 workers missing: server a"}


def assert_present_or_missing(capture: Capture, outcome: Outcome) -> None:
    """Assert the verdict of a text that tells who answers, and no more."""
    number = len(capture.expected)
    if not capture.silent:
        of = "1 of 1 worker online on 1 server" if number == 1 else "2 of 2 workers online on 2 servers"
        assert (outcome.headline, outcome.findings) == (f"CELERY WORKERS OK - {of}", [])
        assert outcome.code == OK
        return
    assert outcome.code == CRITICAL
    assert outcome.headline.startswith(f"CELERY WORKERS CRITICAL - {MISSING[number]}")
    assert "Server a was missing, accounts for 1 missing worker: w-1@a" in outcome.findings


@pytest.mark.parametrize("capture", captures("status", "ping"), ids=str)
def test_who_answers(capture: Capture) -> None:
    assert_present_or_missing(capture, check(*capture.expected, text=capture.text))


@pytest.mark.parametrize("capture", answered("status", "ping"), ids=str)
def test_who_answers_tells_neither_queues_nor_tasks(capture: Capture) -> None:
    asked = check(*capture.expected, "--queue", "qa", text=capture.text)
    assert_in_doubt(capture, asked, "Celery's output shows no queues; run inspect active_queues")
    limited = check(*capture.expected, "--task-limit", "3600", text=capture.text)
    assert_in_doubt(capture, limited, "Celery's output shows no running tasks; run inspect active")


def assert_in_doubt(capture: Capture, outcome: Outcome, doubt: str) -> None:
    """Assert that it is UNKNOWN for this reason; that somebody is missing stands all the same."""
    if not capture.silent:
        assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {doubt}\n", UNKNOWN)
        return
    missing = "Server a was missing, accounts for 1 missing worker: w-1@a"
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 2 workers missing: server a"
    assert outcome.findings == [missing, f"In doubt: {doubt}"]
    assert outcome.code == CRITICAL
    # Nothing is said of the numbers that are in doubt.
    assert not outcome.perfdata.keys() & {"queues", "oldest_task"}


@pytest.mark.parametrize("capture", captures("active_queues"), ids=str)
def test_queues(capture: Capture) -> None:
    findings = ["Server a was missing, accounts for 1 missing worker: w-1@a"] if capture.silent else []
    if capture.scenario == "consumer-cancelled":
        findings.append("Worker w-1@a was malfunctioning, it consumes from no queue")
    plain = check(*capture.expected, text=capture.text)
    assert [line for line in plain.findings if "2>&1" not in line] == findings
    assert plain.code == (CRITICAL if findings else OK)

    short = capture.scenario.startswith(WITHOUT_CONSUMER) or capture.silent
    if short:
        findings.append("Queue qa has 0 consumers instead of at least 1")
    outcome = check(*capture.expected, "--queue", "qa", text=capture.text)
    assert [line for line in outcome.findings if "2>&1" not in line] == findings
    assert outcome.code == (CRITICAL if findings else OK)
    assert outcome.perfdata["queues"] == f"{int(short)};;0;0"
    if not short:
        assert check(*capture.expected, "--queue", "qa=1", text=capture.text).code == OK
        assert check(*capture.expected, "--queue", "qa=2..", text=capture.text).findings == [
            "Queue qa has 1 consumer instead of at least 2"
        ]


@pytest.mark.parametrize("capture", captures("active_queues"), ids=str)
def test_the_queue_that_the_healthy_worker_consumes_from(capture: Capture) -> None:
    consumers = 2 if capture.scenario.startswith("healthy-") else len(capture.expected) - 1
    outcome = check(*capture.expected, "--queue", f"celery={consumers}..{consumers}", text=capture.text)
    assert outcome.perfdata["queues"] == "0;;0;0"
    assert "Queue celery" not in outcome.output


@pytest.mark.parametrize("capture", captures("active_queues"), ids=str)
def test_queues_without_expected_workers(capture: Capture) -> None:
    outcome = check("--queue", "qa", text=capture.text)
    assert outcome.perfdata["unexpected"].startswith("0;")
    short = capture.scenario.startswith(WITHOUT_CONSUMER) or capture.silent
    assert outcome.code == (CRITICAL if short else OK)


TASK = re.compile(r"Worker w-1@a was malfunctioning, it has run proj\.nap for [0-9]+ s(, 2 tasks over their limit)?")


@pytest.mark.parametrize("capture", captures("active"), ids=str)
def test_tasks(capture: Capture) -> None:
    # Whether anybody is idle or not: nobody is without a queue.
    assert_present_or_missing(capture, check(*capture.expected, text=capture.text))

    text = capture.text
    if capture.version == "3.1" and "time_start" in text:
        outcome = check(*capture.expected, "--task-limit", "3600", text=text)
        assert outcome.code == UNKNOWN
        assert "4.2" in outcome.headline
        return
    outcome = check(*capture.expected, "--task-limit", "3600", text=text)
    assert_present_or_missing(capture, outcome)
    oldest = re.fullmatch(r"([0-9.]+)s;;;0", outcome.perfdata["oldest_task"])
    assert oldest
    running = "time_start" in text
    assert running or float(oldest[1]) == 0
    if not capture.scenario.startswith(ENDLESS):
        return
    assert running
    limited = check(*capture.expected, "--task-limit", "1", text=text)
    assert limited.headline == "CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-1@a"
    assert limited.code == CRITICAL
    assert len(limited.findings) == 1
    told = TASK.fullmatch(limited.findings[0])
    assert told, limited.findings
    assert bool(told[1]) == (capture.scenario != "one-child-stopped-busy")
    assert float(oldest[1]) > 1
    assert check(*capture.expected, "--task-limit", "proj.other=1", text=text).code == OK
    assert check(*capture.expected, "--task-limit", "proj.n*=1", text=text).code == CRITICAL
    assert check(*capture.expected, "--task-limit", "*.nap=3600", "--task-limit", "1", text=text).code == OK


@pytest.mark.parametrize("capture", answered("active"), ids=str)
def test_tasks_are_no_queues(capture: Capture) -> None:
    outcome = check(*capture.expected, "--queue", "qa", text=capture.text)
    if "name" in capture.text:
        assert_in_doubt(capture, outcome, "Celery's output shows no queues; run inspect active_queues")
    else:
        # Where everybody lists nothing, nobody knows of what.
        assert outcome.findings[-1] == (
            "Queue qa has 0 consumers instead of at least 1, or this is not what inspect active_queues prints"
        )
        assert outcome.code == CRITICAL


@pytest.mark.parametrize("capture", captures("reserved", "scheduled"), ids=str)
def test_tasks_that_wait(capture: Capture) -> None:
    assert_present_or_missing(capture, check(*capture.expected, text=capture.text))
    limited = check(*capture.expected, "--task-limit", "1", text=capture.text)
    assert "was malfunctioning" not in limited.output


@pytest.mark.parametrize("capture", captures(*OTHERS), ids=str)
def test_other_questions(capture: Capture) -> None:
    outcome = check(*capture.expected, text=capture.text)
    if capture.command.endswith("-json") and capture.replies:
        # A dict of another kind than {"ok": "pong"} is no reply.
        assert outcome.code == UNKNOWN
    else:
        assert_present_or_missing(capture, outcome)


@pytest.mark.parametrize("capture", captures("active", "reserved", "scheduled"), ids=str)
def test_no_argument_of_a_task_leaves(capture: Capture) -> None:
    for options in (["--task-limit", "1"], ["--queue", "qa"], []):
        outcome = check(*capture.expected, "-vvv", *options, text=capture.text)
        assert not ARGUMENTS.search(outcome.output)


NO_START = "--task-limit needs Celery 4.2: earlier ones do not say when a task was started"
SCENARIOS = ("consumer-cancelled", "endless", "healthy-busy", "healthy-idle", "wrong-queue")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_questions_of_a_command(tmp_path: Path, version: str, scenario: str) -> None:
    for question in ("active_queues", "active"):
        (tmp_path / question).write_text(Capture(version, scenario, question).text, encoding="utf-8")
    arguments = ["w-1..1@a", "w-2..2@b", "--queue", "qa", "--task-limit", "600"]
    outcome = run(*arguments, "--settle", "0", "--", "sh", "-c", 'cat "$0"', f"{tmp_path}/{{}}")
    findings = {
        "consumer-cancelled": [
            "Worker w-1@a was malfunctioning, it consumes from no queue",
            "Queue qa has 0 consumers instead of at least 1",
        ],
        "endless": [],
        "healthy-busy": ["Queue qa has 0 consumers instead of at least 1"],
        "healthy-idle": ["Queue qa has 0 consumers instead of at least 1"],
        "wrong-queue": ["Queue qa has 0 consumers instead of at least 1"],
    }
    if version == "3.1" and scenario == "endless":
        assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {NO_START}\n", UNKNOWN)
        return
    doubts = [f"In doubt: {NO_START}"] if version == "3.1" and scenario == "healthy-busy" else []
    assert outcome.findings == findings[scenario] + doubts
    assert outcome.code == (CRITICAL if findings[scenario] else OK)
