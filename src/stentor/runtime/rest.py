"""To wait for a while, or until somebody wants no more of it."""

from __future__ import annotations

import asyncio


async def rest(seconds: float, stop: asyncio.Event | None) -> None:
    """Returns after so long, or when `stop` is set."""
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
