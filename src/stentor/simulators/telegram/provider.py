"""Telegram's side of a request: token, method, parameters, markup, limits, then the chat's fate. Nothing here does I/O.

The order follows Telegram's own server: markup is read before anybody looks at the chat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from zlib import crc32

from stentor.simulators.chance import ALIVE, MALFORMED, REREGISTERED, THIRD_PARTY_AUTH, THROTTLED, WRONG_APP, fate_of
from stentor.simulators.faults import GoAwayForm, MalformedForm
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules
from stentor.simulators.telegram.forms import BadForm, flag, number, read_form, words
from stentor.simulators.telegram.keyboards import INLINE, MarkupError, read_markup
from stentor.simulators.telegram.markup import ParseError, parse, utf16_units
from stentor.simulators.telegram.messages import PHOTO, Messages
from stentor.simulators.telegram.pace import Limits
from stentor.simulators.world import GRACEFUL, Judgement, Session, World

DELETABLE_FOR_S = 48 * 3600.0
SLOW_S = 3.0
"""How long a 429 is held back by a server that is busy with the bot's other requests."""
_TEXT_LIMIT, _CAPTION_LIMIT = 4096, 1024
_MOST_DELETED = 100
_FIRST_SUPERGROUP = -1_000_000_000_000
_JSON: Header = (b"content-type", b"application/json")
_PATH = re.compile(r"/bot([^/]+)/([A-Za-z]+)")
_TOKEN_SHAPE = re.compile(r"[0-9]+:[A-Za-z0-9_-]{20,}")
_URL = re.compile(r"https?://[^\s/.]+\.[^\s]+", re.IGNORECASE)
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{20,200}")
_NAME = re.compile(r"@[A-Za-z]\w{3,31}", re.ASCII)
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)
_ERROR_PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center>nginx</center></body>\r\n</html>"

Given = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramSetup:
    """How this Telegram is set up; what goes wrong in it is in the faults."""

    per_second: float = 30.0
    """Messages a second of the bot."""
    paid_per_second: float = 1000.0
    """The same with `allow_paid_broadcast`."""
    group_per_minute: int = 20
    slow_429: bool = False
    """Hold each 429 back for three seconds."""
    migrated: float = 0.0
    """The share of ordinary groups that became supergroups, with another id."""
    username: str = "rehearsal_bot"


class _Refused(Exception):
    """What Telegram has against a request."""

    def __init__(
        self, status: int, description: str, *, parameters: Given | None = None, headers: tuple[Header, ...] = ()
    ) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters
        self.headers = headers


def _bad(description: str) -> _Refused:
    return _Refused(400, f"Bad Request: {description}")


