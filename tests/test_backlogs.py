"""`--backlog-warning`, `--backlog-critical`: how many messages may wait in a queue, as `celery amqp` says it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from answering import Worker, asked, verdict
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, check, perfdata

STATES = {"OK": OK, "WARNING": WARNING, "CRITICAL": CRITICAL, "UNKNOWN": UNKNOWN}
NOBODY = "Error: No nodes replied within time constraint\n"
# What 3.1, 4.x and 5.x print first.
CONNECTED = "-> connecting to amqp://guest:**@localhost:5672//.\n-> connected.\n"
NOT_JUDGED = "Backlogs were not judged: that needs --broker"


def told(status: str, *below: str, numbers: str = "") -> Outcome:
    """Return what the plugin says: `OK - ...`, the perfdata behind it if there are any, and the lines below."""
    top = f"CELERY WORKERS {status} | {numbers}" if numbers else f"CELERY WORKERS {status}"
    return Outcome("".join(f"{line}\n" for line in (top, *below)), STATES[status.split(maxsplit=1)[0]])


def measured(backlog: str, *, missing: str = "0;;0;0;1", online: str = "1;;;0", **others: str) -> str:
    """Return the perfdata with the sum of the backlogs; `emails=...` is the backlog of that queue."""
    fixed = {"time", "queues", "unexpected", "oldest_task", "duplicate", "malfunctioning", "missing_servers"}
    named = {label if label in fixed else f"backlog_{label}": value for label, value in others.items()}
    return perfdata(missing=missing, online=online, backlog=f"{backlog};;;0", **named)


def queue(name: str, alias: str | None = None) -> str:
    """Return the line of a queue that a worker consumes from."""
    details = {"name": name, "exchange": {"name": name, "type": "direct"}, "routing_key": name, "alias": alias}
    return f"    * {details!r}\n"


def consuming(**fleet: str) -> str:
    """Return what `inspect active_queues` prints: for each worker of server `a` the lines of its queues."""
    replies = "".join(f"->  {name}@a: OK\n{lines}" for name, lines in fleet.items())
    return f"{replies}\n{len(fleet)} node{'s' * (len(fleet) > 1)} online.\n"


def status(*nodes: str) -> str:
    """Return what `status` prints."""
    return "".join(f"->  {node}: OK\n" for node in nodes) + f"\n{len(nodes)} node{'s' * (len(nodes) > 1)} online.\n"


def declared(name: str, messages: int) -> str:
    """Return what `amqp queue.declare NAME true` of Celery 5 says."""
    return f"queue:{name} messages:{messages} consumers:1\n"


def not_found(name: str, vhost: str) -> str:
    """Return what it says of a queue that is not there."""
    return f"ERROR: Channel.queue_declare: (404) NOT_FOUND - no queue '{name}' in vhost '{vhost}'\n"


WELL = "OK - 1 of 1 worker online on 1 server"
ONE = consuming(w=queue("emails") + queue("celery"))


def test_a_queue_is_backed_up() -> None:
    text = ONE + declared("emails", 1204) + declared("celery", 3)
    assert check("w@a", "--backlog-critical", "emails=1000", text=text) == Outcome(
        """\
