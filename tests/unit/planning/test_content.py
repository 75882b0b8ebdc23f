"""A campaign's content: languages, templates and their failures, the way to JSON and back, and message files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.contract import LANGUAGE, TIME_ZONE
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.model import (
    ApnsOptions,
    CriticalSound,
    DiscordOptions,
    FcmOptions,
    FcmTarget,
    InterruptionLevel,
    LocalizedText,
    Message,
    Priority,
    TelegramButton,
    TelegramMarkup,
    TelegramOptions,
    WebPushAction,
    WebPushOptions,
)
from stentor.planning.content import (
    Content,
    Translation,
    content_from,
    content_of,
    decode_content,
    encode_content,
    to_file,
)

EVERYTHING = Message(
    title="Hello {{ name }}",
    body_localized=LocalizedText(key="BODY", args=("a", "b")),
    badge=0,
    data={"id": "{{ id }}", "fixed": "1"},
    ttl=3600,
    priority=Priority.NORMAL,
    apns=ApnsOptions(
        interruption_level=InterruptionLevel.PASSIVE,
        critical_sound=CriticalSound(volume=0.5),
        payload={"deep": [{"x": None}], "n": 1.5},
        raw_payload=b'{"aps":{}}',
    ),
    fcm=FcmOptions(target=FcmTarget.TOPIC, android={"notification": {"color": "#102030"}}),
)


def test_without_templates_it_is_the_message_itself() -> None:
    message = Message(title="100 % off {now}", body="no } template {")
    content = Content(message=message)
    content.check()
    assert content.variables == ()
    assert content.languages == ("",)
    assert content.render(0, {}) is message


def test_templates_anywhere_are_filled_and_the_rest_is_kept() -> None:
    message = Message(
        title="Hello {{ name | upper }}",
        body="{% if vip %}Come early{% else %}Come{% endif %}",
        data={"{{ key }}": "as it is", "n": "{{ count + 1 }}"},
        apns=ApnsOptions(thread_id="t-{{ id }}", payload={"list": [{"deep": "{{ id }}"}]}),
        body_localized=LocalizedText(key="K", args=("{{ name }}", "2")),
    )
    content = Content(message=message)
    assert content.variables == ("count", "id", "name", "vip")
    found = content.render(0, {"name": "Ann", "vip": False, "count": 2, "id": 7, "more": "ignored"})
    assert found == Message(
        title="Hello ANN",
        body="Come",
        data={"{{ key }}": "as it is", "n": "3"},
        apns=ApnsOptions(thread_id="t-7", payload={"list": [{"deep": "7"}]}),
        body_localized=LocalizedText(key="K", args=("Ann", "2")),
    )
    assert content.message is message
    assert message.title == "Hello {{ name | upper }}"


def test_what_one_text_sets_no_other_sees() -> None:
    message = Message(
        title="{{ a }}{% set b = 1 %}{% macro c() %}{% endmacro %}{{ b }}",
        subtitle="{{ b | default('-') }}",
        body="{% block d %}1{% endblock %}{{ c is defined }}",
        data={"k": "{% block d %}2{% endblock %}{{ a }}"},
    )
    found = Content(message=message).render(0, {"a": "A"})
    assert (found.title, found.subtitle, found.body, found.data["k"]) == ("A1", "-", "1False", "2A")


@pytest.mark.parametrize("variables", [{}, {"name": None}])
def test_what_is_missing_is_an_error_and_never_a_gap(variables: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage, match=r"^title: needs `name`, which this installation doesn't have$") as caught:
        Content(message=Message(title="Hello {{ name }}")).render(0, variables)
    assert caught.value.field == "title"
    content = Content(message=Message(title="Hello {{ name | default('you') }}"))
    assert content.render(0, variables).title == "Hello you"
    assert content.variables == ("name",)


@pytest.mark.parametrize("variables", [{}, {"vip": None}])
def test_a_null_is_false_where_a_template_asks(variables: dict[str, Any]) -> None:
    asked = {
        "{% if vip %}a{% else %}b{% endif %}": "b",
        "{% if not vip %}a{% endif %}": "a",
        "{% if vip == 'x' %}a{% elif vip != 'x' %}b{% endif %}": "b",
        "{% if vip in ['x', 'y'] %}a{% else %}b{% endif %}": "b",
        "{{ vip or 'you' }}": "you",
        "{{ vip if vip else 'you' }}": "you",
        "{% if vip is defined %}a{% else %}b{% endif %}": "b",
    }
    content = Content(message=Message(data={str(number): text for number, text in enumerate(asked)}))
    assert list(content.render(0, variables).data.values()) == list(asked.values())
    for text in ("{{ vip }}", "{{ vip ~ 'x' }}", "{{ vip + 1 }}", "{{ vip.name }}", "{% for x in vip %}{% endfor %}"):
        with pytest.raises(InvalidMessage, match="needs `vip`, which this installation doesn't have"):
            Content(message=Message(title=text)).render(0, variables)


@pytest.mark.parametrize("message", [Message(), Message(title=""), Message(title=" ", body="\n", ttl=60, subtitle="")])
def test_a_message_without_content_is_refused(message: Message) -> None:
    with pytest.raises(InvalidMessage, match=r"^message: says nothing; give it a title, a body or data"):
        Content(message=message).check()


@pytest.mark.parametrize(
    "message",
    [
        *(
            Message(silent=True),
            Message(badge=0),
            Message(data={"a": "1"}),
            Message(body="x"),
            Message(title="{{ a }}"),
        ),
        *(Message(telegram=TelegramOptions(text="x")), Message(body_localized=LocalizedText(key="K"))),
    ],
)
def test_any_content_will_do(message: Message) -> None:
    Content(message=message).check()


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ x + 1 }}", "a"),
        ("{{ 1 / x }}", 0),
        ("{{ x.y.z }}", {"y": {}}),
        ("{{ x() }}", 1),
        ("{{ x.__class__.__mro__ }}", "a"),
        ("{{ x.append(1) }}", [1]),
        ("{{ '%d' | format(x) }}", "a"),
        ("{% for i in range(10 ** 9) %}{{ x }}{% endfor %}", 1),
        ("{{ x | int(base=99) | round('?') }}", "1"),
    ],
)
def test_whatever_fails_in_a_template_is_told_of_its_field(template: str, value: object) -> None:
    content = Content(message=Message(data={"k": template}))
    content.check()
    with pytest.raises(InvalidMessage, match=r"^data\.k: "):
        content.render(0, {"x": value})


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (Content(message=Message(title="{{ name")), r"^title: broken template, line 1: "),
        (Content(message=Message(data={"a": "one\ntwo {% if %}"})), r"^data\.a: broken template, line 2: "),
        (Content(message=Message(body="{{ a | upperr }}")), r"^body: broken template, line 1: .*upperr"),
        (
            Content(message=Message(title="{{ a }}"), translations={"de": Translation(body="{{")}),
            r"^translations\.de\.body: broken template, line 1: ",
        ),
        (Content(message=Message(), translations={"german!": Translation()}), "'german!' is not a language tag"),
        (
            Content(message=Message(), translations={"de-AT": Translation(), "de_at": Translation()}),
            "`de-at` is there twice",
        ),
        (Content(message=Message(title="a\0b")), r"^title: has a NUL character"),
        (Content(message=Message(data={"a": "\udcff"})), r"^data\.a: has half a character"),
        (Content(message=Message(data={"a\ud800": "x"})), "^data\\.a\ufffd: has half a character"),
        (Content(message=Message(telegram=TelegramOptions(text="\0"))), r"^telegram\.text: has a NUL character"),
        (
            Content(message=Message(), translations={"de": Translation(apns={"payload": {"k": ["\0"]}})}),
            r"^translations\.de\.apns\.payload\.k\.0: has a NUL character",
        ),
    ],
)
def test_broken_content_is_found_before_anything_is_sent(content: Content, names: str) -> None:
    with pytest.raises(InvalidMessage, match=names):
        content.check()


def test_as_many_languages_as_a_batch_can_name() -> None:
    tags = [f"{first}{second}{third}" for first in "abcdefg" for second in "abcdefg" for third in "abcdefg"]
    content = Content(message=Message(title="x"), translations={tag: Translation(title=tag) for tag in tags[:255]})
    content.check()
    indices = bytes(content.language_index(tag) for tag in tags[:255])
    assert [content.render(index, {}).title for index in indices] == tags[:255]
    with pytest.raises(InvalidMessage, match=r"^translations: there are 256; a message has at most 255$"):
        Content(message=Message(title="x"), translations={tag: Translation() for tag in tags[:256]}).check()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\0b", "has a NUL character, which no phone shows and no database stores; remove it"),
        ("a\ud800b", r"has half a character \(a lone surrogate\), which cannot be sent"),
        ("x" * 65_537, "is 65,537 bytes long; a text has at most 65,536"),
        ("ä" * 32_769, "is 65,538 bytes long; a text has at most 65,536"),
        ("{{ '\\x00' }}", "has a NUL character"),
        ("{{ '\\ud800' }}", "has half a character"),
        ("{{ 'x' * 10 ** 12 }}", "the template makes a value of more than 64 KB"),
    ],
)
def test_a_text_that_cannot_be_stored_or_sent_is_found_wherever_it_stands(text: str, problem: str) -> None:
    deep = {"a": [{"b": text}]}
    german = Translation(data={"c": text})
    for content, field in [
        (Content(message=Message(title=text)), "title"),
        (Content(message=Message(apns=ApnsOptions(payload=deep))), r"apns\.payload\.a\.0\.b"),
        (Content(message=Message(), translations={"de": german}), r"translations\.de\.data\.c"),
    ]:
        with pytest.raises(InvalidMessage, match=f"^{field}: {problem}"):
            content.check()


def test_what_somebodys_values_make_of_a_text_is_checked_for_them() -> None:
    content = Content(message=Message(title="{{ name }}"))
    content.check()
    for name, problem in {
        "a\0": "has a NUL",
        "\ud800": "has half a character",
        "ä" * 32_769: "is 65,538 bytes",
    }.items():
        with pytest.raises(InvalidMessage, match=f"^title: {problem}"):
            content.render(0, {"name": name})


def test_a_message_has_a_size_with_all_its_languages() -> None:
    half = Content(message=Message(data={str(number): "x" * 60_000 for number in range(9)}))
    half.check()
    whole = replace(half, translations={"de": Translation(data={str(number): "y" * 60_000 for number in range(9)})})
    with pytest.raises(
        InvalidMessage, match=r"^message: is 1,08\d,\d+ bytes long with its translations; .* 1,048,576$"
    ):
        whole.check()


def test_a_message_has_so_many_templates_with_all_its_languages() -> None:
    """Those that a translation takes over count once."""
    tags = [f"{first}{second}" for first in "abcdef" for second in "abcdef"]
    shared = Content(message=Message(title="{{ a }}" * 3000), translations={tag: Translation(body="x") for tag in tags})
    shared.check()
    assert shared.render(len(tags), {"a": "b"}).title == "b" * 3000
    own = replace(shared, translations={tag: Translation(title="{{ b }}" * 3000) for tag in tags})
    with pytest.raises(
        InvalidMessage, match=r"^translations\.\w\w\.title: the templates .* more than 10,000 parts in all"
    ):
        own.check()


def nested(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("depth", [60, 100_000])
def test_what_is_nested_too_deeply_is_refused(depth: int) -> None:
    with pytest.raises(InvalidMessage, match=r"^(apns\.payload\.a|message): nests objects or lists more than 50 deep$"):
        Content(message=Message(apns=ApnsOptions(payload={"a": nested(depth)}))).check()


def test_languages_fall_back() -> None:
    content = Content(
        message=Message(title="Sale", body="{{ name }}", data={"a": "1", "b": "2"}),
        translations={
            "pt-BR": Translation(title="Oferta"),
            "de": Translation(title="Angebot für {{ du }}", data={"b": "zwei"}),
        },
    )
    assert content.languages == ("", "de", "pt-br")
    assert content.variables == ("du", "name")
    asked = ("de", "de-AT", "DE_CH", "de-Latn-DE-1996", "pt-br", "pt", "deu", "fr", "", " de ", "-", None)
    assert [content.language_index(tag) for tag in asked] == [1, 1, 1, 1, 2, 2, 1, 0, 0, 1, 0, 0]
    found = content.render(1, {"du": "dich", "name": "Ann"})
    assert (found.title, found.body, found.data) == ("Angebot für dich", "Ann", {"a": "1", "b": "zwei"})
    with pytest.raises(InvalidMessage, match=r"^body: needs `name`"):
        content.render(1, {"du": "dich"})
    with pytest.raises(InvalidMessage, match=r"^translations\.de\.title: needs `du`"):
        content.render(1, {"name": "Ann"})


def test_numbers_and_moments_are_written_for_each_reader() -> None:
    text = "{{ price | currency('EUR') }}, {{ at | datetime('short') }}"
    content = Content(
        message=Message(title=text), translations={"de": Translation(title=f"Nur {text}")}, language="en-GB"
    )
    content.check()
    assert content.variables == (LANGUAGE, TIME_ZONE, "at", "price")
    known = {"price": 1234.5, "at": "2030-01-31T12:00:00Z"}
    berlin = {LANGUAGE: "de-AT", TIME_ZONE: "Europe/Vienna"}
    assert content.render(0, known).title == "€1,234.50, 31/01/2030, 12:00"
    assert content.render(0, known | berlin).title == "€1,234.50, 31/01/2030, 13:00"
    assert content.render(1, known).title == "Nur 1.234,50\xa0€, 31.01.30, 12:00"
    assert content.render(1, known | berlin).title == "Nur €\xa01.234,50, 31.01.30, 13:00"
    assert content.render(1, known | {LANGUAGE: "\0", TIME_ZONE: "Asia"}).title == content.render(1, known).title
    with pytest.raises(InvalidMessage, match=r"^translations\.de\.title: needs `price`"):
        content.render(1, {"at": 0})
    with pytest.raises(InvalidMessage, match=r"^title: `datetime`: 'soon' is not a moment"):
        content.render(0, {"price": 1, "at": "soon"})
    assert Content(message=Message(title="{{ n | number }}")).variables == (LANGUAGE, "n")
    assert Content(message=Message(title="{{ n | number }}"), values={"n": "1234"}).render(0, {}).title == "1,234"


def test_whoever_reads_the_language_of_the_message_itself_gets_it() -> None:
    content = Content(message=Message(title="Colour"), translations={"en-US": Translation(title="Color")})
    assert [content.language_index(tag) for tag in ("en-GB", "en-IN", "en-US")] == [1, 1, 1]
    british = replace(content, language="en-GB")
    assert [british.language_index(tag) for tag in ("en-GB", "en-IN", "en-US", "en")] == [0, 1, 1, 1]
    assert content_of(to_file(british)) == british
    assert decode_content(encode_content(british)) == british
    with pytest.raises(InvalidMessage, match=r"^language: '!' is not a language tag"):
        replace(content, language="!").check()
    with pytest.raises(InvalidMessage, match=r"^language: must be the tag"):
        content_of({"title": "x", "language": 1})


def test_a_translation_says_a_channels_options_in_part() -> None:
    button = TelegramButton(text="Open", url="https://example.com/{{ id }}")
    message = Message(
        title="Sale",
        telegram=TelegramOptions(text="*Sale*", parse_mode=TelegramMarkup.MARKDOWN_V2, buttons=((button,),)),
        discord=DiscordOptions(content="Sale", embeds=({"title": "a"}, {"title": "b"})),
        webpush=WebPushOptions(actions=(WebPushAction(action="open", title="Open"),), require_interaction=True),
        apns=ApnsOptions(payload={"aps": {"a": 1, "b": 2}}, raw_payload=b"{}"),
    )
    german: dict[str, Any] = {
        "telegram": {"text": "*Ausverkauf {{ name }}*", "buttons": [[{"text": "Öffnen", "callback_data": "{{ id }}"}]]},
        "discord": {"content": "Ausverkauf", "embeds": [{"title": "c"}]},
        "webpush": {"actions": [{"action": "open", "title": "Öffnen"}]},
        "apns": {"payload": {"aps": {"b": 3}}},
    }
    content = Content(message=message, translations={"de": Translation(**german), "fr": Translation(body="Soldes")})
    content.check()
    assert content.variables == ("id", "name")
    found = content.render(1, {"id": 7, "name": "Ann"})
    assert found == replace(
        message,
        telegram=replace(
            message.telegram,
            text="*Ausverkauf Ann*",
            buttons=((TelegramButton(text="Öffnen", callback_data="7"),),),
        ),
        discord=DiscordOptions(content="Ausverkauf", embeds=({"title": "c"},)),
        webpush=WebPushOptions(actions=(WebPushAction(action="open", title="Öffnen"),), require_interaction=True),
        apns=ApnsOptions(payload={"aps": {"a": 1, "b": 3}}, raw_payload=b"{}"),
    )
    assert content.render(2, {"id": 7}).telegram.text == "*Sale*"
    with pytest.raises(InvalidMessage, match=r"^translations\.de\.telegram\.text: needs `name`"):
        content.render(1, {"id": 7})


@pytest.mark.parametrize(
    ("german", "names"),
    [
        (
            {"telegram": {"txt": "x"}},
            r"^translations\.de\.telegram\.txt: is not a field of a message; did you mean `text`",
        ),
        ({"telegram": {"buttons": [[{"ulr": "x"}]]}}, r"^translations\.de\.telegram\.buttons\[0\]\[0\]\.ulr: .*`url`"),
        ({"telegram": {"text": 1}}, r"^translations\.de\.telegram\.text: must be text, not a number$"),
        ({"apns": {"interruption_level": "loud"}}, r"^translations\.de\.apns\.interruption_level: .*loud"),
        ({"discord": {"content": "{{"}}, r"^translations\.de\.discord\.content: broken template"),
    ],
)
def test_a_mistake_in_a_translations_options_is_found_before(german: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidMessage, match=names):
        Content(message=Message(title="x"), translations={"de": Translation(**german)}).check()


@pytest.mark.parametrize(
    ("written", "translations", "served"),
    [
        ("zh_CN_#Hans", ["zh-Hans", "zh-Hant", "zh"], "zh-hans"),
        ("zh_CN_#Hans", ["zh-CN", "zh-TW"], "zh-cn"),
        ("zh-Hans-CN", ["zh", "zh-CN"], "zh-cn"),
        ("zh_TW_#Hant", ["zh-Hans"], ""),
        ("de_AT.UTF-8", ["de"], "de"),
        ("de-AT-1996", ["de-AT", "de"], "de-at"),
        ("x", ["de"], ""),
    ],
)
def test_locales_of_phones_find_their_translation(written: str, translations: list[str], served: str) -> None:
    content = Content(message=Message(title="x"), translations={tag: Translation() for tag in translations})
    assert content.languages[content.language_index(written)] == served


@given(st.text())
def test_any_language_tag_has_an_index(tag: str) -> None:
    content = Content(message=Message(), translations={"de": Translation()})
    assert content.language_index(tag) in (0, 1)


def test_the_outline_has_something_harmless_for_each_template() -> None:
    message = Message(title="{{ name }}", body="fixed", image="{{ image }}", fcm=FcmOptions(link="{{ link }}"))
    outline = Content(message=message, translations={"de": Translation(body="{{ x }}")})
    assert outline.outline(0) == Message(
        title="x", body="fixed", image="https://example.com/", fcm=FcmOptions(link="https://example.com/")
    )
    assert outline.outline(1).body == "x"


def test_what_a_value_holds_stays_a_text() -> None:
    message = Message(title="x", apns=ApnsOptions(payload={"a": "{{ x }}"}))
    found = Content(message=message).render(0, {"x": '"}, {"<b>{{ y }}'})
    assert found.apns.payload == {"a": '"}, {"<b>{{ y }}'}


def test_a_template_where_no_text_fits_is_refused() -> None:
    content = Content(message=Message(title="x", priority="{{ p }}"))  # type: ignore[arg-type]
    with pytest.raises(InvalidMessage, match=r"^priority: .*loud"):
        content.render(0, {"p": "loud"})
    assert content.render(0, {"p": "high"}).priority is Priority.HIGH


def test_there_and_back_again() -> None:
    content = Content(message=EVERYTHING, translations={"de": Translation(title="Hallo {{ name }}", data={"c": "3"})})
    content.check()
    assert decode_content(encode_content(content)) == content
    assert encode_content(decode_content(encode_content(content))) == encode_content(content)


def test_a_campaigns_own_values_are_text_and_need_no_column() -> None:
    content = Content(
        message=Message(title="{{ show }}: {{ name }}", body="{{ show | upper }}"),
        translations={"de": Translation(title="{{ name }}: {{ show }}")},
        values={"show": "50 % {{ off }} {% if %}"},
    )
    content.check()
    assert content.variables == ("name",)
    for each in (content, decode_content(encode_content(content))):
        message = each.render(0, {"name": "Ada", "show": "of the row"})
        assert (message.title, message.body) == ("50 % {{ off }} {% if %}: Ada", "50 % {{ OFF }} {% IF %}")
        assert each.render(1, {"name": "Ada"}).title == "Ada: 50 % {{ off }} {% if %}"
    assert content.name == "{{ show }}: {{ name }}", "it is another one for each"
    assert Content(message=Message(body="{{ show }}"), values=content.values).name == "50 % {{ off }} {% if %}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"episode": "12"}, r"^values: no text of the message uses `episode`; its templates name: show$"),
        ({"show": "a\0b"}, r"^values.show: has a NUL"),
        ({"a b": "x"}, r"^values: 'a b' is not a name that a template can use"),
    ],
)
def test_a_value_that_nothing_can_use_is_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidMessage, match=said):
        Content(message=Message(title="{{ show }}"), values=values).check()


@pytest.mark.parametrize("stored", [b"", b"{}", b'{"version":1,"message":{"title":1},"translations":{}}', b"\xff"])
def test_what_was_not_stored_by_us_is_refused(stored: bytes) -> None:
    with pytest.raises(InvalidMessage, match=r"^content: cannot be read"):
        decode_content(stored)


def test_another_versions_content_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="format 6; this Stentor reads formats up to 5"):
        decode_content(b'{"version":6,"message":{},"translations":{}}')


def test_what_an_older_stentor_would_say_wrongly_it_refuses() -> None:
    """It would ignore what it doesn't know of a translation, and tell people in the wrong language."""

    def version(**said: Any) -> int:
        content = Content(message=Message(title="x"), translations={"de": Translation(title="y", **said)})
        assert decode_content(encode_content(content)) == content
        stored: dict[str, Any] = json.loads(encode_content(content))
        return int(stored["version"])

    assert [version(), version(data={"a": "b"}), version(telegram={"text": "z"})] == [1, 1, 3]
    assert [version(body="{{ n }} number"), version(body="{{ n|number }}")] == [1, 5]
    stored: dict[str, Any] = json.loads(encode_content(Content(message=Message(title="x"), language="en")))
    assert stored["version"] == 5


