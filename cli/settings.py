"""Global options: usable before and after the verb, as kubectl's. Imports nothing heavy."""

from collections.abc import Iterable, Sequence

from client.errors import BadOption

_NAMES = {
    "--context": "context",
    "--etcd": "etcd",
    "--cacert": "cacert",
    "--cert": "cert",
    "--key": "key",
    "--root": "root",
    "--namespace": "namespace",
    "-n": "namespace",
}
"""What people write -> the name in `client.connect.resolve`; each takes a value."""

HELP = """Global options, before or after the verb:

\b
  --context NAME              a cluster of berth config [BERTH_CONTEXT, default: the current one]
  --etcd HOST:PORT,...        endpoints of etcd [BERTH_ETCD, default 127.0.0.1:2379]
  --cacert, --cert, --key     certificates for etcd [BERTH_CACERT, BERTH_CERT, BERTH_KEY]
  --root PATH                 root of Berth's keys in etcd [BERTH_ROOT, default /berth]
  -n, --namespace NAME        namespace of tasks [BERTH_NAMESPACE, default "default"]
"""


def take_global_options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the global options, and the other arguments in their order. What follows `--` is left alone.

    Raises BadOption when a value is missing.
    """
    options: dict[str, str] = {}
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            return options, [*rest, argument, *remaining]
        written, value = _split(argument)
        if written not in _NAMES:
            rest.append(argument)
            continue
        options[_NAMES[written]] = _value(remaining, written) if value is None else value
    return options, rest


def read_switches(arguments: Sequence[str]) -> list[str]:
    """Rewrite switches as kubectl's users write them: `--wait=false`, `--force=true`, `--dry-run=client`.

    A switch that is off unless given is left out when it is false. What follows `--` is left alone, and so is a
    value that only ends so: `--for=condition=Ready=false`, `--selector=app=true`.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rewritten = (_SWITCHES.get(argument, _generic_switch(argument)) for argument in arguments[:end])
    return [*(argument for argument in rewritten if argument is not None), *arguments[end:]]


_SWITCHES: dict[str, str | None] = {
    "--wait=false": "--no-wait",
    "--wait=available": "--wait",
    "--watch=false": "--no-watch",
    "--dry-run=client": "--dry-run",
    "--dry-run=server": "--dry-run",
    "--dry-run=none": None,
}


def _generic_switch(argument: str) -> str | None:
    switch, _, value = argument.partition("=")
    if not switch.startswith("--") or value not in ("true", "false"):
        return argument
    return switch if value == "true" else None


def _split(argument: str) -> tuple[str, str | None]:
    """`--etcd=x`, `-n=x` and `-nx` carry their value with them."""
    if argument.startswith("--"):
        written, equals, value = argument.partition("=")
        return written, value if equals else None
    if argument.startswith("-n") and len(argument) > 2:
        return "-n", argument[2:].removeprefix("=")
    return argument, None


def _value(remaining: Iterable[str], option: str) -> str:
    for value in remaining:
        return value
    raise BadOption(f"option {option} needs a value; see: berth --help")
