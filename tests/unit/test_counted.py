"""Numbers with their nouns, and that no text has its own way of it."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from stentor.counted import counted

SRC = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (0, ("recipient",), "0 recipients"),
        (1, ("recipient",), "1 recipient"),
        (2, ("batch", "batches"), "2 batches"),
        (1, ("batch", "batches"), "1 batch"),
        (1000, ("try", "tries"), "1,000 tries"),
        (-1, ("degree",), "-1 degrees"),
    ],
)
def test_a_number_and_its_noun(number: int, nouns: tuple[str, ...], text: str) -> None:
    assert counted(number, *nouns) == text


NOUNS = re.compile(
    r" (installations|recipients|campaigns|batches|failures|messages|pushes|phones|senders|rows|tries|outcomes"
    r"|processes|duplicates)\b(?!/s)"
)


def uncounted(source: str) -> list[int]:
    """Lines where a text has a number, other than a constant, before a noun that is wrong for 1."""
    found = []
    tree = ast.parse(source)
    for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
        if function.name == "__repr__":
            function.body = []  # for programmers
    for text in ast.walk(tree):
        if not isinstance(text, ast.JoinedStr):
            continue
        for part, after in pairwise(text.values):
            if not isinstance(part, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            names = [each for each in ast.walk(part.value) if isinstance(each, ast.Name)]
            constant = bool(names) and all(each.id.isupper() for each in names)
            fraction = part.format_spec is not None and ast.unparse(part.format_spec).endswith("f'")
            if NOUNS.match(str(after.value)) and not constant and not fraction:
                found.append(text.lineno)
    return found


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_every_text_counts_its_nouns(path: Path) -> None:
    assert uncounted(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"{number:,} recipients"', True),
        ('f"{len(rows)} rows were read"', True),
        ("f\"{counted(number, 'recipient')} were read\"", False),
        ('f"at most {MOST} rows"', False),
        ('f"{share:.1f} messages a batch"', False),
        ('f"{rate:,} pushes/s"', False),
        ('f"{name} rows"', True),
        ('f"{number} a second"', False),
    ],
)
def test_what_is_not_counted_is_found(source: str, found: bool) -> None:
    assert bool(uncounted(source)) is found
