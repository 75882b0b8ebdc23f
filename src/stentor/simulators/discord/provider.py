"""Discord's side of a request: ban, route, token, limits, the message, then what became of the place. No I/O here.

The order of ban and token before the rest is known; that of the rest is a guess. Places are judged by the faults'
`devices`. Of channels, `unregistered` are gone (10003), `wrong_app` are closed to the bot (50001), `third_party_auth`
forbid it to write (50013), `malformed` take no messages (50008). Of users these are unknown (10013), take no DMs
(50007), share no server (50278), can't be written to (50033). Of webhooks, `malformed` have another token (50027) and
the other three are gone (10015). `throttled` get a 429 of scope `shared`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from stentor.simulators.chance import (
    ALIVE,
    MALFORMED,
    REREGISTERED,
    THIRD_PARTY_AUTH,
    THROTTLED,
    UNREGISTERED,
    WRONG_APP,
    fate_of,
)
from stentor.simulators.discord.checks import check_message, is_empty
from stentor.simulators.discord.forms import read_body
from stentor.simulators.discord.limits import BucketState, BucketWindows, InvalidRequests, Sliding
from stentor.simulators.discord.shapes import OF_ONESELF, attachment, person, rich_parts
from stentor.simulators.faults import GoAwayForm, MalformedForm
from stentor.simulators.multipart import FormPart
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules
from stentor.simulators.world import GRACEFUL, Judgement, Session, World

_EPOCH_MS = 1_420_070_400_000  # from which Discord's ids count
_TWO_WEEKS_MS = 14 * 86_400_000
_JSON: Header = (b"content-type", b"application/json")
_HTML: Header = (b"content-type", b"text/html; charset=UTF-8")
_CLOUDFLARE = (
    b"<!DOCTYPE html><html><head><title>Access denied | discord.com used Cloudflare to restrict access</title></head>"
    b"<body><h1>Error 1015</h1><p>You are being rate limited</p></body></html>"
)
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
_MOST_MESSAGES = 500_000
BOT_ID = "100000000000000001"

_NAMES = {
    10003: "Unknown Channel",
    10008: "Unknown Message",
    10013: "Unknown User",
    10015: "Unknown Webhook",
    50001: "Missing Access",
    50005: "Cannot edit a message authored by another user",
    50006: "Cannot send an empty message",
    50007: "Cannot send messages to this user",
    50008: "Cannot send messages in a non-text channel",
    50013: "Missing Permissions",
    50027: "Invalid Webhook Token",
    50033: "Invalid Recipient(s)",
    50034: "A message provided was too old to bulk delete",
    50035: "Invalid Form Body",
    50278: "Cannot send messages to this user due to having no mutual guilds",
}
_CHANNELS = {
    UNREGISTERED: (404, 10003),
    WRONG_APP: (403, 50001),
    THIRD_PARTY_AUTH: (403, 50013),
    MALFORMED: (400, 50008),
}
_USERS = {WRONG_APP: (403, 50007), THIRD_PARTY_AUTH: (403, 50278)}
_OPENINGS = {UNREGISTERED: (404, 10013), MALFORMED: (400, 50033)}
_WEBHOOKS = {
    UNREGISTERED: (404, 10015),
    WRONG_APP: (404, 10015),
    THIRD_PARTY_AUTH: (404, 10015),
    MALFORMED: (401, 50027),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordSetup:
    """How this Discord is set up; what goes wrong in it is in the faults."""

    bot_name: str = "Rehearsal"
    requests_per_second: int = 50
    messages: int = 5
    messages_period_s: float = 5.0
    """So many messages to a channel in so many seconds."""
    webhook_messages: int = 5
    webhook_period_s: float = 2.0
    deletes: int = 5
    deletes_period_s: float = 1.0
    openings: int = 50
    openings_period_s: float = 10.0
    """So many conversations with users."""
    nonce_memory_s: float = 300.0
    invalid_limit: int = 10_000
    invalid_period_s: float = 600.0
    ban_s: float = 3_600.0


@dataclass(slots=True)
class _Message:
    place: str
    address: str
    content: dict[str, Any]
    id: str


class _Refusal(Exception):
    """It ends a judgement, and is the answer."""

    def __init__(self, answer: Judgement) -> None:
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, taken apart."""

    method: str
    parts: tuple[str, ...]
    query: Mapping[str, list[str]]
    content_type: bytes
    body: bytes
    now: float


