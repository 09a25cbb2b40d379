"""`berth`: the entry. It reads the global options, loads the one verb that was asked for, and turns errors
into a message and an exit code. Nothing heavy is imported before a verb runs.

Exit codes as kubectl's: 0 done, 1 any error; `diff`: 0 no differences, 1 differences, 2 any error.
"""

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import typer

from cli.session import Session, note, open_client
from cli.settings import HELP, read_switches, take_global_options
from client.connect import Settings, resolve, tls_hint, unreachable_message
from client.errors import ClientError

OPTION_ERROR = 2  # what typer exits with after a usage error
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@dataclass(frozen=True, slots=True)
class Verb:
    """`module` has `register(app)`, which adds the verb; it is imported when the verb is used."""

    module: str
    help: str
    error_code: int = 1


VERBS = {
    "apply": Verb("cli.apply", "Create or change objects from manifests."),
    "get": Verb("cli.get", "Show objects in a table, or as JSON or YAML."),
    "describe": Verb("cli.describe", "Show one object in detail, with its events."),
    "delete": Verb("cli.delete", "Delete objects, and wait until they are gone."),
    "diff": Verb("cli.diff", "Show what an apply would change.", error_code=2),
    "logs": Verb("cli.logs", "Print the output of a task."),
    "cordon": Verb("cli.cordon", "Keep new tasks off a node."),
    "uncordon": Verb("cli.cordon", "Let new tasks onto a node again."),
    "node": Verb("cli.node", "Assert that a node is dead (node fence)."),
    "version": Verb("cli.version", "Show the versions of the client and of etcd, and who leads."),
    "controller": Verb("cli.controller", "Run the controller."),
    "agent": Verb("cli.agent", "Run the agent of this host."),
}


def main() -> None:
    """The console command."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is told in our words
    sys.exit(run(sys.argv[1:]))


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] = os.environ,
    make_session: Callable[[Settings], Session] = lambda settings: Session(settings, open_client),
) -> int:
    """Run one command line and return its exit code."""
    error_code = 1
    try:
        options, rest = take_global_options(read_switches(arguments))
        verb = next((each for each in rest if not each.startswith("-")), "")
        error_code = VERBS[verb].error_code if verb in VERBS else 1
        session = make_session(resolve(options, environment))
        return _guarded(lambda: _invoke(rest, verb, session), session.settings, error_code)
    except ClientError as error:
        note(f"Error: {error}")
        return error_code


def _invoke(arguments: Sequence[str], verb: str, session: Session) -> int:
    """Let typer parse and run; it exits with 2 after a usage error, which no verb does by itself."""
    try:
        _build_app(verb)(list(arguments), prog_name="berth", obj=session)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        return (VERBS[verb].error_code if verb in VERBS else 1) if code == OPTION_ERROR else code
    return 0


def _build_app(wanted: str) -> typer.Typer:
    """Return the app in which `wanted` is real, and all others are names with a line of help."""
    app = typer.Typer(
        help=f"Berth, a cluster manager.\n\n{HELP}",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_no_options)
    for name, verb in VERBS.items():
        if name != wanted:
            app.command(name, help=verb.help)(_no_options)
    if wanted in VERBS:
        importlib.import_module(VERBS[wanted].module).register(app, wanted)
    return app


def _no_options() -> None:
    """Stands for a verb that is not used, and for the app itself."""


def _guarded(work: Callable[[], int], settings: Settings, error_code: int) -> int:
    """Run `work`; an error that a person can do something about becomes a message."""
    try:
        return work()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own flush stays quiet
        return 0
    except Exception as error:
        message = _message(error, settings)
        if message is None:
            raise
        note(message)
        return error_code


def _message(error: Exception, settings: Settings) -> str | None:
    """Return what to tell a person, None for what is a bug."""
    from schemas.errors import InvalidManifest, SchemaError
    from store.errors import OutcomeUnknown, StoreError, Unavailable

    match error:
        case InvalidManifest():
            listed = "\n".join(f"  {problem}" for problem in error.problems)
            return f"Error: nothing was written, as the manifests have problems:\n{listed}"
        case OutcomeUnknown():
            return f"Error: the reply of etcd was lost ({error}); look with: berth get, then run the command again"
        case Unavailable():
            return f"Error: {unreachable_message(settings.endpoints, str(error))}{tls_hint(settings)}"
        case ClientError() | StoreError() | SchemaError():
            return f"Error: {error}"
        case _:
            return None


if __name__ == "__main__":
    main()
