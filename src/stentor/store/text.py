"""Text as every store can hold it: the border at which all of it is made so, wherever in the house it comes from.

PostgreSQL holds no NUL, and neither database can be given half of a surrogate pair. An app's database may hold both,
and so may what a provider says. Rules: what cannot be stored is replaced, never refused, so that no text of one
recipient's stops what is written with it; every column of text in `tables.py` is a `StorableText`, so what is compared
with a column is made the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Text, TypeDecorator

REPLACEMENT = "\ufffd"
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What no store can hold."""


def storable(text: str) -> str:
    """`text` with U+FFFD in the place of each character that cannot be stored."""
    if text.isascii() and "\0" not in text:  # nearly all, and told at once
        return text
    return UNSTORABLE.sub(REPLACEMENT, text)


def storable_column(texts: Sequence[str | None]) -> Sequence[str | None]:
    """`storable` for each of many; None stays."""
    together = "".join(filter(None, texts))
    if together.isascii() and "\0" not in together:
        return texts
    return [text and storable(text) for text in texts]


class StorableText(TypeDecorator[str]):
    """A column of text, or a parameter, that is made storable on its way to the database."""

    impl = Text
    cache_ok = True

    def __init__(self, longest: int | None = None, collation: str | None = None) -> None:
        """Args:
        longest: characters that are kept; None: all.
        """
        super().__init__(collation=collation)
        self.longest = longest
        self.collation = collation

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return storable(value[: self.longest]) if isinstance(value, str) else value
