"""What the page of guarantees says is tested is tested: the files and tests it names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
NAMED = re.compile(r"`((?:src|unit|integration|acceptance)/[\w/]+\.py)`|`(test_\w+)`")


def named(page: str) -> list[tuple[str, str]]:
    """(file, test): each test belongs to the file that was named last before it."""
    found, file = [], ""
    for path, test in NAMED.findall(page):
        if path:
            file = path if path.startswith("src/") else f"tests/{path}"
        else:
            found.append((file, test))
    return found


def test_every_test_it_names_exists() -> None:
    tests = named(PAGE)
    assert len(tests) > 30
    missing = []
    for file, test in tests:
        path = ROOT / file
        if not path.is_file() or not re.search(rf"\bdef {test}\(", path.read_text("utf-8")):
            missing.append(f"{file}: {test}")
    assert missing == []
