"""The API key in a request: `Authorization: Bearer stentor_live_…` (RFC 6750)."""

from __future__ import annotations

from starlette.requests import Request

BEARER = "bearer "


def key_in(request: Request) -> str | None:
    """The text of the key; None: the request has none."""
    given = request.headers.get("authorization", "")
    return given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER else None
