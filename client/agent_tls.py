"""The certificates with which agents and the leader are spoken to. Light to import: every client holds one of these."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from urllib.parse import SplitResult


@dataclass(frozen=True, slots=True)
class AgentTls:
    """Files for TLS towards agents and the leader: those of etcd."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def context(self) -> "ssl.SSLContext":
        import ssl

        context = ssl.create_default_context(cafile=self.ca_file or None)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file or None)
        return context


def is_in_the_clear(url: "SplitResult") -> bool:
    """Say whether what is sent there crosses a network unencrypted: not https, and not this host for certain."""
    from ipaddress import ip_address

    if url.scheme == "https" or url.hostname == "localhost":
        return False
    try:
        return not ip_address(url.hostname or "").is_loopback
    except ValueError:
        return True
