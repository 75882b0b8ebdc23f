"""Saved templates, for whoever asks: `Stentor.templates`. A message under a name, in all its versions.

Rules: a version is never changed; a campaign that is made from one keeps its text, and remembers the name and the
version. Values for the templates in it belong to the campaign, not to the template.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidInput, UnknownTemplate
from stentor.model import Action
from stentor.planning.content import Content, decode_content, encode_content
from stentor.runtime.resources import Resources
from stentor.runtime.template_changes import TemplateChange, changes_between
from stentor.store import templates as rows
from stentor.store.along import Along
from stentor.store.templates import NewVersion, TemplateVersion, UsedTemplate

MOST = 500
"""TemplateControl, or versions, of a page at most."""
LONGEST_NAME = 100
"""Characters of a template's name."""
LONGEST_TITLE = 200
"""Characters of a message that are shown in a list."""
LONGEST_WRITER = 100
_NAME = re.compile(rf"\w[\w.-]{{0,{LONGEST_NAME - 1}}}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTemplate:
    """A version of a template."""

    version: TemplateVersion
    content: Content

    @property
    def used(self) -> UsedTemplate:
        """What a campaign remembers that is made from it."""
        return UsedTemplate(name=self.version.name, version=self.version.version)


class TemplateControl:
    """The templates of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._database = resources.database

    async def save(
        self,
        name: str,
        content: Content,
        *,
        over: int | None = None,
        by: str = "",
        along: Along[SavedTemplate] | None = None,
    ) -> SavedTemplate:
        """Save a message under a name, as a new version. If the newest version says the same, there is no new one.

        Args:
            content: its `values` are not saved; they are given for each campaign.
            over: the newest version that was seen; 0: there must be no template of this name. None: it is saved
                whatever there is.
            by: who saves it, for people.
            along: is written with it.

        Raises:
            InvalidMessage: the message cannot be sent as it is; names the field.
            InvalidInput: the name cannot be one, or the message takes another one back.
            ChangedMeanwhile: there is another newest version than `over`. Nothing is saved.
        """
        return await self._save(_checked(name), content, over=over, by=by, along=along)

    async def get(self, name: str, version: int | None = None) -> SavedTemplate:
        """A template.

        Args:
            version: its number; None: the newest.

        Raises: UnknownTemplate: there is none of this name, or no such version.
        """
        found = await self._database.ask(lambda connection: rows.whole(connection, name, version))
        if found is None:
            raise await self._unknown(name, version)
        return _saved(found)

    async def list(self, *, after: str | None = None, limit: int = MOST) -> Sequence[TemplateVersion]:
        """The newest version of each template, in the order of their names.

        Args:
            after: the name of the last one of the page before.
        """
        return await self._database.ask(lambda connection: rows.page(connection, after, min(limit, MOST)))

    async def versions(self, name: str, *, before: int | None = None, limit: int = MOST) -> Sequence[TemplateVersion]:
        """The versions of a template, the newest first.

        Args:
            before: the number of the last one of the page before.

        Raises: UnknownTemplate: there is none of this name.
        """
        found = await self._database.ask(lambda connection: rows.history(connection, name, before, min(limit, MOST)))
        if not found:
            await self.get(name)
        return found

    async def compare(self, name: str, version: int, to: int | None = None) -> Sequence[TemplateChange]:
        """What one version of a template has otherwise than an earlier one; empty if they say the same.

        Args:
            version: the earlier one.
            to: the other one; None: the newest.

        Raises: UnknownTemplate: there is none of this name, or no such version.
        """
        before = await self.get(name, version)
        return changes_between(before.content, (await self.get(name, to)).content)

    async def restore(
        self,
        name: str,
        version: int,
        *,
        over: int | None = None,
        by: str = "",
        along: Along[SavedTemplate] | None = None,
    ) -> SavedTemplate:
        """Save an older version again, as a new one. If the newest version says the same, there is no new one.

        Args:
            version: the number of the older one.
            over, by, along: as for `save`.

        Raises:
            UnknownTemplate: there is none of this name, or no such version.
            InvalidMessage: this Stentor knows no message like it any more.
            ChangedMeanwhile: as `save`.
        """
        older = await self.get(name, version)
        return await self._save(name, older.content, over=over, by=by, along=along, restored=version)

    async def delete(self, name: str, *, over: int | None = None) -> None:
        """Delete a template with all its versions. Campaigns that were made from it stay as they are.

        If the name is used again, its versions are counted on.

        Args:
            over: the newest version that was seen; None: whatever there is.

        Raises:
            UnknownTemplate: there is none of this name.
            ChangedMeanwhile: there is another newest version than `over`. Nothing is deleted.
        """
        if not await self._database.write(lambda connection: rows.remove(connection, name, over)):
            await self.get(name)

    async def filled(self, said: str, values: Mapping[str, str] | None = None) -> tuple[Content, UsedTemplate]:
        """The message of a template for a campaign, and what the campaign is to remember of it.

        Args:
            said: a name, or `NAME@VERSION`.
            values: for the templates in it; see `Content.values`.

        Raises:
            InvalidInput: there is no such template.
            InvalidMessage: the values are of no use to the message.
        """
        try:
            found = await self.get(*read(said))
        except UnknownTemplate as error:
            raise InvalidInput("template", str(error)) from None
        content = replace(found.content, values=dict(values or {}))
        content.check()
        return content, found.used

    async def _save(
        self,
        name: str,
        content: Content,
        *,
        over: int | None,
        by: str,
        along: Along[SavedTemplate] | None,
        restored: int | None = None,
    ) -> SavedTemplate:
        content = replace(content, values={})
        content.check()
        if content.action is not Action.SEND:
            raise InvalidInput("message", "takes back or edits what a campaign sent, so it cannot be a template")
        new = NewVersion(
            name=name,
            content=encode_content(content),
            title=(content.name or "")[:LONGEST_TITLE],
            saved_at=self._clock(),
            saved_by=by[:LONGEST_WRITER],
            restored=restored,
        )

        async def change(connection: AsyncConnection) -> SavedTemplate:
            number = await rows.save(connection, new, over)
            found = await rows.whole(connection, name, number)
            assert found is not None, "it was saved just now"
            saved = _saved(found)
            if along is not None:
                await along(connection, saved)
            return saved

        return await self._database.write(change)

    async def _unknown(self, name: str, version: int | None) -> UnknownTemplate:
        newest = await self._database.ask(lambda connection: rows.get(connection, name))
        if newest is not None:
            said = f"the template {name} has no version {version}; its newest is {newest.version}"
            return UnknownTemplate(f"{said}, and `stentor template versions {name}` shows all")
        near = difflib.get_close_matches(name, [each.name for each in await self.list()], n=1)
        hint = f"did you mean {near[0]}?" if near else "`stentor template list` shows all templates"
        return UnknownTemplate(f"there is no template {name[:50]!r}; {hint}")


def read(said: str) -> tuple[str, int | None]:
    """The name and the version of `NAME` or `NAME@VERSION`. Raises: InvalidInput: it is neither."""
    name, at, number = said.strip().partition("@")
    if at and not _NUMBER.fullmatch(number):
        raise InvalidInput("template", f"{said[:60]!r} is not NAME@VERSION, such as sale@3")
    return name, int(number) if at else None


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "name", f"a template's name is one word of up to {LONGEST_NAME} letters, digits, `_`, `-` and `.`"
        )
    return name


def _saved(found: tuple[TemplateVersion, bytes]) -> SavedTemplate:
    version, content = found
    return SavedTemplate(version=version, content=decode_content(content))
