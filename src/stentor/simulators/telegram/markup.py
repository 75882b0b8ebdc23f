"""How Telegram reads marked-up text, byte by byte, with its own words for what is wrong in it: Bot API 9.5. Pure."""

from __future__ import annotations

import re
from html import unescape

_RESERVED = frozenset(b"_*[]()~`>#+-=|{}.!\n")
_SPACES = frozenset(b" \t\r\n\v\0")
_TAGS = frozenset(b"a b strong i em s strike del u ins tg-spoiler tg-emoji tg-time span pre code blockquote".split())
_HTML_ENTITY = re.compile(rb"&(?:lt|gt|amp|quot|#[0-9]+|#[xX][0-9a-fA-F]+);?")


class ParseError(ValueError):
    """Telegram's description of the mistake, without what comes before it."""


def parse(text: str, mode: str) -> str:
    """What is seen of a text. Raises: ParseError."""
    data = text.encode()
    match mode.lower():
        case "markdownv2":
            seen = _parse_markdown(data)
        case "markdown":
            seen = _parse_legacy(data)
        case "html":
            seen = _parse_html(data)
        case "" | "none":
            seen = data
        case _:
            raise ParseError("unsupported parse_mode")
    return seen.decode("utf-8", "replace").strip()


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _parse_markdown(text: bytes) -> bytes:
    reading = _Reading(text + b"\0\0\0")  # so that what comes next can always be looked at
    while reading.at < len(text):
        reading.step(len(text))
    if reading.kind == "BlockQuote":
        reading.nested.pop()
    if reading.nested:
        raise reading.unfinished()
    return bytes(reading.result)


