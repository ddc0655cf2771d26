"""Change the pure modules in a copy, one mistake at a time, and see which mistakes no test notices.

    .venv/bin/nox -s mutation

The mutants that may survive are in survivors.txt beside this file, each with the reason why it does no harm. Any other
one is printed in the form of that file, and makes the run fail; so does one in the file that survives no more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from paths import CLONE

from mutation.trial import SURVIVED, pytest_arguments

SURVIVORS = Path(__file__).with_name("survivors.txt")
MUTMUT = (sys.executable, "-m", "mutmut")
FEW = "check_celery_workers.threshold.x_*__mutmut_1"


def main() -> None:
    """Run mutmut, and compare what survives with what may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "mutants", nargs="*", help="names with wildcards, such as 'check_celery_workers.node.*'; or all"
    )
    names = parser.parse_args().mutants
    with TemporaryDirectory(prefix="mutation-") as temporary:
        folder = Path(temporary)
        copy(folder)
        # It makes all mutants and notes which tests reach each function. It tries few, for trial.py does that faster.
        subprocess.run((*MUTMUT, "run", FEW), cwd=folder, check=True)
        found = dict(survivors(folder, names))
    known = set(re.findall(r"^(?!#)(\S+\n(?:[-+].*\n)+)", SURVIVORS.read_text(encoding="utf-8"), re.MULTILINE))
    new = found.keys() - known
    gone = known - found.keys() if not names else set()
    for title, entries in (("not in survivors.txt", new), ("in survivors.txt, and gone", gone)):
        for entry in sorted(entries):
            print(f"# {title}\n{entry}", flush=True)
    print(f"{len(found)} survived, {len(new)} of them new; {len(gone)} gone")
    sys.exit(bool(new or gone))


def copy(folder: Path) -> None:
    """Copy the clone, and let mutmut change what coverage measures."""
    listed = subprocess.run(("git", "-C", CLONE, "ls-files"), stdout=subprocess.PIPE, check=True, encoding="utf-8")
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLONE / name, folder / name)
    settings = (folder / "pyproject.toml").read_text(encoding="utf-8")
    pure = settings.split("\ninclude = ", 1)[1].split("\n]", 1)[0] + "\n]"
    (folder / "pyproject.toml").write_text(
        settings.replace("[tool.mutmut]\n", f"[tool.mutmut]\nonly_mutate = {pure}\n"), encoding="utf-8"
    )


def survivors(folder: Path, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each mutant that no test noticed: its function and the lines that differ, and its name."""
    mutants = folder / "mutants"
    subprocess.run(
        (sys.executable, "-m", "mutation.trial", *patterns), cwd=mutants, env=environment(mutants), check=True
    )
    for name in json.loads((mutants / SURVIVED).read_text(encoding="utf-8")):
        shown = subprocess.run(
            (*MUTMUT, "show", name), cwd=folder, stdout=subprocess.PIPE, check=True, encoding="utf-8"
        ).stdout
        lines = re.findall(r"^[-+](?![-+]).*\n", shown, re.MULTILINE)
        function = name.partition("__mutmut")[0]
        if not (function.endswith("__init__") and is_noticed_from_the_start(folder, name)):
            yield "".join((f"{function}\n", *lines)), name


def is_noticed_from_the_start(folder: Path, name: str) -> bool:
    """Return whether the tests fail if the mutant is there before the imports, which make the tables of the modules.

    A fork changes a program that is already imported.
    """
    mutants = folder / "mutants"
    tried = subprocess.run(
        (sys.executable, "-m", "pytest", "-n", "auto", *pytest_arguments(mutants)),
        cwd=mutants,
        env=environment(mutants, name),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode != 0


def environment(mutants: Path, name: str = "") -> dict[str, str]:
    """Return the environment in which a program uses the changed plugin, with the mutant of this name."""
    path = os.pathsep.join(map(str, (mutants, mutants / "tests" / "lib", mutants / "tests")))
    temporary = mutants / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": path, "TMPDIR": str(temporary)}


if __name__ == "__main__":
    main()
