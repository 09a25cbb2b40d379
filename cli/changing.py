"""What label, annotate and patch share: which objects are meant, and saying what became of each."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cli.refs import Target
from cli.session import Session, note, out
from client.errors import BadOption, ClientError
from client.naming import make_ref
from client.selector import parse_selector
from schemas.errors import InvalidManifest
from schemas.keys import ObjectRef

if TYPE_CHECKING:
    from client.change import Changed
    from client.client import Client


def refs_of(
    session: Session,
    client: "Client",
    targets: Sequence[Target],
    selector: str,
    *,
    all_: bool,
    nothing: str = "; nothing was changed",
) -> list[ObjectRef]:
    """Return the objects that names, -l or --all mean; `nothing`: what to add when none match. Raises BadOption."""
    named = [make_ref(target.kind, session.namespace, name) for target in targets for name in target.names]
    if named and (selector or all_):
        raise BadOption("names can't be combined with -l or --all")
    if named or not (selector or all_):
        if not named:
            raise BadOption("name an object, as KIND NAME or KIND/NAME, or say -l SELECTOR or --all")
        return named
    kinds = [target.kind.plural for target in targets]
    listed = client.list(*kinds, namespace=session.namespace, selector=parse_selector(selector)).objects
    found = [view.ref for views in listed.values() for view in views]
    if not found:
        what = ", ".join(kinds)
        note(f"no {what} match" + (f" -l {selector}" if selector else "") + nothing)
    return found


def change_each(
    refs: Sequence[ObjectRef], change: Callable[[ObjectRef], "Changed"], tell: Callable[["Changed"], str]
) -> int:
    """Change each and print a line for it; an error of one keeps the others from nothing. Return the exit code."""
    code = 0
    for ref in refs:
        try:
            changed = change(ref)
        except (ClientError, InvalidManifest) as error:
            note(f"Error: {ref}: {error}" if isinstance(error, ClientError) else f"Error: {told(ref, error)}")
            code = 1
            continue
        out(f"{ref} {tell(changed)}")
        tell_replacing(changed)
    return code


def told(ref: ObjectRef, error: InvalidManifest) -> str:
    listed = "\n".join(
        f"  {problem.field}: {problem.message}" if problem.field else f"  {problem.message}"
        for problem in error.problems
    )
    return f"{ref} was not changed, as it would be wrong:\n{listed}"


def tell_replacing(changed: "Changed") -> None:
    if changed.replaces:
        fields = ", ".join(changed.replaces)
        note(f"  {changed.ref} is replaced (stopped and started anew), as these fields change: {fields}")
