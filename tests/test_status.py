"""The status text, line by line."""

from __future__ import annotations

import pytest

from check_celery_workers.node import join
from check_celery_workers.status import Answers, Status


def read(text: str, *more: str) -> Status:
    status = Status(Answers())
    for piece in (text, *more):
        status.feed(piece)
    return status


def nodes(status: Status) -> set[str]:
    return {join(worker, digits) for worker, indexes in status.answers.workers.items() for digits in indexes}


@pytest.mark.parametrize(
    "line",
    [
        "w-1@a: OK",
        "-> w-1@a: OK",
        "->  w-1@a: OK",
        " w-1@a: OK",
        "w-1@a: OK  ",
        "w-1@a: OK\r",
        "\rw-1@a: OK",
        "\ufeffw-1@a: OK",
        "\x1b[0m\x1b[1;36mw-1@a: \x1b[0m\x1b[1;32mOK\x1b[0m\x1b[0m",
        "\x1b[37m\x1b[1m->\x1b[0m  \x1b[36m\x1b[1mw-1@a: \x1b[0m\x1b[32m\x1b[1mOK\x1b[0m",
        "\x1b]0;celery status\x07w-1@a: OK",
        "\x1b]0;celery status\x1b\\w-1@a: OK",
        "\x1b(Bw-1@a: OK\x1b[?25h",
        "\x9b1mw-1@a: OK\x9b0m",
        '{"w-1@a": {"ok": "pong"}}',
        '{"w-1@a": [{"name": "celery"}]}',
    ],
)
def test_an_answer(line: str) -> None:
    status = read(f"{line}\n")
    assert nodes(status) == {"w-1@a"}
    assert status.doubt is None
    assert not status.reason
    assert not status.answers.malfunctioning


@pytest.mark.parametrize(
    "node",
    [
        "celery@web1.example.com",
        "a-b-c@x",
        "w-@a",
        "-1@a",
        "w-1@b@c",
        "w@[::1]:5",
        "\u00e4-1@\u00df",
        "w-1234567890123456789@a",
    ],
)
def test_any_node_name(node: str) -> None:
    assert nodes(read(f"->  {node}: OK\n")) == {node}


@pytest.mark.parametrize(
    "line",
    [
        "w-1@a: okay",
        "w-1@a: OK?",
        "w-1@a: OK OK",
        "w-1@a: WARNING",
        "w-1@a:OK",
        "w-1@a",
        "OK",
        "@a: OK",
        "w@: OK",
        "worker: OK",
        "mail to admin@example.com: OK",
        "[2026-01-01 00:00:00,000: INFO/MainProcess] w-1@a: OK",
        "        w-1@a: OK",
        "-> <- w-1@a: OK",
        '{"w-1@a": "pong"}',
        '{"level": "info", "user@host": {}}',
        '{"message": "w-1@a: OK"}',
        "{}",
        "[]",
        "* {'name': 'celery'}",
        "DuplicateNodenameWarning",
        "all nodes online.",
        "12 monkeys",
    ],
)
def test_no_answer(line: str) -> None:
    status = read(f"{line}\n")
    assert not status.answers.workers
    assert status.doubt == f"no worker's answer in the status text: {line.strip()}"


@pytest.mark.parametrize(
    ("text", "malfunctioning"),
    [
        ("w@a: ERROR\n", {"w@a": "it answered ERROR"}),
        ('{"w@a": {"error": "timeout"}, "v@a": {"ok": "pong"}}\n', {"w@a": "it answered ERROR"}),
        ("v@a: OK\n    * {'name': 'celery'}\nw@a: OK\n    - empty -\n", {"w@a": "it consumes from no queue"}),
        ("w@a: OK\n    []\nv@a: OK\n", {"w@a": "it consumes from no queue"}),
        ('{"w@a": [], "v@a": [{"name": "celery"}]}\n', {"w@a": "it consumes from no queue"}),
        ("w@a: OK\n- empty -\n", {}),
        ("    - empty -\nw@a: OK\n", {}),
        ("w@a: OK\n\n1 node online.\n    - empty -\n", {}),
    ],
)
def test_a_malfunctioning_worker(text: str, malfunctioning: dict[str, str]) -> None:
    assert read(text).answers.malfunctioning == malfunctioning


WARNING = "/x/celery/app/control.py:56: DuplicateNodenameWarning: Received multiple replies from node"


