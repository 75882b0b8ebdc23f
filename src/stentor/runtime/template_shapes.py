"""What is told of saved templates as JSON: the command line's `--json` and the API say the same. Times are epoch
seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from stentor.planning.content import to_file
from stentor.recording.shapes import Shape
from stentor.runtime.template_changes import TemplateChange
from stentor.runtime.templates import SavedTemplate
from stentor.store.templates import TemplateVersion

MessageTree = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/MessageFile"})]


class TemplateVersionShape(Shape, frozen=True, kw_only=True):
    """A version of a saved template, without its message."""

    name: str
    version: int
    """From 1."""
    newest: int
    """The template's newest version."""
    title: str
    """What its message is called: its title, or else its body, cut to 200 characters."""
    created_at: float
    """When the template was saved first."""
    saved_at: float
    """When this version was."""
    saved_by: str
    """By whom. Empty if that is not known."""
    restored: int | None
    """The version that it is a copy of. Null: somebody wrote it."""


class TemplateShape(TemplateVersionShape, frozen=True, kw_only=True):
    """A version of a saved template."""

    message: MessageTree
    """As a message file has it, with its languages."""


class TemplateChangeShape(Shape, frozen=True, kw_only=True):
    """A field of which one version says something else than another."""

    field: str
    """Its dotted path, as in a message file: `translations.de.title`."""
    told: str
    """The change in a sentence. Long texts are cut."""
    before: Any | UnsetType = UNSET
    """What it was, as JSON. Left out: the field was not there."""
    after: Any | UnsetType = UNSET
    """What it became. Left out: the field is gone."""


class TemplateComparisonShape(Shape, frozen=True, kw_only=True):
    """What one version of a template has otherwise than another."""

    changes: list[TemplateChangeShape]
    """Empty: they say the same."""


def listed(each: TemplateVersion) -> TemplateVersionShape:
    return TemplateVersionShape(**asdict(each))


def template(each: SavedTemplate) -> TemplateShape:
    return TemplateShape(**asdict(each.version), message=to_file(each.content))


def comparison(found: Sequence[TemplateChange]) -> TemplateComparisonShape:
    return TemplateComparisonShape(
        changes=[
            TemplateChangeShape(field=".".join(each.path), told=each.told, before=each.before, after=each.after)
            for each in found
        ]
    )
