"""The certificates with which agents are spoken to. Light to import: every client holds one of these."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class AgentTls:
    """Files for TLS towards agents: those of etcd."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def context(self) -> "ssl.SSLContext":
        import ssl

        context = ssl.create_default_context(cafile=self.ca_file or None)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file or None)
        return context
