"""`berth up`: a whole cluster on one machine, from nothing to Ready, watched until somebody stops it.

    folder -> leftovers of a crash -> certificates -> etcd -> context -> controller -> agents -> Ready -> watch

Children are started and ended by the main thread only. Whatever ends this process, the next `up` or `down`
finds the children by what up.json says, and the kernel asks them to end.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from client.connect import LOCAL_CONTEXT, Settings
from local import etcd, pki
from local.context import check_context, write_context
from local.docker import DEFAULT_HOST, why_no_docker
from local.down import end_leftovers
from local.errors import Ended, LocalError
from local.folder import Folder, Record, begin_log, default_data_dir, last_lines
from local.pki import Pki
from local.plan import (
    Child,
    UpOptions,
    children,
    clean_environment,
    etcd_command,
    left_behind,
    package_folder,
    port_ranges,
)
from local.processes import identify, spawn
from local.ready import Onlooker
from local.supervisor import Supervisor, describe_exit
from local.wakes import Wakes

START_TIMEOUT_S = 120.0  # a few seconds as a rule; a busy machine starts Python slowly
HOLLOW_S = 0.05  # more for each simulated node
LOOK_EVERY_S = 0.1  # while starting


class Screen(Protocol):
    """Where a person sees what happens."""

    def say(self, text: str) -> None:
        """Tell one thing that happened."""

    def watch(self, settings: Settings, wake: Callable[[], None]) -> None:
        """Begin to follow the cluster; `wake` asks for a call of `draw`."""

    def draw(self, now: float) -> float | None:
        """Show what is new; return the time at which to draw again, None for no need. now: monotonic."""

    def ready(self, lines: tuple[str, ...]) -> None:
        """The cluster is ready; say how to use it."""

    def close(self) -> None: ...


class Stopped(Exception):
    """Somebody asked to stop while the cluster was starting."""


@dataclass(slots=True)
class _Life:
    """What this run has made so far. left_behind: simulated nodes of the last time that are not started any more."""

    record: Record
    settings: Settings
    supervisor: Supervisor
    left_behind: tuple[str, ...] = ()


class Up:
    """One run. Raises LocalError and BadOption from `run` when the cluster can't start."""

    def __init__(
        self, options: UpOptions, folder: Folder, screen: Screen, environment: Mapping[str, str]
    ) -> None:
        self._options, self._folder, self._screen = options, folder, screen
        self._environment = environment
        self._pki = Pki(folder.pki)
        self._wakes = Wakes()
        self._identity = f"{socket.gethostname()}-up-{os.getpid()}"

    def run(self) -> None:
        """Start, watch until asked to stop, stop."""
        self._folder.make()
        with self._folder.held(), self._wakes:
            life = self._begin()
            try:
                self._start(life)
                self._watch(life)
            except Stopped:
                self._screen.say("stopped before it was ready")
            finally:
                self._stop(life)

    # Starting

    def _begin(self) -> _Life:
        """Look at all that could keep the cluster from starting, and take possession of the folder."""
        options, before = self._options, self._folder.read()
        end_leftovers(before, self._screen.say)
        port_ranges(options)
        options = self._options = self._with_docker(options)
        if options.external is None:
            etcd.find_etcd()
            for told in pki.ensure(self._pki, pki.names_of_this_host(), datetime.now(UTC)):
                self._screen.say(told)
        ports = (0, 0) if options.external else etcd.choose_ports((before.client_port, before.peer_port))
        settings = options.external or self._own_settings(ports[0])
        check_context(options.context, settings, self._environment)
        if options.external is not None:
            with closing(Onlooker(settings)) as onlooker:
                onlooker.check_external()
        record = replace(
            before,
            up=identify(os.getpid()),
            ready=False,
            processes={},
            endpoints=settings.endpoints,
            client_port=ports[0] or before.client_port,
            peer_port=ports[1] or before.peer_port,
            context=options.context,
            docker_host=options.docker_host,
            nodes=options.node_names,
            hollow=options.hollow_names,
        )
        self._folder.write(record)
        self._tell_left_behind(before)
        life = _Life(record, settings, Supervisor(self._spawn, self._screen.say, lambda found: None))
        life.left_behind = tuple(name for name in before.hollow if name not in options.hollow_names)
        life.supervisor.changed = lambda found: self._remember(life, processes=found)
        return life

    def _with_docker(self, options: UpOptions) -> UpOptions:
        """Return the options with the engine's address; without an engine only simulated nodes can be had."""
        if not options.nodes:
            return options
        host = options.docker_host or self._environment.get("DOCKER_HOST") or DEFAULT_HOST
        if why := why_no_docker(host):
            raise LocalError(why)
        return replace(options, docker_host=host)

    def _own_settings(self, port: int) -> Settings:
        return Settings(
            (f"https://127.0.0.1:{port}",),
            str(self._pki.ca),
            str(self._pki.client_cert),
            str(self._pki.client_key),
            self._options.prefix,
        )

    def _tell_left_behind(self, before: Record) -> None:
        gone = sorted(set(before.nodes) - set(self._options.node_names))
        if gone:
            self._screen.say(left_behind(gone, self._folder_option(), self._context_option()))

    def _start(self, life: _Life) -> None:
        with closing(Onlooker(life.settings)) as onlooker:
            advice = self._start_all(life, onlooker)
        self._remember(life, ready=True)
        self._screen.ready(self._how_to_use(advice))

    def _start_all(self, life: _Life, onlooker: Onlooker) -> tuple[str, ...]:
        """Start everything and wait until it is Ready; return what to say of the context."""
        if self._options.external is None:
            self._start_etcd(life, onlooker)
        advice = write_context(self._options.context, life.settings, self._environment)
        before = onlooker.instances()
        controller, *others = children(self._options, life.settings, self._folder, self._pki)
        self._start_child(
            life, replace(controller, command=(*controller.command, f"--identity={self._identity}"))
        )
        if self._options.hollow:
            self._wait(life, lambda: onlooker.leads(self._identity), "for the controller to lead")
            onlooker.keep_off(self._options.hollow_names)
        for child in others:
            self._start_child(life, child)
        self._screen.watch(life.settings, self._wakes.wake)
        self._wait_ready(life, onlooker, before)
        for name in onlooker.forget(life.left_behind):
            self._screen.say(f"removed the simulated node {name}, which is not started any more")
        return advice

    def _start_etcd(self, life: _Life, onlooker: Onlooker) -> None:
        program = etcd.find_etcd()
        command = etcd_command(
            program, self._folder, self._pki, life.record.client_port, life.record.peer_port
        )
        self._start_child(life, Child("etcd", command, 2, 15.0))
        self._wait(life, onlooker.answers, "for etcd to answer")

    def _start_child(self, life: _Life, child: Child) -> None:
        self._screen.say(f"starting {child.name}")
        try:
            life.supervisor.start(child, time.monotonic())
        except OSError as error:
            raise LocalError(f"{child.name} can't be started: {error}") from None

    def _spawn(self, child: Child) -> "subprocess.Popen[bytes]":
        log = self._folder.log(child.name)
        begin_log(log)
        return spawn(child.command, log, clean_environment(self._environment), package_folder())

    def _wait_ready(self, life: _Life, onlooker: Onlooker, before: Mapping[str, str]) -> None:
        left = [*self._options.node_names, *self._options.hollow_names]

        def is_ready() -> bool:
            left[:] = onlooker.not_ready(left, before)
            return not left and onlooker.leads(self._identity)

        timeout_s = START_TIMEOUT_S + HOLLOW_S * self._options.hollow
        self._wait(life, is_ready, "for the nodes to be Ready", timeout_s)

    def _wait(
        self, life: _Life, is_done: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S
    ) -> None:
        """Wait for a step of the start. Raises Ended, Stopped, LocalError."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            for name, code in life.supervisor.ended().items():
                raise Ended(self._why_ended(name, code))
            if self._wakes.stops:
                raise Stopped
            if time.monotonic() > deadline:
                raise LocalError(
                    f"waited {timeout_s:g} s {what}, in vain; see the logs in {self._folder.logs}"
                )
            self._screen.draw(time.monotonic())
            self._wakes.wait(LOOK_EVERY_S)

    def _why_ended(self, name: str, code: int) -> str:
        log = self._folder.log(name)
        told = "".join(f"\n  {line}" for line in last_lines(log))
        return f"{name} ended while the cluster was starting ({describe_exit(code)}); the end of {log}:{told}"

    def _how_to_use(self, advice: tuple[str, ...]) -> tuple[str, ...]:
        count = self._options.nodes + self._options.hollow
        nodes = f"{count} nodes" if count != 1 else "1 node"
        simulated = f", {self._options.hollow} of them simulated" if self._options.hollow else ""
        return (
            f"the cluster is ready: {nodes}{simulated}",
            *advice,
            f"logs are in {self._folder.logs}",
            f"look: berth get nodes,tasks{self._context_option()}; stop: berth down{self._folder_option()} "
            "(containers go on; with --stop-tasks they stop, too)",
        )

    def _context_option(self) -> str:
        name = self._options.context
        return "" if name == LOCAL_CONTEXT else f" --context {name}"

    def _folder_option(self) -> str:
        path = self._folder.path
        with suppress(LocalError):  # no home: then there is no default
            if path == default_data_dir(self._environment):
                return ""
        return f" --data-dir {path}"

    # Watching

    def _watch(self, life: _Life) -> None:
        """Keep the children running until somebody asks to stop. Sleeps unless something happens."""
        while not self._wakes.stops:
            now = time.monotonic()
            due = [life.supervisor.step(now), self._screen.draw(now)]
            soonest = min((each for each in due if each is not None), default=None)
            self._wakes.wait(None if soonest is None else soonest - now)

    def _remember(self, life: _Life, **changes: object) -> None:
        life.record = replace(life.record, **changes)  # type: ignore[arg-type]  # fields differ in type
        self._folder.write(life.record)

    # Stopping

    def _stop(self, life: _Life) -> None:
        """End the children: agents, then the controller, then etcd. A further signal hurries."""
        hurry = self._wakes.stops + 1
        for turn in life.supervisor.turns():
            deadline = time.monotonic() + life.supervisor.ask(turn)
            while life.supervisor.living(turn) and time.monotonic() < deadline and self._wakes.stops < hurry:
                self._screen.draw(time.monotonic())
                self._wakes.wait(min(1.0, deadline - time.monotonic()))
            life.supervisor.kill(turn)
        self._remember(life, up=None, ready=False, processes={})
        self._screen.say("stopped; containers of tasks go on" if self._options.nodes else "stopped")
