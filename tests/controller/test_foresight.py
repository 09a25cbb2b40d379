"""What is foreseen is what happens: the answers of a leader against what it does then; and who may ask what."""

import json
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client import leader_api
from client.agent_tls import AgentTls
from client.errors import LeaderUnavailable
from controller import answers, foresight
from controller.answers import BadQuestion
from controller.scheduler.schedule import Policy
from controller.server import ApiServer
from controller.snapshots import Asked, Frozen, frozen_from
from schemas.binding import Desired
from schemas.cluster import LeaderInfo
from schemas.defaults import effective_spec
from schemas.keys import ObjectRef, task_ref
from schemas.namespace import NamespaceSpec
from schemas.task import TaskSpec
from store.serving import PLAIN, ServerTls, api_address, bind_socket
from tests.controller.harness import Cluster
from tests.support.etcd import Tls

Json = dict[str, Any]


@pytest.fixture
def world() -> Cluster:
    cluster = Cluster()
    cluster.apply("default", kind="Namespace", queues=["*"])
    cluster.add_node("n1")
    cluster.add_node("n2")
    cluster.settle()
    return cluster


def frozen(world: Cluster, asked: Asked = Asked()) -> Frozen:  # noqa: B008  # a value
    """Ask the leader as its API does, and run its core."""
    future: Future[Frozen | None] = world.leader.questions.ask(asked)
    world.step(0.1)
    found = future.result(0)
    assert found is not None
    return found


def listed(world: Cluster, asked: Asked = Asked()) -> Frozen:  # noqa: B008  # a value
    """Read all of etcd, as who can't ask the leader does."""
    listing = world.store.list("/berth/")
    return frozen_from(listing.kvs, world.keys, Policy(), asked, world.now, revision=listing.revision)


def cpu(amount: str, **spec: Any) -> Json:
    return {"container": {"resources": {"requests": {"cpu": amount}}}, **spec}


def coming(name: str, amount: str, namespace: str = "default", **spec: Any) -> Json:
    container = {"name": "main", "image": "demo", "resources": {"requests": {"cpu": amount}}}
    written = TaskSpec.model_validate({"containers": [container], **spec})
    whole = effective_spec(written, NamespaceSpec(), {}).to_json()
    return {"of": f"{namespace}/task/{name}", "namespace": namespace, "name": name, "spec": whole}


def question(*adding: Json, leaving: tuple[Json, ...] = (), queues: tuple[Json, ...] = ()) -> bytes:
    return json.dumps({"adding": adding, "leaving": leaving, "queues": queues}).encode()


def planned(state: Frozen, *adding: Json, **more: Any) -> Json:
    return foresight.plan(state, foresight.parse_question(question(*adding, **more)), None)


def nodes_of(world: Cluster) -> dict[str, str]:
    return {each.name: each.node for each in world.bindings() if each.desired is Desired.RUN}


@pytest.mark.parametrize("seed", range(40))
def test_plan_names_the_nodes_that_the_leader_then_picks(seed: int) -> None:
    source = random.Random(seed)
    world = Cluster(Policy(source.choice(("binpack", "spread", "balanced"))))
    world.apply("default", kind="Namespace", queues=["*"])
    for number in range(source.randint(1, 6)):
        world.add_node(f"n{number}", cpu=source.choice(("2", "4", "8")))
    for number in range(source.randint(0, 6)):
        world.apply(f"old{number}", **cpu(source.choice(("500m", "1", "3"))))
    world.settle()
    wanted = [(f"new{number}", source.choice(("250m", "1", "2", "20"))) for number in range(8)]
    answer = planned(frozen(world), *(coming(*each) for each in wanted))
    for name, amount in wanted:
        world.apply(name, **cpu(amount))
    world.settle()
    there = nodes_of(world)
    assert {each["name"]: each["node"] for each in answer["placed"]} == {
        name: there[name] for name, _ in wanted if name in there
    }
    assert {each["name"] for each in answer["waiting"]} == {name for name, _ in wanted if name not in there}


