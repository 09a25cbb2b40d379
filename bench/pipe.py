"""The limit for the pipeline: as many writes and watches as Berth makes for a task, and nothing else.

    specs in batches -> stage: a binding for each -> stage: a report for each -> stage: a status for each

Each stage is a process of its own with the same client of etcd: it watches one prefix and puts a value of the same
size under the next, in batches behind no condition. `python -m bench.pipe ENDPOINT FROM TO` is one stage.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise

from bench.lab import Lab, LabError, connect
from store.api import Put, Store
from store.batch import Write, send
from tools.processes import start_server, stop_server

PREFIXES = ("/pipe/spec/", "/pipe/binding/", "/pipe/report/", "/pipe/status/")
VALUE = b"x" * 900  # a binding of the pipeline's task
READY = "/pipe/ready/"
DONE_WITHIN_S = 120.0
POLL_S = 1.0


@dataclass(slots=True)
class Pipe:
    """Running stages; `run` sends so many items through them."""

    store: Store
    sent: int = 0

    def run(self, items: int) -> float:
        """Return the seconds from the first write to the last item at the end."""
        names = [f"{number:07d}" for number in range(self.sent, self.sent + items)]
        self.sent += items
        watch = self.store.watch((PREFIXES[-1],), self.store.get("/pipe").revision + 1, lambda: None)
        begin = time.perf_counter()
        try:
            send(self.store, None, [_put(PREFIXES[0] + name) for name in names])
            left = items
            while left > 0:
                left -= len(watch.poll(POLL_S) or ())
                if time.perf_counter() - begin > DONE_WITHIN_S:
                    raise LabError(f"{left} of {items} items are still in the bare pipeline")
            return time.perf_counter() - begin
        finally:
            watch.close()


@contextmanager
def bare_pipe(lab: Lab, name: str) -> Iterator[Pipe]:
    """Run an etcd and the stages."""
    with lab.etcd(name) as endpoint, ExitStack() as stack:
        for source, target in pairwise(PREFIXES):
            command = [sys.executable, "-m", "bench.pipe", endpoint, source, target]
            log = lab.folder / f"{name}.log"
            stack.callback(stop_server, start_server(command, lab.folder, log=log))
        store = connect(endpoint)
        stack.callback(store.close)
        deadline = time.monotonic() + DONE_WITHIN_S
        while len(store.list(READY).kvs) < len(PREFIXES) - 1:
            if time.monotonic() > deadline:
                raise LabError("the stages of the bare pipeline do not start")
            time.sleep(0.05)
        yield Pipe(store)


def stage(endpoint: str, source: str, target: str) -> None:
    """Be one stage until SIGTERM."""
    store = connect(endpoint)
    watch = store.watch((source,), store.get(source).revision + 1, lambda: None)
    watch.poll(POLL_S)  # etcd's word that it is there
    send(store, None, [_put(f"{READY}{source.strip('/').replace('/', '-')}")])
    while True:
        events = watch.poll(POLL_S)
        found = [event.key for event in events or ()]
        while events and (events := watch.poll()):
            found += [event.key for event in events]
        send(store, None, [_put(key.replace(source, target)) for key in found])


def _put(key: str) -> Write:
    return Write(key, (), (Put(key, VALUE),))


if __name__ == "__main__":
    stage(*sys.argv[1:4])
