"""What can go wrong with the cluster of one machine; every message says what to do next.

ClientError
└── LocalError      the cluster can't be started, stopped or found
    ├── RunsAlready     another `berth up` holds the data folder
    └── Ended           a process of the cluster ended while the cluster was starting
"""

from client.errors import ClientError


class LocalError(ClientError):
    """The cluster of this machine can't be started, stopped or found."""


class RunsAlready(LocalError):
    """Another `berth up` holds the data folder."""


class Ended(LocalError):
    """A process of the cluster ended while the cluster was starting."""
