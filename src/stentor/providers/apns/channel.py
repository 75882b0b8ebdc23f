"""APNs as a channel: the settings of an app, and what its addresses look like."""

from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from stentor.channels import BadAddress, Channel
from stentor.settings import ALTERNATIVE, App, File, listed

_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_FCM_TOKEN = re.compile(r"[!#-\[\]-~]+:[!#-\[\]-~]*", re.ASCII)
_LENGTHS = range(32, 401)  # hex digits; today's tokens have 64 or 160, and Apple may lengthen them


class ApnsApp(App):
    """An app on APNs: its bundle id, and a key or a certificate."""

    secrets: ClassVar[tuple[str, ...]] = ("key_file", "certificate_key_file", "certificate_password_file")
    channel: Literal["apns"] = "apns"
    """The provider: `apns`."""
    topic: str = Field(min_length=1, examples=["com.example.app"])
    """The bundle id of your app."""
    environment: Literal["production", "sandbox"] = "production"
    """Where the app's tokens come from: `production` (App Store, TestFlight) or `sandbox` (builds run from Xcode)."""
    key_file: File | None = Field(default=None, examples=["AuthKey_ABCDE12345.p8"])
    """The `.p8` key file from Apple. Needs `key_id` and `team_id` as well."""
    key_id: str | None = Field(default=None, examples=["ABCDE12345"])
    """The key's id: 10 capital letters and digits."""
    team_id: str | None = Field(default=None, examples=["FGHIJ67890"])
    """Your team's id: 10 capital letters and digits."""
    certificate_file: File | None = Field(default=None, examples=["push.p12"], json_schema_extra=ALTERNATIVE)
    """A certificate in a PEM or PKCS #12 file, instead of a key."""
    certificate_key_file: File | None = Field(default=None, examples=["push.key"], json_schema_extra=ALTERNATIVE)
    """A PEM file with the certificate's key, if the key isn't in the certificate's file."""
    certificate_password_file: File | None = Field(
        default=None, examples=["push.password"], json_schema_extra=ALTERNATIVE
    )
    """A file that contains only the password of the certificate's key."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        key = {"key_file": self.key_file, "key_id": self.key_id, "team_id": self.team_id}
        missing = [f"`{name}`" for name, value in key.items() if value is None]
        if self.certificate_file is not None:
            if given := [f"`{name}`" for name, value in key.items() if value is not None]:
                raise ValueError(
                    f"has `certificate_file` and {listed(given)}; give a key or a certificate, and remove the other"
                )
            return self
        for name in ("certificate_key_file", "certificate_password_file"):
            if getattr(self, name) is not None:
                raise ValueError(f"has `{name}` but no `certificate_file`; add that, or remove this")
        if missing:
            other = "" if len(missing) < len(key) else ", or `certificate_file` instead"
            raise ValueError(f"lacks {listed(missing)}; a key needs all of its file, id and team, so add that{other}")
        return self


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no device token."""
    if _FCM_TOKEN.fullmatch(address):
        return BadAddress(rule="address of another channel", detail="it looks like an FCM token")
    if not _HEX.fullmatch(address) or len(address) not in _LENGTHS or len(address) % 2:
        return BadAddress(rule="malformed address", detail="an APNs token is hex digits, mostly 64")
    return None


CHANNEL = Channel(
    name="apns",
    title="APNs",
    app=ApnsApp,
    lane="stentor.providers.apns.lane:ApnsLane",
    table="stentor.providers.apns.reasons:TABLE",
    check_address=check_address,
    example_app="ios",
)
