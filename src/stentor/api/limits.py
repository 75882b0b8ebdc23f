"""How many requests a caller may make: a bucket for each, in this process alone.

The headers are those of the IETF's draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10).
Rules: memory is bounded, however many callers there are; who was long silent has a full bucket.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 10_000
"""Callers that are remembered at most."""
BURST = 2.0
"""Seconds whose requests may come at once."""
WRONG_KEYS = 20
"""Requests with a key that is not valid that an address may make at once, and in a minute."""


def wrong_keys(clock: Callable[[], float] = time.monotonic) -> RequestLimits:
    """How often each address may show a key that is not valid. Valid keys are never asked about here."""
    return RequestLimits(WRONG_KEYS / 60, clock, most=WRONG_KEYS)


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class RequestAllowance:
    """What is left for a caller after this request."""

    allowed: bool
    left: int
    per_second: float
    retry_after: int
    """Seconds; 0 where there is something left."""

    @property
    def headers(self) -> dict[str, str]:
        most = max(1, math.floor(self.per_second * BURST))
        headers = {
            "RateLimit-Policy": f'"requests";q={most};w={math.ceil(BURST)}',
            "RateLimit": f'"requests";r={self.left};t={math.ceil(BURST)}',
        }
        return headers if self.allowed else {**headers, "Retry-After": str(self.retry_after)}


class RequestLimits:
    """Buckets of callers."""

    def __init__(
        self, per_second: float, clock: Callable[[], float] = time.monotonic, *, most: float | None = None
    ) -> None:
        """Args:
        most: how many may come at once; None: those of BURST seconds.
        """
        self._per_second = per_second
        self._most = max(1.0, per_second * BURST) if most is None else most
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def ask(self, caller: str) -> RequestAllowance:
        """Count a request of this caller, unless it has none left."""
        now = self._clock()
        bucket = self._buckets.pop(caller, None) or _Bucket(self._most, now)
        self._buckets[caller] = bucket
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        bucket.left = min(self._most, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        allowed = bucket.left >= 1
        if allowed:
            bucket.left -= 1
        wait = 0 if bucket.left >= 1 else math.ceil((1 - bucket.left) / self._per_second)
        return RequestAllowance(allowed, math.floor(bucket.left), self._per_second, max(1, wait) if not allowed else 0)
