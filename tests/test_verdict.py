"""From text and EXPECTED to the verdict: what is missing, unexpected or malfunctioning, and how the output says it.

Each row goes the whole way, through all modules that judge, so no module between text and output has tests of its own.
"""

from __future__ import annotations

import pytest
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, check, perfdata

from check_celery_workers.report.verdict import fit


def online(*nodes: str) -> str:
    """Return the status text, as of Celery 5, in which these nodes answer."""
    answers = "".join(f"->  {node}: OK\n" for node in nodes)
    return f"{answers}\n{len(set(nodes))} nodes online.\n"


EXAMPLE_OUTPUT = """\
CELERY WORKERS CRITICAL - 7 of 11 workers missing, 4 unexpected (newspecialworker@serverA) | duplicate=0;0;;0 \
malfunctioning=0;;0;0 missing=7;;0;0;11 missing_servers=1;;;0 online=8;;;0 unexpected=4;0;;0 unexpected_servers=0;;;0
Server serverC was missing, accounts for 2 missing workers
Worker specialworker@serverA was missing, accounts for 4 missing workers
Worker otherworker-4@serverB was missing
Worker newspecialworker@serverA was unexpectedly present, accounts for 4 workers
"""


def test_the_example_of_readme_is_judged_as_shown() -> None:
    strangers = [f"newspecialworker-{i}@serverA" for i in range(1, 5)]
    text = online(*strangers, *(f"otherworker-{i}@serverB" for i in range(4)))
    expected = ["specialworker-4@serverA", "otherworker-5@serverB", "workername-2@serverC"]
    assert check(*expected, text=text) == Outcome(EXAMPLE_OUTPUT, CRITICAL)


@pytest.mark.parametrize(
    ("expected", "nodes", "headline", "findings"),
    [
        pytest.param(
            "w-2@a", ["w-0@a", "w-1@a"], "OK - 2 of 2 workers online on 1 server", [], id="COUNT numbered from 0"
        ),
        pytest.param(
            "w-2@a", ["w-1@a", "w-2@a"], "OK - 2 of 2 workers online on 1 server", [], id="COUNT numbered from 1"
        ),
        pytest.param(
            "w-2@a",
            ["w-01@a", "w-02@a"],
            "OK - 2 of 2 workers online on 1 server",
            [],
            id="COUNT numbered with zeros in front",
        ),
        pytest.param("w-1@a", ["w-1@a"], "OK - 1 of 1 worker online on 1 server", [], id="COUNT of 1"),
        pytest.param("w-3..3@a", ["w-3@a"], "OK - 1 of 1 worker online on 1 server", [], id="FIRST and LAST the same"),
        pytest.param(
            "w-1..1@a",
            ["w-000000000000000001@a"],
            "OK - 1 of 1 worker online on 1 server",
            [],
            id="an index of 18 digits",
        ),
        pytest.param(
            "w-0000000000000000001@a=1",
            ["w-0000000000000000001@a"],
            "OK - 1 of 1 worker online on 1 server",
            [],
            id="an index of 19 digits is none",
        ),
        pytest.param(
            "w-1@b@c=1 w@c", ["w-1@b@c", "w@c"], "OK - 2 of 2 workers online on 2 servers", [], id="two at signs"
        ),
        pytest.param(
            "celery@web1.example.com",
            ["celery@web1.example.com"],
            "OK - 1 of 1 worker online on 1 server",
            [],
            id="a full domain name",
        ),
        pytest.param(
            "a-b-c-2@x w@x",
            ["a-b-c-0@x", "a-b-c-1@x", "w@x"],
            "OK - 3 of 3 workers online on 1 server",
            [],
            id="dashes in the name",
        ),
        pytest.param(
            "v-2@a w-2@a",
            ["v-0@a", "v-1@a", "w-1@a", "w-2@a"],
            "OK - 4 of 4 workers online on 1 server",
            [],
            id="each worker has its numbering",
        ),
        pytest.param(
            "w-4@a",
            ["w-1@a", "w-2@a", "w-3@a"],
            "CRITICAL - 1 of 4 workers missing: w-0@a or w-4@a",
            ["Worker w-0@a or w-4@a was missing"],
            id="a tie of which one is missing",
        ),
        pytest.param(
            "w-4@a",
            ["w-2@a"],
            "CRITICAL - 3 of 4 workers missing",
            ["Worker w-0@a or w-4@a was missing", "Worker w-1@a was missing", "Worker w-3@a was missing"],
            id="a tie where only the middle answers",
        ),
        pytest.param(
            "w-4@a",
            ["w-0@a", "w-1@a", "w-2@a", "w-3@a", "w-4@a"],
            "WARNING - 1 worker unexpected: w-0@a or w-4@a",
            ["Worker w-0@a or w-4@a was unexpectedly present"],
            id="a tie of which one is unexpected",
        ),
        pytest.param(
            "w-4@a",
            ["w-0@a", "w-1@a", "w-2@a", "w-3@a", "w-4@a", "w-7@a"],
            "WARNING - 2 workers unexpected: w-0@a or w-4@a, w-7@a",
            ["Worker w-0@a or w-4@a was unexpectedly present", "Worker w-7@a was unexpectedly present"],
            id="a tie and another that is unexpected",
        ),
        pytest.param(
            "w-1@a v-2@a",
            ["v-0@a", "v-1@a"],
            "CRITICAL - 1 of 3 workers missing: w-0@a or w-1@a",
            ["Worker w-0@a or w-1@a was missing"],
            id="a tie of COUNT 1",
        ),
        pytest.param(
            "w-3@a",
            ["w-0@a", "w-2@a"],
            "CRITICAL - 1 of 3 workers missing: w-1@a",
            ["Worker w-1@a was missing"],
            id="numbered from 0 with a gap",
        ),
        pytest.param(
            "w-2..4@a",
            ["w-3@a", "w-5@a"],
            "CRITICAL - 2 of 3 workers missing (w-2@a, w-4@a), 1 unexpected (w-5@a)",
            ["Worker w-2@a was missing", "Worker w-4@a was missing", "Worker w-5@a was unexpectedly present"],
            id="a range that is shifted",
        ),
        pytest.param(
            "w-9..10@a v@a",
            ["v@a"],
            "CRITICAL - 2 of 3 workers missing: w@a",
            ["Worker w@a was missing, accounts for 2 missing workers"],
            id="no instance of a worker",
        ),
        pytest.param(
            "w-1..2@a",
            ["w-7@a", "w-12@a"],
            "CRITICAL - 2 of 2 workers missing (w-1@a, w-2@a), 2 unexpected (w-7@a, w-12@a)",
            [
                "Worker w-1@a was missing",
                "Worker w-2@a was missing",
                "Worker w-7@a was unexpectedly present",
                "Worker w-12@a was unexpectedly present",
            ],
            id="all of a range renumbered",
        ),
        pytest.param(
            "celery@a",
            ["celery@a", "celery@b", "w-1@b"],
            "WARNING - 2 workers unexpected: server b",
            ["Server b was unexpectedly present, accounts for 2 workers"],
            id="an unexpected server with two workers",
        ),
        pytest.param(
            "celery@a",
            ["celery@a", "celery@b"],
            "WARNING - 1 worker unexpected: server b",
            ["Server b was unexpectedly present, accounts for 1 worker: celery@b"],
            id="an unexpected server with one worker",
        ),
        pytest.param(
            "w-1..1@a",
            ["w-1@a", "w-9@a", "x-1@a", "x-2@a"],
            "WARNING - 3 workers unexpected: x@a, w-9@a",
            [
                "Worker x@a was unexpectedly present, accounts for 2 workers",
                "Worker w-9@a was unexpectedly present",
            ],
            id="two unexpected instances of one worker",
        ),
        pytest.param(
            "w@a",
            ["w-0@a"],
            "CRITICAL - 1 of 1 worker missing (w@a), 1 unexpected (w-0@a)",
            None,
            id="an index that nobody asked for",
        ),
        pytest.param(
            "Celery@a",
            ["celery@a"],
            "CRITICAL - 1 of 1 worker missing (Celery@a), 1 unexpected (celery@a)",
            None,
            id="another case",
        ),
        # One index in two spellings is one worker's, to whoever expects it.
        pytest.param(
            "w-2@a",
            ["w-1@a", "w-01@a", "w-2@a"],
            "WARNING - 1 worker duplicate: w-1@a",
            ["Node name w-1@a was used by more than one worker"],
            id="one index in two spellings",
        ),
        pytest.param(
            "w-1..12@a",
            [f"w-{i}@a" for i in range(1, 13) if i not in {2, 10, 11}],
            "CRITICAL - 3 of 12 workers missing",
            ["Worker w-2@a was missing", "Worker w-10@a was missing", "Worker w-11@a was missing"],
            id="natural order",
        ),
    ],
)
def test_fixed_forms_are_compared_with_the_answers(
    expected: str, nodes: list[str], headline: str, findings: list[str] | None
) -> None:
    outcome = check(*expected.split(), text=online(*nodes))
    assert outcome.headline == f"CELERY WORKERS {headline}"
    assert findings is None or outcome.findings == findings