class _Reading:
    """How far a MarkdownV2 text is read."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 0
        self.result = bytearray()
        self.nested: list[tuple[str, int]] = []
        self.quoted = False
        self.may_quote = True

    @property
    def kind(self) -> str:
        return self.nested[-1][0] if self.nested else ""

    def unfinished(self) -> ParseError:
        kind, begun = self.nested[-1]
        return ParseError(f"Can't find end of {kind} entity at byte offset {begun}")

    def step(self, size: int) -> None:
        text, kind = self.text, self.kind
        if copied := _copied(kind, text, self.at):
            self.result += copied[-1:]
            self.may_quote = self.may_quote and copied == b"\r"
            self.at += len(copied)
        elif kind and (length := _length_of_end(kind, text, self.at)):
            self.nested.pop()
            self.at += length
            self.quoted = self.quoted and kind != "BlockQuote"
            if kind in ("TextUrl", "CustomEmoji"):
                self.at = _skip_url(kind, text, self.at, size)
        elif text[self.at] == 0x0A:
            self._end_line()
        elif text[self.at] == 0x3E and self.may_quote:
            if not self.quoted:
                self.nested.append(("BlockQuote", self.at))
            self.quoted, self.may_quote = True, False
            self.at += 1
        else:
            kind, begun, self.at = _begin(text, self.at)
            self.nested.append((kind, begun))

    def _end_line(self) -> None:
        if self.quoted and self.text[self.at + 1] != 0x3E:
            if self.kind != "BlockQuote":
                raise self.unfinished()
            self.nested.pop()
            self.quoted = False
        self.result.append(0x0A)
        self.may_quote = True
        self.at += 1


def _copied(kind: str, text: bytes, i: int) -> bytes:
    """What stands for itself here: a byte, maybe behind a backslash; nothing where it means something."""
    if text[i] == 0x5C and 0 < text[i + 1] <= 126:
        return text[i : i + 2]
    means_something = text[i] == 0x60 if kind in ("Code", "Pre", "PreCode") else text[i] in _RESERVED
    return b"" if means_something else text[i : i + 1]


def _length_of_end(kind: str, text: bytes, i: int) -> int:
    """How many bytes end an entity of that kind here; 0 where none do."""
    here = text[i : i + 3]
    match kind:
        case "Bold":
            return here[:1] == b"*"
        case "Italic":
            return here[:1] == b"_" and here[1:2] != b"_"
        case "Code":
            return here[:1] == b"`"
        case "Strikethrough":
            return here[:1] == b"~"
        case "TextUrl" | "CustomEmoji":
            return here[:1] == b"]"
        case "Underline":
            return 2 * (here[:2] == b"__")
        case "Spoiler":
            return 2 * (here[:2] == b"||")
        case "Pre" | "PreCode":
            return 3 * (here == b"```")
        case _:  # an expandable quotation ends with || at the end of its last line
            if here[:2] != b"||":
                return 0
            after = text[i + 2 :].lstrip(b"\r")
            ends = after == b"\0\0\0" or (after[:1] == b"\n" and after[1:2] != b">")
            return (len(text) - i - len(after)) if ends else 0


def _begin(text: bytes, i: int) -> tuple[str, int, int]:
    """The kind of entity that begins here, where that is, and where it goes on."""
    two = text[i : i + 2]
    if two == b"__":
        return "Underline", i, i + 2
    if two == b"||":
        return "Spoiler", i, i + 2
    if two == b"![":
        return "CustomEmoji", i, i + 2
    simple = {b"_": "Italic", b"*": "Bold", b"~": "Strikethrough", b"[": "TextUrl"}.get(two[:1])
    if simple:
        return simple, i, i + 1
    if text[i : i + 3] == b"```":
        return _begin_pre(text, i)
    if two[:1] == b"`":
        return "Code", i, i + 1
    raise ParseError(f"Character '{chr(text[i])}' is reserved and must be escaped with the preceding '\\'")


def _begin_pre(text: bytes, begun: int) -> tuple[str, int, int]:
    i = end = begun + 3
    while text[end] not in _SPACES and text[end] != 0x60:
        end += 1
    kind = "Pre"
    if end != i and text[end] not in (0, 0x60):
        kind, i = "PreCode", end
    if text[i] in b"\r\n":
        i += 2 if text[i + 1] in b"\r\n" and text[i + 1] != text[i] else 1
    return kind, begun, i


def _skip_url(kind: str, text: bytes, i: int, size: int) -> int:
    emoji = kind == "CustomEmoji"
    if text[i] != 0x28:
        if emoji:
            raise ParseError("Custom emoji entity must contain a tg://emoji URL")
        return i
    begun = i = i + 1
    url = bytearray()
    while i < size and text[i] != 0x29:
        if text[i] == 0x5C and 0 < text[i + 1] <= 126:
            i += 1
        url.append(text[i])
        i += 1
    if i >= size:
        raise ParseError(f"Can't find end of a {'custom emoji ' if emoji else ''}URL at byte offset {begun}")
    if emoji:
        _check_marked(url.decode("utf-8", "replace"))
    return i + 1


def _check_marked(url: str) -> None:
    """What stands behind `![…]`: a custom emoji or a time."""
    whole = url.partition("#")[0]
    if not whole.lower().startswith("tg:"):
        raise ParseError("Custom emoji URL must have scheme tg")
    host, _, query = whole[3:].removeprefix("//").partition("?")
    if host.lower().rstrip("/") == "time":
        values = dict(part.partition("=")[::2] for part in query.split("&"))
        _check_time(values.get("unix", ""), values.get("format", ""))
        return
    if host.lower().rstrip("/") != "emoji":
        raise ParseError('Custom emoji URL must have host "emoji"')
    found = re.search(r"(?:^|&)id=([^&]*)", query)
    if found is None:
        raise ParseError("Custom emoji URL must have an emoji identifier")
    if not re.fullmatch(r"[1-9]\d{0,18}", found[1]):
        raise ParseError("Invalid custom emoji identifier specified")


def _check_time(unix: str, form: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", unix):
        raise ParseError("Invalid date_time identifier specified")
    if form != "r" and (set(form) - set("wdDtT") or any(form.count(letter) > 1 for letter in form)):
        raise ParseError("Invalid date_time format specified")


def _parse_legacy(text: bytes) -> bytes:
    """The first Markdown: entities don't nest, and a backslash is for the four characters that mean something."""
    result = bytearray()
    i = 0
    while i < len(text):
        if text[i] == 0x5C and text[i + 1 : i + 2] in (b"_", b"*", b"`", b"["):
            result += text[i + 1 : i + 2]
            i += 2
        elif text[i] in b"_*`[":
            content, i = _legacy_entity(text, i)
            result += content
        else:
            result.append(text[i])
            i += 1
    return bytes(result)


def _legacy_entity(text: bytes, begun: int) -> tuple[bytes, int]:
    """What is seen of the entity that begins here, and where it is over."""
    mark = text[begun : begun + 1]
    if text.startswith(b"```", begun):
        _, _, start = _begin_pre(text + b"\0", begun)
        mark = b"```"
    else:
        start, mark = begun + 1, b"]" if mark == b"[" else mark
    end = text.find(mark, start)
    if end < 0:
        raise ParseError(f"Can't find end of the entity starting at byte offset {begun}")
    after = end + len(mark)
    if mark == b"]" and end > start and text[after : after + 1] == b"(":
        closing = text.find(b")", after)
        after = len(text) if closing < 0 else closing + 1
    return text[start:end], after


