r"""What is secret in a text of somebody else, hidden.

amqp://app:secret@rabbit:5672//                  -> amqp://**@rabbit:5672//
pass=hunter2 host=rabbit1                        -> pass=** host=rabbit1
invalid literal for int() with base 10: 'secret' -> invalid literal for int() with base 10: **
"""

from __future__ import annotations

import re

from check_celery_workers.node import printable

# What can only be a host, with or without a port.
_HOST = r"[\w.\[\]-]+(?::[0-9]{1,5})?(?:[/?#,;'\")\]\s]|$)"
_WORD = (
    r"(?:passwo?r?d|passphrase|pass|pwd|secret|token|api[-_]?key|access[-_]?key|credential)"
    r"s?(?:[-_][\w-]*)?(?![\w-])"
)
_VALUE = r"""(?:"[^"]*"?|'[^']*'?|[^\s"',;&)\]}]*[^\s"',;&)\]}:])"""
_SECRETS = (
    # Everything up to the last @, since a password may hold any character; or up to the end, where the line is cut.
    (r"(://)\S*@", r"\1**@"),
    (rf"(://)(?!{_HOST}|\s|\*\*@)[^\n]*@", r"\1**@"),
    (r"(://)(?!\[)[^\s/@]*:(?![0-9]{1,5}(?:\D|$))\S*", r"\1**"),
    (r"(?<![^\s'\"=(\[,])[^\s:@/'\"=(\[,]*:(?!//)[^\s@]*[^\s@:]@(?=[\w.\[-])", "**@"),
    (r"(invalid literal for int\(\) with base \d+: |could not be cast to integer value as ).*", r"\1**"),
    (r"(?i)((?:port|scheme|url)[^:'\"]*: ?)(['\"]).*\2", r"\1**"),
    (rf"(?i)(authorization['\"]?(?: ?[=:] ?['\"]?| +)(?:\w+ +)?|bearer +){_VALUE}", r"\1**"),
    (rf"(?i)({_WORD}['\"]? ?[=:] ?|(?<!\S)--?[\w-]{{0,40}}?{_WORD} +){_VALUE}", r"\1**"),
)
# How much of a text is read: some of the expressions take the square of its length.
_READ = 4000


def hidden(text: str, longest: int = 300) -> str:
    """Return a text of somebody else, fit for a line of output and without what is secret in it."""
    text = text[:_READ]
    for secret, instead in _SECRETS if any(mark in text for mark in "@:= ") else ():
        text = re.sub(secret, instead, text)
    return printable(text, longest)
