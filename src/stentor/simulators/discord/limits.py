"""Discord's limits: buckets by route and resource, so many requests a second, and the ban. No clock of their own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_MOST_WINDOWS = 200_000


@dataclass(frozen=True, slots=True)
class BucketState:
    """How a bucket stands after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset_after: float


class BucketWindows:
    """A window for each bucket and resource, that begins with its first request."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}  # when it ends, and how many it had

    def take(self, bucket: str, resource: str, limit: int, period: float, now: float) -> BucketState:
        key = (bucket, resource)
        ends, used = self._windows.get(key, (now, 0))
        if ends <= now:
            if len(self._windows) >= _MOST_WINDOWS:
                self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
            ends, used = now + period, 0
        allowed = used < limit
        self._windows[key] = (ends, used + allowed)
        return BucketState(allowed, limit, max(0, limit - used - allowed), ends - now)


class Sliding:
    """So many in any stretch of so many seconds."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._times: deque[float] = deque()

    def take(self, now: float) -> float:
        """Seconds until the next is allowed; 0 counts one."""
        while self._times and self._times[0] <= now - self._period:
            self._times.popleft()
        if len(self._times) >= self._limit:
            return self._times[0] + self._period - now
        self._times.append(now)
        return 0.0


class InvalidRequests:
    """Refusals of late, and the ban that too many bring."""

    def __init__(self, limit: int, period: float, ban: float) -> None:
        self._limit = limit
        self._period = period
        self._ban = ban
        self._times: deque[float] = deque()
        self._banned_until = float("-inf")
        self.total = 0
        self.most = 0
        """In any one period."""
        self.bans = 0

    def add(self, now: float) -> None:
        self.total += 1
        self._times.append(now)
        while self._times[0] <= now - self._period:
            self._times.popleft()
        self.most = max(self.most, len(self._times))
        if len(self._times) >= self._limit and now >= self._banned_until:
            self._banned_until = now + self._ban
            self.bans += 1

    def is_banned(self, now: float) -> bool:
        return now < self._banned_until
