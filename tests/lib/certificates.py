"""Certificates for the tests, made by openssl: of an authority, of a server at 127.0.0.1, and of a client."""

from __future__ import annotations

import subprocess
from pathlib import Path

from daemons import executable

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "36500")


def make_certificates(folder: Path) -> None:
    """Write ca.pem, and {server,client}.pem and .key that it has signed; another-ca.pem has signed none."""
    openssl = executable("openssl", package="openssl")

    def make(owner: str, *arguments: str) -> None:
        command = (openssl, "req", "-x509", *_EC, "-subj", f"/CN={owner}", "-keyout", f"{owner}.key")
        files = (*command, "-out", f"{owner}.pem", *arguments)
        subprocess.run(files, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    make("ca")
    make("another-ca")
    for owner in ("server", "client"):
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        make(owner, *signed, "-addext", "basicConstraints=critical,CA:FALSE")
