"""What the store cannot hold of one settlement keeps no other from being recorded.

Text is made storable where it is written (`store.text`), so that this hardly ever happens: a number that is beyond
what a column takes, say, from a channel of another package. Rules: whoever was settled is settled as told, and only
what was said of it is left out; what cannot be recorded even so is put aside.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import msgspec

from stentor.account import Failure
from stentor.errors import StoreRefused
from stentor.recording.contract import Settlement

logger = logging.getLogger(__name__)

UNRECORDABLE = "Unrecordable"
"""The reason of failures whose own reason the store cannot hold."""


async def write_around(
    settlements: Sequence[Settlement], write: Callable[[Sequence[Settlement]], Awaitable[None]]
) -> list[tuple[Settlement, StoreRefused]]:
    """Have settlements written, all at once if the store takes them so, and else each by itself.

    Args:
        write: writes some, or raises StoreRefused and has written none.

    Returns: those that cannot be written, and why.

    Raises: what `write` raises beside that; some may have been written then.
    """
    try:
        await write(settlements)
    except StoreRefused as error:
        if len(settlements) == 1:
            return await _write_bare(settlements[0], error, write)
        return [refused for each in settlements for refused in await write_around([each], write)]
    return []


async def _write_bare(
    settlement: Settlement, error: StoreRefused, write: Callable[[Sequence[Settlement]], Awaitable[None]]
) -> list[tuple[Settlement, StoreRefused]]:
    """A settlement with nothing but how everybody ended."""
    name, facts = settlement.lease.id, settlement.lease.facts
    logger.error("batch %s is recorded without what was said of its failures: %s", name, error, extra=facts)
    account = settlement.account
    if account is not None:
        failures = tuple(
            Failure(
                position=each.position,
                outcome=each.outcome,
                reason=UNRECORDABLE,
                detail=str(error),
                tries=min(each.tries, 1),
            )
            for each in account.failures
        )
        account = msgspec.structs.replace(account, failures=failures)
    try:
        await write([replace(settlement, batch=None, account=account)])
    except StoreRefused as again:
        logger.error("batch %s cannot be recorded, and is put aside: %s", name, again, extra=facts)
        return [(settlement, again)]
    return []
