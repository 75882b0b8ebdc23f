"""What is told of opt-outs and exclusion lists as JSON: the command line's `--json` and the API say the same."""

from __future__ import annotations

from stentor.recording.shapes import Shape
from stentor.store.exclusions import ExclusionList
from stentor.store.opt_outs import OptOut


class OptOutShape(Shape, frozen=True, kw_only=True):
    """That an installation said no."""

    installation: str
    category: str
    """The messages it said no to; `all`: all messages."""
    at: float
    """When, in epoch seconds."""


class ExclusionListShape(Shape, frozen=True, kw_only=True):
    """A list of installations that campaigns leave out."""

    name: str
    installations: int
    """How many are on it."""
    created_at: float
    changed_at: float


def opt_out(each: OptOut) -> OptOutShape:
    return OptOutShape(installation=each.installation, category=each.category, at=each.at)


def exclusion_list(each: ExclusionList) -> ExclusionListShape:
    return ExclusionListShape(
        name=each.name, installations=each.installations, created_at=each.created_at, changed_at=each.changed_at
    )
