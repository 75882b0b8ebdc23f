"""What a request says is to be sent: a message, or the name of a saved template in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from stentor.errors import InvalidInput
from stentor.planning.content import Content, content_of
from stentor.runtime.stentor import Stentor
from stentor.store.templates import UsedTemplate


async def content_said(
    stentor: Stentor, message: Mapping[str, Any] | UnsetType, template: str | None, values: Mapping[str, str]
) -> tuple[Content, UsedTemplate | None]:
    """The content, and the template that it was made from.

    Raises: InvalidMessage, InvalidInput: names the field.
    """
    if template is not None:
        if message is not UNSET:
            raise InvalidInput("template", "stands in the place of a message; give one of them")
        return await stentor.templates.filled(template, values)
    if message is UNSET:
        raise InvalidInput("message", "is missing; give a message, or the name of a template")
    return content_of(message, values), None
