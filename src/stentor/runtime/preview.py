"""What a campaign would do, as far as it can be known before: who is in its audience, on which lanes, at what pace.

Rules: everything that can be checked is checked, also that the apps' credentials can be used; nothing is written or
sent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from stentor.audience.contract import LANGUAGE, NO_LANE, Audience, Selection, Wanted
from stentor.audience.sampling import LaneSample, bad_address, look_at, strays
from stentor.config import REGISTRY, lanes
from stentor.counted import counted
from stentor.errors import InvalidAudience
from stentor.planning.content import Content, encode_content
from stentor.planning.contract import Timing
from stentor.planning.timing.forecast import Forecast, forecast, notes
from stentor.providers.channels import open_lane
from stentor.providers.lane import CampaignContent, Priced
from stentor.runtime.confirmation import confirmation_of
from stentor.runtime.draft import Draft
from stentor.runtime.renditions import LanguageSize, sizes_of
from stentor.runtime.resources import Resources
from stentor.runtime.samples import Example, LaneTexts, TagServed, Texts, examples
from stentor.runtime.spared import SparedSample
from stentor.store.caring import whom

UNPACED = 100_000.0
"""Pushes a second that are assumed, for estimates, of a lane whose provider names no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePreview:
    """What a campaign would send on one lane."""

    recipients: int
    ceiling: float
    """Pushes a second that the provider, the app's `rate` or the campaign's allows at most; infinite where none names a
    limit."""
    seconds: float
    """How long it takes at least."""
    examples: Sequence[Example] = ()
    """What is sent, to somebody of each language that occurs."""
    looked_at: int = 0
    """How many of them were looked at, for what follows; 0: nothing of the message depends on who gets it."""
    languages: Mapping[str, int] = field(default_factory=dict)
    """How many of these get each of `Content.languages`."""
    tags: Sequence[TagServed] = ()
    """Which of `Content.languages` each language tag of these gets, the most frequent tags first."""
    lacking: Mapping[str, int] = field(default_factory=dict)
    """How many of these have no value of a name that a template uses."""
    sizes: Sequence[LanguageSize] = ()
    """How much of the provider's limit the message takes, in each language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a campaign would do; nothing was written or sent."""

    title: str
    """What it would be called in lists and reports."""
    lanes: Mapping[str, LanePreview]
    unroutable: int
    """Installations whose channel or app isn't configured; they would be rejected."""
    seconds: float
    """How long it takes at least: the slowest lane's time, or all of it at the campaign's own rate."""
    warnings: Sequence[str] = ()
    forecast: Forecast | None = None
    """When the recipients get it, by time zone; None: all do when it starts."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Those of the recipients who would get nothing by a rule, by reason: `OptedOut`, `Excluded`, `Capped`."""
    left_out_exact: bool = True
    """False: about so many, by a part of the audience that was looked at."""

    confirmation: str
    """Whoever starts the campaign may demand that this still holds; see `runtime.confirmation`."""

    @property
    def recipients(self) -> int:
        return sum(lane.recipients for lane in self.lanes.values())

    @property
    def expected(self) -> dict[str, int]:
        """Recipients by lane, NO_LANE among them where some are on none."""
        routed = {name: lane.recipients for name, lane in self.lanes.items()}
        return routed | ({NO_LANE: self.unroutable} if self.unroutable else {})

    @property
    def sample(self) -> Mapping[str, bytes]:
        """By lane, one of the payloads."""
        return {name: lane.examples[0].payload for name, lane in self.lanes.items() if lane.examples}


async def counted_of(draft: Draft, now: float, resources: Resources) -> dict[str, int]:
    """As `Preview.expected`, of a draft that is refused for whatever `preview_of` refuses. Of what that only warns,
    nothing is looked for: no addresses, and nobody's texts.

    Raises: as `preview_of`.
    """
    content, selection = draft.content, draft.selection
    audience = resources.sources.open(selection.at(draft.starts_at or now))
    try:
        counts = await _count(audience, content, selection)
    finally:
        await audience.aclose()
    sent = _sent(draft, now)
    known = lanes(resources.config)
    for name in known:
        if counts.get(name):
            lane = await resources.lanes.get(name)
            await lane.reload()
            await lane.prepare(sent)
    routed = {name: counts[name] for name in known if counts.get(name)}
    return routed | ({NO_LANE: counts[NO_LANE]} if counts.get(NO_LANE) else {})


def _sent(draft: Draft, now: float) -> CampaignContent:
    """A draft as it is shown to lanes."""
    starts_at = draft.starts_at or now
    return CampaignContent(id="preview", content=draft.content, started_at=starts_at, collapse_id="preview")


