"""Saved templates: which there are, what is in each version, and what differs."""

from __future__ import annotations

import json
from dataclasses import dataclass

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard import message_form
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import ChangedMeanwhile, UnknownTemplate
from stentor.planning.content import Content, to_file
from stentor.runtime.templates import SavedTemplate

pages = Pages()
SHOWN = 50
"""Templates, or versions, of a page."""
_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLanguage:
    """What a message says in one language, field by field."""

    tag: str
    """Empty: the message itself."""
    fields: list[tuple[str, str]]
    """The form's label of each, and its text."""


@pages.get("/templates", Scope.VIEW)
async def list_templates(visit: Visit) -> Response:
    after = visit.query("after")
    found = await visit.stentor.templates.list(after=after or None, limit=SHOWN + 1)
    following = found[SHOWN - 1].name if len(found) > SHOWN else None
    return await visit.render("templates.html", templates=found[:SHOWN], following=following, after=after)


@pages.get("/templates/{name}", Scope.VIEW)
async def show_template(visit: Visit, name: str) -> Response:
    return await _show(visit, await visit.stentor.templates.get(name, _number(visit.query("version"))))


@pages.post("/templates/{name}/restore", Scope.WRITE, action="template.restore")
async def restore(visit: Visit, name: str) -> Response:
    version, over = _number(visit.form.get("version")), _number(visit.form.get("over"))
    if version is None:
        raise UnknownTemplate("this is not the number of a version; open the template again")
    templates = visit.stentor.templates
    try:
        saved = await templates.restore(name, version, over=over, by=visit.caller.name)
    except ChangedMeanwhile as error:
        return await _show(visit, await templates.get(name, version), str(error), status=409)
    visit.deed.detail = f"version {version} as version {saved.version.version}"
    return visit.go(f"/templates/{name}", "template-restored")


@pages.get("/templates/{name}/delete", Scope.WRITE)
async def ask_to_delete(visit: Visit, name: str) -> Response:
    newest = (await visit.stentor.templates.get(name)).version
    return await visit.render("template_delete.html", shown=newest, error="")


@pages.post("/templates/{name}/delete", Scope.WRITE, action="template.delete")
async def delete(visit: Visit, name: str) -> Response:
    templates = visit.stentor.templates
    try:
        await templates.delete(name, over=_number(visit.form.get("over")))
    except ChangedMeanwhile as error:
        newest = (await templates.get(name)).version
        return await visit.render("template_delete.html", 409, shown=newest, error=str(error))
    return visit.go("/templates", "template-deleted")


async def _show(visit: Visit, found: SavedTemplate, error: str = "", *, status: int = 200) -> Response:
    templates, shown = visit.stentor.templates, found.version
    older = await templates.versions(shown.name, before=_number(visit.query("before")), limit=SHOWN + 1)
    changes = [] if shown.version == shown.newest else await templates.compare(shown.name, shown.version)
    return await visit.render(
        "template.html",
        status,
        shown=shown,
        languages=_languages(found.content),
        written_in=found.content.templates.value,
        file=json.dumps(to_file(found.content), ensure_ascii=False, indent=2),
        changes=[each.told for each in changes],
        versions=older[:SHOWN],
        following=older[SHOWN - 1].version if len(older) > SHOWN else None,
        error=error,
    )


def _languages(content: Content) -> list[ShownLanguage]:
    tree = to_file(content)
    trees = {"": tree, **tree.get("translations", {})}
    return [
        ShownLanguage(tag=tag, fields=[(each.label, text) for each in message_form.ALL if (text := each.shown(said))])
        for tag, said in trees.items()
    ]


def _number(text: str) -> int | None:
    """The number of a version; None: it is none. Raises: UnknownTemplate: it is something else."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise UnknownTemplate(f"{text[:20]!r} is not the number of a version")
    return int(text)
