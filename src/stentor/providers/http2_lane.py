"""What the lanes of all HTTP/2 providers share: rendering by groups, flights, credentials and connections over time.

A provider's `lane.py` adds what only it knows (`Http2Lane`'s abstract methods). Rules: recipients with the same
rendering are encoded together; what shares a template is one burst; a rendering that fails concerns its recipients
alone. Connections that must not be used any more (new credential files; with APNs, another provider token) finish what
they have in the background.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from stentor.errors import (
    CredentialError,
    CredentialUnavailable,
    InvalidConfiguration,
    PoolClosed,
)
from stentor.http2.burst import Fate
from stentor.http2.pool import Pool, PoolOptions, Sending
from stentor.http2.transport import Endpoint
from stentor.outcome import Verdict
from stentor.providers.contract import Answer, Credentials, Decode, Encoded, Renewal, Rule, Taken, answers, join
from stentor.providers.lane import Flight, LaneState, Prepared, Variables
from stentor.providers.opened import Opened
from stentor.providers.rendering import PreparedContent, R, Rendering

PATIENCE = 15.0
"""Seconds in which nothing could be written at all, after which a flight is handed back: the caller has a breaker."""
FIRST_WINDOW = 1000
"""Recipients under way before the provider answered anything: wrong credentials should be found out with few."""
LEAST_WINDOW = 8000
"""Recipients that keep one quick connection busy, each batch's beginning and end included."""
SLICE = 100
"""Personalised messages rendered before the loop, which has answers to read, gets its turn."""

Encode = Callable[[R, Sequence[bytes], Sequence[int] | None], Encoded]
"""Encodes one rendering for some addresses, given their indices among the batch's recipients (None: they are all)."""
Groups = dict[int, tuple[R, list[int]]]

_ANSWERED = bytes(int(fate == Fate.RESPONSE) for fate in range(256))
_NOT_PROCESSED = "NotProcessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A provider as one set of credential files opens it."""

    endpoint: Endpoint
    credentials: Credentials | None
    """None where the connections themselves prove who we are."""
    close: Callable[[], None] = lambda: None


class _Channel:
    """Connections, the credential last used on them, and what the provider says in its own words."""

    __slots__ = ("access", "authorization", "pool")

    def __init__(self, access: Access, authorization: bytes | None, options: PoolOptions) -> None:
        self.access = access
        self.authorization = authorization
        self.pool = Pool(access.endpoint, options)


class BurstFlight:
    """A batch under way as bursts: what became of each request, by its recipient's index in the batch."""

    def __init__(
        self,
        size: int,
        parts: Sequence[tuple[Encoded, Sending]],
        rejected: Mapping[int, Answer],
        decode: Decode,
        accepting: Collection[int] = (),
    ) -> None:
        """Args:
        accepting: the statuses other than 200 by which the provider accepts a message.
        """
        self._size = size
        self._parts = parts
        self._rejected = rejected
        self._decode = decode
        self._accepting = accepting
        self._withdrawn = False

    def __repr__(self) -> str:
        return f"<Flight of {self._size}: {', '.join(repr(sending) for _, sending in self._parts) or 'nothing sent'}>"

    def answers(self, now: float) -> dict[int, Answer]:
        found = dict(self._rejected)
        for encoded, sending in self._parts:
            found |= answers(encoded, sending.results, self._decode, now)
        return found

    def accepted(self) -> bytes:
        mask = bytearray(self._size)
        for encoded, sending in self._parts:
            answered = bytearray(sending.results.fates.translate(_ANSWERED))
            for index, reply in sending.results.replies.items():
                answered[index] = reply.status in self._accepting
            if isinstance(encoded.positions, range):
                mask[:] = answered
            else:
                for position, answer in zip(encoded.positions, answered, strict=True):
                    mask[position] = answer
        return bytes(mask)

    def receipts(self) -> Mapping[int, Taken]:
        return {}

    async def done(self) -> None:
        try:
            for _, sending in self._parts:
                await sending.done()
        except asyncio.CancelledError:
            self.withdraw("whoever sent it waits no longer")
            raise

    def withdraw(self, reason: str) -> None:
        self._withdrawn = True
        for _, sending in self._parts:
            sending.withdraw(reason)


