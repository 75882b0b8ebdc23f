"""What the calls of `calls.py` are made with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from stentor.client.shapes import Campaign
from stentor.errors import InvalidInput


class _Paged(Protocol):
    @property
    def next(self) -> str | None: ...


PageT = TypeVar("PageT", bound=_Paged)
T = TypeVar("T")


async def paged(
    fetch: Callable[[str | None], Awaitable[PageT]], rows: Callable[[PageT], Sequence[T]]
) -> AsyncGenerator[T, None]:
    """Each row of all pages. A page is fetched when the one before it is used up.

    Args:
        fetch: gives the page at a cursor.
        rows: those of a page.
    """
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        for row in rows(page):
            yield row
        cursor = page.next
        if cursor is None:
            return


def headers(
    *,
    idempotency_key: str | None = None,
    if_match: Campaign | str | None = None,
    if_none_match: Campaign | None = None,
) -> dict[str, str]:
    """Headers of a request, of what was given.

    Raises: InvalidInput: `if_match` has no ETag.
    """
    found = {}
    if idempotency_key is not None:
        found["Idempotency-Key"] = idempotency_key
    if if_match is not None:
        etag = if_match.etag if isinstance(if_match, Campaign) else if_match
        if not etag:
            raise InvalidInput("if_match", "has no ETag, as campaigns of a list have none; get the campaign first")
        found["If-Match"] = etag
    if if_none_match is not None and if_none_match.etag:  # without one, it is sent in any case
        found["If-None-Match"] = if_none_match.etag
    return found
