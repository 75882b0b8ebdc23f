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
    """A gateway that receives messages as signed webhooks, or recipients that receive them directly."""

    secrets: ClassVar[tuple[str, ...]] = ("secret_file",)
    channel: Literal["webhook"] = "webhook"
    """The provider: `webhook`."""
    target: Annotated[str, AfterValidator(_check_target)] = Field(
        repr=False, examples=["https://gateway.example.com/messages"]
    )
    """The https URL to post messages to, or `address` if each recipient's address is such a URL."""
    secret_file: File = Field(examples=["webhook-secret.txt"])
    """A file with the signing secret, `whsec_…`. While you change the secret, put the next one on a second line."""
    allow_private: bool = False
    """If `target` is `address`: also post to addresses in private networks."""


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