@pytest.mark.parametrize(
    ("expected", "nodes", "headline", "findings"),
    [
        pytest.param(
            "celery@web-*=2",
            ["celery@web-a", "celery@web-b"],
            "OK - 2 of 2 workers online on 2 servers",
            [],
            id="a number that is met",
        ),
        pytest.param(
            "celery@web-*=1..3",
            ["celery@web-a", "celery@web-b", "celery@web-c"],
            "OK - 3 workers online on 3 servers",
            [],
            id="between MIN and MAX",
        ),
        pytest.param(
            "celery@web-*=1..",
            [f"celery@web-{i}" for i in range(9)],
            "OK - 9 workers online on 9 servers",
            [],
            id="at least MIN",
        ),
        pytest.param(
            "celery@web-?=2",
            ["celery@web-1", "celery@web-10"],
            "CRITICAL - 1 of 2 workers missing (celery@web-?), 1 unexpected (server web-10)",
            [
                "Pattern celery@web-? matched 1 worker instead of 2, accounts for 1 missing worker",
                "Server web-10 was unexpectedly present, accounts for 1 worker: celery@web-10",
            ],
            id="a question mark is one character",
        ),
        pytest.param(
            "celery@web-*=3..4 celery@db",
            ["celery@db"],
            "CRITICAL - 3 of 4 workers missing: celery@web-*",
            ["Pattern celery@web-* matched 0 workers instead of at least 3, accounts for 3 missing workers"],
            id="under MIN",
        ),
        pytest.param(
            "celery@web-*=1..2",
            ["celery@web-1", "celery@web-2", "celery@web-3", "celery@web-4"],
            "WARNING - 2 workers unexpected: celery@web-*",
            ["Pattern celery@web-* matched 4 workers instead of at most 2, accounts for 2 unexpected workers"],
            id="over MAX",
        ),
        pytest.param(
            "w-1..2@a *@a=1",
            ["w-1@a", "w-2@a", "w-3@a", "v@a"],
            "WARNING - 1 worker unexpected: w-3@a",
            ["Worker w-3@a was unexpectedly present"],
            id="a group belongs to its fixed form",
        ),
        pytest.param(
            "w-?@a=2 w-*@a=1",
            ["w-1@a", "w-2@a", "w-30@a"],
            "OK - 3 of 3 workers online on 1 server",
            [],
            id="the first pattern counts",
        ),
        pytest.param(
            "w-*@a=3 w-?@a=0..1",
            ["w-1@a", "w-2@a", "w-30@a"],
            "OK - 3 of 3 workers online on 1 server",
            [],
            id="the first pattern counts, the wider one first",
        ),
        pytest.param(
            "w-[12]@a=2", ["w-1@a", "w-2@a"], "OK - 2 of 2 workers online on 1 server", [], id="a set of characters"
        ),
        pytest.param(
            "w-2@a w-0@a=1",
            ["w-0@a", "w-1@a", "w-2@a"],
            "CRITICAL - 1 of 3 workers missing (w-0@a), 1 unexpected (w-0@a or w-2@a)",
            [
                "Pattern w-0@a matched 0 workers instead of 1, accounts for 1 missing worker",
                "Worker w-0@a or w-2@a was unexpectedly present",
            ],
            id="what numbering leaves over belongs to the fixed form",
        ),
    ],
)
def test_patterns_are_compared_with_the_answers(
    expected: str, nodes: list[str], headline: str, findings: list[str]
) -> None:
    outcome = check(*expected.split(), text=online(*nodes))
    assert (outcome.headline, outcome.findings) == (f"CELERY WORKERS {headline}", findings)


