"""What differs between two versions of a message, in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from stentor.planning.content import content_of
from stentor.runtime.template_changes import SHOWN, changes_between

SALE = {"title": "Sale", "body": "Today", "translations": {"de": {"title": "Angebot"}}}


def told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    found = changes_between(content_of(before, check=False), content_of(after, check=False))
    return [each.told for each in found]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (SALE, []),
        (SALE | {"title": "Big sale"}, ['title: "Sale" became "Big sale"']),
        (SALE | {"title": None}, ['title was removed; it was "Sale"']),
        (SALE | {"badge": 0, "templates": "liquid"}, ["badge was added: 0", 'templates was added: "liquid"']),
        (SALE | {"data": {"a.b": "c"}}, ['data.a.b was added: "c"']),
        (SALE | {"apns": {"payload": {"x": None}}}, ["apns.payload.x was added: null"]),
        (SALE | {"translations": {"de": {"title": "Rabatt"}}}, ['title in de: "Angebot" became "Rabatt"']),
        (
            SALE | {"translations": {"de": {"title": "Angebot", "apns": {"category": "c"}}}},
            ['apns.category in de was added: "c"'],
        ),
        (
            SALE | {"translations": {"fr": {"title": "Soldes", "body": "Oui"}}},
            [
                'the language de was removed; it was title "Angebot"',
                'the language fr was added: title "Soldes", body "Oui"',
            ],
        ),
        (SALE | {"translations": {"de": {"title": "Angebot"}, "fr": {}}}, ["the language fr was added"]),
    ],
)
def test_each_change_is_told_in_a_sentence(after: dict[str, Any], said: list[str]) -> None:
    assert told(SALE, after) == said


def test_of_long_texts_the_place_of_the_change_is_told() -> None:
    before, after = SALE | {"body": f"{'x' * 5000}old{'y' * 5000}"}, SALE | {"body": f"{'x' * 5000}new{'y' * 5000}"}
    (said,) = told(before, after)
    assert len(said) < 2 * SHOWN + 50
    assert "xxxoldyyy" in said
    assert "xxxnewyyy" in said


def test_the_message_comes_before_its_languages() -> None:
    after = {"title": "Sale!", "body": "Now", "translations": {"de": {"title": "Rabatt"}}}
    assert [each.split(":")[0] for each in told(SALE, after)] == ["title", "body", "title in de"]
