"""What the page about the store says is tested is tested, and the connections it names are those that are opened."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from stentor.runtime.worker import CONNECTIONS
from stentor.store.database import Database
from tests.unit.test_guarantees import ROOT, named

PAGE = (ROOT / "docs" / "store.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["store.md", "housekeeping.md", "access.md"])
def test_every_test_it_names_exists(name: str) -> None:
    tests = named((ROOT / "docs" / name).read_text("utf-8"))
    assert len(tests) >= 5
    missing = [test for file, test in tests if not re.search(rf"\bdef {test}\(", Path(ROOT / file).read_text("utf-8"))]
    assert missing == []


def test_the_connections_are_those_that_are_opened() -> None:
    other = inspect.signature(Database.open).parameters["connections"].default
    assert f"| a role: planner, sender, recorder, scheduler | {CONNECTIONS} |" in PAGE
    assert f"the supervisor of `stentor serve` | {other} |" in PAGE
    assert f">=  {CONNECTIONS} N + 2 M + {other} for each" in PAGE
