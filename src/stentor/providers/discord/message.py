"""A message as Discord writes it, checked as Discord does: text, embeds, flags. Pure.

Rules: title and body are plain text, so what Markdown would take for its own is escaped; `DiscordOptions.content` and
the embeds are Markdown. Nobody is mentioned unless an option says so. Limits are those of Discord's documentation
(docs.discord.com/developers/resources/message), counted in characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from stentor.errors import InvalidMessage
from stentor.model import Message
from stentor.providers.payload import PayloadSize, PayloadTooLarge, to_json
from stentor.providers.shown import Shown, mapping, sequence, string

LONGEST_TEXT = 2000
LONGEST_USERNAME = 80
MOST_EMBEDS = 10
MOST_FIELDS = 25
LARGEST_EMBEDS = 6000
"""Characters in all embeds of a message together."""
SUPPRESS_EMBEDS = 1 << 2
SUPPRESS_NOTIFICATIONS = 1 << 12
NOBODY: Mapping[str, Any] = {"parse": []}

_LONGEST: Mapping[str, int] = {
    "title": 256,
    "description": 4096,
    "footer.text": 2048,
    "author.name": 256,
    "fields.name": 256,
    "fields.value": 1024,
}
_EMBED = frozenset(
    {
        *("title", "description", "url", "color", "timestamp", "footer", "image", "thumbnail", "author", "fields"),
        *("type", "provider", "video"),
    }
)
_MARKDOWN = re.compile(r"(https?://\S+)|([\\*_~|`<>\[\]#-])")
_LIST = re.compile(r"^(\s*\d+)\.(?=\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as JSON without its last brace, for each of those who can be asked to show it."""

    edit: bytes
    """What can be changed of a message that is there."""
    bot: bytes
    webhook: bytes
    fullest: _Measured
    """What takes most of its limit: the text, the embeds together, or a text in one of them."""

    @property
    def size(self) -> PayloadSize:
        return self.fullest.size


class _Measured(NamedTuple):
    """A text that has a limit, in characters."""

    what: str
    """`text`, `embeds`, or a field of an embed."""
    field: str
    """That of the message."""
    length: int
    limit: int

    @property
    def size(self) -> PayloadSize:
        return PayloadSize(what=self.what, size=self.length, limit=self.limit, unit="characters")


def render(message: Message) -> Rendered:
    """Raises: InvalidMessage, PayloadTooLarge: names the field."""
    options = message.discord
    embeds, measured = _embeds(message)
    text = options.content if options.content is not None else _text(message)
    field = "discord.content" if options.content is not None else "body"
    measured.append(_Measured("text", field, len(text), LONGEST_TEXT))
    if not text.strip() and not embeds:
        raise InvalidMessage(
            "body", "is needed, or a title, an image, `discord.content` or an embed: this shows nothing"
        )
    if options.username is not None and not 1 <= len(options.username.strip()) <= LONGEST_USERNAME:
        raise InvalidMessage("discord.username", f"must be 1 to {LONGEST_USERNAME} characters")
    mentions = NOBODY if options.allowed_mentions is None else options.allowed_mentions
    edit: dict[str, Any] = {"content": text, "embeds": embeds, "allowed_mentions": mentions}
    silent = message.silent if options.silent is None else options.silent
    kept = SUPPRESS_EMBEDS * options.suppress_embeds
    flags = kept | SUPPRESS_NOTIFICATIONS * silent
    sent = edit | ({"flags": flags} if flags else {})
    named = {"username": options.username, "avatar_url": options.avatar_url}
    rendered = Rendered(
        _open_json(edit | ({"flags": kept} if kept else {})),
        _open_json(sent),
        _open_json(sent | {name: value for name, value in named.items() if value is not None}),
        max(measured, key=lambda each: each.length / each.limit),
    )
    for each in measured:
        if each.length > each.limit:
            raise PayloadTooLarge(each.field, _too_long(each), each.size, sample(rendered))
    return rendered


def _too_long(found: _Measured) -> str:
    match found.what:
        case "text":
            escaped = " with its title, Markdown escaped" if found.field == "body" else ""
            return f"is {found.length} characters{escaped}; Discord takes {found.limit}"
        case "embeds":
            return f"come to {found.length} characters in embeds; Discord takes {found.limit}"
        case _:
            return f"is {found.length} characters; Discord takes {found.limit} there"


