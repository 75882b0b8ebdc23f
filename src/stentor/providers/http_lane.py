"""What the lanes of providers share that take one message a request and set the pace: chats, and webhooks.

Their own rules keep them slow, so a well-kept HTTP client (aiohttp) serves here. A provider's `lane.py` adds what only
it knows (`HttpLane`'s abstract methods). Rules: no task a recipient; a lane has as many carriers as connections, each
with one request at a time, for whatever flights are under way. What the provider's pace doesn't allow now is answered
with WAIT and goes back to the queue; nothing sleeps. What was written and never answered is ambiguous. No redirect is
followed, and no answer is read beyond `LARGEST_ERROR_BODY`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeGuard, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver

from stentor.clock import steady
from stentor.errors import CredentialUnavailable, InvalidConfiguration
from stentor.http2.addresses import make_socket
from stentor.http2.policy import Sleep
from stentor.model import Action
from stentor.outcome import Verdict
from stentor.providers.base import BaseLane, setting
from stentor.providers.contract import (
    LARGEST_ERROR_BODY,
    NOWHERE,
    Answer,
    Rule,
    Taken,
    ambiguous,
    not_processed,
)
from stentor.providers.http_flight import HttpFlight
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import LaneState, Prepared, Variables
from stentor.providers.rendering import PreparedContent, R
from stentor.settings import App

CONNECT_WITHIN = 10.0
ANSWER_WITHIN = 30.0
"""Seconds for a whole request, its connection included; Telegram holds a 429 back for three."""
KEEP_ALIVE = 15.0
"""Seconds for which an idle connection is kept: one that the provider closes just as it is used again leaves it open
whether the message was taken. They don't pass while the machine sleeps; after a sleep no connection is used again."""
PACE = "Pace"
"""The reason of those who wait for their turn."""
MOVED_TWICE = "MovedTwice"
FORBIDDEN_HOST = "ForbiddenHost"

UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
"""What fails before a byte of the request is written."""
UNANSWERED = (aiohttp.ClientError, TimeoutError)
"""What may fail after that; broken bodies among them."""

C = TypeVar("C")
"""What a provider's `load` makes of the credential files."""


class ForbiddenHost(OSError):
    """A lane's `resolver` raises this for a host that is not to be sent to; its text says why, without an address."""


@dataclass(slots=True)
class Door(Generic[C]):
    """A provider as one set of credential files opens it."""

    credentials: C
    tls: ssl.SSLContext
    session: aiohttp.ClientSession
    """Another one after the machine slept."""


