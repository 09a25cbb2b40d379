"""What doctor makes of what it finds: each trouble has a verdict and a command; a healthy cluster has none."""

from dataclasses import replace
from typing import Any

import pytest

from client.certificates import CertificateFile
from client.doctor_checks import Check, Verdict, judge
from client.doctor_findings import Api, Candidate, Cluster, Findings, Member, Node, Task, Trouble
from client.doctor_walk import trouble, walk
from client.views import status_model
from schemas.keys import ObjectRef
from schemas.kinds import KINDS
from schemas.meta import CLUSTER_NAMESPACE
from schemas.state import TaskState
from tests.client.helpers import KEYS, World

NOW = 1_800_000_000.0
DAY_S = 86_400.0
MEMBER = Member("a:2379", "", "3.4.23", 50 * 2**20, 2 * 2**30, (), 1, 1, 0.002)
NODE = Node("n1", "True", "AgentReady", True, True, "", "0.1.0", Api("http://n1", "", 0.2))
LEADER = Candidate("c1", "0.1.0", Api("http://c1", "", 0.1))
STANDBY = Candidate("c2", "0.1.0", Api("http://c2", "", -0.4))
HEALTHY = Findings(
    NOW,
    "0.1.0",
    certificates=(
        CertificateFile("cert", "me.crt", "", "me", NOW - DAY_S, NOW + 365 * DAY_S),
        CertificateFile("key", "me.key", mode=0o600),
    ),
    members=(MEMBER,),
    cluster=Cluster(True, "", False, 1),
    candidates=(LEADER, STANDBY),
    nodes=(NODE,),
    task_count=3,
    compacted_at=NOW - 60,
    oldest_at=NOW - DAY_S,
)


def troubles(findings: Findings) -> list[Check]:
    return [check for check in judge(findings) if check.verdict is not Verdict.PASS]


def with_certificate(**fields: Any) -> Findings:
    return replace(HEALTHY, certificates=(replace(HEALTHY.certificates[0], **fields),))


def test_healthy_cluster_passes_every_check() -> None:
    assert troubles(HEALTHY) == []
    names = {check.name for check in judge(HEALTHY)}
    assert names >= {"etcd", "quota", "certificates", "cluster", "controllers", "nodes", "clocks", "tasks"}


