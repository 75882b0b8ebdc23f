"""Discord's limits as a sender keeps to them: arithmetic alone. The time is passed in, of a clock that never goes back.

There are three kinds (docs.discord.com/developers/topics/rate-limits). A *bucket* counts the requests of a route to one
top-level resource (channel, webhook); its numbers are learnt from the answers' headers and never guessed. The *global*
limit counts all requests. The *invalid-request* limit counts refusals by IP address: 10,000 answers of 401, 403 or 429
in ten minutes are a ban. Rules: of a bucket that nobody knows yet one request goes out, and the others wait for what it
tells; who waits gets a number of seconds, and nothing here sleeps; memory is bounded.

`Pace` puts the three together: `Pace.take` is asked before each request, `heard` or `unheard` told after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

BAN = 10_000
"""Invalid requests in ten minutes that bring a ban of the IP address."""
BAN_WINDOW = 600.0
INVALID_RATE = 3.0
"""Invalid requests a second that all senders of a lane may provoke: 1,800 in ten minutes."""
INVALID_SAVED = 400.0
"""How many may be saved up. So any ten minutes see no more than 2,200 of all senders together, and `INVALID_FIRST` more
for each that begins; a quarter of what brings a ban is 2,500."""
INVALID_FIRST = 40.0
"""What a sender begins with: enough for the first requests of its connections, two each. It knows nothing of what was
provoked before it came, so it isn't more: one that dies over and over must not come near a ban."""
TOGETHER = 5.0
"""Seconds' worth of invalid requests that are waited for, so that many may go on at once and not each on its own."""
AHEAD = 1.02
"""By how much the requests of a lane may exceed its rate, so that who comes by the lane's budget isn't held up here.
Opening a conversation is a request that the budget doesn't count."""
BURST = 0.05
"""Seconds' worth of requests that may be saved up, beside one."""
LEARNING = 0.25
"""Seconds for which others wait while the first request of an unknown bucket is under way."""
SHORTEST = 0.01
LONGEST = 60.0
"""Seconds that anybody is told to wait; nothing known here lasts longer for certain."""
MOST_BUCKETS = 10_000
EPSILON = 1e-9


class BucketKey(NamedTuple):
    """What a bucket is known by before Discord names it."""

    route: str
    resource: str
    """The id of the channel or webhook; empty for routes that have none."""


