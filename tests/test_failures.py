"""Lines that say that a program failed: what they make of the outputs, and which of them is the reason."""

from __future__ import annotations

import pytest
from running import CRITICAL, OK, UNKNOWN, Outcome, check, perfdata

V, W = "->  v@a: OK\n\n1 node online.\n", "->  w@a: OK\n\n1 node online.\n"
V_MISSING = Outcome(
    "CELERY WORKERS CRITICAL - 1 of 2 workers missing: v@a | "
    f"{perfdata(missing='1;;0;0;2', online='1;;;0')}\nWorker v@a was missing\n",
    CRITICAL,
)
WELL = Outcome(
    f"CELERY WORKERS OK - 2 of 2 workers online on 1 server | {perfdata(missing='0;;0;0;2', online='2;;;0')}\n", OK
)
NOT_WHOLE = "Celery's output is cut: its closing line is missing (a timeout or a filter?)"


def judged(*texts: str) -> Outcome:
    return check("v@a", "w@a", text="".join(texts))


def unknown(reason: str) -> Outcome:
    """Return that nobody has answered, and why."""
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def in_doubt(problem: str, reason: str = "") -> Outcome:
    """Return that only one of the two workers has answered, and that the text does not let judge."""
    words = f"{problem}, 1 of 2 workers had replied, no reply from v@a{reason and ': '}{reason}"
    return Outcome(f"CELERY WORKERS UNKNOWN - {words}\nWorker v@a had not replied\n", UNKNOWN)


def traceback(frame: str, said: str) -> str:
    return f"Traceback (most recent call last):\n  File {frame}\n    some.code()\n{said}\n"


PROGRAMS = {
    "celery": '"/srv/shop/venv/bin/celery", line 8, in <module>',
    "manage.py": '"./manage.py", line 22, in <module>',
    "a module by -m": '"<frozen runpy>", line 198, in _run_module_as_main',
    "a module by -m, in an older Python": '"/usr/lib/python3.8/runpy.py", line 194, in _run_module_as_main',
    "__main__": '"/srv/shop/venv/lib/python3.11/site-packages/celery/__main__.py", line 19, in <module>',
    "a program by -c": '"<string>", line 1, in <module>',
}
FUNCTIONS = {
    "a function of a module": '"/srv/shop/plugins.py", line 12, in load',
    "a function of celery": '"/srv/shop/venv/bin/celery", line 8, in bye',
    "a function of manage.py": '"manage.py", line 8, in main',
    "a method in C": '"src/gevent/greenlet.py", line 912, in gevent._gevent_cgreenlet.Greenlet.run',
}
MODULE = '"/srv/shop/tasks.py", line 3, in <module>'
LOADING = traceback(MODULE, "ImportError: no libmagic")


@pytest.mark.parametrize("frame", [pytest.param(frame, id=name) for name, frame in PROGRAMS.items()])
def test_a_traceback_of_a_program_ends_an_output_whatever_stands_around_it(frame: str) -> None:
    failed = traceback(frame, "KeyError: 'BROKER'")
    reason = "KeyError: 'BROKER'"
    assert judged(failed) == unknown(reason)
    assert judged("INFO shop: hello\n", failed, "INFO shop: bye\n") == unknown(reason)
    for texts in ((W, failed), (W, "INFO shop: hello\n", failed, "INFO shop: bye\n"), (failed, W)):
        assert judged(*texts) == in_doubt("one of 2 outputs failed", reason)
    assert judged("->  w@a: OK\n", failed) == in_doubt("the output failed", reason)
    # It may have been the first try of what follows, or another application that none of those expected belongs to.
    assert judged(failed, W, V) == judged(W, failed, V) == WELL


def test_a_traceback_of_a_module_ends_an_output_if_nothing_of_celery_follows_in_it() -> None:
    reason = "ImportError: no libmagic"
    assert judged(LOADING) == unknown(reason)
    assert judged(W, LOADING, "INFO shop: bye\n") == in_doubt("one of 2 outputs failed", reason)
    assert judged("->  w@a: OK\n", LOADING) == in_doubt("the output failed", reason)
    # Who caught it went on.
    assert judged(LOADING, W) == V_MISSING
    assert judged(W, LOADING, W) == V_MISSING
    assert judged("->  w@a: OK\n", LOADING, "\n1 node online.\n") == V_MISSING


