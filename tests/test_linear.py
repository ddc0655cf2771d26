"""No text makes a regular expression slow: the time that each takes grows with the text, and not faster."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

import pytest
from linear import slow_because
from paths import CLONE

FUNCTIONS = {
    f"re.{name}" for name in ("compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer")
}
# What others do not write: by its name, whose text it reads or who wrote it.
EXEMPT = {
    "pattern: translate(text)": "a PATTERN of the administrator's",
    "replies.question: _INSPECT": "COMMAND of the administrator's",
    "sources.broker.address: _SETTING": "the file with the URL of the broker, which has a group that it refers to",
    "sources.broker.address: f'{edge}{re.escape(secret)}{edge}'": "a password as it is, without a loop",
    "secret: secret": "each of secret._SECRETS, which read 4,000 characters at most",
}


class Use(NamedTuple):
    """An expression, and the function of re, or the method of the compiled one, that it is used by."""

    name: str
    pattern: re.Pattern[str]
    function: str


def uses() -> Iterator[Use]:
    """Yield each use of an expression in the package, but for those that are exempt."""
    for file in sorted((CLONE / "check_celery_workers").rglob("*.py")):
        name = ".".join(file.relative_to(CLONE / "check_celery_workers").with_suffix("").parts)
        if name == "__main__":
            continue
        module = vars(import_module(f"check_celery_workers.{name}"))
        tree = ast.parse(file.read_text(encoding="utf-8"))
        methods = {node.value: node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in FUNCTIONS:
                continue
            source = ast.unparse(node.args[0])
            flags = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "flags"]
            function = ast.unparse(node.func).removeprefix("re.")
            if function == "compile":
                flags += map(ast.unparse, node.args[1:])
                # Whoever holds it may search with it.
                function = methods.get(node, "search")
            if f"{name}: {source}" not in EXEMPT:
                # The package's own source.
                pattern = eval(f"re.compile({source}, {'|'.join(flags) or 0})", {**module, "re": re})  # noqa: S307
                yield Use(f"{name}: {source}", pattern, function)


@pytest.mark.parametrize("use", list(uses()), ids=lambda use: use.name)
def test_an_expression_takes_time_in_proportion_to_the_text(use: Use) -> None:
    searched = use.function not in {"match", "fullmatch"}
    assert not slow_because(use.pattern, searched=searched, whole=use.function == "fullmatch")


def test_every_exemption_is_of_an_expression_that_there_is() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (CLONE / "check_celery_workers").rglob("*.py"))
    for exempt in EXEMPT:
        assert f"({exempt.partition(': ')[2].replace(chr(39), chr(34))}" in text


TWO_WAYS = "one loop takes a text in two ways"
TWO_LOOPS = "a text that loops in one place leads to another, where it loops as well"


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(a+)+b", TWO_WAYS),
        ("(?:a|a)*b", TWO_WAYS),
        ("(?:ab?b?)*c", TWO_WAYS),
        ("(?i)(?:ab|AB)*c", TWO_WAYS),
        ("a*a*b", TWO_LOOPS),
        (r"\s*.*\s*x", TWO_LOOPS),
        ("[a-z]+[a-z0-9]*x", TWO_LOOPS),
        (r".*\d+(?:,\d+)*x", TWO_LOOPS),
        ("(?:x(?=.*z))*", TWO_LOOPS),
        ("a+b", ""),
        (r"\s*,\s*.*", ""),
        (r"(?:[^/]+=)?/.*", ""),
        (r"(\S.*) messages:([0-9]{1,18}) consumers:[0-9]+\.?", ""),
        ("(?:x*y)*", ""),
        (".*?a{1,18}b", ""),
    ],
)
def test_what_is_slow_from_the_start_of_a_text(expression: str, reason: str) -> None:
    assert slow_because(re.compile(expression)) == reason


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("a+b", TWO_LOOPS),
        (r"\s+$", TWO_LOOPS),
        (r"x[^y]*y", TWO_LOOPS),
        ("(?m)^a+b", ""),
        (r"(?m)^[^\n]+b|^$", ""),
        (r"://[^\s/]*@", ""),
        ("a.*", ""),
    ],
)
def test_what_is_slow_anywhere_in_a_text(expression: str, reason: str) -> None:
    assert slow_because(re.compile(expression), searched=True) == reason


def test_what_must_end_with_the_text_is_tried_again() -> None:
    assert not slow_because(re.compile(r"a\s*.*"))
    assert slow_because(re.compile(r"a\s*.*"), whole=True) == TWO_LOOPS
