"""The package for Debian, built by contrib/debian, checked, installed, used and purged as its page says.

It is installed on overlays of /usr, /etc and /var that only the test sees, so the machine stays as it is.
"""

from __future__ import annotations

import gzip
import os
import pwd
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import daemons
import pytest
from daemons import confinement, executable
from fleet import Fleet
from icinga2 import CONFIGURATION, Icinga2, host
from machine import Machine, machine
from paths import CLONE, CONTRIB
from processes import run_merged
from running import CRITICAL, OK, Outcome

from check_celery_workers import __version__

pytestmark = pytest.mark.daemon

executable("dpkg-buildpackage", package="build-essential")
executable("dh", package="debhelper")
executable("dh_python3", package="dh-python")

README = (CONTRIB / "debian" / "README.md").read_text(encoding="utf-8")
NAME = f"check-celery-workers_{__version__}_all.deb"
MODULES = "/usr/share/check-celery-workers"
PLUGIN = "/usr/lib/nagios/plugins/check_celery_workers"
CHECK_COMMAND = "/usr/share/icinga2/include/plugins-contrib.d/check_celery_workers.conf"
# What the package installs elsewhere, and what serves to build the plugin or to try it.
NO_EXAMPLES = {"completion", "debian", "demo", "man", "zipapp"}
# What bash does when the Tab key is pressed after the last of the words.
COMPLETE = """\
source /usr/share/bash-completion/completions/check_celery_workers
COMP_WORDS=(check_celery_workers --unexpected-w) COMP_CWORD=1 COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
registered=$(complete -p check_celery_workers)
[[ $registered =~ -F\\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" check_celery_workers --unexpected-w check_celery_workers
echo "${COMPREPLY[@]}"
"""
ANSWER = "->  w-1@a: OK\n->  w-3@a: OK\n\n2 nodes online.\n"
PERFDATA = (
    "duplicate=0;0;;0 malfunctioning=0;;0;0 missing={missing};;0;0;{expected} missing_servers=0;;;0 "
    "online={online};;;0 unexpected=0;0;;0 unexpected_servers=0;;;0"
)

BASELINE = """\
celery@web-1
celery@web-2
worker-1..4@app1
queue celery=6..
stall-limit 15s
"""


