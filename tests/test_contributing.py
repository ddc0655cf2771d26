"""CONTRIBUTING says what is so, and so do the settings of the tools."""

from __future__ import annotations

import re
from pathlib import Path

from paths import CLONE

TEXT = (CLONE / "CONTRIBUTING.md").read_text(encoding="utf-8")
PYPROJECT = (CLONE / "pyproject.toml").read_text(encoding="utf-8")
NOXFILE = (CLONE / "noxfile.py").read_text(encoding="utf-8")


PACKAGE = CLONE / "check_celery_workers"


def pages() -> list[Path]:
    """Return the pages for contributors, whose links must hold."""
    return [CLONE / name for name in ("CONTRIBUTING.md", "SECURITY.md", "tests/README.md")]


def test_the_map_shows_each_folder_with_exactly_its_modules() -> None:
    tree: dict[str, list[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if not file.stem.startswith("__"):
            tree.setdefault(str(file.parent.relative_to(PACKAGE)), []).append(file.stem)
    table = TEXT.split("| modules | in it |\n| --- | --- | --- |\n")[1].split("\n\n")[0]
    shown: dict[str, list[str]] = {}
    folder = "."
    for row in table.splitlines():
        _, name, modules, _, _ = row.split("|")
        folder = name.strip(" `").rstrip("/") or folder
        shown.setdefault(folder, []).extend(re.findall(r"`(\w+)`", modules))
    assert {folder: sorted(modules) for folder, modules in shown.items()} == tree


def test_coverage_measures_what_is_there() -> None:
    (listed,) = re.findall(r"^include = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    globs = re.findall(r'^    "(.*)",$', listed, re.MULTILINE)
    assert [glob for glob in globs if not list(CLONE.glob(glob))] == []
    assert len(globs) > 3


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
