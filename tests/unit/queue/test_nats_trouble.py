"""Errors of the client and of the loop beneath it leave as ours."""

from __future__ import annotations

import pytest

from stentor.config import QueueConfig
from stentor.errors import QueueUnavailable
from stentor.queue.nats import Nats


async def test_a_connection_that_was_lost_a_moment_ago_is_one_that_cannot_be_reached() -> None:
    """uvloop says so before the client has noticed."""
    nats = Nats(QueueConfig(url="nats://127.0.0.1:1"))
    with pytest.raises(QueueUnavailable):
        async with nats.trouble():
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    with pytest.raises(RuntimeError, match="ours"):
        async with nats.trouble():
            raise RuntimeError("a mistake of ours")