CELERY WORKERS CRITICAL - 1 queue backed up: emails | backlog=1207;;;0 backlog_emails=1204;;1000;0 duplicate=0;0;;0 \
malfunctioning=0;;0;0 missing=0;;0;0;1 missing_servers=0;;;0 online=1;;;0 queues=0;;0;0 unexpected=0;0;;0 \
unexpected_servers=0;;;0
Queue emails has a backlog of 1,204 tasks, more than 1,000
""",
        CRITICAL,
    )


@pytest.mark.parametrize(
    ("options", "state", "limits", "finding"),
    [
        pytest.param("-critical=20", "OK", ";20", "", id="as many as may wait"),
        pytest.param("-critical=19", "CRITICAL", ";19", "more than 19", id="one more"),
        pytest.param("-critical=19.5", "CRITICAL", ";19.5", "more than 19.5", id="half a message more"),
        pytest.param("-critical=0", "CRITICAL", ";0", "more than 0", id="none may wait"),
        pytest.param("-critical=0:19", "CRITICAL", ";19", "more than 19", id="a range from 0"),
        pytest.param("-critical=20:", "OK", ";20:", "", id="the least number"),
        pytest.param("-critical=21:", "CRITICAL", ";21:", "fewer than 21", id="fewer than the least number"),
        pytest.param("-critical=21:30", "CRITICAL", ";21:30", "fewer than 21", id="below a range"),
        pytest.param("-critical=5:9", "CRITICAL", ";5:9", "more than 9", id="above a range"),
        pytest.param("-critical=20:20", "OK", ";20:20", "", id="within a range"),
        pytest.param("-critical=@20:30", "CRITICAL", ";@20:30", "in the range @20:30", id="within an inverse range"),
        pytest.param("-critical=@20", "CRITICAL", ";@20", "in the range @20", id="at the end of an inverse range"),
        pytest.param("-critical=@21:30", "OK", ";@21:30", "", id="outside of an inverse range"),
        pytest.param("-critical=~:19", "CRITICAL", ";~:19", "more than 19", id="a range without a start"),
        pytest.param("-critical=~:", "OK", ";~:", "", id="any number"),
        pytest.param("-warning=20", "OK", "20;", "", id="warning: as many as may wait"),
        pytest.param("-warning=19", "WARNING", "19;", "more than 19", id="warning: one more"),
        pytest.param("-warning=@20", "WARNING", "@20;", "in the range @20", id="warning: an inverse range"),
        pytest.param("-warning=25:", "WARNING", "25:;", "fewer than 25", id="warning: fewer than the least number"),
        pytest.param("-warning=10 -critical=20", "WARNING", "10;20", "more than 10", id="between the two"),
        pytest.param("-warning=10 -critical=15", "CRITICAL", "10;15", "more than 15", id="beyond both, told once"),
        pytest.param(
            "-warning=30 -critical=15", "CRITICAL", "30;15", "more than 15", id="the critical one is stricter"
        ),
        pytest.param("-critical=15 -warning=30", "CRITICAL", "30;15", "more than 15", id="in the other order"),
        pytest.param("-warning=25: -critical=50", "WARNING", "25:;50", "fewer than 25", id="too few and too many"),
    ],
)
def test_a_backlog_within_its_ranges_and_outside_of_them(options: str, state: str, limits: str, finding: str) -> None:
    text = ONE + declared("emails", 20)
    for name in ("emails=", ""):
        arguments = [f"--backlog{option.replace('=', f'={name}')}" for option in options.split()]
        own = {"emails": f"20;{limits};0", "queues": "0;;0;0"} if name else {}
        expected = told(
            f"{state} - 1 queue backed up: emails" if finding else WELL,
            *([f"Queue emails has a backlog of 20 tasks, {finding}"] if finding else []),
            numbers=measured("20", **own),
        )
        # Where the range is for all queues, the workers consume from this one alone.
        alone = text.replace(queue("celery"), "")
        assert check("w@a", *arguments, text=alone) == expected


def test_numbers_are_written_as_people_read_them() -> None:
    text = ONE + declared("emails", 1) + declared("celery", 1234567)
    assert check("w@a", "--backlog-critical", "0", "--backlog-warning", "celery=2000000:", text=text) == told(
        "CRITICAL - 2 queues backed up: celery, emails",
        "Queue celery has a backlog of 1,234,567 tasks, more than 0",
        "Queue emails has a backlog of 1 task, more than 0",
        numbers=measured("1234568", celery="1234567;2000000:;0;0", queues="0;;0;0"),
    )
    assert check("w@a", "--backlog-warning", "celery=2000000:", text=text).findings == [
        "Queue celery has a backlog of 1,234,567 tasks, fewer than 2,000,000"
    ]
    assert check("w@a", "--backlog-critical", "emails=@0", text=ONE + declared("emails", 0)).findings == [
        "Queue emails has a backlog of 0 tasks, in the range @0"
    ]


@pytest.mark.parametrize(
    ("options", "state", "findings", "limits"),
    [
        pytest.param(
            "-critical=1000",
            "CRITICAL - 1 queue backed up: emails",
            ["Queue emails has a backlog of 1,204 tasks, more than 1,000"],
            {},
            id="the general range alone",
        ),
        pytest.param(
            "-critical=1 -critical=emails=2000",
            "CRITICAL - 1 queue backed up: celery",
            ["Queue celery has a backlog of 3 tasks, more than 1"],
            {"emails": "1204;;2000;0"},
            id="the own range replaces the general one",
        ),
        pytest.param(
            "-critical=celery=2 -critical=1000",
            "CRITICAL - 2 queues backed up: celery, emails",
            [
                "Queue celery has a backlog of 3 tasks, more than 2",
                "Queue emails has a backlog of 1,204 tasks, more than 1,000",
            ],
            {"celery": "3;;2;0"},
            id="in the other order, and a stricter one",
        ),
        pytest.param(
            "-warning=1 -critical=1000 -warning=emails=2000",
            "CRITICAL - 2 queues backed up: celery, emails",
            [
                "Queue celery has a backlog of 3 tasks, more than 1",
                "Queue emails has a backlog of 1,204 tasks, more than 1,000",
            ],
            {"emails": "1204;2000;1000;0"},
            id="of its severity alone",
        ),
        pytest.param(
            "-warning=1 -critical=emails=2000",
            "WARNING - 2 queues backed up: celery, emails",
            [
                "Queue celery has a backlog of 3 tasks, more than 1",
                "Queue emails has a backlog of 1,204 tasks, more than 1",
            ],
            {"emails": "1204;1;2000;0"},
            id="the general warning holds beside an own critical range",
        ),
        pytest.param(
            "-critical=1 -critical=emails=~: -critical=celery=~:",
            WELL,
            [],
            {"emails": "1204;;~:;0", "celery": "3;;~:;0"},
            id="own ranges that never alert",
        ),
    ],
)
def test_the_range_of_a_queue_replaces_the_general_one_of_its_severity(
    options: str, state: str, findings: list[str], limits: dict[str, str]
) -> None:
    text = ONE + declared("emails", 1204) + declared("celery", 3)
    own = {**limits, "queues": "0;;0;0"} if limits else {}
    assert check("w@a", *(f"--backlog{option}" for option in options.split()), text=text) == told(
        state, *findings, numbers=measured("1207", **own)
    )


def test_an_option_for_consumers_names_a_queue_as_well() -> None:
    text = ONE + declared("emails", 6) + declared("celery", 2)
    assert check("w@a", "--queue", "emails=1", "--backlog-warning", "5", text=text) == told(
        "WARNING - 1 queue backed up: emails",
        "Queue emails has a backlog of 6 tasks, more than 5",
        numbers=measured("8", emails="6;5;;0", queues="0;;0;0"),
    )
    assert check("w@a", "--queue", "emails=1", text=text) == told(
        WELL, numbers=measured("8", emails="6;;;0", queues="0;;0;0")
    )


def test_without_an_option_backlogs_never_alert() -> None:
    text = ONE + declared("emails", 1_000_000) + not_found("celery", "/") + not_found("old", "0")
    assert check("w@a", text=text) == told(WELL, numbers=measured("1000000"))


def test_a_queue_may_be_called_like_a_metric() -> None:
    text = status("w@a") + declared("missing", 6) + declared("online", 7)
    assert check("w@a", "--backlog-critical", "missing=5", "--backlog-warning", "online=5", text=text) == told(
        "CRITICAL - 2 queues backed up: missing, online",
        "Queue missing has a backlog of 6 tasks, more than 5",
        "Queue online has a backlog of 7 tasks, more than 5",
        numbers=measured("13", missing="0;;0;0;1", online="1;;;0", queues="0;;0;0").replace(
            "backlog=13;;;0", "backlog=13;;;0 backlog_missing=6;;5;0 backlog_online=7;5;;0"
        ),
    )


def test_a_queue_called_like_a_metric_lets_nothing_out_that_is_in_doubt() -> None:
    """How many are missing is in doubt, since the text tells no beats."""
    arguments = ["w@a", "v@a", "-w", "0", "--beat", "celerybeat@a", "--backlog-critical", "missing=5"]
    outcome = check(*arguments, text=ONE + declared("missing", 6))
    numbers = measured("6", missing="", queues="0;;0;0").replace(" missing= ", " ")
    assert outcome == told(
        "CRITICAL - 1 queue backed up (missing), 1 of 2 workers missing (v@a)",
        "Worker v@a was missing",
        "Queue missing has a backlog of 6 tasks, more than 5",
        "In doubt: Celery's output shows no beats; run inspect ping",
        numbers=numbers.replace("backlog=6;;;0", "backlog=6;;;0 backlog_missing=6;;5;0"),
    )


@pytest.mark.parametrize(
    ("name", "label"),
    [
        pytest.param("emails_2", "emails_2", id="a digit and an underscore stay"),
        pytest.param("e-mails.dk", "e-mails.dk", id="a dash and a dot stay"),
        pytest.param("e mails", "e_mails", id="not a blank"),
        pytest.param("shop/e:mails", "shop_e_mails", id="nor a slash and a colon"),
        pytest.param("it's", "it_s", id="nor a quotation mark"),
        pytest.param("a=b", "a_b", id="nor an equals sign"),
        pytest.param("a;b", "a_b", id="nor a semicolon"),
        pytest.param("a|b", "a_b", id="nor what begins perfdata"),
        pytest.param("a\x06\x16b", "a__b", id="nor control characters"),
    ],
)
def test_the_label_of_a_queue_has_only_characters_that_graphs_can_have(name: str, label: str) -> None:
    shown = name.replace("|", "?").replace("\x06\x16", "??")
    text = consuming(w=queue(name)) + declared(name, 6)
    outcome = check("w@a", "--backlog-critical", f"{name}=5", text=text)
    assert outcome == told(
        f"CRITICAL - 1 queue backed up: {shown}",
        f"Queue {shown} has a backlog of 6 tasks, more than 5",
        numbers=measured("6", queues="0;;0;0").replace("backlog=6;;;0", f"backlog=6;;;0 backlog_{label}=6;;5;0"),
    )


def test_no_label_comes_twice() -> None:
    text = ONE + declared("a b", 6) + declared("a/b", 7) + declared("a_b", 8)
    options = [f"--backlog-warning={name}=5" for name in ("a b", "a/b", "a_b")]
    outcome = check("w@a", *options, text=text)
    assert outcome.headline == "CELERY WORKERS WARNING - 3 queues backed up"
    assert outcome.findings == [
        "Queue a b has a backlog of 6 tasks, more than 5",
        "Queue a/b has a backlog of 7 tasks, more than 5",
        "Queue a_b has a backlog of 8 tasks, more than 5",
    ]
    labels = [item.partition("=")[0] for item in outcome.output.splitlines()[0].split(" | ")[1].split()]
    assert [label for label in labels if labels.count(label) > 1] == []


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("queue:emails messages:7 consumers:1\n", id="Celery 5"),
        pytest.param(f"{CONNECTED}queue:emails messages:7 consumers:1\nOK\n", id="Celery 5 with all that it prints"),
        pytest.param(
            f"{CONNECTED}\x1b[36mqueue:emails messages:7 consumers:1\x1b[0m\n\x1b[32mOK\x1b[0m\n", id="in colours"
        ),
        pytest.param(f"{CONNECTED}ok. queue:emails messages:7 consumers:1.\n", id="Celery 3.1 and 4"),
        pytest.param("ok. queue:emails messages:7 consumers:0.\n", id="without a consumer"),
        pytest.param("queue:emails messages:7 consumers:1", id="without an end of its line"),
        pytest.param("queue:emails messages:7 consumers:1\r\n", id="with a carriage return"),
        pytest.param("  queue:emails messages:7 consumers:1  \n", id="with blanks around it"),
        pytest.param(declared("emails", 3) + declared("emails", 7), id="twice, of which the last holds"),
        pytest.param(not_found("emails", "/") + declared("emails", 7), id="not found at first"),
    ],
)
def test_lines_that_tell_a_backlog(lines: str) -> None:
    fine = told(WELL, numbers=measured("7", emails="7;;7;0", queues="0;;0;0"))
    beyond = told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 7 tasks, more than 6",
        numbers=measured("7", emails="7;;6;0", queues="0;;0;0"),
    )
    before = [lines + ONE] if lines.endswith("\n") else []
    for text in (ONE + lines, *before):
        assert check("w@a", "--backlog-critical", "emails=7", text=text) == fine
        assert check("w@a", "--backlog-critical", "emails=6", text=text) == beyond


def test_lines_that_tell_a_backlog_stand_within_an_output() -> None:
    text = f"->  w@a: OK\n{declared('emails', 7)}->  v@a: OK\n\n2 nodes online.\n"
    assert check("w@a", "v@a", "--backlog-critical", "emails=7", text=text) == told(
        "OK - 2 of 2 workers online on 1 server",
        numbers=measured("7", missing="0;;0;0;2", online="2;;;0", emails="7;;7;0", queues="0;;0;0"),
    )


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("web_1 | queue:emails messages:7 consumers:1\n", id="behind other text"),
        pytest.param("queue:emails messages:7\n", id="without consumers"),
        pytest.param("queue:emails messages:7 consumers:1 unacked:2\n", id="with something behind it"),
        pytest.param("queue:emails messages:many consumers:1\n", id="a word for the number"),
        pytest.param("queue: messages:7 consumers:1\n", id="without a name"),
        pytest.param("queue:emails messages:1234567890123456789 consumers:1\n", id="a number of 19 digits"),
        pytest.param("Queue:emails messages:7 consumers:1\n", id="another word"),
        pytest.param("queue:Emails messages:7 consumers:1\n", id="another name"),
        pytest.param("ERROR: ACCESS_REFUSED - access to queue 'emails' in vhost '/' refused\n", id="another error"),
    ],
)
def test_lines_that_tell_no_backlog(lines: str) -> None:
    for text in (status("w@a") + lines, lines + status("w@a")):
        assert check("w@a", "--backlog-critical", "emails=5", text=text) == told(
            "UNKNOWN - Celery's output shows no backlog of emails; use --broker"
        )


def test_what_stands_below_a_node_is_what_it_answered_and_tells_no_backlog() -> None:
    text = "->  w@a: OK\n    queue:emails messages:7 consumers:1\n\n1 node online.\n"
    assert check("w@a", "--backlog-critical", "emails=5", text=text) == told(
        "UNKNOWN - Celery's output shows no backlog of emails; use --broker"
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(not_found("emails", "0"), id="Celery 5"),
        pytest.param(not_found("emails", "15"), id="another database"),
        pytest.param(CONNECTED + not_found("emails", "0").removeprefix("ERROR: "), id="Celery 3.1 and 4"),
    ],
)
def test_a_queue_of_redis_that_is_not_there_is_empty(line: str) -> None:
    for text in (ONE + line, line + ONE):
        assert check("w@a", "--backlog-critical", "emails=5", text=text) == told(
            WELL, numbers=measured("0", emails="0;;5;0", queues="0;;0;0")
        )
    assert check("w@a", "--backlog-critical", "emails=1:", text=ONE + line) == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 0 tasks, fewer than 1",
        numbers=measured("0", emails="0;;1:;0", queues="0;;0;0"),
    )


@pytest.mark.parametrize(
    "vhost",
    [
        pytest.param("/", id="in the virtual host of the beginning"),
        pytest.param("shop", id="in one with a name"),
        pytest.param("shop1", id="in one with a number in its name"),
        pytest.param("it's", id="in one with a quotation mark"),
    ],
)
@pytest.mark.parametrize(
    "option",
    [
        pytest.param("--backlog-critical=emails=5", id="with a critical range"),
        pytest.param("--backlog-warning=emails=5", id="with a warning"),
        pytest.param("--queue=emails=1", id="with a number of consumers"),
    ],
)
def test_a_queue_of_rabbitmq_that_is_not_there_does_not_exist(vhost: str, option: str) -> None:
    text = status("w@a") + not_found("emails", vhost) + declared("celery", 3)
    assert check("w@a", option, text=text) == told(
        "CRITICAL - 1 queue does not exist: emails",
        "Queue emails does not exist",
        numbers=measured("3", queues="1;;0;0"),
    )


def test_queues_that_do_not_exist_are_counted_with_those_off_their_number() -> None:
    text = consuming(w=queue("celery") + queue("slow")) + not_found("b", "/") + not_found("a", "/")
    arguments = ["w@a", "--queue=a", "--backlog-critical=b=5", "--queue=celery=2", "--queue=slow=0..0"]
    findings = [
        "Queue a does not exist",
        "Queue b does not exist",
        "Queue celery has 1 consumer instead of 2",
        "Queue slow has 1 consumer instead of 0",
    ]
    words = "2 queues do not exist (a, b), 1 short of consumers (celery), 1 with too many consumers (slow)"
    assert check(*arguments, text=text) == told(
        f"CRITICAL - {words}", *findings, numbers=measured("0", queues="4;;0;0")
    )
    assert check(*arguments, "--queues-critical", "4", text=text) == told(
        f"{WELL}, {words}", *findings, numbers=measured("0", queues="4;;4;0")
    )
    assert check(*arguments, "--queues-warning", "3", text=text) == told(
        f"WARNING - {words}", *findings, numbers=measured("0", queues="4;3;;0")
    )


def test_a_queue_that_does_not_exist_is_not_short_of_consumers_as_well() -> None:
    assert check("w@a", "--queue", "emails=3..", text=ONE + not_found("emails", "/")) == told(
        "CRITICAL - 1 queue does not exist: emails",
        "Queue emails does not exist",
        numbers=measured("0", queues="1;;0;0"),
    )


# A Broadcast queue: each worker has one of its own, of a generated name, and all have one alias.
NEWS = consuming(w=queue("bcast.1", "news"), v=queue("bcast.2", "news"))
TWO = {"missing": "0;;0;0;2", "online": "2;;;0"}
TWO_WELL = "OK - 2 of 2 workers online on 1 server"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(NEWS, id="text"),
        pytest.param(
            json.dumps({f"{node}@a": [{"name": node, "routing_key": "x", "alias": "news"}] for node in "wv"}) + "\n",
            id="JSON",
        ),
    ],
)
def test_the_name_of_a_queue_may_be_its_alias(text: str) -> None:
    assert check("w@a", "v@a", "--queue", "news=2..", "-v", text=text) == told(
        TWO_WELL,
        "Online on a: 2 workers, v@a, w@a",
        "Queue news: 2 workers",
        numbers=perfdata(**TWO, queues="0;;0;0"),
    )
    assert check("w@a", "v@a", "--queue", "news=3", text=text) == told(
        "CRITICAL - 1 queue short of consumers: news",
        "Queue news has 2 consumers instead of 3",
        numbers=perfdata(**TWO, queues="1;;0;0"),
    )


def test_a_queue_without_an_alias_has_its_own_name_alone() -> None:
    numbers = perfdata(missing="0;;0;0;1", online="1;;;0", queues="0;;0;0")
    for alias in (None, ""):
        text = consuming(w=queue("emails", alias))
        assert check("w@a", "--queue", "emails=1", text=text) == told(WELL, numbers=numbers)
    for other in (None, "", 5, ["news"]):
        text = json.dumps({"w@a": [{"name": "emails", "routing_key": "x", "alias": other}]}) + "\n"
        assert check("w@a", "--queue", "emails=1", text=text) == told(WELL, numbers=numbers)


def test_a_queue_with_an_alias_has_its_own_name_as_well() -> None:
    both = consuming(w=queue("news.1", "news"), v=queue("news.1", "news"))
    assert check("w@a", "v@a", "--queue", "news.1=2", text=both) == told(
        TWO_WELL, numbers=perfdata(**TWO, queues="0;;0;0")
    )
    assert check("w@a", "v@a", "--queue", "bcast.1=1", text=NEWS) == told(
        TWO_WELL, numbers=perfdata(**TWO, queues="0;;0;0")
    )
    assert check("w@a", "v@a", "--backlog-critical", "bcast.1=5", text=NEWS + declared("bcast.1", 6)) == told(
        "CRITICAL - 1 queue backed up: bcast.1",
        "Queue bcast.1 has a backlog of 6 tasks, more than 5",
        numbers=measured("6", **TWO, queues="0;;0;0").replace("backlog=6;;;0", "backlog=6;;;0 backlog_bcast.1=6;;5;0"),
    )


@pytest.mark.parametrize(
    ("option", "own"),
    [
        pytest.param("--backlog-critical=news=12", {"news": "13;;12;0", "queues": "0;;0;0"}, id="by the alias"),
        pytest.param("--backlog-critical=12", {}, id="by no name"),
    ],
)
def test_several_queues_behind_one_alias_are_added_up(option: str, own: dict[str, str]) -> None:
    text = NEWS + declared("bcast.1", 6) + declared("bcast.2", 7)
    assert check("w@a", "v@a", option, text=text) == told(
        "CRITICAL - 1 queue backed up: news",
        "Queue news has a backlog of 13 tasks, more than 12",
        numbers=measured("13", **TWO, **own),
    )
    assert check("w@a", "v@a", option.replace("12", "13"), text=text) == told(
        TWO_WELL,
        numbers=measured("13", **TWO, **{label: value.replace("12", "13") for label, value in own.items()}),
    )


def test_the_queues_of_ignored_workers_alone_do_not_count() -> None:
    text = consuming(w=queue("emails"), dev=queue("emails") + queue("dev")) + declared("emails", 3) + declared("dev", 7)
    ignored = "--ignore", "dev@*"
    for expected in (["w@a"], ["--expect", "w@*=1"]):
        assert check(*expected, "--backlog-critical", "5", *ignored, text=text) == told(WELL, numbers=measured("3"))
    # Nor is there a doubt where nobody has measured it.
    unmeasured = text.replace(declared("dev", 7), "")
    assert check("w@a", "--backlog-critical", "5", *ignored, text=unmeasured) == told(WELL, numbers=measured("3"))
    assert check("w@a", "--backlog-critical", "dev=5", *ignored, text=text) == told(
        "CRITICAL - 1 queue backed up: dev",
        "Queue dev has a backlog of 7 tasks, more than 5",
        numbers=measured("10", dev="7;;5;0", queues="0;;0;0"),
    )
    assert check("dev@a", "w@a", "--backlog-critical", "5", *ignored, text=text).code == CRITICAL


def test_a_broadcast_of_ignored_workers_alone_does_not_count() -> None:
    text = consuming(w=queue("emails"), dev=queue("bcast.1", "news")) + declared("bcast.1", 7) + declared("emails", 3)
    assert check("w@a", "--backlog-critical", "5", "--ignore", "dev@*", text=text) == told(WELL, numbers=measured("3"))


def test_of_several_queues_behind_one_alias_those_that_exist_tell() -> None:
    numbers = measured("6", **TWO, news="6;;6;0", queues="0;;0;0")
    lines = not_found("bcast.1", "/"), declared("bcast.2", 6)
    for text in (NEWS + lines[0] + lines[1], NEWS + lines[1] + lines[0]):
        assert check("w@a", "v@a", "--backlog-critical", "news=6", text=text) == told(TWO_WELL, numbers=numbers)
    none = NEWS + not_found("bcast.1", "/") + not_found("bcast.2", "/")
    assert check("w@a", "v@a", "--backlog-critical", "news=6", text=none) == told(
        "CRITICAL - 1 queue does not exist: news",
        "Queue news does not exist",
        numbers=measured("0", **TWO, queues="1;;0;0"),
    )


@pytest.mark.parametrize(
    ("text", "numbers", "headline"),
    [
        pytest.param(
            declared("emails", 7),
            measured("7", missing="0;;0;0;0", online="0;;;0", emails="7;;7;0", queues="0;;0;0"),
            "OK - 7 tasks wait in 1 queue",
            id="one line",
        ),
        pytest.param(
            CONNECTED + "ok. queue:emails messages:7 consumers:1.\n",
            measured("7", missing="0;;0;0;0", online="0;;;0", emails="7;;7;0", queues="0;;0;0"),
            "OK - 7 tasks wait in 1 queue",
            id="all that Celery 4 prints",
        ),
        pytest.param(
            NOBODY + declared("emails", 7),
            measured("7", missing="0;;0;0;0", online="0;;;0", emails="7;;7;0", queues="0;;0;0"),
            "OK - 7 tasks wait in 1 queue",
            id="nobody replied",
        ),
        pytest.param(
            not_found("emails", "0"),
            measured("0", missing="0;;0;0;0", online="0;;;0", emails="0;;7;0", queues="0;;0;0"),
            "OK - 0 tasks wait in 1 queue",
            id="an empty queue",
        ),
        pytest.param(
            declared("emails", 1),
            measured("1", missing="0;;0;0;0", online="0;;;0", emails="1;;7;0", queues="0;;0;0"),
            "OK - 1 task waits in 1 queue",
            id="one message",
        ),
        pytest.param(
            status("w@a", "x@b") + declared("emails", 7),
            measured("7", missing="0;;0;0;0", online="2;;;0", emails="7;;7;0", queues="0;;0;0"),
            "OK - 7 tasks wait in 1 queue",
            id="workers, none of which is unexpected",
        ),
        pytest.param(
            "->  w@a: OK\n" + declared("emails", 7),
            measured("7", missing="0;;0;0;0", online="1;;;0", emails="7;;7;0", queues="0;;0;0"),
            "OK - 7 tasks wait in 1 queue",
            id="workers in a text that is cut",
        ),
    ],
)
def test_where_nothing_but_backlogs_is_expected_their_lines_are_enough(text: str, numbers: str, headline: str) -> None:
    assert check("--backlog-critical", "emails=7", text=text) == told(headline, numbers=numbers)


def test_where_nothing_but_backlogs_is_expected_they_are_judged() -> None:
    alone = {"missing": "0;;0;0;0", "online": "0;;;0"}
    assert check("--backlog-critical", "emails=5", text=CONNECTED + declared("emails", 7)) == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 7 tasks, more than 5",
        numbers=measured("7", **alone, emails="7;;5;0", queues="0;;0;0"),
    )
    assert check("--backlog-warning", "emails=5", text=CONNECTED + not_found("emails", "/")) == told(
        "CRITICAL - 1 queue does not exist: emails",
        "Queue emails does not exist",
        numbers=measured("0", **alone, queues="1;;0;0"),
    )


def test_whom_workers_name_need_not_be_named() -> None:
    assert check("--backlog-critical", "5", text=ONE + declared("emails", 6) + declared("celery", 2)) == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 6 tasks, more than 5",
        numbers=measured("8", missing="0;;0;0;0"),
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(declared("emails", 6), id="lines alone"),
        pytest.param(CONNECTED + declared("emails", 6), id="lines behind what comes before them"),
        pytest.param(NOBODY + declared("emails", 6), id="lines behind nobody"),
        pytest.param(declared("emails", 6) + NOBODY, id="lines before nobody"),
    ],
)
def test_queues_that_the_text_names_need_no_worker(text: str) -> None:
    assert check("--backlog-critical", "7", text=text) == told(
        "OK - 6 tasks wait in 1 queue", numbers=measured("6", missing="0;;0;0;0", online="0;;;0")
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("Error: broken\n" + declared("emails", 6), "Error: broken", id="nobody was asked"),
        pytest.param(
            "->  w@a: OK\n" + queue("emails") + declared("emails", 6),
            "Celery's output is cut: its closing line is missing (a timeout or a filter?), 1 worker had replied",
            id="the list of workers is cut",
        ),
        pytest.param(
            consuming(w=queue("emails")).replace("1 node", "2 nodes") + declared("emails", 6),
            "Celery's output is cut: it counts 2 nodes and lists 1, 1 worker had replied",
            id="a worker is not in the list",
        ),
    ],
)
def test_where_workers_were_asked_in_vain_nobody_knows_which_queues_there_are(text: str, reason: str) -> None:
    for more in ([], ["--queue", "emails=0.."]):
        assert check("--backlog-critical", "7", *more, text=text) == told(f"UNKNOWN - {reason}")
    # What is known to be backed up stays so.
    assert check("--backlog-critical", "5", text=text) == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 6 tasks, more than 5",
        f"In doubt: {reason}",
    )


def test_another_attempt_shows_which_queues_there_are() -> None:
    text = "Error: broken\n" + consuming(w=queue("emails")) + declared("emails", 6)
    assert check("--backlog-critical", "7", text=text) == told(
        "OK - 6 tasks wait in 1 queue", numbers=measured("6", missing="0;;0;0;0")
    )


def test_where_nobody_answered_queues_must_be_named() -> None:
    assert check("--backlog-critical", "7", text=NOBODY) == told(
        "UNKNOWN - Celery's output shows no backlog; use --broker"
    )


@pytest.mark.parametrize(
    ("options", "lines", "whose"),
    [
        pytest.param("-critical=emails=5", "", " of emails", id="one that is named"),
        pytest.param("-warning=q-10=5 -critical=q-9=5", "", " of q-9 and 1 more", id="two, in natural order"),
        pytest.param(
            "-warning=b=5 -critical=c=5 -critical=a=5", declared("d", 3), " of a and 2 more", id="three beside another"
        ),
        pytest.param("-critical=emails=5", declared("celery", 3), " of emails", id="one beside another"),
        pytest.param("-critical=5", "", "", id="none is named"),
        pytest.param("-critical=5 -warning=emails=5", "", " of emails", id="one that is named, and all others"),
        pytest.param("-critical=5", declared("emails", 3), " of celery", id="one that a worker consumes from"),
    ],
)
def test_a_backlog_that_nobody_told_is_in_doubt(options: str, lines: str, whose: str) -> None:
    arguments = [f"--backlog{option}" for option in options.split()]
    reason = f"Celery's output shows no backlog{whose}; use --broker"
    assert check("w@a", *arguments, text=ONE + lines) == told(f"UNKNOWN - {reason}")
    assert check("w@a", "v@b", *arguments, text=ONE + lines).findings == [
        "Server b was missing, accounts for 1 missing worker: v@b",
        f"In doubt: {reason}",
    ]


def test_a_backlog_that_nobody_told_is_in_doubt_where_nothing_else_is_expected() -> None:
    for text in (NOBODY, "", status("w@a"), declared("celery", 3) + NOBODY):
        assert check("--backlog-critical", "emails=5", text=text) == told(
            "UNKNOWN - Celery's output shows no backlog of emails; use --broker"
        )


def test_the_sum_is_in_doubt_with_one_of_its_parts() -> None:
    text = ONE + declared("emails", 6) + declared("celery", 1)
    outcome = check("w@a", *(f"--backlog-critical={name}=5" for name in ("emails", "slow", "celery")), text=text)
    assert outcome == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 6 tasks, more than 5",
        "In doubt: Celery's output shows no backlog of slow; use --broker",
        numbers=measured("", emails="6;;5;0", celery="1;;5;0", queues="0;;0;0").removeprefix("backlog=;;;0 "),
    )
    assert check("w@a", *(f"--backlog-warning={name}=5" for name in ("emails", "slow")), text=text) == told(
        "UNKNOWN - Celery's output shows no backlog of slow; use --broker"
    )


def test_a_doubt_of_something_else_leaves_backlogs_alone() -> None:
    text = status("w@a") + declared("emails", 6)
    assert check("w@a", "--queue", "celery", "--backlog-critical", "emails=5", text=text) == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 6 tasks, more than 5",
        "In doubt: Celery's output shows no queues; run inspect active_queues",
        numbers=measured("6", emails="6;;5;0"),
    )
    assert check(
        "w@a", "--beat", "celerybeat@a", "--backlog-critical", "emails=5", text=ONE + declared("emails", 6)
    ) == (
        told(
            "CRITICAL - 1 queue backed up: emails",
            "Queue emails has a backlog of 6 tasks, more than 5",
            "In doubt: Celery's output shows no beats; run inspect ping",
            numbers=measured("6", missing="", emails="6;;5;0", queues="0;;0;0").replace(" missing= ", " "),
        )
    )


def test_one_who_lists_no_queues_may_have_others_where_the_backlogs_of_all_are_judged() -> None:
    text = ONE + status("v@a") + declared("emails", 3) + declared("celery", 1)
    # What is expected is not ignored.
    for ignored in ([], ["--ignore", "v@*"]):
        assert check("w@a", "v@a", "--backlog-critical", "5", *ignored, text=text) == told(
            "UNKNOWN - Celery's output shows no queues of v@a; run inspect active_queues"
        )
    assert check("w@a", "--backlog-critical", "5", "--ignore", "v@*", text=text) == told(WELL, numbers=measured("4"))
    assert check("w@a", "v@a", "--backlog-critical", "emails=5", "--queue", "emails=1..", text=text) == told(
        TWO_WELL, numbers=measured("4", **TWO, emails="3;;5;0", queues="0;;0;0")
    )


def test_where_nobody_lists_queues_all_are_those_that_the_text_names() -> None:
    assert check("w@a", "v@a", "--backlog-critical", "5", text=status("v@a", "w@a") + declared("emails", 3)) == told(
        TWO_WELL, numbers=measured("3", **TWO)
    )


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        pytest.param(
            "--beat celerybeat@b --backlog-critical emails=7",
            "->  celerybeat@a: OK\n->  x@a: OK\n" + declared("emails", 3),
            told(
                "UNKNOWN - Celery's output is cut: its closing line is missing (a timeout or a filter?), "
                "0 of 1 beat had replied, no reply from celerybeat@b",
                "Beat celerybeat@b had not replied",
            ),
            id="of a beat",
        ),
        pytest.param(
            "--queue mail=2 --backlog-critical emails=7",
            "->  w@a: OK\n" + queue("mail") + declared("emails", 3),
            told(
                "UNKNOWN - Celery's output is cut: its closing line is missing (a timeout or a filter?), "
                "1 worker had replied"
            ),
            id="of the consumers of a queue",
        ),
        pytest.param(
            "--backlog-critical emails=7 --backlog-critical slow=7",
            "Error: broken\n" + declared("emails", 3),
            told("UNKNOWN - Error: broken"),
            id="of another backlog, whose line is not there",
        ),
    ],
)
def test_backlogs_that_are_known_take_no_doubt_away(arguments: str, text: str, expected: Outcome) -> None:
    assert check(*arguments.split(), text=text) == expected


CUT = (
    "Celery's output is cut: its closing line is missing (a timeout or a filter?), "
    "1 of 2 workers had replied, no reply from v@a"
)


def test_a_backlog_stands_where_the_workers_are_in_doubt() -> None:
    text = "->  w@a: OK\n" + declared("emails", 6) + not_found("celery", "/")
    both = ["w@a", "v@a", "--backlog-critical", "emails=5"]
    backed_up = "Queue emails has a backlog of 6 tasks, more than 5"
    assert check(*both, text=text) == told(
        "CRITICAL - 1 queue backed up: emails", backed_up, f"In doubt: {CUT}", numbers="backlog_emails=6;;5;0"
    )
    assert check(*both, "--backlog-warning", "celery=5", text=text) == told(
        "CRITICAL - 1 queue does not exist (celery), 1 backed up (emails)",
        "Queue celery does not exist",
        backed_up,
        f"In doubt: {CUT}",
        numbers="backlog_emails=6;;5;0 queues=1;;0;0",
    )
    assert check("w@a", "v@a", "--backlog-warning", "emails=5", text=text) == told(
        f"UNKNOWN - {CUT}", "Worker v@a had not replied"
    )
    assert check(*both, text=text.replace("messages:6", "messages:5")) == told(
        f"UNKNOWN - {CUT}", "Worker v@a had not replied"
    )


def test_a_backlog_stands_where_no_worker_can_be_judged() -> None:
    backed_up = "Queue emails has a backlog of 6 tasks, more than 5"
    assert check("w@a", "--backlog-critical", "emails=5", text="Error: broken\n" + declared("emails", 6)) == told(
        "CRITICAL - 1 queue backed up: emails",
        backed_up,
        "In doubt: Error: broken",
        numbers="backlog_emails=6;;5;0",
    )
    assert check("w@a", "--backlog-critical", "emails=5", text="Error: broken\n" + declared("emails", 5)) == told(
        "UNKNOWN - Error: broken"
    )
    assert check("--backlog-critical", "emails=5", text="Error: broken\n") == told("UNKNOWN - Error: broken")
    assert check("w@a", "--backlog-critical", "emails=5", text=NOBODY + declared("emails", 6)) == told(
        "CRITICAL - 1 of 1 worker missing (server a), 1 queue backed up (emails)",
        "Server a was missing, accounts for 1 missing worker: w@a",
        backed_up,
        numbers=measured(
            "6", missing="1;;0;0;1", missing_servers="1;;;0", online="0;;;0", emails="6;;5;0", queues="0;;0;0"
        ),
    )


def test_backlogs_stand_between_queues_and_unexpected_workers() -> None:
    text = consuming(w=queue("emails"), x=queue("emails")) + declared("q-10", 6) + declared("q-9", 6)
    options = ["--queue=emails=3", "--backlog-warning=q-10=5", "--backlog-warning=q-9=5"]
    findings = [
        "Queue emails has 2 consumers instead of 3",
        "Queue q-9 has a backlog of 6 tasks, more than 5",
        "Queue q-10 has a backlog of 6 tasks, more than 5",
        "Worker x@a was unexpectedly present",
    ]
    outcome = check("w@a", "v@a", *options, text=text)
    assert outcome.findings == ["Worker v@a was missing", *findings]
    assert outcome.headline == (
        "CELERY WORKERS CRITICAL - 1 of 2 workers missing (v@a), 1 queue short of consumers (emails), "
        "2 backed up (q-9, q-10), 1 unexpected (x@a)"
    )
    # The worst comes first.
    worse = check(
        "w@a", *(option.replace("warning=q-9", "critical=q-9") for option in options), "--queues-warning=0", text=text
    )
    assert worse.findings == findings
    assert worse.headline == (
        "CELERY WORKERS CRITICAL - 2 queues backed up (q-9, q-10), 1 short of consumers (emails), "
        "1 worker unexpected (x@a)"
    )


def test_verbose_explains_how_the_state_came_about() -> None:
    text = consuming(w=queue("emails") + queue("slow")) + declared("emails", 6) + declared("slow", 3)
    rest = [
        "OK: missing is 0 (warning ~:, critical 0)",
        "OK: malfunctioning is 0 (warning ~:, critical 0)",
        "OK: duplicate is 0 (warning 0, critical ~:)",
        "OK: queues is 0 (warning ~:, critical 0)",
        "OK: unexpected is 0 (warning 0, critical ~:)",
        "OK: missing_servers is 0 (warning ~:, critical ~:)",
        "OK: unexpected_servers is 0 (warning ~:, critical ~:)",
    ]
    online = ["Online on a: 1 worker, w@a", "Queue emails: 1 worker", "Queue slow: 1 worker"]
    finding = "Queue emails has a backlog of 6 tasks, more than 5"
    named = check("w@a", "--backlog-warning", "emails=4", "--backlog-critical", "emails=5", "-vv", text=text)
    assert named.findings == [finding, *online, "CRITICAL: backlog_emails is 6 (warning 4, critical 5)", *rest]
    general = check("w@a", "--backlog-warning", "5", "-vv", text=text)
    rest.remove("OK: queues is 0 (warning ~:, critical 0)")
    assert general.findings[0] == finding
    assert "WARNING: backlog_emails is 6 (warning 5, critical ~:)" in general.findings
    assert general.findings[1:4] == online
    assert [line for line in general.findings[4:] if "backlog" not in line] == rest


def test_lines_that_tell_a_backlog_are_no_failure_that_was_passed_over() -> None:
    text = ONE + not_found("emails", "/") + declared("slow", 3)
    assert check("w@a", "-vv", text=text).findings == [
        "Online on a: 1 worker, w@a",
        "Queue celery: 1 worker",
        "Queue emails: 1 worker",
        "OK: missing is 0 (warning ~:, critical 0)",
        "OK: malfunctioning is 0 (warning ~:, critical 0)",
        "OK: duplicate is 0 (warning 0, critical ~:)",
        "OK: unexpected is 0 (warning 0, critical ~:)",
        "OK: missing_servers is 0 (warning ~:, critical ~:)",
        "OK: unexpected_servers is 0 (warning ~:, critical ~:)",
    ]
    for line in (declared("emails", 3), not_found("emails", "/")):
        assert check("w@a", text=line) == told("UNKNOWN - no reply in Celery's output")


def test_the_line_of_a_connection_shows_no_password() -> None:
    text = "-> connecting to amqp://guest:secret@localhost:5672//.\n"
    outcome = check("w@a", "--backlog-critical", "emails=5", "-vvv", text=text)
    assert outcome.code == UNKNOWN
    assert "secret" not in outcome.output


class Celery:
    """A stand-in for Celery that a shell plays, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "asked"

    def command(self, text: str, *words: str, then: str = "true") -> list[str]:
        """Return a COMMAND that prints the text whatever it is asked."""
        script = f'echo "$1" >> {shlex.quote(str(self._log))}; printf %s {shlex.quote(text)}; {then}'
        return ["--", "sh", "-c", script, "celery", *(words or ["{}"])]

    @property
    def asked(self) -> list[str]:
        """The questions in their order."""
        return self._log.read_text().split()