def test_patterns_stand_in_the_order_in_which_they_take_workers() -> None:
    outcome = check("w-1*@a=2", "w-*@a=2", "a*@a=1", text=online("w-11@a", "w-2@a"))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 3 of 5 workers missing"
    assert outcome.findings == [
        "Pattern w-1*@a matched 1 worker instead of 2, accounts for 1 missing worker",
        "Pattern w-*@a matched 1 worker instead of 2, accounts for 1 missing worker",
        "Pattern a*@a matched 0 workers instead of 1, accounts for 1 missing worker",
    ]


def test_a_worker_without_a_number_counts_for_a_pattern_beside_numbered_ones() -> None:
    assert check("w-1..2@a", "w*=1", text=online("w-1@a", "w-2@a", "w@a")) == Outcome(
        f"CELERY WORKERS OK - 3 of 3 workers online on 1 server | {perfdata(missing='0;;0;0;3', online='3;;;0')}\n", OK
    )


def test_a_server_with_a_worker_of_a_pattern_or_an_ignored_one_is_not_unexpected() -> None:
    text = online("w@a", "x@a", "v@b", "x@b")
    assert check("w*=1", "--ignore", "v@*", text=text).findings == [
        "Worker x@a was unexpectedly present",
        "Worker x@b was unexpectedly present",
    ]


def test_ignored_workers_are_never_too_many_of_a_pattern() -> None:
    nodes = ["w-1@a", "w-2@a", "w-9@a"]
    assert check("w-*@a=2", "--ignore", "w-9@a", text=online(*nodes)).code == OK
    assert check("w-*@a=3", "--ignore", "w-9@a", text=online(*nodes)).code == OK
    assert check("w-*@a=1", "--ignore", "w-9@a", text=online(*nodes)).findings == [
        "Pattern w-*@a matched 2 workers instead of 1, accounts for 1 unexpected worker"
    ]


def test_a_pattern_that_ignored_workers_fill_has_no_finding() -> None:
    outcome = check("w-*@a=2", "v@a", "--ignore", "w-9@a", text=online("w-1@a", "w-2@a", "w-9@a"))
    assert outcome.findings == ["Worker v@a was missing"]


def test_only_servers_with_an_expected_worker_are_counted() -> None:
    text = online("w-9@a", "x@b", "y@c@d")
    outcome = check("w-1..2@a", "v@a", "x@b", "y*=1", "-c", "3", "--unexpected-warning", "1", text=text)
    assert outcome.headline == (
        "CELERY WORKERS OK - 2 of 5 workers online on 2 servers, 3 missing, 1 unexpected (w-9@a)"
    )
    assert (
        check("y*=2", text=online("y@c@d", "y@d")).headline == "CELERY WORKERS OK - 2 of 2 workers online on 2 servers"
    )


def test_each_of_many_patterns_counts_its_own_workers() -> None:
    nodes = [f"{name}-{i}@s{j}" for name in ("a", "ab", "b") for i in range(3) for j in range(3)]
    assert check("a-*@s?=9", "ab-*=9", "*=9", text=online(*nodes)).code == OK


def test_ignored_workers_count_for_nothing() -> None:
    outcome = check("w@a", "--ignore", "beat@*", "--ignore", "x-?@a", text=online("w@a", "beat@b", "x-1@a", "x-10@a"))
    assert outcome == Outcome(
        f"""\
CELERY WORKERS WARNING - 1 worker unexpected: x-10@a | \
{perfdata(missing="0;;0;0;1", online="2;;;0", unexpected="1;0;;0")}
Worker x-10@a was unexpectedly present
""",
        WARNING,
    )


def test_verbose_leaves_out_the_ignored_workers() -> None:
    text = online("w@a", "dev-1@a", "dev-1@b")
    assert check("w@a", "--ignore", "dev-*", "-v", text=text).findings == ["Online on a: 1 worker, w@a"]


def test_ignore_takes_nothing_from_what_is_expected() -> None:
    assert check("w-2@a", "--ignore", "*", text=online("w-1@a")).headline == (
        "CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-0@a or w-2@a"
    )


