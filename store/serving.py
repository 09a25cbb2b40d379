"""How a controller and an agent serve over HTTP(S): the socket, the certificates, the address for others.

With a certificate a server speaks https only; with a CA for clients it demands a certificate of that CA before it
reads anything. Without one it speaks in the clear, which is for its own host.
"""

import socket
import ssl
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from store.errors import CannotServe

BACKLOG = 1024  # connections that wait to be taken


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files in PEM: of the server, and of the CA whose certificates clients must show; empty for none."""

    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""

    def check(self) -> None:
        """Raise CannotServe when the files can't be used."""
        if bool(self.cert_file) != bool(self.key_file):
            raise CannotServe("--server-cert and --server-key belong together: give both or none")
        if self.client_ca_file and not self.cert_file:
            raise CannotServe(
                "--client-ca needs --server-cert and --server-key: without TLS nobody shows one"
            )
        if not self.cert_file:
            return
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.cert_file, self.key_file)
            if self.client_ca_file:
                context.load_verify_locations(self.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))
            raise CannotServe(f"a certificate of the server can't be used ({files}): {error}") from None

    def for_anybody(self) -> "ServerTls":
        """Return how to serve those who have no certificate of their own."""
        return replace(self, client_ca_file="")

    def for_uvicorn(self) -> dict[str, Any]:  # Any: as uvicorn.Config takes them
        """Return the arguments of a uvicorn.Config."""
        return {
            "ssl_certfile": self.cert_file or None,
            "ssl_keyfile": self.key_file or None,
            "ssl_ca_certs": self.client_ca_file or None,
            "ssl_cert_reqs": ssl.CERT_REQUIRED if self.client_ca_file else ssl.CERT_NONE,
        }


PLAIN = ServerTls()


def bind_socket(listen: str, option: str = "--listen") -> socket.socket:
    """Return a socket that listens on `host:port`; port 0 takes a free one. option: which named it, for the message.

    Raises CannotServe.
    """
    host, _, port = listen.rpartition(":")
    if not port.isdecimal():
        raise CannotServe(f"{option} {listen!r} has no port; write it as HOST:PORT, such as 127.0.0.1:7602")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(BACKLOG)  # who comes before the server has started waits
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise CannotServe(f"can't listen on {listen}: {error}; choose another with {option}") from None
    return listener


def api_address(listener: socket.socket, address: str, tls: ServerTls = PLAIN) -> str:
    """Return the URL under which others reach `listener`: at `address` if it listens everywhere."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = address
    scheme = "https" if tls.cert_file else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_open(listener: socket.socket, tls: ServerTls) -> bool:
    """Say whether what is sent to `listener` may cross a network in the clear."""
    return not tls.cert_file and not ip_address(listener.getsockname()[0]).is_loopback


def primary_address() -> str:
    """Return the address that this host would use towards others, the loopback if it has none.

    A UDP socket is connected, which sends nothing, to an address that is reserved for documentation (RFC 5737).
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"
