"""A look at some of an audience before anything is sent: whose address is malformed, whose row cannot be read.

It is read as the planner reads it, so that what the planner would stumble over shows here. Rules: some thousands are
looked at and no more, whatever the audience's size, spread over all of it; addresses are told by what their channel
says of them (`Channel.check_address`), and none is quoted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stentor.audience.contract import NO_LANE, Audience, Page, Wanted
from stentor.channels import BadAddress, find
from stentor.counted import counted

PARTS, OF_EACH = 10, 1000
"""Ranges of an audience that are looked into, and at how many installations of each."""
TOLD = 5
"""Different things that rows on no lane say of their channel and app, which are told."""


@dataclass(slots=True, kw_only=True)
class LaneSample:
    """What was seen of one lane's installations."""

    looked_at: int = 0
    malformed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what is wrong with the address (`BadAddress.rule`) and what one looks like."""
    unreadable: int = 0
    example: str = ""
    """One of those who are unreadable, and why."""

    @property
    def unsendable(self) -> int:
        return self.malformed.total() + self.unreadable

    @property
    def problem(self) -> str | None:
        """For people: how many cannot be sent to, and why; None where all can."""
        of = f"of {counted(self.looked_at, 'installation')} looked at"
        said = [
            f"{count:,} {of} {'has' if count == 1 else 'have'} a {rule}: {looks}"
            for (rule, looks), count in self.malformed.most_common()
        ]
        if self.unreadable:
            said.append(f"{self.unreadable:,} {of} cannot be read, e.g. {self.example}")
        return "; ".join(said) or None


def strays(nowhere: Mapping[str, int]) -> str:
    """Who is on no lane (`Audience.nowhere`), for people: `2 with `platform` 'windows', 1 with an empty `platform``."""
    told = [f"{count:,} with {said}" for said, count in list(nowhere.items())[:TOLD]]
    if rest := sum(list(nowhere.values())[TOLD:]):
        told.append(f"{rest:,} with something else")
    return ", ".join(told)


See = Callable[[str, str, str | None, Mapping[str, Any]], None]
"""Is told of an installation: its lane, its key, its language, and its variables."""


Watch = Callable[[Page], Awaitable[None]]
"""Is told of each page that is read."""


async def look_at(
    audience: Audience,
    wanted: Wanted,
    see: See = lambda *_: None,
    *,
    addresses: bool = True,
    watch: Watch | None = None,
) -> Mapping[str, LaneSample]:
    """What is seen of some installations, by lane; those on none aren't looked at.

    Args:
        see: called for each of them whose row can be read.
        addresses: whether their addresses are looked at, too.
        watch: called with each page.

    Raises: InvalidAudience, AudienceUnavailable: as reading it does.
    """
    found: dict[str, LaneSample] = defaultdict(LaneSample)
    for part in await audience.ranges(PARTS):
        page = await audience.page(part, OF_EACH, wanted)
        if watch is not None:
            await watch(page)
        lanes = [page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes
        tags = page.languages or [None] * len(page)
        variables = page.variables or [{}] * len(page)
        for key, address, lane, tag, values in zip(page.keys, page.addresses, lanes, tags, variables, strict=True):
            if lane == NO_LANE:
                continue
            sample = found[lane]
            sample.looked_at += 1
            if (why := page.refused.get(key)) is not None:
                sample.unreadable += 1
                sample.example = sample.example or f"{key.decode(errors='replace')[:80]}: {why}"
                continue
            see(lane, key.decode(errors="replace"), tag, values)
            if not addresses:
                continue
            if (bad := bad_address(lane, address)) is not None:
                sample.malformed[bad.rule, bad.detail] += 1
    return found


def bad_address(lane: str, address: bytes) -> BadAddress | None:
    """What is wrong with an address of a lane; None if it can be sent to."""
    if not address:
        return BadAddress(rule="missing address", detail="it is empty or NULL")
    return find(lane.partition("/")[0]).check_address(address.decode(errors="replace"))
