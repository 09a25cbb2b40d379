"""What `berth diff` and `berth plan` show: what an apply with the same options would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.pruning import tell_unread
from cli.session import Session
from client.planned import Planned
from schemas.manifest import Document

if TYPE_CHECKING:
    from client.applyset import Removal
    from client.client import Client
    from client.views import ObjectView


@dataclass(frozen=True, slots=True)
class Intent:
    """The options of an apply that decide what it does."""

    set_name: str
    prune: bool
    allow_empty: bool
    create_namespace: bool


@dataclass(frozen=True, slots=True)
class Intended:
    planned: tuple[Planned, ...]
    pruned: "tuple[Removal, ...]" = ()

    @property
    def pruned_views(self) -> "tuple[ObjectView, ...]":
        return tuple(each.view for each in self.pruned if each.view is not None)


def intended(session: Session, client: "Client", documents: Sequence[Document], wanted: Intent) -> Intended:
    """Return what an apply would write, and what it would prune. Raises InvalidManifest, Refused."""
    if not wanted.set_name:
        return Intended(client.plan(documents, create_namespace=wanted.create_namespace))
    from client.applyset import Verdict, refuse_empty

    if not wanted.allow_empty:
        refuse_empty(documents, f"set {wanted.set_name}")
    one = client.apply_set(wanted.set_name, session.namespace)
    plan = one.plan(client.ready(documents, create_namespace=wanted.create_namespace))
    if wanted.prune:
        tell_unread(plan)
    return Intended(plan.planned, plan.of(Verdict.PRUNE) if wanted.prune else ())
