"""What a check should say of a fleet, told from what was done to it. Nothing here is the plugin's.

The fleet is that of NODES, of which NAMES are expected. Each worker consumes from a queue of its own, and from SHARED.

    workers = {node: Worker(node) for node in NODES}
    workers["w-1@a"].is_up = True
    outcome(workers.values(), (*NAMES, *TASK_LIMITS), Way.PIPE)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from running import CRITICAL, OK, WARNING, Outcome, perfdata

NUMBERED = ("w-1@a", "w-2@a", "w-3@a")
MATCHED = ("app-blue@c", "app-red@c")
EXPECTED = (*NUMBERED, "mail@b", *MATCHED)
# One more than match the pattern, one on a server of which others are expected, one on a server of its own.
STRANGERS = ("app-green@c", "stray@a", "stray@d")
NODES = (*EXPECTED, *STRANGERS)
SHARED = "shared"

# Of a worker of one process.
MOST_HELD = 4

NAMES = ("w-1..3@a", "mail@b", "app-*@c=2")
# A task of the first name is older than its limit, one of another name is younger.
LONG, SHORT = "proj.long", "proj.short"
TASK_LIMITS = ("--task-limit", f"{LONG}=0.001", "--task-limit", "600")
STALL_LIMIT = ("--stall-limit", "2s")
QUEUES = ("--queue", f"{SHARED}=4..", "--queue", "mail.b")
QUESTIONS = (
    NAMES,
    (*NAMES, *TASK_LIMITS),
    (*NAMES, *TASK_LIMITS, *QUEUES),
    (*NAMES, *TASK_LIMITS, "--ignore", "stray@*"),
    (*NAMES, *TASK_LIMITS, "-c", "1", "--unexpected-critical", "0"),
    (*QUEUES, *TASK_LIMITS),
)


class Way(Enum):
    """How the plugin gets to know of the fleet."""

    PIPE = "pipe"
    COMMAND = "COMMAND"
    BROKER = "--broker"


@dataclass
class Worker:
    """What was done to a worker, and so what it is like.

    is_stopped: it was sent SIGSTOP; is_deaf: it gets no message from its queue; has_stopped_pool: its pool hangs
    consumed: the queues that it consumes from
    task: the name of the task that it runs, "" for none
    held, waiting: how many tasks it has fetched and not started, how many messages are in its own queue
    """

    node: str
    is_up: bool = False
    is_stopped: bool = False
    is_deaf: bool = False
    has_stopped_pool: bool = False
    consumed: set[str] = field(default_factory=set)
    task: str = ""
    held: int = 0
    waiting: int = 0

    @property
    def queue(self) -> str:
        return self.node.replace("@", ".")

    @property
    def server(self) -> str:
        return self.node.partition("@")[2]

    @property
    def answers(self) -> bool:
        return self.is_up and not self.is_stopped

    @property
    def is_idle(self) -> bool:
        """Whether it would start a task at once."""
        hindered = self.is_deaf or self.has_stopped_pool or self.task or self.held or self.waiting
        return self.answers and self.queue in self.consumed and not hindered


class Count(NamedTuple):
    """So much of what has a label in the perfdata, its state, the words of the status line, and whom they name."""

    number: int
    state: int
    noun: str
    words: str
    names: Sequence[str]


def outcome(workers: Iterable[Worker], words: Sequence[str], way: Way) -> Outcome:
    """Return what a check with these words should say, with AGE for how long a task has run, and 0.5 for the time."""
    ignores = "--ignore" in words
    everybody = {one.node for one in workers if one.answers}
    heard = [one for one in workers if one.answers and not (ignores and one.node.startswith("stray@"))]
    online = {one.node for one in heard}
    by_name = NAMES[0] in words
    claimed = [one for one in heard if not by_name or not one.node.startswith("stray@")]
    missing = list(_missing(online, "stray@a" in everybody)) if by_name else []
    strangers = list(_unexpected(online)) if by_name else []
    faulty = {one.node: fault for one in claimed if (fault := _fault(one, words))}
    short = list(_short_queues(heard)) if "--queue" in words else []

    lacking = sum(count for _, _, count in missing)
    tolerated, alarming = ("1", CRITICAL) if "-c" in words else ("0", WARNING)
    state_of_missing = CRITICAL if lacking > int(tolerated) else OK
    counts = [
        Count(lacking, state_of_missing, "worker", "missing", [name for name, _, _ in missing]),
        Count(len(faulty), CRITICAL, "worker", "malfunctioning", sorted(faulty)),
        Count(len(short), CRITICAL, "queue", "short of consumers", [name for name, _ in short]),
        Count(len(strangers), alarming, "worker", "unexpected", [name for name, _ in strangers]),
    ]
    wrong = sorted((one for one in counts if one.number), key=lambda one: -one.state)
    state = max((one.state for one in wrong), default=OK)

    gone_servers = sum(name.startswith("server ") for name, _, _ in missing)
    numbers = {
        "missing": f"{lacking};;{tolerated};0;{len(EXPECTED) if by_name else 0}",
        "missing_servers": f"{gone_servers};;;0",
        "malfunctioning": f"{len(faulty)};;0;0",
        "unexpected": f"{len(strangers)};;0;0" if alarming == CRITICAL else f"{len(strangers)};0;;0",
        "unexpected_servers": f"{int(by_name and 'stray@d' in online)};;;0",
        "online": f"{len(online)};;;0",
    }
    if "--queue" in words:
        numbers["queues"] = f"{len(short)};;0;0"
    if "--task-limit" in words:
        numbers["oldest_task"] = "AGE;;;0" if any(one.task for one in claimed) else "0s;;;0"
    if "--stall-limit" in words:
        # Whoever consumes from it, also one who is ignored.
        queues = {queue for one in workers if one.answers for queue in one.consumed}
        if "--queue" in words:
            queues |= {"mail.b"}
            (mail,) = [one for one in workers if one.queue == "mail.b"]
            numbers |= {f"backlog_{SHARED}": "0;;;0", "backlog_mail.b": f"{mail.waiting};;;0"}
        numbers["backlog"] = f"{sum(one.waiting for one in workers if one.queue in queues)};;;0"
    if way is not Way.PIPE:
        numbers["time"] = "0.5s;;;0"

    where = {one.server for one in claimed}
    present = len(EXPECTED) - lacking if by_name else len(claimed)
    of_all = f"{present} of {len(EXPECTED)} workers" if by_name else f"{present} worker{'s' * (present > 1)}"
    servers = f"{len(where)} server{'s' * (len(where) > 1)}"
    head = f"{of_all} online on {servers}" if state == OK else ""
    status = _status(wrong, head, len(EXPECTED))
    lines = [
        f"CELERY WORKERS {('OK', 'WARNING', 'CRITICAL')[state]} - {status} | {perfdata(**numbers)}",
        *(line for _, line, _ in missing),
        *(f"Worker {node} was malfunctioning, {faulty[node]}" for node in sorted(faulty)),
        *(line for _, line in short),
        *(line for _, line in strangers),
    ]
    return Outcome("".join(f"{line}\n" for line in lines), state)


def _status(wrong: Sequence[Count], head: str, expected: int) -> str:
    """Return the words of the status line, where `head` comes first and tells of workers, if it is there."""
    parts, told = [head] if head else [], {"worker"} if head else set()
    for one in wrong:
        amount = str(one.number) if one.noun in told else f"{one.number} {one.noun}{'s' * (one.number > 1)}"
        if one.words == "missing" and not head:
            amount = f"{one.number} of {expected}{'' if one.noun in told else ' workers'}"
        told.add(one.noun)
        names = ", ".join(one.names) if len(one.names) <= 2 else ""
        parts.append(f"{amount} {one.words}" + (names and (f": {names}" if len(wrong) == 1 else f" ({names})")))
    return ", ".join(parts)


def _missing(online: set[str], another_on_a: bool) -> Iterator[tuple[str, str, int]]:
    """Yield what is missing: its name in the status line, its line, and for how many workers it accounts.

    another_on_a: whether a worker of that server answers that is not expected, perhaps ignored
    """
    gone = [node for node in NUMBERED if node not in online]
    all_gone = len(gone) == len(NUMBERED)
    if all_gone and not another_on_a:
        yield "server a", "Server a was missing, accounts for 3 missing workers", 3
    if "mail@b" not in online:
        yield "server b", "Server b was missing, accounts for 1 missing worker: mail@b", 1
    if all_gone and another_on_a:
        yield "w@a", "Worker w@a was missing, accounts for 3 missing workers", 3
    if not all_gone:
        yield from ((node, f"Worker {node} was missing", 1) for node in gone)
    there = sum(node.startswith("app-") for node in online)
    if there < 2:
        count, lacking = f"{there} worker{'s' * (there != 1)}", 2 - there
        accounts = f"accounts for {lacking} missing worker{'s' * (lacking > 1)}"
        yield "app-*@c", f"Pattern app-*@c matched {count} instead of 2, {accounts}", lacking


def _unexpected(online: set[str]) -> Iterator[tuple[str, str]]:
    """Yield who is unexpected: the name in the status line, and the line; each is one worker."""
    if "stray@d" in online:
        yield "server d", "Server d was unexpectedly present, accounts for 1 worker: stray@d"
    if "stray@a" in online:
        yield "stray@a", "Worker stray@a was unexpectedly present"
    if sum(node.startswith("app-") for node in online) > 2:
        yield "app-*@c", "Pattern app-*@c matched 3 workers instead of 2, accounts for 1 unexpected worker"


def _fault(worker: Worker, words: Sequence[str]) -> str:
    """Return why a worker that answers is malfunctioning, "" if it is not."""
    causes = [] if worker.consumed else ["it consumes from no queue"]
    if "--stall-limit" in words and not worker.task:
        if worker.held:
            none = "did not start the 1 task" if worker.held == 1 else f"started none of the {worker.held} tasks"
            causes.append(f"it {none} that it holds for 2 s")
        elif worker.waiting and worker.queue in worker.consumed:
            wait = "waits" if worker.waiting == 1 else "wait"
            causes.append(f"it started no task for 2 s while {worker.waiting} {wait} in queue {worker.queue}")
    if "--task-limit" in words and worker.task == LONG:
        causes.append(f"it has run {LONG} for AGE")
    return " and ".join(causes)


def _short_queues(heard: Sequence[Worker]) -> Iterator[tuple[str, str]]:
    """Yield the queues of QUEUES that lack consumers, with their lines."""
    for queue, least in (("mail.b", 1), (SHARED, 4)):
        there = sum(queue in one.consumed for one in heard)
        if there < least:
            consumers = f"{there} consumer{'s' * (there != 1)}"
            yield queue, f"Queue {queue} has {consumers} instead of at least {least}"
