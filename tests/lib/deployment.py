"""Releases of an application, and workers that are older than the last of them.

shop = Deployment(tmp_path / "shop")
shop.deploy("a")
wait_until_old(fleet, "w-1@a", "w-2@a")
shop.deploy("b")
assert undated(check("--started-after", str(shop.current)).output) == "... it was started AGE ago, before ..."
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from fleet import Fleet
from processes import wait_for

# A worker that has run for so many seconds is certainly older than what changes now: it tells whole seconds.
_OLD = 3


class Deployment:
    """A folder with releases, and the link to the current one, as the tools that deploy keep them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = folder / "current"

    def deploy(self, name: str, code: str = "") -> None:
        """Write a release, in which the module `shop` is this code, and let the link lead to it from now on."""
        release = self.release(name)
        release.mkdir(parents=True)
        (release / "shop.py").write_text(code, encoding="utf-8")
        new = self.folder / "new"
        new.symlink_to(release)
        new.rename(self.current)

    def release(self, name: str) -> Path:
        """Return the folder of a release."""
        return self.folder / "releases" / name

    def date(self, seconds: float) -> None:
        """Let the link have been moved so many seconds from now."""
        moment = time.time() + seconds
        os.utime(self.current, (moment, moment), follow_symlinks=False)


def wait_until_old(fleet: Fleet, *nodes: str) -> None:
    """Return once each of these workers is older than what is deployed from now on: it says for how long it has run."""
    ask = ("inspect", "stats", "-t", "5", "-d", ",".join(nodes))

    def are_old() -> bool:
        uptimes = re.findall(r'"uptime": (\d+)', fleet.text(*ask))
        return len(uptimes) == len(nodes) and all(int(uptime) >= _OLD for uptime in uptimes)

    wait_for(are_old, f"not all of {nodes} have run for {_OLD} s")


def undated(output: str) -> str:
    """Return the output with AGE for how long ago something was."""
    return re.sub(r"\b\d+ (?:s|min|h|d)(?: \d+ (?:s|min|h))? ago", "AGE ago", output)
