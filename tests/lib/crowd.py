"""Workers that answer over a broker and start nothing.

with Crowd(redis.url, 200, "stuck") as crowd:
    ...
    assert crowd.asked["dump_active"] == 200
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any

import kombu
from kombu.pidbox import Mailbox


class Crowd:
    """So many workers that answer and start nothing, in one thread: what each says, and how often it was asked."""

    def __init__(self, broker: str, count: int, queue: str) -> None:
        self.asked: Counter[str] = Counter()
        self._nodes = [f"w-{number}@a" for number in range(1, count + 1)]
        listed = {"name": queue, "exchange": {"name": queue}, "routing_key": queue}
        self._replies = {"active_queues": [listed], "stats": {"total": {}, "pid": 1, "uptime": 9}}
        self._broker, self._ended = broker, Event()

    def __enter__(self) -> Crowd:
        self._pool = ThreadPoolExecutor(1)
        self._running = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._running.result()
        self._pool.shutdown()

    def _run(self) -> None:
        with kombu.Connection(self._broker) as connection:
            node = Mailbox("celery", type="fanout", accept=["json"])(connection).Node("crowd@a", channel=connection)
            consumer = node.listen(callback=lambda body, _: self._answer(node, body))
            while not self._ended.is_set():
                with suppress(socket.timeout):
                    connection.drain_events(timeout=0.1)
            consumer.cancel()

    def _answer(self, node: kombu.pidbox.Node, body: Mapping[str, Any]) -> None:
        method, to = body["method"], body["reply_to"]
        for name in body["destination"] or self._nodes:
            self.asked[method] += 1
            reply = {name: self._replies.get(method, [])}
            node.reply(reply, to["exchange"], to["routing_key"], body["ticket"])
