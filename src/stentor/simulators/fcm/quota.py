"""FCM's quotas: messages a minute for the project, messages a minute and an hour for each device. No clock of its own.

Devices are counted in tables of fixed size, addressed by a hash: memory doesn't grow with the audience. Two devices
that share a cell are counted together, which no real device notices: the limits are far above what a campaign sends.
"""

from __future__ import annotations

from array import array
from zlib import crc32

_CELLS = 1 << 20


class Window:
    """A bucket that is full again at the start of each period."""

    def __init__(self, limit: int, period_s: float, phase: float) -> None:
        self.limit = limit
        self._period_s = period_s
        self._phase = phase
        self._current = -1
        self.used = 0

    def take(self, now: float) -> bool:
        """Use one; False when none is left in this period (and then nothing is used)."""
        current = int((now + self._phase) / self._period_s)
        if current != self._current:
            self._current = current
            self.used = 0
        if self.used >= self.limit:
            return False
        self.used += 1
        return True


class DeviceWindow:
    """A bucket for each device."""

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._current = -1
        self._counts = array("H", bytes(2 * _CELLS))

    def take(self, address: str, now: float) -> bool:
        current = int(now / self._period_s)
        if current != self._current:
            self._current = current
            self._counts = array("H", bytes(2 * _CELLS))
        cell = crc32(address.encode()) % _CELLS
        if self._counts[cell] >= self._limit:
            return False
        self._counts[cell] += 1
        return True
