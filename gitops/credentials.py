"""Credentials of a repository: from a sealed Secret into files of a private folder for as long as git runs.

They are never arguments, variables or log lines: git asks a helper, which reads the files. The cluster's private key
opens the Secret, so only a controller that has it can read a private repository.
"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from gitops.errors import BadCredentials, GitFailed
from gitops.knocking import certificate_trouble, is_authority
from gitops.program import Access
from gitops.sshkeys import normal, why_unusable
from gitops.trouble import Heard, explain
from schemas.gitsource import SecretPlace
from schemas.keys import Keys, ObjectRef
from schemas.secret import Secret
from sealing.box import Place, unseal
from sealing.errors import SealingError
from sealing.keys import KeyPair
from store import codec
from store.api import Store

USERNAME, PASSWORD, TOKEN = "username", "password", "token"
SSH_KEY, KNOWN_HOSTS = "ssh-privatekey", "known_hosts"
CA = "ca.crt"
CA_VARIABLE = "GIT_SSL_CAINFO"
TOKEN_USER = "git"  # servers look at the token alone; some want any name beside it
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_ASKPASS = """\
#!/bin/sh
case "$1" in
Username*) exec cat {username} ;;
*) exec cat {password} ;;
esac
"""
_SSH = """\
#!/bin/sh
exec ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=15 \\
  -o UserKnownHostsFile={hosts} -o GlobalKnownHostsFile=/dev/null -i {key} "$@"
"""


def read_secret(store: Store, keys: Keys, place: SecretPlace, pair: KeyPair | None) -> dict[str, bytes]:
    """Return the values of a Secret. Raises BadCredentials, whose message holds none of them."""
    name = f"secret {place.name!r} of namespace {place.namespace!r}"
    kv = store.get(keys.spec(ObjectRef("secrets", place.namespace, place.name))).kv
    if kv is None:
        raise BadCredentials(
            f"{name} does not exist; make it with: berth create secret generic -n {place.namespace}"
        )
    if pair is None:
        raise BadCredentials(
            f"{name} can't be opened, as the leading controller was started without --secret-key"
        )
    raw = codec.decode_object(kv)
    try:
        secret = Secret.parse_stored({} if isinstance(raw, codec.Unreadable) else raw)
        if secret.sealed is None:
            raise BadCredentials(f"{name} is not sealed; apply it again")
        return unseal(pair, Place(place.namespace, place.name, secret.type), secret.sealed.box)
    except SealingError as error:
        raise BadCredentials(f"{error}; apply it again") from None
    except ValueError:
        raise BadCredentials(f"{name} can't be read; apply it again") from None


@contextmanager
def access(url: str, values: Mapping[str, bytes], scratch: Path) -> Iterator[Access]:
    """Give what git needs to reach `url`; the files are gone afterwards.

    What git says when it fails meanwhile is told in words about the Secret.
    Raises BadCredentials, NotTrusted, GitFailed.
    """
    _check(url, values)
    folder = Path(tempfile.mkdtemp(prefix="access-", dir=scratch))  # for its owner only
    try:
        variables = _variables(url, values, folder)
        yield Access(url, variables)
    except GitFailed as error:
        ca_file = variables.get(CA_VARIABLE, "")
        heard = Heard(str(error), url, str(folder))
        raise explain(heard, lambda: certificate_trouble(url, ca_file)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(url: str, values: Mapping[str, bytes]) -> None:
    if _is_ssh(url):
        _check_ssh(values)
    elif values:
        _check_http(url, values)


def _check_ssh(values: Mapping[str, bytes]) -> None:
    if not values:
        raise BadCredentials(
            f"ssh needs a Secret with {SSH_KEY} and {KNOWN_HOSTS}; name it in spec.credentials"
        )
    missing = [name for name in (SSH_KEY, KNOWN_HOSTS) if name not in values]
    if missing:
        raise BadCredentials(
            f"the Secret of the source has no {' and no '.join(missing)}, which ssh needs; get the keys of the "
            "host with: ssh-keyscan HOST, and compare them with what its owner publishes"
        )
    if why := why_unusable(values[SSH_KEY]):
        raise BadCredentials(f"{SSH_KEY} of the Secret {why}")


def _check_http(url: str, values: Mapping[str, bytes]) -> None:
    parts = urlsplit(url)
    if not ({PASSWORD, TOKEN, CA} & values.keys()):
        raise BadCredentials(f"the Secret of the source needs the keys {USERNAME} and {PASSWORD}, or {TOKEN}")
    if parts.scheme == "http" and (parts.hostname or "") not in LOOPBACK:
        raise BadCredentials("credentials would cross the network in clear; use an https:// url")
    if CA in values and not is_authority(values[CA]):
        raise BadCredentials(
            f"{CA} of the Secret holds no certificate in PEM form; put in that of the authority"
        )


def _variables(url: str, values: Mapping[str, bytes], folder: Path) -> dict[str, str]:
    if _is_ssh(url):
        key = _write(folder / "key", normal(values[SSH_KEY]))
        hosts = _write(folder / "hosts", values[KNOWN_HOSTS])
        text = _SSH.format(hosts=shlex.quote(str(hosts)), key=shlex.quote(str(key)))
        return {"GIT_SSH": str(_write(folder / "ssh", text.encode(), 0o700)), "GIT_SSH_VARIANT": "ssh"}
    found: dict[str, str] = {}
    if CA in values:
        found[CA_VARIABLE] = str(_write(folder / "ca", values[CA]))
    password = values.get(TOKEN) or values.get(PASSWORD)
    if password is not None:
        username = _write(folder / "username", values.get(USERNAME, TOKEN_USER.encode()))
        secret = _write(folder / "password", password)
        text = _ASKPASS.format(username=shlex.quote(str(username)), password=shlex.quote(str(secret)))
        found["GIT_ASKPASS"] = str(_write(folder / "askpass", text.encode(), 0o700))
    return found


def _is_ssh(url: str) -> bool:
    return not url.startswith(("https://", "http://", "file://"))


def _write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return path