def test_below_a_traceback_of_a_program_another_output_begins() -> None:
    failed = traceback(PROGRAMS["celery"], "KeyError: 'BROKER'")
    assert judged("->  w@a: OK\n", failed, V) == WELL
    assert judged("->  w@a: OK\n", failed, "\n1 node online.\n") == in_doubt("the output failed", "KeyError: 'BROKER'")


def test_below_an_error_an_output_goes_on() -> None:
    assert judged("->  w@a: OK\nError: gone\n\n1 node online.\n") == V_MISSING
    assert judged("->  w@a: OK\nError: gone\n->  v@a: OK\n\n2 nodes online.\n") == WELL


@pytest.mark.parametrize("line", ["  Error: gone", "  Error: plus tard \u2502 ou jamais"])
def test_an_indented_error_is_none(line: str) -> None:
    assert judged(f"{line}\n", W) == judged(W, f"{line}\n") == V_MISSING


def test_each_error_is_an_output_of_its_own() -> None:
    chain = DURING.join(2 * (traceback(PROGRAMS["celery"], "KeyError: 'BROKER'"),))
    assert judged("Error: the first\n", "Error: the second\n", W) == in_doubt(
        "one of 3 outputs failed", "Error: the first"
    )
    assert judged(chain, "sudo: it failed\n", W) == in_doubt("one of 3 outputs failed", "sudo: it failed")


@pytest.mark.parametrize("frame", [pytest.param(frame, id=name) for name, frame in FUNCTIONS.items()])
def test_a_traceback_that_begins_in_a_function_was_caught(frame: str) -> None:
    caught = traceback(frame, "OSError: [Errno 101] Network is unreachable")
    for texts in ((caught, W), (W, caught), ("->  w@a: OK\n", caught, "\n1 node online.\n")):
        assert judged(*texts) == V_MISSING
    assert judged("->  w@a: OK\n", caught) == in_doubt(NOT_WHOLE)
    # Where nothing else speaks it is the reason.
    assert judged("hello\n", caught, "bye\n") == unknown("OSError: [Errno 101] Network is unreachable")


DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"


@pytest.mark.parametrize("link", [pytest.param(DURING, id="during"), pytest.param(CAUSE, id="cause")])
@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(FUNCTIONS["a function of a module"], PROGRAMS["celery"], id="the last is the program's"),
        pytest.param(PROGRAMS["celery"], FUNCTIONS["a function of a module"], id="the first is the program's"),
        pytest.param(PROGRAMS["celery"], PROGRAMS["celery"], id="all are the program's"),
        pytest.param(FUNCTIONS["a function of a module"], MODULE, id="the last is a module's"),
    ],
)
def test_a_chain_of_tracebacks_is_one_failure(first: str, last: str, link: str) -> None:
    chain = link.join(
        (
            traceback(first, "PermissionError: /var/log/shop.log"),
            traceback(FUNCTIONS["a function of a module"], "OSError: in between"),
            traceback(last, "ValueError: no handler"),
        )
    )
    reason = "ValueError: no handler, after PermissionError: /var/log/shop.log"
    assert judged(chain) == unknown(reason)
    assert judged(W, chain) == in_doubt("one of 2 outputs failed", reason)
    assert judged("->  w@a: OK\n", chain) == in_doubt("the output failed", reason)


