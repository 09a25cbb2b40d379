"""A hollow host to which more happens: it loses its power, and strangers use it too."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.labels import Journal, container_name
from agent.runtime.api import ContainerInfo, Create, Done, Failed, Op, Phase, Reason
from agent.runtime.hollow import FOREVER, HollowHost

STRANGER = "stranger"  # cluster label of containers that are not ours


@dataclass(slots=True)
class SimHost(HollowHost):
    """hinders: why a container can't be created from what its binding carries, "" if it can."""

    hinders: Callable[[Create], str] = lambda _: ""

    def perform(self, op: Op) -> Done | Failed:
        """Do `op` now; what a container is to be given is put together first, as on a real host."""
        why = self.hinders(op) if isinstance(op, Create) and not op.journal.is_sandbox else ""
        if why:
            return Failed(op, Reason.CREATE_CONTAINER_CONFIG_ERROR, why)
        return HollowHost.perform(self, op)  # super() knows nothing of the class that slots made

    def find(self, container_id: str) -> ContainerInfo | None:
        """Return a container as it is now."""
        found = self._containers.get(container_id)
        return found.info if found is not None else None

    def power_off(self) -> None:
        """End everything that runs, as a crash of the host does; nobody is told."""
        for each in self._containers.values():
            if each.info.phase is Phase.RUNNING and each.info.journal.cluster != STRANGER:
                each.ends_at = FOREVER
                finished_at = self.clock()
                each.info = replace(each.info, phase=Phase.EXITED, exit_code=255, finished_at=finished_at)

    def take_names(self, container_id: str) -> bool:
        """Let strangers' running containers bear the names that our next containers would have."""
        ours = [info.journal for info in self.containers() if info.journal.cluster != STRANGER]
        taken = {info.name for info in self.containers()}
        coming = [replace(each, attempt=each.attempt + 1) for each in ours]
        coming += [replace(each, epoch=each.epoch + 1, attempt=0) for each in ours]
        free = [each for each in coming if container_name(each) not in taken]
        for number, each in enumerate(free):
            stranger = replace(each, cluster=STRANGER, node=STRANGER, task_uid=STRANGER, binding_uid=STRANGER)
            info = ContainerInfo(
                f"{STRANGER}-{container_id}-{number}", container_name(each), stranger, Phase.RUNNING
            )
            self.add_stranger(replace(info, started_at=self.clock()))
        return bool(free)

    def drop_strangers(self) -> None:
        """Take every stranger's container away."""
        for info in self.containers():
            if info.journal.cluster == STRANGER:
                self._containers.pop(info.id)


def is_stranger(journal: Journal) -> bool:
    return journal.cluster == STRANGER
