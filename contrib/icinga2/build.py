#!/usr/bin/env python3
"""Print the CheckCommand, from the plugin's options; with --basket, the same for Icinga Director.

.venv/bin/python contrib/icinga2/build.py > contrib/icinga2/check_celery_workers.conf
.venv/bin/python contrib/icinga2/build.py --basket > contrib/icinga-director/celery_workers.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import NamedTuple

from check_celery_workers.settings.options import parser

CHECK_COMMAND = """\
/*
 * CheckCommand "celery_workers". README.md in this folder says step by step what to do with this file.
 *
 * It needs no change. The plugin must be in PluginContribDir of constants.conf, on each host that runs it.
 *
 * Each option is a custom variable of the host or the service: celery_workers_<option>, with _ for -. Options that may
 * be repeated are arrays, flags are true, and celery_workers_verbose is a number.
 *   vars.celery_workers_broker = "/etc/celery_broker"
 *   vars.celery_workers_broker_options = "/etc/celery_broker_options"
 *   vars.celery_workers_expect = [ "worker-4@app1", "celery@web-*=2..8" ]
 *   vars.celery_workers_expect_file = [ "/etc/celery_workers" ]
 *   vars.celery_workers_queue = [ "emails=2..", "reports" ]
 *   vars.celery_workers_stall_limit = "15s"
 *   vars.celery_workers_task_limit = [ "shop.tasks.export=4h", "1h" ]
 *   vars.celery_workers_backlog_critical = [ "emails=1000" ]
 *   vars.celery_workers_beat = [ "celerybeat@app1" ]
 *   vars.celery_workers_unexpected_critical = 0
 *   vars.celery_workers_verbose = 2
 *   vars.celery_workers_command = [
 *     "/srv/shop/venv/bin/celery", "-A", "shop", "--workdir=/srv/shop", "inspect", "{}", "-t", "10"
 *   ]
 * Either celery_workers_broker or celery_workers_command is needed, because Icinga gives the plugin no text to read. In
 * the latter the plugin replaces {} by the question; Icinga leaves it alone. Write $$ for $ in all of them.
 */

object CheckCommand "celery_workers" {
	command = [ PluginContribDir + "/check_celery_workers" ]

	// celery_workers_timeout must be shorter, 110 at most. For more, set check_timeout of the service.
	timeout = 2m

	arguments = {
%s\
	}
}
"""


# The first two exit with UNKNOWN. The third refuses --broker and COMMAND, and Icinga always gives one of them. The last
# does not check.
LEFT_OUT = ("--help", "--version", "--no-command", "--baseline")


class Function(NamedTuple):
    """A function in Icinga's language."""

    body: str


class Argument(NamedTuple):
    """An argument of the CheckCommand, with the custom variable that it is made of, and Icinga's attributes."""

    key: str
    variable: str
    data_type: str
    attributes: Mapping[str, object]


def arguments() -> list[Argument]:
    """Return the arguments for all options, and for the command."""
    options = [action for action in parser()._actions if action.option_strings]  # noqa: SLF001 # no documented way
    return [
        *(argument(action) for action in options if action.option_strings[-1] not in LEFT_OUT),
        Argument(
            "--",
            "celery_workers_command",
            "Array",
            {
                "value": "$celery_workers_command$",
                "description": "COMMAND and its arguments, run without a shell; {} stands for the question",
                "repeat_key": False,
                "order": 100,
            },
        ),
    ]


def argument(action: argparse.Action) -> Argument:
    """Return the argument for an option."""
    key = action.option_strings[-1]
    variable = f"celery_workers_{key[2:].replace('-', '_')}"
    description = str(action.help) % {}
    if key == "--expect":
        # --help refers to the positional form.
        description = "EXPECTED, the workers that must be online; repeatable"
    if key == "--verbose":
        # Icinga repeats a key only with a value. So the values are the flags, and the key is skipped.
        flags = Function(
            f"""\
var flags = []
for (i in range(number(macro("${variable}$")))) {{
	flags.add("{key}")
}}
return flags"""
        )
        return Argument(key, variable, "Number", {"value": flags, "skip_key": True, "description": description})
    if action.nargs == 0:
        return Argument(key, variable, "Boolean", {"set_if": f"${variable}$", "description": description})
    if isinstance(action.default, list):
        repeated = {"value": f"${variable}$", "description": description, "repeat_key": True}
        return Argument(key, variable, "Array", repeated)
    return Argument(key, variable, "String", {"value": f"${variable}$", "description": description})


def check_command() -> str:
    """Return the definition of the CheckCommand in Icinga's language."""
    lines = []
    for key, _, _, attributes in arguments():
        lines.append(f'"{key}" = {{')
        for name, value in attributes.items():
            if isinstance(value, Function):
                lines += [f"\t{name} = {{{{", *(f"\t\t{line}" for line in value.body.splitlines()), "\t}}"]
            else:
                lines.append(f"\t{name} = {json.dumps(value)}")
        lines.append("}")
    return CHECK_COMMAND % "".join(f"\t\t{line}\n" for line in lines)


def basket() -> str:
    """Return the basket that holds the command and the fields for its custom variables."""
    command = {
        "object_name": "celery_workers",
        "object_type": "object",
        "methods_execute": "PluginCheck",
        "command": "PluginContribDir + /check_celery_workers",
        "timeout": "120",
        "arguments": {key: in_basket(attributes) for key, _, _, attributes in arguments()},
        "fields": [
            {"datafield_id": number, "is_required": "n", "var_filter": None}
            for number in range(1, len(arguments()) + 1)
        ],
    }
    fields: dict[str, dict[str, object]] = {
        str(number): {
            "varname": variable,
            "caption": variable.replace("_", " ").capitalize(),
            "description": attributes["description"],
            "datatype": f"Icinga\\Module\\Director\\DataType\\DataType{data_type}",
            "format": None,
            "settings": {},
            "category": None,
        }
        for number, (_, variable, data_type, attributes) in enumerate(arguments(), 1)
    }
    content = {"Command": {"celery_workers": command}, "Datafield": fields}
    return json.dumps(content, indent=4) + "\n"


def in_basket(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return an argument's attributes as the Director has them in its baskets."""
    return {
        name: {"type": "Function", "body": value.body} if isinstance(value, Function) else value
        for name, value in attributes.items()
    }


if __name__ == "__main__":
    print(basket() if sys.argv[1:] == ["--basket"] else check_command(), end="")
