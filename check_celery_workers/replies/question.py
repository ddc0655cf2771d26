"""What Celery is asked: the questions, and which of them an inventory needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.replies.item import Item, Queue, Stats, Task

PLACEHOLDER = "{}"

_INSPECT = (
    r"\binspect\s(?:.*?\s)??(active_queues|active|clock|conf|memdump|memsample|objgraph|ping|query_task|registered|report|"
    r"reserved|revoked|scheduled|stats)\b"
)


class Question:
    """What a worker can be asked."""

    def __init__(  # noqa: PLR0913, PLR0917 -- a row of the table
        self,
        name: str,  # on the command line, `celery inspect NAME`
        what: str = "",  # what it lists, in words
        kind: type[Item] | None = None,  # and as a type; None where that is not read
        is_shown_by: Callable[[Item], bool] = lambda _item: True,  # whether this item shows the question
        wire: str = "",  # over the broker, if it has another name there
    ) -> None:
        self.name, self.what, self.kind = name, what, kind
        self.is_shown_by, self.wire = is_shown_by, wire or name

    @staticmethod
    def answered_by(item: Item, asked: Question | None = None) -> Question | None:
        """Return the question that this item answers: what was `asked`, or else one that only such an item answers."""
        if asked and asked.kind and isinstance(item, asked.kind):
            return asked
        return next((one for one in QUESTIONS if isinstance(item, one.kind or ()) and one.is_shown_by(item)), None)


def _has_started(task: Item) -> bool:
    return isinstance(task, Task) and task.started is not None


# It answers all that `ping` does, so it is asked first.
ACTIVE_QUEUES = Question("active_queues", "queues", Queue)
# Celery 3.1 knows the name on the wire alone.
ACTIVE = Question("active", "running tasks", Task, _has_started, "dump_active")
RESERVED = Question("reserved", "held tasks", Task, lambda _task: False, "dump_reserved")
STATS = Question("stats", "start times", Stats)
# All that a scheduler answers. Only schedulers are asked, where the workers were asked before.
PING = Question("ping", "beats")
# In the order in which they are asked. A new question is a row here.
QUESTIONS = (ACTIVE_QUEUES, ACTIVE, RESERVED, STATS, PING)
# The last is asked of the broker: how many messages wait in a queue.
LENGTHS = Question("queue.declare", "backlogs")

# What must be asked to judge an option, by its name.
NEEDED_FOR = {
    "queue": (ACTIVE_QUEUES,),
    "task_limit": (ACTIVE,),
    "stall_limit": (ACTIVE_QUEUES, ACTIVE, RESERVED, LENGTHS),
    "started_after": (STATS,),
    "beat": (PING,),
    "backlog": (LENGTHS,),
}


def is_given(value: object) -> bool:
    """Return whether an option has this value because somebody gave it; 0 is one."""
    return value is not False and value not in (None, [], {})


def needed_for(inventory: Inventory, options: Iterable[str] = NEEDED_FOR) -> list[Question]:
    """Return the questions whose answers the inventory needs for these options, each once."""
    given = (option for option in options if is_given(inventory.given(option)))
    return [*dict.fromkeys(question for option in given for question in NEEDED_FOR[option])]


def questions_for(inventory: Inventory) -> tuple[Question, ...]:
    """Return what the workers must be asked to judge the inventory, in the order in which they are asked."""
    wanted = {*needed_for(inventory)}
    if inventory.names_workers or wanted - {PING, LENGTHS}:
        wanted.add(ACTIVE_QUEUES)
    return tuple(question for question in QUESTIONS if question in wanted)


def has_placeholder(command: Sequence[str]) -> bool:
    """Return whether COMMAND leaves it to the plugin which question to ask."""
    return any(PLACEHOLDER in word for word in command)


def fill_in(command: Sequence[str], question: Question | None) -> list[str]:
    """Return COMMAND with the question in place of each `{}`."""
    return [word.replace(PLACEHOLDER, question.name) if question else word for word in command]


def asked_by(command: Sequence[str], wanted: Sequence[Question]) -> Sequence[Question | None]:
    """Return what COMMAND asks: all that is wanted if it leaves that to the plugin, or the one question that it shows.

    ["celery", "-A", "proj", "inspect", "-t", "5", "active_queues"] -> [ACTIVE_QUEUES]; None if it shows none or several
    """
    if has_placeholder(command):
        return wanted
    names = set(re.findall(_INSPECT, " ".join(command)))
    name = names.pop() if len(names) == 1 else ""
    return [next((one for one in QUESTIONS if one.name == name), Question(name) if name else None)]
