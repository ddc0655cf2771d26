"""What a worker lists, the queues that it consumes from and its tasks, what it says of itself, and how that is read.

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
_START = r"([0-9]+(?:\.[0-9]+)?(?:e\+[0-9]+)?|None)"
_TASK_TAIL = rf", 'time_start': {_START}, 'acknowledged': (?:True|False), 'delivery_info': \{{.*\}}$"
_TAIL_LENGTH = 2000
# A longer line is read at its ends alone: what a Python literal costs is a hundred times its length.
_LONGEST_LITERAL = 100_000
_CUT_JSON = r'\{"[^@\s"]+@[^"]+": ?[{\[]'
EMPTY = ("- empty -", "[]")


class Item:
    """What a worker lists in its reply to a question, or says of itself."""

    __slots__ = ()


class Queue(str, Item):
    """The name of a queue that a worker consumes from.

    known_as: the name that people know it by
    takes_turns: whether one of its consumers gets all messages, and the others wait for its end
    """

    __slots__ = ()

    @property
    def known_as(self) -> str:
        """Its own name, if it has no other."""
        return str(self)

    @property
    def takes_turns(self) -> bool:
        """False, if nothing else is known."""
        return False


class SpecialQueue(Queue):
    """A queue with an alias, since Celery has made up its name (Broadcast); or with a single active consumer."""

    __slots__ = ("_alias", "_takes_turns")

    _alias: str
    _takes_turns: bool

    def __new__(cls, name: str, alias: str, takes_turns: bool) -> SpecialQueue:
        """Return the queue of this name, which the application calls by the alias if there is one."""
        queue = super().__new__(cls, name)
        queue._alias, queue._takes_turns = alias, takes_turns
        return queue

    @property
    def known_as(self) -> str:
        """The alias if it has one."""
        return self._alias or str(self)

    @property
    def takes_turns(self) -> bool:
        """Whether it has RabbitMQ's x-single-active-consumer."""
        return self._takes_turns


class Stats(Item):
    """What a worker says of itself.

    total: how many tasks it has started, None if it does not say
    pid: the number of its process, which another one has after a restart
    started: when it was started, a Unix time by the clock of this host; None if it does not say (Celery before 4.4.3)
    """

    __slots__ = ("pid", "started", "total")

    def __init__(self, total: int | None, pid: int | None, uptime: float | None = None) -> None:
        """`uptime` is for how many seconds it has run when the reply is read."""
        self.total, self.pid = total, pid
        self.started = None if uptime is None else time.time() - uptime

    def __str__(self) -> str:
        return f"{self.total} tasks started"


class Task(Item):
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
    head = re.match(_TASK_HEAD, line)
    # Below it is no more than where the task came from, which an argument cannot look like from the end.
    start = line.rfind(", 'time_start': ", -_TAIL_LENGTH) if head else -1
    tail = re.fullmatch(_TASK_TAIL, line[start:]) if start >= 0 else None
    if head and tail and "\\" not in head[2]:
        started = None if tail[1] == "None" else float(tail[1])
        return Task(head[2], started, head[1]) if (started or 0.0) <= _LAST_UNIX_TIME else None
    # Celery 3.1, names with a backslash, and whatever else a version may print.
    if not line.startswith("* {") or len(line) > _LONGEST_LITERAL:
        return None
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
    alias, arguments = item.get("alias"), item.get("queue_arguments")
    alias = alias if isinstance(alias, str) else ""
    takes_turns = isinstance(arguments, Mapping) and arguments.get("x-single-active-consumer") is True
    return SpecialQueue(name, alias, takes_turns) if alias or takes_turns else Queue(name)


def read_stats(reply: object) -> Stats | None:
    """Return what a worker answers to `stats`, None if that cannot be read.

    {"total": {"shop.pay": 12, "shop.mail": 3}, "pid": 345, "uptime": 86400, ...} -> 15 tasks, started a day ago
    """
    if not isinstance(reply, Mapping) or not isinstance(reply.get("total"), Mapping):
        return None
    counts = list(reply["total"].values())
    pid, uptime = reply.get("pid"), reply.get("uptime")
    if not all(type(count) is int for count in counts):
        return None
    is_time = isinstance(uptime, (int, float)) and 0 <= uptime <= _LAST_UNIX_TIME
    return Stats(sum(counts), pid if isinstance(pid, int) else None, uptime if is_time else None)


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
    are_all = isinstance(replies, dict) and all(_is_reply(node, reply) for node, reply in replies.items())
    return replies if are_all else {}


def _is_reply(node: str, reply: object) -> bool:
    """Return whether this is the name of a node, and what a worker replies."""
    name, _, server = node.partition("@")
    if not name or not server:
        return False
    if isinstance(reply, dict):
        return isinstance(reply.get("ok"), str) or "error" in reply
    return isinstance(reply, list) and all(isinstance(item, dict) for item in reply)
