"""Web Push as a channel: the settings of an app, and what its addresses look like."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from stentor.channels import BadAddress, Channel
from stentor.settings import App, File, split

_SUBJECT = re.compile(r"mailto:[^\s<>@,]+@[^\s<>@,]+\.[^\s<>@,.]+|https://[^\s<>/:@]+\.[^\s<>/:@.]+(/[^\s<>]*)?")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def _check_subject(subject: str) -> str:
    if not _SUBJECT.fullmatch(subject):
        raise ValueError("must be mailto:you@example.com or https://example.com, where push services can reach you")
    return subject


def _check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError("must be host names, such as fcm.googleapis.com or *.push.apple.com")
    return hosts


class WebPushApp(App):
    """A web app: the key that its browsers were subscribed with."""

    secrets: ClassVar[tuple[str, ...]] = ("private_key_file",)
    channel: Literal["webpush"] = "webpush"
    """The provider: `webpush`."""
    private_key_file: File = Field(examples=["vapid.pem"])
    """The VAPID private key. `stentor keys vapid --out vapid.pem` makes one. Subscriptions are bound to this key."""
    subject: Annotated[str, AfterValidator(_check_subject)] = Field(examples=["mailto:push@example.com"])
    """An address where push services can reach you if something is wrong: `mailto:` or `https:`."""
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(split), AfterValidator(_check_hosts)] = Field(
        default=(), examples=[["fcm.googleapis.com", "updates.push.services.mozilla.com", "*.push.apple.com"]]
    )
    """Send only to these push services. `*.` before a name means all hosts below it. Left out: any public one."""
    deletes_at: Annotated[tuple[str, ...], BeforeValidator(split), AfterValidator(_check_hosts)] = Field(
        default=("*.push.services.mozilla.com",), examples=[["*.push.services.mozilla.com"]]
    )
    """The push services that can delete a message before it is delivered. An undo asks them to do this first."""
    allow_private_endpoints: bool = False
    """Allow endpoints in private networks and on any port. For simulators only: endpoints come from strangers."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no subscription."""
    from stentor.providers.webpush import endpoints  # noqa: PLC0415 - see `stentor.channels`

    try:
        endpoints.parse_endpoint(endpoints.parse_subscription(address).endpoint)
    except endpoints.MalformedEndpoint as error:
        return BadAddress(rule="malformed address", detail=str(error))
    return None


CHANNEL = Channel(
    name="webpush",
    title="Web Push",
    app=WebPushApp,
    lane="stentor.providers.webpush.lane:WebPushLane",
    table="stentor.providers.webpush.reasons:ALL",
    check_address=check_address,
    receipt_beside=True,
    example_app="web",
)
