"""What clients put into a request: JSON, a form, or a multipart form, to the same methods. Pure.

Telegram's own server takes a JSON body that it can't parse for an empty one: some clients send `null` to `getMe`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from stentor.simulators.multipart import is_multipart, read_parts

_STRUCTURES = {
    "reply_markup": "reply keyboard markup",
    "message_ids": "message identifiers",
    "link_preview_options": "link preview options",
    "entities": "entities",
}
"""Parameters that are JSON within a form, and what Telegram calls them."""


class BadForm(ValueError):
    """A parameter that cannot be read; the text is Telegram's description."""


def read_form(content_type: bytes, query: str, body: bytes) -> dict[str, Any]:
    """The parameters, by name; those in the body win. Raises: BadForm."""
    given: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/json":
        given |= _json(body)
    elif is_multipart(content_type):
        given |= _multipart(content_type, body)
    elif body:
        given |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    for name, what in _STRUCTURES.items():
        if isinstance(given.get(name), str):
            given[name] = _structure(what, given[name])
    return given


def words(value: object) -> str:
    """A text, as JSON or forms write it: what JSON writes without quotes is taken as it stands there."""
    return value if isinstance(value, str) else json.dumps(value)


def flag(given: dict[str, Any], name: str) -> bool:
    """A yes or no, as JSON or forms write it."""
    return given.get(name) in (True, "true", "True", "1", 1)


def number(value: object) -> int | None:
    """A whole number, as JSON or forms write it."""
    if isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _multipart(content_type: bytes, body: bytes) -> dict[str, Any]:
    parts = read_parts(content_type, body)
    return {part.name: part.text if part.filename is None else part.content for part in parts}


def _structure(what: str, value: str) -> Any:
    if not value:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadForm(f"Bad Request: can't parse {what} JSON object") from None
