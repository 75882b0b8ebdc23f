"""What is wrong with a value is said in plain words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from stentor.wrong_types import in_words


class Inner(msgspec.Struct):
    name: str


class Everything(msgspec.Struct):
    text: str = ""
    maybe: str | None = None
    whole: int = 0
    number: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    some: Annotated[list[str], Meta(min_length=1, max_length=2)] = msgspec.field(default_factory=lambda: ["x"])
    flag: bool = False
    by_name: dict[str, list[str]] = msgspec.field(default_factory=dict)
    tree: dict[str, Any] = msgspec.field(default_factory=dict)
    choice: Literal["red", "blue"] = "red"
    short: Annotated[str, Meta(max_length=3)] = ""
    parts: list[Inner] = msgspec.field(default_factory=list)


@pytest.mark.parametrize(
    ("given", "place", "said"),
    [
        ('{"text": 7}', "text", "must be text, not a number"),
        ('{"text": null}', "text", "must be text, not null"),
        ('{"maybe": []}', "maybe", "must be text, not a list"),
        ('{"whole": "x"}', "whole", "must be a whole number, not text"),
        ('{"whole": 1.5}', "whole", "must be a whole number, not a number with a fraction"),
        ('{"whole": {}}', "whole", "must be a whole number, not an object"),
        ('{"flag": 1}', "flag", "must be true or false, not a number"),
        ('{"number": -1}', "number", "must be 0 or more"),
        ('{"number": 1e9}', "number", "must be 3600 or less"),
        ('{"number": true}', "number", "must be a number, not true or false"),
        ('{"some": []}', "some", "must have 1 or more entries"),
        ('{"some": ["a", "b", "c"]}', "some", "must have 2 or less entries"),
        ('{"some": [3]}', "some[0]", "must be text, not a number"),
        ('{"short": "long"}', "short", "must have 3 or less characters"),
        ('{"by_name": {"x": 3}}', "by_name", "each value in it must be a list, not a number"),
        ('{"by_name": {"x": [3]}}', "by_name[0]", "must be text, not a number"),
        ('{"tree": []}', "tree", "must be an object, not a list"),
        ('{"choice": "green"}', "choice", "'green' is not one of the values that are allowed"),
        ('{"parts": [{"name": 3}]}', "parts[0].name", "must be text, not a number"),
        ("[]", "", "must be an object, not a list"),
    ],
)
def test_it_is_said_in_plain_words(given: str, place: str, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(given, type=Everything)
    assert in_words(error.value) == (place, said)
