"""What a contributor does again and again. `nox -l` lists it, `nox -s fast` runs one of it; `nox -R` installs nothing.

Words after `--` go to the program: `nox -s fast -- -k patterns`, `nox -s bench -- --quick`.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "fast"]
nox.options.reuse_venv = "yes"

# Neither daemons nor Celery, nothing that takes long, nothing that waits.
FAST = "not daemon and not celery and not exhaustive and not waiting"
# What is built from the plugin: the file, and the program that prints it.
BUILT = {
    "contrib/icinga2/check_celery_workers.conf": ("contrib/icinga2/build.py",),
    "contrib/icinga-director/celery_workers.json": ("contrib/icinga2/build.py", "--basket"),
    "contrib/man/check_celery_workers.1": ("contrib/man/build.py",),
    "contrib/completion/check_celery_workers.bash": ("contrib/completion/build.py",),
    "contrib/runbook/README.md": ("contrib/runbook/build.py",),
}
# The helpers of the tests, which pytest finds by itself.
HELPERS = {"PYTHONPATH": os.pathsep.join(("tests/lib", "tests"))}


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests that take seconds."""
    session.install("-q", "-e", ".[test]")
    session.run("pytest", "-q", "-n", "auto", "-m", FAST, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, with branch coverage of the pure modules, which must be 100 %."""
    session.install("-q", "-e", ".[test]")
    session.run("pytest", "-n", "3", "--dist", "loadgroup", "--cov", "--cov-fail-under=100", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff, mypy, codespell, import-linter, and zizmor on the workflows."""
    session.install("-q", "-e", ".[test,lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("codespell")
    session.run("lint-imports", "--no-cache")
    session.run("zizmor", "--quiet", "--offline", ".github/workflows")


@nox.session
def build(session: nox.Session) -> None:
    """Build again what is made from the plugin: files of contrib."""
    session.install("-q", "-e", ".[test]")
    for file, program in BUILT.items():
        text = session.run("python", *program, silent=True, stderr=None)
        Path(file).write_text(str(text), encoding="utf-8")


@nox.session
def release(session: nox.Session) -> None:
    """Build all files of a release into dist/, from the last commit; the tag after -- must be that of the version."""
    session.install("-q", "pip", ".[release]")
    session.run(".ci/release", *session.posargs, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the speed, which takes minutes; --quick only sees whether the benchmarks run."""
    session.install("-q", "-e", ".[test]", "django")
    session.run("python", "-m", "benchmarks", *session.posargs, env=HELPERS)


@nox.session
def mutation(session: nox.Session) -> None:
    """Make mistakes in the pure modules, which takes two hours, and see that tests notice all but the known ones."""
    session.install("-q", "-e", ".[test]", "mutmut==3.8.1")
    session.run("python", "-m", "mutation", *session.posargs, env=HELPERS)


# Anew, as the Python differs from one call to the next.
@nox.session(reuse_venv=False)
@nox.parametrize("nagiosplugin", ["1.3.2", "1.4.0"])
def versions(session: nox.Session, nagiosplugin: str) -> None:
    """Run the tests that take seconds, on the Python that --force-python names."""
    session.install("-q", ".[test]", f"nagiosplugin=={nagiosplugin}")
    session.run("pytest", "-q", "-n", "8", "-m", FAST, *session.posargs)