def test_an_ignored_name_settles_which_of_two_is_unexpected() -> None:
    three = online("w-0@a", "w-1@a", "w-2@a")
    for ignored in ("w-0@a", "w-2@a", "w-*"):
        assert check("w-2@a", "--ignore", ignored, text=three) == Outcome(
            f"CELERY WORKERS OK - 2 of 2 workers online on 1 server | {perfdata(missing='0;;0;0;2', online='2;;;0')}\n",
            OK,
        )
    assert check("w-2@a", "--ignore", "w-1@a", text=three).perfdata["online"] == "3;;;0"
    outcome = check("w-2@a", "--ignore", "w-0@a", text=online("w-0@a", "w-1@a", "w-2@a", "w-9@a"))
    assert outcome.findings == ["Worker w-9@a was unexpectedly present"]


@pytest.mark.parametrize(
    ("first", "nodes", "finding"),
    [
        pytest.param("0", ["w-1@a"], ["Worker w-0@a was missing"], id="from 0"),
        pytest.param("1", ["w-1@a"], ["Worker w-2@a was missing"], id="from 1"),
        pytest.param(
            "1",
            ["w-0@a", "w-1@a"],
            ["Worker w-2@a was missing", "Worker w-0@a was unexpectedly present"],
            id="from 1 where 0 answers",
        ),
        pytest.param("auto", ["w-1@a"], ["Worker w-0@a or w-2@a was missing"], id="found from the answers"),
    ],
)
def test_first_index_settles_where_a_count_begins(first: str, nodes: list[str], finding: list[str]) -> None:
    assert check("w-2@a", "--first-index", first, text=online(*nodes)).findings == finding


def test_findings_of_every_kind_stand_in_their_order() -> None:
    text = (
        "celery@c: ERROR\ncelery@c: OK\nw-2@a: ERROR\nw-10@a: ERROR\nx-1@a: ERROR\nx-1@a: OK\n"
        "y-1@b: OK\ny-2@b: OK\nz@c: OK\n\n7 nodes online.\n"
    )
    assert check("w-1..10@a", "v@a", "celery@c", "u-3@d", "y*@b=1", text=text) == Outcome(
        f"""\
CELERY WORKERS CRITICAL - 12 of 16 workers missing, 3 malfunctioning, 1 duplicate (celery@c), 3 unexpected | {
            perfdata(
                duplicate="1;0;;0",
                malfunctioning="3;;0;0",
                missing="12;;0;0;16",
                missing_servers="1;;;0",
                online="7;;;0",
                unexpected="3;0;;0",
            )
        }
Server d was missing, accounts for 3 missing workers
Worker v@a was missing
Worker w-1@a was missing
Worker w-3@a was missing
Worker w-4@a was missing
Worker w-5@a was missing
Worker w-6@a was missing
Worker w-7@a was missing
Worker w-8@a was missing
Worker w-9@a was missing
Worker celery@c was malfunctioning, it answered ERROR
Worker w-2@a was malfunctioning, it answered ERROR
Worker w-10@a was malfunctioning, it answered ERROR
Node name celery@c was used by more than one worker
Worker x-1@a was unexpectedly present
Worker z@c was unexpectedly present
Pattern y*@b matched 2 workers instead of 1, accounts for 1 unexpected worker
""",
        CRITICAL,
    )


@pytest.mark.parametrize(
    ("options", "headline", "code"),
    [
        pytest.param("", "CRITICAL - 2 of 10 workers missing: w-4@b, w-5@b", CRITICAL, id="default"),
        pytest.param(
            "-c 1", "CRITICAL - 2 of 10 workers missing: w-4@b, w-5@b", CRITICAL, id="critical under the number"
        ),
        pytest.param(
            "-c 2", "OK - 8 of 10 workers online on 2 servers, 2 missing: w-4@b, w-5@b", OK, id="critical at the number"
        ),
        pytest.param(
            "-w 1 -c 2",
            "WARNING - 2 of 10 workers missing: w-4@b, w-5@b",
            WARNING,
            id="warning crossed and critical not",
        ),
        pytest.param("-w 1", "WARNING - 2 of 10 workers missing: w-4@b, w-5@b", WARNING, id="warning alone"),
        pytest.param(
            "-c 20%", "OK - 8 of 10 workers online on 2 servers, 2 missing: w-4@b, w-5@b", OK, id="percent that is met"
        ),
        pytest.param(
            "-c 19.9%", "CRITICAL - 2 of 10 workers missing: w-4@b, w-5@b", CRITICAL, id="percent that is just crossed"
        ),
        pytest.param(
            "-c @10:20%",
            "CRITICAL - 2 of 10 workers missing: w-4@b, w-5@b",
            CRITICAL,
            id="inverted range from a number to a percent",
        ),
        pytest.param(
            "-c @20.1:30%",
            "OK - 8 of 10 workers online on 2 servers, 2 missing: w-4@b, w-5@b",
            OK,
            id="inverted range beside the number",
        ),
        pytest.param("-c 3:", "CRITICAL - 2 of 10 workers missing: w-4@b, w-5@b", CRITICAL, id="at least three"),
        pytest.param("-c ~:", "OK - 8 of 10 workers online on 2 servers, 2 missing: w-4@b, w-5@b", OK, id="never"),
        pytest.param(
            "--critical=@0", "OK - 8 of 10 workers online on 2 servers, 2 missing: w-4@b, w-5@b", OK, id="inverted zero"
        ),
        pytest.param(
            "-w 1 --unexpected-critical 5:",
            "CRITICAL - 0 workers unexpected, 2 of 10 missing (w-4@b, w-5@b)",
            CRITICAL,
            id="a metric that alerts at 0 is first",
        ),
        pytest.param(
            "-c ~: --missing-servers-critical 0",
            "OK - 8 of 10 workers online on 2 servers, 2 missing: w-4@b, w-5@b",
            OK,
            id="defaults of another metric stay",
        ),
        pytest.param(
            "-c ~: --missing-servers-warning 1:",
            "WARNING - 0 servers missing, 2 of 10 workers missing (w-4@b, w-5@b)",
            WARNING,
            id="servers that alert at 0",
        ),
    ],
)
def test_thresholds_of_missing_workers(options: str, headline: str, code: int) -> None:
    text = online(*(f"w-{i}@a" for i in range(1, 6)), "w-1@b", "w-2@b", "w-3@b")
    outcome = check("w-1..5@a", "w-1..5@b", *options.split(), text=text)
    assert (outcome.headline, outcome.code) == (f"CELERY WORKERS {headline}", code)


