"""Messages as webhooks, and answers to them: Standard Webhooks, version 1. Pure.

A body is signed as it is sent: HMAC-SHA256 over `id.timestamp.body`, once with each secret there is. The id follows
from campaign and recipient, so that a receiver knows a repetition. `docs/webhook.md` tells receivers what they get.
Source: the specification at standardwebhooks.com.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from stentor.errors import InvalidMessage
from stentor.model import Action, Message
from stentor.providers.contract import Answer, Taken, json_object, retry_after, text, unknown_answer
from stentor.providers.hosts import is_literal
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import (
    PayloadSize,
    check_common,
    check_object,
    check_size,
    check_text,
    drop_empty,
    merge,
    to_json,
)
from stentor.providers.shown import Shown, mapping, string
from stentor.providers.webhook.channel import LONGEST
from stentor.providers.webhook.reasons import RULES, for_one

LARGEST = 65_536
"""Bytes of a body without its recipient; Standard Webhooks advises 20 KB at most."""
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
"""Bytes."""
PREFIX = "whsec_"
TYPES: Final[Mapping[Action, str]] = {
    Action.SEND: "message",
    Action.EDIT: "message.edited",
    Action.UNDO: "message.undone",
}
"""The body's `type`, where the message names none."""
_OURS = ("recipient", "address")
"""What is put into the body's `data` for each recipient."""
_LONGEST_ID = 200
_LONGEST_TTL = 1 << 40
_TYPE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_URL = re.compile(r"https://[!$-&(-;=?-\[\]_a-z~]+")  # what needs no escape, without a fragment
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")
_HOST = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?\.?")
"""A name. What ends in a number is another spelling of an IP address, which no name may be."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A body but for its recipient and address, which come between the three."""

    before: bytes
    after: bytes
    campaign: str = field(repr=False)
    """What its ids are made of, beside the recipient."""
    length: int
    """Bytes that are the same for all."""

    @property
    def size(self) -> PayloadSize:
        return PayloadSize(size=self.length, limit=LARGEST)


def parse_secrets(content: str) -> tuple[bytes, ...]:
    """The secrets in a file, one a line; empty lines and those that begin with # don't count.

    Raises: ValueError: says what is wrong and never what is there.
    """
    lines = [line.strip() for line in content.splitlines()]
    secrets = tuple(_secret(line) for line in lines if line and not line.startswith("#"))
    if not secrets:
        raise ValueError("holds no secret; write one into it, `whsec_` and then 24 to 64 random bytes in base64")
    return secrets