class BucketAllowance:
    """So many a second, of which some may be saved up; what turned out not to count is given back."""

    __slots__ = ("_level", "_most", "_now", "_rate")

    def __init__(self, first: float, now: float) -> None:
        self._rate = 0.0
        self._most = math.inf
        self._level = first
        self._now = now

    def __repr__(self) -> str:
        return f"<BucketAllowance {self._rate:g}/s, {self._level:.1f} there>"

    def set_rate(self, rate: float, most: float, now: float) -> None:
        """From now on so many a second. What was saved up stays, as far as the new limit allows."""
        self._level = min(most, self._level + self._rate * max(0.0, now - self._now))
        self._now = max(self._now, now)
        self._rate, self._most = rate, most

    def wait(self, count: float) -> float:
        """Seconds from the last `set_rate` until so many are there, or as many as there can ever be."""
        lacking = min(count, self._most) - self._level
        if lacking <= EPSILON:
            return 0.0
        return lacking / self._rate if self._rate > 0 else math.inf

    def take(self, count: float) -> None:
        self._level -= count

    def give_back(self, count: float = 1.0) -> None:
        self._level = min(self._most, self._level + count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an answer's headers say of its bucket."""

    bucket: str
    """Discord's name of it: the same for all routes that share it."""
    limit: int
    remaining: int
    reset_after: float
    """Seconds."""


class _Bucket:
    __slots__ = ("flying", "is_known", "left", "limit", "period", "reset_at")

    def __init__(self) -> None:
        self.is_known = False
        """Whether any answer came."""
        self.limit = math.inf
        self.left = math.inf
        """How many may go out before the reset."""
        self.reset_at = -math.inf
        self.period = 0.0
        self.flying = 0

    def is_idle(self, now: float) -> bool:
        return not self.flying and self.reset_at <= now


class Buckets:
    """The buckets that were met of late."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._by_key: dict[BucketKey, _Bucket] = {}
        self._by_name: dict[tuple[str, str], _Bucket] = {}  # Discord's name, and the resource

    def __len__(self) -> int:
        return len(self._by_key)

    def __repr__(self) -> str:
        return f"<Buckets {len(self)}>"

    def wait(self, key: BucketKey, now: float) -> float:
        """Seconds until a request may go there; 0: now."""
        bucket = self._by_key.get(key)
        if bucket is None:
            return 0.0
        if bucket.reset_at > now:
            return 0.0 if bucket.left >= 1 else max(SHORTEST, bucket.reset_at - now)
        if not bucket.is_known:
            return LEARNING if bucket.flying else 0.0
        return 0.0 if bucket.limit - bucket.flying >= 1 else LEARNING

    def take(self, key: BucketKey, now: float) -> None:
        """A request goes there."""
        bucket = self._by_key.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._by_key[key] = _Bucket()
        if bucket.reset_at <= now and bucket.is_known:  # a new window, which this request opens
            bucket.left = bucket.limit - bucket.flying
            bucket.reset_at = now + bucket.period
        bucket.left -= 1
        bucket.flying += 1

    def heard(self, key: BucketKey, heard: Heard | None, now: float) -> None:
        """The answer to a request that went there; None: it said nothing of a bucket."""
        bucket = self._landed(key)
        bucket.is_known = True
        if heard is None:
            return
        bucket = self._join(key, heard.bucket, bucket)
        free = max(0, heard.remaining - bucket.flying)  # those under way may not be counted yet
        reset_at = now + heard.reset_after
        is_new = bucket.reset_at <= now or math.isinf(bucket.left)
        bucket.left = free if is_new else min(bucket.left, free)
        bucket.reset_at = max(bucket.reset_at, reset_at)
        bucket.limit = heard.limit
        bucket.period = max(bucket.period, heard.reset_after, SHORTEST)  # the first answer of a window tells all of it

    def unheard(self, key: BucketKey, now: float) -> None:
        """No answer came. The request may have counted, and even have opened a window, until just now."""
        bucket = self._landed(key)
        if bucket.is_known:
            bucket.reset_at = max(bucket.reset_at, now + bucket.period)

    def block(self, key: BucketKey, seconds: float, now: float) -> None:
        """Nothing may go there for so long."""
        bucket = self._by_key.setdefault(key, _Bucket())
        bucket.left = 0
        bucket.reset_at = max(bucket.reset_at, now + seconds)

    def _landed(self, key: BucketKey) -> _Bucket:
        bucket = self._by_key.setdefault(key, _Bucket())
        bucket.flying = max(0, bucket.flying - 1)
        return bucket

    def _join(self, key: BucketKey, name: str, bucket: _Bucket) -> _Bucket:
        """The bucket that all routes of this name share, for this resource."""
        shared = self._by_name.setdefault((name, key.resource), bucket)
        if shared is not bucket:
            shared.flying += bucket.flying
            shared.left = min(shared.left, bucket.left)
            shared.reset_at = max(shared.reset_at, bucket.reset_at)
            shared.is_known = True
            self._by_key[key] = shared
        return shared

    def _make_room(self, now: float) -> None:
        if len(self._by_key) < self._most:
            return
        kept = {key: bucket for key, bucket in self._by_key.items() if not bucket.is_idle(now)}
        while len(kept) > self._most // 2:  # the oldest: a busy one of them is met again, and learnt again
            kept.pop(next(iter(kept)))
        self._by_key = kept
        there = set(map(id, kept.values()))
        self._by_name = {name: bucket for name, bucket in self._by_name.items() if id(bucket) in there}


class Pace:
    """When a sender's next request may go out."""

    def __init__(self, rate: float, now: float) -> None:
        """Args:
        rate: messages a second of the whole lane.
        """
        self.part: Callable[[], float] = lambda: 1.0
        """What part of the lane this sender has now, 0 to 1."""
        self._rate = rate
        self._requests = BucketAllowance(math.inf, now)
        self._invalid = BucketAllowance(INVALID_FIRST, now)
        self._buckets = Buckets()

    def __repr__(self) -> str:
        return f"<Pace {self._requests!r}, invalid {self._invalid!r}, {self._buckets!r}>"

    def take(self, key: BucketKey, now: float, requests: int = 1) -> float:
        """Seconds until so many requests may go out, the first of them there; 0 counts them as gone out."""
        part = self.part()
        self._requests.set_rate(part * self._rate * AHEAD, 1.0 + max(1.0, BURST * part * self._rate), now)
        rate = part * INVALID_RATE
        self._invalid.set_rate(rate, max(1.0, part * INVALID_SAVED), now)
        wait = max(self._buckets.wait(key, now), self._requests.wait(requests))
        if self._invalid.wait(requests):
            wait = max(wait, self._invalid.wait(max(requests, TOGETHER * rate)))
        if wait > 0:
            return min(max(wait, SHORTEST), LONGEST) if wait < math.inf else TOGETHER
        self._requests.take(requests)
        self._invalid.take(requests)
        self._buckets.take(key, now)
        return 0.0

    def follow(self, key: BucketKey, now: float) -> None:
        """The second of two requests that were taken together goes out, there."""
        self._buckets.take(key, now)

    def spare(self) -> None:
        """The second of two requests that were taken together isn't made."""
        self._requests.give_back()
        self._invalid.give_back()

    def heard(self, key: BucketKey, heard: Heard | None, now: float, *, is_invalid: bool) -> None:
        """A request was answered. `is_invalid`: it counts towards a ban."""
        self._buckets.heard(key, heard, now)
        if not is_invalid:
            self._invalid.give_back()

    def unheard(self, key: BucketKey, now: float) -> None:
        """A request was never answered; it may have been an invalid one."""
        self._buckets.unheard(key, now)

    def block(self, key: BucketKey, seconds: float, now: float) -> None:
        """Discord said that nothing may go there for so long."""
        self._buckets.block(key, seconds, now)