def sample(rendered: Rendered) -> bytes:
    return rendered.bot + b"}"


def visible(payload: Mapping[str, Any]) -> Shown:
    """What people see of a message's body."""
    return Shown(
        body=string(payload.get("content")),
        markup="Markdown",
        embeds=tuple(mapping(each) for each in sequence(payload.get("embeds"))),
    )


def escape(text: str) -> str:
    """`text` so that Markdown shows it as it is. Links stay whole, or nobody could click them."""
    return _LIST.sub(r"\1\\.", _MARKDOWN.sub(lambda found: found[1] or "\\" + found[2], text))


def _open_json(value: Mapping[str, Any]) -> bytes:
    return to_json(value, "discord")[:-1]


def _text(message: Message) -> str:
    """Title and body, where no embed shows them."""
    if message.image is not None:
        return ""
    title = f"**{escape(message.title)}**" if message.title else ""
    return "\n".join(part for part in (title, escape(message.body or "")) if part)


# -- embeds -----------------------------------------------------------------------------------------------------------


def _embeds(message: Message) -> tuple[list[Mapping[str, Any]], list[_Measured]]:
    """All of them, and the texts in them. Raises: InvalidMessage."""
    embeds: list[Mapping[str, Any]] = list(message.discord.embeds)
    where = [f"discord.embeds.{index}" for index in range(len(embeds))]
    if message.image is not None:
        embeds.insert(0, _own_embed(message))
        where.insert(0, "")
    if len(embeds) > MOST_EMBEDS:
        raise InvalidMessage("discord.embeds", f"are {len(embeds)} with the image's; Discord takes {MOST_EMBEDS}")
    measured = [each for embed, path in zip(embeds, where, strict=True) for each in _check_embed(embed, path)]
    if embeds:
        field = "discord.embeds" if message.discord.embeds else "body"
        measured.append(_Measured("embeds", field, sum(each.length for each in measured), LARGEST_EMBEDS))
    return embeds, measured


def _own_embed(message: Message) -> Mapping[str, Any]:
    image = message.image or ""
    if not image.startswith(("https://", "http://")):
        raise InvalidMessage("image", "must be an https address")
    embed = {"title": escape(message.title or ""), "description": escape(message.body or "")}
    return {name: text for name, text in embed.items() if text} | {"image": {"url": image}}


def _check_embed(embed: Mapping[str, Any], path: str) -> Iterator[_Measured]:
    """The texts that count in it. Raises: InvalidMessage."""
    if unknown := set(embed) - _EMBED:
        raise InvalidMessage(
            f"{path}.{min(unknown)}", f"is not a field of an embed; the fields are {', '.join(sorted(_EMBED))}"
        )
    yield from _measure(embed, "title", path, "title")
    yield from _measure(embed, "description", path, "description")
    for name, inner in (("footer", "text"), ("author", "name")):
        part = embed.get(name)
        if part is not None:
            yield from _measure(_object(part, f"{path}.{name}"), inner, f"{path}.{name}", f"{name}.{inner}")
    fields = embed.get("fields") or ()
    if not isinstance(fields, list | tuple) or len(fields) > MOST_FIELDS:
        raise InvalidMessage(f"{path}.fields", f"must be a list of at most {MOST_FIELDS}")
    for index, each in enumerate(fields):
        where = f"{path}.fields.{index}"
        for name in ("name", "value"):
            if not _object(each, where).get(name):
                raise InvalidMessage(f"{where}.{name}", "is needed")
            yield from _measure(each, name, where, f"fields.{name}")


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMessage(path, "must be an object")
    return value


def _measure(holder: Mapping[str, Any], name: str, path: str, limit: str) -> Iterator[_Measured]:
    """A text in an embed, if it is there. An embed of our own has the message's own fields, so those are named."""
    text = holder.get(name)
    if text is None:
        return
    field = f"{path}.{name}" if path else {"description": "body"}.get(name, name)
    if not isinstance(text, str):
        raise InvalidMessage(field, "must be a text")
    yield _Measured(limit, field, len(text), _LONGEST[limit])
