"""What binds the members of a gang together: the attempt in which they are held, and the record that starts them.

All bindings of an attempt are Hold until the record of it is there; it is one key, so that all start or none.
"""

from typing import Literal

from schemas.meta import Model


class GangPlace(Model):
    """Of which attempt a binding is, and how many bindings the attempt has."""

    uid: str
    size: int


class GangCommit(Model):
    """The members of an attempt are to run. members: task uid -> bindingUid."""

    kind: Literal["GangCommit"] = "GangCommit"
    uid: str
    members: dict[str, str]
