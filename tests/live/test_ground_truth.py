"""What the plugin says of a fleet, by each way of asking, is what was done to the fleet at random.

GROUND_TRUTH_STEPS=25 takes so many steps in each world, others each time; GROUND_TRUTH_SEED=1 takes those of that seed.
With --log-cli-level=INFO each is shown, and how often what was done.
"""

from __future__ import annotations

import functools
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import celery  # type: ignore[import-untyped]
import pytest
from ages import ageless
from celeries import Release, releases
from fleet import CELERY
from running import Outcome, at_the_timeout, run
from truth import NAMES, QUESTIONS, STALL_LIMIT, STRANGERS, Way, outcome
from world import OnRabbitMQ, OnRedis, World

pytestmark = [
    pytest.mark.celery,
    pytest.mark.daemon,
    pytest.mark.exhaustive,
    pytest.mark.usefixtures("nothing_is_left_running"),
]

log = logging.getLogger(__name__)

STEPS = int(os.environ.get("GROUND_TRUTH_STEPS", "0"))
# Between two steps, so many changes at most.
MOST_CHANGES = 3

CELERIES = [None, *releases("4.4")]


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Release], dict[str, str]]:
    """Return what installs an old Celery, once for both brokers."""
    return functools.cache(lambda old: old.install(tmp_path_factory.mktemp("packages")))


class Check(NamedTuple):
    """What was asked of whom, what the plugin said, and what it should have said."""

    way: Way
    words: Sequence[str]
    said: Outcome
    expected: Outcome

    def __str__(self) -> str:
        told = f"WRONG: {self.said}, should be {self.expected}" if self.is_wrong else f"right: {self.said.headline}"
        return f"by {self.way.value}, {' '.join(self.words)}: {told}"

    @property
    def is_wrong(self) -> bool:
        return self.said != self.expected


def ask(world: World, way: Way, words: Sequence[str], expected: str) -> Outcome:
    """Run the plugin; where it waits for those who do not reply, for as long as it takes to say what is expected."""
    fleet = world.fleet
    with fleet.ending_with_the_last_reply():
        if way is Way.PIPE:
            questions = ["active_queues", *["active"] * ("--task-limit" in words)]
            text = "".join(fleet.text("inspect", question, "-t", "100") for question in questions)
            return comparable(run(*words, text=text))
        words = (*words, "-t", "200")
        if way is Way.COMMAND:
            command = fleet.inspect_command("-t", "100")
            return comparable(run(*words, "--", *command, env=fleet.environment, cwd=fleet.directory))
    broker = ("--broker", world.broker.url)
    return at_the_timeout(lambda seconds: comparable(run(*words, "--reply-timeout", seconds, *broker)), expected)


def comparable(said: Outcome) -> Outcome:
    return said.timeless._replace(output=ageless(said.timeless.output))


def ask_and_compare(world: World, chance: random.Random) -> Iterator[Check]:
    """Ask one question by each way."""
    question = chance.choice(QUESTIONS)
    # Nobody knows when somebody answers whom nothing expects by name, so that the plugin listens to the end.
    nobody_else = question[0] == NAMES[0] and not any(world.workers[node].answers for node in STRANGERS)
    for way in Way:
        limit = STALL_LIMIT if way is Way.BROKER else ()
        wait = () if way is Way.PIPE or (nobody_else and chance.random() < 0.5) else ("--wait",)
        words = (*question, *limit, *wait)
        expected = comparable(outcome(world.workers.values(), words, way))
        yield Check(way, words, ask(world, way, words, expected.output), expected)


def version(old: Release | None) -> str:
    return old.celery if old else str(celery.__version__)


@pytest.mark.parametrize("old", CELERIES, ids=version)
@pytest.mark.parametrize("kind", [OnRedis, OnRabbitMQ])
def test_every_verdict_is_what_was_done(
    kind: type[World],
    old: Release | None,
    install: Callable[[Release], dict[str, str]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not kind.daemon.installed():
        pytest.skip(f"needs {kind.daemon.package}: apt-get install {kind.daemon.package}")
    caplog.set_level(logging.INFO, logger=__name__)
    seed = os.environ.get("GROUND_TRUTH_SEED") or (random.SystemRandom().randrange(10**6) if STEPS else 1)
    log.info("GROUND_TRUTH_SEED=%s", seed)
    chance = random.Random(f"{kind.__name__} {version(old)} {seed}")  # noqa: S311 -- the same again, if need be
    checks = []
    with kind(tmp_path, old.command if old else CELERY, install(old) if old else None) as world:
        for _ in range(STEPS or 2):
            for _ in range(chance.randint(1, MOST_CHANGES)):
                log.info("%s", world.change(chance))
            for check in ask_and_compare(world, chance):
                log.info("%s", check)
                checks.append(check)
    wrong = [check for check in checks if check.is_wrong]
    ways = Counter(check.way.value for check in checks)
    log.info("%d checks, %d wrong; %s; %s", len(checks), len(wrong), dict(ways), dict(world.counts))
    assert wrong == []
