"""Segments: their three spellings are one tree, errors point at the place, and what a comparison means."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stentor.audience.segments import mongo, onesignal, readings, text, tokens, tree, written
from stentor.audience.segments.evaluate import holds
from stentor.audience.segments.tree import Compare, Exists, Not, Now, Tree, Version, every, some
from stentor.errors import InvalidSegment
from tests.unit.audience.drawn_segments import TREES

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()


def same(one: Tree, other: Tree) -> bool:
    """Whether they are the same to the last type: to Python, 1 is True."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


@given(TREES)
@example(Compare("a", "=", True))
@example(Compare("a", "=", 1))
def test_a_tree_is_the_same_as_text_and_as_json(drawn: Tree) -> None:
    said = written.written(drawn)
    assert same(text.read(said), drawn), said
    spelt = json.loads(json.dumps(mongo.written(drawn)))
    assert same(mongo.read(spelt), drawn), spelt
    assert same(text.read(written.written(mongo.read(mongo.written(text.read(said))))), drawn)


@given(TREES)
def test_a_tree_is_kept_as_it_is(drawn: Tree) -> None:
    assert same(msgspec.json.decode(msgspec.json.encode(drawn), type=Tree), drawn)


WORDS = st.sampled_from(
    [
        *sorted(tokens.KEYWORDS),
        "a",
        "now",
        "-",
        "7d",
        "v5",
        "5",
        "=",
        "<",
        "!",
        "[",
        "]",
        "(",
        ")",
        ",",
        '"',
        "\\",
        "x y",
    ]
)


@pytest.mark.fuzz
@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join)))
@example("(" * 100_000)
@example("not " * 40_000)
@example("a = " + "9" * 10_000)
@example("a in [" + "1," * 90_000)
@example("a = now - " + "9" * 10 + "w" + "9999999999w" * 20)
@example("a = 9999-12-31T23:59-14:00")
@example('a = "\\ud800"')
def test_whatever_is_read_as_text_is_a_tree_or_one_error(said: str) -> None:
    try:
        found = text.read(said)
    except InvalidSegment:
        return
    assert same(text.read(written.written(found)), found)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("a", "$and", "$or", "$nor", "$not", "$eq", "$ne", "$in", "$nin", "$gt", "$exists", "$regex"),
                    *("$options", "$date", "__type", "iso", "$relativeTime", "$version", "$select", "$huh"),
                    *("field", "relation", "value", "operator", "key", "hours_ago"),
                ]
            ),
            below,
            max_size=3,
        ),
    ),
    max_leaves=10,
)


@pytest.mark.fuzz
@given(JSON)
def test_whatever_is_read_as_json_is_a_tree_or_one_error(found: Any) -> None:
    for read in (mongo.read, onesignal.read):
        try:
            tree_ = read(found)
        except InvalidSegment:
            continue
        assert same(text.read(written.written(tree_)), tree_)


def test_a_json_that_is_deep_is_refused() -> None:
    deep: Any = {"a": 1}
    for _ in range(5000):
        deep = {"$and": [deep]}
    with pytest.raises(InvalidSegment, match="deep"):
        mongo.read(deep)
    deep = {"$gt": 1}
    for _ in range(5000):
        deep = {"$not": deep}
    with pytest.raises(InvalidSegment, match="deep"):
        mongo.read({"a": deep})


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        ("country in [DE,AT]  AND app_version>=v5.2 and last_seen > now-7d", None),
        ("country in (DE, AT)", "country in [DE, AT]"),
        ("a = 1 or b = 2 and c = 3", "a = 1 or b = 2 and c = 3"),
        ("(a = 1 or b = 2) and c = 3", "(a = 1 or b = 2) and c = 3"),
        ("((a = 1) and (b = 2 and c = 3))", "a = 1 and b = 2 and c = 3"),
        ("not a exists", "a not exists"),
        ("a not starts with x", "a exists and not (a starts with x)"),
        ("a == 5.0", "a = 5"),
        ("a <> 'it\\'s'", 'a != "it\'s"'),
        ('"Odd Name" contains "in"', '"Odd Name" contains "in"'),
        ("seen >= 2026-11-01T02:00+02:00", "seen >= 2026-11-01"),
        ("seen < now + 90m", "seen < now + 1h30m"),
        ("plan = 'true'", 'plan = "true"'),
    ],
)
def test_how_a_segment_is_written(said: str, canonical: str | None) -> None:
    assert written.written(text.read(said)) == (
        canonical or "country in [DE, AT] and app_version >= v5.2 and last_seen > now - 7d"
    )


