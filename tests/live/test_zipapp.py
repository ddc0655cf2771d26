"""The plugin as one file, built by contrib/zipapp, on Pythons that have no package."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import command_of, executable, over_broker
from fleet import Fleet
from paths import CONTRIB
from processes import run_merged
from running import CRITICAL, OK, UNKNOWN, Outcome, outcome_of

pytestmark = pytest.mark.daemon

PLAIN = executable("/usr/bin/python3", package="python3-minimal")
ANSWERS = "->  w-1@a: OK\n->  w-3@a: OK\n\n2 nodes online.\n"
VERDICT = (
    "CELERY WORKERS CRITICAL - 1 of 3 workers missing: w-2@a"
    " | duplicate=0;0;;0 malfunctioning=0;;0;0 missing=1;;0;0;3 missing_servers=0;;;0"
    " online=2;;;0 unexpected=0;0;;0 unexpected_servers=0;;;0\n"
    "Worker w-2@a was missing\n"
)
# Reports on standard error when source is compiled, as happens without fitting compiled code.
WATCH = """\
import runpy, sys
def tell(event, arguments):
    if event == "compile" and arguments[1] != "<string>":
        sys.stderr.write(f"{arguments[1]} is compiled\\n")
sys.addaudithook(tell)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def works(python: str) -> bool:
    return subprocess.run((python, "-IS", "-c", ""), stderr=subprocess.DEVNULL, check=False).returncode == 0


def pythons() -> Iterator[str]:
    """Yield the paths of the Pythons on PATH and of pyenv's, one for each version."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [*os.get_exec_path(), *map(str, versions.glob("3.*/bin"))]
    for minor in range(9, 30):
        found = (shutil.which(f"python3.{minor}", path=place) for place in places)
        yield from itertools.islice((python for python in found if python and works(python)), 1)


def run(*command: str | Path, env: dict[str, str] | None = None) -> Outcome:
    return outcome_of(*command, text=ANSWERS, env=env)


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The file, built twice, each time in another directory, another time zone and with other hashes."""
    files = []
    builders = []
    for zone, seed in (("UTC", "1"), ("Asia/Kolkata", "2")):
        files.append(tmp_path_factory.mktemp("build") / "check_celery_workers")
        command = (sys.executable, CONTRIB / "zipapp" / "build.py", "--python", PLAIN, "--output", files[-1])
        env = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed}
        builders.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env))
    assert [builder.wait() for builder in builders] == [0, 0]
    return files


@pytest.fixture
def plugin(builds: list[Path]) -> Path:
    return builds[0]


def test_same_bytes(builds: list[Path]) -> None:
    first, second = (file.read_bytes() for file in builds)
    assert first == second


def test_executable_with_no_environment(plugin: Path) -> None:
    assert run(plugin, "w-3@a", env={}) == (VERDICT, CRITICAL)


def test_isolated_and_without_site_packages(plugin: Path) -> None:
    assert run(PLAIN, "-I", "-S", plugin, "w-3@a") == (VERDICT, CRITICAL)


@pytest.mark.parametrize("python", list(pythons()), ids=os.path.basename)
def test_on_every_python(plugin: Path, python: str) -> None:
    assert run(python, "-I", "-S", plugin, "w-3@a") == (VERDICT, CRITICAL)


def test_command(plugin: Path) -> None:
    verdict = run(plugin, "w-1@a", "--ignore", "w-3@a", "--", "echo", ANSWERS, env={"PATH": os.defpath})
    assert (verdict.headline, verdict.code) == ("CELERY WORKERS OK - 1 of 1 worker online on 1 server", OK)


@pytest.mark.celery
def test_the_kombu_of_an_application(plugin: Path, fleet: Fleet) -> None:
    python = "/srv/shop/venv/bin/python"
    own = {python: sys.executable, "/usr/local/bin/check_celery_workers": str(plugin), **over_broker(fleet)}
    verdict = outcome_of(*shlex.split(command_of("zipapp/README.md", f"{python} -IS", own)), env={})
    assert (verdict.headline, verdict.code) == ("CELERY WORKERS OK - 6 of 6 workers online on 3 servers", OK)


def test_no_kombu(plugin: Path, tmp_path: Path) -> None:
    subprocess.run((PLAIN, "-m", "venv", "--without-pip", tmp_path), check=True)
    python = tmp_path / "bin" / "python"
    told = (
        "CELERY WORKERS UNKNOWN - --broker needs kombu, and kombu is not installed: pip install "
        "'check_celery_workers[broker]', on Debian python3-kombu, python3-redis and python3-packaging\n"
    )
    assert run(python, "-IS", plugin, "--broker", "redis://127.0.0.1/0", "w-3@a") == (told, UNKNOWN)


def test_usage_error(plugin: Path) -> None:
    outcome = run(plugin, "w-0@a")
    assert outcome.headline.startswith("CELERY WORKERS UNKNOWN - ")
    assert outcome.code == UNKNOWN


def test_nothing_is_compiled_at_start(plugin: Path) -> None:
    assert run(PLAIN, "-I", "-S", "-c", WATCH, plugin, "w-3@a") == (VERDICT, CRITICAL)


def test_licences_are_inside(plugin: Path) -> None:
    with zipfile.ZipFile(plugin) as archive:
        licences = sorted(name for name in archive.namelist() if "LICENSE" in name)
        assert [re.split("[-/]", name)[0] for name in licences] == ["check_celery_workers", "nagiosplugin"]
        assert all(archive.read(name) for name in licences)


FALSE = shutil.which("false")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--python", "/srv/python3"), "The file cannot be built: [Errno 2] No such file or directory: '/srv/python3'"),
        (("--python", FALSE), f"{FALSE} cannot compile the plugin, which needs Python 3.9 or later"),
        (("--python", "python3"), "--python must be a whole path, so that the file starts everywhere, and is python3"),
        (("--output", "/srv/a/b"), "The file cannot be built: [Errno 2] No such file or directory: '/srv/a/b'"),
    ],
    ids=["no_python", "no_right_python", "a_python_without_path", "no_directory"],
)
def test_what_cannot_be_built_is_one_line(options: tuple[str, str], says: str) -> None:
    done = run_merged(sys.executable, CONTRIB / "zipapp" / "build.py", *options)
    assert (done.stdout, done.returncode) == (f"{says}\n", 1)


def test_without_nagiosplugin_it_is_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    done = run_merged(sys.executable, CONTRIB / "zipapp" / "build.py", cwd=tmp_path, env=env)
    assert re.fullmatch(r"pip cannot install nagiosplugin==[\d.]+: ERROR: No matching distribution .*\n", done.stdout)
    assert (list(tmp_path.iterdir()), done.returncode) == ([], 1)


def test_modules_of_the_current_directory_are_not_those_of_the_builder(tmp_path: Path) -> None:
    for name in ("pip", "compileall"):
        (tmp_path / f"{name}.py").write_text("import sys\nsys.exit('somebody else put this here')\n")
    done = run_merged(sys.executable, CONTRIB / "zipapp" / "build.py", "--python", PLAIN, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("", 0)
