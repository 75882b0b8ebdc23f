"""A batch that was lost or held is made again: the same id, and recipients in the same order, with addresses read anew.

Pure.

Rules: nothing is invented. Whoever is settled, or isn't in the audience under the batch's lane any more, keeps the
place in the batch with nothing to send to, so all positions mean whom they meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stentor.account import Failure, ends
from stentor.audience.contract import UNREADABLE_ROW, Page
from stentor.batch import LARGEST_BATCH, VERSION, Batch, encode_batch, encode_variables
from stentor.outcome import Outcome
from stentor.planning.division import TOO_LARGE_REASON, UNENCODABLE, IndexOf
from stentor.queue.contract import Lease, Task
from stentor.recording.contract import Settlement

GONE_REASON = "Gone"
NOBODY = Page(keys=[], addresses=[], lanes="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A batch as the store knows it."""

    id: str
    campaign_id: str
    lane: str
    edition: str
    recipients: Sequence[bytes]
    outcomes: bytes
    """An `Outcome` for each."""
    expires_at: float | None = None
    """Epoch seconds; None: as its campaign."""

    @property
    def pending(self) -> list[int]:
        """Positions of those who have no outcome."""
        return [position for position, outcome in enumerate(self.outcomes) if outcome == Outcome.PENDING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was made of it."""

    task: Task
    unsendable: dict[int, str]
    """Positions of those who are pending and cannot be sent to, and why."""


def restore(lost: Lost, expires_at: float, found: Page, index_of: IndexOf | None = None) -> Restored:
    """The batch again, for those of its pending recipients who were found.

    Args:
        index_of: None where everybody gets the same rendering.
    """
    lanes = [found.lanes] * len(found) if isinstance(found.lanes, str) else found.lanes
    place = {key: row for row, (key, lane) in enumerate(zip(found.keys, lanes, strict=True)) if lane == lost.lane}
    rows: list[int | None] = [None] * len(lost.recipients)
    for position in lost.pending:
        rows[position] = place.get(lost.recipients[position])
    unsendable = {position: GONE_REASON for position in lost.pending if rows[position] is None}
    for position in lost.pending if found.refused else ():
        if rows[position] is not None and lost.recipients[position] in found.refused:
            rows[position] = None
            unsendable[position] = UNREADABLE_ROW
    payload = b""
    while not payload:
        try:
            payload = _encode(lost, expires_at, found, rows, index_of)
        except UNENCODABLE:
            if not (bad := _unencodable(found, rows)):
                raise
            unsendable |= dict.fromkeys(bad, UNREADABLE_ROW)
            rows = [None if position in bad else row for position, row in enumerate(rows)]
    while (excess := len(payload) - LARGEST_BATCH) > 0:  # their own values have grown since
        sizes = {position: _size(found, row) for position, row in enumerate(rows) if row is not None}
        for position in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if excess > 0:
                rows[position] = None
                unsendable[position] = TOO_LARGE_REASON
                excess -= sizes[position]
        payload = _encode(lost, expires_at, found, rows, index_of)
    task = Task(
        id=lost.id, lane=lost.lane, campaign_id=lost.campaign_id, payload=payload, edition=lost.edition, again=True
    )
    return Restored(task=task, unsendable=unsendable)


def called_off(lost: Lost) -> Settlement:
    """That all who are pending of a batch that nobody holds ended as cancelled."""
    return settlement(lost, (), dict.fromkeys(lost.pending, Outcome.CANCELLED))


def settlement(
    lost: Lost, failures: Sequence[Failure], others: Mapping[int, Outcome] = MappingProxyType({})
) -> Settlement:
    """That those at some positions of a batch that nobody holds ended as these say; the others without a reason."""
    nobodys = Lease(
        id=lost.id, lane=lost.lane, campaign_id=lost.campaign_id, payload=b"", deliveries=0, token="", until=0.0
    )
    return Settlement(lease=nobodys, batch=None, account=ends(len(lost.recipients), failures, others))


def restore_to_end(lost: Lost, expires_at: float) -> Task:
    """The batch without any address, for those who take it to end it: its campaign was stopped, or its time is over."""
    nobody: list[int | None] = [None] * len(lost.recipients)
    payload = _encode(lost, expires_at, NOBODY, nobody, None)
    return Task(
        id=lost.id, lane=lost.lane, campaign_id=lost.campaign_id, payload=payload, edition=lost.edition, again=True
    )


def _encode(lost: Lost, expires_at: float, found: Page, rows: Sequence[int | None], index_of: IndexOf | None) -> bytes:
    def column(values: Sequence[Any], nothing: Any) -> list[Any]:
        return [nothing if row is None else values[row] for row in rows]

    languages = None
    if index_of is not None and found.languages is not None:
        languages = bytes(column([index_of(language) for language in found.languages], 0))
    return encode_batch(
        Batch(
            version=VERSION,
            id=lost.id,
            campaign_id=lost.campaign_id,
            lane=lost.lane,
            expires_at=expires_at,
            recipients=list(lost.recipients),
            addresses=column(found.addresses, b""),
            registered_at=None if found.registered_at is None else column(found.registered_at, 0.0),
            languages=languages,
            variables=None if found.variables is None else column(found.variables, {}),
        )
    )


def _unencodable(found: Page, rows: Sequence[int | None]) -> list[int]:
    """Positions of those whose own values a batch cannot hold."""
    bad = []
    for position, row in enumerate(rows):
        if row is not None and found.variables is not None:
            try:
                encode_variables(found.variables[row])
            except UNENCODABLE:
                bad.append(position)
    return bad


def _size(found: Page, row: int) -> int:
    variables = 0 if found.variables is None else len(encode_variables(found.variables[row]))
    return len(found.addresses[row]) + variables
