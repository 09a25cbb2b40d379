"""The questions of the leader's read API, over HTTP; `server` mounts them. All are answered from one frozen state.

    GET  /v1/why/{namespace}/{task}[?node=NAME]     the namespace's token
    GET  /v1/shares                                 the token of any namespace
    POST /v1/plan                                   the tokens of all namespaces that it is about
    GET  /v1/drain/{node}[?ignoreDaemonsets=1]      the token of any namespace; others' tasks are not named
    GET  /v1/history/{namespace}/{plural}/{name}    the namespace's token; for `_cluster` that of any
    GET  /v1/at?revision=|time=|ago=                the same; namespace= (`*`: all whose tokens are shown),
             [&namespace=][&plural=][&name=]        plural=, name= narrow it down
    GET  /v1/rebalance[?aim=nodes&maxMoves=10...]   likewise; only tasks of namespaces whose tokens are shown move
    GET  /v1/consolidate[?seconds=5]                likewise

What is searched for (the last two, and a plan with `optimal`) has a thread of its own, so that other questions are
answered meanwhile.

Tokens are those of /berth/access/<namespace>, which who may use the namespace can read: `Authorization: Bearer
TOKEN[,TOKEN...]`. None is taken in the clear from other hosts. A refusal is JSON: {"message": what, why, and what
next}. etcd has users, this API has not: it knows namespaces, and no person.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from controller import answers, foresight, repacking
from controller.answers import BadQuestion, Json
from controller.history.answers import CantTell
from controller.manager import Controller
from controller.snapshots import Asked, Frozen
from schemas.keys import ObjectRef, task_ref
from schemas.meta import CLUSTER_NAMESPACE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from controller.history.keeper import Keeper

log = logging.getLogger(__name__)

FREEZE_TIMEOUT_S = 10.0  # the core's longest step, on a large cluster, and a busy machine
MAX_BODY_BYTES = 2**24  # a plan of some ten thousand tasks

Answer = Callable[[Frozen, frozenset[str]], Json]
"""From the frozen state and the namespaces whose tokens are shown. Raises BadQuestion, CantTell."""


class Pace(Enum):
    """Which thread answers; each answers one question at a time, so that none takes the core's processor for long."""

    QUICK = "answers"
    SEARCH = "searches"


@dataclass(frozen=True, slots=True)
class Call:
    """What questions look at in a request. place: the parts of its path; history: the controller's archive."""

    place: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes
    history: "Keeper | None"


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be frozen, and how that is answered."""

    asked: Asked
    answer: Answer
    pace: Pace = Pace.QUICK


def bearer_namespaces(header: str, tokens: "dict[str, str] | Json") -> frozenset[str]:
    """Return the namespaces whose tokens somebody shows. Raises BadQuestion 401 for none at all, 403 for wrong ones."""
    scheme, _, shown = header.partition(" ")
    given = [each.strip() for each in shown.split(",") if each.strip()]
    if scheme.lower() != "bearer" or not given:
        raise BadQuestion(401, "a namespace's token is missing; send it as: Authorization: Bearer <token>")
    found = {
        name
        for name, token in tokens.items()
        if any(hmac.compare_digest(token.encode(), each.encode()) for each in given)
    }
    if not found:
        raise BadQuestion(
            403, "this is the token of no namespace; read it again: it is at access/<namespace>"
        )
    return frozenset(found)


def require(namespace: str, seen: frozenset[str]) -> None:
    """Raises BadQuestion 403 where the namespace's token was not shown."""
    if namespace not in seen:
        raise BadQuestion(403, f"the token of namespace {namespace} was not shown")


def require_view(namespace: str, seen: frozenset[str]) -> None:
    """Raises BadQuestion 403 where objects of a namespace may not be seen; those without one everybody may see."""
    if namespace != CLUSTER_NAMESPACE:
        require(namespace, seen)


def _why(call: Call) -> Question:
    ref = task_ref(call.place["namespace"], call.place["task"])

    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        require(ref.namespace, seen)
        return answers.why(state, ref, call.params.get("node", ""))

    return Question(Asked((ref,)), answer)


def _shares(call: Call) -> Question:
    return Question(Asked(), answers.share_table)


def _plan(call: Call) -> Question:
    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        question = foresight.parse_question(call.body)
        for namespace in sorted(foresight.namespaces_of(question, state)):
            require(namespace, seen)
        return foresight.plan(state, question, seen)

    return Question(Asked(), answer, Pace.SEARCH if b'"optimal"' in call.body else Pace.QUICK)


