"""The gateway's side of a webhook: path, headers, signature, age, body, then the recipient's fate. No I/O.

It checks as the Standard Webhooks specification has receivers do it, and not by the sender's code. What comes again
with an id that is known is answered as the first time and shown to nobody; the ledger has it as a duplicate.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from stentor.simulators.chance import MALFORMED, REREGISTERED, THROTTLED, UNREGISTERED, fate_of
from stentor.simulators.faults import GoAwayForm, MalformedForm
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules
from stentor.simulators.world import GRACEFUL, Judgement, Session, World

TOLERANCE = 300
"""Seconds by which a timestamp may be off."""
LAST = 1_000
_STATUS = {
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "UnsupportedMediaType": 415,
    "MissingHeader": 400,
    "BadTimestamp": 400,
    "InvalidSignature": 401,
    "BadBody": 400,
    "ContentTooLarge": 413,
    "UnknownRecipient": 422,
    "Gone": 410,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
}
_JSON: Header = (b"content-type", b"application/json")
_HTML: Header = (b"content-type", b"text/html")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSetup:
    """How this gateway is set up; what goes wrong in it is in the faults."""

    path: str = "/messages"
    any_path: bool = False
    """Take messages at every path, as recipients that have URLs of their own do together."""
    largest: int = 1_048_576
    """Bytes of a body."""


class WebhookProvider:
    name = "webhook"

    def __init__(self, world: World, options: WebhookSetup, secrets: Sequence[str]) -> None:
        """Args: secrets: `whsec_…`; a message must be signed with one of them."""
        self._world = world
        self.options = options
        self._keys = [b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        self._known: dict[str, int] = {}
        """A message's number by its webhook id."""
        self.bodies: deque[dict[str, Any]] = deque(maxlen=LAST)
        """The last that were shown, each message once."""

    # The connection, which is plain HTTP/1.1.

    def rules(self, session: Session) -> Rules:
        return Rules(max_streams=session.limit)

    def open_session(self, certificate_topic: str | None) -> Session:
        return Session(1)

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]:
        return GRACEFUL

    @property
    def shown(self) -> int:
        """Messages that were shown, each once."""
        return len(self._known)

    def facts(self) -> dict[str, Any]:
        return {}

    # A request.

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        found = dict(headers)
        path = found[b":path"].partition(b"?")[0].decode("latin-1")
        if not self.options.any_path and path != self.options.path:
            return _refuse("NotFound")
        if found[b":method"] != b"POST":
            return _refuse("MethodNotAllowed")
        problem = self._problem_of(found, body)
        if problem:
            return _refuse(problem)
        try:
            event = msgspec.json.decode(body)
            data = event["data"]
            address, recipient = data["address"], data["recipient"]
            if not all(isinstance(each, str) for each in (event["type"], event["timestamp"], address, recipient)):
                raise TypeError
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return _refuse("BadBody")
        return self._weather(address) or self._judge_recipient(address) or self._take(found, event, address)

    def _problem_of(self, found: dict[bytes, bytes], body: bytes) -> str | None:
        """What is wrong with its headers, size or signature."""
        if found.get(b"content-type", b"").partition(b";")[0].strip() != b"application/json":
            return "UnsupportedMediaType"
        if len(body) > self.options.largest:
            return "ContentTooLarge"
        identity, sent, signatures = (
            found.get(b"webhook-" + name, b"") for name in (b"id", b"timestamp", b"signature")
        )
        if not identity or b"." in identity or not sent or not signatures:
            return "MissingHeader"
        if not sent.isdigit():
            return "BadTimestamp"
        signed = identity + b"." + sent + b"." + body
        if self._revoked() or not self._is_signed(signed, signatures):
            return "InvalidSignature"
        off = abs(self._world.clock() + self._world.faults.credential.clock_skew_s - int(sent))
        return "BadTimestamp" if off > TOLERANCE else None

    def _is_signed(self, signed: bytes, signatures: bytes) -> bool:
        wanted = [b64encode(hmac.new(key, signed, sha256).digest()) for key in self._keys]
        given = [each.removeprefix(b"v1,") for each in signatures.split(b" ") if each.startswith(b"v1,")]
        return any(hmac.compare_digest(one, other) for one in wanted for other in given)

    def _revoked(self) -> bool:
        at = self._world.faults.credential.revoke_at_s
        return bool(at) and self._world.elapsed >= at

    def _weather(self, address: str) -> Judgement | None:
        """Times of trouble."""
        world, faults = self._world, self._world.faults
        if world.trouble(faults.unavailable, b"unavailable", address):
            reason = "ServiceUnavailable" if faults.unavailable.status == 503 else "InternalServerError"
            return _refuse(reason, address, world.retry_after(faults.unavailable.retry_after, address))
        if world.trouble(faults.storm, b"storm", address):
            return _refuse("TooManyRequests", address, world.retry_after(faults.storm.retry_after, address))
        return None

    def _judge_recipient(self, address: str) -> Judgement | None:
        world, devices = self._world, self._world.faults.devices
        fate = fate_of(world.chance, devices, address.encode())
        if fate in (UNREGISTERED, REREGISTERED):
            return _refuse("Gone", address)
        if fate == MALFORMED:
            return _refuse("UnknownRecipient", address)
        period = devices.throttled_for_s
        if fate == THROTTLED and period and int(world.elapsed / period) % 2 == 0:
            return _refuse("TooManyRequests", address)
        return None

    def _take(self, found: dict[bytes, bytes], event: dict[str, Any], address: str) -> Judgement:
        identity = found[b"webhook-id"].decode("latin-1")
        if identity not in self._known:
            self._known[identity] = len(self._known) + 1
            self.bodies.append(event)
        message = f"m{self._known[identity]}"
        return Judgement(
            [_status(200), _JSON], msgspec.json.encode({"id": message}), "", True, address, identity, message
        )

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        if form == "missing_id":
            return answer._replace(body=b"{}") if answer.accepted else answer
        if form == "unknown_reason":
            return answer._replace(headers=[_status(599)], body=b"", accepted=False, reason="malformed: unknown_reason")
        if form == "truncated":
            return answer._replace(body=answer.body[:4])
        spoilt = answer._replace(accepted=False, reason=f"malformed: {form}")
        if form == "html502":
            return spoilt._replace(headers=[_status(502), _HTML], body=b"<html><h1>502 Bad Gateway</h1></html>")
        return spoilt._replace(headers=[_status(500)], body=b"")


def _refuse(reason: str, address: str = "", extra: Sequence[Header] = ()) -> Judgement:
    headers = [_status(_STATUS[reason]), _JSON, *extra]
    return Judgement(headers, msgspec.json.encode({"error": reason}), reason, address=address)


def _status(code: int) -> Header:
    return b":status", str(code).encode()
