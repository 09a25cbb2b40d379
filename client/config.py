"""Contexts: the clusters that a person knows, by name, in one YAML file.

    currentContext: local
    contexts:
      - {name: local, etcd: [https://127.0.0.1:2379], cacert: F, cert: F, key: F, prefix: /berth, namespace: default}

`~/.config/berth/config.yaml`, or what BERTH_CONFIG names. Fields that this version does not know are kept when
it is written. Relative paths count from the file's folder. YAML is imported only when there is a file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from client.errors import BadOption

VARIABLE = "BERTH_CONFIG"
FILE_FIELDS = ("cacert", "cert", "key")
Raw = dict[str, Any]  # Any: YAML of any shape; unknown fields are kept


@dataclass(frozen=True, slots=True)
class Context:
    """One cluster, and the namespace that is meant there. An empty field says nothing."""

    name: str
    etcd: tuple[str, ...] = ()
    cacert: str = ""
    cert: str = ""
    key: str = ""
    prefix: str = ""
    namespace: str = ""


FIELDS = tuple(each.name for each in fields(Context) if each.name != "name")


@dataclass(frozen=True, slots=True)
class Config:
    """The file as it is. `raw` is never changed: what changes it returns a new one."""

    path: Path
    raw: Raw = field(default_factory=dict)

    @property
    def current(self) -> str:
        return str(self.raw.get("currentContext") or "")

    @property
    def contexts(self) -> tuple[Context, ...]:
        return tuple(_parse_context(each) for each in self.raw.get("contexts") or ())

    def find(self, name: str) -> Context | None:
        return next((each for each in self.contexts if each.name == name), None)

    def get(self, name: str) -> Context:
        """Return a context. Raises BadOption that names those that are known."""
        found = self.find(name)
        if found is None:
            raise BadOption(unknown_context(self, name))
        return found

    def with_current(self, name: str) -> "Config":
        return replace(self, raw={**self.raw, "currentContext": name})

    def with_context(self, name: str, changes: Mapping[str, str | list[str]]) -> "Config":
        """Return the file with fields of a context changed, the context made where it is new; "" takes a field out."""
        entries: list[Raw] = list(self.raw.get("contexts") or ())
        old = next((each for each in entries if each["name"] == name), None)
        changed = {key: value for key, value in {**(old or {"name": name}), **changes}.items() if value}
        entries = [changed if each is old else each for each in entries] if old else [*entries, changed]
        return replace(self, raw={**self.raw, "contexts": entries})

    def without_context(self, name: str) -> "Config":
        """Return the file without a context; where it was the current one, none is. Raises BadOption."""
        self.get(name)
        kept = [each for each in self.raw.get("contexts") or () if each["name"] != name]
        raw = {**self.raw, "contexts": kept}
        if self.current == name:
            del raw["currentContext"]
        return replace(self, raw=raw)


def config_path(environment: Mapping[str, str]) -> Path | None:
    """Return where the file is or would be; None where the environment names no home."""
    if named := environment.get(VARIABLE):
        return Path(named).expanduser()
    if folder := environment.get("XDG_CONFIG_HOME"):
        return Path(folder) / "berth" / "config.yaml"
    home = environment.get("HOME")
    return Path(home) / ".config" / "berth" / "config.yaml" if home else None


def load(path: Path) -> Config:
    """Read the file; one that is not there is empty. Raises BadOption."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config(path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"the contexts in {path} can't be read: {error}; mend or remove it") from None
    import yaml

    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise BadOption(f"{path} is not valid YAML: {told}; {_MEND}") from None
    return Config(path, _check(path, {} if raw is None else raw))


_MEND = "mend it, or move it away and begin anew with: berth config set-context NAME --etcd HOST:PORT"


def _check(path: Path, raw: Any) -> Raw:
    """Return the file's content once it is of the right shape. Raises BadOption."""
    contexts = raw.get("contexts") or [] if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(contexts, list):
        raise BadOption(f"{path} has no list of contexts; {_MEND}")
    seen: set[str] = set()
    for number, each in enumerate(contexts, 1):
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or not name:
            raise BadOption(f"{path}: context number {number} has no name; {_MEND}")
        if name in seen:
            raise BadOption(f'{path}: there are two contexts "{name}"; rename or remove one of them')
        seen.add(name)
        _check_fields(path, name, each)
    return raw


def _check_fields(path: Path, name: str, entry: Raw) -> None:
    for key in FIELDS:
        value = entry.get(key)
        values = value if key == "etcd" and isinstance(value, list) else [value]
        if not all(each is None or isinstance(each, str) for each in values):
            shape = "a list of host:port" if key == "etcd" else "a text"
            raise BadOption(f'{path}: {key} of context "{name}" must be {shape}, not {value!r}; mend it')


def _parse_context(raw: Raw) -> Context:
    endpoints = raw.get("etcd") or ()
    listed = endpoints.split(",") if isinstance(endpoints, str) else endpoints
    texts = {key: str(raw.get(key) or "") for key in FIELDS if key != "etcd"}
    return Context(raw["name"], tuple(each.strip() for each in listed if each.strip()), **texts)


def save(config: Config) -> None:
    """Replace the file as a whole, readable for its owner only. Raises BadOption."""
    import tempfile  # only who writes a context pays for it

    import yaml

    path = config.path.resolve() if config.path.is_symlink() else config.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                yaml.safe_dump(config.raw, file, sort_keys=False, allow_unicode=True)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadOption(f"the contexts can't be written to {path}: {error}") from None


def choose_context(
    options: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Config, Context] | None:
    """Return the context that holds for a command, None for none. Raises BadOption.

    A context is one cluster: where --etcd or BERTH_ETCD names another one, the current context is set aside
    with its certificates. One that is named by --context or BERTH_CONTEXT stays, and lends what is not given.
    """
    named = options.get("context") or environment.get("BERTH_CONTEXT")
    if not named and (options.get("etcd") or environment.get("BERTH_ETCD")):
        return None
    path = config_path(environment)
    if path is None or not (named or path.exists()):
        return None
    config = load(path)
    name = named or config.current
    return (config, absolute(config, config.get(name))) if name else None


def absolute(config: Config, context: Context) -> Context:
    """Return the context with absolute paths."""
    folder = config.path.parent.absolute()

    def full(path: str) -> str:
        return str(folder / Path(path).expanduser()) if path else ""

    return replace(context, cacert=full(context.cacert), cert=full(context.cert), key=full(context.key))


def unknown_context(config: Config, name: str) -> str:
    """Say that there is no such context, and which there are."""
    known = ", ".join(each.name for each in config.contexts)
    if not known:
        return (
            f'there is no context "{name}": {config.path} has none; make one with: '
            f"berth config set-context {name} --etcd HOST:PORT, or start a cluster here with: berth up"
        )
    named = "the current context" if name == config.current else "context"
    return f'{named} "{name}" is not in {config.path}; known: {known}; choose with: berth config use-context NAME'
