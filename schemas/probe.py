"""Probes and hooks: how the agent asks a container whether it has started, lives, and is ready; what runs at its ends.

The fields and defaults are those of Kubernetes.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from schemas.meta import DnsLabel, Model

PortRef = Annotated[int, Field(ge=1, le=65535)] | DnsLabel
"""A port of the container, by number or by the name that its `ports` give it."""


class ExecAction(Model):
    """Run a command in the container; exit code 0 is success. No shell is involved."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]


class HttpHeader(Model):
    name: Annotated[str, Field(min_length=1, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
    value: Annotated[str, Field(pattern=r"^[^\r\n]*$")] = ""


class HttpGetAction(Model):
    """Ask over HTTP; a status of 200 to 399 is success."""

    path: Annotated[str, Field(pattern=r"^/[^\s]*$")] = "/"
    port: PortRef
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[HttpHeader, ...] = ()


class TcpSocketAction(Model):
    """Open a TCP connection."""

    port: PortRef


class SleepAction(Model):
    seconds: Annotated[int, Field(ge=0, le=3600)]


class Probe(Model):
    """Asked every `periodSeconds`; so many answers of one kind in a row change the verdict."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("exec", "httpGet", "tcpSocket")]}
    )

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    initial_delay_seconds: Annotated[int, Field(ge=0)] = 0
    period_seconds: Annotated[int, Field(ge=1)] = 10
    timeout_seconds: Annotated[int, Field(ge=1)] = 1
    success_threshold: Annotated[int, Field(ge=1)] = 1
    failure_threshold: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if sum(each is not None for each in (self.exec, self.http_get, self.tcp_socket)) != 1:
            raise ValueError("a probe needs exactly one of exec, httpGet and tcpSocket")
        return self

    @property
    def port(self) -> int | str | None:
        """The port that it asks, as written; None for exec."""
        action = self.http_get or self.tcp_socket
        return action.port if action else None


class Hook(Model):
    """What runs just after a container's start, or before its stop signal."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("exec", "httpGet", "sleep")]}
    )

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    sleep: SleepAction | None = None

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if sum(each is not None for each in (self.exec, self.http_get, self.sleep)) != 1:
            raise ValueError("a hook needs exactly one of exec, httpGet and sleep")
        return self


class Lifecycle(Model):
    post_start: Hook | None = None
    pre_stop: Hook | None = None
