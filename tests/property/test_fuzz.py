"""Whatever comes in, what comes out is what a monitoring system can read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from paths import CAPTURES as CAPTURE_DIRECTORY
from running import OK, UNKNOWN, Outcome, check

from check_celery_workers.errors import UsageError
from check_celery_workers.expected.inventory import Inventory
from check_celery_workers.replies.doubt import doubt_about
from check_celery_workers.replies.inquiry import Inquiry
from check_celery_workers.replies.text import TextReader
from check_celery_workers.sources.stream import Lines

pytestmark = pytest.mark.exhaustive

STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
LABELS = ["duplicate", "malfunctioning", "missing", "missing_servers", "online", "unexpected", "unexpected_servers"]
DECIMAL = r"-?[0-9]+(?:\.[0-9]+)?"
RANGE = rf"@?(?:(?:~|{DECIMAL})?:)?(?:{DECIMAL})?"
# 'label'=value[UOM];[warn];[crit];[min];[max] of the Monitoring Plugins Development Guidelines.
ITEMS = [
    rf" {label}=[0-9]+(?:;{RANGE}(?:;{RANGE}(?:;(?:{DECIMAL})?(?:;{DECIMAL})?)?)?)?"
    + (r"(?: time=[0-9]+(?:\.[0-9]+)?s;;;0)?" if label == "online" else "")
    for label in LABELS
]
PERFDATA = re.compile("".join(ITEMS))
# Numbers in doubt are left out.
CERTAIN_PERFDATA = re.compile("".join(f"(?:{item})?" for item in ITEMS))


def readable_outcome(*arguments: str, text: str | bytes = "") -> Outcome:
    """Run the plugin, and see that a monitoring system can read what it prints."""
    outcome = check(*arguments, text=text)
    lines = outcome.output.split("\n")
    assert "".join(lines).isprintable()
    assert "a bug, please report it" not in lines[0]
    if outcome.code == OK and ("-q" in arguments or "--baseline" in arguments):
        assert bool(outcome.output) == ("--baseline" in arguments)
        assert outcome.output == "" or all("@" in line for line in lines[:-1])
        return outcome
    assert lines.pop() == ""
    assert len(outcome.output.encode()) <= 8000
    headline, bar, perfdata = lines[0].partition(" | ")
    assert headline.startswith(f"CELERY WORKERS {STATES[outcome.code]} - ")
    assert bool(bar) == (outcome.code != UNKNOWN)
    is_in_doubt = any(line.startswith("In doubt: ") for line in lines)
    assert not bar or (CERTAIN_PERFDATA if is_in_doubt else PERFDATA).fullmatch(f" {perfdata}")
    assert "|" not in "".join((headline, *lines[1:]))
    if sum(word.count("v") for word in arguments if word in {"-v", "-vv", "-vvv"}) < 3:
        assert all(lines)
        assert not any(line.startswith("Traceback") for line in lines)
    return outcome


PIECES = [
    *("w", "celery", "-", "-0", "-1", "-2", "-007", "-\u0663", "-" + "9" * 18, "-" + "9" * 40, "..", "=", "=2", "@"),
    *("|", "'", '"', ";", "$(reboot)", "`id`", "%s", "%", "{0}", "\\", "#", "*", "?", "[", "]", "[!a-z]", "[z-a]"),
    *("\x00", "\x07", "\b", "\t", "\n", "\v", "\f", "\r", "\x1b", "\x1b[1;31m", "\x1b]0;title\x07", "\x7f", "\x9b2J"),
    *("\x85", "\xa0", "\u2028", "\u2029", "\u202e", "\u200f", "\ufeff", "\udc80", "\udcff", "\u00fc", "u\u0308"),
    *("\U0001f40d", "\U000e0041", " ", "OK", "ERROR", ": OK", "x" * 10_000),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=5).map("".join)
NODES = st.builds("{}@{}".format, HOSTILE, HOSTILE)
ANSWERS = st.builds(
    str.__add__,
    st.builds(str.__add__, st.sampled_from(["", "->  ", " ", "\x1b[1;36m"]), NODES),
    st.sampled_from([": OK", ": ERROR", ": \x1b[0m\x1b[1;32mOK\x1b[0m", ": OK\r", ": OK   ", ":OK", ": FAILED", ""]),
)
REPLIES = st.sampled_from([{"ok": "pong"}, {"error": "no"}, {}, [], [{"name": "celery"}], ["error"], "pong", None, 1])
OTHERS = st.one_of(
    st.dictionaries(NODES, REPLIES, max_size=3).map(json.dumps),
    st.integers(0, 10**20).map("{} nodes online.".format),
    NODES.map("control.py:56: DuplicateNodenameWarning: Received multiple replies from node name: {}.".format),
    st.sampled_from(["DuplicateNodenameWarning: Received multiple replies from node names", "1 node online.", ""]),
    st.sampled_from(
        ["    - empty -", "  []", "Error: No nodes replied within time constraint", '{"a@b": [', '{"a":' * 99_999]
    ),
    HOSTILE,
)
TEXTS = st.lists(ANSWERS | ANSWERS | OTHERS, max_size=12).map("\n".join)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


CAPTURES = [path.read_bytes() for path in sorted(CAPTURE_DIRECTORY.glob("*/*.std*"))]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a capture, of which some bytes are cut, changed, repeated, or followed by those of another capture."""
    text = bytearray(draw(st.sampled_from(CAPTURES)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 80)))
        text[start:stop] = draw(
            st.sampled_from([b"", b"\n", b"\x00", b"\x1b[", b"@", b": OK\n", b"\xff", bytes(text[start:stop]) * 2])
            | st.binary(max_size=8)
            | HOSTILE.map(encoded)
            | st.sampled_from(CAPTURES)
        )
    return bytes(text)


