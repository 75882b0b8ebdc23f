"""HTTP/1.1 for the providers that speak it too: the same judge, behind a library's parser."""

from __future__ import annotations

import asyncio

from aiohttp import web

from stentor.simulators.request_headers import Header
from stentor.simulators.world import Provider, World


class Http1Door:
    def __init__(self, world: World, provider: Provider) -> None:
        self._world = world
        self._provider = provider
        self._session = provider.open_session(None)
        self._server = web.Server(self._handle, access_log=None)

    def __repr__(self) -> str:
        return f"<Http1Door {len(self._server.connections)} connections>"

    def protocol(self) -> asyncio.Protocol:
        return self._server()

    async def close(self) -> None:
        await cut(self._server)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        headers: list[Header] = [(b":method", request.method.encode()), (b":path", request.path_qs.encode())]
        headers += [(name.lower(), value) for name, value in request.raw_headers]
        answer = self._provider.judge(self._session, headers, await request.read())
        number = self._world.record(answer)
        delay = self._world.latency(answer.address)
        if delay:
            await asyncio.sleep(delay)
        status, *others = answer.headers
        response = web.Response(
            status=int(status[1]),
            headers=[(name.decode(), value.decode()) for name, value in others],
            body=answer.body,
        )
        if number >= 0:
            self._world.ledger.mark_answered(number)
        return response


async def cut(server: web.Server) -> None:
    """Cut all connections: closing them politely would wait for clients that keep theirs alive."""
    for handler in server.connections:
        transport = getattr(handler, "transport", None)
        if transport is not None:
            transport.abort()
    while server.connections:  # noqa: ASYNC110 - each leaves a round or two of the loop from now
        await asyncio.sleep(0)
