"""etcd with TLS, client certificates and its own users: each may do its own work, and nothing else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from client.auth import WhoAmI
from client.client import Client
from client.errors import Refused
from client.rights import Need
from store.api import Put, Txn
from store.errors import PermissionDenied
from tests.support.cluster import Cluster, Json, Result, sleeper
from tests.support.etcd import Tls
from tests.support.fixtures import require_etcd
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

NODE = "e2e-guarded"
QUEUE = {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "q"}}
TEAM = {"apiVersion": "berth/v1", "kind": "Namespace", "metadata": {"name": "team-a"}}


def as_user(cluster: Cluster, name: str) -> dict[str, str]:
    """Return the variables that make a process an etcd user, by its certificate."""
    assert cluster.etcd.tls is not None
    cert, key = cluster.etcd.tls.issue(name)
    return {"BERTH_CACERT": str(cluster.etcd.tls.ca_file), "BERTH_CERT": str(cert), "BERTH_KEY": str(key)}


def grants(prefix: str, node: str, namespace: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """The roles of docs/design, section 2: user -> ((right, prefix or key), ...)."""
    return {
        "controller": (("readwrite", f"{prefix}/"), ("readwrite", f"{prefix}-events/")),
        "agent": (
            ("read", f"{prefix}/cluster"),
            ("read", f"{prefix}/bindings/{node}/"),
            ("readwrite", f"{prefix}/reports/{node}/"),
            ("readwrite", f"{prefix}/heartbeats/{node}"),
        ),
        "team": (
            ("read", f"{prefix}/cluster"),
            ("read", f"{prefix}/election/"),
            *(("read", f"{prefix}/{family}/_cluster/") for family in ("spec", "status", "requests")),
            ("readwrite", f"{prefix}/spec/{namespace}/"),
            ("readwrite", f"{prefix}/applied/{namespace}/"),
            ("readwrite", f"{prefix}/requests/{namespace}/"),
            ("readwrite", f"{prefix}/secrets/{namespace}/"),
            *(
                ("read", f"{prefix}/{family}/{namespace}/")
                for family in ("status", "owned", "revisions", "endpoints")
            ),
            ("read", f"{prefix}/access/{namespace}"),
            ("read", f"{prefix}-events/{namespace}/"),
        ),
        "viewer": tuple(
            ("read", f"{prefix}/{family}/{namespace}/")
            for family in ("spec", "status", "requests", "owned", "revisions")
        ),
    }


@pytest.fixture(scope="module")
def guarded(docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose etcd takes only certificates, and gives each user its own keys; namespace team-a exists."""
    require_etcd()
    folder = tmp_path_factory.mktemp("guarded")
    with Cluster(folder, docker_host, tls=Tls.create(folder / "tls")) as cluster:
        cluster.etcd.enable_users(grants(cluster.keys.prefix, NODE, "team-a"))
        cluster.start_controller(**as_user(cluster, "controller"))
        cluster.start_agent(node=NODE, **as_user(cluster, "agent"))
        cluster.wait_ready()
        created = cluster.berth("apply", "-f", "-", stdin=TEAM, **as_user(cluster, "root"))
        assert created.code == 0, created
        yield cluster


def team(cluster: Cluster, *arguments: str, stdin: Json | list[Json] | bytes | None = None) -> Result:
    """Run a command as the team, in its namespace unless another is named."""
    environment = as_user(cluster, "team") | {"BERTH_NAMESPACE": "team-a"}
    return cluster.berth(*arguments, stdin=stdin, **environment)


def test_team_works_in_its_namespace_with_its_certificate(guarded: Cluster) -> None:
    applied = team(guarded, "apply", "-f", "-", stdin=sleeper("ours"))
    assert (applied.code, applied.out) == (0, "task/ours created\n"), applied
    eventually(lambda: guarded.status("ours", "team-a").state == "Running")
    eventually(lambda: guarded.list_keys(f"{guarded.keys.prefix}-events/team-a/"))  # they follow the status
    readings = ("get tasks", "get tasks -o wide", "describe task/ours", "get events", "logs ours", "version")
    with ThreadPoolExecutor(2) as pool:
        answers = dict(
            zip(readings, pool.map(lambda each: team(guarded, *each.split()), readings), strict=True)
        )
    assert [(each, answer.err) for each, answer in answers.items() if answer.code or answer.err] == []
    assert answers["get tasks"].rows["ours"][2] == "Running"
    assert "Started" in answers["describe task/ours"].out
    assert team(guarded, "delete", "task/ours", "--timeout", "100s").code == 0


