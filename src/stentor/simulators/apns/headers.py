"""What APNs checks about a request's headers, path and payload, with its reasons. Pure: nothing is remembered here."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from stentor.simulators.request_headers import Header

STATUS: Final = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "BadEnvironmentKeyInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}
"""Every documented reason and its status."""

TOPIC_SUFFIX: Final = {
    b"alert": b"",
    b"background": b"",
    b"complication": b".complication",
    b"controls": b".push-type.controls",
    b"fileprovider": b".pushkit.fileprovider",
    b"liveactivity": b".push-type.liveactivity",
    b"location": b".location-query",
    b"mdm": b"",
    b"pushtotalk": b".voip-ptt",
    b"voip": b".voip",
    b"widgets": b".push-type.widgets",
}
"""Every push type, and how its topic must end."""

_TOKEN_ONLY_TYPES = frozenset((b"controls", b"liveactivity", b"location", b"widgets"))
_SUFFIXES = tuple(sorted((s for s in TOPIC_SUFFIX.values() if s), key=len, reverse=True))
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOPIC = re.compile(rb"[A-Za-z0-9.\-_]{1,256}")
_DEVICE_TOKEN = re.compile(r"([0-9A-Fa-f]{2}){8,100}")
_DEVICE_PATH = b"/3/device/"
_MAX_EXPIRATION = 2**63


def once_only(headers: list[Header]) -> dict[bytes, bytes] | None:
    """The headers by name, or None when one that APNs reads is there twice."""
    found = dict(headers)
    if len(found) != len(headers):
        names = [name for name, _ in headers if name == b"authorization" or name.startswith(b"apns-")]
        if len(set(names)) != len(names):
            return None
    return found


def problem_of_headers(found: dict[bytes, bytes], *, by_certificate: bool, push_type_required: bool) -> str | None:
    """The reason to refuse these headers, or None."""
    apns_id = found.get(b"apns-id")
    if apns_id is not None and not _UUID.fullmatch(apns_id):
        return "BadMessageId"
    expiration = found.get(b"apns-expiration")
    if expiration is not None and not (expiration.isdigit() and int(expiration) < _MAX_EXPIRATION):
        return "BadExpirationDate"
    push_type = found.get(b"apns-push-type")
    priority = found.get(b"apns-priority")
    if priority is not None and priority not in (b"10", b"5", b"1"):
        return "BadPriority"
    if push_type == b"background" and priority in (None, b"10"):
        return "BadPriority"
    if len(found.get(b"apns-collapse-id", b"")) > 64:
        return "BadCollapseId"
    return _problem_of_push_type(push_type, by_certificate=by_certificate, required=push_type_required)


def _problem_of_push_type(push_type: bytes | None, *, by_certificate: bool, required: bool) -> str | None:
    if push_type is None:
        return "InvalidPushType" if required else None
    if push_type not in TOPIC_SUFFIX or (by_certificate and push_type in _TOKEN_ONLY_TYPES):
        return "InvalidPushType"
    return None


def problem_of_topic(topic: bytes | None, push_type: bytes | None) -> str | None:
    if not topic:
        return "MissingTopic"
    if not _TOPIC.fullmatch(topic):
        return "BadTopic"
    if push_type is None:
        return None
    suffix = TOPIC_SUFFIX[push_type]
    if not topic.endswith(suffix) or (not suffix and topic.endswith(_SUFFIXES)):
        return "BadTopic"
    return None


def bundle_of(topic: bytes) -> str:
    """The topic without its push type's suffix."""
    for suffix in _SUFFIXES:
        if topic.endswith(suffix):
            return topic[: -len(suffix)].decode()
    return topic.decode()


def device_of(found: dict[bytes, bytes]) -> tuple[str, str | None]:
    """The device token in the path, and the reason to refuse the path."""
    path = found[b":path"]
    if not path.startswith(_DEVICE_PATH):
        return "", "BadPath"
    token = path[len(_DEVICE_PATH) :]
    if not token:
        return "", "MissingDeviceToken"
    if b"/" in token or b"?" in token or not token.isascii():
        return "", "BadPath"
    return token.decode(), None


def is_device_token(token: str) -> bool:
    """Hexadecimal, whole bytes. Its length must not be assumed, only that it has a sane one."""
    return _DEVICE_TOKEN.fullmatch(token) is not None


def problem_of_payload(body: bytes, push_type: bytes | None) -> str | None:
    if not body:
        return "PayloadEmpty"
    if len(body) > (5_120 if push_type == b"voip" else 4_096):
        return "PayloadTooLarge"
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "PayloadEmpty"
    return None if isinstance(payload, dict) and payload else "PayloadEmpty"
