"""The settings of an app, what its addresses look like, and `CHANNEL`, by which Stentor finds the rest.

Every process of Stentor's reads this module as soon as an app is on this channel, so it loads no library: the lane
comes with the first message.
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from stentor.channels import BadAddress, Channel
from stentor.settings import App, File

_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}", re.ASCII)


class NtfyApp(App):
    """An ntfy server."""

    secrets: ClassVar[tuple[str, ...]] = ("token_file",)
    channel: Literal["ntfy"] = "ntfy"
    """Which provider: `ntfy`."""
    token_file: File | None = Field(default=None, examples=["ntfy-token.txt"])
    """A file with nothing but an access token (`tk_…`). Left out: topics that everybody may write to."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no topic."""
    if _TOPIC.fullmatch(address):
        return None
    detail = "a topic is 1 to 64 letters, digits, hyphens and underscores"
    return BadAddress(rule="malformed topic", detail=detail)


CHANNEL = Channel(
    name="ntfy",
    title="ntfy",
    app=NtfyApp,
    lane="stentor_ntfy.lane:NtfyLane",
    table="stentor_ntfy.reasons:TABLE",
    check_address=check_address,
    example_app="alerts",
)
