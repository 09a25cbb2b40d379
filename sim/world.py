"""The world: one thread, one clock, one seed. Two controllers, three nodes, people, and whatever can go wrong.

    run(seed) -> Result    the same seed gives the same story, to the letter

A round steps the actors that are due or were woken, in an order that the seed decides, and lets a little time pass;
between rounds the seed may let people act or something fail. After each step the invariants are checked. Then
everything is healed, the cluster comes to rest, and what must hold in the end is checked.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from agent.labels import Journal
from agent.probes import ProbeKind
from agent.resources import NodeFacts
from agent.runtime.api import Create, Kill, Op, Reason, Start, Stop
from agent.runtime.hollow import Behaviour, Fault, script_of_image
from controller.reconcilers.collection import FinishedPolicy
from controller.scheduler.schedule import Policy
from controller.source import Random
from schemas.keys import Keys, cluster_ref
from schemas.roles import Role
from sim.asking import Wellness
from sim.configuring import CLUSTER_PAIR, NODE_PAIRS
from sim.ending import check_end
from sim.host import SimHost, is_stranger
from sim.invariants import Claim, Invariants, InvariantViolated
from sim.keepers import Keepers
from sim.owners import Operators
from sim.people import FLAKY, People
from sim.processes import KEEP_DEAD_S, QUICKLY, AgentProcess, ControllerProcess, Process
from sim.sharers import Sharers
from sim.store import Crashed, Faults, NetworkStore
from sim.story import Story
from sim.telling import tell_op
from store.api import Delete, Put, Txn
from store.errors import Rewound
from store.memory import MemoryStore

START = 1_700_000_000.0
ROUNDS = 150  # with troubles; then the cluster is healed and comes to rest
REST_ROUNDS = 2000
PEOPLE_ACT = 0.3  # probability a round
OPERATORS_ACT = 0.15
KEEPERS_ACT = 0.2
SHARERS_ACT = 0.3
ENDS_UNDER_DRAIN = 0.5  # probability that a node is left under drain in the end
TROUBLE_COMES = 0.08
FLAKY_ATTEMPTS = 2
PACE_S = (0.01, 0.2, 0.5, 1.0, 3.0)  # between two rounds
REST_PACE_S = (0.2, 1.0, 1.5)
ABSENCE_ROUND = 30  # in every third seed: early enough to be followed to its end
ABSENCE_S = 100.0
QUIET_S = 40.0  # after so long without a write time passes faster ...
QUIET_STEP_S = 2.0  # ... but with its other steps never by half a leader's lease
IDLE_S = 320.0  # a cluster at rest writes nothing for this long


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does: how long, which troubles it has, and whether people keep workloads besides tasks.

    collects: finished tasks and dead containers go within seconds. queues: people share the cluster by queues.
    """

    rounds: int = ROUNDS
    troubles: bool = True
    rewinds: bool = True
    workloads: bool = False
    queues: bool = False
    collects: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one seed; `violation` is empty when every invariant held."""

    seed: int
    violation: str
    story: Story


@dataclass(slots=True)
class _Drawn:
    """Dice of one concern each, so that one more fault does not change everything else."""

    order: random.Random
    time: random.Random
    trouble: random.Random
    people: random.Random
    network: random.Random
    runtime: random.Random
    ids: random.Random
    operators: random.Random
    keepers: random.Random
    probes: random.Random
    sharers: random.Random

    @classmethod
    def of(cls, seed: int) -> "_Drawn":
        return cls(*(random.Random(f"{seed}/{name}") for name in cls.__dataclass_fields__))


class World:
    """Everything there is in one run."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.seed = seed
        self.plan = plan
        self.now = START
        self.dice = _Drawn.of(seed)
        self.story = Story(START)
        self.keys = Keys()
        self.admin = MemoryStore(lambda: self.now)
        self.people = People(self.admin, self.keys, self.dice.people)
        self.invariants = Invariants(self.admin, self.keys, self)
        owning = self.invariants.owning
        self.operators = Operators(
            self.admin, self.keys, self.dice.operators, owning.leave, owning.given_up.add
        )
        values = self.invariants.configuring.values
        self.keepers = Keepers(self.admin, self.keys, self.dice.keepers, self.people, CLUSTER_PAIR, values)
        self.sharers = Sharers(self.admin, self.keys, self.dice.sharers, self.people)
        self.controllers = [self._controller(f"c{n}") for n in (1, 2)]
        self.agents = [self._agent(f"n{n}") for n in (1, 2, 3)]
        self.processes: tuple[Process, ...] = (*self.controllers, *self.agents)
        self.heals: list[tuple[float, str, Callable[[], None]]] = []
        self.rewound_at: float | None = None
        self.compacted = 0
        self.cut_off: set[str] = set()  # names of processes, which stay cut off when they start anew
        self.stops_begun: set[str] = set()
        self._checked = 0

    # Building

    def _connect(self, process: str, highest: int) -> NetworkStore:
        inner = self.admin.another_client(highest)
        store = NetworkStore(inner, process, self.dice.network, lambda: self.now, self.invariants)
        store.faults.partitioned = process in self.cut_off
        return store

    def _uid(self) -> str:
        return f"{self.dice.ids.getrandbits(64):016x}"

    def _controller(self, name: str) -> ControllerProcess:
        source = Random(self._uid, self._uid, self.seed)
        policy = Policy("spread" if self.seed % 2 else "binpack")
        pair = CLUSTER_PAIR if self.plan.workloads else None
        finished = QUICKLY if self.plan.collects else FinishedPolicy()
        return ControllerProcess(name, self._connect, source, policy, pair, finished=finished)

    def _agent(self, name: str) -> AgentProcess:
        amounts = {"cpu": 4000, "memory": 2**30, "gpu": 2}
        facts = NodeFacts(amounts, amounts, devices={"gpu": ("0", "1")}, address="127.0.0.1")
        host = SimHost(lambda: self.now, script=self._behaviour)
        host.hinders = lambda op: self.invariants.configuring.check_create(op, name)
        return AgentProcess(
            name,
            self._connect,
            host,
            facts,
            self.dice.runtime,
            self._on_op,
            self._uid,
            self._runtime_fault,
            Wellness(self.dice.probes, lambda: self.now, lambda: self.plan.troubles and not self._healed),
            NODE_PAIRS[name].public if self.plan.workloads else None,
            KEEP_DEAD_S if self.plan.collects else float("inf"),
        )

    def _behaviour(self, op: Create) -> Behaviour:
        behaviour = script_of_image(op)
        if op.binding.spec.containers[0].image == FLAKY and op.journal.attempt < FLAKY_ATTEMPTS:
            behaviour = Behaviour(runs_s=3.0, exit_code=1)
        stops_in_s = self.dice.runtime.choice([0.1, 0.1, 1.0, 20.0])
        return Behaviour(behaviour.runs_s, behaviour.exit_code, behaviour.oom, stops_in_s)

    def _runtime_fault(self, op: Op, now: float) -> Fault:
        if not self.plan.troubles or self._healed:
            return Fault(delay_s=0.05)
        dice = self.dice.runtime
        return Fault(
            delay_s=dice.choice([0.0, 0.05, 0.5, 4.0]),
            error="simulated: the runtime failed" if dice.random() < 0.03 else "",
            lost_reply=dice.random() < 0.03,
        )

    _healed = False

    # What the invariants ask

    @property
    def is_mending(self) -> bool:
        """History was rewound, and what that left has not had the time to end."""
        return self.rewound_at is not None

    def claim_of(self, process: str) -> Claim:
        for each in self.processes:
            if each.name == process:
                return each.claim()
        return Claim("person")

    def fail(self, message: str) -> None:
        self.story.tell(self.now, "INVARIANT", message)
        raise InvariantViolated(message)

    def saw(self, process: str, op: Put | Delete) -> None:
        if not op.key.startswith(self.keys.events_range()):
            self.story.tell(self.now, process, tell_op(op, self.keys))

    def _on_op(self, process: AgentProcess, op: Op) -> None:
        """An agent asks its runtime for something."""
        if isinstance(op, Start):
            containers = process.host.containers()
            self.invariants.ordering.check_start(op, containers, process.wellness, process.name)
        elif isinstance(op, Stop | Kill):
            self._on_stop(process, op)

    def _on_stop(self, process: AgentProcess, op: Stop | Kill) -> None:
        """An agent stops a container: it must have been told to, or be cut off for long enough."""
        journal = self._journal(process, op.id)
        self.story.tell(
            self.now, process.name, f"{type(op).__name__.lower()}s {op.target.binding_uid} ({op.id})"
        )
        if journal is None:
            self.fail(f"{process.name} touches container {op.id}, which is not its own")
        if isinstance(op, Stop):
            self.invariants.ordering.check_stop(op, process.host.containers(), self.now, process.name)
        if op.why is not None or self._is_beside_none(process, journal):
            self._check_why(process, op)
            return
        assert process.agent is not None
        silent_for_s = self.now - process.silent_since
        begun = op.id in self.stops_begun  # a stop that was begun with good reason is carried through
        self.stops_begun.add(op.id)
        if not begun and not self.invariants.may_stop(op.target.binding_uid, silent_for_s=silent_for_s):
            name = journal.name if journal else "?"
            self.fail(f"{process.name} stops the container of {name}, which should run")

    def _is_beside_none(self, process: AgentProcess, journal: Journal | None) -> bool:
        """Say whether a container is there for others of its task, none of which runs."""
        if journal is None or (journal.role != Role.SIDECAR and not journal.is_sandbox):
            return False
        same = [c for c in process.host.running() if c.journal.binding_uid == journal.binding_uid]
        return all(each.journal.role == Role.SIDECAR or each.journal.is_sandbox for each in same)

    def _check_why(self, process: AgentProcess, op: Stop | Kill) -> None:
        """A container of a task that goes on is stopped because a probe of it failed, or its sandbox ended."""
        kinds = {
            Reason.LIVENESS_PROBE_FAILED: ProbeKind.LIVENESS,
            Reason.STARTUP_PROBE_FAILED: ProbeKind.STARTUP,
        }
        kind = kinds.get(op.why.reason) if op.why is not None else None
        if kind is not None and (op.id, kind) not in process.wellness.failed:
            self.fail(f"{process.name} restarts {op.id}, and its {kind} probe never failed")

    def _journal(self, process: AgentProcess, container_id: str) -> Journal | None:
        found = [c.journal for c in process.host.containers() if c.id == container_id]
        return found[0] if found and not is_stranger(found[0]) else None

    # Time and steps

    def start(self) -> None:
        for process in self.processes:
            process.start(self.now)

    def round(self) -> None:
        """Step every actor that is due or woken, in the seed's order, and let a little time pass."""
        for process, index in self._order():
            if index < len(process.actors):
                self._step(process, index)
        self._pass_time()

    def _order(self) -> list[tuple[Process, int]]:
        found = [(p, i) for p in self.processes for i in range(len(p.actors))]
        self.dice.order.shuffle(found)
        return [each for each in found if self._healed or self.dice.order.random() < 0.95]

    def _step(self, process: Process, index: int) -> None:
        try:
            process.actors[index].step(self.now)
        except Crashed:
            self.story.tell(self.now, process.name, "crashes in the middle of a call")
            self._crash(process)
        except Rewound as error:
            self.story.tell(self.now, process.name, f"sees that history went back: {error}")
            process.rewound(error, self.now)
        self.check(may_have_started=isinstance(process, AgentProcess))

    def _pass_time(self) -> None:
        self.now += self.dice.time.choice(REST_PACE_S if self._healed else PACE_S)
        self.admin.expire_leases()
        for agent in self.agents:
            agent.host.advance()
        due = [each for each in self.heals if each[0] <= self.now]
        self.heals = [each for each in self.heals if each[0] > self.now]
        for _, what, heal in due:
            self.story.tell(self.now, "world", what)
            heal()
        self.check()

    def check(self, *, may_have_started: bool = True) -> None:
        """Check what must hold after every step; unchanged worlds are not looked at twice."""
        if may_have_started:
            self.invariants.check_copies(self._exactly_one_running())
        revision = self.admin.get(self.keys.cluster).revision
        if revision != self._checked:
            self._checked = revision
            self.invariants.check_store(recovering=self.rewound_at is not None)

    def _exactly_one_running(self) -> list[tuple[str, str, str]]:
        """Return (namespace, name, host) of running exactlyOne containers where the promise holds.

        It holds while the agent runs, or its host is dead; and not while rewound history is being mended.
        """
        found = []
        for agent in self.agents:
            if not agent.is_up or self.rewound_at is not None:
                continue
            for info in agent.running():
                binding = self.invariants.history.spec_of.get(info.journal.binding_uid)
                if binding is not None and binding.spec.exactly_one:
                    found.append((info.journal.namespace, info.journal.name, f"{agent.name} ({info.id})"))
        return found

    # Troubles

    def trouble(self) -> None:
        """Let one thing go wrong, and note when it is mended."""
        dice = self.dice.trouble
        choices: list[Callable[[], str]] = [
            self._crash_controller,
            self._crash_agent,
            self._kill_host,
            self._partition,
            self._bad_network,
            self._crash_in_call,
            self._compact,
            self._expire_lease,
            self._end_watches,
            self._runtime_down,
            self._stranger_takes_port,
            self._stranger_takes_names,
        ]
        if self.plan.rewinds and self.rewound_at is None:
            choices.append(self._rewind)
        self.story.tell(self.now, "world", dice.choice(choices)())

    def _any(self) -> Process:
        return self.dice.trouble.choice(self.processes)

    def _after(self, seconds: float, what: str, heal: Callable[[], None]) -> None:
        self.heals.append((self.now + seconds, what, heal))

    def _crash(self, process: Process) -> None:
        process.crash(self.now)
        pause = self.dice.trouble.choice([0.1, 1.0, 5.0])
        self._after(pause, f"{process.name} starts again", lambda: self._start(process))

    def _start(self, process: Process) -> None:
        if process.may_start:
            process.start(self.now)

    def _crash_controller(self) -> str:
        process = self.dice.trouble.choice(self.controllers)
        self._crash(process)
        return f"{process.name} crashes"

    def _crash_agent(self) -> str:
        process = self.dice.trouble.choice(self.agents)
        if not process.host_is_up:
            return "nothing happens"
        self._crash(process)
        return f"the agent of {process.name} crashes"

    def _kill_host(self) -> str:
        process = self.dice.trouble.choice(self.agents)
        if not process.host_is_up:
            return "nothing happens"
        process.die_with_host(self.now)
        pause = self.dice.trouble.choice([10.0, 60.0, 120.0])
        self._after(pause, f"host {process.name} is switched on again", lambda: self._power_on(process))
        return f"host {process.name} loses its power for {pause} s"

    def _power_on(self, process: AgentProcess) -> None:
        process.host_is_up = True
        self._start(process)

    def absence(self) -> None:
        """Cut a node off for longer than its exactlyOne tasks are waited for."""
        holders = {host.split()[0] for _, _, host in self._exactly_one_running()}
        candidates = [agent for agent in self.agents if agent.name in holders] or self.agents
        process = self.dice.trouble.choice(candidates)
        self.story.tell(self.now, "world", self._cut_off(process, ABSENCE_S))

    def _partition(self) -> str:
        return self._cut_off(self._any(), self.dice.trouble.choice([5.0, 70.0, 120.0]))

    def _cut_off(self, process: Process, seconds: float) -> str:
        self._set_partition(process, cut=True)
        mend = f"{process.name} reaches the store again"
        self._after(seconds, mend, lambda: self._set_partition(process, cut=False))
        return f"{process.name} is cut off from the store for {seconds} s"

    def _set_partition(self, process: Process, *, cut: bool) -> None:
        self.cut_off.add(process.name) if cut else self.cut_off.discard(process.name)
        if process.store is not None:
            process.store.faults.partitioned = cut

    def _bad_network(self) -> str:
        process = self._any()
        if process.store is None or process.name in self.cut_off:
            return "nothing happens"
        store = process.store
        store.faults = Faults(fail=0.1, lose_reply=0.1, late=0.3, repeat=0.2, end_watch=0.05)
        self._after(30.0, f"the network of {process.name} is good again", lambda: _calm(store))
        return f"the network of {process.name} is bad for 30 s"

    def _crash_in_call(self) -> str:
        process = self._any()
        if process.store is None:
            return "nothing happens"
        process.store.faults.crash_at = self.dice.trouble.randint(1, 20)
        return f"{process.name} will crash in its call number {process.store.faults.crash_at}"

    def _compact(self) -> str:
        revision = self.admin.get(self.keys.cluster).revision
        if revision == self.compacted:
            return "nothing happens"
        self.admin.compact(revision)
        self.compacted = revision
        self.admin.end_watches()
        return f"the store compacts to {revision}, and every watch ends"

    def _expire_lease(self) -> str:
        kvs = [*self.admin.list(self.keys.election).kvs]
        kvs += self.admin.list(f"{self.keys.root}heartbeats/").kvs
        if not kvs:
            return "nothing happens"
        kv = self.dice.trouble.choice(kvs)
        self.admin.revoke_lease(kv.lease_id)
        return f"the lease of {kv.key} is gone"

    def _end_watches(self) -> str:
        self.admin.end_watches()
        return "every watch ends"

    def _runtime_down(self) -> str:
        process = self.dice.trouble.choice(self.agents)
        process.host.up = False
        self._after(10.0, f"the runtime of {process.name} answers again", lambda: _runtime_up(process))
        return f"the runtime of {process.name} does not answer for 10 s"

    def _stranger_takes_port(self) -> str:
        process = self.dice.trouble.choice(self.agents)
        port = self.dice.trouble.choice([8080, 31000, 31001])
        process.host.foreign_ports.add(port)
        self._after(
            40.0, f"port {port} of {process.name} is free", lambda: process.host.foreign_ports.discard(port)
        )
        return f"a stranger listens on port {port} of {process.name}"

    def _stranger_takes_names(self) -> str:
        """Containers that are not ours bear the names of ours that are to come."""
        process = self.dice.trouble.choice(self.agents)
        if not process.host.take_names(self._uid()):
            return "nothing happens"
        self._after(40.0, f"the strangers leave {process.name}", process.host.drop_strangers)
        return f"strangers' containers take names on {process.name}"

    def _rewind(self) -> str:
        """A backup is restored: everybody's newest writes are gone."""
        cluster = self.admin.get(self.keys.cluster)
        back = self.dice.trouble.choice([3, 10, 30])
        revision = cluster.revision - back
        created = cluster.kv.create_revision if cluster.kv else 0
        if cluster.kv is None or revision <= max(created, self.compacted):
            return "nothing happens"
        self.admin.rewind(revision)
        self.admin = self.admin.another_client()
        self.people.rewound(self.admin)
        self.operators.store = self.keepers.store = self.sharers.store = self.admin
        self.invariants.rewound(self.admin)
        self.rewound_at = self.now
        self._await_mended()
        return f"the store is restored from a backup: revision {cluster.revision} -> {revision}"

    def _await_mended(self) -> None:
        """The promise about copies holds again once placements are rebuilt and old copies have had time to end."""
        from schemas.cluster import Cluster

        before = self.admin.get(self.keys.cluster).kv
        incarnation = Cluster.model_validate_json(before.value).incarnation if before else 0

        def look() -> None:
            kv = self.admin.get(self.keys.cluster).kv
            cluster = Cluster.model_validate_json(kv.value) if kv else None
            if cluster and cluster.incarnation > incarnation and not cluster.recovering:
                self._after(60.0, "what the rewind left has had time to end", self._mended)
            else:
                self._after(1.0, "", look)

        look()

    def _mended(self) -> None:
        self.rewound_at = None

    # The end

    def heal(self) -> None:
        """End every trouble, and let everything start that is down."""
        self._healed = True
        self.cut_off.clear()
        self.story.tell(self.now, "world", "everything is healed")
        for agent in self.agents:
            agent.host_is_up, agent.host.up = True, True
            agent.host.foreign_ports.clear()
            agent.host.drop_strangers()
        for process in self.processes:
            if process.store is not None:
                process.store.faults = Faults()
            self._start(process)
        self.people.repair_all()
        for agent in self.agents:
            self.admin.txn(Txn((), (Delete(self.keys.spec(cluster_ref("nodes", agent.name))),)))
        if self.plan.workloads:
            drain = self.dice.keepers.random() < ENDS_UNDER_DRAIN
            for told in self.keepers.settle(drain=drain):
                self.story.tell(self.now, "keeper", told)

    def rest(self) -> None:
        """Run until nothing was written for IDLE_S; fail if that never comes."""
        last, since = -1, self.now
        for _ in range(REST_ROUNDS):
            self.round()
            revision = self.admin.get(self.keys.cluster).revision
            if revision != last:
                last, since = revision, self.now
            elif self.now - since > IDLE_S:
                return
            elif self.now - since > QUIET_S:
                self.now += QUIET_STEP_S
        self.fail("the cluster does not come to rest: it goes on writing")


