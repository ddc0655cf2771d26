"""A network that fails: a proxy before a TCP port of the loopback interface, which goes deaf.

with Proxy(broker.port) as proxy:
    proxy.go_deaf_before(b"PUBLISH")
    use(proxy.port)
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

# What is looked for may come in two pieces, shorter than this.
_MOST = 64


class Proxy:
    """Forwards each connection to a port, until it goes deaf: then all stay open, and nothing comes through."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.is_deaf = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._before = self._after = b""
        self._tails: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def go_deaf(self) -> None:
        """Let nothing through from now on."""
        self.is_deaf.set()

    def go_deaf_before(self, question: bytes) -> None:
        """Let nothing through from when a client sends this, which does not come through either."""
        self._before = question

    def go_deaf_after(self, question: bytes) -> None:
        """Let nothing through once a client has sent this, which comes through."""
        self._after = question

    def hear(self) -> None:
        """Let new connections through again; those that there were stay as they are."""
        self._before = self._after = b""
        for one in list(self._peers):
            with suppress(KeyError):
                self._selector.unregister(one)
        self.is_deaf.clear()

    def __enter__(self) -> Proxy:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for one in (self._listener, *self._peers):
            one.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.05):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is self._listener:
                    self._accept()
                else:
                    self._forward(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        self._clients.add(client)
        for one, peer in ((client, server), (server, client)):
            self._peers[one] = peer
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        sent = self._tails.get(one, b"") + data
        self._tails[one] = sent[-_MOST:]
        is_client = one in self._clients
        if is_client and self._before and self._before in sent:
            self.go_deaf()
        if not data:
            self._selector.unregister(one)
        if not self.is_deaf.is_set():
            with suppress(OSError):
                if data:
                    self._peers[one].sendall(data)
                else:
                    self._peers[one].shutdown(socket.SHUT_WR)
        if is_client and self._after and self._after in sent:
            self.go_deaf()
