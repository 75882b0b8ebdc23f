"""Whom campaigns leave alone: opt-outs and exclusion lists."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.cursors import Cursors
from stentor.api.operation import Call, Fields, Operations
from stentor.errors import UnknownExclusionList
from stentor.recording.shapes import Shape
from stentor.runtime import care_shapes as shapes
from stentor.runtime.care import AT_ONCE, MOST
from stentor.runtime.care_shapes import ExclusionListShape, OptOutShape

operations = Operations("Care")
USUAL = 100
"""Opt-outs, or installations, of a page."""

Limit = Annotated[int, Meta(ge=1, le=MOST)]
Ids = Annotated[list[str], Meta(min_length=1, max_length=AT_ONCE)]


class OptOutsQuery(Fields, frozen=True, kw_only=True):
    category: str | None = None
    """Only of this category; `all`: only those of all messages."""
    limit: Limit = USUAL
    """How many."""
    cursor: str | None = None
    """`next` of the page before."""


class OptOutsPage(Shape, frozen=True, kw_only=True):
    """Some opt-outs, in the order of installation and category."""

    opt_outs: list[OptOutShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class InstallationOptOutsShape(Shape, frozen=True, kw_only=True):
    """What an installation said no to."""

    opt_outs: list[OptOutShape]


class CategoriesFields(Fields, frozen=True, kw_only=True):
    categories: Annotated[list[str], Meta(max_length=100)]
    """All that it says no to: names of categories, or `all`. Empty: to nothing."""


class NewOptOutsFields(Fields, frozen=True, kw_only=True):
    installations: Ids
    """Their ids. They need not be in any audience."""
    category: str | None = None
    """What they say no to. Left out: to all messages."""


class InstallationsFields(Fields, frozen=True, kw_only=True):
    installations: Ids
    """Their ids."""


class AddedShape(Shape, frozen=True, kw_only=True):
    added: int
    """How many are new."""


class RemovedShape(Shape, frozen=True, kw_only=True):
    removed: int
    """How many were there."""


class ExclusionListsShape(Shape, frozen=True, kw_only=True):
    """All lists, in the order of their names."""

    lists: list[ExclusionListShape]


class ExcludedQuery(Fields, frozen=True, kw_only=True):
    limit: Limit = USUAL
    """How many."""
    after: str | None = None
    """`next` of the page before."""


class ExcludedPage(Shape, frozen=True, kw_only=True):
    """Some installations on a list, in order."""

    installations: list[str]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


@operations.get("/opt-outs", Scope.WRITE)
async def list_opt_outs(call: Call, query: OptOutsQuery) -> OptOutsPage:
    """Who said no, and to what."""
    cursors, question, now = Cursors(await call.stentor.access.signing_key()), ("opt-outs", query.category), time.time()
    after = None
    if query.cursor is not None:
        installation, category = cursors.read(question, query.cursor, now)
        after = str(installation), str(category)
    found = await call.stentor.care.opt_outs(query.category, after=after, limit=query.limit)
    following = None
    if len(found) == query.limit:
        following = cursors.make(question, [found[-1].installation, found[-1].category], now)
    return OptOutsPage(opt_outs=[shapes.opt_out(each) for each in found], next=following)


@operations.post("/opt-outs", Scope.WRITE, action="opt-out.add")
async def add_opt_outs(call: Call, body: NewOptOutsFields) -> AddedShape:
    """Record that installations want no messages of campaigns, or none of a category."""
    return AddedShape(added=await call.stentor.care.opt_out(body.installations, body.category))


@operations.get("/opt-outs/{installation}", Scope.WRITE)
async def get_opt_outs(call: Call, installation: str) -> InstallationOptOutsShape:
    """What an installation said no to. Empty if it said nothing, or isn't known."""
    found = await call.stentor.care.opt_outs_of(installation)
    return InstallationOptOutsShape(opt_outs=[shapes.opt_out(each) for each in found])


@operations.put("/opt-outs/{installation}", Scope.WRITE, action="opt-out.set")
async def set_opt_outs(call: Call, installation: str, body: CategoriesFields) -> InstallationOptOutsShape:
    """Have an installation say no to exactly these categories."""
    found = await call.stentor.care.set_opt_outs(installation, body.categories)
    return InstallationOptOutsShape(opt_outs=[shapes.opt_out(each) for each in found])


@operations.get("/exclusions", Scope.WRITE)
async def list_exclusions(call: Call) -> ExclusionListsShape:
    """The exclusion lists, and how many installations are on each."""
    return ExclusionListsShape(
        lists=[shapes.exclusion_list(each) for each in await call.stentor.care.exclusion_lists()]
    )


@operations.get("/exclusions/{name}", Scope.WRITE, raises=(UnknownExclusionList,))
async def get_exclusions(call: Call, name: str, query: ExcludedQuery) -> ExcludedPage:
    """Who is on an exclusion list."""
    found = list(await call.stentor.care.excluded(name, after=query.after, limit=query.limit))
    return ExcludedPage(installations=found, next=found[-1] if len(found) == query.limit else None)


@operations.post("/exclusions/{name}/add", Scope.WRITE, action="exclusion.add")
async def add_exclusions(call: Call, name: str, body: InstallationsFields) -> AddedShape:
    """Put installations on a list, which is made if there is none of this name."""
    return AddedShape(added=await call.stentor.care.exclude(name, body.installations))


@operations.post("/exclusions/{name}/remove", Scope.WRITE, action="exclusion.remove", raises=(UnknownExclusionList,))
async def remove_exclusions(call: Call, name: str, body: InstallationsFields) -> RemovedShape:
    """Take installations off a list."""
    return RemovedShape(removed=await call.stentor.care.readmit(name, body.installations))


@operations.delete("/exclusions/{name}", Scope.WRITE, action="exclusion.delete", raises=(UnknownExclusionList,))
async def delete_exclusions(call: Call, name: str) -> None:
    """Delete a list. A campaign that leaves it out and is still being planned is paused."""
    await call.stentor.care.delete_exclusion_list(name)
