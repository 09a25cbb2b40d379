"""A world whose history is taken down by a real archive, and a leader who answers questions about it."""

import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from client.client import Client
from client.errors import Refused
from controller.history.answers import CantTell
from controller.history.archive import Archive
from controller.history.keeper import Keeper
from controller.history.questions import ask_at, ask_history
from schemas.keys import ObjectRef
from store.api import Delete, Put, Txn
from store.codec import encode
from store.informer import Informer
from tests.cli.helpers import LentClient
from tests.client.helpers import World

UID = "00000000-0000-4000-8000-{:012d}"


def deployment(name: str, image: str, **more: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template, **more}
    return {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


class Archived:
    """The history of a world. `write` and `remove` change it, and time passes; `look` takes down what happened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = Path(tempfile.mkdtemp(prefix="berth-history-"))
        self._begin()
        self.look()

    def _begin(self) -> None:
        world = self.world
        self.keeper = Keeper(Archive(self.folder / "history.db"), world.keys, world.clock)
        self._informer = Informer(world.store, (world.keys.root,), lambda: None, observer=self.keeper)

    def look(self) -> None:
        for _ in range(3):
            self._informer.step(self.world.clock())
        self.keeper.step(self.world.clock())

    def restart(self) -> None:
        """The controller was down, and is there again."""
        self.keeper.close()
        self._begin()
        self.look()

    def close(self) -> None:
        self.keeper.close()
        shutil.rmtree(self.folder)

    def write(self, raw: dict[str, Any], *, by: str = "", uid: int = 900, after_s: float = 60.0) -> int:
        """Store an object, by hand or as a manager whose manifest it is; return the revision."""
        self.world.clock.seconds += after_s
        ref = ObjectRef(
            f"{raw['kind'].lower()}s", raw["metadata"].get("namespace", "_cluster"), raw["metadata"]["name"]
        )
        stamped = {**raw["metadata"], "uid": UID.format(uid), "creationTimestamp": "2027-01-15T07:30:00Z"}
        keys = self.world.keys
        ops = [Put(keys.spec(ref), encode({**raw, "metadata": stamped}))]
        if by:
            ops.append(Put(keys.applied(ref, by), encode(raw)))
        return self.world.store.txn(Txn((), tuple(ops))).revision

    def remove(self, ref: ObjectRef) -> int:
        self.world.clock.seconds += 60.0
        keys = self.world.keys
        ops = (Delete(keys.spec(ref)), Delete(keys.applied_range(ref), is_prefix=True))
        return self.world.store.txn(Txn((), ops)).revision

    def client(self, **options: Any) -> Client:
        return PastClient(self, **options)


class PastClient(LentClient):
    """Its leader answers from the archive of this process, as the read API does."""

    def __init__(self, past: Archived, **options: Any) -> None:
        world = past.world
        super().__init__(
            world.store, world.keys, now=world.clock, clock=world.clock, pause=world.pause, **options
        )
        self._past = past

    def readable_namespaces(self) -> tuple[str, ...] | None:
        return None

    def ask_leader(self, path: str, namespaces: Any, body: Any = None) -> dict[str, Any]:
        self._past.look()
        url = urlsplit(path)
        asked = dict(parse_qsl(url.query))
        parts = [unquote(each) for each in url.path.split("/")]
        try:
            if parts[2] == "history":
                ref = ObjectRef(parts[4], parts[3], "/".join(parts[5:]))
                return ask_history(self._past.keeper, ref, asked.get("least", ""))
            return ask_at(self._past.keeper, asked, ("default", "team"), self._past.world.clock())
        except CantTell as error:
            raise Refused(str(error)) from None
