"""What the application sets besides its URL, as kombu wants it."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from check_celery_workers.errors import UsageError
from check_celery_workers.node import printable
from check_celery_workers.sources.broker.address import Address

# What some must be: of another kind, they would ask elsewhere, where nobody answers, or name what is imported.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "control_exchange": ("a name", lambda value: isinstance(value, str) and bool(value)),
    "serializer": ("a name", lambda value: isinstance(value, str) and bool(value)),
    "global_keyprefix": ("a text", lambda value: isinstance(value, str)),
    "sep": ("a text", lambda value: isinstance(value, str)),
    "fanout_prefix": ("true, false, or a text", lambda value: isinstance(value, (bool, str)) and value != "false"),
    "priority_steps": (
        "a list of numbers",
        lambda value: isinstance(value, list) and bool(value) and all(isinstance(step, int) for step in value),
    ),
    "queue_order_strategy": (
        "round_robin, priority or sorted",
        lambda value: value in {"round_robin", "priority", "sorted"},
    ),
}
# For how many seconds to try to connect, before the next of several addresses is tried.
CONNECT = 5.0
# What is no option of a transport, but a setting that matters here.
SETTINGS = {"control_exchange", "serializer", "ssl"}


def transport_options(address: Address, transport: Any) -> dict[str, object]:  # noqa: ANN401 -- a class of kombu's
    """Return the options of the transport. Raises UsageError for one that it does not know."""
    options = {name: value for name, value in address.options.items() if name not in SETTINGS}
    for name, (what, is_right) in _KINDS.items():
        if name in address.options and not is_right(address.options[name]):
            raise UsageError(f"--broker-options: {name} is {what}")
    _check_names(transport, options)
    if transport.driver_type == "redis":
        # kombu would put messages back into their queue that workers hold for longer than it knows of.
        options = {"socket_connect_timeout": CONNECT, **options, "ack_emulation": False}
        if address.schemes[0] == "sentinel":
            options["sentinel_kwargs"] = {**_once(), **(options.get("sentinel_kwargs") or {})}
    return options


def _once() -> dict[str, object]:
    """Return how to ask a Sentinel: without redis-py's pauses between tries, for there may be another."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {"socket_connect_timeout": CONNECT, "retry": Retry(NoBackoff(), 0)}


def _check_names(transport: Any, options: Collection[str]) -> None:  # noqa: ANN401 -- a class of kombu's
    """Raise UsageError for an option that neither we nor the transport knows: kombu would drop it."""
    channel = getattr(transport, "Channel", None)
    known = {*SETTINGS, *getattr(channel, "from_transport_options", ())}
    if transport.driver_type == "amqp":
        known.update(inspect.signature(transport.Connection).parameters)
    # The others are read where they are used: by the connection, the transport, or what that is derived from.
    for module in {"kombu.connection", *(base.__module__ for base in transport.__mro__)}:
        with suppress(OSError, TypeError):
            source = inspect.getsource(import_module(module))
            known.update(re.findall(r"transport_opt(?:ion)?s(?:\.get\(|\[)\s*['\"](\w+)['\"]", source))
    # JSON has no functions, and the name of one would be imported.
    known = {name for name in known if not name.startswith("on_") and name not in {"callback", "errback"}}
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise UsageError(f"--broker-options: {printable(name)} is no option of this broker{meant}")


def ssl_options(value: object, driver: str) -> object:
    """Return `broker_use_ssl` as kombu wants it: the names of Redis begin with ssl_, those of AMQP do not."""
    if not value:
        return False
    settings = value if isinstance(value, dict) else {"cert_reqs": "CERT_REQUIRED"} if driver == "redis" else None
    if settings is None:
        return True
    prefix = "ssl_" if driver == "redis" else ""
    named = {prefix + name.removeprefix("ssl_"): setting for name, setting in settings.items()}
    required = named.get(f"{prefix}cert_reqs")
    if isinstance(required, str):
        try:
            named[f"{prefix}cert_reqs"] = ssl.VerifyMode[required.rpartition(".")[2].upper()]
        except KeyError:
            names = ", ".join(mode.name for mode in ssl.VerifyMode)
            raise UsageError(f"--broker-options: cert_reqs is one of {names}") from None
    return named
