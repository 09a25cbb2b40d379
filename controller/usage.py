"""What is used on one node: granted by bindings that have not ended, assumed by decisions on their way to etcd,
and held by containers that no binding names. Kept by differences, so that a cycle need not add up again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.binding import GrantedPort, Grants

K = TypeVar("K")


@dataclass(slots=True)
class NodeUsage:
    """Sums over all sites of a node.

    used: resource name -> amount in base units. ports: (protocol, host port) -> how many hold it.
    devices: resource name -> id -> how many hold it. sites: task uids that have a binding here, ended or not.
    """

    used: dict[str, int] = field(default_factory=dict)
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    devices: dict[str, dict[str, int]] = field(default_factory=dict)
    sites: set[str] = field(default_factory=set)
    version: int = 0
    freed: int = 0
    _real: dict[str, Grants] = field(default_factory=dict)
    _assumed: dict[str, Grants] = field(default_factory=dict)

    def set(self, uid: str, grants: Grants | None) -> None:
        """Set what the binding of `uid` uses; None when it has ended or is gone."""
        self._replace(uid, self._real, grants)

    def set_unbound(self, uid: str, resources: Mapping[str, int], ports: tuple[GrantedPort, ...]) -> None:
        """Set what a container without a binding uses."""
        self.set(uid, Grants(resources=dict(resources), ports=ports))

    def held(self, uid: str) -> Grants | None:
        """Return what a task uses here, really or as assumed; None for nothing."""
        return self._real.get(uid) or self._assumed.get(uid)

    def holders(self) -> frozenset[str]:
        """Return the uids of the tasks that use something here."""
        return frozenset(self._real) | self._assumed.keys()

    def assume(self, uid: str, grants: Grants) -> None:
        """Count a decision that is on its way to etcd."""
        self._replace(uid, self._assumed, grants)

    def forget(self, uid: str) -> None:
        """Stop counting a decision: it failed, or the view has reached the revision at which it was written."""
        self._replace(uid, self._assumed, None)

    def note_site(self, uid: str, bound: bool) -> None:
        """Note whether a binding of `uid` exists here."""
        if bound != (uid in self.sites):
            self.version += 1
            self.freed += not bound
            self.sites.add(uid) if bound else self.sites.discard(uid)

    def _replace(self, uid: str, where: dict[str, Grants], grants: Grants | None) -> None:
        before = self._real.get(uid) or self._assumed.get(uid)
        if grants is None:
            where.pop(uid, None)
        else:
            where[uid] = grants
        after = self._real.get(uid) or self._assumed.get(uid)
        if before is not after:
            self.version += 1
            self.freed += after is None
            self._add(before, -1)
            self._add(after, +1)

    def _add(self, grants: Grants | None, sign: int) -> None:
        if grants is None:
            return
        for name, amount in grants.resources.items():
            self.used[name] = self.used.get(name, 0) + sign * amount
        for port in grants.ports:
            _count(self.ports, (port.protocol, port.host_port), sign)
        for name, ids in grants.devices.items():
            for each in ids:
                _count(self.devices.setdefault(name, {}), each, sign)


def _count(holders: dict[K, int], key: K, sign: int) -> None:
    """Two may hold one port or id for a while, after history was rewound; it is free when both have ended."""
    holders[key] = holders.get(key, 0) + sign
    if not holders[key]:
        del holders[key]
