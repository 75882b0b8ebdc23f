"""The fields of an FCM v1 message, their types, and the check of a message against them: its discovery document of
2026-10-23. Pure.

Both spellings of a name are accepted, as Google's JSON reader does: lowerCamelCase and snake_case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_TTL = re.compile(r"(\d{1,10})(\.\d{1,9})?s")
_MAX_TTL_S = 2_419_200
_RESERVED_KEYS = frozenset(("from", "message_type"))
_RESERVED_PREFIXES = ("google.", "gcm.notification.")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class BadField(Exception):
    """A field that the message may not have, or not like this."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        self.problem = problem


@lru_cache(maxsize=4096)
def snake(name: str) -> str:
    """`collapseKey` as `collapse_key`; snake_case stays as it is."""
    return re.sub("[A-Z]", lambda found: "_" + found.group().lower(), name)


Check = Callable[[Any, str], Any]


def _text(value: Any, path: str) -> Any:
    if not isinstance(value, str):
        raise BadField(path, f"Invalid value at '{path}' (TYPE_STRING), {value!r}")
    return value


def _flag(value: Any, path: str) -> Any:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise BadField(path, f"Invalid value at '{path}' (TYPE_BOOL), {value!r}")
    return value


def _number(value: Any, path: str) -> Any:
    if isinstance(value, bool) or not (
        isinstance(value, (int, float)) or (isinstance(value, str) and _is_number(value))
    ):
        raise BadField(path, f"Invalid value at '{path}' (TYPE_INT32), {value!r}")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _texts(value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise BadField(path, f"Invalid value at '{path}' (TYPE_STRING), a list is wanted")
    return [_text(one, f"{path}[{index}]") for index, one in enumerate(value)]


def _map(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise BadField(path, f"Invalid value at '{path}', a map of strings is wanted")
    for key, one in value.items():
        if not isinstance(one, str):
            raise BadField(f"{path}.{key}", f"Invalid value at '{path}' (TYPE_STRING), {one!r}")
    return value


def _data(value: Any, path: str) -> Any:
    for key in _map(value, path):
        if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
            raise BadField(f"{path}.{key}", f"Invalid data payload key: {key}")
    return value


def _struct(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise BadField(path, f"Invalid value at '{path}' (type.googleapis.com/google.protobuf.Struct)")
    return value


def _duration(value: Any, path: str) -> Any:
    found = _TTL.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise BadField(path, f"Invalid value at '{path}' (type.googleapis.com/google.protobuf.Duration), {value!r}")
    return value


def _ttl(value: Any, path: str) -> Any:
    if float(_duration(value, path)[:-1]) > _MAX_TTL_S:
        raise BadField(path, f"Invalid ttl: must be from 0 to {_MAX_TTL_S} seconds")
    return value


def _colour(value: Any, path: str) -> Any:
    if not _COLOUR.fullmatch(_text(value, path)):
        raise BadField(path, "Invalid color: must be in the form #RRGGBB")
    return value


def _durations(value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise BadField(path, f"Invalid value at '{path}', a list of durations is wanted")
    return [_duration(one, f"{path}[{index}]") for index, one in enumerate(value)]


def _choice(*names: str) -> Check:
    def check(value: Any, path: str) -> Any:
        if isinstance(value, str) and value.upper() in names:
            return value.upper()
        raise BadField(path, f"Invalid value at '{path}' (TYPE_ENUM), {value!r}")

    return check


def _message(**fields: Check) -> Check:
    """A nested message: an object that has these fields and no others."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise BadField(path, f"Invalid value at '{path}', an object is wanted")
        found: dict[str, Any] = {}
        for key, inner in value.items():
            name = snake(key)
            known = fields.get(name)
            if known is None:
                text = f"Invalid JSON payload received. Unknown name \"{key}\" at '{path}': Cannot find field."
                raise BadField(path, text)
            if name in found:
                raise BadField(path, f"Invalid JSON payload received. '{name}' is there twice at '{path}'.")
            if inner is not None:
                found[name] = known(inner, f"{path}.{name}" if path else name)
        return found

    return check


_LABEL = _message(analytics_label=_text)
_NOTIFICATION: dict[str, Check] = {
    "title": _text,
    "body": _text,
    "icon": _text,
    "color": _colour,
    "sound": _text,
    "tag": _text,
    "click_action": _text,
    "body_loc_key": _text,
    "body_loc_args": _texts,
    "title_loc_key": _text,
    "title_loc_args": _texts,
    "channel_id": _text,
    "ticker": _text,
    "sticky": _flag,
    "event_time": _text,
    "local_only": _flag,
    "notification_priority": _choice(
        "PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"
    ),
    "default_sound": _flag,
    "default_vibrate_timings": _flag,
    "default_light_settings": _flag,
    "vibrate_timings": _durations,
    "visibility": _choice("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    "notification_count": _number,
    "light_settings": _struct,
    "image": _text,
    "bypass_proxy_notification": _flag,
    "proxy": _choice("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}
_EITHER_ANDROID: dict[str, Check] = {
    "collapse_key": _text,
    "ttl": _ttl,
    "restricted_package_name": _text,
    "data": _data,
    "fcm_options": _LABEL,
    "direct_boot_ok": _flag,
    "bandwidth_constrained_ok": _flag,
    "restricted_satellite_ok": _flag,
}
_ANDROID = _message(**_EITHER_ANDROID, priority=_choice("NORMAL", "HIGH"), notification=_message(**_NOTIFICATION))
_ANDROID_V2 = _message(
    **_EITHER_ANDROID,
    remote_notification=_message(
        mutable_content=_flag, use_as_v1_data_message=_flag, notification=_message(**_NOTIFICATION, id=_number)
    ),
    background_sync=_message(),
)
_APNS = _message(
    headers=_map,
    payload=_struct,
    fcm_options=_message(analytics_label=_text, image=_text),
    live_activity_token=_text,
)
_WEBPUSH = _message(
    headers=_map, data=_data, notification=_struct, fcm_options=_message(link=_text, analytics_label=_text)
)
_MESSAGE = _message(
    name=_text,
    data=_data,
    notification=_message(title=_text, body=_text, image=_text),
    android=_ANDROID,
    android_v2=_ANDROID_V2,
    webpush=_WEBPUSH,
    apns=_APNS,
    fcm_options=_LABEL,
    token=_text,
    fid=_text,
    topic=_text,
    condition=_text,
)
check_request = _message(validate_only=_flag, message=_MESSAGE)
"""Check the whole body; gives it back with snake_case names, or raises `BadField`."""
