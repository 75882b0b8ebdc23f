"""FCM's rules for a finished `message` object: each field's type and bounds, and the size of what a device gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from stentor.errors import InvalidMessage
from stentor.model import FcmTarget
from stentor.providers.apns.payload import check_aps_fields
from stentor.providers.fcm.payload import LONGEST_TTL
from stentor.providers.payload import (
    check_bool,
    check_int,
    check_object,
    check_size,
    check_text,
    check_text_list,
    check_texts,
    header_text,
    merge,
    to_json,
)

PAYLOAD_LIMIT = 4096
TOPIC_PAYLOAD_LIMIT = 2048
MOST_CONDITION_TOPICS = 5

Check = Callable[[object, str], object]

_COMMON = ("notification", "data")
_PARTS = {
    "android": ("notification", "data"),
    "android_v2": ("remote_notification", "background_sync", "data"),
    "apns": ("payload",),
    "webpush": ("notification", "data"),
}
_TTL = re.compile(r"(\d{1,12})(\.\d{1,9})?s")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LABEL = re.compile(r"[a-zA-Z0-9-_.~%]{1,50}")
_RESERVED_DATA_KEYS = ("from", "message_type")
_RESERVED_DATA_PREFIXES = ("google.", "gcm.notification.")
"""As FCM v1's discovery document of 2026-10-23 has them."""
_TOPIC_IN = re.compile(r"'[a-zA-Z0-9\-_.~%]+' *in +topics\b")
_JOINED = re.compile(r"!#|\(#\)|#(&&|\|\|)#")


def payload_limit(target: FcmTarget) -> int:
    """Bytes that reach a device at most."""
    return TOPIC_PAYLOAD_LIMIT if target in (FcmTarget.TOPIC, FcmTarget.CONDITION) else PAYLOAD_LIMIT


def check_message(message: Mapping[str, Any], target: FcmTarget) -> int:
    """How many bytes reach a device, on the platform on which these are most.

    Raises: InvalidMessage: FCM would refuse the message; names the field.
    """
    for kind in FcmTarget:
        if kind in message:
            problem = "cannot be set: whom it is for comes from the audience, and only one target is allowed"
            raise InvalidMessage(f"fcm.{kind}", problem)
    _check_fields(message, MESSAGE_CHECKS, "fcm")
    contents = _content(message)
    if not any(contents.values()):
        raise InvalidMessage("title", "the message is empty: it has no text and no data")
    # The limit is for what reaches a device; headers and options don't. FCM's documentation gives the limit but no way
    # of counting; this is ours, as compact JSON.
    limit, most = payload_limit(target), 0
    for field, content in contents.items():
        size = len(to_json(content, field))
        check_size(size, limit, content, field)
        most = max(most, size)
    return most


def _check_fields(block: object, checks: Mapping[str, Check], field: str) -> None:
    found = check_object(block, field)
    for key, check in checks.items():
        if key in found:
            check(found[key], f"{field}.{key}")


def _fields(checks: Mapping[str, Check]) -> Check:
    """A check for an object that applies `checks` to its fields. Other fields pass: FCM gains some now and then."""
    return lambda value, field: _check_fields(value, checks, field)


