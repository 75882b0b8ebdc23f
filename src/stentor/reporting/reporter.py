"""The two halves of reporting as one stage of a process: find what happened, and tell it.

It runs in schedulers, and in a process that sends a campaign without one. Rules: nothing waits for it, and any number
may run; without targets it still writes down what happens, so that one that is added later isn't told of old campaigns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from stentor.config import ReportsConfig
from stentor.errors import StentorError, StoreUnavailable
from stentor.reporting import outbox
from stentor.reporting.deliverer import INTERVAL, Deliverer
from stentor.reporting.detector import Detector, Missing, nobody_is_missing
from stentor.reporting.targets import open_receiver
from stentor.store.database import Database

logger = logging.getLogger(__name__)

FORGET_EVERY = 3600.0
"""Seconds between two looks for what is old."""


class Reporter:
    """Of one store, in one process. Satisfies `pipeline.Stage`."""

    name = "reports"

    def __init__(
        self,
        database: Database,
        settings: ReportsConfig,
        lanes: Collection[str],
        clock: Callable[[], float] = time.time,
        missing: Missing = nobody_is_missing,
        *,
        keep: float | None = None,
    ) -> None:
        """Args:
        lanes: those that are configured.
        clock: epoch seconds.
        missing: see `detector.Missing`.
        keep: seconds for which alarms of lanes are kept; None: for ever.
        """
        self._database = database
        self._clock = clock
        self._keep = keep
        self._forgot_at: float | None = None
        self.detector = Detector(database, settings, lanes, clock, missing)
        self.deliverer = Deliverer(
            database, {name: open_receiver(name, each) for name, each in settings.targets.items()}, clock
        )
        self.beat: float | None = None
        self.problem: str | None = None

    @property
    def notice(self) -> str | None:
        """Which target cannot be told; see `pipeline.Stage`."""
        return self.deliverer.trouble

    async def begin(self) -> None:
        """Have it on record that these targets are told of what happens from now on. Raises: StoreUnavailable."""
        await self.detector.begin()

    async def look(self) -> None:
        """Find what happened, and begin to tell it. Raises: StoreUnavailable."""
        await self.detector.look()
        await self.deliverer.look()
        if self._keep is not None and (self._forgot_at is None or time.monotonic() - self._forgot_at > FORGET_EVERY):
            self._forgot_at = time.monotonic()
            before = self._clock() - self._keep
            await self._database.write(lambda connection: outbox.forget(connection, before))

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        try:
            while True:
                self.beat = time.monotonic()
                try:
                    await self.look()
                    self.problem = None
                except StoreUnavailable as error:
                    self.problem = str(error)
                except StentorError:
                    raise
                except Exception as error:  # the role would die of it again and again, and schedule nothing
                    if self.problem is None:
                        logger.exception("what happened could not be looked for")
                    self.problem = f"a defect in what finds events: {type(error).__name__}"
                await asyncio.sleep(INTERVAL)
        finally:
            await self.deliverer.stop()

    async def finish(self, within: float) -> None:
        """Find what happened at last, and tell it, for so many seconds at most: what can't be told now is told by the
        next process."""
        with suppress(StoreUnavailable):
            await self.detector.look()
            await self.deliverer.finish(within)
