"""What clients put into a request: JSON, or a multipart form with files. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from stentor.simulators.multipart import FormPart, is_multipart, read_parts

Payload = dict[str, Any]


def read_body(content_type: bytes, body: bytes) -> tuple[Payload | None, list[FormPart]]:
    """The JSON object, None where it is none; and the files that came with it."""
    if not is_multipart(content_type):
        return _object(body), []
    parts = read_parts(content_type, body)
    files = [part for part in parts if part.filename is not None]
    fields = {part.name: part for part in parts if part.filename is None}
    if (payload := fields.get("payload_json")) is not None:
        return _object(payload.content), files
    return {name: part.text for name, part in fields.items()}, files


def _object(body: bytes) -> Payload | None:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
