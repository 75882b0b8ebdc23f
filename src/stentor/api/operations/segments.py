"""Segments: saved, looked up, and counted in an audience."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Fields, Operations
from stentor.errors import AudienceUnavailable, InvalidAudience, UnknownSegment
from stentor.recording.shapes import Shape
from stentor.runtime import segment_shapes as shapes
from stentor.runtime.segment_shapes import SegmentCountShape, SegmentShape
from stentor.runtime.segments import LONGEST, MOST, WITHIN

operations = Operations("Segments")
USUAL = 100
"""Segments of a page."""

SegmentFields = str | dict[str, Any] | list[Any]
Seconds = Annotated[float, Meta(gt=0, le=LONGEST)]


class SavedSegmentFields(Fields, frozen=True, kw_only=True):
    """A segment to be saved."""

    segment: SegmentFields
    """A text such as `country in [DE, AT]`, an object in MongoDB's words, or a list of OneSignal's filters."""


class SegmentQuestionFields(Fields, frozen=True, kw_only=True):
    """What is to be counted, and where."""

    audience: str
    """The name of an audience in the settings, or `registry`."""
    segment: SegmentFields
    """The name of a saved segment, a text, an object in MongoDB's words, or a list of OneSignal's filters."""
    within: Seconds = WITHIN
    """Seconds after which an estimate will do."""


class SegmentsQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many segments."""
    after: str | None = None
    """`next` of the page before."""


class SegmentsPage(Shape, frozen=True, kw_only=True):
    """Some segments, in the order of their names."""

    segments: list[SegmentShape]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


@operations.get("/segments", Scope.WRITE)
async def list_segments(call: Call, query: SegmentsQuery) -> SegmentsPage:
    """Saved segments, in the order of their names."""
    found = await call.stentor.segments.list(after=query.after, limit=query.limit)
    following = found[-1].name if len(found) == query.limit else None
    return SegmentsPage(segments=[shapes.segment(each) for each in found], next=following)


@operations.get("/segments/{name}", Scope.WRITE, raises=(UnknownSegment,))
async def get_segment(call: Call, name: str) -> SegmentShape:
    """A saved segment."""
    return shapes.segment(await call.stentor.segments.get(name))


@operations.put("/segments/{name}", Scope.WRITE, action="segment.save")
async def save_segment(call: Call, name: str, body: SavedSegmentFields) -> SegmentShape:
    """Save a segment under a name, in the place of one that had it.

    Campaigns that were made with that one keep it.
    """
    return shapes.segment(await call.stentor.segments.save(name, body.segment))


@operations.delete("/segments/{name}", Scope.WRITE, action="segment.delete", raises=(UnknownSegment,))
async def delete_segment(call: Call, name: str) -> None:
    """Delete a saved segment. Campaigns that were made with it keep it."""
    await call.stentor.segments.delete(name)


@operations.post("/segments/count", Scope.WRITE, raises=(InvalidAudience, AudienceUnavailable))
async def count_segment(call: Call, body: SegmentQuestionFields) -> SegmentCountShape:
    """Count a segment in an audience, and show some of the installations in it, without their addresses.

    If counting takes longer than `within`, a part of the audience is looked at, and the count is an estimate
    (`about`).
    """
    return shapes.segment_count(await call.stentor.segments.count(body.audience, body.segment, within=body.within))