def test_team_keeps_deployments_and_jobs_but_writes_nothing_of_the_leader(guarded: Cluster) -> None:
    template = {"metadata": {"labels": {"app": "kept"}}, "spec": sleeper("kept")["spec"]}
    kept = {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": "kept"},
        "spec": {"selector": {"matchLabels": {"app": "kept"}}, "template": template},
    }
    applied = team(guarded, "apply", "-f", "-", "--wait", "--timeout", "100s", stdin=kept)
    assert (applied.code, applied.out) == (0, "deployment/kept created\n"), applied
    assert team(guarded, "get", "all").rows["task/kept-1-0"][2] == "Running"
    keys, variables = guarded.keys, as_user(guarded, "team")
    store = guarded.etcd.store(cert_file=variables["BERTH_CERT"], key_file=variables["BERTH_KEY"])
    of_the_leader = ("bindings/", "status/team-a/", "owned/team-a/", "revisions/team-a/", "endpoints/team-a/")
    for key in (key for family in of_the_leader for key in guarded.list_keys(f"{keys.prefix}/{family}")):
        with pytest.raises(PermissionDenied):
            store.txn(Txn((), (Put(key, b"x"),)))
    assert team(guarded, "delete", "deployment/kept", "--timeout", "100s").code == 0


def test_team_has_sets_in_its_namespace_and_is_told_where_it_can_not_look(guarded: Cluster) -> None:
    raw = {"apiVersion": "berth/v1", "kind": "ConfigMap", "data": {"a": "b"}}
    first, second = ({**raw, "metadata": {"name": name}} for name in ("first", "second"))
    of_set = ("apply", "-f", "-", "--set", "ours", "--prune", "--yes")
    made = team(guarded, *of_set, stdin=[first, second])
    assert (made.code, made.out) == (0, "configmap/first created\nconfigmap/second created\n"), made
    pruned = team(guarded, *of_set, "--wait", stdin=[second])
    assert (pruned.code, pruned.out) == (0, "configmap/second unchanged\nconfigmap/first pruned\n"), pruned
    assert "your rights don't let the set be looked for in _cluster, default;" in pruned.err
    root = guarded.berth(*of_set, stdin=[second], **as_user(guarded, "root"))
    assert root.out == "configmap/second created\n", root  # its own set, of another namespace
    assert team(guarded, *of_set, "--allow-empty", stdin=b"").out == "configmap/second pruned\n"
    assert guarded.berth(*of_set, "--allow-empty", stdin=b"", **as_user(guarded, "root")).code == 0


def test_team_gets_answers_about_its_namespace_from_the_leader(guarded: Cluster) -> None:
    picky = sleeper("picky")
    picky["spec"]["nodeSelector"] = {"no": "where"}
    assert team(guarded, "apply", "-f", "-", stdin=picky).code == 0
    eventually(lambda: guarded.status("picky", "team-a").reason == "Unschedulable")
    why = team(guarded, "why", "picky", "-o", "json")
    assert why.code == 0, why
    assert (why.json["state"], why.json["computedBy"]) == ("Waiting", "leader")
    shares = team(guarded, "shares", "-o", "json")
    assert shares.code == 0, shares
    assert shares.json["computedBy"] == "leader"
    plan = team(guarded, "plan", "-f", "-", stdin=sleeper("comes"))
    assert (plan.code, "1 tasks placed" in plan.out) == (1, True), plan
    assert team(guarded, "-n", "default", "why", "picky").code == 1
    assert team(guarded, "delete", "task", "picky").code == 0


def test_team_is_refused_elsewhere_in_words(guarded: Cluster) -> None:
    asked = {
        "apply into default": ("-n", "default", "apply", "-f", "-"),
        "read default": ("-n", "default", "get", "tasks"),
        "read all": ("get", "tasks", "-A"),
        "nodes": ("get", "nodes"),
        "queue": ("apply", "-f", "-"),
    }
    sent = {"apply into default": sleeper("theirs"), "queue": QUEUE}
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda what: team(guarded, *asked[what], stdin=sent.get(what)), asked)
        refusals = dict(zip(asked, answers, strict=True))
    for what, answer in refusals.items():
        assert (answer.code, answer.out) == (1, ""), (what, answer)
        assert "permission denied" in answer.err, (what, answer)
        assert guarded.keys.prefix in answer.err, (what, answer)
    assert guarded.list_keys(f"{guarded.keys.prefix}/spec/default/") == []


def test_agent_can_write_nothing_but_its_own_reports(guarded: Cluster) -> None:
    prefix = guarded.keys.prefix
    denied = (
        f"{prefix}/reports/{NODE}b/node",
        f"{prefix}/bindings/{NODE}/x",
        f"{prefix}/spec/default/tasks/x",
        f"{prefix}/status/default/tasks/x",
        f"{prefix}/cluster",
        f"{prefix}/election/controller/x",
        f"{prefix}/heartbeats/other",
    )
    variables = as_user(guarded, "agent")
    store = guarded.etcd.store(cert_file=variables["BERTH_CERT"], key_file=variables["BERTH_KEY"])
    for each in denied:
        with pytest.raises(PermissionDenied):
            store.txn(Txn((), (Put(each, b"x"),)))
    with pytest.raises(PermissionDenied):
        store.list(f"{prefix}/spec/")
    with pytest.raises(PermissionDenied):
        store.list(f"{prefix}/secrets/")


