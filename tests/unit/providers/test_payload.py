"""The checks and tools that all payloads share."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from stentor.errors import InvalidMessage
from stentor.model import LocalizedText, Message, Priority
from stentor.providers import payload


def test_merge_goes_object_by_object() -> None:
    base = {"aps": {"badge": 1, "alert": {"title": "a"}}, "x": 1}
    over = {"aps": {"badge": None, "alert": {"body": "b"}}, "x": {"y": 2}, "gone": None}
    assert payload.merge(base, over) == {"aps": {"alert": {"title": "a", "body": "b"}}, "x": {"y": 2}}
    assert base["aps"] == {"badge": 1, "alert": {"title": "a"}}, "the original stays as it was"


def test_json_is_compact_utf8_and_takes_any_mapping() -> None:
    assert payload.to_json({"a": MappingProxyType({"b": "é"})}, "x") == '{"a":{"b":"é"}}'.encode()


@pytest.mark.parametrize("value", [{"a": object()}, {"a": "\ud800"}])
def test_what_is_not_json_names_the_field(value: object) -> None:
    with pytest.raises(InvalidMessage) as raised:
        payload.to_json(value, "apns.payload")
    assert raised.value.field == "apns.payload"


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\x00", "\x7f", "", " a", "a ", 5, None, "\ud800"])
def test_nothing_can_be_smuggled_into_a_header(value: object) -> None:
    with pytest.raises(InvalidMessage) as raised:
        payload.header_text(value, "apns.collapse_id")
    assert raised.value.field == "apns.collapse_id"


def test_the_largest_field_is_named() -> None:
    assert payload.largest_field({"aps": {"alert": {"title": "a", "body": "b" * 50}}, "x": [1, 2]}) == (
        "aps.alert.body",
        52,
    )
    assert payload.largest_field({}) == ("", 0)
    with pytest.raises(InvalidMessage, match=r"is 5,000 bytes, 4,096 are allowed; its largest field is `a.b` with 6 b"):
        payload.check_size(5000, 4096, {"a": {"b": "1234"}}, "x")


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_bounds_are_within_the_range(value: float) -> None:
    payload.check_number(value, "x", least=0, most=1)
    for wrong in (-0.1, 1.1):
        with pytest.raises(InvalidMessage):
            payload.check_number(wrong, "x", least=0, most=1)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("title", {"title": 5}),
    ("collapse_key", {"collapse_key": 5}),
    ("title_localized.key", {"title_localized": LocalizedText(key=5)}),  # type: ignore[arg-type]
    ("body_localized.args", {"body_localized": LocalizedText(key="k", args=(1,))}),  # type: ignore[arg-type]
    ("badge", {"badge": -1}),
    ("badge", {"badge": True}),
    ("ttl", {"ttl": -1}),
    ("ttl", {"ttl": 1.5}),
    ("image", {"image": "http://example.com/a.png"}),
    ("image", {"image": "https:// x"}),
    ("priority", {"priority": "urgent"}),
    ("data.n", {"data": {"n": 1}}),
    ("data", {"data": {1: "n"}}),
    ("data", {"data": ["n"]}),
    ("title", {"silent": True, "title": "x"}),
    ("sound", {"silent": True, "sound": "default"}),
    ("badge", {"silent": True, "badge": 0}),
    ("image", {"silent": True, "image": "https://example.com/a.png"}),
    ("body_localized", {"silent": True, "body_localized": LocalizedText(key="k")}),
]


@pytest.mark.parametrize(("field", "fields"), WRONG)
def test_a_wrong_common_field_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage) as raised:
        payload.check_common(Message(**fields))
    assert raised.value.field == field


def test_a_good_message_passes() -> None:
    payload.check_common(
        Message(
            title="t",
            body="b",
            image="https://example.com/a.png",
            badge=0,
            ttl=0,
            data={"a": "b"},
            priority=Priority.LOW,
        )
    )
    payload.check_common(Message(silent=True, data={"a": "b"}, priority="high"))  # type: ignore[arg-type]  # as in a file