@pytest.fixture
def celery(tmp_path: Path) -> Celery:
    """A Celery in a directory of the test's own."""
    return Celery(tmp_path)


commands = pytest.mark.usefixtures("nothing_is_left_running")
DECLARE = ["amqp", "queue.declare", "emails", "true"]


@commands
@pytest.mark.parametrize(
    "words",
    [pytest.param([], id="the question in place of braces"), pytest.param(["status"], id="another question")],
)
@pytest.mark.parametrize("expected", [pytest.param(["w@a"], id="workers"), pytest.param([], id="nothing-else")])
def test_a_command_that_tells_no_backlog(celery: Celery, words: list[str], expected: list[str]) -> None:
    command = celery.command(ONE, *words)
    assert check(*expected, "--backlog-critical", "emails=5", *command) == told(
        "UNKNOWN - Celery's output shows no backlog of emails; use --broker"
    )
    assert check(*expected, "--backlog-critical", "5", *command) == told(
        "UNKNOWN - Celery's output shows no backlog; use --broker"
    )
    assert celery.asked == [*(words or ["active_queues"])] * 2


@commands
def test_a_command_that_declares_a_queue(celery: Celery) -> None:
    alone = {"missing": "0;;0;0;0", "online": "0;;;0", "queues": "0;;0;0", "time": "0.5s;;;0"}
    lines = CONNECTED + declared("emails", 6)
    for then in ("true", "exit 3"):
        command = celery.command(lines, *DECLARE, then=then)
        assert check("--backlog-critical", "emails=5", *command).timeless == told(
            "CRITICAL - 1 queue backed up: emails",
            "Queue emails has a backlog of 6 tasks, more than 5",
            numbers=measured("6", **alone, emails="6;;5;0"),
        )
        assert check("--backlog-critical", "emails=6", *command).timeless == told(
            "OK - 6 tasks wait in 1 queue", numbers=measured("6", **alone, emails="6;;6;0")
        )
    nothing = celery.command(CONNECTED, *DECLARE)
    assert check("--backlog-critical", "emails=5", *nothing) == told(
        "UNKNOWN - Celery's output shows no backlog of emails; use --broker"
    )