def _drain(call: Call) -> Question:
    node, ignores = call.place["node"], call.params.get("ignoreDaemonsets", "") in ("1", "true")

    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        return foresight.drain(state, node, seen, ignore_daemonsets=ignores)

    return Question(Asked(node=node), answer)


def _history(call: Call) -> Question:
    ref = ObjectRef(call.place["plural"], call.place["namespace"], call.place["name"])

    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        from controller.history.questions import ask_history

        require_view(ref.namespace, seen)
        found = ask_history(call.history, ref, call.params.get("least", ""))
        return {**answers.header(state, "History"), **found}

    return Question(Asked(), answer)


def _at(call: Call) -> Question:
    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        from controller.history.questions import ALL, ask_at

        namespace = call.params.get("namespace", ALL)
        if namespace != ALL:
            require_view(namespace, seen)
        return {**answers.header(state, "At"), **ask_at(call.history, call.params, seen, state.now)}

    return Question(Asked(), answer)


def _rebalance(call: Call) -> Question:
    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        return repacking.rebalance_plan(state, repacking.parse_asked(call.params), seen)

    return Question(Asked(everywhere=True), answer, Pace.SEARCH)


def _consolidate(call: Call) -> Question:
    def answer(state: Frozen, seen: frozenset[str]) -> Json:
        return repacking.consolidate_plan(state, repacking.parse_asked(call.params), seen)

    return Question(Asked(everywhere=True), answer, Pace.SEARCH)


QUESTIONS: tuple[tuple[str, str, Callable[[Call], Question]], ...] = (
    ("GET", "/v1/history/{namespace}/{plural}/{name:path}", _history),
    ("GET", "/v1/at", _at),
    ("GET", "/v1/why/{namespace}/{task}", _why),
    ("GET", "/v1/shares", _shares),
    ("POST", "/v1/plan", _plan),
    ("GET", "/v1/drain/{node}", _drain),
    ("GET", "/v1/rebalance", _rebalance),
    ("GET", "/v1/consolidate", _consolidate),
)


def routes(controller: Callable[[], Controller], refusal: str = "") -> "list[Route]":
    """Return where questions are answered.

    refusal: why none is, as tokens must not cross a network in the clear; empty: they are.
    """
    from starlette.routing import Route

    desk = Desk(controller, refusal)
    return [
        Route(path, partial(desk.respond, understand), methods=[verb]) for verb, path, understand in QUESTIONS
    ]


class Desk:
    """Takes requests and hands answers out; refusals and failures are JSON, too."""

    def __init__(self, controller: Callable[[], Controller], refusal: str) -> None:
        self._controller = controller
        self._refusal = refusal
        self._pools = {pace: ThreadPoolExecutor(1, pace.value) for pace in Pace}

    async def respond(self, understand: Callable[[Call], Question], request: "Request") -> "Response":
        from starlette.responses import JSONResponse

        header = request.headers.get("authorization", "")
        try:
            call = Call(
                request.path_params, request.query_params, await _body_of(request), self._controller().history
            )
            if self._refusal:
                raise BadQuestion(403, self._refusal)
            if not header:
                bearer_namespaces("", {})
            question = understand(call)
            work = partial(self._answer, question, header)
            loop = asyncio.get_running_loop()
            return JSONResponse(await loop.run_in_executor(self._pools[question.pace], work))
        except (BadQuestion, CantTell) as error:
            return JSONResponse({"message": str(error)}, error.status)
        except TimeoutError:
            return JSONResponse({"message": "the controller is busy; try again"}, 503)
        except Exception:
            log.exception("answering failed path=%s", request.url.path)
            return JSONResponse({"message": "the controller failed at this question; its log says how"}, 500)

    def _answer(self, question: Question, header: str) -> Json:
        """Runs in one of the threads."""
        state = self._controller().questions.ask(question.asked).result(FREEZE_TIMEOUT_S)
        if state is None:
            raise BadQuestion(503, "this controller does not lead, or began to just now; try again")
        return question.answer(state, bearer_namespaces(header, dict(state.tokens)))


async def _body_of(request: "Request") -> bytes:
    """Raises BadQuestion 413 before too much is in memory."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise BadQuestion(413, "the plan is too large; plan some of its files")
    return bytes(body)
