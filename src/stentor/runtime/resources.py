"""What the parts of a `Stentor` share: the settings, and what is opened by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from stentor.config import Config
from stentor.runtime.backend import Backend
from stentor.runtime.desk import StoreDesk
from stentor.runtime.kept_lanes import KeptLanes
from stentor.runtime.ports import open_backend
from stentor.runtime.sources import ConfiguredSources
from stentor.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Of one configuration, in one process."""

    config: Config
    clock: Callable[[], float]
    """Epoch seconds."""
    database: Database
    backend: Backend
    sources: ConfiguredSources
    desk: StoreDesk
    lanes: KeptLanes

    @classmethod
    def open(cls, config: Config, clock: Callable[[], float], patience: float = 30.0) -> Self:
        """Those of these settings. Nothing is connected yet. Raises: InvalidConfiguration."""
        database = Database.open(config.store.url, patience=patience)
        backend = open_backend(config, database, clock)
        sources = ConfiguredSources(config, database)
        desk = StoreDesk(database, clock, backend.bell)
        lanes = KeptLanes(config, clock)
        return cls(
            config=config, clock=clock, database=database, backend=backend, sources=sources, desk=desk, lanes=lanes
        )

    async def aclose(self) -> None:
        await self.lanes.aclose()
        await self.backend.aclose()
        await self.sources.aclose()
        await self.database.aclose()
