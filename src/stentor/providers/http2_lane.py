"""What the lanes to one HTTP/2 endpoint share: rendering by groups, credentials and connections over time.

A provider's `lane.py` adds what only it knows (`Http2Lane`'s abstract methods). Rules: recipients with the same
rendering are encoded together; what shares a template is one burst; a rendering that fails concerns its recipients
alone. Connections that must not be used any more (new credential files; with APNs, another provider token) finish what
they have in the background.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from stentor.errors import PoolClosed
from stentor.http2.burst import Results
from stentor.http2.pool import Pool, PoolOptions, Sending
from stentor.http2.transport import Endpoint, tls_context
from stentor.outcome import Verdict
from stentor.providers.base import setting
from stentor.providers.burst_lane import BurstFlight, BurstLane
from stentor.providers.contract import Answer, Credentials, Decode, Doubts, Encoded, Renewal, Rule, join, no_doubts
from stentor.providers.lane import Flight, Prepared, Variables
from stentor.providers.rendering import PreparedContent, R
from stentor.settings import App

Encode = Callable[[R, Sequence[bytes], Sequence[int] | None], Encoded]
"""Encodes one rendering for some addresses, given their indices among the batch's recipients (None: they are all)."""

ASKED_WITHIN = 8.0
"""Seconds in which `ask` must have a connection."""

_NOT_PROCESSED = "NotProcessed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Access:
    """A provider as one set of credential files opens it."""

    endpoint: Endpoint
    credentials: Credentials | None
    """None where the connections themselves prove who we are."""
    close: Callable[[], None] = lambda: None


class Http2Flight(BurstFlight):
    """A batch under way over one pool, and what it was sent with: a burst for each template, nearly always one."""

    def __init__(
        self,
        lane: Http2Lane[Any],
        size: int,
        proof: tuple[Access, bytes | None],
        pool: Pool,
        parts: Sequence[tuple[Encoded, Sending]],
        rejected: Mapping[int, Answer],
    ) -> None:
        super().__init__(size, parts, rejected, lane.decode, doubts=lane.doubts)
        self.access, self.authorization = proof
        self._pool = pool
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


class Http2Lane(BurstLane[R, Access]):
    """A lane over one `http2.pool` at a time. Satisfies `lane.Lane`."""

    patience = 15.0
    one_credential_a_connection: ClassVar[bool] = False
    """Whether the provider minds seeing several short-lived credentials on one connection."""
    decode: Decode
    doubts: Doubts = staticmethod(no_doubts)
    decode_goaway: Callable[[bytes], Answer | None]
    """What a connection's end says of our credentials, where it does."""

    def __init__(
        self,
        app: App,
        name: str,
        table: Sequence[Rule],
        clock: Callable[[], float],
        options: PoolOptions | None,
        host: str,
    ) -> None:
        """Args:
        host: the provider's, where the app has no `url`.
        """
        super().__init__(app, name, table, clock, options)
        address = urlsplit(app.url or f"https://{host}")
        self._host, self._port, self._authority = str(address.hostname), address.port or 443, address.netloc
        self._pool: Pool | None = None
        self._proven_by: tuple[Access, bytes | None] | None = None

    # -- what a provider adds -----------------------------------------------------------------------------------------

    @abstractmethod
    def encoder(
        self, access: Access, authorization: bytes | None, campaign_id: str, recipients: Sequence[bytes]
    ) -> Encode[R]:
        """Called once a batch, so that what depends on the batch alone is done once."""

    # -- what a sender asks -------------------------------------------------------------------------------------------

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
        groups: dict[int, tuple[R, list[int]]] = {}
        is_one = not prepared.campaign.content.variables and not (languages and any(languages))
        if not is_one:
            for position, found in enumerate(await self.rendered_each(prepared, len(recipients), languages, variables)):
                if isinstance(found, Answer):
                    rejected[position] = found
                else:
                    groups.setdefault(id(found), (found, []))[1].append(position)
        access, authorization = proof = await self._authorize()
        encode = self.encoder(access, authorization, prepared.campaign.id, recipients)
        if is_one:
            encoded = [encode(prepared.rendered[0], addresses, None)]
        else:
            encoded = join(
                (positions, encode(rendered, [addresses[position] for position in positions], positions))
                for rendered, positions in groups.values()
            )
        for part in encoded:
            rejected |= part.rejected
        pool = self._pool_for(access, authorization)
        parts = [(part, pool.start(part.burst, is_urgent=prepared.campaign.is_urgent)) for part in encoded]
        return Http2Flight(self, len(recipients), proof, pool, parts, rejected)

    async def refused(self, flight: Flight) -> Renewal:
        assert isinstance(flight, Http2Flight)
        access, authorization = flight.access, flight.authorization
        if access is not self._opened.current:
            return Renewal(True)  # the files were changed since
        if access.credentials is None or authorization is None:
            return Renewal(False, explanation="The provider wants a provider token, and a certificate is configured.")
        with setting(self.name):
            return await access.credentials.refused(authorization)

    def hold(self) -> None:
        access = self._opened.current
        if access is not None and access.credentials is not None:
            access.credentials.hold()

    async def ask(self, rendered: R, address: bytes) -> tuple[Endpoint, Results, bytes]:
        """One request beside the flights, on a connection of its own: where, what became of it, and the connection's
        last words.

        Raises: CredentialError, CredentialUnavailable, InvalidConfiguration: as `begin`.
        """
        access, authorization = await self._authorize()
        encode = self.encoder(access, authorization, "", [address])
        options = PoolOptions(max_connections=1, resends=1, patience=ASKED_WITHIN)
        async with Pool(access.endpoint, options) as pool:
            results = await pool.send(encode(rendered, [address], None).burst)
            return access.endpoint, results, pool.goaway_debug

    # -- over time ----------------------------------------------------------------------------------------------------

    async def _authorize(self) -> tuple[Access, bytes | None]:
        """How we show who we are now; from here to the wire nothing may wait, lest it be changed meanwhile."""
        while True:
            access = await self._opened.get()
            with setting(self.name):
                authorization = None if access.credentials is None else await access.credentials.authorization()
            if access is self._opened.current:
                return access, authorization

    @property
    def _pools(self) -> Sequence[Pool]:
        return [self._pool] if self._pool else []

    def _pool_for(self, access: Access, authorization: bytes | None) -> Pool:
        """The one to use with this credential. Never two on a connection of APNs': it counts those that come within
        20 minutes, and a connection may be seconds old when the token's half hour is over."""
        if self._closed:
            raise PoolClosed
        proof = (access, authorization if self.one_credential_a_connection else None)
        if self._pool is None or self._proven_by != proof:
            self._drop_pool()
            self._pool, self._proven_by = Pool(access.endpoint, self._options, self.answer_times), proof
        return self._pool

    def _drop_pool(self) -> None:
        if self._pool is not None:
            self._retire(self._pool)
            self._pool = None

    def _leave(self, old: Access) -> None:
        self._drop_pool()
        old.close()

    def _endpoint(self) -> Endpoint:
        """Where the provider is. Raises: InvalidConfiguration."""
        with setting(self.name, "ca_file"):
            tls = tls_context(ca_file=self._app.ca_file)
        with setting(self.name, "proxy"):
            return Endpoint(host=self._host, port=self._port, tls=tls, proxy=self._app.proxy)
