"""Questions to the archive of this controller: reads it, once what was told before the question is written."""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import replace

from controller.history.answers import CantTell, Json, Kept, at, history, moment_of
from controller.history.keeper import Keeper
from schemas.keys import ObjectRef
from schemas.meta import CLUSTER_NAMESPACE

FLUSH_S = 2.0  # a disk that is slower than that is told of
SECRETS = "of secrets no history is kept: their values are nobody's to read, and what was is sealed anew"
ALL = "*"


def ask_history(keeper: Keeper | None, ref: ObjectRef, least: str) -> Json:
    """Return what became of one object. least: a revision that must have been seen. Raises CantTell."""
    _refuse_secrets(ref.plural)
    kept, told = _kept(keeper, least, (ref.namespace,), ref.plural, ref.name)
    assert keeper is not None
    return {**history(kept, ref, keeper.archive.values), **told}


def ask_at(keeper: Keeper | None, asked: Mapping[str, str], seen: Collection[str], now: float) -> Json:
    """Return what stood at a moment. asked: revision, time or ago; namespace (`*`: all of `seen`), plural, name."""
    plural, name = asked.get("plural", ""), asked.get("name", "")
    _refuse_secrets(plural)
    namespace = asked.get("namespace", ALL)
    namespaces = (*seen, CLUSTER_NAMESPACE) if namespace == ALL else (namespace,)
    kept, told = _kept(keeper, asked.get("revision", ""), namespaces, plural, name)
    assert keeper is not None
    moment = moment_of(asked, kept.mark, now)
    return {**at(kept, moment, keeper.archive.values), **told}


def _refuse_secrets(plural: str) -> None:
    if plural == "secrets":
        raise CantTell(400, SECRETS)


def _kept(
    keeper: Keeper | None, least: str, namespaces: Collection[str], plural: str, name: str
) -> tuple[Kept, Json]:
    if keeper is None:
        raise CantTell(
            404,
            "the leader keeps no history; start all controllers with: berth controller --history-file FILE",
        )
    if least.isdecimal():
        keeper.wait_seen(int(least), FLUSH_S)
    is_written = keeper.flush(FLUSH_S)
    seen, seen_at = keeper.seen()
    try:
        rows, gaps, mark, horizon = keeper.archive.read(namespaces, plural, name)
    except sqlite3.Error as error:
        raise CantTell(503, f"the leader can't read its history now ({error}); its log says more") from None
    if mark is None:
        raise CantTell(503, "the leader's history begins just now; try again")
    if is_written:
        mark = replace(mark, revision=max(mark.revision, seen), time=max(mark.time, seen_at))
    return Kept(rows, gaps, mark, horizon), {"isBehind": not is_written}
