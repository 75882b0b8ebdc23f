"""A message in Apple's words: the JSON payload, checked against Apple's rules before anything is sent.

The checks look at the finished payload, after all overrides, so that it doesn't matter where a field came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from stentor.errors import InvalidMessage
from stentor.model import ActivityEvent, ApnsOptions, InterruptionLevel, LiveActivity, LocalizedText, Message, PushType
from stentor.providers.contract import json_object
from stentor.providers.payload import (
    check_int,
    check_number,
    check_object,
    check_size,
    check_text,
    check_text_list,
    drop_empty,
    merge,
    to_json,
)
from stentor.providers.shown import Shown, mapping, string

PAYLOAD_LIMIT = 4096
VOIP_PAYLOAD_LIMIT = 5120
LATEST_TIME = 253_402_300_799
"""The last second of the year 9999. A time beyond it is in milliseconds by mistake."""

Check = Callable[[object, str], object]


def push_type(message: Message) -> PushType:
    """The kind of push that a message is: the one it names, or the one its content calls for."""
    options = message.apns
    if options.push_type is not None:
        if options.push_type not in list(PushType):
            raise InvalidMessage("apns.push_type", f"must be one of {', '.join(PushType)}")
        return PushType(options.push_type)
    if options.live_activity is not None:
        return PushType.LIVEACTIVITY
    return PushType.BACKGROUND if message.silent else PushType.ALERT


def render_payload(message: Message, kind: PushType, started_at: float) -> bytes:
    """The payload as JSON.

    Raises: InvalidMessage: the payload breaks one of Apple's rules; nothing like it should be sent.
    """
    options = message.apns
    if options.raw_payload is not None:
        field, body = "apns.raw_payload", options.raw_payload
        if not isinstance(body, bytes):
            raise InvalidMessage(field, "must be bytes")
        parsed = json_object(body, largest=len(body))
        if parsed is None:
            raise InvalidMessage(field, "must be a JSON object")
        payload = parsed
    else:
        field = "apns.payload"
        payload = build_payload(message, kind, started_at)
        body = to_json(payload, field)
    check_payload(payload, kind, field)
    check_size(len(body), payload_limit(kind), payload, field, body)
    return body


def payload_limit(kind: PushType) -> int:
    """Bytes that a payload of this kind has at most."""
    return VOIP_PAYLOAD_LIMIT if kind is PushType.VOIP else PAYLOAD_LIMIT


def visible(payload: Mapping[str, Any], image_key: str) -> Shown:
    """What people see of a payload. A text that the app has to look up is shown by its key."""
    aps = mapping(payload.get("aps"))
    alert = aps.get("alert")
    if isinstance(alert, str):
        alert = {"body": alert}
    alert, sound = mapping(alert), aps.get("sound")
    badge = aps.get("badge")
    return Shown(
        title=string(alert.get("title") or alert.get("title-loc-key")),
        subtitle=string(alert.get("subtitle") or alert.get("subtitle-loc-key")),
        body=string(alert.get("body") or alert.get("loc-key")),
        image=string(payload.get(image_key)),
        sound=string(mapping(sound).get("name") or sound),
        badge=badge if isinstance(badge, int) else None,
        silent=not alert,
    )


def build_payload(message: Message, kind: PushType, started_at: float) -> dict[str, Any]:
    """The payload of a message, unchecked: `aps`, the data beside it, and the overrides laid on both."""
    options = message.apns
    if "aps" in message.data:
        raise InvalidMessage("data.aps", "is Apple's own key; `apns.payload` can change its value")
    payload: dict[str, Any] = {} if kind is PushType.MDM else {"aps": build_aps(message, kind, started_at)}
    payload |= message.data
    if message.image is not None:
        payload.setdefault(options.image_key, message.image)
    if options.payload is not None:
        payload = merge(payload, check_object(options.payload, "apns.payload"))
    return payload


def build_aps(message: Message, kind: PushType, started_at: float) -> dict[str, Any]:
    """The `aps` object of a message."""
    options = message.apns
    aps = drop_empty(
        {
            "alert": _alert(message),
            "badge": message.badge,
            "sound": _sound(message),
            "thread-id": options.thread_id,
            "category": options.category,
            "target-content-id": options.target_content_id,
            "interruption-level": options.interruption_level,
            "relevance-score": options.relevance_score,
            "filter-criteria": options.filter_criteria,
            "content-available": 1 if options.content_available or kind is PushType.BACKGROUND else None,
            "mutable-content": 1 if options.mutable_content or message.image is not None else None,
        }
    )
    if options.live_activity is not None:
        aps |= _activity(options.live_activity, started_at)
    return aps


def _alert(message: Message) -> dict[str, Any]:
    return drop_empty(
        {
            "title": message.title,
            "subtitle": message.subtitle,
            "body": message.body,
            **_localized("title-", message.title_localized),
            **_localized("subtitle-", message.subtitle_localized),
            **_localized("", message.body_localized),
            "launch-image": message.apns.launch_image,
        }
    )


def _localized(prefix: str, text: LocalizedText | None) -> dict[str, Any]:
    return {} if text is None else {f"{prefix}loc-key": text.key, f"{prefix}loc-args": list(text.args)}


def _sound(message: Message) -> str | dict[str, Any] | None:
    critical = message.apns.critical_sound
    if critical is None:
        return message.sound
    return {"critical": 1, "name": critical.name, "volume": critical.volume}


def _activity(activity: LiveActivity, started_at: float) -> dict[str, Any]:
    fields = {
        "event": activity.event,
        "content-state": activity.content_state,
        "timestamp": int(started_at) if activity.timestamp is None else activity.timestamp,
        "stale-date": activity.stale_date,
        "dismissal-date": activity.dismissal_date,
        "attributes-type": activity.attributes_type,
        "attributes": activity.attributes,
    }
    return {key: value for key, value in fields.items() if value is not None}  # an empty content state is one, too


def check_payload(payload: Mapping[str, Any], kind: PushType, field: str) -> None:
    """Raises: InvalidMessage: a field has a wrong type or value, or doesn't go with this kind of push."""
    aps = payload.get("aps", {})
    field = f"{field}.aps"
    check_aps_fields(check_object(aps, field), field)
    if kind is PushType.ALERT:
        _check_alert_push(aps, field)
    elif kind is PushType.BACKGROUND:
        _check_background_push(aps, field)
    elif kind is PushType.LIVEACTIVITY:
        _check_activity_push(aps, field)
    elif kind is PushType.MDM and "mdm" not in payload:
        raise InvalidMessage("apns.payload.mdm", "is missing; a push of type mdm carries the device's PushMagic there")


