"""What `get`, `diff` and `restore` share: which moment of the past is meant, and `berth get --at`."""

from typing import TYPE_CHECKING

from cli.ages import UNKNOWN
from cli.cells import NONE
from cli.history import age_of
from cli.listing import Wish, nothing_found
from cli.output import Output, as_list, to_json
from cli.refs import ENDPOINTS, EVENTS
from cli.session import Session, note, out
from cli.tables import format_table
from client.conflicts import manager_label
from client.errors import BadOption, ClientError, Refused
from client.history import Revision, When, no_content, read_past, view_of
from client.naming import make_ref, not_found
from client.selector import matches
from schemas.kinds import BY_PLURAL
from schemas.meta import CLUSTER_NAMESPACE

if TYPE_CHECKING:
    from client.client import Client

NO_SECRETS = "of secrets no history is kept; seal the old values anew and apply them"


def check_past(at: str, at_rev: str, *, is_watching: bool, first: str) -> None:
    """Raise BadOption for what has no past, before anything is asked. first: the first word of what is wanted."""
    if is_watching:
        raise BadOption("the past does not change; leave --watch out")
    if first.partition("/")[0] in (*EVENTS, *ENDPOINTS):
        raise BadOption(
            f"of {first} no history is kept; it is kept of what people write, such as deployments"
        )
    parse_when(at, at_rev)


def parse_when(at: str, at_rev: str) -> When:
    """Return the moment that --at (`10m`, `2026-11-29T10:00:00Z`) or --at-rev names. Raises BadOption."""
    if at and at_rev:
        raise BadOption("say --at or --at-rev, not both")
    return When(revision=parse_revision(at_rev)) if at_rev else parse_time_of(at)


def parse_revision(text: str) -> int:
    """Raises BadOption."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise BadOption(f"--at-rev {text!r} is no revision; see: berth history KIND/NAME")
    return int(text)


def parse_time_of(text: str) -> When:
    """Raises BadOption."""
    from datetime import datetime

    from schemas.errors import InvalidQuantity
    from schemas.quantity import parse_duration

    try:
        return When(ago_s=parse_duration(text))
    except InvalidQuantity:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadOption(
            f"--at {text!r} is neither how long ago, such as 10m, nor a time, such as 2026-11-29T10:00:00Z"
        ) from None
    return When(time=moment.timestamp())  # without a zone it is this machine's


def get_past(session: Session, client: "Client", wish: Wish, when: When) -> int:
    """Print objects as they were; return the exit code."""
    for target in wish.targets:
        if target.kind.name == "Secret":
            raise BadOption(NO_SECRETS)
    if wish.fields or wish.sort_by or wish.form.output is Output.CUSTOM_COLUMNS:
        raise BadOption("--at and --at-rev go with no --field-selector, --sort-by or custom-columns")
    code, shown = 0, []
    for target in wish.targets:
        found = _read(session, client, wish, when, target.kind.plural, target.names)
        shown += [each for each in found.picked if _is_selected(wish, each)]
        for error in found.errors:
            note(f"Error: {error}")
            code = 1
        for text in found.notes:
            note(f"Note: {text}")
    if not wish.form.is_table and wish.form.output is not Output.NAME:
        code = max(code, _tell_missing(shown))
        shown = [each for each in shown if each.object is not None]
    _print(session, wish, shown)
    if not shown and not wish.names:
        note(nothing_found(wish))
    return code


def _is_selected(wish: Wish, revision: Revision) -> bool:
    labels = view_of(revision).labels if revision.object is not None else {}
    return matches(wish.selector, labels)


def _tell_missing(shown: list[Revision]) -> int:
    """Say of which objects the content is not kept; return the exit code."""
    missing = [each for each in shown if each.object is None]
    for each in missing:
        note(f"Error: {no_content(each)}")
    return 1 if missing else 0


class _Found:
    """Objects of one kind as they were, and what is to be said besides."""

    def __init__(self) -> None:
        self.picked: list[Revision] = []
        self.errors: list[ClientError] = []
        self.notes: list[str] = []


def _read(
    session: Session, client: "Client", wish: Wish, when: When, plural: str, names: tuple[str, ...]
) -> _Found:
    kind, found = BY_PLURAL[plural], _Found()
    place = wish.namespace if kind.namespaced else make_ref(kind, "", "").namespace
    past = read_past(client, when, place, plural=plural, name=names[0] if len(names) == 1 else "")
    found.notes += past.notes
    if not names:
        found.picked += past.revisions
        found.notes += [*(gap.text for gap in past.gaps), *past.unsure.values()]
        return found
    for name in names:
        ref = make_ref(kind, session.namespace, name)
        try:
            revision = past.find(ref)
        except Refused as error:
            found.errors.append(error)
            continue
        if revision is None:
            found.errors.append(not_found(kind, name, session.namespace))
        else:
            found.picked.append(revision)
    return found


def _print(session: Session, wish: Wish, shown: list[Revision]) -> None:
    if wish.form.output is Output.NAME:
        for each in shown:
            out(str(each.ref))
    elif wish.form.is_table:
        for line in _table(session, wish, shown):
            out(line)
    elif shown or not wish.names:
        from cli.printers import format_form

        data = [to_json(view_of(each)) for each in shown]
        out(format_form(data[0] if len(wish.names) == 1 else as_list(data), wish.form), end="")


def _table(session: Session, wish: Wish, shown: list[Revision]) -> list[str]:
    """Only what a spec can say: there is no status of the past."""
    header = ["NAME", "REVISION", "GENERATION", "SET", "WHO", "IMAGES"]
    rows = []
    for each in shown:
        name = str(each.ref) if wish.names_kind else each.ref.name
        who = ",".join(map(manager_label, each.by)) or UNKNOWN
        images = UNKNOWN if each.object is None else ",".join(_images(each.object)) or NONE
        row = [name, str(each.revision), str(each.generation), age_of(each, session.now()), who, images]
        place = _namespace(each)
        rows.append([place, *row] if wish.namespace is None else row)
    if wish.namespace is None:
        header.insert(0, "NAMESPACE")
    return format_table(header, rows, with_header=wish.with_header)


def _namespace(revision: Revision) -> str:
    return NONE if revision.ref.namespace == CLUSTER_NAMESPACE else revision.ref.namespace


def _images(raw: dict[str, object]) -> list[str]:
    """Return the images of a task, or of an owner's template, wherever in the spec they are."""
    found: dict[str, None] = {}

    def look(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("image"), str):
                found[value["image"]] = None
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(raw.get("spec"))
    return list(found)
