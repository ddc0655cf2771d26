"""The connection to the broker: kombu, told what to do and put into words. All of it may hang."""

from __future__ import annotations

import logging
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module

from check_celery_workers.errors import CannotJudge, SourceError, Unreachable, UsageError
from check_celery_workers.node import printable
from check_celery_workers.replies.question import Question
from check_celery_workers.sources.broker.address import Address
from check_celery_workers.sources.broker.options import CONNECT, ssl_options, transport_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from kombu import Message

OLDEST = (5, 2)  # of kombu

_INSTALL = "pip install 'check_celery_workers[broker]', on Debian python3-kombu, python3-redis and python3-packaging"
# A worker throws a question away that is older, by the clocks of both hosts.
_EXPIRES = 60.0
# For how many seconds to listen before looking at the clock again.
SLICE = 0.2
# For how many seconds a worker may write a reply when its queue is gone.
_LATE = 0.2
_NOT_THERE, _ANOTHERS = 404, 405
_ECHO = "echo"
_NO_EXCHANGE = "The broker has no exchange %s: since it was started, no worker has listened on this virtual host"

try:
    import kombu
    from kombu.pidbox import Mailbox
    from kombu.transport import TRANSPORT_ALIASES, get_transport_cls

    from check_celery_workers.sources.broker import serializers
except ImportError as error:
    raise UsageError(f"--broker needs kombu, and {error.name or 'it'} is not installed: {_INSTALL}") from None


