"""From the composer: the message in it saved as a template."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard import draft_form
from stentor.dashboard.draft_form import DraftForm, used_template
from stentor.dashboard.page import Pages
from stentor.dashboard.pages.compose import ComposerDesk, composer, find_desk
from stentor.dashboard.visit import Visit
from stentor.errors import ChangedMeanwhile, InvalidInput, InvalidMessage, UnknownCampaign, UnknownTemplate
from stentor.planning.content import content_of

pages = Pages()


@pages.post("/campaigns/save-template", Scope.WRITE, action="template.save")
async def save_as_template(visit: Visit) -> Response:
    """Save what is in the composer as a template; the draft is not saved. The composer is shown again, as it was."""
    name = visit.deed.about = visit.form.get("template_name")
    desk = await _desk_of(visit)
    filled = draft_form.read(visit.form)
    try:
        content = content_of(filled.message)
        saved = await visit.stentor.templates.save(name, content, over=_seen(visit, filled, name), by=visit.caller.name)
    except ChangedMeanwhile as error:
        return await _show_conflict(visit, desk, filled, name, str(error))
    except (InvalidMessage, InvalidInput) as error:
        told = draft_form.problems_of(error)
        if "name" in told:
            told["template_name"] = told.pop("name")
        return await composer(visit, desk, filled, told, template_name=name)
    visit.deed.detail = f"version {saved.version.version}"
    said = f"Saved as the template {name}, version {saved.version.version}. The draft is not saved by this."
    return await composer(visit, desk, replace(filled, template=str(saved.used)), template_name=name, said=said)


async def _desk_of(visit: Visit) -> ComposerDesk:
    try:
        return await find_desk(visit, visit.reserved)
    except UnknownCampaign:
        return ComposerDesk(campaign_id=visit.reserved)


def _seen(visit: Visit, filled: DraftForm, name: str) -> int:
    """The newest version of this name that the form was shown; 0: none."""
    for said in (visit.form.get("template_over"), filled.template):
        used = used_template(said)
        if used is not None and used.name == name:
            return used.version
    return 0


async def _show_conflict(visit: Visit, desk: ComposerDesk, filled: DraftForm, name: str, told: str) -> Response:
    """Somebody saved a version that this one did not see: it is told, and a second press makes the next version."""
    try:
        over = str((await visit.stentor.templates.get(name)).used)
    except UnknownTemplate:
        over = ""
    return await composer(visit, desk, filled, {"template_name": told}, template_name=name, template_over=over)
