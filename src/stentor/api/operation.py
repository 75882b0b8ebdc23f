"""What an operation of the API is: one description, of which route, checks and document are made.

It is made of a function: its name is the operation's, its first line of docstring the summary, its annotations say what
is in the path, the query and the body, and what is answered.

Example:
    campaigns = Operations("Campaigns")

    @campaigns.get("/campaigns/{campaign}", Scope.VIEW, raises=(UnknownCampaign,))
    async def get_campaign(call: Call, campaign: str) -> CampaignShape:
        \"\"\"A campaign, without its message.\"\"\"
        return shapes.campaign(await call.stentor.campaigns.get(campaign))
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, TypeVar, Unpack, get_type_hints

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from stentor.access.caller import Caller
from stentor.access.scopes import Scope
from stentor.config import ApiConfig
from stentor.errors import ChangedMeanwhile, InvalidInput, StentorError
from stentor.recording.shapes import without_people
from stentor.runtime.stentor import Stentor
from stentor.store.along import Along

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
VERSION = "/v1"
T = TypeVar("T", bound=msgspec.Struct)
D = TypeVar("D")
_IN_PATH = re.compile(r"\{(\w+)\}")


def etag_of(body: bytes) -> str:
    """Of a body: the same for the same bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def is_one_of(etag: str, named: str) -> bool:
    """Whether a header names this tag, or any (`*`). What a proxy that compresses made weak (`W/`) counts as well."""
    names = [each.strip().removeprefix("W/") for each in named.split(",")]
    return etag in names or "*" in names


class Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a query or a body is made of: a name that isn't declared is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as an operation sees it."""

    stentor: Stentor
    settings: ApiConfig
    caller: Caller
    request: Request
    reserved: str | None = None
    """An id for what this request makes, the same each time that it is tried again under its `Idempotency-Key`."""
    now: float
    """Epoch seconds."""
    again: bool = False
    """Whether an earlier try under this key was cut short, so that what is asked for may be done already."""
    keep: Along[object]
    """Writes, with what is done, the log of who did what, and the answer under the request's `Idempotency-Key`."""
    begin: Callable[[str], Awaitable[None]]
    """Has a request that is repeated, after this one was cut short, refused with these words (409): for what is no
    transaction. Called just before it is done."""

    def along(self, answer: Callable[[D], object]) -> Along[D]:
        """`keep`, for something that isn't the answer itself.

        Args:
            answer: what is answered if this was done.
        """

        async def write(connection: AsyncConnection, done: D) -> None:
            await self.keep(connection, answer(done))

        return write

    def seen(self, shape: T) -> T:
        """A shape as this caller may see it: without what is known of people, for who may only view."""
        if self.caller.scope.covers(Scope.WRITE):
            return shape
        return without_people(shape)

    def match(self, shape: msgspec.Struct) -> None:
        """See that what is to be changed is what the caller saw, if they say so by `If-Match` (RFC 9110, 13.1.1).

        Raises: ChangedMeanwhile.
        """
        wanted = self.request.headers.get("if-match")
        if wanted is not None and not is_one_of(etag_of(msgspec.json.encode(shape)), wanted):
            raise ChangedMeanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """An answer that comes piece by piece."""

    content_type: str
    pieces: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An answer with a status of its own, or a place where what was made can be found."""

    shape: object
    status: int = 201
    location: str | None = None
    about: str | None = None
    """What the log says it was done to; None: to what was made, or else to what the path names."""
    detail: str = ""
    """What else the log says of it."""
    kept: object | None = None
    """What whoever repeats the request is answered instead: without a secret that is shown once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """See this module."""

    name: str
    method: Method
    path: str
    scope: Scope | None
    """None: anybody may."""
    tag: str
    summary: str
    description: str
    path_names: tuple[str, ...]
    query: type[Fields] | None
    body: type[Any] | None
    answer: Any
    """The type of the body of a good answer; None: it has none."""
    status: int
    raises: tuple[type[StentorError], ...]
    streams: str | None
    """The content types that it answers piece by piece, with commas between."""
    action: str | None
    """What the log of who did what calls it; None: it changes nothing, or whoever does it writes the log itself."""
    takes: str | None
    """The content type of a body that it reads piece by piece."""
    run: Callable[..., Awaitable[Any]]

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def matches(self) -> bool:
        """Whether it honours `If-Match`; see `Call.match`."""
        return ChangedMeanwhile in self.raises


F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class Options(TypedDict, total=False):
    """What else is to be said of an operation."""

    status: int
    """Of a good answer; left out: 200."""
    raises: tuple[type[StentorError], ...]
    """What it refuses for, beyond what any operation may."""
    streams: str
    takes: str
    action: str
    """See `Operation`."""
    shape: Any
    """What is answered, if the function's annotation doesn't say it."""


class Operations(list[Operation]):
    """Those of one tag, in the order in which they are declared."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self._tag = tag

    def get(self, path: str, scope: Scope | None, **more: Unpack[Options]) -> Callable[[F], F]:
        return self._add("GET", path, scope, more)

    def post(self, path: str, scope: Scope | None, **more: Unpack[Options]) -> Callable[[F], F]:
        return self._add("POST", path, scope, more)

    def put(self, path: str, scope: Scope | None, **more: Unpack[Options]) -> Callable[[F], F]:
        return self._add("PUT", path, scope, more)

    def delete(self, path: str, scope: Scope | None, **more: Unpack[Options]) -> Callable[[F], F]:
        return self._add("DELETE", path, scope, more)

    def _add(self, method: Method, path: str, scope: Scope | None, more: Options) -> Callable[[F], F]:
        def declare(run: F) -> F:
            hints = get_type_hints(run)
            answer = more.get("shape") or hints.pop("return")
            names = tuple(_IN_PATH.findall(path))
            known = {"call", "query", "body", *names}
            assert set(hints) <= known | {"return"}, f"{run.__name__} takes {set(hints) - known}"
            summary, _, description = inspect.cleandoc(run.__doc__ or "").partition("\n\n")
            self.append(
                Operation(
                    name=run.__name__,
                    method=method,
                    path=VERSION + path,
                    scope=scope,
                    tag=self._tag,
                    summary=summary.replace("\n", " ").rstrip("."),
                    description=description,
                    path_names=names,
                    query=hints.get("query"),
                    body=hints.get("body"),
                    answer=None if answer is type(None) else answer,
                    status=204 if answer is type(None) else more.get("status", 200),
                    raises=(*more.get("raises", ()), *((InvalidInput,) if "query" in hints or "body" in hints else ())),
                    streams=more.get("streams"),
                    action=more.get("action"),
                    takes=more.get("takes"),
                    run=run,
                )
            )
            return run

        return declare
