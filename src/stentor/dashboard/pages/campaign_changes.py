"""Taking back what a campaign sent, or putting another message in its place: first what it will do, with counts; then a
draft that does it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard.form import Form
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidMessage
from stentor.planning.content import DEFAULT, Content, content_of, to_file
from stentor.runtime.preview import Preview
from stentor.runtime.sentences import cancelled_first, made_of
from stentor.store.campaigns import new_id

pages = Pages()
TEXTS = ("title", "body")
"""Fields of a message that have a box of their own, in each language."""


@pages.get("/campaigns/{campaign}/undo", Scope.SEND)
async def ask_to_undo(visit: Visit, campaign: str) -> Response:
    """How many messages would be taken back, and how."""
    return await _undo_page(visit, campaign, None)


@pages.post("/campaigns/{campaign}/undo/check", Scope.SEND)
async def check_undo(visit: Visit, campaign: str) -> Response:
    """The same with a message that replaces pushes."""
    texts = {name: text for name in TEXTS if (text := visit.form.get(name))}
    try:
        return await _undo_page(visit, campaign, content_of(texts) if texts else None)
    except InvalidMessage as error:
        return await _undo_page(visit, campaign, None, error=str(error))


@pages.post("/campaigns/{campaign}/undo", Scope.SEND, action="campaign.undo")
async def undo(visit: Visit, campaign: str) -> Response:
    better = read_message(visit.form.raw("message")) if visit.form.get("message") else None
    made = await visit.stentor.campaigns.undo(campaign, better, undo_id=visit.reserved)
    visit.deed.about, visit.deed.detail = made.id, made_of(campaign)
    return visit.go(f"/campaigns/{made.id}", "campaign-undo")


@pages.get("/campaigns/{campaign}/edit", Scope.SEND)
async def ask_to_edit(visit: Visit, campaign: str) -> Response:
    """The message as it was sent, to be changed."""
    content = await visit.stentor.campaigns.content(campaign)
    return await _edit_page(visit, campaign, content)


@pages.post("/campaigns/{campaign}/edit/check", Scope.SEND)
async def check_edit(visit: Visit, campaign: str) -> Response:
    """How many messages would be edited or replaced."""
    sent = await visit.stentor.campaigns.content(campaign)
    try:
        better = edited(sent, visit.form)
        preview = await visit.stentor.campaigns.prepare_edit(campaign, better)
    except InvalidMessage as error:
        return await _edit_page(visit, campaign, sent, error=str(error), status=422)
    return await _preview_page(visit, campaign, "edit", preview, better)


@pages.post("/campaigns/{campaign}/edit", Scope.SEND, action="campaign.edit")
async def edit(visit: Visit, campaign: str) -> Response:
    sent = await visit.stentor.campaigns.content(campaign)
    better = read_message(visit.form.raw("message"), sent)
    made = await visit.stentor.campaigns.edit(campaign, better, edit_id=visit.reserved)
    visit.deed.about, visit.deed.detail = made.id, made_of(campaign)
    return visit.go(f"/campaigns/{made.id}", "campaign-edit")


def read_message(text: str, sent: Content | None = None) -> Content:
    """A message as a JSON message file has it.

    Args:
        sent: the one in whose place it is put: the campaign's own values stay.

    Raises: InvalidMessage.
    """
    try:
        tree = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage("message", f"this is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise InvalidMessage("message", 'must be an object, such as {"title": "News"}')
    return content_of(tree, None if sent is None else sent.values)


def edited(sent: Content, form: Form) -> Content:
    """The message that was filled in: as JSON, or the sent one with other texts. Raises: InvalidMessage."""
    if form.get("message"):
        return read_message(form.raw("message"), sent)
    tree = to_file(sent)
    for tag in languages_of(sent):
        part = tree if tag == DEFAULT else tree["translations"][tag]
        for name in TEXTS:
            part.pop(name, None)
            if text := form.raw(field_name(name, tag)).strip():
                part[name] = text
    return content_of(tree, sent.values)


def languages_of(content: Content) -> list[str]:
    """The message itself, and its translations as they are spelt."""
    return [DEFAULT, *content.translations]


def field_name(name: str, tag: str) -> str:
    return f"{name}.{tag}" if tag else name


async def _undo_page(visit: Visit, campaign: str, better: Content | None, *, error: str = "") -> Response:
    preview = await visit.stentor.campaigns.prepare_undo(campaign, better)
    return await _preview_page(visit, campaign, "undo", preview, better, error=error)


async def _preview_page(
    visit: Visit, campaign: str, action: str, preview: Preview, better: Content | None, *, error: str = ""
) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    return await visit.render(
        "campaign_change.html",
        422 if error else 200,
        campaign=found,
        action=action,
        preview=preview,
        cancelled=cancelled_first(found),
        message="" if better is None else _as_json(better),
        better=better,
        reserved=new_id(visit.now),
        error=error,
    )


async def _edit_page(visit: Visit, campaign: str, sent: Content, *, error: str = "", status: int = 200) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    tree = to_file(sent)
    boxes: list[dict[str, Any]] = []
    for tag in languages_of(sent):
        part = tree if tag == DEFAULT else tree["translations"][tag]
        for name in TEXTS:
            key = field_name(name, tag)
            text = visit.form.raw(key) if error and not visit.form.get("message") else part.get(name, "")
            boxes.append({"name": key, "label": name.capitalize(), "language": tag, "text": text})
    return await visit.render(
        "campaign_edit.html",
        status,
        campaign=found,
        boxes=boxes,
        message=visit.form.raw("message") or _as_json(sent),
        as_json=bool(visit.form.get("message")),
        cancelled=cancelled_first(found),
        error=error,
    )


def _as_json(content: Content) -> str:
    return msgspec.json.format(msgspec.json.encode(to_file(content)), indent=2).decode()
