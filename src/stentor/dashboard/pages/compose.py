"""The composer: a draft as a form, saved with what nobody else changed meanwhile, and previewed as it will be seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from stentor import channels
from stentor.access.scopes import Scope
from stentor.config import REGISTRY
from stentor.dashboard import draft_form, message_form, mockups, timing_form
from stentor.dashboard.draft_form import DraftForm
from stentor.dashboard.page import Pages
from stentor.dashboard.templates import rate
from stentor.dashboard.visit import Visit
from stentor.errors import (
    AudienceUnavailable,
    ChangedMeanwhile,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    StentorError,
    UnknownCampaign,
)
from stentor.planning.content import Content, content_of, to_file
from stentor.planning.timing.sentences import described_timing
from stentor.runtime.draft import Draft
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign
from stentor.store.caring import CareSettings

pages = Pages()
NOTHING_SAVED = ("add-language", "remove-language", "add-row", "as-json", "as-fields", "use-template")
"""Buttons that change what is in the form."""
SPARE_ROWS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposerDesk:
    """What the page is about: a draft that is stored, or one to be."""

    campaign_id: str
    campaign: Campaign | None = None
    stored: Draft | None = None

    @property
    def path(self) -> str:
        return "/campaigns/new" if self.campaign is None else f"/campaigns/{self.campaign_id}/compose"

    @property
    def revision(self) -> int:
        return 0 if self.campaign is None else self.campaign.revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Fields of one channel."""

    channel: str
    fields: list[message_form.MessageField] = field(default_factory=list)


@pages.get("/campaigns/new", Scope.WRITE)
async def new_campaign(visit: Visit) -> Response:
    sources = _sources(visit)
    filled = DraftForm(source=sources[0] if len(sources) == 1 else "", saved_segment=visit.query("segment"))
    if template := visit.query("template"):
        filled = await with_template(visit, filled, template)
    return await composer(visit, ComposerDesk(campaign_id=visit.reserved), filled)


@pages.post("/campaigns/new", Scope.WRITE, action="campaign.create")
async def make_campaign(visit: Visit) -> Response:
    campaign_id = visit.reserved
    try:
        return await _act(visit, await find_desk(visit, campaign_id))  # it was made already, e.g. by a second click
    except UnknownCampaign:
        return await _act(visit, ComposerDesk(campaign_id=campaign_id))


@pages.get("/campaigns/{campaign}/compose", Scope.WRITE)
async def show_draft(visit: Visit, campaign: str) -> Response:
    desk = await find_desk(visit, campaign)
    assert desk.campaign is not None
    assert desk.stored is not None
    if desk.campaign.state is not CampaignState.DRAFT:
        return visit.go(f"/campaigns/{campaign}")
    return await composer(visit, desk, draft_form.form_of(desk.stored))


@pages.post("/campaigns/{campaign}/compose", Scope.WRITE, action="campaign.change")
async def change_draft(visit: Visit, campaign: str) -> Response:
    return await _act(visit, await find_desk(visit, campaign))


@pages.get("/campaigns/{campaign}/discard", Scope.WRITE)
async def ask_to_discard(visit: Visit, campaign: str) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    return await visit.render("compose/discard.html", campaign=found)


@pages.post("/campaigns/{campaign}/discard", Scope.WRITE, action="campaign.delete")
async def discard(visit: Visit, campaign: str) -> Response:
    await visit.stentor.campaigns.discard(campaign, revision=_revision(visit))
    return visit.go("/campaigns", "draft-deleted")


@pages.post("/campaigns/preview", Scope.WRITE)
async def preview(visit: Visit) -> Response:
    """The message as people will see it, while somebody writes it."""
    try:
        filled = draft_form.read(visit.form)
        content = content_of(filled.message, filled.own_values, check=False)
        problems = await _shown(visit, filled, content)
    except StentorError as error:
        if not isinstance(error, InvalidMessage | InvalidInput | InvalidAudience | AudienceUnavailable):
            raise
        problems = {"phones": [], "problems": draft_form.problems_of(error), "left_out": 0}
    return await visit.render("compose/preview.html", label=message_form.label_of, **problems)


async def _shown(visit: Visit, filled: DraftForm, content: Content) -> dict[str, Any]:
    installation = visit.form.get("sample")
    person = None
    if installation and filled.source:
        person = await visit.stentor.campaigns.values_of(filled.source, content, installation)
    found = await visit.stentor.campaigns.compose(content, person)
    problems: dict[str, str] = {}
    for each in (*found.problems, *(each.problem for each in found.renditions if each.problem is not None)):
        problems.setdefault(message_form.name_of(each.field) or each.field, each.problem)
    return {"phones": mockups.by_language(found), "problems": problems, "left_out": found.left_out}


# -- what a form does -------------------------------------------------------------------------------------------------


async def find_desk(visit: Visit, campaign_id: str) -> ComposerDesk:
    """Raises: UnknownCampaign."""
    campaign = await visit.stentor.campaigns.get(campaign_id)
    return ComposerDesk(
        campaign_id=campaign_id, campaign=campaign, stored=await visit.stentor.campaigns.draft(campaign_id)
    )


