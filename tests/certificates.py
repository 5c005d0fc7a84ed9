"""Certificates for tests, made with openssl: of localhost, for any span of time."""

import datetime as dt
import ssl
import subprocess
from pathlib import Path

import msgspec

_CONFIGURATION = """
[ca]
default_ca = own
[own]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = host
[any]
commonName = supplied
[host]
subjectAltName = DNS:localhost,IP:127.0.0.1
basicConstraints = critical,CA:TRUE
"""


class Certificate(msgspec.Struct, frozen=True):
    """A certificate that signs itself."""

    file: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS settings of a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def certificate(folder: Path, begin_days: int = -1, end_days: int = 30) -> Certificate:
    """Make one that is valid from so many days after now to so many."""
    folder.mkdir()
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    configuration = folder / "openssl.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder))
    key, request, made = folder / "key.pem", folder / "request.pem", folder / "certificate.pem"
    wanted = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    _openssl(*wanted.split(), "-keyout", key, "-out", request)
    span = ("-startdate", _asn1(begin_days), "-enddate", _asn1(end_days))
    files = ("-config", configuration, "-in", request, "-keyfile", key, "-out", made)
    _openssl("ca", "-batch", "-selfsign", "-notext", *files, *span)
    return Certificate(made, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _asn1(days: int) -> str:
    return f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=days):%Y%m%d%H%M%SZ}"
