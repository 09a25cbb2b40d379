"""Which tasks take something of a ConfigMap, a Secret or a deployment's addresses: an index by what they take."""

from schemas.keys import ObjectRef
from schemas.needs import needs_of
from schemas.task import TaskSpec

NOTHING: frozenset[ObjectRef] = frozenset()


class Takers:
    """Kept up to date task by task."""

    def __init__(self) -> None:
        self._taken: dict[ObjectRef, frozenset[ObjectRef]] = {}  # task -> what it takes
        self._takers: dict[ObjectRef, set[ObjectRef]] = {}

    def note(self, task: ObjectRef, spec: TaskSpec | None) -> None:
        """Note what a task takes now; `spec` is None for one that can't be read, or is gone."""
        before = self._taken.get(task, NOTHING)
        after = _taken_by(task.namespace, spec) if spec is not None else NOTHING
        if after == before:
            return
        for ref in before - after:
            self._takers[ref].discard(task)
            if not self._takers[ref]:
                del self._takers[ref]
        for ref in after - before:
            self._takers.setdefault(ref, set()).add(task)
        if after:
            self._taken[task] = after
        else:
            del self._taken[task]

    def of(self, ref: ObjectRef) -> list[ObjectRef]:
        """Return the tasks that take something of an object, in order."""
        return sorted(self._takers.get(ref, NOTHING))


def _taken_by(namespace: str, spec: TaskSpec) -> frozenset[ObjectRef]:
    needs = needs_of(spec)
    taken = (("configmaps", needs.config_maps), ("secrets", needs.secrets), ("deployments", needs.endpoints))
    return frozenset(ObjectRef(plural, namespace, name) for plural, names in taken for name in names)
