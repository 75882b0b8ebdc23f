"""Marked-up text as Telegram reads it: whether its markup is whole, what is seen of it, how plain text is put in it.

Telegram's own rules (https://core.telegram.org/bots/api#formatting-options, Bot API 9.5 of March 2026), followed so
closely that what passes here passes there; what Telegram forgives by accident doesn't. Pure. Lengths are in UTF-16
units, as Telegram counts: most emoji are two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import unescape
from types import MappingProxyType
from typing import NamedTuple

from stentor.model import TelegramMarkup

RESERVED = "_*[]()~`>#+-=|{}.!"
"""What MarkdownV2 wants a backslash before, where it is to be itself."""
TAGS = frozenset(
    {
        *("a", "b", "strong", "i", "em", "s", "strike", "del", "u", "ins"),
        *("tg-spoiler", "tg-emoji", "tg-time", "span", "pre", "code", "blockquote"),
    }
)

_ESCAPED = re.compile(f"[{re.escape(RESERVED)}\\\\]")


class BrokenMarkup(ValueError):
    """What is wrong with a text's markup, and where."""


def utf16_length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def escape(text: str, markup: TelegramMarkup) -> str:
    """`text` so that it is shown as it is."""
    if markup is TelegramMarkup.MARKDOWN_V2:
        return _ESCAPED.sub(r"\\\g<0>", text)
    if markup is TelegramMarkup.HTML:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def shown(text: str, markup: TelegramMarkup) -> str:
    """The characters of `text` that a reader sees.

    Raises: BrokenMarkup: Telegram would refuse it.
    """
    return _READERS[markup](text)


def _where(text: str, index: int) -> str:
    """A place in a text as people look for it."""
    if "\n" not in text:
        return f"at character {index + 1}"
    return f"at line {text.count(chr(10), 0, index) + 1}, character {index - text.rfind(chr(10), 0, index)}"


# -- MarkdownV2 -------------------------------------------------------------------------------------------------------

_NAMES = MappingProxyType(
    {
        "*": "bold",
        "_": "italic",
        "__": "underlined",
        "~": "struck out",
        "||": "hidden",
        "`": "code",
        "```": "preformatted",
        "[": "link",
        "![": "custom emoji or time",
    }
)
_MARKS = ("```", "||", "__", "![", "*", "_", "~", "`", "[")
"""What begins something, the longer ones first."""
_ENDS = MappingProxyType({**{mark: mark for mark in _MARKS}, "[": "]", "![": "]"})
_BACKSLASHED = re.compile(r"\\[\x01-\x7e]")
_PLAIN = re.compile(rf"[^{re.escape(RESERVED)}\\\n]+")
_IN_CODE = re.compile(r"[^`\\]+")
_LANGUAGE = re.compile(r"[^ \t\r\n\v`]+(?=[ \t\r\n\v])")
_LINE_END = re.compile(r"\r\n|\n\r|\r|\n")
_QUOTE_END = re.compile(r"\|\|(?=\r*(?:\n(?!>)|\Z))")
_LINK_URL = re.compile(r"\(((?:\\[\x01-\x7e]|[^)])*)\)")
_TIME_FORMAT = "r|w?[dD]?[tT]?"
_MARKED_URL = re.compile(
    rf"\((?i:tg)://(?:(?i:emoji)/?\?id=[1-9][0-9]{{0,18}}"
    rf"|(?i:time)/?\?unix=[1-9][0-9]{{0,9}}(?:&format=(?:{_TIME_FORMAT}))?)\)"
)


class _Mark(NamedTuple):
    mark: str
    at: int


