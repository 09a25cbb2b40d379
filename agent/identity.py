"""Who this agent is, across restarts: a folder with a lock and one small JSON file.

The highest revision seen tells, at the next start, whether the store went back meanwhile. It is saved at most
every ten seconds: a rewind by less than that is found by the leader, or by an agent that was running.
"""

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from agent.errors import StateFolderBusy, StateUnreadable
from agent.standing import Identity
from sealing.errors import BadKey
from sealing.keys import KeyPair, ensure_key_pair

__all__ = ["Identity", "IdentityKeeper", "StateFolder", "node_key_pair"]

SAVE_EVERY_S = 10.0
_FILE, _LOCK, _KEY = "identity.json", "lock", "node.key"


def node_key_pair(folder: Path) -> KeyPair:
    """Return this node's own key pair, made on first use: secrets of its tasks are sealed to it.

    Without the file the agent makes another, and the leader seals anew. Raises StateUnreadable, OSError.
    """
    try:
        return ensure_key_pair(folder.resolve() / _KEY)
    except BadKey as error:
        raise StateUnreadable(f"{error}; or remove it, and the agent makes a new one") from None


class IdentityKeeper:
    """The identity in memory, saved by `save` when it matters. One thread changes it, any may read it."""

    def __init__(self, identity: Identity, save: Callable[[Identity], None]) -> None:
        self.identity = identity
        self._save = save
        self._saved_at = 0.0

    def update(self, **changes: Any) -> None:
        """Change fields of the identity and save them; Any as the fields differ in type."""
        changed = replace(self.identity, **changes)
        if changed != self.identity:
            self.identity = changed
            self._save(changed)

    def saw_revision(self, revision: int, now: float) -> None:
        """Remember the highest revision seen; saved once in a while only."""
        if revision <= self.identity.highest_revision or now < self._saved_at + SAVE_EVERY_S:
            return
        self._saved_at = now
        self.update(highest_revision=revision)

    def rewound(self, seen: int) -> None:
        """Remember that the store went back from `seen`; revisions count afresh."""
        rewound_from = max(seen, self.identity.rewound_from)
        self.update(rewound_from=rewound_from, highest_revision=0)


class StateFolder:
    """The folder of one agent, locked while it is open. Raises StateFolderBusy, StateUnreadable, OSError."""

    def __init__(self, folder: Path, new_uid: Callable[[], str]) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateFolderBusy(
                f"another agent uses the state folder {self.folder}; give this one its own --state-dir"
            ) from None
        try:
            self.keeper = IdentityKeeper(self._load(new_uid), self._save)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._lock)

    def _load(self, new_uid: Callable[[], str]) -> Identity:
        path = self.folder / _FILE
        try:
            raw = json.loads(path.read_text())
            names = Identity.__dataclass_fields__
            known = {name: value for name, value in raw.items() if name in names}
            ids = {name: tuple(known.get(name, ())) for name in ("halted", "hooks_due")}
            return Identity(**{**known, **ids})
        except FileNotFoundError:
            identity = Identity(node_uid=new_uid())
            self._save(identity)
            return identity
        except (ValueError, TypeError, AttributeError) as error:
            raise StateUnreadable(
                f"{path} can't be read ({error}); restore it, or remove it to become a new node"
            ) from None

    def _save(self, identity: Identity) -> None:
        """Replace the file so that a crash leaves either the old or the new one."""
        path = self.folder / _FILE
        temporary = path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(identity), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
