"""What could stand at the cursor: verbs, options, kinds, and names from the cluster. Called by the shells' scripts.

    berth __complete get task we     ->     web
                                            worker

A line is `value` or `value<TAB>what it is`; the line `:files` asks the shell for names of files. The last word is
the one that is being written. A cluster that does not answer within a short time completes nothing, silently.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cli.session import Session, out
from cli.settings import take_global_options
from client.connect import Settings, merge
from client.errors import ClientError

DEADLINE_S = (
    2.0  # for the answer of a cluster that took the connection: a person who pressed Tab waits no longer
)
MAX_NAMES = 2_000
FILES = ":files"
MakeSession = Callable[[Settings], Session]

_SHELLS = ("bash", "zsh", "fish")
_OUTPUTS = ("wide", "json", "yaml", "name", "jsonpath=", "custom-columns=")
_GLOBAL = {
    "--etcd": "endpoints of etcd",
    "--cacert": "certificate of the CA",
    "--cert": "certificate of the client",
    "--key": "key of the certificate",
    "--root": "root of Berth's keys",
    "--context": "cluster to speak to",
    "--namespace": "namespace of tasks",
    "-n": "namespace of tasks",
}
_BY_KIND = ("get", "describe", "delete", "label", "annotate", "patch", "edit", "wait")
_OF_TASK = ("logs", "exec", "attach", "port-forward")
_TASKS = ("evict",)
_OF_NODE = ("cordon", "uncordon", "fence", "drain")
_OF_OWNER = {
    **dict.fromkeys(("status", "history", "undo", "restart", "image"), ("deployment", "daemonset")),
    **dict.fromkeys(("pause", "resume", "scale"), ("deployment",)),
}
"""Verb, or what follows `rollout` and `set` -> kinds that it works on."""


def complete(words: Sequence[str], environment: Mapping[str, str], make_session: MakeSession) -> int:
    """Print what could stand in place of the last of `words`, which follow the name of the command."""
    found: list[str] = []
    asking, done = threading.Event(), threading.Event()

    def work() -> None:
        with suppress(Exception):  # a completion that fails must not disturb the line that is being written
            found.extend(_Line(_joined(words), environment, make_session, asking.set).candidates())
        done.set()
        asking.set()

    threading.Thread(target=work, daemon=True).start()
    asking.wait()
    done.wait(DEADLINE_S)
    with suppress(BrokenPipeError):
        out("".join(f"{line}\n" for line in sorted(set(found))), end="")
        sys.stdout.flush()
    return 0


def _joined(words: Sequence[str]) -> list[str]:
    """Bash gives `--namespace=de` as three words; the middle one says nothing."""
    return [word for index, word in enumerate(words) if word != "=" or index == len(words) - 1]


class _Line:
    """A command line that is being written: `before` the cursor's word, and the word `current`."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        make_session: MakeSession,
        asking: Callable[[], None],
    ) -> None:
        *self._before, current = words or [""]
        self._current = "" if current == "=" else current
        self._environment, self._make_session, self._asking = environment, make_session, asking
        self._option = self._before[-1] if self._before and self._before[-1].startswith("-") else ""
        self._prefix = ""
        if self._current.startswith("--") and "=" in self._current:
            self._option, _, self._current = self._current.partition("=")
            self._prefix = f"{self._option}="
        given = self._before[:-1] if self._option in _GLOBAL and not self._prefix else self._before
        try:
            self._options, self._rest = take_global_options(given)
        except ClientError:
            self._options, self._rest = {}, list(given)

    def candidates(self) -> list[str]:
        """Return lines that begin with what is written."""
        return [
            f"{self._prefix}{line}" if line != FILES else line
            for line in self._all()
            if line.startswith(self._current) or line == FILES
        ]

    def _all(self) -> Iterable[str]:
        verb = next((word for word in self._rest if not word.startswith("-")), "")
        if "--" in self._before:
            return [FILES]
        if self._option:
            value = self._option_value(verb)
            if value is not None:
                return value
        if not verb:
            return self._verbs()
        command = _command(verb)
        names = [word for word in self._rest[1:] if not word.startswith("-")]
        if hasattr(command, "commands"):
            if not names or names[0] not in command.commands:
                return [_line(name, each.help) for name, each in command.commands.items()]
            if verb == "sync" and not self._current.startswith("-"):
                return [name for name in self._names("gitsources") if name not in names[1:]]
            verb, command, names = names[0], command.commands[names[0]], names[1:]
        if self._current.startswith("-"):
            return [*_options(command), *(_line(name, text) for name, text in _GLOBAL.items())]
        return self._argument(verb, names)

    def _verbs(self) -> Iterable[str]:
        from cli.main import VERBS

        if self._current.startswith("-"):
            return [_line(name, text) for name, text in _GLOBAL.items()]
        return [_line(name, verb.help) for name, verb in VERBS.items()]

    def _option_value(self, verb: str) -> Iterable[str] | None:
        """Return the values of the option before the cursor; None for one that takes none."""
        match self._option:
            case "-n" | "--namespace":
                return self._names("namespaces")
            case "--context":
                return self._contexts()
            case "--cacert" | "--cert" | "--key" | "-f" | "--filename" | "--patch-file" if not (
                self._option == "-f" and verb == "logs"
            ):
                return [FILES]
            case "--etcd" | "--root":
                return []
            case "-o" | "--output":
                return _OUTPUTS
            case "-c" | "--container":
                return self._containers()
            case "--types":
                return ("Normal", "Warning")
            case "--type":
                return ("strategic", "merge", "json")
            case "--from" if verb == "create":
                return self._of_kinds(("cronjob",), [])
            case "--for" if verb == "wait":
                return ("condition=", "delete", "create", "jsonpath=")
            case "--for":
                return self._slashed()
        return [] if verb and _takes_value(_command(verb), self._option) else None

    def _argument(self, verb: str, names: list[str]) -> Iterable[str]:
        """Return what may stand at a place that is no option's."""
        if verb in _BY_KIND:
            return self._by_kind(verb, names)
        if verb in _OF_TASK:
            return () if names else self._tasks()
        if verb == "cp":
            return [f"{name}:" for name in self._names("tasks")] + [FILES]
        if verb in _OF_NODE:
            return () if names else self._names("nodes")
        if verb in _TASKS:
            return [name for name in self._names("tasks") if name not in names]
        if verb in _OF_OWNER:
            return self._of_kinds(_OF_OWNER[verb], names)
        match verb:
            case "completion":
                return () if names else _SHELLS
            case "top":
                return self._names(names[0]) if names else ("nodes", "tasks")
            case "explain":
                return _fields(self._current)
            case "new":
                return () if names else _templates()
            case "configmap" | "secret" | "job":
                return ()
            case "use-context" | "delete-context" | "set-context":
                return self._contexts()
        return [FILES]

    def _by_kind(self, verb: str, names: list[str]) -> Iterable[str]:
        from cli.refs import is_queue_kind

        is_queue = bool(names) and is_queue_kind(names[0])  # queues may have slashes in their names
        if not is_queue and ("/" in self._current or any("/" in name for name in names)):
            return self._slashed()
        if not names:
            more = ("all", "events", "endpoints") if verb == "get" else ()
            return [*_kinds(), *more]
        if verb == "get" and names[0] == "endpoints":
            return [name for name in self._names("deployments") if name not in names]
        return [name for name in self._names(names[0]) if name not in names]

    def _of_kinds(self, kinds: Sequence[str], names: list[str]) -> Iterable[str]:
        """Return KIND/NAME of all objects of these kinds; after `KIND` alone the names of that one."""
        if names and "/" not in names[0]:
            return [name for name in self._names(names[0]) if name not in names]
        found = (f"{kind}/{name}" for kind in kinds for name in self._names(kind))
        return [each for each in found if each not in names]

    def _slashed(self) -> Iterable[str]:
        kind, slash, _ = self._current.partition("/")
        if not slash:
            return [f"{name}/" for name in _singulars()]
        return [f"{kind}/{name}" for name in self._names(kind)]

    def _tasks(self) -> Iterable[str]:
        return self._slashed() if "/" in self._current else self._names("tasks")

    def _names(self, kind: str) -> list[str]:
        """Return the names of a kind's objects in the namespace that the line names."""
        session = self._session()
        names: list[str] = []
        with session.client() as client:
            self._asking()
            for page in client.pages(client.kind(kind).plural, session.namespace):
                names += [view.name for view in page]
                if len(names) >= MAX_NAMES:
                    break
        return names

    def _containers(self) -> list[str]:
        words = [word for word in self._rest[1:] if not word.startswith("-")]
        name = next((word.rpartition("/")[2] for word in words), "")
        session = self._session()
        with session.client() as client:
            self._asking()
            view = client.get("tasks", name, session.namespace)
        containers = (view.raw.get("spec") or {}).get("containers") or ()
        return [str(each.get("name")) for each in containers]

    def _contexts(self) -> list[str]:
        from client.config import config_path, load

        path = config_path(self._environment)
        return [] if path is None else [context.name for context in load(path).contexts]

    def _session(self) -> Session:
        return self._make_session(merge(self._options, self._environment))


