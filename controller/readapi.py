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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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

log = logging.getLogger(__name__)

FREEZE_TIMEOUT_S = 10.0  # the core's longest step, on a large cluster, and a busy machine
MAX_BODY_BYTES = 2**24  # a plan of some ten thousand tasks
Answer = Callable[[Frozen, frozenset[str]], Json]


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


def routes(controller: Callable[[], Controller], refusal: str = "") -> "list[Route]":
    """Return where questions are answered; one at a time, so that they never take the core's processor for long.

    refusal: why none is, as tokens must not cross a network in the clear; empty: they are.
    """
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    answering, searching = ThreadPoolExecutor(1, "answers"), ThreadPoolExecutor(1, "searches")

    def frozen(asked: Asked) -> Frozen:
        state = controller().questions.ask(asked).result(FREEZE_TIMEOUT_S)
        if state is None:
            raise BadQuestion(503, "this controller does not lead, or began to just now; try again")
        return state

    async def respond(
        request: "Request", asked: Asked, answer: Answer, pool: ThreadPoolExecutor = answering
    ) -> "Response":
        def work() -> Json:
            state = frozen(asked)
            seen = bearer_namespaces(request.headers.get("authorization", ""), dict(state.tokens))
            return answer(state, seen)

        try:
            if refusal:
                raise BadQuestion(403, refusal)
            if not request.headers.get("authorization"):
                bearer_namespaces("", {})
            return JSONResponse(await asyncio.get_running_loop().run_in_executor(pool, work))
        except (BadQuestion, CantTell) as error:
            return JSONResponse({"message": str(error)}, error.status)
        except TimeoutError:
            return JSONResponse({"message": "the controller is busy; try again"}, 503)
        except Exception:
            log.exception("answering failed path=%s", request.url.path)
            return JSONResponse({"message": "the controller failed at this question; its log says how"}, 500)

    async def why(request: "Request") -> "Response":
        ref = task_ref(request.path_params["namespace"], request.path_params["task"])
        node = request.query_params.get("node", "")

        def answer(state: Frozen, seen: frozenset[str]) -> Json:
            require(ref.namespace, seen)
            return answers.why(state, ref, node)

        return await respond(request, Asked((ref,)), answer)

    async def shares(request: "Request") -> "Response":
        return await respond(request, Asked(), answers.share_table)

    async def plan(request: "Request") -> "Response":
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                return JSONResponse({"message": "the plan is too large; plan some of its files"}, 413)

        def answer(state: Frozen, seen: frozenset[str]) -> Json:
            question = foresight.parse_question(bytes(body))
            for namespace in sorted(foresight.namespaces_of(question, state)):
                require(namespace, seen)
            return foresight.plan(state, question, seen)

        return await respond(request, Asked(), answer, searching if b'"optimal"' in body else answering)

    async def drain(request: "Request") -> "Response":
        node = request.path_params["node"]
        ignores = request.query_params.get("ignoreDaemonsets", "") in ("1", "true")
        return await respond(
            request,
            Asked(node=node),
            lambda state, seen: foresight.drain(state, node, seen, ignore_daemonsets=ignores),
        )

    async def history(request: "Request") -> "Response":
        place = request.path_params
        ref = ObjectRef(place["plural"], place["namespace"], place["name"])
        least = request.query_params.get("least", "")

        def answer(state: Frozen, seen: frozenset[str]) -> Json:
            require_view(ref.namespace, seen)
            from controller.history.questions import ask_history

            return {**answers.header(state, "History"), **ask_history(controller().history, ref, least)}

        return await respond(request, Asked(), answer)

    async def at(request: "Request") -> "Response":
        asked = dict(request.query_params)

        def answer(state: Frozen, seen: frozenset[str]) -> Json:
            from controller.history.questions import ALL, ask_at

            namespace = asked.get("namespace", ALL)
            if namespace != ALL:
                require_view(namespace, seen)
            return {**answers.header(state, "At"), **ask_at(controller().history, asked, seen, state.now)}

        return await respond(request, Asked(), answer)

    async def rebalance(request: "Request") -> "Response":
        def answer(state: Frozen, seen: frozenset[str]) -> Json:
            return repacking.rebalance_plan(state, repacking.parse_asked(request.query_params), seen)

        return await respond(request, Asked(everywhere=True), answer, searching)

    async def consolidate(request: "Request") -> "Response":
        def answer(state: Frozen, seen: frozenset[str]) -> Json:
            return repacking.consolidate_plan(state, repacking.parse_asked(request.query_params), seen)

        return await respond(request, Asked(everywhere=True), answer, searching)

    return [
        Route("/v1/history/{namespace}/{plural}/{name:path}", history),
        Route("/v1/at", at),
        Route("/v1/why/{namespace}/{task}", why),
        Route("/v1/shares", shares),
        Route("/v1/plan", plan, methods=["POST"]),
        Route("/v1/drain/{node}", drain),
        Route("/v1/rebalance", rebalance),
        Route("/v1/consolidate", consolidate),
    ]