class _Markdown:
    """Reads a text once, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._shown: list[str] = []
        self._open: list[_Mark] = []
        """What awaits its end."""
        self._begins_line = True
        """Whether a `>` here begins a quotation, or goes on with it."""

    def read(self) -> str:
        while self._at < len(self._text):
            self._step()
        if self._innermost == ">":
            self._open.pop()
        self._refuse_open()
        return "".join(self._shown)

    @property
    def _innermost(self) -> str:
        return self._open[-1].mark if self._open else ""

    @property
    def _is_quoted(self) -> bool:
        return any(each.mark == ">" for each in self._open)

    def _step(self) -> None:
        text, at, innermost = self._text, self._at, self._innermost
        if _BACKSLASHED.match(text, at):
            self._show(text[at + 1], 2)
            self._begins_line = False
        elif text[at] == "\\":
            self._show("\\", 1)
        elif plain := (_IN_CODE if innermost in ("`", "```") else _PLAIN).match(text, at):
            self._show(plain[0], len(plain[0]))
        elif innermost and innermost != ">" and self._ends(innermost):
            self._end(self._open.pop())
        elif text[at] == "\n":
            self._end_line()
        elif innermost == ">" and (ended := _QUOTE_END.match(text, at)):
            self._open.pop()
            self._at += len(ended[0])
        elif text[at] == ">" and self._begins_line:
            if not self._is_quoted:
                self._open.append(_Mark(">", at))
            self._begins_line = False
            self._at += 1
        else:
            self._begin_any()

    def _show(self, characters: str, length: int) -> None:
        self._shown.append(characters)
        self._begins_line = self._begins_line and not characters.strip("\r")
        self._at += length

    def _ends(self, mark: str) -> bool:
        if mark == "_":  # two of them begin or end what is underlined, never this
            return self._text[self._at] == "_" and self._text[self._at + 1 : self._at + 2] != "_"
        return self._text.startswith(_ENDS[mark], self._at)

    def _end(self, ended: _Mark) -> None:
        self._at += len(_ENDS[ended.mark])
        if ended.mark == "![":
            url = _MARKED_URL.match(self._text, self._at)
            if url is None:
                needed = "(tg://emoji?id=…) or (tg://time?unix=…&format=…)"
                raise BrokenMarkup(f"the `![` {self._place(ended.at)} needs {needed} after it")
            self._at += len(url[0])
        elif ended.mark == "[" and self._text.startswith("(", self._at):
            url = _LINK_URL.match(self._text, self._at)
            if url is None:
                raise BrokenMarkup(f"the address that begins {self._place(self._at)} has no `)`")
            self._at += len(url[0])

    def _end_line(self) -> None:
        """A quotation ends with a line after which none begins by `>`; what began in it must have ended before."""
        if self._is_quoted and not self._text.startswith(">", self._at + 1):
            if self._innermost != ">":
                self._refuse_open()
            self._open.pop()
        self._show("\n", 1)
        self._begins_line = True

    def _begin_any(self) -> None:
        for mark in _MARKS:
            if self._text.startswith(mark, self._at):
                return self._begin(mark)
        character = self._text[self._at]
        raise BrokenMarkup(f"`{character}` {self._place(self._at)} needs a backslash before it")

    def _begin(self, mark: str) -> None:
        self._open.append(_Mark(mark, self._at))
        self._at += len(mark)
        if mark == "```":
            if language := _LANGUAGE.match(self._text, self._at):
                self._at += len(language[0])
            if line_end := _LINE_END.match(self._text, self._at):
                self._at += len(line_end[0])

    def _refuse_open(self) -> None:
        if self._open:
            mark, at = self._open[-1]
            raise BrokenMarkup(f"the `{mark}` {self._place(at)} ({_NAMES[mark]}) has no end")

    def _place(self, index: int) -> str:
        return _where(self._text, index)


# -- HTML -------------------------------------------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#[0-9]{1,6}|#x[0-9a-fA-F]{1,5});")
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z-]*)((?:\s+[a-z-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'))?)*)\s*>")
_ATTRIBUTE = re.compile(r"([a-z-]+)(?:\s*=\s*[\"']([^\"']*)[\"'])?")


def _html(text: str) -> str:
    seen: list[str] = []
    opened: list[tuple[str, int]] = []
    at = 0
    while (begin := text.find("<", at)) >= 0:
        seen.append(text[at:begin])
        tag = _TAG.match(text, begin)
        if tag is None:
            raise BrokenMarkup(f"`<` {_where(text, begin)} begins no tag; write &lt; for one that is to be seen")
        name, at = tag[2].lower(), tag.end()
        if name not in TAGS:
            raise BrokenMarkup(f"<{tag[1]}{name}> {_where(text, begin)} is no tag that Telegram knows")
        if not tag[1]:
            _check_attributes(name, tag[3], _where(text, begin))
            opened.append((name, begin))
        elif not opened or opened.pop()[0] != name or tag[3]:
            raise BrokenMarkup(f"</{name}> {_where(text, begin)} doesn't end what was begun last")
    if opened:
        name, begin = opened[-1]
        raise BrokenMarkup(f"<{name}> {_where(text, begin)} has no end")
    seen.append(text[at:])
    return _ENTITY.sub(lambda found: unescape(found[0]), "".join(seen))


def _check_attributes(name: str, attributes: str, where: str) -> None:
    given = dict(_ATTRIBUTE.findall(attributes))
    if name == "span" and given.get("class") != "tg-spoiler":
        raise BrokenMarkup(f'<span> {where} must be <span class="tg-spoiler">')
    if name == "tg-emoji" and not re.fullmatch(r"[1-9][0-9]{0,18}", given.get("emoji-id", "")):
        raise BrokenMarkup(f"<tg-emoji> {where} needs an `emoji-id`")
    if name == "tg-time" and not (
        re.fullmatch(r"[1-9][0-9]{0,9}", given.get("unix", "")) and re.fullmatch(_TIME_FORMAT, given.get("format", ""))
    ):
        raise BrokenMarkup(f'<tg-time> {where} needs `unix`, in epoch seconds; its `format` is "r" or such as "wDT"')


_READERS: Mapping[TelegramMarkup, Callable[[str], str]] = MappingProxyType(
    {
        TelegramMarkup.PLAIN: str,
        TelegramMarkup.HTML: _html,
        TelegramMarkup.MARKDOWN_V2: lambda text: _Markdown(text).read(),
    }
)
