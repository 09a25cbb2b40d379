"""When files of ConfigMaps and Secrets are to be written anew: their copies in a binding changed, or may have.

The result of an operation that was begun with older copies may land late, so after each create the files are looked
at again; looking costs nothing when they are right.
"""

from agent.labels import Target
from agent.runtime.api import Create, Done, Failed, Observation, Refresh
from schemas.binding import Binding, Desired
from schemas.needs import file_volumes

_Copies = tuple[object, object]


class Refreshing:
    """What was asked to be written, by task uid. Owned by the core."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, _Copies]] = {}
        self._seen: dict[str, _Copies] = {}

    def is_new(self, task_uid: str, binding: Binding | None) -> bool:
        """Say whether the copies differ from those at the last look."""
        if binding is None or not (binding.sealed or binding.config):
            return self._seen.pop(task_uid, None) is not None
        copies = (binding.sealed, binding.config)
        before, self._seen[task_uid] = self._seen.get(task_uid), copies
        return before != copies

    def concerns(self, task_uid: str, binding: Binding | None) -> bool:
        """Say whether a task has files to write, or had; most have none."""
        return task_uid in self._asked or (binding is not None and bool(file_volumes(binding.spec)))

    def look(self, task_uid: str, binding: Binding | None, *, has_containers: bool) -> Refresh | None:
        """Return what to write now, None when nothing is new; a task without containers gets its files with them."""
        if binding is None or binding.desired is not Desired.RUN or not has_containers:
            self._asked.pop(task_uid, None)
            return None
        if not file_volumes(binding.spec):
            return None
        asked = (binding.binding_uid, (binding.sealed, binding.config))
        if self._asked.get(task_uid) == asked:
            return None
        self._asked[task_uid] = asked
        return Refresh(Target(binding.binding_uid, ""), binding)

    def heard(self, observation: Observation) -> str | None:
        """Take a result in; return the uid of a task whose files could not be written, to try again later."""
        match observation:
            case Done(Create(binding=binding)):
                self._asked.pop(binding.task_uid, None)
            case Failed(Refresh(binding=binding)):
                self._asked.pop(binding.task_uid, None)
                return binding.task_uid
        return None
