"""What etcd and gRPC say when something fails, in the words of `store.errors`.

gRPC's codes say little about etcd (four kinds of refusal share INVALID_ARGUMENT), so its texts decide
first; they are those of `etcdserver/api/v3rpc/rpctypes/error.go`, unchanged from 3.4 to 3.6.
"""

from dataclasses import dataclass
from enum import Enum

import grpc

from store.errors import (
    Compacted,
    InvalidRequest,
    LeaseExpired,
    NoSpace,
    OutcomeUnknown,
    PermissionDenied,
    RequestTooLarge,
    StoreError,
    Unavailable,
)


class Effect(Enum):
    """What a request does: only one that writes can leave an unknown outcome."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Context:
    """What was asked of whom: for messages, and for errors that carry a number."""

    what: str
    endpoint: str
    endpoints: tuple[str, ...]
    effect: Effect
    lease_id: int = 0
    revision: int = 0


TOO_LARGE = ("too many operations", "request is too large", "received message larger than max")
INVALID = ("duplicate key given", "key is not provided", "required revision is a future revision")
BAD_TOKEN = ("invalid auth token", "revision of auth store is old")
NOT_AUTHENTICATED = ("authentication failed", "user name is empty", *BAD_TOKEN)
NOT_SENT = ("failed to connect to all addresses", "too many requests")  # nothing reached etcd's log


def translate(error: grpc.RpcError, context: Context) -> StoreError:
    """Return the error of the store for an error of a call."""
    code, text = code_of(error), text_of(error)
    about = f"{context.what} at {context.endpoint}: {text or code.name}"
    if "has been compacted" in text:
        return Compacted(context.revision)
    if "lease not found" in text:
        return LeaseExpired(context.lease_id)
    if "database space exceeded" in text:
        return NoSpace(f"{about}; compact and defragment etcd, or raise its quota, then disarm the alarm")
    if _has(text, TOO_LARGE):
        return RequestTooLarge(f"{about}; send it in parts")
    if _has(text, INVALID):
        return InvalidRequest(about)
    if _has(text, NOT_AUTHENTICATED):
        return PermissionDenied(f"{about}; check the user and password, or the client certificate")
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDenied(f"{about}; grant the range to the user's role in etcd")
    return _no_answer(about, text, context)


def is_bad_token(error: grpc.RpcError) -> bool:
    """The token has expired, or users changed meanwhile; nothing was done."""
    return _has(text_of(error), BAD_TOKEN)


def is_endpoint_failure(error: grpc.RpcError) -> bool:
    """The endpoint did not answer as it should: try another next time."""
    return code_of(error) in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    return error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN


def text_of(error: grpc.RpcError) -> str:
    return (error.details() or "") if isinstance(error, grpc.Call) else str(error)


def _no_answer(about: str, text: str, context: Context) -> StoreError:
    others = ", ".join(each for each in context.endpoints if each != context.endpoint)
    then = (
        f"; next attempt goes to another of {others}" if others else "; check that etcd runs and is reachable"
    )
    if context.effect is Effect.WRITE and not _has(text, NOT_SENT):
        return OutcomeUnknown(f"{about}; it may have been written: read before writing again{then}")
    return Unavailable(about + then)


def _has(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)
