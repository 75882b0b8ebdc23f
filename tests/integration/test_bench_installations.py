"""`stentor bench installations` counts what it says, in a schema of its own that is gone after."""

from __future__ import annotations

import asyncio

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest

from stentor.bench import installations
from stentor.errors import InvalidConfiguration

ROWS = 3000


def test_what_it_counts_is_what_was_taken_in(postgres: str) -> None:
    said: list[str] = []
    found = installations.run(ROWS, postgres, said.append)
    told = {name: found[name]["upserted"] for name in ("new", "unchanged", "changed")}
    assert [each["read"] for each in told.values()] == [ROWS] * 3
    assert (told["new"]["added"], told["unchanged"]["unchanged"], told["changed"]["changed"]) == (ROWS,) * 3
    assert all(found[name]["rate"] > 0 for name in told)
    assert found["copy"] > 0
    assert len(said) == 4
    assert not [each for each in asyncio.run(_schemas(postgres)) if each.startswith("stentor")]


def test_another_database_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="--database must be"):
        installations.run(ROWS, "sqlite:///x", lambda text: None)


async def _schemas(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch("SELECT nspname FROM pg_namespace")]
    finally:
        await connection.close()
