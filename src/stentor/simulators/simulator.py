"""Starting and stopping a strict simulator, and what a test or a person can reach of it while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stentor.simulators.clock import MovableClock
from stentor.simulators.control import ControlServer
from stentor.simulators.delays import Delays
from stentor.simulators.faults import Faults, Trigger
from stentor.simulators.ledger import ProviderLedger
from stentor.simulators.listener import Listener
from stentor.simulators.peer import Http1Factory, Peer
from stentor.simulators.tls import ServerTls
from stentor.simulators.world import Provider, World


class Simulator:
    """What all providers' simulators have in common. Use it as `async with ApnsSimulator(...) as apns:`."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int | None = None,
        directory: Path | str | None = None,
        seed: int = 0,
        faults: Faults | None = None,
        clock: MovableClock | None = None,
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._wanted_control_port = control_port
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="stentor-simulator-")
        self.directory = Path(directory) if directory else Path(self._temporary.name if self._temporary else ".")
        self.clock = clock or MovableClock()
        self.world = World(seed=seed, faults=faults or Faults(), clock=self.clock)
        self.tls = self._make_tls()
        self.provider = self._make_provider()
        self._peers: set[Peer] = set()
        self._listener: Listener | None = None
        self._delays: Delays | None = None
        self._control: ControlServer | None = None

    def __repr__(self) -> str:
        where = self.url if self._listener else "not started"
        return f"<{type(self).__name__} {where}, {self.world.tally.accepted} accepted>"

    # What a provider's simulator adds.

    def _make_tls(self) -> ServerTls:
        raise NotImplementedError

    def _make_provider(self) -> Provider:
        raise NotImplementedError

    def _http1(self) -> Http1Factory | None:
        """The protocol for clients that chose HTTP/1.1; None where that is no choice."""
        return None

    # Its life.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._delays = delays = Delays()
        http1 = self._http1()
        self._listener = Listener(
            self.world,
            self.tls.context,
            lambda: Peer(self.world, self.provider, delays, self._peers, http1),
            self._peers,
        )
        self._listener.start(self._host, self._wanted_port)
        if self._wanted_control_port is not None:
            self._control = ControlServer(self.world)
            await self._control.start(self._wanted_control_port)
        self._on_started()

    def _on_started(self) -> None:
        """The port is known now."""

    async def stop(self) -> None:
        """Close everything; the ledger and the counts stay readable."""
        if self._listener is not None:
            await self._listener.stop()
        for peer in list(self._peers):
            peer.abort()
        while self._peers:  # noqa: ASYNC110 - each leaves in its connection_lost, a round or two of the loop from now
            await asyncio.sleep(0)
        if self._delays is not None:
            self._delays.close()
        if self._control is not None:
            await self._control.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def serve_until(self, stopped: asyncio.Event) -> None:
        """Run until the event is set."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self)
            await stopped.wait()

    # What can be seen of it.

    @property
    def port(self) -> int:
        if self._listener is None:
            raise RuntimeError("the simulator is not started")
        return self._listener.port

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self.port}"

    @property
    def control_url(self) -> str | None:
        return self._control.url if self._control else None

    @property
    def ca_file(self) -> Path:
        return self.tls.ca_file

    @property
    def ledger(self) -> ProviderLedger:
        return self.world.ledger

    @property
    def violations(self) -> list[str]:
        """What clients did that HTTP/2 forbids; a correct client leaves this empty."""
        return self.world.violations

    @property
    def faults(self) -> Faults:
        return self.world.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.world.set_faults(faults)

    @property
    def connections(self) -> int:
        """HTTP/2 connections open now."""
        return len(self._peers)

    def summary(self) -> dict[str, Any]:
        return self.world.summary()

    def facts(self) -> dict[str, Any]:
        """Where it is and what a sender needs, as `stentor simulate --json` prints it."""
        return {
            "provider": self.provider.name,
            "mode": "strict",
            "url": self.url,
            "port": self.port,
            "control_url": self.control_url,
            "control_port": self._control.port if self._control else None,
            "ca_file": str(self.ca_file),
            "directory": str(self.directory),
            "seed": self.world.seed,
            **self.provider.facts(),
        }

    def script(self, *triggers: Trigger) -> None:
        """Let these happen at their request numbers, counted from now; other faults stay as they are."""
        self.world.set_faults(replace(self.world.faults, script=triggers))

    def client_context(self) -> ssl.SSLContext:
        """A client's TLS context that trusts this simulator, ALPN h2."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.set_alpn_protocols(["h2"])
        return context
