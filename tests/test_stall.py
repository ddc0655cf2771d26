"""`--stall-limit`, `--started-after`: who starts no task or runs old code, what is said, and the watch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pytest
from answering import LOST, REDIS, Fleet, Lengths, W, Worker, asked, look, verdict, watched
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, check, perfdata

from check_celery_workers.errors import SourceError, Unreachable
from check_celery_workers.replies.answers import Answers
from check_celery_workers.replies.inquiry import Inquiry, Look, Text
from check_celery_workers.replies.item import read_stats
from check_celery_workers.replies.output import Output, Replies
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES, LENGTHS, RESERVED, STATS, Question
from check_celery_workers.sources.progress import Progress
from check_celery_workers.sources.release import changes_of
from check_celery_workers.sources.watching import watch

STATES = {"OK": OK, "WARNING": WARNING, "CRITICAL": CRITICAL, "UNKNOWN": UNKNOWN}
REFUSED = f"the broker {REDIS} cannot be reached: Error 111 connecting to 127.0.0.1:1. Connection refused."
MINUTE, HOUR, DAY = 60, 3600, 86400
CURRENT = "/srv/shop/current"


def told(status: str, *below: str, numbers: str = "") -> Outcome:
    """Return what the plugin says: `OK - ...`, the perfdata behind it if there are any, and the lines below."""
    top = f"CELERY WORKERS {status} | {numbers}" if numbers else f"CELERY WORKERS {status}"
    return Outcome("".join(f"{line}\n" for line in (top, *below)), STATES[status.split(maxsplit=1)[0]])


def numbers(backlog: int, online: int = 1, **others: str) -> str:
    return perfdata(missing=f"0;;0;0;{online}", online=f"{online};;;0", backlog=f"{backlog};;;0", **others)


LIMIT = ("--stall-limit", "15")
# Times of looks, and how many tasks are held then.
HELD_MORE = ((100.0, 1), (108.0, 2), (115.0, 3))


@pytest.mark.parametrize(
    ("worker", "lengths", "sentence"),
    [
        pytest.param(
            Worker(), {"emails": 1204}, "it started no task for 15 s while 1,204 wait in queue emails", id="messages"
        ),
        pytest.param(Worker(), {"emails": 1}, "it started no task for 15 s while 1 waits in queue emails", id="one"),
        pytest.param(
            Worker(("emails", "bulk")),
            {"emails": 4, "bulk": 3},
            "it started no task for 15 s while 7 wait in queues bulk and emails",
            id="two queues",
        ),
        pytest.param(
            Worker(("emails-10", "emails-9")),
            {"emails-10": 1, "emails-9": 1},
            "it started no task for 15 s while 2 wait in queues emails-9 and emails-10",
            id="two queues in natural order",
        ),
        pytest.param(
            Worker(("emails", "bulk", "slow")),
            {"emails": 1200, "bulk": 3, "slow": 1},
            "it started no task for 15 s while 1,204 wait in 3 queues",
            id="three queues",
        ),
        pytest.param(
            Worker(("emails", "bulk", "slow", "gone")),
            {"emails": 2, "bulk": 0, "slow": 0, "gone": None},
            "it started no task for 15 s while 2 wait in queue emails",
            id="only queues in which something waits",
        ),
        pytest.param(
            Worker(({"name": "bcast.1", "routing_key": "", "alias": "news"},)),
            {"bcast.1": 2},
            "it started no task for 15 s while 2 wait in queue news",
            id="a queue with an alias",
        ),
        pytest.param(
            Worker(("e|mails\n",)),
            {"e|mails\n": 2},
            "it started no task for 15 s while 2 wait in queue e?mails?",
            id="a name that does not print",
        ),
        pytest.param(
            Worker(holds=5), {"emails": 0}, "it started none of the 5 tasks that it holds for 15 s", id="tasks held"
        ),
        pytest.param(
            Worker(holds=1), {"emails": 0}, "it did not start the 1 task that it holds for 15 s", id="one task held"
        ),
        pytest.param(
            Worker(holds=1204),
            {"emails": 9},
            "it started none of the 1,204 tasks that it holds for 15 s",
            id="tasks held, and messages wait behind them",
        ),
    ],
)
def test_what_is_said_of_a_worker_that_stalls(worker: Worker, lengths: Lengths, sentence: str) -> None:
    backlog = sum(length or 0 for length in lengths.values())
    assert verdict(watched({"w@a": worker}, lengths), "w@a", *LIMIT) == told(
        "CRITICAL - 1 worker malfunctioning: w@a",
        f"Worker w@a was malfunctioning, {sentence}",
        numbers=numbers(backlog, malfunctioning="1;;0;0"),
    )


def test_what_waits_at_the_end_is_said() -> None:
    later = [look(100.0, W, {"emails": 1300}), look(108.0, W, {"emails": 1000}), look(115.0, W, {"emails": 2000})]
    later[1].replies.told.clear()
    inquiry = watched(W, {"emails": 1204}, *later)
    assert verdict(inquiry, "w@a", *LIMIT) == told(
        "CRITICAL - 1 worker malfunctioning: w@a",
        "Worker w@a was malfunctioning, it started no task for 15 s while 2,000 wait in queue emails",
        numbers=numbers(1204, malfunctioning="1;;0;0"),
    )


def test_what_is_held_at_the_end_is_said() -> None:
    inquiry = watched(W, {"emails": 9}, *(look(at, {"w@a": Worker(holds=n)}, {"emails": 9}) for at, n in HELD_MORE))
    inquiry.looks[0] = Look(99.0, look(99.0, {"w@a": Worker(holds=1)}, {"emails": 9}).replies)
    assert verdict(inquiry, "w@a", *LIMIT).findings == [
        "Worker w@a was malfunctioning, it started none of the 3 tasks that it holds for 15 s"
    ]


def test_a_queue_that_became_empty_is_not_named() -> None:
    fleet = {"w@a": Worker(("emails", "bulk")), "v@a": Worker(("bulk",), runs=1)}
    before, later = {"emails": 3, "bulk": 1}, {"emails": 3, "bulk": 0}
    inquiry = watched(fleet, before, look(100.0, W, later), look(115.0, W, later))
    assert verdict(inquiry, "w@a", "v@a", *LIMIT).findings == [
        "Worker w@a was malfunctioning, it started no task for 15 s while 3 wait in queue emails"
    ]


@pytest.mark.parametrize(
    ("written", "seconds", "words"),
    [
        pytest.param("15", 15.0, "15 s", id="as long as the limit"),
        pytest.param("15s", 22.0, "15 s", id="longer, and known for as long as the limit"),
        pytest.param("1m30s", 90.0, "1 min 30 s", id="minutes"),
    ],
)
def test_for_how_long_is_the_limit(written: str, seconds: float, words: str) -> None:
    inquiry = watched(W, {"emails": 2}, seconds=seconds)
    assert verdict(inquiry, "w@a", "--stall-limit", written).findings == [
        f"Worker w@a was malfunctioning, it started no task for {words} while 2 wait in queue emails"
    ]


def test_one_deaf_worker_beside_busy_ones_is_seen() -> None:
    fleet = {"w-1@a": Worker(runs=2, holds=4), "w-2@a": Worker(), "w-3@a": Worker(runs=2)}
    deaf = {"w-2@a": Worker()}
    later = [look(100.0, deaf, {"emails": 800}), look(115.0, deaf, {"emails": 2})]
    assert verdict(watched(fleet, {"emails": 1000}, *later), "w-3@a", *LIMIT) == told(
        "CRITICAL - 1 worker malfunctioning: w-2@a",
        "Worker w-2@a was malfunctioning, it started no task for 15 s while 2 wait in queue emails",
        numbers=numbers(1000, 3, malfunctioning="1;;0;0"),
    )


def test_those_are_well_who_show_a_sign_of_life() -> None:
    fleet = {"w-1@a": Worker(), "w-2@a": Worker(), "w-3@a": Worker()}
    working = {"w-1@a": Worker(total=8), "w-2@a": Worker(runs=1), "w-3@a": Worker(holds=1)}
    later = [look(100.0, fleet, {"emails": 9}), look(101.0, working, {"emails": 6})]
    assert verdict(watched(fleet, {"emails": 9}, *later), "w-3@a", *LIMIT) == told(
        "OK - 3 of 3 workers online on 1 server", numbers=numbers(9, 3)
    )


def test_the_first_look_is_enough_where_nothing_waits() -> None:
    inquiry = asked(W, {"emails": 0})
    inquiry.looks = [Look(99.0, inquiry.replies)]
    assert verdict(inquiry, "w@a", *LIMIT) == told("OK - 1 of 1 worker online on 1 server", numbers=numbers(0))


def test_who_is_not_expected_does_not_stall() -> None:
    fleet = {"w@a": Worker(runs=1), "v@a": Worker()}
    assert verdict(watched(fleet, {"emails": 9}), "w@a", *LIMIT, "--ignore", "v@*").findings == []
    assert verdict(watched(fleet, {"emails": 9}), "w@a", *LIMIT) == told(
        "WARNING - 1 worker unexpected: v@a",
        "Worker v@a was unexpectedly present",
        numbers=numbers(9).replace("online=1;", "online=2;").replace("unexpected=0;", "unexpected=1;"),
    )


def test_who_takes_turns_does_not_stall() -> None:
    queue = {"name": "emails", "routing_key": "", "queue_arguments": {"x-single-active-consumer": True}}
    inquiry = watched({"w@a": Worker((queue,))}, {"emails": 9})
    assert verdict(inquiry, "w@a", *LIMIT) == told("OK - 1 of 1 worker online on 1 server", numbers=numbers(9))


def test_without_the_option_nobody_stalls() -> None:
    well = told("OK - 1 of 1 worker online on 1 server", numbers=numbers(9))
    assert verdict(watched(W, {"emails": 9}), "w@a") == well
    assert verdict(asked(W, {"emails": 9}), "w@a", *LIMIT) == well


@pytest.mark.parametrize(
    ("thresholds", "status"),
    [
        pytest.param(
            ["--malfunctioning-critical", "1"], "OK - 2 of 2 workers online on 1 server, 1 malfunctioning", id="one may"
        ),
        pytest.param(["--malfunctioning-warning", "0"], "WARNING - 1 worker malfunctioning", id="warning"),
    ],
)
def test_thresholds_hold_for_those_who_stall(thresholds: list[str], status: str) -> None:
    fleet = {"w@a": Worker(), "v@a": Worker(runs=1)}
    limits = ";;1;0" if status.startswith("OK") else ";0;;0"
    assert verdict(watched(fleet, {"emails": 2}), "w@a", "v@a", *LIMIT, *thresholds) == told(
        f"{status}: w@a",
        "Worker w@a was malfunctioning, it started no task for 15 s while 2 wait in queue emails",
        numbers=numbers(2, 2, malfunctioning=f"1{limits}"),
    )


def test_verbose_says_how_it_came_about() -> None:
    outcome = verdict(watched(W, {"emails": 2}), "w@a", *LIMIT, "-vv")
    assert outcome == told(
        "CRITICAL - 1 worker malfunctioning: w@a",
        "Worker w@a was malfunctioning, it started no task for 15 s while 2 wait in queue emails",
        "Online on a: 1 worker, w@a",
        "Queue emails: 1 worker",
        "CRITICAL: malfunctioning is 1 (warning ~:, critical 0)",
        "OK: missing is 0 (warning ~:, critical 0)",
        "OK: duplicate is 0 (warning 0, critical ~:)",
        "OK: unexpected is 0 (warning 0, critical ~:)",
        "OK: missing_servers is 0 (warning ~:, critical ~:)",
        "OK: unexpected_servers is 0 (warning ~:, critical ~:)",
        numbers=numbers(2, malfunctioning="1;;0;0"),
    )


def test_the_causes_of_one_worker_are_one_sentence() -> None:
    fleet = {"w@a": Worker((), holds=2, uptime=3 * DAY + 30), "v@a": Worker(holds=1, silent=[STATS])}
    inquiry = asked(fleet, {}, ACTIVE_QUEUES, ACTIVE, RESERVED, STATS)
    told_all = {node: worker._replace(silent=()) for node, worker in fleet.items()}
    inquiry.looks = [Look(99.0, inquiry.replies), look(100.0, told_all, {}), look(115.0, told_all, {})]
    inquiry.changes = {CURRENT: time.time() - 2 * HOUR - 30}
    assert verdict(inquiry, "w@a", "v@a", *LIMIT, "--started-after", CURRENT) == told(
        "CRITICAL - 2 workers malfunctioning: v@a, w@a",
        "Worker v@a was malfunctioning, it did not reply to inspect stats and it did not start the 1 task that it "
        "holds for 15 s",
        "Worker w@a was malfunctioning, it consumes from no queue and it started none of the 2 tasks that it holds for "
        f"15 s and it was started 3 d ago, before {CURRENT} was changed 2 h ago",
        numbers=numbers(0, 2, malfunctioning="2;;0;0"),
    )


# Who was not watched for long enough.


SILENT = "Not judged by --stall-limit, because silent while it was watched:"
ENDED = "Not judged by --stall-limit, because --timeout ended the watch:"


@pytest.mark.parametrize(
    ("worker", "seconds", "line"),
    [
        pytest.param(Worker(silent=[ACTIVE, RESERVED, STATS]), 15.0, f"{SILENT} w@a", id="silent to all"),
        pytest.param(Worker(silent=[RESERVED]), 15.0, f"{SILENT} w@a", id="silent to one question"),
        pytest.param(Worker(silent=[STATS]), 15.0, f"{SILENT} w@a", id="nobody knows how many it has started"),
        pytest.param(Worker(total="many"), 15.0, f"{SILENT} w@a", id="it says what cannot be read"),
        pytest.param(Worker(), 14.0, f"{ENDED} w@a", id="the deadline came"),
    ],
)
def test_silence_and_the_deadline_accuse_nobody(worker: Worker, seconds: float, line: str) -> None:
    later = [look(100.0, W, {"emails": 2}), look(100.0 + seconds, {"w@a": worker}, {"emails": 2})]
    well = told("OK - 1 of 1 worker online on 1 server", line, numbers=numbers(2))
    assert verdict(watched(W, {"emails": 2}, *later), "w@a", *LIMIT) == well


def test_where_nobody_answered_nobody_is_watched() -> None:
    inquiry = asked({}, {"emails": 2})
    inquiry.looks = [Look(99.0, inquiry.replies)]
    assert verdict(inquiry, "w@a", *LIMIT) == told(
        "CRITICAL - 1 of 1 worker missing: server a",
        "Server a was missing, accounts for 1 missing worker: w@a",
        numbers=perfdata(missing="1;;0;0;1", missing_servers="1;;;0", online="0;;;0", backlog="2;;;0"),
    )


def test_the_deadline_may_come_before_the_first_look() -> None:
    inquiry = asked(W, {"emails": 2})
    inquiry.looks = [Look(99.0, inquiry.replies)]
    assert verdict(inquiry, "w@a", *LIMIT) == told(
        "OK - 1 of 1 worker online on 1 server", f"{ENDED} w@a", numbers=numbers(2)
    )


def test_who_was_silent_in_between_is_judged() -> None:
    away = {"w@a": Worker(silent=[ACTIVE, RESERVED, STATS])}
    later = [look(100.0, W, {"emails": 2}), look(107.0, away, {"emails": 2}), look(115.0, W, {"emails": 2})]
    assert verdict(watched(W, {"emails": 2}, *later), "w@a", *LIMIT).findings == [
        "Worker w@a was malfunctioning, it started no task for 15 s while 2 wait in queue emails"
    ]


def test_those_who_were_not_judged_are_counted_below_the_findings() -> None:
    fleet = {f"w-{number}@a": Worker() for number in (1, 2, 9, 10)}
    away = {**fleet, "w-10@a": Worker(silent=[STATS]), "w-9@a": Worker(silent=[ACTIVE])}
    later = [look(100.0, fleet, {"emails": 2}), look(115.0, away, {"emails": 2})]
    inquiry = watched(fleet, {"emails": 2}, *later)
    assert verdict(inquiry, "w-{1,2,9,10}@a", *LIMIT).findings == [
        "Worker w-1@a was malfunctioning, it started no task for 15 s while 2 wait in queue emails",
        "Worker w-2@a was malfunctioning, it started no task for 15 s while 2 wait in queue emails",
        f"{SILENT} w-9@a and 1 more",
    ]


def test_who_never_answered_is_no_alarm_and_no_doubt() -> None:
    """As a solo worker does that runs a task."""
    fleet = {"w@a": Worker(silent=[ACTIVE, RESERVED, STATS]), "v@a": Worker(runs=1)}
    assert verdict(watched(fleet, {"emails": 2}), "w@a", "v@a", *LIMIT) == told(
        "OK - 2 of 2 workers online on 1 server", f"{SILENT} w@a", numbers=numbers(2, 2)
    )


# What nobody can know.


def failed(fleet: Fleet, lengths: Lengths, *later: Look) -> Inquiry:
    """Return an inquiry of which the connection was lost in the watch."""
    inquiry = asked(fleet, lengths)
    inquiry.looks = [Look(99.0, inquiry.replies), *later]
    inquiry.watch_failure = Unreachable(LOST)
    return inquiry


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_a_watch_that_failed_is_unknown(looks: int) -> None:
    fleet = {"w@a": Worker(), "v@a": Worker(runs=1)}
    later = [look(100.0 + number, W, {"emails": 2}) for number in range(looks)]
    assert verdict(failed(fleet, {"emails": 2}, *later), "w@a", "v@a", *LIMIT) == told(
        f"UNKNOWN - {LOST}, 1 of 2 workers had replied to inspect reserved, no reply from w@a",
        "Worker w@a had not replied",
    )


def test_a_watch_that_failed_is_in_doubt_below_what_is_certain() -> None:
    fleet = {"w@a": Worker(), "v@a": Worker(())}
    assert verdict(failed(fleet, {"emails": 2}), "w@a", "v@a", *LIMIT) == told(
        "CRITICAL - 1 worker malfunctioning: v@a",
        "Worker v@a was malfunctioning, it consumes from no queue",
        f"In doubt: {LOST}, 1 of 2 workers had replied to inspect reserved, no reply from w@a",
        numbers=numbers(2, 2, malfunctioning="1;;0;0"),
    )


def test_a_watch_that_failed_is_told_once_also_of_those_who_fell_silent() -> None:
    fleet = {"w@a": Worker(), "v@a": Worker(), "u@a": Worker(())}
    away = {"w@a": Worker(silent=[ACTIVE, RESERVED, STATS]), "v@a": Worker()}
    inquiry = failed(fleet, {"emails": 2}, look(100.0, away, {"emails": 2}))
    assert verdict(inquiry, "w@a", "v@a", "u@a", *LIMIT).findings == [
        "Worker u@a was malfunctioning, it consumes from no queue",
        f"In doubt: {LOST}, 1 of 3 workers had replied to inspect reserved, no reply from v@a, w@a",
    ]


def test_a_watch_that_failed_matters_only_to_those_who_were_watched() -> None:
    fleet = {"w@a": Worker()}
    inquiry = failed(fleet, {"emails": 2}, look(100.0, {"w@a": Worker(runs=1)}, {"emails": 2}))
    assert verdict(inquiry, "w@a", *LIMIT) == told("OK - 1 of 1 worker online on 1 server", numbers=numbers(2))


def test_lengths_that_could_not_be_measured_are_in_doubt() -> None:
    fleet = {"w@a": Worker(), "v@a": Worker()}
    assert verdict(asked(fleet, None), "w@a", "v@a", *LIMIT) == told(f"UNKNOWN - {LOST}")
    assert verdict(asked(fleet, None), "w@a", "v@a", "u@a", *LIMIT) == told(
        "CRITICAL - 1 of 3 workers missing: u@a",
        "Worker u@a was missing",
        f"In doubt: {LOST}",
        numbers=perfdata(missing="1;;0;0;3", online="2;;;0", malfunctioning="").replace(" malfunctioning= ", " "),
    )


def test_a_queue_of_another_connection_makes_nothing_doubtful() -> None:
    assert verdict(watched(W, {}), "w@a", *LIMIT) == told("OK - 1 of 1 worker online on 1 server", numbers=numbers(0))


@pytest.mark.parametrize("question", [ACTIVE, RESERVED], ids=lambda question: question.name)
def test_an_answer_that_cannot_be_read_is_in_doubt(question: Question) -> None:
    fleet = {"w@a": Worker(), "v@a": Worker(runs=1)}
    inquiry = Inquiry()
    for one in (ACTIVE_QUEUES, ACTIVE, RESERVED):
        said = Answers(one)
        for node, worker in fleet.items():
            said.add({node: [5] if (node, one) == ("w@a", question) else worker.answer(one)})
        inquiry.add(one, [Text([said.output()], None, (), is_blank=False)])
    inquiry.add(LENGTHS, [Text([Output.of_lengths({"emails": 0})], None, (), is_blank=False)])
    inquiry.looks = [Look(99.0, inquiry.replies)]
    reason = f"the reply of w@a to inspect {question.name} cannot be read"
    assert verdict(inquiry, "w@a", "v@a", *LIMIT) == told(f"UNKNOWN - {reason}")


# --started-after.


def started(changes: Mapping[str, float | str], /, **uptimes: object) -> Inquiry:
    """Return what workers of server `a` say who have run for so long, and that files were changed so long ago."""
    fleet = {f"{name.replace('_', '-')}@a": Worker(uptime=uptime) for name, uptime in uptimes.items()}
    inquiry = asked(fleet, {"emails": 0}, ACTIVE_QUEUES, STATS)
    inquiry.changes = {file: ago if isinstance(ago, str) else time.time() - ago for file, ago in changes.items()}
    return inquiry


@pytest.mark.parametrize(
    ("uptime", "changed", "options", "words"),
    [
        pytest.param(3 * DAY + 30, 2 * HOUR + 30, [], "3 d ago, before {} was changed 2 h ago", id="old"),
        pytest.param(
            2 * HOUR + 90, 2 * HOUR + 30, [], "2 h 1 min ago, before {} was changed 2 h ago", id="a minute older"
        ),
        pytest.param(2 * HOUR, 2 * HOUR + 30, [], "", id="younger"),
        pytest.param(0, 2 * HOUR + 30, [], "", id="started just now"),
        pytest.param(2 * HOUR + 30.7, 2 * HOUR + 30, [], "", id="as old, in whole seconds"),
        pytest.param(2 * HOUR + 31, 2 * HOUR + 30, [], "", id="older by the second that is rounded"),
        pytest.param(3 * DAY, 9 * MINUTE, [], "", id="within ten minutes of grace"),
        pytest.param(3 * DAY, 10 * MINUTE, [], "", id="at the end of the grace"),
        pytest.param(
            3 * DAY + 30, 10 * MINUTE + 30, [], "3 d ago, before {} was changed 10 min 30 s ago", id="ten minutes after"
        ),
        pytest.param(3 * DAY, HOUR, ["--started-grace", "2h"], "", id="within a longer grace"),
        pytest.param(
            3 * DAY + 30,
            2 * MINUTE + 30,
            ["--started-grace", "1m"],
            "3 d ago, before {} was changed 2 min 30 s ago",
            id="a shorter grace",
        ),
        pytest.param(3 * DAY, -9 * MINUTE, [], "", id="by a clock that is somewhat ahead"),
        pytest.param(3 * DAY, -10 * MINUTE, [], "", id="by one that is ahead by all of the grace"),
    ],
)
def test_who_was_started_before_the_file_was_changed(
    monkeypatch: pytest.MonkeyPatch, uptime: float, changed: float, options: list[str], words: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.8e9)
    outcome = verdict(started({CURRENT: changed}, w=uptime), "w@a", "--started-after", CURRENT, *options)
    if not words:
        assert outcome == told("OK - 1 of 1 worker online on 1 server", numbers=numbers(0))
        return
    assert outcome == told(
        "CRITICAL - 1 worker malfunctioning: w@a",
        f"Worker w@a was malfunctioning, it was started {words.format(CURRENT)}",
        numbers=numbers(0, malfunctioning="1;;0;0"),
    )


def test_a_file_for_those_whose_names_match() -> None:
    mail, rest = "/srv/mail/current", "/srv/rest"
    inquiry = started(
        {CURRENT: 2 * HOUR + 30, mail: DAY + 30, rest: HOUR + 30},
        mail_1=3 * HOUR,
        mail_2=2 * DAY + 30,
        shop=3 * HOUR,
        x=90,
    )
    options = [f"--started-after={one}" for one in (rest, f"mail-*@a={mail}", f"*p@a={CURRENT}")]
    assert verdict(inquiry, "mail-2@a", "shop@a", "x@a", *options) == told(
        "CRITICAL - 2 workers malfunctioning: mail-2@a, shop@a",
        f"Worker mail-2@a was malfunctioning, it was started 2 d ago, before {mail} was changed 1 d ago",
        f"Worker shop@a was malfunctioning, it was started 3 h ago, before {CURRENT} was changed 2 h ago",
        numbers=numbers(0, 4, malfunctioning="2;;0;0"),
    )


def test_of_several_patterns_the_first_that_matches_holds() -> None:
    inquiry = started({"/old": DAY, "/new": HOUR}, w=3 * HOUR)
    well = told("OK - 1 of 1 worker online on 1 server", numbers=numbers(0))
    assert verdict(inquiry, "w@a", "--started-after=w@*=/old", "--started-after=*=/new") == well
    assert verdict(inquiry, "w@a", "--started-after=*=/new", "--started-after=w@*=/old").code == CRITICAL


def test_who_matches_no_pattern_or_is_not_expected_is_not_judged() -> None:
    inquiry = started({CURRENT: HOUR}, w=3 * HOUR, v=3 * HOUR, u=None)
    only_v = f"--started-after=v@a={CURRENT}"
    assert verdict(inquiry, "w@a", "u@a", "--ignore=v@a", only_v).findings == []
    assert verdict(inquiry, "w@a", "u@a", only_v).findings == ["Worker v@a was unexpectedly present"]
    assert verdict(inquiry, "w@a", "u@a", "v@a", only_v).code == CRITICAL
    # Nor does it matter that nobody knows of it.
    only_u = f"--started-after=u@a={CURRENT}"
    assert verdict(inquiry, "w@a", "v@a", only_u).findings == ["Worker u@a was unexpectedly present"]


def test_a_file_of_a_name_that_does_not_print() -> None:
    inquiry = started({"/srv|\x07": 2 * HOUR + 30}, w=3 * DAY + 30)
    assert verdict(inquiry, "w@a", "--started-after", "/srv|\x07").findings == [
        "Worker w@a was malfunctioning, it was started 3 d ago, before /srv?? was changed 2 h ago"
    ]


def test_who_did_not_answer_is_malfunctioning() -> None:
    inquiry = asked({"w@a": Worker(silent=[STATS]), "v@a": Worker(uptime=60)}, {}, ACTIVE_QUEUES, STATS)
    inquiry.changes = {CURRENT: time.time() - HOUR}
    assert verdict(inquiry, "w@a", "v@a", "--started-after", CURRENT) == told(
        "CRITICAL - 1 worker malfunctioning: w@a",
        "Worker w@a was malfunctioning, it did not reply to inspect stats",
        numbers=numbers(0, 2, malfunctioning="1;;0;0"),
    )


@pytest.mark.parametrize(
    ("changed", "uptime", "reason"),
    [
        pytest.param(
            "No such file or directory",
            60,
            f"--started-after cannot be judged of w@a: {CURRENT}: No such file or directory",
            id="the file is not there",
        ),
        pytest.param(
            -11 * MINUTE,
            60,
            f"--started-after cannot be judged of w@a: {CURRENT}: it was changed in the future",
            id="it was changed in the future",
        ),
        pytest.param(
            HOUR,
            None,
            "--started-after cannot be judged of w@a: Celery before 4.4.3 does not say when a worker was started",
            id="the worker does not say for how long it has run",
        ),
        pytest.param(
            HOUR,
            "long",
            "--started-after cannot be judged of w@a: Celery before 4.4.3 does not say when a worker was started",
            id="the worker says it in words",
        ),
    ],
)
def test_what_nobody_can_know_of_a_start(changed: float | str, uptime: object, reason: str) -> None:
    inquiry = started({CURRENT: changed}, w=uptime)
    assert verdict(inquiry, "w@a", "--started-after", CURRENT) == told(f"UNKNOWN - {reason}")
    assert verdict(inquiry, "w@a", "v@a", "--started-after", CURRENT) == told(
        "CRITICAL - 1 of 2 workers missing: v@a",
        "Worker v@a was missing",
        f"In doubt: {reason}",
        numbers=perfdata(missing="1;;0;0;2", online="1;;;0", backlog="0;;;0", malfunctioning="").replace(
            " malfunctioning= ", " "
        ),
    )


def test_an_answer_to_stats_that_cannot_be_read_is_in_doubt() -> None:
    inquiry = asked({"w@a": Worker(total="many", uptime=60), "v@a": Worker(uptime=60)}, {}, ACTIVE_QUEUES, STATS)
    inquiry.changes = {CURRENT: time.time() - HOUR}
    assert verdict(inquiry, "w@a", "v@a", "--started-after", CURRENT) == told(
        "UNKNOWN - the reply of w@a to inspect stats cannot be read"
    )


@pytest.mark.parametrize(
    ("reply", "total"),
    [
        pytest.param({"total": {"shop.mail": 3, "shop.pay": 4}, "pid": 300}, 7, id="the sum of all tasks"),
        pytest.param({"total": {}, "pid": 300}, 0, id="none started"),
        pytest.param({"total": {"shop.mail": 10**400}}, 10**400, id="more than a float can say"),
        pytest.param({"pid": 300}, None, id="no total"),
        pytest.param({"total": 7}, None, id="a total without tasks"),
        pytest.param({"total": {"shop.mail": "7"}}, None, id="a word"),
        pytest.param({"total": {"shop.mail": True}}, None, id="a truth"),
        pytest.param({"total": {"shop.mail": 7.0}}, None, id="a fraction"),
        pytest.param([], None, id="a list"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_what_is_read_of_stats(reply: object, total: int | None) -> None:
    read = read_stats(reply)
    assert (read and read.total) == total


@pytest.mark.parametrize(("pid", "known"), [(300, 300), ("300", None), (None, None), (3.5, None), ([300], None)])
def test_a_pid_that_is_no_number_is_not_known(pid: object, known: int | None) -> None:
    read = read_stats({"total": {}, "pid": pid})
    assert read is not None
    assert read.pid == known


@pytest.mark.parametrize("uptime", ["60", None, -1, float("nan"), float("inf"), 1e12, [60]])
def test_an_uptime_that_is_none_is_not_known(uptime: object) -> None:
    read = read_stats({"total": {}, "uptime": uptime})
    assert read is not None
    assert read.started is None


def test_the_time_of_a_link_is_its_own(tmp_path: Path) -> None:
    release, link, gone = tmp_path / "release", tmp_path / "current", tmp_path / "gone"
    release.mkdir()
    link.symlink_to(release)
    os.utime(release, (1e9, 1e9))
    os.utime(link, (1.5e9, 1.5e9), follow_symlinks=False)
    files = [str(link), str(release), str(gone), f"{tmp_path}\0"]
    assert changes_of(files) == dict(
        zip(files, [1.5e9, 1e9, "No such file or directory", "its name holds a NUL character"])
    )


# How it is written.

FULL = "FILE is no full path; write /srv/shop/current or PATTERN=/srv/shop/current"
WELL = "OK - 1 of 1 worker online on 1 server"
ALL_WELL = perfdata(missing="0;;0;0;1", online="1;;;0")
STATUS = "->  w@a: OK\n\n1 node online.\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--stall-limit", "15"], "--stall-limit needs --broker", id="stall-limit without --broker"),
        pytest.param(
            ["--stall-limit", "15", "--", "celery", "inspect", "{}"],
            "--stall-limit needs --broker",
            id="stall-limit with COMMAND",
        ),
        pytest.param(["--no-command", "--stall-limit", "15"], "--stall-limit needs --broker", id="with --no-command"),
        pytest.param(
            ["--broker", REDIS, "--stall-limit", "0"],
            "argument --stall-limit: '0' is no time at all; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a stall-limit of nothing",
        ),
        pytest.param(
            ["--broker", REDIS, "--stall-limit", "soon"],
            "argument --stall-limit: 'soon' is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a stall-limit that is no time",
        ),
        pytest.param(
            ["--broker", REDIS, "--stall-limit", "20"],
            "--stall-limit 20, --reply-timeout 10 and 2 seconds must be less than --timeout 30 together",
            id="a stall-limit that does not fit",
        ),
        pytest.param(
            ["--broker", REDIS, "--stall-limit", "18"],
            "--stall-limit 18, --reply-timeout 10 and 2 seconds must be less than --timeout 30 together",
            id="a stall-limit that just does not fit",
        ),
        pytest.param(
            ["--broker", REDIS, "--stall-limit", "1m", "--reply-timeout", "2.5", "-t", "1m"],
            "--stall-limit 60, --reply-timeout 2.5 and 2 seconds must be less than --timeout 60 together",
            id="times that do not fit",
        ),
        pytest.param(["--broker", REDIS, "--stall-limit", "17.9"], REFUSED, id="a stall-limit that fits"),
        pytest.param(
            ["--started-after", CURRENT], "--started-after needs --broker", id="started-after without --broker"
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", f"w@*,v@*={CURRENT}"],
            f"--started-after w@*,v@*={CURRENT}: the PATTERN holds a comma; write one for each PATTERN, such as "
            "'celery@shop-*=/srv/shop/current'",
            id="two patterns in one",
        ),
        pytest.param(
            ["--started-after", CURRENT, "--", "celery", "inspect", "{}"],
            "--started-after needs --broker",
            id="started-after with COMMAND",
        ),
        pytest.param(["--started-grace", "5m"], "--started-grace needs --broker", id="started-grace without --broker"),
        pytest.param(
            ["--broker", REDIS, "--started-grace", "0"],
            "argument --started-grace: '0' is no time at all; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="a started-grace of nothing",
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", "current"],
            f"--started-after current: {FULL}",
            id="a file without its full path",
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", "w@*=current"],
            f"--started-after w@*=current: {FULL}",
            id="a file behind a pattern without its full path",
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", "=/srv/shop"], f"--started-after =/srv/shop: {FULL}", id="no pattern"
        ),
        pytest.param(["--broker", REDIS, "--started-after", ""], f"--started-after : {FULL}", id="no file"),
        pytest.param(
            ["--broker", REDIS, "--started-after", "/a", "--started-after", "/b"],
            "--started-after /b: FILE is given twice for the same workers; write it once",
            id="two files for everybody",
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", "w@*=/a", "--started-after", "w@*=/a"],
            "--started-after w@*=/a: FILE is given twice for the same workers; write it once",
            id="two files for the same pattern",
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", "/a=/b", "--started-after", "/c"],
            "--started-after /c: FILE is given twice for the same workers; write it once",
            id="an equals sign in a path",
        ),
        pytest.param(
            ["--broker", REDIS, "--started-after", "w@*=/a=b", "--started-after", "/a", "--started-grace", "90"],
            REFUSED,
            id="files that can be read",
        ),
        pytest.param(
            ["stall-limit 15s"], "EXPECTED stall-limit 15s: write --stall-limit 15s", id="stall-limit as EXPECTED"
        ),
        pytest.param(
            [f"started-after {CURRENT}"],
            f"EXPECTED started-after {CURRENT}: write --started-after {CURRENT}",
            id="started-after as EXPECTED",
        ),
    ],
)
def test_how_the_options_are_written(arguments: list[str], reason: str) -> None:
    assert check("w@a", *arguments, text=STATUS) == told(f"UNKNOWN - {reason}")


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a file of EXPECTED and returns its path."""

    def write(*lines: str) -> str:
        file = tmp_path / "expected"
        file.write_text("".join(f"{line}\n" for line in ("# mine", "w@a", *lines)))
        return str(file)

    return write


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        pytest.param("stall-limit 20s", "20", id="seconds"),
        pytest.param("stall-limit  1h30m # long", "5400", id="hours and minutes, and a comment"),
        pytest.param("  stall-limit\t20", "20", id="a number"),
    ],
)
def test_a_line_of_a_file_is_a_stall_limit(listed: Callable[..., str], line: str, limit: str) -> None:
    wrong = "--stall-limit {}, --reply-timeout 10 and 2 seconds must be less than --timeout 30 together"
    file = listed(line)
    assert check("-f", file, "--broker", REDIS) == told(f"UNKNOWN - {wrong.format(limit)}")
    # The option wins.
    assert check("-f", file, "--broker", REDIS, "--stall-limit", "25") == told(f"UNKNOWN - {wrong.format('25')}")
    assert check("-f", file, "--broker", REDIS, "--stall-limit", "5") == told(f"UNKNOWN - {REFUSED}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        *(
            pytest.param(
                f"stall-limit{own}",
                "its DURATION cannot be read; write stall-limit 15s or stall-limit 1m30s",
                id=f"stall-limit{own}",
            )
            for own in ("", " 0", " soon", " 15s 20s", " -5", " secret_7f3", " {1,2}")
        ),
        *(
            pytest.param(f"started-after{own}", FULL, id=f"started-after{own}")
            for own in ("", " current", " secret_7f3", " =/srv", " w@*=", " w@* /srv/shop")
        ),
    ],
)
def test_a_wrong_line_is_named_and_never_repeated(listed: Callable[..., str], line: str, problem: str) -> None:
    file = listed(line)
    for arguments in ([], ["--broker", REDIS]):
        assert check("-f", file, *arguments, text=STATUS) == told(f"UNKNOWN - {file}:3: {problem}")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        pytest.param(("stall-limit 5", "stall-limit 5"), "the stall-limit is given twice; write it once", id="limits"),
        pytest.param(
            ("started-after /a", "started-after /b"),
            "FILE is given twice for the same workers; write it once",
            id="files for everybody",
        ),
        pytest.param(
            ("started-after w@*=/a", "started-after w@*=/b"),
            "FILE is given twice for the same workers; write it once",
            id="files for a pattern",
        ),
    ],
)
def test_a_line_given_twice_is_refused(listed: Callable[..., str], lines: tuple[str, str], problem: str) -> None:
    file = listed(*lines)
    assert check("-f", file, text=STATUS) == told(f"UNKNOWN - {file}:4: {problem}")


