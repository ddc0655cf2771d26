"""All files of a release: the same commit gives the same bytes, whoever builds them, where and when."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from daemons import executable
from paths import CLONE
from processes import run_merged
from running import UNKNOWN, Outcome

from check_celery_workers import __version__

pytestmark = pytest.mark.daemon

executable("dpkg-buildpackage", package="build-essential")
executable("dh", package="debhelper")
executable("dh_python3", package="dh-python")
executable("git", package="git")
executable("/usr/bin/python3", package="python3-minimal")

DEB = f"check-celery-workers_{__version__}_all.deb"
WHEEL = f"check_celery_workers-{__version__}-py3-none-any.whl"
SDIST = f"check_celery_workers-{__version__}.tar.gz"
SINGLE_FILE = "check_celery_workers.pyz"
FILES = (DEB, WHEEL, SDIST, SINGLE_FILE)
# When the commit was made.
COMMITTED = 1767225600
SETTINGS = ("safe.directory=*", "commit.gpgsign=false", "user.name=Release", "user.email=release@example.com")
GIT = ("git", *(word for setting in SETTINGS for word in ("-c", setting)))


class Place(NamedTuple):
    """A clone, and what is special about it and about whoever builds there."""

    clone: Path
    umask: int
    environment: dict[str, str]

    def run(self, *command: str | Path) -> Outcome:
        """Run a command in the clone; `python` is the one that tests."""
        places = (str(Path(sys.executable).parent), os.environ["PATH"])
        env = {**os.environ, "PATH": os.pathsep.join(places), **self.environment}
        done = run_merged("sh", "-c", f'umask {self.umask:03o} && "$@"', "sh", *command, cwd=self.clone, env=env)
        return Outcome(done.stdout, done.returncode)

    def build(self, *command: str | Path) -> None:
        """Run a command that builds something; AssertionError with what it says where it fails."""
        outcome = self.run(*command)
        assert outcome.code == 0, outcome.output

    @property
    def dist(self) -> Path:
        """Where a release is built."""
        return self.clone / "dist"


def git(*arguments: str | Path) -> None:
    env = {**os.environ, "GIT_AUTHOR_DATE": f"{COMMITTED} +0000", "GIT_COMMITTER_DATE": f"{COMMITTED} +0000"}
    done = run_merged(*GIT, *arguments, env=env)
    assert done.returncode == 0, done.stdout


def dated(changelog: Path, heading: str) -> None:
    """Give the newest section this heading."""
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(re.sub(r"^## \[.*$", heading, text, count=1, flags=re.MULTILINE), encoding="utf-8")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one commit: the files of this clone as they are now, but that CHANGELOG has a date."""
    repository = tmp_path_factory.mktemp("origin")
    git("init", "--quiet", repository)
    git("--git-dir", repository / ".git", "--work-tree", CLONE, "add", "--all")
    git("-C", repository, "checkout-index", "--all")
    dated(repository / "CHANGELOG.md", f"## [{__version__}] - 2026-01-01")
    git("-C", repository, "commit", "--quiet", "--all", "--message=All")
    return repository


