"""Telegram on the wire: a message and a chat -> a request; a response -> `Taken` or an answer.

Pure: no socket, no clock, no await. What is the same for all chats is checked and rendered once (`render`). What a
message is found by again is written `chat:message`, as both are numbers. The methods are those of the Bot API
(https://core.telegram.org/bots/api#sendmessage and below).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from stentor.counted import counted
from stentor.errors import InvalidMessage
from stentor.model import Message, TelegramButton, TelegramMarkup
from stentor.outcome import Scope, Verdict
from stentor.providers.contract import (
    LONGEST_RETRY_AFTER,
    NO_ADDRESS_OF_OURS,
    UNREADABLE,
    Answer,
    Taken,
    ambiguous,
    json_object,
    retry_after,
    text,
    unknown_answer,
)
from stentor.providers.http_message import Request, Response
from stentor.providers.payload import PayloadSize, PayloadTooLarge, check_bool, check_common, check_text, to_json
from stentor.providers.shown import Shown, ShownButton, mapping, sequence, string
from stentor.providers.telegram.channel import CHAT
from stentor.providers.telegram.markup import BrokenMarkup, escape, shown, utf16_length
from stentor.providers.telegram.reasons import BAD_REQUEST, BEGINNINGS, MIGRATED, RULES, TOO_MANY

URL = "https://api.telegram.org"
TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024
"""UTF-16 units, without the markup."""
CALLBACK_LIMIT = 64
"""Bytes."""
LATEST_TIME = 2**40
"""Epoch seconds; no date of a message is later."""
MOST_DELETED = 100
"""Messages of one chat that one request deletes."""

_JSON = {"content-type": "application/json"}
_BUTTON_URL = re.compile(r"(?:https?://[^\s/]|tg://)\S*")
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{20,200}")
_HTTPS = re.compile(r"https://[^\s/]\S*")
_STATUS_NAMES = re.compile(r"(?:Bad Request|Forbidden): ")
_RECEIPT = re.compile(r"(-?[1-9][0-9]*):([1-9][0-9]*)")
_GONE, _SAME = "message to delete not found", "message is not modified"


@dataclass(frozen=True, slots=True)
class Bot:
    """Where a bot's requests go."""

    url: str
    """`https://host:port`."""
    token: str = field(repr=False)

    def request(self, method: str, body: bytes) -> Request:
        return Request(method="POST", url=f"{self.url}/bot{self.token}/{method}", body=body, headers=_JSON)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as all its chats get it."""

    content: Mapping[str, Any]
    """What is shown: the text or caption, how it is marked up, its buttons."""
    photo: str | None
    manner: Mapping[str, Any]
    """How it arrives."""
    rest: bytes
    """The body of a request after the chat: the end of a JSON object."""
    length: int
    """Characters of the text, as Telegram counts them."""

    @property
    def size(self) -> PayloadSize:
        what, limit = ("text", TEXT_LIMIT) if self.photo is None else ("caption", CAPTION_LIMIT)
        return PayloadSize(what=what, size=self.length, limit=limit, unit="characters")

    @property
    def method(self) -> str:
        return "sendMessage" if self.photo is None else "sendPhoto"

    @property
    def is_paid(self) -> bool:
        return "allow_paid_broadcast" in self.manner


# -- rendering --------------------------------------------------------------------------------------------------------


def render(message: Message) -> Rendered:
    """Check a message and render it, once for all chats.

    Raises:
        InvalidMessage: Telegram would refuse it; names the field.
        PayloadTooLarge: its text is too long.
    """
    check_common(message)
    options = message.telegram
    for name in ("disable_notification", "protect_content", "link_preview", "allow_paid_broadcast"):
        check_bool(getattr(options, name), f"telegram.{name}")
    if message.silent:
        raise InvalidMessage("silent", "Telegram shows every message; leave its chats out of this campaign's audience")
    photo = _photo(message)
    name, written, markup, length = _text(message, is_needed=photo is None)
    content: dict[str, Any] = {}
    if written:
        content["text" if photo is None else "caption"] = written
        if markup is not TelegramMarkup.PLAIN:
            content["parse_mode"] = markup.value
    if photo is None and not options.link_preview:
        content["link_preview_options"] = {"is_disabled": True}
    if options.buttons:
        content["reply_markup"] = {"inline_keyboard": _keyboard(options.buttons)}
    flags = ("disable_notification", "protect_content", "allow_paid_broadcast")
    manner = {name: True for name in flags if getattr(options, name)}
    sent = {**content, **manner} if photo is None else {"photo": photo, **content, **manner}
    rendered = Rendered(content, photo, manner, b"," + to_json(sent, "telegram")[1:], length)
    if length > (TEXT_LIMIT if photo is None else CAPTION_LIMIT):
        size, what = rendered.size, "a text" if photo is None else "a picture's caption"
        problem = f"is {length:,} characters long as Telegram counts them; {what} has at most {size.limit:,}"
        raise PayloadTooLarge(name, problem, size, sample(rendered))
    return rendered


def visible(payload: Mapping[str, Any]) -> Shown:
    """What people see of a request's body."""
    keyboard = sequence(mapping(payload.get("reply_markup")).get("inline_keyboard"))
    buttons = [mapping(button) for row in keyboard for button in sequence(row)]
    return Shown(
        body=string(payload.get("text") or payload.get("caption")),
        markup=string(payload.get("parse_mode")),
        image=string(payload.get("photo")),
        buttons=tuple(ShownButton(text=string(each.get("text")), url=string(each.get("url"))) for each in buttons),
    )