def test_a_file_given_in_a_list_and_as_an_option_is_refused(listed: Callable[..., str]) -> None:
    file = listed("started-after /a")
    assert check("-f", file, "--broker", REDIS, "--started-after", "/b") == told(
        "UNKNOWN - --started-after /b: FILE is given twice for the same workers; write it once"
    )
    assert check("-f", file, "--broker", REDIS, "--started-after", "w@*=/b") == told(f"UNKNOWN - {REFUSED}")


STALL_PASSED_OVER = "The stall-limit was passed over: it needs --broker"
START_PASSED_OVER = "started-after was passed over: it needs --broker"


@pytest.mark.parametrize(
    ("lines", "below"),
    [
        pytest.param(["stall-limit 15s"], [STALL_PASSED_OVER], id="a stall-limit"),
        pytest.param([f"started-after {CURRENT}"], [START_PASSED_OVER], id="a file"),
        pytest.param([f"started-after {name}={CURRENT}" for name in "vw"], [START_PASSED_OVER], id="two files"),
        pytest.param(
            [f"started-after {CURRENT}", "stall-limit 15s"], [STALL_PASSED_OVER, START_PASSED_OVER], id="both"
        ),
        pytest.param([], [], id="neither"),
    ],
)
def test_what_needs_a_broker_is_passed_over_without_one(
    listed: Callable[..., str], lines: list[str], below: list[str]
) -> None:
    file = listed(*lines)
    assert check("-f", file, text=STATUS) == told(WELL, *below, numbers=ALL_WELL)
    outcome = check("-f", file, "--no-command", "v@a", text=STATUS)
    assert outcome == told(
        "CRITICAL - 1 of 2 workers missing: v@a",
        "Worker v@a was missing",
        *below,
        numbers=perfdata(missing="1;;0;0;2", online="1;;;0"),
    )
    said = check("-f", file, "--", "echo", STATUS.rstrip()).timeless
    assert said == told(WELL, *below, numbers=perfdata(missing="0;;0;0;1", online="1;;;0", time="0.5s;;;0"))


