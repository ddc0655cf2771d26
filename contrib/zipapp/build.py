#!/usr/bin/env python3
"""Build check_celery_workers.pyz: the plugin and nagiosplugin in one file, for hosts without pip.

    python3 contrib/zipapp/build.py
    scp check_celery_workers.pyz app1:/usr/lib/nagios/plugins/check_celery_workers

It runs on any Python from 3.9; --broker needs kombu there. It starts as fast as the installed plugin on the Python that
--python names, for which alone it holds compiled code: the one of the host that it is for, which has to be on this
machine as well. The same files give the same bytes.
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
PACKAGES = ("check_celery_workers", "nagiosplugin")
# kombu is not inside: it is that of the host's Python, which looks for packages only where this one is needed.
SITE = """
if any(argument.startswith("--broker") for argument in sys.argv):
    import site

    site.main()
"""


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--python", default="/usr/bin/python3", help="of the host, by default %(default)s")
    parser.add_argument("--output", type=Path, default=Path("check_celery_workers.pyz"), help="by default %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary)
        install(tree)
        compile_all(tree, options.python)
        pack(tree, options.python, options.output)


def install(tree: Path) -> None:
    """Put the packages, and under which licence they are, into the directory and nothing else."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, "install", "--no-compile", "--target", tree, CLONE), check=True)
    for path in tree.iterdir():
        if path.name not in PACKAGES and not path.name.endswith(".dist-info"):
            shutil.rmtree(path)
    for path in tree.glob("*.dist-info/*"):
        # What else pip notes there differs from one machine to another.
        if path.is_file() and path.name != "METADATA" and not path.name.startswith("LICENSE"):
            path.unlink()
    main = (tree / "check_celery_workers" / "__main__.py").read_text(encoding="utf-8")
    (tree / "__main__.py").write_text(main.replace("import sys\n", f"import sys\n{SITE}", 1), encoding="utf-8")


def compile_all(tree: Path, python: str) -> None:
    """Compile every module for this Python, beside its source, which is there for all other versions."""
    compiler = (python, "-S", "-m", "compileall", "-q", "-b", "--invalidation-mode", "unchecked-hash")
    # Before Python 3.11 the order of a set's elements is part of the compiled code.
    subprocess.run((*compiler, "-s", tree, tree), env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)


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
    main()
