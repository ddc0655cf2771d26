"""No password leaves, neither whole nor in part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from running import CRITICAL, UNKNOWN, check, run

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
