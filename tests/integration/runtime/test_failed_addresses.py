"""The addresses of those who were not reached: read from the audience as it is now, and never a newer one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stentor.audience.contract import Selection
from stentor.config import Config
from stentor.errors import InvalidAudience
from stentor.recording import report
from stentor.runtime.stentor import Stentor
from stentor.store.database import Database
from tests.integration.recording.rows import NOW, Rows

AUDIENCE = {
    "table": "devices",
    "channel": "apns",
    "columns": {"id": "id", "address": "token", "registered_at": "registered_at"},
}


def config(folder: Path, **audiences: Any) -> Config:
    store = {"url": f"sqlite:///{folder / 'stentor.db'}"}
    users = {"url": f"sqlite:///{folder / 'app.db'}", **AUDIENCE}
    return Config.model_validate({"store": store, "audiences": {"users": users, **audiences}})


async def addresses(stentor: Stentor, **chosen: Any) -> dict[str, str | None]:
    found = stentor.outcomes.failures("c1", addresses=True, **chosen)
    return {row.installation: row.address async for row in found}


def make_devices(folder: Path, count: int) -> None:
    database = sqlite3.connect(folder / "app.db")
    database.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY, token TEXT, registered_at REAL)")
    database.executemany("INSERT INTO devices VALUES (?, ?, ?)", [(n, f"token-{n}", NOW - 999) for n in range(count)])
    database.execute("UPDATE devices SET token = 'newer', registered_at = ? WHERE id = 3", (NOW - 10,))
    database.execute("DELETE FROM devices WHERE id = 4")
    database.commit()
    database.close()


async def test_addresses_are_those_of_the_audience_but_not_one_registered_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FAILURES_PAGE", 2)
    make_devices(tmp_path, 6)
    async with Stentor(config(tmp_path)) as stentor:
        database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
        rows = Rows(database)
        await rows.campaign(audience=msgspec.json.encode(Selection(source="users", filters={"nothing": ["here"]})))
        await rows.batch(1, "rrxrra", keys=[b"1", b"2", b"0", b"3", b"4", b"5"])
        await database.aclose()
        assert await addresses(stentor) == {"1": "token-1", "2": "token-2", "0": "token-0", "3": None, "4": None}
        assert await addresses(stentor, dead=False) == {"0": "token-0"}
        plain = [row async for row in stentor.outcomes.failures("c1")]
        assert {row.address for row in plain} == {None}
        assert "token" not in repr([row async for row in stentor.outcomes.failures("c1", addresses=True)])


async def test_an_audience_that_is_gone_is_said_so(tmp_path: Path) -> None:
    async with Stentor(config(tmp_path)) as stentor:
        database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
        await Rows(database).campaign(audience=msgspec.json.encode(Selection(source="customers")))
        await database.aclose()
        with pytest.raises(InvalidAudience, match="there is no audience 'customers'"):
            await addresses(stentor)
