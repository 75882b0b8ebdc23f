"""A store with nothing in it yet, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.recording.rows import Rows, fresh_rows


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    """On SQLite, and once more on PostgreSQL."""
    async with fresh_rows(database_url) as made:
        yield made
