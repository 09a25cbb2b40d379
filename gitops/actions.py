"""What is done for a source, and what comes of it, as values. Pure."""

from dataclasses import dataclass

from gitops.facts import Commit, Failure, Live, Tip, Wish


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the repository what it has, and have it here."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Write what the commit says."""

    tip: Tip


@dataclass(frozen=True, slots=True)
class Look:
    """See how the objects of the commit are."""

    tip: Tip


@dataclass(frozen=True, slots=True)
class Answer:
    """The wish is served: take it away."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done before `until`."""

    until: float


Job = Fetch | Apply | Look
Action = Job | Answer | Rest


@dataclass(frozen=True, slots=True)
class Fetched:
    tip: Tip


@dataclass(frozen=True, slots=True)
class Applied:
    commit: Commit
    live: Live


@dataclass(frozen=True, slots=True)
class Looked:
    live: Live


@dataclass(frozen=True, slots=True)
class Failed:
    """`stage`: which job it was. `is_over`: this controller leads no more, and has nothing more to do."""

    stage: type[Job]
    failure: Failure
    is_over: bool = False


Outcome = Fetched | Applied | Looked | Failed
