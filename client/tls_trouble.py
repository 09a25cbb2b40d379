"""Why TLS fails: looks at the files of a context and knocks at the server, after a connection has failed.

Only then: it loads `cryptography`, and takes up to a second for an endpoint.
"""

import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

KNOCK_TIMEOUT_S = 0.5  # for each step of a handshake
DEFAULT_PORT = 2379
RENEW = "get a new one; for the cluster of this machine: berth down, then berth up"


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of the CA's certificate, and of one's own certificate and key; "" for none."""

    ca: str
    cert: str
    key: str


def explain(endpoints: tuple[str, ...], ca_file: str, cert_file: str, key_file: str) -> str:
    """Return the first thing that is wrong, as a sentence with what to do; "" where nothing is found."""
    files = Files(ca_file, cert_file, key_file)
    return _file_trouble(files) or next(
        filter(None, (server_trouble(endpoint, files) for endpoint in endpoints)), ""
    )


def _file_trouble(files: Files) -> str:
    for name, path in (("CA certificate", files.ca), ("certificate", files.cert)):
        if path and (why := certificate_trouble(name, path, datetime.now(UTC))):
            return why
    return pair_trouble(files)


def certificate_trouble(name: str, path: str, now: datetime) -> str:
    """Return what is wrong with the certificate in a file, "" if nothing."""
    try:
        certificate = read_certificate(path)
    except (OSError, ValueError) as error:
        return f"the {name} {path} can't be read ({error}); it must be a PEM file"
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if ends <= now:
        return f"the {name} {path} expired on {ends:%Y-%m-%d %H:%M} UTC; {RENEW}"
    if begins > now:
        return f"the {name} {path} is valid from {begins:%Y-%m-%d %H:%M} UTC on; is the clock right?"
    return ""


def read_certificate(path: str) -> "Certificate":
    """Return the first certificate of a PEM file. Raises OSError, ValueError."""
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(Path(path).read_bytes())


def pair_trouble(files: Files) -> str:
    """Return why certificate and key don't belong together, "" if they do or there are none."""
    if not files.cert:
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(files.cert, files.key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key {files.key} is not that of the certificate {files.cert}; give both of one pair"
        return f"the key {files.key} can't be used ({error.reason or error}); it must be a PEM file without a password"
    except (OSError, ValueError) as error:
        return f"certificate {files.cert} and key {files.key} can't be read: {error}"
    return ""


def server_trouble(endpoint: str, files: Files) -> str:
    """Return why a handshake with a server fails, "" if it does not, or if nobody listens."""
    url = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    address = (url.hostname or "", url.port or DEFAULT_PORT)
    try:
        _handshake(address, files)
    except ssl.SSLCertVerificationError as error:
        return _unverified(endpoint, files, error)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        if _speaks_plainly(address):
            return (
                f"{endpoint} does not speak TLS; write http:// and no certificates, if that is what you want"
            )
        return next((told(endpoint, files) for part, told in _ALERTS if part in str(error).upper()), "")
    return ""


def _speaks_plainly(address: tuple[str, int]) -> bool:
    """Say whether a server answers HTTP without TLS; a server with TLS answers 400 to it, or nothing."""
    connection = http.client.HTTPConnection(*address, timeout=KNOCK_TIMEOUT_S)
    try:
        connection.request("GET", "/version")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _handshake(address: tuple[str, int], files: Files) -> None:
    """Shake hands, and wait for the server's verdict on our certificate, which in TLS 1.3 comes afterwards."""
    context = ssl.create_default_context(cafile=files.ca)
    if files.cert:
        context.load_cert_chain(files.cert, files.key, password="")
    with (
        socket.create_connection(address, KNOCK_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=address[0]) as secure,
    ):
        try:
            secure.recv(1)
        except TimeoutError:
            return


def _unverified(endpoint: str, files: Files, error: ssl.SSLCertVerificationError) -> str:
    told = error.verify_message.lower()
    if "expired" in told:
        return f"the certificate of {endpoint} has expired; {RENEW}"
    if "mismatch" in told or "not valid for" in told:
        return f"the certificate of {endpoint} is for another name ({error.verify_message}); use that name"
    return (
        f"the certificate of {endpoint} is not from the CA in {files.ca} ({error.verify_message}); "
        "give the CA of that cluster with --cacert"
    )


_ALERTS: tuple[tuple[str, Callable[[str, Files], str]], ...] = (
    (
        "CERTIFICATE_REQUIRED",
        lambda endpoint, files: f"{endpoint} wants a client certificate; give --cert and --key",
    ),
    (
        "CERTIFICATE_EXPIRED",
        lambda endpoint, files: f"{endpoint} says that the certificate {files.cert} has expired; {RENEW}",
    ),
    (
        "UNKNOWN_CA",
        lambda endpoint, files: (
            f"{endpoint} does not know the CA of the certificate {files.cert}; give one of that cluster"
        ),
    ),
    (
        "BAD_CERTIFICATE",
        lambda endpoint, files: (
            f"{endpoint} refuses the certificate {files.cert}; give one of that cluster's CA"
            if files.cert
            else f"{endpoint} wants a client certificate; give --cert and --key"
        ),
    ),
)
"""Part of OpenSSL's name of what the server said -> what that means."""
