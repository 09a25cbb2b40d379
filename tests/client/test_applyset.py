"""Sets: what belongs to one, what is pruned when it leaves, and what never is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.applyset import Verdict, read_members, refuse_empty, set_manager
from client.errors import Conflicted, Refused
from schemas.errors import InvalidName
from schemas.keys import ObjectRef, task_ref
from sealing.keys import new_key_pair
from store.api import Delete, Get, Listing, Txn, TxnResult
from store.errors import PermissionDenied, Unavailable
from store.memory import MemoryStore
from tests.client.helpers import KEYS, NOW, World, docs, make_object, make_task
from tests.client.owned import keep, make_deployment, make_owned, make_template

ALL = (make_task("a"), make_task("b"))


def told(removals: Any) -> list[tuple[str, str]]:
    return [(str(each.ref), each.verdict.value) for each in removals]


def apply_set(
    world: World, *raws: dict[str, Any], name: str = "web", home: str = "default"
) -> list[tuple[str, str]]:
    """Apply as a set and prune; return (reference, what became of it)."""
    one = world.client.apply_set(name, home)
    plan = one.plan(world.client.ready(docs(*raws, namespace=home)))
    results = [(str(each.ref), str(each.action)) for each in one.apply(plan)]
    return results + told(one.remove(plan.removals))


def there(world: World) -> list[str]:
    """What is stored, when the leader has done its work."""
    world.leader.step()
    return [key.removeprefix("/berth/spec/") for key in world.keys_under("/berth/spec/")]


def test_what_left_the_set_is_pruned_and_nothing_else(world: World) -> None:
    world.apply(make_task("by-hand"))
    assert apply_set(world, *ALL) == [("task/a", "created"), ("task/b", "created")]
    assert apply_set(world, make_task("b")) == [("task/b", "unchanged"), ("task/a", "pruned")]
    assert there(world) == ["default/tasks/b", "default/tasks/by-hand"]
    assert apply_set(world, make_task("b")) == [("task/b", "unchanged")]


def test_objects_are_applied_in_the_order_in_which_they_are_named_and_pruned_in_the_other(
    world: World,
) -> None:
    config = {"apiVersion": "berth/v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
    everything = (
        make_task("t", namespace="team"),
        make_deployment("d"),
        config,
        make_object("PriorityClass", "high", value=3),
        make_object("Queue", "q"),
        make_object("Namespace", "team"),
    )
    order = ["namespace/team", "queue/q", "priorityclass/high", "configmap/c", "deployment/d", "task/t"]
    assert [ref for ref, _ in apply_set(world, *everything)] == order
    assert apply_set(world) == [(ref, "pruned") for ref in reversed(order)]
    assert there(world) == []


def test_sets_of_one_name_in_two_namespaces_are_two_sets(world: World) -> None:
    world.apply(make_object("Namespace", "team"))
    apply_set(world, make_task("a"), home="team")
    apply_set(world, make_task("a"), home="default")
    assert apply_set(world, home="default") == [("task/a", "pruned")]
    assert "team/tasks/a" in there(world)


class Breaking(MemoryStore):
    """A store that is gone after some transactions that write."""

    left = 0

    def txn(self, txn: Txn) -> TxnResult:
        self.left -= any(not isinstance(op, Get) for op in txn.success)
        if self.left < 0:
            raise Unavailable("etcd is away")
        return super().txn(txn)


@pytest.mark.parametrize("transactions", range(5))
def test_apply_that_failed_half_way_goes_on_when_it_is_run_again(transactions: int) -> None:
    quiet = World()
    apply_set(quiet, make_task("a"), make_task("old"), make_task("older"))
    large = make_task("a", grace="5s")
    large["metadata"]["annotations"] = {"text": "y" * 250_000}  # goes in a transaction of its own
    wanted = (large, make_task("b"), make_task("c"))
    store = Breaking(lambda: NOW, server=quiet.store._server)  # type: ignore[attr-defined]
    store.left = transactions
    broken = World(store)
    broken.leader.is_away = True
    if transactions < 4:  # b and c together, then a, then two requests
        with pytest.raises(Unavailable):
            apply_set(broken, *wanted)
    else:
        apply_set(broken, *wanted)
    assert apply_set(quiet, *wanted)[:3] == [
        ("task/a", "unchanged" if transactions > 1 else "configured"),
        ("task/b", "unchanged" if transactions > 0 else "created"),
        ("task/c", "unchanged" if transactions > 0 else "created"),
    ]
    assert there(quiet) == ["default/tasks/a", "default/tasks/b", "default/tasks/c"]


def test_object_with_the_annotation_stays_and_stays_in_the_set(world: World) -> None:
    kept = make_task("a")
    kept["metadata"]["annotations"] = {"berth/prune": "disabled"}
    apply_set(world, kept, make_task("b"))
    assert apply_set(world, make_task("b")) == [("task/b", "unchanged"), ("task/a", "kept")]
    world.client.change(task_ref("default", "a"), lambda raw: raw | {"metadata": _without_annotations(raw)})
    assert apply_set(world, make_task("b")) == [("task/b", "unchanged"), ("task/a", "pruned")]


def _without_annotations(raw: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw["metadata"].items() if key != "annotations"}


def test_object_that_another_applied_too_is_only_given_up(world: World) -> None:
    apply_set(world, make_task("a"), make_task("b"))
    apply_set(world, make_task("a"), name="other")
    world.apply(make_task("b"))
    one = world.client.apply_set("web")
    removals = one.plan(()).removals
    assert [(str(each.ref), each.verdict, each.why) for each in removals] == [
        ("task/b", Verdict.RELEASE, "berth apply without --set applied it too"),
        ("task/a", Verdict.RELEASE, "set other of namespace default applied it too"),
    ]
    list(one.remove(removals))
    assert there(world) == ["default/tasks/a", "default/tasks/b"]
    assert one.plan(()).removals == ()
    assert apply_set(world, name="other") == [("task/a", "pruned")]


def test_what_was_applied_without_a_set_becomes_the_sets_alone_when_it_is_adopted(world: World) -> None:
    world.apply(make_task("a", priority=3, grace="5s"), make_task("b"))
    one = world.client.apply_set("web", adopt=True)
    results = list(one.apply(one.plan(docs(make_task("a", priority=4), make_task("b")))))
    assert [each.action for each in results] == ["configured", "unchanged"]
    assert world.json_at(KEYS.spec(task_ref("default", "a")))["spec"] == make_task("a", priority=4)["spec"]
    assert {key.rpartition("/")[2] for key in world.keys_under("/berth/applied/")} == {"set.default.web"}
    world.apply(make_task("b"))
    assert told(world.client.apply_set("web").plan(()).removals) == [
        ("task/b", "released"),
        ("task/a", "pruned"),
    ]
    assert told(one.plan(()).removals) == [("task/b", "pruned"), ("task/a", "pruned")]


def test_object_that_another_claims_after_it_was_looked_at_is_given_up(world: World) -> None:
    apply_set(world, make_task("a"))
    one = world.client.apply_set("web")
    removals = one.plan(()).removals
    assert told(removals) == [("task/a", "pruned")]
    world.apply(make_task("a"))
    assert told(one.remove(removals)) == [("task/a", "released")]
    assert there(world) == ["default/tasks/a"]


def test_object_that_is_spared_after_it_was_looked_at_stays(world: World) -> None:
    apply_set(world, make_task("a"))
    one = world.client.apply_set("web")
    removals = one.plan(()).removals
    spared = {"name": "a", "namespace": "default", "annotations": {"berth/prune": "disabled"}}
    world.client.change(task_ref("default", "a"), lambda raw: raw | {"metadata": raw["metadata"] | spared})
    assert told(one.remove(removals)) == [("task/a", "kept")]


def test_object_that_an_owner_made_is_never_pruned(world: World) -> None:
    world.apply(make_deployment())
    make_owned(world, keep(world, "web", 1, make_template()), 1, 0)
    ref = task_ref("default", "web-1-0")
    world.put(KEYS.applied(ref, set_manager("default", "web")), make_task("web-1-0"))
    one = world.client.apply_set("web")
    (removal,) = one.plan(()).removals
    assert (removal.verdict, removal.why) == (Verdict.RELEASE, "deployment/web has made it")
    list(one.remove((removal,)))
    assert world.keys_under("/berth/requests/") == []
    assert one.plan(()).removals == ()


def test_record_without_object_is_forgotten(world: World) -> None:
    apply_set(world, make_task("a"))
    ref = task_ref("default", "gone")
    world.put(KEYS.applied(ref, set_manager("default", "web")), make_task("gone"))
    assert apply_set(world, make_task("a")) == [("task/a", "unchanged"), ("task/gone", "forgotten")]
    assert apply_set(world, make_task("a")) == [("task/a", "unchanged")]


def test_object_of_the_same_name_that_somebody_else_made_is_not_the_sets(world: World) -> None:
    """Its predecessor was taken out of the store by force, which leaves the record."""
    apply_set(world, make_task("a", priority=3))
    key = KEYS.spec(task_ref("default", "a"))
    world.store.txn(Txn((), (Delete(key),)))
    raw = make_task("a", priority=4)
    raw["metadata"] |= {"uid": "another", "namespace": "default"}
    world.put(key, raw)
    (removal,) = world.client.apply_set("web").plan(()).removals
    assert (removal.verdict, removal.why) == (Verdict.FORGET, "somebody else has made it anew")
    (planned,) = world.client.plan(docs(make_task("a", priority=5)))
    assert planned.conflicts == ()
    apply_set(world)
    assert there(world) == ["default/tasks/a"]


def test_object_that_is_being_deleted_is_not_told_of_again(world: World) -> None:
    apply_set(world, *ALL)
    world.leader.is_away = True
    assert apply_set(world, make_task("b")) == [("task/b", "unchanged"), ("task/a", "pruned")]
    assert apply_set(world, make_task("b")) == [("task/b", "unchanged")]


def test_namespace_that_holds_something_else_stays(world: World) -> None:
    apply_set(world, make_object("Namespace", "team"), make_task("a", namespace="team"))
    world.apply(make_task("by-hand", namespace="team"))
    one = world.client.apply_set("web")
    removals = one.plan(()).removals
    assert told(removals) == [("task/a", "pruned"), ("namespace/team", "kept")]
    assert removals[1].why == "task/by-hand in it would stay"


def test_namespace_that_was_made_for_the_set_goes_with_the_last_that_was_in_it(world: World) -> None:
    one = world.client.apply_set("web")
    task = docs(make_task("a", namespace="team"))
    plan = one.plan(world.client.ready(task, create_namespace=True))
    assert [str(each.ref) for each in one.apply(plan)] == ["namespace/team", "task/a"]
    assert one.plan(world.client.ready(task, create_namespace=True)).removals == ()
    assert told(one.plan(()).removals) == [("task/a", "pruned"), ("namespace/team", "pruned")]


def test_a_conflict_keeps_the_whole_set_from_being_written(world: World) -> None:
    world.apply(make_task("a", priority=1))
    with pytest.raises(Conflicted, match="berth apply without --set has set it to 1"):
        apply_set(world, make_task("a", priority=2), make_task("b"))
    assert there(world) == ["default/tasks/a"]


def test_secret_is_of_the_set_by_a_record_without_values(world: World) -> None:
    pair = new_key_pair()
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c", "publicKey": pair.public})
    secret = make_object("Secret", "s") | {"stringData": {"password": "hunter2hunter2"}}
    assert apply_set(world, secret) == [("secret/s", "created")]
    assert apply_set(world, secret) == [("secret/s", "unchanged")]
    record = world.json_at(KEYS.applied(ObjectRef("secrets", "default", "s"), set_manager("default", "web")))
    assert set(record) == {"apiVersion", "kind", "metadata"}
    assert apply_set(world) == [("secret/s", "pruned")]
    world.leader.step()
    assert world.keys_under("/berth/secrets/") == []


def test_no_documents_at_all_are_refused() -> None:
    with pytest.raises(Refused, match="--allow-empty"):
        refuse_empty((), "set web")
    refuse_empty(docs(make_task()), "set web")


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "UPPER", "x" * 64])
def test_name_of_a_set_is_a_dns_label(name: str) -> None:
    with pytest.raises(InvalidName):
        set_manager("default", name)


class Fenced(MemoryStore):
    """A store of a user who may read no records but those of some namespaces."""

    readable: tuple[str, ...] = ("team",)

    def list(self, prefix: str, revision: int = 0) -> Listing:
        family, _, rest = prefix.removeprefix("/berth/").partition("/")
        if family == "applied" and rest.partition("/")[0] not in self.readable:
            raise PermissionDenied(f"{prefix} is refused")
        return super().list(prefix, revision)


def test_user_of_one_namespace_has_sets_within_it(world: World) -> None:
    world.apply(make_object("Namespace", "team"), make_object("Namespace", "foreign"))
    store = Fenced(lambda: NOW, server=world.store._server)  # type: ignore[attr-defined]
    theirs = World(store)
    apply_set(theirs, make_task("a"), make_task("b"), home="team")
    plan = theirs.client.apply_set("web", "team").plan(docs(make_task("b"), namespace="team"))
    assert told(plan.removals) == [("task/a", "pruned")]
    assert plan.unread == ("_cluster", "default", "foreign")


names = st.sampled_from(["a", "b", "c", "d"])


@given(steps=st.lists(st.tuples(st.sampled_from(["web", "other"]), st.sets(names)), max_size=6))
def test_what_is_stored_is_the_union_of_what_the_sets_hold(steps: list[tuple[str, set[str]]]) -> None:
    world = World()
    held: dict[str, set[str]] = {"web": set(), "other": set()}
    for name, wanted in steps:
        apply_set(world, *(make_task(each) for each in sorted(wanted)), name=name)
        held[name] = wanted
        assert there(world) == [f"default/tasks/{each}" for each in sorted(held["web"] | held["other"])]
        for each, members in held.items():
            found = read_members(world.store, KEYS, set_manager("default", each), ())
            assert found.refs == {task_ref("default", member) for member in members}