def _secret(line: str) -> bytes:
    if not line.startswith(PREFIX):
        raise ValueError("holds a line that doesn't begin with `whsec_`, as Standard Webhooks' secrets do")
    try:
        secret = b64decode(line.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("holds a secret that isn't base64 after `whsec_`") from None
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        bounds = f"between {SHORTEST_SECRET} and {LONGEST_SECRET}"
        raise ValueError(f"holds a secret of {len(secret)} bytes; it must have {bounds}")
    return secret


def render(message: Message, campaign: CampaignContent) -> Rendered:
    """Raises: InvalidMessage."""
    check_common(message)
    options, action = message.webhook, campaign.content.action
    kind = options.type if options.type is not None else TYPES[action]
    check_text(kind, "webhook.type")
    if not _TYPE.fullmatch(kind):
        raise InvalidMessage("webhook.type", "must be words of letters, digits and underscores, with dots between")
    if message.ttl is not None and message.ttl > _LONGEST_TTL:
        raise InvalidMessage("ttl", f"is more than {_LONGEST_TTL:,} seconds")
    # By the same key a receiver finds the message that an edit or an undo is about.
    key = message.collapse_key or campaign.collapse_id
    started = datetime.fromtimestamp(campaign.started_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = {"type": kind, "timestamp": started, "data": {"campaign": campaign.id, "collapse_key": key, **said(message)}}
    if options.payload is not None:
        body = merge(body, check_object(options.payload, "webhook.payload"))
    data = check_object(body.pop("data", {}), "webhook.payload.data")
    for name in _OURS:
        if name in data:
            raise InvalidMessage(f"webhook.payload.data.{name}", "is filled in for each recipient; leave it out")
    check_text(body.get("type"), "webhook.payload.type")
    outer, inner = to_json(body, "webhook.payload"), to_json(data, "webhook.payload")
    before = outer[:-1] + b',"data":{"recipient":'
    after = (b"," + inner[1:] if data else b"}") + b"}"
    seed = campaign.collapse_id if action is Action.SEND else campaign.id
    rendered = Rendered(before, after, f"{action}\0{seed}", len(outer) + len(inner))
    if rendered.length > LARGEST:
        check_size(rendered.length, LARGEST, {**body, "data": data}, "body", sample(rendered))
    return rendered


def sample(rendered: Rendered) -> bytes:
    """A body with an ellipsis for whom it is for."""
    return body(rendered, "…".encode(), "…".encode())


def visible(payload: Mapping[str, Any]) -> Shown:
    """What a body says, for whoever receives it to show."""
    data = mapping(payload.get("data"))
    badge = data.get("badge")
    return Shown(
        title=string(data.get("title") or mapping(data.get("title_localized")).get("key")),
        subtitle=string(data.get("subtitle") or mapping(data.get("subtitle_localized")).get("key")),
        body=string(data.get("body") or mapping(data.get("body_localized")).get("key")),
        image=string(data.get("image")),
        sound=string(data.get("sound")),
        badge=badge if isinstance(badge, int) else None,
        silent=data.get("silent") is True,
    )


def said(message: Message) -> dict[str, Any]:
    """The message's own words, without what is left out in it."""
    localized = {
        name: {"key": found.key, "args": list(found.args)}
        for name in ("title_localized", "subtitle_localized", "body_localized")
        if (found := getattr(message, name)) is not None
    }
    names = ("title", "subtitle", "body", "image", "sound", "badge", "ttl", "priority")
    plain = {name: getattr(message, name) for name in names}
    return drop_empty({**plain, **localized, "silent": message.silent or None, "data": dict(message.data)})


def body(rendered: Rendered, recipient: bytes, address: bytes) -> bytes:
    """What one recipient's message is, as JSON."""
    who, where = (msgspec.json.encode(each.decode(errors="replace")) for each in (recipient, address))
    return b"".join((rendered.before, who, b',"address":', where, rendered.after))


def message_id(rendered: Rendered, recipient: bytes) -> str:
    """The same at each try, on any machine, and when a campaign is retried as another one."""
    return "msg_" + blake2b(rendered.campaign.encode() + b"\0" + recipient, digest_size=16).hexdigest()


def sign(secrets: Sequence[bytes], identity: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{identity}.{timestamp}.".encode() + body
    return " ".join("v1," + b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)


def request(
    secrets: Sequence[bytes], url: str, rendered: Rendered, recipient: bytes, address: bytes, now: float
) -> Request:
    """Args: now: epoch seconds of this try; receivers refuse what is minutes old."""
    identity, timestamp, content = message_id(rendered, recipient), int(now), body(rendered, recipient, address)
    headers = {
        "content-type": "application/json",
        "user-agent": "Stentor",
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, identity, timestamp, content),
    }
    return Request(method="POST", url=url, body=content, headers=headers)


def host_of(address: bytes) -> str | None:
    """The host of a recipient's own URL; None where that isn't one we would post to.

    It must read the same to everybody: plain ASCII, no user info, and a host that is a name or an IP address in its
    one ordinary spelling.
    """
    url = address.decode("ascii", errors="replace")
    if len(url) > LONGEST or not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    plain = is_literal(host) or (len(host) <= 253 and _HOST.fullmatch(host))
    return host if plain and _AUTHORITY.fullmatch(parts.netloc) and port != 0 else None


def decode(response: Response, now: float, *, gateway: bool) -> Taken | Answer:
    """What an answer means: the status says it, whatever the body is.

    Args: gateway: whether it is one for all; otherwise it is the recipient's own, and says nothing about others.
    """
    status = response.status
    found = json_object(response.body) or {}
    if 200 <= status < 300:
        return Taken(at=now, id=_identity(found.get("id")))
    wait = response.headers.get("retry-after")
    seconds = retry_after([(b"retry-after", wait.encode("latin-1", errors="replace"))], now) if wait else None
    detail = next((said for name in ("detail", "message", "error", "title") if (said := text(found.get(name)))), "")
    rule = RULES.get(300 if 300 <= status < 400 else status)
    if rule is not None:
        answer = rule.answer(status, retry_after=seconds, detail=detail)
    elif 400 <= status < 500:
        answer = RULES[400].answer(status, detail=detail)
    else:
        answer = unknown_answer(status, f"Status{status}", retry_after=seconds, detail=detail)
    return answer if gateway else for_one(answer)


def _identity(given: object) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    return given if isinstance(given, str) and len(given) <= _LONGEST_ID and given.isprintable() else ""