def _calm(store: NetworkStore) -> None:
    """End a bad network, not a partition that came meanwhile."""
    store.faults = Faults(partitioned=store.faults.partitioned)


def _runtime_up(process: AgentProcess) -> None:
    process.host.up = True


def run(seed: int, plan: Plan | None = None) -> Result:
    """Run one seed from an empty store to rest."""
    world = World(seed, plan or Plan())
    try:
        world.start()
        if world.plan.queues:
            world.sharers.begin()
        for number in range(world.plan.rounds):
            if world.plan.troubles and seed % 3 == 0 and number == ABSENCE_ROUND:
                world.absence()
            if world.dice.people.random() < PEOPLE_ACT:
                world.story.tell(world.now, "person", world.people.act())
            if world.plan.workloads and world.dice.operators.random() < OPERATORS_ACT:
                world.story.tell(world.now, "operator", world.operators.act())
            if world.plan.workloads and world.dice.keepers.random() < KEEPERS_ACT:
                world.story.tell(world.now, "keeper", world.keepers.act())
            if world.plan.queues and world.dice.sharers.random() < SHARERS_ACT:
                world.story.tell(world.now, "sharer", world.sharers.act())
            if world.plan.troubles and world.dice.trouble.random() < TROUBLE_COMES:
                world.trouble()
            world.round()
        world.heal()
        world.rest()
        check_end(world)
    except InvariantViolated as violation:
        return Result(seed, str(violation), world.story)
    return Result(seed, "", world.story)
