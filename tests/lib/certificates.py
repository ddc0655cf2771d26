"""Certificates for the tests, made by openssl: of an authority, of a server at 127.0.0.1, and of a client."""

from __future__ import annotations

import subprocess
from pathlib import Path

from daemons import executable

NAMES = ("server", "client")


def make_certificates(directory: Path) -> None:
    """Write ca.crt, and NAME.crt and NAME.key, signed by it, for the server and the client."""
    openssl = executable("openssl", package="openssl")
    make = (
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    )

    def run(*arguments: str) -> None:
        subprocess.run((*make, *arguments), cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    run("-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.crt")
    for name in NAMES:
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        no_authority = ("-addext", "basicConstraints=critical,CA:FALSE")
        run("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt", *signed, *no_authority)
