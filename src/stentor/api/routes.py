"""From operations to routes: who may, how often, with what body, under which key, and what is answered.

Rules: each request is answered, whatever happens: with what was asked for, or with a problem. Whoever may not is told
so before a body is read. What changes something is written to the log of who did what.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from stentor.access import log
from stentor.access.caller import Caller
from stentor.access.lockout import network_key
from stentor.access.log import DONE, REFUSED, LoggedAction, action_of
from stentor.api import idempotency, problems
from stentor.api.bearer import key_in
from stentor.api.bodies import JSON, decode, decode_query, read, see_content_type
from stentor.api.cutting import CutOffResponse
from stentor.api.idempotency import REPLAYED
from stentor.api.limits import RequestLimits, wrong_keys
from stentor.api.meter import ApiMeter
from stentor.api.operation import Call, Made, Operation, Streamed, etag_of, is_one_of
from stentor.api.problems import CONTENT_TYPE, ProblemAnswer
from stentor.api.slashes import id_of
from stentor.config import ApiConfig
from stentor.errors import StentorError, StoreUnavailable
from stentor.runtime.stentor import Stentor
from stentor.store import replies
from stentor.store.replies import KeptReply, KeyClaim

logger = logging.getLogger(__name__)

LASTING = (problems.BAD_BODY, problems.INVALID_INPUT, problems.INVALID_MESSAGE, problems.ALREADY_SENT)
"""The refusals that a repeated request gets again. All others may pass."""
KEPT_HEADERS = ("content-type", "location", "etag")
"""Headers that are kept with an answer for whoever repeats the request."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A good answer."""

    response: Response
    kept: bytes | None = None
    """The body for whoever repeats the request, if it is another one."""
    kept_along: KeptReply | None = None
    """What was kept in the transaction of what was done."""
    lasting: bool = True
    """Whether whoever repeats the request is to get the same answer; what may be other tomorrow is asked again."""

    @property
    def reply(self) -> KeptReply:
        """What is kept of it."""
        response = self.response
        return KeptReply(
            status=response.status_code,
            headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
            body=bytes(response.body) if self.kept is None else self.kept,
        )


class _Keeper:
    """Writes what belongs to an operation in the transaction of what it did; see `Call.keep`."""

    def __init__(self, operation: Operation, request: Request, caller: Caller, claim: KeyClaim | None) -> None:
        self._operation = operation
        self._request = request
        self._caller = caller
        self._claim = claim
        self._row: LoggedAction | None = None
        self.reply: KeptReply | None = None
        """What was kept as the answer; None: nothing yet."""

    @property
    def logged(self) -> bool:
        """Whether the log says already what was done."""
        return self._row is not None

    async def __call__(self, connection: AsyncConnection, answer: object) -> None:
        """Raises: InvalidState: somebody else took the request over."""
        operation = self._operation
        if operation.action is not None:
            self._row = self._row or _row(operation.action, self._request, self._caller, answer)
            await log.write(connection, self._row)
        if self._claim is not None:
            reply = _answered(operation, self._request, answer).reply
            await replies.answer_with(connection, self._claim, reply)
            self.reply = reply


