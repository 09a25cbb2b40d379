"""How a GitSource is: cells of its table, and the words of `berth sync` and `describe`. Pure."""

from collections.abc import Iterator, Sequence, Sized

from cli.ages import UNKNOWN, age
from cli.blocks import NONE, Block, Content, Rows, pairs
from cli.columns import AGE, NAME, Column
from cli.describe_object import condition_rows, describe_unreadable, event_rows, rfc1123, standing
from cli.related import Related
from client.sources import SHORT, spec_of
from client.views import ObjectView, status_of
from schemas.event import Event
from schemas.gitsource import GitSourceSpec
from schemas.gitsource_status import HEALTHY, GitSourceStatus, SourceObject, SyncedCommit
from schemas.meta import find_condition
from schemas.quantity import format_duration

MAX_FOLLOWED = 20  # lines of drift and the like in `sync status`


def status_of_source(view: ObjectView) -> GitSourceStatus | None:
    return status_of(view, GitSourceStatus)


def commit_words(commit: SyncedCommit) -> str:
    """Return the short id of a commit, and its message where it has one."""
    return f"{commit.commit[:SHORT]} ({commit.message})" if commit.message else commit.commit[:SHORT]


def verdict_of(view: ObjectView) -> tuple[str | None, str]:
    """Return why the last try failed, None if it did not, and what is synced, in words."""
    status = status_of_source(view)
    if status is None:
        return None, "nothing yet"
    failure = status.failure.message if status.failure is not None else None
    return failure, commit_words(status.synced) if status.synced is not None else "nothing yet"


def word_of(view: ObjectView) -> str:
    """Return the STATUS of a source: what a person has to know first."""
    if view.is_unreadable:
        return "Unreadable"
    if view.is_terminating:
        return "Terminating"
    status = status_of_source(view)
    if status is not None and status.failure is not None:
        return status.failure.reason
    if spec_of(view).suspend:
        return "Suspended"
    if status is None or status.synced is None or status.synced_generation != view.generation:
        return "Syncing"
    if status.drift_count:
        return "Drifted"
    healthy = find_condition(status.conditions, HEALTHY)
    return "Synced" if healthy is None or healthy.status == "True" else f"Synced,{healthy.reason}"


def _followed(spec: GitSourceSpec) -> str:
    name = spec.branch or spec.tag or "HEAD"
    return f"{name}@{spec.commit[:SHORT]}" if spec.commit is not None else name


def _commit(view: ObjectView) -> str:
    status = status_of_source(view)
    return status.synced.commit[:SHORT] if status is not None and status.synced is not None else NONE


def _ready(view: ObjectView) -> str:
    status = status_of_source(view)
    if status is None or status.synced is None:
        return NONE
    bad = sum(each.health not in ("Healthy", "Suspended") for each in status.objects)
    return f"{status.object_count - bad}/{status.object_count}"


def _spec(view: ObjectView) -> GitSourceSpec | None:
    return spec_of(view) if view.raw else None


def _message(view: ObjectView) -> str:
    if view.is_unreadable:
        return view.error
    status = status_of_source(view)
    if status is None:
        return NONE
    if status.failure is not None:
        return status.failure.message
    return status.synced.message if status.synced is not None and status.synced.message else NONE


GITSOURCE = (
    NAME,
    Column("URL", lambda view, context: spec.url if (spec := _spec(view)) else UNKNOWN),
    Column("REV", lambda view, context: _followed(spec) if (spec := _spec(view)) else UNKNOWN),
    Column("COMMIT", lambda view, context: _commit(view)),
    Column("READY", lambda view, context: _ready(view)),
    Column("STATUS", lambda view, context: word_of(view)),
    AGE,
    Column("PATH", lambda view, context: (spec.folder if (spec := _spec(view)) else "") or NONE, True),
    Column("MESSAGE", lambda view, context: _message(view), True),
)


