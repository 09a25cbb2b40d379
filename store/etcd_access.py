"""What etcd's own users may do: asked with its Auth calls, which every user may make about itself.

etcd 3.4 has no call that says whether authentication is on; a login that can't succeed tells, by its refusal.
"""

from pyetcd.etcdrpc import rpc_pb2 as pb

from store.api import Access, Grant
from store.errors import PermissionDenied, StoreError
from store.etcd_connection import Connection

ROOT = "root"
_NO_USER = "user name not found"
_NOT_ENABLED = "authentication is not enabled"
_RIGHTS = {0: "read", 1: "write", 2: "readwrite"}  # authpb.Permission.Type


def read_access(connection: Connection, user: str) -> Access | None:
    """Return the roles and ranges of a user, None where etcd asks nobody who he is. Raises PermissionDenied."""
    if not _is_enabled(connection, user):
        return None
    try:
        reply = connection.call(
            f"read the roles of user {user}",
            lambda stubs: stubs.auth.UserGet,
            pb.AuthUserGetRequest(name=user),
        )
    except StoreError as error:
        if _NO_USER in str(error):
            raise PermissionDenied(f"etcd has no user {user}") from None
        raise
    roles = tuple(str(role) for role in reply.roles)
    return Access(user, roles, tuple(grant for role in roles for grant in _grants(connection, role)))


def _is_enabled(connection: Connection, user: str) -> bool:
    try:
        request = pb.AuthenticateRequest(name=user or "nobody", password="")
        connection.call("log in", lambda stubs: stubs.auth.Authenticate, request)
    except StoreError as error:
        if _NOT_ENABLED in str(error):
            return False
        if "authentication failed" not in str(error):
            raise
    return True


def _grants(connection: Connection, role: str) -> tuple[Grant, ...]:
    if role == ROOT:
        return (Grant(role, "readwrite", b"\0", b"\0"),)  # may do everything, whether it is stored or not
    request = pb.AuthRoleGetRequest(role=role)
    reply = connection.call(f"read role {role}", lambda stubs: stubs.auth.RoleGet, request)
    return tuple(
        Grant(role, _RIGHTS[int(each.permType)], bytes(each.key), bytes(each.range_end))
        for each in reply.perm
    )
