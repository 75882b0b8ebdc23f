"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from stentor.counted import counted


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
