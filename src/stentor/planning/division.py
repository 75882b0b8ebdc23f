"""A page of an audience becomes batches: divided by lane, none larger than a queue takes. Pure.

Rules: every installation of the page is in exactly one batch, in the page's order; ids depend on what is passed in
alone. Who can be sent nothing (no lane, an unreadable row, or too large by themselves) is in a batch too, one that is
rejected as planned, and so is whom a rule leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from stentor.audience.contract import NO_LANE, UNREADABLE_ROW, Page
from stentor.batch import LARGEST_BATCH, VERSION, Batch, encode_batch
from stentor.queue.contract import Task

NO_LANE_REASON = "NoLane"
TOO_LARGE_REASON = "TooLarge"
_WAVE = "(wave)"
UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What MessagePack's encoder raises of a value that it has no form for."""

IndexOf = Callable[[str | None], int]
"""Language of an installation -> index of the rendering it gets."""


class LeftOut(NamedTuple):
    """Why somebody gets nothing."""

    reason: str
    """One of `own_reasons`."""
    detail: str = ""


NOBODY: Mapping[bytes, LeftOut] = MappingProxyType({})


class Wave(NamedTuple):
    """Those who get a message at one moment."""

    at: float
    """Epoch seconds."""
    gated: bool = False
    """Whether they wait until the campaign is released as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """When those of a page get the message."""

    waves: Sequence[Wave | None] | None = None
    """Of each; None: now."""
    left_out: Mapping[bytes, LeftOut] = field(default_factory=dict)
    """Who of them gets nothing by a rule, by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A batch as it was planned."""

    batch: Batch
    payload: bytes
    keys: bytes
    """Its recipients, encoded."""
    refused: str | None = None
    """Why none of it is sent."""
    details: Sequence[str] = ()
    """What more there is to say of that, of each recipient."""
    wave: Wave | None = None
    """If it is held: until when."""

    @property
    def edition(self) -> str:
        """The same where its recipients are."""
        return blake2b(self.keys, digest_size=8).hexdigest()

    @property
    def task(self) -> Task:
        batch = self.batch
        return Task(
            id=batch.id, lane=batch.lane, campaign_id=batch.campaign_id, payload=self.payload, edition=self.edition
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Divider:
    """Divides the pages of one campaign."""

    campaign_id: str
    expires_at: float
    largest: int
    """Recipients in a batch at most."""
    index_of: IndexOf | None = None
    """None where everybody gets the same rendering."""

    def divide(
        self,
        page: Page,
        prefix: str,
        left_out: Mapping[bytes, LeftOut] = NOBODY,
        waves: Sequence[Wave | None] | None = None,
    ) -> list[Planned]:
        """The page's batches; `prefix` makes their ids unlike those of any other page of the campaign.

        Args:
            left_out: who of the page gets nothing by a rule, by key.
            waves: of each installation; None: now.
        """
        columns = self._columns(page)
        if waves is not None:
            columns[_WAVE] = waves
        why = {**left_out, **{key: LeftOut(UNREADABLE_ROW, detail) for key, detail in page.refused.items()}}
        found: list[Planned] = []
        for lane, chosen in _by_lane(page):
            mine = dict(columns) if chosen is None else _some(columns, chosen)
            for reason, wave, these in _groups(mine, why, lane):
                size = len(these["recipients"])
                pieces = -(-size // self.largest)
                for piece in range(pieces):
                    part = slice(size * piece // pieces, size * (piece + 1) // pieces)
                    some = {name: column[part] for name, column in these.items()}
                    batch_id = f"{self.campaign_id}/{lane or 'none'}/{prefix}.{len(found)}"
                    if reason is None:
                        found += self._fit(some, lane, batch_id, wave)
                    else:
                        details = [why[key].detail for key in some["recipients"]]
                        found.append(self._refused(some["recipients"], lane, batch_id, reason, details))
        return found

    def _columns(self, page: Page) -> dict[str, Any]:
        columns: dict[str, Any] = {"recipients": page.keys, "addresses": page.addresses}
        if page.registered_at is not None:
            columns["registered_at"] = page.registered_at
        if page.variables is not None:
            columns["variables"] = page.variables
        if self.index_of is not None and page.languages is not None:
            index_of = {language: self.index_of(language) for language in set(page.languages)}
            columns["languages"] = [index_of[language] for language in page.languages]
        return columns

    def _refused(self, keys: list[bytes], lane: str, batch_id: str, reason: str, details: Sequence[str]) -> Planned:
        return Planned(
            batch=Batch(
                version=VERSION,
                id=batch_id,
                campaign_id=self.campaign_id,
                lane=lane,
                expires_at=self.expires_at,
                recipients=keys,
                addresses=[b""] * len(keys),
            ),
            payload=b"",
            keys=msgspec.msgpack.encode(keys),
            refused=reason,
            details=details,
        )

    def _fit(self, columns: dict[str, Any], lane: str, batch_id: str, wave: Wave | None) -> Iterator[Planned]:
        """As one batch, or halved until each fits."""
        languages = columns.get("languages")
        batch = Batch(
            version=VERSION,
            id=batch_id,
            campaign_id=self.campaign_id,
            lane=lane,
            expires_at=self.expires_at,
            **{**columns, "languages": bytes(languages)} if languages is not None else columns,
        )
        keys = msgspec.msgpack.encode(batch.recipients)
        if lane == NO_LANE:
            yield Planned(batch=batch, payload=b"", keys=keys, refused=NO_LANE_REASON)
            return
        size = len(batch)
        payload, why = b"", ""
        try:
            payload = encode_batch(batch)
        except UNENCODABLE as error:
            why = f"a batch cannot hold its row: {error}"
        if payload and len(payload) <= LARGEST_BATCH:
            yield Planned(batch=batch, payload=payload, keys=keys, wave=wave)
        elif size == 1:
            refused = UNREADABLE_ROW if why else TOO_LARGE_REASON
            yield Planned(batch=batch, payload=b"", keys=keys, refused=refused, details=[why])
        else:
            halves = (slice(0, size // 2), slice(size // 2, size))
            for half, part in enumerate(halves):
                some = {name: column[part] for name, column in columns.items()}
                yield from self._fit(some, lane, f"{batch_id}-{half}", wave)


def _some(columns: Mapping[str, Any], chosen: Sequence[bool]) -> dict[str, Any]:
    return {name: list(compress(column, chosen)) for name, column in columns.items()}


def _groups(
    columns: dict[str, Any], why: Mapping[bytes, LeftOut], lane: str
) -> Iterator[tuple[str | None, Wave | None, dict[str, Any]]]:
    """The columns of a lane, apart by why they get nothing (None: they do), and when those who do get it."""
    for reason, these in _by_reason(columns, why) if why and lane != NO_LANE else [(None, columns)]:
        waves = these.pop(_WAVE, None)
        if waves is None or reason is not None or lane == NO_LANE:
            yield reason, None, these
            continue
        for wave in sorted(set(waves), key=lambda each: (each is not None, each)):
            yield None, wave, _some(these, [each == wave for each in waves])


def _by_reason(columns: dict[str, Any], why: Mapping[bytes, LeftOut]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Those who are sent to (None), if there are any, then those who get nothing, by reason."""
    reasons = [why[key].reason if key in why else None for key in columns["recipients"]]
    for reason in sorted(set(reasons), key=lambda each: (each is not None, each)):
        yield reason, _some(columns, [each == reason for each in reasons])


def _by_lane(page: Page) -> Iterator[tuple[str, list[bool] | None]]:
    """Each lane of the page, with who is on it; None where all are."""
    if isinstance(page.lanes, str):
        if len(page):
            yield page.lanes, None
        return
    for lane in sorted(set(page.lanes)):
        yield lane, [each == lane for each in page.lanes]
