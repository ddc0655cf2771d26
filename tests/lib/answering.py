"""A fleet that answers over the broker, in memory: what it says, and what the plugin makes of it.

fleet = {"w@a": Worker(queues=("emails",), holds=2), "v@a": Worker(silent=[STATS])}
verdict(asked(fleet, {"emails": 1204}, ACTIVE_QUEUES, STATS), "w@a", "v@a", "--backlog-warning", "1000")
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from running import Outcome

from check_celery_workers.errors import Unreachable
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.plugin import Workers, judge
from check_celery_workers.replies.answers import Answers
from check_celery_workers.replies.inquiry import Inquiry, Look, Text, sum_of
from check_celery_workers.replies.output import Output
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, LENGTHS, RESERVED, STATS, Question
from check_celery_workers.settings.settings import parse

# Nothing listens there: only root could.
REDIS = "redis://127.0.0.1:1/7"
LOST = "the broker redis://redis1/0 was lost: Connection closed by server."


class Worker(NamedTuple):
    """What a worker answers: its queues, how many tasks it runs and holds, and to `stats`."""

    queues: Sequence[str | Mapping[str, object]] = ("emails",)
    runs: int = 0
    holds: int = 0
    total: object = 7
    uptime: object = None
    silent: Sequence[Question] = ()  # the questions that it does not answer

    def answer(self, question: Question) -> object:
        """Return what it answers over the broker."""
        if question is ACTIVE_QUEUES:
            return [
                queue if isinstance(queue, Mapping) else {"name": queue, "routing_key": ""} for queue in self.queues
            ]
        if question is STATS:
            uptime = {} if self.uptime is None else {"uptime": self.uptime}
            return {"total": {"shop.mail": self.total}, "pid": 300, **uptime}
        count, started = (self.runs, time.time()) if question is ACTIVE else (self.holds, None)
        return [{"id": f"{number}", "name": "shop.mail", "args": [], "time_start": started} for number in range(count)]


Fleet = Mapping[str, Worker]
Lengths = Mapping[str, "int | None"]
W = {"w@a": Worker()}


def answers(question: Question, fleet: Fleet) -> Output:
    """Return what these workers answer to the question."""
    said = Answers(question)
    for node, worker in fleet.items():
        if question not in worker.silent:
            said.add({node: worker.answer(question)})
    return said.output()


def asked(fleet: Fleet, lengths: Lengths | None, *questions: Question) -> Inquiry:
    """Return what came when these questions were asked; no lengths: the connection was lost when these were."""
    inquiry = Inquiry()
    for question in questions or (ACTIVE_QUEUES, ACTIVE, RESERVED):
        inquiry.add(question, [Text([answers(question, fleet)], None, (), is_blank=False)])
    if lengths is None:
        inquiry.add(LENGTHS, [Text([], Unreachable(LOST), (), is_blank=False)])
    else:
        inquiry.add(LENGTHS, [Text([Output.of_lengths(lengths)], None, (), is_blank=False)])
    return inquiry


def look(when: float, fleet: Fleet, lengths: Lengths) -> Look:
    """Return a look at these workers."""
    outputs = [*(answers(question, fleet) for question in (ACTIVE, RESERVED, STATS)), Output.of_lengths(lengths)]
    return Look(when, sum_of(output.replies for output in outputs))


def watched(fleet: Fleet, lengths: Lengths, *later: Look, seconds: float = 15.0) -> Inquiry:
    """Return an inquiry after a watch; without later looks nothing has changed until its end."""
    inquiry = asked(fleet, lengths)
    later = later or (look(100.0, fleet, lengths), look(100.0 + seconds, fleet, lengths))
    inquiry.looks = [Look(99.0, inquiry.replies), *later]
    return inquiry


def verdict(inquiry: Inquiry, *arguments: str) -> Outcome:
    """Return the whole output on this inquiry, as with `--broker`."""
    settings = parse(["--broker", REDIS, *arguments])
    inventory = Inventory(settings.numbered_from, settings.ignore, vars(settings))
    for expected in settings.expected:
        inventory.expect(expected)
    for option in ("queue", "beat", "backlog_warning", "backlog_critical", "started_after"):
        for value in getattr(settings, option):
            inventory.expect_option(option, value)
    inventory.stall_limit = settings.stall_limit
    judged, code = judge(Workers(lambda: inquiry, inventory, settings.deadline), settings.thresholds)
    return Outcome(judged.output(settings.verbose), code)
