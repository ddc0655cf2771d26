"""Lines of other programs between those of Celery change no verdict, wherever they come."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path

import pytest
from cases import Case
from paths import CLONE
from running import Outcome, check

# Of applications, libraries, shells and systems: none in the form of a reply, of an end, or of a failure.
NOISE = (
    "[2026-11-27 15:57:44,072: INFO/MainProcess] Connected to redis://redis1:6379/0",
    "2026-11-27T15:57:44Z shop.settings loaded in 0.31 s",
    "INFO:root:settings for production",
    "INFO:root:user@example.com: OK?",
    '{"level": "info", "message": "application loaded", "@timestamp": "2026-11-27T15:57:44Z", "@tags": []}',
    '{"asctime": "2026-11-27", "name": "shop", "node@host": "up"}',
    "/srv/shop/venv/lib/python3.11/site-packages/x.py:3: DeprecationWarning: pkg_resources is deprecated",
    "  import pkg_resources",
    "System check identified no issues (0 silenced).",
    "mail to admin@example.com sent",
    "0 errors, 12 workers@home",
    "=====",
    "node online",
    "12 nodes",
    "Traceback (most recent call first):",
    "* Running on http://127.0.0.1:5000",
    "DEBUG celery.utils: Substantial drift from celery@web1 may mean clocks are out of sync",
    "OK",
    "ok: [web1]",
    "",
)
FIELD = sorted((CLONE / "tests" / "field").iterdir())


def texts() -> list[tuple[str, list[str], str]]:
    """Return the name, the arguments and the text of each situation that is on standard input."""
    cases = [Case.read(path) for path in FIELD]
    plain = [
        case
        for case in cases
        if case.text and not case.files and re.match(r"check_celery_workers [^|>]*\Z", case.command)
    ]
    words = ((case, shlex.split(case.command)[1:]) for case in plain)
    return [
        (case.path.stem, own, case.text.decode("utf-8", "surrogateescape")) for case, own in words if "--" not in own
    ]


def with_noise(text: str, seed: int) -> str:
    """Return the text with 1 to 12 of those lines in between, at random but the same each time."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for _ in range(chance.randint(1, 12)):
        lines.insert(chance.randint(0, len(lines)), f"{chance.choice(NOISE)}\n")
    return "".join(lines)


def verdict(outcome: Outcome) -> tuple[int, dict[str, str]]:
    """Return the exit code and the numbers; of an UNKNOWN the reason may be another line."""
    numbers = outcome.perfdata if " | " in outcome.output.split("\n", 1)[0] else {}
    return outcome.code, {label: number for label, number in numbers.items() if label != "oldest_task"}


@pytest.mark.parametrize(("arguments", "text"), [row[1:] for row in texts()], ids=[row[0] for row in texts()])
def test_lines_of_others_change_no_verdict(arguments: list[str], text: str) -> None:
    plain = verdict(check(*arguments, text=text))
    for seed in range(20):
        noisy = with_noise(text, seed)
        assert verdict(check(*arguments, text=noisy)) == plain, noisy


def test_most_situations_are_tried() -> None:
    assert len(texts()) > 50
    assert all(isinstance(path, Path) for path in FIELD)
