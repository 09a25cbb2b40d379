"""What left a set: it is shown, asked about, and removed; the rest of `berth apply --set NAME --prune`."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cli.session import note, out
from client.conflicts import PLAIN
from client.errors import Refused
from schemas.meta import CLUSTER_NAMESPACE, DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from client.applyset import ApplySet, Removal, SetPlan
    from client.client import Client

SHOWN = 200  # lines of a list that a person reads


def show_removals(plan: "SetPlan", suffix: str = "") -> None:
    """Print what would become of each object that left the set."""
    for each in plan.removals:
        _print(each, suffix)


def confirm(name: str, plan: "SetPlan", *, yes: bool) -> None:
    """Show what would be pruned, and ask on a terminal. Raises Refused: for a no, and where nobody can be asked."""
    from client.applyset import Verdict

    going = plan.of(Verdict.PRUNE)
    if not going:
        return
    note(f"{_count(going)} left set {name}, and will be deleted:")
    for each in going[:SHOWN]:
        note(f"  {place(each)}")
    if len(going) > SHOWN:
        note(f"  and {len(going) - SHOWN} more")
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            "nothing was written, as there is no terminal to ask whether these objects may go; say so with --yes, or "
            "leave --prune out"
        )
    sys.stderr.write(f"Delete {_count(going)}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("nothing was written, as you said no")


def tell_left(name: str, plan: "SetPlan") -> None:
    """Say of an apply without --prune what it leaves, and where it could not look."""
    from client.applyset import Verdict

    going = plan.of(Verdict.PRUNE)
    if going:
        note(f"Note: {_count(going)} left set {name} and stay; see which, and delete them, with: --prune")


def tell_unread(plan: "SetPlan") -> None:
    """Say where objects of the set may be that were not looked for."""
    if plan.unread:
        places = ", ".join(plan.unread)
        note(f"Note: your rights don't let the set be looked for in {places}; what it may have there stays")


def prune(client: "Client", one: "ApplySet", plan: "SetPlan", *, timeout_s: float | None) -> None:
    """Remove what left the set, and say of each what became of it. timeout_s: to wait until all is gone."""
    from client.applyset import Verdict

    asked = []
    for done in one.remove(plan.removals):
        _print(done, "")
        if done.verdict is Verdict.PRUNE and done.view is not None:
            asked.append(done.view)
    for view in asked if timeout_s is not None else ():
        client.wait_deleted(view, timeout_s=timeout_s or 0.0)


def _print(removal: "Removal", suffix: str) -> None:
    out(f"{removal.ref} {removal.verdict.value}{suffix}")
    if removal.why:
        note(f"  {place(removal)} is {removal.verdict.value}, as {removal.why}{_hint(removal)}")


def _hint(removal: "Removal") -> str:
    """Say how to delete an object that was applied without a set, too."""
    from client.applyset import Verdict

    plain = removal.verdict is Verdict.RELEASE and PLAIN in removal.claims.forms
    ref = removal.ref
    where = "" if ref.namespace in (CLUSTER_NAMESPACE, DEFAULT_NAMESPACE) else f" -n {ref.namespace}"
    return f"; to have it deleted: berth delete {ref}{where}" if plain else ""


def place(removal: "Removal") -> str:
    """Return which object is meant, with its namespace."""
    ref = removal.ref
    return str(ref) if ref.namespace == CLUSTER_NAMESPACE else f"{ref} in namespace {ref.namespace}"


def _count(removals: Iterable["Removal"]) -> str:
    found = Counter(each.ref.plural for each in removals)
    total = sum(found.values())
    return f"{total} object{'s' if total != 1 else ''}"
