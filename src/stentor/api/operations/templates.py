"""Saved templates: messages under a name, in all their versions."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Fields, Operations
from stentor.errors import ChangedMeanwhile, InvalidMessage, UnknownTemplate
from stentor.planning.content import content_of
from stentor.recording.shapes import Shape
from stentor.runtime import template_shapes as shapes
from stentor.runtime.template_shapes import (
    MessageTree,
    TemplateComparisonShape,
    TemplateShape,
    TemplateVersionShape,
)
from stentor.runtime.templates import MOST

operations = Operations("Templates")
USUAL = 100
"""Templates, or versions, of a page."""
Number = Annotated[int, Meta(ge=1, le=10**9 - 1)]
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class TemplatesQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many templates."""
    after: str | None = None
    """`next` of the page before."""


class VersionsQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many versions."""
    before: Number | None = None
    """`next` of the page before."""


class ComparisonQuery(Fields, frozen=True, kw_only=True):
    version: Number
    """The earlier version."""
    to: Number | None = None
    """The version that it is compared with. Left out: the newest."""


class SavedTemplateFields(Fields, frozen=True, kw_only=True):
    """A message to be saved."""

    message: MessageTree
    """As a message file has it: fields of the message, options of channels, `translations`."""
    over: Annotated[int, Meta(ge=0, le=10**9 - 1)] | None = None
    """The newest version that you saw. If there is a newer one, nothing is saved. 0: there must be no template of this
    name yet. Left out: it is saved whatever there is."""


class RestoredTemplateFields(Fields, frozen=True, kw_only=True):
    """The version to be restored."""

    version: Number
    over: Number | None = None
    """The newest version that you saw. If there is a newer one, nothing is restored."""


class TemplatesPage(Shape, frozen=True, kw_only=True):
    """Some templates, in the order of their names, each in its newest version."""

    templates: list[TemplateVersionShape]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


class TemplateVersionsPage(Shape, frozen=True, kw_only=True):
    """Some versions of a template, the newest first."""

    versions: list[TemplateVersionShape]
    next: int | None
    """What the next page comes before. Null: this is the last one."""


@operations.get("/templates", Scope.VIEW)
async def list_templates(call: Call, query: TemplatesQuery) -> TemplatesPage:
    """Saved templates, in the order of their names."""
    found = await call.stentor.templates.list(after=query.after, limit=query.limit)
    following = found[-1].name if len(found) == query.limit else None
    return TemplatesPage(templates=[shapes.listed(each) for each in found], next=following)


@operations.get("/templates/{name}", Scope.VIEW, raises=(UnknownTemplate,))
async def get_template(call: Call, name: str) -> TemplateShape:
    """A saved template in its newest version."""
    return shapes.template(await call.stentor.templates.get(name))


@operations.get("/templates/{name}/versions", Scope.VIEW, raises=(UnknownTemplate,))
async def list_template_versions(call: Call, name: str, query: VersionsQuery) -> TemplateVersionsPage:
    """The versions of a template, the newest first."""
    found = await call.stentor.templates.versions(name, before=query.before, limit=query.limit)
    following = found[-1].version if len(found) == query.limit else None
    return TemplateVersionsPage(versions=[shapes.listed(each) for each in found], next=following)


@operations.get("/templates/{name}/versions/{version}", Scope.VIEW, raises=(UnknownTemplate,))
async def get_template_version(call: Call, name: str, version: str) -> TemplateShape:
    """A version of a template."""
    if not _NUMBER.fullmatch(version):
        raise UnknownTemplate(f"{version[:50]!r} is not the number of a version")
    return shapes.template(await call.stentor.templates.get(name, int(version)))


@operations.get("/templates/{name}/changes", Scope.VIEW, raises=(UnknownTemplate,))
async def compare_template(call: Call, name: str, query: ComparisonQuery) -> TemplateComparisonShape:
    """What one version of a template has otherwise than an earlier one, field by field and in plain words."""
    return shapes.comparison(await call.stentor.templates.compare(name, query.version, query.to))


@operations.put("/templates/{name}", Scope.WRITE, action="template.save", raises=(InvalidMessage, ChangedMeanwhile))
async def save_template(call: Call, name: str, body: SavedTemplateFields) -> TemplateShape:
    """Save a message under a name, as a new version.

    If the newest version says the same, there is no new one. With `If-Match`, or with `over`, nothing is saved if
    somebody saved another version meanwhile. Campaigns that were made from an earlier version keep it.
    """
    content = content_of(body.message)
    seen = await _newest(call, name)
    if seen is not None:
        call.match(seen)
    over = _over(body.over, seen)
    saved = await call.stentor.templates.save(
        name, content, over=over, by=call.caller.name, along=call.along(shapes.template)
    )
    return shapes.template(saved)


@operations.post(
    "/templates/{name}/restore",
    Scope.WRITE,
    action="template.restore",
    raises=(UnknownTemplate, InvalidMessage, ChangedMeanwhile),
)
async def restore_template(call: Call, name: str, body: RestoredTemplateFields) -> TemplateShape:
    """Save an older version of a template again, as a new one."""
    seen = await _newest(call, name)
    if seen is not None:
        call.match(seen)
    over = _over(body.over, seen)
    saved = await call.stentor.templates.restore(
        name, body.version, over=over, by=call.caller.name, along=call.along(shapes.template)
    )
    return shapes.template(saved)


@operations.delete(
    "/templates/{name}", Scope.WRITE, action="template.delete", raises=(UnknownTemplate, ChangedMeanwhile)
)
async def delete_template(call: Call, name: str) -> None:
    """Delete a template with all its versions. Campaigns that were made from it stay as they are."""
    seen = await _newest(call, name)
    if seen is not None:
        call.match(seen)
    await call.stentor.templates.delete(name, over=_over(None, seen))


async def _newest(call: Call, name: str) -> TemplateShape | None:
    """The newest version, for `If-Match`; None: the caller does not say what they saw.

    Raises: ChangedMeanwhile: there is no template of this name any more.
    """
    if "if-match" not in call.request.headers:
        return None
    try:
        return shapes.template(await call.stentor.templates.get(name))
    except UnknownTemplate:
        raise ChangedMeanwhile(f"there is no template {name[:50]!r} any more; nothing was changed") from None


def _over(said: int | None, seen: TemplateShape | None) -> int | None:
    """The newest version that the caller saw: by the body, or else by `If-Match`."""
    return seen.version if said is None and seen is not None else said