@pytest.mark.parametrize(
    ("options", "headline", "code"),
    [
        pytest.param(
            "--unexpected-warning ~:",
            "OK - 1 of 1 worker online on 1 server, 3 unexpected: server b, server c",
            OK,
            id="never",
        ),
        pytest.param(
            "--unexpected-critical 2", "CRITICAL - 3 workers unexpected: server b, server c", CRITICAL, id="critical"
        ),
        pytest.param(
            "--unexpected-warning 3",
            "OK - 1 of 1 worker online on 1 server, 3 unexpected: server b, server c",
            OK,
            id="warning at the number",
        ),
        pytest.param(
            "--unexpected-servers-critical 0",
            "CRITICAL - 2 servers unexpected (b, c), 3 workers unexpected (server b, server c)",
            CRITICAL,
            id="servers",
        ),
    ],
)
def test_thresholds_of_unexpected_workers(options: str, headline: str, code: int) -> None:
    outcome = check("w@a", *options.split(), text=online("w@a", "v@b", "w@b", "w@c"))
    assert (outcome.headline, outcome.code) == (f"CELERY WORKERS {headline}", code)


@pytest.mark.parametrize(
    ("options", "headline", "code"),
    [
        pytest.param("", "CRITICAL - 1 worker malfunctioning (v@a), 1 duplicate (w@a)", CRITICAL, id="default"),
        pytest.param(
            "--malfunctioning-warning 0",
            "WARNING - 1 worker malfunctioning (v@a), 1 duplicate (w@a)",
            WARNING,
            id="malfunctioning as a warning",
        ),
        pytest.param(
            "--malfunctioning-critical 1",
            "WARNING - 1 worker duplicate (w@a), 1 malfunctioning (v@a)",
            WARNING,
            id="malfunctioning allowed",
        ),
        pytest.param(
            "--malfunctioning-critical ~: --duplicate-critical 0",
            "CRITICAL - 1 worker duplicate (w@a), 1 malfunctioning (v@a)",
            CRITICAL,
            id="duplicate as critical",
        ),
        pytest.param(
            "--malfunctioning-warning ~: --duplicate-warning ~:",
            "OK - 2 of 2 workers online on 1 server, 1 malfunctioning (v@a), 1 duplicate (w@a)",
            OK,
            id="never",
        ),
    ],
)
def test_thresholds_of_malfunctioning_and_duplicate(options: str, headline: str, code: int) -> None:
    outcome = check("v@a", "w@a", *options.split(), text="v@a: ERROR\nw@a: OK\nw@a: OK\n")
    assert (outcome.headline, outcome.code) == (f"CELERY WORKERS {headline}", code)


def answers(nodes: str, *, ill: str = "", queue: str = "") -> str:
    """Return the status text, as of Celery 4, in which these nodes answer, and consume from a queue if it is given."""
    below = f"    * {{'name': '{queue}', 'exchange': {{'name': '{queue}'}}}}\n" if queue else ""
    return "".join(f"{node}: OK\n{below}" for node in nodes.split()) + "".join(
        f"{node}: ERROR\n" for node in ill.split()
    )


