"""A message in FCM's words: the `message` object but for its target, checked before anything is sent.

FCM takes `likeThis` and `like_this` alike; here all becomes `like_this` first, so that an override meets the field it
is meant for. The checks look at the finished object, so that it doesn't matter where a field came from.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from stentor.errors import InvalidMessage
from stentor.model import JsonObject, LocalizedText, Message, Priority, PushType
from stentor.providers.apns.payload import build_aps, push_type, used_by_fcm
from stentor.providers.contract import json_object
from stentor.providers.payload import check_object, drop_empty, merge
from stentor.providers.shown import Shown, mapping, string

LONGEST_TTL = 2_419_200
"""Seconds: four weeks."""
URGENCIES = MappingProxyType({Priority.HIGH: "high", Priority.NORMAL: "normal", Priority.LOW: "low"})
FREE_FORM = MappingProxyType(
    {
        "android": frozenset({"data"}),
        "android_v2": frozenset({"data"}),
        "apns": frozenset({"headers", "payload"}),
        "webpush": frozenset({"data", "headers", "notification"}),
    }
)
"""Objects whose keys are the user's or another standard's, and are therefore left as they are."""

_CAPITAL = re.compile(r"(?<=[a-z0-9])[A-Z]")
_WEB_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_PLAIN_ALERT = frozenset({"title", "body"})


def build_message(message: Message, started_at: float, collapse_id: str) -> dict[str, Any]:
    """The message object without its target, unchecked. `collapse_id` serves where the message has no key itself."""
    options = message.fcm
    if options.raw_message is not None:
        return _snake_message(options.raw_message)
    collapse = message.collapse_key or collapse_id
    built = {
        "notification": drop_empty({"title": message.title, "body": message.body, "image": message.image}),
        "data": dict(message.data),
        "android": _android(message, collapse) if options.android_v2 is None else {},
        "android_v2": {} if options.android_v2 is None else _android_v2(message, collapse),
        "apns": _apns(message, started_at, collapse),
        "webpush": _webpush(message, collapse),
        "fcm_options": drop_empty({"analytics_label": options.analytics_label}),
    }
    for name in ("notification", "android", "android_v2", "apns", "webpush", "fcm_options"):
        override: JsonObject | None = getattr(options, name)
        if override is not None:
            field = f"fcm.{name}"
            built[name] = merge(built[name], _snake(check_object(override, field), field, FREE_FORM.get(name)))
    return drop_empty(built)


def is_shown(message: Message) -> bool:
    """Whether there is anything to show; without, it is a data message, which Android handles quite differently."""
    return any((message.title, message.body, message.title_localized, message.body_localized, message.image))


def _android(message: Message, collapse: str) -> dict[str, Any]:
    priority = message.priority and ("HIGH" if message.priority == Priority.HIGH else "NORMAL")
    return drop_empty(
        {
            "priority": priority,
            **_for_either_android(message),
            "notification": _shown(message, collapse) if is_shown(message) else None,
        }
    )


def _android_v2(message: Message, collapse: str) -> dict[str, Any]:
    """The newer block, which has either a notification or a background sync."""
    override = message.fcm.android_v2 or {}
    is_sync = "background_sync" in override or "backgroundSync" in override
    shown = _shown(message, collapse) if is_shown(message) and not is_sync else {}
    return drop_empty(
        {**_for_either_android(message), "remote_notification": {"notification": shown} if shown else None}
    )


def _for_either_android(message: Message) -> dict[str, Any]:
    return {
        "ttl": None if message.ttl is None else f"{message.ttl}s",
        # A key made up here would be one of the four that a device keeps at a time, and push out one that counts.
        "collapse_key": message.collapse_key,
        "direct_boot_ok": message.fcm.direct_boot or None,
    }


def _shown(message: Message, collapse: str) -> dict[str, Any]:
    """What only Android's own notification says."""
    options = message.fcm
    return drop_empty(
        {
            "channel_id": options.channel_id,
            "icon": options.icon,
            "color": options.color,
            "click_action": options.click_action,
            "sound": message.sound,
            "notification_count": message.badge,
            "tag": collapse or None,
            **_localized("title", message.title_localized),
            **_localized("body", message.body_localized),
        }
    )


def _localized(name: str, text: LocalizedText | None) -> dict[str, Any]:
    return {} if text is None else {f"{name}_loc_key": text.key, f"{name}_loc_args": list(text.args)}