def _line(value: str, text: str | None) -> str:
    """Return a line; the first sentence says what it is."""
    said = " ".join((text or "").split()).partition(". ")[0]
    return f"{value}\t{said}" if said else value


def _command(verb: str) -> Any:
    """Return click's command of a verb. Raises KeyError for none."""
    from typer.main import get_command

    from cli.main import build_app

    group: Any = get_command(build_app(verb))
    return group.commands[verb]


def _options(command: Any) -> list[str]:
    return [
        _line(name, getattr(parameter, "help", ""))
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    ]


def _takes_value(command: Any, option: str) -> bool:
    return any(
        option in parameter.opts and not getattr(parameter, "is_flag", False) for parameter in command.params
    )


def _kinds() -> list[str]:
    from schemas.kinds import KINDS

    return [kind.plural for kind in KINDS]


def _templates() -> list[str]:
    from cli.new import SAMPLES

    return list(SAMPLES)


def _singulars() -> list[str]:
    from schemas.kinds import KINDS

    return [kind.singular for kind in KINDS]


def _fields(written: str) -> list[str]:
    """Return `task.spec.containers` and its neighbours for `task.spec.co`."""
    from cli.explain import resolve
    from client.naming import find_kind
    from schemas.jsonschema import kind_schema

    head, dot, _ = written.rpartition(".")
    if not dot:
        return _singulars()
    name, *path = head.split(".")
    schema = kind_schema(find_kind(name))
    current = schema
    for part in path:
        current = resolve(current, schema["definitions"])["properties"][part]
    return [f"{head}.{field}" for field in resolve(current, schema["definitions"]).get("properties", {})]
