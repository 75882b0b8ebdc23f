"""What FCM checks about a message beyond its fields' types: its target, its size; and what it collapses by. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from stentor.simulators.fcm.schema import BadField

TARGETS = ("token", "fid", "topic", "condition")
MAX_PAYLOAD = 4_096
MAX_TOPIC_PAYLOAD = 2_048
_TOPIC = re.compile(r"[a-zA-Z0-9\-_.~%]+")
_IN_TOPICS = re.compile(r"'[a-zA-Z0-9\-_.~%]+'\s+in\s+topics")
_REDUCTIONS = (("!T", "T"), ("(T)", "T"), ("T&&T", "T"), ("T||T", "T"))
_MAX_CONDITION_TOPICS = 5
_TOKEN = re.compile(r"[A-Za-z0-9_:\-.~%=+/]{1,4096}")


def target_of(message: dict[str, Any]) -> tuple[str, str]:
    """Which target a message has, and its value; exactly one is allowed."""
    given = [name for name in TARGETS if message.get(name)]
    if len(given) != 1:
        problem = (
            "Recipient of the message is not set." if not given else f"Exactly one target is allowed, not {given}."
        )
        raise BadField("message", problem)
    kind, value = given[0], message[given[0]]
    if kind == "topic" and not _TOPIC.fullmatch(value):
        raise BadField("message.topic", "Invalid topic name provided")
    if kind == "condition":
        _check_condition(value)
    return kind, value


def is_token(value: str) -> bool:
    return _TOKEN.fullmatch(value) is not None


def _check_condition(condition: str) -> None:
    """Topics joined by &&, || and !, with parentheses: reduced step by step until one term is left."""
    reduced, topics = _IN_TOPICS.subn("T", condition)
    reduced = re.sub(r"\s+", "", reduced)
    before = ""
    while before != reduced:
        before = reduced
        for pattern, term in _REDUCTIONS:
            reduced = reduced.replace(pattern, term)
    if reduced != "T" or topics > _MAX_CONDITION_TOPICS:
        raise BadField("message.condition", "Invalid condition expression provided")


def payload_limit(kind: str) -> int:
    return MAX_PAYLOAD if kind in ("token", "fid") else MAX_TOPIC_PAYLOAD


def payload_size(message: dict[str, Any]) -> int:
    """The size of the largest platform's version of the message. How Google counts is not told; this is a guess."""
    data, notification = message.get("data", {}), message.get("notification", {})
    android, webpush, newer = message.get("android", {}), message.get("webpush", {}), message.get("android_v2", {})
    shown = newer.get("remote_notification", {}).get("notification", {})
    sizes = [
        _size(android.get("data", data)) + _size({**notification, **android.get("notification", {})}),
        _size(newer.get("data", data)) + _size({**notification, **shown}),
        _size(webpush.get("data", data)) + _size({**notification, **webpush.get("notification", {})}),
        _size(data) + _size(notification) + _size(message.get("apns", {}).get("payload", {})),
    ]
    return max(sizes)


def _size(fields: dict[str, Any]) -> int:
    """Keys and values as bytes; nested values as their JSON."""
    total = 0
    for key, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        total += len(key.encode()) + len(text.encode())
    return total


def dedup_id_of(message: dict[str, Any]) -> str:
    """What the device, or FCM, replaces an older copy by."""
    android, apns, webpush = message.get("android", {}), message.get("apns", {}), message.get("webpush", {})
    newer = message.get("android_v2", {})
    return str(
        android.get("notification", {}).get("tag")
        or android.get("collapse_key")
        or newer.get("remote_notification", {}).get("notification", {}).get("tag")
        or newer.get("collapse_key")
        or apns.get("headers", {}).get("apns-collapse-id")
        or webpush.get("notification", {}).get("tag")
        or webpush.get("headers", {}).get("Topic")
        or ""
    )