class HttpLane(BaseLane[R, Door[C]], Generic[R, C]):
    """A lane over plain HTTPS. Satisfies `lane.Lane`."""

    def __init__(
        self, app: App, name: str, table: Sequence[Rule], clock: Callable[[], float], rate: float | None
    ) -> None:
        """Args: as `BaseLane`."""
        super().__init__(app, name, table, clock, rate)
        self._flights: deque[HttpFlight[R]] = deque()  # with recipients that nobody has taken
        self._carriers: dict[asyncio.Task[None], HttpFlight[R] | None] = {}
        """Each with the flight that it carries for."""
        self._last_error: str | None = None
        self._sleep = Sleep()

    # -- what a provider adds, beside `files` -------------------------------------------------------------------------

    @abstractmethod
    def load(self) -> C:
        """Read the credential files; blocks. Raises: CredentialError, InvalidConfiguration."""

    @abstractmethod
    def request(
        self, credentials: C, prepared: PreparedContent[R], rendered: R, recipient: bytes, address: bytes
    ) -> Request | Answer:
        """What is sent to one recipient; an answer where the address can be none of this provider's."""

    @abstractmethod
    def decode(self, response: Response, address: bytes, now: float) -> Taken | Answer:
        """What the provider says; never raises, whatever it is. A REROUTE is sent again to its `moved_to` at once."""

    def change(self, credentials: C, rendered: R | None, receipt: str) -> Request | Answer:
        """What edits the message of a receipt that this lane gave, or deletes it where `rendered` is None. For lanes
        that go by receipt; others send a message that takes its place."""
        raise NotImplementedError

    def decode_change(self, response: Response, receipt: str, action: Action, now: float) -> Taken | Answer:
        """What the provider says to that; as `decode`."""
        raise NotImplementedError

    def turn(self, address: bytes, now: float) -> float:
        """Seconds until the provider's pace allows a message to this address; 0 takes its turn. `now` is of a clock
        that never goes back."""
        return 0.0

    async def locate(self, address: bytes) -> bytes | Answer:
        """The address that is written to, where the provider has to be asked for it first (by `ask`); it is what
        `request` and `decode` get. An answer where it tells none."""
        return address

    def unanswered(self, address: bytes, answer: Answer) -> Answer:
        """What it means for this address that no answer came; `answer` is what it means elsewhere."""
        return answer

    def unchanged(self, receipt: str, action: Action, answer: Answer) -> Answer:
        """What it means that no answer came to a change of the message of this receipt; as `unanswered`."""
        return answer

    def resolver(self) -> AbstractResolver | None:
        """Who finds the addresses of hosts, where the system's resolver won't do; asked for with each session.

        It raises `ForbiddenHost` where a host is not to be sent to: the recipient is rejected. It is not asked about
        hosts that are IP addresses themselves, nor behind a proxy, which finds them itself.
        """
        return None

    # -- what a sender asks -------------------------------------------------------------------------------------------

    async def begin(
        self,
        prepared: Prepared,
        recipients: Sequence[bytes],
        addresses: Sequence[bytes],
        languages: bytes | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> HttpFlight[R]:
        assert isinstance(prepared, PreparedContent)
        await self._opened.get()
        flight: HttpFlight[R] = HttpFlight(
            prepared,
            recipients,
            addresses,
            lambda index: self.rendered_for(prepared, index, languages, variables),
        )
        if flight.unsent:
            is_urgent = prepared.campaign.is_urgent
            urgent = sum(each.prepared.campaign.is_urgent for each in self._flights)
            self._flights.insert(urgent if is_urgent else len(self._flights), flight)
            self._call_carriers()
        return flight

    def window(self) -> int:
        return self._app.max_connections

    def backlog(self) -> int:
        return sum(flight.unsent for flight in self._flights)

    @property
    def state(self) -> LaneState:
        busy = len(self._carriers)
        return LaneState(connections=busy, open_streams=busy, last_error=self._last_error)

    async def _finish(self, drain: float | None) -> None:
        if self._carriers and drain != 0.0:
            await asyncio.wait(list(self._carriers), timeout=ANSWER_WITHIN if drain is None else drain)
        for flight in list(self._flights):
            flight.withdraw("the lane is closed")
        self._flights.clear()
        carriers = list(self._carriers)
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)

    # -- credentials --------------------------------------------------------------------------------------------------

    async def _open(self) -> Door[C]:
        credentials = await asyncio.to_thread(self.load)
        with setting(self.name, "ca_file"):
            tls = plain_tls(self._app.ca_file)
        return Door(credentials, tls, self._session(tls))

    def _session(self, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        """One without connections yet."""
        connector = aiohttp.TCPConnector(
            limit=self._app.max_connections,
            ssl=tls,
            keepalive_timeout=KEEP_ALIVE,
            resolver=None if self._app.proxy else self.resolver(),
            socket_factory=make_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN, connect=CONNECT_WITHIN),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )

    def _leave(self, old: Door[C]) -> None:
        self._later(self._close(old.session))

    async def _close(self, session: aiohttp.ClientSession) -> None:
        """Close its connections when nobody can be on them any more: who carries now takes the new ones next."""
        if carriers := list(self._carriers):
            await asyncio.wait(carriers, timeout=ANSWER_WITHIN)
        await session.close()

    async def ask(self, request: Request) -> Response:
        """One request beside the flights, to find out who we are, say.

        Raises:
            CredentialError, InvalidConfiguration: as `check`.
            CredentialUnavailable: there was no answer.
        """
        door = self._opened.current or await self._opened.get()
        try:
            return await self._exchange(door, request)
        except UNANSWERED as error:
            raise CredentialUnavailable(f"{self.name}: {explain(error)}") from None

    # -- carrying -----------------------------------------------------------------------------------------------------

    def _call_carriers(self) -> None:
        """As many as there is work for, within the app's connections."""
        wanted = min(self._app.max_connections, len(self._carriers) + self.backlog())
        while len(self._carriers) < wanted:
            carrier = asyncio.get_running_loop().create_task(self._carry(), name=f"carry {self.name}")
            self._carriers[carrier] = None
            carrier.add_done_callback(self._let_go)

    def _let_go(self, carrier: asyncio.Task[None]) -> None:
        """A carrier that fails has met a bug: whoever waits for its flight gets that, and the lease lapses. Others go
        on in its place, with the flights that began between its last look and now, too."""
        flight = self._carriers.pop(carrier)
        if flight is not None and not carrier.cancelled() and (error := carrier.exception()) is not None:
            flight.fail(error)
        if not self._closed:
            self._call_carriers()

    async def _carry(self) -> None:
        """One request after the other, until nobody is left."""
        carrier = asyncio.current_task()
        assert carrier is not None
        while self._flights:
            flight = self._carriers[carrier] = self._flights[0]
            if not flight.unsent:  # the last one was taken, or it was withdrawn
                self._flights.popleft()
                continue
            index = flight.take()
            try:
                found = await self._send(flight, index)
            except asyncio.CancelledError:
                answer = ambiguous("the lane was closed before the answer came")
                flight.settle(index, self._unheard(flight, index, answer))
                raise
            flight.settle(index, found)

    async def _send(self, flight: HttpFlight[R], index: int) -> Taken | Answer:
        action = flight.prepared.campaign.content.action
        rendered = None if self.by_receipt and action is Action.UNDO else flight.rendered(index)
        if isinstance(rendered, Answer):
            return rendered
        address = flight.addresses[index]
        if not address:
            return NOWHERE
        if self.by_receipt and action is not Action.SEND:
            return await self._ask_to_change(rendered, address.decode(), action)
        assert rendered is not None
        if (wait := self.turn(address, time.monotonic())) > 0:
            return Answer(verdict=Verdict.WAIT, reason=PACE, retry_after=wait, asked=True)
        found = await self._ask_for(flight, rendered, index, address)
        if isinstance(found, Answer) and found.verdict is Verdict.REROUTE:
            moved_to = found.moved_to
            found = await self._ask_for(flight, rendered, index, moved_to.encode())
            if isinstance(found, Taken):
                return replace(found, moved_to=moved_to)
            if found.verdict is Verdict.REROUTE:
                return replace(found, verdict=Verdict.REJECT, reason=MOVED_TWICE)
        return found

    async def _ask_for(self, flight: HttpFlight[R], rendered: R, index: int, address: bytes) -> Taken | Answer:
        where = await self.locate(address)
        if isinstance(where, Answer):
            return where
        door = self._opened.current  # the newest; a lane that is being closed still sends what it has begun
        assert door is not None
        request = self.request(door.credentials, flight.prepared, rendered, flight.recipients[index], where)
        found = await self._answer(door, request, partial(self.unanswered, where))
        return found if isinstance(found, Answer) else self.decode(found, where, self._clock())

    async def _ask_to_change(self, rendered: R | None, receipt: str, action: Action) -> Taken | Answer:
        door = self._opened.current
        assert door is not None
        request = self.change(door.credentials, rendered, receipt)
        found = await self._answer(door, request, partial(self.unchanged, receipt, action))
        return found if isinstance(found, Answer) else self.decode_change(found, receipt, action, self._clock())

    def _unheard(self, flight: HttpFlight[R], index: int, answer: Answer) -> Answer:
        action = flight.prepared.campaign.content.action
        address = flight.addresses[index]
        if self.by_receipt and action is not Action.SEND:
            return self.unchanged(address.decode(), action, answer)
        return self.unanswered(address, answer)

    async def _answer(
        self, door: Door[C], request: Request | Answer, silence: Callable[[Answer], Answer]
    ) -> Response | Answer:
        """What came back for a request, or what its not coming back means."""
        if isinstance(request, Answer):
            return request
        began = steady()
        try:
            response = await self._exchange(door, request)
        except UNSENT as error:
            if is_forbidden(error):
                return Answer(verdict=Verdict.REJECT, reason=FORBIDDEN_HOST, detail=str(error.os_error))
            self._last_error = explain(error)
            return silence(not_processed(self._last_error))
        except UNANSWERED as error:
            self._last_error = explain(error)
            return silence(ambiguous(self._last_error))
        self.answer_times.note(steady() - began)
        return response

    async def _exchange(self, door: Door[C], request: Request) -> Response:
        if self._sleep.look():  # a network forgets meanwhile, and the connections' own clock stood still
            self._later(self._close(door.session))
            door.session = self._session(door.tls)
        async with door.session.request(
            request.method,
            request.url,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            proxy=self._app.proxy,
        ) as answered:
            body = bytearray()
            async for some in answered.content.iter_any():
                body += some
                if len(body) > LARGEST_ERROR_BODY:
                    answered.close()
                    break
            headers = {name.lower(): value for name, value in answered.headers.items()}
            return Response(answered.status, headers, bytes(body[:LARGEST_ERROR_BODY]))


def is_forbidden(error: BaseException) -> TypeGuard[aiohttp.ClientConnectorError]:
    """Whether a request failed because its host is not to be sent to; `os_error` says why."""
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ForbiddenHost)


def explain(error: BaseException) -> str:
    """What went wrong with a request, without its URL, in which there may be a token."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port}: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses: {error.status} {error.message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before the answer came"
    return type(error).__name__


def plain_tls(ca_file: Path | None) -> ssl.SSLContext:
    """For plain HTTPS. Raises: InvalidConfiguration: it isn't a file of certificates."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfiguration(f"{ca_file} is not a PEM file of certificates: {error}") from None
