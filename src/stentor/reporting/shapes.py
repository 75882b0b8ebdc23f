"""What is told of reports as JSON: the command line's `--json` and the API say the same. Times are epoch seconds."""

from __future__ import annotations

from stentor.recording.shapes import Shape
from stentor.reporting.outbox import ReportDelivery, TargetAnswer


class DeliveryShape(Shape, frozen=True, kw_only=True):
    """What became of telling a target of an event."""

    report: str
    """Its id, the same at every try."""
    campaign: str | None
    kind: str
    """`completed`, `failed`, `cancelled`, `paused`, `stalled`, `lane_stopped`, `lane_resumed` or `run_not_sent`."""
    lane: str | None
    at: float
    """When it happened."""
    target: str
    status: str
    """`waiting`, `sent` or `failed`."""
    tries: int
    created_at: float
    ready_at: float | None
    """When it is tried next."""
    tried_at: float | None
    answer_status: int | None
    """The HTTP status of the last answer."""
    answer: str | None
    """How that begins, or why there was none."""


class TargetAnswerShape(Shape, frozen=True, kw_only=True):
    """What came of one try to tell a target."""

    sent: bool
    status: int | None
    """The HTTP status."""
    answer: str
    """How the answer begins, or why there was none."""


def delivery(each: ReportDelivery) -> DeliveryShape:
    return DeliveryShape(
        report=each.event_id,
        campaign=each.campaign_id,
        kind=each.kind.value,
        lane=each.lane,
        at=each.at,
        target=each.target,
        status=each.status.value,
        tries=each.tries,
        created_at=each.created_at,
        ready_at=each.ready_at,
        tried_at=each.tried_at,
        answer_status=each.answer_status,
        answer=each.answer,
    )


def target_answer(answer: TargetAnswer) -> TargetAnswerShape:
    return TargetAnswerShape(sent=answer.sent, status=answer.status, answer=answer.text)