class TelegramProvider:
    name = "telegram"

    def __init__(self, world: World, options: TelegramSetup, token: str, facts: dict[str, Any]) -> None:
        self._world = world
        self.options = options
        self.token = token
        """May be changed while running: the old one is revoked."""
        self.messages = Messages()
        self._limits = Limits(options.per_second, options.paid_per_second, options.group_per_minute)
        self._facts = facts
        self._sequence = 0
        self._methods: dict[str, Callable[[Given], Judgement]] = {
            "getme": self._get_me,
            "sendmessage": self._send_message,
            "sendphoto": self._send_photo,
            "deletemessage": self._delete_message,
            "deletemessages": self._delete_messages,
            "editmessagetext": self._edit_text,
            "editmessagecaption": self._edit_caption,
        }

    # The connection.

    def open_session(self, certificate_topic: str | None) -> Session:
        return Session(1)

    def rules(self, session: Session) -> Rules:
        return Rules(max_streams=session.limit)

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]:
        return GRACEFUL

    def facts(self) -> dict[str, Any]:
        return self._facts

    # A request.

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        found = dict(headers)
        path, _, query = found[b":path"].decode("ascii", "replace").partition("?")
        given: Given = {}
        try:
            method = self._method(path)
            given = read_form(found.get(b"content-type", b""), query, body)
            return method(given)
        except BadForm as error:
            return self._refuse(_Refused(400, str(error)), given)
        except _Refused as refused:
            return self._refuse(refused, given)

    def _method(self, path: str) -> Callable[[Given], Judgement]:
        asked = _PATH.fullmatch(path)
        if asked is None or not _TOKEN_SHAPE.fullmatch(asked[1]):
            raise _Refused(404, "Not Found")
        revoked = self._world.faults.credential.revoke_at_s
        if asked[1] != self.token or (revoked and self._world.elapsed >= revoked):
            raise _Refused(401, "Unauthorized")
        method = self._methods.get(asked[2].lower())
        if method is None:
            raise _Refused(404, "Not Found: method not found")
        return method

    def _refuse(self, refused: _Refused, given: Given) -> Judgement:
        answer: Given = {"ok": False, "error_code": refused.status, "description": refused.description}
        if refused.parameters:
            answer["parameters"] = refused.parameters
        slow = SLOW_S if refused.status == 429 and self.options.slow_429 else 0.0
        reason = re.sub(r"retry after \d+", "retry after …", refused.description)
        headers = [*_head(refused.status), *refused.headers]
        address = str(given.get("chat_id", ""))
        return Judgement(headers, json.dumps(answer).encode(), reason, address=address, delay_s=slow)

    # Sending.

    def _get_me(self, given: Given) -> Judgement:
        return _yes(self._me())

    def _me(self) -> Given:
        number = int(self.token.partition(":")[0])
        return {"id": number, "is_bot": True, "first_name": "Rehearsal", "username": self.options.username}

    def _send_message(self, given: Given) -> Judgement:
        text = _text(given, "text", _TEXT_LIMIT)
        return self._send(given, {"text": text}, photo=False)

    def _send_photo(self, given: Given) -> Judgement:
        photo = given.get("photo")
        if isinstance(photo, str) and not photo.startswith("attach://"):
            if "://" in photo and not _URL.fullmatch(photo):
                raise _bad("wrong HTTP URL specified")
            if "://" not in photo and not _FILE_ID.fullmatch(photo):
                raise _bad("wrong file identifier/HTTP URL specified")
        elif not photo:
            raise _bad("there is no photo in the request")
        sizes = [{"file_id": "AgACAgIAAxkBAAIBZ2", "file_unique_id": "AQADZ2", "width": 90, "height": 60}]
        return self._send(given, {"photo": sizes, **_caption(given)}, photo=True)

    def _send(self, given: Given, content: Given, *, photo: bool) -> Judgement:
        keyboard = _keyboard(given)
        address, chat = _chat(given)
        thread = number(given.get("message_thread_id") or 0)
        if thread:
            if _FIRST_SUPERGROUP < chat < 0:
                raise _bad("message thread not found")
            address = f"{address}:{thread}"
        self._weather(address)
        self._pace(chat, paid=flag(given, "allow_paid_broadcast"))
        self._judge_chat(address, chat)
        now = self._world.clock()
        key = _key(content, keyboard)
        message = self.messages.add(chat, now, key, photo=photo)
        result = {
            "message_id": message,
            "from": self._me(),
            "chat": _described(chat),
            "date": int(now),
            **({"message_thread_id": thread, "is_topic_message": True} if thread else {}),
            **content,
            **({"reply_markup": keyboard} if keyboard and INLINE in keyboard else {}),
            **({"has_protected_content": True} if flag(given, "protect_content") else {}),
        }
        # Telegram shows the same twice; that the ledger counts it as a duplicate is for whoever sent it.
        twice = blake2b(key, digest_size=8).hexdigest()
        message_id = f"{chat}:{message}"
        return _yes(result)._replace(accepted=True, address=address, dedup_id=twice, message_id=message_id)

    def _weather(self, address: str) -> None:
        """Times of trouble, which befall any chat."""
        world, faults = self._world, self._world.faults
        if world.trouble(faults.unavailable, b"unavailable", address):
            status = faults.unavailable.status
            words = {500: "Internal Server Error: restart", 503: "Service Unavailable"}
            raise _Refused(
                status, words[status], headers=tuple(world.retry_after(faults.unavailable.retry_after, address))
            )
        self._sequence += 1
        key = address if faults.storm.scope == "token" else str(self._sequence)
        if world.trouble(faults.storm, b"storm", key):
            headers = world.retry_after(faults.storm.retry_after, address)
            seconds = number(headers[0][1].decode()) if headers else None
            raise _too_many(5 if seconds is None else seconds)

    def _pace(self, chat: int | None, *, paid: bool = False) -> None:
        wait = self._limits.take(chat, self._world.clock(), paid=paid)
        if wait:
            raise _too_many(wait)

    def _judge_chat(self, address: str, chat: int) -> None:
        world, key = self._world, address.encode()
        fate = fate_of(world.chance, world.faults.devices, key)
        if _FIRST_SUPERGROUP < chat < 0 and world.chance.unit(b"migrated", key) < self.options.migrated:
            raise _Refused(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                parameters={"migrate_to_chat_id": _FIRST_SUPERGROUP + chat},
            )
        if fate in (ALIVE, REREGISTERED):
            return
        if fate == MALFORMED:
            raise _bad("chat not found")
        if fate == THIRD_PARTY_AUTH:
            raise _bad("not enough rights to send text messages to the chat")
        if fate == THROTTLED:
            period = world.faults.devices.throttled_for_s
            if period and int(world.elapsed / period) % 2 == 0:
                raise _too_many(5)
            return
        if chat < 0:
            absent = "is not a member of" if fate == WRONG_APP else "was kicked from"
            gone = f"bot {absent} the {_kind(chat)} chat"
        elif fate == WRONG_APP:
            gone = "bot can't initiate conversation with a user"
        else:
            blocked = world.chance.unit(b"blocked", key) < 0.8
            gone = "bot was blocked by the user" if blocked else "user is deactivated"
        raise _Refused(403, f"Forbidden: {gone}")

    # Taking back, and changing.

    def _delete_message(self, given: Given) -> Judgement:
        _, chat = _chat(given)
        message = number(given.get("message_id"))
        self._pace(None)
        if message is None or not self.messages.has(chat, message):
            raise _bad("message to delete not found")
        self._delete([message])
        return _yes(True)

    def _delete_messages(self, given: Given) -> Judgement:
        _, chat = _chat(given)
        listed = given.get("message_ids")
        ids = [number(each) for each in listed] if isinstance(listed, list) else []
        if not ids or None in ids:
            raise _bad("message identifiers are not specified")
        if len(ids) > _MOST_DELETED:
            raise _bad("too many message identifiers specified")
        self._pace(None)
        self._delete([each for each in ids if each is not None and self.messages.has(chat, each)])
        return _yes(True)

    def _delete(self, messages: list[int]) -> None:
        now = self._world.clock()
        if any(now - self.messages.sent_at(each) > DELETABLE_FOR_S for each in messages):
            raise _bad("message can't be deleted for everyone")
        for each in messages:
            self.messages.delete(each)
        self._world.tally.deleted += len(messages)

    def _edit_text(self, given: Given) -> Judgement:
        return self._edit(given, {"text": _text(given, "text", _TEXT_LIMIT)}, photo=False)

    def _edit_caption(self, given: Given) -> Judgement:
        return self._edit(given, _caption(given), photo=True)

    def _edit(self, given: Given, content: Given, *, photo: bool) -> Judgement:
        keyboard = _keyboard(given, inline_only=True)
        address, chat = _chat(given)
        message = number(given.get("message_id"))
        self._weather(address)
        self._pace(None)
        if message is None or not self.messages.has(chat, message):
            raise _bad("message to edit not found")
        if bool(self.messages.flags(message) & PHOTO) != photo:
            raise _bad(f"there is no {'caption' if photo else 'text'} in the message to edit")
        if not self.messages.edit(message, _key(content, keyboard)):
            raise _bad(_NOT_MODIFIED)
        self._world.tally.edited += 1
        now = int(self._world.clock())
        sent_at = int(self.messages.sent_at(message))
        dates = {"date": sent_at, "edit_date": now}
        return _yes({"message_id": message, "from": self._me(), "chat": _described(chat), **dates, **content})

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        if form == "missing_id":
            return answer._replace(body=b'{"ok":true,"result":{}}') if answer.accepted else answer
        spoilt = answer._replace(accepted=False, reason=f"malformed: {form}")
        if form == "html502":
            return spoilt._replace(headers=[(b":status", b"502"), (b"content-type", b"text/html")], body=_ERROR_PAGE)
        if form == "empty":
            return spoilt._replace(headers=_head(500), body=b"")
        if form == "truncated":
            return spoilt._replace(headers=_head(403), body=b'{"ok":false,"error_code":403,"descrip')
        unknown = self._refuse(_Refused(418, "Something New: never heard of"), {})
        return spoilt._replace(headers=unknown.headers, body=unknown.body)