LATE = Task("task/web", "team", TaskState.PENDING, "no node fits", NOW - 600)
TROUBLES = {
    "silent member": (
        {"members": (MEMBER, Member("b:2379", "refused"))},
        "FAIL etcd: member b:2379 gives no answer: refused",
        "etcdctl --endpoints=b:2379 endpoint health",
    ),
    "no quorum": (
        {"members": (replace(MEMBER, leader_id=0),)},
        "FAIL etcd: member a:2379 knows no leader",
        "status",
    ),
    "two clusters": (
        {"members": (MEMBER, replace(MEMBER, endpoint="b:1", leader_id=9))},
        "FAIL etcd: the members name 2 different leaders",
        "etcdctl endpoint status --cluster",
    ),
    "slow": ({"members": (replace(MEMBER, latency_s=0.3),)}, "WARN etcd: member a:2379 leads", "check perf"),
    "filling up": ({"members": (replace(MEMBER, db_size_bytes=1600 * 2**20),)}, "WARN quota: ", "defrag"),
    "nearly full": (
        {"members": (replace(MEMBER, db_size_bytes=1900 * 2**20),)},
        "FAIL quota: the database of a:2379 holds 1900.0 MiB, 93% of its quota",
        "defrag",
    ),
    "alarm": ({"members": (replace(MEMBER, alarms=("NOSPACE",)),)}, "FAIL quota: ", "alarm disarm"),
    "wiped": (
        {"cluster": Cluster()},
        "FAIL cluster: nothing is initialised under this root",
        "berth controller",
    ),
    "rewound": (
        {"cluster": Cluster(True, "", True, 2)},
        "FAIL cluster: history was rewound to incarnation 2",
        "log",
    ),
    "no leader": ({"candidates": ()}, "FAIL controllers: no controller leads", "berth controller"),
    "no standby": ({"candidates": (LEADER,)}, "WARN controllers: c1 leads, 0 on standby", "berth controller"),
    "no nodes": ({"nodes": ()}, "WARN nodes: there is no node", "berth agent"),
    "node away": (
        {"nodes": (replace(NODE, ready="Unknown", reason="HeartbeatLost", is_beating=False),)},
        "FAIL nodes: node n1 is not Ready (HeartbeatLost), and its agent does not beat",
        "berth describe node/n1",
    ),
    "node garbled": (
        {"nodes": (replace(NODE, unreadable="not JSON"),)},
        "FAIL nodes: node n1 can't be read",
        "n1",
    ),
    "agent hidden": (
        {"nodes": (replace(NODE, api=Api("http://n1", "refused")),)},
        "WARN nodes: the agent of node n1 is not to be reached",
        "curl http://n1/healthz",
    ),
    "old agent": (
        {"nodes": (replace(NODE, agent_version="0.0.9"),)},
        "WARN versions: not all run version 0.1.0 as this client does: node n1 0.0.9",
        "update",
    ),
    "clock off": (
        {"nodes": (replace(NODE, api=Api("http://n1", "", -7.0)),)},
        "WARN clocks: the clock of node n1 is 7 s behind ours",
        "timedatectl",
    ),
    "clock far off": (
        {"candidates": (replace(LEADER, api=Api("x", "", 90.0)), STANDBY)},
        "FAIL clocks: the clock of controller c1 is 90 s ahead of ours",
        "timedatectl",
    ),
    "garbage": (
        {"unreadable": {"/berth/x": "not JSON"}},
        "FAIL objects: /berth/x can't be read",
        "etcdctl get /berth/x",
    ),
    "unbound": ({"unbound": ("r",)}, "WARN orphans: containers run that no binding names: r", "docker ps"),
    "stray": ({"stray_bindings": ("k",)}, "WARN orphans: bindings name nodes that do not exist: k", "fence"),
    "pending": (
        {"tasks": (LATE,)},
        "WARN tasks: task/web -n team is Pending for 10 minutes: no node fits",
        "berth describe task/web -n team",
    ),
    "terminating": (
        {"tasks": (replace(LATE, is_terminating=True, namespace="default"),)},
        "WARN tasks: task/web is Terminating for 10 minutes",
        "berth describe task/web",
    ),
    "lost": (
        {"tasks": (replace(LATE, state=TaskState.LOST),)},
        "WARN tasks: task/web -n team is Lost",
        "describe",
    ),
    "rollout stands still": (
        {
            "owners": (
                Trouble("deployment/web", "team", "Progressing", "False", "1 of 3 after 600s", NOW - 5),
            )
        },
        "WARN workloads: deployment/web -n team has Progressing=False: 1 of 3 after 600s",
        "berth describe deployment/web -n team",
    ),
    "nothing available for long": (
        {"owners": (Trouble("deployment/web", "default", "Available", "False", "0 of 3", NOW - 600),)},
        "WARN workloads: deployment/web has Available=False: 0 of 3",
        "berth describe deployment/web",
    ),
    "more is guaranteed than there is": (
        {"queues": (Trouble("queue/eng/web", "", "Guaranteed", "False", "nodes have 2", NOW - 5),)},
        "WARN queues: queue/eng/web: nodes have 2",
        "berth shares",
    ),
    "never compacted": (
        {"compacted_at": 0.0},
        "WARN compaction: history was never compacted",
        "berth version",
    ),
    "denied": ({"denied": ("/berth/bindings/",)}, "WARN access: not all was checked", "berth auth whoami"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_is_told_with_what_to_do(name: str) -> None:
    changes, told, remedy = TROUBLES[name]
    found = troubles(replace(HEALTHY, **changes))  # type: ignore[arg-type]  # fields by name
    assert len(found) == 1, found
    assert f"{found[0].verdict} {found[0].name}: {found[0].text}".startswith(told)
    assert remedy in found[0].remedy


def test_what_a_user_may_not_read_is_not_taken_for_missing() -> None:
    unread = replace(NODE, has_report=False, is_beating=False, agent_version="", api=None)
    denied = ("/berth/bindings/", "/berth/reports/", "/berth/heartbeats/")
    findings = replace(HEALTHY, denied=denied, nodes=(unread,))
    assert [each.name for each in troubles(findings)] == ["access"]
    told = {check.name: check.text for check in judge(findings)}
    assert told["nodes"] == "1 node, all Ready with reports that your user may not read"
    assert "orphans" not in told, "nobody looked for them"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"error": "No such file"}, "FAIL --cert me.crt can't be used: No such file"),
        ({"not_after": NOW - 2 * DAY_S}, "FAIL --cert me.crt (me) expired 2 days ago"),
        ({"not_after": NOW + 5 * DAY_S}, "WARN --cert me.crt (me) holds for 5 more days"),
        ({"not_before": NOW + 60}, "FAIL --cert me.crt does not hold yet"),
        ({"problem": "it was not issued by the CA of ca.crt"}, "FAIL --cert me.crt: it was not issued by"),
        (
            {"use": "key", "path": "me.key", "mode": 0o644},
            "FAIL --key me.key may be read by others (mode 0644)",
        ),
    ],
)
def test_certificate_that_will_not_do_is_told(fields: dict[str, Any], told: str) -> None:
    (found,) = troubles(with_certificate(**fields))
    assert f"{found.verdict} {found.text}".startswith(told)
    assert found.remedy


