"""What a Python that is too old says: in one line, and as a plugin must."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import CLONE, CONTRIB
from running import UNKNOWN, Outcome, outcome_of

TOO_OLD = ("2.7", "3.6", "3.7", "3.8")


def pythons() -> Iterator[tuple[str, str]]:
    """Yield version and path of the Pythons on PATH and of pyenv's that are too old, one for each version."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in TOO_OLD:
        name = f"python{version}"
        on_path = (Path(directory) / name for directory in os.get_exec_path())
        for python in (*on_path, *versions.glob(f"{version}.*/bin/{name}")):
            if python.exists() and works(python):
                yield version, str(python)
                break


def works(python: Path) -> bool:
    # A shim of pyenv's is there for each version, and fails for those not chosen.
    return subprocess.run((python, "-c", ""), stderr=subprocess.DEVNULL, check=False).returncode == 0


PYTHONS = list(pythons())
# No package of Debian's would bring what is lacking, so that there is nothing to skip.
__test__ = bool(PYTHONS)

old_pythons = pytest.mark.parametrize(("version", "python"), PYTHONS, ids=[version for version, _ in PYTHONS])


def refusal(version: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - Python 3.9 or later is needed, this is {version}\n", UNKNOWN)


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("build") / "check_celery_workers.pyz"
    build = (sys.executable, CONTRIB / "zipapp" / "build.py", "--python", sys.executable, "--output", file)
    subprocess.run(build, stdin=subprocess.DEVNULL, check=True)
    return file


@old_pythons
@pytest.mark.parametrize("arguments", [["w-3@a"], [], ["--help"]], ids=["check", "nothing", "help"])
def test_one_file(version: str, python: str, arguments: list[str], one_file: Path) -> None:
    assert outcome_of(python, one_file, *arguments) == refusal(version)


@old_pythons
@pytest.mark.parametrize("arguments", [["w-3@a"], [], ["--help"]], ids=["check", "nothing", "help"])
def test_module_of_a_clone(version: str, python: str, arguments: list[str]) -> None:
    # Without compiled code, which Python 2.7 would write beside the source.
    environment = {**os.environ, "PYTHONPATH": str(CLONE), "PYTHONDONTWRITEBYTECODE": "1"}
    assert outcome_of(python, "-m", "check_celery_workers", *arguments, env=environment) == refusal(version)