def test_without_a_certificate_nothing_is_said(guarded: Cluster) -> None:
    answer = guarded.berth("get", "tasks", BERTH_CACERT=as_user(guarded, "team")["BERTH_CACERT"])
    assert (answer.code, answer.out) == (1, "")
    assert "wants a client certificate; give --cert and --key" in answer.err
    plain = guarded.berth("get", "tasks")
    assert (plain.code, plain.out) == (1, "")
    assert "--cacert" in plain.err
    assert max(answer.seconds, plain.seconds) < PATIENCE_S


def test_process_without_the_rights_says_which_user_lacks_what(guarded: Cluster) -> None:
    agent = guarded.start_agent("stranger", node="e2e-stranger", **as_user(guarded, "team"))
    assert agent.ends() == 1
    assert "Error: " in agent.text
    assert "permission denied" in agent.text
    controller = guarded.start_controller("pretender", **as_user(guarded, "agent"))
    assert controller.ends() == 1
    assert "permission denied" in controller.text
    assert "Traceback" not in agent.text + controller.text


def test_user_sees_who_he_is_and_what_he_may_do(guarded: Cluster) -> None:
    prefix = guarded.keys.prefix
    team_is = team(guarded, "auth", "whoami")
    assert (team_is.code, team_is.err) == (0, "")
    assert team_is.rows["User"] == ["User", "team"]
    assert team_is.rows["Roles"] == ["Roles", "team"]
    assert f"team   readwrite   {prefix}/spec/team-a/*" in team_is.out
    assert f"team   read        {prefix}/access/team-a\n" in team_is.out
    root_is = guarded.berth("auth", "whoami", **as_user(guarded, "root"))
    assert root_is.rows["Roles"] == ["Roles", "root"]


CAN = {
    "team": (
        *("apply tasks", "get tasks", "delete task/ours", "logs tasks", "exec tasks", "events tasks"),
        *("apply deployments", "rollout daemonsets", "create jobs", "delete cronjobs", "apply secrets"),
        *("apply configmaps", "apply disruptionbudgets", "evict tasks"),
    ),
    "viewer": ("get tasks", "describe task/ours"),
    "root": ("apply tasks", "cordon nodes", "delete queues"),
}
CAN_NOT = {
    "team": (
        "get tasks default",
        "apply queues",
        "get tasks *",
        "cordon nodes",
        "drain nodes",
        "get secrets *",
    ),
    "viewer": ("apply tasks", "delete tasks", "logs tasks", "scale deployments", "create jobs"),
}


def test_answers_about_rights_are_those_of_etcd(guarded: Cluster) -> None:
    for user in (*CAN, "nobody"):
        variables = as_user(guarded, user)
        cert, key = variables["BERTH_CERT"], variables["BERTH_KEY"]
        client = Client(guarded.etcd.store(cert_file=cert, key_file=key), guarded.keys)
        if user == "nobody":
            with pytest.raises(Refused, match="etcd has no user nobody"):
                client.whoami(cert)
            continue
        who = client.whoami(cert)
        for what in CAN[user]:
            assert lacking(client, who, what) == (), (user, what)
        for what in CAN_NOT.get(user, ()):
            assert lacking(client, who, what) != (), (user, what)


def lacking(client: Client, who: WhoAmI, what: str) -> tuple[Need, ...]:
    """what: `VERB KIND[/NAME][ NAMESPACE]`; an asterisk means all namespaces."""
    verb, kind, namespace = (*what.split(), "team-a")[:3]
    kind, _, name = kind.partition("/")
    place = None if namespace == "*" else namespace
    return client.missing_rights(who, verb, client.kind(kind), namespace=place, name=name)


def test_lacking_rights_are_listed(guarded: Cluster) -> None:
    variables = {"BERTH_NAMESPACE": "team-a", **as_user(guarded, "viewer")}
    refused = guarded.berth("auth", "can-i", "delete", "tasks", **variables)
    assert (refused.code, refused.out) == (1, "no\n")
    assert refused.err == f"lacking: write of {guarded.keys.prefix}/requests/team-a/tasks/*\n"
    listed = guarded.berth("auth", "can-i", "--list", **variables)
    assert listed.rows["tasks"] == ["tasks", "get, list, watch, describe"]
    assert listed.rows["queues"] == ["queues", "<none>"]
