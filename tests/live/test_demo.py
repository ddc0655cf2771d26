"""The demo, run for real: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import CLONE
from processes import DEADLINE, started_with

pytestmark = pytest.mark.celery

ASK = "-- celery -A proj inspect {} -t 5"
CHECK = f"$ check_celery_workers -f celery_workers {ASK}\n"
SHOWN = f"""\
This takes about 50 seconds.
Installing the plugin and Celery into a temporary virtual environment ...
Starting 6 Celery workers ...

# All workers are online. Let the plugin write down which.
$ check_celery_workers --baseline {ASK} > celery_workers
exit code 0
$ cat celery_workers
mail-0..1@app2
reports@app3
worker-1..3@app1
queue celery=3..
queue emails=2..
queue reports=1..

# All is well.
{CHECK}CELERY WORKERS OK - 6 of 6 workers online on 3 servers\
 | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0 online=6;;;0 queues=0;;0;0 time=Ns;;;0\
 unexpected=0;0;;0 unexpected_servers=0;;;0
exit code 0

# One worker is killed.
$ kill -KILL N   # worker-2@app1
{CHECK}CELERY WORKERS CRITICAL - 1 of 6 workers missing (worker-2@app1), 1 queue short of consumers (celery)\
 | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;6 missing_servers=0;;;0 online=5;;;0 queues=1;;0;0 time=Ns;;;0\
 unexpected=0;0;;0 unexpected_servers=0;;;0
Worker worker-2@app1 was missing
Queue celery has 2 consumers instead of at least 3
exit code 2

# It is started again, and so is a worker that nobody expects. --wait listens for all who reply.
$ celery -A proj worker -n worker-2@app1 -Q celery &
$ celery -A proj worker -n celery@app9 -Q nightly &
$ check_celery_workers -f celery_workers --wait {ASK}
CELERY WORKERS WARNING - 1 worker unexpected: server app9\
 | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0 online=7;;;0 queues=0;;0;0 time=Ns;;;0\
 unexpected=1;0;;0 unexpected_servers=1;;;0
Server app9 was unexpectedly present, accounts for 1 worker: celery@app9
exit code 1
$ kill -KILL N   # celery@app9

# The pool of a worker hangs: it answers everything, and starts no task. --stall-limit shows it. The check
# asks over the broker, without Celery and without the application.
$ kill -STOP N   # the pool of reports@app3
$ celery -A proj call proj.export --queue reports
TASK
$ celery -A proj status -t 5
->  mail-0@app2: OK
->  mail-1@app2: OK
->  reports@app3: OK
->  worker-1@app1: OK
->  worker-2@app1: OK
->  worker-3@app1: OK

6 nodes online.
$ cat broker.json
{{"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}}
$ check_celery_workers -f celery_workers --stall-limit 5s --broker filesystem://\
 --broker-options "$PWD/broker.json"
CELERY WORKERS CRITICAL - 1 worker malfunctioning: reports@app3\
 | backlog=0;;;0 backlog_celery=0;;;0 backlog_emails=0;;;0 backlog_reports=0;;;0 duplicate=0;0;;0 malfunctioning=1;;0;0\
 missing=0;;0;0;6 missing_servers=0;;;0 online=6;;;0 queues=0;;0;0 time=Ns;;;0\
 unexpected=0;0;;0 unexpected_servers=0;;;0
Worker reports@app3 was malfunctioning, it did not start the 1 task that it holds for 5 s
exit code 2

# The pool goes on. But the task never ends, and takes the only slot: --task-limit shows it.
$ kill -CONT N   # the pool of reports@app3
$ check_celery_workers -f celery_workers --task-limit 1s {ASK}
CELERY WORKERS CRITICAL - 1 worker malfunctioning: reports@app3\
 | duplicate=0;0;;0 malfunctioning=1;;0;0 missing=0;;0;0;6 missing_servers=0;;;0 oldest_task=Ns;;;0 online=6;;;0\
 queues=0;;0;0 time=Ns;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Worker reports@app3 was malfunctioning, it has run proj.export for N s
exit code 2

# Nobody consumes from the queue that a new release uses: --queue shows it.
$ check_celery_workers -f celery_workers --queue invoices {ASK}
CELERY WORKERS CRITICAL - 1 queue short of consumers: invoices\
 | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0 online=6;;;0 queues=1;;0;0\
 time=Ns;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Queue invoices has 0 consumers instead of at least 1
exit code 2

# A task waits there: --backlog-critical shows it.
$ celery -A proj call proj.export --queue invoices
TASK
$ check_celery_workers -f celery_workers --backlog-critical invoices=0 --broker filesystem://\
 --broker-options "$PWD/broker.json"
CELERY WORKERS CRITICAL - 1 queue backed up: invoices\
 | backlog=1;;;0 backlog_invoices=1;;0;0 duplicate=0;0;;0 malfunctioning=0;;0;0 missing=0;;0;0;6 missing_servers=0;;;0\
 online=6;;;0 queues=0;;0;0 time=Ns;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0
Queue invoices has a backlog of 1 task, more than 0
exit code 2

The workers are stopped, and nothing is left behind.
"""


def start_demo(directory: Path) -> subprocess.Popen[str]:
    """Start the demo so that its temporary files go to this directory."""
    return subprocess.Popen(
        (sys.executable, "contrib/demo/demo.py"),
        cwd=CLONE,
        env={**os.environ, "TMPDIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def assert_nothing_left(directory: Path) -> None:
    assert started_with(str(directory)) == {}
    assert list(directory.iterdir()) == []


def build_files() -> set[Path]:
    return {*CLONE.glob("build"), *CLONE.glob("dist"), *CLONE.glob("*.egg-info")}


def steady(output: str) -> str:
    """Return the output without what differs from run to run: seconds, process ids, and who answers first."""
    output = re.sub(r"((?:time|oldest_task)=|kill -[A-Z]+ )[0-9.]+", r"\1N", output)
    output = re.sub(r"(has run proj.export for ).*", r"\1N s", output)
    output = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "TASK", output)
    return re.sub(r"(?:->  .*\n)+", lambda replies: "".join(sorted(replies[0].splitlines(keepends=True))), output)


def test_shows_what_the_plugin_finds(tmp_path: Path) -> None:
    before = build_files()
    with start_demo(tmp_path) as demo:
        output = demo.communicate(timeout=2 * DEADLINE)[0]
    assert steady(output) == SHOWN
    assert demo.returncode == 0
    assert_nothing_left(tmp_path)
    assert build_files() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with start_demo(tmp_path) as demo:
        assert demo.stdout is not None
        shown = ""
        while CHECK not in shown:
            line = demo.stdout.readline()
            assert line, f"the demo ended early:\n{shown}"
            shown += line
        assert sum("worker" in command for command in started_with(str(tmp_path)).values()) >= 6
        demo.send_signal(number)
        rest = demo.communicate(timeout=DEADLINE)[0]
    # The check may have ended before the signal came.
    assert demo.returncode == 128 + number
    assert rest.endswith("\nInterrupted; nothing is left behind.\n")
    assert "Traceback" not in rest
    assert_nothing_left(tmp_path)
