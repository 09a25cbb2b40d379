"""Rebalancing and consolidation before they are done, as JSON: which tasks would move where, and what keeps the others.

The leader plans; people carry it out, move by move, by wishes to evict (`client.rebalancing`). Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from controller.answers import BadQuestion, Json, Seen, header, named
from controller.packing_answers import certificate, limits_of
from controller.scheduler.node_view import Standing
from controller.scheduler.program import Limits, gap
from controller.scheduler.proposal import occupies
from controller.scheduler.rebalance import Aim, Movable, Rebalancing, Request, rebalance
from controller.scheduler.waves import State
from controller.snapshots import Frozen, Mover

MAX_NAMED = 5  # of what keeps a node from being emptied; more say no more
AIMS: Mapping[str, Aim] = {"nodes": "nodes", "balance": "balance"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know: within which limits, and what is worth it."""

    request: Request
    limits: Limits


def parse_asked(raw: Mapping[str, Any]) -> Asked:
    """Return a question: aim, maxMoves, minGain, seconds, searchNodes. Raises BadQuestion."""
    try:
        aim = AIMS[str(raw.get("aim", "nodes"))]
        moves = raw.get("maxMoves")
        request = Request(aim, None if moves is None else int(moves), float(raw.get("minGain", 0.0)))
        if not (isfinite(request.min_gain) and request.min_gain >= 0 and (request.max_moves or 0) >= 0):
            raise ValueError(f"maxMoves={moves} and minGain={request.min_gain} have to be numbers from 0 on")
        return Asked(request, limits_of(dict(raw)))
    except (KeyError, ValueError, TypeError) as error:
        raise BadQuestion(
            400, f"the question can't be read: {type(error).__name__}: {error}; aims are: {', '.join(AIMS)}"
        ) from None


# Rebalance


def rebalance_plan(frozen: Frozen, asked: Asked, seen: Seen) -> Json:
    """Return the moves that reach the aim; only tasks that whoever asks may see are moved."""
    movables, stays = split(frozen, seen)
    found = rebalance(frozen.snapshot(), movables, asked.request, asked.limits)
    return {**header(frozen, "Rebalance"), **_plan(frozen, found, asked.request, seen), "stays": stays}


def _plan(frozen: Frozen, found: Rebalancing, request: Request, seen: Seen) -> Json:
    movers = {each.uid: each for each in frozen.movers}
    return {
        "aim": request.aim,
        "maxMoves": request.max_moves,
        "minGain": request.min_gain,
        "verdict": found.verdict,
        **certificate(found.objective, found.bound, gap(found.objective, found.bound)),
        "seconds": round(found.seconds, 3),
        "searched": found.searched,
        "columns": found.columns,
        "rows": found.rows,
        "gain": round(found.gain, 6),
        "before": _state(found.before),
        "after": _state(found.after),
        "moves": [
            {
                "task": named(each.task.ref, seen),
                "bindingUid": movers[each.task.uid].binding_uid,
                "from": each.source,
                "to": each.target,
                "wave": each.wave,
                "lostSeconds": round(each.lost_s),
                "graceSeconds": movers[each.task.uid].grace_s,
            }
            for each in found.moves
        ],
    }


def _state(state: State) -> Json:
    return {"nodesUsed": len(state.used), "imbalance": round(state.imbalance, 6)}


def split(frozen: Frozen, seen: Seen) -> tuple[list[Movable], list[Json]]:
    """Return the tasks that may move, and of the others where they are and what keeps them."""
    standing = {each.uid: each for each in frozen.standing}
    ready = {node.name for node in frozen.nodes if node.ready}
    movables, stays = [], []
    for mover in sorted(frozen.movers, key=lambda each: (each.ref, each.node)):
        task = mover.task()
        reason = _why_it_stays(mover, standing.get(mover.uid), ready, seen)
        if reason or task is None:
            told = {"task": named(mover.ref, seen), "node": mover.node, "reason": reason}
            stays.append({**told, "ofDaemonset": mover.is_of_daemonset})
        else:
            movables.append(Movable(task, standing[mover.uid], mover.lost_s))
    return movables, stays


def _why_it_stays(mover: Mover, standing: Standing | None, ready: set[str], seen: Seen) -> str:
    if seen is not None and mover.ref.namespace not in seen:
        return "it is of another namespace"
    if mover.stays:
        return mover.stays
    if mover.effective is None:
        return "what it asks for can't be read, or is not admitted any more"
    if mover.node not in ready:
        return "its node does not answer"
    if standing is None or standing.node != mover.node:
        return "it is on its way"
    return mover.kept_by


# Consolidate


def consolidate_plan(frozen: Frozen, asked: Asked, seen: Seen) -> Json:
    """Return which nodes could be emptied, and what keeps each of the others."""
    movables, stays = split(frozen, seen)
    request = Request("nodes", None, 0.0)
    found = rebalance(frozen.snapshot(), movables, request, asked.limits)
    plan = _plan(frozen, found, request, seen)
    holders = _holders(frozen, stays, seen)
    leaving, arriving = (Counter(each[side] for each in plan["moves"]) for side in ("from", "to"))
    rows = [
        {
            "node": name,
            "leaving": leaving[name],
            "arriving": arriving[name],
            **_state_of(name, found, holders.get(name, [])),
        }
        for name in sorted(node.name for node in frozen.nodes)
    ]
    return {**header(frozen, "Consolidation"), **plan, "nodes": rows}


def _state_of(node: str, found: Rebalancing, holders: list[Json]) -> Json:
    if node not in found.before.used:
        state = "Filled" if node in found.after.used else "Empty"
    elif node not in found.after.used:
        state = "Emptied"
    else:
        state = "Blocked" if holders else "Needed"
    return {
        "state": state,
        "heldBy": holders[:MAX_NAMED] if state == "Blocked" else [],
        "held": len(holders) if state == "Blocked" else 0,
    }


def _holders(frozen: Frozen, stays: Iterable[Json], seen: Seen) -> dict[str, list[Json]]:
    """Return what keeps each node from being emptied: tasks that stay, less those of DaemonSets, what is on its way."""
    found: dict[str, list[Json]] = {}
    for each in stays:
        if not each["ofDaemonset"]:
            found.setdefault(each["node"], []).append({"task": each["task"], "reason": each["reason"]})
    movers = {(each.node, each.ref) for each in frozen.movers}
    counted = {(each.node, each.ref) for each in frozen.standing if occupies(each)}
    for node, ref in sorted(counted - movers):
        told = {"task": named(ref, seen), "reason": "it is on its way, or nobody knows what it is"}
        found.setdefault(node, []).append(told)
    return found
