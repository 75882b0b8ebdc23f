"""What a campaign's content becomes on one lane: a rendering for each language, or for each recipient.

Rules: what depends on the message alone is done once a campaign; of personalised messages, equal ones are rendered
once; one that cannot be rendered is an answer about its recipient, and stops nobody else.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from stentor.batch import encode_variables
from stentor.clock import steady
from stentor.errors import InvalidMessage, Skipped
from stentor.model import Action, Message
from stentor.outcome import Verdict
from stentor.own_reasons import SKIPPED
from stentor.providers.contract import Answer, json_object, text
from stentor.providers.lane import CampaignContent, Variables
from stentor.providers.payload import PayloadSize, PayloadTooLarge
from stentor.providers.shown import Rendition, Shown

RENDERINGS = 2000
"""Renderings of personalised messages that are kept, each of a few KiB at most."""
TURN = 0.01
"""Seconds of rendering after which the loop, which has answers to read, gets its turn. One template may take longer."""
TEMPLATE_ERROR = "TemplateError"
PAYLOAD_TOO_LARGE = "PayloadTooLarge"
INVALID_MESSAGE = "InvalidMessage"
DELETED = b"(the message is deleted)"
"""What is shown for a payload of those whose messages are deleted."""

R = TypeVar("R")
"""A provider's rendered message."""


@dataclass(slots=True)
class PreparedContent(Generic[R]):
    """A campaign's content as one lane sends it."""

    campaign: CampaignContent
    collapses: bool
    rendered: tuple[R, ...]
    """For each language; where there are templates, their outlines."""
    sample: bytes
    cache: dict[bytes, R | Answer] = field(default_factory=dict, repr=False)


class Rendering(ABC, Generic[R]):
    """The part of a lane that renders."""

    by_receipt: ClassVar[bool] = False
    """See `channels.Channel.by_receipt`."""

    @abstractmethod
    def render(self, message: Message, campaign: CampaignContent) -> R:
        """Raises: InvalidMessage."""

    @abstractmethod
    def collapses(self, rendered: R) -> bool:
        """See `Prepared.collapses`."""

    @abstractmethod
    def payload(self, rendered: R) -> bytes:
        """See `Prepared.sample`."""

    def size(self, rendered: R) -> PayloadSize | None:
        """How much of the provider's limit it takes; None if there is none."""
        return None

    def visible(self, payload: Mapping[str, Any], message: Message) -> Shown:
        """What people see of a message's payload, which is JSON."""
        return Shown()

    def show(self, message: Message, campaign: CampaignContent) -> Rendition:
        if self.by_receipt and campaign.content.action is Action.UNDO:
            return Rendition(payload=DELETED)
        try:
            rendered = self.render(message, campaign)
        except PayloadTooLarge as error:
            found = self._seen(error.payload, message)
            return Rendition(payload=error.payload, shown=found, size=error.size, problem=error)
        payload = self.payload(rendered)
        return Rendition(payload=payload, shown=self._seen(payload, message), size=self.size(rendered))

    def _seen(self, payload: bytes, message: Message) -> Shown:
        found = json_object(payload, largest=len(payload))
        return Shown() if found is None else self.visible(found, message)

    async def prepare(self, campaign: CampaignContent) -> PreparedContent[R]:
        content = campaign.content
        if self.by_receipt and content.action is Action.UNDO:  # what is deleted needs no message
            return PreparedContent(campaign, collapses=True, rendered=(), sample=DELETED)
        rendered = tuple(self._rendered(campaign, language) for language in range(len(content.languages)))
        # To change a message twice is to change it once.
        collapses = content.action is not Action.SEND or all(map(self.collapses, rendered))
        return PreparedContent(campaign, collapses, rendered, self.payload(rendered[0]))

    def _rendered(self, campaign: CampaignContent, language: int) -> R:
        """In one language, with something harmless in place of templates. Raises: InvalidMessage."""
        content = campaign.content
        message = content.outline(language) if content.variables else content.render(language, {})
        try:
            return self.render(message, campaign)
        except InvalidMessage as error:
            tag = content.languages[language]
            raise (error.within(f"translations.{tag}") if tag else error) from None

    def rendered_for(
        self,
        prepared: PreparedContent[R],
        position: int,
        languages: bytes | None,
        variables: Sequence[Variables] | None,
    ) -> R | Answer:
        """What the recipient at a position of the columns gets; an answer where that cannot be made."""
        language = 0 if languages is None else languages[position]
        if not prepared.campaign.content.variables:
            return prepared.rendered[language]
        return self._personal(prepared, language, variables[position] if variables else {})

    async def rendered_each(
        self,
        prepared: PreparedContent[R],
        count: int,
        languages: bytes | None,
        variables: Sequence[Variables] | None,
    ) -> list[R | Answer]:
        """What each of the recipients in the columns gets; an answer where that cannot be made."""
        found: list[R | Answer] = []
        turn_ends = steady() + TURN
        for position in range(count):
            found.append(self.rendered_for(prepared, position, languages, variables))
            if steady() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = steady() + TURN
        return found

    def _personal(self, prepared: PreparedContent[R], language: int, variables: Variables) -> R | Answer:
        key = b"%d" % language + encode_variables(variables)
        found = prepared.cache.get(key)
        if found is None:
            if len(prepared.cache) >= RENDERINGS:
                prepared.cache.clear()
            found = prepared.cache[key] = self._render_for(prepared.campaign, language, variables)
        return found

    def _render_for(self, campaign: CampaignContent, language: int, variables: Variables) -> R | Answer:
        try:
            message = campaign.content.render(language, variables)
        except Skipped as error:
            return Answer(verdict=Verdict.REJECT, reason=SKIPPED, detail=text(error.why))
        except InvalidMessage as error:
            return Answer(verdict=Verdict.REJECT, reason=TEMPLATE_ERROR, detail=text(str(error)))
        try:
            return self.render(message, campaign)
        except PayloadTooLarge as error:
            return Answer(verdict=Verdict.REJECT, reason=PAYLOAD_TOO_LARGE, detail=text(str(error)))
        except InvalidMessage as error:
            return Answer(verdict=Verdict.REJECT, reason=INVALID_MESSAGE, detail=text(str(error)))
