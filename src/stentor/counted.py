"""Numbers with the noun that they count: `1 recipient`, `2 recipients`. Pure."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """A number and its noun, e.g. `1,000 tries`.

    Args:
        one: the noun for 1.
        many: the noun for any other number; `one` with an s if left out.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
