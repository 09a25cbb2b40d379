"""What `describe` shows of others: what an owner made and which templates it keeps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.views import ObjectView
from schemas.kinds import BY_NAME, OWNERS

if TYPE_CHECKING:
    from client.client import Client
    from schemas.owned import Revision


@dataclass(frozen=True, slots=True)
class Related:
    """`tasks` and `jobs` are those that the object made, `revisions` its kept templates, oldest first."""

    tasks: tuple[ObjectView, ...] = ()
    jobs: tuple[ObjectView, ...] = ()
    revisions: "tuple[Revision, ...]" = ()


def related_to(client: "Client", view: ObjectView) -> Related:
    """Read what belongs to an object; nothing for kinds that make nothing."""
    if view.kind.plural not in OWNERS or not view.raw:
        return Related()
    from client.owners import made_objects
    from client.rollout import read_revisions

    revisions = read_revisions(client.store, client.keys, view)
    if view.kind.name == "CronJob":
        return Related(
            jobs=made_objects(client.store, client.keys, BY_NAME["Job"], view), revisions=revisions
        )
    return Related(tasks=made_objects(client.store, client.keys, BY_NAME["Task"], view), revisions=revisions)
