"""What workers answer over the broker, to an output: the same as `text` makes of what Celery prints.

{"worker-1@a": [{"name": "emails", "exchange": {...}, "routing_key": "emails", ...}]}      active_queues
{"worker-1@a": [{"id": "8b5c", "name": "shop.pay", "time_start": 1795579981.04, ...}]}    dump_active, dump_reserved
{"worker-1@a": {"total": {"shop.pay": 12}, "pid": 345, "uptime": 86400, ...}}             stats
{"celerybeat@a": {"ok": "pong"}}                                                           ping
{"worker-1@a": {"error": "KeyError('5',)"}}                                                any
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.node import split_node
from check_celery_workers.replies.item import Item, Stats, Task, read_item, read_stats
from check_celery_workers.replies.output import ARROW_5, Output
from check_celery_workers.replies.question import Question

_LONGEST = 1000


class Answers:
    """The answers to one question, as they come."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.nodes: set[str] = set()  # who has answered
        self.heard = 0.0  # when the last of them did, a time of `time.monotonic` in seconds
        self._at_first: set[str] = set()
        self._awaited: Awaited | None = None
        self._output = Output()

    @property
    def progress(self) -> tuple[int, int]:
        """How many have answered, and how many are expected."""
        return (self._awaited.replied, self._awaited.expected) if self._awaited else (len(self.nodes), 0)

    def tell(self, awaited: Awaited | None) -> None:
        """Tell whom it waits for what has come by now, and what is still to come."""
        self._awaited = awaited
        if awaited:
            for node in self.nodes:
                awaited.notice(*split_node(node))
                for item in self._output.bodies.get(node) or ():
                    awaited.hear(node, item)

    def add(self, body: object, seen: set[str] | None = None) -> str:
        """Add what came: node names with what each answers; return it as Celery prints it, "" if it is no answer.

        seen: who has answered to the same asking, of which there may be several
        """
        if not isinstance(body, dict):
            return ""
        seen = self._at_first if seen is None else seen
        return "".join(self._add(node, reply, seen) for node, reply in body.items() if _is_node(node))

    def output(self) -> Output:
        """Return the output, now that nothing more is awaited."""
        if not self._output:
            return Output(Output.NOBODY)
        self._output.close(self.question)
        return self._output

    def _add(self, node: str, reply: object, seen: set[str]) -> str:
        output, (group, digits) = self._output, split_node(node)
        self.heard = time.monotonic()
        if node in seen:
            output.replies.duplicates.add(node)
        elif node in self.nodes:
            # It was asked again, and what it says now holds.
            output.bodies.pop(node, None)
            output.empty.discard(node)
            output.unread.discard(node)
        seen.add(node)
        self.nodes.add(node)
        output.replies.groups.setdefault(group, set()).add(digits)
        if self._awaited:
            self._awaited.notice(group, digits)
        if isinstance(reply, dict) and "error" in reply:
            output.replies.note_error(node, reply["error"])
            return f"{ARROW_5}{node}: ERROR\n        {_in_words(reply['error'])}\n"
        if reply == []:
            output.hold(node)
        return f"{ARROW_5}{node}: OK\n" + "".join(self._read(node, reply))

    def _read(self, node: str, reply: object) -> Iterator[str]:
        if self.question.kind is Stats:
            yield self._hold(node, read_stats(reply))
            return
        if not isinstance(reply, list):
            yield f"        {_in_words(reply.get('ok') if isinstance(reply, dict) else None)}\n"
            return
        if not reply:
            yield "    - empty -\n"
        for listed in reply:
            yield self._hold(node, read_item(listed))

    def _hold(self, node: str, item: Item | None) -> str:
        """Add what a node listed, None: it cannot be read; return it in words."""
        if item is None:
            self._output.unread.add(node)
            return "    * ...\n"
        self._output.hold(node, item)
        if self._awaited:
            self._awaited.hear(node, item)
        # A task's arguments are other people's data.
        return f"    * {item.name if isinstance(item, Task) else item}\n"


def _is_node(name: object) -> bool:
    if not isinstance(name, str):
        return False
    own, _, server = name.partition("@")
    return bool(own and server)


def _in_words(value: object) -> str:
    """Return the beginning of a text, and of nothing else: whoever sends it decides how long that would take."""
    return value[:_LONGEST] if isinstance(value, str) else "..."