@pytest.mark.parametrize(
    ("arguments", "text", "headline"),
    [
        pytest.param(
            "w-1..7@a mail-1..2@web1 bulk-1..2@db1",
            answers("w-1@a w-2@a w-3@a w-4@a w-5@a w-6@a w-7@a mail-1@web1 bulk-2@db1"),
            "CRITICAL - 2 of 11 workers missing: bulk-1@db1, mail-2@web1",
            id="two of one kind",
        ),
        pytest.param(
            "w-1..7@a", answers("w-1@a w-2@a w-3@a w-4@a"), "CRITICAL - 3 of 7 workers missing", id="three of one kind"
        ),
        pytest.param(
            "w@a v@a u@b t@b s@c",
            answers("w@a"),
            "CRITICAL - 4 of 5 workers missing",
            id="two servers and a worker are three",
        ),
        pytest.param(
            "w@a v-1..5@a u-1..3@b",
            answers("w@a"),
            "CRITICAL - 8 of 9 workers missing: server b, v@a",
            id="eight workers that two findings account for",
        ),
        pytest.param(
            "w-1..12@a v@b", answers("w-1@a"), "CRITICAL - 12 of 13 workers missing", id="a server and many workers"
        ),
        pytest.param(
            "w-1..11@a",
            answers(" ".join(f"w-{i}@a" for i in (1, 3, 4, 5, 6, 7, 8, 9, 11))),
            "CRITICAL - 2 of 11 workers missing: w-2@a, w-10@a",
            id="workers in natural order",
        ),
        pytest.param(
            "w@a",
            answers("w@a v@s10 u@s9"),
            "WARNING - 2 workers unexpected: server s9, server s10",
            id="servers in natural order",
        ),
        pytest.param(
            "a@a b@b c@a",
            answers("c@a"),
            "CRITICAL - 2 of 3 workers missing: server b, a@a",
            id="a server before a worker",
        ),
        pytest.param(
            "w@a b*@a=1 a-1..3@a",
            answers("w@a a-1@a a-3@a"),
            "CRITICAL - 2 of 5 workers missing: a-2@a, b*@a",
            id="a worker before a pattern",
        ),
        pytest.param(
            "mail-1..2@web1 bulk@db1 --queue mail=2..",
            answers("mail-1@web1", queue="mail") + answers("bulk@db1", queue="bulk"),
            "CRITICAL - 1 of 3 workers missing (mail-2@web1), 1 queue short of consumers (mail)",
            id="a worker and its queue",
        ),
        pytest.param(
            "w-1..2@a --queue mail=1 --queue bulk --queue slow",
            answers("w-1@a w-2@a", queue="mail"),
            "CRITICAL - 2 queues short of consumers (bulk, slow), 1 with too many consumers (mail)",
            id="queues with too few and with too many consumers",
        ),
        pytest.param(
            "w@a v@a u@a",
            answers("w@a w@a x@a", ill="v@a"),
            "CRITICAL - 1 of 3 workers missing (u@a), 1 malfunctioning (v@a), 1 duplicate (w@a), 1 unexpected (x@a)",
            id="one of each kind",
        ),
        pytest.param(
            "w-1..12@a v@a",
            answers("v@a", ill=" ".join(f"w-{i}@a" for i in (10, 2))) + answers("x@a y@a z@a"),
            "CRITICAL - 10 of 13 workers missing, 2 malfunctioning (w-2@a, w-10@a), 3 unexpected",
            id="two of a kind between many of two others",
        ),
        pytest.param(
            "w@a v@a --beat cron@b --beat cron@a",
            answers("w@a v@a"),
            "CRITICAL - 2 beats missing: cron@a, cron@b",
            id="beats alone",
        ),
        pytest.param(
            "w@a v@a --beat cron@a",
            answers("w@a celerybeat@b"),
            "CRITICAL - 1 of 2 workers missing (v@a), 1 beat missing (cron@a), 1 beat unexpected (celerybeat@b)",
            id="beats beside workers",
        ),
        pytest.param(
            "w@a v@b u@b --missing-servers-critical 0",
            answers("w@a"),
            "CRITICAL - 2 of 3 workers missing (server b), 1 server missing (b)",
            id="a threshold of missing servers is crossed as well",
        ),
        pytest.param(
            "w@a v@b u@b --missing-servers-critical 0 -c 2",
            answers("w@a"),
            "CRITICAL - 1 server missing (b), 2 of 3 workers missing (server b)",
            id="a threshold of missing servers alone is crossed",
        ),
        pytest.param(
            "w@a --unexpected-servers-critical 0 --unexpected-warning ~:",
            answers("w@a v@b"),
            "CRITICAL - 1 server unexpected (b), 1 worker unexpected (server b)",
            id="a threshold of unexpected servers alone is crossed",
        ),
        pytest.param(
            "w-1..4@a v@a -c 1",
            answers("w-1@a w-2@a w-3@a v@a"),
            "OK - 4 of 5 workers online on 1 server, 1 missing: w-4@a",
            id="one kind that thresholds let pass",
        ),
        pytest.param(
            "w-1..4@a v@a -c 1 --unexpected-warning 2",
            answers("w-1@a w-2@a w-3@a v@a x@b y@a"),
            "OK - 4 of 5 workers online on 1 server, 1 missing (w-4@a), 2 unexpected (server b, y@a)",
            id="two kinds that thresholds let pass",
        ),
        pytest.param(
            "w-1..4@a v@a -c 3 --unexpected-warning 1",
            answers("w-1@a v@a x@a"),
            "OK - 2 of 5 workers online on 1 server, 3 missing, 1 unexpected (x@a)",
            id="many and one that thresholds let pass",
        ),
        pytest.param(
            "w@a --beat cron@a -c 1",
            answers("w@a"),
            "OK - 1 of 1 worker and 0 beats online on 1 server, 1 beat missing: cron@a",
            id="a beat that thresholds let pass",
        ),
        pytest.param(
            "w@a u@b -c ~: --unexpected-warning ~: --missing-servers-critical 0 --unexpected-servers-critical 0",
            answers("w@a x@c"),
            "CRITICAL - 1 server missing (b), 1 server unexpected (c), 1 of 2 workers missing "
            "(server b), 1 unexpected (server c)",
            id="servers that are missing and servers that are unexpected",
        ),
    ],
)
def test_the_status_line_names_one_or_two_of_each_kind(arguments: str, text: str, headline: str) -> None:
    assert check(*arguments.split(), text=text).headline == f"CELERY WORKERS {headline}"


A, B, C = "a" * 45, "b" * 45, "c" * 45


