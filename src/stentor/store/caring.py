"""Whom a campaign leaves alone, as it is stored with it."""

from __future__ import annotations

import msgspec


class CareSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a campaign leaves alone, beside those who said no to everything."""

    category: str | None = None
    """What it is about, as `news`: who said no to that gets nothing, and caps of that category count it."""
    exclude: tuple[str, ...] = ()
    """The names of exclusion lists: who is on one gets nothing."""
    not_reached_by: tuple[str, ...] = ()
    """The ids of campaigns: whoever one of them reached, or perhaps did, gets nothing."""
    caps: tuple[str, ...] = ()
    """Caps of its own, beside those of the configuration, as `caps.Cap` is written."""
    exempt: bool = False
    """No cap counts it, and none keeps it from anybody. Of a test, and of what changes another campaign's message."""


NO_CARE = CareSettings()


def encode_care(care: CareSettings) -> bytes | None:
    return None if care == NO_CARE else msgspec.json.encode(care)


def decode_care(encoded: bytes | None) -> CareSettings:
    return NO_CARE if encoded is None else msgspec.json.decode(encoded, type=CareSettings)


def whom(selection: bytes, care: CareSettings) -> bytes:
    """Whom a campaign is for and whom of these it leaves alone, as what is confirmed before a start (JSON)."""
    return selection + (encode_care(care) or b"")
