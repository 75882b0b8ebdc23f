"""A budget of pushes a second, divided among any number of senders: arithmetic alone. The time is passed in.

A lane's senders share a small document (`Sheet`) on a board that has compare-and-swap (`board.py`). Each holds a
`Claim` in it: the slice of the budget that it may use. Rules: the slices that anybody may still be using never add up
to more than the budget, so a slice is lowered before it is written, and raised after; a sender that cannot renew its
claim stops using it within `KEPT` seconds, by its own clock; the others count it as dead when they have seen no renewal
for `LEASE` seconds, each by its own clock. No two machines' clocks are compared.

The same document tells all of them when the provider asked one for quiet.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping

import msgspec

BURST = 0.05
"""Seconds' worth of pushes that may be saved up while nothing is sent: by so much any one second is above its rate."""
LATE = 0.02
"""Seconds by which whoever waits for a push may be late and lose nothing: it is so much nearer to the next one then."""
LEASE = 5.0
"""Seconds without a renewal after which the others divide a sender's slice."""
KEPT = 3.0
"""Seconds after its last renewal for which a sender uses its slice. The rest of the lease is for a read and a write
that are under way when that happens."""
FAR_ENOUGH = 1.0
"""Seconds by which a new quiet must outlast the one that all obey already, to be worth telling."""
SOON_ENOUGH = 0.4
"""Seconds since the last renewal, before which a claim that stays as it is isn't written again."""
EPSILON = 1e-9
"""What float arithmetic may lose of a push."""


class TokenBucket:
    """Lets `rate` pushes a second through. In any T seconds no more than `rate * T + burst(rate)`, but that whoever was
    told to wait, and came late, may be one push ahead for it.

    It begins empty. Times are seconds of a clock that never goes back.
    """

    __slots__ = ("_awaited", "_level", "_now", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._level = 0.0
        self._now = now
        self._awaited = False  # somebody was told to wait, and has taken nothing since

    def __repr__(self) -> str:
        return f"<TokenBucket {self.rate:g}/s, {self._level:.1f} there>"

    @property
    def burst(self) -> float:
        """Pushes that go through at once at most."""
        return burst(self.rate)

    def set_rate(self, rate: float, now: float) -> None:
        """From now on so many a second. What was saved up stays, as far as the new rate allows."""
        self._fill(now)
        self.rate = rate
        self._level = min(self._level, burst(rate))

    def take(self, most: int, now: float) -> int:
        """How many of `most` may be sent now; they count as sent."""
        self._fill(now)
        taken = min(most, int(self._level + EPSILON))
        self._level = max(0.0, self._level - taken)
        self._awaited = False
        return taken

    def wait(self, count: float, now: float) -> float:
        """Seconds until `count` may be sent, or as many as can ever be saved up; infinite where the rate is 0."""
        self._fill(now)
        lacking = min(count, burst(self.rate)) - self._level
        if lacking <= EPSILON and self.rate > 0:
            return 0.0
        self._awaited = True
        return lacking / self.rate if self.rate > 0 else math.inf

    def _fill(self, now: float) -> None:
        most = burst(self.rate)
        if self._awaited and self.rate > 0:
            most = max(most, 1.0 + LATE * self.rate)
        self._level = min(most, self._level + self.rate * max(0.0, now - self._now))
        self._now = max(self._now, now)


def burst(rate: float) -> float:
    """How many pushes can be saved up at a rate: at least one, or nothing could ever be sent."""
    return max(1.0, BURST * rate) if rate > 0 else 0.0


def shares(budget: float, demands: Mapping[str, float]) -> dict[str, float]:
    """Who gets what of a budget: max-min fair. Nobody gets more than another whose demand isn't met, but for the last
    push a second; what nobody demands is divided equally, so that it lies ready.

    All but one of the shares are whole pushes a second. A bucket of a whole rate below 20 lets exactly so many through
    in a second, so that thirty a second stay thirty among eight. Where there are more senders than pushes a second,
    some get nothing.
    """
    given = _fill(budget, demands)
    left = budget - math.fsum(given.values())
    if left <= EPSILON:
        return given
    spare = _fill(left, dict.fromkeys(demands, math.inf))
    return {name: given[name] + spare[name] for name in given}


def _fill(budget: float, demands: Mapping[str, float]) -> dict[str, float]:
    """Each its demand, the smallest first, as long as that is no more than an equal part of what is left."""
    given: dict[str, float] = {}
    left = budget
    in_order = sorted(demands, key=lambda name: (demands[name], name))
    for before, name in enumerate(in_order):
        others = len(in_order) - before - 1
        equal = math.floor(left / (others + 1) + EPSILON) if others else left
        given[name] = min(math.ceil(demands[name]) if demands[name] < math.inf else math.inf, equal)
        left -= given[name]
    return given


# -- what is on the board ---------------------------------------------------------------------------------------------


class Claim(msgspec.Struct, frozen=True):
    """One sender's slice of a lane's budget."""

    grant: float
    """Pushes a second that it may send."""
    demand: float
    """Pushes a second that it could use."""
    budget: float
    """The lane's budget, as it is set where this sender runs. While they differ the lowest holds."""
    beat: int
    """Another one with each renewal."""


class Quiet(msgspec.Struct, frozen=True):
    """The provider wants the lane to be quiet."""

    id: str
    seconds: float
    """From the moment at which this was written."""


class Sheet(msgspec.Struct, frozen=True):
    """What a lane's senders tell each other."""

    claims: dict[str, Claim] = {}
    """By sender."""
    quiet: Quiet | None = None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Sheet)


