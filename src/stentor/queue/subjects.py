"""Which subjects a stream has messages of, however many: a server names 100,000 in an answer, and more from an offset.

Rules: between two answers subjects come and go, and those behind one that went move up. So a page begins with what the
one before ended with; where it doesn't, some may have moved past it, and it is asked for again from further ahead.
"""

from __future__ import annotations

import json
from typing import Final

from nats.js.errors import APIError

from stentor.queue.nats import Nats

BEYOND: Final = 2**31 - 1
"""An offset behind all subjects: the answer only says how many there are."""


async def subjects_of(nats: Nats, stream: str, filters: str) -> list[str]:
    """The subjects of a stream that match a filter, in order. Whatever was there all the time is among them.

    Raises: QueueUnavailable, InvalidConfiguration.
    """
    found: set[str] = set()
    last, offset = "", 0
    while True:
        page, total = await _page(nats, stream, filters, offset)
        if offset and (not page or page[0] > last):
            offset //= 2
            continue
        found.update(page)
        if offset + len(page) >= total:
            return sorted(found)
        last = max(last, page[-1])
        offset += len(page) - 1


async def number_of_subjects(nats: Nats, stream: str, filters: str) -> int:
    """How many subjects of a stream match a filter. Raises: as `subjects_of`."""
    _, total = await _page(nats, stream, filters, BEYOND)
    return total


async def _page(nats: Nats, stream: str, filters: str, offset: int) -> tuple[list[str], int]:
    """As many subjects as the server names at once, from the one at `offset` of all in order; and how many match."""
    asked = json.dumps({"subjects_filter": filters, "offset": offset}).encode()
    async with nats.trouble():
        answer = json.loads(await nats.request(f"$JS.API.STREAM.INFO.{stream}", asked))
        if "error" in answer:
            raise APIError.from_error(answer["error"])
    return sorted(answer["state"].get("subjects") or ()), answer["total"]
