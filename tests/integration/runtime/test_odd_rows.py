"""Campaigns to an app's rows as they may be: what is wrong with one is its own end, and is shown before the start."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stentor.audience.contract import Selection
from stentor.audience.registry import Registration, register
from stentor.cli import stage
from stentor.errors import InvalidAudience
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.database import Database
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, rehearse

USERS = Selection(source=AUDIENCE)
NEWS = Content(message=Message(title="News", ttl=3600))


async def test_addresses_that_no_store_can_hold(tmp_path: Path, facts: Facts, database_url: str) -> None:
    """Every one has an outcome with its reason, the others are sent to, and all of it was told before."""
    config = rehearse(tmp_path, facts, store=database_url)
    for number, token in ((1, "CAST(x'610062' AS TEXT)"), (2, "x'00'"), (3, "4711"), (4, "NULL")):
        change(tmp_path, f"UPDATE devices SET token = {token}, platform = 'ios' WHERE id = {number}")
    async with Stentor(config) as stentor:
        preview = await stentor.campaigns.prepare(Draft(NEWS, USERS))
        said = " ".join(preview.warnings)
        assert "3 of 22 installations looked at have a malformed address" in said
        assert "1 of 22 installations looked at has a missing address" in said
        campaign = await stentor.campaigns.send(Draft(NEWS, USERS), preview=preview)
        report = await stentor.roles.run(campaign.id)
        assert report.campaign.state is CampaignState.COMPLETED
        assert (report.total.accepted, report.total.rejected) == (36, 4)
        failed = {row.installation: row.reason async for row in stentor.outcomes.failures(campaign.id)}
        assert failed == {"1": "MalformedAddress", "2": "BadDeviceToken", "3": "BadDeviceToken", "4": "NoAddress"}
        told = [(await stentor.outcomes.explain(campaign.id, str(key))).events[-1].text for key in (1, 2, 4)]
        assert [text.endswith("It was never sent.") for text in told] == [True, False, True], told
        assert "after 1 try" in told[1]
        assert (await stentor.outcomes.audit(campaign.id)).exact
        assert stentor.roles.closings
        assert not report.dead_letters


async def test_a_word_that_means_no_channel_concerns_its_row_alone(tmp_path: Path, facts: Facts) -> None:
    config = rehearse(tmp_path, facts)
    change(tmp_path, "UPDATE devices SET platform = 'windows' WHERE id IN (1, 2)")
    change(tmp_path, "UPDATE devices SET platform = '' WHERE id = 3")
    async with Stentor(config) as stentor:
        preview = await stentor.campaigns.prepare(Draft(NEWS, USERS))
        assert preview.unroutable == 3
        assert preview.warnings == [
            "3 installations on no configured app will be rejected: 2 with `platform` 'windows', 1 with an"
            " empty `platform`"
        ]
        campaign = await stentor.campaigns.send(Draft(NEWS, USERS), preview=preview)
        report = await stentor.roles.run(campaign.id)
        assert (report.total.accepted, report.total.rejected) == (37, 3)
        failed = {row.installation: row.reason async for row in stentor.outcomes.failures(campaign.id)}
        assert failed == dict.fromkeys("123", "NoLane")
        change(tmp_path, "UPDATE devices SET platform = 'windows'")
        with pytest.raises(
            InvalidAudience,
            match=r"users has 40 installations, none on a configured app \(40 with `platform` 'windows'\)",
        ):
            await stentor.campaigns.prepare(Draft(NEWS, USERS))


async def test_tokens_as_bytes_are_read_as_hex(tmp_path: Path, facts: Facts) -> None:
    config = rehearse(tmp_path, facts)
    with closing(sqlite3.connect(tmp_path / stage.DATABASE)) as database:
        tokens = database.execute("SELECT token FROM devices WHERE platform = 'ios'").fetchall()
        bare = [(bytes.fromhex(token), token) for (token,) in tokens]
        database.executemany("UPDATE devices SET token = ? WHERE token = ?", bare)
        database.commit()
    async with Stentor(config) as stentor:
        preview = await stentor.campaigns.prepare(Draft(NEWS, USERS))
        assert preview.warnings == []
        report = await stentor.roles.run((await stentor.campaigns.send(Draft(NEWS, USERS), preview=preview)).id)
        assert report.total.accepted == 40


async def test_numbers_of_any_length_are_in_personal_texts(tmp_path: Path, facts: Facts, database_url: str) -> None:
    config = rehearse(tmp_path, facts, store=database_url)
    content = Content(message=Message(title="{{ n + 1 }}", ttl=3600))
    deep = json.dumps({"n": json.loads("[" * 100 + "]" * 100)})
    numbers = {"a": '{"n": 10000000000000000000000000}', "b": '{"n": 1}', "c": deep, "d": '{"n": "x"}'}
    async with Stentor(config) as stentor:
        database = Database.open(database_url)
        rows = [
            Registration(id=key, channel="apns", address=key * 64, attributes=attributes)
            for key, attributes in numbers.items()
        ]
        await register(database, rows)
        await database.aclose()
        registry = Selection(source="registry")
        preview = await stentor.campaigns.prepare(Draft(content, registry))
        assert (
            "1 of 4 installations looked at cannot be read, e.g. c: its n nests lists and objects more than 32"
            in preview.warnings[0]
        )
        campaign = await stentor.campaigns.send(Draft(content, registry), preview=preview)
        report = await stentor.roles.run(campaign.id)
        failed = {row.installation: row.reason async for row in stentor.outcomes.failures(campaign.id)}
        assert failed.pop("c") == "UnreadableRow"
        assert failed.pop("d") == "TemplateError"
        assert report.campaign.state is CampaignState.COMPLETED
        assert failed.keys() <= {"a", "b"}  # the simulator may not know these phones
        assert not any(reason == "TemplateError" for reason in failed.values())
        assert (await stentor.outcomes.audit(campaign.id)).exact
