"""The composer's form: what it has no field for stays as it is, and what nobody changed is not touched."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.contract import Condition, Selection
from stentor.dashboard import draft_form, message_form
from stentor.dashboard.form import Form
from stentor.errors import InvalidInput, InvalidMessage
from stentor.model import ApnsOptions, FcmOptions, Message, TelegramButton, TelegramOptions, WebPushOptions
from stentor.planning import content as content_module
from stentor.planning.content import Content, TemplateLanguage, Translation, content_of, encode_content
from stentor.runtime.draft import Draft


def to_file(content: Content) -> Any:
    """As JSON has it, which knows no tuples."""
    return json.loads(json.dumps(content_module.to_file(content)))


NOW = 1_800_000_000.0
PEOPLE = Selection(source="users", filters={"plan": ["free", "trial"], "country": Condition(none_of=["at"])})
RICH = Content(
    message=Message(
        title="Sale",
        body="Ends\ntonight, {{ name | default('you') }}",
        data={"screen": "sale", "empty": ""},
        ttl=3600,
        apns=ApnsOptions(thread_id="t", payload={"aps": {"x": None}}, relevance_score=0.5),
        fcm=FcmOptions(link="https://example.com/", android={"ttl": "3s"}),
        webpush=WebPushOptions(require_interaction=True),
        telegram=TelegramOptions(
            text="<b>Sale</b>", buttons=((TelegramButton(text="Go", url="https://example.com"),),)
        ),
    ),
    translations={
        "de": Translation(title="Ausverkauf", body="", telegram={"text": "<b>x</b>", "buttons": []}),
        "pt-BR": Translation(data={"screen": "br"}, subtitle=""),
        "fr": Translation(),
    },
    language="en-GB",
)


def fields(filled: draft_form.DraftForm) -> list[tuple[str, str]]:
    """What a browser sends of a form that nobody changed."""
    sent = [("base", filled.base), ("source", filled.source), ("only", filled.only), ("title", filled.title)]
    sent += [("at", filled.at), ("zone", filled.zone), ("words", ""), ("max_rate", filled.max_rate)]
    sent += [("pause_above", filled.pause_above)]
    sent += [("filter", each) for each in (*filled.filters, "", "")]
    for name, found in (("data", message_form.data_rows(filled.tree)), ("value", list(filled.values))):
        for key, value in [*found, ("", "")]:
            sent += [(f"{name}-name", key), (f"{name}-value", value)]
    for each in message_form.ALL:
        sent.append((each.name(), each.shown(filled.tree)))
        if each.translated:
            for tag in filled.languages:
                sent.append((each.name(tag), each.shown(filled.tree["translations"][tag])))
    return [(name, value.replace("\n", "\r\n")) for name, value in sent]


def sent_back(draft: Draft, **changed: str) -> Draft:
    """A draft that was opened in a form and saved, with these fields filled in otherwise."""
    names = {name.replace("__", "."): value for name, value in changed.items()}
    sent = [(name, names.get(name, value)) for name, value in fields(draft_form.form_of(draft))]
    return draft_form.read(Form(sent)).draft(draft, NOW)


def test_nothing_is_lost_by_opening_and_saving() -> None:
    draft = Draft(RICH, PEOPLE, title="Autumn", starts_at=NOW + 90.25, max_rate=0.5, collapse_id="c", pause_above=0.125)
    after = sent_back(draft)
    assert encode_content(after.content) == encode_content(draft.content)
    assert replace(after, content=RICH) == draft


def test_one_field_changes_that_field_alone() -> None:
    draft = Draft(RICH, PEOPLE, title="Autumn")
    after = sent_back(draft, m__title="Sale!", t__de__title="", m__apns__thread_id="")
    before = to_file(draft.content)
    before["title"] = "Sale!"
    del before["translations"]["de"]["title"]
    del before["apns"]["thread_id"]
    assert to_file(after.content) == before


def test_the_language_and_the_templates_can_be_chosen() -> None:
    after = sent_back(
        Draft(RICH, PEOPLE), m__body="{{ name | default: 'you' }}", m__language="en", m__templates="liquid"
    )
    assert (after.content.language, after.content.templates) == ("en", TemplateLanguage.LIQUID)
    again = sent_back(after, m__body="x", m__language="", m__templates="")
    assert (again.content.language, again.content.templates) == ("", TemplateLanguage.JINJA)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00{}"), max_size=12)
trees = st.builds(
    Message,
    title=texts | st.none(),
    body=texts | st.none(),
    subtitle=texts | st.none(),
    data=st.dictionaries(texts, texts, max_size=3),
    badge=st.none() | st.integers(0, 9),
    silent=st.just(True),
    priority=st.none() | st.sampled_from(["high", "low"]),
    apns=st.builds(ApnsOptions, thread_id=texts | st.none(), mutable_content=st.booleans()),
)
translations = st.dictionaries(
    st.sampled_from(["de", "fr", "pt-BR"]), st.builds(Translation, title=texts | st.none(), body=texts | st.none())
)


@given(message=trees, others=translations)
def test_any_message_survives_the_form(message: Message, others: dict[str, Translation]) -> None:
    content = content_of(to_file(Content(message=message, translations=others)), check=False)
    filled = draft_form.form_of(replace(Draft(RICH, PEOPLE), content=content))
    assert draft_form.read(Form(fields(filled))).tree == to_file(content)


def test_a_file_takes_the_place_of_the_fields_and_comes_back_as_fields() -> None:
    form = draft_form.form_of(Draft(RICH, PEOPLE))
    as_json = draft_form.pressed(form, "as-json", "")
    assert json.loads(as_json.as_json or "") == to_file(RICH)
    fields_again = draft_form.pressed(as_json, "as-fields", "").draft(None, NOW)
    assert to_file(fields_again.content) == to_file(RICH)
    broken = replace(as_json, as_json='{"title": ')
    with pytest.raises(InvalidMessage, match="is not JSON"):
        draft_form.pressed(broken, "as-fields", "")
    with pytest.raises(InvalidMessage, match="JSON object"):
        replace(as_json, as_json="[]").draft(None, NOW)


def test_languages_come_and_go() -> None:
    form = draft_form.form_of(Draft(Content(message=Message(title="Hi")), PEOPLE))
    both = draft_form.pressed(draft_form.pressed(form, "add-language", "de"), "add-language", "DE")
    assert both.languages == ["de"]
    assert draft_form.pressed(both, "remove-language:de", "").tree == {"title": "Hi"}
    with pytest.raises(InvalidInput, match="language tag"):
        draft_form.pressed(form, "add-language", "german please")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("title", "m.title"),
        ("language", "m.language"),
        ("translations.pt-BR.body", "t.pt-BR.body"),
        ("telegram.text", "m.telegram.text"),
        ("data.screen", "data"),
        ("apns.payload.x", ""),
        ("translations", ""),
    ],
)
def test_an_error_stands_beside_its_field(place: str, name: str) -> None:
    assert message_form.name_of(place) == name


def test_people_chosen_by_another_campaign_stay_chosen() -> None:
    again = Draft(RICH, Selection(source="users", failed_of="c1", within=PEOPLE), title="Again")
    assert draft_form.is_fixed(again.selection)
    assert sent_back(again, source="registry").selection == again.selection


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"source": ""}, "source"),
        ({"filter": "plan >= 3"}, "filter"),
        ({"words": "soon"}, "starts_at"),
        ({"at": "2030-01-01T10:00", "zone": "Nowhere/Land"}, "starts_at"),
        ({"max_rate": "many"}, "max_rate"),
        ({"pause_above": "101"}, "pause_above"),
        ({"pause_above": "some"}, "pause_above"),
    ],
)
def test_what_cannot_be_meant_names_its_field(changed: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as told:
        sent_back(Draft(RICH, PEOPLE), **changed)
    assert field in draft_form.problems_of(told.value)


def test_a_time_is_that_of_the_readers_zone() -> None:
    after: Any = sent_back(Draft(RICH, PEOPLE), at="2027-06-01T12:00", zone="Europe/Berlin")
    assert after.starts_at == 1_811_844_000.0
    assert sent_back(Draft(RICH, PEOPLE), words="+90m").starts_at == NOW + 5400
