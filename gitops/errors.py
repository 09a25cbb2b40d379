"""What can go wrong between a repository and the cluster; every message says what to do next.

SyncError              a source can't be synced now; it is tried again
├── GitFailed          the program git failed: no such repository, no network, no right
├── RefMissing         the branch, tag or commit is not there
├── BadTree            the commit holds what is not read: links, submodules, too much of something
├── BadCredentials     the Secret is missing, has not what is needed, or the server does not take it
├── NotTrusted         the server does not prove to be the one that is meant: its host key, its certificate
├── NotAllowed         the manifests are about what the source may not write, or what another one writes
├── PrunesAll          nothing would be left of what the source wrote
└── Blocked            something has to end first, such as a deletion
"""


class SyncError(Exception):
    """Base of all that keeps a source from being synced. `reason`: one word for programs."""

    reason = "SyncFailed"


class GitFailed(SyncError):
    """The program git failed."""

    reason = "FetchFailed"


class RefMissing(SyncError):
    """The branch, tag or commit is not in the repository."""

    reason = "RefMissing"


class BadTree(SyncError):
    """The commit holds what is not read from a repository."""

    reason = "BadTree"


class BadCredentials(SyncError):
    """The Secret with the credentials can't be used."""

    reason = "BadCredentials"


class NotTrusted(SyncError):
    """The server does not prove to be the one that is meant."""

    reason = "NotTrusted"


class NotAllowed(SyncError):
    """The source may not write this."""

    reason = "NotAllowed"


class PrunesAll(SyncError):
    """Nothing would be left of what the source wrote."""

    reason = "PrunesAll"


class Blocked(SyncError):
    """Something has to end first."""

    reason = "Blocked"