class Http2Flight(BurstFlight):
    """A batch under way over one pool: a burst for each template, nearly always one."""

    def __init__(
        self,
        lane: Http2Lane[Any],
        size: int,
        channel: _Channel,
        authorization: bytes | None,
        parts: Sequence[tuple[Encoded, Sending]],
        rejected: Mapping[int, Answer],
    ) -> None:
        super().__init__(size, parts, rejected, lane.decode)
        self.authorization = authorization
        self.access = channel.access
        self._pool = channel.pool
        self._decode_goaway = lane.decode_goaway

    def answers(self, now: float) -> dict[int, Answer]:
        found = super().answers(now)
        return self._blame_credentials(found) if found and not self._withdrawn else found

    def _blame_credentials(self, found: dict[int, Answer]) -> dict[int, Answer]:
        """Where a provider closes connections over our credentials, it says so in the GOAWAY, not in an answer."""
        goodbye = self._decode_goaway(self._pool.goaway_debug)
        if goodbye is None or goodbye.verdict not in (Verdict.STOP, Verdict.REFRESH):
            return found
        return {index: goodbye if answer.reason == _NOT_PROCESSED else answer for index, answer in found.items()}


class Http2Lane(Rendering[R]):
    """A lane over `http2.pool`. Satisfies `lane.Lane`."""

    provider_ceiling: ClassVar[float] = float("inf")
    """Pushes a second that the provider allows at most."""
    one_credential_a_connection: ClassVar[bool] = False
    """Whether the provider minds seeing several short-lived credentials on one connection."""

    def __init__(
        self,
        name: str,
        options: PoolOptions,
        table: Sequence[Rule],
        decode: Decode,
        decode_goaway: Callable[[bytes], Answer | None],
        rate: float | None,
    ) -> None:
        self.name = name
        self.rate = rate
        self.ceiling = min(self.provider_ceiling, rate or self.provider_ceiling)
        self.decode = decode
        self.decode_goaway = decode_goaway
        self._meanings = {rule.reason: rule.meaning for rule in table}
        self._options = options
        self._opened = Opened(lambda: self.files, partial(asyncio.to_thread, self.load))
        self._channel: _Channel | None = None
        self._retired: dict[asyncio.Task[None], Pool] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.state}>"

    # -- what a provider adds -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def files(self) -> Sequence[Path | None]:
        """Those that `load` reads."""

    @abstractmethod
    def load(self) -> Access:
        """Read the credential files; blocks. Raises: CredentialError, InvalidConfiguration."""

    @abstractmethod
    def encoder(
        self, access: Access, authorization: bytes | None, campaign_id: str, recipients: Sequence[bytes]
    ) -> Encode[R]:
        """Called once a batch, so that what depends on the batch alone is done once."""

    # -- what a sender asks -------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._opened.get()

    async def begin(
        self,
        prepared: Prepared,
        recipients: Sequence[bytes],
        addresses: Sequence[bytes],
        languages: bytes | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> Http2Flight:
        assert isinstance(prepared, PreparedContent)
        rejected: dict[int, Answer] = {}
        groups: Groups[R] | None = None
        if prepared.campaign.content.variables or (languages is not None and any(languages)):
            groups = await self._group(prepared, len(recipients), languages, variables, rejected)
        access, authorization = await self._authorize()
        encode = self.encoder(access, authorization, prepared.campaign.id, recipients)
        if groups is None:
            encoded = [encode(prepared.rendered[0], addresses, None)]
        else:
            encoded = join(
                (positions, encode(rendered, [addresses[position] for position in positions], positions))
                for rendered, positions in groups.values()
            )
        for part in encoded:
            rejected |= part.rejected
        channel = self._channel_for(access, authorization)
        parts = [(part, channel.pool.start(part.burst)) for part in encoded]
        return Http2Flight(self, len(recipients), channel, authorization, parts, rejected)

    async def refused(self, flight: Flight) -> Renewal:
        assert isinstance(flight, Http2Flight)
        if flight.access is not self._opened.current:
            return Renewal(True)  # the files were changed since
        if flight.access.credentials is None or flight.authorization is None:
            return Renewal(False, explanation="The provider wants a provider token, and a certificate is configured.")
        with self._named():
            return await flight.access.credentials.refused(flight.authorization)

    def hold(self) -> None:
        access = self._opened.current
        if access is not None and access.credentials is not None:
            access.credentials.hold()

    async def reload(self) -> bool:
        changed, old = await self._opened.reload()
        if changed:
            self._retire()
        if old is not None:
            old.close()
        return changed

    def meaning(self, reason: str) -> str:
        return self._meanings.get(reason, "")

    def window(self) -> int:
        state = None if self._channel is None else self._channel.pool.state
        if state is None or not state.responses:
            return FIRST_WINDOW
        return max(LEAST_WINDOW, state.stream_limit)

    def backlog(self) -> int:
        return 0 if self._channel is None else self._channel.pool.waiting

    @property
    def state(self) -> LaneState:
        pools = [*self._retired.values(), *([self._channel.pool] if self._channel else [])]
        states = [pool.state for pool in pools]
        return LaneState(
            connections=sum(state.connections for state in states),
            open_streams=sum(state.open_streams for state in states),
            last_error=states[-1].last_error if self._channel else None,
        )

    async def aclose(self, drain: float | None = None) -> None:
        self._closed = True
        self._opened.stop()
        pools = list(self._retired.values())
        if self._channel is not None:
            pools.append(self._channel.pool)
        await asyncio.gather(*(pool.aclose(drain) for pool in pools), *self._retired)
        if (access := await self._opened.last()) is not None:
            access.close()

    # -- over time ----------------------------------------------------------------------------------------------------

    async def _authorize(self) -> tuple[Access, bytes | None]:
        """How we show who we are now; from here to the wire nothing may wait, lest it be changed meanwhile."""
        while True:
            access = await self._opened.get()
            with self._named():
                authorization = None if access.credentials is None else await access.credentials.authorization()
            if access is self._opened.current:
                return access, authorization

    def _channel_for(self, access: Access, authorization: bytes | None) -> _Channel:
        """The connections to use with this credential. Never two on a connection of APNs': it counts those that come
        within 20 minutes, and a connection may be seconds old when the token's half hour is over."""
        if self._closed:
            raise PoolClosed
        channel = self._channel
        if (
            channel is None
            or channel.access is not access
            or (self.one_credential_a_connection and channel.authorization != authorization)
        ):
            self._retire()
            channel = self._channel = _Channel(access, authorization, self._options)
        return channel

    def _retire(self) -> None:
        """Let the connections finish what they have, and use them for nothing new."""
        if self._channel is None:
            return
        pool, self._channel = self._channel.pool, None
        task = asyncio.get_running_loop().create_task(pool.aclose(), name=f"retire connections of {self.name}")
        self._retired[task] = pool
        task.add_done_callback(self._retired.pop)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the credentials say which app's they are."""
        try:
            yield
        except (CredentialError, CredentialUnavailable) as error:
            raise type(error)(f"{_settings(self.name)}: {error}") from None

    # -- who gets what ------------------------------------------------------------------------------------------------

    async def _group(
        self,
        prepared: PreparedContent[R],
        count: int,
        languages: bytes | None,
        variables: Sequence[Variables] | None,
        rejected: dict[int, Answer],
    ) -> Groups[R]:
        """The recipients by what they get; those whose message cannot be made are `rejected`."""
        groups: Groups[R] = {}
        for position in range(count):
            if not position % SLICE and prepared.campaign.content.variables:
                await asyncio.sleep(0)
            found = self.rendered_for(prepared, position, languages, variables)
            if isinstance(found, Answer):
                rejected[position] = found
            else:
                groups.setdefault(id(found), (found, []))[1].append(position)
        return groups


@contextmanager
def setting(lane: str, key: str) -> Iterator[None]:
    """Errors within are about this setting of the lane's app, and say so."""
    try:
        yield
    except (CredentialError, InvalidConfiguration) as error:
        raise type(error)(f"{_settings(lane)}.{key}: {error}") from None


def address_of(url: str) -> tuple[str, int, str]:
    """Host, port and `:authority` of an `https://host:port`."""
    parts = urlsplit(url)
    return str(parts.hostname), parts.port or 443, parts.netloc


def _settings(lane: str) -> str:
    """`apps.ios` for `apns/ios`."""
    return f"apps.{lane.partition('/')[2]}"