def test_a_limit_alone_expects_nobody(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text(f"stall-limit 15s\nstarted-after {CURRENT}\n")
    nobody = told("UNKNOWN - no worker is expected; write EXPECTED such as worker-4@serverA (see --help)")
    assert check("-f", str(file), text=STATUS) == check("-f", str(file), "--broker", REDIS) == nobody


# The watch itself.


class Scene:
    """What a watch sees: a clock that it moves, workers under suspicion, and what goes wrong.

    suspects: how many are under suspicion from which look on; takes: how many seconds a look takes
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, suspects: Sequence[int] = (1,), takes: float = 0.1) -> None:
        self.now = 100.0
        self.suspects, self.takes = suspects, takes
        self.failure: tuple[int, SourceError] | None = None  # at which look, and what
        self.began: list[float] = []  # when each look began
        self.nodes: list[list[str]] = []  # at whom
        self.inquiry = Inquiry()
        self.first = Replies()
        self.inquiry.replies = self.first
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def under_suspicion(self, looks: Sequence[Look]) -> dict[str, list[str]]:
        """Return who is under suspicion after these looks."""
        count = self.suspects[min(len(looks), len(self.suspects)) - 1]
        return {f"w-{number}@a": ["emails"] for number in range(count)}

    def look_at(self, suspects: Mapping[str, Collection[str]], at: float) -> tuple[Look, SourceError | None]:
        """Wait for the time, then look."""
        self.now = max(self.now, at)
        self.began.append(self.now)
        self.nodes.append([*suspects])
        self.now += self.takes
        failed = self.failure is not None and self.failure[0] == len(self.began)
        return Look(self.now, Replies()), self.failure[1] if self.failure and failed else None

    def watch(self, seconds: float, deadline: float = 1e9, progress: Progress | None = None) -> None:
        """Watch for so many seconds."""
        watch(self.inquiry, self.look_at, self.under_suspicion, seconds, deadline, progress)

    @property
    def looked(self) -> list[float]:
        """When each look ended; the first is at what everybody has replied."""
        return [look.when for look in self.inquiry.looks]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    """Return a function that makes a scene with a clock of its own."""
    return lambda *suspects, takes=0.1: Scene(monkeypatch, suspects or (1,), takes)


def test_a_watch_of_nobody_is_over_at_once(scene: Callable[..., Scene]) -> None:
    seen = scene(0)
    seen.watch(15)
    assert seen.began == []
    assert [(look.when, look.replies) for look in seen.inquiry.looks] == [(100.0, seen.first)]


def test_it_ends_once_nobody_is_under_suspicion(scene: Callable[..., Scene]) -> None:
    seen = scene(3, 2, 0)
    seen.watch(15)
    assert seen.began == [100.0, 101.0]
    # Only those are looked at who are still under suspicion.
    assert seen.nodes == [["w-0@a", "w-1@a", "w-2@a"], ["w-0@a", "w-1@a"]]
    assert seen.looked == pytest.approx([100.0, 100.1, 101.1])


def test_it_looks_once_a_second_and_the_last_time_after_the_limit(scene: Callable[..., Scene]) -> None:
    seen = scene(1)
    seen.watch(5)
    assert seen.began == pytest.approx([100, 101, 102, 103, 104, 105, 105.1])
    assert seen.looked[-1] - seen.looked[1] >= 5
    assert seen.inquiry.watch_failure is None


def test_a_look_that_takes_long_delays_the_next(scene: Callable[..., Scene]) -> None:
    seen = scene(1, takes=2.0)
    seen.watch(5)
    assert seen.began == pytest.approx([100, 102, 104, 106, 107.0 + 1.0])


@pytest.mark.parametrize(
    ("count", "seconds", "pace"),
    [
        pytest.param(50, 15, 1.0, id="fifty, once a second"),
        pytest.param(100, 15, 2.0, id="a hundred, every other second"),
        pytest.param(1000, 15, 15.1, id="a thousand, at the beginning and at the end"),
        pytest.param(1, 90, 1.5, id="for long, not more than sixty times"),
        pytest.param(1, 3600, 60.0, id="for an hour, once a minute"),
    ],
)
def test_many_are_looked_at_less_often(scene: Callable[..., Scene], count: int, seconds: float, pace: float) -> None:
    seen = scene(count)
    seen.watch(seconds)
    pauses = [later - before for before, later in zip(seen.began, seen.began[1:])]
    # The last is cut short by the end.
    assert pauses[:-1] == pytest.approx([pace] * (len(pauses) - 1))
    assert sum(pauses) == pytest.approx(seconds + 0.1)
    assert len(pauses) <= 61


def test_the_fewer_are_left_the_more_often_they_are_looked_at(scene: Callable[..., Scene]) -> None:
    seen = scene(200, 200, 100, 1)
    seen.watch(15)
    assert seen.began[:5] == pytest.approx([100, 104, 108, 110, 111])


def test_a_failure_ends_it(scene: Callable[..., Scene]) -> None:
    seen, failure = scene(1), Unreachable(LOST)
    seen.failure = (3, failure)
    seen.watch(15)
    assert seen.began == pytest.approx([100, 101, 102])
    assert seen.inquiry.watch_failure is failure
    # A look that failed shows nobody's silence.
    assert seen.looked == pytest.approx([100, 100.1, 101.1])


def test_a_failure_at_the_deadline_is_the_deadline(scene: Callable[..., Scene]) -> None:
    seen = scene(1, takes=1.0)
    seen.failure = (2, Unreachable("the broker did not answer before the timeout"))
    seen.watch(15, deadline=102.0)
    assert seen.began == pytest.approx([100, 101])
    assert seen.inquiry.watch_failure is None
    assert seen.looked == pytest.approx([100, 101])


def test_the_deadline_ends_it(scene: Callable[..., Scene]) -> None:
    seen = scene(1)
    seen.watch(15, deadline=103.5)
    assert seen.began == pytest.approx([100, 101, 102, 103])
    assert seen.inquiry.watch_failure is None
    late = scene(1, takes=2.0)
    late.watch(15, deadline=101.5)
    assert late.began == [100.0]


@pytest.mark.parametrize(("count", "shown"), [(1, "w-0@a"), (1234, "w-0@a and 1,233 more")])
def test_a_terminal_shows_whom_it_watches(scene: Callable[..., Scene], count: int, shown: str) -> None:
    lines: list[str] = []

    class Shown(Progress):
        def show(self, line: str) -> None:
            lines.append(line)

    scene(count, 0).watch(15, progress=Shown(0, shows=True))
    assert lines == [f"watching {shown}"]
