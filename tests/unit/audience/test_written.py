"""`--filter`: what people write, what it means, and how it is said again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stentor.audience.contract import Condition, Selection
from stentor.audience.described import described
from stentor.audience.written import filters
from stentor.errors import InvalidConfiguration


@pytest.mark.parametrize(
    ("texts", "meant", "said"),
    [
        (["country=de", "country=at"], ["de", "at"], "country = de or at"),
        (["country in de, at"], ["de", "at"], "country = de or at"),
        (["country in de,at", "country=ch"], ["de", "at", "ch"], "country = de or at or ch"),
        (["country=a=b"], ["a=b"], "country = a=b"),
        (["country="], [""], "country = "),
        (["country == de", "country = 'at'"], ["de", "at"], "country = de or at"),
        (["country IN (de, at)"], ["de", "at"], "country = de or at"),
        (["country IN('de','at')"], ["de", "at"], "country = de or at"),
        (["country='de and at=x'"], ["de and at=x"], "country = de and at=x"),
        (["country=Trinidad and Tobago"], ["Trinidad and Tobago"], "country = Trinidad and Tobago"),
        (["country='>3'"], [">3"], "country = >3"),
        (["country=a>3"], ["a>3"], "country = a>3"),
        (['country in "de,at", ch'], ["de,at", "ch"], "country = de,at or ch"),
        (["country != de", 'country!="at"'], Condition(none_of=["de", "at"]), "country not de or at"),
        (["country not in de,at"], Condition(none_of=["de", "at"]), "country not de or at"),
        (["country!=de", "country!=at"], Condition(none_of=["de", "at"]), "country not de or at"),
        (["country=de", "country^=de-"], Condition(values=["de"], prefixes=["de-"]), "country = de or de-…"),
        (
            ["country^=de", "country!=de-CH"],
            Condition(prefixes=["de"], none_of=["de-CH"]),
            "country = de… and country not de-CH",
        ),
    ],
)
def test_what_people_write(texts: list[str], meant: Any, said: str) -> None:
    found = filters(texts)
    assert found == {"country": meant}
    selection = Selection(source="users", filters=found)
    assert described(selection) == f"users, {said}"
    assert msgspec.json.decode(msgspec.json.encode(selection), type=Selection) == selection


def test_a_column_may_have_spaces_and_filters_of_several_columns_stay_apart() -> None:
    assert filters(["Odd Name in x", "plan=in"]) == {"Odd Name": ["x"], "plan": ["in"]}


@pytest.mark.parametrize("text", ["", "country", "=x", "!=x", "^=", "country^=", "country in", " =x", "country in "])
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="is not a filter; write COLUMN=VALUE"):
        filters([text])


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("plan!=free,pro", "write 'plan not in free,pro', or put quotes around a value with a comma"),
        ("plan = free,pro", "write 'plan in free,pro'"),
        ('plan="free" x', "a quote is not closed, or more stands behind it"),
        ("plan!='free", "a quote is not closed"),
        ("plan<>free", "write plan!=free"),
        ("plan LIKE 'a%'", "write plan^=a"),
        *(
            (text, "make this the `where` of an audience in stentor.toml")
            for text in (
                *(
                    "age>30",
                    "age >= 30",
                    "age=>30",
                    "age < 30",
                    "age between 1 and 2",
                    "plan is null",
                    "plan IS NOT NULL",
                ),
                *("plan LIKE '%a'", "plan not like 'a%'", "plan ~ 'x'"),
            )
        ),
        ("plan=a AND country=b", "give each condition as a --filter of its own"),
        ("plan='a' and country in b,c", "give each condition as a --filter of its own"),
        ("plan=a or plan=b", "write 'COLUMN in A,B' for several values of one column"),
    ],
)
def test_what_would_not_mean_what_it_seems_to_is_refused(text: str, advice: str) -> None:
    """`plan!=free,pro` as one value would exclude nobody."""
    with pytest.raises(InvalidConfiguration) as caught:
        filters([text])
    assert advice in str(caught.value)


def test_a_stentor_that_knows_only_values_does_not_send_to_everybody() -> None:
    """It cannot read the selection, rather than leave a condition out."""
    selection = msgspec.json.encode(Selection(source="users", filters=filters(["country!=de"])))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(selection, type=Older)


class Older(msgspec.Struct):
    source: str
    filters: dict[str, list[str]] = {}