def _parse_html(text: bytes) -> bytes:
    text += b"\0"
    result = bytearray()
    nested: list[bytes] = []
    i = 0
    while text[i] or i < len(text) - 1:
        if text[i] == 0x26 and (entity := _HTML_ENTITY.match(text, i)):
            result += unescape(entity[0].decode()).encode("utf-8", "replace")
            i = entity.end()
            continue
        if text[i] != 0x3C:
            result.append(text[i])
            i += 1
            continue
        if text[i + 1] == 0x2F:
            i = _end_tag(text, i, nested)
        else:
            name, i = _start_tag(text, i)
            nested.append(name)
    if nested:
        raise ParseError(f'Can\'t find end tag corresponding to start tag "{nested[-1].decode()}"')
    return bytes(result)


def _end_tag(text: bytes, begun: int, nested: list[bytes]) -> int:
    if not nested:
        raise ParseError(f"Unexpected end tag at byte offset {begun}")
    i = begun + 2
    while text[i] not in _SPACES and text[i] != 0x3E:
        i += 1
    name = text[begun + 2 : i].lower()
    while text[i] in _SPACES and text[i]:
        i += 1
    if text[i] != 0x3E:
        raise ParseError(f"Unclosed end tag at byte offset {begun}")
    expected = nested.pop()
    if name and name != expected:
        raise ParseError(
            f'Unmatched end tag at byte offset {begun}, expected "</{expected.decode()}>", '
            f'found "</{name.decode("utf-8", "replace")}>"'
        )
    return i + 1


def _start_tag(text: bytes, begun: int) -> tuple[bytes, int]:
    i = begun + 1
    while text[i] not in _SPACES and text[i] != 0x3E:
        i += 1
    name = text[begun + 1 : i].lower()
    if not text[i]:
        raise ParseError(f"Unclosed start tag at byte offset {begun}")
    shown = name.decode("utf-8", "replace")
    if name not in _TAGS:
        raise ParseError(f'Unsupported start tag "{shown}" at byte offset {begun}')
    attributes: dict[bytes, bytes] = {}
    while True:
        while text[i] and text[i] in _SPACES:
            i += 1
        if text[i] == 0x3E:
            break
        key, value, i = _attribute(text, i, shown, begun)
        attributes[key] = value
    if name == b"span" and attributes.get(b"class") != b"tg-spoiler":
        raise ParseError(f'Tag "span" must have class "tg-spoiler" at byte offset {begun}')
    if name == b"tg-emoji" and not re.fullmatch(rb"[1-9]\d{0,18}", attributes.get(b"emoji-id", b"")):
        raise ParseError("Invalid custom emoji identifier specified")
    if name == b"tg-time":
        _check_time(*(attributes.get(key, b"").decode("utf-8", "replace") for key in (b"unix", b"format")))
    return name, i + 1


def _attribute(text: bytes, begun: int, tag: str, tag_begun: int) -> tuple[bytes, bytes, int]:
    unclosed = ParseError(f'Unclosed start tag "{tag}" at byte offset {tag_begun}')
    i = begun
    while text[i] not in _SPACES and text[i] not in b"=>/\"'":
        i += 1
    key = text[begun:i]
    if not key:
        raise ParseError(f'Empty attribute name in the tag "{tag}" at byte offset {tag_begun}')
    while text[i] and text[i] in _SPACES:
        i += 1
    if not text[i]:
        raise unclosed
    if text[i] != 0x3D:
        return key, b"", i
    i += 1
    while text[i] and text[i] in _SPACES:
        i += 1
    start = i
    if text[i] not in b"\"'":
        while text[i : i + 1].isalnum() or text[i] in b".-":
            i += 1
        if text[i] not in _SPACES and text[i] != 0x3E:
            raise ParseError(f"Unexpected end of name token at byte offset {start}")
        value = text[start:i].lower()
    else:
        end = text.find(text[i : i + 1], i + 1)
        if end < 0:
            raise unclosed
        value, i = text[i + 1 : end], end + 1
    if not text[i]:
        raise unclosed
    return key, value, i
