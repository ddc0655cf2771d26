#!/usr/bin/env python3
"""Print the CheckCommand, from the plugin's options.

.venv/bin/python contrib/icinga2/build.py > contrib/icinga2/check_celery_workers.conf
"""

from __future__ import annotations

import argparse
import json

from check_celery_workers.options import parser

HEAD = """\
/*
 * CheckCommand "celery_workers".
 *
 * Copy this file to /etc/icinga2/conf.d/ or, where agents run the check, to /etc/icinga2/zones.d/global-templates/ on
 * the master. It needs no change where the plugin is in PluginContribDir of constants.conf, on each host that runs it:
 *   ln -s /opt/check_celery_workers/bin/check_celery_workers /usr/lib/nagios/plugins/
 *
 * Each option is a custom variable of the host or the service: celery_workers_<option>, with _ for -. services.conf,
 * beside this file, has services for it.
 *   vars.celery_workers_expect = [ "worker-4@app1", "celery@web-*=2..8" ]
 *   vars.celery_workers_expect_file = [ "/etc/celery-workers" ]
 *   vars.celery_workers_unexpected_critical = 0
 *   vars.celery_workers_verbose = 2
 *   vars.celery_workers_command = [ "/srv/shop/venv/bin/celery", "-A", "shop", "--workdir", "/srv/shop", "status" ]
 * celery_workers_command is always needed, as Icinga gives the plugin no text to read. Write $$ for $ in all of them.
 */

object CheckCommand "celery_workers" {
	command = [ PluginContribDir + "/check_celery_workers" ]

	// Longer than celery_workers_timeout, so of up to 110 seconds. Beyond that, set check_timeout of the service.
	timeout = 2m

	arguments = {
"""
TAIL = """\
		"--" = {
			value = "$celery_workers_command$"
			description = "COMMAND and its arguments, which prints the status text and is run without a shell"
			repeat_key = false
			order = 100
		}
	}
}
"""
# Icinga repeats a key only before values: here the values are what the key would be.
VERBOSE = """\
			value = {{
				var flags = []
				for (i in range(number(macro("$celery_workers_verbose$")))) {
					flags.add("--verbose")
				}
				return flags
			}}
			skip_key = true
"""
# Of these, --help says what is true of the command line alone.
DESCRIPTIONS = {"--expect": "EXPECTED, the workers that must be there; repeatable"}


def check_command() -> str:
    """Return the definition of the CheckCommand."""
    options = [action for action in parser()._actions if action.option_strings]  # noqa: SLF001 # no other way is documented
    return HEAD + "".join(argument(action) for action in options if action.dest not in ("help", "version")) + TAIL


def argument(action: argparse.Action) -> str:
    """Return the definition of an option's argument."""
    option = action.option_strings[-1]
    variable = f"celery_workers_{option[2:].replace('-', '_')}"
    description = DESCRIPTIONS.get(option, str(action.help) % {})
    text = f'\t\t"{option}" = {{\n'
    if option == "--verbose":
        text += VERBOSE
    elif action.nargs == 0:
        text += f'\t\t\tset_if = "${variable}$"\n'
    else:
        text += f'\t\t\tvalue = "${variable}$"\n'
    text += f"\t\t\tdescription = {json.dumps(description)}\n"
    if isinstance(action.default, list):
        text += "\t\t\trepeat_key = true\n"
    return f"{text}\t\t}}\n"


if __name__ == "__main__":
    print(check_command(), end="")
