"""`skip` in a template: who gets nothing and why, and what is no call of it."""

from __future__ import annotations

from typing import Any

import pytest

from stentor.errors import InvalidMessage, Skipped
from stentor.model import Message
from stentor.planning.content import Content, Translation, decode_content, encode_content
from stentor.planning.skipping import LONGEST_WHY

NO_ORDERS = "{% if orders == 0 %}{{ skip('no orders') }}{% endif %}{{ orders }} orders"


def why(title: str, **values: Any) -> str:
    with pytest.raises(Skipped) as found:
        Content(message=Message(title=title)).render(0, values)
    assert len(found.value.why) <= LONGEST_WHY
    return found.value.why


def test_a_template_says_who_gets_nothing() -> None:
    content = Content(message=Message(title=NO_ORDERS))
    content.check()
    assert content.render(0, {"orders": 3}).title == "3 orders"
    assert why(NO_ORDERS, orders=0) == "no orders"
    assert why("{{ skip('only ' ~ n ~ ' left') }}", n=2) == "only 2 left"


def test_a_reason_is_short_and_in_one_line() -> None:
    assert why("{{ skip(text) }}", text="x" * 1000) == "x" * (LONGEST_WHY - 1) + "…"
    assert why("{{ skip(text) }}", text=" a\n b ") == "a b"
    nothings: list[Any] = ["", " ", [], {"a": 1}]
    for nothing in nothings:
        assert why("{{ skip(text) }}", text=nothing) == "no reason was given"


def test_who_has_no_translation_may_get_nothing() -> None:
    content = Content(
        message=Message(title="{{ skip('not in your language') }}"), translations={"de": Translation(title="Hallo")}
    )
    content.check()
    assert content.variables, "else the message would be made once for everybody"
    assert content.render(1, {}).title == "Hallo"
    with pytest.raises(Skipped, match="not in your language"):
        content.render(0, {})
    assert decode_content(encode_content(content)) == content


def test_a_value_of_that_name_is_still_a_value() -> None:
    content = Content(message=Message(title="{{ skip }}, {{ row.skip }}"))
    content.check()
    assert content.variables == ("row", "skip")
    assert content.render(0, {"skip": 1, "row": {"skip": 2}}).title == "1, 2"


def test_a_reason_that_is_missing_is_an_error_of_the_recipient() -> None:
    with pytest.raises(InvalidMessage, match=r"^title: needs `text`") as found:
        Content(message=Message(title="{{ skip(text) }}")).render(0, {})
    assert not isinstance(found.value, Skipped)


@pytest.mark.parametrize(
    ("title", "problem"),
    [
        ("{{ skip() }}", "`skip` has one text: write why, for example {{ skip('no open order') }}"),
        ("{{ skip('a', 'b') }}", "`skip` has one text"),
        ("{{ skip(why='a') }}", "`skip` has one text"),
        ("{{ skip('') }}", "`skip` needs a text"),
        ("{{ skip(1) }}", "`skip` needs a text"),
        (f"{{{{ skip('{'x' * 101}') }}}}", "the reason of `skip` has 101 characters, and at most 100"),
    ],
)
def test_a_wrong_call_is_found_by_the_check(title: str, problem: str) -> None:
    with pytest.raises(InvalidMessage) as found:
        Content(message=Message(title=title)).check()
    assert str(found.value).startswith(f"title: broken template, line 1: {problem}")
