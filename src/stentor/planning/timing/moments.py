"""When the recipients of one campaign get it: by its timing, and by whether it was released. Pure."""

from __future__ import annotations

from stentor.audience.contract import Page
from stentor.own_reasons import QUIET_EXPIRED
from stentor.planning.contract import Timing
from stentor.planning.division import Assigned, LeftOut, Wave
from stentor.planning.timing.assigning import Clock, assign, in_canary


class Moments:
    """Of one campaign that has started."""

    def __init__(self, timing: Timing, campaign_id: str, started_at: float) -> None:
        """Args:
        started_at: epoch seconds.
        """
        self._timing = timing
        self._campaign_id = campaign_id
        self._started_at = started_at
        self._clock = Clock(timing, started_at)

    def assign(self, page: Page, now: float) -> Assigned:
        """When those of a page that is read now get it. Those who wait for a release are held from the start."""
        timing = self._timing
        instants, left_out = assign(timing, page.keys, page.zones, self._started_at, self._campaign_id)
        waves = [None if at is None or at <= now else Wave(at) for at in instants]
        if timing.is_gated:
            first = in_canary(timing, page.keys, self._campaign_id) if timing.canary else [False] * len(page)
            for row, goes_first in enumerate(first):
                if not goes_first:
                    waves[row] = Wave(instants[row] or self._started_at, gated=True)
        return Assigned(waves=waves if any(waves) else None, left_out=left_out)

    def again(self, page: Page, now: float) -> Assigned:
        """Those whose wave began a while ago: who is in quiet hours by now waits for their end, or gets nothing."""
        quiet = self._clock.quiet
        if quiet is None or page.zones is None:
            return Assigned()
        over: dict[str | None, Wave | None] = {}
        for said in set(page.zones):
            zone = self._clock.zone(said)
            end = now if zone is None else quiet.over(now, zone)
            over[said] = Wave(end) if end > now else None
        waits = [over[said] for said in page.zones]
        if self._timing.quiet_then == "hold":
            return Assigned(waves=waits if any(waits) else None)
        why = LeftOut(QUIET_EXPIRED, f"its turn came in the quiet hours {quiet}")
        return Assigned(left_out={key: why for key, wait in zip(page.keys, waits, strict=True) if wait is not None})
