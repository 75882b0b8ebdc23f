"""A lane to browsers: an app's VAPID key, the push services that its subscriptions name, and `wire.py` between them.

A batch's recipients are sealed in a thread, grouped by their endpoint's origin, and sent over a pool for each origin
(`origins.py`). What one push service answers, and whether it can be reached, concerns its own recipients alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stentor.batch import apart
from stentor.errors import PoolClosed
from stentor.http2.burst import Burst, Header
from stentor.http2.pool import Pool, PoolOptions, Sending
from stentor.http2.transport import tls_context
from stentor.model import Action, Message
from stentor.providers.base import setting
from stentor.providers.burst_lane import BurstFlight, BurstLane
from stentor.providers.contract import Answer, Decode, Encoded, Taken
from stentor.providers.lane import CampaignContent, Flight, HostState, Prepared, Variables
from stentor.providers.payload import PayloadSize
from stentor.providers.rendering import PreparedContent
from stentor.providers.shown import Shown
from stentor.providers.webpush import wire
from stentor.providers.webpush.channel import WebPushApp
from stentor.providers.webpush.endpoints import (
    ForbiddenEndpoint,
    MalformedEndpoint,
    Origin,
    Policy,
    ReservedHost,
    fits,
    parse_authority,
)
from stentor.providers.webpush.origins import Origins, PoolOf
from stentor.providers.webpush.payload import visible
from stentor.providers.webpush.reasons import ALL
from stentor.providers.webpush.undo import Part, UndoFlight
from stentor.providers.webpush.vapid import Vapid

REFUSES_TOKEN = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class _Access:
    """What one set of files opens."""

    vapid: Vapid
    origins: Origins
    deletes_at: tuple[str, ...]

    def deletes(self, origin: Origin) -> bool:
        """Whether the push service there deletes what isn't delivered yet."""
        return fits(origin.host, self.deletes_at)


class WebPushFlight(BurstFlight):
    """A batch under way over several pools: a burst for each origin."""

    def __init__(
        self,
        size: int,
        parts: Sequence[tuple[Encoded, Sending]],
        rejected: Mapping[int, Answer],
        access: _Access,
        origins: Sequence[Origin],
        begun_at: float,
        decode: Decode = wire.decode,
    ) -> None:
        """Args:
        origins: of each part.
        """
        super().__init__(size, parts, rejected, decode, wire.TAKEN, wire.doubts)
        self._access = access
        self._origins = origins
        self._begun_at = begun_at

    def receipts(self) -> Mapping[int, Taken]:
        """The address of each message where its push service would delete it, while it is undelivered."""
        found = {}
        for (encoded, sending), origin in zip(self._parts, self._origins, strict=True):
            if not self._access.deletes(origin):
                continue
            for index, reply in sending.results.replies.items():
                if reply.status in wire.TAKEN and (url := wire.message_url(reply.headers, origin)):
                    found[encoded.positions[index]] = Taken(at=self._begun_at, id=url)
        return found

    async def done(self) -> None:
        await super().done()
        if self._withdrawn:
            return
        for (_, sending), origin in zip(self._parts, self._origins, strict=True):
            self._access.origins.note(origin, sending.results)
            if any(reply.status in REFUSES_TOKEN for reply in sending.results.replies.values()):
                self._access.vapid.refused(str(origin))


