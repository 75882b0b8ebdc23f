"""Whom a campaign is for, as far as a reader may know."""

from __future__ import annotations

from stentor.audience.described import described
from stentor.recording import shapes
from stentor.store.campaigns import Campaign


def whom(campaign: Campaign, *, people: bool = False) -> str:
    """The audience in a few words.

    Args:
        people: also by which of their data it was chosen; who may only view sees the audience's name alone.
    """
    shape = shapes.campaign(campaign)
    return described((shape if people else shapes.without_people(shape)).audience)


def changes_another(campaign: Campaign) -> bool:
    """Whether it takes back or edits what another campaign sent."""
    return shapes.selection_of(campaign).reached_by is not None
