"""Its tests run on both event loops."""

from __future__ import annotations

from tests.integration.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
