"""`stentor bench api`: a small one over real processes, with every figure there, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest

from stentor.bench import api
from stentor.errors import InvalidConfiguration
from tests.integration.processes import bench

RECIPIENTS, WATCHERS, ROWS = 5_001, 7, 3_000
SMALL = ("--recipients", str(RECIPIENTS), "--rounds", "1", "--watchers", str(WATCHERS), "--rows", str(ROWS))


@pytest.mark.timeout(240)
async def test_every_figure_is_there_and_the_database_is_left_as_it_was(postgres: str) -> None:
    found = bench("api", *SMALL, "--database", postgres)
    assert found["complete"]
    assert found["ratios"] == [found["ratio"]]
    assert all(rate > 0 for rate in found["rate"].values())
    assert found["ended"] == WATCHERS
    assert found["events"] >= 2 * WATCHERS, "the state and the end"
    assert found["messages"] == found["seen"] == found["accepted"] > 0
    assert found["created"] > 0
    for figure in ("create_ms", "create_for_one_ms", "create_uncounted_ms", "send_ms", "first_byte_ms"):
        assert 0 < found[figure]["p50"] <= found[figure]["p99"] <= found[figure]["max"]
    upsert, export = found["upsert"], found["export"]
    assert upsert["added"] == ROWS
    assert 0 < upsert["before_mb"] <= upsert["quarter_mb"] <= upsert["peak_mb"] <= export["peak_mb"]
    assert export["csv"]["rows"] == export["jsonl"]["rows"] == RECIPIENTS
    connection = await asyncpg.connect(postgres)
    try:
        left = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'stentor%'")
    finally:
        await connection.close()
    assert left == []


@pytest.mark.timeout(240)
def test_on_sqlite_it_says_what_it_measures_round_by_round() -> None:
    said: list[str] = []
    found = api.run(api.ApiSpec(RECIPIENTS, 2, WATCHERS, ROWS), "sqlite", said.append)
    assert found["complete"]
    assert len(found["ratios"]) == 2
    assert found["ended"] == 2 * WATCHERS
    assert [text for text in said if text.startswith("round 2 of 2")]


def test_another_database_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="--database must be"):
        api.run(api.ApiSpec(RECIPIENTS, 1, WATCHERS, ROWS), "mysql://x/y", lambda text: None)
