"""FCM as a channel: the settings of an app, and what its addresses look like."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from stentor.channels import BadAddress, Channel
from stentor.settings import App, File, TokenUrl

_APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_PRINTABLE = re.compile(r"[!#-\[\]-~]+", re.ASCII)  # needs no escape in JSON
_LENGTHS = range(20, 4097)


class FcmApp(App):
    """A Firebase project."""

    secrets: ClassVar[tuple[str, ...]] = ("service_account_file",)
    channel: Literal["fcm"] = "fcm"
    """The provider: `fcm`."""
    service_account_file: File | None = Field(default=None, examples=["service-account.json"])
    """The key file of a service account, or the configuration of a workload identity federation. Left out: use Google's
    application default credentials."""
    project: str | None = Field(default=None, min_length=1, examples=["my-project"])
    """The project's id. Left out: the id from the service account."""
    token_url: TokenUrl | None = Field(default=None, examples=["https://127.0.0.1:2198/token"])
    """Get access tokens from this URL, instead of from the one in the service account's file."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no registration token."""
    if _APNS_TOKEN.fullmatch(address):
        return BadAddress(rule="address of another channel", detail="it looks like an APNs token")
    if not _PRINTABLE.fullmatch(address) or len(address) not in _LENGTHS:
        detail = "an FCM token is printable text without blanks, mostly 142 or more"
        return BadAddress(rule="malformed address", detail=detail)
    return None


CHANNEL = Channel(
    name="fcm",
    title="FCM",
    app=FcmApp,
    lane="stentor.providers.fcm.lane:FcmLane",
    table="stentor.providers.fcm.reasons:TABLE",
    check_address=check_address,
    example_app="android",
)
