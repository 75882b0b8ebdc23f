"""Requests to the API: one by one, tried again within bounds where that does no harm.

Rules: a request is tried again only if the API says so, or if the connection was lost and nothing can be done twice by
it: each POST has an `Idempotency-Key`, which stays the same. The key is sent to the API's own address and nowhere else:
redirects are not followed. No exception holds a request's headers.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar, overload
from urllib.parse import quote, urlencode
from uuid import uuid4

import aiohttp
import msgspec
from yarl import URL

from stentor.client.address import ApiAddress
from stentor.client.problem import UNREADABLE, ApiProblem, no_answer, of_answer
from stentor.version import __version__

T = TypeVar("T", bound=msgspec.Struct)
Method = Literal["GET", "POST", "PUT", "DELETE"]
Body = Callable[[], bytes | AsyncIterator[bytes]]
LOST = (aiohttp.ClientError, TimeoutError)
"""What a connection can be lost by."""
CONNECT_WITHIN = 10.0
"""Seconds."""
PASSING = frozenset({429, 502, 503, 504})
"""Statuses of what may be otherwise a little later. 502 and 504 are told by proxies before the API."""
NOT_MODIFIED = 304
IN_PROGRESS = "in-progress"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries, if the API names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request."""

    method: Method
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    """None: left out."""
    body: Mapping[str, object] | None = None
    """Values that are None are left out."""
    stream: Body | None = None
    """A body that comes piece by piece, anew for each try."""
    headers: Mapping[str, str] = field(default_factory=dict)
    silence: float | None = None
    """Seconds for which the answer may be silent. None: as the client was told."""
    known: msgspec.Struct | None = None
    """What is known already, and is the answer if nothing has changed since (304)."""
    repeatable: Callable[[], bool] = lambda: True
    """Whether the body can be sent again."""


class Patience:
    """How long a request is tried again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin anew: there is progress."""
        self._began = time.monotonic()
        self._tries = 0

    async def wait(self, problem: ApiProblem, least: float = 0.0) -> None:
        """Wait until it may be tried again.

        Args:
            least: seconds to wait at least.

        Raises: ApiProblem: this one, if the patience would be over by then.
        """
        pause = min(FIRST_PAUSE * 2**self._tries, LONGEST_PAUSE) * random.uniform(0.5, 1)
        if problem.retry_after is not None:
            pause = problem.retry_after + pause / 10
        pause = max(pause, least)
        if time.monotonic() - self._began + pause > self._seconds:
            raise problem
        self._tries += 1
        await asyncio.sleep(pause)