def test_what_why_proposes_places_the_task_when_it_is_done(world: Cluster) -> None:
    world.apply("big", **cpu("5", nodeSelector={"zone": "a"}))
    world.apply("picky", **cpu("1", nodeSelector={"zone": "a"}))
    world.settle()
    answer = answers.why(frozen(world), task_ref("default", "picky"))
    assert (answer["state"], answer["position"], answer["waiting"]) == ("Waiting", 2, 2)
    assert sum(each["count"] for each in answer["reasons"]) == answer["nodeCount"] == 2
    (proposal,) = answer["proposals"]
    assert (proposal["field"], proposal["to"]) == ("nodeSelector.zone", None)
    world.apply("picky", **cpu("1"))
    world.settle()
    assert nodes_of(world)["picky"] == proposal["node"]


def test_why_says_need_free_and_short_by(world: Cluster) -> None:
    world.apply("there", **cpu("1"))
    world.apply("big", **cpu("4500m"))
    world.settle()
    on = nodes_of(world)["there"]
    answer = answers.why(frozen(world), task_ref("default", "big"), on)
    (node,) = answer["nodes"]
    assert [each["code"] for each in node["reasons"]] == ["Insufficient"]
    assert node["amounts"][0] == {
        "resource": "cpu",
        "need": "4500m",
        "allocatable": "4",
        "free": "3",
        "shortBy": "1500m",
    }
    assert [(each["from"], each["to"]) for each in answer["proposals"]] == [("4500m", "4")]


def test_why_of_a_task_that_is_bound_ranks_the_nodes(world: Cluster) -> None:
    world.apply("web", **cpu("1"))
    world.settle()
    ref = task_ref("default", "web")
    answer = answers.why(frozen(world, Asked((ref,))), ref)
    assert (answer["state"], answer["node"], answer["fitting"]) == ("Bound", nodes_of(world)["web"], 2)
    assert {each["node"] for each in answer["top"]} == {"n1", "n2"}


def test_why_refuses_a_node_that_nobody_knows(world: Cluster) -> None:
    with pytest.raises(BadQuestion, match="node n9 has never reported"):
        answers.why(frozen(world), task_ref("default", "web"), "n9")


def test_listing_says_the_same_as_the_leader(world: Cluster) -> None:
    world.apply("batch", kind="Queue", weight=2, guarantee={"cpu": "1"})
    world.apply("a", **cpu("1", queue="batch"))
    world.apply("b", **cpu("3"))
    world.apply("c", **cpu("9"))
    world.settle()
    ref = task_ref("default", "c")
    live, read = frozen(world), listed(world)
    read = replace(read, revision=live.revision)  # etcd's, and that of the leader's cache
    assert answers.share_table(live, None) == answers.share_table(read, None)
    assert answers.why(live, ref) == answers.why(read, ref)
    assert {each.uid for each in live.standing} == {each.uid for each in read.standing}


def test_a_state_does_not_change_any_more(world: Cluster) -> None:
    world.apply("c", **cpu("9"))
    world.settle()
    state = frozen(world)
    before = answers.share_table(state, None)
    world.apply("d", **cpu("2"))
    world.apply("c", **cpu("1"))
    world.settle()
    assert answers.share_table(state, None) == before
    assert answers.why(state, task_ref("default", "c"))["state"] == "Waiting"


def test_plan_counts_what_goes_and_other_rules_of_queues(world: Cluster) -> None:
    world.apply("old", **cpu("4"))
    world.apply("older", **cpu("4"))
    world.settle()
    state = frozen(world)
    uid = next(each.uid for each in state.standing if each.ref.name == "old")
    assert not planned(state, coming("new", "2"))["placed"]
    answer = planned(state, coming("new", "2"), leaving=({"namespace": "default", "uid": uid},))
    assert [each["node"] for each in answer["placed"]] == [nodes_of(world)["old"]]
    limit = {
        "apiVersion": "berth/v1",
        "kind": "Queue",
        "metadata": {"name": "default", "uid": "q"},
        "spec": {"limit": {"cpu": "5"}},
    }
    limited = planned(
        state, coming("new", "2"), leaving=({"namespace": "default", "uid": uid},), queues=(limit,)
    )
    assert "its queue is at its limit" in limited["waiting"][0]["reason"]


def test_plan_puts_one_task_on_each_node_for_a_daemonset(world: Cluster) -> None:
    answer = planned(frozen(world), {**coming("each", "100m"), "perNode": True})
    assert sorted(each["node"] for each in answer["placed"]) == ["n1", "n2"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"adding": [{}], "leaving": [], "queues": []}'])
