"""Where the broker is: from `--broker` and `--broker-options` to URLs and options, and what of these is secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from check_celery_workers.errors import CannotJudge, UsageError
from check_celery_workers.node import printable
from check_celery_workers.sources.file import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "CELERY_BROKER_URL"

_SETTING = rf"(?:export\s+)?{VARIABLE}\s*=\s*(['\"]?)(.*)\1"
_ENCODE = "in a user name or password, write %2F for /, %23 for #, %3F for ?, %3B for ; and %40 for @"
_SEVERAL = "the URL of the broker names several hosts; write a URL for each, and ; between them"
_SECRET_NAME = re.compile("pass|secret|token|credential", re.IGNORECASE)
# A URL may bring arguments along; this one is the name of a class that would be imported.
_FORBIDDEN = "credential_provider"
# Shorter ones are hidden only where they stand alone.
_LONG_ENOUGH = 4


class Address:
    """Where the broker is.

    url: one URL, or several with ; between, as Celery writes it
    shown: the same without users, passwords and arguments
    options: what the application has set besides, by name
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        """Raises CannotJudge if it is no URL, without a piece of it."""
        self.url, self.options = url, options
        parts = [_split(one) for one in url.split(";")]
        self.schemes = [scheme for scheme, _, _ in parts]
        self.is_encrypted = any(scheme in {"rediss", "amqps"} for scheme in self.schemes)
        self.shown = " or ".join(dict.fromkeys(shown for _, shown, _ in parts))
        self._secrets = {secret for _, _, secrets in parts for secret in secrets} | {*_secrets_in(options)}

    def hide(self, text: str) -> str:
        """Return a text of somebody else's in one line, without what is secret of the address."""
        for secret in sorted(filter(None, self._secrets), key=len, reverse=True):
            edge = "" if len(secret) >= _LONG_ENOUGH else r"\b"
            text = re.sub(f"{edge}{re.escape(secret)}{edge}", "***", text)
        text = re.sub(r"://[^\s/]*@", "://***@", text)
        return printable(" ".join(text.split()), 400)


def read_address(broker: str, options: str, deadline: float) -> Address:
    """Return the address from the values of --broker and --broker-options, the latter may be "".

    Reads files and the environment until the deadline, a time of `time.monotonic` in seconds.
    Raises UsageError or CannotJudge, without a piece of what may be a password.
    """
    return Address(_read_url(broker, deadline), _read_options(options, deadline))


def _read_url(broker: str, deadline: float) -> str:
    if broker == "env":
        url, where = os.environ.get(VARIABLE, "").strip(), f"the variable {VARIABLE}"
    elif broker.startswith("/"):
        url, where = _read_url_file(broker, deadline), printable(broker)
    elif "://" in broker or not broker:
        url, where = broker, "--broker"
    else:
        raise UsageError(
            "--broker takes a URL, such as redis://redis1/0, the full path of a file that holds it, or env"
        )
    if not url:
        raise CannotJudge(f"{where} is empty; write the URL of the broker")
    return url


def _read_url_file(path: str, deadline: float) -> str:
    lines = [line.strip() for line in read_file(path, deadline)]
    lines = [line for line in lines if line and not line.startswith("#")]
    settings = [setting for setting in (re.fullmatch(_SETTING, line) for line in lines) if setting]
    # A file of settings may hold others.
    urls = [setting[2] for setting in settings] or lines
    if len(urls) > 1:
        raise CannotJudge(f"{printable(path)} holds {len(urls)} lines; write one URL, or {VARIABLE}=URL")
    return urls[0] if urls else ""


def _read_options(options: str, deadline: float) -> dict[str, Any]:
    if not options:
        return {}
    where, text = "--broker-options", options
    if options.startswith("/"):
        where, text = printable(options), "\n".join(read_file(options, deadline))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        example = """'{"global_keyprefix": "shop:"}'"""
        raise UsageError(
            f"{where} is no JSON object; write one such as {example}, or the full path of a file that holds it"
        )
    return value


def _split(url: str) -> tuple[str, str, list[str]]:
    """Return the scheme of a URL, the URL without what is secret, and what is secret of it."""
    scheme, found, rest = url.strip().partition("://")
    if not found:
        raise CannotJudge(f"each URL of --broker needs its scheme, such as redis:// in front; {_ENCODE}")
    hosts = re.split("[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    if "," in hosts or re.search(r"[,\s]\S?\w+://", rest):
        raise CannotJudge(_SEVERAL)
    # `redis+socket://` and `sqla+mysql://` are parsed like any other.
    try:
        parts = urlsplit(f"http://{rest}")
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise CannotJudge(f"the URL of the broker cannot be read: {_ENCODE}") from None
    arguments = dict(parse_qsl(parts.query))
    if "@" in f"{parts.path}{parts.query}{parts.fragment}" or parts.fragment:
        raise CannotJudge(f"the URL of the broker cannot be read: {_ENCODE}")
    if _FORBIDDEN in arguments:
        raise CannotJudge(f"{_FORBIDDEN} in the URL of the broker is the name of a class, which is never imported")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    secrets = [parts.password or "", unquote(parts.password or ""), *_secrets_in(arguments)]
    return scheme, printable(f"{scheme}://{host}{port}{parts.path}"), secrets


def _secrets_in(value: object, name: str = "") -> Iterator[str]:
    """Yield the strings in a value of JSON whose name says that they are secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets_in(inner, str(key))
    elif isinstance(value, str) and _SECRET_NAME.search(name):
        yield value
