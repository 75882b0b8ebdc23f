"""What is asked of the wire, and what it answers: columns, never one object a request.

A `Template` holds what all requests of a burst share, a `Burst` the columns in which they differ, `Results` what
became of each, by the request's index. Rules: a burst is never changed once made; a result is settled exactly once.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

Header = tuple[bytes, bytes]


class Fate(IntEnum):
    """How a request ended on the wire; retries rest on this distinction."""

    PENDING = 0
    RESPONSE = 1
    """The peer answered in full; `Results.statuses` has the status."""
    NOT_PROCESSED = 2
    """Certainly not acted upon (never written whole, refused, above a GOAWAY's last stream id): safe to resend."""
    AMBIGUOUS = 3
    """Written, and then no answer: the peer may have acted on it or not."""


@dataclass(frozen=True, slots=True)
class Template:
    """The headers of a burst of requests.

    Names are lower case (RFC 9113 section 8.2). Pseudo-headers are put first on the wire whatever the order here.
    """

    constant: tuple[Header, ...]
    """Headers with the same value in every request."""
    varying: tuple[bytes, ...]
    """Names of the headers that have a column in each burst; `b":path"` is usually one."""
    proof: bytes = b""
    """The name of a header that each 200 of the peer has. One without it is kept whole: somebody else sent it, a
    company's filter, say. Empty: the headers of a 200 prove nothing."""
    opening: bytes = b""
    """How the body of each 200 of the peer begins. Bodies that begin so aren't kept, all others are. Empty: all are."""

    def __repr__(self) -> str:
        """Names only: the `authorization` is among the values."""
        names = b", ".join((*(name for name, _ in self.constant), *self.varying))
        return f"<Template {names.decode()}>"


@dataclass(frozen=True, slots=True)
class Burst:
    """Requests that share a template. All columns have the length of `bodies`."""

    template: Template
    columns: tuple[Sequence[bytes], ...]
    """One column of values for each name in `template.varying`, in the same order."""
    bodies: Sequence[bytes]
    """The request bodies; a body shared by all is `[body] * n`, which costs a pointer each."""

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.template.varying):
            raise ValueError(f"{len(self.template.varying)} columns wanted, {len(self.columns)} given")
        for name, column in zip(self.template.varying, self.columns, strict=True):
            if len(column) != len(self.bodies):
                raise ValueError(f"column {name.decode()} has {len(column)} values for {len(self.bodies)} bodies")

    def __len__(self) -> int:
        return len(self.bodies)

    def __repr__(self) -> str:
        """Shows no column: they hold device tokens."""
        return f"<Burst of {len(self)}, {self.template!r}>"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response worth keeping whole: every one whose status isn't 200, or that lacks its template's `proof`."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


@dataclass(slots=True)
class Results:
    """What became of each request of a burst, by index. Grows with failures, not with successes."""

    size: int
    fates: bytearray = field(init=False)
    """A `Fate` for each request."""
    statuses: array[int] = field(init=False)
    """The response's status, 0 where there was none."""
    bodies: dict[int, bytes] = field(default_factory=dict)
    """Bodies of the 200 responses that had one; where the template has an `opening`, those that begin in another way,
    an empty one too."""
    replies: dict[int, Reply] = field(default_factory=dict)
    """Responses with another status than 200, and those without their template's `proof`."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Why a request was not processed or is ambiguous, for people."""

    def __post_init__(self) -> None:
        self.fates = bytearray(self.size)
        self.statuses = array("H", bytes(2 * self.size))

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.fates.count(fate)} {fate.name.lower()}" for fate in Fate if fate in self.fates)
        return f"<Results of {self.size}: {counts or 'none'}>"
