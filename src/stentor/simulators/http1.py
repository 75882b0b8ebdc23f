"""HTTP/1.1 for the providers that speak it too: the same judge, behind a library's parser."""

from __future__ import annotations

import asyncio
from collections.abc import Container

from aiohttp import web

from stentor.simulators.injector import Act
from stentor.simulators.request_headers import Header
from stentor.simulators.world import Provider, World

_ACCIDENTS = ("drop_after_accept", "drop_before_body", "hang", "malformed")


class Http1Door:
    def __init__(self, world: World, provider: Provider, *, spared: Container[str] = ()) -> None:
        """Args:
        spared: paths of requests that send nothing. The others meet those of the faults that a plain connection can
            meet: answers spoilt, connections cut, no answer at all.
        """
        self._world = world
        self._provider = provider
        self._spared = spared
        self._closing = asyncio.Event()
        self._session = provider.open_session(None)
        self._server = web.Server(self._handle, access_log=None)

    def __repr__(self) -> str:
        return f"<Http1Door {len(self._server.connections)} connections>"

    def protocol(self) -> asyncio.Protocol:
        return self._server()

    async def close(self) -> None:
        self._closing.set()
        await cut(self._server)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        headers: list[Header] = [(b":method", request.method.encode()), (b":path", request.path_qs.encode())]
        headers += [(name.lower(), value) for name, value in request.raw_headers]
        transport, act = request.transport, None if request.path in self._spared else self._accident()
        do = act.do if act else None
        if do == "drop_before_body":
            return _nothing(transport)
        answer = self._provider.judge(self._session, headers, await request.read())
        if act is not None and do == "malformed":
            answer = self._provider.malform(act.malformed, answer)
        number = self._world.record(answer)
        if do == "hang":
            await self._closing.wait()
        if do in ("hang", "drop_after_accept"):
            return _nothing(transport)
        delay = self._world.latency(answer.address) + answer.delay_s
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

    def _accident(self) -> Act | None:
        """What befalls the next request, if anything does."""
        injector = self._world.injector
        left = injector.headers_until_cut()
        injector.opened_streams += 1
        if left == 1:
            self._world.tally.injected["drop_before_body"] += 1
            return Act("drop_before_body")
        act = injector.on_request() if injector.touches_requests else None
        if act is None or act.do not in _ACCIDENTS:
            return None
        self._world.tally.injected[act.do] += 1
        return act


def _nothing(transport: asyncio.Transport | None) -> web.Response:
    """Cut the connection, so that no answer gets out; the library wants one all the same."""
    if transport is not None:
        transport.abort()
    return web.Response()


async def cut(server: web.Server) -> None:
    """Cut all connections: closing them politely would wait for clients that keep theirs alive."""
    for handler in server.connections:
        transport = getattr(handler, "transport", None)
        if transport is not None:
            transport.abort()
    while server.connections:  # noqa: ASYNC110 - each leaves a round or two of the loop from now
        await asyncio.sleep(0)
