"""A store that cannot be written to: a backup, or a folder that is mounted so. What was sent can be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from stentor.audience.contract import Selection
from stentor.errors import StoreUnusable
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.store import sqlite_driver
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, rehearse

USERS = Selection(source=AUDIENCE)
NEWS = Content(message=Message(title="News", ttl=3600))


async def test_what_was_sent_can_be_looked_at(tmp_path: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    config = rehearse(tmp_path, facts)
    change(tmp_path, "UPDATE devices SET platform = 'windows' WHERE id = 1")
    async with Stentor(config) as stentor:
        sent = await stentor.campaigns.send(Draft(NEWS, USERS))
        await stentor.roles.run(sent.id)
    uri = sqlite_driver._uri
    # Root may write to any file; to SQLite the two are the same.
    monkeypatch.setattr(sqlite_driver, "_uri", lambda path: uri(path).replace("mode=rw", "mode=ro"))
    async with Stentor(config) as stentor:
        assert [each.id for each in await stentor.campaigns.newest()] == [sent.id]
        assert (await stentor.campaigns.find("news")).id == sent.id
        report = await stentor.outcomes.report(sent.id)
        assert (report.total.accepted, report.total.rejected) == (39, 1)
        assert (await stentor.outcomes.progress(sent.id)).total.accepted == 39
        assert (await stentor.outcomes.totals([sent.id]))[sent.id].accepted == 39
        assert [row.installation async for row in stentor.outcomes.failures(sent.id)] == ["1"]
        assert (await stentor.outcomes.audit(sent.id)).exact
        assert (await stentor.outcomes.explain(sent.id, "1")).failure is not None
        with pytest.raises(StoreUnusable, match="cannot be written to"):
            await stentor.campaigns.send(Draft(NEWS, USERS))
