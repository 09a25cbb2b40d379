"""The cluster's identity, at one key. `incarnation` counts how often history was rewound."""

from typing import Literal

from schemas.meta import Model

LAYOUT_VERSION = 1


class Cluster(Model):
    """`recovering`: the incarnation was raised, and placements are not yet rebuilt from what runs.

    `public_key`: what secrets are sealed to; its private half is in a file of the controllers.
    """

    kind: Literal["Cluster"] = "Cluster"
    cluster_uid: str
    incarnation: int = 1
    layout: int = LAYOUT_VERSION
    recovering: bool = False
    public_key: str | None = None


class LeaderInfo(Model):
    """Value of an election key: who it is and where its read API answers."""

    identity: str
    api_address: str = ""
    version: str = ""


class AccessToken(Model):
    """The token of a namespace for logs and exec; agents know its SHA-256 from the binding."""

    kind: Literal["AccessToken"] = "AccessToken"
    token: str
