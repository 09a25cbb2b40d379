"""events, wait, explain, api-resources: what they print and how they end."""

from collections.abc import Iterator
from typing import Any

import pytest

from cli.wait import parse_goal
from client.errors import BadOption
from schemas.fielddocs import FIELD_DOCS
from schemas.jsonschema import kind_schema
from schemas.kinds import KINDS, Kind
from tests.cli.helpers import Shell
from tests.client.helpers import KEYS, World, make_task

# events


def told(world: World, name: str, uid: str, reason: str, at: str, **fields: Any) -> None:
    event = {
        "kind": "Event", "namespace": "default", "objectKind": "Task", "objectName": name, "objectUid": uid,
        "type": "Normal", "reason": reason, "message": f"{reason} it", "source": "controller", "count": 1,
        "firstTimestamp": at, "lastTimestamp": at, **fields,
    }  # fmt: skip
    world.put(KEYS.event(event["namespace"], uid, "controller", reason), event)


def three_events(world: World) -> None:
    told(world, "web", "u1", "Bound", "2027-01-15T07:50:00Z")
    told(world, "web", "u1", "BackOff", "2027-01-15T07:59:00Z", type="Warning", count=3)
    told(world, "api", "u2", "Bound", "2027-01-15T07:55:00Z")
    told(world, "n1", "u3", "NotReady", "2027-01-15T07:56:00Z", namespace="_cluster", objectKind="Node")


def test_events_are_listed_oldest_first(world: World, berth: Shell) -> None:
    three_events(world)
    assert berth("events").lines == [
        "LAST SEEN   TYPE      REASON    OBJECT     MESSAGE",
        "10m         Normal    Bound     task/web   Bound it",
        "5m          Normal    Bound     task/api   Bound it",
        "60s         Warning   BackOff   task/web   BackOff it",
    ]
    assert berth("get", "events").lines == berth("events").lines
    assert berth("events", "-A", "--no-headers").lines[2].split()[:2] == ["_cluster", "4m"]


def test_events_of_one_object_and_type(world: World, berth: Shell) -> None:
    three_events(world)
    assert [line.split()[2] for line in berth("events", "--for", "task/web", "--no-headers").lines] == [
        "Bound",
        "BackOff",
    ]
    assert [line.split()[2] for line in berth("events", "--types", "warning", "--no-headers").lines] == [
        "BackOff"
    ]
    assert berth("events", "--for", "node/n1", "-o", "name").lines == ["node/n1"]
    assert berth("events", "-o", "jsonpath={.items[*].reason}").out == "Bound Bound BackOff"
    assert berth("events", "--for", "task/nope").err == "No resources found in default namespace.\n"
    assert "known: Normal, Warning" in berth("events", "--types", "x").err
    assert "is not of the form KIND/NAME" in berth("events", "--for", "web").err


@pytest.mark.parametrize("arguments", [("events", "-w"), ("events", "--watch-only"), ("get", "events", "-w")])
def test_events_are_watched(world: World, berth: Shell, arguments: tuple[str, ...]) -> None:
    three_events(world)

    def stop() -> None:
        raise KeyboardInterrupt

    world.while_waiting = [lambda: told(world, "web", "u1", "Started", "2027-01-15T08:00:00Z"), stop]
    result = berth(*arguments)
    reasons = [line.split()[2] for line in result.lines[1:]]
    assert reasons == (
        ["Started"] if "--watch-only" in arguments else ["Bound", "Bound", "BackOff", "Started"]
    )
    assert result.code == 130


# wait


def running(world: World, ready: str = "True") -> None:
    condition = {"type": "Ready", "status": ready, "reason": "ContainersReady", "message": "one is not"}
    world.set_status("web", state="Running" if ready == "True" else "Starting", conditions=[condition])


def test_wait_for_a_condition(world: World, berth: Shell) -> None:
    world.apply(make_task())
    world.while_waiting = [lambda: running(world, "False"), lambda: running(world)]
    result = berth("wait", "task/web", "--for=condition=Ready")
    assert (result.code, result.lines, result.err) == (0, ["task/web condition met"], "")
    assert berth("wait", "task", "web", "--for", "condition=ready=true").code == 0


def test_wait_says_what_was_last_seen(world: World, berth: Shell) -> None:
    world.apply(make_task())
    running(world, "False")
    result = berth("wait", "task/web", "--for=condition=Ready", "--timeout=3s")
    assert (result.code, result.out) == (1, "")
    assert (
        "timed out after 3 s waiting for condition Ready=True of task/web; last seen: Ready is False (one is not)"
        in (result.err)
    )
    assert "see: berth describe task/web" in result.err
    once = berth("wait", "task/web", "--for=jsonpath={.status.state}=Running", "--timeout=0")
    assert "last seen: {.status.state} is Starting" in once.err
    assert berth("wait", "task/web", "--for=condition=Ready=False", "--timeout=0").code == 0


def test_wait_for_a_field(world: World, berth: Shell) -> None:
    world.apply(make_task())
    world.while_waiting = [lambda: running(world)]
    assert berth("wait", "task/web", "--for=jsonpath='{.status.state}'=Running").code == 0
    assert berth("wait", "task/web", "--for=jsonpath={.status.node}", "--timeout=0").code == 1


