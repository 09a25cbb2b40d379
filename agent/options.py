"""Settings of an agent: each with its unit and its reason."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent.collecting import DeadPolicy, ImagePolicy
from schemas.keys import DEFAULT_PREFIX
from schemas.node import HOST_PORTS

DEFAULT_STATE_DIR = Path("/var/lib/berth")
DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What `berth agent` is told.

    node: the node's name, a DNS-1123 subdomain; default of the command line: the host's name.
    etcd: its endpoints, `host:port`. prefix: root of Berth's keys in etcd.
    cacert, cert, key: files for TLS towards etcd; the certificate's CN is the etcd user.
    docker_host: `unix://...` or `tcp://...`; None reads DOCKER_HOST, else the usual socket.
    state_dir: identity and emptyDir volumes; the engine must see it under the same path.
    secret_dir: a folder in memory for files of Secrets, which the engine sees under the same path; None: one of
        /run/berth, the user's runtime folder and /dev/shm that is on a tmpfs.
    listen: address of its server (logs, exec, files), `host:port`; port 0 takes a free one. Loopback unless
        told otherwise, because without `server_cert` it serves plain HTTP.
    server_cert, server_key: files of the server's own certificate, which names `address`; then it serves https.
    client_ca: file of the CA whose certificate every client must show; the namespace's token is needed too.
    address: what others reach this host at; empty finds the primary IP.
    labels: besides `berth/hostname`, `berth/os`, `berth/arch`.
    reserve: resource name -> amount that is kept for the system and not offered, over the default of
        100m cpu and 5 % of memory, at most 1 GiB.
    capacity: resource name -> what is offered at most of what the host has, before the reserve.
    share: (2, 3) is the second of three agents on this host: each offers a third of it.
    resources: custom resource name -> amount. gpus: device ids; empty asks nvidia-smi, ("none",) offers none.
    port_range: first and last host port offered to tasks; below Linux' ephemeral ports by default.
    runtime: `hollow` runs nothing, for trying the protocol out; then `capacity` is what a node has, whatever
        the host has.
    count: so many hollow nodes in this process, named `<node>-0001` and so on; 0: one node of that very name.
    images: when images that it pulled, and nothing needs any more, are removed; its marks hold for dead containers
        too, which go first. dead: for how long these are kept while there is room.
    orphan_after_s: after so long without a binding the agent stops a container by itself (24 h, as Swarm).
    lease_ttl_s: seconds without a beat after which the node counts as NotReady; at most 15, as the leader's
        recovery after a restored backup waits for heartbeats a little longer than that.
    version: of Berth, for the node report.
    join_new_cluster: give up the cluster of the state folder and join the one of this etcd.
    """

    node: str
    etcd: tuple[str, ...] = ("127.0.0.1:2379",)
    prefix: str = DEFAULT_PREFIX
    cacert: Path | str | None = None
    cert: Path | str | None = None
    key: Path | str | None = None
    docker_host: str | None = None
    state_dir: Path = DEFAULT_STATE_DIR
    secret_dir: Path | None = None
    listen: str = "127.0.0.1:0"
    server_cert: Path | str | None = None
    server_key: Path | str | None = None
    client_ca: Path | str | None = None
    address: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    reserve: dict[str, int] = field(default_factory=dict)
    capacity: dict[str, int] = field(default_factory=dict)
    share: tuple[int, int] = (1, 1)
    resources: dict[str, int] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()
    port_range: tuple[int, int] = HOST_PORTS
    runtime: Literal["docker", "hollow"] = "docker"
    count: int = 0
    orphan_after_s: float = 86_400.0
    images: ImagePolicy = field(default_factory=ImagePolicy)
    dead: DeadPolicy = field(default_factory=DeadPolicy)
    lease_ttl_s: int = 15
    join_new_cluster: bool = False
    version: str = ""
