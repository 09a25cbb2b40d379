"""`berth`: the entry. It reads the global options, loads the one verb that was asked for, and turns errors
into a message and an exit code. Nothing heavy is imported before a verb runs.

Exit codes as kubectl's: 0 done, 1 any error; `diff`: 0 no differences, 1 differences, 2 any error.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, cast

import typer

from cli.session import ExitWith, Session, note, open_client
from cli.settings import HELP, read_switches, take_global_options
from client.connect import Settings, merge, resolve, tls_hint, unreachable_message
from client.errors import BadOption, ClientError

READERS = frozenset(
    {
        "api-resources",
        "auth",
        "completion",
        "config",
        "describe",
        "diff",
        "doctor",
        "events",
        "explain",
        "get",
        "logs",
        "new",
        "plan",
        "render",
        "shares",
        "top",
        "validate",
        "version",
        "why",
    }
)
"""Verbs whose output may be cut off by `| head`; any other would stop half-way through its work."""
USAGE_ERROR = cast(
    type[Exception], typer.BadParameter.__mro__[1]
)  # it has no public name; of click in older versions of typer
COMPLETE = "__complete"  # what the shells' scripts of `berth completion` call
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@dataclass(frozen=True, slots=True)
class Verb:
    """`module` has `register(app)`, which adds the verb; it is imported when the verb is used.

    settings: `checked` reads the context and sees that its files are there; `merged` reads it without that;
    `given` reads nothing, for verbs that need no cluster or that mend contexts.
    """

    module: str
    help: str
    error_code: int = 1
    settings: Literal["checked", "merged", "given"] = "checked"


VERBS = {
    "apply": Verb("cli.apply", "Create or change objects from manifests."),
    "new": Verb("cli.new", "Write a commented manifest to begin with."),
    "get": Verb("cli.get", "Show objects in a table, or as JSON or YAML."),
    "describe": Verb("cli.describe", "Show one object in detail, with its events."),
    "delete": Verb("cli.delete", "Delete objects, and wait until they are gone."),
    "diff": Verb("cli.diff", "Show what an apply would change.", error_code=2),
    "plan": Verb("cli.plan", "Show what an apply would do: where tasks land, what waits.", error_code=255),
    "validate": Verb("cli.validate", "Check manifests without a cluster.", settings="given"),
    "render": Verb("cli.render", "Print manifests as they would be applied.", settings="given"),
    "events": Verb("cli.events", "Show what happened to objects."),
    "logs": Verb("cli.logs", "Print the output of tasks."),
    "top": Verb("cli.top", "Show what nodes or tasks use right now."),
    "why": Verb("cli.why", "Say why a task waits, what would help, or why it is where it is."),
    "shares": Verb("cli.shares", "Show what each queue holds of the cluster, and who is next."),
    "exec": Verb("cli.exec", "Run a command in a container."),
    "attach": Verb("cli.attach", "Attach to the main process of a container."),
    "cp": Verb("cli.cp", "Copy files and folders to and from containers."),
    "port-forward": Verb("cli.port_forward", "Forward local ports to a task."),
    "rollout": Verb("cli.rollout", "Show, undo, restart or pause the rollouts of an owner."),
    "sync": Verb("cli.sync", "Sync GitSources now, suspend, resume or roll them back."),
    "scale": Verb("cli.scale", "Set how many tasks a deployment has."),
    "set": Verb("cli.set", "Set the images of an object."),
    "wait": Verb("cli.wait", "Wait until objects are in a state."),
    "label": Verb("cli.label", "Set and remove labels."),
    "annotate": Verb("cli.label", "Set and remove annotations."),
    "patch": Verb("cli.patch", "Change fields of stored objects."),
    "edit": Verb("cli.edit", "Change a stored object in an editor."),
    "explain": Verb("cli.explain", "Explain the fields of a kind.", settings="given"),
    "api-resources": Verb(
        "cli.api_resources", "List the kinds, and what they may be called.", settings="given"
    ),
    "completion": Verb(
        "cli.completion", "Print a script that completes commands in a shell.", settings="given"
    ),
    "cordon": Verb("cli.cordon", "Keep new tasks off a node."),
    "uncordon": Verb("cli.cordon", "Let new tasks onto a node again."),
    "drain": Verb("cli.drain", "Move all tasks off a node, as budgets allow."),
    "evict": Verb("cli.evict", "Move tasks off their nodes, as budgets allow."),
    "node": Verb("cli.node", "Assert that a node is dead (node fence)."),
    "up": Verb("cli.up", "Start a cluster on this machine.", settings="given"),
    "down": Verb("cli.down", "Stop the cluster that berth up started.", settings="given"),
    "config": Verb("cli.config", "Show and change contexts: the clusters that you know.", settings="given"),
    "doctor": Verb("cli.doctor", "Check the health of the cluster, and say what to do.", settings="merged"),
    "auth": Verb("cli.auth", "Show who you are to etcd, and what you may do."),
    "version": Verb("cli.version", "Show the versions of the client and of etcd, and who leads."),
    "create": Verb("cli.create", "Create a secret or a job from the command line."),
    "secret": Verb("cli.secret", "Make the key that secrets are sealed to.", settings="merged"),
    "controller": Verb("cli.controller", "Run the controller."),
    "agent": Verb("cli.agent", "Run the agent of this host."),
}


def main() -> None:
    """The console command."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is told in our words
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some takes 30 ms a start
    gc.set_threshold(50_000, 20, 20)  # a start makes many objects and no cycles to speak of
    code = run(sys.argv[1:])
    if sys.argv[1:2] == [COMPLETE] or (code == 0 and _verb_of(sys.argv[1:]) == "get"):
        _leave_at_once(code)
    sys.exit(code)


