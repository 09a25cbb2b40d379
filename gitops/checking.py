"""What manifests of a repository may say: where the source may write, and no secret in clear. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from gitops.facts import Source
from schemas.errors import InvalidManifest, Problem
from schemas.manifest import Document, load
from schemas.secret import has_clear_values

MAX_PROBLEMS = 5  # named in a status; the rest is counted


def documents_of(source: Source, files: Mapping[str, bytes]) -> tuple[Document, ...]:
    """Return the checked documents of path -> content. Raises InvalidManifest with every problem found."""
    documents = load(sorted(files.items()), default_namespace=source.spec.default_namespace)
    problems = tuple(problem for document in documents for problem in _problems(source, document))
    if problems:
        raise InvalidManifest(problems)
    return documents


def _problems(source: Source, document: Document) -> Iterator[Problem]:
    def problem(message: str, field: str = "") -> Problem:
        return Problem(document.source, str(document.ref), field, message)

    kind, spec = document.kind, source.spec
    if not spec.may_write_kind(kind.name, is_namespaced=kind.namespaced):
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
    if has_clear_values(document.raw):
        yield problem(
            "is in clear text, and a repository is no place for that; commit what this prints instead, and take the "
            f"values to be known by others: berth create secret generic {document.ref.name} "
            f"-n {document.ref.namespace} --from-file ... --dry-run -o yaml"
        )


def told(problems: Iterable[Problem]) -> str:
    """Return problems as a status tells them: each with file and line, the first few of them."""
    listed = [str(problem) for problem in problems]
    more = [f"and {len(listed) - MAX_PROBLEMS} more"] if len(listed) > MAX_PROBLEMS else []
    return "; ".join([*listed[:MAX_PROBLEMS], *more])
