"""Certificates for the tests: an authority of their own, a server at 127.0.0.1, and a client."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(("openssl", *arguments), stdin=subprocess.DEVNULL, capture_output=True, check=True)


def make_certificates(folder: Path) -> None:
    """Write ca.pem, and {server,client}.pem and .key that it has signed; another-ca.pem has signed none."""
    for authority in ("ca", "another-ca"):
        key, certificate = folder / f"{authority}.key", folder / f"{authority}.pem"
        openssl(
            "req", "-x509", *KEY, "-keyout", key, "-out", certificate, "-days", "36500", "-subj", f"/CN={authority}"
        )
    extension = folder / "extension"
    extension.write_text("subjectAltName = IP:127.0.0.1\n", encoding="ascii")
    signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", extension)
    for owner in ("server", "client"):
        key, request = folder / f"{owner}.key", folder / f"{owner}.csr"
        openssl("req", *KEY, "-keyout", key, "-out", request, "-subj", f"/CN={owner}")
        openssl("x509", "-req", "-in", request, *signed, "-out", folder / f"{owner}.pem", "-days", "36500")
