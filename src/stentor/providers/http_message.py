"""One message for one recipient over HTTP, and what comes back: what a channel's `wire.py` makes, and reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message for one recipient, as HTTP."""

    method: str
    url: str = field(repr=False)
    """Complete; it may hold a token."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Response(NamedTuple):
    """What came back. The headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """At most `LARGEST_ERROR_BODY` bytes of it."""