def _content(message: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a device gets of a message, by the field at fault if it is too much: in general, and on each platform."""
    common = {key: message[key] for key in _COMMON if key in message}
    content = {"fcm": common}
    for platform, parts in _PARTS.items():
        block = message.get(platform, {})
        if added := {key: block[key] for key in parts if key in block}:
            if "notification" in added:  # is laid over the common one, whereas data replace it
                added["notification"] = merge(common.get("notification", {}), added["notification"])
            content[f"fcm.{platform}"] = common | added
    return content


def _check_data(value: object, field: str) -> None:
    for key in check_texts(value, field):
        if key in _RESERVED_DATA_KEYS or key.startswith(_RESERVED_DATA_PREFIXES):
            raise InvalidMessage(
                f"{field}.{key}",
                "is a reserved key: not `from`, `message_type`, nor what begins with `google.` or `gcm.notification.`",
            )


def _check_ttl(value: object, field: str) -> None:
    match = _TTL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidMessage(field, "must be seconds in a text such as `3600s`")
    if int(match[1]) > LONGEST_TTL or (int(match[1]) == LONGEST_TTL and match[2] and match[2].strip(".0")):
        raise InvalidMessage(field, f"is {value}; it must be between 0s and {LONGEST_TTL:,}s (four weeks)")


def _check_priority(value: object, field: str) -> None:
    if not isinstance(value, str) or value.upper() not in ("HIGH", "NORMAL"):
        raise InvalidMessage(field, "must be HIGH or NORMAL")


def _check_headers(value: object, field: str) -> None:
    for key, text in check_texts(value, field).items():
        header_text(key, f"{field}.{key}")
        header_text(text, f"{field}.{key}")


def _check_apns_headers(value: object, field: str) -> None:
    _check_headers(value, field)
    headers = {key.lower(): text for key, text in check_texts(value, field).items()}
    priority = headers.get("apns-priority")
    if priority not in (None, "10", "5", "1"):
        raise InvalidMessage(f"{field}.apns-priority", f"is {priority!r}; it must be 10, 5 or 1")
    if priority not in (None, "5") and headers.get("apns-push-type") == "background":
        raise InvalidMessage(f"{field}.apns-priority", f"is {priority}; a background push must have 5")
    if not headers.get("apns-expiration", "0").isdecimal():
        raise InvalidMessage(f"{field}.apns-expiration", "must be a time in epoch seconds")
    if (size := len(headers.get("apns-collapse-id", "").encode())) > 64:
        raise InvalidMessage(f"{field}.apns-collapse-id", f"is {size} bytes, 64 are allowed")


def _check_apns_payload(value: object, field: str) -> None:
    aps = check_object(value, field).get("aps", {})
    check_aps_fields(check_object(aps, f"{field}.aps"), f"{field}.aps")


def _check_web_headers(value: object, field: str) -> None:
    _check_headers(value, field)
    for key, text in check_texts(value, field).items():
        if key.lower() == "ttl" and not text.isdecimal():
            raise InvalidMessage(f"{field}.{key}", "must be a number of seconds")


def _check_https(value: object, field: str) -> None:
    if not isinstance(value, str) or not value.startswith("https://"):
        raise InvalidMessage(field, "must be an https address")


def _matches(pattern: re.Pattern[str], meaning: str) -> Check:
    def check(value: object, field: str) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InvalidMessage(field, f"must be {meaning}")

    return check


_check_label = _matches(_LABEL, "1 to 50 letters, digits or -_.~%")
_LABELLED = _fields({"analytics_label": _check_label})
_ANDROID_NOTIFICATION: dict[str, Check] = {
    **dict.fromkeys(
        ("title", "body", "icon", "sound", "tag", "click_action", "title_loc_key", "body_loc_key", "channel_id"),
        check_text,
    ),
    **dict.fromkeys(("title_loc_args", "body_loc_args"), check_text_list),
    "color": _matches(_COLOR, "a colour such as `#1a2b3c`"),
    "image": _check_https,
    "notification_count": check_int,
}
_EITHER_ANDROID: dict[str, Check] = {
    "ttl": _check_ttl,
    "collapse_key": check_text,
    "restricted_package_name": check_text,
    "direct_boot_ok": check_bool,
    "data": _check_data,
    "fcm_options": _LABELLED,
}
MESSAGE_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "notification": _fields({"title": check_text, "body": check_text, "image": _check_https}),
        "data": _check_data,
        "fcm_options": _LABELLED,
        "android": _fields(
            {**_EITHER_ANDROID, "priority": _check_priority, "notification": _fields(_ANDROID_NOTIFICATION)}
        ),
        "android_v2": _fields(
            {
                **_EITHER_ANDROID,
                "remote_notification": _fields(
                    {
                        "mutable_content": check_bool,
                        "use_as_v1_data_message": check_bool,
                        "notification": _fields({**_ANDROID_NOTIFICATION, "id": check_int}),
                    }
                ),
                "background_sync": check_object,
            }
        ),
        "apns": _fields({"headers": _check_apns_headers, "payload": _check_apns_payload, "fcm_options": _LABELLED}),
        "webpush": _fields(
            {
                "headers": _check_web_headers,
                "data": _check_data,
                "notification": check_object,
                "fcm_options": _fields({"link": _check_https, "analytics_label": _check_label}),
            }
        ),
    }
)
"""What each field must be, by its place in the message."""


def is_condition(text: str) -> bool:
    """Whether `text` is a condition: at most five `'topic' in topics`, joined by && || ! and parentheses."""
    if "#" in text:  # stands for a term below
        return False
    terms, count = _TOPIC_IN.subn("#", text)
    expression = terms.replace(" ", "")
    while (simpler := _JOINED.sub("#", expression)) != expression:
        expression = simpler
    return expression == "#" and count <= MOST_CONDITION_TOPICS
