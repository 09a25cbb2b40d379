"""The slow work for a source: git, and what is read and written of the cluster. Runs in a worker's thread.

Every outcome is a value: what was learned, or why not. What was read of a commit is kept until the next one.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from client.errors import ClientError
from gitops.actions import Applied, Apply, Failed, Fetch, Fetched, Job, Look, Looked, Outcome
from gitops.applying import Applying
from gitops.checking import documents_of, told
from gitops.credentials import access, read_secret
from gitops.errors import SyncError
from gitops.facts import Failure, Source, Tip
from gitops.mirror import Mirror, Wanted
from gitops.program import Git, clean
from schemas.errors import InvalidManifest, SchemaError
from schemas.keys import Keys
from schemas.manifest import Document
from sealing.keys import KeyPair
from store.api import Store
from store.errors import Deposed, Rewound, StoreError

log = logging.getLogger(__name__)


class Worker:
    """Does the jobs of all sources, each source's one after the other. scratch, mirrors: private folders."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        git: Git,
        *,
        key_pair: KeyPair | None,
        scratch: Path,
        mirrors: Path,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._keys = keys
        self._git = git
        self._key_pair = key_pair
        self._scratch = scratch
        self._mirrors = mirrors
        self._applying = Applying(store, keys, now)
        self._read: dict[
            str, tuple[tuple[str, int], tuple[Document, ...]]
        ] = {}  # uid -> (commit, generation), documents

    def do(self, source: Source, job: Job, synced: str) -> Outcome:
        """Do one job. synced: the commit that was synced before, empty for none. Raises Rewound only."""
        try:
            match job:
                case Fetch():
                    return Fetched(self._fetch(source, synced))
                case Apply(tip):
                    documents = self._documents(source, tip.commit.id)
                    return Applied(tip.commit, self._applying.apply(source, tip.commit.id, documents))
                case Look(tip):
                    documents = self._documents(source, tip.commit.id)
                    return Looked(self._applying.look(source, tip.commit.id, documents))
        except Rewound:
            raise
        except Deposed as error:
            return Failed(type(job), Failure("Deposed", str(error)), is_over=True)
        except (
            Exception
        ) as error:  # the border of a worker: whatever it is, the source says so and is tried again
            commit = "" if isinstance(job, Fetch) else job.tip.commit.id
            return Failed(type(job), failure_of(error, commit))

    def _fetch(self, source: Source, synced: str) -> Tip:
        spec, mirror = source.spec, self._mirror(source)
        wanted = Wanted(spec.ref, spec.commit or "")
        place = spec.credentials
        values = read_secret(self._store, self._keys, place, self._key_pair) if place is not None else {}
        with access(spec.url, values, self._scratch) as reached:
            commit = mirror.fetch(reached, wanted, mirror.tip(reached, wanted))
        is_pinned = spec.commit is not None
        is_new = bool(synced) and synced != commit and not is_pinned
        rewritten = synced if is_new and not mirror.descends(commit, synced) else ""
        return Tip(mirror.commit(commit), rewritten)

    def _documents(self, source: Source, commit: str) -> tuple[Document, ...]:
        """Return what a commit holds; kept for the next look, as a commit never changes."""
        what = (commit, source.generation)
        known = self._read.get(source.uid)
        if known is None or known[0] != what:
            mirror, spec = self._mirror(source), source.spec
            variables = mirror.file(commit, spec.vars) if spec.vars else None
            documents = documents_of(source, mirror.files(commit, spec.folder), variables)
            known = self._read[source.uid] = (what, documents)
        return known[1]

    def _mirror(self, source: Source) -> Mirror:
        return Mirror(self._git, self._mirrors / f"{re.sub('[^-0-9a-zA-Z]', '', source.uid)}.git")

    def forget(self, source: Source) -> None:
        """Remove what is kept of a source that is gone."""
        self._read.pop(source.uid, None)
        self._mirror(source).forget()


def failure_of(error: Exception, commit: str) -> Failure:
    """Return what to tell of an error, in one line; one that nobody foresaw is logged with all that is known."""
    reason, message = _told(error)
    return Failure(reason, clean(message), commit)


def _told(error: Exception) -> tuple[str, str]:
    """Return a reason in a word, and the message."""
    match error:
        case InvalidManifest():
            return "BadManifests", f"nothing of it was applied: {told(error.problems)}"
        case SyncError():
            return error.reason, str(error)
        case ClientError() | SchemaError():
            return "Refused", str(error)
        case StoreError():
            return "StoreFailed", f"etcd: {error}"
        case OSError():
            return "HostFailed", f"on the host of the leading controller: {error}"
        case _:
            log.exception("sync failed", exc_info=error)
            return "Bug", f"{type(error).__name__}; the log of the leading controller says more"
