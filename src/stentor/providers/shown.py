"""What people see of a rendered message, as its channel will show it, and how much of its provider's limit it takes.

Each provider reads it from the payload that it makes (`Rendering.shown`), so that a preview never shows what is not
sent. All texts are somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stentor.errors import InvalidMessage
from stentor.providers.payload import PayloadSize


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownButton:
    """A button below a text."""

    text: str
    url: str = ""
    """Where it leads; empty: to the app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What people see; what isn't there is empty."""

    title: str = ""
    subtitle: str = ""
    body: str = ""
    markup: str = ""
    """How title and body are marked up: `HTML`, `MarkdownV2` or `Markdown`; empty: they are plain text."""
    image: str = ""
    icon: str = ""
    url: str = ""
    """What a click opens."""
    buttons: Sequence[ShownButton] = ()
    embeds: Sequence[Mapping[str, Any]] = ()
    """Discord's, as its documentation writes them."""
    sound: str = ""
    badge: int | None = None
    """The number on the app's icon."""
    silent: bool = False
    """Nothing is shown; the app is woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """A message as one channel renders it."""

    payload: bytes
    """As `Prepared.sample`."""
    shown: Shown = Shown()
    size: PayloadSize | None = None
    """None if the provider names no limit."""
    problem: InvalidMessage | None = None
    """Why the provider would refuse it: it is too large."""


def string(value: object) -> str:
    """A text of a payload that anybody may have changed; empty if it is none."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """An object of such a payload; empty if it is none."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """A list of such a payload; empty if it is none."""
    return value if isinstance(value, list | tuple) else ()
