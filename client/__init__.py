"""Berth from a program: one import, typed models, and nothing loaded before it is used (see docs/python.md).

from client import Client, documents

with Client.connect() as berth:
    berth.apply(documents(Path("web.yaml").read_text()))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.client import Client as Client
    from client.client import Snapshot as Snapshot
    from client.endpoints import EndpointsView as EndpointsView
    from client.errors import ClientError as ClientError
    from client.errors import NotFound as NotFound
    from client.errors import Refused as Refused
    from client.errors import TimedOut as TimedOut
    from client.errors import Unreachable as Unreachable
    from client.logs import LogOptions as LogOptions
    from client.planned import ApplyResult as ApplyResult
    from client.program import documents as documents
    from client.program import quantities as quantities
    from client.rollout_state import RolloutState as RolloutState
    from client.selector import parse_selector as parse_selector
    from client.views import ObjectView as ObjectView
    from schemas.budget import DisruptionBudget as DisruptionBudget
    from schemas.budget import DisruptionBudgetSpec as DisruptionBudgetSpec
    from schemas.configmap import ConfigMap as ConfigMap
    from schemas.errors import InvalidManifest as InvalidManifest
    from schemas.gitsource import GitSource as GitSource
    from schemas.gitsource import GitSourceSpec as GitSourceSpec
    from schemas.job import CronJob as CronJob
    from schemas.job import CronJobSpec as CronJobSpec
    from schemas.job import Job as Job
    from schemas.job import JobSpec as JobSpec
    from schemas.job import JobTemplate as JobTemplate
    from schemas.meta import ObjectMeta as ObjectMeta
    from schemas.namespace import Namespace as Namespace
    from schemas.namespace import NamespaceSpec as NamespaceSpec
    from schemas.node import Node as Node
    from schemas.node import NodeSpec as NodeSpec
    from schemas.priority import PriorityClass as PriorityClass
    from schemas.priority import PriorityClassSpec as PriorityClassSpec
    from schemas.probe import ExecAction as ExecAction
    from schemas.probe import HttpGetAction as HttpGetAction
    from schemas.probe import Lifecycle as Lifecycle
    from schemas.probe import Probe as Probe
    from schemas.probe import TcpSocketAction as TcpSocketAction
    from schemas.queue import Queue as Queue
    from schemas.queue import QueueSpec as QueueSpec
    from schemas.selector import LabelSelector as LabelSelector
    from schemas.state import ContainerState as ContainerState
    from schemas.state import TaskState as TaskState
    from schemas.status import TaskStatus as TaskStatus
    from schemas.task import Container as Container
    from schemas.task import ContainerPort as ContainerPort
    from schemas.task import EmptyDir as EmptyDir
    from schemas.task import EnvVar as EnvVar
    from schemas.task import HostPath as HostPath
    from schemas.task import ResourceRequirements as ResourceRequirements
    from schemas.task import Task as Task
    from schemas.task import TaskSpec as TaskSpec
    from schemas.task import Toleration as Toleration
    from schemas.task import Volume as Volume
    from schemas.task import VolumeMount as VolumeMount
    from schemas.workload import DaemonSet as DaemonSet
    from schemas.workload import DaemonSetSpec as DaemonSetSpec
    from schemas.workload import Deployment as Deployment
    from schemas.workload import DeploymentSpec as DeploymentSpec
    from schemas.workload import DeploymentStrategy as DeploymentStrategy
    from schemas.workload import RollingUpdate as RollingUpdate
    from schemas.workload import TaskTemplate as TaskTemplate
    from schemas.workload import TemplateMeta as TemplateMeta
    from schemas.workload_status import DaemonSetStatus as DaemonSetStatus
    from schemas.workload_status import DeploymentStatus as DeploymentStatus
    from schemas.workload_status import JobStatus as JobStatus

_MODULES = {
    "client.planned": ("ApplyResult",),
    "client.client": ("Client", "Snapshot"),
    "client.errors": ("ClientError", "NotFound", "Refused", "TimedOut", "Unreachable"),
    "client.logs": ("LogOptions",),
    "client.program": ("documents", "quantities"),
    "client.selector": ("parse_selector",),
    "client.views": ("ObjectView",),
    "schemas.errors": ("InvalidManifest",),
    "schemas.meta": ("ObjectMeta",),
    "schemas.namespace": ("Namespace", "NamespaceSpec"),
    "schemas.node": ("Node", "NodeSpec"),
    "schemas.gitsource": ("GitSource", "GitSourceSpec"),
    "schemas.priority": ("PriorityClass", "PriorityClassSpec"),
    "schemas.queue": ("Queue", "QueueSpec"),
    "schemas.budget": ("DisruptionBudget", "DisruptionBudgetSpec"),
    "schemas.configmap": ("ConfigMap",),
    "schemas.job": ("CronJob", "CronJobSpec", "Job", "JobSpec", "JobTemplate"),
    "schemas.probe": ("ExecAction", "HttpGetAction", "Lifecycle", "Probe", "TcpSocketAction"),
    "schemas.selector": ("LabelSelector",),
    "schemas.workload": (
        "DaemonSet",
        "DaemonSetSpec",
        "Deployment",
        "DeploymentSpec",
        "DeploymentStrategy",
        "RollingUpdate",
        "TaskTemplate",
        "TemplateMeta",
    ),
    "schemas.workload_status": ("DaemonSetStatus", "DeploymentStatus", "JobStatus"),
    "client.endpoints": ("EndpointsView",),
    "client.rollout_state": ("RolloutState",),
    "schemas.state": ("ContainerState", "TaskState"),
    "schemas.status": ("TaskStatus",),
    "schemas.task": (
        "Container",
        "ContainerPort",
        "EmptyDir",
        "EnvVar",
        "HostPath",
        "ResourceRequirements",
        "Task",
        "TaskSpec",
        "Toleration",
        "Volume",
        "VolumeMount",
    ),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
