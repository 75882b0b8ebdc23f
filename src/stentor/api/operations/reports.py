"""Reports and alarms: where they go to, and what became of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Fields, Operations
from stentor.errors import InvalidConfiguration, InvalidState, UnknownReport
from stentor.recording.shapes import Shape
from stentor.reporting import shapes
from stentor.reporting.outbox import DeliveryStatus, ReportDelivery
from stentor.reporting.shapes import DeliveryShape, TargetAnswerShape

operations = Operations("Reports")
MOST, USUAL = 500, 50
"""Deliveries of an answer."""


class TargetShape(Shape, frozen=True, kw_only=True):
    """A place that reports go to, without its secrets."""

    name: str
    kind: str
    """E.g. `slack`, `mailto`, or `webhook example.com`."""
    events: list[str]


class TargetsShape(Shape, frozen=True, kw_only=True):
    targets: list[TargetShape]


class DeliveriesShape(Shape, frozen=True, kw_only=True):
    reports: list[DeliveryShape]


class TestedTargetsShape(Shape, frozen=True, kw_only=True):
    targets: dict[str, TargetAnswerShape]
    """By name."""


class DeliveriesQuery(Fields, frozen=True, kw_only=True):
    campaign: str | None = None
    """Only reports on this campaign."""
    target: str | None = None
    """Only those to this target."""
    status: DeliveryStatus | None = None
    """Only those with this status."""
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many, the newest first."""


class ReportTestFields(Fields, frozen=True, kw_only=True):
    target: str | None = None
    """To this target only. Left out: to all that it is for."""


class ReportReplayFields(Fields, frozen=True, kw_only=True):
    report: str
    """The report's id."""
    target: str | None = None
    """To this target only. Left out: to all that it was for."""


@operations.get("/reports/targets", Scope.VIEW, raises=(InvalidConfiguration,))
async def list_targets(call: Call) -> TargetsShape:
    """The places that reports go to, without their secrets."""
    found = call.stentor.reports.targets()
    return TargetsShape(
        targets=[TargetShape(name=each.name, kind=each.kind, events=list(each.events)) for each in found]
    )


@operations.get("/reports", Scope.VIEW)
async def list_reports(call: Call, query: DeliveriesQuery) -> DeliveriesShape:
    """Reports and alarms, the newest first, with what became of each."""
    found = await call.stentor.reports.deliveries(
        campaign_id=query.campaign, target=query.target, status=query.status, limit=query.limit
    )
    return DeliveriesShape(reports=[shapes.delivery(each) for each in found])


CUT_SHORT = (
    "An earlier try with this Idempotency-Key was cut short, so a test report may have been sent. Look whether it came;"
    " use a new key to send another."
)


@operations.post("/reports/test", Scope.ADMIN, raises=(InvalidConfiguration, InvalidState), action="report.test")
async def test_reports(call: Call, body: ReportTestFields) -> TestedTargetsShape:
    """Send a test report now, and nothing else.

    If its answer is lost, a repeated request with the same `Idempotency-Key` sends nothing: it is answered the same, or
    with 409 if nobody knows any more what came of it.
    """
    answers = await call.stentor.reports.test(body.target, before=lambda: call.begin(CUT_SHORT))
    return TestedTargetsShape(targets={name: shapes.target_answer(each) for name, each in answers.items()})


@operations.post("/reports/replay", Scope.ADMIN, raises=(UnknownReport, InvalidConfiguration), action="report.replay")
async def replay_report(call: Call, body: ReportReplayFields) -> DeliveriesShape:
    """Send a report again, with the same content and the same id."""
    found = await call.stentor.reports.replay(body.report, body.target, along=call.along(_deliveries))
    return _deliveries(found)


def _deliveries(found: list[ReportDelivery]) -> DeliveriesShape:
    return DeliveriesShape(reports=[shapes.delivery(each) for each in found])
