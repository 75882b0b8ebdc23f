"""Each promise of docs/guarantees.md has its proof on docs/proofs.md, and the files and tests named there exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
PROOFS = (ROOT / "docs" / "proofs.md").read_text("utf-8")
NAMED = re.compile(r"`((?:src|unit|integration|acceptance|browser)/[\w/]+\.py)`|`(test_\w+)`")
SUMMARY = "In a sentence each"
WITHOUT_PROOF = (SUMMARY, "What is not promised")
"""Sections whose entries are no promises of their own."""


def named(page: str) -> list[tuple[str, str]]:
    """(file, test): each test belongs to the file that was named last before it."""
    found, file = [], ""
    for path, test in NAMED.findall(page):
        if path:
            file = path if path.startswith("src/") else f"tests/{path}"
        else:
            found.append((file, test))
    return found


def sections(page: str) -> dict[str, str]:
    """The text below each heading, up to the next one."""
    _, *parts = re.split(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def entries(page: str) -> dict[tuple[str, str], str]:
    """(heading, name) -> text: what the list entries say that begin with a name in bold."""
    found = {}
    for heading, text in sections(page).items():
        for entry in re.split(r"^(?=- )", text, flags=re.MULTILINE)[1:]:
            name = re.match(r"- \*\*(.+?)\.?\*\*", entry)
            assert name, f"{heading}: an entry without a name: {entry}"
            assert (heading, name[1]) not in found, f"{heading}: {name[1]} is there twice"
            found[heading, name[1]] = entry
    return found


def promises(page: str) -> list[tuple[str, str]]:
    return [(heading, name) for heading, name in entries(page) if heading not in WITHOUT_PROOF]


def anchor(heading: str) -> str:
    """As in a link to it."""
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def test_every_promise_has_its_proof_and_every_proof_its_promise() -> None:
    assert promises(PROOFS) == promises(GUARANTEES)
    assert len(promises(GUARANTEES)) > 50


def test_every_sentence_of_the_summary_leads_to_promises() -> None:
    with_promises = {anchor(heading) for heading, _ in promises(GUARANTEES)}
    summary = [text for (heading, _), text in entries(GUARANTEES).items() if heading == SUMMARY]
    assert len(summary) == 6
    for text in summary:
        (section,) = re.findall(r"\]\(#([\w-]+)\)", text)
        assert section in with_promises, text


def test_every_proof_names_a_test() -> None:
    assert [each for each, text in entries(PROOFS).items() if not named(text)] == []


@pytest.mark.parametrize("page", [GUARANTEES, PROOFS], ids=["guarantees.md", "proofs.md"])
def test_every_test_it_names_exists(page: str) -> None:
    missing = []
    for file, test in named(page):
        path = ROOT / file
        if not path.is_file() or not re.search(rf"\bdef {test}\(", path.read_text("utf-8")):
            missing.append(f"{file}: {test}")
    assert missing == []


def test_a_promise_without_a_proof_is_found() -> None:
    page = "# Page\n\n## Bounds\n\n- **Small.** It is.\n- **Fast**, too.\n\n## What is not promised\n\n- **Light.**\n"
    assert promises(page) == [("Bounds", "Small"), ("Bounds", "Fast")]
    assert promises(page.replace("- **Fast**, too.\n", "")) != promises(page)
    assert named("- **Small.**\n  - `unit/test_a.py`: `test_b`") == [("tests/unit/test_a.py", "test_b")]
