"""`berth edit`: a stored object in an editor. What a person typed is never lost."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.changing import refs_of, tell_replacing, told
from cli.refs import parse_targets
from cli.session import note, out, session_of
from cli.settings import HELP
from client.errors import BadOption, Refused

if TYPE_CHECKING:
    from client.change import Changed
    from client.client import Client
    from schemas.keys import ObjectRef

_HEADER = """# Change {ref} and save it; lines that begin with '#' are left out. An unchanged or empty file
# cancels the edit.
"""


MAX_TRIES = 5  # of an editor that is a script: it would make the same mistake for ever


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(edit)


def edit(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND NAME or KIND/NAME.")],
) -> None:
    """Change a stored object in an editor: $BERTH_EDITOR, $VISUAL or $EDITOR, else vi."""
    session = session_of(context)
    targets = parse_targets(what)
    with session.client() as client:
        for ref in refs_of(session, client, targets, "", all_=False):
            _Edit(client, ref).run()


class _Edit:
    """The edit of one object: open, check, open again with what is wrong."""

    def __init__(self, client: "Client", ref: "ObjectRef") -> None:
        from client.yamltext import to_yaml

        self._client, self._ref = client, ref
        view = client.get(ref.plural, ref.name, ref.namespace)
        if not view.raw:
            raise Refused(f"{ref} can't be read ({view.error}); remove it with: berth delete {ref} --force")
        self._base: dict[str, Any] = view.raw
        self._shown = to_yaml(view.raw)
        handle, path = tempfile.mkstemp(prefix=f"berth-edit-{ref.name.replace('/', '.')}-", suffix=".yaml")
        os.close(handle)
        self._path = Path(path)

    def run(self) -> None:
        """Edit until it is right or cancelled; the file stays unless the change was written or there is none."""
        text, problem, tries = self._shown, "", 0
        while True:
            self._path.write_text(_HEADER.format(ref=self._ref) + _comment(problem) + text, encoding="utf-8")
            edited = self._open()
            if edited.strip() in ("", self._shown.strip()):
                self._path.unlink()
                note("Edit cancelled, no changes made.")
                return
            if problem and edited.strip() == text.strip():
                raise Refused(
                    f"{self._ref} was not changed, as the text is still wrong; it is kept in {self._path}\n"
                    f"{problem}"
                )
            text = edited
            changed, problem = self._try(text)
            if changed is not None:
                break
            tries += 1
            if tries == MAX_TRIES and not sys.stdin.isatty():
                raise Refused(f"{self._ref} was not changed; the text is kept in {self._path}\n{problem}")
        self._path.unlink()
        out(f"{self._ref} {'edited' if changed.is_change else 'not changed'}")
        tell_replacing(changed)

    def _open(self) -> str:
        """Run the editor and return the text without comments."""
        editor = next(
            filter(None, (os.environ.get(name) for name in ("BERTH_EDITOR", "VISUAL", "EDITOR"))), "vi"
        )
        try:
            with self._keeping(KeyboardInterrupt):
                code = subprocess.run([*shlex.split(editor), str(self._path)], check=False).returncode
        except (OSError, ValueError) as error:
            raise BadOption(
                f"the editor {editor!r} can't be started ({error}); name one with EDITOR. "
                f"The text is in {self._path}"
            ) from None
        if code != 0:
            raise Refused(
                f"the editor {editor!r} ended with {code}; nothing was changed; the text is in {self._path}"
            )
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("#"))

    def _try(self, text: str) -> tuple["Changed | None", str]:
        """Write the text; return what changed, or else what is wrong with the text."""
        from client.yamltext import from_yaml
        from schemas.errors import InvalidManifest

        try:
            edited = from_yaml(text)
        except ValueError as error:
            return None, f"it is not valid YAML: {error}"
        if not isinstance(edited, dict):
            return None, "it is not an object; write apiVersion, kind, metadata, spec"
        with self._keeping(KeyboardInterrupt, Exception):
            try:
                return self._client.change(self._ref, lambda live: self._merged(live, edited)), ""
            except InvalidManifest as error:
                return None, told(self._ref, error)
            except Refused as error:
                return None, str(error)

    @contextmanager
    def _keeping(self, *ends: type[BaseException]) -> Iterator[None]:
        """Say where the text is when one of `ends` comes, which is told elsewhere."""
        try:
            yield
        except ends:
            note(f"the text is kept in {self._path}")
            raise

    def _merged(self, live: dict[str, Any], edited: dict[str, Any]) -> dict[str, Any]:
        """Only what the person changed is changed, whoever wrote the object meanwhile."""
        from client.merge import three_way

        return three_way(self._base, live, edited)


def _comment(problem: str) -> str:
    return "".join(f"# {line}\n" for line in ["", *problem.splitlines(), ""]) if problem else ""