def _verb_of(arguments: Sequence[str]) -> str:
    _, rest = take_global_options(read_switches(arguments))
    return next((each for each in rest if not each.startswith("-")), "")


def _leave_at_once(code: int) -> None:
    """End the process without taking the interpreter down piece by piece, a sixth of the time of a `get`.

    Also for completion, one of whose threads may still ask the cluster.
    """
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] = os.environ,
    make_session: Callable[[Settings], Session] = lambda settings: Session(settings, open_client),
) -> int:
    """Run one command line and return its exit code."""
    if arguments and arguments[0] == COMPLETE:
        from cli.complete import complete

        return complete(arguments[1:], environment, make_session)
    error_code = 1
    try:
        options, rest = take_global_options(read_switches(arguments))
        verb = next((each for each in rest if not each.startswith("-")), "")
        if verb and verb not in VERBS:
            raise BadOption(_unknown_verb(verb))
        error_code = VERBS[verb].error_code if verb else 1
        session = make_session(_settings(verb, options, environment))
        pipe_code = 0 if verb in READERS else error_code
        return _guarded(lambda: _invoke(rest, verb, session), session.settings, error_code, pipe_code)
    except ClientError as error:
        note(f"Error: {error}")
        return error_code


def _unknown_verb(written: str) -> str:
    import difflib

    close = difflib.get_close_matches(written, VERBS, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}? See" if close else "see"
    return f'there is no command "{written}"; {hint}: berth --help'


def _settings(verb: str, options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Return the settings that a verb gets; a broken context keeps nobody from help or from mending it."""
    wanted = VERBS[verb].settings if verb in VERBS else "given"
    match wanted:
        case "checked":
            return resolve(options, environment)
        case "merged":
            return merge(options, environment)
        case "given":
            return Settings(namespace=options.get("namespace", Settings().namespace), given=options)


def _invoke(arguments: Sequence[str], verb: str, session: Session) -> int:
    """Let typer parse and run, and return the exit code."""
    try:
        code = build_app(verb)(list(arguments), prog_name="berth", obj=session, standalone_mode=False)
    except ExitWith as end:
        return end.code
    except USAGE_ERROR as error:
        from cli.usage import show_usage_error

        show_usage_error(error)
        return VERBS[verb].error_code if verb in VERBS else 1
    except SystemExit as end:  # typer's answer to a reader that closed the pipe
        code = end.code
    return code if isinstance(code, int) else 0


def build_app(wanted: str) -> typer.Typer:
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


def _guarded(work: Callable[[], int], settings: Settings, error_code: int, pipe_code: int) -> int:
    """Run `work`; an error that a person can do something about becomes a message.

    pipe_code: for when nobody reads our output any more; what only reads has done its work then.
    """
    try:
        return work()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own flush stays quiet
        return pipe_code
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
            return (
                f"Error: {unreachable_message(settings.endpoints, str(error), settings)}{tls_hint(settings)}"
            )
        case ClientError() | StoreError() | SchemaError():
            return f"Error: {error}"
        case _:
            return None


if __name__ == "__main__":
    main()