@commands
def test_a_command_that_asks_workers_and_declares_a_queue(celery: Celery) -> None:
    command = celery.command(ONE + declared("emails", 6) + declared("celery", 1))
    for expected, numbers in (
        (["w@a"], {}),
        ([], {"missing": "0;;0;0;0"}),
    ):
        assert check(*expected, "--backlog-warning", "5", *command).timeless == told(
            "WARNING - 1 queue backed up: emails",
            "Queue emails has a backlog of 6 tasks, more than 5",
            numbers=measured("7", **numbers, time="0.5s;;;0"),
        )
    assert celery.asked == ["active_queues"] * 2


@commands
def test_consumers_by_an_alias_are_enough_for_one_attempt(celery: Celery) -> None:
    assert check("--queue", "news=2..", "--attempts", "3", *celery.command(NEWS)).timeless == told(
        "OK - 2 workers online on 1 server",
        numbers=perfdata(missing="0;;0;0;0", online="2;;;0", queues="0;;0;0", time="0.5s;;;0"),
    )
    assert celery.asked == ["active_queues"]


FORM = "it is no backlog; write backlog NAME=WARNING/CRITICAL, such as backlog emails=100/1000"


@pytest.mark.parametrize(
    ("lines", "messages", "state", "limits", "finding"),
    [
        pytest.param("backlog emails=5/10", 5, "OK", "5;10", "", id="within both"),
        pytest.param("backlog emails=5/10", 6, "WARNING", "5;10", "more than 5", id="beyond the first"),
        pytest.param("backlog emails=5/10", 11, "CRITICAL", "5;10", "more than 10", id="beyond both"),
        pytest.param("backlog emails=5", 11, "WARNING", "5;", "more than 5", id="a warning alone"),
        pytest.param("backlog emails=5/", 11, "WARNING", "5;", "more than 5", id="a warning alone with its slash"),
        pytest.param("backlog emails=/5", 11, "CRITICAL", ";5", "more than 5", id="a critical range alone"),
        pytest.param("backlog emails=@5:9/2:", 9, "WARNING", "@5:9;2:", "in the range @5:9", id="ranges of any form"),
        pytest.param("backlog emails=5\nbacklog emails=/10", 7, "WARNING", "5;10", "more than 5", id="two lines"),
        pytest.param(
            "backlog emails=/10\nbacklog emails=5", 7, "WARNING", "5;10", "more than 5", id="in another order"
        ),
        pytest.param("  backlog   emails=5/10  # slow", 6, "WARNING", "5;10", "more than 5", id="blanks and a comment"),
    ],
)
def test_lines_of_a_file(tmp_path: Path, lines: str, messages: int, state: str, limits: str, finding: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"w@a\n{lines}\n")
    assert check("-f", str(file), text=ONE + declared("emails", messages)) == told(
        f"{state} - 1 queue backed up: emails" if finding else WELL,
        *([f"Queue emails has a backlog of {messages} tasks, {finding}"] if finding else []),
        numbers=measured(str(messages), emails=f"{messages};{limits};0", queues="0;;0;0"),
    )


