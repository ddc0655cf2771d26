#!/usr/bin/env python3
"""Build check_celery_workers.pyz: the plugin and nagiosplugin in one file, for hosts without pip.

    python3 contrib/zipapp/build.py
    scp check_celery_workers.pyz app1:/usr/local/bin/check_celery_workers

It runs on any Python from 3.9; --broker needs kombu there. It starts as fast as the installed plugin on the Python that
--python names, for which alone it holds compiled code: the one of the host that it is for, which has to be on this
machine as well. The same commit and the same version of that Python give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
# One version, so that a commit gives the same bytes at any time.
NAGIOSPLUGIN = "nagiosplugin==1.4.0"
# kombu is not inside: it is that of the host's Python, which looks for packages only where this one is needed.
SITE = """
if any(argument.startswith("--broker") for argument in sys.argv):
    import site

    site.main()
"""


def main() -> str | None:
    """Build what the command line asks for; return why that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--python", default="/usr/bin/python3", help="of the host, by default %(default)s")
    parser.add_argument("--output", type=Path, default=Path("check_celery_workers.pyz"), help="by default %(default)s")
    options = parser.parse_args()
    if not options.python.startswith("/"):
        return f"--python must be a whole path, so that the file starts everywhere, and is {options.python}"
    try:
        with tempfile.TemporaryDirectory() as temporary:
            tree = Path(temporary)
            install(tree)
            compile_all(tree, options.python)
            pack(tree, options.python, options.output)
    except OSError as error:
        return f"The file cannot be built: {error}"
    return None


def install(tree: Path) -> None:
    """Put the packages, and under which licence they are, into the directory and nothing else."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(f"pip cannot install {NAGIOSPLUGIN}", tree, *pip, "install", "--no-compile", "--target", tree, NAGIOSPLUGIN)
    for path in tree.glob("*.dist-info/*"):
        # What else pip notes there differs from one machine to another.
        if path.is_file() and path.name != "METADATA" and not path.name.startswith("LICENSE"):
            path.unlink()
    package = tree / "check_celery_workers"
    shutil.copytree(CLONE / package.name, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CLONE / "LICENSE", package)
    main = (package / "__main__.py").read_text(encoding="utf-8")
    (tree / "__main__.py").write_text(main.replace("import sys\n", f"import sys\n{SITE}", 1), encoding="utf-8")


def compile_all(tree: Path, python: str) -> None:
    """Compile every module for this Python, beside its source, which is there for all other versions."""
    compiler = (python, "-S", "-m", "compileall", "-q", "-b", "--invalidation-mode", "unchecked-hash")
    failure = f"{python} cannot compile the plugin, which needs Python 3.9 or later"
    # Before Python 3.11 the order of a set's elements is part of the compiled code.
    run(failure, tree, *compiler, "-s", tree, tree, PYTHONHASHSEED="0")


def run(failure: str, directory: Path, *command: str | Path, **variables: str) -> None:
    """Run a command of Python; SystemExit with one line where it fails.

    It runs in the directory, as Python takes modules of the current one for its own, and without variables for Python.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=directory,
        env={**env, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = done.stdout.split("\n")
        sys.exit(": ".join([failure, *[line.strip() for line in said if line.strip()][-1:]]))


def pack(tree: Path, python: str, output: Path) -> None:
    """Write what is in the directory as an executable file, with nothing in it that depends on where and when.

    It is stored as it is: to load zlib and to uncompress takes longer than to read more.
    """
    with output.open("wb") as file:
        # Isolated, and without site-packages, which only --broker needs: safe under sudo, and sooner there.
        file.write(f"#!{python} -IS\n".encode())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(path for path in tree.rglob("*") if path.is_file()):
                archive.writestr(zipfile.ZipInfo(str(path.relative_to(tree))), path.read_bytes())
    output.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
