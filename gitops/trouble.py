"""Why a repository can't be reached, told so that a person knows what to mend, and the same at each try.

What git and ssh say is meant for whoever sits before them: it names files that are gone by then, and not which part of
a Secret is wrong. What is not known here is passed on as it was said. Pure.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from gitops.errors import BadCredentials, GitFailed, NotTrusted, SyncError

CERTIFICATE_WORDS = (
    "certificate verification failed",
    "SSL certificate problem",
    "does not match target host name",
)
_SCAN = "get its keys with: ssh-keyscan {scan}, and compare them with what its owner publishes"


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said about the repository at `url`. folder: of the files with credentials, another one each time."""

    said: str
    url: str
    folder: str = ""

    @property
    def text(self) -> str:
        """What was said, but for what differs from try to try."""
        return self.said.replace(f"{self.folder}/", "") if self.folder else self.said

    @property
    def server(self) -> str:
        """The server as its url names it, without the path."""
        _, mark, rest = self.url.partition("://")
        return rest.partition("/")[0] if mark else self.url.partition(":")[0]

    def find(self, pattern: str) -> str:
        """Return what the first group of a pattern matches, empty for nothing."""
        found = re.search(pattern, self.said)
        return found.group(1) if found else ""


def explain(heard: Heard, knock: Callable[[], str]) -> SyncError:
    """Return what to tell instead. knock: says what is wrong with the certificate of the server, empty for nothing."""
    for words, tell in _TOLD:
        if words in heard.said:
            return tell(heard)
    if any(words in heard.said for words in CERTIFICATE_WORDS) and (why := knock()):
        return NotTrusted(why)
    return GitFailed(heard.text)


def _changed(heard: Heard) -> SyncError:
    shown = heard.find(r"(SHA256:[A-Za-z0-9+/]+)")
    return NotTrusted(
        f"{heard.server} shows another key ({shown}) than known_hosts of the Secret has for it: somebody may stand in "
        "between; if its owner says that the key is new, replace known_hosts"
    )


def _unknown(heard: Heard) -> SyncError:
    host = heard.find(r"host key is known for (\S+)")
    place = re.fullmatch(r"\[(.+)\]:(\d+)", host)  # so written unless the port is ssh's own
    scan = f"-p {place[2]} {place[1]}" if place else host
    return NotTrusted(f"known_hosts of the Secret has no key of {heard.server}; {_SCAN.format(scan=scan)}")


def _refused_key(heard: Heard) -> SyncError:
    return BadCredentials(
        f"{heard.server} does not take the key in ssh-privatekey of the Secret; let the public half of it read the "
        "repository there, and look whether the url names the right user"
    )


def _refused_password(heard: Heard) -> SyncError:
    return BadCredentials(
        f"{heard.server} does not take the password or token of the Secret; it may have expired, or lack the right to "
        "read this repository"
    )


def _asked(heard: Heard) -> SyncError:
    return BadCredentials(
        f"{heard.server} asks who reads, or has no such repository for strangers; put username and password, or token, "
        "into a Secret and name it in spec.credentials"
    )


def _plain(heard: Heard) -> SyncError:
    return GitFailed(f"{heard.server} does not speak https there; is the port right?")


_TOLD: tuple[tuple[str, Callable[[Heard], SyncError]], ...] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", _changed),
    ("host key is known for", _unknown),
    ("Permission denied (", _refused_key),
    ("Authentication failed for", _refused_password),
    ("could not read Username", _asked),
    ("could not read Password", _asked),
    ("unexpected TLS packet", _plain),
    ("wrong version number", _plain),
)
"""Words of git, ssh, GnuTLS and OpenSSL in English, as LC_ALL=C has it -> what that means."""
