r"""What of a foreign line may be quoted: neither what is secret nor the arguments of tasks.

* {'id': '8b5c', 'name': 'shop.pay', 'args': ...}    ->     * {...}
"""

from __future__ import annotations

import re

from check_celery_workers.node import printable
from check_celery_workers.secret import hidden

_LISTED = r"(?:[ \t]{2,}|\* ?)(?:\* )?[\[{(]"
_ARGUMENTS = r"""["'](?:kw)?args["'] ?:"""


def quotable(line: str, longest: int = 300) -> str:
    """Return what may be quoted of a line: printable, on one line, without credentials and task arguments."""
    if re.match(_LISTED, line) or re.search(_ARGUMENTS, line):
        return printable(f"{line[: len(line) - len(line.lstrip(' *'))]}{{...}}", longest)
    return hidden(line, longest)
