"""CONTRIBUTING says what is so, and so do the settings of the tools."""

from __future__ import annotations

import re
from pathlib import Path

from paths import CLONE

TEXT = (CLONE / "CONTRIBUTING.md").read_text(encoding="utf-8")
PYPROJECT = (CLONE / "pyproject.toml").read_text(encoding="utf-8")
NOXFILE = (CLONE / "noxfile.py").read_text(encoding="utf-8")


def modules_in(pattern: str) -> list[str]:
    """Return the modules in the list of pyproject.toml whose name matches."""
    found = re.search(rf"^{pattern} = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert found
    return re.findall(r'^    "check_celery_workers/(\w+)\.py",$', found[1], re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages for contributors, whose links must hold."""
    return [CLONE / name for name in ("CONTRIBUTING.md", "SECURITY.md", "tests/README.md")]


def test_the_table_of_modules_names_exactly_the_modules() -> None:
    modules = {file.stem for file in (CLONE / "check_celery_workers").glob("*.py")} - {"__init__", "__main__"}
    table = TEXT.split("| module in `check_celery_workers/` | in it |\n| --- | --- |\n")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(modules)


def test_coverage_and_mutation_testing_know_the_same_modules() -> None:
    measured = modules_in("include")
    assert measured == modules_in("only_mutate")
    for module in measured:
        assert (CLONE / "check_celery_workers" / f"{module}.py").exists(), module


def test_every_session_of_nox_is_shown() -> None:
    sessions = set(re.findall(r"^def (\w+)\(session: ", NOXFILE, re.MULTILINE))
    shown = set(re.findall(r"^\| `\.venv/bin/nox -s (\w+)` ", TEXT, re.MULTILINE))
    assert shown == sessions - {"versions"}


def test_pre_commit_has_the_versions_of_the_extra_lint() -> None:
    hooks = (CLONE / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for package in ("codespell", "ruff"):
        pinned = set(re.findall(rf'"({package}==[0-9.]+)"', PYPROJECT))
        assert len(pinned) == 1
        assert set(re.findall(rf'"({package}==[0-9.]+)"', hooks)) == pinned


def test_every_link_leads_to_a_file() -> None:
    for page in pages():
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_file_is_described() -> None:
    text = (CLONE / "tests" / "README.md").read_text(encoding="utf-8")
    files = [path.relative_to(CLONE / "tests") for path in (CLONE / "tests").rglob("test_*.py")]
    assert [str(file) for file in files if file.name not in text] == []
