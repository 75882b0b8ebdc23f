"""A lane to APNs: an app's key or certificate, its connections, and `wire.py` between them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from stentor.errors import CredentialError
from stentor.http2.burst import Header, Template
from stentor.http2.pool import PoolOptions
from stentor.http2.transport import Endpoint, tls_context
from stentor.model import Message
from stentor.providers.apns import wire
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.apns.credentials import ApnsCertificate, ApnsTokenSource
from stentor.providers.apns.reasons import TABLE
from stentor.providers.contract import Encoded
from stentor.providers.http2_lane import PATIENCE, Access, Encode, Http2Lane, address_of, setting
from stentor.providers.lane import CampaignContent


class ApnsLane(Http2Lane[wire.Rendered]):
    """One app of APNs. `clock` gives epoch seconds."""

    one_credential_a_connection = True

    def __init__(self, app: ApnsApp, name: str, clock: Callable[[], float], options: PoolOptions | None = None) -> None:
        options = options or PoolOptions(max_connections=app.max_connections, patience=PATIENCE)
        super().__init__(f"apns/{name}", options, TABLE, wire.decode, wire.decode_goaway, app.rate)
        self._app = app
        self._clock = clock
        host = wire.AUTHORITY if app.environment == "production" else wire.SANDBOX_AUTHORITY
        self._host, self._port, self._authority = address_of(app.url or f"https://{host}")

    @property
    def files(self) -> Sequence[Path | None]:
        app = self._app
        certificate = (app.certificate_file, app.certificate_key_file, app.certificate_password_file)
        return (app.key_file, *certificate, app.ca_file)

    def load(self) -> Access:
        app = self._app
        with setting(self.name, "ca_file"):
            tls = tls_context(ca_file=app.ca_file)
        credentials = None
        if app.certificate_file is not None:
            self._show_certificate(tls)
        else:
            assert app.key_file is not None  # config.py sees to it
            assert app.key_id is not None
            assert app.team_id is not None
            with setting(self.name, "key_file"):
                credentials = ApnsTokenSource.from_file(
                    app.key_file, key_id=app.key_id, team_id=app.team_id, clock=self._clock
                )
        with setting(self.name, "proxy"):
            endpoint = Endpoint(host=self._host, port=self._port, tls=tls, proxy=app.proxy)
        return Access(endpoint=endpoint, credentials=credentials)

    def _show_certificate(self, tls: ssl.SSLContext) -> None:
        app, password = self._app, None
        assert app.certificate_file is not None
        if app.certificate_password_file is not None:
            with setting(self.name, "certificate_password_file"):
                try:
                    password = app.certificate_password_file.read_text().rstrip("\r\n")
                except (OSError, UnicodeDecodeError):
                    problem = "cannot be read, or isn't text"
                    raise CredentialError(f"{app.certificate_password_file} {problem}") from None
        with setting(self.name, "certificate_file"):
            certificate = ApnsCertificate.load(
                app.certificate_file, key_path=app.certificate_key_file, password=password, now=self._clock()
            )
            certificate.load_into(tls)

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(
            message, topic=self._app.topic, started_at=campaign.started_at, collapse_id=campaign.collapse_id
        )

    def collapses(self, rendered: wire.Rendered) -> bool:
        return any(name == b"apns-collapse-id" for name, _ in rendered.headers)

    def payload(self, rendered: wire.Rendered) -> bytes:
        return rendered.body

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
