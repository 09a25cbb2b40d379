"""Blame: whose a field is, and since when."""

from typing import Any

from client.blame import FieldBlame, blame, leaves
from client.history import Revision
from schemas.keys import ObjectRef

WEB = ObjectRef("deployments", "default", "web")


def web(*, uid: str = "u1", **spec: Any) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": "web", "uid": uid}, "spec": spec}


def change(revision: int, raw: dict[str, Any] | None, *who: str, **more: Any) -> Revision:
    """One change that was seen; raw None: a deletion."""
    action = "deleted" if raw is None else "changed"
    given = {"action": action, "is_exact": True, "known_until": revision - 1, "era": 1, **more}
    uid = "u1" if raw is None else raw["metadata"]["uid"]
    return Revision(WEB, revision, 1, uid, time=f"t{revision}", who=who, object=raw, **given)


def of(fields: tuple[FieldBlame, ...], path: str) -> tuple[tuple[str, ...], int | None]:
    """Return who set a field, and at which revision."""
    (found,) = [each for each in fields if each.path == path]
    return found.who, None if found.origin is None else found.origin.revision


def test_field_is_of_the_manager_whose_manifest_has_it() -> None:
    revisions = [
        change(5, web(image="a", replicas=2), "ci", action="created"),
        change(7, web(image="b", replicas=2), "ci"),
    ]
    fields = blame(web(image="b", replicas=2), {"ci": web(image="b", replicas=2)}, revisions)
    assert of(fields, "spec.image") == (("ci",), 7)
    assert of(fields, "spec.replicas") == (("ci",), 5)


def test_field_that_differs_from_every_manifest_was_set_by_hand() -> None:
    revisions = [change(5, web(replicas=2), "ci", action="created"), change(9, web(replicas=7))]
    fields = blame(web(replicas=7), {"ci": web(replicas=2)}, revisions)
    assert of(fields, "spec.replicas") == (("by hand",), 9)


def test_value_that_came_back_counts_from_its_return() -> None:
    revisions = [change(n, web(replicas=value)) for n, value in ((1, 2), (2, 3), (3, 2), (4, 2))]
    assert of(blame(web(replicas=2), {}, revisions), "spec.replicas") == (("by hand",), 3)


def test_without_history_who_is_known_and_when_is_not() -> None:
    fields = blame(web(image="a", replicas=3), {"ci": web(image="a")}, ())
    assert of(fields, "spec.image") == (("ci",), None)
    assert of(fields, "spec.replicas") == (("by hand",), None)


def test_value_older_than_the_history_has_no_time() -> None:
    revisions = [change(5, web(a=1, b=1), action="found"), change(6, web(a=1, b=2))]
    fields = blame(web(a=1, b=2), {}, revisions)
    assert of(fields, "spec.a")[1] is None
    assert of(fields, "spec.b")[1] == 6


def test_earlier_object_of_that_name_counts_for_nothing() -> None:
    revisions = [
        change(1, web(a=1), "ci", action="created"),
        change(2, None),
        change(3, web(uid="u2", a=1), "other", action="created"),
    ]
    assert of(blame(web(uid="u2", a=1), {}, revisions), "spec.a") == (("other",), 3)


def test_fields_that_two_manifests_have_are_of_both() -> None:
    fields = blame(web(a=1), {"x": web(a=1), "y": web(a=1), "z": web(a=2)}, ())
    assert of(fields, "spec.a")[0] == ("x", "y")


def test_items_with_names_are_fields_of_their_own_and_other_lists_are_one() -> None:
    found = dict(leaves({"named": [{"name": "n", "v": 1}], "plain": [1, 2], "empty": {}}))
    assert found == {"named[n].name": "n", "named[n].v": 1, "plain": [1, 2], "empty": {}}