async def preview_of(draft: Draft, now: float, *, sample: str | None, resources: Resources) -> Preview:
    """Count an audience, and make the lanes that it needs ready to send a draft.

    Args:
        now: epoch seconds, when it starts unless it names a time.
        sample: the installation of which the examples are to be; None: any.

    Raises:
        InvalidMessage: a provider would refuse it; names the field.
        InvalidAudience: it cannot be read as configured, or nobody is in it.
        CredentialError: an app's credentials cannot be used.
        AudienceUnavailable: its database cannot be reached just now.
    """
    content, selection = draft.content, draft.selection
    asked = selection.at(draft.starts_at or now)
    audience = resources.sources.open(asked)
    texts, personal = Texts(content), _is_personal(content)
    seen: Mapping[str, LaneSample] = {}
    spared = SparedSample(resources, draft)
    try:
        counts = await _count(audience, content, selection)
        zones = await audience.zones() if draft.timing.needs_zone else _of_no_zone(counts)
        nowhere = strays(await audience.nowhere()) if counts.get(NO_LANE) else ""
        hidden = await audience.known(content.values)
        if personal or not selection.reached_by:
            seen = await _look(audience, draft, texts if personal else None, spared)
        chosen: Mapping[str, LaneTexts] = texts.lanes
        left_out: list[str] = []
        if sample is not None:
            chosen, left_out = await _only(audience, content, selection, sample)
            left_out += await _unselected(resources, asked, sample)
    finally:
        await audience.aclose()
    sent = _sent(draft, now)
    limit = math.inf if draft.max_rate is None else draft.max_rate
    previews = {}
    warnings = [
        f"`{name}` is set for everybody, so the column or attribute `{name}` of {selection.source} isn't read"
        for name in hidden
    ]
    warnings += left_out
    for name, app in lanes(resources.config).items():
        if not (recipients := counts.get(name, 0)):
            continue
        lane = open_lane(name.partition("/")[2], app, resources.clock)
        try:
            await lane.check()
            prepared = await lane.prepare(sent)
            if isinstance(lane, Priced) and (price := lane.price(prepared, recipients)):
                warnings.append(f"{name}: sending this costs {price}")
            if name in seen and (problem := seen[name].problem):
                warnings.append(f"{name}: {problem}. These may be rejected")
            told = texts.lanes[name]
            shown: Sequence[Example] = (Example(installation="", language="", payload=prepared.sample),)
            if personal:
                shown, wrong = await examples(lane, sent, chosen[name].texts)
                if sample is not None:
                    wrong += [f"{sample} would be rejected: {why}" for why in chosen[name].unfilled]
                    wrong += [f"{sample} gets nothing (Skipped): {why}" for why in chosen[name].skipped]
                warnings += [f"{name}: {each}" for each in (*wrong, told.problem, told.skips) if each]
            sizes = await sizes_of(lane, sent, content, chosen[name].largest if personal else {})
            shown_to = {chosen[name].texts[each][0] for each in chosen[name].texts} if personal else set()
            warnings += [
                f"{name}: {_too_large(each)}" for each in sizes if each.problem and each.installation not in shown_to
            ]
        finally:
            await lane.aclose(0.0)
        ceiling = min(lane.ceiling, limit)
        previews[name] = LanePreview(
            recipients=recipients,
            ceiling=ceiling,
            seconds=recipients / (UNPACED if math.isinf(ceiling) else ceiling),
            examples=shown,
            looked_at=told.looked_at if personal else 0,
            languages=told.languages if len(content.languages) > 1 else {},
            tags=told.served if len(content.languages) > 1 else (),
            lacking=told.lacking,
            sizes=sizes,
        )
    recipients = sum(each.recipients for each in previews.values())
    seconds = max([recipients / limit, *(each.seconds for each in previews.values())])
    timed = _forecast(draft.timing, zones, max(sent.started_at, now), recipients / seconds)
    warnings += [*_about_strays(counts.get(NO_LANE, 0), nowhere), *_about_languages(content, texts if seen else None)]
    warnings += notes(timed) if timed is not None else ()
    alone, exact = spared.of(recipients)
    return Preview(
        title=draft.shown_title,
        lanes=previews,
        unroutable=counts.get(NO_LANE, 0),
        seconds=seconds,
        warnings=warnings,
        forecast=timed,
        left_out=alone,
        left_out_exact=exact,
        confirmation=confirmation_of(
            encode_content(content), whom(msgspec.json.encode(selection), draft.care), recipients
        ),
    )


def _of_no_zone(counts: Mapping[str, int]) -> Mapping[str | None, int]:
    """Those on a lane, by their time zones where nobody asks for these."""
    return {None: sum(count for lane, count in counts.items() if lane != NO_LANE)}


def _forecast(timing: Timing, zones: Mapping[str | None, int], now: float, rate: float) -> Forecast | None:
    """None: the timing changes nobody's instant."""
    return forecast(timing, zones, now, rate) if timing.changes_instants else None


def _about_strays(unroutable: int, nowhere: str) -> list[str]:
    """What to tell of installations on no lane."""
    if not unroutable:
        return []
    why = f": {nowhere}" if nowhere else ""
    return [f"{counted(unroutable, 'installation')} on no configured app will be rejected{why}"]


