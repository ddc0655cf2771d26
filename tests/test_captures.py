"""What real Celery of several versions printed, through the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest
from paths import CAPTURES
from running import CRITICAL, OK, UNKNOWN, check, perfdata

SCENARIOS = sorted(CAPTURES.glob("*/*.json"))
EXPECTED = ("specialworker-1..2@serverA", "other-worker-2@server-b.example.com", "celery@serverC")

ALL_WELL = """\
CELERY WORKERS OK - 5 of 5 workers online on 3 servers | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;5 \
missing_servers=0;;;0 online=5;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
"""
DUPLICATE_AND_UNEXPECTED = f"""\
CELERY WORKERS CRITICAL - 1 of 5 workers missing (specialworker-2@serverA), 1 duplicate (celery@serverC), \
1 unexpected (newspecialworker-1@serverA) | \
{perfdata(duplicate="1;0;;0", missing="1;;0;0;5", online="5;;;0", unexpected="1;0;;0")}
Worker specialworker-2@serverA was missing
Node name celery@serverC was used by more than one worker
Worker newspecialworker-1@serverA was unexpectedly present
"""
NO_QUEUE = f"""\
CELERY WORKERS CRITICAL - 1 worker malfunctioning: celery@serverC | \
{perfdata(malfunctioning="1;;0;0", missing="0;;0;0;5", online="5;;;0")}
Worker celery@serverC was malfunctioning, it consumes from no queue
"""
NO_JSON = """\
CELERY WORKERS UNKNOWN - celery: error: unrecognized arguments: --json
"""

# The output and the exit code of each scenario; that of one version where versions differ.
VERDICTS = {
    "all-online": (ALL_WELL, OK),
    "all-online-json": (ALL_WELL, OK),
    "4.4/all-online-json": (NO_JSON, UNKNOWN),
    "all-online-quiet": (ALL_WELL, OK),
    "all-online-terminal": (ALL_WELL, OK),
    "inspect-ping": (ALL_WELL, OK),
    "duplicate-and-unexpected": (DUPLICATE_AND_UNEXPECTED, CRITICAL),
    "duplicate-json": (DUPLICATE_AND_UNEXPECTED, CRITICAL),
    "4.4/duplicate-json": (NO_JSON, UNKNOWN),
    "no-queue": (NO_QUEUE, CRITICAL),
    "no-queue-json": (NO_QUEUE, CRITICAL),
    "no-worker": (
        f"""\
CELERY WORKERS CRITICAL - 5 of 5 workers missing | \
{perfdata(missing="5;;0;0;5", missing_servers="3;;;0", online="0;;;0")}
Server server-b.example.com was missing, accounts for 2 missing workers
Server serverA was missing, accounts for 2 missing workers
Server serverC was missing, accounts for 1 missing worker: celery@serverC
""",
        CRITICAL,
    ),
    "one-killed": (
        f"""\
CELERY WORKERS CRITICAL - 1 of 5 workers missing: specialworker-2@serverA | \
{perfdata(missing="1;;0;0;5", online="4;;;0")}
Worker specialworker-2@serverA was missing
""",
        CRITICAL,
    ),
    "one-stopped": (
        f"""\
CELERY WORKERS CRITICAL - 2 of 5 workers missing: server serverC, specialworker-2@serverA | \
{perfdata(missing="2;;0;0;5", missing_servers="1;;;0", online="3;;;0")}
Server serverC was missing, accounts for 1 missing worker: celery@serverC
Worker specialworker-2@serverA was missing
""",
        CRITICAL,
    ),
    "3.1/broker-down": (
        """\
CELERY WORKERS UNKNOWN - redis.exceptions.ConnectionError
""",
        UNKNOWN,
    ),
    "5.6/broker-down": (
        """\
CELERY WORKERS UNKNOWN - Error: Could not connect to the message broker. Please \
make sure your broker (e.g., RabbitMQ or Redis) is running and the connection settings are correct. Reason: Error 111 \
connecting to 127.0.0.1:1. Connection refused.
""",
        UNKNOWN,
    ),
    "no-such-app": (
        """\
CELERY WORKERS UNKNOWN - The module nosuchapp was not found.
""",
        UNKNOWN,
    ),
    "status-with-t": (
        """\
CELERY WORKERS UNKNOWN - celery: error: unrecognized arguments: -t
""",
        UNKNOWN,
    ),
}


def test_there_are_captures_of_each_version() -> None:
    assert {scenario.parent.name for scenario in SCENARIOS} >= {"3.1", "4.4", "5.6"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_verdict_on_what_celery_printed(scenario: Path) -> None:
    text = b"".join(
        file.read_bytes() for ending in (".stdout", ".stderr") if (file := scenario.with_suffix(ending)).exists()
    )
    version = f"{scenario.parent.name}/{scenario.stem}"
    assert check(*EXPECTED, text=text) == VERDICTS.get(version, VERDICTS.get(scenario.stem))
