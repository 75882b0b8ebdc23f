"""Draws trees of segments, for tests of what reads, writes and compiles them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from stentor.audience.segments.tokens import KEYWORDS
from stentor.audience.segments.tree import (
    Among,
    Begins,
    Compare,
    Contains,
    Exists,
    Instant,
    Not,
    Now,
    Tree,
    Value,
    Version,
    every,
    some,
)

NAMES = st.one_of(
    st.sampled_from(["country", "app_version", "last_seen", "Odd Name", "größe", "a.b-c", *sorted(KEYWORDS)]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\$'), min_size=1, max_size=8),
)
TEXTS = st.one_of(
    st.sampled_from(["", "DE", "pt-BR", "true", "now", "v5.2", "5", "a'b", 'a"b', "\\", "^a.*$", "$in", "in", "\n\t"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
)
NUMBERS = st.one_of(
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 6)).map(lambda drawn: whole(drawn[0] / 10 ** drawn[1])),
)
VERSIONS = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).map(lambda parts: Version(".".join(map(str, parts))))
MOMENTS = st.one_of(
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)).map(lambda at: Instant(at.replace(tzinfo=UTC))),
    st.dates(datetime(1970, 1, 1).date(), datetime(2199, 12, 31).date()).map(
        lambda day: Instant(datetime(day.year, day.month, day.day, tzinfo=UTC))
    ),
    st.integers(-(10**9), 10**9).map(Now),
    st.integers(-100, 100).map(lambda days: Now(int(timedelta(days=days).total_seconds()))),
)
ORDERED: st.SearchStrategy[Value] = st.one_of(TEXTS, NUMBERS, VERSIONS, MOMENTS)
VALUES: st.SearchStrategy[Value] = st.one_of(ORDERED, st.booleans())


def whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def leaves(
    names: st.SearchStrategy[str], ordered: st.SearchStrategy[Value], texts: st.SearchStrategy[str]
) -> st.SearchStrategy[Tree]:
    """Conditions on these names, against these values."""
    values = st.one_of(ordered, st.booleans())
    some_text = texts.filter(bool)
    return st.one_of(
        st.builds(Compare, names, st.sampled_from(["=", "!="]), values),
        st.builds(Compare, names, st.sampled_from(["<", "<=", ">", ">="]), ordered),
        st.builds(Among, names, st.lists(values, min_size=1, max_size=4).map(tuple), st.booleans()),
        st.builds(Begins, names, some_text),
        st.builds(Contains, names, some_text),
        st.builds(Exists, names),
    )


def trees(leaf: st.SearchStrategy[Tree], most: int = 12) -> st.SearchStrategy[Tree]:
    """Trees with these leaves, as `check` lets them through."""

    def above(below: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        parts: st.SearchStrategy[Sequence[Tree]] = st.lists(below, min_size=1, max_size=4)
        return st.one_of(parts.map(every), parts.map(some), below.map(Not))

    return st.recursive(leaf, above, max_leaves=most).filter(lambda tree: depth(tree) <= 15)


def depth(tree: Tree) -> int:
    below = getattr(tree, "of", ())
    return 1 + max((depth(each) for each in (below if isinstance(below, tuple) else (below,))), default=0)


TREES = trees(leaves(NAMES, ORDERED, TEXTS))