class WebPushLane(BurstLane[wire.Rendered, _Access]):
    """One web app. `clock` gives epoch seconds. Satisfies `lane.Lane`."""

    patience = 10.0
    not_renewed = "The push services do not take the VAPID tokens."
    kind_of_host = "push service"
    _app: WebPushApp

    def __init__(
        self, app: WebPushApp, name: str, clock: Callable[[], float], options: PoolOptions | None = None
    ) -> None:
        super().__init__(app, name, ALL, clock, options)
        self._policy = Policy(app.allow_private_endpoints, app.allowed_hosts)
        self._instead = None if app.url is None else parse_authority(app.url.removeprefix("https://").rstrip("/"))
        self._sealer = ThreadPoolExecutor(1, thread_name_prefix="web push encryption")

    @property
    def many_hosts(self) -> bool:
        """See `lane.Scatters`: subscriptions name their push services."""
        return True

    def hosts(self) -> Sequence[HostState]:
        return self._opened.current.origins.hosts() if self._opened.current else []

    # -- what a provider adds to rendering ----------------------------------------------------------------------------

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(message, collapse_id=campaign.collapse_id)

    def collapses(self, rendered: wire.Rendered) -> bool:
        return rendered.collapses

    def payload(self, rendered: wire.Rendered) -> bytes:
        return rendered.payload

    def size(self, rendered: wire.Rendered) -> PayloadSize:
        return rendered.size

    def visible(self, payload: Mapping[str, Any], message: Message) -> Shown:
        return visible(payload)

    # -- what a sender asks -------------------------------------------------------------------------------------------

    async def begin(
        self,
        prepared: Prepared,
        recipients: Sequence[bytes],
        addresses: Sequence[bytes],
        languages: bytes | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> Flight:
        assert isinstance(prepared, PreparedContent)
        access = await self._opened.get()
        action = prepared.campaign.content.action
        if action is Action.SEND:
            return await self._push(access, prepared, addresses, languages, variables)
        parted = [apart(address) for address in addresses]

        async def replace(positions: Sequence[int]) -> WebPushFlight:
            return await self._push(
                access,
                prepared,
                [parted[position][1] for position in positions],
                None if languages is None else bytes(languages[position] for position in positions),
                None if variables is None else [variables[position] for position in positions],
            )

        held = self._held_back(access, [receipt for receipt, _ in parted]) if action is Action.UNDO else {}
        others = [position for position in range(len(parted)) if position not in held]
        if not held:
            return await replace(others)
        deleted = Part(list(held), await self._delete(access, list(held.values())))
        replaced = Part(others, await replace(others)) if others else None
        return UndoFlight(len(parted), deleted, replaced, replace)

    async def _push(
        self,
        access: _Access,
        prepared: PreparedContent[wire.Rendered],
        addresses: Sequence[bytes],
        languages: bytes | None,
        variables: Sequence[Variables] | None,
    ) -> WebPushFlight:
        loop = asyncio.get_running_loop()
        count = len(addresses)
        messages = await self.rendered_each(prepared, count, languages, variables)
        sealed = await loop.run_in_executor(self._sealer, wire.seal, addresses, messages, self._policy, self._instead)
        rejected: dict[int, Answer] = {}
        groups: dict[tuple[Origin, tuple[Header, ...], int], list[int]] = {}
        now = self._clock()
        for position, (message, found) in enumerate(zip(messages, sealed, strict=True)):
            if isinstance(found, Answer):
                rejected[position] = found
            else:
                assert isinstance(message, wire.Rendered)  # else it was answered
                ttl = wire.ttl_left(message, started_at=prepared.campaign.started_at, now=now)
                groups.setdefault((found[0].origin, message.headers, ttl), []).append(position)
        bursts = [
            (origin, self._encode(access, origin, headers, ttl, positions, sealed))
            for (origin, headers, ttl), positions in groups.items()
        ]
        return await self._start(access, count, bursts, rejected, wire.decode, is_urgent=prepared.campaign.is_urgent)

    def _held_back(self, access: _Access, receipts: Sequence[bytes]) -> dict[int, wire.Target]:
        """Where the messages are that may not be delivered yet, by their positions."""
        found = {}
        for position, receipt in enumerate(receipts):
            with suppress(MalformedEndpoint, ForbiddenEndpoint, ReservedHost, UnicodeDecodeError):
                target = wire.parse_message_url(receipt.decode(), self._policy)
                if access.deletes(target.origin):
                    found[position] = target
        return found

    async def _delete(self, access: _Access, targets: Sequence[wire.Target]) -> WebPushFlight:
        """Have messages deleted where they are."""
        groups: dict[Origin, list[int]] = {}
        for index, target in enumerate(targets):
            groups.setdefault(target.origin, []).append(index)
        bursts = []
        for origin, positions in groups.items():
            template = wire.deletion(origin, access.vapid.authorization(str(origin)))
            burst = Burst(template, ([targets[index].path for index in positions],), [b""] * len(positions))
            bursts.append((origin, Encoded(burst, positions)))
        return await self._start(access, len(targets), bursts, {}, wire.decode_delete)

    async def _start(
        self,
        access: _Access,
        count: int,
        bursts: Sequence[tuple[Origin, Encoded]],
        rejected: dict[int, Answer],
        decode: Decode,
        *,
        is_urgent: bool = False,
    ) -> WebPushFlight:
        """Send bursts to their origins; whose origin cannot be reached is `rejected`."""
        now = self._clock()
        pools = await access.origins.open(dict.fromkeys(origin for origin, _ in bursts))
        if self._closed:
            raise PoolClosed
        parts, origins = [], []
        for origin, encoded in bursts:
            pool = pools[origin]
            if isinstance(pool, Answer):
                rejected |= dict.fromkeys(encoded.positions, pool)
                access.origins.turn_away(origin, len(encoded.positions))
                continue
            parts.append((encoded, pool.start(encoded.burst, is_urgent=is_urgent)))
            origins.append(origin)
        return WebPushFlight(count, parts, rejected, access, origins, now, decode)

    # -- within -------------------------------------------------------------------------------------------------------

    @property
    def files(self) -> Sequence[Path | None]:
        return (self._app.private_key_file,)

    def load(self) -> _Access:
        app = self._app
        with setting(self.name, "ca_file"):
            tls = tls_context(ca_file=app.ca_file)
        with setting(self.name, "private_key_file"):
            vapid = Vapid.from_file(app.private_key_file, app.subject, self._clock)
        trusted = app.allow_private_endpoints or self._instead is not None
        where = PoolOf(tls=tls, proxy=app.proxy, options=self._options, trusted=trusted, answer_times=self.answer_times)
        return _Access(vapid, Origins(where), app.deletes_at)

    @property
    def _pools(self) -> Sequence[Pool]:
        return self._opened.current.origins.pools() if self._opened.current else []

    def _leave(self, old: _Access) -> None:
        for pool in old.origins.pools():
            self._retire(pool)
        self._later(old.origins.aclose())

    async def _finish(self, drain: float | None) -> None:
        await super()._finish(drain)
        self._sealer.shutdown(wait=False, cancel_futures=True)

    def _encode(
        self,
        access: _Access,
        origin: Origin,
        headers: tuple[Header, ...],
        ttl: int,
        positions: list[int],
        sealed: Sequence[wire.Sealed],
    ) -> Encoded:
        authorization = access.vapid.authorization(str(origin))
        template = wire.template(headers, origin=origin, authorization=authorization, ttl=ttl)
        paths, bodies = [], []
        for position in positions:
            found = sealed[position]
            assert not isinstance(found, Answer)
            paths.append(found[0].path)
            bodies.append(found[1])
        return Encoded(Burst(template, (paths,), bodies), positions)
