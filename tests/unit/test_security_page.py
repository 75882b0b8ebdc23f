"""docs/security.md has every item of the standard at level 1, an answer to each, and names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.unit.test_guarantees import NAMED, ROOT, named
from tests.unit.test_house import MODULES

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
LEVEL_1 = """
1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.1 1.3.2 1.5.1 2.1.1 2.2.1 2.2.2 2.3.1 3.2.1 3.2.2 3.3.1 3.4.1 3.4.2 3.5.1 3.5.2 3.5.3
4.1.1 4.4.1 5.2.1 5.2.2 5.3.1 5.3.2 6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.3.1 6.3.2 6.4.1 6.4.2
7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2 8.1.1 8.2.1 8.2.2 8.3.1 9.1.1 9.1.2 9.1.3 9.2.1 10.4.1 10.4.2 10.4.3 10.4.4 10.4.5
11.3.1 11.3.2 11.4.1 12.1.1 12.2.1 12.2.2 13.4.1 14.2.1 14.3.1 15.1.1 15.2.1 15.3.1
"""
"""The items of ASVS 5.0.0 at level 1."""
YES, IN_PART, NO, NOT_HERE = "yes", "in part", "no", "–"
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
OUTDATED = re.compile(r"\b(md5|sha1|SHA1|MD5)\b")


def test_every_item_has_its_row_in_order() -> None:
    assert [item for item, *_ in ROW.findall(PAGE)] == LEVEL_1.split()
    assert len(LEVEL_1.split()) == 70


def test_whatever_holds_is_shown_by_a_test_and_all_else_has_a_reason() -> None:
    for item, _, holds, how in ROW.findall(PAGE):
        assert holds in (YES, IN_PART, NO, NOT_HERE), item
        if holds in (YES, IN_PART):
            assert NAMED.search(how), f"{item} names no test"
        else:
            assert len(how) >= len("As above"), f"{item} gives no reason"


def test_what_is_not_done_is_told_at_the_end() -> None:
    end = PAGE.partition("## What is open")[2]
    assert [item for item, _, holds, _ in ROW.findall(PAGE) if holds == NO and item not in end] == []


def test_every_test_it_names_exists() -> None:
    missing = []
    for file, test in named(PAGE):
        path = ROOT / file
        if not path.is_file() or not re.search(rf"\bdef {test}\(", path.read_text("utf-8")):
            missing.append(f"{file}: {test}")
    assert missing == []
    assert len(named(PAGE)) > 70


def test_no_outdated_hash_is_used() -> None:
    """Of simulators' own wire nothing is asked; all else goes by SHA-2 and argon2."""
    product = [path for path in MODULES if not {"simulators", "testing", "bench"} & set(path.relative_to(ROOT).parts)]
    assert [str(path) for path in product if OUTDATED.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("line", ["hashlib.md5(text)", "hashes.SHA1()"])
def test_an_outdated_hash_would_be_found(line: str) -> None:
    assert OUTDATED.search(line)
