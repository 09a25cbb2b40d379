"""Keeps children running: starts them, starts them again with backoff when they die, and ends them in order.

`step` never blocks; the shell calls it when a child may have died or a restart is due. Everything happens in one
thread, the main one.
"""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from local.plan import Child
from local.processes import ProcessId, identify

FIRST_DELAY_S, MAX_DELAY_S = 1.0, 30.0
CLEAN_RUN_S = 60.0  # a child that ran so long begins with the first delay again
Spawn = Callable[[Child], "subprocess.Popen[bytes]"]
Say = Callable[[str], None]


@dataclass(slots=True)
class Running:
    """One child and its fate. due: when it is started again, None while it runs."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    identity: ProcessId | None = None
    started_at: float = 0.0
    delay_s: float = FIRST_DELAY_S
    due: float | None = None
    restarts: int = 0


@dataclass(slots=True)
class Supervisor:
    """All children. changed: called when the set of processes has changed, to remember them."""

    spawn: Spawn
    say: Say
    changed: Callable[[dict[str, ProcessId]], None]
    children: dict[str, Running] = field(default_factory=dict)

    def start(self, child: Child, now: float) -> None:
        """Start a child for the first time. Raises OSError."""
        running = self.children.setdefault(child.name, Running(child))
        self._began(running, self.spawn(child), now)

    def _began(self, running: Running, process: "subprocess.Popen[bytes]", now: float) -> None:
        running.process, running.started_at, running.due = process, now, None
        running.identity = identify(process.pid)
        self.changed(self.processes())

    def processes(self) -> dict[str, ProcessId]:
        return {name: each.identity for name, each in self.children.items() if each.process and each.identity}

    def ended(self) -> dict[str, int]:
        """Return name -> exit code of those that have ended and were not taken note of yet."""
        return {
            name: code
            for name, each in self.children.items()
            if each.process is not None and (code := each.process.poll()) is not None
        }

    def step(self, now: float) -> float | None:
        """Take note of who died and start again who is due; return when the next one is due, None for nobody."""
        for name, code in self.ended().items():
            self._died(self.children[name], code, now)
        for each in self.children.values():
            if each.due is not None and each.due <= now:
                self._start_again(each, now)
        return min((each.due for each in self.children.values() if each.due is not None), default=None)

    def _start_again(self, running: Running, now: float) -> None:
        try:
            process = self.spawn(running.child)
        except OSError as error:
            self._postpone(running, f"can't be started: {error}", now)
        else:
            self._began(running, process, now)

    def _died(self, running: Running, code: int, now: float) -> None:
        if now - running.started_at >= CLEAN_RUN_S:
            running.delay_s = FIRST_DELAY_S
        self._postpone(running, f"ended ({describe_exit(code)})", now)

    def _postpone(self, running: Running, why: str, now: float) -> None:
        running.process = running.identity = None
        running.due = now + running.delay_s
        running.restarts += 1
        self.say(f"{running.child.name} {why}; it is started again in {running.delay_s:g} s")
        running.delay_s = min(MAX_DELAY_S, running.delay_s * 2)
        self.changed(self.processes())

    def turns(self) -> tuple[int, ...]:
        """Return the turns in which children are stopped."""
        return tuple(sorted({each.child.turn for each in self.children.values()}))

    def ask(self, turn: int) -> float:
        """Ask the children of a turn to end; return the patience with the slowest of them, 0 if none runs."""
        asked = [each for each in self._living() if each.child.turn == turn]
        for each in asked:
            self.say(f"stopping {each.child.name}")
            _send(each, signal.SIGTERM)
        return max((each.child.patience_s for each in asked), default=0.0)

    def living(self, turn: int) -> tuple[str, ...]:
        return tuple(each.child.name for each in self._living() if each.child.turn == turn)

    def kill(self, turn: int | None = None) -> None:
        """End the children of a turn, or all of them, at once."""
        for each in self._living():
            if turn is None or each.child.turn == turn:
                self.say(f"killing {each.child.name}")
                _send(each, signal.SIGKILL)
                if each.process is not None:
                    each.process.wait()

    def _living(self) -> list[Running]:
        return [each for each in self.children.values() if each.process and each.process.poll() is None]


def _send(running: Running, number: signal.Signals) -> None:
    if running.process is not None:
        running.process.send_signal(number)  # does nothing once it was waited for


def describe_exit(code: int) -> str:
    """Return `exit code 1`, or `killed by SIGKILL`."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