def test_wait_for_creation_and_deletion(world: World, berth: Shell) -> None:
    world.while_waiting = [lambda: world.apply(make_task())]
    assert berth("wait", "task/web", "--for=create").lines == ["task/web condition met"]
    result = berth("wait", "task/web", "--for=delete", "--timeout=2s")
    assert "last seen: it exists, and nobody has asked to delete it" in result.err
    world.client.delete(world.client.get("task", "web"), wait=False)
    assert berth("wait", "task/web", "--for=delete").lines == ["task/web condition met"]
    assert berth("wait", "task/web", "--for=delete").code == 0


def test_wait_for_many_and_for_none(world: World, berth: Shell) -> None:
    world.apply(make_task("a"), make_task("b"))
    assert berth("wait", "tasks", "--all", "--for=jsonpath={.metadata.name}").lines == [
        "task/a condition met",
        "task/b condition met",
    ]
    result = berth("wait", "tasks", "-l", "x=1", "--for=condition=Ready")
    assert (result.code, result.out) == (1, "")
    assert "there is nothing to wait for; see: berth get tasks" in result.err
    assert berth("wait", "tasks", "-l", "x=1", "--for=delete").code == 0


def test_wait_for_what_is_not_there_or_goes_is_an_error(world: World, berth: Shell) -> None:
    assert 'task "web" not found' in berth("wait", "task/web", "--for=condition=Ready").err
    world.apply(make_task())
    world.while_waiting = [lambda: world.leader.remove(world.client.get("task", "web").ref)]
    result = berth("wait", "task/web", "--for=condition=Ready")
    assert (result.code, 'task "web" not found' in result.err) == (1, True)


@pytest.mark.parametrize("text", ["", "x", "condition=", "jsonpath=", "delete=x", "jsonpath={.a}x=1"])
def test_bad_goal_says_what_to_write(text: str) -> None:
    with pytest.raises(BadOption, match="--for"):
        parse_goal(text)


# explain


def test_explain_shows_a_field_and_those_below(berth: Shell) -> None:
    lines = berth("explain", "task.spec.containers").lines
    assert lines[:4] == [
        "KIND:     Task",
        "VERSION:  berth/v1",
        "",
        "FIELD: containers <[]Container> -required-",
    ]
    assert "  image <string> -required-" in lines
    assert "  pidsLimit <integer>" in lines
    assert "      Default: 4096" in lines
    assert '      One of: "Always", "IfNotPresent", "Never"' in lines


def test_explain_of_amounts_tells_of_names_that_are_not_known_beforehand(berth: Shell) -> None:
    assert "  <name> <integer|string>" in berth("explain", "queue.spec.guarantee").lines
    assert (
        "    Anything else that nodes offer, such as gpu: a count."
        in berth("explain", "q.spec.limit.gpu").lines
    )


@pytest.mark.parametrize("kind", KINDS)
def test_explain_says_what_a_kind_is_for(berth: Shell, kind: Kind) -> None:
    lines = berth("explain", kind.singular).lines
    assert lines[lines.index("DESCRIPTION:") + 1].startswith("    ")


def test_explain_recursive_shows_the_tree(berth: Shell) -> None:
    lines = berth("explain", "po", "--recursive").lines
    assert "  spec <TaskSpec> -required-" in lines
    assert "        requests <map[string]quantity>" in lines


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("task.spec.contaners", "task.spec has no field 'contaners'; did you mean containers?"),
        ("task.spec.grace.x", "task.spec.grace has no field 'x'; it has no fields"),
        ("tsk", 'there is no kind "tsk"; did you mean tasks?'),
        ("queue.spec.zzz", "known fields: weight, guarantee, limit"),
    ],
)
def test_explain_of_what_is_not_there_says_what_is(berth: Shell, field: str, expected: str) -> None:
    result = berth("explain", field)
    assert (result.code, result.out) == (1, "")
    assert expected in result.err


def described_fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind in KINDS:
        schema = kind_schema(kind)
        for model, definition in {kind.name: schema, **schema["definitions"]}.items():
            for field, described in definition["properties"].items():
                yield model, field, described


def test_every_field_is_described_and_no_description_is_stale() -> None:
    fields = list(described_fields())
    assert [(model, field) for model, field, described in fields if not described.get("description")] == []
    known = {(model, field) for model, field, _ in fields}
    stale = {(model, field) for model, docs in FIELD_DOCS.items() for field in docs} - known
    assert stale <= {("ObjectMeta", field) for field in FIELD_DOCS["ObjectMeta"]}


# api-resources


def test_api_resources(berth: Shell) -> None:
    listed = {line.split()[0]: line.split()[1:] for line in berth("api-resources").lines}
    assert listed["NAME"] == ["SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    assert listed["tasks"] == ["t,po,pod,pods", "berth/v1", "true", "Task"]
    assert listed["deployments"] == ["deploy", "berth/v1", "true", "Deployment"]
    assert "tasks" in berth("api-resources", "-o", "name").lines
    assert berth("api-resources", "-o", "wide").lines[0].endswith("VERBS")
    assert berth("api-resources", "-o", "json").code == 1