def test_question_that_cant_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(BadQuestion, match="can't be read"):
        foresight.parse_question(body)


@pytest.mark.parametrize(
    "counts", [(foresight.MAX_TASKS + 1,), (-foresight.MAX_TASKS, 2 * foresight.MAX_TASKS)]
)
def test_a_plan_of_too_many_tasks_is_refused_however_they_add_up(counts: tuple[int, ...]) -> None:
    adding = (
        {**coming(f"much-{number}", "100m"), "count": count, "of": f"much-{number}"}
        for number, count in enumerate(counts)
    )
    with pytest.raises(BadQuestion, match=r"more than|negative"):
        foresight.parse_question(question(*adding))


def test_one_on_each_node_counts_as_many_as_there_are_nodes(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foresight, "MAX_TASKS", 1)
    with pytest.raises(BadQuestion, match="more than 1 tasks"):
        planned(frozen(world), {**coming("each", "100m"), "perNode": True})


def test_drain_is_foreseen_as_it_then_goes(world: Cluster) -> None:
    for number in range(4):
        world.apply(f"t{number}", **cpu("1"))
    world.settle()
    full = max(("n1", "n2"), key=lambda name: sum(node == name for node in nodes_of(world).values()))
    answer = foresight.drain(frozen(world, Asked(node=full)), full, None, ignore_daemonsets=False)
    other = "n2" if full == "n1" else "n1"
    assert {each["to"] for each in answer["tasks"]} == {other}
    world.apply(full, kind="Node", unschedulable=True, drain={"requestedAt": "2026-01-01T00:00:00.000Z"})
    world.until(lambda: set(nodes_of(world).values()) == {other} and len(nodes_of(world)) == 4)


def test_drain_says_what_fits_nowhere_and_which_budget_keeps_whom(world: Cluster) -> None:
    for number in range(3):
        world.apply(f"t{number}", **cpu("2500m"))
    world.settle()
    assert len(nodes_of(world)) == 2
    raw = {
        "apiVersion": "berth/v1",
        "kind": "DisruptionBudget",
        "metadata": {"name": "all", "namespace": "default", "uid": "b"},
        "spec": {"selector": {"matchLabels": {}}, "maxUnavailable": 0},
    }
    world.put("/berth/spec/default/disruptionbudgets/all", raw)
    world.settle()
    answer = foresight.drain(frozen(world, Asked(node="n1")), "n1", frozenset(), ignore_daemonsets=False)
    (task,) = answer["tasks"]
    assert (task["to"], task["task"]) == ("", {"namespace": None, "name": None})
    assert "short of cpu" in task["reason"]
    assert task["keptBy"].startswith("budget all:")


# Over HTTP


@contextmanager
def served(world: Cluster, tls: ServerTls = PLAIN, listen: str = "127.0.0.1:0") -> Iterator[str]:
    """The read API of the world's controller, whose core runs in a thread meanwhile."""
    listener = bind_socket(listen)
    server, over = ApiServer(listener, lambda: world.controller, tls), threading.Event()

    def run() -> None:
        while not over.wait(0.01):
            world.controller.questions.answer(lambda asked: world.controller._frozen(asked, world.now))

    core = threading.Thread(target=run)
    server.start()
    core.start()
    try:
        yield api_address(listener, "127.0.0.1", tls)
    finally:
        over.set()
        core.join()
        server.stop()
        listener.close()


