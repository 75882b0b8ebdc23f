"""A lane to FCM: a project's service account, its connections, and `wire.py` between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from stentor.errors import CredentialError
from stentor.http2.pool import PoolOptions
from stentor.http2.transport import Endpoint, tls_context
from stentor.model import Message
from stentor.providers.contract import Encoded, json_object
from stentor.providers.fcm import wire
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.fcm.credentials import FcmTokenSource
from stentor.providers.fcm.reasons import TABLE
from stentor.providers.http2_lane import PATIENCE, Access, Encode, Http2Lane, address_of, setting
from stentor.providers.lane import CampaignContent

QUOTA = 600_000
"""Messages a minute that a project may send unless Google granted it more."""
_DEFAULT_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


class FcmLane(Http2Lane[wire.Rendered]):
    """One project of FCM. `clock` gives epoch seconds."""

    provider_ceiling = QUOTA / 60

    def __init__(self, app: FcmApp, name: str, clock: Callable[[], float], options: PoolOptions | None = None) -> None:
        options = options or PoolOptions(max_connections=app.max_connections, patience=PATIENCE)
        super().__init__(f"fcm/{name}", options, TABLE, wire.decode, wire.decode_goaway, app.rate)
        self._app = app
        self._clock = clock
        self._host, self._port, self._authority = address_of(app.url or f"https://{wire.AUTHORITY}")

    @property
    def files(self) -> Sequence[Path | None]:
        app = self._app
        named = os.environ.get(_DEFAULT_CREDENTIALS) if app.service_account_file is None else None
        return (app.service_account_file, Path(named) if named else None, app.ca_file)

    def load(self) -> Access:
        app = self._app
        with setting(self.name, "ca_file"):
            tls = tls_context(ca_file=app.ca_file)
        with setting(self.name, "proxy"):
            endpoint = Endpoint(host=self._host, port=self._port, tls=tls, proxy=app.proxy)
        with setting(self.name, "service_account_file"):
            if app.service_account_file is None:
                source = FcmTokenSource.application_default(clock=self._clock, ca_file=app.ca_file)
            else:
                source = FcmTokenSource.from_file(
                    app.service_account_file, clock=self._clock, token_uri=app.token_url, ca_file=app.ca_file
                )
        return Access(endpoint=endpoint, credentials=source, close=source.close)

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(message, started_at=campaign.started_at, collapse_id=campaign.collapse_id)

    def collapses(self, rendered: wire.Rendered) -> bool:
        """Android shows one notification for each tag, and knows a collapse key where there is nothing to show."""
        message = json_object(b"{" + rendered.after[2:-1]) or {}
        android = message.get("android", {})
        shown = "notification" in message or "notification" in android
        return bool(android.get("notification", {}).get("tag") if shown else android.get("collapse_key"))

    def payload(self, rendered: wire.Rendered) -> bytes:
        return rendered.before + "…".encode() + rendered.after

    def encoder(
        self, access: Access, authorization: bytes | None, campaign_id: str, recipients: Sequence[bytes]
    ) -> Encode[wire.Rendered]:
        source = access.credentials
        assert isinstance(source, FcmTokenSource)
        assert authorization is not None
        project = self._app.project or source.project_id
        with setting(self.name, "project"):
            if project is None:
                raise CredentialError("the credentials don't say which Firebase project they are for; set its id here")
            template = wire.template(
                project=project,
                authority=self._authority,
                authorization=authorization,
                quota_project=source.quota_project,
            )

        def encode(rendered: wire.Rendered, addresses: Sequence[bytes], _: Sequence[int] | None) -> Encoded:
            return wire.encode(template, rendered, addresses)

        return encode
