"""The control endpoint: plain HTTP on loopback, for tests and scripts that rehearse against a running simulator."""

from __future__ import annotations

import json

from aiohttp import web

from stentor.errors import InvalidConfiguration
from stentor.simulators.faults import parse_faults
from stentor.simulators.world import World

_LARGEST_PAGE = 100_000


class ControlServer:
    def __init__(self, world: World) -> None:
        self._world = world
        self._runner: web.AppRunner | None = None
        self.port = 0

    def __repr__(self) -> str:
        return f"<ControlServer port {self.port}>"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/ledger", self._ledger),
                web.get("/summary", self._summary),
                web.post("/faults", self._faults),
                web.post("/reset", self._reset),
                web.post("/clock", self._clock),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _ledger(self, request: web.Request) -> web.Response:
        try:
            after = int(request.query.get("after", "-1"))
            limit = min(int(request.query.get("limit", "1000")), _LARGEST_PAGE)
        except ValueError:
            raise web.HTTPBadRequest(text="after and limit must be numbers") from None
        entries = self._world.ledger.page(after, limit)
        following = entries[-1].number if entries and entries[-1].number + 1 < len(self._world.ledger) else None
        return web.json_response({"entries": [entry._asdict() for entry in entries], "next_after": following})

    async def _summary(self, request: web.Request) -> web.Response:
        return web.json_response(self._world.summary())

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            tree = await request.json()
            if not isinstance(tree, dict):
                raise InvalidConfiguration("faults: a table of sections is wanted")
            self._world.set_faults(parse_faults(tree))
        except (json.JSONDecodeError, InvalidConfiguration) as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return web.json_response({"ok": True})

    async def _reset(self, request: web.Request) -> web.Response:
        self._world.reset()
        return web.json_response({"ok": True})

    async def _clock(self, request: web.Request) -> web.Response:
        try:
            self._world.clock.advance(float((await request.json())["advance_s"]))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            raise web.HTTPBadRequest(text='{"advance_s": seconds} is wanted') from None
        return web.json_response({"now": self._world.clock()})
