"""Which objects a `get` shows, and in which columns: what its options say, put together once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.columns import LABELS_COLUMN, NAMESPACE_COLUMN, Column, columns_of, label_column, with_kind
from cli.output import Form, Output
from cli.refs import Target
from client.errors import BadOption
from client.selector import Selector, matches
from client.views import ObjectView

if TYPE_CHECKING:
    from cli.customcolumns import FieldTerm
    from client.client import Client

Found = dict[str, tuple[ObjectView, ...]]  # plural -> views
Missing = list[tuple[Target, str]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown. `namespace` None: of all namespaces."""

    targets: tuple[Target, ...]
    namespace: str | None
    form: Form
    selector: Selector = ()
    fields: "tuple[FieldTerm, ...]" = ()
    sort_by: str = ""
    with_header: bool = True
    show_labels: bool = False
    label_keys: tuple[str, ...] = ()
    names_kind: bool = False  # of several kinds, or of `all`

    @property
    def names(self) -> list[str]:
        return [name for target in self.targets for name in target.names]

    def shows(self, view: ObjectView) -> bool:
        """Say whether an object is selected by its labels and fields."""
        if not matches(self.selector, view.labels):
            return False
        if not self.fields:
            return True
        from cli.customcolumns import fields_match

        return fields_match(self.fields, view)

    @property
    def can_stream(self) -> bool:
        """Rows can be printed as they come: nothing has to be known of all before the first."""
        is_by_row = self.form.is_table or self.form.output is Output.NAME
        return is_by_row and not self.sort_by and not self.names


def check(wish: Wish) -> None:
    """Raise BadOption for what makes no sense together."""
    if wish.names and wish.namespace is None:
        raise BadOption("a name together with -A is ambiguous; say -n NAMESPACE")
    if wish.names and (wish.selector or wish.fields):
        raise BadOption("give names or a selector, not both")


def read(client: "Client", wish: Wish) -> tuple[Found, Missing]:
    """Read all at one revision; a single name costs one small read."""
    target = wish.targets[0]
    if len(wish.targets) == 1 and len(target.names) == 1:
        view = client.find(target.kind.plural, target.names[0], wish.namespace or "")
        found: Found = {target.kind.plural: () if view is None else (view,)}
    else:
        kinds = [target.kind.plural for target in wish.targets]
        listed = client.list(*kinds, namespace=wish.namespace).objects
        found = {plural: tuple(filter(wish.shows, views)) for plural, views in listed.items()}
    picked, missing = _pick(found, wish.targets)
    return {plural: _sorted(views, wish.sort_by) for plural, views in picked.items()}, missing


def _sorted(views: tuple[ObjectView, ...], path: str) -> tuple[ObjectView, ...]:
    if not path:
        return views
    from cli.customcolumns import sorted_by

    return sorted_by(views, path)


def _pick(found: Found, targets: Sequence[Target]) -> tuple[Found, Missing]:
    """Keep those that are named, in the order of the names."""
    picked: Found = {}
    missing: Missing = []
    for target in targets:
        views = found[target.kind.plural]
        by_name = {view.name: view for view in views}
        missing += [(target, name) for name in target.names if name not in by_name]
        named = tuple(by_name[name] for name in target.names if name in by_name)
        picked[target.kind.plural] = named if target.names else views
    return picked, missing


def table_columns(wish: Wish, target: Target) -> tuple[Column, ...]:
    """Return the columns of a table of one kind."""
    if wish.form.output is Output.CUSTOM_COLUMNS:
        from cli.customcolumns import parse_columns

        return parse_columns(wish.form.argument)
    columns = columns_of(target.kind.plural, is_wide=wish.form.output is Output.WIDE)
    if wish.names_kind:
        columns = with_kind(columns)
    if wish.namespace is None and target.kind.namespaced:
        columns = (NAMESPACE_COLUMN, *columns)
    columns = (*columns, *map(label_column, wish.label_keys))
    return (*columns, LABELS_COLUMN) if wish.show_labels else columns


def nothing_found(wish: Wish) -> str:
    if wish.namespace is None or not any(target.kind.namespaced for target in wish.targets):
        return "No resources found"
    return f"No resources found in {wish.namespace} namespace."