def encode_sheet(sheet: Sheet) -> bytes:
    return _ENCODER.encode(sheet)


def decode_sheet(document: bytes | None) -> Sheet:
    """An unreadable one is as none: whoever held a claim in it finds it gone, stops, and asks for another."""
    try:
        return _DECODER.decode(document) if document else Sheet()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Sheet()


# -- one sender's part ------------------------------------------------------------------------------------------------


class Member:
    """One sender of a lane: what it may use, what it has seen of the others, and what it writes next.

    A look is `see` what was read, `propose` what to write, and after that was written `renewed`. `usable` is what may
    be sent at any moment. Times are seconds of this sender's own clock.
    """

    def __init__(self, name: str, budget: float | None) -> None:
        """Args:
        budget: pushes a second of the whole lane; None: no limit, and no claim to one.
        """
        self.name = name
        self.budget = budget
        self.share = 0.0
        """What it should have, by the last look; it has less until the others have let go of it."""
        self.demand = 0.0
        """What the others know it could use."""
        self._grant = 0.0
        self._until = -math.inf  # when the grant lapses
        self._renewed = -math.inf
        self._beat = 0
        self._seen: dict[str, tuple[int, float]] = {}  # each one's last beat, and since when that is its last
        self._dead: set[str] = set()
        self._quiet: tuple[str, float] | None = None  # the one we know, and its end
        self._publishes = False  # whether it was us who asked for it

    def __repr__(self) -> str:
        return f"<Member {self.name}: {self._grant:g}/s of {self.budget}>"

    def usable(self, now: float) -> float:
        """Pushes a second that may be sent now."""
        return self._grant if now < self._until else 0.0

    @property
    def until(self) -> float:
        """When what is usable lapses, unless it is renewed."""
        return self._until

    def see(self, sheet: Sheet, began: float, now: float) -> float:
        """Learn what is on the board; the reading of it began at `began`.

        Returns: seconds for which the lane must be quiet, where that is new; else 0.
        """
        claims = sheet.claims
        for name, claim in claims.items():
            if name not in self._seen or self._seen[name][0] != claim.beat:
                self._seen[name] = (claim.beat, now)
        self._seen = {name: seen for name, seen in self._seen.items() if name in claims}
        ours = claims.get(self.name)
        self._grant = 0.0 if ours is None else min(self._grant, ours.grant)
        self._dead = {name for name, (_, since) in self._seen.items() if began - since >= LEASE and name != self.name}
        return self._hear(sheet.quiet, now)

    def _hear(self, quiet: Quiet | None, now: float) -> float:
        if quiet is None or (self._quiet is not None and quiet.id == self._quiet[0]):
            return 0.0
        ours = self._quiet[1] if self._quiet else now
        if self._publishes and ours > now + quiet.seconds + FAR_ENOUGH:
            return 0.0  # ours takes its place
        self._quiet = (quiet.id, max(ours, now + quiet.seconds))
        self._publishes = False
        return quiet.seconds

    def be_quiet(self, seconds: float, now: float) -> bool:
        """The provider asked us for quiet. Returns: whether the others must hear of it."""
        until = now + seconds
        if self._quiet is not None and self._quiet[1] + FAR_ENOUGH >= until:
            return False
        self._quiet = (secrets.token_hex(6), until)
        self._publishes = True
        return True

    def propose(self, sheet: Sheet, demand: float, now: float) -> Sheet | None:
        """What to write in place of what was just seen; None where nothing is to be written. What we use is lowered to
        that at once."""
        quiet = self._quiet_to_write(sheet.quiet, now)
        if self.budget is None:
            return None if quiet == sheet.quiet else Sheet(sheet.claims, quiet)
        others = {name: claim for name, claim in sheet.claims.items() if name != self.name and name not in self._dead}
        limit = min([self.budget, *(claim.budget for claim in others.values())])
        demands = {name: claim.demand for name, claim in others.items()} | {self.name: demand}
        self.share = shares(limit, demands)[self.name]
        grant = max(0.0, min(self.share, limit - math.fsum(claim.grant for claim in others.values())))
        ours = sheet.claims.get(self.name)
        due = now - self._renewed >= SOON_ENOUGH
        if not due and ours is not None and (ours.grant, ours.demand) == (grant, demand) and quiet == sheet.quiet:
            return None
        self._grant = min(self._grant, grant)
        self._beat += 1
        claim = Claim(grant=grant, demand=demand, budget=self.budget, beat=self._beat)
        return Sheet(others | {self.name: claim}, quiet)

    def renewed(self, sheet: Sheet, began: float) -> None:
        """What we proposed was written; the writing of it began at `began`."""
        if (claim := sheet.claims.get(self.name)) is not None:
            self._grant = claim.grant
            self.demand = claim.demand
            self._until = began + KEPT
            self._renewed = began

    def leave(self, sheet: Sheet) -> Sheet | None:
        """What to write when we send no more; None where we hold no claim."""
        self._grant = 0.0
        self._until = -math.inf
        if self.name not in sheet.claims:
            return None
        return Sheet({name: claim for name, claim in sheet.claims.items() if name != self.name}, sheet.quiet)

    def _quiet_to_write(self, there: Quiet | None, now: float) -> Quiet | None:
        """The quiet that all know of, with what is left of it, so that who comes later obeys no more than that."""
        if self._quiet is None:
            return there
        name, until = self._quiet
        ours_is_there = there is not None and there.id == name
        if until <= now:
            self._publishes = False
            return None if ours_is_there else there
        if self._publishes or (ours_is_there and self.budget is not None):
            return Quiet(name, until - now)
        return there
