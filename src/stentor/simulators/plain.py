"""What the simulators of providers that speak HTTP/1.1 alone have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from stentor.simulators.http1 import Http1Door
from stentor.simulators.peer import Http1Factory
from stentor.simulators.simulator import Simulator
from stentor.simulators.tls import ServerTls, make_server_tls


class PlainSimulator(Simulator):
    """A subclass makes the provider; the keyword arguments are those of `Simulator`."""

    name: ClassVar[str]
    """The provider's, which begins those of its files."""

    def __init__(self, **where: Any) -> None:
        self._door: Http1Door | None = None
        super().__init__(**where)

    def _make_tls(self) -> ServerTls:
        return make_server_tls(self.directory, provider=self.name, alpn=("http/1.1",))

    def _http1(self) -> Http1Factory:
        self._door = Http1Door(self.world, self.provider)
        return self._door.protocol

    async def stop(self) -> None:
        if self._door is not None:
            await self._door.close()
        await super().stop()
