"""Simulated providers, once for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.runtime.rehearsal import Facts, providers


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found
