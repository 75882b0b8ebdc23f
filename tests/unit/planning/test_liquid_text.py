"""Texts in Liquid: what they become, what is missing, who is skipped, Braze's names, and what they may take."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.contract import LANGUAGE, TIME_ZONE
from stentor.errors import InvalidMessage, Skipped
from stentor.model import Message
from stentor.planning.content import (
    Content,
    TemplateLanguage,
    Translation,
    content_of,
    decode_content,
    encode_content,
    to_file,
)

NOON = "2030-01-31T12:00:00Z"


def liquid(title: str, **more: Any) -> Content:
    return Content(message=Message(title=title), templates=TemplateLanguage.LIQUID, **more)


def fill(title: str, **values: Any) -> str | None:
    content = liquid(title, language="en")
    content.check()
    return content.render(0, values).title


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Hello {{ name }}", "Hello Ada"),
        ("Hello {{ nobody | default: 'you' }}", "Hello you"),
        ("{% if nobody %}a{% elsif nobody == 'x' %}b{% else %}c{% endif %}", "c"),
        ("{{ name | upcase | append: '!' }}", "ADA!"),
        ("{% for each in items %}{{ forloop.index }}:{{ each }} {% endfor %}", "1:a 2:b "),
        ("{% assign many = items | size %}{{ many }}", "2"),
        ("{{ row.deep[0] }}", "1"),
        ("{# not a comment #}{{ name }}", "{# not a comment #}Ada"),
        ("{% comment %}{{ nobody }}{% endcomment %}x", "x"),
        ("{{ price | currency: 'EUR' }}", "€12.50"),
        ("{{ n | plural: one: '# item', other: '# items' }}", "3 items"),
        ("{{ at | date: 'long' }}, {{ at | time }}", "January 31, 2030, 1:00 PM"),
        ("{{ at | date: '%d.%m. %H:%M' }}", "31.01. 13:00"),
        ("Hi {{${name}}}", "Hi Ada"),
        ("Hi {{ ${nobody} | default: 'you' }}", "Hi you"),
        ("{% if {{custom_attribute.${plan}}} == 'pro' %}Pro{% endif %}", "Pro"),
        ("{% if custom_attribute.${plan} == 'pro' and ${n} > 2 %}Pro{% endif %}", "Pro"),
        ("{{api_trigger_properties.${name} | upcase}}", "ADA"),
        ("costs $5 {5}", "costs $5 {5}"),
    ],
)
def test_what_a_text_becomes(text: str, written: str) -> None:
    known = {LANGUAGE: "en-US", TIME_ZONE: "Europe/Berlin", "name": "Ada", "items": ["a", "b"], "row": {"deep": [1]}}
    found = fill(text, **known, price="12.50", n=3, at=NOON, plan="pro")
    assert found is not None
    assert found.replace("\u202f", " ") == written


def test_names_are_those_of_the_audience() -> None:
    content = liquid(
        "{% assign own = b.c | upcase %}{{ own }}{{ ${a} }}{% for d in e %}{{ d }}{% endfor %}{{ 1 | number }}"
    )
    assert content.variables == (LANGUAGE, "a", "b", "e")
    assert liquid("{{ at | time }}").variables == (LANGUAGE, TIME_ZONE, "at")
    assert liquid("{{ a }}", values={"a": "{{ b }}"}).render(0, {}).title == "{{ b }}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ nobody }}", r"^title: needs `nobody`, which this installation doesn't have$"),
        ("{{ nobody.name }}", r"^title: needs `nobody`"),
        ("{{ null }}{{ none }}", r"^title: needs `none`"),
        ("{{ now }}", r"^title: needs `now`"),
        ("{{ nobody | number }}", r"^title: needs `nobody`"),
        ("{{ name | number }}", r"^title: `number`: 'Ada' is not a number$"),
        ("{{ day | date: '%Y' }}", r"^title: `date`: 'now' isn't the same at each attempt"),
        ("{{ name | divided_by: zero }}", r"^title: the template failed: "),
    ],
)
def test_what_is_missing_or_wrong_is_an_error_of_the_recipient(text: str, problem: str) -> None:
    content = liquid(text)
    with pytest.raises(InvalidMessage, match=problem):
        content.render(0, {"name": "Ada", "zero": 0, "day": "now", "none": None})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{% abort_message('not pro') %}", "not pro"),
        ('{% abort_message("not pro") %}', "not pro"),
        ("{% abort_message 'not pro' %}", "not pro"),
        ("{% abort_message() %}", "no reason was given"),
        ("{% abort_message %}", "no reason was given"),
        ("{% if ${plan} != 'pro' %}{% abort_message('not pro') %}{% else %}x{% endif %}", "not pro"),
        ("{% for i in (1..3) %}{% if i == 2 %}{% abort_message('two') %}{% endif %}{% endfor %}", "two"),
    ],
)
def test_a_text_says_who_gets_nothing(text: str, why: str) -> None:
    content = liquid(text)
    content.check()
    assert LANGUAGE in content.variables, "it is filled for each recipient"
    with pytest.raises(Skipped) as found:
        content.render(0, {"plan": "free"})
    assert found.value.why == why


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n{{ b", "broken template, line 2: expected '}}', found end of file"),
        ("{% if a %}x", "broken template: expected tag endif"),
        ("{% frob %}", "broken template, line 1: unexpected tag 'frob'"),
        ("{% include 'x' %}", "broken template, line 1: unexpected tag 'include'"),
        ("{% render 'x' %}", "broken template, line 1: unexpected tag 'render'"),
        ("{% connected_content https://example.com %}", "broken template, line 1: unexpected tag 'connected_content'"),
        ("{{ a | nope }}", "broken template: there is no filter `nope`"),
        ("{{ a | currency }}", "broken template: `currency`: missing a required argument: 'code'"),
        ("{{ a | currency: 'euro' }}", "broken template: `currency`: 'euro' is not a currency's code"),
        ("{{ a | time: 'longer' }}", "broken template: `time`: 'longer' is not a length"),
        (
            "{% abort_message why %}",
            "broken template, line 1: `abort_message` has a text: write {% abort_message('why')",
        ),
        (f"{{% abort_message('{'x' * 101}') %}}", "broken template, line 1: the reason of `abort_message` has 101"),
        ("{{ campaign.${name} }}", "`campaign.${name}` is Braze's own; name a column or attribute"),
        ("{{ ${odd name} }}", "`${odd name}` is not the name of a column or attribute"),
    ],
)
def test_what_is_wrong_is_found_by_the_check(text: str, problem: str) -> None:
    with pytest.raises(InvalidMessage) as found:
        liquid(text).check()
    assert str(found.value).startswith(f"title: {problem}")


TOO_MUCH = [
    "{% for i in (1..1000000000) %}x{% endfor %}",
    "{% for i in (1..1000000000000) offset: 100000000000 limit: 1 %}x{% endfor %}",
    "{% for i in (1..1000000000000) reversed %}x{% endfor %}",
    "{% assign x = (1..1000000000) %}{{ x | join: ',' }}",
    "{% assign x = (1..100000000000000000000000) %}{{ x | join: ',' }}",
    "{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}",
    "{% for i in (1..900) %}{% for j in (1..10) %}" + "{% if 1 == 2 %}{% endif %}" * 50 + "{% endfor %}{% endfor %}",
    "{% for i in (1..1000) %}x{% endfor %}" * 11,
    "{% assign s = 'x' %}{% for i in (1..40) %}{% assign s = s | append: s %}{% endfor %}",
    "{% assign s = 'xxxxxxxxxxxxxxxx' %}{% for i in (1..9) %}{% assign s = s | append: s %}{% endfor %}"
    "{{ s | replace: 'x', s }}",
    "{% assign n = 99999999999999 %}{% for i in (1..100) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    "{{ 1 | round: -100000000 }}",
    "{% for i in (1..900) %}{% capture c %}" + "y" * 5000 + "{% endcapture %}{% endfor %}",
    "{% for i in (1..900) %}" + "y" * 500 + "{% endfor %}",
    "{% assign a = 'a,b,c' | split: ',' %}{% for i in (1..30) %}{% assign a = a | concat: a %}{% endfor %}",
    "{% assign x = (1..8000) %}{{ x | uniq | size }}",
    "{% assign s = '<script' %}{% for i in (1..10) %}{% assign s = s | append: s %}{% endfor %}{{ s | strip_html }}",
    "{% if a %}" * 40 + "{% endif %}" * 40,
    "{{ a" + "[a" * 200 + "]" * 200 + " }}",
    "{{ a }}" * 9000,
    "{% for i in (1..1000) %}{{ 1234.5 | currency: 'EUR' }}{% endfor %}" * 6,
    "{{ '2030-01-31' | date: '" + "%A" * 60 + "' }}",
]


def check_and_render(text: str) -> None:
    content = liquid(text)
    content.check()
    content.render(0, {"a": 1})


@pytest.mark.parametrize("text", TOO_MUCH)
def test_a_text_takes_no_more_than_it_may(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidMessage):
            check_and_render(text)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_it_is_stored_and_written_to_files() -> None:
    content = liquid("{{ a }}", translations={"de": Translation(title="{{ b }}")}, language="en")
    assert decode_content(encode_content(content)) == content
    assert content_of(to_file(content)) == content
    assert b'"version":5' in encode_content(content)
    assert content_of({"title": "{{ ${a} }}", "templates": "liquid"}).variables == ("a",)
    with pytest.raises(InvalidMessage, match=r"^templates: must be one of jinja, liquid$"):
        content_of({"title": "x", "templates": "erb"})


@given(st.text(alphabet="{}%$ab|:'\".[]()1 ") | st.text())
def test_any_text_is_a_message_or_an_error(text: str) -> None:
    with suppress(InvalidMessage):
        check_and_render(text)


def test_it_is_loaded_with_the_first_message_that_has_it() -> None:
    script = (
        "import sys; from stentor.planning.content import Content; from stentor.model import Message;"
        "Content(message=Message(title='{{ x }}')).check(); assert 'liquid' not in sys.modules, 'loaded'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
