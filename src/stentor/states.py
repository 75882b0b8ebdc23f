"""A campaign's states and its legal moves. All moves are in the table here; the diagram in docs/campaigns.md is drawn
from it.

Rules: nobody writes a state but through `store.campaigns.move`, which refuses what the table doesn't allow. A state
with no way out is final. What is still queued of a campaign that was cancelled or failed is settled as cancelled.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class CampaignState(StrEnum):
    DRAFT = "draft"
    """Made, not started: nothing was planned."""
    SCHEDULED = "scheduled"
    """Starts by itself at its time. Until then it can be made a draft again."""
    RUNNING = "running"
    """Being planned and sent."""
    PAUSED = "paused"
    """Planned and queued work waits; nothing is sent until it is resumed."""
    CANCELLING = "cancelling"
    """Nothing is sent any more; what is queued is being settled as cancelled."""
    COMPLETED = "completed"
    """Every recipient has an outcome."""
    CANCELLED = "cancelled"
    """Stopped by somebody; every recipient that was read has an outcome."""
    FAILED = "failed"
    """Stopped because it could not work, e.g. the providers refuse the message itself. `problem` says why."""


class CampaignKind(StrEnum):
    CAMPAIGN = "campaign"
    """One message for an audience."""
    MESSAGE = "message"
    """A transactional message to a few recipients, who are planned as it is made; it goes before campaigns."""
    SERIES = "series"
    """What a series sends: a draft that is never started itself. Each run is a campaign that is made of it."""


_S = CampaignState

MOVES = MappingProxyType(
    {
        _S.DRAFT: frozenset({_S.SCHEDULED, _S.RUNNING, _S.CANCELLED}),
        _S.SCHEDULED: frozenset({_S.DRAFT, _S.RUNNING, _S.PAUSED, _S.CANCELLING, _S.FAILED}),
        _S.RUNNING: frozenset({_S.PAUSED, _S.CANCELLING, _S.COMPLETED, _S.FAILED}),
        _S.PAUSED: frozenset({_S.RUNNING, _S.SCHEDULED, _S.CANCELLING, _S.FAILED}),
        _S.CANCELLING: frozenset({_S.CANCELLED}),
        _S.COMPLETED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.FAILED: frozenset(),
    }
)
"""From each state, the states it may move to."""

FINAL = frozenset(state for state, after in MOVES.items() if not after)
STOPPED = frozenset({_S.CANCELLING, _S.CANCELLED, _S.FAILED})
"""States in which queued work is settled as cancelled, not sent."""


def mermaid() -> str:
    """The moves as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    for state, after in MOVES.items():
        lines += [f"    {state} --> {target}" for target in CampaignState if target in after]
    lines += [f"    {state} --> [*]" for state in CampaignState if state in FINAL]
    return "\n".join(lines)
