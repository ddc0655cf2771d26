"""The status text, line by line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.replies.doubt import doubt_about
from check_celery_workers.replies.inquiry import Inquiry, Text
from check_celery_workers.replies.output import Output, Replies
from check_celery_workers.replies.question import ACTIVE_QUEUES
from check_celery_workers.replies.text import TextReader


def read(*pieces: str, whole: bool = True) -> tuple[Replies, Text]:
    """Return the replies in a text that comes in these pieces, and the text; `whole` if its end is not lost."""
    inquiry = inquire(pieces, whole=whole)
    return inquiry.replies, inquiry.texts[0]


def inquire(*texts: Sequence[str], whole: bool = True) -> Inquiry:
    """Return what came of a question that was asked several times; each text comes in pieces."""
    readers = [TextReader() for _ in texts]
    for reader, pieces in zip(readers, texts):
        for piece in pieces:
            reader.feed(piece)
    inquiry = Inquiry()
    inquiry.add(None, [reader.finish(None, whole, ended_well=False) for reader in readers])
    return inquiry


def without_queue(replies: Replies) -> set[str]:
    """Return the nodes that said that they consume from no queue."""
    return {node for node, queues in replies.told.get(ACTIVE_QUEUES, {}).items() if not queues}


def doubt(text: Text) -> str | None:
    """Return why the text is doubted if something is missing."""
    found = doubt_about([text], lacking=True)
    return ": ".join(filter(None, (found.problem, found.reason))) if found else None


def test_a_line_of_a_log_before_the_first_arrow_is_no_reply_and_makes_nothing_enough() -> None:
    inventory = Inventory()
    inventory.expect("w@a")
    awaited = Awaited(inventory)
    reader = TextReader(None, awaited)
    reader.feed("w@a: OK\n")
    assert awaited.missing == 0
    reader.feed("->  v@a: OK\n")
    assert awaited.missing == 1
    (output,) = reader.finish(None, whole=True, ended_well=False).outputs
    assert output.replies.nodes() == {"v@a"}


@pytest.mark.parametrize(("node", "missing"), [("x@a", 1), ("w-7@a", 0), ("v-9@a", 0)])
def test_an_ignored_worker_consumes_only_if_something_may_expect_it(node: str, missing: int) -> None:
    inventory = Inventory(ignored=["*"])
    for text in ("w-7..7@a", "v-*@a=0..5"):
        inventory.expect(text)
    inventory.expect_option("queue", "qa")
    awaited = Awaited(inventory)
    reader = TextReader(ACTIVE_QUEUES, awaited)
    reader.feed(f"->  w-7@a: OK\n    - empty -\n->  {node}: OK\n{QUEUE}")
    assert awaited.missing == missing


QUEUE = "    * {'name': 'qa', 'exchange': {'name': 'qa', 'type': 'direct'}, 'routing_key': 'qa'}\n"
QUEUE_JSON = '{"name": "qa", "exchange": {"name": "qa"}, "routing_key": "qa"}'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("w-1@a: OK", id="plain"),
        pytest.param("-> w-1@a: OK", id="arrow and one blank"),
        pytest.param("->  w-1@a: OK", id="arrow and two blanks"),
        pytest.param(" w-1@a: OK", id="leading blank"),
        pytest.param("w-1@a: OK  ", id="trailing blanks"),
        pytest.param("w-1@a: OK\r", id="carriage return at the end"),
        pytest.param("\rw-1@a: OK", id="carriage return at the begin"),
        pytest.param("\ufeffw-1@a: OK", id="byte-order mark"),
        pytest.param("\x1b[0m\x1b[1;36mw-1@a: \x1b[0m\x1b[1;32mOK\x1b[0m\x1b[0m", id="colours of Celery 3 and 4"),
        pytest.param(
            "\x1b[37m\x1b[1m->\x1b[0m  \x1b[36m\x1b[1mw-1@a: \x1b[0m\x1b[32m\x1b[1mOK\x1b[0m", id="colours of Celery 5"
        ),
        pytest.param("\x1b]0;celery status\x07w-1@a: OK", id="terminal title ended by BEL"),
        pytest.param("\x1b]0;celery status\x1b\\w-1@a: OK", id="terminal title ended by ST"),
        pytest.param("\x1b(Bw-1@a: OK\x1b[?25h", id="other terminal sequences"),
        pytest.param("\x9b1mw-1@a: OK\x9b0m", id="terminal sequences of one byte"),
        pytest.param('{"w-1@a": {"ok": "pong"}}', id="JSON of ping"),
        pytest.param('{"w-1@a": [{"name": "celery"}]}', id="JSON of active_queues"),
    ],
)
def test_a_line_that_is_an_answer(line: str) -> None:
    replies, status = read(f"{line}\n")
    assert replies.nodes() == {"w-1@a"}
    assert doubt(status) is None
    assert not status.reason
    assert not replies.errors


@pytest.mark.parametrize(
    "node",
    [
        pytest.param("celery@web1.example.com", id="full domain name"),
        pytest.param("a-b-c@x", id="dashes in the name"),
        pytest.param("w-@a", id="name that ends in a dash"),
        pytest.param("-1@a", id="nothing before the index"),
        pytest.param("w-1@b@c", id="two at signs"),
        pytest.param("w@[::1]:5", id="IPv6 address"),
        pytest.param("\u00e4-1@\u00df", id="beyond ASCII"),
        pytest.param("w-1234567890123456789@a", id="index of 19 digits"),
    ],
)
def test_any_node_name_is_read(node: str) -> None:
    assert read(f"->  {node}: OK\n")[0].nodes() == {node}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("w-1@a: okay", id="a longer word than OK"),
        pytest.param("w-1@a: OK?", id="OK and a question mark"),
        pytest.param("w-1@a: OK OK", id="OK twice"),
        pytest.param("w-1@a: WARNING", id="a word that is not Celery's"),
        pytest.param("w-1@a:OK", id="nothing between colon and OK"),
        pytest.param("w-1@a", id="a node name alone"),
        pytest.param("OK", id="OK alone"),
        pytest.param("@a: OK", id="an empty NAME"),
        pytest.param("w@: OK", id="an empty SERVER"),
        pytest.param("worker: OK", id="no at sign"),
        pytest.param("        w-1@a: OK", id="eight blanks in front"),
        pytest.param('{"w-1@a": "pong"}', id="JSON with a string as the reply"),
        pytest.param('{"level": "info", "user@host": {}}', id="JSON of a log with an address as key"),
        pytest.param('{"message": "w-1@a: OK"}', id="JSON of a log with an answer as message"),
        pytest.param('{"@w@a": {"ok": "pong"}}', id="JSON with a node whose NAME is empty"),
        pytest.param("{}", id="an empty JSON object"),
        pytest.param("[]", id="an empty JSON list"),
        pytest.param("* {'name': 'celery'}", id="a queue of no node"),
        pytest.param("DuplicateNodenameWarning", id="a warning without names"),
        pytest.param("all nodes online.", id="a closing line without a number"),
        pytest.param("12 monkeys", id="a number of something else"),
    ],
)
def test_a_line_that_is_not_an_answer(line: str) -> None:
    replies, status = read(f"{line}\n")
    assert not replies.groups
    assert str(doubt(status)).startswith("")


@pytest.mark.parametrize(
    "line", ["mail to admin@example.com: OK", "12:00:00 INFO w-1@a: OK", "status-1  | ->  w@a: OK"]
)
def test_a_reply_behind_other_text_is_named_where_there_is_no_other(line: str) -> None:
    _, status = read(f"{line}\n")
    quoted = " ".join(line.replace("|", "?").split())
    assert status.reason == f"other text precedes the replies on their lines: {quoted}"


def test_two_replies_on_one_line_are_no_reply_and_make_the_text_doubtful() -> None:
    replies, status = read("->  v@a: OK\n->  w-1@a: OK->  w-2@a: OK\n")
    assert replies.nodes() == {"v@a"}
    assert doubt(status) == "Celery's output is cut: other text precedes a reply on its line"


@pytest.mark.parametrize(
    ("text", "errors", "queueless"),
    [
        pytest.param("w@a: ERROR\n", {"w@a"}, set(), id="ERROR"),
        pytest.param('{"w@a": {"error": "late"}, "v@a": {"ok": "pong"}}\n', {"w@a"}, set(), id="an error in JSON"),
        pytest.param(f"v@a: OK\n{QUEUE}w@a: OK\n    - empty -\n", set(), {"w@a"}, id="no queue, as text"),
        pytest.param(f"w@a: OK\n    []\nv@a: OK\n{QUEUE}", set(), {"w@a"}, id="no queue, as an empty list in text"),
        pytest.param(f'{{"w@a": [], "v@a": [{QUEUE_JSON}]}}\n', set(), {"w@a"}, id="no queue, as JSON"),
        pytest.param("w@a: OK\n    - empty -\n", set(), set(), id="empty, where nobody shows a queue"),
        pytest.param(f"w@a: OK\n- empty -\nv@a: OK\n{QUEUE}", set(), set(), id="a line that is not indented"),
        pytest.param(f"    - empty -\nw@a: OK\n{QUEUE}", set(), set(), id="an indented line before the first reply"),
        pytest.param(
            f"w@a: OK\n{QUEUE}\n1 node online.\n    - empty -\n",
            set(),
            set(),
            id="an indented line after the last line",
        ),
    ],
)
def test_what_a_worker_replied_is_kept(text: str, errors: set[str], queueless: set[str]) -> None:
    replies, _ = read(text)
    assert (replies.errors, without_queue(replies)) == (errors, queueless)


WARNING = "/x/celery/app/control.py:56: DuplicateNodenameWarning: Received multiple replies from node"


@pytest.mark.parametrize(
    ("text", "duplicates"),
    [
        pytest.param("w@a: OK\nw@a: OK\n", {"w@a"}, id="the same node twice"),
        pytest.param("w@a: OK\nv@a: OK\nw@a: OK\nw@a: OK\n", {"w@a"}, id="the same node three times"),
        pytest.param(f"{WARNING} name: w@a.\n", {"w@a"}, id="a warning of one name"),
        pytest.param(
            f"{WARNING} names: v-1@a.example.com, w@a.\n", {"v-1@a.example.com", "w@a"}, id="a warning of two names"
        ),
        pytest.param(
            f"w@a: OK\n{WARNING} name: w@a.\nw@a: OK\n\n1 node online.\n",
            {"w@a"},
            id="a warning and the same node twice",
        ),
        pytest.param(
            '{"w@a": {"ok": "pong"}}\n\n1 node online.\n' + f"{WARNING} name: w@a.\n", {"w@a"}, id="JSON and a warning"
        ),
        # Outputs add up: two apps on one broker ask the same workers.
        pytest.param("w@a: OK\n\n1 node online.\nw@a: OK\n\n1 node online.\n", set(), id="two outputs"),
        pytest.param('{"w@a": [{}]}\n{"w@a": [{}]}\n', set(), id="two outputs in JSON"),
        pytest.param(
            "w@a: OK\n\n1 node online.\nError: No nodes replied within time constraint\nw@a: OK\n",
            set(),
            id="two outputs and one without replies",
        ),
    ],
)
def test_a_node_is_duplicate_that_answers_twice_to_one_question(text: str, duplicates: set[str]) -> None:
    assert read(text)[0].duplicates == duplicates


def test_the_lines_below_an_answer_may_come_later() -> None:
    replies, _ = read(f"v@a: OK\n{QUEUE}w@a: OK\n", "    - empty -\n", "x@a: OK\n")
    assert without_queue(replies) == {"w@a"}


def test_a_node_that_answers_the_next_question_is_not_duplicate() -> None:
    replies = inquire(["v@a: OK\n"], ["v@a: OK\nw@a: OK\n"], ["w@a: OK\nw@a: OK\n"]).replies
    assert (replies.nodes(), replies.count) == ({"v@a", "w@a"}, 2)
    assert replies.duplicates == {"w@a"}


def test_the_answers_of_all_outputs_add_up() -> None:
    text = 'v@a: OK\n\n1 node online.\n{"w@a": {"ok": "pong"}}\n\n1 node online.\n'
    replies, status = read(text, "x@b: OK\n", "y@b: OK\n")
    assert replies.nodes() == {"v@a", "w@a", "x@b", "y@b"}
    assert doubt(status) is None


@pytest.mark.parametrize(
    ("text", "truncated"),
    [
        pytest.param("w@a: OK\n\n1 node online.\n", None, id="as many as it counts"),
        pytest.param("w@a: OK\nw@a: OK\n\n1 node online.\n", None, id="a duplicate that it counts once"),
        pytest.param("w@a: OK\nv@a: OK\n\n1 node online.\n", None, id="more than it counts"),
        pytest.param("w@a: OK\n\n2 nodes online.\n", "it counts 2 nodes and lists 1", id="fewer than it counts"),
        pytest.param(
            "v@a: OK\nw@a: OK\n\n2 nodes online.\nw@a: OK\n\n2 nodes online.\n",
            "it counts 2 nodes and lists 1",
            id="fewer in the second output",
        ),
        pytest.param('{"w@a": {"ok": "pong"}, "v@', "its JSON breaks off", id="JSON that breaks off"),
        pytest.param(
            'w@a: OK\n{"v@a": {"ok": "po\nx@a: OK\n', "its JSON breaks off", id="JSON that breaks off between answers"
        ),
        pytest.param('w@a: OK\n{"level": "in\n', None, id="JSON of a log that breaks off"),
    ],
)
def test_a_text_that_is_not_whole_is_doubted(text: str, truncated: str | None) -> None:
    assert doubt(read(text)[1]) == (truncated and f"Celery's output is cut: {truncated}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "celery: error: unrecognized arguments: -t\n",
            "celery: error: unrecognized arguments: -t",
            id="wrong usage of Celery",
        ),
        pytest.param(
            "[info] hello\nModuleNotFoundError: No module named 'proj'\nWarning: it is late\n",
            "ModuleNotFoundError: No module named 'proj'",
            id="an exception before a warning",
        ),
        pytest.param(
            "Error: \nUnable to load celery application.\nThe module x was not found.\n\n",
            "The module x was not found.",
            id="Celery's error over many lines",
        ),
        pytest.param("sudo: a password is required\n", "sudo: a password is required", id="sudo"),
        pytest.param(
            "bash: celery: command not found\n", "bash: celery: command not found", id="a command that is not there"
        ),
        pytest.param(
            "nothing \x1b[1mtelling\x1b[0m\t here | there\n", "nothing telling here ? there", id="nothing that tells"
        ),
        pytest.param(f"{'x' * 500}\n", f"{'x' * 297}...", id="a line that is too long"),
        pytest.param("[" * 100_000 + "\n", f"{'[' * 297}...", id="deep JSON lists"),
        pytest.param('{"' * 100_000 + "\n", f"{'{' + chr(34)}" * 148 + "{...", id="deep JSON objects"),
    ],
)
def test_the_reason_is_the_line_that_tells_most(text: str, reason: str) -> None:
    assert read(text)[1].reason == reason


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Error: No nodes replied within time constraint", id="plain"),
        pytest.param("Error: No nodes replied within time constraint.", id="with a full stop"),
        pytest.param("\x1b[1;31mError: No nodes replied within time constraint.\x1b[0m\r", id="in colours"),
    ],
)
def test_no_node_replied(line: str) -> None:
    _, status = read(f"{line}\n")
    assert [output.end for output in status.outputs] == [Output.NOBODY]
    assert not status.is_blank
    assert doubt(status) is None


def test_the_reason_is_the_exception_of_a_traceback_that_was_logged_if_nothing_else_speaks() -> None:
    text = "app is starting\nTraceback (most recent call last):\n  File x\nKeyError: 'BROKER'\nbye\n"
    assert read(text)[1].reason == "KeyError: 'BROKER'"
