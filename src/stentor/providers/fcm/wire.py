"""FCM on the wire: a message and a column of addresses -> a burst; a response or a GOAWAY -> an answer.

Pure: no socket, no clock, no await. The message is checked and rendered once (`render`), into the bytes before and
after the address; a recipient then costs one concatenation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from msgspec import Raw

from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.http2.burst import Burst, Header, Results, Template
from stentor.model import FcmTarget, Message
from stentor.outcome import Scope, Verdict
from stentor.providers.contract import (
    UNREADABLE,
    Answer,
    Encoded,
    Rule,
    encode_columns,
    find_malformed,
    json_object,
    not_theirs,
    retry_after,
    text,
    unknown_answer,
)
from stentor.providers.fcm.checks import check_message, is_condition, payload_limit
from stentor.providers.fcm.payload import LONGEST_TTL, build_message
from stentor.providers.fcm.reasons import BY_STATUS, RULES
from stentor.providers.payload import PayloadSize, PayloadTooLarge, check_common, check_int, to_json

AUTHORITY = "fcm.googleapis.com"

_PRINTABLE = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))  # needs no escape in JSON
_ADDRESS_BYTES = {
    FcmTarget.TOKEN: (_PRINTABLE.replace(b" ", b""), 4096),
    FcmTarget.FID: (_PRINTABLE.replace(b" ", b""), 4096),
    FcmTarget.TOPIC: (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~%", 900),
    FcmTarget.CONDITION: (_PRINTABLE, 4608),
}
"""The bytes and the length that an address may have."""
_MARK = b"\0"
"""A byte that no JSON has."""
_WHOLE_SECONDS = re.compile(r"(\d{1,12})(s?)", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9.:-]+")
_TOKEN_FIELDS = frozenset({"message.token", "message.fid", "token", "fid"})
_OPENING = b'{\n  "name": "projects/'
"""How FCM writes the body of an acceptance. It might write it otherwise, so another one is read as JSON."""
_ABOUT_THE_TOKEN = re.compile(r"registration token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as all its recipients get it: the bytes of the body before and after the address."""

    before: bytes
    pieces: tuple[bytes, ...]
    """What comes after it, but for the seconds that the message still has to live, which stand between the pieces."""
    lifetimes: tuple[int, ...]
    """Those seconds as they are at the start, one fewer than there are pieces."""
    started_at: float
    target: FcmTarget
    reaches: int
    """Bytes that reach a device at most."""

    @property
    def size(self) -> PayloadSize:
        return PayloadSize(size=self.reaches, limit=payload_limit(self.target))

    def after(self, now: float) -> bytes:
        """What comes after the address in a body that is sent at `now`, in epoch seconds."""
        passed = max(0, int(now - self.started_at))
        left = (b"%d" % max(0, lifetime - passed) for lifetime in self.lifetimes)
        return self.pieces[0] + b"".join(chain.from_iterable(zip(left, self.pieces[1:], strict=True)))


def render(message: Message, *, started_at: float, collapse_id: str = "") -> Rendered:
    """Check a message and render it, once for all recipients.

    Args:
        started_at: epoch seconds from which lifetimes count; the same at every retry.
        collapse_id: used where the message has no collapse key of its own, so that a push that had to be sent twice
            is shown once. Usually the campaign's id.

    Raises: InvalidMessage: FCM would refuse it; names the field.
    """
    check_common(message)
    if message.ttl is not None:
        check_int(message.ttl, "ttl", most=LONGEST_TTL)
    if message.fcm.target not in list(FcmTarget):
        raise InvalidMessage("fcm.target", f"must be one of {', '.join(FcmTarget)}")
    target = FcmTarget(message.fcm.target)
    built = build_message(message, started_at, collapse_id)
    try:
        reaches = check_message(built, target)
    except PayloadTooLarge as error:
        error.payload = b'{"message":%b}' % to_json(built, "fcm")
        raise
    envelope = b'{"validate_only":true,' if message.fcm.validate_only else b"{"
    before = b'%b"message":{"%b":"' % (envelope, target.value.encode())
    if message.fcm.raw_message is None:
        _mark_lifetimes(built)
    after = (b'",%b}' % to_json(built, "fcm")[1:]).split(_MARK)
    return Rendered(before, tuple(after[::2]), tuple(map(int, after[1::2])), started_at, target, reaches)


def _mark_lifetimes(built: dict[str, Any]) -> None:
    """Have the seconds to live of a message that was checked stand between marks when it is JSON."""
    headers = built.get("webpush", {}).get("headers", {})
    for block, name in ((built.get("android", {}), "ttl"), (built.get("android_v2", {}), "ttl"), (headers, "TTL")):
        if found := _WHOLE_SECONDS.fullmatch(block.get(name, "")):
            block[name] = Raw(b'"%b%b%b%b"' % (_MARK, found[1].encode(), _MARK, found[2].encode()))


def template(*, project: str, authority: str, authorization: bytes, quota_project: str | None = None) -> Template:
    """The headers of every request. All of them are the same for all recipients: only bodies differ.

    Args:
        project: the Firebase project's id.
        quota_project: which project pays, where the credential is a person's and not a service account's.
    """
    for name in (project, *([quota_project] if quota_project else [])):
        if not _PROJECT.fullmatch(name):
            raise InvalidConfiguration(f"{name!r} is not the id of a Google project")
    constant: list[Header] = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", authority.encode()),
        (b":path", b"/v1/projects/%b/messages:send" % project.encode()),
        (b"authorization", authorization),
        (b"content-type", b"application/json"),
    ]
    if quota_project:
        constant.append((b"x-goog-user-project", quota_project.encode()))
    return Template(tuple(constant), (), opening=_OPENING)


