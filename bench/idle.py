"""Standing still: what controller and agent use up while 40 containers run and nothing happens."""

import time

from bench.harness import Goal, Reading, RowResult
from bench.lab import Component, Lab, etcd_puts
from bench.site import Site, site

COUNT = 40
WINDOW_S = 60.0
SETTLE_S = 5.0  # after the last one runs: the last reports and events are written, the start-up is over
QUIET_S = 2.0  # without a put before the window begins


class StandingStill:
    name = "idle"
    title = "Standing still"
    goal = "60 s with 40 running containers: at most 2 % of a core together, no put in etcd, each below 90 MB"

    def run(self, lab: Lab, pairs: int) -> RowResult:
        names = [f"idle-{number}" for number in range(COUNT)]
        with site(lab, self.name) as ours:
            ours.run(names)
            _settle(ours)
            lab.say(f"{COUNT} containers run; watching for {WINDOW_S:.0f} s")
            puts = etcd_puts(ours.endpoint)
            before = [each.cpu_s() for each in ours.components]
            begin = time.monotonic()
            time.sleep(WINDOW_S)
            window_s = time.monotonic() - begin
            shares = [
                100 * (each.cpu_s() - cpu_s) / window_s
                for each, cpu_s in zip(ours.components, before, strict=True)
            ]
            puts = etcd_puts(ours.endpoint) - puts
            memory = [_memory(each) for each in ours.components]
            ours.clear(names)
        readings = (
            Reading("controller and agent together", "% of a core", (sum(shares),), Goal("at most", 2.0)),
            Reading("controller", "% of a core", (shares[0],)),
            Reading("agent", "% of a core", (shares[1],)),
            Reading("puts in etcd", "", (float(puts),), Goal("at most", 0.0)),
            Reading("controller's memory (RSS)", "MB", (memory[0],), Goal("at most", 90.0)),
            Reading("agent's memory (RSS)", "MB", (memory[1],), Goal("at most", 90.0)),
        )
        return RowResult(self.name, self.title, self.goal, readings=readings, notes=NOTES)


def _settle(ours: Site) -> None:
    """Wait until etcd has been quiet for a while."""
    time.sleep(SETTLE_S)
    puts = -1
    while puts != (now := etcd_puts(ours.endpoint)):
        puts = now
        time.sleep(QUIET_S)


def _memory(component: Component) -> float:
    return component.rss_bytes() / 1e6


NOTES = (
    "The window begins when etcd has had no put for two seconds; puts are etcd's own count "
    "(`etcd_debugging_mvcc_put_total`). Processor time is that of the processes, in user and system mode.",
    "What still happens: each process beats its lease (an agent every 5 s, a controller every 3.3 s), an agent looks "
    "at its own heartbeat key every 10 s and lists its containers once a minute, a controller looks at the "
    "election once a second, each watch that is silent asks for a sign of life every 10 s, and the threads of gRPC "
    "and of the HTTP servers wake five to ten times a second by themselves, which is most of it.",
)
