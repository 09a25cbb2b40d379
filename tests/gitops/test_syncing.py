"""A syncer over real repositories: what reaches the cluster, and what never does."""

from pathlib import Path

import pytest
import yaml

from gitops import applying
from schemas.keys import cluster_ref
from schemas.meta import find_condition
from sealing.keys import new_key_pair
from store.api import Delete, Txn
from tests.client.helpers import KEYS, docs, make_object, make_task
from tests.gitops.harness import Sync, config
from tests.gitops.repositories import Repository

HOUR = 3600.0


@pytest.fixture
def world(tmp_path: Path) -> Sync:
    (tmp_path / "cluster").mkdir()
    return Sync(tmp_path / "cluster")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "git")


def test_a_push_becomes_objects_and_the_status_says_so(world: Sync, repository: Repository) -> None:
    world.source("app", repository, path="deploy")
    id_ = repository.commit({"deploy/a.yaml": config("a"), "other.yaml": config("not")}, "the first")
    world.settle()
    assert world.objects() == ["spec/default/configmaps/a"]
    status = world.status()
    assert status.synced is not None
    assert (status.synced.commit, status.synced.author, status.synced.message) == (id_, "Ada", "the first")
    assert [(each.object, each.health) for each in status.objects] == [("configmap/a", "Healthy")]
    assert status.failure is None
    synced = find_condition(status.conditions, "Synced")
    assert synced is not None
    assert synced.status == "True"


def test_a_new_commit_is_applied_at_the_next_interval(world: Sync, repository: Repository) -> None:
    world.source("app", repository, interval="60s")
    repository.commit({"a.yaml": config("a", x="1")})
    world.settle()
    repository.commit({"a.yaml": config("a", x="2")})
    world.advance(50)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1"}
    world.advance(15)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "2"}
    assert len(world.status().history) == 2


def test_nothing_is_written_while_nothing_changes(world: Sync, repository: Repository) -> None:
    world.source("app", repository, prune=True, selfHeal=True)
    repository.commit({"a.yaml": config("a"), "t.yaml": yaml.safe_dump(make_task("t"))})
    world.settle()
    before = world.revision
    world.advance(600)
    assert world.revision == before


def test_a_failure_that_lasts_is_written_a_few_times_only(world: Sync, repository: Repository) -> None:
    world.source("app", repository)
    world.advance(400)
    assert world.failure().startswith("RefMissing: ")
    before = world.revision
    world.advance(HOUR)
    assert world.revision == before
    found = world.status().failure
    assert found is not None
    assert (found.failures, found.retry_after_seconds) == (7, 180)


def test_a_repository_that_is_mended_is_found(world: Sync, repository: Repository) -> None:
    world.source("app", repository)
    world.advance(HOUR)
    repository.commit({"a.yaml": config("a")})
    world.advance(181)
    assert world.status().failure is None
    assert world.objects() == ["spec/default/configmaps/a"]


def test_a_folder_that_is_hidden_is_read_where_it_is_named(world: Sync, repository: Repository) -> None:
    world.source("app", repository, path=".deploy")
    repository.commit({".deploy/a.yaml": config("a"), ".deploy/.skipped.yaml": config("b"), "c.yaml": "c"})
    world.settle()
    assert world.objects() == ["spec/default/configmaps/a"]


# Bad input