# -- message files ------------------------------------------------------------------------------------------------


def test_a_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "message.toml"
    path.write_text(
        'title = "Sale"\nttl = 60\ndata = {a = "b"}\n[apns]\nthread_id = "t"\n[translations.de]\ntitle = "Angebot"\n'
    )
    assert content_from(path) == Content(
        message=Message(title="Sale", ttl=60, data={"a": "b"}, apns=ApnsOptions(thread_id="t")),
        translations={"de": Translation(title="Angebot")},
    )


def test_a_file_that_is_nested_too_deeply_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "message.json"
    for depth in (60, 400, 900, 100_000):
        path.write_text('{"apns": {"payload": {"a": ' + "[" * depth + "]" * depth + "}}}")
        with pytest.raises(
            (InvalidMessage, InvalidConfiguration), match=r"nests objects or lists|is not JSON"
        ) as caught:
            content_from(path)
        assert str(caught.value).isprintable()
    dotted = tmp_path / "message.toml"
    dotted.write_text(f"[apns.payload{'.a' * 40}]\n{'a.' * 40}b = 1")
    with pytest.raises(InvalidMessage, match="nests objects or lists more than 50 deep"):
        content_from(dotted)
    path.write_text("{}" + " " * 5_000_000)
    with pytest.raises(InvalidConfiguration, match=r"message\.json is longer than 4,194,304 bytes"):
        content_from(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidConfiguration, match="is not UTF-8 text"):
        content_from(path)


