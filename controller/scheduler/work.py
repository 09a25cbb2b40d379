"""The working copy of one cycle: what is free while it fills up, and a journal to take it back."""

from dataclasses import dataclass, field, replace

import numpy as np

from controller.scheduler.columns import ABSENT, EVERY_ROW, Floats, Ints, Memo
from controller.scheduler.fleet import PROTOCOLS, Fleet
from controller.scheduler.shape import NODE, Labels, Place, PortAsk, Shape, TaskTerm

SCORED = ("cpu", "memory")
"""The resources that best fit looks at, as in Nomad."""


@dataclass(slots=True)
class TermCount:
    """How many tasks match a term: by row, and by domain of its topology (ABSENT: rows without the label).

    domains: the code of each row. by_domain: int64[code], and a 0 at the end, where ABSENT finds it.
    moves: how often it changed.
    """

    by_row: Ints
    domains: Ints
    by_domain: Ints
    moves: int = 0

    def add(self, row: int, sign: int) -> None:
        self.moves += 1
        self.by_row[row] += sign
        if self.by_domain is not self.by_row and self.domains[row] != ABSENT:
            self.by_domain[self.domains[row]] += sign

    def around(self, rows: slice = EVERY_ROW) -> Ints:
        """Return by row how many are in its domain; without the label none are around."""
        if self.by_domain is self.by_row:
            return self.by_row[rows]
        found: Ints = self.by_domain.take(self.domains[rows], mode="wrap")  # ABSENT = -1 is the last
        return found


@dataclass(frozen=True, slots=True)
class Taken:
    """One task's room: where, of what shape, and the concrete ports and devices. ports: as asked, fixed ones first."""

    row: int
    shape: Shape
    ports: tuple[tuple[PortAsk, int], ...] = ()
    devices: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(slots=True)
