"""Saved segments: which there are, and an editor that counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.audience.described import shortened
from stentor.config import REGISTRY
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import (
    AudienceUnavailable,
    ChangedMeanwhile,
    InvalidAudience,
    InvalidInput,
    InvalidSegment,
    UnknownSegment,
)
from stentor.runtime.segments import SegmentCount
from stentor.store.segments import SavedSegment

pages = Pages()
SHOWN = 50
"""Segments of a page."""
LONGEST_VALUE = 100
"""Characters of a value that are shown."""
NEW = "/segments/new"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentForm:
    """What is in the editor."""

    name: str = ""
    text: str = ""
    source: str = ""
    """The audience in which it is counted."""
    seen: str = ""
    """The segment as it was saved when the editor was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTrouble:
    """What is wrong with what is in the editor."""

    field: str
    problem: str
    pointed: str = ""
    """The line at fault, and below it a caret at the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    installation: str
    lane: str
    values: list[tuple[str, str]]


@pages.get("/segments", Scope.WRITE)
async def list_segments(visit: Visit) -> Response:
    found = await visit.stentor.segments.list(after=visit.query("after") or None, limit=SHOWN + 1)
    return await visit.render(
        "segments.html",
        segments=[replace(each, segment=shortened(each.segment)) for each in found[:SHOWN]],
        following=found[SHOWN - 1].name if len(found) > SHOWN else None,
        after=visit.query("after"),
    )


@pages.get(NEW, Scope.WRITE)
async def new_segment(visit: Visit) -> Response:
    return await _editor(visit, None, SegmentForm())


@pages.post(NEW, Scope.WRITE, action="segment.save")
async def make_segment(visit: Visit) -> Response:
    return await _act(visit, None)


@pages.post("/segments/count", Scope.WRITE)
async def count(visit: Visit) -> Response:
    """How many are in what is in the editor, as a part of its page."""
    counted, trouble = await _counted(visit, _read(visit))
    return await visit.render("segment_count.html", **_shown(counted), trouble=trouble)


@pages.get("/segments/{name}", Scope.WRITE)
async def show_segment(visit: Visit, name: str) -> Response:
    found = await visit.stentor.segments.get(name)
    return await _editor(visit, found, SegmentForm(name=name, text=found.segment, seen=found.segment))


@pages.post("/segments/{name}", Scope.WRITE, action="segment.save")
async def change_segment(visit: Visit, name: str) -> Response:
    return await _act(visit, await visit.stentor.segments.get(name))


@pages.get("/segments/{name}/delete", Scope.WRITE)
async def ask_to_delete(visit: Visit, name: str) -> Response:
    return await visit.render("segment_delete.html", segment=await visit.stentor.segments.get(name))


@pages.post("/segments/{name}/delete", Scope.WRITE, action="segment.delete")
async def delete(visit: Visit, name: str) -> Response:
    await visit.stentor.segments.delete(name)
    return visit.go("/segments", "segment-deleted")


def _read(visit: Visit) -> SegmentForm:
    form = visit.form
    return SegmentForm(
        name=form.get("name"), text=form.raw("segment").strip(), source=form.get("source"), seen=form.raw("seen")
    )


async def _act(visit: Visit, found: SavedSegment | None) -> Response:
    """Save what is in the editor, or count it."""
    filled = _read(visit)
    if found is not None:
        filled = replace(filled, name=found.name)
    visit.deed.about = filled.name
    if visit.form.get("do") == "count":
        visit.deed.nothing = True
        counted, trouble = await _counted(visit, filled)
        return await _editor(visit, found, filled, trouble, counted)
    try:
        await _refuse_unseen(visit, found, filled)
        saved = await visit.stentor.segments.save(filled.name, filled.text)
    except ChangedMeanwhile as error:
        return await _editor(visit, found, filled, SegmentTrouble(field="", problem=str(error)), status=409)
    except InvalidInput as error:
        return await _editor(visit, found, filled, _trouble(error), status=422)
    return visit.go(f"/segments/{saved.name}", "segment-saved")


async def _refuse_unseen(visit: Visit, found: SavedSegment | None, filled: SegmentForm) -> None:
    """Raises: ChangedMeanwhile: another segment of this name is saved than the editor was opened with."""
    if found is not None and found.segment != filled.seen:
        raise ChangedMeanwhile(
            f"Somebody else changed this segment meanwhile. It is now: {shortened(found.segment)}. "
            "Nothing of yours was saved yet. Press Save again to put yours in its place."
        )
    if found is None:
        try:
            await visit.stentor.segments.get(filled.name)
        except UnknownSegment:
            return
        raise InvalidSegment("there is a segment of this name already; open that one to change it", field="name")


async def _counted(visit: Visit, filled: SegmentForm) -> tuple[SegmentCount | None, SegmentTrouble | None]:
    if not filled.source:
        return None, SegmentTrouble(field="source", problem="Choose the audience in which it is counted.")
    try:
        return await visit.stentor.segments.count(filled.source, filled.text), None
    except InvalidInput as error:
        return None, _trouble(error)
    except (InvalidAudience, AudienceUnavailable) as error:
        return None, SegmentTrouble(field="", problem=str(error))


def _trouble(error: InvalidInput) -> SegmentTrouble:
    pointed = error.pointed or "" if isinstance(error, InvalidSegment) else ""
    return SegmentTrouble(field=error.field, problem=error.problem, pointed=pointed)


def _shown(found: SegmentCount | None) -> dict[str, Any]:
    """What a count shows of itself."""
    samples = [] if found is None else found.samples
    return {
        "counted_now": found,
        "samples": [
            ShownSample(
                installation=each.installation,
                lane=each.lane,
                values=[(name, f"{value}"[:LONGEST_VALUE]) for name, value in each.values.items()],
            )
            for each in samples
        ],
    }


async def _editor(
    visit: Visit,
    found: SavedSegment | None,
    filled: SegmentForm,
    trouble: SegmentTrouble | None = None,
    counted: SegmentCount | None = None,
    *,
    status: int = 200,
) -> Response:
    sources = [*visit.config.audiences, REGISTRY]
    return await visit.render(
        "segment.html",
        status,
        segment=found,
        form=filled if filled.source or len(visit.config.audiences) != 1 else replace(filled, source=sources[0]),
        sources=sources,
        trouble=trouble,
        **_shown(counted),
    )
