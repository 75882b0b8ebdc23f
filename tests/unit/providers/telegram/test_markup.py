"""Markup: what passes here passes at Telegram, what Telegram refuses is refused here, and its place is told."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stentor.model import TelegramMarkup
from stentor.providers.telegram.markup import BrokenMarkup, escape, shown, utf16_length
from stentor.simulators.telegram.markup import ParseError, parse, utf16_units

MARKDOWN, HTML, PLAIN = TelegramMarkup.MARKDOWN_V2, TelegramMarkup.HTML, TelegramMarkup.PLAIN
MARKED = st.text(st.sampled_from("*_~|`[]()!>\\\n\r ab.é🏟"), max_size=14)
PIECES = ("<b>", "</b>", "<i>", "</i>", "<", ">", "&lt;", "&", "x", " ", "<a href='u'>", "</a>", "<span>", "<br>", '"')
TAGGED = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@given(st.text(), st.sampled_from(TelegramMarkup))
def test_what_is_escaped_is_shown_as_it_was(text: str, markup: TelegramMarkup) -> None:
    assert shown(escape(text, markup), markup) == text


@given(MARKED)
@example("🏟 🏟__🏟 _🏟___")
@example(">asd\n>q||e||w||\n||asdad")
@example(">asd\n>q||e||w||\nasdad")
@example("🏟 🏟```🏟 🏟`")
@example("*>abcd\n*")
@example("\\\r>")
def test_markdown_is_read_as_telegram_reads_it(text: str) -> None:
    try:
        theirs = parse(text, "MarkdownV2")
    except ParseError:
        with pytest.raises(BrokenMarkup):
            shown(text, MARKDOWN)
        return
    try:
        ours = shown(text, MARKDOWN)
    except BrokenMarkup:
        pytest.fail(f"Telegram takes {text!r}")
    assert ours.strip() == theirs


@given(TAGGED)
def test_what_passes_as_html_passes_at_telegram(text: str) -> None:
    try:
        ours = shown(text, HTML)
    except BrokenMarkup:
        return
    assert parse(text, "HTML") == ours.strip()


@given(st.text())
def test_lengths_are_those_of_utf_16(text: str) -> None:
    assert utf16_length(text) == utf16_units(text)


@pytest.mark.parametrize("form", ["", "r", "w", "wDT", "dt", "D", "T"])
def test_a_time_is_shown_in_the_readers_own_words(form: str) -> None:
    """A date-time entity of Bot API 9.5."""
    asked = f"&format={form}" if form else ""
    markdown = f"![22:45](tg://time?unix=1647531900{asked})"
    attribute = f' format="{form}"' if form else ""
    html = f'<tg-time unix="1647531900"{attribute}>22:45</tg-time>'
    for text, markup in ((markdown, TelegramMarkup.MARKDOWN_V2), (html, TelegramMarkup.HTML)):
        assert shown(text, markup) == "22:45"
        assert parse(text, markup.value) == "22:45"


def test_an_emoji_counts_as_two() -> None:
    assert utf16_length("a😀") == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Version 1.0", "`.` at character 10 needs a backslash before it"),
        ("a\nb!", "`!` at line 2, character 2 needs a backslash"),
        ("*Sale", "the `*` at character 1 (bold) has no end"),
        ("Ends _tonight", "the `_` at character 6 (italic) has no end"),
        ("*a _b* c_", "has no end"),
        ("[a](b", "the address that begins at character 4 has no `)`"),
        ("![👍](https://example.com)", "the `![` at character 1 needs (tg://emoji?id=…) or (tg://time?"),
        ("![now](tg://time?unix=soon)", "(tg://time?unix=…&format=…)"),
        ("![now](tg://time?unix=1647531900&format=x)", "(tg://time?unix=…&format=…)"),
        (">*a\nb*", "the `*` at line 1, character 2 (bold) has no end"),
    ],
)
def test_broken_markdown_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(BrokenMarkup) as error:
        shown(text, MARKDOWN)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 < 2", "`<` at character 3 begins no tag; write &lt;"),
        ("<div>a</div>", "<div> at character 1 is no tag that Telegram knows"),
        ("a <b>bold", "<b> at character 3 has no end"),
        ("<b><i>a</b></i>", "</b> at character 8 doesn't end what was begun last"),
        ("a</b>", "</b> at character 2 doesn't end"),
        ("<span>a</span>", '<span> at character 1 must be <span class="tg-spoiler">'),
        ("<tg-emoji>a</tg-emoji>", "needs an `emoji-id`"),
        ("<tg-time>now</tg-time>", "needs `unix`"),
        ('<tg-time unix="1647531900" format="long">now</tg-time>', "its `format` is"),
        ("<b", "`<` at character 1 begins no tag"),
    ],
)
def test_broken_html_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(BrokenMarkup) as error:
        shown(text, HTML)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('<b>Sale</b> &amp; <a href="https://example.com/?a=1&amp;b=2">more</a>', "Sale & more"),
        ('<span class="tg-spoiler">a</span><blockquote expandable>b</blockquote>', "ab"),
        ('<pre><code class="language-python">1 &lt; 2</code></pre>', "1 < 2"),
        ("<B>a</B>&nbsp;&#128512;", "a&nbsp;😀"),
    ],
)
def test_html_that_telegram_takes(text: str, seen: str) -> None:
    assert shown(text, HTML) == seen
    assert parse(text, "HTML") == seen
