"""A message as ntfy wants it, and what ntfy's answers mean. Pure: no socket, no clock, no file.

Source: ntfy's documentation, "Publish as JSON".
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec

from stentor.errors import InvalidMessage
from stentor.model import Message, Priority
from stentor.providers.contract import Answer, Taken, json_object, retry_after, text, unknown_answer
from stentor.providers.http_message import Request, Response
from stentor.providers.payload import check_common, check_size, drop_empty, to_json
from stentor_ntfy.reasons import RULES

LARGEST = 4096
"""Bytes of a body; ntfy makes a file of a longer one."""
_PRIORITIES = MappingProxyType({Priority.HIGH: 4, Priority.NORMAL: 3, Priority.LOW: 2})


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `[options.ntfy]` of a message may hold; names and values are ntfy's."""

    markdown: bool | None = None
    tags: list[str] = []
    click: str | None = None
    icon: str | None = None
    actions: list[dict[str, Any]] = []
    delay: str | None = None


def render(message: Message) -> dict[str, Any]:
    """The JSON object to publish, but for its topic.

    Raises: InvalidMessage: names the field.
    """
    check_common(message)
    try:
        options = msgspec.convert(message.options.get("ntfy", {}), Options)
    except msgspec.ValidationError as error:
        raise InvalidMessage("options.ntfy", str(error)) from None
    if not message.title and not message.body:
        raise InvalidMessage("body", "ntfy shows texts alone; give one, or a title")
    check_size(len((message.body or "").encode()), LARGEST, {"body": message.body}, "body")
    priority = _PRIORITIES[message.priority] if message.priority else None
    common = {"title": message.title, "message": message.body, "attach": message.image, "priority": priority}
    return drop_empty({**common, **msgspec.to_builtins(options)})


def request(url: str, token: str | None, rendered: dict[str, Any], topic: str) -> Request:
    headers = {"content-type": "application/json", "user-agent": "stentor-ntfy"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return Request(method="POST", url=url, body=to_json({"topic": topic, **rendered}, "message"), headers=headers)


def decode(response: Response, now: float) -> Taken | Answer:
    """What an answer means; whatever it is, there is one."""
    found = json_object(response.body) or {}
    if response.status == 200:
        identity = found.get("id")
        return Taken(at=now, id=identity if isinstance(identity, str) else "")
    wait = response.headers.get("retry-after", "").encode("latin-1", errors="replace")
    seconds, detail = retry_after([(b"retry-after", wait)], now), text(found.get("error"))
    rule = RULES.get(response.status)
    if rule is None:
        return unknown_answer(response.status, f"Status{response.status}", retry_after=seconds, detail=detail)
    return rule.answer(response.status, retry_after=seconds, detail=detail)
