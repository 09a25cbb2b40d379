"""What a verb is given: the settings, a way to a client, the time, and where text goes.

Data goes to stdout, everything else to stderr. Tests bring their own client and time.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from client.connect import Settings

if TYPE_CHECKING:
    from client.client import Client

Say = Callable[[str], None]


class ExitWith(Exception):
    """Ends a verb with the exit code of somebody else's process, whatever that code means to us."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command. `now`: seconds since the epoch."""

    settings: Settings
    open_client: Callable[[Settings, Say], "Client"]
    now: Callable[[], float] = time.time

    @property
    def namespace(self) -> str:
        return self.settings.namespace

    def client(self) -> "Client":
        """Open a client; use it in a `with` block."""
        return self.open_client(self.settings, note)


def session_of(context: typer.Context) -> Session:
    """Return the session that `main` put into the context."""
    session = context.find_root().obj
    assert isinstance(session, Session)
    return session


def out(text: str, end: str = "\n") -> None:
    """Print data."""
    sys.stdout.write(text + end)


def note(text: str) -> None:
    """Print what is not data: notices and warnings."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def open_client(settings: Settings, say: Say) -> "Client":
    """Connect to the cluster. Raises Unreachable, BadOption."""
    from client.agent_tls import AgentTls
    from client.client import Client
    from client.connect import open_store
    from schemas.keys import Keys

    tls = AgentTls(settings.ca_file, settings.cert_file, settings.key_file)
    keys = Keys(settings.prefix)
    return Client(open_store(settings), keys, say=say, agent_tls=tls, namespace=settings.namespace)