def sample(rendered: Rendered) -> bytes:
    return b'{"chat_id":"\xe2\x80\xa6"' + rendered.rest


def _photo(message: Message) -> str | None:
    photo = message.telegram.photo
    if photo is None:
        return message.image
    check_text(photo, "telegram.photo")
    if not _HTTPS.fullmatch(photo) and not _FILE_ID.fullmatch(photo):
        raise InvalidMessage("telegram.photo", "must be an https address, or the id of a file that Telegram has")
    return photo


def _text(message: Message, *, is_needed: bool) -> tuple[str, str, TelegramMarkup, int]:
    """The field of the text to be shown, the text, how it is marked up, and how long Telegram finds it."""
    options = message.telegram
    if options.text is not None:
        check_text(options.text, "telegram.text")
        name, written, markup = "telegram.text", options.text, options.parse_mode or TelegramMarkup.PLAIN
    else:
        name, markup = "body" if message.body else "title", options.parse_mode or TelegramMarkup.HTML
        title, body = (escape(part or "", markup) for part in (message.title, message.body))
        written = "\n".join(part for part in (_bold(title, markup), body) if part)
    try:
        seen = shown(written, markup).strip()
    except BrokenMarkup as error:
        raise InvalidMessage(name, f"Telegram cannot read it as {markup}: {error}") from None
    if is_needed and not seen:
        raise InvalidMessage(name, "is empty; Telegram needs a text (title, body, `telegram.text`) or a picture")
    return name, written, markup, utf16_length(seen)


def _bold(title: str, markup: TelegramMarkup) -> str:
    if not title.strip() or markup is TelegramMarkup.PLAIN:
        return title
    return f"<b>{title}</b>" if markup is TelegramMarkup.HTML else f"*{title}*"


def _keyboard(rows: Sequence[Sequence[TelegramButton]]) -> list[list[dict[str, str]]]:
    return [
        [_button(button, f"telegram.buttons.{line}.{place}") for place, button in enumerate(row)]
        for line, row in enumerate(rows)
    ]