ANY_TEXT = st.binary(max_size=200) | mutated() | TEXTS.map(encoded)

# As they come from a command line: without NUL.
WORDS = HOSTILE.map(lambda text: text.replace("\x00", ""))
EXPECTED = st.one_of(
    st.builds(
        "{}@{}".format, st.sampled_from(["w", "w-3", "w-2..5", "celery"]), st.sampled_from(["a", "b", "serverA"])
    ),
    st.builds("w-{}@{}".format, st.integers(1, 10**18 - 1), st.sampled_from(["big", "bigger"])),
    st.builds("{}={}..{}".format, st.sampled_from(["*", "w-*", "?@?", "[!c]*@*"]), st.integers(0, 9), st.just("")),
    st.just("specialworker-2@serverA"),
)
NUMBERS = st.one_of(
    st.integers(0, 12).map(str),
    st.integers(0, 10**15 - 1).map(str),
    st.decimals(0, 10**6, places=4).map(str),
    st.just(".5"),
)
SIGNED = st.builds("{}{}".format, st.sampled_from(["", "-"]), NUMBERS)
RANGES = st.builds(
    "{}{}".format,
    st.sampled_from(["", "@"]),
    NUMBERS | st.builds("{}:{}".format, SIGNED | st.just("~"), NUMBERS | st.just("")),
)
METRICS = ["unexpected", "malfunctioning", "duplicate", "missing-servers", "unexpected-servers"]
OPTIONS = st.one_of(
    st.builds("{}={}{}".format, st.sampled_from(["--warning", "--critical"]), RANGES, st.sampled_from(["", "%"])),
    st.builds("--{}-{}={}".format, st.sampled_from(METRICS), st.sampled_from(["warning", "critical"]), RANGES),
    st.builds("--first-index={}".format, st.sampled_from(["auto", "0", "1"])),
    st.builds("--ignore={}".format, st.sampled_from(["*", "new*", "w-[0-9]@?"]) | WORDS),
    st.builds("--expect={}".format, EXPECTED),
    st.builds("--timeout={}".format, st.sampled_from(["5", "0.5", "1e300", "1e-9"])),
    st.sampled_from(["-q", "-v", "-vv", "-vvv", "--baseline"]),
    EXPECTED,
)
ARGUMENTS = st.lists(OPTIONS, max_size=8, unique=True)


@examples(500)
@given(text=ANY_TEXT, arguments=ARGUMENTS)
def test_any_text_with_any_options_gives_a_readable_output(text: bytes, arguments: list[str]) -> None:
    readable_outcome("celery@serverC", *arguments, text=text)


@examples(250)
@given(text=ANY_TEXT)
def test_any_text_against_the_captured_fleet_gives_a_readable_output(text: bytes) -> None:
    readable_outcome(
        "specialworker-2@serverA", "other-worker-2@server-b.example.com", "celery@serverC", "-vvv", text=text
    )


@examples(150)
@given(arguments=st.lists(WORDS, max_size=3), options=st.lists(OPTIONS, max_size=2), value=WORDS)
@pytest.mark.parametrize(
    "option", ["-e", "-w", "--unexpected-critical", "--ignore", "-t", "--settle", "-f", "--first-index"]
)
def test_any_words_on_the_command_line_give_a_readable_output(
    option: str, value: str, arguments: list[str], options: list[str]
) -> None:
    words = [word for word in arguments if not word.startswith("-")]
    outcome = readable_outcome(
        *words, *options, f"{option}={value}" if option[1] == "-" else f"{option}{value}", text="w@a: OK\n"
    )
    assert outcome.output.count("\n") == 1 or outcome.code != UNKNOWN


