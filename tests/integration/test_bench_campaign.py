"""`stentor bench campaign`: a small campaign over real processes, with every figure there and adding up."""

from __future__ import annotations

from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest

from tests.integration.processes import bench

RECIPIENTS = 5_001
SMALL = ("--recipients", str(RECIPIENTS))


@pytest.mark.timeout(240)
def test_every_figure_is_there_and_they_add_up(tmp_path: Path) -> None:
    # Without h2load, as on most machines; and nothing may be left in the folder for temporary files.
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    found = bench("campaign", *SMALL, PATH=str(tmp_path / "bin"), TMPDIR=str(tmp_path / "tmp"))
    assert found["accepted"] == RECIPIENTS
    assert found["failed"] == 0
    assert found["exact"], found["problems"]
    assert found["ratio_h2load"] is None
    assert "not installed" in found["h2load"]["missing"]
    assert found["rate"] == pytest.approx(RECIPIENTS / found["seconds"], rel=0.1)
    assert found["ratio_wire"] > 0
    assert 0 < found["first_push_seconds"] < found["seconds"] + 0.1
    stages = found["stages"]
    assert found["cpu_us"] == pytest.approx(sum(stages.values()), abs=0.1)
    for stage in ("planner.read", "planner.divide", "planner.put", "sender.take", "sender.encode", "sender.wire"):
        assert stages[stage] > 0, stage
    for stage in ("sender.decide", "sender.record", "watch"):
        assert stages[stage] > 0, stage
    assert {each["role"] for each in found["processes"]} == {"planner", "sender", "watch"}
    assert found["peak_mb"] == max(each["peak_mb"] for each in found["processes"])
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.timeout(240)
async def test_a_postgresql_database_is_left_as_it_was(postgres: str) -> None:
    found = bench("campaign", *SMALL, "--database", postgres)
    assert found["database"] == "postgresql"
    assert found["accepted"] == RECIPIENTS
    assert found["exact"], found["problems"]
    connection = await asyncpg.connect(postgres)
    try:
        left = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'stentor%'")
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    assert (left, tables) == ([], [])
