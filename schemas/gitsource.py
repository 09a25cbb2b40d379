"""GitSource: a folder of a git repository that a part of the cluster is kept like.

It has no namespace, so that only who administers the cluster says which repository may write where: the leader,
which applies what is in the repository, may write anything.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from schemas.meta import DEFAULT_NAMESPACE, DNS_LABEL_SCHEMA, DnsLabel, DnsSubdomain, Model, ObjectMeta
from schemas.meta import check_dns_label as _check_dns_label
from schemas.quantity import Duration
from schemas.secret import KeyName

EVERY_NAMESPACE = "*"
MIN_INTERVAL_S = 5.0  # a question to somebody else's server each time
DEFAULT_INTERVAL_S = 60.0

_HOST = r"([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?"
_REST = r"[!-~]"  # printable, without spaces: a url has other characters percent-encoded
_URL = re.compile(
    rf"https?://{_HOST}/{_REST}+"
    rf"|ssh://([A-Za-z0-9._][-A-Za-z0-9._]*@)?{_HOST}/{_REST}+"
    rf"|file:///{_REST}+"
    rf"|[A-Za-z0-9._][-A-Za-z0-9._]*@[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?:[!-,.-~]{_REST}*"
)
_REF = re.compile(
    r"(?![-/.])(?!.*(\.\.|@\{|//|/\.|\.lock(/|$)))[^\x00-\x20~^:?*\[\\\x7f]*[^\x00-\x20~^:?*\[\\\x7f/.]"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATH = re.compile(r"(?!/)(?!(.*/)?(\.|\.\.|\.git)(/|$))(?!.*//)[^\x00-\x1f\x7f\\:]*")


def check_url(url: str) -> str:
    """Return `url` if git may be asked for it. Raises ValueError."""
    if _URL.fullmatch(url):
        return url
    if re.match(r"https?://[^/]*@", url):
        raise ValueError(
            "has credentials in it, which all could read who may read the source; put them into a Secret "
            "and name it in spec.credentials"
        )
    raise ValueError(
        "must be https://HOST/PATH, http://HOST/PATH, ssh://HOST/PATH, USER@HOST:PATH or file:///PATH"
    )


def _checked(
    pattern: "re.Pattern[str]", words: str
) -> Any:  # Any: pydantic's annotations have no common type
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def _check_namespace(name: str) -> str:
    return name if name == EVERY_NAMESPACE else _check_dns_label(name)


def _pattern(pattern: "re.Pattern[str]") -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern.pattern})$"})


GitUrl = Annotated[str, AfterValidator(check_url), _pattern(_URL)]
RefName = Annotated[str, _checked(_REF, "is no name of a branch or tag, such as main"), _pattern(_REF)]
CommitId = Annotated[
    str, _checked(_COMMIT, "must be the whole id of a commit: 40 digits of 0-9 and a-f"), _pattern(_COMMIT)
]
RepositoryPath = Annotated[
    str, _checked(_PATH, "must be a folder inside the repository, such as deploy/prod"), _pattern(_PATH)
]
AllowedNamespace = Annotated[
    str,
    AfterValidator(_check_namespace),
    WithJsonSchema({"anyOf": [DNS_LABEL_SCHEMA, {"const": EVERY_NAMESPACE}]}),
]
KindName = Literal[
    "Namespace",
    "Queue",
    "PriorityClass",
    "Node",
    "Secret",
    "ConfigMap",
    "DisruptionBudget",
    "Task",
    "Deployment",
    "DaemonSet",
    "Job",
    "CronJob",
    "GitSource",
]
"""As in `schemas.kinds`, which this can't import; a test sees that none is missing."""


class SecretPlace(Model):
    """A Secret of any namespace."""

    namespace: DnsLabel = DEFAULT_NAMESPACE
    name: DnsSubdomain


class SecretKeyPlace(SecretPlace):
    """One key of a Secret of any namespace."""

    key: KeyName = "webhook"


class Webhook(Model):
    secret: SecretKeyPlace


class GitSourceSpec(Model):
    """What is read, how often, and where it may write."""

    url: GitUrl
    branch: RefName | None = None
    tag: RefName | None = None
    commit: CommitId | None = None
    path: RepositoryPath = ""
    vars: RepositoryPath | None = None
    interval: Duration = DEFAULT_INTERVAL_S
    prune: bool = False
    self_heal: bool = False
    suspend: bool = False
    allow_empty: bool = False
    credentials: SecretPlace | None = None
    namespaces: Annotated[tuple[AllowedNamespace, ...], Field(min_length=1)] = (DEFAULT_NAMESPACE,)
    kinds: tuple[KindName, ...] = ()
    webhook: Webhook | None = None

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if self.branch is not None and self.tag is not None:
            raise ValueError("name a branch or a tag, not both")
        if self.interval < MIN_INTERVAL_S:
            raise ValueError(
                f"interval must be at least {MIN_INTERVAL_S:g}s; a webhook is faster than asking often"
            )
        return self

    @property
    def ref(self) -> str:
        """The full name of what is followed; HEAD is what the repository itself takes for its main branch."""
        if self.branch is not None:
            return f"refs/heads/{self.branch}"
        return f"refs/tags/{self.tag}" if self.tag is not None else "HEAD"

    @property
    def folder(self) -> str:
        """`path` without a slash at its end; empty for the whole repository."""
        return self.path.rstrip("/")

    def may_write_kind(self, kind: str, *, is_namespaced: bool) -> bool:
        """Say whether the source may write objects of a kind; those without namespace have to be named."""
        return kind in self.kinds if self.kinds else is_namespaced

    def may_write_namespace(self, namespace: str) -> bool:
        return EVERY_NAMESPACE in self.namespaces or namespace in self.namespaces

    @property
    def default_namespace(self) -> str:
        """Where objects go that name no namespace."""
        first = self.namespaces[0]
        return DEFAULT_NAMESPACE if first == EVERY_NAMESPACE else first


class GitSource(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["GitSource"]
    metadata: ObjectMeta
    spec: GitSourceSpec