BROKEN = {
    "broken YAML": ("b.yaml:2", "x: 1\n  y: [\n"),
    "an unknown field": ("b.yaml:7: configmap/b: dta: unknown field", config("b") + "dta: {}\n"),
    "a kind without namespace": (
        "may not write kind Queue",
        yaml.safe_dump(make_object("Queue", "q", weight=1)),
    ),
    "another namespace": ("may not write into namespace team", config("b", "team")),
    "what a terminal would obey": (
        r"b.yaml:1: configmap/b: d\x1b[2Jta\nINFO forged: unknown field",
        config("b") + '"d\\e[2Jta\\nINFO forged": {}\n',
    ),
    "a secret in clear": (
        "berth secret seal",
        yaml.safe_dump({**make_object("Secret", "s"), "stringData": {"password": "hunter2"}}),
    ),
    "a task that is not admitted": ("queue", yaml.safe_dump(make_task("t", queue="none"))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_nothing_of_a_broken_commit_is_applied_and_the_last_good_state_stays(
    world: Sync, repository: Repository, what: str
) -> None:
    words, content = BROKEN[what]
    world.source("app", repository, prune=True)
    good = repository.commit({"a.yaml": config("a", x="1"), "old.yaml": config("old")})
    world.settle()
    before = world.objects()
    bad = repository.commit({"a.yaml": config("a", x="2"), "old.yaml": None, "b.yaml": content})
    world.advance(61)
    assert words in world.failure()
    assert "hunter2" not in world.failure()
    status = world.status()
    assert (status.failure and status.failure.commit, status.synced and status.synced.commit) == (bad, good)
    assert world.objects() == before
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1"}
    repository.commit({"b.yaml": config("b")})
    world.advance(181)
    assert world.status().failure is None
    assert world.spec_of("configmaps", "a")["data"] == {"x": "2"}


def test_a_commit_that_would_prune_everything_is_refused_until_that_is_allowed(
    world: Sync, repository: Repository
) -> None:
    world.source("app", repository, prune=True)
    repository.commit({"a.yaml": config("a"), "b.yaml": config("b")})
    world.settle()
    repository.commit({"a.yaml": None, "b.yaml": None})
    world.advance(61)
    assert "PrunesAll: there is no manifest" in world.failure()
    repository.commit({"c.yaml": config("c")})
    world.advance(181)
    assert "PrunesAll: all 2 objects of the source are missing" in world.failure()
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/b"]
    world.source("app", repository, prune=True, allowEmpty=True)
    world.settle()
    assert world.objects() == ["spec/default/configmaps/c"]


def test_two_sources_that_keep_one_object_are_refused_and_both_named(
    world: Sync, repository: Repository
) -> None:
    repository.commit({"one/a.yaml": config("a", x="1"), "two/a.yaml": config("a", x="2")})
    world.source("one", repository, path="one")
    world.settle()
    world.source("two", repository, path="two")
    world.settle()
    assert "two/a.yaml:1: configmap/a is kept by gitsource/one already, and gitsource/two" in world.failure(
        "two"
    )
    assert world.status("one").failure is None
    world.advance(61)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1"}


def test_what_another_repository_has_no_more_is_taken_over_even_if_its_status_can_not_name_it(
    world: Sync, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "MAX_ORPHANS", 1)
    both = {"one/b.yaml": config("b"), "one/c.yaml": config("c")}
    repository.commit({"one/a.yaml": config("a"), "two/z.yaml": config("z"), **both})
    world.source("one", repository, path="one")
    world.settle()
    repository.commit(dict.fromkeys(both))
    world.advance(61)
    assert (world.status("one").orphaned_count, len(world.status("one").orphaned)) == (2, 1)
    repository.commit({f"two/{name}.yaml": config(name, a="2") for name in "bc"})
    world.source("two", repository, path="two")
    world.settle()
    assert world.status("two").failure is None
    assert [world.spec_of("configmaps", name)["data"] for name in "bc"] == [{"a": "2"}, {"a": "2"}]
    repository.commit({"two/a.yaml": config("a", x="2")})
    world.advance(61)
    assert "configmap/a is kept by gitsource/one already" in world.failure("two")


def test_a_source_and_a_set_do_not_keep_one_object(world: Sync, repository: Repository) -> None:
    raw = yaml.safe_load(config("a"))
    one = world.client.apply_set("web", "default")
    list(one.apply(one.plan(docs(raw))))
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository)
    world.settle()
    assert "is kept by set web of namespace default already, and gitsource/app" in world.failure()


def test_what_a_source_left_that_is_gone_may_be_taken_over(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("one", repository)
    world.settle()
    world.client.delete(world.client.get("gitsources", "one"))
    world.source("two", repository)
    world.settle()
    assert world.status("two").failure is None


def test_an_object_may_move_from_one_repository_to_another(world: Sync, repository: Repository) -> None:
    repository.commit(
        {"one/a.yaml": config("a", x="1"), "one/b.yaml": config("b"), "two/c.yaml": config("c")}
    )
    world.source("one", repository, path="one")
    world.source("two", repository, path="two", prune=True)
    world.settle()
    repository.commit({"one/a.yaml": None, "two/a.yaml": config("a", x="2")})
    world.advance(300)
    assert world.status("two").failure is None
    assert world.spec_of("configmaps", "a")["data"] == {"x": "2"}
    repository.commit({"two/a.yaml": None})
    world.advance(61)
    assert "spec/default/configmaps/a" not in world.objects(), "it is two's alone by now"
    assert world.status("one").failure is None


def test_rewritten_history_is_taken_and_told(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a", x="0")})
    old = repository.commit({"a.yaml": config("a", x="1")})
    world.source("app", repository)
    world.settle()
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.write({"a.yaml": config("a", x="2")})
    repository.git("commit", "--quiet", "-am", "another way")
    new = repository.push("--force")
    world.advance(61)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "2"}
    rewrite = world.status().rewrite
    assert rewrite is not None
    assert (rewrite.old, rewrite.new) == (old, new)
    repository.commit({"a.yaml": config("a", x="3")})
    world.advance(61)
    assert world.status().rewrite is None


def test_a_repository_that_vanished_changes_nothing(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository, prune=True)
    world.settle()
    repository.bare.rename(repository.bare.with_name("gone.git"))
    world.advance(600)
    assert "does not appear to be a git repository" in world.failure()
    assert world.objects() == ["spec/default/configmaps/a"]


# Drift


def test_drift_is_told_and_left_alone(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a", x="1"), "b.yaml": config("b")})
    world.source("app", repository)
    world.settle()
    by_hand(world, x="9")
    world.client.delete(world.client.get("configmaps", "b"))
    world.advance(61)
    drift = {each.object: each.fields for each in world.status().drift}
    assert drift == {"configmap/a": ("data.x",), "configmap/b": ()}
    assert world.spec_of("configmaps", "a")["data"] == {"x": "9"}


def by_hand(world: Sync, **data: str) -> None:
    """Change the object as somebody does who is not the source."""
    ref = world.client.get("configmaps", "a").ref
    world.client.change(ref, lambda raw: {**raw, "data": {**raw["data"], **data}})


def test_what_people_have_applied_is_taken_over_as_the_repository_is_the_truth(
    world: Sync, repository: Repository
) -> None:
    world.client.apply(docs(yaml.safe_load(config("a", x="1", theirs="stays"))))
    repository.commit({"a.yaml": config("a", x="2")})
    world.source("app", repository)
    world.settle()
    assert world.status().failure is None
    assert world.spec_of("configmaps", "a")["data"] == {"x": "2", "theirs": "stays"}


def test_drift_is_put_right_with_self_heal(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a", x="1")})
    world.source("app", repository, selfHeal=True)
    world.settle()
    by_hand(world, x="9", theirs="stays")
    world.advance(61)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1", "theirs": "stays"}
    assert world.status().drift == ()


def test_fields_that_the_repository_leaves_out_are_no_drift(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a", x="1")})
    world.source("app", repository, selfHeal=True)
    world.settle()
    by_hand(world, theirs="stays")
    before = world.revision
    world.advance(300)
    assert world.revision == before


def test_without_prune_what_left_is_told_as_orphaned(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a"), "b.yaml": config("b")})
    world.source("app", repository)
    world.settle()
    repository.commit({"b.yaml": None})
    world.advance(61)
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/b"]
    assert world.status().orphaned == ("default/configmap/b",)


def test_with_prune_what_left_goes_but_for_what_says_otherwise(world: Sync, repository: Repository) -> None:
    kept = yaml.safe_load(config("kept"))
    kept["metadata"]["annotations"] = {"berth/prune": "disabled"}
    repository.commit({"a.yaml": config("a"), "b.yaml": config("b"), "kept.yaml": yaml.safe_dump(kept)})
    world.source("app", repository, prune=True)
    world.settle()
    repository.commit({"b.yaml": None, "kept.yaml": None})
    world.advance(70)
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/kept"]
    assert world.status().orphaned == ("default/configmap/kept",)


def test_only_what_is_the_sources_own_is_pruned(world: Sync, repository: Repository) -> None:
    world.client.apply(docs(yaml.safe_load(config("by-hand"))))
    repository.commit({"a.yaml": config("a"), "b.yaml": config("b")})
    world.source("app", repository, prune=True)
    world.settle()
    repository.commit({"b.yaml": None})
    world.advance(61)
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/by-hand"]


def test_what_somebody_else_applied_too_is_given_up_and_told_until_the_next_commit(
    world: Sync, repository: Repository
) -> None:
    world.client.apply(docs(yaml.safe_load(config("b"))))
    repository.commit({"a.yaml": config("a"), "b.yaml": config("b")})
    world.source("app", repository, prune=True)
    world.settle()
    repository.commit({"b.yaml": None})
    world.advance(61)
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/b"]
    assert world.status().released == ("default/configmap/b",)
    world.advance(200)
    world.client.sources.ask("app")
    world.syncer = world.new_syncer()  # another leader tells it, too
    world.advance(200)
    assert world.status().released == ("default/configmap/b",)
    repository.commit({"a.yaml": config("a", x="2")})
    world.advance(61)
    assert world.status().released == ()


# What people and others ask for


def test_a_suspended_source_does_nothing(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository, suspend=True)
    world.advance(HOUR)
    assert world.objects() == []
    world.client.sources.resume("app")
    world.settle()
    assert world.objects() == ["spec/default/configmaps/a"]


def test_sync_now_looks_at_once_and_puts_right_what_drifted(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a", x="1")})
    world.source("app", repository, interval="1h")
    world.settle()
    by_hand(world, x="9")
    repository.commit({"b.yaml": config("b")})
    revision = world.client.sources.ask("app")
    world.while_waiting.append(world.settle)
    world.client.sources.wait("app", revision, timeout_s=60)
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/b"]
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1"}
    assert world.keys_under("/berth/requests/") == []


def test_sync_now_is_answered_when_it_fails(world: Sync, repository: Repository) -> None:
    world.source("app", repository)
    world.settle()
    world.client.sources.ask("app")
    world.settle()
    assert world.keys_under("/berth/requests/") == []
    assert "RefMissing" in world.failure()


def test_rollback_stays_at_the_commit_before_until_resume(world: Sync, repository: Repository) -> None:
    first = repository.commit({"a.yaml": config("a", x="1")})
    world.source("app", repository)
    world.settle()
    repository.commit({"a.yaml": config("a", x="2")})
    world.advance(61)
    _, found, commit = world.client.sources.rollback("app", "")
    assert commit == first
    assert found is not None
    world.settle()
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1"}
    repository.commit({"a.yaml": config("a", x="3")})
    world.advance(300)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "1"}
    assert world.status().rewrite is None
    world.client.sources.resume("app")
    world.settle()
    assert world.spec_of("configmaps", "a")["data"] == {"x": "3"}


def test_a_new_form_of_the_source_is_synced_at_once(world: Sync, repository: Repository) -> None:
    repository.commit({"one/a.yaml": config("a"), "two/b.yaml": config("b")})
    world.source("app", repository, path="one", interval="1h")
    world.settle()
    world.source("app", repository, path="two", interval="1h")
    world.settle()
    assert world.objects() == ["spec/default/configmaps/a", "spec/default/configmaps/b"]
    assert world.status().orphaned == ("default/configmap/a",)


def test_variables_come_from_a_file_of_the_repository(world: Sync, repository: Repository) -> None:
    repository.commit({"deploy/a.yaml": config("a", x="${COLOR}"), "env/prod.env": "COLOR=red\n"})
    world.source("app", repository, path="deploy", vars="env/prod.env")
    world.settle()
    assert world.spec_of("configmaps", "a")["data"] == {"x": "red"}
    repository.commit({"deploy/a.yaml": config("a", x="${COLOUR}")})
    world.advance(61)
    assert "deploy/a.yaml:3: variable COLOUR is not given" in world.failure()


def test_a_sealed_secret_is_applied(world: Sync, repository: Repository) -> None:
    pair = new_key_pair()
    world.put(KEYS.cluster, {"clusterUid": "u", "publicKey": pair.public})
    raw = {**make_object("Secret", "s"), "stringData": {"password": "hunter2"}}
    (sealed,) = world.client.ready(docs(raw))
    repository.commit({"s.yaml": yaml.safe_dump(sealed.raw)})
    world.source("app", repository, prune=True)
    world.settle()
    assert world.objects() == ["secrets/default/s"]
    assert world.status().drift == ()


# Terms


def test_a_deposed_leader_writes_nothing(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository)
    world.depose()
    before = world.revision
    world.syncer.step(world.clock())
    assert world.syncer.step(world.clock() + 1) is None or world.revision == before
    assert (world.revision, world.objects()) == (before, [])


def test_a_leader_that_is_deposed_during_a_job_writes_nothing(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository)
    world.syncer.step(world.clock())  # fetched
    world.jobs.is_holding = True
    world.syncer.step(world.clock())  # apply is on its way
    world.depose()
    before = world.revision
    for run in world.jobs.held:
        run()
    world.syncer.step(world.clock())
    assert (world.revision, world.objects(), world.syncer.is_over) == (before, [], True)


def test_no_status_is_written_for_a_source_that_is_gone_unseen(
    world: Sync, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository)
    world.syncer.step(world.clock())
    monkeypatch.setattr(world.syncer._informer, "step", lambda now: ())
    world.store.txn(Txn((), (Delete(KEYS.spec(cluster_ref("gitsources", "app"))),)))
    for _ in range(4):
        world.syncer.step(world.clock())
    assert world.keys_under("/berth/status/_cluster/gitsources/") == []


def test_a_new_leader_goes_on_and_writes_nothing_anew(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository)
    world.settle()
    world.depose()
    world.syncer = world.new_syncer()
    before = world.revision
    world.advance(200)
    assert world.revision == before
    repository.commit({"a.yaml": config("a", x="2")})
    world.advance(61)
    assert world.spec_of("configmaps", "a")["data"] == {"x": "2"}


def test_a_source_that_is_gone_leaves_its_objects_and_no_mirror(world: Sync, repository: Repository) -> None:
    repository.commit({"a.yaml": config("a")})
    world.source("app", repository, prune=True)
    world.settle()
    world.store.txn(Txn((), (Delete(KEYS.spec(cluster_ref("gitsources", "app"))),)))
    world.settle()
    assert world.objects() == ["spec/default/configmaps/a"]
    assert list((world.folder / "mirrors").iterdir()) == []
