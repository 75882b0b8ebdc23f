"""What a campaign would do, as far as it can be known before: who is in its audience, on which lanes, at what pace.

Rules: everything that can be checked is checked, also that the apps' credentials can be used; nothing is written or
sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stentor.audience.contract import NO_LANE, Audience, Selection, Wanted
from stentor.audience.sampling import look_at
from stentor.config import REGISTRY, Config, lanes
from stentor.errors import InvalidAudience
from stentor.planning.content import Content
from stentor.providers.channels import open_lane
from stentor.providers.lane import CampaignContent, Priced
from stentor.runtime.sources import ConfiguredSources

UNPACED = 100_000.0
"""Pushes a second that are assumed, for estimates, of a lane whose provider names no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePreview:
    """What a campaign would send on one lane."""

    recipients: int
    ceiling: float
    """Pushes a second that the provider allows at most; infinite where it names no limit."""
    seconds: float
    """How long it takes at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a campaign would do; nothing was written or sent."""

    title: str
    """What it would be called in lists and reports."""
    lanes: Mapping[str, LanePreview]
    unroutable: int
    """Installations whose channel or app isn't configured; they would be rejected."""
    seconds: float
    """How long it takes at least: the slowest lane's time."""
    warnings: Sequence[str] = ()
    sample: Mapping[str, bytes] = field(default_factory=dict)
    """By lane, the payload that its first language gets."""

    @property
    def recipients(self) -> int:
        return sum(lane.recipients for lane in self.lanes.values())


async def preview_of(
    content: Content,
    selection: Selection,
    starts_at: float,
    *,
    title: str | None,
    config: Config,
    sources: ConfiguredSources,
    clock: Callable[[], float],
) -> Preview:
    """Count an audience, and make the lanes that it needs ready to send this content at `starts_at` (epoch seconds).

    Args:
        title: what the campaign is called; None: as its message.

    Raises:
        InvalidMessage: a provider would refuse it; names the field.
        InvalidAudience: it cannot be read as configured, or nobody is in it.
        CredentialError: an app's credentials cannot be used.
        AudienceUnavailable: its database cannot be reached just now.
    """
    audience = sources.open(selection)
    try:
        counts = await _count(audience, content, selection)
        # The addresses of those who were reached are receipts, or were good enough before.
        seen = {} if selection.reached_by else await look_at(audience, _wanted(content))
    finally:
        await audience.aclose()
    draft = CampaignContent(id="preview", content=content, started_at=starts_at, collapse_id="preview")
    previews, sample, warnings = {}, {}, []
    for name, app in lanes(config).items():
        if not (recipients := counts.get(name, 0)):
            continue
        lane = open_lane(name.partition("/")[2], app, clock)
        try:
            await lane.check()
            prepared = await lane.prepare(draft)
            sample[name] = prepared.sample
            if isinstance(lane, Priced) and (price := lane.price(prepared, recipients)):
                warnings.append(f"{name}: sending this costs {price}")
            if name in seen and (problem := seen[name].problem):
                warnings.append(f"{name}: {problem}. These may be rejected")
        finally:
            await lane.aclose(0.0)
        pace = UNPACED if math.isinf(lane.ceiling) else lane.ceiling
        previews[name] = LanePreview(recipients=recipients, ceiling=lane.ceiling, seconds=recipients / pace)
    if unroutable := counts.get(NO_LANE, 0):
        warnings.append(f"{unroutable:,} installations are on no configured app and will be rejected")
    return Preview(
        title=title or content.name or "untitled",
        lanes=previews,
        unroutable=unroutable,
        seconds=max((lane.seconds for lane in previews.values()), default=0.0),
        warnings=warnings,
        sample=sample,
    )


async def _count(audience: Audience, content: Content, selection: Selection) -> dict[str, int]:
    """Recipients by lane, those on none among them. Raises: InvalidAudience, AudienceUnavailable."""
    wanted = _wanted(content)
    await audience.check(wanted)
    if selection.only is not None:
        page = await audience.find(selection.only, wanted)
        found = {key.decode() for key in page.keys}
        if missing := [key for key in selection.only if key not in found]:
            raise InvalidAudience(f"the audience {selection.source} has no installation {', '.join(missing[:5])}")
    counts = dict(await audience.count())
    if not sum(counts.values()):
        raise InvalidAudience(f"{_nobody(selection)}; nothing was sent")
    if not any(lane != NO_LANE for lane, count in counts.items() if count):
        raise InvalidAudience(
            f"none of the {sum(counts.values()):,} installations of {selection.source} is on a configured app; add"
            " one under [apps] in stentor.toml, or map their channels"
        )
    return counts


def _wanted(content: Content) -> Wanted:
    return Wanted(language=len(content.languages) > 1, variables=tuple(content.variables))


def _nobody(selection: Selection) -> str:
    if selection.failed_of:
        return "nobody to try again"
    if selection.reached_by:
        return f"campaign {selection.reached_by} reached nobody"
    hint = "; `stentor import` fills it" if selection.source == REGISTRY else ""
    return f"nobody is in the audience {selection.source}{hint}"
