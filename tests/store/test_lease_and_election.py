"""Leases that are kept, lost and granted anew, and who leads meanwhile; all in virtual time."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.api import Delete, Put, Txn
from store.election import Candidate, Election, Follower, Leader, Role
from store.errors import LeaseExpired, OutcomeUnknown, Unavailable
from store.lease import LeaseKeeper
from store.memory import MemoryStore
from tests.store.faulty import FaultyStore
from tests.store.harness import ManualClock

PREFIX = "/berth/election/controller/"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0.0)


@pytest.fixture
def store(clock: ManualClock) -> FaultyStore:
    return FaultyStore(MemoryStore(clock))


class TestLeaseKeeper:
    def test_beats_every_third_of_its_time(self, store: FaultyStore) -> None:
        keeper = LeaseKeeper(store, 9)
        for now in range(10):
            keeper.step(float(now))
        assert store.calls == ["grant_lease", "keep_alive", "keep_alive", "keep_alive"]

    def test_counts_its_life_from_before_the_request(self, store: FaultyStore) -> None:
        keeper = LeaseKeeper(store, 9)
        assert not keeper.alive(0)
        keeper.step(100)
        assert (keeper.last_renewed, keeper.alive(108.9), keeper.alive(109)) == (100, True, False)

    def test_an_unreachable_store_is_survived(self, store: FaultyStore) -> None:
        keeper = LeaseKeeper(store, 9)
        keeper.step(0)
        lease = keeper.lease_id
        store.fail_before(Unavailable("down"), OutcomeUnknown("lost"))
        keeper.step(3)
        keeper.step(4)
        assert isinstance(keeper.last_error, OutcomeUnknown)
        assert not keeper.alive(9)
        keeper.step(5)
        assert (keeper.lease_id, keeper.last_error, keeper.alive(9)) == (lease, None, True)

    def test_an_expired_lease_is_granted_anew(self, store: FaultyStore, clock: ManualClock) -> None:
        keeper = LeaseKeeper(store, 9)
        keeper.step(0)
        lease = keeper.lease_id
        clock.now = 10
        store.behind.expire_leases()
        keeper.step(10)
        assert (keeper.lost, keeper.alive(10)) == (True, False)
        assert isinstance(keeper.last_error, LeaseExpired)
        keeper.step(11)
        assert not keeper.lost
        assert keeper.lease_id not in (0, lease)

    def test_revoking_ends_it_and_is_safe_twice(self, store: FaultyStore) -> None:
        keeper = LeaseKeeper(store, 9)
        keeper.step(0)
        lease = keeper.lease_id
        store.txn(Txn((), (Put("/a", b"v", lease),)))
        keeper.revoke()
        keeper.revoke()
        assert store.get("/a").kv is None
        assert not keeper.alive(0)
        keeper.step(1)
        keeper._store.revoke_lease(keeper.lease_id)
        keeper.revoke()


@dataclass
class Member:
    """A candidate with its own client, as a process is."""

    name: str
    memory: MemoryStore
    store: FaultyStore = field(init=False)
    role: Role | None = None

    def __post_init__(self) -> None:
        self.store = FaultyStore(self.memory.another_client())
        self.keeper = LeaseKeeper(self.store, 10)
        self.election = Election(
            self.store, self.keeper, prefix=PREFIX, identity=self.name, value=self.name.encode()
        )

    def step(self, now: float) -> Role:
        self.keeper.step(now)
        self.role = self.election.step(now)
        return self.role


class TestElection:
    def test_the_first_leads_and_the_next_follows(self, store: FaultyStore) -> None:
        first, second = Member("a", store.behind), Member("b", store.behind)
        assert isinstance(first.step(0), Leader)
        assert second.step(0) == Follower(b"a")

    def test_who_resigns_is_followed_by_the_next(self, store: FaultyStore) -> None:
        first, second = Member("a", store.behind), Member("b", store.behind)
        first.step(0)
        second.step(0)
        first.election.resign()
        assert isinstance(second.step(1), Leader)
        assert first.step(1) == Follower(b"b")

    def test_a_deposed_leader_can_not_write(self, store: FaultyStore, clock: ManualClock) -> None:
        first, second = Member("a", store.behind), Member("b", store.behind)
        old, _ = first.step(0), second.step(0)
        assert isinstance(old, Leader)
        clock.now = 9
        second.step(9)
        clock.now = 11
        store.behind.expire_leases()
        new = second.step(11)
        assert isinstance(new, Leader)
        assert not first.store.txn(Txn((old.fence.compare(),), (Put("/a", b"old"),))).succeeded
        assert second.store.txn(Txn((new.fence.compare(),), (Put("/a", b"new"),))).succeeded

    def test_nobody_leads_on_a_lease_that_may_be_over(self, store: FaultyStore) -> None:
        member = Member("a", store.behind)
        assert isinstance(member.step(0), Leader)
        member.store.fail_before(*[Unavailable("down")] * 20)
        for now in (4, 8, 10):
            assert isinstance(member.step(now), Candidate)
        member.store._before.clear()
        assert isinstance(member.election.step(10), Candidate)

    def test_a_lost_reply_leaves_one_key(self, store: FaultyStore) -> None:
        member = Member("a", store.behind)
        member.store.lose_reply()
        assert isinstance(member.step(0), Candidate)
        assert isinstance(member.step(1), Leader)
        assert len(store.list(PREFIX).kvs) == 1

    def test_a_key_that_was_taken_away_is_a_new_candidacy(self, store: FaultyStore) -> None:
        first, second = Member("a", store.behind), Member("b", store.behind)
        old, _ = first.step(0), second.step(0)
        assert isinstance(old, Leader)
        store.txn(Txn((), (Delete(old.fence.key),)))
        assert first.step(1) == Follower(b"b")
        assert not store.txn(Txn((old.fence.compare(),))).succeeded


steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["step", "resign", "fail", "lose", "sleep"])), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_at_most_one_fence_is_valid(sequence: list[tuple[int, str]]) -> None:
    clock = ManualClock(0.0)
    memory = MemoryStore(clock)
    members = [Member(name, memory) for name in "abc"]
    fences = set()
    for number, action in sequence:
        member = members[number]
        match action:
            case "step":
                member.step(clock.now)
            case "resign":
                member.store._before.clear()
                member.election.resign()
            case "fail":
                member.store.fail_before(Unavailable("down"))
            case "lose":
                member.store.lose_reply()
            case "sleep":
                clock.now += 4
                memory.expire_leases()
        if isinstance(member.role, Leader):
            fences.add(member.role.fence)
        valid = [fence for fence in fences if memory.txn(Txn((fence.compare(),))).succeeded]
        assert len(valid) <= 1
        sure = [m for m in members if isinstance(m.role, Leader) and m.keeper.alive(clock.now)]
        assert len({m.name for m in sure if m.role.fence in valid}) == len(sure)  # type: ignore[union-attr]