@pytest.mark.parametrize(
    ("said", "line", "column", "problem"),
    [
        ("contry = DE", 1, 1, "there is no column or attribute 'contry'; did you mean country?"),
        ("country = DE and\n  plan is pro", 2, 8, "expected a comparison"),
        ("country in DE", 1, 12, "expected a list in brackets, such as [DE, AT], found `DE`"),
        ("country in [DE AT]", 1, 16, "expected `,` or `]`, found `AT`"),
        ("country =", 1, 10, "expected a value, found the end"),
        ("country = DE plan = pro", 1, 14, "expected `and`, `or` or the end, found `plan`"),
        ("(country = DE", 1, 14, "expected `and`, `or` or `)`, found the end"),
        ("plan = 5.2.1", 1, 8, "write `v5.2.1` for a version"),
        ("plan > 7d", 1, 8, "write `now - 7d` for a moment"),
        ("plan > now - x", 1, 8, "a duration is written like 7d"),
        ("plan > now -", 1, 13, "expected a duration such as 7d or 12h, found the end"),
        ("plan = 'x", 1, 8, "a quote is opened here and never closed"),
        ("plan = a && country = DE", 1, 10, "write `and`"),
        ("plan = 2026-02-30", 1, 8, "there is no such day or time"),
        ("plan > true", 1, 8, "true and false have no order"),
        ("plan = 1234567890123456", 1, 8, "put quotes around a longer one"),
        ('plan starts with ""', 1, 18, "the text is empty"),
        ("plan contains 5", 1, 15, "expected a text; put quotes around `5`"),
        ("plan = and", 1, 8, "put quotes around `and` if it is one"),
        ('plan = "a\\q"', 1, 10, "`\\q` means nothing"),
    ],
)
def test_an_error_points_at_the_place(said: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(InvalidSegment) as caught:
        text.read(said, ["country", "plan"])
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert problem in str(error)
    assert error.pointed is not None
    shown, caret = error.pointed.split("\n")
    assert shown == said.split("\n")[line - 1]
    assert caret == " " * (column - 1) + "^"


def test_a_long_line_is_shown_around_the_place() -> None:
    said = "a = 1 and " * 100 + "b is"
    with pytest.raises(InvalidSegment) as caught:
        text.read(said)
    shown, caret = (caught.value.pointed or "").split("\n")
    assert len(shown) <= 100
    assert shown[caret.index("^") :].startswith("is")


@pytest.mark.parametrize(
    "too_much",
    [
        "not " * tree.DEEPEST + "a = 1",
        " or ".join(f"a{number} = 1 and b = 1" for number in range(tree.MOST_NODES)),
        f"a in [{', '.join(map(str, range(tree.MOST_VALUES + 1)))}]",
        f'a = "{"x" * (tree.LONGEST_TEXT + 1)}"',
        f'"{"x" * (tree.LONGEST_NAME + 1)}" exists',
        "a = v1.2.3.4.5.6.7",
        "a < now - 999999w",
        "a < 2999-01-01",
        "a = " + "x" * tokens.LONGEST,
    ],
)
def test_what_is_too_much_is_refused(too_much: str) -> None:
    with pytest.raises(InvalidSegment):
        text.read(too_much)


def test_a_list_may_be_long() -> None:
    said = f"a in [{', '.join(map(str, range(tree.MOST_VALUES)))}]"
    assert holds(text.read(said), {"a": tree.MOST_VALUES - 1}, NOW)


# -- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"country": {"$in": ["DE", "AT"]}}, "country in [DE, AT]"),
        ({"plan": "pro", "level": {"$gt": 1, "$lte": 5}}, "plan = pro and level > 1 and level <= 5"),
        ({"plan": {"$ne": "pro"}}, "plan not exists or plan != pro"),
        ({"plan": {"$nin": ["pro", None]}}, "plan not exists or plan not in [pro]"),
        ({"plan": {"$exists": True, "$ne": "pro"}}, "plan != pro"),
        ({"plan": {"$not": {"$eq": "pro"}}}, "not (plan = pro)"),
        ({"plan": None}, "plan not exists"),
        ({"plan": {"$ne": None}}, "plan exists"),
        ({"plan": {"$in": [None, "pro"]}}, "plan not exists or plan in [pro]"),
        ({"$nor": [{"a": 1}, {"b": 2}]}, "not (a = 1 or b = 2)"),
        ({"$or": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}, "a = 1 or b = 2 and c = 3"),
        ({"plan": {"$regex": "^pro\\."}}, 'plan starts with "pro."'),
        ({"plan": {"$regex": "^\\Qa.b\\E"}}, "plan starts with a.b"),
        ({"plan": {"$regex": "pro"}}, "plan contains pro"),
        ({"seen": {"$gt": {"$relativeTime": "7 days ago"}}}, "seen > now - 7d"),
        ({"seen": {"$lt": {"$relativeTime": "in 1 day 2 hours"}}}, "seen < now + 1d2h"),
        ({"seen": {"$gt": {"__type": "Date", "iso": "2026-11-01T00:00:00.000Z"}}}, "seen > 2026-11-01"),
        ({"seen": {"$gt": {"$date": "2026-11-01T00:00:00Z"}}}, "seen > 2026-11-01"),
        ({"app": {"$gte": {"$version": "5.2"}}}, "app >= v5.2"),
    ],
)
def test_what_json_means(found: Any, said: str) -> None:
    assert written.written(mongo.read(found)) == written.written(text.read(said))


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({}, "is empty"),
        ([], "is not an object"),
        ({"a": {"$regex": "x.*"}}, "a.$regex is not supported"),
        ({"a": {"$regex": "^a\\d"}}, "a.$regex is not supported"),
        ({"a": {"$regex": "^a", "$options": "i"}}, "a.$options upper and lower case differ"),
        ({"a": {"$select": {}}}, "a.$select is not supported: a segment cannot ask other classes"),
        ({"$or": [{"a": {"$hm": 1}}]}, "$or[0].a.$hm is not known; there are $eq"),
        ({"a": {"$in": []}}, "a.$in is not a list of values"),
        ({"a": {"$in": [1, {"x": 1}]}}, "a.$in[1] is not a text"),
        ({"a": {"__type": "Pointer", "objectId": "x"}}, "a is not a date"),
        ({"$where": "x"}, "$where is not supported: a segment runs no code"),
        ({"a": {"$gt": {"$relativeTime": "soon"}}}, "is not a time such as `7 days ago`"),
        ({"a": {"$gt": True}}, "true and false have no order"),
    ],
)
def test_what_json_cannot_say(found: Any, problem: str) -> None:
    with pytest.raises(InvalidSegment) as caught:
        mongo.read(found)
    assert problem in str(caught.value)


