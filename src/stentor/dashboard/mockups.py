"""What a message looks like on phones, in browsers and in chats: cut off where they cut it off.

Rules: what is shown is what the lane renders (`runtime.renditions`); nothing is loaded from elsewhere, an image is its
address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

from stentor.providers.payload import PayloadSize
from stentor.providers.shown import Shown, ShownButton, string
from stentor.runtime.renditions import Composition, LaneRendition

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_ESCAPED = re.compile(r"\\([_*\[\]()~`>#+\-=|{}.!\\])")
_MARKS = re.compile(r"(?<!\\)(\*\*|__|\|\||~~|[*_~`])")
LOOKS = {
    "apns": ("iphone", "iPhone"),
    "fcm": ("android", "Android"),
    "webpush": ("browser", "Browser"),
    "telegram": ("chat", "Telegram"),
    "discord": ("chat", "Discord"),
}
"""By channel, which picture it has and what stands above it. The others have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mockup:
    """A message on one channel."""

    lane: str
    look: str
    """`iphone`, `android`, `browser`, `chat`; `plain`: nobody sees it, or nobody knows how."""
    name: str
    title: str = ""
    subtitle: str = ""
    body: str = ""
    image: str = ""
    url: str = ""
    buttons: Sequence[ShownButton] = ()
    cards: Sequence[tuple[str, str]] = ()
    """Title and text of each of Discord's embeds."""
    silent: bool = False
    payload: str = ""
    """What is sent, if there is no picture of it."""
    problem: str = ""
    size: PayloadSize | None = None

    @property
    def filled(self) -> int:
        """How many hundredths of the limit it takes; 100 if it is too large."""
        return 0 if self.size is None or not self.size.limit else min(100, 100 * self.size.size // self.size.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A message in one language, on each channel."""

    tag: str
    """Empty: the message itself."""
    mockups: Sequence[Mockup]


def by_language(found: Composition) -> list[Language]:
    """What was composed, the message itself first."""
    tags = dict.fromkeys(each.language for each in found.renditions)
    return [
        Language(tag=tag, mockups=[_mockup(each) for each in found.renditions if each.language == tag]) for tag in tags
    ]


def _mockup(each: LaneRendition) -> Mockup:
    look, name = LOOKS.get(each.lane.partition("/")[0], ("plain", each.lane.partition("/")[0]))
    problem = "" if each.problem is None else f"{each.problem.field}: {each.problem.problem}"
    if each.rendition is None:
        return Mockup(lane=each.lane, look=look, name=name, problem=problem)
    shown = each.rendition.shown
    return Mockup(
        lane=each.lane,
        look=look,
        name=name,
        title=_plain(shown.title, shown),
        subtitle=shown.subtitle,
        body=_plain(shown.body, shown),
        image=shown.image,
        url=shown.url,
        buttons=shown.buttons,
        cards=[(string(card.get("title")), string(card.get("description"))) for card in shown.embeds],
        silent=shown.silent,
        payload=each.rendition.payload.decode(errors="replace") if look == "plain" else "",
        problem=problem,
        size=each.rendition.size,
    )


def _plain(text: str, shown: Shown) -> str:
    """A text without its markup, which chats show as bold, and so on."""
    if shown.markup == "HTML":
        return unescape(_TAG.sub("", text))
    if shown.markup in ("Markdown", "MarkdownV2"):
        return _ESCAPED.sub(r"\1", _MARKS.sub("", text))
    return text
