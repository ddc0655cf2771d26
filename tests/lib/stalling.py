"""Workers that hold tasks and start none.

with stopped_pool(fleet, "w@a"):
    fleet.send_many("proj.nap", 12, 0)
    wait_until_held(fleet, "w@a", 8)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from daemons import children
from fleet import Fleet
from processes import wait_for


@contextmanager
def stopped_pool(fleet: Fleet, node: str) -> Iterator[None]:
    """Stop the processes of a worker's pool, so that they hang, and let them go on."""
    pool = children(fleet.pid(node))
    for process in pool:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in pool:
            os.kill(process, signal.SIGCONT)


def wait_until_held(fleet: Fleet, node: str, count: int) -> None:
    """Return when a worker holds so many tasks that it has not started."""
    wait_for(lambda: _listed(fleet, node, "reserved") == count, f"{node} does not hold {count} tasks")


def wait_until_scheduled(fleet: Fleet, node: str, count: int) -> None:
    """Return when a worker holds so many tasks for later."""
    wait_for(lambda: _listed(fleet, node, "scheduled") == count, f"{node} does not hold {count} tasks for later")


def _listed(fleet: Fleet, node: str, question: str) -> int:
    return fleet.text("inspect", question, "-t", "5", "-d", node).count("worker_pid")
