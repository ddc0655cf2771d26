"""No password leaves, neither whole nor in part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from running import CRITICAL, UNKNOWN, Outcome, check, perfdata, run

SECRETS = [
    "Error: Unable to run the `status` command. Reason: Port could not be cast to integer value as 'SEKRET'",
    "Error: Unable to run the `status` command. Reason: invalid literal for int() with base 10: 'SEKRET'",
    "ValueError: Port could not be cast to integer value as 'app:SEKRET'",
    "Error: cannot connect to amqp://app:SEKRET@rabbit:5672//: refused",
    "Error: cannot connect to amqps://app:SEK/RET@rabbit:5672//: refused",
    "OperationalError: rediss://:SEKRET@cache.example.com:6380/0?ssl_cert_reqs=none is down",
    "Error: broker sentinel://:SEKRET@r0:26379/0;sentinel://:SEKRET@r1:26379/0 failed",
]


@pytest.mark.parametrize("verbosity", [[], ["-v"], ["-vv"], ["-vvv"]], ids=["plain", "v", "vv", "vvv"])
def test_a_password_in_a_text_leaves_neither_whole_nor_in_part(verbosity: list[str]) -> None:
    for line in SECRETS:
        for before in ("", "w@a: OK\n", "->  w@a: OK\n\n1 node online.\n"):
            outcome = check("w@a", *verbosity, text=f"{before}{line}\n")
            assert outcome.code == UNKNOWN or before
            assert not any(secret in outcome.output for secret in ("SEKRET", "SEK/", "RET@")), outcome.output


@pytest.mark.parametrize("line", SECRETS)
def test_a_password_in_what_a_command_prints_leaves_neither_whole_nor_in_part(line: str) -> None:
    script = 'echo "$LINE" >&2; exit 69'
    outcome = run("w@a", "-vvv", "--", "sh", "-c", script, env={**os.environ, "LINE": line})
    assert outcome.code == UNKNOWN
    assert not any(secret in outcome.output for secret in ("SEKRET", "SEK/", "RET@")), outcome.output


def test_the_credentials_in_a_url_are_two_asterisks() -> None:
    outcome = run("w@a", text="Error: cannot connect to amqp://app:S3cret@rabbit:5672//: refused\n")
    assert outcome.headline.endswith("Error: cannot connect to amqp://**@rabbit:5672//: refused")


def test_a_file_that_is_one_url_is_not_read_out(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("https://user:ghp_token123@github.com\n")
    for verbosity in ([], ["-v"], ["-vv"], ["-vvv"]):
        outcome = run("-f", "credentials", *verbosity, text="x@github.com: OK\n", cwd=tmp_path)
        assert outcome.code in {CRITICAL, UNKNOWN}
        assert "ghp_token123" not in outcome.output


# A password that holds what else would end it.
URL, HIDDEN = "amqp://app:S3 cr/#t:Pw@rabbit:5672//", "amqp://**@rabbit:5672//"


def unknown(reason: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            [URL],
            f"EXPECTED {HIDDEN}: it holds white space; write one EXPECTED per argument or line: NAME-COUNT@SERVER, "
            "NAME-FIRST..LAST@SERVER, NAME@SERVER or PATTERN=N",
            id="EXPECTED with blanks",
        ),
        pytest.param(
            [URL.replace(" ", "")],
            f"EXPECTED {HIDDEN}: it is a URL; write --broker URL, or NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, "
            "NAME@SERVER or PATTERN=N",
            id="EXPECTED",
        ),
        pytest.param(
            ["password=S3crtPw"],
            "EXPECTED password=**: it names no server; write NAME-COUNT@SERVER, NAME-FIRST..LAST@SERVER, NAME@SERVER "
            "or PATTERN=N",
            id="a word of EXPECTED",
        ),
        pytest.param(
            ["w@a", "-t", URL],
            f"argument -t/--timeout: '{HIDDEN}' is no time; write 90s, 15m, 6h, 2d or 1h30m (see --help)",
            id="the value of an option",
        ),
        pytest.param(["w@a", "--foo", URL], f"unrecognized arguments: --foo {HIDDEN} (see --help)", id="an option"),
        pytest.param(
            ["w@a", "--token", "S3crtPw"],
            "unrecognized arguments: --token ** (see --help)",
            id="an option that is called like a secret",
        ),
        pytest.param(
            ["w@a", "--queue", f"{URL}=x"],
            f"--queue {HIDDEN}=x: its limit cannot be read; write NAME, NAME=N, NAME=MIN..MAX or NAME=MIN..; a NAME "
            "that holds = needs its limit",
            id="a queue",
        ),
        pytest.param(
            ["w@a", "--beat", URL],
            f"--beat {HIDDEN}: it is not a node name; write celerybeat@SERVER, 'celerybeat@*' or PATTERN=N",
            id="a beat",
        ),
        pytest.param(["w@a", "-f", URL], f"{HIDDEN} cannot be read: No such file or directory", id="a file"),
        pytest.param(
            ["w@a", "--", f"celery -b {URL} status"],
            f"COMMAND is quoted as one word; remove the quotes: -- celery -b {HIDDEN} status",
            id="COMMAND in quotes",
        ),
        pytest.param(
            ["w@a", "--", f"./{URL.replace(' ', '')}"],
            f"./{HIDDEN} cannot be started: No such file or directory",
            id="COMMAND that cannot be started",
        ),
    ],
)
def test_a_password_in_an_argument_is_not_repeated(arguments: list[str], reason: str) -> None:
    assert check(*arguments) == unknown(reason)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(f"Error: {URL}: refused", f"Error: {HIDDEN}: refused", id="a URL in an error"),
        pytest.param(f"ssh: cannot reach {URL}", f"ssh: cannot reach {HIDDEN}", id="a URL that a wrapper says"),
        pytest.param("Authorization: Bearer S3crtPw", "Authorization: Bearer **", id="Authorization"),
        pytest.param("sent bearer S3crtPw", "sent bearer **", id="Bearer"),
        pytest.param("shop host=a pass=S3crtPw port=1", "shop host=a pass=** port=1", id="pass="),
        pytest.param("{'api_key': 'S3crt Pw', 'a': 1}", "{'api_key': **, 'a': 1}", id="a key of a dictionary"),
        pytest.param("shop --db-password S3crtPw --v", "shop --db-password ** --v", id="an option"),
        pytest.param("replies of the w@a: token=S3crtPw", "replies of the w@a: token=**", id="behind a node"),
    ],
)
def test_a_password_in_a_line_is_not_repeated(line: str, shown: str) -> None:
    assert check("w@a", text=f"{line}\n") == unknown(shown)
    assert check("w@a", "-vvv", text=f"{line}\n").output == f"{unknown(shown).output}Celery's output:\n{shown}\n"
    passed_over = check("w@a", "-vv", text=f"w@a: OK\n{line}\n->  w@a: OK\n\n1 node online.\n")
    assert not {"S3", "crt", "Pw"} & {*passed_over.output.replace("/", " ").replace(":", " ").split()}


def test_a_password_in_what_an_exception_says_is_not_repeated() -> None:
    text = (
        f'Traceback (most recent call last):\n  File "celery", line 8, in <module>\nValueError: {URL}\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "celery", line 8, in <module>\nKeyError: \nsecret: S3crtPw\n'
    )
    assert check("w@a", text=text) == unknown(f"KeyError: secret: **, after ValueError: {HIDDEN}")


@pytest.mark.parametrize(
    "text",
    [
        f"->  w@a: ERROR\n        OperationalError('{URL}', 'token=S3crtPw')\n\n1 node online.\n",
        f'{{"w@a": {{"error": "OperationalError(\'{URL}\', \'token=S3crtPw\')"}}}}\n',
    ],
    ids=["text", "JSON"],
)
def test_a_password_in_the_cause_of_an_error_is_not_repeated(text: str) -> None:
    numbers = perfdata(missing="0;;0;0;1", online="1;;;0", malfunctioning="1;;0;0")
    assert check("w@a", text=text) == Outcome(
        f"CELERY WORKERS CRITICAL - 1 worker malfunctioning: w@a | {numbers}\n"
        f"Worker w@a was malfunctioning, it answered OperationalError('{HIDDEN}', 'token=**')\n",
        CRITICAL,
    )
    assert "S3" not in check("w@a", "-vvv", text=text).output
