"""Texts as Braze has them, in Liquid that names what installations have here. Pure.

Braze writes an attribute as `${first_name}` or `custom_attribute.${plan}`, and may put braces around it within a tag.
Rules: every attribute becomes the name of a column or attribute, and `api_trigger_properties` and `event_properties`
become names, too, which a campaign's own values fill; whatever else Braze has is refused by name, so that no text says
less than it did there.
"""

from __future__ import annotations

import re

from stentor.errors import InvalidMessage

_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_BRACES_IN_TAG = re.compile(r"\{\{((?:(?!\{\{|\}\}).)*?\$\{[^{}]*\}(?:(?!\{\{|\}\}).)*?)\}\}", re.DOTALL)
_NAMED = re.compile(r"(?:([A-Za-z_]\w*)[ \t]*\.[ \t]*)?\$\{([^{}]*)\}")
_FLAT = ("custom_attribute", "api_trigger_properties", "event_properties", "canvas_entry_properties", None)
"""What stands before an attribute's name, and is left out."""
_IS_BRAZE = re.compile(r"\$\{")


def is_braze(text: str) -> bool:
    return _IS_BRAZE.search(text) is not None


def from_braze(field: str, text: str) -> str:
    """The text with names as they are here.

    Raises: InvalidMessage: it has something that only Braze knows. Names the field.
    """

    def named(found: re.Match[str]) -> str:
        of, name = found[1], found[2].strip()
        if of not in _FLAT:
            raise InvalidMessage(
                field, f"`{of}.${{{name[:40]}}}` is Braze's own; name a column or attribute of the installation instead"
            )
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise InvalidMessage(
                field, f"`${{{name[:40]}}}` is not the name of a column or attribute; give it one such as `plan_name`"
            )
        return name

    return _NAMED.sub(named, _TAG.sub(lambda tag: _BRACES_IN_TAG.sub(r"\1", tag[0]), text))
