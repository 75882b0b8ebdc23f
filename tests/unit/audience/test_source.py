"""What is said of a name that isn't known."""

from __future__ import annotations

import pytest

from stentor.audience.source import SHOWN, nearest_to


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("id", ["token", "joined"], "there are joined, token"),
        ("id", ["ident", "token"], "the nearest is ident; there are ident, token"),
        ("plam", ["plan"], "the nearest is plan; there is plan"),
        ("id", [], "there is none"),
    ],
)
def test_a_name_that_is_not_known(name: str, known: list[str], said: str) -> None:
    assert nearest_to(name, known) == said


def test_many_names_are_not_all_told() -> None:
    told = nearest_to("id", [f"column{number:03}" for number in range(SHOWN + 1)])
    assert told.endswith(f"column{SHOWN - 1:03}, …")