async def _act(visit: Visit, desk: ComposerDesk) -> Response:
    button = visit.form.get("do")
    visit.deed.about = desk.campaign_id
    filled = draft_form.read(visit.form)
    try:
        if button.partition(":")[0] in NOTHING_SAVED:
            visit.deed.nothing = True
            if button == "use-template":
                filled = await with_template(visit, filled, visit.form.get("from_template"))
            return await composer(visit, desk, draft_form.pressed(filled, button, visit.form.get("language")))
        draft = filled.draft(desk.stored, visit.now)
        saved = await _save(visit, desk, draft)
    except ChangedMeanwhile:
        return await _conflict(visit, desk, filled)
    except (InvalidMessage, InvalidInput) as error:
        return await composer(visit, desk, filled, draft_form.problems_of(error))
    if button == "check":
        return visit.go(f"/campaigns/{saved.id}/check")
    return visit.go(f"/campaigns/{saved.id}/compose", "draft-saved")


async def _save(visit: Visit, desk: ComposerDesk, draft: Draft) -> Campaign:
    """Raises: ChangedMeanwhile. And as `create` without a count."""
    campaigns = visit.stentor.campaigns
    if desk.campaign is None:
        return await campaigns.create(draft, campaign_id=desk.campaign_id, count=False)
    return await campaigns.change(desk.campaign_id, draft, revision=_revision(visit), count=False)


def _revision(visit: Visit) -> int:
    """Which the form was made of."""
    text = visit.form.get("revision")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


async def _conflict(visit: Visit, desk: ComposerDesk, filled: DraftForm) -> Response:
    """Somebody else saved the draft since this form was opened: both are shown, and one is chosen."""
    desk = await find_desk(visit, desk.campaign_id)
    assert desk.campaign is not None
    assert desk.stored is not None
    kept = [(name, value) for name, value in visit.form.fields if name not in ("csrf", "revision", "do")]
    ours = filled.draft(desk.stored, visit.now)
    return await visit.render("compose/conflict.html", 409, desk=desk, facts=_differences(desk.stored, ours), kept=kept)


def _differences(theirs: Draft, ours: Draft) -> list[tuple[str, str, str]]:
    """Of both versions what differs: its name, theirs and ours."""
    rows = [
        ("Name", theirs.shown_title, ours.shown_title),
        ("Title", theirs.content.message.title or "", ours.content.message.title or ""),
        ("Text", theirs.content.message.body or "", ours.content.message.body or ""),
        ("Languages", ", ".join(theirs.content.translations), ", ".join(ours.content.translations)),
        ("For", draft_form.audience_in_words(theirs), draft_form.audience_in_words(ours)),
        ("Leaves alone", _alone(theirs.care), _alone(ours.care)),
        ("Most a second", _rate(theirs.max_rate), _rate(ours.max_rate)),
        ("Timing", _timing(theirs), _timing(ours)),
        ("Pauses above", _percent(theirs.pause_above), _percent(ours.pause_above)),
    ]
    found = [row for row in rows if row[1] != row[2]]
    if theirs.content != ours.content and not any(row[0] in ("Title", "Text", "Languages") for row in found):
        found.append(("Message", "other options, data or translations", "yours"))
    return found


def _timing(draft: Draft) -> str:
    return described_timing(draft.timing) or "everybody at once"


def _percent(value: float | None) -> str:
    return "as the settings say" if value is None else f"{100 * value:g} % failures"


def _alone(care: CareSettings) -> str:
    category = [] if care.category is None else [care.category]
    return ", ".join((*category, *care.exclude, *care.not_reached_by, *care.caps)) or "nobody"


def _rate(value: float | None) -> str:
    return "no limit" if value is None else rate(value)


# -- the page ---------------------------------------------------------------------------------------------------------


async def with_template(visit: Visit, filled: DraftForm, said: str) -> DraftForm:
    """The form with the message of a saved template.

    Args:
        said: `NAME` or `NAME@VERSION`.

    Raises: InvalidInput: there is none.
    """
    content, used = await visit.stentor.templates.filled(said)
    as_json = filled.as_json and json.dumps(to_file(content), ensure_ascii=False, indent=2)
    return replace(filled, tree=to_file(content), as_json=as_json, template=str(used))


async def composer(
    visit: Visit, desk: ComposerDesk, filled: DraftForm, problems: dict[str, str] | None = None, **more: Any
) -> Response:
    """The page.

    Args:
        problems: what is wrong, by the form's field.
        more: what else the page shows.
    """
    wrong = problems or {}
    spare = SPARE_ROWS if visit.form.get("do").startswith("add-row") else 1
    configured = {app.channel for app in visit.config.apps.values()}
    groups = [
        Group(channel=name, fields=[each for each in message_form.CHANNELS if each.channel == name])
        for name in channels.BUILT_IN
        if name in configured or name in filled.tree
    ]
    return await visit.render(
        "compose/compose.html",
        422 if wrong else 200,
        desk=desk,
        form=filled,
        problems=wrong,
        fields=message_form,
        timing_fields=timing_form,
        groups=groups,
        sources=_sources(visit),
        spare=spare,
        fixed=draft_form.audience_in_words(desk.stored)
        if desk.stored is not None and draft_form.is_fixed(desk.stored.selection)
        else "",
        revision=visit.form.get("revision") or desk.revision,
        starts_at=None if desk.stored is None else desk.stored.starts_at,
        sample=visit.form.get("sample"),
        templates=[each.name for each in await visit.stentor.templates.list()],
        segments=[each.name for each in await visit.stentor.segments.list()],
        **{"template_name": filled.template.partition("@")[0], "template_over": "", **more},
    )


def _sources(visit: Visit) -> list[str]:
    """The audiences that there are."""
    return [*visit.config.audiences, REGISTRY]
