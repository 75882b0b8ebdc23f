"""A lane to a webhook: an app's secrets, its target, and `wire.py` between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from stentor.clock import steady
from stentor.errors import CredentialError
from stentor.model import Message
from stentor.outcome import Scope, Verdict
from stentor.providers.asked_hosts import AskedHosts
from stentor.providers.base import read_text, setting
from stentor.providers.contract import NO_ADDRESS_OF_OURS, Answer, Taken
from stentor.providers.hosts import is_literal, is_public
from stentor.providers.http_lane import (
    FORBIDDEN_HOST,
    UNANSWERED,
    UNSENT,
    Door,
    ForbiddenHost,
    HttpLane,
    explain,
    is_forbidden,
)
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import CampaignContent, HostState
from stentor.providers.payload import PayloadSize
from stentor.providers.rendering import PreparedContent
from stentor.providers.shown import Shown
from stentor.providers.webhook import wire
from stentor.providers.webhook.channel import ADDRESS, WebhookApp
from stentor.providers.webhook.reasons import TABLE

PRIVATE = "it leads into a private network; `allow_private` allows that"

UNREACHABLE = "Unreachable"
UNREACHABLE_FOR = 60.0
"""Seconds until a receiver of its own that could not be connected to is tried again."""


class WebhookLane(HttpLane[wire.Rendered, tuple[bytes, ...]]):
    """One gateway, or recipients that have URLs of their own. `clock` gives epoch seconds."""

    kind_of_host = "receiver"

    def __init__(self, app: WebhookApp, name: str, clock: Callable[[], float]) -> None:
        super().__init__(app, name, TABLE, clock, app.rate)
        self._settings = app
        self._gateway = None if app.target == ADDRESS else _at(app.url, app.target)
        self._asked = AskedHosts()
        self._trusting = app.allow_private or app.url is not None or self._gateway is not None

    @property
    def many_hosts(self) -> bool:
        """See `lane.Scatters`."""
        return self._gateway is None

    def hosts(self) -> Sequence[HostState]:
        return self._asked.states(steady())

    @property
    def files(self) -> Sequence[Path | None]:
        return (self._settings.secret_file,)

    def load(self) -> tuple[bytes, ...]:
        file = self._settings.secret_file
        with setting(self.name, "secret_file"):
            try:
                return wire.parse_secrets(read_text(file))
            except ValueError as error:
                raise CredentialError(f"{file} {error}") from None

    def resolver(self) -> AbstractResolver | None:
        return None if self._trusting else PublicResolver()

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(message, campaign)

    def collapses(self, rendered: wire.Rendered) -> bool:
        """A second one has the same id, by which receivers must drop it."""
        return True

    def payload(self, rendered: wire.Rendered) -> bytes:
        return wire.sample(rendered)

    def size(self, rendered: wire.Rendered) -> PayloadSize:
        return rendered.size

    def visible(self, payload: Mapping[str, Any], message: Message) -> Shown:
        return wire.visible(payload)

    def request(
        self,
        credentials: tuple[bytes, ...],
        prepared: PreparedContent[wire.Rendered],
        rendered: wire.Rendered,
        recipient: bytes,
        address: bytes,
    ) -> Request | Answer:
        url = self._gateway or self._own(address)
        if isinstance(url, Answer):
            return url
        return wire.request(credentials, url, rendered, recipient, address, self._clock())

    def _own(self, address: bytes) -> str | Answer:
        """Where a recipient that has a URL of its own is to be posted to."""
        host = wire.host_of(address)
        if host is None:
            return NO_ADDRESS_OF_OURS
        if not self._trusting and is_literal(host) and not is_public(host):
            return Answer(verdict=Verdict.REJECT, reason=FORBIDDEN_HOST, detail=PRIVATE)
        return _at(self._settings.url, address.decode())

    def decode(self, response: Response, address: bytes, now: float) -> Taken | Answer:
        return wire.decode(response, now, gateway=self._gateway is not None)

    def unanswered(self, address: bytes, answer: Answer) -> Answer:
        """A receiver that cannot be reached says nothing about the others: it waits, and the lane isn't called down."""
        if self._gateway is not None or self._settings.url is not None or answer.verdict is not Verdict.RECONNECT:
            return answer
        return Answer(
            verdict=Verdict.WAIT,
            reason=UNREACHABLE,
            scope=Scope.CONNECTION,
            retry_after=UNREACHABLE_FOR,
            asked=True,
            detail=answer.detail,
        )

    async def _exchange(self, door: Door[tuple[bytes, ...]], request: Request) -> Response:
        if not self.many_hosts:
            return await super()._exchange(door, request)
        host = _host_of(request.url)
        self._asked.ask(host, steady())
        try:
            response = await super()._exchange(door, request)
        except (*UNSENT, *UNANSWERED) as error:
            if is_forbidden(error):
                self._asked.settle(host)
            else:
                was_connected = isinstance(error, TimeoutError) and not isinstance(error, UNSENT)
                self._asked.give_up(host, "" if was_connected else explain(error))
            raise
        except asyncio.CancelledError:
            self._asked.settle(host)
            raise
        self._asked.settle(host)
        return response

    async def introduce(self) -> str:
        """Whether the gateway answers at all: nothing but a message tells whether it takes one."""
        if self._gateway is None:
            return "each recipient has a URL of its own; none is asked"
        answered = await self.ask(Request(method="HEAD", url=self._gateway, body=b""))
        return f"{urlsplit(self._gateway).netloc} answers ({answered.status} to HEAD); its messages are not tried"


class PublicResolver(AbstractResolver):
    """Finds hosts of the open internet alone. The connection goes to the addresses that were judged here."""

    def __init__(self) -> None:
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [each for each in await self._resolver.resolve(host, port, family) if is_public(each["host"])]
        if not found:
            raise ForbiddenHost(PRIVATE)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _host_of(url: str) -> str:
    """A URL's host, and its port if that isn't the usual one."""
    parts = urlsplit(url)
    return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _at(url: str | None, target: str) -> str:
    """`target`, at another host where one is given."""
    if url is None:
        return target
    other = urlsplit(url)
    return urlsplit(target)._replace(scheme=other.scheme, netloc=other.netloc).geturl()