def _about_languages(content: Content, texts: Texts | None) -> list[str]:
    """What to tell of the message's languages; `texts`, of installations that were looked at."""
    said = []
    if len(content.languages) > 1 and texts is not None and not any(each.tagged for each in texts.lanes.values()):
        said.append(
            "none of the installations looked at has a language, so all get the message itself; see `columns.language`"
        )
    if LANGUAGE in content.variables and not content.language:
        said.append(
            "the message itself doesn't say its `language`, so its numbers and dates are written in each installation's"
            ' own; add, for example, `language = "en"`'
        )
    return said


def _too_large(found: LanguageSize) -> str:
    whom = f"{found.installation} would be rejected" if found.installation else "the message would be rejected"
    return f"{whom}: {found.problem}"


async def _look(
    audience: Audience, draft: Draft, texts: Texts | None, spared: SparedSample
) -> Mapping[str, LaneSample]:
    """Look at some of an audience.

    Args:
        texts: what becomes of the message; None: what is the same for everybody needn't be made for each, as
            `lane.prepare` sees what becomes of it.
    """
    wanted = dataclasses.replace(_wanted(draft.content), zone=spared.care.wants_zones)
    see = () if texts is None else (texts.see,)
    addresses = not draft.selection.reached_by  # those are receipts, or were good enough before
    return await look_at(audience, wanted, *see, addresses=addresses, watch=spared.look_at)


def _is_personal(content: Content) -> bool:
    """Whether not everybody on a lane gets the same."""
    return bool(content.variables) or len(content.languages) > 1


async def _only(
    audience: Audience, content: Content, selection: Selection, key: str
) -> tuple[Mapping[str, LaneTexts], list[str]]:
    """What the message becomes for one installation, on its lane; and why it would be rejected whatever that is.

    Raises: InvalidAudience: it isn't there, cannot be read, or is on no lane.
    """
    page = await audience.find([key], _wanted(content))
    if not len(page):
        raise InvalidAudience(f"the audience {selection.source} has no installation {key} to show a sample of")
    lane = page.lanes if isinstance(page.lanes, str) else page.lanes[0]
    if (why := page.refused.get(page.keys[0])) is not None:
        raise InvalidAudience(f"no sample of the installation {key}, which would be rejected: it cannot be read: {why}")
    if lane == NO_LANE:
        raise InvalidAudience(
            f"no sample of the installation {key}, which would be rejected: it is on no configured app"
        )
    texts = Texts(content)
    texts.see(lane, key, page.languages[0] if page.languages else None, page.variables[0] if page.variables else {})
    bad = bad_address(lane, page.addresses[0])
    return texts.lanes, [] if bad is None else [f"{key} would be rejected: it has a {bad.rule}: {bad.detail}"]


async def _unselected(resources: Resources, selection: Selection, key: str) -> list[str]:
    """That an installation is not among the selected, in words."""
    if not selection.filters and selection.segment is None and selection.only is None:
        return []
    only = [key] if selection.only is None or key in selection.only else []
    audience = resources.sources.open(replace(selection, only=only))
    try:
        counted = sum((await audience.count()).values())
    finally:
        await audience.aclose()
    return [] if counted else [f"{key} is not selected, and would not get the message"]


async def _count(audience: Audience, content: Content, selection: Selection) -> dict[str, int]:
    """Recipients by lane, those on none among them. Raises: InvalidAudience, AudienceUnavailable."""
    wanted = _wanted(content)
    await audience.check(wanted)
    counts = dict(await audience.count())
    if selection.only is not None and sum(counts.values()) < len(set(selection.only)):
        page = await audience.find(selection.only, wanted)
        found = {key.decode() for key in page.keys}
        if missing := [key for key in selection.only if key not in found]:
            raise InvalidAudience(f"the audience {selection.source} has no installation {', '.join(missing[:5])}")
    if not sum(counts.values()):
        raise InvalidAudience(f"{_nobody(selection)}; nothing was sent")
    if not any(lane != NO_LANE for lane, count in counts.items() if count):
        raise InvalidAudience(
            f"{selection.source} has {counted(sum(counts.values()), 'installation')}, none on a configured app"
            f"{f' ({nowhere})' if (nowhere := strays(await audience.nowhere())) else ''}; add one under [apps] in"
            " stentor.toml, or translate the values of their channel column with `channels`"
        )
    return counts


def _wanted(content: Content) -> Wanted:
    return Wanted(language=len(content.languages) > 1, variables=tuple(content.variables))


def _nobody(selection: Selection) -> str:
    if selection.failed_of:
        return "nobody to try again"
    if selection.reached_by:
        return f"campaign {selection.reached_by} reached nobody"
    if selection.segment is not None:
        filters = " and the filters" if selection.filters else ""
        return f"nobody in the audience {selection.source} matches the segment{filters}"
    if selection.filters:
        return f"nobody in the audience {selection.source} matches the filters"
    hint = "; `stentor import` fills it" if selection.source == REGISTRY else ""
    return f"the audience {selection.source} is empty{hint}"
