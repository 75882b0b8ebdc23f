"""What a message becomes on each channel and in each language: what people will see, and how large it is.

Made by the lanes that would send it, so that what is shown is what is sent. Rules: nothing is read from an audience and
no credential is needed; what is wrong with a message is a value, so that somebody who is still writing it sees all the
rest; templates have the limits that they have everywhere, and all of it takes a few seconds at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stentor.clock import steady
from stentor.config import Config, default_app, lanes
from stentor.errors import InvalidMessage
from stentor.languages import normal
from stentor.model import Action, Message
from stentor.planning.content import DEFAULT, Content
from stentor.providers.channels import open_lane
from stentor.providers.lane import CampaignContent, Lane, Shows
from stentor.providers.payload import PayloadSize
from stentor.providers.shown import Rendition

LONGEST = 3.0
"""Seconds that a composition takes at most, but for the template under way; what is left then is left out."""
MOST_PROBLEMS = 5
"""Translations with something wrong that are left out, so that the others are seen; with more, nothing is rendered."""
NAME = "preview"
"""The id of the campaign that the message is rendered for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageProblem:
    """What is wrong with a field of a message."""

    field: str
    """Its dotted path, e.g. `translations.de.title`."""
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRendition:
    """The message on one lane in one language."""

    lane: str
    """`channel/app`."""
    language: str
    """One of `Content.languages`: empty for the message itself."""
    rendition: Rendition | None = None
    """None if the channel cannot render it."""
    problem: MessageProblem | None = None
    """Why nobody would get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A message on all channels in all its languages."""

    renditions: Sequence[LaneRendition]
    """By lane, then by language."""
    problems: Sequence[MessageProblem] = ()
    """What is wrong with the message on any channel. The translations that these name are not rendered."""
    left_out: int = 0
    """Renditions for which there was no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSize:
    """How much of a provider's limit the message takes in one language."""

    language: str
    """One of `Content.languages`: empty for the message itself."""
    installation: str
    """For whom: of those looked at, the one whose message is longest. Empty: for nobody, without personal data."""
    size: PayloadSize
    problem: str = ""
    """Why it would be rejected, if it is too large."""


async def composition_of(
    content: Content,
    person: Mapping[str, Any] | None,
    config: Config,
    clock: Callable[[], float] = time.time,
) -> Composition:
    """What a message would be on each channel that has an app, in each of its languages.

    Args:
        content: may be wrong in any way, as somebody is still writing it.
        person: values for its templates, by name; None: nobody's, so each name stands for its value.
        config: of a channel with several apps, its default one is taken, or else its first.
        clock: epoch seconds.
    """
    sound, problems = _sound(content)
    if sound is None:
        return Composition(renditions=[], problems=problems)
    until = steady() + LONGEST
    found: list[LaneRendition] = []
    left_out = 0
    for name, lane in _opened(config, clock):
        try:
            sent = CampaignContent(id=NAME, content=sound, started_at=clock(), collapse_id=NAME)
            for index in range(len(sound.languages)):
                if steady() > until:
                    left_out += 1
                    continue
                found.append(await _rendered(name, lane, sent, sound, index, person))
                await asyncio.sleep(0)
        finally:
            await lane.aclose(0.0)
    return Composition(renditions=found, problems=problems, left_out=left_out)


async def sizes_of(
    lane: Lane, sent: CampaignContent, content: Content, largest: Mapping[str, tuple[str, Message]]
) -> list[LanguageSize]:
    """How large a message is on a lane, in each of its languages; none where the provider names no limit.

    Args:
        largest: by language, the installation whose message is longest, and that message.
    """
    found = []
    for index, language in enumerate(content.languages):
        installation, message = largest.get(language, ("", None))
        try:
            rendition = await (
                _without_data(lane, sent, content, index) if message is None else rendition_of(lane, message, sent)
            )
        except InvalidMessage:
            continue  # whatever is wrong is told elsewhere
        if rendition.size is not None:
            problem = str(rendition.problem or "")
            found.append(
                LanguageSize(language=language, installation=installation, size=rendition.size, problem=problem)
            )
        await asyncio.sleep(0)
    return found


async def rendition_of(lane: Lane, message: Message, sent: CampaignContent) -> Rendition:
    """A message, whose templates are filled, as a lane renders it. Raises: InvalidMessage."""
    if isinstance(lane, Shows):
        return lane.show(message, sent)
    filled = replace(sent, content=Filled(message, sent.content.action))
    return Rendition(payload=(await lane.prepare(filled)).sample)


@dataclass(frozen=True, slots=True)
class Filled:
    """A message whose templates are filled; a brace in it is one."""

    message: Message
    action: Action
    languages: Sequence[str] = (DEFAULT,)
    variables: Sequence[str] = ()

    def render(self, language: int, variables: Mapping[str, Any]) -> Message:
        return self.message

    def outline(self, language: int) -> Message:
        return self.message


def _sound(content: Content) -> tuple[Content | None, list[MessageProblem]]:
    """The content without the translations that have something wrong in them, and what that is; None: the message
    itself is wrong, or too much."""
    problems: list[MessageProblem] = []
    while True:
        try:
            content.check()
        except InvalidMessage as error:
            problems.append(MessageProblem(field=error.field, problem=error.problem))
            wrong = _translation_of(error.field, content)
            if wrong is None or len(problems) > MOST_PROBLEMS:
                return None, problems
            others = {tag: each for tag, each in content.translations.items() if tag != wrong}
            content = replace(content, translations=others)
        else:
            return content, problems


def _translation_of(field: str, content: Content) -> str | None:
    """The tag of the translation that a field is in."""
    parts = field.split(".")
    if len(parts) < 2 or parts[0] != "translations":
        return None
    return next((tag for tag in content.translations if parts[1] in (tag, normal(tag))), None)


def _opened(config: Config, clock: Callable[[], float]) -> Iterator[tuple[str, Lane]]:
    """A lane of each channel."""
    seen = set()
    for name, app in lanes(config).items():
        default = default_app(config, app.channel)
        if app.channel not in seen and default in (None, name.partition("/")[2]):
            seen.add(app.channel)
            yield name, open_lane(name.partition("/")[2], app, clock)


async def _rendered(
    name: str, lane: Lane, sent: CampaignContent, content: Content, index: int, person: Mapping[str, Any] | None
) -> LaneRendition:
    language = content.languages[index]
    try:
        if person is None:
            found = await _without_data(lane, sent, content, index)
        else:
            found = await rendition_of(lane, content.render(index, person), sent)
    except InvalidMessage as error:
        return LaneRendition(lane=name, language=language, problem=_problem(error))
    wrong = None if found.problem is None else _problem(found.problem)
    return LaneRendition(lane=name, language=language, rendition=found, problem=wrong)


async def _without_data(lane: Lane, sent: CampaignContent, content: Content, index: int) -> Rendition:
    """The message for nobody in particular: with what its templates make without a value, or else with each name in
    place of its value, or with something harmless where a name won't do.

    Raises: InvalidMessage: whatever the values are, the provider would refuse it.
    """
    for values in ({}, {name: f"{{{name}}}" for name in content.variables}):
        try:
            return await rendition_of(lane, content.render(index, values), sent)
        except InvalidMessage:
            continue
    return await rendition_of(lane, content.outline(index), sent)


def _problem(error: InvalidMessage) -> MessageProblem:
    return MessageProblem(field=error.field, problem=error.problem)