@examples(50)
@given(
    name=WORDS,
    server=WORDS,
    count=st.integers(1, 4000),
    servers=st.integers(1, 4000),
    verdict=st.sampled_from(["OK", "ERROR"]),
    times=st.integers(1, 2),
    arguments=ARGUMENTS,
)
def test_thousands_of_findings_give_a_readable_output(
    name: str, server: str, count: int, servers: int, verdict: str, times: int, arguments: list[str]
) -> None:
    answers = (f"{name[:200]}-{i}@{server[:200]}{i % servers}: {verdict}\n" * times for i in range(count))
    readable_outcome("w-5000@a", *(f"v{i}@{i % servers}" for i in range(count)), *arguments, text="".join(answers))


FORMS = st.builds(
    "{}{}{}{}{}".format,
    *(st.sampled_from([*PIECES, "", "", "w", "a", "..", "@", "-1", "-3..5", "=1..2"]) for _ in range(5)),
)
MARK = "not-to-be-repeated"


@examples(300)
@given(lines=st.lists(EXPECTED | FORMS | HOSTILE, max_size=6), wrong=FORMS | HOSTILE, cut=st.binary(max_size=4))
def test_any_file_of_expected_is_taken_or_refused_by_its_line(
    tmp_path: Path, lines: list[str], wrong: str, cut: bytes
) -> None:
    file = tmp_path / "expected"
    file.write_bytes(encoded("\n".join([*lines, MARK + wrong])) + cut)
    outcome = readable_outcome("-f", str(file), text="Error: No nodes replied within time constraint\n")
    if outcome.code == UNKNOWN:
        assert outcome.output.startswith(f"CELERY WORKERS UNKNOWN - {file}:")
        assert MARK not in outcome.output
    else:
        missing = outcome.perfdata["missing"].split(";")
        assert missing[0] == missing[4]


@examples(500)
@given(texts=st.lists(EXPECTED | FORMS | HOSTILE, min_size=1, max_size=4))
def test_any_expected_is_taken_or_refused_with_a_reason(texts: list[str]) -> None:
    inventory = Inventory()
    for text in texts:
        size, told = inventory.size, ""
        try:
            inventory.expect(text)
        except UsageError as error:
            told = str(error)
        assert told.isprintable()
        assert told.startswith("EXPECTED ") or (not told and inventory)
        assert inventory.size == size if told else inventory.size >= size


def read(pieces: list[bytes]) -> tuple[object, ...]:
    """Return all that is read of a text that comes in these pieces."""
    lines, reader = Lines(1 << 20), TextReader()
    for piece in pieces:
        reader.feed(lines.feed(piece))
    reader.feed(lines.rest())
    text = reader.finish(None, whole=False, ended_well=False)
    inquiry = Inquiry()
    inquiry.add(None, [text])
    replies = inquiry.replies
    doubts = [doubt_about([text], lacking) for lacking in (False, True)]
    return (
        *(replies.groups, replies.count, replies.errors, replies.duplicates, replies.consumers(), text.is_blank),
        [(output.question, output.end, output.problem, output.hides) for output in text.outputs],
        *(doubt and (doubt.problem, doubt.reason) for doubt in doubts),
    )


@examples(500)
@given(text=ANY_TEXT, places=st.lists(st.integers(0, 400), max_size=6).map(sorted))
def test_a_text_in_pieces_is_read_as_one_text(text: bytes, places: list[int]) -> None:
    pieces = [text[start:stop] for start, stop in zip([0, *places], [*places, len(text) + 1])]
    assert read(pieces) == read([text])


@examples(40)
@given(
    text=ANY_TEXT,
    status=st.sampled_from([0, 0, 1, 69]),
    arguments=ARGUMENTS,
    asking=st.sampled_from(["--settle=0", "--wait", "--attempts=2"]),
)
def test_any_text_of_a_command_gives_a_readable_output(
    tmp_path: Path, text: bytes, status: int, arguments: list[str], asking: str
) -> None:
    file = tmp_path / "text"
    file.write_bytes(text)
    readable_outcome(
        "celery@serverC", *arguments, asking, "--", "sh", "-c", 'cat "$1"; exit "$2"', "sh", str(file), str(status)
    )
