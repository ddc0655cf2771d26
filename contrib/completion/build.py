#!/usr/bin/env python3
"""Print the completion for bash, from the plugin's options.

    .venv/bin/python contrib/completion/build.py > contrib/completion/check_celery_workers.bash

It needs the packages that the tests need.
"""

from __future__ import annotations

import shtab

from check_celery_workers.settings.options import parser


def completion() -> str:
    """Return the script, which the plugin itself has no part in."""
    options = parser()
    for action in options._actions:  # noqa: SLF001 # there is no other way to the actions of a finished parser
        # The last two may be a path as well.
        if action.metavar in {"FILE", "URL", "JSON"}:
            action.complete = shtab.FILE  # type: ignore[attr-defined] # that is how shtab wants to be told
    script = shtab.complete(options, "bash")
    # After the -- comes a command: let bash complete what the options do not.
    return script.replace("complete -o bashdefault", "complete -o bashdefault -o default")


if __name__ == "__main__":
    print(completion(), end="")
