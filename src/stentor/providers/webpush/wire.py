"""Web Push on the wire: a message and subscriptions -> requests, one burst an origin; a response -> an answer.

Pure but for the chance that encryption needs: no socket, no clock, no await. `render` is done once a message; `seal`
once a recipient, which costs some 0.1 ms, and is meant for a thread.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

from stentor.errors import InvalidMessage
from stentor.http2.burst import Header, Results, Template
from stentor.model import Message, Priority, Urgency
from stentor.outcome import Verdict
from stentor.providers.contract import (
    EXPLANATION,
    MALFORMED_ADDRESS,
    NOWHERE,
    UNREADABLE,
    WEB_PAGE,
    Answer,
    header,
    not_theirs,
    retry_after,
    text,
    unknown_answer,
)
from stentor.providers.payload import PayloadSize, check_common, check_int, check_text
from stentor.providers.webpush.encryption import encrypt
from stentor.providers.webpush.endpoints import (
    ForbiddenEndpoint,
    MalformedEndpoint,
    Origin,
    Policy,
    ReservedHost,
    parse_authority,
    parse_endpoint,
    parse_subscription,
)
from stentor.providers.webpush.payload import render_payload, size_of
from stentor.providers.webpush.reasons import classify, ours

LONGEST_TTL = 28 * 86_400
"""Seconds for which a message without a lifetime is kept: four weeks, which no push service cuts short."""
LONGEST_TOPIC = 32
LONGEST_MESSAGE_URL = 2048
TAKEN = frozenset({200, 201, 202, 204})
"""The statuses of a message that was taken: 201 by the standard."""
URGENCIES = MappingProxyType({Priority.HIGH: Urgency.HIGH, Priority.NORMAL: Urgency.NORMAL, Priority.LOW: Urgency.LOW})

TOO_LATE = "TooLate"
"""The reason where a message cannot be deleted at its push service: it isn't there, or the service deletes none."""
_UNDELETABLE = frozenset({400, 404, 405, 410, 501})
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_PLAIN_URL = re.compile(rb"https://[!$-~]+")
_VARYING = (b":path",)
_NOT_KEPT = (b"x-wns-cache-policy", b"no-cache")
"""Without it Windows' push service refuses a TTL of 0. Others don't know the header, and ignore it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as all its recipients get it."""

    headers: tuple[Header, ...]
    """Those that are the same for all, but for who we are and the TTL."""
    ttl: int
    """Seconds from the campaign's start."""
    payload: bytes
    """Before encryption."""
    collapses: bool
    """Whether a browser that gets it twice shows it once."""

    @property
    def size(self) -> PayloadSize:
        return size_of(self.payload)


def render(message: Message, *, collapse_id: str = "") -> Rendered:
    """Check a message and render it, once for all recipients.

    Args:
        collapse_id: used where the message has no collapse key of its own. Usually the campaign's id.

    Raises: InvalidMessage: no push service would take it, or no browser show it; names the field.
    """
    check_common(message)
    tag = _tag(message, collapse_id)
    payload, shown_as = render_payload(message, tag)
    headers: list[Header] = [(b"content-encoding", b"aes128gcm"), (b"content-type", b"application/octet-stream")]
    if (urgency := _urgency(message)) is not None:
        headers.append((b"urgency", urgency.value.encode()))
    if topic := _topic(message, tag):
        headers.append((b"topic", topic))
    return Rendered(tuple(headers), _ttl(message), payload, bool(shown_as) or message.silent)


def _tag(message: Message, collapse_id: str) -> str:
    for field, value in (("webpush.tag", message.webpush.tag), ("collapse_key", message.collapse_key)):
        if value is not None:
            check_text(value, field)
            if not value:
                raise InvalidMessage(field, "must not be empty")
            return value
    return collapse_id


def _topic(message: Message, tag: str) -> bytes:
    given = message.webpush.topic
    if given is not None:
        check_text(given, "webpush.topic")
        if not _TOPIC.fullmatch(given):
            raise InvalidMessage("webpush.topic", "must be 1 to 32 letters, digits, hyphens and underscores")
        return legal_topic(given)
    return legal_topic(tag) if tag else b""


def legal_topic(name: str) -> bytes:
    """A topic that every service takes: the name itself where it is one, else a hash of it.

    Apple decodes a topic as base64, of which no text is one character longer than a multiple of four.
    """
    if not _TOPIC.fullmatch(name):
        return urlsafe_b64encode(blake2b(name.encode(errors="surrogatepass"), digest_size=24).digest())
    return (name + "_" if len(name) % 4 == 1 else name).encode()


def _urgency(message: Message) -> Urgency | None:
    given = message.webpush.urgency
    if given is None:
        return None if message.priority is None else URGENCIES[message.priority]
    if given not in list(Urgency):
        raise InvalidMessage("webpush.urgency", f"must be one of {', '.join(Urgency)}")
    return Urgency(given)


def _ttl(message: Message) -> int:
    for field, value in (("webpush.ttl", message.webpush.ttl), ("ttl", message.ttl)):
        if value is not None:
            return check_int(value, field, most=LONGEST_TTL)
    return LONGEST_TTL


# -- recipients -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """Where one recipient's message goes."""

    origin: Origin
    path: bytes


Sealed = tuple[Target, bytes] | Answer
"""A recipient's target and encrypted body, or why there is none."""


