"""Who was not reached: a page of the list, or all of it as a file, for operations and pages alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from starlette.requests import Request

from stentor.access.caller import Caller
from stentor.access.log import WITH_ADDRESSES
from stentor.access.scopes import Scope
from stentor.api.cursors import Cursors
from stentor.api.exports import Kind, export
from stentor.api.operation import Fields, Streamed
from stentor.api.problems import INVALID_INPUT, FieldProblem, ProblemAnswer
from stentor.recording import shapes
from stentor.recording.report import FAILURES_PAGE, FailureRow
from stentor.recording.shapes import FailureShape, Shape
from stentor.runtime.stentor import Stentor


class FailureFilters(Fields, frozen=True, kw_only=True):
    """Which failures."""

    lane: str | None = None
    """Only those of one lane, e.g. `apns/ios`."""
    reason: str | None = None
    """Only those for one reason, e.g. `Unregistered`."""
    outcome: Literal["rejected", "expired", "ambiguous"] | None = None
    """Only those that ended so."""
    dead: bool | None = None
    """Only those whose address is (or isn't) dead."""
    addresses: bool = False
    """With each one's address, as the audience has it now. Needs the scope `write`."""


class FailuresPage(Shape, frozen=True, kw_only=True):
    """Some of those who were not reached."""

    failures: list[FailureShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class FailureList:
    """The failures of one campaign that somebody asks for."""

    def __init__(self, stentor: Stentor, caller: Caller, campaign: str, filters: FailureFilters) -> None:
        """Raises: Forbidden: addresses are asked for, and the caller may not see them."""
        if filters.addresses:
            caller.require(Scope.WRITE)
        self._stentor = stentor
        self._caller = caller
        self._campaign = campaign
        self._filters = filters

    def __repr__(self) -> str:
        return f"<FailureList of {self._campaign}>"

    async def page(self, limit: int, cursor: str | None, now: float) -> FailuresPage:
        """Some of them.

        Args:
            cursor: the `next` of the page before; None: the first page.
            now: epoch seconds.

        Raises:
            UnknownCampaign: there is no such campaign.
            InvalidAudience, AudienceUnavailable: addresses are asked for, and the audience cannot be read.
            ProblemAnswer: the cursor is of other filters, too old, or not one of ours.
        """
        cursors = Cursors(await self._stentor.access.signing_key())
        filters = self._filters
        question = ("failures", self._campaign, filters.lane, filters.reason, filters.outcome, filters.dead)
        after = None
        if cursor is not None:
            batch_id, position = cursors.read(question, cursor, now)
            after = (str(batch_id), int(position))
        rows = []
        async for row in self._rows(after, page=limit + 1):
            rows.append(row)
            if len(rows) > limit:
                break
        page = rows[:limit]
        more = len(rows) > limit
        if filters.addresses:
            await self._note("failures.read")
        return FailuresPage(
            failures=[shapes.failure(row, address=filters.addresses) for row in page],
            next=cursors.make(question, [page[-1].batch_id, page[-1].position], now) if more else None,
        )

    async def export(self, request: Request, kind: Kind, after: str | None = None) -> Streamed:
        """All of them as a file. The log of who did what tells of it before it begins.

        Args:
            after: go on after this one: a batch's id, a colon, and a position.

        Raises:
            UnknownCampaign: there is no such campaign.
            ProblemAnswer: there is no such place as `after`.
        """
        place = await place_in(self._stentor, self._campaign, after)
        await self._stentor.campaigns.get(self._campaign)
        addresses = self._filters.addresses
        names = [each for each in FailureShape.__struct_fields__ if addresses or each != "address"]
        await self._note("failures.export")
        return export(request, f"failures-{self._campaign}", kind, names, self._pages(place))

    async def _note(self, action: str) -> None:
        """Tell the log of who did what that people were read of."""
        detail = WITH_ADDRESSES if self._filters.addresses else ""
        await self._stentor.access.log.record(self._caller, action, self._campaign, detail=detail)

    def _rows(self, after: tuple[str, int] | None, page: int = FAILURES_PAGE) -> AsyncIterator[FailureRow]:
        filters = self._filters
        return self._stentor.outcomes.failures(
            self._campaign,
            lane=filters.lane,
            reason=filters.reason,
            outcome=filters.outcome,
            dead=filters.dead,
            addresses=filters.addresses,
            after=after,
            page=page,
        )

    async def _pages(self, after: tuple[str, int] | None) -> AsyncIterator[Sequence[FailureShape]]:
        page: list[FailureShape] = []
        async for row in self._rows(after):
            page.append(shapes.failure(row, address=self._filters.addresses))
            if len(page) >= FAILURES_PAGE:
                yield page
                page = []
        yield page


async def place_in(stentor: Stentor, campaign: str, after: str | None) -> tuple[str, int] | None:
    """Where an export of a campaign goes on. Raises: ProblemAnswer: there is no such place."""
    if after is None:
        return None
    batch_id, _, position = after.rpartition(":")
    known = batch_id.startswith(f"{campaign}/") and await stentor.outcomes.has_batch(batch_id)
    if not known or not (position.isascii() and position.isdecimal()) or len(position) > 9:
        said = "must be a `batch_id` of this campaign, a colon, and a `position`"
        told = [FieldProblem(parameter="after", detail=said)]
        raise ProblemAnswer(INVALID_INPUT, f"after: {said}", errors=told)
    return batch_id, int(position)