# -- OneSignal --------------------------------------------------------------------------------------------------------


def test_filters_of_onesignal() -> None:
    found = onesignal.read(
        [
            {"field": "tag", "key": "level", "relation": ">", "value": "10"},
            {"field": "last_session", "relation": "<", "hours_ago": "1.5"},
            {"operator": "OR"},
            {"field": "app_version", "relation": ">", "value": "5.2"},
            {"operator": "AND"},
            {"field": "tag", "key": "plan", "relation": "!=", "value": "10"},
            {"operator": "OR"},
            {"field": "tag", "key": "vip", "relation": "not_exists"},
            {"field": "country", "relation": "in_array", "value": "DE, AT"},
            {"field": "tag", "key": "joined", "relation": "time_elapsed_gt", "value": "86400"},
            {"field": "amount_spent", "relation": ">", "value": "0.99"},
            {"field": "bought_sku", "key": "coins", "relation": "=", "value": "0.99"},
            {"field": "email", "value": "a@example.com"},
        ],
        {"last_session": "last_seen", "bought_sku.coins": "coins"},
    )
    assert written.written(found) == (
        'level > 10 and last_seen > now - 1h30m or app_version > v5.2 and not (plan = "10") or vip not exists and '
        "country in [DE, AT] and joined < now - 1d and amount_spent > 0.99 and coins = 0.99 and email = a@example.com"
    )


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], "is not a list"),
        ([{"field": "location", "radius": 5}], "filter 0: `location` asks for a place"),
        (
            [{"field": "tag", "key": "a", "relation": "exists"}, {"field": "iq", "relation": "="}],
            "filter 1: field: 'iq'",
        ),
        ([{"field": "country", "relation": ">", "value": "DE"}], "filter 0: relation: `country` takes =, !="),
        ([{"field": "tag", "relation": "="}], "filter 0: key: `tag` needs one"),
        ([{"operator": "OR"}], "filter 0: is an operator with no filter before it"),
        ([{"field": "email", "value": "x"}, {"operator": "OR"}], "filter 1: is an operator with no filter behind it"),
        ([{"field": "session_count", "relation": ">", "value": "many"}], "filter 0: value: a number is needed"),
        ([{"field": "last_session", "relation": ">"}], "filter 0: hours_ago: a number is needed"),
        ([{"operator": "XOR"}], "filter 0: operator: it is AND or OR"),
        ([{"field": "tag", "key": "a", "relation": "exists"}] * 201, "has 201 filters"),
    ],
)
def test_filters_of_onesignal_that_cannot_be_said(found: Any, problem: str) -> None:
    with pytest.raises(InvalidSegment) as caught:
        onesignal.read(found)
    assert problem in str(caught.value)


