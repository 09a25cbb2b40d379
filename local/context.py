"""The context that `berth up` writes, so that `berth get` and the others find its cluster."""

from collections.abc import Mapping

from client.config import Config, absolute, config_path, load, save
from client.connect import Settings
from client.errors import BadOption


def write_context(name: str, settings: Settings, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Write the context, and make it the current one where there is none; return what to tell a person.

    Raises BadOption where the name is taken by another cluster, or the file can't be read or written.
    """
    config = _load(environment)
    changed = config.with_context(
        name,
        {
            "etcd": list(settings.endpoints),
            "cacert": settings.ca_file,
            "cert": settings.cert_file,
            "key": settings.key_file,
            "prefix": settings.prefix,
        },
    )
    if not config.current:
        changed = changed.with_current(name)
    if changed != config:
        save(changed)
    return _advice(name, changed, environment)


def check_context(name: str, settings: Settings, environment: Mapping[str, str]) -> None:
    """See that the context may be written, before anything is started. Raises BadOption."""
    config = _load(environment)
    old = config.find(name)
    if old is None or not old.etcd:
        return
    same_ca = absolute(config, old).cacert == settings.ca_file
    if same_ca and (settings.ca_file or old.etcd == settings.endpoints):
        return
    raise BadOption(
        f'context "{name}" in {config.path} is another cluster ({", ".join(old.etcd)}); give this one another name: '
        f"berth up --context NAME, or forget that one: berth config delete-context {name}"
    )


def _load(environment: Mapping[str, str]) -> Config:
    path = config_path(environment)
    if path is None:
        raise BadOption("HOME is not set, so there is no place for contexts; set BERTH_CONFIG=FILE")
    return load(path)


def _advice(name: str, config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    told = [f'context "{name}" is in {config.path}']
    if config.current != name:
        told.append(f'the current context is "{config.current}"; change it: berth config use-context {name}')
    winning = [each for each in ("BERTH_CONTEXT", "BERTH_ETCD") if environment.get(each)]
    if winning and environment.get("BERTH_CONTEXT") != name:
        told.append(
            f"{' and '.join(winning)} is set and wins over the current context; unset it to use this cluster"
        )
    return tuple(told)
