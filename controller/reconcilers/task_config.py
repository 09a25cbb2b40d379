"""ConfigMaps and Secrets of a task: may it be placed, and are the copies in its binding as they should be?

A task waits until all that it must have can be used. Its binding holds copies: of ConfigMaps in clear, of Secrets
sealed to the key of its node, and only the keys that are taken. They are made anew when the object or the node's key
has changed, and the task runs on. Pure: what a sealed copy is made of is the matter of `controller.sealing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.binding import Binding, Desired
from schemas.configmap import ConfigCopy
from schemas.meta import Condition, find_condition, set_condition
from schemas.status import TaskStatus
from schemas.timestamps import format_time

SECRET_MISSING, SECRET_KEY_MISSING, SECRET_UNUSABLE = "SecretMissing", "SecretKeyMissing", "SecretUnusable"
CONFIG_MISSING, CONFIG_KEY_MISSING = "ConfigMapMissing", "ConfigMapKeyMissing"
CONFIG_UNUSABLE, TOO_LARGE = "ConfigMapUnusable", "ConfigTooLarge"
REASONS = (
    SECRET_MISSING,
    CONFIG_MISSING,
    SECRET_KEY_MISSING,
    CONFIG_KEY_MISSING,
    SECRET_UNUSABLE,
    CONFIG_UNUSABLE,
    TOO_LARGE,
)
"""What a task may wait for; of several, the first is its reason."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a task has to wait. message: a sentence that says what to do."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """How it stands with what a task takes.

    secrets: name of a Secret that can be used -> id of its box. config: name of a ConfigMap -> what is taken of it.
    kept_secrets, kept_config: names of those that are there and can't be used: copies of them stay as they are.
    """

    secrets: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, ConfigCopy] = field(default_factory=dict)
    kept_secrets: frozenset[str] = frozenset()
    kept_config: frozenset[str] = frozenset()
    lacks: tuple[Lack, ...] = ()

    @property
    def reason(self) -> str:
        """A stable word for what is wrong, empty when nothing is."""
        return min((lack.reason for lack in self.lacks), key=REASONS.index, default="")

    @property
    def message(self) -> str:
        return "; ".join(lack.message for lack in self.lacks)


NO_CONFIG = TaskConfig()


@dataclass(frozen=True, slots=True)
class Copies:
    """What is to change in a binding: Secrets to copy anew, and what is to be all of its ConfigMaps.

    drop: names of Secrets whose copies are to go.
    """

    renew: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    config: Mapping[str, ConfigCopy] = field(default_factory=dict)


def copies_to_change(binding: Binding, config: TaskConfig, node_key_id: str) -> Copies | None:
    """Return which copies differ from what they should be, None if all are right.

    What is there and can't be read or opened keeps the copy that it has: what can't be read is not absent. Without a
    key of the node its Secrets stay as they are. Too much at once is not handed over at all.
    """
    if binding.desired is Desired.STOP or any(lack.reason == TOO_LARGE for lack in config.lacks):
        return None
    renew = tuple(
        name
        for name, box_id in config.secrets.items()
        if (have := binding.sealed.get(name)) is None or (have.of, have.to) != (box_id, node_key_id)
    )
    stay = config.secrets.keys() | config.kept_secrets
    drop = tuple(name for name in binding.sealed if name not in stay)
    if not node_key_id:
        renew = drop = ()
    wanted = _wanted_config(binding, config)
    return Copies(renew, drop, wanted) if renew or drop or wanted != binding.config else None


def _wanted_config(binding: Binding, config: TaskConfig) -> dict[str, ConfigCopy]:
    kept = {name: copy for name, copy in binding.config.items() if name in config.kept_config}
    return {**kept, **config.config}


def with_config(status: TaskStatus, config: TaskConfig, now: float) -> TaskStatus:
    """Say in the status of a task without a node what it waits for, and take that back when it is there."""
    if config.reason:
        told = {"reason": config.reason, "message": config.message}
        return with_lack(status, config, now).model_copy(update=told)
    if status.reason not in REASONS:
        return status
    found = find_condition(status.conditions, "Scheduled")
    kept = tuple(each for each in status.conditions if each is not found)
    return status.model_copy(update={"reason": "", "message": "", "conditions": kept})


def with_lack(status: TaskStatus, config: TaskConfig, now: float) -> TaskStatus:
    """Say by a condition what a task waits for before it can be bound, be it to another node than now."""
    return _with_scheduled(status, "False", config.reason, config.message, now)


def without_lack(status: TaskStatus, now: float) -> TaskStatus:
    """Take back that a task waits for something to be bound elsewhere: its node answers again."""
    found = find_condition(status.conditions, "Scheduled")
    if found is None or found.reason not in REASONS:
        return status
    return _with_scheduled(status, "True", "Bound", f"bound to {status.node}", now)


def _with_scheduled(status: TaskStatus, is_so: str, reason: str, message: str, now: float) -> TaskStatus:
    condition = Condition.model_validate(
        {
            "type": "Scheduled",
            "status": is_so,
            "reason": reason,
            "message": message,
            "lastTransitionTime": format_time(now),
        }
    )
    return status.model_copy(update={"conditions": set_condition(status.conditions, condition)})
