"""Why recipients were not reached, as pages list it.

Pure. Rule: a number that was not counted to its end is called "more than", wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stentor.dashboard.places import place
from stentor.dashboard.templates import number
from stentor.outcome import Outcome
from stentor.own_reasons import LEFT_OUT
from stentor.recording.failing import KindCount
from stentor.recording.meanings import meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonLine:
    """How many of a lane ended so for one reason."""

    lane: str
    reason: str
    outcome: str
    many: str
    meaning: str
    href: str
    """The list of them."""


def reason_lines(campaign: str, counts: Sequence[KindCount]) -> list[ReasonLine]:
    """A line for each lane, reason and outcome, the most frequent first."""
    of_reason: dict[tuple[str, str, Outcome], list[KindCount]] = {}
    for each in counts:
        of_reason.setdefault((each.kind.lane, each.kind.reason, each.kind.outcome), []).append(each)
    return [
        ReasonLine(
            lane=lane,
            reason=reason,
            outcome=outcome.name.lower(),
            many=how_many(found),
            meaning=meaning(lane, reason, outcome),
            href=place("campaigns", campaign, "failures", lane=lane, reason=reason, outcome=outcome.name.lower()),
        )
        for (lane, reason, outcome), found in of_reason.items()
    ]


def dead_of(counts: Sequence[KindCount]) -> list[KindCount]:
    """Those of an address that will never work again."""
    return [each for each in counts if each.kind.dead]


def left_out_of(counts: Sequence[KindCount]) -> list[KindCount]:
    """Those who got nothing by a rule; nothing is wrong with them."""
    return [each for each in counts if each.kind.reason in LEFT_OUT]


def how_many(counts: Sequence[KindCount]) -> str:
    """How many these are, as far as they were counted."""
    told = number(sum(each.count for each in counts))
    return told if all(each.exact for each in counts) else f"more than {told}"