class DiscordProvider:
    name = "discord"

    def __init__(self, world: World, options: DiscordSetup, token: str, token_file: Path) -> None:
        self._world = world
        self.options = options
        self.token = token
        self.token_file = token_file
        self.invalid = InvalidRequests(options.invalid_limit, options.invalid_period_s, options.ban_s)
        self.collapsed = 0
        """Messages that were sent again with their nonce, and answered with the first."""
        self._buckets = BucketWindows()
        self._global = Sliding(options.requests_per_second, 1.0)
        self._by_ip = Sliding(options.requests_per_second, 1.0)  # webhooks have no bot that they could count for
        self._messages: dict[str, _Message] = {}
        self._nonces: dict[tuple[str, str], tuple[float, str]] = {}
        self._conversations: dict[str, str] = {}  # user by channel
        self._sequence = 0
        self._attachments = 0
        world.more = self._counts

    def _counts(self) -> dict[str, Any]:
        return {
            "collapsed": self.collapsed,
            "invalid_requests": self.invalid.total,
            "most_invalid_in_ten_minutes": self.invalid.most,
            "bans": self.invalid.bans,
        }

    # The connection.

    def rules(self, session: Session) -> Rules:
        raise NotImplementedError("nobody gets to HTTP/2 here")

    def open_session(self, certificate_topic: str | None) -> Session:
        return Session(1)

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]:
        return GRACEFUL

    def facts(self) -> dict[str, Any]:
        return {"token_file": str(self.token_file)}

    # A request.

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        now = self._world.clock()
        if self.invalid.is_banned(now):
            self.invalid.add(now)
            return _answer(429, _CLOUDFLARE, "banned", [_HTML, (b"retry-after", b"%d" % self.options.ban_s)])
        try:
            answer = self._judge(dict(headers), body, now)
        except _Refusal as refusal:
            answer = refusal.answer
        status = int(answer.headers[0][1])
        if status in (401, 403) or (status == 429 and (b"x-ratelimit-scope", b"shared") not in answer.headers):
            self.invalid.add(now)
        return answer

    def _judge(self, headers: dict[bytes, bytes], body: bytes, now: float) -> Judgement:
        path, _, query = headers[b":path"].decode("latin-1").partition("?")
        route = re.fullmatch(r"/api(?:/v(?:9|10))?/(.+?)/?", path)
        parts = tuple(map(unquote, route[1].split("/"))) if route else ()
        content_type = headers.get(b"content-type", b"")
        asked = _Asked(headers[b":method"].decode(), parts, parse_qs(query), content_type, body, now)
        handle, bucket, resource, limit, period = self._route(asked)
        if parts[0] != "webhooks":
            revoked = self._world.faults.credential.revoke_at_s
            is_revoked = revoked and self._world.elapsed >= revoked
            if headers.get(b"authorization", b"").decode("latin-1") != f"Bot {self.token}" or is_revoked:
                raise _Refusal(_error(401, 0, "401: Unauthorized"))
            if not headers.get(b"user-agent", b"").startswith(b"DiscordBot"):
                raise _Refusal(_answer(403, _CLOUDFLARE, "no DiscordBot in the user agent", [_HTML]))
        self._weather(resource)
        if wait := (self._by_ip if parts[0] == "webhooks" else self._global).take(now):
            raise _Refusal(_limited(wait, "global", []))
        standing = self._buckets.take(bucket, resource, limit, period, now)
        told = _told(standing, bucket, now)
        if not standing.allowed:
            raise _Refusal(_limited(standing.reset_after, "user", told))
        try:
            answer = handle(asked)
        except _Refusal as refusal:
            answer = refusal.answer
        return answer._replace(headers=answer.headers + told)

    def _route(self, asked: _Asked) -> tuple[Callable[[_Asked], Judgement], str, str, int, float]:
        """Who answers, and the name, resource, limit and period of its bucket."""
        options = self.options
        match asked.method, asked.parts:
            case "GET", ("users", "@me"):
                return self._whoami, self._hash("me"), "", 30, 30.0
            case "POST", ("users", "@me", "channels"):
                return self._open, self._hash("open"), "", options.openings, options.openings_period_s
            case "POST", ("channels", channel, "messages"):
                return self._post, self._hash("post"), channel, options.messages, options.messages_period_s
            case "PATCH", ("channels", channel, "messages", _):  # shares its bucket with the route above
                return self._edit, self._hash("post"), channel, options.messages, options.messages_period_s
            case "DELETE", ("channels", channel, "messages", _):
                return self._delete, self._hash("delete"), channel, options.deletes, options.deletes_period_s
            case "POST", ("channels", channel, "messages", "bulk-delete"):
                return self._delete_many, self._hash("bulk"), channel, 1, 3.0
            case "POST", ("webhooks", webhook, _):
                return self._execute, self._hash("webhook"), webhook, options.webhook_messages, options.webhook_period_s
            case "PATCH" | "DELETE" as method, ("webhooks", webhook, _, "messages", _):
                handle = self._edit if method == "PATCH" else self._delete
                return handle, self._hash("webhook"), webhook, options.webhook_messages, options.webhook_period_s
        raise _Refusal(_error(404, 0, "404: Not Found"))

    def _hash(self, route: str) -> str:
        return blake2b(route.encode(), digest_size=16, salt=str(self._world.seed).encode()[:16]).hexdigest()

    def _weather(self, key: str) -> None:
        """Times of trouble, which befall any request."""
        world, faults = self._world, self._world.faults
        self._sequence += 1
        if world.trouble(faults.unavailable, b"unavailable", key or str(self._sequence)):
            status = faults.unavailable.status
            extra = world.retry_after(faults.unavailable.retry_after, key)
            raise _Refusal(_error(status, 0, f"{status}: Internal Server Error", extra))
        storm = faults.storm
        if world.trouble(storm, b"storm", key if storm.scope == "token" else str(self._sequence)):
            raise _Refusal(_limited(1.234, "user" if storm.scope == "token" else "global", []))

    # Who answers what.

    def _whoami(self, asked: _Asked) -> Judgement:
        return _ok({**self._author(), **OF_ONESELF})

    def _open(self, asked: _Asked) -> Judgement:
        user = str(self._object(asked)[0].get("recipient_id", ""))
        _check_id(user, "recipient_id")
        address = f"user:{user}"
        self._befall(address, _OPENINGS, shared=False)
        channel = str(int.from_bytes(blake2b(user.encode(), digest_size=7).digest()) % 10**17 + 9 * 10**17)
        self._conversations[channel] = user
        return _ok(
            {"id": channel, "type": 1, "last_message_id": None, "flags": 0, "recipients": [person(user, "user")]}
        )

    def _post(self, asked: _Asked) -> Judgement:
        channel = asked.parts[1]
        _check_id(channel, "channel_id")
        user = self._conversations.get(channel)
        address = f"user:{user}" if user else channel
        self._befall(address, _USERS if user else _CHANNELS)
        message = self._message(asked, is_webhook=False)
        nonce = message.get("nonce")
        known = self._nonces.get((channel, str(nonce))) if nonce is not None and message.get("enforce_nonce") else None
        if known and known[0] > asked.now and known[1] in self._messages:
            self.collapsed += 1
            return _ok(self._shown(self._messages[known[1]]))
        posted = self._keep(channel, address, message, asked.now)
        if nonce is not None:
            self._nonces[channel, str(nonce)] = (asked.now + self.options.nonce_memory_s, posted.id)
        return self._accepted(posted, str(nonce or ""))

    def _execute(self, asked: _Asked) -> Judgement:
        _, webhook, token = asked.parts
        _check_id(webhook, "webhook_id")
        thread = asked.query.get("thread_id", [""])[0]
        if thread:
            _check_id(thread, "thread_id")
        address = f"https://discord.com/api/webhooks/{webhook}/{token}" + (f"?thread_id={thread}" if thread else "")
        self._befall(webhook, _WEBHOOKS)
        message = self._message(asked, is_webhook=True)
        posted = self._keep(_place_of_webhook(asked), address, message, asked.now)
        answer = self._accepted(posted, "")
        if asked.query.get("wait", ["false"])[0].lower() not in ("true", "1"):
            return answer._replace(headers=[(b":status", b"204")], body=b"")
        return answer

    def _edit(self, asked: _Asked) -> Judgement:
        posted = self._find(asked)
        changes, files = self._object(asked)
        if errors := check_message(changes, is_webhook=asked.parts[0] == "webhooks"):
            raise _Refusal(_form(errors))
        kept = posted.content["attachments"]
        if isinstance(wanted := changes.get("attachments"), list):  # those that aren't named go
            names = {str(each.get("id")) for each in wanted if isinstance(each, dict)}
            kept = [each for each in kept if each["id"] in names]
        changes["attachments"] = [*kept, *self._attach(files)]
        posted.content |= changes
        self._world.tally.edited += 1
        return _ok(self._shown(posted))

    def _delete(self, asked: _Asked) -> Judgement:
        del self._messages[self._find(asked).id]
        self._world.tally.deleted += 1
        return _nothing()

    def _delete_many(self, asked: _Asked) -> Judgement:
        ids = self._object(asked)[0].get("messages")
        if not isinstance(ids, list) or not 2 <= len(ids) <= 100:
            errors = {"messages": {"_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "Must be 2 to 100."}]}}
            raise _Refusal(_form(errors))
        oldest = asked.now * 1000 - _EPOCH_MS - _TWO_WEEKS_MS
        if any(not str(each).isdecimal() or int(each) >> 22 < oldest for each in ids):
            raise _Refusal(_refusal(400, 50034))
        if asked.parts[1] in self._conversations:
            raise _Refusal(_error(403, 50024, "Cannot execute action on this channel type"))
        for each in map(str, ids):
            posted = self._messages.get(each)
            if posted is not None and posted.place == asked.parts[1]:
                del self._messages[each]
                self._world.tally.deleted += 1
        return _nothing()

    def _find(self, asked: _Asked) -> _Message:
        place = asked.parts[1] if asked.parts[0] == "channels" else _place_of_webhook(asked)
        posted = self._messages.get(asked.parts[-1])
        if posted is None or posted.place != place:
            raise _Refusal(_refusal(404, 10008))
        return posted

    def _befall(self, key: str, fates: Mapping[int, tuple[int, int]], *, shared: bool = True) -> None:
        """What became of a channel, user or webhook."""
        world = self._world
        fate = fate_of(world.chance, world.faults.devices, key.encode())
        if fate in (ALIVE, REREGISTERED):
            return
        if fate == THROTTLED:
            period = world.faults.devices.throttled_for_s
            if shared and period and int(world.elapsed / period) % 2 == 0:
                raise _Refusal(_limited(period - world.elapsed % period, "shared", []))
        elif fate in fates:
            raise _Refusal(_refusal(*fates[fate]))

    def _object(self, asked: _Asked) -> tuple[dict[str, Any], list[FormPart]]:
        found, files = read_body(asked.content_type, asked.body)
        if found is None:
            raise _Refusal(_error(400, 50109, "The request body contains invalid JSON."))
        return found, files

    def _message(self, asked: _Asked, *, is_webhook: bool) -> dict[str, Any]:
        message, files = self._object(asked)
        if errors := check_message(message, is_webhook=is_webhook):
            raise _Refusal(_form(errors))
        message["attachments"] = self._attach(files)
        if is_empty(message):
            raise _Refusal(_refusal(400, 50006))
        return message

    def _attach(self, files: list[FormPart]) -> list[dict[str, Any]]:
        self._attachments += len(files)
        first = 5 * 10**17 + self._attachments - len(files)
        return [attachment(str(first + number), file) for number, file in enumerate(files)]

    def _keep(self, place: str, address: str, content: dict[str, Any], now: float) -> _Message:
        self._sequence += 1
        posted = _Message(
            place, address, content, str((int(now * 1000) - _EPOCH_MS << 22) + self._sequence % (1 << 22))
        )
        while len(self._messages) >= _MOST_MESSAGES:
            self._messages.pop(next(iter(self._messages)))
        while len(self._nonces) >= _MOST_MESSAGES:
            self._nonces.pop(next(iter(self._nonces)))
        self._messages[posted.id] = posted
        return posted

    def _accepted(self, posted: _Message, nonce: str) -> Judgement:
        return _ok(self._shown(posted))._replace(
            accepted=True, address=posted.address, dedup_id=nonce, message_id=posted.id
        )

    def _shown(self, posted: _Message) -> dict[str, Any]:
        content = posted.content
        sent_at = (int(posted.id) >> 22) + _EPOCH_MS
        webhook = posted.place.partition("/")[0] if "/" in posted.place else None
        author = person(webhook, str(content.get("username") or "webhook")) if webhook else self._author()
        return {
            "id": posted.id,
            "type": 0,
            "channel_id": str(9 * 10**17 + int(webhook) % 10**17) if webhook else posted.place,
            "author": author,
            "content": content.get("content") or "",
            "timestamp": datetime.fromtimestamp(sent_at / 1000, UTC).isoformat(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "pinned": False,
            "flags": content.get("flags") or 0,
            **rich_parts(content, sent_at / 1000),
            **({"webhook_id": webhook} if webhook else {}),
            **({"nonce": content["nonce"]} if "nonce" in content else {}),
        }

    def _author(self) -> dict[str, Any]:
        return person(BOT_ID, self.options.bot_name) | {"bot": True}

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        if form == "missing_id":
            return answer._replace(body=b"{}") if answer.accepted else answer
        spoilt = answer._replace(accepted=False, reason=f"malformed: {form}")
        if form == "html502":
            return spoilt._replace(headers=[(b":status", b"502"), _HTML], body=_BAD_GATEWAY)
        if form == "empty":
            return spoilt._replace(headers=[(b":status", b"500"), _JSON], body=b"")
        if form == "truncated":
            return spoilt._replace(headers=[(b":status", b"404"), _JSON], body=_refusal(404, 10003).body[:20])
        return spoilt._replace(headers=[(b":status", b"400"), _JSON], body=b'{"code":99999,"message":"Something new"}')


def _place_of_webhook(asked: _Asked) -> str:
    """`webhook/token`, and the thread, which each request to a message in one must name."""
    return "/".join((*asked.parts[1:3], *asked.query.get("thread_id", [])))


def _check_id(value: str, field: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{16,19}", value, re.ASCII):
        code, message = "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.'
        raise _Refusal(_form({field: {"_errors": [{"code": code, "message": message}]}}))


def _answer(status: int, body: bytes, reason: str, headers: list[Header]) -> Judgement:
    return Judgement([(b":status", b"%d" % status), *headers], body, reason)


def _ok(value: dict[str, Any]) -> Judgement:
    return _answer(200, msgspec.json.encode(value), "", [_JSON])


def _nothing() -> Judgement:
    return _answer(204, b"", "", [])


def _error(status: int, code: int, message: str, extra: list[Header] | None = None) -> Judgement:
    body = msgspec.json.encode({"message": message, "code": code})
    return _answer(status, body, f"{code or status}", [_JSON, *(extra or [])])


def _refusal(status: int, code: int) -> Judgement:
    return _error(status, code, _NAMES[code])


def _form(errors: dict[str, Any]) -> Judgement:
    body = msgspec.json.encode({"message": _NAMES[50035], "code": 50035, "errors": errors})
    return _answer(400, body, "50035", [_JSON])


def _limited(seconds: float, scope: str, told: list[Header]) -> Judgement:
    """A 429; `told` are the headers of its bucket."""
    is_global = scope == "global"
    seconds = round(max(seconds, 0.001), 3)
    body = msgspec.json.encode({"message": "You are being rate limited.", "retry_after": seconds, "global": is_global})
    headers = [
        _JSON,
        (b"via", b"1.1 google"),
        (b"retry-after", b"%d" % int(seconds + 1)),
        (b"x-ratelimit-scope", scope.encode()),
        *told,
    ]
    if is_global:
        headers.append((b"x-ratelimit-global", b"true"))
    return _answer(429, body, f"429 {scope}", headers)


def _told(standing: BucketState, bucket: str, now: float) -> list[Header]:
    return [
        (b"x-ratelimit-limit", b"%d" % standing.limit),
        (b"x-ratelimit-remaining", b"%d" % standing.remaining),
        (b"x-ratelimit-reset", b"%.3f" % (now + standing.reset_after)),
        (b"x-ratelimit-reset-after", b"%.3f" % standing.reset_after),
        (b"x-ratelimit-bucket", bucket.encode()),
    ]
