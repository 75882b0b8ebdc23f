"""A page of the list of campaigns, with its cursor: what the API and the dashboard show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stentor.api.cursors import Cursors
from stentor.runtime.listing import Listed
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """Some campaigns, the newest first."""

    campaigns: Sequence[Listed]
    next: str | None
    """The cursor of the next page; None: this is the last one."""


async def list_page(
    stentor: Stentor, *, state: CampaignState | None, cursor: str | None, limit: int, now: float
) -> ListPage:
    """Args:
        state: only campaigns in this state.
        cursor: `next` of the page before.
        now: epoch seconds.

    Raises: ProblemAnswer: the cursor cannot be used.
    """
    cursors = Cursors(await stentor.access.signing_key())
    question = ("campaigns", state)
    after = None
    if cursor is not None:
        at, last = cursors.read(question, cursor, now)
        after = (float(at), str(last))
    found = await stentor.campaigns.newest(state=state, limit=limit + 1, after=after)
    page = found[:limit]
    totals = await stentor.outcomes.list_totals(page)
    more = len(found) > limit
    return ListPage(
        campaigns=[Listed(campaign=each, totals=totals[each.id]) for each in page],
        next=cursors.make(question, [page[-1].created_at, page[-1].id], now) if more else None,
    )
