"""Transactional messages: to a few recipients, ahead of all campaigns on their lanes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Fields, Made, Operations
from stentor.api.operations.campaigns import CHECKS
from stentor.api.said import content_said
from stentor.config import REGISTRY
from stentor.errors import AlreadySent, InvalidState, UnknownCampaign
from stentor.recording.message_shapes import ListedMessageShape, MessageShape, listed_message, message
from stentor.recording.messages import MessageOutcome
from stentor.recording.shapes import Shape
from stentor.runtime.template_shapes import MessageTree

operations = Operations("Messages")
MOST, USUAL = 200, 50
"""Messages of an answer."""
LONGEST_WAIT = 30.0


class NewMessageFields(Fields, frozen=True, kw_only=True):
    """A message or a template, and whom it is for: `to`, or `lane` and `addresses`."""

    message: MessageTree | UnsetType = UNSET
    """What is sent, as a message file has it."""
    template: str | None = None
    """In place of a message: the name of a saved template, or `NAME@VERSION`."""
    values: dict[str, str] = msgspec.field(default_factory=dict)
    """Values for the templates. They are shown as they are."""
    to: list[str] = msgspec.field(default_factory=list)
    """Ids of installations of the audience: at most 100."""
    audience: str = REGISTRY
    """The name of an audience in the settings. Left out: Stentor's own table of installations."""
    lane: str | None = None
    """With `addresses`: the lane that serves them, e.g. `apns/ios`."""
    addresses: list[str] = msgspec.field(default_factory=list)
    """Device tokens, subscriptions or chats, instead of `to`. They are called `address-1`, `address-2` and so on."""
    language: str | None = None
    """The translation for those at the addresses, e.g. `de`."""
    title: str | None = None
    """What the message is called in lists. Left out: as its title."""
    once: str | None = None
    """A key under which only one message or campaign is ever sent."""


class MessageQuery(Fields, frozen=True, kw_only=True):
    wait: Annotated[float, Meta(ge=0, le=LONGEST_WAIT)] = 0.0
    """Answer as soon as everybody has an outcome, or after so many seconds."""


class MessagesQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many, the newest first."""


class MessagesPage(Shape, frozen=True, kw_only=True):
    messages: list[ListedMessageShape]


@operations.post(
    "/messages",
    Scope.SEND,
    status=201,
    raises=(*CHECKS, AlreadySent, InvalidState),
    action="message.send",
    shape=MessageShape,
)
async def send_message(call: Call, query: MessageQuery, body: NewMessageFields) -> Made:
    """Send a message to a few recipients, ahead of all campaigns on their lanes.

    It is stored before this answers, and sent with the same guarantees as a campaign. An id that is not in the audience
    ends as rejected, with the reason `NotInAudience`.
    """
    messages = call.stentor.messages

    def answer(made: MessageOutcome) -> Made:
        return Made(shape=message(made), location=f"/v1/messages/{made.id}")

    if call.again and call.reserved is not None and await messages.exists(call.reserved):
        made = await messages.get(call.reserved)
    else:
        content, used = await content_said(call.stentor, body.message, body.template, body.values)
        made = await messages.send(
            content,
            body.to,
            audience=body.audience,
            lane=body.lane,
            addresses=body.addresses,
            language=body.language,
            title=body.title,
            template=used,
            once=body.once,
            message_id=call.reserved,
            along=call.along(answer),
        )
    if query.wait:
        made = await messages.settled(made.id, query.wait)
    return answer(made)


@operations.get("/messages", Scope.VIEW)
async def list_messages(call: Call, query: MessagesQuery) -> MessagesPage:
    """The newest messages, without their recipients."""
    found = await call.stentor.messages.newest(limit=query.limit)
    return MessagesPage(messages=[listed_message(each) for each in found])


@operations.get("/messages/{message_id}", Scope.VIEW, raises=(UnknownCampaign,))
async def get_message_outcome(call: Call, message_id: str, query: MessageQuery) -> MessageShape:
    """What became of a message and of everybody whom it is for."""
    return message(await call.stentor.messages.settled(message_id, query.wait))