# -- meaning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["plan = pro", "plan != pro", "plan not in [pro]", "plan > a", "plan not contains p"])
@pytest.mark.parametrize("row", [{}, {"plan": None}])
def test_a_comparison_with_a_missing_value_is_false(said: str, row: dict[str, Any]) -> None:
    assert not holds(text.read(said), row, NOW)
    assert holds(text.read(f"not ({said})"), row, NOW)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("a = 5", 5),
        ("a = 5", "5"),
        ("a = 5", "5.0"),
        ("a = 0.1", Decimal("0.10")),
        ('a = "5"', 5),
        ("a != 5", "abc"),
        ("a > v5.9", "5.10"),
        ("a = v5.2", "v5.2.0"),
        ("a = v5.2", "5.2-beta1"),
        ("a >= v5", 5),
        ("a = true", True),
        ("a = true", 1),
        ("a = false", "false"),
        ("a < now - 7d", datetime(2026, 11, 23, 11, tzinfo=UTC)),
        ("a < now - 7d", "2026-11-23T12:59:59+01:00"),
        ("a > now - 7d", NOW - 6 * 86_400),
        ("a > now - 7d", str(int(NOW * 1000))),
        ("a >= 2026-11-01", "2026-11-01"),
        ("a starts with D", "DE"),
        ("a contains football", ["football", "chess"]),
        ("a < b", "a"),
        ("a < b", "B"),
    ],
)
def test_what_holds(said: str, value: Any) -> None:
    assert holds(text.read(said), {"a": value}, NOW)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("a = de", "DE"),
        ("a = 5", True),
        ('a = "5.0"', 5.0),
        ("a > v5", "five"),
        ("a = true", "yes"),
        ("a > 2026-01-01", "2026-02-30"),
        ("a > 2026-01-01", "soon"),
        ("a contains foot", ["football"]),
        ("a > 5", {"b": 6}),
    ],
)
def test_what_does_not_hold(said: str, value: Any) -> None:
    assert not holds(text.read(said), {"a": value}, NOW)


def test_parts_of_the_same_kind_are_one() -> None:
    one, two, three = Exists("a"), Exists("b"), Exists("c")
    assert every([every([one, two]), three]) == every([one, two, three])
    assert some([one]) == one
    assert tree.names(some([one, Not(every([two, one]))])) == ["a", "b"]


def test_a_value_is_read_only_as_what_it_is_written_like() -> None:
    assert readings.version("5.2\n") is None
    assert readings.version("1.2.3.4.5.6.7") is None
    assert readings.number("1e5") is None
    assert readings.number("٣") is None
    assert readings.moment("2026-11-30T24:00Z") is None
    assert readings.moment("2026-11-30T10:00:00.1234567Z") == datetime(2026, 11, 30, 10, 0, 0, 123456, UTC).timestamp()
    assert Version("5.02.0").parts == (5, 2)
    assert Now(0) != Now(1)
