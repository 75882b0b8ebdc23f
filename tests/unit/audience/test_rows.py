"""What a row of an imported file must fulfil, and what becomes of it."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.importing import shorten
from stentor.audience.registry import Registration
from stentor.audience.rows import ColumnMapping, Dropped, RowReader, RowRefused
from stentor.audience.values import addresses

APNS = "ab" * 32
FCM = "dQw4w9WgXcQ:APA91b" + "x" * 120
GOOD = {"id": "u1", "address": APNS, "channel": "apns"}


def read(row: dict[str, Any], channel: str | None = None, app: str | None = None) -> Registration:
    registration, left_out = whole(row, channel, app)
    assert left_out == []
    return registration


def whole(
    row: dict[str, Any], channel: str | None = None, app: str | None = None
) -> tuple[Registration, list[Dropped]]:
    return RowReader(ColumnMapping(channel=channel, app=app), frozenset({"apns", "fcm"})).registration(row)


def test_a_full_row() -> None:
    said = {"app": "ios", "language": "pt-BR", "time_zone": "Europe/Berlin", "registered_at": "2026-01-01T00:00:00Z"}
    row = GOOD | said | {"country": "AT", "empty": "", "nothing": None}
    assert read(row) == Registration(
        id="u1",
        channel="apns",
        address=APNS,
        app="ios",
        language="pt-BR",
        time_zone="Europe/Berlin",
        attributes='{"country":"AT"}',
        registered_at=1767225600.0,
    )


def test_constants_are_for_rows_that_say_nothing() -> None:
    assert read({"id": "1", "address": FCM}, channel="fcm", app="main").app == "main"
    assert read(GOOD, channel="fcm").channel == "apns"


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"id": ""}, "no id"),
        ({"id": "  "}, "no id"),
        ({"id": "x" * 513}, "malformed id"),
        ({"id": "a\nb"}, "malformed id"),
        ({"id": ["a"]}, "malformed id"),
        ({"id": True}, "malformed id"),
        ({"address": None}, "no address"),
        ({"channel": None}, "no channel"),
        ({"channel": "ios"}, "unknown channel"),
        ({"address": "xyz"}, "malformed address"),
        ({"address": "a" * 63}, "malformed address"),
        ({"address": f"<{APNS}>"}, "malformed address"),
        ({"address": FCM}, "address of another channel"),
        ({"address": APNS, "channel": "fcm"}, "address of another channel"),
        ({"address": "too short", "channel": "fcm"}, "malformed address"),
        ({"address": "ä" * 140, "channel": "fcm"}, "malformed address"),
        ({"address": 'quoted"' * 20, "channel": "fcm"}, "malformed address"),
        ({"app": "a\0b"}, "malformed app"),
        ({"app": "\udcff"}, "malformed app"),
    ],
)
def test_a_row_that_breaks_a_rule(row: dict[str, Any], rule: str) -> None:
    with pytest.raises(RowRefused) as caught:
        read(GOOD | row)
    assert caught.value.rule == rule
    assert APNS not in str(caught.value)
    assert FCM not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"language": "german please"}, "malformed language"),
        ({"time_zone": "Mars/Olympus"}, "unknown time zone"),
        ({"time_zone": "../../etc/passwd"}, "unknown time zone"),
        ({"registered_at": "yesterday"}, "not a time"),
        ({"language": ["de"]}, "malformed language"),
        ({"time_zone": 5}, "unknown time zone"),
        ({"registered_at": -1}, "not a time"),
        ({"registered_at": float("nan")}, "not a time"),
        ({"registered_at": True}, "not a time"),
        ({"attributes": "no JSON"}, "malformed attributes"),
        ({"attributes": "[]"}, "malformed attributes"),
        ({"odd": object()}, "malformed attributes"),
        ({"attributes": "[" * 100_000}, "malformed attributes"),
        ({"attributes": '{"a": ' + "[" * 100 + "]" * 100 + "}"}, "malformed attributes"),
        ({"attributes": '{"a": {"b": "x\\u0000"}}'}, "malformed attributes"),
        ({"attributes": '{"a": "\\\\\\u0000"}'}, "malformed attributes"),
        ({"odd": "a\0b"}, "malformed attributes"),
        ({"o\0dd": "a"}, "malformed attributes"),
        ({"odd": "\ud800"}, "malformed attributes"),
    ],
)
def test_what_is_not_needed_to_reach_somebody_is_left_out_and_told(row: dict[str, Any], rule: str) -> None:
    registration, left_out = whole(GOOD | {"plan": "pro"} | row)
    assert registration == read(GOOD | {"plan": "pro"})
    assert [each.rule for each in left_out] == [rule]
    assert APNS not in left_out[0].detail


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("zh_CN_#Hans", "zh-Hans-CN"),
        ("zh__#Hant", "zh-Hant"),
        ("sr_RS_#Latn-u-nu-latn", "sr-Latn-RS"),
        ("de_AT.UTF-8", "de-AT"),
        ("ca_ES@euro", "ca-ES"),
        ("de-DE,de;q=0.9", "de-DE"),
        (" pt_BR ", "pt_BR"),
        ("es-419", "es-419"),
    ],
)
def test_languages_as_phones_and_browsers_write_them(written: str, stored: str) -> None:
    assert read(GOOD | {"language": written}).language == stored


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("GMT+0530", "UTC+05:30"),
        ("GMT-08:00", "UTC-08:00"),
        ("UTC+2", "UTC+02:00"),
        ("+0100", "UTC+01:00"),
        ("Etc/GMT-5", "Etc/GMT-5"),
        (" ", None),
    ],
)
def test_zones_that_have_no_name(written: str, stored: str | None) -> None:
    assert read(GOOD | {"time_zone": written}).time_zone == stored


@pytest.mark.parametrize(
    ("given_", "epoch"),
    [
        (1767225600, 1767225600.0),
        ("1767225600.5", 1767225600.5),
        ("2026-01-01 00:00:00", 1767225600.0),
        ("2026-01-01T01:00:00+01:00", 1767225600.0),
        (datetime(2026, 1, 1), 1767225600.0),
        (1767225600000, 1767225600.0),
        ("", None),
    ],
)
def test_times_of_registration(given_: Any, epoch: float | None) -> None:
    assert read(GOOD | {"registered_at": given_}).registered_at == epoch


def test_attributes_are_the_columns_that_nobody_knows_and_those_in_the_object() -> None:
    row = GOOD | {"attributes": {"plan": "pro", "age": 3}, "country": "AT", "age": "4"}
    attributes = read(row).attributes
    assert attributes is not None
    assert msgspec.json.decode(attributes) == {"plan": "pro", "age": "4", "country": "AT"}


def test_columns_by_their_names() -> None:
    mapping = ColumnMapping({"token": "Push Token", "land": "country"})
    picked = mapping.pick(["ID", "Push Token", "address", "timezone", "country", "Plan"])
    assert picked.names == ("id", "address", "address", "time_zone", "land", "Plan")
    assert picked.columns == (0, 1, 2, 3, 4, 5)


def test_a_column_may_be_both_id_and_address() -> None:
    picked = ColumnMapping({"id": "chat", "token": "chat"}).pick(["name", "chat"])
    assert picked.row(["Ann", "4711"]) == {"name": "Ann", "id": "4711", "address": "4711"}


@pytest.mark.parametrize("columns", [{}, {"channel": "platform"}])
def test_what_a_word_in_a_column_means(columns: dict[str, str]) -> None:
    mapping = ColumnMapping(columns, values={"platform": {"ios": "apns", "2": "fcm"}})
    picked = mapping.pick(["id", "platform"])
    assert [picked.row(["1", word])["channel"] for word in ("ios", " ios ", 2, "webpush", None)] == [
        "apns",
        "apns",
        "fcm",
        "webpush",
        None,
    ]


def test_a_mapped_column_is_the_channel_only_where_nothing_else_is() -> None:
    values = {"plan": {"1": "free"}}
    assert ColumnMapping(channel="apns", values=values).pick(["plan"]).row(["1"]) == {"plan": "free"}
    assert ColumnMapping(values=values).pick(["channel", "plan"]).names == ("channel", "plan")
    assert ColumnMapping(values={"Language": {"x": "de"}}).pick(["Language"]).row(["x"]) == {"language": "de"}


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "language", "time_zone", "registered_at", "attributes", "x"]),
        st.one_of(
            st.none(),
            st.text(),
            st.integers(),
            st.floats(),
            st.booleans(),
            st.binary(),
            st.lists(st.text(), max_size=2),
        ),
    )
)
def test_any_row_is_registered_or_refused(row: dict[str, Any]) -> None:
    for candidate in (row, GOOD | row):
        try:
            assert isinstance(whole(candidate)[0], Registration)
        except RowRefused as refusal:
            assert refusal.rule  # noqa: PT017  # either is fine, another exception isn't


@pytest.mark.parametrize(("address", "shown"), [(APNS, "abababab…"), ("abcd", "ab…"), (None, ""), ("", "")])
def test_addresses_are_shortened(address: object, shown: str) -> None:
    assert shorten(address) == shown


def test_no_repr_shows_an_address() -> None:
    assert APNS not in repr(read(GOOD))


def test_what_only_looks_like_a_nul_is_none() -> None:
    assert read(GOOD | {"odd": r"\u0000"}).attributes == r'{"odd":"\\u0000"}'


def test_a_number_of_any_length_is_an_attribute() -> None:
    number = '{"n":10000000000000000000000000}'
    assert read(GOOD | {"attributes": number}).attributes == number


@pytest.mark.parametrize(
    ("address", "registered"),
    [
        (b"APA91b:" + b"x" * 140, "APA91b:" + "x" * 140),
        (" " + "x" * 140 + "\n", "x" * 140),
        ({"endpoint": "ü", "keys": {}}, '{"endpoint":"ü","keys":{}}'),
        (bytes(range(32)), bytes(range(32)).hex()),
    ],
)
def test_an_address_is_read_as_from_an_app_s_own_table(
    monkeypatch: pytest.MonkeyPatch, address: Any, registered: str
) -> None:
    monkeypatch.setattr("stentor.audience.rows.find", lambda _: SimpleNamespace(check_address=lambda _: None))
    assert read(GOOD | {"address": address}).address == registered
    assert addresses([address]) == [registered.encode()]
