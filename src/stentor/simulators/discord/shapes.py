"""What Discord's answers show: users, and the parts of messages that aren't as they were sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from stentor.simulators.multipart import FormPart

OF_ONESELF: Mapping[str, Any] = MappingProxyType(
    {
        "flags": 0,
        "public_flags": 0,
        "mfa_enabled": False,
        "verified": True,
        "locale": "en-US",
        "email": None,
        "premium_type": 0,
        "bio": "",
        "banner": None,
        "accent_color": None,
    }
)
"""What a bot is told of itself, beside what everybody sees."""
_DAY_H = 24


def person(user_id: str, name: str) -> dict[str, Any]:
    return {"id": user_id, "username": name, "discriminator": "0000", "avatar": None, "global_name": None}


def attachment(attachment_id: str, file: FormPart) -> dict[str, Any]:
    filename = file.filename or "unknown.bin"
    url = f"https://cdn.discordapp.com/attachments/1/{attachment_id}/{filename}"
    about = {"size": len(file.content), "content_type": file.content_type}
    return {"id": attachment_id, "filename": filename, "url": url, "proxy_url": url, **about}


def rich_parts(content: Mapping[str, Any], sent_at: float) -> dict[str, Any]:
    """Attachments, embeds, components, stickers and poll of a message. `sent_at`: epoch seconds."""
    found: dict[str, Any] = {name: content.get(name) or [] for name in ("attachments", "embeds", "components")}
    if stickers := content.get("sticker_ids"):
        found["sticker_items"] = [{"id": str(each), "name": "sticker", "format_type": 1} for each in stickers]
    if poll := content.get("poll"):
        found["poll"] = _poll(poll, sent_at)
    return found


def _poll(poll: Mapping[str, Any], sent_at: float) -> dict[str, Any]:
    hours = poll.get("duration") or _DAY_H
    return {
        "question": poll["question"],
        "answers": [
            {"answer_id": number, "poll_media": each["poll_media"]} for number, each in enumerate(poll["answers"], 1)
        ],
        "expiry": datetime.fromtimestamp(sent_at + 3600.0 * hours, UTC).isoformat(),
        "allow_multiselect": bool(poll.get("allow_multiselect")),
        "layout_type": poll.get("layout_type") or 1,
    }
