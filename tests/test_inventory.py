"""EXPECTED: what is wrong with it, files of it, and the way back from answers to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from running import CRITICAL, OK, UNKNOWN, Outcome, check

from check_celery_workers.expected.baseline import baseline, renewed

ONE_EACH = (
    "write one EXPECTED per argument or line: NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N"
)
FORMS = "write NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N"

WRONG = [
    pytest.param(
        "worker-0@a", "it expects no worker; write worker-0..0@a for the one worker worker-0@a", id="a COUNT of 0"
    ),
    pytest.param("worker-5..3@a", "FIRST is greater than LAST; write worker-3..5@a", id="FIRST over LAST"),
    pytest.param("worker", f"it names no server; {FORMS}", id="no server"),
    pytest.param("@a", f"NAME or SERVER is empty; {FORMS}", id="an empty NAME"),
    pytest.param("worker-3@", f"NAME or SERVER is empty; {FORMS}", id="an empty SERVER"),
    pytest.param(
        "w-3..@a", f"NAME is empty, or the numbers after it cannot be read; {FORMS}", id="a range without LAST"
    ),
    pytest.param(
        "w-..3@a", f"NAME is empty, or the numbers after it cannot be read; {FORMS}", id="a range without FIRST"
    ),
    pytest.param(
        "w-1234567890123456789@a",
        f"NAME is empty, or the numbers after it cannot be read; {FORMS}",
        id="an index of 19 digits",
    ),
    pytest.param("", f"it is empty; {ONE_EACH}", id="an empty text"),
    pytest.param("v@a w@a", f"it holds white space; {ONE_EACH}", id="two workers in one text"),
    pytest.param(
        "celery@web-*",
        "a pattern needs the number of workers; write PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN..",
        id="a pattern without a number",
    ),
    pytest.param(
        "celery@web-*=x",
        "a pattern needs the number of workers; write PATTERN=N, PATTERN=MIN..MAX or PATTERN=MIN..",
        id="a pattern with a word for its number",
    ),
    pytest.param(
        "celery@web-*=0",
        "it expects no worker; write PATTERN=0..MAX for up to MAX workers",
        id="a pattern that expects none",
    ),
    pytest.param("celery@web-*=3..2", "MIN is greater than MAX; write PATTERN=MIN..MAX", id="MIN over MAX"),
    pytest.param(
        "celery@web=2", f"without *, ? or [...] it can match only one worker; {FORMS}", id="a number without a pattern"
    ),
]


@pytest.mark.parametrize(("text", "explained"), WRONG)
def test_a_wrong_argument_is_named_with_how_to_write_it_right(text: str, explained: str) -> None:
    assert check(text) == Outcome(f"CELERY WORKERS UNKNOWN - EXPECTED {text}: {explained}\n", UNKNOWN)


@pytest.mark.parametrize(("text", "explained"), [wrong for wrong in WRONG if wrong.values[0]])
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
        pytest.param("w-4@a w-4@a", id="the same COUNT twice"),
        pytest.param("w-4@a w-0..0@a", id="a COUNT and its index 0"),
        pytest.param("w-0..0@a w-4@a", id="index 0 and a COUNT around it"),
        pytest.param("w-4@a w-4..9@a", id="a COUNT and a range from its last index"),
        pytest.param("w-4..9@a w-4@a", id="a range and a COUNT that reaches it"),
        pytest.param("w-1..3@a w-3..5@a", id="a range and another that begins at its end"),
        pytest.param("w-3..5@a w-1..3@a", id="a range and another that ends at its begin"),
        pytest.param("w-1..9@a w-4..4@a", id="a range and one index of it"),
        pytest.param("w-4..4@a w-1..9@a", id="one index and a range around it"),
        pytest.param("w@a w@a", id="the same name twice"),
        pytest.param("w-1..3@a w-5..7@a w-3..5@a", id="two ranges and a third between them"),
    ],
)
def test_the_same_worker_expected_twice_is_refused(twice: str) -> None:
    last = twice.rsplit(maxsplit=1)[-1]
    assert check(*twice.split()) == Outcome(
        f"CELERY WORKERS UNKNOWN - EXPECTED {last}: the same worker is expected twice; write it once\n", UNKNOWN
    )


def test_a_line_that_is_pasted_is_named_as_that() -> None:
    advice = f"{FORMS}, or let --baseline write it"
    assert check("->  w@a: OK") == Outcome(
        f"CELERY WORKERS UNKNOWN - EXPECTED ->  w@a: OK: it is a line of Celery's output; {advice}\n".replace(
            "->  w", "-> w"
        ),
        UNKNOWN,
    )


@pytest.mark.parametrize("line", ["user:pass@host", "path/w@a", "w@a/path", "w@a;", "'w@a", "w@x=y@z=1"])
def test_a_line_of_a_file_that_is_something_else_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "file").write_text(f"{line}\n", encoding="utf-8")
    outcome = check("-f", str(tmp_path / "file"))
    assert outcome == Outcome(f"CELERY WORKERS UNKNOWN - {tmp_path}/file:1: it is not a node name; {FORMS}\n", UNKNOWN)


def test_a_line_of_a_file_with_a_nul_character_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("w\0@a\n", encoding="utf-8")
    assert check("-f", str(tmp_path / "file")) == Outcome(
        f"CELERY WORKERS UNKNOWN - {tmp_path}/file:1: it holds a NUL character; {FORMS}\n", UNKNOWN
    )


def test_the_same_pattern_given_twice_is_refused() -> None:
    assert (
        check("w*=1", "w*=2").output
        == "CELERY WORKERS UNKNOWN - EXPECTED w*=2: the pattern is given twice; write it once\n"
    )


@pytest.mark.parametrize(
    "fine",
    [
        pytest.param("w-4@a w-5..9@a", id="a range that begins after the COUNT"),
        pytest.param("w-5..9@a w-1..3@a w-4..4@a", id="three ranges side by side"),
        pytest.param("w@a w-2@a", id="with an index and without"),
        pytest.param("w-2@a w-2@b", id="on two servers"),
    ],
)
def test_the_same_name_for_different_workers_is_accepted(fine: str) -> None:
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


def test_a_file_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert check("-f", str(missing)) == Outcome(
        f"CELERY WORKERS UNKNOWN - {missing} cannot be read: No such file or directory\n", UNKNOWN
    )
    assert check("-f", str(tmp_path)) == Outcome(
        f"CELERY WORKERS UNKNOWN - {tmp_path} cannot be read: Is a directory\n", UNKNOWN
    )


def test_a_file_that_does_not_end_is_unknown_at_the_timeout(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert check("-t", "0.2", "-f", str(fifo)) == Outcome(
        f"CELERY WORKERS UNKNOWN - {fifo} did not end before the timeout\n", UNKNOWN
    )


def test_nothing_expected_is_refused() -> None:
    assert check(text="w@a: OK\n") == Outcome(
        "CELERY WORKERS UNKNOWN - no worker is expected; write EXPECTED such as worker-4@serverA (see --help)\n",
        UNKNOWN,
    )


@pytest.mark.parametrize(
    ("nodes", "lines"),
    [
        pytest.param(["w-1@a", "w-2@a", "w-3@a"], ["w-1..3@a"], id="one run of numbers"),
        pytest.param(
            ["w-0@a", "w-2@a", "w-3@a", "w@a"], ["w-0..0@a", "w-2..3@a", "w@a"], id="numbers with a gap and none"
        ),
        pytest.param(["w-09@a", "w-10@a"], ["w-9..10@a"], id="an index with a zero in front"),
        pytest.param(
            ["w-2@b", "celery@b", "w-10@a", "v-1@a"],
            ["celery@b", "v-1..1@a", "w-2..2@b", "w-10..10@a"],
            id="in natural order",
        ),
        pytest.param(["X@a", "X*@a"], ["X@a", "X[*]@a=1"], id="a star as a name"),
        pytest.param(
            ["w*@a", "-x@a", "#y@a", "w?-1@b", "z@a=3", "[q]@a"],
            None,
            id="names with signs that EXPECTED gives a meaning",
        ),
        pytest.param(["w-1234567890123456789@a", "w-1..@a", "w-..1@a"], None, id="names that look like a range"),
        pytest.param(
            ["w\x01-1@a", "w\x02-1@a", "w-1@a", "w\x01\x02-1@a"], None, id="names that differ in what does not print"
        ),
        # The ? that stands for what does not print would take the worker of the other.
        pytest.param(
            ["w\x01\x02@a", "w\x01b@a"], ["w?b@a=1", "w??@a=1"], id="a name of which the pattern matches another"
        ),
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
        pytest.param("", "no worker replied, so there is nothing to write", id="an empty text"),
        pytest.param(
            "Error: No nodes replied within time constraint\n",
            "no worker replied, so there is nothing to write",
            id="no node replied",
        ),
        pytest.param("Killed\n", "Killed", id="not a status text"),
        pytest.param(
            "w@a: OK\n\n2 nodes online.\n",
            "Celery's output is cut: it counts 2 nodes and lists 1, 1 worker had replied",
            id="a text that is not whole",
        ),
    ],
)
def test_there_is_no_baseline_of_nothing(text: str, reason: str) -> None:
    assert check("--baseline", text=text) == Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


TEXT = "w-1@a: OK\nw-2@a: OK\n"
LIST = Outcome("w-1..2@a\n", OK)


def test_a_baseline_creates_the_file(tmp_path: Path) -> None:
    file = tmp_path / "list"
    assert check("--baseline", str(file), text=TEXT) == LIST
    assert file.read_text() == LIST.output
    assert check("-f", str(file), text=TEXT).code == OK


def test_a_baseline_leaves_alone_what_it_does_not_write_and_names_what_is_no_more(tmp_path: Path) -> None:
    file = tmp_path / "list"
    chosen = "backlog emails=1000  # Ann knows\nstall-limit 1m\nstarted-after /srv/shop\n"
    file.write_text(f"# before: w-9@a\n# Of the shop.\nw-1..4@a\nqueue emails=2..\n{chosen}# before: v@a\n\n")
    said = Outcome(f"# Of the shop.\nw-1..2@a\n{chosen}# before: w-1..4@a\n# before: queue emails=2..\n", OK)
    assert check("--baseline", str(file), text=TEXT) == said
    assert file.read_text() == said.output
    file.write_text("w-1..2@a\n")
    assert check("--baseline", str(file), text=TEXT) == LIST


def test_where_workers_can_be_watched_a_baseline_has_a_stall_limit() -> None:
    workers, beats = {("w", "@a"): {"1"}}, {"celerybeat@a"}
    assert baseline(workers, {}, beats, watches=True) == ["w-1..1@a", "beat celerybeat@a", "stall-limit 15s"]
    assert baseline({}, {}, beats, watches=True) == ["beat celerybeat@a"]
    # Another one that somebody has chosen is the only one then.
    new = ["w-1..1@a", "stall-limit 15s"]
    assert renewed(new, ["w-1..1@a", "stall-limit 15s"]) == new
    assert renewed(new, ["stall-limit 1m", "w-1..1@a"]) == ["w-1..1@a", "stall-limit 1m"]


def test_a_baseline_replaces_what_a_link_leads_to_and_leaves_its_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "list", tmp_path / "link"
    file.touch()
    file.chmod(0o640)
    link.symlink_to(file)
    assert check("--baseline", str(link), text=TEXT) == LIST
    assert file.read_text() == LIST.output
    assert file.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert set(tmp_path.iterdir()) == {file, link}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: nobody else can give a file away")
def test_a_baseline_leaves_the_owner_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.touch()
    os.chown(file, 12345, 12346)
    assert check("--baseline", str(file), text=TEXT) == LIST
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12346)


@pytest.mark.parametrize("text", ["", "Killed\n", "w-1@a: OK\n\n2 nodes online.\n"], ids=["empty", "failed", "cut"])
def test_without_a_baseline_the_file_stays_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list"
    file.write_text("w-1..4@a\n")
    assert check("--baseline", str(file), text=text) == check("--baseline", text=text)
    assert file.read_text() == "w-1..4@a\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_baseline_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, reason in (
        (folder, "cannot be replaced: it is no regular file"),
        (Path("/dev/null"), "cannot be replaced: it is no regular file"),
        (folder / "none" / "list", "cannot be replaced in its folder: No such file or directory"),
    ):
        said = check("--baseline", str(path), text=TEXT)
        assert said == Outcome(f"CELERY WORKERS UNKNOWN - {path} {reason}\n", UNKNOWN)


@pytest.mark.parametrize("state", ["OK", "UNKNOWN"])
def test_a_file_that_holds_the_output_of_a_check_is_named(tmp_path: Path, state: str) -> None:
    file = tmp_path / "list"
    file.write_text(f"CELERY WORKERS {state} - Killed\n")
    assert check("-f", str(file), text=TEXT) == Outcome(
        f"CELERY WORKERS UNKNOWN - {file}:1: it is the output of a check; write the list again with --baseline FILE\n",
        UNKNOWN,
    )
