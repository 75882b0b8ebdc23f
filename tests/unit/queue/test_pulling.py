"""Pulling: what a server says in place of messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from stentor.queue.nats import Nats, StreamGone
from stentor.queue.pulling import Puller


class ClientDouble:
    """Answers each request with the same status."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self._receive: Callable[[Msg], Awaitable[None]] | None = None

    def new_inbox(self) -> str:
        return "inbox"

    async def subscribe(self, _subject: str, cb: Callable[[Msg], Awaitable[None]]) -> None:
        self._receive = cb

    async def publish(self, _subject: str, _payload: bytes, reply: str) -> None:
        assert self._receive is not None
        await self._receive(Msg(cast("Client", self), subject=reply, headers=self._headers))


class NatsDouble:
    name = "NATS on example.com"

    def __init__(self, headers: dict[str, str]) -> None:
        self._client = ClientDouble(headers)

    async def client(self) -> Any:
        return self._client

    @asynccontextmanager
    async def trouble(self) -> AsyncIterator[None]:
        yield


async def test_a_consumer_that_has_nothing_gives_nothing() -> None:
    nats = NatsDouble({"Status": "404", "Description": "No Messages"})
    assert await Puller(cast("Nats", nats), "stream", "consumer", 30.0).pull(5) == []


async def test_of_a_status_that_goes_on_with_headers_the_status_is_told() -> None:
    nats = NatsDouble({"Status": "503", "Description": "\nNats-Subject: $JS.API.CONSUMER.MSG.NEXT.stream.consumer"})
    with pytest.raises(StreamGone) as gone:
        await Puller(cast("Nats", nats), "stream", "consumer", 30.0).pull(5)
    assert str(gone.value) == "NATS on example.com says of a consumer: 503."
