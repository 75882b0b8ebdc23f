"""A lane to APNs: an app's key or certificate, its connections, and `wire.py` between them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stentor.errors import InvalidMessage
from stentor.findings import Finding, problem, warning
from stentor.http2.burst import Header, Template
from stentor.http2.pool import PoolOptions
from stentor.model import Message
from stentor.providers import introduction
from stentor.providers.apns import wire
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.apns.credentials import ApnsCertificate, ApnsTokenSource
from stentor.providers.apns.payload import visible
from stentor.providers.apns.reasons import TABLE
from stentor.providers.base import read_text, setting, settings_of
from stentor.providers.contract import Encoded
from stentor.providers.http2_lane import Access, Encode, Http2Lane
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import PayloadSize
from stentor.providers.shown import Shown

NO_TOKEN = b"00"
"""Of no device."""
SOON = 30 * 86_400.0
"""Seconds before a certificate's end from which on it is worth a warning."""


class ApnsLane(Http2Lane[wire.Rendered]):
    """One app of APNs. `clock` gives epoch seconds."""

    one_credential_a_connection = True
    decode = staticmethod(wire.decode)
    decode_goaway = staticmethod(wire.decode_goaway)
    _app: ApnsApp

    def __init__(self, app: ApnsApp, name: str, clock: Callable[[], float], options: PoolOptions | None = None) -> None:
        host = wire.AUTHORITY if app.environment == "production" else wire.SANDBOX_AUTHORITY
        super().__init__(app, name, TABLE, clock, options, host)
        self._certificate: ApnsCertificate | None = None

    @property
    def files(self) -> Sequence[Path | None]:
        app = self._app
        certificate = (app.certificate_file, app.certificate_key_file, app.certificate_password_file)
        return (app.key_file, *certificate)

    def load(self) -> Access:
        app, endpoint, credentials = self._app, self._endpoint(), None
        if app.certificate_file is not None:
            self._show_certificate(endpoint.tls)
        else:
            assert app.key_file is not None  # config.py sees to it
            assert app.key_id is not None
            assert app.team_id is not None
            with setting(self.name, "key_file"):
                credentials = ApnsTokenSource.from_file(
                    app.key_file, key_id=app.key_id, team_id=app.team_id, clock=self._clock
                )
        return Access(endpoint=endpoint, credentials=credentials)

    def _show_certificate(self, tls: ssl.SSLContext) -> None:
        app, password = self._app, None
        assert app.certificate_file is not None
        if app.certificate_password_file is not None:
            with setting(self.name, "certificate_password_file"):
                password = read_text(app.certificate_password_file).rstrip("\r\n")
        with setting(self.name, "certificate_file"):
            self._certificate = ApnsCertificate.load(
                app.certificate_file, key_path=app.certificate_key_file, password=password, now=self._clock()
            )
            self._certificate.load_into(tls)

    @property
    def expires_at(self) -> float | None:
        """See `lane.Expires`: of a certificate. Keys don't end."""
        return None if self._certificate is None else self._certificate.expires_at

    def describe(self) -> Finding:
        """Whether the credentials are the right ones, and will be for some time."""
        app, found = self._app, self._certificate
        if found is None:
            return Finding(check="key", detail=f"{app.key_file}, key {app.key_id} of team {app.team_id}")
        day = datetime.fromtimestamp(found.expires_at, UTC).strftime("%Y-%m-%d")
        if found.topic not in (None, app.topic):
            return problem(
                "certificate",
                f"{found.path} is for {found.topic}, and the app's topic is {app.topic}",
                f"Use the certificate of {app.topic}, or set `{settings_of(self.name)}.topic` to {found.topic}.",
            )
        if found.expires_at - self._clock() < SOON:
            remedy = "Make a new one on Apple's page, and put it in its place."
            return warning("certificate", f"{found.path} expires on {day}", remedy)
        return Finding(check="certificate", detail=f"{found.path}, valid until {day}")

    async def introduce(self) -> list[Finding]:
        now = self._clock()
        try:
            rendered = wire.render(introduction.MESSAGE, topic=self._app.topic, started_at=now)
        except InvalidMessage as error:
            return [problem("topic", str(error), f"Give the bundle id as `{settings_of(self.name)}.topic`.")]
        return await introduction.introduce(self, rendered, NO_TOKEN, "BadDeviceToken", now)

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(
            message, topic=self._app.topic, started_at=campaign.started_at, collapse_id=campaign.collapse_id
        )

    def collapses(self, rendered: wire.Rendered) -> bool:
        return any(name == b"apns-collapse-id" for name, _ in rendered.headers)

    def payload(self, rendered: wire.Rendered) -> bytes:
        return rendered.body

    def size(self, rendered: wire.Rendered) -> PayloadSize:
        return rendered.size

    def visible(self, payload: Mapping[str, Any], message: Message) -> Shown:
        return visible(payload, message.apns.image_key)

    def encoder(
        self, access: Access, authorization: bytes | None, campaign_id: str, recipients: Sequence[bytes]
    ) -> Encode[wire.Rendered]:
        ids = wire.push_ids(campaign_id, recipients)
        templates: dict[tuple[Header, ...], Template] = {}

        def encode(rendered: wire.Rendered, tokens: Sequence[bytes], positions: Sequence[int] | None) -> Encoded:
            template = templates.get(rendered.headers)
            if template is None:
                template = wire.template(rendered, authority=self._authority, authorization=authorization)
                templates[rendered.headers] = template
            chosen = ids if positions is None else [ids[position] for position in positions]
            return wire.encode(template, rendered, tokens, chosen)

        return encode
