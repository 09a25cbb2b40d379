"""A folder's files as documents, wherever the files come from: a disk, or a commit. Pure.

{path: content} -> the manifests among them, in the order of their names -> variables put in -> Documents
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from schemas.errors import InvalidManifest, Problem
from schemas.manifest import Document, load_all
from schemas.secret import has_clear_values
from schemas.variables import Filler, Variables

SUFFIXES = (".yaml", ".yml", ".json")
JSON_SCHEMA = ".schema.json"  # describes manifests and is none; passed over in folders
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""A folder with one of these is built by the kustomize program, and not read file by file."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The documents of a folder. `unused`: variables that are given and that nothing uses."""

    documents: tuple[Document, ...]
    unused: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def is_manifest(name: str, *, folder: str = "") -> bool:
    """Say whether a file is read, by its name or path; what is hidden is not, such as `.github/x.yaml`.

    folder: the one that was asked for. It may be hidden itself, as who names it means it.
    """
    return name.endswith(SUFFIXES) and not name.endswith(JSON_SCHEMA) and not _is_hidden(name, folder)


def is_kustomization(name: str, *, folder: str = "") -> bool:
    """Say whether a file is one that kustomize begins with; `name` and `folder` as for `is_manifest`."""
    return PurePosixPath(name).name in KUSTOMIZATIONS and not _is_hidden(name, folder)


def _is_hidden(name: str, folder: str) -> bool:
    below = name.removeprefix(f"{folder}/") if folder else name
    return any(part.startswith(".") for part in PurePosixPath(below).parts)


def load_tree(
    files: Mapping[str, bytes],
    *,
    default_namespace: str,
    variables: Variables | None = None,
    folder: str = "",
) -> Tree:
    """Return the documents of all manifests among `files` (path -> content). folder: as for `is_manifest`.

    Raises InvalidManifest with every problem found, and for a folder that kustomize has to build first.
    """
    kustomized = [path for path in files if is_kustomization(path, folder=folder)]
    if kustomized:
        message = (
            "is for kustomize, which is not run on a repository; commit what berth render -f FOLDER prints"
        )
        raise InvalidManifest(tuple(Problem(path, "", "", message) for path in sorted(kustomized)))
    return load_sources(
        [(path, files[path]) for path in sorted(files) if is_manifest(path, folder=folder)],
        default_namespace=default_namespace,
        variables=variables,
    )


def load_sources(
    sources: Iterable[tuple[str, bytes]], *, default_namespace: str, variables: Variables | None = None
) -> Tree:
    """Return the documents of (name, content) pairs. Raises InvalidManifest with every problem found."""
    tree = check_sources(sources, default_namespace=default_namespace, variables=variables)
    if tree.problems:
        raise InvalidManifest(tree.problems)
    return tree


def check_sources(
    sources: Iterable[tuple[str, bytes]], *, default_namespace: str, variables: Variables | None = None
) -> Tree:
    """Return what is right of (name, content) pairs, and every problem of the rest."""
    filler = None if variables is None else Filler(variables)
    loaded = load_all(sources, default_namespace=default_namespace, filler=filler)
    return Tree(loaded.documents, filler.unused() if filler is not None else (), loaded.problems)


def clear_secrets(documents: Iterable[Document]) -> Iterator[Problem]:
    """Yield a problem for each Secret in clear: in a repository it could be read by whoever reads that."""
    for document in documents:
        if has_clear_values(document.raw):
            namespace, file = document.ref.namespace, document.source.rpartition(":")[0] or document.source
            yield Problem(
                document.source,
                str(document.ref),
                "",
                "holds values in clear, which must not lie in a repository; put into its place what this prints: "
                f"berth secret seal -f {file} -n {namespace}; and change the values, as others may have read them",
            )
