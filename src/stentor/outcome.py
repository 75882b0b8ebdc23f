"""What became of a recipient (`Outcome`), and what a provider's answer asks of us (`Verdict`).

Both are small ints, so that a column of them is a `bytearray`. A verdict is advice about one request; an outcome is the
last word about one recipient. Some verdicts settle a recipient (`SETTLES`), the others ask for something first.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from types import MappingProxyType


class Outcome(IntEnum):
    """What became of one recipient. Every recipient ends in exactly one that is terminal."""

    PENDING = 0
    """Not settled yet: not sent, or to be sent again."""
    ACCEPTED = 1
    """The provider took it. Whether the device shows it is not ours to know."""
    REJECTED = 2
    """The provider (or a check before it) refused this recipient, or this message for it."""
    EXPIRED = 3
    """The message's lifetime ended before the provider took it."""
    CANCELLED = 4
    """The campaign was cancelled before it was sent."""
    AMBIGUOUS = 5
    """Written to the provider, never answered, and sending again might have shown it twice."""

    @property
    def is_terminal(self) -> bool:
        return self is not Outcome.PENDING


class Verdict(IntEnum):
    """What a provider's answer asks for."""

    ACCEPT = 0
    """Taken; nothing to do."""
    RETRY = 1
    """Send again: not before `Answer.retry_after` seconds, then with backoff, within the message's lifetime."""
    DROP = 2
    """Permanent for this address: reject the recipient and report the address as dead."""
    REJECT = 3
    """Refused for this recipient alone; says nothing about whether the address is alive."""
    FIX = 4
    """The message itself is wrong and fails for everybody: stop it and tell whoever wrote it."""
    STOP = 5
    """Credentials, configuration or account: pause what `Answer.scope` names; no address is at fault."""
    REFRESH = 6
    """Get a new short-lived credential once and send again once; if that is refused too, STOP."""
    REROUTE = 7
    """Send again to another address or host, and keep the new one."""
    RECONNECT = 8
    """This connection serves no longer: send again on another one."""
    AMBIGUOUS = 9
    """It may have been accepted. Send again only where the provider collapses the second one into the first."""

    WAIT = 10
    """Not asked yet: our own pace doesn't allow it before `Answer.retry_after` seconds. No try, and nobody's fault."""


class Scope(StrEnum):
    """How far an answer reaches: who else would get the same one."""

    ADDRESS = "address"
    """This recipient alone."""
    MESSAGE = "message"
    """Every recipient of this message."""
    PLATFORM = "platform"
    """The recipients of one platform within the lane, e.g. the iOS share of an FCM project."""
    CONNECTION = "connection"
    """What is sent over this connection."""
    CREDENTIAL = "credential"
    """What is sent with this short-lived credential."""
    LANE = "lane"
    """The whole lane, where many get the same; of a single one nobody knows."""
    ACCOUNT = "account"
    """The whole lane, by a provider that means all of it even when it tells only one."""


SETTLES = MappingProxyType(
    {
        Verdict.ACCEPT: Outcome.ACCEPTED,
        Verdict.DROP: Outcome.REJECTED,
        Verdict.REJECT: Outcome.REJECTED,
        Verdict.FIX: Outcome.REJECTED,
    }
)
"""The verdicts after which a recipient is done with, and its outcome."""
