"""The lanes by which one process checks what is to be sent: kept, as to read credentials takes longer than to check.

Rules: nothing is sent by them.
"""

from __future__ import annotations

from collections.abc import Callable

from stentor.config import Config, lanes
from stentor.providers.channels import open_lane
from stentor.providers.lane import Lane


class KeptLanes:
    """Those of one configuration."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._apps = lanes(config)
        self._clock = clock
        self._lanes: dict[str, Lane] = {}

    def __repr__(self) -> str:
        return f"<KeptLanes: {', '.join(self._lanes) or 'none yet'}>"

    async def get(self, name: str) -> Lane:
        """A lane that can send, by its credential files as they were when they were last read.

        Raises: CredentialError, InvalidConfiguration: they cannot be used.
        """
        found = self._lanes.get(name)
        if found is None:
            found = self._lanes[name] = open_lane(name.partition("/")[2], self._apps[name], self._clock)
        await found.check()
        return found

    async def aclose(self) -> None:
        """Close them."""
        for lane in self._lanes.values():
            await lane.aclose(0.0)
        self._lanes.clear()
