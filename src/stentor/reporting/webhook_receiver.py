"""A program that gets reports as JSON, signed like the messages of the `webhook` channel.

Rules: the id of a request follows from the event, so that each try and each replay has the same; no redirect is
followed; the connection goes to addresses that were judged, as for receivers that strangers name.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from urllib.parse import urlsplit

import aiohttp
import msgspec

from stentor.config import ReportTarget
from stentor.errors import CredentialError, InvalidConfiguration
from stentor.http2.addresses import make_socket
from stentor.providers.base import read_text
from stentor.providers.contract import LARGEST_ERROR_BODY, retry_after
from stentor.providers.hosts import is_literal, is_public
from stentor.providers.http_lane import ForbiddenHost, explain, plain_tls
from stentor.providers.webhook.lane import PRIVATE, PublicResolver
from stentor.providers.webhook.wire import parse_secrets, sign
from stentor.reporting.events import ReportEvent, body_of
from stentor.reporting.outbox import TargetAnswer
from stentor.reporting.receiver import WITHIN

GONE = 410
"""The one status after which nothing is tried again."""
SHOWN = 200
"""Characters of an answer's body that are kept."""


class WebhookReceiver:
    """One https URL."""

    def __init__(self, name: str, settings: ReportTarget, url: str) -> None:
        self._setting = f"reports.targets.{name}"
        self._settings = settings
        self._url = url

    def __repr__(self) -> str:
        return f"<WebhookReceiver {self._setting}>"

    @property
    def kind(self) -> str:
        """With its host alone."""
        return f"webhook {urlsplit(self._url).hostname}"

    async def check(self) -> str | None:
        found = await self._opened()
        return found.text if isinstance(found, TargetAnswer) else None

    async def tell(self, event: ReportEvent, now: float) -> TargetAnswer:
        found = await self._opened()
        if isinstance(found, TargetAnswer):
            return found
        secrets, tls = found
        body = msgspec.json.encode(body_of(event))
        try:
            async with asyncio.timeout(WITHIN):
                return await self._post(body, headers_of(event, body, secrets, now), tls, now)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenHost):
                return TargetAnswer(sent=False, text=f"{self._setting}.webhook: {error.os_error}")
            return TargetAnswer(sent=False, text=explain(error))
        except (aiohttp.ClientError, TimeoutError) as error:
            return TargetAnswer(sent=False, text=explain(error))

    async def _opened(self) -> tuple[Sequence[bytes], ssl.SSLContext] | TargetAnswer:
        """What the files hold; or what is wrong with the settings."""
        host = urlsplit(self._url).hostname or ""
        if not self._settings.allow_private and is_literal(host) and not is_public(host):
            return TargetAnswer(sent=False, text=f"{self._setting}.webhook: {PRIVATE}")
        try:
            return await asyncio.to_thread(self._read)
        except (CredentialError, InvalidConfiguration) as error:
            return TargetAnswer(sent=False, text=f"{self._setting}: {error}")

    def _read(self) -> tuple[Sequence[bytes], ssl.SSLContext]:
        """What the files hold. Blocks. Raises: CredentialError, InvalidConfiguration."""
        file = self._settings.secret_file
        assert file is not None, "the settings were checked"
        try:
            secrets = parse_secrets(read_text(file))
        except ValueError as error:
            raise CredentialError(f"{file} {error}") from None
        return secrets, plain_tls(self._settings.ca_file)

    async def _post(self, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext, now: float) -> TargetAnswer:
        resolver = None if self._settings.allow_private else PublicResolver()
        connector = aiohttp.TCPConnector(ssl=tls, resolver=resolver, socket_factory=make_socket)
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(self._url, data=body, headers=headers, allow_redirects=False) as answered,
        ):
            text = (await answered.content.read(LARGEST_ERROR_BODY)).decode("utf-8", errors="replace")
            wait = answered.headers.get("retry-after")
            status = answered.status
        sent = 200 <= status < 300
        return TargetAnswer(
            sent=sent,
            status=status,
            text=_readable(text),
            retry_after=retry_after([(b"retry-after", wait.encode("latin-1", errors="replace"))], now)
            if wait
            else None,
            final=status == GONE,
        )


def headers_of(event: ReportEvent, body: bytes, secrets: Sequence[bytes], now: float) -> dict[str, str]:
    """Those of a request with this body. `now` is epoch seconds of this try."""
    identity, timestamp = message_id(event), int(now)
    return {
        "content-type": "application/json",
        "user-agent": "Stentor",
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, identity, timestamp, body),
    }


def message_id(event: ReportEvent) -> str:
    """The same at each try, from any process."""
    return "msg_" + blake2b(event.id.encode(), digest_size=16).hexdigest()


def _readable(text: str) -> str:
    """How an answer begins, in a line."""
    shown = " ".join(text.split())[:SHOWN]
    return "".join(each if each.isprintable() else "�" for each in shown)
