"""What the API says of itself: its OpenAPI document, and what each kind of problem means."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stentor.api import problems
from stentor.api.bodies import JSON
from stentor.api.document import document
from stentor.api.operation import VERSION, Operation
from stentor.api.problems import KINDS, PLACE, ProblemAnswer
from stentor.api.routes import of_problem

DOCUMENT = f"{VERSION}/openapi.json"


def document_routes(operations: Sequence[Operation]) -> list[Route]:
    """Anybody may read these."""
    body: list[bytes] = []  # made when it is first asked for: it takes some time

    async def whole(request: Request) -> Response:
        if not body:
            body.append(msgspec.json.encode(document(operations)))
        etag = f'"{hashlib.sha256(body[0]).hexdigest()[:24]}"'
        if request.headers.get("if-none-match") == etag:
            return Response(None, 304, {"ETag": etag})
        return Response(body[0], 200, {"ETag": etag}, media_type=JSON)

    async def problem(request: Request) -> Response:
        slug = request.path_params["slug"]
        kind = next((each for each in KINDS if each.slug == slug), None)
        if kind is None:
            return of_problem(ProblemAnswer(problems.NOT_FOUND, f"There is no kind of problem called {slug}."))
        return Response(msgspec.json.encode(kind), media_type=JSON)

    return [Route(DOCUMENT, whole), Route(f"{PLACE}{{slug}}", problem)]
