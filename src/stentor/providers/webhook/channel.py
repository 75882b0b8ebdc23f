"""Webhooks as a channel: the settings of an app, and what its addresses look like."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from stentor.channels import BadAddress, Channel
from stentor.settings import App, File

ADDRESS = "address"
"""The `target` where each recipient's address is a URL."""
LONGEST = 2048


def _check_target(url: str) -> str:
    if url == ADDRESS:
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme == "https" and parts.port != 0 else None
        good = host and "@" not in parts.netloc and not parts.fragment
    except ValueError:  # no such port
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ValueError('must be https://host/path, or "address" where each recipient\'s address is that')
    return url


class WebhookApp(App):
    """A gateway that takes messages as signed webhooks, or recipients that do so themselves."""

    secrets: ClassVar[tuple[str, ...]] = ("secret_file",)
    channel: Literal["webhook"] = "webhook"
    """Which provider: `webhook`."""
    target: Annotated[str, AfterValidator(_check_target)] = Field(
        repr=False, examples=["https://gateway.example.com/messages"]
    )
    """Where messages are posted: an https address; or `address` where each recipient's address is one itself."""
    secret_file: File = Field(examples=["webhook-secret.txt"])
    """A file with the secret that signs them, `whsec_…`; on a second line the next one, while you change it."""
    allow_private: bool = False
    """With `target = "address"`: post to addresses in private networks too."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no address: what the gateway makes of it is its own business."""
    if not address or not address.isprintable() or len(address) > LONGEST:
        detail = f"an address is printable text of at most {LONGEST} characters"
        return BadAddress(rule="malformed address", detail=detail)
    return None


CHANNEL = Channel(
    name="webhook",
    title="Webhook",
    app=WebhookApp,
    lane="stentor.providers.webhook.lane:WebhookLane",
    table="stentor.providers.webhook.reasons:TABLE",
    check_address=check_address,
    example_app="gateway",
)
