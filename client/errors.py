"""What can go wrong between a person's wish and the cluster; every message says what to do next.

ClientError
├── NotFound           the object does not exist
├── Refused            the cluster is in a state in which the wish makes no sense; nothing was written
│   ├── ObjectUnreadable   what is stored can't be read, so it is not merged with or patched
│   └── Conflicted         an apply would change fields that other managers have set
├── Contended          others wrote the object at every try
├── TimedOut           what was waited for did not happen in time
├── AgentUnavailable   the agent of a node does not answer, or refuses
│   └── NodeSilent         it does not even take a connection
├── LeaderUnavailable  no leader can be asked, or it does not answer
├── Unreachable        no endpoint of etcd answers
└── BadOption          a selector, an option or an environment variable that can't be used
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.conflicts import Conflict


class ClientError(Exception):
    """Base of all errors of the client."""


class NotFound(ClientError):
    """The object does not exist."""


class Refused(ClientError):
    """The wish makes no sense now; nothing was written."""


class ObjectUnreadable(Refused):
    """The stored object can't be read."""


class Conflicted(Refused):
    """An apply would change fields that other managers have set. `found`: (object, conflict)."""

    def __init__(self, found: "Iterable[tuple[str, Conflict]]") -> None:
        self.found = tuple(found)
        listed = "".join(f"\n  {ref} {conflict}" for ref, conflict in self.found)
        super().__init__(
            f"nothing was written, as these fields were set by others:{listed}\n"
            "leave them out of the manifest, have the others leave them out, or take them over with --force-conflicts"
        )


class Contended(ClientError):
    """Others wrote the object at every try."""


class TimedOut(ClientError):
    """What was waited for did not happen in time."""


class AgentUnavailable(ClientError):
    """The agent of a node does not answer, or refuses."""


class NodeSilent(AgentUnavailable):
    """The agent of a node does not even take a connection."""


class LeaderUnavailable(ClientError):
    """No leader can be asked, or it does not answer."""


class Unreachable(ClientError):
    """No endpoint of etcd answers."""


class BadOption(ClientError):
    """A selector, an option or an environment variable that can't be used."""