@pytest.mark.parametrize(
    ("missing", "duplicate", "unexpected", "line"),
    [
        pytest.param(
            [f"{A}@a"],
            [f"{B}@a"],
            [f"{C}1@a"],
            f"1 of 3 workers missing ({A}@a), 1 duplicate ({B}@a), 1 unexpected ({C}1@a)",
            id="200 characters",
        ),
        pytest.param(
            [f"{A}@a"],
            [f"{B}@a"],
            [f"{C}12@a"],
            f"1 of 3 workers missing ({A}@a), 1 duplicate ({B}@a), 1 unexpected",
            id="201 characters, so the last kind has no names",
        ),
        pytest.param(
            [f"{A}1@a", f"{A}2@a"],
            [f"{B}1@a", f"{B}2@a"],
            ["x@a"],
            f"2 of 5 workers missing ({A}1@a, {A}2@a), 2 duplicate, 1 unexpected",
            id="the last two kinds have no names, however short the last one's is",
        ),
        pytest.param(
            [f"{A}1@a", f"{A}2@a"],
            [f"{B}1@a", f"{B}2@a"],
            ["x@a", "y@a", "z@a"],
            f"2 of 5 workers missing ({A}1@a, {A}2@a), 2 duplicate, 3 unexpected",
            id="the last kind is of three, so the one before has no names",
        ),
        pytest.param(
            [f"{A}{B}@a", f"{A}{C}@a"],
            [],
            ["x@a"],
            "2 of 3 workers missing, 1 unexpected",
            id="no kind has names",
        ),
        pytest.param(
            [f"{A}{A}@a", f"{B}{'1' * 35}@a"],
            [],
            [],
            f"2 of 3 workers missing: {A}{A}@a, {B}{'1' * 35}@a",
            id="200 characters of one kind alone",
        ),
        pytest.param(
            [f"{A}{A}@a", f"{B}{'1' * 36}@a"],
            [],
            [],
            "2 of 3 workers missing",
            id="201 characters of one kind alone",
        ),
    ],
)
def test_beyond_200_characters_the_last_kinds_lose_their_names(
    missing: list[str], duplicate: list[str], unexpected: list[str], line: str
) -> None:
    text = answers(" ".join(["w@a", *duplicate, *duplicate, *unexpected]))
    outcome = check("w@a", *missing, *duplicate, text=text)
    assert outcome.headline == f"CELERY WORKERS CRITICAL - {line}"
    assert len(line) <= 200
    # Each has its line below all the same.
    assert len(outcome.findings) == len([*missing, *duplicate, *unexpected])


def test_perfdata_has_thresholds_as_absolute_numbers() -> None:
    options = "-w 10% -c @1:33.3% --unexpected-warning 1: --unexpected-critical ~:5 --malfunctioning-critical 0.5"
    assert check("w-10@a", *options.split(), text=online("w-1@a")).perfdata == {
        "duplicate": "0;0;;0",
        "malfunctioning": "0;;0.5;0",
        "missing": "9;1;@0.1:3.33;0;10",
        "missing_servers": "0;;;0",
        "online": "1;;;0",
        "unexpected": "0;1:;~:5;0",
        "unexpected_servers": "0;;;0",
    }


def test_a_name_in_json_ends_at_the_first_at_sign() -> None:
    assert check("w-1@b@c=1", text='{"w-1@b@c": {"ok": "pong"}}\n').code == OK


def test_no_replies_are_all_missing() -> None:
    text = "Error: No nodes replied within time constraint.\n"
    assert check("w-2@a", "v@a", text=text).output.startswith(
        "CELERY WORKERS CRITICAL - 3 of 3 workers missing: server a |"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("\n", id="newline"),
        pytest.param(" \r\n\x1b[0m\n", id="blanks and colours"),
        pytest.param("\ufeff", id="byte-order mark"),
    ],
)
def test_an_empty_text_is_missing_all_and_says_what_to_do(text: str) -> None:
    assert check("w-2@a", text=text) == Outcome(
        f"""\
CELERY WORKERS CRITICAL - 2 of 2 workers missing: server a, Celery's output was empty | \
{perfdata(missing="2;;0;0;2", missing_servers="1;;;0", online="0;;;0")}
Server a was missing, accounts for 2 missing workers
Celery's output was empty. Put 2>&1 before the pipe to see its errors
""",
        CRITICAL,
    )


def test_a_text_that_is_not_whole_is_unknown_if_a_worker_is_missing() -> None:
    text = "w@a: OK\n\n3 nodes online.\n"
    assert check("w@a", text=text).code == OK
    assert check("w@a", "v@a", text=text) == Outcome(
        "CELERY WORKERS UNKNOWN - Celery's output is cut: it counts 3 nodes and lists 1, "
        "1 of 2 workers had replied, no reply from v@a\nWorker v@a had not replied\n",
        UNKNOWN,
    )


def test_the_first_of_many_findings_in_natural_order_are_shown() -> None:
    nodes = [f"w-{i}@a" for i in range(999, 0, -1)]
    lines = check("w-1..1@a", text=online(*nodes)).findings
    assert lines[:-1] == [f"Worker w-{i}@a was unexpectedly present" for i in range(2, len(lines) + 1)]


@pytest.mark.parametrize(
    ("headline", "findings", "more", "told"),
    [
        # 8,000 bytes: what is told, each line with its end, and of findings the line that counts those left out.
        pytest.param(7974, ["x" * 9], [], ["x" * 9], id="a finding that just fits"),
        pytest.param(7975, ["x" * 9], [], ["... and 1 more"], id="a finding that just does not fit"),
        pytest.param(7975, ["x" * 9], [""], ["... and 1 more"], id="a finding that does not fit and an empty line"),
        pytest.param(7964, ["x" * 9, "y" * 9], [], ["x" * 9, "y" * 9], id="two findings that just fit"),
        pytest.param(7965, ["x" * 9, "y" * 9], [], ["x" * 9, "... and 1 more"], id="of two findings one fits"),
        pytest.param(7989, [], ["x" * 9], ["x" * 9], id="a further line that just fits"),
        pytest.param(7990, [], ["x" * 9], [], id="a further line that just does not fit"),
        pytest.param(7970, [], ["x" * 9, "y" * 9, "z" * 9], ["x" * 9, "y" * 9], id="of three further lines two fit"),
        pytest.param(
            7969,
            ["x" * 9],
            ["y" * 9, "z" * 9, ""],
            ["x" * 9, "y" * 9, "z" * 9],
            id="a finding and further lines of which all but the last fit",
        ),
    ],
)
def test_findings_and_further_lines_fill_8000_bytes(
    headline: int, findings: list[str], more: list[str], told: list[str]
) -> None:
    assert fit("h" * headline, findings, len(findings), more).splitlines()[1:] == told


