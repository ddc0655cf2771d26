"""What workers replied: the queues that they consume from, the tasks that they run.

Below the node name stands one line for each, as Celery 4.x and 5.x print it, and 3.1 with its keys in any order:

    * {'name': 'emails', 'exchange': {'name': ...}, 'routing_key': ...}                  inspect active_queues
    * {'id': '8b5c', 'name': 'shop.pay', 'args': [1], ..., 'time_start': 1795579981.04}  inspect active
    * {u'args': u'[1]', u'time_start': 1496.3, u'name': u'shop.pay', ...}                3.1
    - empty -                                                                            neither queue nor task

A task's arguments are other people's data. They are never kept, and they cannot pass for a name or a start.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from check_celery_workers.node import Group, node_name

_STRING = r"'((?:[^'\\]|\\.)*)'"
# Anchored at both ends of the line, with nothing of the arguments between what is anchored and what is taken.
_QUEUE = rf"\* \{{'name': {_STRING}, 'exchange': \{{.*"
_TASK_HEAD = rf"\* \{{'id': '[^']*', 'name': {_STRING}, 'args': "
_TASK_TAIL = (
    rf", 'hostname': {_STRING}, 'time_start': ([0-9.e+]+|None), 'acknowledged': (?:True|False), "
    r"'delivery_info': \{[^{}]*\}, 'worker_pid': (?:[0-9]+|None)\}$"
)
_TAIL_LENGTH = 2000
_CUT_JSON = r'\{"[^@\s"]+@[^"]+": ?[{\[]'

EMPTY = ("- empty -", "[]")
DUPLICATES = "DuplicateNodenameWarning: Received multiple replies from node name"


class Queue(str):
    """The name of a queue that a worker consumes from."""

    __slots__ = ()


class Task:
    """A task that a worker runs.

    started: a Unix time in seconds; before Celery 4.2, of the monotonic clock of the worker's host
    age: for how many seconds it had run when the reply was read; one that starts in the future has run for none
    """

    __slots__ = ("age", "name", "started")

    def __init__(self, name: str, started: float) -> None:
        self.name = name
        self.started = started
        self.age = max(0.0, time.time() - started)

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same task, as another output lists it."""
        return isinstance(other, Task) and (self.name, self.started) == (other.name, other.started)

    def __hash__(self) -> int:
        return hash((self.name, self.started))


class Replies:
    """Who replied, and what, in all outputs together.

    groups: the indexes that replied of each group, in digits as the workers write them
    count: how many node names these are
    duplicates, errors: node names that more than one worker answers to, or that replied ERROR
    queues: the node names that consume from each queue; without_queue: those that consume from none
    tasks: the running tasks of each node name
    tell_queues, tell_tasks: whether a text told who consumes from which queue, or who runs which task
    """

    def __init__(self) -> None:
        self.groups: dict[Group, set[str]] = {}
        self.count = 0
        self.duplicates: set[str] = set()
        self.errors: set[str] = set()
        self.queues: dict[str, set[str]] = {}
        self.without_queue: set[str] = set()
        self.tasks: dict[str, set[Task]] = {}
        self.tell_queues = False
        self.tell_tasks = False

    def add_item(self, node: str, item: Queue | Task) -> bool:
        """Add a queue that a node consumes from, or a task that it runs; return whether it was a queue."""
        if isinstance(item, Queue):
            self.queues.setdefault(str(item), set()).add(node)
            return True
        self.tasks.setdefault(node, set()).add(item)
        self.tell_tasks = True
        return False

    def add(self, other: Replies) -> None:
        """Add what an answer to the question `active` says."""
        for group, indexes in other.groups.items():
            known = self.groups.setdefault(group, set())
            self.count += len(indexes - known)
            known |= indexes
        self.duplicates |= other.duplicates
        self.errors |= other.errors
        for node, tasks in other.tasks.items():
            self.tasks.setdefault(node, set()).update(tasks)
        self.tell_tasks = self.tell_tasks or other.tell_tasks

    def nodes(self) -> set[str]:
        """Return the node names that replied."""
        return {node_name(group, digits) for group, indexes in self.groups.items() for digits in indexes}


def read_line(line: str) -> Queue | Task | None:
    """Return the queue or the running task that a line of text, without its indent, describes; None if it does not."""
    queue = re.fullmatch(_QUEUE, line)
    if queue and "\\" not in queue[1]:
        return Queue(queue[1])
    head, tail = re.match(_TASK_HEAD, line), re.search(_TASK_TAIL, line[-_TAIL_LENGTH:])
    if head and tail and "\\" not in head[1]:
        return None if tail[2] == "None" else Task(head[1], float(tail[2]))
    # Celery 3.1, names with a backslash, and whatever else a version may print.
    from ast import literal_eval

    try:
        return read_item(literal_eval(line.removeprefix("* ")))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def read_item(item: object) -> Queue | Task | None:
    """Return the same from an item of JSON, or from a Python literal."""
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        return None
    started = item.get("time_start")
    if isinstance(started, (int, float)) and not isinstance(started, bool):
        return Task(item["name"], float(started))
    return Queue(item["name"]) if "routing_key" in item and "id" not in item else None


def duplicates_in(line: str) -> list[str]:
    """Return the node names in Celery's warning of DUPLICATES, which may stand inside a line of JSON."""
    names = re.sub(r"""\.?(?:["'\\].*)?$""", "", line.partition(DUPLICATES)[2].partition(": ")[2])
    return [name for name in names.split(", ") if name]


def read_json(line: str) -> dict[str, dict[str, object] | list[object]]:
    """Return the replies in a line of JSON by node name, {} if it is JSON of another kind or none at all.

    Raises ValueError if it is a reply that breaks off.
    """
    import json

    try:
        replies = json.loads(line)
    except (ValueError, RecursionError):
        if re.match(_CUT_JSON, line):
            raise ValueError from None
        return {}
    return {node: reply for node, reply in replies.items() if _is_reply(node, reply)}


def _is_reply(node: str, reply: object) -> bool:
    """Return whether this is what a worker replied; without an @ in its name, only if nothing else looks like that."""
    if isinstance(reply, dict):
        return isinstance(reply.get("ok"), str) or "error" in reply if "@" in node else reply == {"ok": "pong"}
    return isinstance(reply, list) and ("@" in node or any(read_item(item) for item in reply))