def _head(status: int) -> list[Header]:
    return [(b":status", str(status).encode()), _JSON]


def _yes(result: object) -> Judgement:
    return Judgement(_head(200), json.dumps({"ok": True, "result": result}).encode(), "")


def _too_many(seconds: int) -> _Refused:
    return _Refused(
        429,
        f"Too Many Requests: retry after {seconds}",
        parameters={"retry_after": seconds},
        headers=((b"retry-after", str(seconds).encode()),),
    )


def _chat(given: Given) -> tuple[str, int]:
    """The chat as it was given, and its id."""
    chat = given.get("chat_id")
    if chat in (None, ""):
        raise _bad("chat_id is empty")
    if isinstance(chat, str) and _NAME.fullmatch(chat):
        return chat, _FIRST_SUPERGROUP - 1 - crc32(chat.lower().encode())
    found = number(chat)
    if not found:
        raise _bad("chat not found")
    return str(found), found


def _kind(chat: int) -> str:
    if chat > 0:
        return "private"
    return "supergroup" if chat < _FIRST_SUPERGROUP else "group"


def _described(chat: int) -> Given:
    kind = _kind(chat)
    return {"id": chat, "type": kind} | ({"first_name": "Somebody"} if chat > 0 else {"title": "A group"})


def _text(given: Given, name: str, limit: int) -> str:
    seen = _seen(given, name)
    if not seen:
        raise _bad("message text is empty")
    if utf16_units(seen) > limit:
        raise _bad("message is too long")
    return seen


def _caption(given: Given) -> Given:
    seen = _seen(given, "caption")
    if utf16_units(seen) > _CAPTION_LIMIT:
        raise _bad("message caption is too long")
    return {"caption": seen} if seen else {}


def _seen(given: Given, name: str) -> str:
    written, mode = words(given.get(name, "")), words(given.get("parse_mode") or "")
    try:
        return parse(written, mode)
    except ParseError as error:
        raise _bad(f"can't parse entities: {error}") from None


def _keyboard(given: Given, *, inline_only: bool = False) -> Given | None:
    try:
        markup = read_markup(given.get("reply_markup"))
    except MarkupError as error:
        raise _bad(str(error)) from None
    if inline_only and markup and INLINE not in markup:
        raise _bad("inline keyboard expected")
    return markup


def _key(content: Given, keyboard: Given | None) -> bytes:
    return json.dumps([content, keyboard], sort_keys=True).encode()