@pytest.mark.parametrize(
    "frame", [*(pytest.param(frame, id=name) for name, frame in PROGRAMS.items()), pytest.param(MODULE, id="a module")]
)
def test_of_two_tracebacks_the_one_that_ended_its_program_is_the_reason(frame: str) -> None:
    ended = traceback(frame, "KeyError: 'BROKER'")
    logged = traceback(FUNCTIONS["a function of a module"], "OSError: gone")
    for text in (f"{ended}{logged}", f"{logged}{ended}", f"{logged}INFO shop: hello\n{ended}{logged}{logged}"):
        assert judged(text) == unknown("KeyError: 'BROKER'")
    # Of two such it is the last one; of those that were only logged, too.
    assert judged(ended, traceback(frame, "ValueError: 7")) == unknown("ValueError: 7")
    assert judged(logged, traceback(FUNCTIONS["a method in C"], "ValueError: 7")) == unknown("ValueError: 7")


def test_a_chain_that_was_caught_is_none() -> None:
    chain = DURING.join(traceback(frame, "OSError: gone") for frame in FUNCTIONS.values())
    assert judged(W, chain) == V_MISSING


def test_of_a_chain_that_says_the_same_twice_the_last_is_the_reason() -> None:
    chain = CAUSE.join(
        (
            traceback(FUNCTIONS["a function of a module"], "ConnectionRefusedError: [Errno 111] Connection refused"),
            traceback(PROGRAMS["celery"], "kombu.exceptions.OperationalError: [Errno 111] Connection refused"),
        )
    )
    assert judged(chain) == unknown("kombu.exceptions.OperationalError: [Errno 111] Connection refused")


def test_of_a_chain_that_names_the_same_file_twice_both_are_the_reason() -> None:
    first = "FileNotFoundError: [Errno 2] No such file or directory: '/etc/shop.ini'"
    last = "shop.Invalid: cannot read '/etc/shop.ini'"
    chain = CAUSE.join((traceback(FUNCTIONS["a function of a module"], first), traceback(PROGRAMS["celery"], last)))
    assert judged(chain) == unknown(f"{last}, after {first}")


@pytest.mark.parametrize(
    "noise",
    [
        "Exception ignored in: <function Pool.__del__ at 0x7f1c>\n"
        + traceback(*2 * ('"pool.py", line 9, in __del__',)),
        "Exception ignored in atexit callback: <function bye at 0x7f1c>\n"
        + traceback('"./manage.py", line 9, in bye', "OSError: gone"),
        "Error in atexit._run_exitfuncs:\n" + traceback('"/srv/shop/sentry.py", line 9, in flush', "OSError: gone"),
        traceback(FUNCTIONS["a method in C"], "OSError: gone")
        + "2026-11-27 <Greenlet at 0x7f: flush> failed with OSError\n",
    ],
    ids=["a destructor", "atexit", "atexit of an older Python", "a greenlet"],
)
def test_noise_at_the_exit_is_no_failure(noise: str) -> None:
    assert judged(W, noise) == V_MISSING
    assert judged(W, V, noise) == WELL


@pytest.mark.usefixtures("nothing_is_left_running")
def test_behind_a_closed_output_of_a_command_that_ended_well_a_traceback_is_noise() -> None:
    def command(text: str, status: int) -> Outcome:
        return check("v@a", "w@a", "--", "sh", "-c", 'printf "%s" "$0"; exit "$1"', text, str(status)).timeless

    numbers = perfdata(missing="1;;0;0;2", online="1;;;0", time="0.5s;;;0")
    assert command(W + LOADING, 0) == Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 2 workers missing: v@a | {numbers}\nWorker v@a was missing\n", CRITICAL
    )
    assert command(W + LOADING, 1) == in_doubt("sh ended with exit status 1", "ImportError: no libmagic")
    assert command(f"->  w@a: OK\n{LOADING}", 0) == in_doubt("the output failed", "ImportError: no libmagic")
    failed = traceback(PROGRAMS["celery"], "KeyError: 'BROKER'")
    assert command(W + failed, 0) == in_doubt("one of 2 outputs failed", "KeyError: 'BROKER'")
    assert command(LOADING, 0) == unknown("ImportError: no libmagic")


