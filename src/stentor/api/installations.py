"""Installations of the registry as somebody may see them: a page of the list, for operations and pages alike."""

from __future__ import annotations

import msgspec

from stentor.access.caller import Caller
from stentor.access.log import WITH_ADDRESSES
from stentor.access.scopes import Scope
from stentor.api.cursors import Cursors
from stentor.api.operation import Fields
from stentor.errors import InvalidInput
from stentor.runtime.installations import Installation, InstallationPage
from stentor.runtime.stentor import Stentor

ERASED_WITHIN = 20.0
"""Seconds that erasing waits for batches on their way."""


class InstallationFilters(Fields, frozen=True, kw_only=True):
    """Which installations."""

    channel: str | None = None
    """Only those on this channel."""
    app: str | None = None
    """Only those of this app; name its channel as well."""
    dead: bool | None = None
    """Only those whose address is (or isn't) dead."""
    addresses: bool = False
    """With their addresses whole. Needs the scope `write`."""


async def installations_page(
    stentor: Stentor, caller: Caller, filters: InstallationFilters, limit: int, cursor: str | None, now: float
) -> InstallationPage:
    """Some installations.

    Args:
        cursor: the `next` of the page before; None: the first page.
        now: epoch seconds.

    Raises:
        Forbidden: addresses are asked for, and the caller may not see them.
        InvalidInput: an app without its channel.
        ProblemAnswer: the cursor is of other filters, too old, or not one of ours.
    """
    if filters.addresses:
        caller.require(Scope.WRITE)
    if filters.app is not None and filters.channel is None:
        raise InvalidInput("channel", "an app is of one channel; say which channel as well")
    cursors = Cursors(await stentor.access.signing_key())
    question = ("installations", filters.channel, filters.app, filters.dead)
    found = await stentor.installations.page(
        channel=filters.channel,
        app=filters.app,
        dead=filters.dead,
        addresses=filters.addresses,
        limit=limit,
        cursor=None if cursor is None else str(cursors.read(question, cursor, now)[0]),
    )
    if filters.addresses:
        await stentor.access.log.record(caller, "installation.list", detail=WITH_ADDRESSES)
    following = None if found.next is None else cursors.make(question, [found.next], now)
    return InstallationPage(installations=[seen(caller, each) for each in found.installations], next=following)


def seen(caller: Caller, found: Installation) -> Installation:
    """An installation as this caller may see it: without its attributes, for who may only view."""
    if caller.scope.covers(Scope.WRITE):
        return found
    return msgspec.structs.replace(found, attributes={})
