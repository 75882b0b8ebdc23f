"""What clients put into a request: JSON, a form, or a multipart form, to the same methods. Pure."""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

_STRUCTURES = ("reply_markup", "message_ids", "link_preview_options", "entities")


class BadForm(ValueError):
    """The body is none of the three; the text is Telegram's description."""


def read_form(content_type: bytes, query: str, body: bytes) -> dict[str, Any]:
    """The parameters, by name; those in the body win. Raises: BadForm."""
    given: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/json":
        given |= _json(body)
    elif kind == b"multipart/form-data":
        given |= _multipart(content_type, body)
    elif body:
        given |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    for name in _STRUCTURES:
        if isinstance(given.get(name), str):
            given[name] = _structure(name, given[name])
    return given


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
    if not body:
        return {}
    try:
        found = json.loads(body)
    except ValueError:
        raise BadForm("Bad Request: can't parse JSON object") from None
    if not isinstance(found, dict):
        raise BadForm("Bad Request: object expected as JSON")
    return found


def _multipart(content_type: bytes, body: bytes) -> dict[str, Any]:
    message = BytesParser(policy=HTTP).parsebytes(b"content-type: " + content_type + b"\r\n\r\n" + body)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content if part.get_filename() else content.decode("utf-8", "replace")
    return found


def _structure(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise BadForm(f"Bad Request: can't parse {name.replace('_', ' ')} JSON object") from None
