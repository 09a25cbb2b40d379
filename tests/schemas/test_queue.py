from typing import Any

import pytest
from pydantic import ValidationError

from schemas.errors import InvalidName
from schemas.keys import Keys, SpecKey, cluster_ref
from schemas.queue import Queue, check_queue_name


def make_queue(name: str = "batch", **spec: Any) -> Queue:
    return Queue.parse_written(
        {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": name}, "spec": spec}
    )


def test_an_empty_queue_is_first_come_first_served_for_all_and_nobody_waits_for_ever() -> None:
    spec = make_queue().spec
    assert (spec.ordering, spec.backfill, spec.max_wait, spec.placement) == ("fcfs", "easy", 3600.0, None)
    assert spec.admits("any")
    assert not make_queue(namespaces=["eng"]).spec.admits("any")


@pytest.mark.parametrize("name", ["eng", "eng/backend", "eng/backend/web-1", "a.b/c"])
def test_a_queue_may_have_a_name_of_parts(name: str) -> None:
    assert make_queue(name).metadata.name == name
    key = Keys().spec(cluster_ref("queues", name))
    assert key.removeprefix("/berth/spec/_cluster/queues/").count("/") == 0
    assert Keys().parse(key) == SpecKey(cluster_ref("queues", name))


@pytest.mark.parametrize(
    "name", ["", "/eng", "eng/", "eng//web", "Eng/web", "eng/-web", "eng:web", "a" * 254]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_queue_name(name)
    with pytest.raises(ValidationError):
        make_queue(name)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"limit": {"cpu": 1}, "guarantee": {"cpu": 2}}, "limit cpu=1 is below the guarantee cpu=2"),
        (
            {"limit": {"gpu": 0}, "guarantee": {"gpu": 1, "cpu": 1}},
            "limit gpu=0 is below the guarantee gpu=1",
        ),
        ({"guarantee": {"cpu": -1}}, "must not be negative"),
        ({"weight": 0}, "greater than 0"),
        ({"maxWait": "-1h"}, "duration '-1h'"),
        ({"namespaces": ["Team"]}, "name 'Team' must be"),
        ({"ordering": "lifo"}, "'fcfs' or 'sjf'"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        make_queue(**spec)


def test_a_guarantee_may_name_what_no_limit_does() -> None:
    assert make_queue(guarantee={"cpu": 9}, limit={"memory": "1Gi"}).spec.guarantee == {"cpu": 9000}
