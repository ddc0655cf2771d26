#!/usr/bin/env python3
"""Build check-celery-workers_VERSION_all.deb, the plugin as a package for Debian and Ubuntu.

    python3 contrib/debian/build.py
    apt install ./check-celery-workers_*_all.deb

It needs build-essential, debhelper and dh-python, and neither root nor a network. The same commit gives the same bytes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
DEBIAN = CLONE / "contrib" / "debian" / "debian"
PACKAGES = "build-essential debhelper dh-python"
LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?!https:)(?P<path>[^)#]+)[^)]*\)")
CHANGELOG = """\
check-celery-workers ({version}) unstable; urgency=medium

  * Version {version}; CHANGELOG.md lists the changes.

 -- {maintainer}  {date}
"""


def main() -> str | None:
    """Build the package and print its path; return why that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("directory", nargs="?", type=Path, default=Path(), help="for the package, by default this one")
    options = parser.parse_args()
    if not shutil.which("dpkg-buildpackage") or not shutil.which("dh"):
        return f"The build needs programs that are not installed. As root: apt install {PACKAGES}"
    try:
        return build(options.directory)
    except OSError as error:
        return f"The package cannot be built: {error}"


def build(directory: Path) -> str | None:
    """Build the package in the directory and print its path; return why that failed."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        copy(tree)
        built = subprocess.run(
            ("dpkg-buildpackage", "--build=all", "--unsigned-source", "--unsigned-changes"),
            cwd=tree,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        if built.returncode:
            return f"{built.stdout}\ndpkg-buildpackage failed. If packages are missing, as root: apt install {PACKAGES}"
        directory.mkdir(parents=True, exist_ok=True)
        for package in Path(temporary).glob("*.deb"):
            print(shutil.copy(package, directory))
    return None


def copy(tree: Path) -> None:
    """Copy what the package is built from, and nothing else that is in the clone."""
    unwanted = shutil.ignore_patterns("__pycache__", "debian", "demo", "zipapp", ".*")
    for name in ("check_celery_workers", "contrib"):
        shutil.copytree(CLONE / name, tree / name, ignore=unwanted)
    for name in ("CHANGELOG.md", "README.md"):
        shutil.copy(CLONE / name, tree)
    (tree / "contrib" / "man" / "README.md").unlink()
    for page in (tree / "README.md", *tree.glob("contrib/*/README.md")):
        page.write_text(without_dead_links(page), encoding="utf-8")
    shutil.copytree(DEBIAN, tree / "debian")
    date = changed()
    (tree / "debian" / "changelog").write_text(changelog(date), encoding="utf-8")
    # Modes depend on the umask of whoever made the clone, times on when that was. dpkg itself changes later times only.
    for path in tree.rglob("*"):
        executable = path.is_dir() or path.name == "rules" or path == tree / "debian" / "check_celery_workers"
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (date, date))


def without_dead_links(page: Path) -> str:
    """Return the text of a page that links to no file that the package does not have."""

    def kept(link: re.Match[str]) -> str:
        return link[0] if (page.parent / link["path"]).exists() else link["text"]

    return LINK.sub(kept, page.read_text(encoding="utf-8"))


def changelog(changed: int) -> str:
    """Return Debian's changelog. The package takes its version and its date from its one entry."""
    module = (CLONE / "check_celery_workers" / "__init__.py").read_text(encoding="utf-8")
    control = (DEBIAN / "control").read_text(encoding="utf-8")
    version = re.findall(r'^__version__ = "(.*)"$', module, re.MULTILINE)[0]
    # Debian sorts 1.0.0~rc1 before 1.0.0, and 1.0.0rc1 after it.
    version = re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", version)
    maintainer = re.findall(r"^Maintainer: (.*)$", control, re.MULTILINE)[0]
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(changed))
    return CHANGELOG.format(version=version, maintainer=maintainer, date=date)


def changed() -> int:
    """Return the time of the last change: SOURCE_DATE_EPOCH, or that of the last commit, or of the newest module."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        told = os.environ["SOURCE_DATE_EPOCH"]
        if not told.isdecimal():
            sys.exit(f"SOURCE_DATE_EPOCH must be seconds since 1970, such as 1767225600, and is {told!r}")
        return int(told)
    if not (CLONE / ".git").exists():
        return int(max(path.stat().st_mtime for path in (CLONE / "check_celery_workers").rglob("*.py")))
    # Root may build in the clone of somebody else.
    git = ("git", "-c", "safe.directory=*", "-C", CLONE)
    command = (*git, "rev-list", "--max-count=1", "--timestamp", "HEAD")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        said = done.stderr.partition("\n")[0]
        sys.exit(f"git does not say when the last commit was made, which SOURCE_DATE_EPOCH can say as well: {said}")
    return int(done.stdout.split()[0])


if __name__ == "__main__":
    sys.exit(main())
