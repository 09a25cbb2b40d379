"""Sums kept by differences are the sums made afresh."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.usage import NodeUsage
from schemas.binding import GrantedPort, Grants

UIDS = ("u1", "u2", "u3")


def make_grants(cpu: int = 100, ports: tuple[int, ...] = (), gpus: tuple[str, ...] = ()) -> Grants:
    return Grants(
        resources={"cpu": cpu},
        ports=tuple(GrantedPort(container="main", container_port=80, host_port=port) for port in ports),
        devices={"gpu": gpus} if gpus else {},
    )


def summed(usage: NodeUsage) -> tuple[dict[str, int], set[tuple[str, int]], set[str]]:
    used = {name: amount for name, amount in usage.used.items() if amount}
    return used, set(usage.ports), set(usage.devices.get("gpu", ()))


def afresh(
    real: dict[str, Grants], assumed: dict[str, Grants]
) -> tuple[dict[str, int], set[tuple[str, int]], set[str]]:
    used: Counter[str] = Counter()
    ports, gpus = set(), set()
    for grants in {**assumed, **real}.values():
        used.update(grants.resources)
        ports |= {(port.protocol, port.host_port) for port in grants.ports}
        gpus |= set(grants.devices.get("gpu", ()))
    return {name: amount for name, amount in used.items() if amount}, ports, gpus


GRANTS = st.builds(
    make_grants,
    st.integers(0, 300),
    st.sets(st.integers(31000, 31002)).map(tuple),
    st.sets(st.sampled_from(["0", "1"])).map(tuple),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "end", "assume", "forget"]), st.sampled_from(UIDS), GRANTS),
    min_size=3,
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_sums_by_difference_equal_sums_made_afresh(steps: list[tuple[str, str, Grants]]) -> None:
    usage, real, assumed = NodeUsage(), dict[str, Grants](), dict[str, Grants]()
    for action, uid, grants in steps:
        before, version = afresh(real, assumed), usage.version
        match action:
            case "set":
                usage.set(uid, grants)
                real[uid] = grants
            case "end":
                usage.set(uid, None)
                real.pop(uid, None)
            case "assume":
                usage.assume(uid, grants)
                assumed[uid] = grants
            case "forget":
                usage.forget(uid)
                assumed.pop(uid, None)
        assert summed(usage) == afresh(real, assumed)
        assert afresh(real, assumed) == before or usage.version > version, "a change that nobody is told of"


def test_a_binding_takes_the_place_of_what_was_assumed_for_it() -> None:
    usage = NodeUsage()
    usage.assume("u1", make_grants(cpu=100))
    usage.set("u1", make_grants(cpu=100))
    usage.forget("u1")
    assert usage.used["cpu"] == 100
    assert usage.freed == 0


def test_what_is_given_back_is_told() -> None:
    usage = NodeUsage()
    usage.set("u1", make_grants())
    usage.set("u1", None)
    assert usage.freed == 1
    usage.assume("u2", make_grants())
    usage.forget("u2")
    assert usage.freed == 2


def test_an_ended_binding_remains_a_site_until_it_is_removed() -> None:
    usage = NodeUsage()
    usage.note_site("u1", bound=True)
    assert usage.sites == {"u1"}
    usage.note_site("u1", bound=False)
    assert not usage.sites
    assert usage.freed == 1
