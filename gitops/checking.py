"""What manifests of a repository may say: where the source may write, and no secret in clear. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from gitops.facts import Source
from schemas.errors import InvalidManifest, Problem
from schemas.manifest import Document
from schemas.tree import clear_secrets, load_tree
from schemas.variables import read_variables

MAX_PROBLEMS = 5  # named in a status; the rest is counted


def documents_of(source: Source, files: Mapping[str, bytes], variables: bytes | None) -> tuple[Document, ...]:
    """Return the checked documents of path -> content. variables: content of the file that spec.vars names.

    Raises InvalidManifest with every problem found.
    """
    spec = source.spec
    given = read_variables(spec.vars or "", variables) if variables is not None else None
    manifests = {path: content for path, content in files.items() if path != spec.vars}
    tree = load_tree(manifests, default_namespace=spec.default_namespace, variables=given, folder=spec.folder)
    documents = tree.documents
    wrong = tuple(problem for document in documents for problem in _problems(source, document))
    problems = (*wrong, *clear_secrets(documents))
    if problems:
        raise InvalidManifest(problems)
    return documents


def _problems(source: Source, document: Document) -> Iterator[Problem]:
    def problem(message: str, field: str = "") -> Problem:
        return Problem(document.source, str(document.ref), field, message)

    kind, spec = document.kind, source.spec
    if not source.may_write(kind):
        yield problem(
            f"gitsource/{source.name} may not write kind {kind.name}; who may, names it in its spec.kinds"
        )
    elif kind.namespaced and not spec.may_write_namespace(document.ref.namespace):
        allowed = ", ".join(spec.namespaces)
        yield problem(
            f"gitsource/{source.name} may not write into namespace {document.ref.namespace}, but into: {allowed}; "
            "who may, names it in its spec.namespaces",
            "metadata.namespace",
        )


def told(problems: Iterable[Problem]) -> str:
    """Return problems as a status tells them: each with file and line, the first few of them."""
    listed = [str(problem) for problem in problems]
    more = [f"and {len(listed) - MAX_PROBLEMS} more"] if len(listed) > MAX_PROBLEMS else []
    return "; ".join([*listed[:MAX_PROBLEMS], *more])