class Work:
    """free: int64[resource, row]. power: 10^(free / allocatable) of the scored resources, by row.

    sizes: of each scored resource the different amounts that nodes have in all, and which one each row has.
    given_back: how often something was; as long as it stays the same, room only shrinks.
    """

    fleet: Fleet
    free: Ints
    ports_free: Ints
    power: Floats
    allocatable: Ints
    sizes: tuple[tuple[Floats, Ints], ...]
    journal: list[tuple[Taken, int]] = field(default_factory=list)
    given_back: int = 0
    reach: Memo[Place, dict[str, Ints]] = field(init=False)  # kept by filters
    _counts: Memo[TaskTerm, TermCount] = field(init=False)
    _repelled: Memo[Labels, dict[TaskTerm, TermCount]] = field(init=False)
    _holders: Memo[TaskTerm, TermCount] = field(init=False)  # of anti-affinities
    _counts_of: Memo[Labels, list[TermCount]] = field(init=False)
    _scored: tuple[int | None, ...] = field(init=False)  # their indices among the resources
    _shares: Floats = field(init=False)
    _factors: dict[tuple[int, int], Floats] = field(default_factory=dict)
    _names: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    _ports: dict[int, set[tuple[str, int]]] = field(default_factory=dict)
    _held: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    _devices: dict[tuple[int, str], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._scored = tuple(self.fleet.resources.get(name) for name in SCORED)
        self._shares = np.ones(len(SCORED))
        self.reach = Memo(lambda _: {})
        self._counts = Memo(self._new_count)
        self._repelled = Memo(self._new_repelling)
        self._holders = Memo(self._new_holders)
        self._counts_of = Memo(
            lambda labels: [count for term, count in self._counts.items() if term.matches(labels)]
        )

    @classmethod
    def of(cls, fleet: Fleet) -> "Work":
        size = fleet.size
        shares = [
            fleet.share_free(fleet.resources[name]) if name in fleet.resources else np.ones(size)
            for name in SCORED
        ]
        power = np.power(10.0, np.clip(np.stack(shares), None, 1.0)) if size else np.ones((len(SCORED), 0))
        return cls(
            fleet,
            fleet.free[:, :size].copy(),
            fleet.ports_free[:, :size].copy(),
            power,
            fleet.allocatable[:, :size],
            tuple(_sizes(fleet, name) for name in SCORED),
        )

    # Taking and giving back

    def after(self, shape: Shape, count: int) -> "Work":
        """Return what scores see when every row had taken so many of a shape."""
        powers = self.power.copy()
        for place, name in enumerate(SCORED):
            asked = shape.asks(name)
            index = self.fleet.resources.get(name)
            if asked and index is not None:
                shares = np.ones(self.fleet.size)
                some = self.allocatable[index] > 0
                np.divide(self.free[index] - count * asked, self.allocatable[index], out=shares, where=some)
                powers[place] = np.power(10.0, np.minimum(shares, 1.0))
        return replace(self, power=powers)

    def take_equal(self, row: int, shape: Shape, count: int) -> Taken:
        """Take the room of several tasks that ask for no concrete port or device; a negative count gives it back."""
        self._move(row, shape, -count)
        taken = Taken(row, shape)
        self.journal.append((taken, count))
        return taken

    def take(self, row: int, shape: Shape) -> Taken:
        """Take the room of one task that fits; note it in the journal."""
        self._move(row, shape, -1)
        ports = tuple((ask, self._take_port(row, ask)) for ask in sorted(shape.ports, key=_fixed_first))
        devices: tuple[tuple[str, tuple[str, ...]], ...] = ()
        if self.fleet.devices:
            there = self.fleet.view(row).devices_free
            devices = tuple(
                (name, self._take_devices(row, name, amount))
                for name, amount in shape.requests
                if amount and name in there
            )
        taken = Taken(row, shape, ports, devices)
        self.journal.append((taken, 1))
        return taken

    def take_back(self, mark: int) -> None:
        """Undo what was taken since the journal had `mark` entries."""
        while len(self.journal) > mark:
            taken, count = self.journal.pop()
            self._move(taken.row, taken.shape, +count)
            for ask, port in taken.ports:
                self._give_port(taken.row, ask.protocol, port)
            for name, ids in taken.devices:
                self._devices[taken.row, name][:0] = ids

    def _move(self, row: int, shape: Shape, count: int) -> None:
        self.given_back += count > 0
        for name, amount in shape.requests:
            index = self.fleet.resources.get(name)
            if index is not None:
                self.free[index, row] += count * amount
        self._rescore(row)
        for known in self._counts_of.of(shape.labels):
            known.add(row, -count)
        for term in shape.company.repels:
            self._holders.of(term).add(row, -count)

    def _rescore(self, row: int) -> None:
        """The same calls as for all rows at once: equal nodes must stay equal to the last bit."""
        for place, index in enumerate(self._scored):
            share = 1.0
            if index is not None and (whole := self.allocatable.item(index, row)) > 0:
                share = min(1.0, self.free.item(index, row) / whole)
            self._shares[place] = share
        np.power(10.0, self._shares, out=self.power[:, row])

    def decay(self, place: int, asked: int, rows: slice) -> Floats | float:
        """Return by what `power` of a scored resource is multiplied when `asked` is taken of it."""
        sizes, which = self.sizes[place]
        factors = self._factors.get((place, asked))
        if factors is None:
            factors = self._factors[place, asked] = np.power(10.0, -asked / sizes)
        return float(factors[0]) if len(sizes) == 1 else factors.take(which[rows], mode="clip")

    def names_of(self, rows: Ints) -> tuple[str, ...]:
        """Return the names of the nodes of some rows; the same rows give the same tuple, as many shapes share them."""
        key = rows.tobytes()
        known = self._names.get(key)
        if known is None:
            known = self._names[key] = tuple(self.fleet.names_by_row[rows])
        return known

    # Ports and devices

    def ports_of(self, row: int) -> set[tuple[str, int]]:
        known = self._ports.get(row)
        if known is None:
            known = self._ports[row] = set(self.fleet.view(row).ports_used)
        return known

    def holders(self, protocol: str, port: int) -> set[int]:
        """Return the rows on which a host port is taken."""
        return self.fleet.port_holders.get((protocol, port), set()) | self._held.get((protocol, port), set())

    def _take_port(self, row: int, ask: PortAsk) -> int:
        used = self.ports_of(row)
        low, high = self.fleet.view(row).port_range
        port = ask.host_port
        if port is None:
            port = next(each for each in range(low, high + 1) if (ask.protocol, each) not in used)
        used.add((ask.protocol, port))
        self._held.setdefault((ask.protocol, port), set()).add(row)
        if low <= port <= high:
            self.ports_free[PROTOCOLS.index(ask.protocol), row] -= 1
        return port

    def _give_port(self, row: int, protocol: str, port: int) -> None:
        self.ports_of(row).discard((protocol, port))
        self._held[protocol, port].discard(row)
        low, high = self.fleet.view(row).port_range
        if low <= port <= high:
            self.ports_free[PROTOCOLS.index(protocol), row] += 1

    def _take_devices(self, row: int, name: str, amount: int) -> tuple[str, ...]:
        ids = self._devices.get((row, name))
        if ids is None:
            ids = self._devices[row, name] = list(self.fleet.view(row).devices_free[name])
        taken = tuple(ids[:amount])
        del ids[:amount]
        return taken

    # Tasks around

    def count(self, term: TaskTerm) -> TermCount:
        """Return the counts of a term, kept up to date from here on."""
        return self._counts.of(term)

    def _new_count(self, term: TaskTerm) -> TermCount:
        by_row = self.fleet.count_of(term)
        for taken, count in self.journal:
            if term.matches(taken.shape.labels):
                by_row[taken.row] += count
        made = self._by_domain(term.topology, by_row)
        for labels, counts in self._counts_of.items():
            if term.matches(labels):
                counts.append(made)
        return made

    def repelling(self, labels: Labels) -> dict[TaskTerm, TermCount]:
        """Return the anti-affinities that tasks with these labels meet, with their holders."""
        return self._repelled.of(labels)

    def _new_repelling(self, labels: Labels) -> dict[TaskTerm, TermCount]:
        terms = dict.fromkeys(self.fleet.repelling(labels))
        terms |= dict.fromkeys(term for term, _ in self._holders.items() if term.matches(labels))
        return {term: self._holders.of(term) for term in terms}

    def _new_holders(self, term: TaskTerm) -> TermCount:
        by_row = self.fleet.holders_of(term)
        for taken, count in self.journal:
            by_row[taken.row] += count * taken.shape.company.repels.count(term)
        made = self._by_domain(term.topology, by_row)
        for labels, terms in self._repelled.items():
            if term.matches(labels):
                terms[term] = made
        return made

    def _by_domain(self, topology: str, by_row: Ints) -> TermCount:
        if topology == NODE:
            rows = np.arange(self.fleet.size)
            return TermCount(by_row, rows, by_row)
        book, codes = self.fleet.label(topology)
        domains = codes.astype(np.int64)  # numpy looks up by these twice as fast
        inside = domains != ABSENT
        sums = np.bincount(domains[inside], weights=by_row[inside], minlength=len(book.values) + 1)
        return TermCount(by_row, domains, sums.astype(np.int64))


def _sizes(fleet: Fleet, name: str) -> tuple[Floats, Ints]:
    """A node that has none of it counts as endless: its share stays 1."""
    if name not in fleet.resources:
        return np.full(1, np.inf), np.zeros(fleet.size, np.int64)
    allocatable = fleet.allocatable[fleet.resources[name], : fleet.size]
    sizes, which = np.unique(np.where(allocatable > 0, allocatable, np.inf), return_inverse=True)
    return sizes, which


def _fixed_first(ask: PortAsk) -> bool:
    return ask.host_port is None