def test_findings_that_do_not_fit_are_counted() -> None:
    outcome = check("w-1..9999@a", text=online("w-5000@a"))
    lines = outcome.output.splitlines()
    assert lines[0].startswith("CELERY WORKERS CRITICAL - 9,998 of 9,999 workers missing | ")
    assert lines[1:-1] == [f"Worker w-{i}@a was missing" for i in range(1, len(lines) - 1)]
    assert lines[-1] == f"... and {9998 - (len(lines) - 2):,} more"
    assert 7900 < len(outcome.output.encode()) <= 8000


@pytest.mark.exhaustive
def test_a_million_workers_are_the_most_that_one_expected_may_ask_for() -> None:
    outcome = check("w-1..1000000@a", text=online("w-2@a"))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 999,999 of 1,000,000 workers missing"
    for text in ("w-1000001@a", "w-1..1000001@a", "w{1..1000001}@a", "w{1..2000}{1..2000}@a"):
        assert check(text).output.startswith(f"CELERY WORKERS UNKNOWN - EXPECTED {text}: it")


def test_hostile_names_are_made_harmless() -> None:
    name = "a|b\x1b[31m\u202e;$(reboot)'=\x07@\x00h\x9bm\u00e4\udcff"
    outcome = check("w@a", "-v", text=online("w@a", name))
    assert outcome.headline == "CELERY WORKERS WARNING - 1 worker unexpected: server ?häÿ"
    assert outcome.findings == [
        "Server ?häÿ was unexpectedly present, accounts for 1 worker: a?b?;$(reboot)'=?@?häÿ",
        "Online on ?häÿ: 1 worker, a?b?;$(reboot)'=?@?häÿ",
        "Online on a: 1 worker, w@a",
    ]


@pytest.mark.parametrize(
    ("length", "told"),
    [pytest.param(200, "x" * 200, id="200 characters"), pytest.param(201, f"{'x' * 197}...", id="201 characters")],
)
def test_a_long_name_is_cut(length: int, told: str) -> None:
    assert check(
        "w-3@a", text=online("w-1@a", "w-2@a", "w-3@a", f"w@{'x' * length}", f"v@{'x' * length}")
    ).findings == [f"Server {told} was unexpectedly present, accounts for 2 workers"]


def test_a_very_long_name_leaves_room_for_the_other_findings() -> None:
    outcome = check("w@a", text=online(f"{'x' * 10000}-1@a"))
    assert outcome.findings[0] == "Worker w@a was missing"
    assert outcome.findings[1].startswith(f"Worker {'x' * 197}... was unexpectedly present")


def test_an_unknown_names_as_many_silent_workers_as_fit_into_the_first_line() -> None:
    names = [f"worker-with-a-name-of-some-length-{letter}@a" for letter in "bcdefghij"]
    outcome = check(*names, "w@a", text="->  w@a: OK\n")
    assert outcome.headline == (
        "CELERY WORKERS UNKNOWN - Celery's output is cut: its closing line is missing (a timeout or a filter?), "
        f"1 of 10 workers had replied, no reply from {', '.join(names[:5])} and 4 more"
    )
    assert outcome.findings == [f"Worker {name} had not replied" for name in names]


@pytest.mark.parametrize(
    ("expected", "text", "finding"),
    [
        pytest.param(
            "w-2@a",
            "w-01@a: ERROR\nw-02@a: OK\n",
            "Worker w-01@a was malfunctioning, it answered ERROR",
            id="a fault as the worker spells itself",
        ),
        pytest.param(
            "v@a w-3..3@b",
            "v@a: OK\n",
            "Server b was missing, accounts for 1 missing worker: w-3@b",
            id="the one worker of a server, with its index",
        ),
        pytest.param(
            "w-1..1@a",
            "w-1@a: OK\nw-3@a: OK\nw-03@a: OK\n",
            "Worker w-3@a was unexpectedly present",
            id="one of two spellings that nothing expects",
        ),
        pytest.param(
            "w@a",
            "->  w@a: OK\n->  laptop: OK\n\n2 nodes online.\n",
            "Worker laptop was unexpectedly present",
            id="no server",
        ),
        pytest.param(
            "w@a",
            "->  w@a: OK\n->  x@: OK\n\n2 nodes online.\n",
            "Worker x@ was unexpectedly present",
            id="a server without a name",
        ),
        pytest.param(
            "v@a",
            "v@a: OK\nw-1@a: OK\nw-01@a: OK\n",
            "Worker w@a was unexpectedly present, accounts for 2 workers",
            id="two spellings in a group that nothing expects",
        ),
    ],
)
def test_a_finding_names_the_worker_as_it_is(expected: str, text: str, finding: str) -> None:
    assert check(*expected.split(), text=text).findings == [finding]


def test_workers_beyond_the_most_of_a_pattern_do_not_count_as_online() -> None:
    outcome = check("w-*@a=1..2", "--unexpected-warning", "~:", text=online("w-1@a", "w-2@a", "w-3@a"))
    assert outcome.headline == "CELERY WORKERS OK - 2 workers online on 1 server, 1 unexpected: w-*@a"


def test_a_small_share_of_few_workers_is_exact() -> None:
    assert check("w-1..5@a", "-c", "1%", text=online("w-1@a")).perfdata["missing"] == "4;;0.05;0;5"


def test_a_range_of_characters_that_ends_before_it_starts_matches_nothing() -> None:
    outcome = check("w-[3-1]@a=1", text=online("w-1@a", "w-2@a"))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 1 worker missing (w-[3-1]@a), 2 unexpected (server a)"


@pytest.mark.parametrize("threshold", [".5%", "0.5%"])
def test_percent_may_begin_with_a_point(threshold: str) -> None:
    outcome = check("w-1..200@a", "-w", threshold, "-c", "~:", text="w-1@a: OK\n")
    assert outcome.perfdata["missing"] == "199;1;~:;0;200"
