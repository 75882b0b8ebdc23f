"""The `stentor` command on a fake Stentor."""

from __future__ import annotations

import pytest

from tests.unit.cli.fake_stentor import Command, FakeStentor


@pytest.fixture
def fake() -> FakeStentor:
    return FakeStentor()


@pytest.fixture
def stentor(fake: FakeStentor) -> Command:
    return Command(fake)