WRAPPERS = """\
bash: celery: command not found
bash: line 1: celery: command not found
-bash: celery: command not found
sh: 1: celery: not found
/bin/sh: 1: celery: not found
/srv/status.sh: 3: celery: not found
/srv/status.sh: 3: exec: celery: not found
/srv/status.sh: line 3: celery: command not found
/srv/status.sh: line 3: 4711 Killed celery status
zsh:1: command not found: celery
zsh: command not found: celery
env: 'celery': No such file or directory
timeout: failed to run command 'celery': No such file or directory
nohup: failed to run command 'celery': No such file or directory
python3: can't open file '/srv/manage.py': [Errno 2] No such file or directory
/usr/bin/python3.11: No module named celery
su: Authentication failure
doas: Operation not permitted
sudo: a password is required
ssh: connect to host app2 port 22: Connection refused
ssh: Could not resolve hostname app2: Name or service not known
kex_exchange_identification: Connection closed by remote host
Connection closed by 192.0.2.7 port 22
Connection reset by 192.0.2.7 port 22
Host key verification failed.
deploy@app2: Permission denied (publickey).
docker: 'exce' is not a docker command.
Error response from daemon: No such container: worker
docker: Error response from daemon: Conflict.
podman: no such container
OCI runtime exec failed: exec failed: unable to start container process
Error from server (NotFound): pods "worker" not found
Cannot connect to the Docker daemon at unix:///var/run/docker.sock.
service "worker" is not running
error: unable to upgrade connection: container not found ("worker")
command terminated with exit code 137
Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding
Stderr: ssh: connect to host app2 port 22: Connection refused
app2: ssh: Could not resolve hostname app2: Name or service not known
app2: Host key verification failed.
[app2] ssh: connect to host app2 port 22: Connection refused
app2: deploy@app2: Permission denied (publickey,password).
"msg": "Failed to connect to the host via ssh: ssh: connect to host app2 port 22: No route to host",
app2: Error response from daemon: No such container: worker
app2: OCI runtime exec failed: exec failed: unable to start container process
Killed
Terminated
Aborted (core dumped)
Segmentation fault (core dumped)
Bus error
"""


@pytest.mark.parametrize("line", WRAPPERS.splitlines())
def test_what_runs_celery_says_that_it_failed(line: str) -> None:
    assert judged(f"{line}\n") == judged(f"hello\n{line}\nbye\n") == unknown(line)
    assert judged(W, f"{line}\n") == judged(f"{line}\n", W) == in_doubt("one of 2 outputs failed", line)
    assert judged("->  w@a: OK\n", f"{line}\n") == in_doubt("the output failed", line)
    assert judged(W, f"{line}\n", V) == WELL
    # The exit status of what ran it says less.
    assert judged(f"{line}\nmake: *** [Makefile:3: status] Error 1\nConnection to app1 closed.\n") == unknown(line)


def test_what_a_program_in_python_ran_says_more_than_its_status() -> None:
    line = "celery: command not found"
    trace = (
        'Traceback (most recent call last):\n  File "/srv/ask.py", line 3, in <module>\n    check_call(words)\n'
        "subprocess.CalledProcessError: Command '['celery', 'status']' returned non-zero exit status 127.\n"
    )
    assert judged(f"{line}\n{trace}") == unknown(line)
    assert judged(trace) == unknown(trace.splitlines()[-1])


@pytest.mark.parametrize(
    "line",
    [
        "bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)",
        "/srv/status.sh: line 3: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)",
        "sudo: unable to resolve host app1: Name or service not known",
        "Warning: Permanently added 'app1' (ED25519) to the list of known hosts.",
        "Connection to app1 closed.",
        "make: *** [Makefile:3: status] Error 1",
        "command terminated with exit code 69",
        "INFO: 12: cannot reach Sentry",
        "tasks.py:12: DeprecationWarning: it is old",
        "Unauthorised access is refused",
    ],
)
def test_what_runs_celery_only_warns_or_reports(line: str) -> None:
    assert judged(f"{line}\n", W) == judged(W, f"{line}\n") == V_MISSING