@pytest.mark.parametrize(
    ("text", "duplicates"),
    [
        ("w@a: OK\nw@a: OK\n", {"w@a"}),
        ("w@a: OK\nv@a: OK\nw@a: OK\nw@a: OK\n", {"w@a"}),
        (f"{WARNING} name: w@a.\n", {"w@a"}),
        (f"{WARNING} names: v-1@a.example.com, w@a.\n", {"v-1@a.example.com", "w@a"}),
        (f"w@a: OK\n{WARNING} name: w@a.\nw@a: OK\n\n1 node online.\n", {"w@a"}),
        ('{"w@a": {"ok": "pong"}}\n\n1 node online.\n' + f"{WARNING} name: w@a.\n", {"w@a"}),
        # Outputs add up: two apps on one broker ask the same workers.
        ("w@a: OK\n\n1 node online.\nw@a: OK\n\n1 node online.\n", set()),
        ('{"w@a": [{}]}\n{"w@a": [{}]}\n', set()),
        ("w@a: OK\n\n1 node online.\nError: No nodes replied within time constraint\nw@a: OK\n", set()),
    ],
)
def test_duplicates(text: str, duplicates: set[str]) -> None:
    assert read(text).answers.duplicates == duplicates


def test_what_an_output_says_of_a_worker_may_come_in_pieces() -> None:
    status = read("v@a: OK\nw@a: OK\n", "    - empty -\n", "x@a: OK\n")
    assert status.answers.malfunctioning == {"w@a": "it consumes from no queue"}


def test_who_answers_again_when_asked_again_is_no_duplicate() -> None:
    answers = Answers()
    for text in ("v@a: OK\n", "v@a: OK\nw@a: OK\n", "w@a: OK\nw@a: OK\n"):
        status = Status(answers)
        status.feed(text)
    assert nodes(status) == {"v@a", "w@a"}
    assert status.answers.duplicates == {"w@a"}


def test_outputs_add_up() -> None:
    status = read('v@a: OK\n\n1 node online.\n{"w@a": {"ok": "pong"}}\n\n1 node online.\n', "x@b: OK\n", "y@b: OK\n")
    assert nodes(status) == {"v@a", "w@a", "x@b", "y@b"}
    assert status.doubt is None


@pytest.mark.parametrize(
    ("text", "truncated"),
    [
        ("w@a: OK\n\n1 node online.\n", None),
        ("w@a: OK\nw@a: OK\n\n1 node online.\n", None),
        ("w@a: OK\nv@a: OK\n\n1 node online.\n", None),
        ("w@a: OK\n\n2 nodes online.\n", "it names 1 of the 2 nodes that it counts"),
        ("1 node online.\n", "it names 0 of the 1 nodes that it counts"),
        (
            "v@a: OK\nw@a: OK\n\n2 nodes online.\nw@a: OK\n\n2 nodes online.\n",
            "it names 1 of the 2 nodes that it counts",
        ),
        ('{"w@a": {"ok": "pong"}, "v@', "its JSON breaks off"),
        ('w@a: OK\n{"v@a": {"ok": "po\nx@a: OK\n', "its JSON breaks off"),
        ('w@a: OK\n{"level": "in\n', None),
    ],
)
def test_a_text_that_is_not_whole(text: str, truncated: str | None) -> None:
    assert read(text).doubt == (truncated and f"the status text is not whole: {truncated}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("celery: error: unrecognized arguments: -t\n", "celery: error: unrecognized arguments: -t"),
        ("ModuleNotFoundError: No module named 'proj'\n[info] bye\n", "ModuleNotFoundError: No module named 'proj'"),
        ("Error: \nUnable to load celery application.\nThe module x was not found.\n\n", "The module x was not found."),
        ("sudo: a password is required\n", "sudo: a password is required"),
        ("bash: celery: command not found\n", "bash: celery: command not found"),
        ("nothing \x1b[1mtelling\x1b[0m\t here | there\n", "nothing telling here ? there"),
        (f"{'x' * 500}\n", f"{'x' * 297}..."),
        ("[" * 100_000 + "\n", f"{'[' * 297}..."),
        ('{"' * 100_000 + "\n", f"{'{' + chr(34)}" * 148 + "{..."),
    ],
)
def test_the_reason_is_the_last_telling_line(text: str, reason: str) -> None:
    assert read(text).doubt == f"no worker's answer in the status text: {reason}"


@pytest.mark.parametrize(
    "line",
    [
        "Error: No nodes replied within time constraint",
        "Error: No nodes replied within time constraint.",
        "\x1b[1;31mError: No nodes replied within time constraint.\x1b[0m\r",
    ],
)
def test_nobody(line: str) -> None:
    status = read(f"{line}\n")
    assert status.nobody
    assert not status.empty
    assert status.doubt is None
