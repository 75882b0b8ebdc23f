"""A lane to an ntfy server: what `HttpLane` asks of a provider, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stentor.errors import CredentialError
from stentor.model import Message
from stentor.providers.base import read_text, setting
from stentor.providers.contract import NO_ADDRESS_OF_OURS, Answer, Taken
from stentor.providers.http_lane import HttpLane
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import to_json
from stentor.providers.rendering import PreparedContent
from stentor_ntfy import wire
from stentor_ntfy.channel import NtfyApp, check_address
from stentor_ntfy.reasons import TABLE

SERVER = "https://ntfy.sh"
_TOKEN = re.compile(r"\w+", re.ASCII)

Rendered = dict[str, Any]


class NtfyLane(HttpLane[Rendered, str | None]):
    """One server. `clock` gives epoch seconds."""

    def __init__(self, app: NtfyApp, name: str, clock: Callable[[], float]) -> None:
        super().__init__(app, name, TABLE, clock, app.rate)
        self._token_file = app.token_file
        self._url = app.url or SERVER

    @property
    def files(self) -> Sequence[Path | None]:
        return (self._token_file,)

    def load(self) -> str | None:
        if self._token_file is None:
            return None
        with setting(self.name, "token_file"):
            token = read_text(self._token_file).strip()
            if not _TOKEN.fullmatch(token):
                raise CredentialError(f"{self._token_file} must hold an access token, and nothing else")
            return token

    def render(self, message: Message, campaign: CampaignContent) -> Rendered:
        return wire.render(message)

    def collapses(self, rendered: Rendered) -> bool:
        return False

    def payload(self, rendered: Rendered) -> bytes:
        return to_json({"topic": "…", **rendered}, "message")

    def request(
        self,
        credentials: str | None,
        prepared: PreparedContent[Rendered],
        rendered: Rendered,
        recipient: bytes,
        address: bytes,
    ) -> Request | Answer:
        topic = address.decode(errors="replace")
        if check_address(topic) is not None:
            return NO_ADDRESS_OF_OURS
        return wire.request(self._url, credentials, rendered, topic)

    def decode(self, response: Response, address: bytes, now: float) -> Taken | Answer:
        return wire.decode(response, now)