class ApiConnection:
    """Connections to one API under one key.

    Args:
        timeout: seconds for which an answer may be silent.
        patience: seconds for which a request is tried again.
        tls: of https; None: certificates that the system trusts.
    """

    def __init__(
        self, address: ApiAddress, *, timeout: float, patience: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._patience = patience
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<ApiConnection to {self._address.url}>"

    @property
    def url(self) -> str:
        return self._address.url

    def open(self) -> None:
        """Be ready for requests; in the event loop that sends them."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_once,),
            headers={"User-Agent": f"stentor-client/{__version__}", "Accept-Encoding": "gzip"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def timeout(self) -> float:
        """Seconds for which an answer may be silent."""
        return self._timeout

    def patience(self) -> Patience:
        return Patience(self._patience)

    @overload
    async def ask(self, request: ApiRequest, answer: type[T]) -> T: ...

    @overload
    async def ask(self, request: ApiRequest, answer: None) -> None: ...

    async def ask(self, request: ApiRequest, answer: type[T] | None) -> T | None:
        """Send a request, and read its answer.

        Raises: ApiProblem.
        """
        headers = {"Accept": "application/json", **request.headers}
        if request.method == "POST":
            headers.setdefault("Idempotency-Key", uuid4().hex)
        request = replace(request, headers=headers)
        patience, lost = self.patience(), False
        while True:
            problem: ApiProblem
            try:
                async with self.sent(request) as response:
                    body = await response.read()
            except LOST as error:
                problem, lost = lost_by(error), True
                again = may_come_back(error)
            else:
                if response.status == NOT_MODIFIED and answer is not None and isinstance(request.known, answer):
                    return request.known
                if response.status < 300:
                    return None if answer is None else _whole(response, body, answer)
                problem = problem_of(response, body)
                if lost and request.method == "DELETE" and response.status == 404:
                    return None  # it was deleted by the try whose answer was lost
                again = passes(problem)
            if not again or not request.repeatable():
                raise problem
            await patience.wait(problem)

    @asynccontextmanager
    async def sent(self, request: ApiRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request that is sent once, whatever its status.

        Raises: aiohttp.ClientError, TimeoutError: see LOST.
        """
        if self._session is None:
            raise RuntimeError("the client isn't open: use it as a context manager")
        query = urlencode([(name, _in_query(value)) for name, value in request.query.items() if value is not None])
        url = URL(f"{self.url}{request.path}{'?' if query else ''}{query}", encoded=True)
        headers, data = dict(request.headers), None
        if request.stream is not None:
            data = request.stream()
        elif request.body is not None:
            data = msgspec.json.encode({name: value for name, value in request.body.items() if value is not None})
            headers["Content-Type"] = "application/json"
        headers["Authorization"] = f"Bearer {self._address.key}"
        silence = self._timeout if request.silence is None else request.silence
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_WITHIN, silence), sock_read=silence)
        async with self._session.request(
            request.method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            yield response


def path(template: str, **ids: str) -> str:
    """A path with ids in it, whatever characters they have."""
    return template.format(**{name: quote(value, safe="") for name, value in ids.items()})


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Have each request sent once: aiohttp sends some again by itself, with what is left of a body that streams."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


def passes(problem: ApiProblem) -> bool:
    """Whether the same request may be answered otherwise a little later."""
    return problem.status in PASSING or (problem.status == 409 and problem.slug == IN_PROGRESS)


def lost_by(error: Exception) -> ApiProblem:
    """What a connection was lost by, as a problem."""
    if isinstance(error, TimeoutError):
        return no_answer("No answer came in time.")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError):
        return no_answer(f"{error}.")
    if isinstance(error, aiohttp.ClientResponseError):
        return no_answer(f"The answer is no HTTP: {error.message}")
    return no_answer(f"The connection was lost: {str(error) or type(error).__name__}")


def is_good(response: aiohttp.ClientResponse, content_type: str) -> bool:
    """Whether it is the stream that was asked for."""
    return response.status == 200 and response.content_type == content_type


def may_come_back(error: Exception) -> bool:
    """Whether another try may do better than one that was lost by this: a certificate stays what it is."""
    return not isinstance(error, aiohttp.ClientSSLError)


def problem_of(response: aiohttp.ClientResponse, body: bytes) -> ApiProblem:
    return of_answer(
        response.status,
        response.content_type,
        body,
        request_id=response.headers.get("X-Request-Id"),
        retry_after=_seconds(response.headers.get("Retry-After", "")),
    )


def decoded(response: aiohttp.ClientResponse, text: bytes, kind: type[T]) -> T:
    """A part of an answer, or all of it. Raises: ApiProblem: it is something else."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        said = f"This client ({__version__}) cannot read the answer: {error}"
    request_id = response.headers.get("X-Request-Id")
    raise ApiProblem(response.status, UNREADABLE, "Something else answered", said, request_id=request_id)


def _whole(response: aiohttp.ClientResponse, body: bytes, answer: type[T]) -> T:
    found = decoded(response, body, answer)
    if "etag" in answer.__struct_fields__:
        etag: Any = {"etag": response.headers.get("ETag", "")}
        found = msgspec.structs.replace(found, **etag)
    return found


def _in_query(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seconds(retry_after: str) -> float | None:
    """Of a header, which has seconds or a date (RFC 9110, 10.2.3)."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
