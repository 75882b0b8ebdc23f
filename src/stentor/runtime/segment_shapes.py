"""What is told of segments as JSON: the command line's `--json` and the API say the same. Times are epoch seconds."""

from __future__ import annotations

from typing import Any

from stentor.audience.segments import mongo
from stentor.audience.segments.text import read
from stentor.recording.shapes import Shape
from stentor.runtime.segments import SegmentCount
from stentor.store.segments import SavedSegment


class SegmentShape(Shape, frozen=True, kw_only=True):
    """A segment that somebody saved."""

    name: str
    segment: str
    """As people write it."""
    conditions: dict[str, Any]
    """The same as JSON, in MongoDB's words."""
    created_at: float
    changed_at: float


class SegmentSampleShape(Shape, frozen=True, kw_only=True):
    """An installation that is in a segment. Its address is not shown."""

    installation: str
    lane: str
    """Empty: its app isn't configured."""
    values: dict[str, Any]
    """What it has of the columns and attributes that the segment names."""


class SegmentCountShape(Shape, frozen=True, kw_only=True):
    """How many installations of an audience are in a segment."""

    segment: str
    """As people write it."""
    count: int
    about: bool
    """Whether the count is an estimate: the exact one was not ready in time."""
    samples: list[SegmentSampleShape]
    """The first of them, 20 at most. Empty as well if they were not found in time."""


def segment(each: SavedSegment) -> SegmentShape:
    return SegmentShape(
        name=each.name,
        segment=each.segment,
        conditions=mongo.written(read(each.segment)),
        created_at=each.created_at,
        changed_at=each.changed_at,
    )


def segment_count(found: SegmentCount) -> SegmentCountShape:
    return SegmentCountShape(
        segment=found.segment,
        count=found.count,
        about=not found.exact,
        samples=[
            SegmentSampleShape(installation=each.installation, lane=each.lane, values=each.values)
            for each in found.samples
        ],
    )