@pytest.fixture(scope="module")
def here(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A clone as most people have it, in which a release is built."""
    place = Place(tmp_path_factory.mktemp("here") / "clone", 0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8"})
    git("clone", "--quiet", origin, place.clone)
    place.build(".ci/release", f"v{__version__}")
    return place


@pytest.fixture(scope="module")
def there(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A clone in which everything else is different, and in which a release is built."""
    directory = tmp_path_factory.mktemp("there")
    home = directory / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[core]\n    autocrlf = true\n[tar]\n    umask = 0\n[log]\n    showSignature = true\n"
    )
    environment = {
        "TZ": "Asia/Kolkata",
        "LC_ALL": "C",
        "LANG": "POSIX",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONHASHSEED": "7",
        "PYTHONOPTIMIZE": "1",
        "PYTHONPATH": "/nowhere",
    }
    place = Place(directory / "a longer path" / "of this", 0o077, environment)
    place.clone.parent.mkdir()
    git("clone", "--quiet", origin, place.clone)
    for number, path in enumerate(sorted(place.clone.rglob("*"))):
        if ".git" not in path.parts:
            path.chmod(0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666)
            os.utime(path, (number, 1_500_000_000 + number * 1000))
    (place.clone / "check_celery_workers" / "not_committed.py").touch()
    (place.clone / "dist").mkdir()
    (place.clone / "dist" / "of_another_version.whl").touch()
    if os.geteuid() == 0:
        # Root builds in the clone of somebody else.
        nobody = pwd.getpwnam("nobody")
        for path in (place.clone, *place.clone.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    place._replace(environment={**environment, "SOURCE_DATE_EPOCH": "1"}).build(".ci/release")
    (place.clone / "check_celery_workers" / "not_committed.py").unlink()
    return place


def test_a_release_is_four_files_and_their_sums(here: Place) -> None:
    assert sorted(path.name for path in here.dist.iterdir()) == sorted((*FILES, "SHA256SUMS"))
    sums = here.run("env", "--chdir=dist", "sha256sum", "--check", "SHA256SUMS")
    assert sums == Outcome("".join(f"{name}: OK\n" for name in FILES), 0)


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_a_release_is_the_same_bytes_everywhere(here: Place, there: Place, name: str) -> None:
    assert (there.dist / name).read_bytes() == (here.dist / name).read_bytes()
    assert sorted(path.name for path in there.dist.iterdir()) == sorted((*FILES, "SHA256SUMS"))


def test_the_builder_of_the_single_file_builds_that_of_the_release(here: Place, there: Place, tmp_path: Path) -> None:
    there.build(sys.executable, "contrib/zipapp/build.py", "--output", tmp_path / "built")
    assert (tmp_path / "built").read_bytes() == (here.dist / SINGLE_FILE).read_bytes()


def test_the_builder_of_the_debian_package_builds_that_of_the_release(
    here: Place, there: Place, tmp_path: Path
) -> None:
    there.build(sys.executable, "contrib/debian/build.py", tmp_path)
    assert (tmp_path / DEB).read_bytes() == (here.dist / DEB).read_bytes()


def test_the_wheel_of_the_source_is_that_of_the_release(here: Place, tmp_path: Path) -> None:
    with tarfile.open(here.dist / SDIST) as archive:
        assert {member.mtime for member in archive.getmembers()} == {COMMITTED}
    here.build("tar", "--extract", "--file", here.dist / SDIST, "--directory", tmp_path)
    hatchling = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path)
    epoch = {"SOURCE_DATE_EPOCH": str(COMMITTED)}
    built = run_merged(*hatchling, cwd=tmp_path / SDIST[: -len(".tar.gz")], env={**os.environ, **epoch})
    assert built.returncode == 0, built.stdout
    assert (tmp_path / WHEEL).read_bytes() == (here.dist / WHEEL).read_bytes()


def test_the_wheel_installs_the_plugin_with_its_manual_page(here: Place, tmp_path: Path) -> None:
    here.build(sys.executable, "-m", "venv", tmp_path)
    here.build(tmp_path / "bin" / "pip", "install", "--quiet", here.dist / WHEEL)
    version = here.run(tmp_path / "bin" / "check_celery_workers", "-V")
    assert version == Outcome(f"check_celery_workers {__version__}\n", UNKNOWN)
    page = (tmp_path / "share" / "man" / "man1" / "check_celery_workers.1").read_text(encoding="utf-8")
    assert f"check_celery_workers {__version__}" in page


def test_what_is_not_committed_is_not_in_a_release(there: Place) -> None:
    for name in (WHEEL, SINGLE_FILE):
        with zipfile.ZipFile(there.dist / name) as archive:
            assert [file for file in archive.namelist() if "not_committed" in file] == []


def test_a_tag_of_another_version(here: Place) -> None:
    says = f"The tag is v9, and check_celery_workers/__init__.py says {__version__}: the tag must be v{__version__}\n"
    assert here.run(".ci/release", "v9") == Outcome(says, 1)


@pytest.mark.parametrize("heading", ["## [9] - 2026-01-01", f"## [{__version__}] - unreleased"])
def test_a_version_that_changelog_does_not_have(here: Place, tmp_path: Path, heading: str) -> None:
    clone = tmp_path / "clone"
    git("clone", "--quiet", here.clone, clone)
    dated(clone / "CHANGELOG.md", heading)
    git("-C", clone, "commit", "--quiet", "--all", "--message=Changelog")
    told, code = here._replace(clone=clone).run(".ci/release", f"v{__version__}")
    assert code == 1
    form = rf"CHANGELOG\.md has no section of {__version__} with its date: ## \[{__version__}\] - \d{{4}}-\d\d-\d\d\n"
    assert re.fullmatch(form, told)


def test_a_directory_that_is_no_clone(here: Place, tmp_path: Path) -> None:
    shutil.copytree(here.clone, tmp_path / "copy", ignore=shutil.ignore_patterns(".git"))
    told, code = here._replace(clone=tmp_path / "copy").run(".ci/release")
    assert (told.count("\n"), code) == (1, 128)
    assert told.startswith("fatal: not a git repository")
