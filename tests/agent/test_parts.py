"""Identity, standing, resources, node report, the server's rules: small parts without Docker or store."""

import hashlib
import json
from pathlib import Path

import pytest

from agent.errors import StateFolderBusy, StateUnreadable
from agent.identity import Identity, IdentityKeeper, StateFolder
from agent.nodereport import NodeContext, NodeState, node_report
from agent.options import AgentOptions
from agent.resources import HostFacts, NodeFacts, allocatable_of, cgroup_limits, default_reserve
from agent.server.access import Refusal, authorize, choose_attempt
from agent.server.logs import parse_query
from agent.standing import Standing, judge
from schemas.cluster import Cluster
from store.errors import CannotServe
from store.serving import bind_socket
from tests.agent.builders import make_binding

HOME = Identity("node-uid", "c1", incarnation=3, highest_revision=70)


def test_the_identity_survives_and_the_folder_is_locked(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state", lambda: "uid-1") as folder:
        folder.keeper.update(cluster_uid="c1", incarnation=2, halted=("x",))
        with pytest.raises(StateFolderBusy, match="--state-dir"):
            StateFolder(tmp_path / "state", lambda: "uid-2")
    with StateFolder(tmp_path / "state", lambda: "uid-3") as again:
        assert again.keeper.identity == Identity("uid-1", "c1", 2, halted=("x",))


def test_an_unreadable_identity_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(StateUnreadable, match=r"identity\.json"):
        StateFolder(tmp_path, lambda: "uid")


def test_a_newer_agents_fields_are_tolerated(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(json.dumps({"node_uid": "n", "from_the_future": 1}))
    with StateFolder(tmp_path, lambda: "uid") as folder:
        assert folder.keeper.identity.node_uid == "n"


def test_revisions_are_saved_once_in_a_while() -> None:
    saved: list[Identity] = []
    keeper = IdentityKeeper(Identity("n"), saved.append)
    for second in range(25):
        keeper.saw_revision(100 + second, 1000.0 + second)
    assert [each.highest_revision for each in saved] == [100, 110, 120]


@pytest.mark.parametrize(
    ("cluster", "identity", "standing"),
    [
        (None, Identity("n"), Standing.NO_CLUSTER),
        (None, HOME, Standing.CLUSTER_GONE),
        (Cluster(cluster_uid="c1", incarnation=3), HOME, Standing.ACTIVE),
        (Cluster(cluster_uid="c1", incarnation=4), HOME, Standing.ACTIVE),
        (Cluster(cluster_uid="c1", incarnation=3, recovering=True), HOME, Standing.RECOVERING),
        (Cluster(cluster_uid="c1", incarnation=2), HOME, Standing.REWOUND),
        (Cluster(cluster_uid="c2", incarnation=9), HOME, Standing.FOREIGN_CLUSTER),
        (Cluster(cluster_uid="c2", incarnation=9), Identity("n"), Standing.ACTIVE),
    ],
)
def test_where_an_agent_stands(cluster: Cluster | None, identity: Identity, standing: Standing) -> None:
    assert judge(cluster, identity).standing is standing


def test_a_rewound_agent_waits_for_a_higher_incarnation() -> None:
    rewound = Identity("n", "c1", incarnation=3, rewound_from=70)
    same = judge(Cluster(cluster_uid="c1", incarnation=3), rewound)
    assert (same.standing, same.identity) == (Standing.REWOUND, rewound)
    raised = judge(Cluster(cluster_uid="c1", incarnation=4), rewound)
    assert raised.standing is Standing.ACTIVE
    assert (raised.identity.incarnation, raised.identity.rewound_from) == (4, 0)


def test_cgroup_v2_limits(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert cgroup_limits(tmp_path) == (1500, 2**30)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cgroup_limits(tmp_path) == (None, None)


def test_cgroup_v1_limits(tmp_path: Path) -> None:
    for name, text in {
        "cpu/cpu.cfs_quota_us": "50000",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cgroup_limits(tmp_path) == (500, None)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("268435456")
    assert cgroup_limits(tmp_path) == (None, 2**28)
    assert cgroup_limits(tmp_path / "none") == (None, None)


def test_the_reserve_grows_with_the_host_up_to_a_limit() -> None:
    assert default_reserve({"cpu": 2000, "memory": 2**31}) == {"cpu": 100, "memory": 102 * 2**20}
    assert default_reserve({"cpu": 64_000, "memory": 2**38})["memory"] == 2**30
    assert allocatable_of({"cpu": 100, "gpu": 2}, {"cpu": 200}) == {"cpu": 0, "gpu": 2}


def test_the_host_offers_what_it_has_and_what_it_was_told(tmp_path: Path) -> None:
    options = AgentOptions(
        "n",
        gpus=("a", "b"),
        resources={"licence": 4},
        labels={"zone": "z1"},
        reserve={"cpu": 50},
        address="10.0.0.9",
    )
    facts = HostFacts(options, tmp_path)(str(tmp_path))
    assert facts.capacity["gpu"] == 2
    assert facts.capacity["licence"] == 4
    assert facts.allocatable["cpu"] == facts.capacity["cpu"] - 50
    assert facts.allocatable["memory"] < facts.capacity["memory"]
    assert facts.devices == {"gpu": ("a", "b")}
    assert facts.labels["zone"] == "z1"
    assert facts.labels["berth/os"] == "linux"
    assert HostFacts(options, tmp_path)(str(tmp_path)) == facts


def test_the_node_report_changes_only_with_visible_fields() -> None:
    context = NodeContext("n", "i", (31000, 32767), "http://h:1", "1")
    state = NodeState(HOME, Standing.ACTIVE, "", True, "", "20.10", (), (), False)
    facts = NodeFacts({"cpu": 1}, {"cpu": 1})
    first = node_report(context, state, facts, 100.0, None)
    assert node_report(context, state, facts, 200.0, first) == first
    pressed = node_report(context, state, NodeFacts({"cpu": 1}, {"cpu": 1}, disk_pressure=True), 300.0, first)
    changed = {
        each.type for each, old in zip(pressed.conditions, first.conditions, strict=True) if each != old
    }
    assert changed == {"DiskPressure"}


def test_only_the_namespaces_token_reads_a_log() -> None:
    binding = make_binding(access_hash=hashlib.sha256(b"secret").hexdigest())
    found = ("c1", binding)
    assert authorize("Bearer secret", "default", "u", found) is binding
    for header, namespace, status in (
        ("", "default", 401),
        ("Basic secret", "default", 401),
        ("Bearer other", "default", 403),
        ("Bearer secret", "other", 404),
    ):
        with pytest.raises(Refusal) as refused:
            authorize(header, namespace, "u", found)
        assert refused.value.status == status
    with pytest.raises(Refusal):
        authorize("Bearer ", "default", "u", ("c1", make_binding(access_hash="")))


def test_the_log_query_is_read() -> None:
    query, previous = parse_query({"follow": "true", "tail": "5", "previous": "1", "since": "10m"}, 1000.0)
    assert (query.follow, query.tail, query.since, previous) == (True, 5, 400.0, True)
    assert parse_query({"since": "1970-01-01T00:01:00Z"}, 0.0)[0].since == 60.0
    for wrong in ({"tail": "x"}, {"since": "yesterday"}):
        with pytest.raises(Refusal):
            parse_query(wrong, 0.0)


def test_the_attempt_is_chosen() -> None:
    assert choose_attempt(("new", "old"), "main", False) == "new"
    assert choose_attempt(("new", "old"), "main", True) == "old"
    with pytest.raises(Refusal, match="no previous"):
        choose_attempt(("new",), "main", True)
    with pytest.raises(Refusal, match="not created"):
        choose_attempt((), "main", False)


def test_a_wrong_listen_address_says_what_to_do() -> None:
    with pytest.raises(CannotServe, match="--listen"):
        bind_socket("127.0.0.1:notaport")