def test_a_line_of_a_file_names_any_queue(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("w@a\nbacklog a=b c=5\nbacklog d/e=5/10\n")
    assert check("-f", str(file), text=ONE + declared("a=b c", 6) + declared("d/e", 5)) == told(
        "WARNING - 1 queue backed up: a=b c",
        "Queue a=b c has a backlog of 6 tasks, more than 5",
        numbers=measured("11", a_b_c="6;5;;0", d_e="5;5;10;0", queues="0;;0;0"),
    )


def test_a_line_of_a_file_and_an_option_of_the_other_severity(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("w@a\nbacklog emails=5\n")
    assert check("-f", str(file), "--backlog-critical", "emails=10", text=ONE + declared("emails", 11)) == told(
        "CRITICAL - 1 queue backed up: emails",
        "Queue emails has a backlog of 11 tasks, more than 10",
        numbers=measured("11", emails="11;5;10;0", queues="0;;0;0"),
    )


def test_a_line_of_a_file_is_passed_over_where_nothing_tells_backlogs(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("w@a\nv@a\nbacklog emails=5/10\n")
    numbers = perfdata(missing="0;;0;0;2", online="2;;;0", queues="0;;0;0")
    assert check("-f", str(file), text=status("w@a", "v@a")) == told(TWO_WELL, NOT_JUDGED, numbers=numbers)
    assert check("-f", str(file), text=status("w@a")) == told(
        "CRITICAL - 1 of 2 workers missing: v@a",
        "Worker v@a was missing",
        NOT_JUDGED,
        numbers=perfdata(missing="1;;0;0;2", online="1;;;0", queues="0;;0;0"),
    )
    # An option is not.
    assert check("-f", str(file), "--backlog-warning", "celery=5", text=status("w@a", "v@a")) == told(
        "UNKNOWN - Celery's output shows no backlog of celery and 1 more; use --broker"
    )


def test_where_something_tells_backlogs_no_line_of_a_file_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("w@a\nbacklog emails=5/10\nbacklog slow=5\n")
    assert check("-f", str(file), text=ONE + declared("emails", 3)) == told(
        "UNKNOWN - Celery's output shows no backlog of slow; use --broker"
    )


def test_a_file_with_backlogs_alone_is_an_inventory(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("backlog emails=5/10\n")
    assert check("-f", str(file), text=status("w@a")) == told(
        "OK - 1 worker online on 1 server",
        NOT_JUDGED,
        numbers=perfdata(missing="0;;0;0;0", online="1;;;0", queues="0;;0;0"),
    )
    assert check("-f", str(file), text="Error: broken\n") == told("UNKNOWN - Error: broken")
    assert check("-f", str(file), text=declared("emails", 6)) == told(
        "WARNING - 1 queue backed up: emails",
        "Queue emails has a backlog of 6 tasks, more than 5",
        numbers=measured("6", missing="0;;0;0;0", online="0;;;0", emails="6;5;10;0", queues="0;;0;0"),
    )


@commands
def test_a_line_of_a_file_is_passed_over_with_a_command(celery: Celery, tmp_path: Path) -> None:
    file = tmp_path / "expected"
    for lines, headline, missing in (
        ("w@a\nbacklog emails=5\n", WELL, "0;;0;0;1"),
        ("backlog emails=5\n", "OK - 1 worker online on 1 server", "0;;0;0;0"),
    ):
        file.write_text(lines)
        assert check("-f", str(file), *celery.command(ONE)).timeless == told(
            headline, NOT_JUDGED, numbers=perfdata(missing=missing, online="1;;;0", queues="0;;0;0", time="0.5s;;;0")
        )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("backlog stuff", id="no range"),
        pytest.param("backlog stuff=", id="an empty range"),
        pytest.param("backlog stuff=/", id="two empty ranges"),
        pytest.param("backlog =1/2", id="an empty name"),
        pytest.param("backlog 100/1000", id="no name"),
        pytest.param("backlog stuff=many", id="a word for a range"),
        pytest.param("backlog stuff=1/many", id="a word for the second range"),
        pytest.param("backlog stuff=many/1", id="a word for the first range"),
        pytest.param("backlog stuff=1/2/3", id="three ranges"),
        pytest.param("backlog stuff=5:2", id="a range whose start is over its end"),
        pytest.param("backlog stuff=10%", id="percent"),
        pytest.param("backlog", id="nothing"),
    ],
)
def test_a_wrong_line_of_a_file_is_named_and_never_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"# mine\nw@a\n{line}\n")
    assert check("-f", str(file), text=ONE) == told(f"UNKNOWN - {file}:3: {FORM}")


@pytest.mark.parametrize("severity", ["warning", "critical"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("many", id="a word"),
        pytest.param("emails", id="a name alone"),
        pytest.param("emails=", id="a name without a range"),
        pytest.param("emails=many", id="a name with a word"),
        pytest.param("5:2", id="a start over its end"),
        pytest.param("emails=5:2", id="a name with a start over its end"),
        pytest.param("-5", id="a number below 0"),
        pytest.param("10%", id="percent"),
        pytest.param("emails=100/1000", id="both ranges, as in a file"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_range_that_cannot_be_read_is_a_usage_error(severity: str, value: str) -> None:
    right = "write RANGE or NAME=RANGE, such as 1000 or emails=100"
    assert check("w@a", f"--backlog-{severity}={value}", text=ONE) == told(
        f"UNKNOWN - --backlog-{severity} {value}: its RANGE cannot be read; {right}"
    )


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_an_empty_name_is_a_usage_error(severity: str) -> None:
    assert check("w@a", f"--backlog-{severity}", "=5", text=ONE) == told(
        f"UNKNOWN - --backlog-{severity} =5: NAME is empty; write RANGE or NAME=RANGE"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("5", "6", id="the general range"),
        pytest.param("emails=5", "emails=5", id="the range of a queue"),
        pytest.param("emails=~:", "emails=6", id="the range of a queue, the first of which never alerts"),
    ],
)
@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_range_given_twice_is_refused(first: str, second: str, severity: str) -> None:
    option = f"--backlog-{severity}"
    assert check("w@a", option, first, option, second) == told(
        f"UNKNOWN - {option} {second}: the backlog is given twice; write it once"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("5", "6", id="two warnings"),
        pytest.param("/5", "/6", id="two critical ranges"),
        pytest.param("5/6", "5", id="both and a warning"),
        pytest.param("5/6", "/6", id="both and a critical range"),
        pytest.param("5", "5/6", id="a warning and both"),
        pytest.param("/6", "5/6", id="a critical range and both"),
    ],
)
def test_a_range_given_twice_in_a_file_is_refused(tmp_path: Path, first: str, second: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"backlog stuff={first}\nbacklog stuff={second}\n")
    assert check("-f", str(file)) == told(f"UNKNOWN - {file}:2: the backlog is given twice; write it once")


def test_a_range_given_in_a_file_and_as_an_option_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("backlog emails=5/10\n")
    for severity in ("warning", "critical"):
        assert check("-f", str(file), f"--backlog-{severity}=emails=7") == told(
            f"UNKNOWN - --backlog-{severity} emails=7: the backlog is given twice; write it once"
        )


@pytest.mark.parametrize(
    ("text", "right"),
    [
        pytest.param("backlog emails=5", "--backlog-warning emails=5", id="a warning"),
        pytest.param("backlog emails=/10", "--backlog-critical emails=10", id="a critical range"),
        pytest.param(
            "backlog emails=5/10", "--backlog-warning emails=5 --backlog-critical emails=10", id="both of them"
        ),
    ],
)
def test_the_line_of_a_file_has_options_of_its_own(text: str, right: str) -> None:
    assert check(text) == told(f"UNKNOWN - EXPECTED {text}: write {right}")


def test_ok_a_queue_that_the_broker_does_not_measure_for_others() -> None:
    """RabbitMQ refuses it where the queue belongs to the worker's own connection."""
    inquiry = asked({"w@a": Worker(queues=("emails", "own"))}, {"emails": 3})
    assert verdict(inquiry, "w@a", "--backlog-critical", "10") == told(WELL, numbers=measured("3"))
