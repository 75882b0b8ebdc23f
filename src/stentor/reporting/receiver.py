"""A place that reports go to, as deliverers see it: it takes one event at a time and says what became of it."""

from __future__ import annotations

from typing import Protocol

from stentor.reporting.events import ReportEvent
from stentor.reporting.outbox import TargetAnswer

WITHIN = 30.0
"""Seconds for one try."""


class Receiver(Protocol):
    """One target."""

    @property
    def kind(self) -> str:
        """What it is, for people: `Slack`, `webhook example.com`. Never its whole URL."""

    async def check(self) -> str | None:
        """What keeps its settings from being used; None: nothing. The target isn't asked."""

    async def tell(self, event: ReportEvent, now: float) -> TargetAnswer:
        """Try to tell it, once, within about WITHIN seconds.

        Nothing that the target does, and no setting that cannot be used, raises: that is an answer, with the reason.
        """
