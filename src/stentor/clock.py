"""Time that passes alike whatever anybody does to the clock on the wall.

Rules: how long something may last is told by `steady` alone; a time of day, which people set and machines correct,
never says whose turn it is.
"""

from __future__ import annotations

import sys
import time


def steady() -> float:
    """Seconds of a clock that never goes back, and goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()
