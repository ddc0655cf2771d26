"""What a message of a worker says, whatever its application writes messages in."""

from __future__ import annotations

import io
import pickle
from importlib import import_module
from typing import Any, ClassVar

from kombu import serialization

from check_celery_workers.errors import SourceError, UsageError
from check_celery_workers.node import printable
from check_celery_workers.sources.stream import LONGEST_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kombu import Message

PICKLE = "application/x-python-serialize"
# What is lacking where a message of this type cannot be read.
_PACKAGES = {"application/x-yaml": ("yaml", "PyYAML"), "application/x-msgpack": ("msgpack", "msgpack")}


class _Placeholder:
    """Stands for an object of any class: takes whatever a pickle does to it, and does nothing."""

    def __new__(cls, *_args: object, **_named: object) -> _Placeholder:
        return object.__new__(cls)

    def __setstate__(self, _state: object) -> None:
        """Forget the state."""

    def __setitem__(self, _key: object, _value: object) -> None:
        """Forget the item of a dictionary of some class."""

    def append(self, _item: object) -> None:
        """Forget the item of a list of some class."""

    extend = add = append

    def __hash__(self) -> int:
        return id(self)


def _key(value: object) -> object:
    """Return what may be a key: to hash a container takes as long as whoever sends it wants."""
    return value if value is None or isinstance(value, (str, int, float, bytes)) else _Placeholder()


# Of the two, that of Python: the one in C can be made to crash.
_PYTHONS: Any = pickle._Unpickler  # noqa: SLF001


class _Unpickler(_PYTHONS):  # type: ignore[misc]
    """Finds no class, so nothing can be called, and hashes no container."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PYTHONS.dispatch)

    def find_class(self, _module: str, _name: str) -> type:
        """Return what stands for any class and function: nothing is imported, nothing is called."""
        return _Placeholder

    def load_setitem(self) -> None:
        """Set an item of what lies below it on the stack."""
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_key(key)] = value

    def load_setitems(self) -> None:
        """Set the items above the mark."""
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2]):
            self.stack[-1][_key(key)] = value

    def load_dict(self) -> None:
        """Make a dictionary of the items above the mark."""
        items = self.pop_mark()
        self.append({_key(key): value for key, value in zip(items[::2], items[1::2])})

    def load_additems(self) -> None:
        """Add the items above the mark to a set."""
        items = self.pop_mark()
        for item in items:
            self.stack[-1].add(_key(item))

    def load_frozenset(self) -> None:
        """Make a set of the items above the mark."""
        items = self.pop_mark()
        self.append(frozenset(map(_key, items)))

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset


def _read_pickle(data: bytes) -> object:
    # Strings of Python 2 are bytes.
    return _Unpickler(io.BytesIO(data), encoding="utf-8", errors="replace").load()


# Instead of kombu's, which imports and calls what a message says.
serialization.register("pickle", pickle.dumps, _read_pickle, content_type=PICKLE, content_encoding="binary")


def check_name(name: str) -> None:
    """Raise UsageError if a question cannot be written in the serializer of this name."""
    try:
        serialization.dumps({}, name)
    except Exception:  # noqa: BLE001 -- whatever kombu says
        known = "json, pickle, yaml (with PyYAML) and msgpack (with msgpack)"
        raise UsageError(f"--broker-options: no serializer {printable(name)} is installed, there are {known}") from None


def read(message: Message) -> object:
    """Return what a message says. Raises SourceError, with its type and what would read it, if it cannot be read."""
    content_type = str(message.content_type)
    if len(message.body) > LONGEST_LINE:
        raise SourceError("a reply is longer than any of a worker's")
    package, name = _PACKAGES.get(content_type, ("", ""))
    try:
        if package:
            import_module(package)
        body = serialization.loads(message.body, content_type, message.content_encoding, accept={content_type})
    except ImportError:
        raise SourceError(f"a reply is written in {content_type}, install {name} to read it") from None
    except Exception as error:  # noqa: BLE001 -- whatever a library says of what somebody else has written
        raise SourceError(f"a reply in {printable(content_type)} cannot be read: {type(error).__name__}") from None
    if isinstance(body, dict):
        return body
    if content_type in {"application/json", PICKLE, *_PACKAGES}:
        raise SourceError(f"a reply in {content_type} names no worker")
    raise SourceError(f"a reply in {printable(content_type)} cannot be read, only JSON, pickle, YAML and msgpack can")
