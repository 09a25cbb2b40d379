"""The part of the client that asks agents: logs, processes, files and ports of containers, and what they use."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from client.reader import Reader
from client.views import ObjectView
from schemas.meta import DEFAULT_NAMESPACE
from store.codec import Json

if TYPE_CHECKING:  # imported where it is used, so that `berth get` starts sooner
    from client.agent_target import AgentTarget
    from client.agent_tls import AgentTls
    from client.exec import RemoteProcess
    from client.forwarding import Forwarding
    from client.log_events import Cut, LogEvent, LogTarget
    from client.logs import LogOptions
    from client.usage import NodeUsage, Silence, TaskUsage


class Reaching(Reader):
    """Reaches containers through the agents of their nodes; etcd only says where these are."""

    @property
    def agent_tls(self) -> "AgentTls":
        """The certificates with which agents are spoken to; none unless given."""
        from client.agent_tls import AgentTls

        return self._agent_tls or AgentTls()

    def ask_leader(self, path: str, namespaces: "tuple[str, ...] | None", body: Json | None = None) -> Json:
        """Return the leader's answer to a question, shown the tokens of some namespaces; None: all that one may read.

        Raises LeaderUnavailable, Refused.
        """
        from client import leader_api

        tokens = leader_api.tokens_of(self.store, self.keys, namespaces)
        answer: Json = leader_api.ask(self.leader(), self.agent_tls, tokens, path, body)
        return answer

    def readable_namespaces(self) -> "tuple[str, ...] | None":
        """Return the namespaces whose tokens one may show: None for all, else the one of the context."""
        from client import leader_api

        return None if leader_api.tokens_of(self.store, self.keys, None) else (self.namespace,)

    def logs(
        self, name: str, namespace: str, options: "LogOptions", container: str | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes of a task's log as they come. Raises NotFound, AgentUnavailable."""
        from client import agent_target, logs

        view = self.get("tasks", name, namespace)
        target = agent_target.find_target(self.store, self.keys, view, container, wanted="log")
        return logs.stream(target, self.agent_tls, options)

    def exec(
        self,
        name: str,
        namespace: str,
        command: Sequence[str],
        container: str | None = None,
        *,
        tty: bool = False,
        stdin: bool = False,
    ) -> "RemoteProcess":
        """Start a command in a container of a task. Raises NotFound, AgentUnavailable, BadOption."""
        from client import exec as remote

        target = self.agent_target(name, namespace, container, wanted="container to run it in")
        return remote.start(target, self.agent_tls, command, tty=tty, stdin=stdin)

    def attach(
        self, name: str, namespace: str, container: str | None = None, *, stdin: bool = False
    ) -> "RemoteProcess":
        """Attach to the main process of a container. Raises NotFound, AgentUnavailable."""
        from client import exec as remote

        target = self.agent_target(name, namespace, container, wanted="process to attach to")
        return remote.attach(target, self.agent_tls, stdin=stdin)

    def forward(
        self, name: str, namespace: str, pairs: Sequence[str], address: str = "127.0.0.1"
    ) -> "Forwarding":
        """Listen on ports that lead to a task's, `[LOCAL:]REMOTE`. Raises NotFound, BadOption, AgentUnavailable."""
        from client.forwarding import Forwarding

        view = self.get("tasks", name, namespace)
        return Forwarding(
            self.store, self.keys, self._waiter, self.agent_tls, view, pairs, address, self._say
        )

    def download(
        self, name: str, namespace: str, remote: str, local: Path, container: str | None = None
    ) -> int:
        """Copy a file or folder out of a container; return how much was left out as unsafe, and told.

        Raises NotFound, BadOption, AgentUnavailable.
        """
        from client import copy

        target = self.agent_target(name, namespace, container, wanted="file of it")
        return copy.download(target, self.agent_tls, remote, local, say=self._say)

    def upload(
        self, name: str, namespace: str, local: Path, remote: str, container: str | None = None
    ) -> None:
        """Copy a file or folder into a container. Raises NotFound, BadOption, AgentUnavailable."""
        from client import copy

        target = self.agent_target(name, namespace, container, wanted="container to copy to")
        copy.upload(target, self.agent_tls, local, remote, say=self._say)

    def agent_target(
        self, name: str, namespace: str, container: str | None = None, *, wanted: str
    ) -> "AgentTarget":
        """Return where a container of a task is. wanted: what can't be had of one that never ran."""
        from client.agent_target import find_target

        return find_target(
            self.store, self.keys, self.get("tasks", name, namespace), container, wanted=wanted
        )

    def tasks_of(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> tuple[ObjectView, ...]:
        """Return the tasks that an object stands for: a task itself, an owner's. Raises NotFound, BadOption."""
        from client import log_targets

        return log_targets.tasks_of(self.store, self.keys, self.kind(kind), namespace, name)

    def many_logs(
        self,
        targets: "Sequence[LogTarget]",
        options: "LogOptions",
        *,
        cut: "Cut | None" = None,
        at_most: int | None = None,
    ) -> "Iterator[LogEvent]":
        """Yield logs of several containers; with `follow` all at once, from attempt to attempt.

        at_most: how many may be followed at once. Raises BadOption. `log_targets` tells the containers of tasks.
        """
        from client import log_events, many_logs

        cut = cut or log_events.whole_lines
        reader = many_logs.LogReader(self.store, self.keys, self._waiter, self.agent_tls, cut)
        if options.follow and not options.previous:
            return many_logs.follow_many(reader, targets, options, at_most=at_most or many_logs.MAX_FOLLOWED)
        return many_logs.read_many(reader, targets, replace(options, follow=False))

    def nodes_usage(
        self, views: "Sequence[ObjectView]"
    ) -> "tuple[tuple[NodeUsage, ...], tuple[Silence, ...]]":
        """Ask the agents of nodes what they use; also return who was silent."""
        from client import usage

        return usage.nodes_usage(views, self.agent_tls)

    def tasks_usage(
        self, views: "Sequence[ObjectView]"
    ) -> "tuple[tuple[TaskUsage, ...], tuple[Silence, ...]]":
        """Ask the agents of tasks what these use; tasks that are on no node are left out."""
        from client import usage

        return usage.tasks_usage(self.store, self.keys, views, self.agent_tls)
