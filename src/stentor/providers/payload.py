"""What all providers' payloads need: JSON, merging of overrides, safe header values, sizes, checks of types.

Everything here happens once a message, never once a recipient.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stentor.errors import InvalidMessage
from stentor.model import Message, Priority

_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
_HTTPS = re.compile(r"https://[^\s/]\S*")
_VISIBLE = (
    *("title", "subtitle", "body", "title_localized", "subtitle_localized", "body_localized"),
    *("image", "sound", "badge"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSize:
    """How large something is that a provider limits, as the provider counts it."""

    what: str = "payload"
    """What is counted, for people: `payload`, `text`, `caption` …"""
    size: int
    limit: int
    unit: str = "bytes"
    """`bytes` or `characters`."""

    @property
    def left(self) -> int:
        """How much more there may be; below 0: by how much it is too large."""
        return self.limit - self.size


class PayloadTooLarge(InvalidMessage):
    """What a device would get is larger than its provider allows."""

    def __init__(self, field: str, problem: str, size: PayloadSize | None = None, payload: bytes = b"") -> None:
        super().__init__(field, problem)
        self.size = size
        """None if nobody says."""
        self.payload = payload
        """What would be sent, as `Prepared.sample`; empty if nobody says."""

    def within(self, place: str) -> PayloadTooLarge:
        return type(self)(f"{place}.{self.field}", self.problem, self.size, self.payload)


def to_json(value: object, field: str) -> bytes:
    """`value` as compact UTF-8 JSON.

    Raises: InvalidMessage: something in it isn't JSON; `field` says what it is.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(field, f"is not JSON: {error}") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on it, object by object. A None in `over` removes the key."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def drop_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields but for those that are None, an empty object or an empty list."""
    return {key: value for key, value in fields.items() if value is not None and value not in ({}, [])}


def header_text(value: object, field: str) -> bytes:
    """`value` as a header's value.

    Raises: InvalidMessage: it isn't text, or holds what could end the header and begin another.
    """
    if not isinstance(value, str) or not value:
        raise InvalidMessage(field, "must be a text that is not empty")
    if _UNSAFE.search(value):
        raise InvalidMessage(field, "holds a control character, which no header may")
    if value != value.strip():
        raise InvalidMessage(field, "begins or ends with a space")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidMessage(field, "is not valid Unicode") from None


def check_object(value: object, field: str) -> Mapping[str, Any]:
    """`value`, which must be a JSON object with text keys."""
    if not isinstance(value, Mapping):
        raise InvalidMessage(field, f"must be an object, not {_name_type(value)}")
    for key in value:
        if not isinstance(key, str):
            raise InvalidMessage(field, f"has the key {key!r}, which is not a text")
    return value


def check_texts(value: object, field: str) -> Mapping[str, str]:
    """`value`, which must be an object whose values are all texts."""
    for key, text in check_object(value, field).items():
        check_text(text, f"{field}.{key}")
    return value  # type: ignore[return-value]  # just checked


def check_text(value: object, field: str) -> None:
    if not isinstance(value, str):
        raise InvalidMessage(field, f"must be a text, not {_name_type(value)}")


def check_text_list(value: object, field: str) -> None:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidMessage(field, "must be a list of texts")


def check_int(value: object, field: str, *, least: int = 0, most: int | None = None) -> int:
    """`value`, which must be a whole number (True and False are none) within the bounds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidMessage(field, f"must be a whole number, not {_name_type(value)}")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least:,}" if most is None else f"between {least:,} and {most:,}"
        raise InvalidMessage(field, f"is {value:,}; it must be {bounds}")
    return value


def check_number(value: object, field: str, *, least: float | None = None, most: float | None = None) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidMessage(field, f"must be a number, not {_name_type(value)}")
    if (least is not None and value < least) or (most is not None and value > most):
        raise InvalidMessage(field, f"is {value}; it must be between {least} and {most}")


def check_bool(value: object, field: str) -> None:
    if not isinstance(value, bool):
        raise InvalidMessage(field, f"must be true or false, not {_name_type(value)}")


def check_size(size: int, limit: int, payload: Mapping[str, Any], field: str, sent: bytes = b"") -> None:
    """See that something isn't too large.

    Args:
        sent: what would be sent, as `Prepared.sample`.

    Raises: PayloadTooLarge: says by how much and which field is the largest.
    """
    if size > limit:
        name, length = largest_field(payload)
        problem = f"is {size:,} bytes, {limit:,} are allowed; its largest field is `{name}` with {length:,} bytes"
        raise PayloadTooLarge(field, problem, PayloadSize(size=size, limit=limit), sent)


def largest_field(payload: Mapping[str, Any]) -> tuple[str, int]:
    """The dotted name and the size in bytes of the payload's largest value that isn't an object itself."""
    return max(_leaves(payload, ""), key=lambda leaf: leaf[1], default=("", 0))


def _leaves(payload: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, int]]:
    for key, value in payload.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", len(msgspec.json.encode(value, enc_hook=_plain))


def _plain(value: object) -> object:
    """A mapping that isn't a dict, as one; the encoder knows no other."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no place in JSON")


def _name_type(value: object) -> str:
    return {type(None): "null", bool: "true or false", str: "a text", float: "a fraction"}.get(
        type(value), f"a {type(value).__name__}"
    )


def check_common(message: Message) -> None:
    """Raises: InvalidMessage: a field that all providers share is wrong, whatever the provider."""
    for name in ("title", "subtitle", "body", "sound", "collapse_key"):
        if (value := getattr(message, name)) is not None:
            check_text(value, name)
    for name in ("title_localized", "subtitle_localized", "body_localized"):
        if (localized := getattr(message, name)) is not None:
            check_text(localized.key, f"{name}.key")
            check_text_list(localized.args, f"{name}.args")
    if message.badge is not None:
        check_int(message.badge, "badge")
    if message.ttl is not None:
        check_int(message.ttl, "ttl")
    if message.image is not None and not _HTTPS.fullmatch(message.image):
        raise InvalidMessage("image", "must be an https address")
    if message.priority is not None and message.priority not in list(Priority):
        raise InvalidMessage("priority", f"must be one of {', '.join(Priority)}")
    check_texts(message.data, "data")
    if message.silent:
        _check_silent(message)


def _check_silent(message: Message) -> None:
    for name in _VISIBLE:
        if getattr(message, name) is not None:
            raise InvalidMessage(name, "cannot be in a silent message, which shows and plays nothing")