def test_bytes_are_in_base64(tmp_path: Path) -> None:
    path = tmp_path / "message.toml"
    raw = '[apns]\nraw_payload = "e30="\n[translations.de.apns]\nraw_payload = "e30K"\n'
    path.write_text(raw)
    content = decode_content(encode_content(content_from(path)))
    assert [content.render(index, {}).apns.raw_payload for index in (0, 1)] == [b"{}", b"{}\n"]
    said = Content(
        message=Message(title="{{ x }}", apns=ApnsOptions(raw_payload=b"{}")),
        translations={"de": Translation(apns={"raw_payload": b"{}\n"})},
    )
    for each in (said, decode_content(encode_content(said))):
        assert [each.render(index, {"x": 1}).apns.raw_payload for index in (0, 1)] == [b"{}", b"{}\n"]
    path.write_text(raw.replace("e30=", "e3"))
    with pytest.raises(InvalidMessage, match=r"^apns\.raw_payload: invalid base64"):
        content_from(path)


def test_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "message.JSON"
    path.write_text('{"title": "Sale", "priority": "high"}')
    assert content_from(path) == Content(message=Message(title="Sale", priority=Priority.HIGH))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('titel = "x"', r"^titel: is not a field of a message; did you mean `title`\?$"),
        ('zzzzzz = "x"', r"^zzzzzz: is not a field of a message; there are title, .*translations$"),
        ('[translation.de]\ntitle = "x"', r"did you mean `translations`\?"),
        ('[apns]\nthreadid = "x"', r"^apns\.threadid: .*did you mean `thread_id`\?"),
        ('[apns.critical_sound]\nnam = "x"', r"^apns\.critical_sound\.nam: .*did you mean `name`\?"),
        ('[telegram]\nbuttons = [[{ text = "x", ulr = "y" }]]', r"^telegram\.buttons\[0\]\[0\]\.ulr: .*mean `url`\?"),
        ('[translations.de]\ntitel = "x"', r"^translations\.de\.titel: .*did you mean `title`\?"),
        ("title = 1", r"^title: must be text, not a number$"),
        ('ttl = "soon"', r"^ttl: must be a whole number, not text$"),
        ('apns = "x"', r"^apns: must be an object, not text$"),
        ("[data]\na = 1", r"^data: each value in it must be text, not a number$"),
        ("translations = 1", r"^translations: must be an object"),
        ('translations = {de = "x"}', r"^translations\.de: must be an object, not text$"),
        ("[translations.de]\ntitle = 1", r"^translations\.de\.title: must be text, not a number$"),
        ('[translations.de]\ntelegram = "x"', r"^translations\.de\.telegram: must be an object, not text$"),
        ('[translations.de.telegram]\ntxt = "x"', r"^translations\.de\.telegram\.txt: .*did you mean `text`\?"),
        ('priority = "urgent"', r"^priority: .*urgent"),
        ('body = "{{ x"', r"^body: broken template, line 1"),
    ],
)
def test_a_file_with_a_mistake_names_it(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "message.toml"
    path.write_text(text)
    with pytest.raises(InvalidMessage, match=names):
        content_from(path)


@pytest.mark.parametrize(
    "written",
    ["{}b = 1", "[apns.{}b]", "[[ {}b ]]", "x = {{ {}b = 1 }}", "x = [1, {{{}b = 1}}]", "x = {{ y = 1, {}b = 1 }}"],
)
@pytest.mark.parametrize("part", ["a.", '"a.\\"b" . ', "'a' ."])
def test_a_name_of_thousands_of_parts_is_refused_before_it_is_read(tmp_path: Path, written: str, part: str) -> None:
    """TOML's reader takes a hundred seconds for one of 64 KB."""
    path = tmp_path / "message.toml"
    path.write_text("\n" + written.format(part * 1000))
    with pytest.raises(InvalidConfiguration, match=r"has more than 51 parts with dots between"):
        content_from(path)


def test_texts_may_have_any_dots(tmp_path: Path) -> None:
    path = tmp_path / "message.toml"
    dots = ".".join("a" * 200)
    multiline = f"""#{dots}
title = '{dots}' # {dots}
body = \"\"\"
{dots} = \\" ""
[{dots}]\"\"\"
subtitle = '''
{dots}. "'''
collapse_key = "\\"x, {dots}"
"""
    path.write_text(multiline)
    message = content_from(path).message
    assert message.title == dots
    assert message.body == f'{dots} = " ""\n[{dots}]'
    assert message.subtitle == f'{dots}. "'
    assert message.collapse_key == f'"x, {dots}'


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("m.toml", b"title = ", "m.toml is not TOML"),
        ("m.json", b"{", "m.json is not JSON"),
        ("m.json", b"[1]", "m.json must be an object"),
        ("m.toml", b"\xff\xfe", "m.toml is not UTF-8 text; save it as UTF-8"),
        ("m.json", '{"title": "Grüße"}'.encode("latin-1"), "m.json is not UTF-8 text; save it as UTF-8"),
        ("m.json", b"[" * 100_000, "m.json is not JSON"),
        ("absent.toml", None, "absent.toml cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, names: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidConfiguration, match=names):
        content_from(tmp_path / name)


@pytest.mark.parametrize(("name", "text"), [("m.toml", 'title = "Grüße"'), ("m.json", '{"title": "Grüße"}')])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8-sig"))
    assert content_from(tmp_path / name).message.title == "Grüße"
