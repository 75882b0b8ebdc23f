"""What a message becomes for real people: who gets which language, who lacks which value, and an example of each.

Rules: as many are looked at as `audience.sampling` looks at; templates are filled for as many of them as `LONGEST`
allows, as one may take as long as a template may; what is shown is made by the lane that would send it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stentor.audience.contract import role_of
from stentor.clock import steady
from stentor.counted import counted
from stentor.errors import InvalidMessage, Skipped
from stentor.model import Message
from stentor.planning.content import Content
from stentor.providers.lane import CampaignContent, Lane
from stentor.runtime.renditions import Filled

LONGEST = 3.0
"""Seconds for which templates are filled, to count whose cannot be."""
MOST_REASONS = 3
"""For which templates cannot be filled, that are told."""
MOST_TAGS = 100
"""That are told of a lane; the most frequent."""
LONGEST_TAG = 40
"""Characters of one that are told: anything may be written there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What somebody would get."""

    installation: str
    """Whose it is; empty where everybody on the lane gets the same."""
    language: str
    """One of `Content.languages`: empty for the message itself."""
    payload: bytes
    """As `Prepared.sample`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagServed:
    """Which translation people get whose language is written in one way."""

    tag: str
    """As their rows have it; empty: they say nothing."""
    language: str
    """What they get, one of `Content.languages`: empty for the message itself."""
    installations: int
    """How many of those looked at."""


@dataclass(slots=True, kw_only=True)
class LaneTexts:
    """What the message becomes for those looked at on one lane."""

    looked_at: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    """How many get each of `Content.languages`."""
    tags: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many write their language so, and get that one of `Content.languages`."""
    lacking: Counter[str] = field(default_factory=Counter)
    """How many have no value of this name, which a template uses."""
    filled: int = 0
    """For how many the templates were filled, or could not be."""
    unfilled: Counter[str] = field(default_factory=Counter)
    """Why they could not be, and for how many."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Why a template says that they get nothing, and for how many."""
    texts: dict[str, tuple[str, Message]] = field(default_factory=dict)
    """By language, whose is an example, and the message as it is for them."""
    largest: dict[str, tuple[str, Message]] = field(default_factory=dict)
    """By language, whose message is longest of those filled, and that message."""
    weights: dict[str, int] = field(default_factory=dict)
    """By language, how long that is."""

    @property
    def tagged(self) -> bool:
        """Whether anybody says a language."""
        return any(tag for tag, _ in self.tags)

    @property
    def served(self) -> list[TagServed]:
        """The most frequent tags first."""
        order = sorted(self.tags.items(), key=lambda each: (-each[1], each[0]))[:MOST_TAGS]
        return [TagServed(tag=tag, language=language, installations=count) for (tag, language), count in order]

    @property
    def skips(self) -> str | None:
        """For people: how many get nothing, as a template says; None where all get something."""
        if not self.skipped:
            return None
        told = [f"{count:,} as {why}" for why, count in self.skipped.most_common(MOST_REASONS)]
        more = "; and for other reasons" if len(self.skipped) > MOST_REASONS else ""
        looked_at = counted(self.filled, "installation")
        return f"{self.skipped.total():,} of {looked_at} looked at get nothing (Skipped): {'; '.join(told)}{more}"

    @property
    def problem(self) -> str | None:
        """For people: how many would be rejected for their texts; None where none would."""
        if not self.unfilled:
            return None
        told = [f"{count:,} as {why}" for why, count in self.unfilled.most_common(MOST_REASONS)]
        return (
            f"{self.unfilled.total():,} of {counted(self.filled, 'installation')} looked at would be rejected:"
            f" {'; '.join(told)}"
        )


class Texts:
    """What a content becomes, lane by lane, for the installations that are shown to it."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._until: float | None = None
        self.lanes: dict[str, LaneTexts] = defaultdict(LaneTexts)

    def see(self, lane: str, installation: str, tag: str | None, variables: Mapping[str, Any]) -> None:
        """Take note of one of them."""
        seen = self.lanes[lane]
        index = self._content.language_index(tag)
        language = self._content.languages[index]
        seen.looked_at += 1
        seen.languages[language] += 1
        seen.tags[(tag or "")[:LONGEST_TAG], language] += 1
        needed = (name for name in self._content.variables if role_of(name) is None)
        seen.lacking.update(name for name in needed if variables.get(name) is None)
        if self._until is None:
            self._until = steady() + LONGEST
        elif language in seen.texts and steady() > self._until:
            return
        seen.filled += 1
        try:
            message = self._content.render(index, variables)
        except Skipped as error:
            seen.skipped[error.why] += 1
        except InvalidMessage as error:
            seen.unfilled[str(error)] += 1
        else:
            seen.texts.setdefault(language, (installation, message))
            weight = len(msgspec.json.encode(message))
            if weight > seen.weights.get(language, 0):
                seen.weights[language] = weight
                seen.largest[language] = installation, message


async def examples(
    lane: Lane, campaign: CampaignContent, texts: Mapping[str, tuple[str, Message]]
) -> tuple[list[Example], list[str]]:
    """What the lane makes of each of these texts (by language, whose and which), and what is wrong with the others."""
    found, problems = [], []
    for language, (installation, message) in sorted(texts.items()):
        shown = CampaignContent(
            id=campaign.id,
            content=Filled(message, campaign.content.action),
            started_at=campaign.started_at,
            collapse_id=campaign.collapse_id,
        )
        try:
            payload = (await lane.prepare(shown)).sample
        except InvalidMessage as error:
            problems.append(f"{installation} would be rejected: {error}")
        else:
            found.append(Example(installation=installation, language=language, payload=payload))
    return found, problems