class RestApi:
    """Answers the requests of one process."""

    def __init__(
        self,
        stentor: Stentor,
        settings: ApiConfig,
        operations: Sequence[Operation],
        limits: RequestLimits,
        meter: ApiMeter,
    ) -> None:
        self._stentor = stentor
        self._settings = settings
        self._operations = operations
        self._limits = limits
        self._wrong_keys = wrong_keys()
        self._meter = meter

    def routes(self) -> list[Route]:
        """A route for each path, with all that can be done there."""
        by_path: dict[str, list[Operation]] = {}
        for each in self._operations:
            by_path.setdefault(each.path, []).append(each)
        fixed_first = sorted(by_path.items(), key=lambda item: item[0].count("{"))
        return [
            Route(path, self._endpoint({each.method: each for each in found}), methods=[each.method for each in found])
            for path, found in fixed_first
        ]

    def _endpoint(self, by_method: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            operation = by_method["GET" if request.method == "HEAD" else request.method]
            return await self._respond(operation, request)

        return endpoint

    async def _respond(self, operation: Operation, request: Request) -> Response:
        began = time.perf_counter()
        request_id = request.state.request_id
        headers: dict[str, str] = {}
        try:
            caller = await self._admit(operation, request, headers)
            if request.method == "HEAD" and operation.streams is not None:
                response = Response(None, 200, media_type=operation.streams.partition(",")[0])
            else:
                response = await self._answer(operation, request, caller)
        except ProblemAnswer as problem:
            response = of_problem(problem)
        except StentorError as error:
            response = of_problem(problems.problem_of(error))
            if response.status_code >= 500:
                logger.warning("%s: %s", operation.name, error)
        except asyncio.CancelledError:
            if not request.app.state.stop.is_set():
                raise
            said = "This process stops just now; ask again."  # whoever cancels it wants an answer all the same
            response = of_problem(ProblemAnswer(problems.UNAVAILABLE, said, headers={"Retry-After": "2"}))
        except Exception:
            logger.exception("%s failed (request %s)", operation.name, request_id)
            response = of_problem(
                ProblemAnswer(problems.INTERNAL, f"Something failed; the log has it as {request_id}.")
            )
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        self._meter.answered(operation.name, response.status_code, time.perf_counter() - began)
        return response

    async def _admit(self, operation: Operation, request: Request, headers: dict[str, str]) -> Caller:
        """Who asks, if they may.

        Raises: ProblemAnswer: they may not, or not so often.
        """
        caller = await self._caller(request)
        allowance = self._limits.ask(caller.id)
        headers.update(allowance.headers)
        if not allowance.allowed:
            raise ProblemAnswer(
                problems.TOO_MANY,
                f"A key may make {allowance.per_second:g} requests a second.",
                headers={"Retry-After": str(allowance.retry_after)},
            )
        if operation.scope is not None:
            caller.require(operation.scope)
        return caller

    async def _caller(self, request: Request) -> Caller:
        key = key_in(request)
        if key is not None:
            try:
                caller = await self._stentor.access.keys.authenticate(key)
            except StoreUnavailable as error:  # what it says of our machines is for people who may know
                logger.warning("a key cannot be looked up: %s", error)
                said = "Keys cannot be looked up just now; ask again."
                headers = {"Retry-After": str(problems.RETRY_AFTER)}
                raise ProblemAnswer(problems.UNAVAILABLE, said, headers=headers) from None
            if caller is not None:
                return caller
            host = request.client.host if request.client is not None else ""
            if wait := self._wrong_keys.ask(network_key(host)).retry_after:
                said = "Too many requests with a key that is not valid come from this address. Valid keys are answered."
                raise ProblemAnswer(problems.TOO_MANY, said, headers={"Retry-After": str(wait)})
            said = "This API key is not valid: it was never made here, has expired, or was revoked."
        else:
            said = "This needs an API key, in the header Authorization: Bearer stentor_live_…"
        raise ProblemAnswer(problems.UNAUTHENTICATED, said, headers={"WWW-Authenticate": "Bearer"})

    async def _answer(self, operation: Operation, request: Request, caller: Caller) -> Response:
        arguments: dict[str, Any] = {name: id_of(request.path_params[name]) for name in operation.path_names}
        if operation.query is not None:
            arguments["query"] = decode_query(request, operation.query)
        elif request.query_params:
            name = next(iter(request.query_params))
            told = problems.FieldProblem(parameter=name, detail="there is no such parameter here")
            raise ProblemAnswer(problems.INVALID_INPUT, f"{name}: there is no such parameter here", errors=[told])
        body = b""
        if operation.takes is not None:
            see_content_type(request, operation.takes)
        elif operation.writes:
            body = await read(request)
            if body:
                see_content_type(request, JSON)
            if operation.body is not None:
                arguments["body"] = decode(body, operation.body)
            elif body.strip() not in (b"", b"{}"):
                raise ProblemAnswer(problems.BAD_BODY, "This operation takes no body.")
        key = idempotency.key_of(request) if operation.method == "POST" else None
        if key is None:
            return (await self._run(operation, request, caller, arguments, None)).response
        asked = idempotency.question(request, body)
        claim = await idempotency.claim(self._stentor.replies, caller, key, asked)
        if isinstance(claim, KeptReply):
            return Response(claim.body, claim.status, {**claim.headers, REPLAYED: "true"})
        async with self._stentor.replies.kept(claim):
            return await self._run_claimed(operation, request, caller, arguments, claim)

    async def _run_claimed(
        self, operation: Operation, request: Request, caller: Caller, arguments: dict[str, Any], claim: KeyClaim
    ) -> Response:
        """Answer a request under its key: what is answered is kept, unless it couldn't be done just now."""
        answered: _Answered | None = None
        try:
            answered = await self._run(operation, request, caller, arguments, claim)
        except (ProblemAnswer, StentorError) as error:
            problem = error if isinstance(error, ProblemAnswer) else problems.problem_of(error)
            if problem.kind.status >= 500:
                raise
            answered = _Answered(of_problem(problem), lasting=problem.kind in LASTING)
        finally:
            if answered is None:
                await asyncio.shield(self._stentor.replies.give_back(claim))
        response = answered.response
        passes = not answered.lasting or isinstance(response, StreamingResponse)
        if passes or len(response.body) > idempotency.LARGEST:
            await self._stentor.replies.give_back(claim)
            return response
        await self._stentor.replies.answer(claim, answered.reply, kept=answered.kept_along)
        return response

    async def _run(
        self, operation: Operation, request: Request, caller: Caller, arguments: dict[str, Any], claim: KeyClaim | None
    ) -> _Answered:
        keeper = _Keeper(operation, request, caller, claim)
        call = Call(
            stentor=self._stentor,
            settings=self._settings,
            caller=caller,
            request=request,
            reserved=None if claim is None else claim.reserved,
            again=claim is not None and claim.again,
            keep=keeper,
            begin=lambda said: self._begin(claim, said),
            now=time.time(),
        )
        try:
            answer = await operation.run(call, **arguments)
        except (ProblemAnswer, StentorError) as error:
            await self._note(operation, request, caller, None, str(error))
            raise
        if not keeper.logged:
            await self._note(operation, request, caller, answer, "")
        return replace(_answered(operation, request, answer), kept_along=keeper.reply)

    async def _begin(self, claim: KeyClaim | None, said: str) -> None:
        """See `Call.begin`."""
        if claim is not None:
            cut_short = _Answered(of_problem(ProblemAnswer(problems.WRONG_STATE, said)))
            await self._stentor.replies.answer(claim, cut_short.reply)

    async def _note(self, operation: Operation, request: Request, caller: Caller, answer: object, refusal: str) -> None:
        """Tell the log of who did what."""
        if operation.action is not None:
            await self._stentor.access.log.add(_row(operation.action, request, caller, answer, refusal))


def _row(action: str, request: Request, caller: Caller, answer: object, refusal: str = "") -> LoggedAction:
    """What the log says of an operation."""
    made, detail = answer, refusal
    about = None
    if isinstance(answer, Made):
        made, about, detail = answer.shape, answer.about, refusal or answer.detail
    if about is None:
        about = getattr(made, "id", None) or id_of(next(iter(request.path_params.values()), ""))
    outcome = REFUSED if refusal else DONE
    return action_of(caller, action, str(about), outcome=outcome, detail=detail, now=time.time())


def _answered(operation: Operation, request: Request, answer: object) -> _Answered:
    kept = answer.kept if isinstance(answer, Made) else None
    return _Answered(_response(operation, request, answer), None if kept is None else msgspec.json.encode(kept))


def _response(operation: Operation, request: Request, answer: object) -> Response:
    if isinstance(answer, Streamed):
        return CutOffResponse(answer.pieces, 200, dict(answer.headers), media_type=answer.content_type)
    status, headers = operation.status, {}
    if isinstance(answer, Made):
        status = answer.status
        headers = {"Location": answer.location} if answer.location else {}
        answer = answer.shape
    if operation.answer is None:
        return Response(None, 204)
    body = msgspec.json.encode(answer)
    headers["ETag"] = etag = etag_of(body)
    if operation.method == "GET" and is_one_of(etag, request.headers.get("if-none-match", "")):
        return Response(None, 304, headers)
    return Response(body, status, headers, media_type=JSON)


def of_problem(problem: ProblemAnswer) -> Response:
    return Response(problem.body, problem.kind.status, dict(problem.headers), media_type=CONTENT_TYPE)


def not_found(request: Request, error: Exception) -> Response:
    """For paths and methods that no operation has."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        headers = dict(error.headers or {})
        said = f"{request.method} cannot be used here."
        return of_problem(ProblemAnswer(problems.METHOD_NOT_ALLOWED, said, headers=headers))
    return of_problem(ProblemAnswer(problems.NOT_FOUND, f"There is nothing at {request.url.path}."))
