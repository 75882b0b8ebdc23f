"""A message as JSON for the web app's service worker, which shows it (docs/webpush.md has one).

Its fields are named as those of `showNotification`, so that a worker can hand them on. Checked before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stentor.errors import InvalidMessage
from stentor.model import LocalizedText, Message, WebPushAction
from stentor.providers.contract import json_object
from stentor.providers.payload import (
    PayloadSize,
    PayloadTooLarge,
    check_bool,
    check_object,
    check_size,
    check_text,
    drop_empty,
    merge,
    to_json,
)
from stentor.providers.shown import Shown, ShownButton, mapping, sequence, string
from stentor.providers.webpush.encryption import LONGEST_PAYLOAD

STENTOR = "stentor"
"""The key of what Stentor itself tells a service worker: `{"retract": "<tag>"}` is to close what it shows."""
RETRACT = "stentor-retract"
"""The key in a message's data by which a campaign is taken back; see `planning.retraction`."""

_ADDRESS = re.compile(r"https://[^\s/]\S*|/(?!/)\S*")


def render_payload(message: Message, tag: str) -> tuple[bytes, str]:
    """The payload, and the tag by which a browser replaces what it shows (empty where nothing says so).

    Raises: InvalidMessage: a field is wrong, or nothing would be shown; names the field.
    """
    options = message.webpush
    if options.raw_payload is not None:
        raw = options.raw_payload
        if not isinstance(raw, bytes):
            raise InvalidMessage("webpush.raw_payload", "must be bytes")
        if len(raw) > LONGEST_PAYLOAD:
            raise PayloadTooLarge(
                "webpush.raw_payload",
                f"is {len(raw):,} bytes, {LONGEST_PAYLOAD:,} are allowed before encryption",
                size_of(raw),
                raw,
            )
        found = (json_object(raw) or {}).get("tag")
        return raw, found if isinstance(found, str) else ""
    payload = build_payload(message, tag)
    body = to_json(payload, "webpush.payload")
    check_size(len(body), LONGEST_PAYLOAD, payload, "webpush.payload", body)
    found = payload.get("tag")
    return body, found if isinstance(found, str) else ""


def size_of(payload: bytes) -> PayloadSize:
    """How much of what every push service takes."""
    return PayloadSize(size=len(payload), limit=LONGEST_PAYLOAD)


def visible(payload: Mapping[str, Any]) -> Shown:
    """What people see of a payload, if the web app's service worker is that of docs/webpush.md."""
    badge = payload.get("app_badge")
    return Shown(
        title=string(payload.get("title") or payload.get("title_loc_key")),
        body=string(payload.get("body") or payload.get("body_loc_key")),
        image=string(payload.get("image")),
        icon=string(payload.get("icon")),
        url=string(payload.get("url")),
        buttons=tuple(
            ShownButton(text=string(mapping(each).get("title"))) for each in sequence(payload.get("actions"))
        ),
        badge=badge if isinstance(badge, int) else None,
        silent=payload.get("silent") is True,
    )


def build_payload(message: Message, tag: str) -> dict[str, Any]:
    """The payload as an object.

    Raises: InvalidMessage: as `render_payload`.
    """
    options = message.webpush
    _check_fields(message)
    shown = drop_empty(
        {
            "title": message.title,
            "body": message.body,
            **_localized("title", message.title_localized),
            **_localized("body", message.body_localized),
            "image": options.image or message.image,
            "icon": options.icon,
            "badge": options.badge,
            "app_badge": message.badge,
            "url": options.url,
            "actions": [_action(each, f"webpush.actions.{index}") for index, each in enumerate(options.actions)],
            "requireInteraction": options.require_interaction or None,
        }
    )
    payload: dict[str, Any] = {**shown, "tag": tag} if not message.silent else {"silent": True}
    if message.data:
        payload["data"] = dict(message.data)
    if message.silent and (retracted := message.data.get(RETRACT)):
        shown_as = tag or retracted  # where Apple's devices know it by another key, browsers don't
        payload |= {STENTOR: {"retract": shown_as}, "data": {**message.data, RETRACT: shown_as}}
    if options.payload is not None:
        payload = merge(payload, check_object(options.payload, "webpush.payload"))
    if not message.silent and not _shows(payload):
        raise InvalidMessage("webpush.payload", "has no title and no body: give the message one, or make it `silent`")
    return payload


def _shows(payload: dict[str, Any]) -> bool:
    return any(payload.get(key) for key in ("title", "body", "title_loc_key", "body_loc_key", STENTOR))


def _check_fields(message: Message) -> None:
    options = message.webpush
    for name in ("url", "icon", "image", "badge"):
        value = getattr(options, name)
        if value is not None:
            _check_address(value, f"webpush.{name}")
    check_bool(options.require_interaction, "webpush.require_interaction")
    if message.silent:
        for name in ("icon", "image", "badge", "actions", "require_interaction"):
            if getattr(options, name):
                raise InvalidMessage(f"webpush.{name}", "cannot be in a silent message, which shows nothing")


def _check_address(value: object, field: str) -> None:
    check_text(value, field)
    if not _ADDRESS.fullmatch(str(value)):
        raise InvalidMessage(field, "must be an https address, or a path that begins with one slash")


def _action(action: WebPushAction, field: str) -> dict[str, str]:
    for name in ("action", "title"):
        check_text(getattr(action, name), f"{field}.{name}")
        if not getattr(action, name):
            raise InvalidMessage(f"{field}.{name}", "must not be empty")
    if action.icon is not None:
        _check_address(action.icon, f"{field}.icon")
    return drop_empty({"action": action.action, "title": action.title, "icon": action.icon})


def _localized(name: str, text: LocalizedText | None) -> dict[str, Any]:
    return {} if text is None else {f"{name}_loc_key": text.key, f"{name}_loc_args": list(text.args)}