BOX = """\
Usage: shopctl status [OPTIONS]
Try 'shopctl status --help' for help.
╭─ Error ──────────────────────╮
│ Missing option '--app-name'. │
╰──────────────────────────────╯
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(BOX, "Missing option '--app-name'.", id="typer"),
        pytest.param(BOX.replace("│ M", "│   M"), "Missing option '--app-name'.", id="typer, with blanks"),
        pytest.param(
            " \u203a   Error: Couldn't find that app.\n \u203a\n \u203a   Error ID: not_found\n",
            "Error: Couldn't find that app.",
            id="Heroku",
        ),
        pytest.param(
            "┌──────────────────┐\n│ no broker is set │\n│ Try shop --help  │\n└──────────────────┘\n",
            "no broker is set",
            id="a box without the word, and advice in it",
        ),
    ],
)
def test_the_frame_of_a_box_is_no_part_of_the_reason(text: str, reason: str) -> None:
    assert judged(text) == unknown(reason)


@pytest.mark.parametrize("line", [" \u203a   Error: no app", "\u2502 Error: no app \u2502"])
def test_an_error_in_a_box_ends_an_output(line: str) -> None:
    assert judged(W, f"{line}\n") == in_doubt("one of 2 outputs failed", "Error: no app")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "[ERROR]: Task failed\nsudo: a password is required\nbye\n", "[ERROR]: Task failed", id="an error and sudo"
        ),
        pytest.param("Error: the first\nError: the second\nbye\n", "Error: the first", id="the first error of several"),
        pytest.param(
            "Usage: celery [OPTIONS]\n\nError: Invalid value for '-A': \nUnable to load celery application.\n"
            "The module shop was not found.\n\nbye\n",
            "The module shop was not found.",
            id="the last line of the paragraph that an error introduces",
        ),
        pytest.param(
            "Error: \nUnable to load celery application.\n"
            + traceback(FUNCTIONS["a function of a module"], "KeyError: 'BROKER'"),
            "KeyError: 'BROKER'",
            id="the exception of the traceback below an error",
        ),
        pytest.param(
            "Error: \nUnable to load celery application.\nWhile it was loaded:\n"
            + traceback(FUNCTIONS["a function of a module"], "KeyError: 'BROKER'")
            + "bye\n",
            "KeyError: 'BROKER'",
            id="the exception of the traceback further below an error",
        ),
        pytest.param(
            "Error: it failed\n\n" + traceback(FUNCTIONS["a function of a module"], "KeyError: 'BROKER'") + "bye\n",
            "KeyError: 'BROKER'",
            id="the exception of the traceback below an error and an empty line",
        ),
        pytest.param(
            "Error: it failed\n" + traceback(FUNCTIONS["a function of a module"], ""),
            "Error: it failed",
            id="an error above a traceback that breaks off",
        ),
        pytest.param(
            traceback(PROGRAMS["celery"], "shop.Invalid:"), "shop.Invalid:", id="an exception that says nothing"
        ),
        pytest.param(
            traceback(PROGRAMS["celery"], "shop.Invalid:\n  no broker is set\n  no backend is set"),
            "shop.Invalid: no broker is set",
            id="what an exception says on the next line",
        ),
        pytest.param(
            traceback(PROGRAMS["celery"], "KeyError: 'BROKER'") + "sudo: it failed\n", "sudo: it failed", id="sudo"
        ),
        pytest.param(
            "app2: ssh: connect to host app2 port 22: No route to host\npdsh: app2: ssh exited with exit code 255\n",
            "app2: ssh: connect to host app2 port 22: No route to host",
            id="what ssh says, and the status of it",
        ),
        pytest.param(
            "hello\nstatus exited with code 137\nbye\n", "status exited with code 137", id="a status over 128"
        ),
        pytest.param(
            traceback(PROGRAMS["celery"], "shop.Invalid: \n\nno broker is set") + "bye\n",
            "shop.Invalid: no broker is set",
            id="what an exception says on a later line",
        ),
        pytest.param(
            "no broker is set\nUserWarning: it is late\nTry again.\nSee the manual.\nNote: it is late\nType help\n",
            "no broker is set",
            id="the last line that is no warning and no advice",
        ),
        pytest.param(
            "hello\nbye\nVM must be running to open SSH connection. Run `vagrant up`\nto start the virtual machine.\n",
            "VM must be running to open SSH connection. Run `vagrant up` to start the virtual machine.",
            id="a sentence on two lines",
        ),
        pytest.param(
            "No broker is set, and there is no default on Mac OS X\nor on Windows.\n",
            "No broker is set, and there is no default on Mac OS X or on Windows.",
            id="a sentence on the only two lines",
        ),
        pytest.param(
            "no broker is set\nSee the pages of the documentation about the settings of brokers\nand of results\n",
            "no broker is set",
            id="advice on two lines",
        ),
        pytest.param(
            "2026-11-27 15:57:44,072 INFO shop.settings: loaded for production.\nno broker is set\n",
            "no broker is set",
            id="a line that begins in lower case below one that ended",
        ),
        pytest.param(
            "2026-11-27 15:57:44,072 INFO shop.settings: loaded for production\nshop: no broker is set\n",
            "shop: no broker is set",
            id="a line that begins with the name of a program",
        ),
        pytest.param("loading shop\nno broker is set\n", "no broker is set", id="two short lines in lower case"),
        *(
            pytest.param(f"hello\n{line}\nbye\n", line, id=line.partition(":")[0])
            for line in (
                "Fatal Python error: init_fs_encoding: failed to get the Python codec",
                "fatal: not a git repository",
                "FATAL: could not open image /srv/shop.sif",
                "[FATAL] no broker is set",
                "shop: fatal: no broker is set",
                "panic: runtime error: invalid memory address",
            )
        ),
        pytest.param("Try again.\nSee the manual.\n", "See the manual.", id="advice, where there is nothing else"),
    ],
)
def test_the_order_of_reasons(text: str, reason: str) -> None:
    assert judged(text) == unknown(reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            '{\n  "v@a": {\n    "ok": "pong"\n  }\n}\n',
            "its JSON is spread over several lines; print each output on one line (jq -c)",
            id="JSON on several lines",
        ),
        *(
            pytest.param(f"{line}\n", f"other text precedes the replies on their lines: {quoted}", id=name)
            for name, line, quoted in (
                ("blanks", "  v@a: OK", "v@a: OK"),
                ("blanks before an arrow", "  ->  v@a: ERROR", "-> v@a: ERROR"),
                ("a service of Docker", "status-1  | ->  v@a: ERROR  ", "status-1 ? -> v@a: ERROR"),
                ("a bar", "| v@a: OK", "? v@a: OK"),
                ("a log in JSON", '{"log":"-> v@a: OK\\n"}', '{"log":"-> v@a: OK\\n"}'),
                ("JSON in which > is escaped", r'{"log":"-\u003e  v@a: OK"}', r'{"log":"-\u003e v@a: OK"}'),
            )
        ),
        pytest.param("\u2500\u2500\u2500\n", "no reply in Celery's output", id="nothing but a rule"),
    ],
)
def test_where_nothing_can_be_read_it_says_why(text: str, reason: str) -> None:
    assert judged(text) == unknown(reason)


@pytest.mark.parametrize(
    "line",
    [
        "web_1 - Error: No nodes replied within time constraint",
        "celery : Error: No nodes replied within time constraint",
        "<13>Nov 27 16:05:23 nagios: No nodes replied within time constraint",
        '{"log":"Error: No nodes replied within time constraint\\n","stream":"stderr"}',
    ],
)
def test_that_nobody_replied_is_the_reason_where_it_stands_behind_other_text(line: str) -> None:
    assert judged(f"hello\n{line}\nbye\nweb_1 exited with code 69\n") == unknown(line)
    assert judged(f"{line}\nsudo: it failed\n") == unknown("sudo: it failed")


def test_a_line_of_many_addresses_costs_no_more_than_its_length() -> None:
    lines = "".join(f"{mark * 2_000_000}\n" for mark in ("a@", "a/", "a:", "1: "))
    assert judged(lines, W, V) == WELL
