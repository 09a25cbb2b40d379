"""Request: a wish of a person about an object, one key per verb; the leader acts and removes it."""

from typing import Literal

from schemas.meta import Model


class DeleteRequest(Model):
    """Delete the object of that uid; `grace_s` overrides the task's own grace."""

    kind: Literal["DeleteRequest"] = "DeleteRequest"
    uid: str
    grace_s: float | None = None
    requested_at: str = ""
    cascade: Literal["background", "foreground", "orphan"] = "background"


class EvictRequest(Model):
    """Move the task of that uid away from its node, as its budgets allow; it is bound again, maybe elsewhere."""

    kind: Literal["EvictRequest"] = "EvictRequest"
    uid: str
    binding_uid: str = ""  # only if it is still this one
    requested_at: str = ""


class SyncRequest(Model):
    """Look at the repository of a GitSource now. `heal`: put right what drifted, too, as a person wants who asks."""

    kind: Literal["SyncRequest"] = "SyncRequest"
    requested_at: str = ""
    heal: bool = True


class FenceRequest(Model):
    """An operator asserts that a node is dead: nothing of it runs or will run."""

    kind: Literal["FenceRequest"] = "FenceRequest"
    node_uid: str = ""
    requested_at: str = ""