def check_aps_fields(aps: Mapping[str, Any], field: str) -> None:
    """Raises: InvalidMessage: a field of `aps` has a wrong type or value, whatever the kind of push."""
    for key, check in APS_CHECKS.items():
        if key in aps:
            check(aps[key], f"{field}.{key}")


def _check_alert_push(aps: Mapping[str, Any], field: str) -> None:
    if not aps.get("alert") and "badge" not in aps and not aps.get("sound"):
        raise InvalidMessage(
            field, "has no alert, badge or sound: give the message a title or a body, or make it `silent`"
        )
    if "relevance-score" in aps:
        check_number(aps["relevance-score"], f"{field}.relevance-score", least=0, most=1)


def _check_background_push(aps: Mapping[str, Any], field: str) -> None:
    if aps.get("content-available") != 1:
        raise InvalidMessage(f"{field}.content-available", "must be 1 in a background push")
    for key in ("alert", "badge", "sound"):
        if key in aps:
            raise InvalidMessage(f"{field}.{key}", "cannot be in a background push")


def _check_activity_push(aps: Mapping[str, Any], field: str) -> None:
    event = aps.get("event")
    needed = ["event", "timestamp"]
    if event in (ActivityEvent.START, ActivityEvent.UPDATE):
        needed.append("content-state")
    if event == ActivityEvent.START:
        needed += ["attributes-type", "attributes", "alert"]
    for key in needed:
        if key not in aps:
            raise InvalidMessage(f"{field}.{key}", f"is missing from a Live Activity push (event: {event})")


def _check_alert(value: object, field: str) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, Mapping):
        raise InvalidMessage(field, "must be a text or an object")
    for key, part in check_object(value, field).items():
        if key in _ALERT_TEXTS:
            # A Live Activity's alert may have {"loc-key": …, "loc-args": […]} in place of a text.
            if not isinstance(part, Mapping):
                check_text(part, f"{field}.{key}")
        elif key in _ALERT_LISTS:
            check_text_list(part, f"{field}.{key}")


def _check_sound(value: object, field: str) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, Mapping):
        raise InvalidMessage(field, "must be a text or an object")
    sound = check_object(value, field)
    if "critical" in sound:
        _check_flag(sound["critical"], f"{field}.critical")
    if "name" in sound:
        check_text(sound["name"], f"{field}.name")
    if "volume" in sound:
        check_number(sound["volume"], f"{field}.volume", least=0, most=1)


def _check_flag(value: object, field: str) -> None:
    if isinstance(value, bool) or value not in (0, 1):
        raise InvalidMessage(field, "must be the number 1 or 0")


def _check_time(value: object, field: str) -> None:
    check_int(value, field, most=LATEST_TIME)


def _one_of(*allowed: str) -> Check:
    def check(value: object, field: str) -> None:
        if value not in allowed:
            raise InvalidMessage(field, f"must be one of {', '.join(allowed)}")

    return check


_ALERT_TEXTS = frozenset(
    {"title", "subtitle", "body", "launch-image", "title-loc-key", "subtitle-loc-key", "loc-key", "summary-arg"}
)
_ALERT_LISTS = frozenset({"title-loc-args", "subtitle-loc-args", "loc-args"})

APS_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "alert": _check_alert,
        "badge": check_int,
        "sound": _check_sound,
        "thread-id": check_text,
        "category": check_text,
        "target-content-id": check_text,
        "filter-criteria": check_text,
        "content-available": _check_flag,
        "mutable-content": _check_flag,
        "interruption-level": _one_of(*InterruptionLevel),
        "relevance-score": check_number,
        "timestamp": _check_time,
        "stale-date": _check_time,
        "dismissal-date": _check_time,
        "event": _one_of(*ActivityEvent),
        "content-state": check_object,
        "attributes-type": check_text,
        "attributes": check_object,
    }
)
"""What each field of `aps` must be. Fields that aren't here pass: Apple adds some every year."""


def used_by_fcm(options: ApnsOptions) -> bool:
    """Whether FCM can carry such a push to an Apple device: alerts and background pushes only."""
    return options.push_type in (None, PushType.ALERT, PushType.BACKGROUND) and options.live_activity is None
