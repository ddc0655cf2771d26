"""A check whose system calls fail, which has too little of something, or whose streams are blocked, keeps its promise.

The promise: a state of 0 to 3 that is right or UNKNOWN, one clean first line, nothing on standard error, an end within
--timeout and 2 seconds, nothing left running. TORTURE=whole lets each call fail with each of its errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from brokers import Redis
from crowd import Crowd
from processes import wait_for
from running import CRITICAL, OK, UNKNOWN, WARNING
from test_tasks import MAIL, YOUNG, active
from torture import BASELINE, BROKER, COMMAND, Campaign, Run, Scene, few_descriptors, little_memory, run

pytestmark = [pytest.mark.daemon, pytest.mark.exhaustive, pytest.mark.usefixtures("nothing_is_left_running")]

WHOLE = os.environ.get("TORTURE") == "whole"
AT_ONCE = 6
MIB = 1 << 20

RIGHT = {
    "pipe": ("CELERY WORKERS OK - 2 of 2 workers online on 1 server", OK),
    "command": ("CELERY WORKERS CRITICAL - 1 worker malfunctioning: w-2@a", CRITICAL),
    "backlogs": ("CELERY WORKERS WARNING - 1 queue backed up: stuck", WARNING),
    "stall": ("CELERY WORKERS CRITICAL - 2 workers malfunctioning: w-1@a, w-2@a", CRITICAL),
    "baseline": ("w-1..2@a\nqueue mail=2..\n", OK),
    "file": ("CELERY WORKERS CRITICAL - 1 of 3 workers missing: w-3@a", CRITICAL),
}
BOTH = "w-1@a: OK\nw-2@a: OK\n\n2 nodes online.\n"
MAIL_QUEUE = "    * {'name': 'mail', 'exchange': {'name': 'mail'}, 'routing_key': 'mail'}\n"
QUEUES = f"->  w-1@a: OK\n{MAIL_QUEUE}->  w-2@a: OK\n{MAIL_QUEUE}\n2 nodes online.\n"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Two workers that start nothing, and five messages in their queue."""
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    with Redis(tmp_path_factory.mktemp("redis")) as redis, Crowd(redis.url, 2, "stuck"):
        assert isinstance(redis, Redis)
        redis.ask("RPUSH", "stuck", *"12345")
        wait_for(lambda: redis.ask("PUBSUB", "NUMPAT") != ["0"], "the workers do not listen")
        yield redis


@pytest.fixture
def scenes(redis: Redis, tmp_path: Path) -> dict[str, Scene]:
    (tmp_path / "expected").write_text("w-1..1@a\nw-2..2@a\nw-3..3@a\n", encoding="utf-8")
    (tmp_path / "active_queues").write_text(QUEUES, encoding="utf-8")
    (tmp_path / "active").write_text(active({"w-1@a": [YOUNG], "w-2@a": [MAIL]}), encoding="utf-8")
    script = 'cat "$1"; exec sleep 60'
    broker = ("w-2@a", "--settle", "0", "--reply-timeout", "6", "--broker", redis.url)
    return {
        "pipe": Scene(["w-1..2@a"], BOTH),
        "command": Scene(
            ["w-1..2@a", "--task-limit", "1h", "--settle", "0", "--", "sh", "-c", script, "sh", f"{tmp_path}/{{}}"],
            imports=COMMAND,
        ),
        "backlogs": Scene([*broker, "--backlog-warning", "stuck=3"], imports=BROKER),
        "stall": Scene([*broker, "--stall-limit", "1s"], imports=BROKER),
        "baseline": Scene(["--baseline", str(tmp_path / "baseline")], QUEUES, imports=BASELINE),
        "file": Scene(["--expect-file", str(tmp_path / "expected")], BOTH),
    }


def broken(runs: Iterable[tuple[object, str | None]]) -> list[str]:
    """Return the faults that break a promise, with the promise."""
    return [f"{fault}: {promise}" for fault, promise in runs if promise]


@pytest.mark.parametrize("name", RIGHT)
def test_each_system_call_after_the_imports_may_fail_once(
    scenes: dict[str, Scene], name: str, record_property: Callable[[str, object], None]
) -> None:
    campaign = Campaign(scenes[name])
    assert campaign.right == RIGHT[name]
    faults = list(campaign.faults(WHOLE))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        promises = list(pool.map(campaign.broken_by, faults))
    injected = len(promises) - promises.count(None)
    record_property("faults", injected)
    assert injected > len(faults) / 2
    assert broken((f"{name}: {fault}", promise) for fault, promise in zip(faults, promises)) == []


@pytest.mark.parametrize("name", RIGHT)
def test_little_memory_is_enough_or_unknown(scenes: dict[str, Scene], name: str) -> None:
    """After the imports, and where Python itself does not give up, which it does now and then. A thread takes 8 MiB."""
    few = (*range(0, MIB, MIB // 4), *range(8 * MIB, 10 * MIB, MIB // 2))
    sizes = (*(range(0, 16 * MIB, MIB // 32) if WHOLE else few), 64 * MIB)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda size: run(scenes[name], limit=little_memory(size)), sizes))
    alive = [(size, done) for size, done in zip(sizes, runs) if not done.error.startswith("Fatal Python error: ")]
    assert broken((f"{name}, {size} bytes", done.broken(RIGHT[name])) for size, done in alive) == []
    assert runs[-1].verdict == RIGHT[name]


@pytest.mark.parametrize("imports", ["after", "during"])
@pytest.mark.parametrize("name", RIGHT)
def test_few_descriptors_are_enough_or_unknown(scenes: dict[str, Scene], name: str, imports: str) -> None:
    scene = scenes[name] if imports == "after" else scenes[name]._replace(imports="")
    numbers = (*range(3, 16, 1 if WHOLE else 3), 64)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda number: run(scene, limit=few_descriptors(number)), numbers))
    assert broken((f"{name}, {number}", done.broken(RIGHT[name])) for number, done in zip(numbers, runs)) == []
    assert runs[-1].verdict == RIGHT[name]


def at_the_same_time(scenes: dict[str, Scene], stream: str, fd: int) -> dict[str, Run]:
    """Run all scenes with this stream: they wait for the same deadline."""
    with ThreadPoolExecutor(len(scenes)) as pool:
        return dict(zip(scenes, pool.map(lambda scene: run(scene, streams={stream: fd}), scenes.values())))


@pytest.fixture
def silent() -> Iterator[int]:
    """A pipe that nobody writes to."""
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


@pytest.fixture
def full() -> Iterator[int]:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


def test_standard_input_that_nobody_writes_to(scenes: dict[str, Scene], silent: int) -> None:
    runs = at_the_same_time(scenes, "stdin", silent)
    assert broken((name, runs[name].broken(RIGHT[name])) for name in runs) == []
    late = "CELERY WORKERS UNKNOWN - standard input did not end before the timeout"
    for name, done in runs.items():
        if scenes[name].text:
            assert done.output.startswith(late)
        else:
            assert done.verdict == RIGHT[name]


def test_standard_output_that_nobody_reads(scenes: dict[str, Scene], full: int) -> None:
    runs = at_the_same_time(scenes, "stdout", full)
    assert broken((name, done.broken(("", UNKNOWN))) for name, done in runs.items()) == []


def test_standard_error_that_nobody_reads(scenes: dict[str, Scene], full: int) -> None:
    runs = at_the_same_time(scenes, "stderr", full)
    assert {name: done.verdict for name, done in runs.items()} == RIGHT
    assert broken((name, done.broken(RIGHT[name])) for name, done in runs.items()) == []
