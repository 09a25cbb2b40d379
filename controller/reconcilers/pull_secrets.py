"""Secrets that a task pulls its images with: may it be placed, and are the copies in its binding as they should be?

A task waits until every Secret that it names can be used. Its binding holds a copy of each, sealed to the key of its
node; a copy is made anew when the Secret or the node's key has changed, and the task runs on. Pure: what a copy is
made of is the matter of `controller.sealing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.binding import Binding, Desired
from schemas.meta import Condition, find_condition, set_condition
from schemas.status import TaskStatus
from schemas.timestamps import format_time

MISSING, UNUSABLE = "SecretMissing", "SecretUnusable"


@dataclass(frozen=True, slots=True)
class PullSecrets:
    """The Secrets that a task names. usable: name -> id of its box. missing, unusable: name -> why, a sentence."""

    usable: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """A stable word for what is wrong, empty when nothing is."""
        return MISSING if self.missing else UNUSABLE if self.unusable else ""

    @property
    def message(self) -> str:
        return "; ".join((*self.missing.values(), *self.unusable.values()))


NO_SECRETS = PullSecrets()


@dataclass(frozen=True, slots=True)
class Copies:
    """What is to change in a binding: names of Secrets to copy anew, and those whose copies are to go."""

    renew: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


def copies_to_change(binding: Binding, secrets: PullSecrets, node_key_id: str) -> Copies | None:
    """Return which copies differ from what they should be, None if all are right.

    A Secret that is there and can't be opened keeps the copy that it has: what can't be read is not absent.
    """
    if binding.desired is Desired.STOP or not node_key_id:
        return None
    renew = tuple(
        name
        for name, box_id in secrets.usable.items()
        if (have := binding.sealed.get(name)) is None or (have.of, have.to) != (box_id, node_key_id)
    )
    kept = secrets.usable.keys() | secrets.unusable.keys()
    drop = tuple(name for name in binding.sealed if name not in kept)
    return Copies(renew, drop) if renew or drop else None


def with_secrets(status: TaskStatus, secrets: PullSecrets, now: float) -> TaskStatus:
    """Say in the status of a task without a node which Secret it waits for, and take that back when it is there."""
    if secrets.reason:
        waits = Condition(
            type="Scheduled",
            status="False",
            reason=secrets.reason,
            message=secrets.message,
            last_transition_time=format_time(now),
        )
        told = {"reason": secrets.reason, "message": secrets.message}
        return status.model_copy(update={**told, "conditions": set_condition(status.conditions, waits)})
    if status.reason not in (MISSING, UNUSABLE):
        return status
    found = find_condition(status.conditions, "Scheduled")
    kept = tuple(each for each in status.conditions if each is not found)
    return status.model_copy(update={"reason": "", "message": "", "conditions": kept})
