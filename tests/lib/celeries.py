"""Other versions of Celery than the one that is installed, each with a Python that it runs on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from captures.recapture import find_python

# Version, the Pythons that it runs on, packages.
_RELEASES = (
    ("3.1", ("2.7",), ("celery==3.1.26.post2", "kombu==3.0.37", "redis==2.10.6")),
    ("4.4", ("3.8", "3.7"), ("celery==4.4.7", "redis==3.5.3", "importlib-metadata<5")),
    ("5.6", ("3.12", "3.11", "3.10", "3.9"), ("celery==5.6.3", "kombu[redis]==5.6.2")),
)


class Release(NamedTuple):
    """A Celery, a Python that it runs on, and the packages to install for it."""

    celery: str
    python: Path
    packages: tuple[str, ...]

    @property
    def command(self) -> tuple[str, ...]:
        """The start of each command line of a Fleet."""
        return (str(self.python), "-m", "celery", "-A", "proj")

    def install(self, directory: Path) -> dict[str, str]:
        """Install it there; return what a Fleet's environment needs besides."""
        pip = (self.python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        subprocess.run((*pip, "install", "--target", directory, *self.packages), check=True, stderr=subprocess.DEVNULL)
        # 3.1 refuses to run as root otherwise: it accepts pickles.
        return {"PYTHONPATH": str(directory), "C_FORCE_ROOT": "1"}


def releases(*versions: str) -> list[Release]:
    """Return those of these versions that this machine has a Python for."""
    return list(_releases(versions))


def _releases(versions: tuple[str, ...]) -> Iterator[Release]:
    for celery, pythons, packages in _RELEASES:
        for python in pythons if celery in versions else ():
            with suppress(LookupError):
                yield Release(celery, find_python(python), packages)
                break
