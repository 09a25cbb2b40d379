"""What a look at a cluster found: plain values, from which `doctor_checks` judges. Nothing here decides anything."""

from dataclasses import dataclass, field

from client.certificates import CertificateFile
from schemas.state import TaskState


@dataclass(frozen=True, slots=True)
class Member:
    """One endpoint of etcd. error: why it gives no answer, "" if it does.

    latency_s: of one linearizable read. quota_bytes: 0 where it does not tell. leader_id: 0 for none.
    """

    endpoint: str
    error: str = ""
    version: str = ""
    db_size_bytes: int = 0
    quota_bytes: int = 0
    alarms: tuple[str, ...] = ()
    member_id: int = 0
    leader_id: int = 0
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Api:
    """An HTTP API of ours. error: why it gives no answer. clock_offset_s: its clock less ours, None if not told."""

    address: str
    error: str = ""
    clock_offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One controller that stands for election, the leader first."""

    identity: str
    version: str
    api: Api


@dataclass(frozen=True, slots=True)
class Node:
    """unreadable: why what is stored of it can't be parsed, "" if it can. ready: the status of its condition."""

    name: str
    ready: str = "Unknown"
    reason: str = ""
    is_beating: bool = False
    has_report: bool = False
    unreadable: str = ""
    agent_version: str = ""
    api: Api | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task that does not simply run or has not simply ended. since: seconds since the epoch, 0 if unknown."""

    ref: str
    namespace: str
    state: TaskState
    reason: str
    since: float
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster's own key. error: why it can't be read; is_there: somebody has initialised the store."""

    is_there: bool = False
    error: str = ""
    recovering: bool = False
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """An owner of which the leader says that something is not as it should be, and the condition that says it.

    since: seconds since the epoch, 0 where unknown.
    """

    ref: str
    namespace: str
    condition: str
    status: str
    why: str
    since: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything. now: seconds since the epoch. store_error: why nothing below it could be read, "" if it could.

    denied: ranges that our user may not read. unreadable: key -> why. stray_bindings: keys of bindings to nodes
    that do not exist. unbound: keys of reports about containers that no binding names. compacted_at: seconds
    since the epoch, 0 for never. first_write_at: creation of the oldest object, 0 for none.
    """

    now: float
    client_version: str
    certificates: tuple[CertificateFile, ...] = ()
    members: tuple[Member, ...] = ()
    store_error: str = ""
    denied: tuple[str, ...] = ()
    cluster: Cluster = field(default_factory=Cluster)
    candidates: tuple[Candidate, ...] = ()
    nodes: tuple[Node, ...] = ()
    tasks: tuple[Task, ...] = ()
    task_count: int = 0
    owners: tuple[Trouble, ...] = ()
    owner_count: int = 0
    queues: tuple[Trouble, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)
    stray_bindings: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    compacted_at: float = 0.0
    oldest_at: float = 0.0
