"""An address that swallows packets."""

from __future__ import annotations

import asyncio

import pytest

from stentor.testing.blackhole import BlackHole


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_whoever_connects_hears_nothing(host: str) -> None:
    try:
        hole = BlackHole(host)
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error.strerror}")
    with hole, pytest.raises(TimeoutError):  # a refusal would be an OSError of another class, and come at once
        await asyncio.wait_for(asyncio.open_connection(*hole.address), 0.3)
