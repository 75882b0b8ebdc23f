"""A lane to FCM: a project's service account, its connections, and `wire.py` between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stentor.errors import CredentialError, CredentialUnavailable
from stentor.findings import Finding, problem, warning
from stentor.http2.pool import PoolOptions
from stentor.model import Message
from stentor.providers import introduction
from stentor.providers.base import setting, settings_of
from stentor.providers.contract import Encoded, json_object
from stentor.providers.fcm import wire
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.fcm.credentials import FcmTokenSource
from stentor.providers.fcm.payload import visible
from stentor.providers.fcm.reasons import TABLE
from stentor.providers.http2_lane import Access, Encode, Http2Lane
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import PayloadSize
from stentor.providers.shown import Shown

QUOTA = 600_000
"""Messages a minute that a project may send unless Google granted it more."""
NO_TOKEN = b"stentor-doctor"
"""Of no device."""
_DEFAULT_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


class FcmLane(Http2Lane[wire.Rendered]):
    """One project of FCM. `clock` gives epoch seconds."""

    provider_ceiling = QUOTA / 60
    decode = staticmethod(wire.decode)
    doubts = staticmethod(wire.doubts)
    decode_goaway = staticmethod(wire.decode_goaway)
    _app: FcmApp

    def __init__(self, app: FcmApp, name: str, clock: Callable[[], float], options: PoolOptions | None = None) -> None:
        super().__init__(app, name, TABLE, clock, options, wire.AUTHORITY)

    @property
    def files(self) -> Sequence[Path | None]:
        app = self._app
        named = os.environ.get(_DEFAULT_CREDENTIALS) if app.service_account_file is None else None
        return (app.service_account_file, Path(named) if named else None)

    def load(self) -> Access:
        app, endpoint = self._app, self._endpoint()
        with setting(self.name, "service_account_file"):
            if app.service_account_file is None:
                source = FcmTokenSource.application_default(clock=self._clock, ca_file=app.ca_file, proxy=app.proxy)
            else:
                source = FcmTokenSource.from_file(
                    app.service_account_file,
                    clock=self._clock,
                    token_uri=app.token_url,
                    ca_file=app.ca_file,
                    proxy=app.proxy,
                )
        return Access(endpoint=endpoint, credentials=source, close=source.close)

    def describe(self) -> Finding:
        app, access, check = self._app, self._opened.current, "credentials"
        assert access is not None
        assert isinstance(access.credentials, FcmTokenSource)
        source = str(app.service_account_file or "Google's application default credentials")
        own, setting_ = access.credentials.project_id, f"`{settings_of(self.name)}.project`"
        project = app.project or own
        if project is None:
            return warning(check, f"{source} may not name a project", f"Give the project's id as {setting_}.")
        if own is not None and own != project:
            return warning(
                check,
                f"{source} belongs to the project {own}, but sends to {project}",
                f"If you don't want that, remove {setting_}. If you do, grant the account the right to send there.",
            )
        return Finding(check=check, detail=f"{source}, project {project}")

    async def introduce(self) -> list[Finding]:
        now = self._clock()
        rendered = wire.render(introduction.MESSAGE, started_at=now)
        try:
            return await introduction.introduce(self, rendered, NO_TOKEN, "INVALID_ARGUMENT:token", now)
        except CredentialUnavailable as error:
            remedy = (
                f"Check that this machine can reach the token server (firewall, `proxy` of [{settings_of(self.name)}])."
            )
            return [problem("credentials", str(error), remedy)]

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(message, started_at=campaign.started_at, collapse_id=campaign.collapse_id)

    def collapses(self, rendered: wire.Rendered) -> bool:
        """Android shows one notification for each tag, and knows a collapse key where there is nothing to show."""
        message = json_object(b"{" + rendered.after(rendered.started_at)[2:-1]) or {}
        newer = message.get("android_v2", {})
        if newer and "android" not in message:
            tag = newer.get("remote_notification", {}).get("notification", {}).get("tag")
            return bool(newer.get("collapse_key") if "background_sync" in newer else tag)
        android = message.get("android", {})
        shown = "notification" in message or "notification" in android
        return bool(android.get("notification", {}).get("tag") if shown else android.get("collapse_key"))

    def payload(self, rendered: wire.Rendered) -> bytes:
        return rendered.before + "…".encode() + rendered.after(rendered.started_at)

    def size(self, rendered: wire.Rendered) -> PayloadSize:
        return rendered.size

    def visible(self, payload: Mapping[str, Any], message: Message) -> Shown:
        return visible(payload)

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

        now = self._clock()

        def encode(rendered: wire.Rendered, addresses: Sequence[bytes], _: Sequence[int] | None) -> Encoded:
            return wire.encode(template, rendered, addresses, now)

        return encode