def describe(view: ObjectView, related: Related, events: Sequence[Event], now: float) -> Block:
    """Return what a source follows, where it may write, what is synced and how that is."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    spec = spec_of(view)
    return Block(
        [
            ("Name", view.name),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            ("CreationTimestamp", rfc1123(view.created_at)),
            *standing(view),
            ("Status", word_of(view)),
            *_settings(spec),
            *_progress(view, status_of_source(view) or GitSourceStatus(uid=view.uid), now),
            ("Events", event_rows(events, now)),
        ]
    )


def _settings(spec: GitSourceSpec) -> list[tuple[str, Content]]:
    secret, hook = spec.credentials, spec.webhook.secret if spec.webhook is not None else None
    return [
        ("URL", spec.url),
        ("Revision", _followed(spec)),
        ("Path", spec.folder or NONE),
        ("Variables", spec.vars or NONE),
        ("Interval", format_duration(spec.interval)),
        ("Prune", str(spec.prune).lower()),
        ("Self heal", str(spec.self_heal).lower()),
        ("Suspend", str(spec.suspend).lower()),
        ("Credentials", f"secret/{secret.name} in {secret.namespace}" if secret is not None else NONE),
        ("Webhook", f"secret/{hook.name} in {hook.namespace}, {hook.key}" if hook is not None else NONE),
        ("Namespaces", ", ".join(spec.namespaces)),
        ("Kinds", ", ".join(spec.kinds) or "all that have a namespace"),
    ]


def _progress(view: ObjectView, status: GitSourceStatus, now: float) -> list[tuple[str, Content]]:
    return [
        ("Commit", _commit_block(status.synced)),
        *([("Failure", _failure_block(status, now))] if status.failure is not None else []),
        *([("Rewritten", _rewritten(status))] if status.rewrite is not None else []),
        ("Objects", _object_rows(status)),
        ("Drift", _drift_rows(status)),
        ("Orphaned", (*status.orphaned, *_more(status.orphaned_count - len(status.orphaned))) or NONE),
        *([("Released", tuple(status.released))] if status.released else []),
        ("History", _history_rows(status, now)),
        ("Conditions", condition_rows(status.conditions)),
    ]


def _commit_block(synced: SyncedCommit | None) -> Content:
    if synced is None:
        return NONE
    return Block(
        [
            ("Id", synced.commit),
            ("Author", synced.author or NONE),
            ("Message", synced.message or NONE),
            ("Committed", synced.committed_at or NONE),
            ("Synced", synced.synced_at or NONE),
        ]
    )


def _failure_block(status: GitSourceStatus, now: float) -> Content:
    failure = status.failure
    assert failure is not None
    return Block(
        [
            ("Reason", failure.reason),
            ("Message", failure.message),
            ("Commit", failure.commit[:SHORT] or NONE),
            ("Since", f"{age(failure.since, now)} ago"),
            ("Tried again", f"every {format_duration(float(failure.retry_after_seconds))}"),
        ]
    )


def _rewritten(status: GitSourceStatus) -> str:
    found = status.rewrite
    assert found is not None
    return (
        f"{found.old[:SHORT]} is not among the last commits that {found.new[:SHORT]} came from: history was rewritten, "
        "or much was pushed at once"
    )


def _object_rows(status: GitSourceStatus) -> Content:
    rows: list[tuple[str, str, str, str]] = [
        (each.object, each.namespace or NONE, each.health, each.message or NONE) for each in status.objects
    ]
    rows += [(text, "", "", "") for text in _more(status.object_count - len(rows))]
    return Rows(("Object", "Namespace", "Health", "Message"), rows) if rows else NONE


def _more(count: int) -> list[str]:
    """Return a line for those that a status counts and does not name."""
    return [f"... and {count} more"] if count > 0 else []


def _drift_rows(status: GitSourceStatus) -> Content:
    rows = [
        (each.object, each.namespace or NONE, ", ".join(each.fields) or "missing") for each in status.drift
    ]
    rows += [(text, "", "") for text in _more(status.drift_count - len(rows))]
    return Rows(("Object", "Namespace", "Differs"), rows) if rows else NONE


def _history_rows(status: GitSourceStatus, now: float) -> Content:
    rows = [
        (each.commit[:SHORT], age(each.synced_at, now), each.author or NONE, each.message or NONE)
        for each in status.history
    ]
    return Rows(("Commit", "Synced", "Author", "Message"), rows) if rows else NONE


def status_lines(view: ObjectView, now: float) -> Iterator[str]:
    """Yield what `berth sync status` says: one line of how it is, then all that is not as it should be."""
    status = status_of_source(view) or GitSourceStatus(uid=view.uid)
    yield f"gitsource/{view.name}: {word_of(view)}, {_of_commit(status, now)}"
    if status.failure is not None:
        yield f"  failure: {status.failure.message}"
        yield f"  tried again every {format_duration(float(status.failure.retry_after_seconds))}"
    if status.rewrite is not None:
        yield f"  rewritten: {_rewritten(status)}"
    for each in status.objects:
        if each.health not in ("Healthy", "Suspended"):
            yield f"  {each.health.lower()}: {_named(each)}{f': {each.message}' if each.message else ''}"
    for drift in status.drift[:MAX_FOLLOWED]:
        fields = ", ".join(drift.fields) or "missing"
        yield f"  differs: {drift.namespace + '/' if drift.namespace else ''}{drift.object}: {fields}"
    yield from _unnamed("differ", status.drift_count, status.drift)
    for orphan in status.orphaned[:MAX_FOLLOWED]:
        yield f"  orphaned: {orphan} is not in the repository any more"
    yield from _unnamed("are orphaned", status.orphaned_count, status.orphaned)
    for released in status.released[:MAX_FOLLOWED]:
        yield f"  released: {released} left the repository, and stays, as somebody else has applied it, too"


def _unnamed(what: str, count: int, named: Sized) -> Iterator[str]:
    """Yield how many more there are than the lines before have named."""
    for text in _more(count - min(len(named), MAX_FOLLOWED)):
        yield f"  {text} {what}"


def _named(each: SourceObject) -> str:
    return f"{each.namespace}/{each.object}" if each.namespace else each.object


def _of_commit(status: GitSourceStatus, now: float) -> str:
    if status.synced is None:
        return "nothing is synced yet"
    words = commit_words(status.synced)
    count = "1 object" if status.object_count == 1 else f"{status.object_count} objects"
    return f"commit {words}, synced {age(status.synced.synced_at, now)} ago, {count}"