def _apns(message: Message, started_at: float, collapse: str) -> dict[str, Any]:
    """What Apple devices get through FCM. FCM itself adds the alert's title and body, the data and the topic."""
    options = message.apns
    if not used_by_fcm(options):
        return {}
    kind = push_type(message)
    priority = options.priority
    if priority is None and kind is PushType.BACKGROUND:
        priority = 5
    elif priority is None and message.priority is not None:
        priority = 10 if message.priority == Priority.HIGH else 5
    expiration = options.expiration
    if expiration is None and message.ttl is not None:
        expiration = message.ttl and int(started_at) + message.ttl
    headers = {
        "apns-priority": None if priority is None else str(priority),
        "apns-expiration": None if expiration is None else str(expiration),
        "apns-collapse-id": options.collapse_id or _apns_collapse_id(message, collapse),
        "apns-push-type": kind.value if kind is PushType.BACKGROUND else None,
    }
    return drop_empty({"headers": drop_empty(headers), "payload": _apns_payload(message, kind, started_at)})


def _apns_collapse_id(message: Message, collapse: str) -> str | None:
    """The user's key as it is (its length is checked), one of ours within Apple's 64 bytes."""
    if message.collapse_key or len(collapse.encode()) <= 64:
        return collapse or None
    return blake2b(collapse.encode(), digest_size=16).hexdigest()


def _apns_payload(message: Message, kind: PushType, started_at: float) -> dict[str, Any]:
    options = message.apns
    if options.raw_payload is not None:
        parsed = json_object(options.raw_payload, largest=len(options.raw_payload))
        if parsed is None:
            raise InvalidMessage("apns.raw_payload", "must be a JSON object")
        return parsed
    aps = build_aps(message, kind, started_at)
    if _PLAIN_ALERT.issuperset(aps.get("alert", ())):
        aps.pop("alert", None)  # FCM makes the same from the notification, so it needn't be sent twice
    payload = drop_empty({"aps": aps})
    return merge(payload, check_object(options.payload, "apns.payload")) if options.payload else payload


def _webpush(message: Message, collapse: str) -> dict[str, Any]:
    topic = collapse if is_shown(message) else message.collapse_key or ""
    headers = {
        "TTL": None if message.ttl is None else str(message.ttl),
        "Urgency": message.priority and URGENCIES[message.priority],
        "Topic": _web_topic(topic) if topic else None,
    }
    shown = {"tag": collapse} if collapse and is_shown(message) else None
    return drop_empty(
        {
            "headers": drop_empty(headers),
            "notification": shown,
            "fcm_options": drop_empty({"link": message.fcm.link}),
        }
    )


def _web_topic(collapse: str) -> str:
    """The key itself where it is a legal Topic (RFC 8030 section 5.4), else a digest that is."""
    if _WEB_TOPIC.fullmatch(collapse):
        return collapse
    return base64.urlsafe_b64encode(blake2b(collapse.encode(), digest_size=24).digest()).decode()


def _snake_message(message: JsonObject) -> dict[str, Any]:
    """A complete message object in one spelling."""
    field = "fcm.raw_message"
    found = {}
    for key, value in _renamed(check_object(message, field), field).items():
        inner = f"{field}.{key}"
        is_block = key != "data" and isinstance(value, Mapping)
        found[key] = _snake(check_object(value, inner), inner, FREE_FORM.get(key)) if is_block else value
    return found


def _snake(block: Mapping[str, Any], field: str, free: frozenset[str] | None = None) -> dict[str, Any]:
    """`block` with its names, and those of the objects in it, `like_this`; but not within the `free` ones."""
    free = free or frozenset()
    return {
        key: _snake(value, f"{field}.{key}") if isinstance(value, Mapping) and key not in free else value
        for key, value in _renamed(block, field).items()
    }


def _renamed(block: Mapping[str, Any], field: str) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in check_object(block, field).items():
        name = _CAPITAL.sub(lambda capital: "_" + capital.group().lower(), key)
        if name in renamed:
            raise InvalidMessage(f"{field}.{name}", "is given twice, in both spellings")
        renamed[name] = value
    return renamed


def visible(payload: Mapping[str, Any]) -> Shown:
    """What people see of a request's body, on an Android phone. A text that the app has to look up is shown by its
    key."""
    message = mapping(payload.get("message"))
    own = mapping(mapping(message.get("android")).get("notification"))
    newer = mapping(mapping(mapping(message.get("android_v2")).get("remote_notification")).get("notification"))
    found = merge(merge(mapping(message.get("notification")), own), newer)
    count = found.get("notification_count")
    return Shown(
        title=string(found.get("title") or found.get("title_loc_key")),
        body=string(found.get("body") or found.get("body_loc_key")),
        image=string(found.get("image")),
        icon=string(found.get("icon")),
        sound=string(found.get("sound")),
        badge=count if isinstance(count, int) else None,
        silent=not found,
    )
