"""Columns of deployments, daemonsets, configmaps and budgets."""

from collections.abc import Callable
from typing import Any, TypeVar

from cli.ages import UNKNOWN
from cli.cells import NONE, plain_status
from cli.columns import AGE, NAME, Cell, Column, RowContext
from client.ownership import template_path
from client.views import ObjectView, status_of
from schemas.meta import Model
from schemas.workload_status import DaemonSetStatus, DeploymentStatus, DisruptionBudgetStatus

S = TypeVar("S", bound=Model)


def counted(model: type[S], read: Callable[[S, ObjectView], object], unknown: str = "0") -> Cell:
    """Return a cell of the status; `unknown` where there is none yet."""

    def cell(view: ObjectView, context: RowContext) -> str:
        if view.is_unreadable:
            return "Unreadable"
        status = status_of(view, model)
        return unknown if status is None else str(read(status, view))

    return cell


def _spec(view: ObjectView) -> dict[str, Any]:  # Any: JSON of any shape
    return view.raw.get("spec") or {}


def _containers(view: ObjectView) -> list[dict[str, Any]]:
    found: Any = view.raw
    for part in (*(template_path(view.kind.name) or ()), "spec", "containers"):
        found = (found or {}).get(part)
    return list(found or ())


def _listed(field: str) -> Cell:
    return lambda view, context: ",".join(str(each.get(field)) for each in _containers(view)) or NONE


def _selector(view: ObjectView, context: RowContext) -> str:
    labels = (_spec(view).get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items()) or NONE


def _node_selector(view: ObjectView, context: RowContext) -> str:
    spec = (_spec(view).get("template") or {}).get("spec") or {}
    return ",".join(f"{key}={value}" for key, value in (spec.get("nodeSelector") or {}).items()) or NONE


CONTAINERS = Column("CONTAINERS", _listed("name"), True)
IMAGES = Column("IMAGES", _listed("image"), True)
SELECTOR = Column("SELECTOR", _selector, True)


def _ready(view: ObjectView, context: RowContext) -> str:
    if view.is_unreadable:
        return "Unreadable"
    status = status_of(view, DeploymentStatus)
    return f"{status.ready_replicas if status else 0}/{_spec(view).get('replicas', 1)}"


def _revision(status: DeploymentStatus, view: ObjectView) -> str:
    """A deployment that went back by itself keeps another revision than its spec's, and says so."""
    back = f" (went back from {status.rolled_back})" if status.rolled_back else ""
    return f"{status.revision or NONE}{back}"


def _up_to_date(status: DeploymentStatus, view: ObjectView) -> str:
    return f"{status.updated_replicas}{' (rolled back)' if status.rolled_back else ''}"


DEPLOYMENT = (
    NAME,
    Column("READY", _ready),
    Column("UP-TO-DATE", counted(DeploymentStatus, _up_to_date)),
    Column("AVAILABLE", counted(DeploymentStatus, lambda status, view: status.available_replicas)),
    AGE,
    Column("REVISION", counted(DeploymentStatus, _revision, NONE), True),
    Column("STATUS", lambda view, context: plain_status(view), True),
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
DAEMONSET = (
    NAME,
    Column("DESIRED", counted(DaemonSetStatus, lambda status, view: status.desired)),
    Column("CURRENT", counted(DaemonSetStatus, lambda status, view: status.current)),
    Column("READY", counted(DaemonSetStatus, lambda status, view: status.ready)),
    Column("UP-TO-DATE", counted(DaemonSetStatus, lambda status, view: status.updated)),
    Column("AVAILABLE", counted(DaemonSetStatus, lambda status, view: status.available)),
    Column("NODE SELECTOR", _node_selector),
    AGE,
    Column("REVISION", counted(DaemonSetStatus, lambda status, view: status.revision or NONE, NONE), True),
    Column("STATUS", lambda view, context: plain_status(view), True),
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _keys(view: ObjectView, context: RowContext) -> str:
    return (
        str(len({**(view.raw.get("data") or {}), **(view.raw.get("binaryData") or {})}))
        if view.raw
        else UNKNOWN
    )


CONFIGMAP = (
    NAME,
    Column("DATA", _keys),
    AGE,
    Column("STATUS", lambda view, context: plain_status(view), True),
)


def _bound(field: str) -> Cell:
    return lambda view, context: str(_spec(view).get(field, "N/A"))


BUDGET = (
    NAME,
    Column("MIN AVAILABLE", _bound("minAvailable")),
    Column("MAX UNAVAILABLE", _bound("maxUnavailable")),
    Column(
        "ALLOWED DISRUPTIONS",
        counted(DisruptionBudgetStatus, lambda status, view: status.disruptions_allowed),
    ),
    AGE,
    Column(
        "HEALTHY",
        counted(DisruptionBudgetStatus, lambda status, view: f"{status.healthy}/{status.expected}"),
        True,
    ),
    SELECTOR,
)
