"""A campaign whose template skips some: their outcome, the preview, the report, `explain`, and a retry."""

from __future__ import annotations

from pathlib import Path

import pytest

from stentor.audience.contract import Selection
from stentor.errors import InvalidAudience
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

USERS = Selection(source=AUDIENCE)
TEXT = "{% if id % 5 == 0 %}{{ skip('has it already') }}{% elif id == 7 %}{{ [] | number }}{% endif %}Number {{ id }}"
SKIPPED = {str(number) for number in range(1, 41) if number % 5 == 0}


@pytest.mark.timeout(120)
async def test_who_is_skipped_is_counted_told_and_not_tried_again(tmp_path: Path, facts: Facts) -> None:
    content = Content(message=Message(title=TEXT, ttl=3600))
    async with Stentor(rehearse(tmp_path, facts)) as stentor:
        preview = await stentor.campaigns.prepare(Draft(content, USERS))
        told = "4 of 20 installations looked at get nothing (Skipped): 4 as has it already"
        assert {f"apns/ios: {told}", f"fcm/android: {told}"} <= set(preview.warnings)
        campaign = await stentor.campaigns.send(Draft(content, USERS), preview=preview)
        report = await stentor.roles.run(campaign.id)
        assert (report.total.accepted, report.total.rejected) == (31, 9)
        assert (report.left_out, report.dead, report.to_retry(), report.to_retry(["Skipped"])) == (8, 0, 1, 8)
        failed = {row.installation: row async for row in stentor.outcomes.failures(campaign.id)}
        assert {key for key, row in failed.items() if row.reason == "Skipped"} == SKIPPED
        assert {(row.detail, row.tries, row.dead) for key, row in failed.items() if key in SKIPPED} == {
            ("has it already", 0, False)
        }
        assert failed["7"].reason == "TemplateError"
        found = await stentor.outcomes.explain(campaign.id, "10")
        assert found.events[-1].text == "It was left out by a rule, as Skipped: has it already. Nothing was sent."
        assert (await stentor.outcomes.audit(campaign.id)).exact

        again = await stentor.campaigns.retry(campaign.id)
        report = await stentor.roles.run((await stentor.campaigns.start(again.id)).id)
        assert report.total.read == 1, "only whom the template failed for"
        asked = await stentor.campaigns.retry(campaign.id, reasons=["Skipped"])
        report = await stentor.roles.run((await stentor.campaigns.start(asked.id)).id)
        assert (report.total.read, report.left_out) == (8, 8)
        with pytest.raises(InvalidAudience, match="nobody"):
            await stentor.campaigns.prepare(
                Draft(content, Selection(source=AUDIENCE, failed_of=asked.id, within=USERS))
            )