def commands(heading: str) -> list[str]:
    """Return the command blocks of a section of the page."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)]


def build(clone: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> Outcome:
    """Run the builder as the page says, with the Python that tests."""
    done = run_merged(sys.executable, clone / "contrib" / "debian" / "build.py", *arguments, env=env)
    return Outcome(done.stdout, done.returncode)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("package")
    path = directory / NAME
    assert build(CLONE, directory) == Outcome(f"{path}\n", 0)
    assert list(directory.iterdir()) == [path]
    return path


def test_a_user_without_root_and_network_gets_the_same_bytes(package: Path, tmp_path: Path) -> None:
    options = ["--net"]
    if os.geteuid() == 0:
        # To itself it is nobody, to the files it is as before.
        nobody = pwd.getpwnam("nobody")
        options += ["--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
    unshare = confinement(*options)
    command = f"umask 077 && {sys.executable} {CONTRIB}/debian/build.py new"
    env = {**os.environ, "TZ": "Asia/Kolkata", "LC_ALL": "C"}
    done = run_merged(*unshare, "sh", "-c", command, cwd=tmp_path, env=env)
    assert done.stdout == f"new/{NAME}\n"
    assert (tmp_path / "new" / NAME).read_bytes() == package.read_bytes()


def test_the_builder_says_what_it_needs(tmp_path: Path) -> None:
    needed = commands("1. Build it")[0]
    told = build(CLONE, tmp_path, env={**os.environ, "PATH": str(tmp_path)})
    assert told == Outcome(f"The build needs programs that are not installed. As root: {needed}", 1)


def test_without_the_date_of_a_commit_the_builder_says_so_in_one_line(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("check_celery_workers", "contrib"):
        shutil.copytree(CLONE / name, copy / name)
    for name in ("CHANGELOG.md", "README.md"):
        shutil.copy(CLONE / name, copy)
    (copy / ".git").write_text("gitdir: /srv/gone\n")
    env = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    git = "git does not say when the last commit was made, which SOURCE_DATE_EPOCH can say as well"
    told = build(copy, tmp_path, env=env)
    assert told == Outcome(f"{git}: fatal: not a git repository: /srv/gone\n", 1)
    number = "SOURCE_DATE_EPOCH must be seconds since 1970, such as 1767225600, and is"
    told = build(copy, tmp_path, env={**env, "SOURCE_DATE_EPOCH": "today"})
    assert told == Outcome(f"{number} 'today'\n", 1)


def test_a_package_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / NAME).mkdir()
    told = build(CLONE, tmp_path / NAME)
    assert told == Outcome(f"The package cannot be built: [Errno 21] Is a directory: '{tmp_path / NAME / NAME}'\n", 1)


def test_lintian_has_nothing_to_say(package: Path) -> None:
    lintian = executable("lintian", package="lintian")
    done = subprocess.run(
        (lintian, "--fail-on", "error,warning,info", "--display-info", package),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_contents(package: Path, tmp_path: Path) -> None:
    subprocess.run(("dpkg-deb", "--extract", package, tmp_path), check=True)

    def files(directory: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }

    share = tmp_path / "usr" / "share"
    man_page = gzip.decompress((share / "man" / "man1" / "check_celery_workers.1.gz").read_bytes())
    assert man_page == (CONTRIB / "man" / "check_celery_workers.1").read_bytes()
    completion = share / "bash-completion" / "completions" / "check_celery_workers"
    assert completion.read_bytes() == (CONTRIB / "completion" / "check_celery_workers.bash").read_bytes()
    check_command = tmp_path / CHECK_COMMAND[1:]
    assert check_command.read_bytes() == (CONTRIB / "icinga2" / "check_celery_workers.conf").read_bytes()
    modules = share / "check-celery-workers" / "check_celery_workers"
    assert files(modules) == files(CLONE / "check_celery_workers")
    pages = share / "doc" / "check-celery-workers"
    examples = files(pages / "examples")
    wanted = {
        name: text
        for name, text in files(CONTRIB).items()
        if Path(name).parts[0] not in NO_EXAMPLES
        and Path(name).name != "build.py"
        and name != "icinga2/check_celery_workers.conf"
    }
    assert examples.keys() == wanted.keys()
    assert all(text == wanted[name] for name, text in examples.items() if not name.endswith(".md"))
    for page in (pages / "README.md", *pages.glob("contrib/*/README.md")):
        text = page.read_text(encoding="utf-8")
        # What pages of contrib copy, but what the package has put elsewhere.
        for copied in re.findall(r"^    .* (contrib/[\w./*-]+)", text, re.MULTILINE) if page.parent != pages else ():
            assert list(pages.glob(copied)) or copied == "contrib/icinga2/check_celery_workers.conf", page
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page}: {target}"
    link = tmp_path / "usr" / "bin" / "check_celery_workers"
    assert link.resolve() == tmp_path / PLUGIN[1:]
    for path in re.findall(r"^\| `(/.*?)` ", README, re.MULTILINE):
        assert os.path.lexists(tmp_path / path[1:])


@pytest.fixture(scope="module")
def overlaid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if not Path("/usr/lib/python3/dist-packages/nagiosplugin").is_dir():
        pytest.skip("needs python3-nagiosplugin: apt-get install python3-nagiosplugin")
    if Path(MODULES).exists():
        pytest.skip("needs a machine without the package: apt-get purge check-celery-workers")
    executable("sudo", package="sudo")
    try:
        pwd.getpwnam("nagios")
    except KeyError:
        pytest.skip("needs the user nagios: apt-get install icinga2-common")
    with machine(tmp_path_factory.mktemp("machine")) as overlaid:
        yield overlaid


@pytest.fixture(scope="module")
def installed(overlaid: Machine, package: Path) -> Machine:
    # What README's Install leaves, which would come first.
    overlaid.run("ln -sf /opt/check_celery_workers/bin/check_celery_workers /usr/local/bin/")
    install, remove = commands("2. Install it")
    overlaid.run(install, package.parent)
    overlaid.run(remove)
    return overlaid


def test_runs_as_nagios(installed: Machine) -> None:
    (check,) = commands("3. Try it as the monitoring user")
    perfdata = PERFDATA.format(missing=0, expected=1, online=1)
    assert installed.run(check) == f"CELERY WORKERS OK - 1 of 1 worker online on 1 server | {perfdata}\n"
    # It exits with 3, so that a service that is set up with -V by mistake is not OK.
    assert installed.run("check_celery_workers -V || [ $? = 3 ]") == f"check_celery_workers {__version__}\n"


@pytest.mark.celery
def test_asks_over_the_broker(installed: Machine, fleet: Fleet) -> None:
    if not Path("/usr/lib/python3/dist-packages/kombu").is_dir():
        pytest.skip("needs python3-kombu: apt-get install python3-kombu python3-redis python3-packaging")
    packages, block = commands("4. Ask over the broker")
    file, _, ask = block.splitlines()
    control = (CONTRIB / "debian" / "debian" / "control").read_text(encoding="utf-8")
    assert f"\nSuggests: {', '.join(packages.split()[2:])}, " in control
    installed.run(file, Path("/"))
    installed.run("cat > /etc/celery_broker", Path("/"), text=f"{fleet.broker}\n")
    try:
        assert installed.run(ask, Path("/")) == BASELINE
        assert installed.run(f"! sudo -u nobody {ask.partition('nagios ')[2]}", Path("/")) == (
            "CELERY WORKERS UNKNOWN - /etc/celery_broker cannot be read: Permission denied\n"
        )
    finally:
        installed.run("rm /etc/celery_broker", Path("/"))


def test_nothing_else_is_imported(installed: Machine, tmp_path: Path) -> None:
    (tmp_path / "nagiosplugin.py").write_text("raise SystemExit(0)\n")
    told = installed.run(f"PYTHONPATH=. {PLUGIN} w-3@a || echo exit code $?", tmp_path, text=ANSWER)
    perfdata = PERFDATA.format(missing=1, expected=3, online=2)
    assert told == (
        f"CELERY WORKERS CRITICAL - 1 of 3 workers missing: w-2@a | {perfdata}\n"
        "Worker w-2@a was missing\n"
        f"exit code {CRITICAL}\n"
    )


def test_the_modules_are_compiled(installed: Machine) -> None:
    compiled = installed.run(f"find {MODULES} -name '*.pyc' | wc -l", Path("/"))
    assert int(compiled) == len(list((CLONE / "check_celery_workers").rglob("*.py")))


def test_man_finds_the_page(installed: Machine) -> None:
    executable("man", package="man-db")
    path = installed.run("PATH=/usr/bin:/bin man -w check_celery_workers", Path("/"))
    assert path == "/usr/share/man/man1/check_celery_workers.1.gz\n"


def test_bash_completes(installed: Machine, tmp_path: Path) -> None:
    (tmp_path / "complete").write_text(COMPLETE, encoding="utf-8")
    assert installed.run("bash complete", tmp_path) == "--unexpected-warning\n"


def test_icinga_of_debian_finds_the_check_command(installed: Machine) -> None:
    executable("icinga2", package="icinga2-bin")
    validate, show, _ = commands("6. Icinga 2")[0].splitlines()
    installed.run(validate, Path("/"))
    told = installed.run(show, Path("/"))
    assert f"% declared in '{CHECK_COMMAND}'" in told
    assert f'command = [ "{PLUGIN}" ]' in re.sub(r"\x1b\[[0-9;]*m", "", told)


def test_a_second_check_command_needs_the_first_turned_off(installed: Machine) -> None:
    executable("icinga2", package="icinga2-bin")
    own = "/etc/icinga2/conf.d/check_celery_workers.conf"
    installed.run(f"cp {CONTRIB}/icinga2/check_celery_workers.conf {own}", Path("/"))
    told = installed.run("! icinga2 daemon -C", Path("/"))
    assert "Object 'celery_workers' of type 'CheckCommand' re-defined" in told
    (divert,) = commands("6. Icinga 2")[1:]
    installed.run(divert, Path("/"))
    installed.run("icinga2 daemon -C", Path("/"))
    installed.run(f"{divert.replace('--rename', '--rename --remove')}rm {own}\nicinga2 daemon -C", Path("/"))


def test_icinga_checks_with_it(installed: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = executable("icinga2", package="icinga2-bin")
    inside = tmp_path / "inside" / "icinga2"
    inside.parent.mkdir()
    inside.write_text(f'#!/bin/sh\nexec {" ".join(installed.enter())} {program} "$@"\n')
    inside.chmod(0o755)
    monkeypatch.setattr(daemons, "PLACES", f"{inside.parent}{os.pathsep}{daemons.PLACES}")
    (tmp_path / "answer").write_text(ANSWER)
    configuration = CONFIGURATION.replace("include <plugins>\n", "include <plugins>\ninclude <plugins-contrib>\n")
    variables = {"celery_workers_expect": ["w-3@a"], "celery_workers_command": ["cat", str(tmp_path / "answer")]}
    services = CONTRIB / "icinga2" / "celery_workers_services.conf"
    files = {
        "icinga2.conf": configuration,
        "conf.d/services.conf": services.read_text(encoding="utf-8"),
        "conf.d/hosts.conf": host("app1", "locally", variables),
    }
    node = Icinga2(tmp_path / "icinga2", Path(PLUGIN).parent, files)
    with node.running() as icinga:
        result = icinga.result("app1")
        assert (result.state, result.output, result.long_output) == (
            CRITICAL,
            "CELERY WORKERS CRITICAL - 1 of 3 workers missing: w-2@a ",
            "Worker w-2@a was missing",
        )
        (tmp_path / "answer").write_text(ANSWER.replace("w-3", "w-2").replace("2 nodes", "->  w-3@a: OK\n\n3 nodes"))
        result = icinga.result("app1", until=lambda result: result.state == OK)
        assert result.output == "CELERY WORKERS OK - 3 of 3 workers online on 1 server "


def copy_of_the_clone(directory: Path, version: str) -> Path:
    """Return a directory with what the package is built from, with another version."""
    for name in ("check_celery_workers", "contrib"):
        shutil.copytree(CLONE / name, directory / name)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(CLONE / name, directory)
    module = directory / "check_celery_workers" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace(f'"{__version__}"', f'"{version}"'), encoding="utf-8")
    return directory


def test_upgrade(installed: Machine, package: Path, tmp_path: Path) -> None:
    clone = copy_of_the_clone(tmp_path / "clone", "99.0rc1")
    shutil.copy(package, clone)
    build_it, install_it = commands("7. Upgrade")
    assert installed.run(build_it, clone) == "./check-celery-workers_99.0~rc1_all.deb\n"
    installed.run(install_it, clone)
    assert installed.run(f"{PLUGIN} -V || exit 0", Path("/")) == "check_celery_workers 99.0rc1\n"


def test_purge_leaves_nothing(installed: Machine) -> None:
    assert MODULES in installed.added()
    (purge,) = commands("8. Remove")
    installed.run(purge, Path("/"), text="y\n")
    assert installed.added() == set()
    told = installed.run("! dpkg-query --show check-celery-workers", Path("/"))
    assert told == "dpkg-query: no packages found matching check-celery-workers\n"