def _button(button: TelegramButton, where: str) -> dict[str, str]:
    if not button.text.strip():
        raise InvalidMessage(f"{where}.text", "is empty")
    if (button.url is None) == (button.callback_data is None):
        raise InvalidMessage(where, "needs `url` or `callback_data`, and not both")
    if button.url is not None:
        if not _BUTTON_URL.fullmatch(button.url):
            raise InvalidMessage(f"{where}.url", "must begin with https://, http:// or tg://")
        return {"text": button.text, "url": button.url}
    assert button.callback_data is not None
    if not 1 <= (size := len(button.callback_data.encode())) <= CALLBACK_LIMIT:
        raise InvalidMessage(f"{where}.callback_data", f"is {size} bytes; it must be 1 to {CALLBACK_LIMIT}")
    return {"text": button.text, "callback_data": button.callback_data}


# -- requests ---------------------------------------------------------------------------------------------------------


def request(bot: Bot, rendered: Rendered, chat: bytes) -> Request | Answer:
    """What sends a message to a chat; an answer where that can be none."""
    found = CHAT.fullmatch(chat.decode("ascii", "replace"))
    if found is None:
        return NO_ADDRESS_OF_OURS
    whom = f'"{found[1]}"' if found[1][0] == "@" else found[1]
    topic = f',"message_thread_id":{found[2]}' if found[2] else ""
    return bot.request(rendered.method, f'{{"chat_id":{whom}{topic}'.encode() + rendered.rest)


def introduction(bot: Bot) -> Request:
    """Asks who the bot is."""
    return bot.request("getMe", b"{}")


def delete_request(bot: Bot, receipts: Sequence[str]) -> Request:
    """What deletes up to `MOST_DELETED` messages of one chat. Those that are gone already are passed over.

    Args:
        receipts: `Taken.id`s, all of one chat.

    Raises: ValueError: they are of several chats, too many or none, or no receipts of ours.
    """
    found = [_parts(receipt) for receipt in receipts]
    chats = {chat for chat, _ in found}
    if len(chats) != 1 or len(found) > MOST_DELETED:
        given = f"{counted(len(found), 'message')} of {counted(len(chats), 'chat')}"
        raise ValueError(f"{given}; one request has at most {MOST_DELETED}, of one chat")
    chat, ids = chats.pop(), [message for _, message in found]
    if len(ids) == 1:
        return bot.request("deleteMessage", to_json({"chat_id": chat, "message_id": ids[0]}, "receipt"))
    return bot.request("deleteMessages", to_json({"chat_id": chat, "message_ids": ids}, "receipt"))


def edit_request(bot: Bot, receipt: str, rendered: Rendered) -> Request:
    """What puts another text, caption and buttons in place of a message's; those that are left out disappear.

    A picture stays as it is. So a message with one is edited by one with one, and a text by a text.

    Raises: ValueError: it is no receipt of ours.
    """
    chat, message = _parts(receipt)
    method = "editMessageText" if rendered.photo is None else "editMessageCaption"
    return bot.request(method, to_json({"chat_id": chat, "message_id": message, **rendered.content}, "telegram"))


def _parts(receipt: str) -> tuple[int, int]:
    found = _RECEIPT.fullmatch(receipt)
    if found is None:
        raise ValueError("a receipt of Telegram's is `chat:message`, both numbers")
    return int(found[1]), int(found[2])


# -- responses --------------------------------------------------------------------------------------------------------


def decode(response: Response, now: float) -> Taken | Answer:
    """What became of a message. Never raises; what isn't Telegram's own is sent again, and never drops a chat.

    `now` is epoch seconds.
    """
    found = json_object(response.body)
    if found is None or not isinstance(found.get("ok"), bool):
        if response.status == 200 and response.body.startswith(b'{"ok":true'):
            return ambiguous("its yes was cut short")
        return _not_telegram(response, now)
    return _taken(found.get("result"), now) if found["ok"] else _refused(response, found, now)


def decode_change(response: Response, now: float) -> Taken | Answer:
    """What became of a deletion or an edit: `Taken` where the message is as it was wanted, whoever made it so.

    Such a request can be repeated without harm, so a yes that is hard to read is asked for again.
    """
    done = Taken(at=now, id="")
    found = json_object(response.body)
    if found is None or not isinstance(found.get("ok"), bool):
        return _not_telegram(response, now)
    if found["ok"]:
        return done
    refusal = _refused(response, found, now)
    return done if refusal.status == 400 and refusal.reason.startswith((_GONE, _SAME)) else refusal


