"""A network that fails: a proxy before a TCP port of the loopback interface, which goes deaf.

with Proxy(broker.port) as proxy:
    proxy.go_deaf_before(b"PUBLISH")
    use(proxy.port)

with Proxy(broker.port) as proxy:
    proxy.keep_back(b"BRPOP")
    wait_for(lambda: proxy.keeps_back, "nobody asks for messages")
    proxy.let_through()
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
        self._before = self._after = self._kept_back = b""
        self._kept: dict[socket.socket, list[bytes]] = {}
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

    def keep_back(self, question: bytes) -> None:
        """Let nothing through on a connection from when a client sends this there; the others go on."""
        self._kept_back = question

    @property
    def keeps_back(self) -> bool:
        """Whether a client has sent what is kept back, with all that comes after it on that connection."""
        return bool(self._kept)

    def let_through(self) -> None:
        """Let go on where something was kept back, which comes through as well."""
        self._kept_back = b""

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
            if not self._kept_back:
                self._send_what_was_kept()
            for key, _ in self._selector.select(0.05):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is self._listener:
                    self._accept()
                else:
                    self._forward(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
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
        if is_client and self._kept_back and self._kept_back in sent:
            for end in (one, self._peers[one]):
                self._kept.setdefault(end, [])
        if not data:
            self._selector.unregister(one)
        if one in self._kept:
            # Who has gone asks for nothing any more: kombu gives such a connection up after 48 seconds.
            self._kept[one] = [*self._kept[one], data] if data else [b""]
        elif not self.is_deaf.is_set():
            self._send_on(one, data)
        if is_client and self._after and self._after in sent:
            self.go_deaf()

    def _send_on(self, one: socket.socket, data: bytes) -> None:
        with suppress(OSError):
            if data:
                self._peers[one].sendall(data)
            else:
                self._peers[one].shutdown(socket.SHUT_WR)

    def _send_what_was_kept(self) -> None:
        kept, self._kept = self._kept, {}
        for one, pieces in kept.items():
            for data in pieces:
                self._send_on(one, data)
