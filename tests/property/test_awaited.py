"""Counting down reply by reply comes to the same number as comparing all of them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from check_celery_workers.errors import UsageError
from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.judgement.compare import compare
from check_celery_workers.judgement.finding import Comparison
from check_celery_workers.node import split_node
from check_celery_workers.replies.inquiry import Inquiry
from check_celery_workers.replies.item import SpecialQueue
from check_celery_workers.replies.text import TextReader

EXPECTED = st.lists(
    st.sampled_from(
        [
            *("w-1@a", "w-4@a", "w-2..5@a", "w-0..0@a", "w@a", "celery@b"),
            *("*@a=3", "w-*=2..4", "?@*=1", "*=0..1", "v-0*@b=1.."),
        ]
    ),
    unique=True,
    max_size=6,
)
NODES = st.lists(
    st.builds(
        "{}{}@{}".format,
        st.sampled_from(["w", "v", "celery"]),
        st.sampled_from(["", "-0", "-1", "-01", "-2", "-3", "-4", "-5", "-6"]),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=25,
)


# Both ends of a COUNT, and two spellings of an index, whatever else was drawn.
OTHERS = ["w-0@a", "w-4@a", "w-2@a", "w-02@a", "v-3@b", "v-0@b", "w@a"]


@examples(300)
@given(expected=EXPECTED, nodes=NODES, first_index=st.sampled_from([None, 0, 1]))
def test_what_is_still_awaited_is_what_is_missing(
    expected: list[str], nodes: list[str], first_index: int | None
) -> None:
    inventory = Inventory(first_index)
    for text in ["v-3@b", *expected]:
        # Some expect a worker twice, and are refused.
        with suppress(UsageError):
            inventory.expect(text)
    awaited = Awaited(inventory)
    assert awaited.missing == (inventory.size or 1)
    text = ""
    for node in [*nodes, *OTHERS]:
        awaited.notice(*split_node(node))
        text += f"{node}: OK\n"
        reader, inquiry = TextReader(), Inquiry()
        reader.feed(text)
        inquiry.add(None, [reader.finish(None, whole=True, ended_well=False)])
        assert awaited.missing == compare(Comparison(inventory, inquiry)).count("missing")


def test_whoever_has_replied_is_awaited_once_more() -> None:
    replied = {("w", "@a"): {"1", "2"}, ("celery", "@b"): {""}}
    awaited = Awaited(Inventory.of(replied))
    nodes = ["w-1@a", "celery@b", "v@c", "w-2@a"]
    missing = [awaited.missing]
    for node in nodes:
        awaited.notice(*split_node(node))
        missing.append(awaited.missing)
    assert missing == [3, 2, 1, 1, 0]


@pytest.mark.parametrize("name", ["news", "bcast.1"])
def test_a_queue_is_awaited_by_either_of_its_names(name: str) -> None:
    inventory = Inventory()
    inventory.expect_option("queue", f"{name}=2")
    awaited = Awaited(inventory)
    for node, missing in (("w@a", 1), ("w@a", 1), ("v@a", 0)):
        awaited.notice(*split_node(node))
        awaited.hear(node, SpecialQueue("bcast.1", "news", takes_turns=False))
        assert awaited.missing == missing


QUEUES = st.lists(st.sampled_from(["emails", "mail", "slow"]), unique=True)
BODIES = st.lists(st.tuples(st.sampled_from(["w-1@a", "w-2@a", "v@b"]), QUEUES), max_size=6)


@examples(100)
@given(bodies=BODIES)
def test_consumers_are_counted_down_as_their_queues_are_read(bodies: list[tuple[str, list[str]]]) -> None:
    inventory = Inventory()
    inventory.expect_option("queue", "emails=2..")
    inventory.expect_option("queue", "mail")
    awaited = Awaited(inventory)
    reader = TextReader(awaited=awaited)
    consumers: dict[str, set[str]] = {"emails": set(), "mail": set(), "slow": set()}
    for node, queues in bodies:
        lines = [f"    * {{'name': '{queue}', 'exchange': {{}}, 'routing_key': 'x'}}\n" for queue in queues]
        reader.feed(f"-> {node}: OK\n{''.join(lines) or '    - empty -'}\n")
        for queue in queues:
            consumers[queue].add(node)
    lacking = max(0, 2 - len(consumers["emails"])) + max(0, 1 - len(consumers["mail"]))
    assert awaited.missing == (lacking or int(not bodies))
