"""APNs on the wire: a message and columns of recipients -> a burst; a response or a GOAWAY -> an answer.

Pure: no socket, no clock, no await. What is the same for all recipients is checked and rendered once (`render`); a
recipient then costs one concatenation for its path and one hash for its `apns-id`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

from stentor.errors import InvalidMessage
from stentor.http2.burst import Burst, Header, Template
from stentor.model import Message, Priority, PushType
from stentor.outcome import Scope, Verdict
from stentor.providers.apns.payload import LATEST_TIME, payload_limit, push_type, render_payload
from stentor.providers.apns.reasons import BY_REASON, RULES
from stentor.providers.contract import (
    UNREADABLE,
    Answer,
    Encoded,
    encode_columns,
    find_malformed,
    header,
    json_object,
    not_theirs,
    retry_after,
    text,
    unknown_answer,
)
from stentor.providers.payload import PayloadSize, check_common, check_int, header_text

AUTHORITY = "api.push.apple.com"
SANDBOX_AUTHORITY = "api.sandbox.push.apple.com"
COLLAPSE_ID_LIMIT = 64
LONGEST_TOKEN = 1024
"""Apple promises no length (64 hex digits today, more for some kinds of push); this one only keeps headers bounded."""
TOPIC_SUFFIXES = MappingProxyType(
    {
        PushType.COMPLICATION: ".complication",
        PushType.CONTROLS: ".push-type.controls",
        PushType.FILEPROVIDER: ".pushkit.fileprovider",
        PushType.LIVEACTIVITY: ".push-type.liveactivity",
        PushType.LOCATION: ".location-query",
        PushType.PUSHTOTALK: ".voip-ptt",
        PushType.VOIP: ".voip",
        PushType.WIDGETS: ".push-type.widgets",
    }
)
PRIORITIES = MappingProxyType({Priority.HIGH: 10, Priority.NORMAL: 5, Priority.LOW: 1})

_PATH = b"/3/device/"
_TOKEN_BYTES = b"0123456789abcdefABCDEF"
_TOPIC = re.compile(r"[A-Za-z0-9._-]+")
_ID = b"apns-id"
"""Each answer of Apple's has it."""
_VARYING = (b":path", _ID)
_SHOWS_EACH_ONCE = (PushType.ALERT, PushType.BACKGROUND)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as all its recipients get it."""

    headers: tuple[Header, ...]
    """The `apns-*` headers that are the same for all."""
    body: bytes
    limit: int
    """Bytes that it has at most."""

    @property
    def size(self) -> PayloadSize:
        return PayloadSize(size=len(self.body), limit=self.limit)


def render(message: Message, *, topic: str, started_at: float, collapse_id: str = "") -> Rendered:
    """Check a message and render it, once for all recipients.

    Args:
        topic: the app's bundle id.
        started_at: epoch seconds from which `Message.ttl` counts; the same at every retry.
        collapse_id: used where the message has no collapse key of its own, so that a push that had to be sent twice
            is shown once. Usually the campaign's id.

    Raises: InvalidMessage: Apple would refuse it; names the field.
    """
    check_common(message)
    kind = push_type(message)
    headers = [
        (b"apns-topic", _topic(message, topic, kind)),
        (b"apns-push-type", kind.value.encode()),
        (b"apns-priority", b"%d" % _priority(message, kind)),
    ]
    if (expiration := _expiration(message, started_at)) is not None:
        headers.append((b"apns-expiration", b"%d" % expiration))
    if collapse := _collapse_id(message, kind, collapse_id):
        headers.append((b"apns-collapse-id", collapse))
    return Rendered(tuple(headers), render_payload(message, kind, started_at), payload_limit(kind))


def template(rendered: Rendered, *, authority: str, authorization: bytes | None) -> Template:
    """The headers of every request of a rendered message. `authorization` is None with a certificate."""
    constant: list[Header] = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", authority.encode())]
    if authorization is not None:
        constant.append((b"authorization", authorization))
    return Template((*constant, *rendered.headers), _VARYING, proof=_ID)


def encode(template: Template, rendered: Rendered, tokens: Sequence[bytes], ids: Sequence[bytes]) -> Encoded:
    """The burst for a batch: `tokens` in hex and their `push_ids`. A malformed token is rejected, not sent."""

    def burst(positions: Sequence[int] | None) -> Burst:
        if positions is None:
            return Burst(template, ([_PATH + token for token in tokens], ids), [rendered.body] * len(tokens))
        paths = [_PATH + tokens[index] for index in positions]
        return Burst(template, (paths, [ids[index] for index in positions]), [rendered.body] * len(paths))

    return encode_columns(tokens, find_malformed(tokens, _TOKEN_BYTES, LONGEST_TOKEN), burst)


_ID_SHAPE = b"........-....-4...-8...-............ "
_ID_SIZE = len(_ID_SHAPE)
_ID_DIGITS = tuple(enumerate(position for position, byte in enumerate(_ID_SHAPE) if byte == ord(".")))


def push_ids(campaign_id: str, recipients: Sequence[bytes]) -> list[bytes]:
    """The `apns-id` of each recipient: a lower-case UUID that depends on the campaign and the recipient alone.

    So it is the same when a batch is sent again, on any machine. 30 hex digits come from a hash, version and variant
    are those of a random UUID. The digits of all ids are put in place a column at a time, which is several times
    faster than formatting each.
    """
    count = len(recipients)
    key = blake2b(campaign_id.encode()).digest()[:16]
    digits = b"".join([blake2b(key + recipient).digest()[:16] for recipient in recipients]).hex().encode()
    ids = bytearray(_ID_SHAPE * count)
    for digit, position in _ID_DIGITS:
        ids[position::_ID_SIZE] = digits[digit::32]
    return bytes(ids).split()


def decode(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
    """What a response asks for. Never raises; what it doesn't know is sent again and never drops an address.

    `now` (epoch seconds) is needed for a `retry-after` that is a date.
    """
    if status == 200:
        if header(headers, _ID) is None:
            return not_theirs(status, body, "an `apns-id`")
        return Answer(verdict=Verdict.ACCEPT, reason="", status=status)
    found = json_object(body) or {}
    reason = text(found.get("reason"))
    wait = retry_after(headers, now)
    rule = RULES.get((status, reason))
    if rule is None and (other := BY_REASON.get(reason)) is not None and other.verdict is not Verdict.DROP:
        rule = other
    if rule is None:
        return unknown_answer(status, reason or UNREADABLE, retry_after=wait)
    since = _seconds(found.get("timestamp")) if rule.verdict is Verdict.DROP else None
    return rule.answer(status, retry_after=wait, since=since)


def decode_goaway(debug: bytes) -> Answer | None:
    """What a GOAWAY's debug data asks for: JSON with a reason of the same list, or a text, or nothing (None).

    A GOAWAY says nothing about an address or a message, so reasons that would are taken as a wish to reconnect.
    """
    if not debug:
        return None
    reason = text((json_object(debug) or {}).get("reason"))
    rule = BY_REASON.get(reason)
    if rule is not None and rule.scope in (Scope.LANE, Scope.CREDENTIAL, Scope.CONNECTION):
        return rule.answer(0)
    return Answer(
        verdict=Verdict.RECONNECT,
        reason=reason or "GoAway",
        scope=Scope.CONNECTION,
        detail="" if reason else text(debug.decode("utf-8", "replace")),
        known=rule is not None or not reason,
    )


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool) and 0 < milliseconds < 1e15:
        return milliseconds / 1000
    return None


def _topic(message: Message, app_topic: str, kind: PushType) -> bytes:
    topic = message.apns.topic or app_topic
    if not _TOPIC.fullmatch(topic):
        raise InvalidMessage("apns.topic", f"{topic!r} is not a bundle id (letters, digits, dots, hyphens)")
    suffix = TOPIC_SUFFIXES.get(kind, "")
    if message.apns.topic:
        for other, foreign in TOPIC_SUFFIXES.items():
            if other is not kind and topic.endswith(foreign) and not (suffix and topic.endswith(suffix)):
                raise InvalidMessage("apns.topic", f"{topic} is for pushes of type {other}, this one is {kind}")
    return (topic if topic.endswith(suffix) else topic + suffix).encode()


def _priority(message: Message, kind: PushType) -> int:
    priority = message.apns.priority
    if priority is None:
        if kind is PushType.BACKGROUND:
            return 5
        return PRIORITIES[message.priority or Priority.HIGH]
    if isinstance(priority, bool) or priority not in PRIORITIES.values():
        raise InvalidMessage("apns.priority", f"is {priority!r}; it must be 10, 5 or 1")
    if kind is PushType.BACKGROUND and priority != 5:
        raise InvalidMessage("apns.priority", f"is {priority}; a background push must have 5")
    return priority


def _expiration(message: Message, started_at: float) -> int | None:
    if message.apns.expiration is not None:
        return check_int(message.apns.expiration, "apns.expiration", most=LATEST_TIME)
    if not message.ttl:
        return message.ttl
    return check_int(int(started_at) + message.ttl, "ttl", most=LATEST_TIME)


def _collapse_id(message: Message, kind: PushType, fallback: str) -> bytes:
    for field, value in (("apns.collapse_id", message.apns.collapse_id), ("collapse_key", message.collapse_key)):
        if value is not None:
            found = header_text(value, field)
            if len(found) > COLLAPSE_ID_LIMIT:
                raise InvalidMessage(field, f"is {len(found)} bytes, {COLLAPSE_ID_LIMIT} are allowed")
            return found
    if not fallback or kind not in _SHOWS_EACH_ONCE:
        return b""
    found = header_text(fallback, "collapse_id")
    return found if len(found) <= COLLAPSE_ID_LIMIT else blake2b(found, digest_size=16).hexdigest().encode()
