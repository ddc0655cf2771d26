"""What people type first, and what the plugin answers: the mistake, and the right form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, WARNING, Outcome, check, run

from check_celery_workers.expected.braces import expand
from check_celery_workers.expected.mistakes import WrongError


def online(*nodes: str) -> str:
    """Return what `celery status` of Celery 5 prints."""
    replies = "".join(f"->  {node}: OK\n" for node in nodes)
    return f"{replies}\n{len(nodes)} node{'s' * (len(nodes) > 1)} online.\n"


def assert_usage_error(outcome: Outcome, *words: str) -> None:
    """Assert one line with these words."""
    assert outcome.code == UNKNOWN
    assert outcome.output.startswith("CELERY WORKERS UNKNOWN - ")
    assert outcome.output.count("\n") == 1
    for word in words:
        assert word in outcome.output


FORMS = "NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N"
ONE_EACH = f"one EXPECTED per argument or line: {FORMS}"
THREE = online("worker-1@a", "worker-2@a", "worker-3@a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["worker-1@a", "worker-2@a"],
            "EXPECTED worker-2@a: it means two workers and overlaps what is expected already; write "
            "worker-1..2@a for exactly worker-1@a and worker-2@a, worker-2..2@a for the one worker of that name, or "
            "let --baseline write it",
            id="two-names",
        ),
        pytest.param(
            ["worker-1@a", "worker-2@a", "worker-3@a"],
            "EXPECTED worker-2@a: it means two workers and overlaps what is expected already; write "
            "worker-1..2@a for exactly worker-1@a and worker-2@a, worker-2..2@a for the one worker of that name, or "
            "let --baseline write it",
            id="three-names",
        ),
        pytest.param(
            ["worker-3@a", "worker-1@a"],
            "EXPECTED worker-1@a: it means one worker and overlaps what is expected already; write "
            "worker-3..3@a and worker-1..1@a for exactly worker-3@a and worker-1@a, worker-1..1@a for the one worker "
            "of that name, or let --baseline write it",
            id="in-another-order",
        ),
        pytest.param(
            ["w-4@a", "w-1..2@a"],
            "EXPECTED w-1..2@a: the same worker is expected twice; write it once",
            id="a-count-and-a-span",
        ),
        pytest.param(
            ["w-1..2@a", "w-2..3@a"],
            "EXPECTED w-2..3@a: the same worker is expected twice; write it once",
            id="spans-that-overlap",
        ),
        pytest.param(
            ["w@a", "w@a"], "EXPECTED w@a: the same worker is expected twice; write it once", id="the-same-twice"
        ),
        pytest.param(
            ["celery@{a,b,a}"],
            "EXPECTED celery@{a,b,a}: the same worker is expected twice; write it once",
            id="the-same-twice-by-braces",
        ),
        pytest.param(
            ["worker-1@a,worker-2@a"],
            f"EXPECTED worker-1@a,worker-2@a: it holds a comma; write {ONE_EACH}",
            id="commas",
        ),
        pytest.param(
            ["worker@a,"],
            f"EXPECTED worker@a,: it holds a comma; write {ONE_EACH}",
            id="a-comma-at-the-end",
        ),
        pytest.param(
            ["celery@a celery@b"],
            f"EXPECTED celery@a celery@b: it holds white space; write {ONE_EACH}",
            id="one-string",
        ),
        pytest.param(
            ['"celery@a"'],
            f'EXPECTED "celery@a": it holds a quotation mark; write {ONE_EACH}',
            id="quotes",
        ),
        pytest.param(
            ["'celery@a'"],
            f"EXPECTED 'celery@a': it holds a quotation mark; write {ONE_EACH}",
            id="single-quotes",
        ),
        pytest.param(
            ["celery@a@b"],
            f"EXPECTED celery@a@b: it holds more than one @; write {ONE_EACH}",
            id="two-at-signs",
        ),
        pytest.param(
            ["celery1..3@vm"],
            "EXPECTED celery1..3@vm: a range without a dash needs braces; write celery{1..3}@vm",
            id="a-span-without-a-dash",
        ),
        pytest.param(
            ["->  worker-3@a: OK"],
            f"EXPECTED -> worker-3@a: OK: it is a line of Celery's output; write {FORMS}, or let --baseline write it",
            id="a-pasted-line",
        ),
        pytest.param(
            ["worker-3@a: OK"],
            f"EXPECTED worker-3@a: OK: it is a line of Celery's output; write {FORMS}, or let --baseline write it",
            id="a-pasted-line-of-Celery-4",
        ),
        pytest.param(
            ["->", "worker-3@a:", "OK"], "unrecognized arguments: -> (see --help)", id="a-pasted-line-in-words"
        ),
        pytest.param(
            ["celery@a: OK"],
            f"EXPECTED celery@a: OK: it is a line of Celery's output; write {FORMS}, or let --baseline write it",
            id="a-pasted-line-without-index",
        ),
        pytest.param(
            ["worker1"],
            f"EXPECTED worker1: it names no server; write {FORMS}",
            id="no-server",
        ),
        pytest.param(
            ["w-0@a"],
            "EXPECTED w-0@a: it expects no worker; write w-0..0@a for the one worker w-0@a",
            id="a-count-of-0",
        ),
        pytest.param(
            ["worker-0@serverSERVER"],
            "EXPECTED worker-0@serverSERVER: it expects no worker; write worker-0..0@serverSERVER for the "
            "one worker worker-0@serverSERVER",
            id="names-that-hold-the-placeholders",
        ),
        pytest.param(
            ["NAME-0@a"],
            "EXPECTED NAME-0@a: it expects no worker; write NAME-0..0@a for the one worker NAME-0@a",
            id="names-that-are-placeholders",
        ),
        pytest.param(
            ["SERVER-0@a"],
            "EXPECTED SERVER-0@a: it expects no worker; write SERVER-0..0@a for the one worker SERVER-0@a",
            id="a-name-that-is-SERVER",
        ),
        pytest.param(
            ["w-5..2@a"], "EXPECTED w-5..2@a: FIRST is greater than LAST; write w-2..5@a", id="first-over-last"
        ),
        pytest.param(
            ["@a"],
            f"EXPECTED @a: NAME or SERVER is empty; write {FORMS}",
            id="no-name",
        ),
        pytest.param(
            ["w@"],
            f"EXPECTED w@: NAME or SERVER is empty; write {FORMS}",
            id="an-empty-server",
        ),
        pytest.param(
            ["w-*@a"],
            "EXPECTED w-*@a: a pattern needs the number of workers; write PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN..",
            id="a-pattern-without-a-number",
        ),
        pytest.param(
            ["w-*@a=3..1"], "EXPECTED w-*@a=3..1: MIN is greater than MAX; write PATTERN=MIN..MAX", id="min-over-max"
        ),
        pytest.param(
            ["w-1..1000001@a"],
            "EXPECTED w-1..1000001@a: it means more than 1,000,000 workers; write fewer",
            id="more-than-a-million",
        ),
        pytest.param(
            ["w-1000001@a"],
            "EXPECTED w-1000001@a: it means 1,000,001 workers, more than 1,000,000; write "
            "w-1000001..1000001@a for the one worker w-1000001@a",
            id="a-count-of-more-than-a-million",
        ),
        pytest.param(
            ["w-*@a=1000001"],
            "EXPECTED w-*@a=1000001: it means more than 1,000,000 workers; write fewer",
            id="a-pattern-for-more-than-a-million",
        ),
        pytest.param(
            ["w-*@a=1000001.."],
            "EXPECTED w-*@a=1000001..: it means more than 1,000,000 workers; write fewer",
            id="a-pattern-for-at-least-more-than-a-million",
        ),
        pytest.param(
            ["w@a{1..1000001}"],
            "EXPECTED w@a{1..1000001}: its braces stand for more than 1,000,000 workers; write fewer",
            id="braces-for-more-than-a-million",
        ),
        pytest.param(
            ["w{1..2000}@a{1..2000}"],
            "EXPECTED w{1..2000}@a{1..2000}: its braces stand for more than 1,000,000 workers; write fewer",
            id="braces-times-braces",
        ),
        pytest.param([], "no worker is expected; write EXPECTED such as worker-4@serverA (see --help)", id="nothing"),
    ],
)
def test_expected(arguments: list[str], message: str) -> None:
    assert check(*arguments, text=THREE) == Outcome(f"CELERY WORKERS UNKNOWN - {message}\n", UNKNOWN)


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param("w-1..1000000@a", marks=pytest.mark.exhaustive),
        "w-1000000@a",
        "w-*@a=1000000",
    ],
)
def test_a_million_is_fine(expected: str) -> None:
    outcome = check(expected, text=online("w-1@a"))
    assert outcome.headline.startswith("CELERY WORKERS CRITICAL - 999,999 of 1,000,000 workers missing")


def test_two_of_high_numbers_are_fine() -> None:
    outcome = check("w-1000000..1000001@a", text=online("w-1000000@a"))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 2 workers missing: w-1000001@a"


@pytest.mark.parametrize(
    "arguments",
    [
        ["w@a", "celery", "-A", "proj", "status", "-t", "10"],
        ["w@a", "celery", "-A", "proj", "inspect", "{}", "-t", "10"],
        ["w@a", "celery", "status"],
        ["w@a", "-A", "proj", "status"],
        ["w@a", "/srv/shop/venv/bin/python", "manage.py", "celery", "status"],
        ["w@a", "celery", "--app=proj", "inspect", "active_queues"],
    ],
    ids=" ".join,
)
def test_a_forgotten_separator(arguments: list[str]) -> None:
    assert_usage_error(check(*arguments, text=THREE), "--")
    outcome = check(*arguments, text=THREE)
    assert " -- " in outcome.output or "`--`" in outcome.output or "a -- " in outcome.output


@pytest.mark.parametrize(
    "command", ["celery -A proj status -t 10", "/usr/bin/celery inspect {}", "docker exec x celery"]
)
def test_a_whole_command_in_quotes(command: str) -> None:
    outcome = run("w@a", "--", command)
    assert_usage_error(outcome, "quotes")


def test_nothing_after_the_separator() -> None:
    assert_usage_error(check("w@a", "--"), "COMMAND", "--")


def test_a_wrong_line_of_a_file_is_named_and_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    for line in ("worker-1@a,secret@b", "->  secret-3@a: OK", '"secret@a"', "secret1..3@vm", "secret", "a secret"):
        file.write_text(f"# who must be there\nw@a\n\n{line}\n")
        outcome = check("-f", str(file), text=THREE)
        assert_usage_error(outcome, f"{file}:4: ")
        assert "secret" not in outcome.output.replace(str(file), "")


def test_copied_names_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("worker-1@a\nworker-2@a\n")
    assert_usage_error(check("-f", str(file), text=THREE), f"{file}:2: ")


def test_where_just_the_one_worker_of_that_name_answers_a_line_says_how_to_expect_it() -> None:
    outcome = check("worker-2@app2", text=online("worker-2@app2"))
    assert outcome.headline == "CELERY WORKERS CRITICAL - 1 of 2 workers missing: worker-1@app2"
    assert outcome.findings[0] == "Worker worker-1@app2 was missing"
    hint = outcome.findings[1]
    assert "worker-2@app2" in hint
    assert re.search("(two|2) workers", hint)
    assert "worker-2..2@app2" in hint
    for nodes in (["worker-1@app2"], ["worker-1@app2", "worker-2@app2"], ["worker-0@app2"]):
        assert "worker-2..2@app2" not in check("worker-2@app2", text=online(*nodes)).output


def test_servers_and_workers_of_one_are_named() -> None:
    outcome = check("w@a", "celery@b", text=online("celery@b", "celery@app9"))
    assert outcome.findings == [
        "Server a was missing, accounts for 1 missing worker: w@a",
        "Server app9 was unexpectedly present, accounts for 1 worker: celery@app9",
    ]


def test_verbose_writes_nodes_as_celery_does() -> None:
    told = check("worker-3..3@a", "-v", text=online("worker-3@a")).output
    assert "worker-3@a" in told
    assert "3..3" not in told


BRACES = {
    "celery@web{01..03}": ["celery@web01", "celery@web02", "celery@web03"],
    "celery{1..3}@vm": ["celery1@vm", "celery2@vm", "celery3@vm"],
    "w_{00..02}@h": ["w_00@h", "w_01@h", "w_02@h"],
    "w_{8..10}@h": ["w_8@h", "w_9@h", "w_10@h"],
    "w_{08..10}@h": ["w_08@h", "w_09@h", "w_10@h"],
    "w_{3..1}@h": ["w_1@h", "w_2@h", "w_3@h"],
    "celery@{a,b,c}": ["celery@a", "celery@b", "celery@c"],
    "{mail,pdf}@{a,b}": ["mail@a", "mail@b", "pdf@a", "pdf@b"],
    "{mail,pdf}{1..2}@a": ["mail1@a", "mail2@a", "pdf1@a", "pdf2@a"],
    "worker-{1..4}@a": ["worker-1@a", "worker-2@a", "worker-3@a", "worker-4@a"],
    "worker-{2,4}@a": ["worker-2@a", "worker-4@a"],
    "worker-2@app{1..2}": ["worker-1@app1", "worker-2@app1", "worker-1@app2", "worker-2@app2"],
    "worker-3..4@{x,y}": ["worker-3@x", "worker-4@x", "worker-3@y", "worker-4@y"],
    "w{1..5..2}@a": ["w1@a", "w3@a", "w5@a"],
    "w{5..1..2}@a": ["w1@a", "w3@a", "w5@a"],
    "w{a..f..3}@a": ["wa@a", "wd@a"],
    "{a,b}-2@h": ["a-1@h", "a-2@h", "b-1@h", "b-2@h"],
    "celery@web{1..2}-{x,y}.example.com": [f"celery@web{n}-{c}.example.com" for n in (1, 2) for c in "xy"],
    "w{1..1}@a": ["w1@a"],
}


@pytest.mark.parametrize(("expected", "nodes"), BRACES.items(), ids=list(BRACES))
def test_braces(tmp_path: Path, expected: str, nodes: list[str]) -> None:
    well = check(expected, text=online(*nodes))
    assert (well.findings, well.code) == ([], OK)
    assert well.perfdata["missing"].endswith(f";0;{len(nodes)}")
    if len(nodes) > 1:
        less = check(expected, "v@v", text=online("v@v", *nodes[:-1]))
        assert less.code == CRITICAL
        assert less.perfdata["missing"].startswith("1;")
        assert nodes[-1] in less.output or nodes[-1].replace("-2", "-0") in less.output
    more = check(expected, text=online("stranger@v", *nodes))
    assert (more.code, more.perfdata["unexpected"][0]) == (WARNING, "1")
    file = tmp_path / "expected"
    file.write_text(f"{expected}  # all of them\n")
    assert check("-f", str(file), text=online(*nodes)) == well
    assert check("-e", expected, text=online(*nodes)) == well


RIGHT_FORMS = {
    "it compares": "PATTERN=MIN.., PATTERN=0..MAX",
    "a range in brackets needs braces": "{FIRST..LAST}",
    "an address in brackets is a pattern": "[[] for [, and =1 behind it",
}


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ("w-*@a>=2", "it compares; write w-*@a=2.."),
        ("w-*@a>2", "it compares; write w-*@a=3.."),
        ("w-*@a<=2", "it compares; write w-*@a=0..2"),
        ("w-*@a<2", "it compares; write w-*@a=0..1"),
        ("w-*@a==2", "it compares; write w-*@a=2"),
        ("w@a[1:3]", "a range in brackets needs braces; write w@a{1..3}"),
        ("w@a-[01:20]", "a range in brackets needs braces; write w@a-{01..20}"),
        ("w@a[1:3]=3", "a range in brackets needs braces; write w@a{1..3}"),
        ("w@a[01-03]", "a range in brackets needs braces; write w@a{01..03}"),
        ("w@a[01-03]=3", "a range in brackets needs braces; write w@a{01..03}"),
        ("w@a[8-11]=4", "a range in brackets needs braces; write w@a{8..11}"),
        ("w@a[08-11].rack[1-2]=8", "a range in brackets needs braces; write w@a{08..11}.rack{1..2}"),
        ("w@a[01-20]-*=40", "a range in brackets needs braces; write w@a{01..20}-*=40"),
        ("w@a[01-03,07]=4", "a list in brackets needs braces; write {FIRST..LAST} or {A,B}"),
        ("w@[2001:db8::1]", "an address in brackets is a pattern; write w@[[]2001:db8::1]=1"),
        ("w@[2001:DB8::1]", "an address in brackets is a pattern; write w@[[]2001:DB8::1]=1"),
        ("w@[1:2:3:4:5:6:7:8]", "an address in brackets is a pattern; write w@[[]1:2:3:4:5:6:7:8]=1"),
        ("w@[::1]=1", "an address in brackets is a pattern; write w@[[]::1]=1"),
        ("w-{1-3}@a", "its braces hold neither .. nor a comma, or are not closed; write {1..4} or {a,b}"),
        ("w-{1..3@a", "its braces hold neither .. nor a comma, or are not closed; write {1..4} or {a,b}"),
        ("w-1..3}@a", "its braces hold neither .. nor a comma, or are not closed; write {1..4} or {a,b}"),
        ("w-{{ item }}@a", "its braces hold neither .. nor a comma, or are not closed; write {1..4} or {a,b}"),
    ],
)
def test_forms_of_other_programs_are_refused(expected: str, problem: str, tmp_path: Path) -> None:
    text = online("w-1@a", "w-2@a")
    assert check(expected, text=text).output == f"CELERY WORKERS UNKNOWN - EXPECTED {expected}: {problem}\n"
    file = tmp_path / "expected"
    file.write_text(f"{expected}\n", encoding="utf-8")
    # Of a line of a file nothing is repeated.
    what, _, right = problem.partition("; write ")
    reason = f"{file}:1: {what}; write {RIGHT_FORMS.get(what, right)}"
    assert check("-f", str(file), text=text) == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


@pytest.mark.parametrize("expected", ["w@a[1-3]=3", "w@[a-c][123]=3", "w@a[1,2-3]=3", "w@a[12]=3", "w@a[0-9][0-9]=3"])
def test_brackets_that_a_shell_knows_are_a_pattern(expected: str) -> None:
    assert check(expected, text=online("w@b")).output.startswith("CELERY WORKERS CRITICAL - 3 of 3 workers missing")


def test_a_url_is_refused_and_its_password_hidden() -> None:
    assert check("redis://:s3cr3t@redis1/0", text=online("w@a")).output == (
        "CELERY WORKERS UNKNOWN - EXPECTED redis://**@redis1/0: it is a URL; write --broker URL, or "
        "NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N\n"
    )


def test_a_regular_expression_that_matches_nothing_is_explained() -> None:
    outcome = check("w-.*@a=2", text=online("w-1@a", "w-2@a"))
    assert outcome.findings[-1] == "w-.*@a is a shell pattern, not a regular expression: write * for .*"
    assert check("w.*@a=1", text=online("w.1@a")).findings == []


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--ignore=", "the PATTERN is empty; give the option once for each PATTERN, such as 'celery@dev-*'"),
        (
            "--ignore=a@*,b@*",
            "the PATTERN holds a comma; give the option once for each PATTERN, such as 'celery@dev-*'",
        ),
        (
            "--ignore=a-{1..3}@b",
            "the PATTERN holds braces; give the option once for each PATTERN, such as 'celery@dev-*'",
        ),
        *(
            (
                f"--ignore={own}",
                "the PATTERN holds braces; give the option once for each PATTERN, such as 'celery@dev-*'",
            )
            for own in ("a{1@b", "a1}@b")
        ),
        (
            "--ignore=a@b[01-20]",
            "the PATTERN holds a range of hosts; give the option once for each PATTERN, such as 'celery@dev-*'",
        ),
        (
            "--task-limit=3,shop.*=100",
            "the PATTERN holds a comma; give the option once for each PATTERN=DURATION, or DURATION alone",
        ),
        (
            "--task-limit==100",
            "the PATTERN is empty; give the option once for each PATTERN=DURATION, or DURATION alone",
        ),
    ],
)
def test_several_patterns_in_one_are_refused(option: str, problem: str) -> None:
    reason = f"argument {option.partition('=')[0]}: {problem} (see --help)"
    assert check("w@a", option, text=online("w@a")).output == f"CELERY WORKERS UNKNOWN - {reason}\n"


def test_braces_in_patterns() -> None:
    nodes = ["celery@web-a", "celery@web-b", "celery@db-a"]
    assert check("celery@{web-*,db-*}=1..2", text=online(*nodes)).code == OK
    assert check("celery@{web-*,db-*}=2", text=online(*nodes)).perfdata["missing"].startswith("1;")


@pytest.mark.parametrize("expected", ["w{1..@a", "w{@a", "w}@a", "w{}@a", "w{a}@a", "w{a..}@a", "w{1..x}@a"])
def test_braces_that_are_none(expected: str) -> None:
    """As in a shell they stand for themselves, or are refused: they never hide a worker."""
    outcome = check(expected, text=online("w@b"))
    assert outcome.code in {CRITICAL, UNKNOWN}


@pytest.mark.parametrize(
    ("arguments", "nodes", "headline", "findings"),
    [
        pytest.param(
            ["w-4@a"],
            ["w-1@a", "w-2@a", "w-3@a"],
            "CRITICAL - 1 of 4 workers missing: w-0@a or w-4@a",
            ["Worker w-0@a or w-4@a was missing"],
            id="a-tie",
        ),
        pytest.param(
            ["w-2@a", "w-?@a=1"],
            ["w-0@a", "w-1@a", "w-2@a"],
            "CRITICAL - 1 of 3 workers missing (w-?@a), 1 unexpected (w-0@a or w-2@a)",
            [
                "Pattern w-?@a matched 0 workers instead of 1, accounts for 1 missing worker",
                "Worker w-0@a or w-2@a was unexpectedly present",
            ],
            id="no-pattern-takes-what-numbering-leaves",
        ),
        pytest.param(
            ["w-1..2@a", "w-*@a=1"],
            ["w-1@a", "w-2@a", "w-3@a"],
            "CRITICAL - 1 of 3 workers missing (w-*@a), 1 unexpected (w-3@a)",
            [
                "Pattern w-*@a matched 0 workers instead of 1, accounts for 1 missing worker",
                "Worker w-3@a was unexpectedly present",
            ],
            id="no-pattern-counts-one-of-the-group",
        ),
        pytest.param(
            ["w-1..2@a", "w-*=1"],
            ["w-1@a", "w-2@a", "w-3@b"],
            "OK - 3 of 3 workers online on 2 servers",
            [],
            id="the-group-is-of-one-server",
        ),
        pytest.param(
            ["w@a", "w-*@a=1"],
            ["w@a", "w-1@a"],
            "OK - 2 of 2 workers online on 1 server",
            [],
            id="a-plain-name-is-no-group",
        ),
        pytest.param(
            ["w-1..2@a"],
            ["w-1@a", "w-01@a", "w-2@a"],
            "WARNING - 1 worker duplicate: w-1@a",
            ["Node name w-1@a was used by more than one worker"],
            id="two-spellings-of-one",
        ),
        pytest.param(
            ["w-1..2@a"],
            ["w-1@a", "w-01@a", "w-01@a", "w-2@a"],
            "WARNING - 1 worker duplicate: w-1@a",
            ["Node name w-1@a was used by more than one worker"],
            id="two-spellings-of-one-and-one-of-them-twice",
        ),
        pytest.param(
            ["w-1..2@a"],
            ["w-1@a", "w-2@a", "w-3@a", "w-03@a"],
            "WARNING - 1 worker unexpected: w-3@a",
            None,
            id="two-spellings-of-a-stranger-of-the-group",
        ),
        pytest.param(
            ["w-2@a", "--ignore", "w-0@a"],
            ["w-0@a", "w-1@a", "w-2@a"],
            "OK - 2 of 2 workers online on 1 server",
            [],
            id="ignored-and-so-numbered-from-1",
        ),
        pytest.param(
            ["w-2@a", "--ignore", "*"],
            ["w-1@a"],
            "CRITICAL - 1 of 2 workers missing: w-0@a or w-2@a",
            ["Worker w-0@a or w-2@a was missing"],
            id="what-is-expected-is-never-ignored",
        ),
    ],
)
def test_groups(arguments: list[str], nodes: list[str], headline: str, findings: list[str] | None) -> None:
    outcome = check(*arguments, text=online(*nodes))
    assert outcome.headline == f"CELERY WORKERS {headline}"
    assert findings is None or outcome.findings == findings


def test_two_spellings_of_a_malfunctioning_worker_are_one() -> None:
    outcome = check("w-1..1@a", text="w-1@a: ERROR\nw-01@a: ERROR\n\n2 nodes online.\n")
    assert outcome.perfdata["malfunctioning"].startswith("1;")
    assert outcome.perfdata["duplicate"].startswith("1;")
    assert len(outcome.findings) == 2


@pytest.mark.parametrize(
    ("line", "label"),
    [("->  dev-7@x: ERROR\n", "malfunctioning"), ("->  dev-7@x: OK\n->  dev-7@x: OK\n", "duplicate")],
)
def test_a_worker_that_nothing_expects_is_unexpected_and_only_that(line: str, label: str) -> None:
    text = f"->  w@a: OK\n{line}\n2 nodes online.\n"
    outcome = check("w@a", text=text)
    assert outcome.headline == "CELERY WORKERS WARNING - 1 worker unexpected: server x"
    assert outcome.findings == ["Server x was unexpectedly present, accounts for 1 worker: dev-7@x"]
    assert outcome.perfdata[label].startswith("0;")
    ignored = check("w@a", "--ignore", "dev-*", text=text)
    assert (ignored.findings, ignored.code) == ([], OK)
    # A pattern expects it, and then it counts.
    expected = check("w@a", "dev-*=1", text=text)
    assert expected.perfdata[label].startswith("1;")
    assert expected.code == (CRITICAL if label == "malfunctioning" else WARNING)


@pytest.mark.parametrize(
    ("threshold", "expected", "missing", "code"),
    [
        ("33.3333%", 3, 1, CRITICAL),
        ("33.34%", 3, 1, OK),
        ("66.6666%", 3, 2, CRITICAL),
        ("66.67%", 3, 2, OK),
        ("50%", 4, 2, OK),
        ("49.9999%", 4, 2, CRITICAL),
        ("14.2857%", 7, 1, CRITICAL),
        ("14.2858%", 7, 1, OK),
        ("0.01%", 10_000, 1, OK),
        ("0.0099%", 10_000, 1, CRITICAL),
        ("@33.3333:100%", 3, 1, CRITICAL),
        ("@33.34:100%", 3, 1, OK),
        ("@0:33.3333%", 3, 1, OK),
        ("@0:33.34%", 3, 1, CRITICAL),
        ("28%", 25, 7, OK),
        ("29%", 100, 29, OK),
        ("57%", 100, 57, OK),
        ("1.1%", 1000, 11, OK),
    ],
)
def test_no_rounding_changes_the_verdict(threshold: str, expected: int, missing: int, code: int) -> None:
    text = online(*(f"w-{i}@a" for i in range(missing + 1, expected + 1)))
    assert check(f"w-1..{expected}@a", "-c", threshold, text=text).code == code


def test_a_baseline_writes_single_workers_by_their_names() -> None:
    outcome = check("--baseline", text=online("celery@b", "worker-1@a", "worker-2@a", "worker-3@a", "x@a"))
    assert outcome == Outcome("celery@b\nworker-1..3@a\nx@a\n", OK)
    one = check("--baseline", text=online("worker-7@a"))
    assert check(one.output.strip(), text=online("worker-7@a")).code == OK
    assert check(one.output.strip(), text=online("worker-6@a")).code == CRITICAL


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        pytest.param("beat", "EXPECTED beat: write --beat", id="a word of a file alone"),
        pytest.param("queue emails=2", "EXPECTED queue emails=2: write --queue emails=2", id="a queue as an argument"),
        pytest.param(
            "w@a:",
            f"EXPECTED w@a:: it is a part of Celery's output; write {FORMS}, or let --baseline write it",
            id="a node with the colon that Celery prints",
        ),
        pytest.param(
            "w{1..b}@a",
            "EXPECTED w{1..b}@a: a range in braces needs two numbers or two letters; write {FIRST..LAST}",
            id="a number to a letter",
        ),
    ],
)
def test_what_else_is_typed_first_is_named(expected: str, message: str) -> None:
    assert check(expected) == Outcome(f"CELERY WORKERS UNKNOWN - {message}\n", UNKNOWN)


def test_braces_may_stand_for_as_many_workers_as_a_check_takes() -> None:
    assert expand("w{8..10}@{a,b}", 6, "") == [f"w{number}@{server}" for number in (8, 9, 10) for server in "ab"]
    with pytest.raises(WrongError, match="its braces stand for more than 5 workers; write fewer"):
        expand("w{8..10}@{a,b}", 5, "")


def test_braces_take_letters() -> None:
    assert check("w{a..c}@h", text="wa@h: OK\nwb@h: OK\nwc@h: OK\n\n3 nodes online.\n").code == OK


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(
            "worker-1@a worker-2@a",
            "EXPECTED worker-2@a: it means two workers and overlaps what is expected already; write worker-1..2@a for "
            "exactly worker-1@a and worker-2@a, worker-2..2@a for the one worker of that name, or let "
            "--baseline write it",
            id="neighbours",
        ),
        pytest.param(
            "w-12@a w-4@a",
            "EXPECTED w-4@a: it means four workers and overlaps what is expected already; write w-12..12@a and "
            "w-4..4@a for exactly w-12@a and w-4@a, w-4..4@a for the one worker of that name, or let "
            "--baseline write it",
            id="far apart",
        ),
        pytest.param(
            "w-4@a w-1234@a",
            "EXPECTED w-1234@a: it means 1,234 workers and overlaps what is expected already; write w-4..4@a and "
            "w-1234..1234@a for exactly w-4@a and w-1234@a, w-1234..1234@a for the one worker of that name, or let "
            "--baseline write it",
            id="a number beyond words",
        ),
        pytest.param(
            "w-9@a w-11@a",
            "EXPECTED w-11@a: it means 11 workers and overlaps what is expected already; write w-9..9@a and "
            "w-11..11@a for exactly w-9@a and w-11@a, w-11..11@a for the one worker of that name, or let "
            "--baseline write it",
            id="the first number beyond words",
        ),
    ],
)
def test_copied_node_names_get_the_right_forms(names: str, message: str) -> None:
    assert check(*names.split()).output == f"CELERY WORKERS UNKNOWN - {message}\n"


def test_copied_node_names_in_a_file_are_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("worker-1@a\nworker-2@a\n")
    assert check("-f", str(file)).output == (
        f"CELERY WORKERS UNKNOWN - {file}:2: NAME-COUNT@SERVER means COUNT workers, and of these some are expected "
        "already; write NAME-INDEX..INDEX@SERVER for the one worker NAME-INDEX@SERVER\n"
    )