def encode(template: Template, rendered: Rendered, addresses: Sequence[bytes], now: float) -> Encoded:
    """The burst for a batch, sent at `now` (epoch seconds). A malformed address (see `FcmOptions.target` for what they
    are) is rejected, not sent."""
    before, after = rendered.before, rendered.after(now)

    def burst(positions: Sequence[int] | None) -> Burst:
        chosen = addresses if positions is None else [addresses[index] for index in positions]
        return Burst(template, (), [before + address + after for address in chosen])

    return encode_columns(addresses, _find_malformed(addresses, rendered.target), burst)


def _find_malformed(addresses: Sequence[bytes], target: FcmTarget) -> list[int]:
    malformed = find_malformed(addresses, *_ADDRESS_BYTES[target])
    if target is FcmTarget.CONDITION:
        known = set(malformed)
        malformed = [i for i, found in enumerate(addresses) if i in known or not is_condition(found.decode("ascii"))]
    return malformed


def decode(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
    """What a response asks for. Never raises; what it doesn't know is sent again and never drops an address.

    `now` (epoch seconds) is needed for a `retry-after` that is a date.
    """
    if status == 200:
        if not message_name(body):
            return not_theirs(status, body, "a message's name")
        return Answer(verdict=Verdict.ACCEPT, reason="", status=status)
    wait = retry_after(headers, now)
    error = (json_object(body) or {}).get("error")
    if not isinstance(error, dict):
        rule = _rule_of_status(status, body)
        return rule.answer(status, retry_after=wait) if rule else unknown_answer(status, UNREADABLE, retry_after=wait)
    reason, rule = _classify(status, error)
    detail = text(error.get("message"))
    if rule is None:
        return unknown_answer(status, reason or UNREADABLE, retry_after=wait, detail=detail)
    return rule.answer(status, retry_after=wait, detail=detail)


def decode_goaway(debug: bytes) -> Answer | None:
    """What a GOAWAY's debug data asks for. FCM gives texts such as `session_timed_out`; all mean: reconnect."""
    if not debug:
        return None
    return Answer(
        verdict=Verdict.RECONNECT,
        reason="GoAway",
        scope=Scope.CONNECTION,
        detail=text(debug.decode("utf-8", "replace")),
    )


def doubts(results: Results) -> Sequence[int]:
    """Which 200s don't name a message. Nearly always no body at all was kept."""
    return [index for index, body in results.bodies.items() if not message_name(body)]


def message_name(body: bytes) -> str:
    """The name that FCM gave an accepted message, from the body of its 200; empty where there is none."""
    parts = body.split(b'"', 4)
    if len(parts) == 5 and parts[1] == b"name" and b"\\" not in parts[3] and parts[3].isascii():
        return parts[3].decode("ascii")
    name = (json_object(body) or {}).get("name")
    return name if isinstance(name, str) else ""


def _classify(status: int, error: dict[str, Any]) -> tuple[str, Rule | None]:
    """The reason that an error object gives, and its rule. The FcmError detail is often missing."""
    if code := next(_strings(error, "errorCode"), ""):
        reason = _narrow(code, error, told=True)
        return reason, RULES.get((status, reason))
    for info in _strings(error, "reason"):
        reason = _narrow(info, error, told=True)
        if rule := RULES.get((status, reason)):
            return reason, rule
    reason = _narrow(text(error.get("status")), error, told=False)
    rule = RULES.get((status, reason))
    if rule is None and status == 404:
        rule = RULES[404, "NOT_FOUND"]  # whatever it is called: FCM has no such address, and says nothing of the token
    return reason, rule or BY_STATUS.get(status)


def _narrow(code: str, error: dict[str, Any], *, told: bool) -> str:
    """`code`, told apart further where that changes what it asks for. `told`: FCM itself gave the code, not a proxy."""
    if code == "INVALID_ARGUMENT":
        fields = set(_violations(error, "fieldViolations", "field"))
        about_token = told and not fields and _ABOUT_THE_TOKEN.search(text(error.get("message")))
        if about_token or (fields and fields <= _TOKEN_FIELDS):
            return f"{code}:token"
    elif code == "QUOTA_EXCEEDED":
        what = " ".join(
            (*_violations(error, "violations", "subject"), *_violations(error, "violations", "description"))
        ).lower()
        for kind in ("device", "topic"):
            if kind in what:
                return f"{code}:{kind}"
    return code


def _rule_of_status(status: int, body: bytes) -> Rule | None:
    """The rule for an answer whose body isn't FCM's JSON: of its status alone, where that is enough.

    Google's own page for a wrong address is HTML with a 404. A 404 without a body, or with a piece of JSON, might have
    been about a token.
    """
    if status == 404 and body.strip() and not body.lstrip().startswith(b"{"):
        return RULES[404, "NOT_FOUND"]
    return BY_STATUS.get(status)


def _details(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    details = error.get("details")
    if isinstance(details, list):
        yield from (detail for detail in details if isinstance(detail, dict))


def _strings(error: dict[str, Any], key: str) -> Iterator[str]:
    for detail in _details(error):
        if found := text(detail.get(key)):
            yield found


def _violations(error: dict[str, Any], key: str, field: str) -> Iterator[str]:
    for detail in _details(error):
        violations = detail.get(key)
        if isinstance(violations, list):
            yield from (text(each.get(field)) for each in violations if isinstance(each, dict))
