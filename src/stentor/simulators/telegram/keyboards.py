"""Reply markup as Telegram's own server reads it: keyboards of both kinds, and what is wrong with them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

INLINE = "inline_keyboard"
_BELOW = "keyboard"
_OTHER = ("remove_keyboard", "force_reply")
_LONGEST_DATA = 64
_URL = re.compile(r"(?:https?://[^\s/.]+\.|tg://|https?://localhost)\S*", re.IGNORECASE)
_ACTIONS = frozenset(
    [
        "url",
        "callback_data",
        "callback_game",
        "pay",
        "switch_inline_query",
        "switch_inline_query_chosen_chat",
        "switch_inline_query_current_chat",
        "login_url",
        "web_app",
        "copy_text",
    ]
)
"""What a button of an inline keyboard may do; it needs one of them."""


class MarkupError(ValueError):
    """What Telegram has against the markup."""


def read_markup(markup: object) -> dict[str, Any] | None:
    """The markup with one kind of keyboard at most; None if it shows nothing. Raises: MarkupError."""
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise MarkupError("object expected as reply markup")
    below = _rows(markup.get(_BELOW, []), f'"{_BELOW}" of the ReplyKeyboardMarkup', _check_button)
    inline = _rows(markup.get(INLINE, []), f'"{INLINE}" of the InlineKeyboardMarkup', _check_inline_button)
    if below:
        return {_BELOW: below}
    if inline:
        return {INLINE: inline}
    return next(({name: True} for name in _OTHER if markup.get(name)), None)


def _rows(rows: object, name: str, check: Callable[[object], None]) -> list[list[Any]]:
    if not isinstance(rows, list):
        raise MarkupError(f"field {name} must be an Array")
    if not all(isinstance(row, list) for row in rows):
        raise MarkupError(f"field {name} must be an Array of Arrays")
    for row in rows:
        for button in row:
            check(button)
    return [row for row in rows if row]


def _check_button(button: object) -> None:
    if isinstance(button, str):
        return
    if not isinstance(button, dict):
        raise MarkupError("can't parse keyboard button: KeyboardButton must be a String or an Object")
    if not isinstance(button.get("text"), str):
        raise MarkupError('can\'t parse keyboard button: Field "text" must be of type String')


def _check_inline_button(button: object) -> None:
    if not isinstance(button, dict):
        raise MarkupError("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str) or not button["text"]:
        raise MarkupError("inline keyboard button text must be non-empty")
    if not _ACTIONS & button.keys():
        raise MarkupError("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    url, data = button.get("url"), button.get("callback_data", "-")
    if url is not None and not _URL.fullmatch(str(url)):
        raise MarkupError(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    if not isinstance(data, str) or not 1 <= len(data.encode()) <= _LONGEST_DATA:
        raise MarkupError("BUTTON_DATA_INVALID")