OWNER = {"kind": "Deployment", "name": "web", "uid": "w"}
OWNED = {
    "apiVersion": "berth/v1",
    "kind": "Task",
    "metadata": {
        "name": "web-1-0",
        "namespace": "default",
        "uid": "u",
        "creationTimestamp": "2030-01-31T12:00:00Z",
    },
    "owner": OWNER,
    "revision": 1,
}


def test_what_the_leader_writes_of_every_kind_can_be_read() -> None:
    world, keys = World(), KEYS
    for kind in KINDS:
        ref = ObjectRef(kind.plural, "default" if kind.namespaced else "_cluster", "x")
        more = {"nodeUid": "n"} if kind.name == "Node" else {}
        status = status_model(kind.plural).model_validate({"uid": "u", **more}).to_json()
        world.put(keys.status(ref), {**status, "fromANewerVersion": 1})
    world.put(keys.owned(ObjectRef("tasks", "default", "web-1-0")), OWNED)
    kept = {"kind": "Revision", "owner": OWNER, "number": 1, "hash": "h", "template": {}}
    world.put(keys.revision("default", "w", 1), kept)
    world.put(keys.endpoints("default", "web"), {"kind": "Endpoints", "owner": OWNER})
    found = walk(world.store, keys, "default")
    assert found.unreadable == {}
    assert [ref.name for ref in found.task_refs()] == ["web-1-0"]
    assert [task.ref for task in trouble(found)] == ["task/web-1-0"], "it waits for a node as any other"


def test_garbage_where_the_leader_keeps_what_owners_made_is_told() -> None:
    world, keys = World(), KEYS
    bad = (
        keys.owned(ObjectRef("tasks", "default", "web-1-0")),
        keys.revision("default", "w", 1),
        keys.endpoints("default", "web"),
        keys.status(ObjectRef("jobs", "default", "sums")),
    )
    for key in bad:
        world.put(key, b"garbage")
    assert walk(world.store, keys, "default").unreadable.keys() == set(bad)


def test_many_stuck_tasks_are_summed_up() -> None:
    tasks = tuple(replace(LATE, ref=f"task/{number}") for number in range(12))
    found = troubles(replace(HEALTHY, tasks=tasks))
    assert len(found) == 6
    assert found[-1].text == "7 more tasks are stuck"


def test_young_or_ending_tasks_are_not_stuck() -> None:
    young = replace(LATE, since=NOW - 20)
    assert troubles(replace(HEALTHY, tasks=(young, replace(young, is_terminating=True)))) == []


def test_owner_that_is_not_available_for_a_moment_is_in_no_trouble() -> None:
    young = Trouble("deployment/web", "default", "Available", "False", "2 of 3", NOW - 5)
    assert troubles(replace(HEALTHY, owners=(young,))) == []


def test_trouble_of_an_owner_is_read_off_its_conditions() -> None:
    world = World()
    said = [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": "too slow",
        },
    ]
    status = {"kind": "DeploymentStatus", "uid": "u", "conditions": said}
    world.put(KEYS.status(ObjectRef("deployments", "default", "web")), status)
    (trouble_,) = walk(world.store, KEYS, "default").owners
    assert (trouble_.ref, trouble_.condition, trouble_.why) == ("deployment/web", "Progressing", "too slow")


def test_trouble_of_a_queue_is_read_off_its_conditions() -> None:
    world = World()
    said = [
        {"type": "Guaranteed", "status": "False", "reason": "GuaranteesExceedCluster", "message": "too much"}
    ]
    world.put(
        KEYS.status(ObjectRef("queues", CLUSTER_NAMESPACE, "eng/web")),
        {"kind": "ObjectStatus", "uid": "u", "conditions": said},
    )
    (trouble_,) = walk(world.store, KEYS, "default").queues
    assert (trouble_.ref, trouble_.why) == ("queue/eng/web", "too much")


def test_without_etcd_the_certificates_are_checked_and_nothing_is_made_up() -> None:
    found = replace(HEALTHY, members=(Member("a:2379", "refused"),), store_error="refused", candidates=())
    names = [check.name for check in judge(found)]
    assert names[0] == "etcd"
    assert "certificates" in names
    assert not {"controllers", "nodes", "tasks"} & set(names)