def ask(address: str, path: str, token: str = "", body: bytes | None = None) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, body, headers)) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_questions_take_the_token_of_their_namespace(world: Cluster) -> None:
    for namespace in ("default", "team"):
        world.apply(namespace, kind="Namespace", queues=["*"])
        world.apply("web", namespace=namespace, **cpu("3"))
    world.apply("next", namespace="team", **cpu("9"))
    world.settle()
    tokens = {name: world.leader.view.access[name].value.token for name in ("default", "team")}  # type: ignore[union-attr]
    with served(world) as address:
        assert ask(address, "/v1/shares")[0] == 401
        assert ask(address, "/v1/shares", "guessed")[0] == 403
        assert ask(address, "/v1/why/team/web", tokens["default"])[0] == 403
        assert ask(address, "/v1/why/team/next", tokens["team"])[1]["state"] == "Waiting"
        code, told = ask(address, "/v1/why/team/web?node=n9", ",".join(tokens.values()))
        assert (code, "n9" in told["message"]) == (404, True)
        there = question(coming("x", "1", "team"))
        assert ask(address, "/v1/plan", tokens["default"], there)[0] == 403
        assert len(ask(address, "/v1/plan", tokens["team"], there)[1]["placed"]) == 1
        other = next(each.uid for each in frozen_now(world).standing if each.ref.namespace == "team")
        stolen = question(leaving=({"namespace": "default", "uid": other},))
        assert ask(address, "/v1/plan", tokens["default"], stolen)[0] == 403
        assert ask(address, "/v1/plan", tokens["default"], b"nonsense")[0] == 400
        node = nodes_in(world, "team")["web"]
        tasks = ask(address, f"/v1/drain/{node}", tokens["default"])[1]["tasks"]
        assert {"namespace": None, "name": None} in [each["task"] for each in tasks]


def leader_at(address: str) -> LeaderInfo:
    return LeaderInfo(identity="c1", api_address=address, version="1")


def test_leader_with_a_certificate_is_asked_over_https_only(world: Cluster, tmp_path: Path) -> None:
    made = Tls.create(tmp_path)
    files = ServerTls(str(tmp_path / "server.crt"), str(tmp_path / "server.key"), str(made.ca_file))
    person = AgentTls(str(made.ca_file), *map(str, made.issue("person")))
    token = token_of(world, "default")
    with served(world, files) as address:
        assert address.startswith("https://127.0.0.1:")
        assert leader_api.ask(leader_at(address), person, [token], "/v1/shares")["kind"] == "Shares"
        for tls, told in (
            (AgentTls(), "not trusted by the system's CAs: give --cacert"),
            (AgentTls(str(made.ca_file)), "it may want a client certificate: give --cert and --key"),
        ):
            with pytest.raises(LeaderUnavailable, match=told):
                leader_api.ask(leader_at(address), tls, [token], "/v1/shares")
        with pytest.raises(LeaderUnavailable, match="does not answer"):
            leader_api.ask(leader_at(address.replace("https", "http")), person, [token], "/v1/shares")


@pytest.mark.parametrize("host", ["10.0.0.5", "[2001:db8::1]", "leader.example.com"])
def test_token_never_crosses_a_network_in_the_clear(host: str) -> None:
    with pytest.raises(
        LeaderUnavailable, match="a token never crosses a network in the clear; start it with"
    ):
        leader_api.ask(leader_at(f"http://{host}:7602"), AgentTls(), ["secret"], "/v1/shares")


def test_controller_that_others_reach_without_tls_takes_no_token(world: Cluster) -> None:
    token = token_of(world, "default")
    with served(world, listen="0.0.0.0:0") as address:
        code, told = ask(address, "/v1/shares", token)
        assert (code, "--server-cert" in told["message"]) == (403, True)
        with urllib.request.urlopen(f"{address}/metrics") as reply:
            assert reply.status == 200


def token_of(world: Cluster, namespace: str) -> str:
    world.apply(f"any-{namespace}", namespace=namespace, **cpu("1"))
    world.settle()
    return str(world.leader.view.access[namespace].value.token)  # type: ignore[union-attr]


def frozen_now(world: Cluster) -> Frozen:
    return listed(world)


def nodes_in(world: Cluster, namespace: str) -> dict[str, str]:
    return {each.name: each.node for each in world.bindings() if each.namespace == namespace}


def test_controller_that_does_not_lead_says_so(world: Cluster) -> None:
    token = world.leader.view.access
    world.apply("web", **cpu("1"))
    world.settle()
    assert token
    world.controller.term = None
    with served(world) as address:
        code, told = ask(address, "/v1/shares", "any")
    assert code == 503
    assert "does not lead" in told["message"]


def test_a_namespace_has_its_token_before_its_first_task(world: Cluster) -> None:
    """With it people plan that task."""
    world.apply("team", kind="Namespace")
    world.settle()
    assert {"default", "team"} <= world.leader.view.access.keys()
    world.delete(ObjectRef("namespaces", "_cluster", "team"))
    world.settle()
    assert not world.exists(world.keys.access("team"))
