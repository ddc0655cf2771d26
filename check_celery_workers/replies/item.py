"""What a worker lists: the queues that it consumes from, its tasks; and how these are read.

`celery inspect QUESTION` prints a line for each queue or task below the node, as Celery 4.x and 5.x have it, and 3.1
with its keys in any order:

    * {'name': 'emails', 'exchange': {'name': ...}, 'routing_key': ...}                  active_queues
    * {'id': '8b5c', 'name': 'shop.pay', 'args': [1], ..., 'time_start': 1795579981.04}  active
    * {u'args': u'[1]', u'time_start': 1496.3, u'name': u'shop.pay', ...}                active of 3.1
    - empty -                                                                            neither queue nor task

A task's arguments are other people's data. They are never kept, and they cannot pass for a name or a start.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

# Unix time had passed this in 2001; the clock of a host that runs has not.
_FIRST_UNIX_TIME = 1e9
# A later start cannot be one in seconds.
_LAST_UNIX_TIME = 1e11

_STRING = r"'((?:[^'\\]|\\.)*)'"
# Anchored at both ends of the line, with nothing of the arguments between what is anchored and what is taken.
_QUEUE = rf"\* \{{'name': {_STRING}, 'exchange': \{{.*"
_TASK_HEAD = rf"\* \{{'id': '([^']*)', 'name': {_STRING}, 'args': "
_TASK_TAIL = (
    rf", 'hostname': {_STRING}, 'time_start': ([0-9.e+]+|None), 'acknowledged': (?:True|False), "
    r"'delivery_info': \{[^{}]*\}, 'worker_pid': (?:[0-9]+|None)\}$"
)
_TAIL_LENGTH = 2000
_CUT_JSON = r'\{"[^@\s"]+@[^"]+": ?[{\[]'
EMPTY = ("- empty -", "[]")


class Queue(str):
    """The name of a queue that a worker consumes from; `known_as`: the name that people know it by."""

    __slots__ = ()

    @property
    def known_as(self) -> str:
        """Its own name, if it has no other."""
        return str(self)


class NamedQueue(Queue):
    """A queue whose own name Celery has made up, with the name that the application gave it: a Broadcast queue."""

    __slots__ = ("_alias",)

    _alias: str

    def __new__(cls, name: str, alias: str) -> NamedQueue:
        """Return the queue of this name, which the application calls by the alias."""
        queue = super().__new__(cls, name)
        queue._alias = alias
        return queue

    @property
    def known_as(self) -> str:
        """The alias."""
        return self._alias


class Task:
    """A task that a worker has.

    started: a Unix time in seconds; before Celery 4.2 of the monotonic clock of the worker's host; None if it waits
    age: for how many seconds it had run when the reply was read, None if that cannot be known; one that starts in the
        future has run for none
    """

    __slots__ = ("_key", "age", "name", "started")

    def __init__(self, name: str, started: float | None, task_id: str = "") -> None:
        self.name = name
        self.started = started
        self.age = None if started is None or started < _FIRST_UNIX_TIME else max(0.0, time.time() - started)
        self._key = (task_id, name, started)

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same task, as another output lists it."""
        return isinstance(other, Task) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def read_line(line: str) -> Queue | Task | None:
    """Return the queue or the task that a line of text, without its indent, describes; None if it cannot be read."""
    queue = re.fullmatch(_QUEUE, line)
    if queue and "\\" not in queue[1] and "'alias': '" not in line:
        return Queue(queue[1])
    head, tail = re.match(_TASK_HEAD, line), re.search(_TASK_TAIL, line[-_TAIL_LENGTH:])
    if head and tail and "\\" not in head[2]:
        started = None if tail[2] == "None" else float(tail[2])
        return Task(head[2], started, head[1]) if (started or 0.0) <= _LAST_UNIX_TIME else None
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
    name, started, own_id = item["name"], item.get("time_start"), item.get("id")
    # No container is put into words: whoever sends it decides how long that takes.
    task_id = str(own_id) if isinstance(own_id, (str, int)) else ""
    if "time_start" in item and started is not None:
        is_number = isinstance(started, (int, float)) and not isinstance(started, bool)
        return Task(name, float(started), task_id) if is_number and 0 <= started <= _LAST_UNIX_TIME else None
    if "id" in item and "time_start" in item:
        return Task(name, None, task_id)
    if "routing_key" not in item or "id" in item:
        return None
    alias = item.get("alias")
    return NamedQueue(name, alias) if isinstance(alias, str) and alias else Queue(name)


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