class Connection:
    """A connection to the broker, and a queue of its own there, where workers put their replies."""

    def __init__(self, address: Address, receive: Callable[[str, object], None]) -> None:
        """`receive` gets the ticket of the question that a reply is for, and what the reply says.

        Raises CannotJudge if the address or kombu does not serve.
        """
        if kombu.VERSION[:2] < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise UsageError(f"kombu {kombu.__version__} is too old, --broker needs {oldest} or later")
        from kombu import compression

        # Workers compress no reply, and what somebody else has compressed may have any size.
        compression._decoders.clear()  # noqa: SLF001 -- there is no other way to turn them off
        # Nothing but the verdict is printed.
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        self.problem: SourceError | None = None  # why replies may be lacking
        self.description = self._description = f"kombu {kombu.__version__}, {address.shown}"
        self._address, self._receive = address, receive
        self._consumer: kombu.Consumer | None = None
        self._asked: set[str] = set()  # the tickets of the questions
        self._heard_itself = False

    def open(self) -> None:
        """Connect. Raises Unreachable if that is not possible, CannotJudge if it should not be tried."""
        self.close()
        self.problem = None
        with self._explained("cannot be reached"):
            self._kombu = self._connect()
            self._open_mailbox()

    def ask(self, question: Question, nodes: Sequence[str] | None = None) -> str:
        """Ask these workers, None: all; return the ticket that their replies have. Raises Unreachable."""
        ticket = kombu.uuid()
        with self._explained("does not take the question"):
            try:
                # The part of kombu's `multi_call` before it waits: how long to wait is known here.
                self._mailbox._publish(  # noqa: SLF001
                    question.wire, {}, nodes, reply_ticket=ticket, channel=self._channel, timeout=_EXPIRES
                )
            except self._kombu.channel_errors as error:
                if _code(error) != _NOT_THERE:
                    raise
                raise NobodyListensError(_NO_EXCHANGE % self._mailbox.exchange.name) from None
        self._asked.add(ticket)
        return str(ticket)

    def listen(self, seconds: float) -> None:
        """Wait for a reply, at most so long. Raises SourceError if the connection is lost."""
        with self._explained("was lost"), suppress(socket.timeout):
            self._kombu.drain_events(timeout=seconds)

    def check(self, seconds: float) -> None:
        """Raise SourceError if replies are lacking for another reason than that nobody has sent them.

        A message to the own queue must come back in this time: if it does not, those of workers do not either.
        """
        if self.problem:
            raise self.problem
        self._heard_itself = False
        with self._explained("was lost"):
            producer = kombu.Producer(self._channel, auto_declare=False)
            mailbox = self._mailbox
            producer.publish(
                {}, exchange=mailbox.reply_exchange.name, routing_key=mailbox.oid, headers={"ticket": _ECHO}
            )
        end = time.monotonic() + seconds
        while not (self._heard_itself or self.problem) and time.monotonic() < end:
            self.listen(SLICE)
        if self.problem or not self._heard_itself:
            raise self.problem or self.deaf()

    def deaf(self) -> Unreachable:
        """Return that messages do not come through."""
        return Unreachable(f"the broker {self._address.shown} delivers no messages any more")

    def measure(self, queues: Iterable[str], found: dict[str, int | None]) -> None:
        """Note in `found` how many messages wait in each of these queues, None: it does not exist.

        Raises SourceError, with what is found by then; for a queue that cannot be measured after all others.
        """
        refused: Exception | None = None
        with self._explained("does not tell the length of a queue"):
            # On Redis an answer is awaited on the first channel.
            channel = self._kombu.channel()
            priorities = getattr(channel, "priority_steps", ())
            if priorities and self.description == self._description:
                self.description += f", lengths of the priorities {', '.join(map(str, priorities))}"
            for queue in queues:
                try:
                    code, length = self._length(channel, queue)
                except (*self._kombu.channel_errors, ValueError) as error:
                    code, length, refused = _ANOTHERS, None, error
                if code and self._is_amqp:
                    # The channel is closed with it.
                    channel = self._kombu.channel()
                if code != _ANOTHERS:
                    found[queue] = length
            channel.close()
            if refused:
                raise refused

    def _length(self, channel: Any, queue: str) -> tuple[int, int | None]:  # noqa: ANN401 -- one of kombu's
        """Return how many messages wait in a queue, after the code of the refusal, 0 if there is none."""
        try:
            return 0, channel.queue_declare(queue, passive=True).message_count
        except self._kombu.channel_errors as error:
            code = _code(error)
            if code not in {_NOT_THERE, _ANOTHERS}:
                raise
            # Without messages there is no queue, but where a broker knows queues of its own.
            return code, None if self._is_amqp else 0

    def close(self, awaited: bool = False) -> None:
        """Leave nothing on the broker; `awaited`: whether replies may still come."""
        consumer, self._consumer = self._consumer, None
        with suppress(Exception):
            if consumer:
                consumer.cancel()
                self._channel.after_reply_message_received(self._queue.name)
                if awaited and not self._is_amqp:
                    # On Redis a worker that has just found the queue still writes into it.
                    time.sleep(_LATE)
                    self._channel.queue_purge(self._queue.name)
        with suppress(Exception):
            self._kombu.release()

    @property
    def _is_amqp(self) -> bool:
        return bool(self._kombu.transport.driver_type == "amqp")

    def _connect(self) -> kombu.Connection:
        address = self._address
        for scheme in address.schemes:
            if scheme.partition("+")[0] not in TRANSPORT_ALIASES:
                # kombu would import it.
                raise UsageError(f"kombu knows no broker {printable(scheme)}://")
        if self._module == "redis":
            # Where it is not there, kombu stumbles over that.
            import_module("redis")
        transport = get_transport_cls(address.schemes[0].partition("+")[0])
        driver = transport.driver_type
        options = transport_options(address, transport)
        if driver == "amqp":
            options["on_blocked"] = self._refuse
        ssl = ssl_options(address.options.get("ssl"), driver)
        connection = kombu.Connection(address.url, ssl=ssl, connect_timeout=CONNECT, transport_options=options)
        tries = max(1, len(address.schemes) - 1)
        connection.ensure_connection(max_retries=tries, interval_start=0, interval_step=0, interval_max=0)
        return connection

    def _open_mailbox(self) -> None:
        options = self._address.options
        serializer = str(options.get("serializer", "json"))
        serializers.check_name(serializer)
        mailbox = Mailbox(str(options.get("control_exchange", "celery")), type="fanout", serializer=serializer)
        self._mailbox = mailbox(self._kombu)
        # Workers have made it: where it is not, none has listened. To ask needs no right to make it.
        self._mailbox.exchange.passive = self._is_amqp
        self._queue = self._mailbox.reply_queue
        # It goes with the connection, also where kombu is older.
        self._queue.exclusive = True
        self._channel = self._kombu.default_channel
        self._consumer = consumer = kombu.Consumer(
            self._channel,
            [self._queue],
            on_message=self._take,
            # What kombu cannot make a message of is none of a worker's.
            on_decode_error=lambda *_: None,
            no_ack=True,
        )
        consumer.consume()

    def _take(self, message: Message) -> None:
        ticket = message.headers.get("ticket") if isinstance(message.headers, dict) else None
        if ticket == _ECHO:
            self._heard_itself = True
        if not isinstance(ticket, str) or ticket not in self._asked:
            # Nobody was asked this.
            return
        try:
            self._receive(ticket, serializers.read(message))
        except SourceError as error:
            self.problem = error

    def _refuse(self, reason: str) -> NoReturn:
        # From within kombu, which may wait for an answer that does not come.
        raise Unreachable(f"the broker takes no messages: {self._address.hide(str(reason))}")

    @property
    def _module(self) -> str:
        """The name of kombu's module for the transport, which is that of its extra too."""
        alias = TRANSPORT_ALIASES[self._address.schemes[0].partition("+")[0]]
        return str(alias.partition(":")[0].rpartition(".")[2].lower())

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Put into words what is raised inside: `what` of the broker's did not work."""
        address = self._address
        try:
            yield
        except CannotJudge:
            raise
        except ImportError as error:
            reason = address.hide(str(error))
            install = _INSTALL if self._module == "redis" else f"pip install 'kombu[{self._module}]'"
            raise UsageError(f"{address.shown} needs a package that is not installed ({reason}): {install}") from None
        except Exception as error:  # noqa: BLE001 -- whatever a library raises
            # redis-py adds its objects to what a Sentinel says, and AMQP which method was refused, if one was.
            said = str(error).partition(" : <")[0].removeprefix("(0, 0): ")
            reason = address.hide(said or type(error).__name__)
            raise Unreachable(f"the broker {address.shown} {what}: {reason}") from None


class NobodyListensError(SourceError):
    """The broker does not know the exchange of the questions: no worker has listened since it was started."""


def _code(error: Exception) -> int:
    """Return the number in what a channel refuses, 0 if there is none."""
    found = re.search(r"\b(40[345])\b", f"{getattr(error, 'reply_code', '')} {getattr(error, 'code', '')} {error}")
    return int(found[1]) if found else 0
