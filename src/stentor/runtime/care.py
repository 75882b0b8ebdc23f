"""Whom campaigns leave alone, for whoever keeps that: `Stentor.care`. Opt-outs, and lists of installations.

Rules: a no, once it is said, holds for whatever is planned after it; it is by the installation's key, so it holds for
one that isn't there (yet, or any more). A campaign that names a list or another campaign names one that exists.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.caps import DAY, EVERYTHING, read_cap, read_category, read_name
from stentor.errors import InvalidInput, UnknownCampaign, UnknownExclusionList
from stentor.runtime.draft import checked_care
from stentor.runtime.resources import Resources
from stentor.store import campaigns, exclusions, opt_outs
from stentor.store.caring import CareSettings
from stentor.store.exclusions import ExclusionList
from stentor.store.opt_outs import OptOut

MOST = 1000
"""Opt-outs, or installations of a list, on a page at most."""
AT_ONCE = 5000
"""Installations that are written in one transaction."""
LONGEST_ID = 1000
"""Characters of an installation's id."""


class CareControl:
    """Opt-outs and exclusion lists of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._clock = resources.clock
        self._keep_days = resources.config.store.keep_days

    # -- opt-outs -----------------------------------------------------------------------------------------------------

    async def opt_out(self, installations: Iterable[str], category: str | None = None) -> int:
        """Have installations say no.

        Args:
            installations: their ids; they needn't be in any audience.
            category: to these messages, as `news`; None: to all.

        Returns: how many had not said that.

        Raises: InvalidInput: an id or the category cannot be one.
        """
        said = _category(category)
        return await self._in_parts(
            installations, lambda connection, some: opt_outs.add(connection, some, said, self._clock())
        )

    async def opt_in(self, installations: Iterable[str], category: str | None = None) -> int:
        """Take back what installations said no to.

        Args:
            category: only the no to these messages, `all`: to all messages; None: whatever they said no to.

        Returns: how many opt-outs are gone.

        Raises: InvalidInput: an id or the category cannot be one.
        """
        categories = None if category is None else [_category(category)]

        async def remove(connection: AsyncConnection, some: Sequence[str]) -> int:
            return sum([await opt_outs.remove(connection, each, categories) for each in some])

        return await self._in_parts(installations, remove)

    async def set_opt_outs(self, installation: str, categories: Iterable[str]) -> Sequence[OptOut]:
        """Have an installation say no to exactly these categories; `all`: to all messages.

        Returns: what it said no to, in order of the categories.

        Raises: InvalidInput: the id or a category cannot be one.
        """
        (key,) = _ids([installation])
        wanted = {_category(each) for each in categories}

        async def change(connection: AsyncConnection) -> Sequence[OptOut]:
            known = {each.category for each in await opt_outs.of(connection, key)}
            await opt_outs.remove(connection, key, known - wanted)
            for category in sorted(wanted - known):
                await opt_outs.add(connection, [key], category, self._clock())
            return await opt_outs.of(connection, key)

        return await self._database.write(change)

    async def opt_outs_of(self, installation: str) -> Sequence[OptOut]:
        """What an installation said no to, in order of the categories."""
        return await self._database.ask(lambda connection: opt_outs.of(connection, installation))

    async def opt_outs(
        self, category: str | None = None, *, after: tuple[str, str] | None = None, limit: int = MOST
    ) -> Sequence[OptOut]:
        """In the order of installation and category. Of those who were erased nobody is told.

        Args:
            category: only these; None: those of all categories.
            after: installation and category of the last one of the page before.

        Raises: InvalidInput: the category cannot be one.
        """
        said = None if category is None else _category(category)
        return await self._database.ask(lambda connection: opt_outs.page(connection, said, after, min(limit, MOST)))

    # -- lists --------------------------------------------------------------------------------------------------------

    async def exclude(self, name: str, installations: Iterable[str]) -> int:
        """Put installations on a list, which is made if there is none of this name.

        Returns: how many were not on it.

        Raises: InvalidInput: an id or the name cannot be one.
        """
        found = _named(name)
        await self._database.write(lambda connection: exclusions.add(connection, found, [], self._clock()))
        return await self._in_parts(
            installations, lambda connection, some: exclusions.add(connection, found, some, self._clock())
        )

    async def readmit(self, name: str, installations: Iterable[str]) -> int:
        """Take installations off a list. Returns: how many were on it.

        Raises:
            UnknownExclusionList: there is none of this name.
            InvalidInput: an id cannot be one.
        """
        found = (await self.exclusion_list(name)).name
        return await self._in_parts(
            installations, lambda connection, some: exclusions.remove(connection, found, some, self._clock())
        )

    async def exclusion_lists(self) -> Sequence[ExclusionList]:
        """All lists, in the order of their names."""
        return await self._database.ask(exclusions.lists)

    async def exclusion_list(self, name: str) -> ExclusionList:
        """Raises: UnknownExclusionList: there is none of this name."""
        wanted = name.strip().lower()
        lists = {each.name: each for each in await self.exclusion_lists()}
        if (found := lists.get(wanted)) is None:
            raise UnknownExclusionList(_unknown(wanted, list(lists)))
        return found

    async def excluded(self, name: str, *, after: str | None = None, limit: int = MOST) -> Sequence[str]:
        """The installations on a list, in order.

        Args:
            after: the last one of the page before.

        Raises: UnknownExclusionList: there is none of this name.
        """
        found = (await self.exclusion_list(name)).name
        return await self._database.ask(lambda connection: exclusions.page(connection, found, after, min(limit, MOST)))

    async def delete_exclusion_list(self, name: str) -> None:
        """A campaign that names it and still reads its audience is paused, with the reason.

        Raises: UnknownExclusionList: there is none of this name.
        """
        found = (await self.exclusion_list(name)).name
        await self._database.write(lambda connection: exclusions.drop(connection, found))

    # -- campaigns ----------------------------------------------------------------------------------------------------

    async def settled(self, care: CareSettings) -> CareSettings:
        """Whom a campaign leaves alone, with lists and campaigns that exist, the campaigns by their ids.

        Raises: InvalidInput: there is no such list or campaign; or a category or a cap cannot be meant.
        """
        checked = checked_care(care)
        for cap in map(read_cap, checked.caps):
            if self._keep_days is not None and cap.seconds > self._keep_days * DAY:
                said = f"`{cap}` looks back further than campaigns are kept (`store.keep_days` = {self._keep_days:g})"
                raise InvalidInput("caps", said)

        async def question(connection: AsyncConnection) -> CareSettings:
            known = await exclusions.names(connection) if checked.exclude else []
            if missing := [each for each in checked.exclude if each not in known]:
                raise InvalidInput("exclude", _unknown(missing[0], known))
            try:
                reached = [(await campaigns.find(connection, each)).id for each in checked.not_reached_by]
            except UnknownCampaign as error:
                raise InvalidInput("not_reached_by", str(error)) from None
            return msgspec.structs.replace(checked, not_reached_by=tuple(dict.fromkeys(reached)))

        if not checked.exclude and not checked.not_reached_by:
            return checked
        return await self._database.ask(question)

    async def _in_parts(
        self, installations: Iterable[str], write: Callable[[AsyncConnection, Sequence[str]], Awaitable[int]]
    ) -> int:
        named = _ids(installations)

        async def change(connection: AsyncConnection, start: int) -> int:
            return await write(connection, named[start : start + AT_ONCE])

        return sum([await self._database.write(partial(change, start=at)) for at in range(0, len(named), AT_ONCE)])


def _ids(installations: Iterable[str]) -> list[str]:
    """Each once, in order. Raises: InvalidInput."""
    named = sorted({each.strip() for each in installations})
    for each in named:
        if not each or len(each) > LONGEST_ID or "\0" in each:
            raise InvalidInput("installations", f"{each[:60]!r} cannot be the id of an installation")
    return named


def _category(category: str | None) -> str:
    if category is None or category.strip().lower() == EVERYTHING:
        return EVERYTHING
    try:
        return read_category(category)
    except ValueError as error:
        raise InvalidInput("category", str(error)) from None


def _named(name: str) -> str:
    try:
        return read_name(name, "list")
    except ValueError as error:
        raise InvalidInput("name", str(error)) from None


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "`stentor exclusion list` shows all lists"
    return f"there is no exclusion list {name[:60]!r}; {hint}"
