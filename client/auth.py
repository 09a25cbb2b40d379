"""Who etcd takes us for, and what that user may do there."""

from dataclasses import dataclass

from client import rights
from client.certificates import common_name
from client.errors import BadOption, Refused
from schemas.keys import Keys
from schemas.kinds import Kind
from store.api import Access, Store
from store.errors import PermissionDenied


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """user: the CN of the client certificate, "" without one. access: None where etcd asks nobody who he is."""

    user: str
    access: Access | None


def whoami(store: Store, cert_file: str) -> WhoAmI:
    """Raises BadOption (the certificate can't be read), Refused (etcd wants a user, and none is shown)."""
    user = _user(cert_file)
    try:
        return WhoAmI(user, store.access(user))
    except PermissionDenied as error:
        if user:
            raise Refused(
                f'etcd does not know what user "{user}" (the CN of {cert_file}) may do: {error}; '
                f"add it with: etcdctl user add {user} --no-password, and grant it a role"
            ) from None
        raise Refused(
            "etcd demands a user, and no certificate says who you are; give --cert and --key "
            "(or BERTH_CERT and BERTH_KEY, or a context that names them)"
        ) from None


def _user(cert_file: str) -> str:
    if not cert_file:
        return ""
    try:
        return common_name(cert_file)
    except (OSError, ValueError) as error:
        raise BadOption(f"--cert {cert_file} can't be read: {error}") from None


def missing_rights(
    access: Access | None, keys: Keys, verb: str, kind: Kind, *, namespace: str | None, name: str = ""
) -> tuple[rights.Need, ...]:
    """Return which ranges a verb would need and the user lacks; () means that he may."""
    return rights.missing(access, rights.needs_of(verb, rights.Scope(keys, kind, namespace, name)))
