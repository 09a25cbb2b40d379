"""Lists of ready addresses, by deployment, with what is asked of them for every task: who is listed, and the
variables that tell a new container where the deployments of its namespace are reached.
"""

from collections.abc import Iterator, Mapping

from controller.records import Slot
from schemas.keys import ObjectRef
from schemas.owned import Endpoints
from schemas.versioned import Versioned

MAX_DISCOVERED = 200  # deployments a namespace: each binding carries their addresses, some 70 bytes each
NOBODY: frozenset[str] = frozenset()


class Addresses:
    """What is stored below /endpoints; what follows from a list is made once a change of it."""

    def __init__(self) -> None:
        self._slots: dict[ObjectRef, Slot[Endpoints]] = {}
        self._listed: dict[ObjectRef, frozenset[str]] = {}  # names of tasks
        self._by_namespace: dict[str, dict[str, Endpoints]] = {}
        self._variables: dict[str, dict[str, str]] = {}  # by namespace

    def __iter__(self) -> Iterator[ObjectRef]:
        return iter(self._slots)

    def get(self, deployment: ObjectRef) -> Slot[Endpoints]:
        return self._slots.get(deployment)

    def set(self, deployment: ObjectRef, slot: Slot[Endpoints]) -> None:
        """Take in what is stored of one list now."""
        self._variables.pop(deployment.namespace, None)
        within = self._by_namespace.setdefault(deployment.namespace, {})
        if slot is None:
            self._slots.pop(deployment, None)
        else:
            self._slots[deployment] = slot
        if isinstance(slot, Versioned):
            within[deployment.name] = slot.value
            self._listed[deployment] = frozenset(each.task for each in slot.value.addresses)
        else:
            within.pop(deployment.name, None)
            self._listed.pop(deployment, None)

    def listing(self, deployment: ObjectRef, task: str) -> Versioned[Endpoints] | None:
        """Return the list if the task of this name is on it."""
        found = self._slots.get(deployment)
        is_listed = task in self._listed.get(deployment, NOBODY)
        return found if is_listed and isinstance(found, Versioned) else None

    def discovery(self, namespace: str) -> dict[str, str]:
        """Return variables that say where the deployments of a namespace are reached: first ready address of each."""
        known = self._variables.get(namespace)
        if known is None:
            known = self._variables[namespace] = _variables_of(self._by_namespace.get(namespace, {}))
        return known


def _variables_of(lists: Mapping[str, Endpoints]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(lists)[:MAX_DISCOVERED]:
        first = next((each for each in lists[name].addresses if each.ports), None)
        if first is not None:
            stem = f"BERTH_{name.upper().replace('-', '_').replace('.', '_')}"
            found |= {f"{stem}_HOST": first.ip, f"{stem}_PORT": str(first.ports[0].host_port)}
    return found
