"""EXPECTED: what is wrong with it, files of it, and the way back from answers to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, Outcome, check

FORMS = "write NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N"

WRONG = [
    ("worker-0@a", "it expects no worker, write worker-0..0@a for the one worker worker-0@a"),
    ("worker-5..3@a", "FIRST is over LAST, write worker-3..5@a"),
    ("worker", f"it names no server, {FORMS}"),
    ("@a", f"NAME or SERVER is empty, {FORMS}"),
    ("worker-3@", f"NAME or SERVER is empty, {FORMS}"),
    ("w-3..@a", f"NAME is empty, or its numbers cannot be read, {FORMS}"),
    ("w-..3@a", f"NAME is empty, or its numbers cannot be read, {FORMS}"),
    ("w-1234567890123456789@a", f"NAME is empty, or its numbers cannot be read, {FORMS}"),
    ("", f"one worker without white space is wanted here, {FORMS}"),
    ("v@a w@a", f"one worker without white space is wanted here, {FORMS}"),
    ("celery@web-*", "a pattern needs the number of workers, write PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN.."),
    ("celery@web-*=x", "a pattern needs the number of workers, write PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN.."),
    ("celery@web-*=0", "it expects no worker, write PATTERN=0..MAX for up to MAX workers"),
    ("celery@web-*=3..2", "MIN is over MAX, write PATTERN=MIN..MAX"),
    ("celery@web=2", f"without *, ? or [...] it matches one worker alone, {FORMS}"),
]


@pytest.mark.parametrize(("text", "explained"), WRONG)
def test_a_wrong_argument_is_named_with_how_to_write_it_right(text: str, explained: str) -> None:
    assert check(text) == Outcome(f"CELERY WORKERS UNKNOWN - EXPECTED {text}: {explained}\n", UNKNOWN)


@pytest.mark.parametrize(("text", "explained"), [wrong for wrong in WRONG if wrong[0]])
def test_a_wrong_line_of_a_file_is_named_and_never_repeated(tmp_path: Path, text: str, explained: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"# root's\n\n  v@b  # fine\n{text}\n")
    outcome = check("-f", str(file))
    generic = explained.replace("worker-5..3@a", "").replace("worker-3..5@a", "NAME-3..5@SERVER")
    generic = generic.replace("worker-0..0@a", "NAME-0..0@SERVER").replace("worker-0@a", "NAME-0@SERVER")
    assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {file}:4: {generic}\n", UNKNOWN)


@pytest.mark.parametrize(
    "twice",
    [
        "w-4@a w-4@a",
        "w-4@a w-2@a",
        "w-4@a w-0..0@a",
        "w-0..0@a w-4@a",
        "w-4@a w-4..9@a",
        "w-4..9@a w-4@a",
        "w-1..3@a w-3..5@a",
        "w-3..5@a w-1..3@a",
        "w-1..9@a w-4..4@a",
        "w-4..4@a w-1..9@a",
        "w@a w@a",
        "w-1..3@a w-5..7@a w-3..5@a",
    ],
)
def test_the_same_worker_expected_twice(twice: str) -> None:
    last = twice.rsplit(maxsplit=1)[-1]
    assert check(*twice.split()) == Outcome(
        f"CELERY WORKERS UNKNOWN - EXPECTED {last}: the same worker is expected twice, write it once\n", UNKNOWN
    )


def test_the_same_pattern_twice() -> None:
    assert (
        check("w*=1", "w*=2").output
        == "CELERY WORKERS UNKNOWN - EXPECTED w*=2: the pattern is given twice, write it once\n"
    )


@pytest.mark.parametrize("fine", ["w-4@a w-5..9@a", "w-5..9@a w-1..3@a w-4..4@a", "w@a w-2@a", "w-2@a w-2@b"])
def test_the_same_name_but_not_the_same_worker(fine: str) -> None:
    assert check(*fine.split(), text="w@a: OK\n").code == CRITICAL


def test_with_a_first_index_a_count_leaves_the_other_numbers_free() -> None:
    assert check("--first-index", "1", "w-4@a", "w-0..0@a", text="w-0@a: OK\n").code == CRITICAL


def test_files_options_and_arguments_add_up(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"\xef\xbb\xbfX-1@a  # with a byte-order mark\n")
    second.write_bytes(b"\r\n  celery@b\r\n# all\r\nx*@c=1..\r\n")
    text = "X-1@a: OK\ncelery@b: OK\nx@c: OK\ny@d: OK\nz@d: OK\n"
    outcome = check("y@d", "-f", str(first), "-e", "z@d", "--expect-file", str(second), text=text)
    assert outcome.headline == "CELERY WORKERS OK - 5 of 5 workers online on 4 servers"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert check("-f", str(missing)) == Outcome(
        f"CELERY WORKERS UNKNOWN - {missing} cannot be read: No such file or directory\n", UNKNOWN
    )
    assert check("-f", str(tmp_path)) == Outcome(
        f"CELERY WORKERS UNKNOWN - {tmp_path} cannot be read: Is a directory\n", UNKNOWN
    )


def test_a_file_that_never_ends(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert check("-t", "0.2", "-f", str(fifo)) == Outcome(
        f"CELERY WORKERS UNKNOWN - {fifo} did not end before the timeout\n", UNKNOWN
    )


def test_nothing_expected() -> None:
    assert check(text="w@a: OK\n") == Outcome(
        "CELERY WORKERS UNKNOWN - no worker is expected, write EXPECTED such as worker-4@serverA (see --help)\n",
        UNKNOWN,
    )


@pytest.mark.parametrize(
    ("nodes", "lines"),
    [
        (["w-1@a", "w-2@a", "w-3@a"], ["w-1..3@a"]),
        (["w-0@a", "w-2@a", "w-3@a", "w@a"], ["w-0..0@a", "w-2..3@a", "w@a"]),
        (["w-09@a", "w-10@a"], ["w-9..10@a"]),
        (["w-2@b", "celery@b", "w-10@a", "v-1@a"], ["celery@b", "v-1..1@a", "w-2..2@b", "w-10..10@a"]),
        (["X@a", "X*@a"], ["X@a", "X[*]@a=1"]),
        (["w*@a", "-x@a", "#y@a", "w?-1@b", "z@a=3", "[q]@a"], None),
        (["w-1234567890123456789@a", "w-1..@a", "w-..1@a"], None),
        (["w\x01-1@a", "w\x02-1@a", "w-1@a", "w\x01\x02-1@a"], None),
        # The ? that stands for what does not print would take the worker of the other.
        (["w\x01\x02@a", "w\x01b@a"], ["w?b@a=1", "w??@a=1"]),
    ],
)
def test_a_baseline_fed_back_is_ok(tmp_path: Path, nodes: list[str], lines: list[str] | None) -> None:
    text = "".join(f"{node}: OK\n" for node in nodes)
    described = check("--baseline", text=text)
    assert described.code == OK
    assert lines is None or described.output.splitlines() == lines
    file = tmp_path / "expected"
    file.write_text(described.output)
    assert check("-f", str(file), text=text).headline.startswith(
        f"CELERY WORKERS OK - {len(nodes)} of {len(nodes)} workers"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no worker answered, so there is nothing to describe"),
        ("Error: No nodes replied within time constraint\n", "no worker answered, so there is nothing to describe"),
        ("Killed\n", "no worker's answer in the status text: Killed"),
        ("w@a: OK\n\n2 nodes online.\n", "the status text is not whole: it names 1 of the 2 nodes that it counts"),
    ],
)
def test_there_is_no_baseline_of_nothing(text: str, reason: str) -> None:
    assert check("--baseline", text=text) == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)