def decode_introduction(response: Response, now: float) -> str | Answer:
    """Who the bot is: `@example_bot (Example)`."""
    found = json_object(response.body) or {}
    me = found.get("result")
    if found.get("ok") is True and isinstance(me, dict) and isinstance(me.get("username"), str):
        return f"@{text(me['username'])} ({text(me.get('first_name'))})"
    answer = decode(response, now)
    return answer if isinstance(answer, Answer) else _not_telegram(response, now)


def _taken(result: Any, now: float) -> Taken:
    message = result if isinstance(result, dict) else {}
    chat = message.get("chat")
    numbers = (chat.get("id") if isinstance(chat, dict) else None, message.get("message_id"))
    at = float(date) if _is_number(date := message.get("date")) and 0 < date < LATEST_TIME else now
    return Taken(at=at, id=f"{numbers[0]}:{numbers[1]}" if all(map(_is_number, numbers)) else "")


def _refused(response: Response, found: Mapping[str, Any], now: float) -> Answer:
    """Telegram's no. Its own status is that of the response, but for what stands between."""
    status = code if _is_number(code := found.get("error_code")) and 400 <= code < 600 else response.status
    described = found.get("description")
    reason = _STATUS_NAMES.sub("", described, count=1) if isinstance(described, str) else ""
    parameters = found.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    if status == 429:
        return RULES[429, TOO_MANY.lower()].answer(429, retry_after=_silence(parameters, response, now))
    rule = RULES.get((status, reason.lower())) or next(
        (rule for rule in BEGINNINGS if rule.status == status and reason.lower().startswith(rule.reason.lower())), None
    )
    if rule is not None and rule.verdict is Verdict.REROUTE:
        moved_to = parameters.get("migrate_to_chat_id")
        if not _is_number(moved_to) or not CHAT.fullmatch(str(moved_to)):
            return unknown_answer(status, MIGRATED, detail="it doesn't say where to")
        return Answer(verdict=rule.verdict, reason=rule.reason, status=status, moved_to=str(moved_to))
    if rule is not None:
        detail = "" if rule.reason.lower() == reason.lower() else text(described)
        return rule.answer(status, retry_after=_header(response, now), detail=detail)
    if status == 400:
        said = text(reason) or BAD_REQUEST
        return Answer(verdict=Verdict.FIX, reason=said, status=status, scope=Scope.MESSAGE, known=False)
    if status == 403:
        return Answer(verdict=Verdict.REJECT, reason=text(reason) or "Forbidden", status=status, known=False)
    return unknown_answer(status, text(reason) or UNREADABLE, retry_after=_header(response, now))


def _not_telegram(response: Response, now: float) -> Answer:
    """The answer to what a proxy or a broken line gave instead of Telegram's JSON."""
    wait = _header(response, now)
    if response.status == 429:
        return RULES[429, TOO_MANY.lower()].answer(429, retry_after=wait)
    if response.status in (502, 503):
        return next(rule for rule in BEGINNINGS if rule.status == response.status).answer(
            response.status, retry_after=wait
        )
    if response.status == 504:
        return ambiguous("a gateway gave up waiting for Telegram's answer")
    return unknown_answer(response.status, UNREADABLE, retry_after=wait)


def _silence(parameters: Mapping[str, Any], response: Response, now: float) -> float | None:
    asked = parameters.get("retry_after")
    if _is_number(asked) and asked >= 0:
        return float(min(asked, LONGEST_RETRY_AFTER))
    return _header(response, now)


def _header(response: Response, now: float) -> float | None:
    value = response.headers.get("retry-after")
    return None if value is None else retry_after([(b"retry-after", value.encode("ascii", "replace"))], now)


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