def seal(
    addresses: Sequence[bytes], messages: Sequence[Rendered | Answer], policy: Policy, instead: Origin | None = None
) -> list[Sealed]:
    """What each recipient is sent. A malformed or forbidden address is an answer, and stops nobody else.

    Args:
        messages: for each address; an answer where none could be made.
        instead: the origin to send to, whatever the endpoints say.
    """
    known: dict[Origin, Answer | None] = {}
    return [
        message if isinstance(message, Answer) else _seal(address, message.payload, policy, instead, known)
        for address, message in zip(addresses, messages, strict=True)
    ]


def _seal(
    address: bytes, payload: bytes, policy: Policy, instead: Origin | None, known: dict[Origin, Answer | None]
) -> Sealed:
    if not address:
        return NOWHERE
    try:
        subscription = parse_subscription(address)
        origin, path = parse_endpoint(subscription.endpoint)
        if instead is not None:
            origin = instead
        elif origin not in known:
            known[origin] = _judge(origin, policy)
        if (refusal := known.get(origin)) is not None:
            return refusal
        return Target(origin, path), encrypt(payload, subscription.p256dh, subscription.auth)
    except MalformedEndpoint as error:
        return Answer(verdict=Verdict.REJECT, reason=MALFORMED_ADDRESS, detail=str(error))
    except ValueError:
        detail = "keys.p256dh is not a point of the curve P-256"
        return Answer(verdict=Verdict.REJECT, reason=MALFORMED_ADDRESS, detail=detail)


def _judge(origin: Origin, policy: Policy) -> Answer | None:
    try:
        policy.check(origin)
    except (ForbiddenEndpoint, ReservedHost) as error:
        return ours(type(error).__name__).answer(0, detail=str(error))
    return None


def template(headers: Sequence[Header], *, origin: Origin, authorization: bytes, ttl: int) -> Template:
    """The headers of every request to an origin with the same rendering."""
    constant: tuple[Header, ...] = (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", origin.authority.encode()),
        (b"authorization", authorization),
        (b"ttl", b"%d" % ttl),
        *(() if ttl else (_NOT_KEPT,)),
        *headers,
    )
    return Template(constant, _VARYING)


def ttl_left(rendered: Rendered, *, started_at: float, now: float) -> int:
    """Seconds that a push service may still keep the message; one without a lifetime is kept for four weeks anew."""
    if rendered.ttl == LONGEST_TTL:
        return LONGEST_TTL
    return max(0, min(rendered.ttl, rendered.ttl - int(now - started_at)))


# -- answers ----------------------------------------------------------------------------------------------------------


def doubts(results: Results) -> Sequence[int]:
    """Which 200s are web pages."""
    return [index for index, body in results.bodies.items() if WEB_PAGE.match(body)]


def decode(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
    """What a response asks for. Never raises; what it doesn't know is sent again and never drops an address.

    `now` (epoch seconds) is needed for a `retry-after` that is a date.
    """
    if status in TAKEN:
        return _taken(status, body)
    wait = retry_after(headers, now)
    reason, rule, detail = classify(status, body)
    if (explanation := header(headers, EXPLANATION)) is not None:
        detail = text(explanation.decode("utf-8", "replace"))
    if rule is None:
        return unknown_answer(status, reason or UNREADABLE, retry_after=wait, detail=detail)
    return rule.answer(status, retry_after=wait, detail=detail)


def _taken(status: int, body: bytes) -> Answer:
    if WEB_PAGE.match(body):
        return not_theirs(status, body, "anything of a push service's")
    return Answer(verdict=Verdict.ACCEPT, reason="", status=status)


def message_url(headers: Sequence[Header], origin: Origin) -> str:
    """Where a message that was taken can be taken back: the `location` of its 201, if that is of the same origin."""
    value = header(headers, b"location")
    if value is None or len(value) > LONGEST_MESSAGE_URL:
        return ""
    if value.startswith(b"%b/" % str(origin).encode()) and _PLAIN_URL.fullmatch(value):  # nearly always
        return value.decode()
    try:
        found = urljoin(f"{origin}/", value.decode("ascii"))
        parts = urlsplit(found)
        same = parts.scheme == "https" and parse_authority(parts.netloc) == origin
    except ValueError:
        return ""
    return found if same and found.isprintable() and not parts.fragment else ""


# -- undo -------------------------------------------------------------------------------------------------------------


def parse_message_url(url: str, policy: Policy) -> Target:
    """Where a message is that isn't delivered yet, by its `message_url`.

    Raises:
        MalformedEndpoint: it is no such address.
        ForbiddenEndpoint, ReservedHost: it leads to where nothing is sent.
    """
    origin, path = parse_endpoint(url)
    policy.check(origin)
    return Target(origin, path)


def deletion(origin: Origin, authorization: bytes) -> Template:
    """The headers of every request to an origin that deletes a message there."""
    constant: tuple[Header, ...] = (
        (b":method", b"DELETE"),
        (b":scheme", b"https"),
        (b":authority", origin.authority.encode()),
        (b"authorization", authorization),
    )
    return Template(constant, _VARYING)


def decode_delete(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
    """What the answer to a `deletion` says: what isn't there any more was delivered or has expired."""
    if status in TAKEN:
        return _taken(status, body)
    if status in _UNDELETABLE:
        return Answer(verdict=Verdict.REJECT, reason=TOO_LATE, status=status)
    answer = decode(status, headers, body, now)
    return answer if answer.verdict is not Verdict.DROP else unknown_answer(status, answer.reason)
