"""A message as a form has it: which fields there are, what each shows, and the message that a filled-in form means.

Rules: what the form has no field for stays as it is; so does a field whose text nobody changed, however it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stentor.dashboard.form import Form

Tree = Mapping[str, Any]
"""A message as a message file has it, `translations` included."""
YES = "yes"
LONGEST_NUMBER = 18
"""Digits that are read as a number. Nobody means more, and Python refuses to read thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageField:
    """One field of the form."""

    path: tuple[str, ...]
    """Where it stands in the message."""
    label: str
    kind: Literal["line", "text", "number", "choice", "flag"] = "line"
    hint: str = ""
    choices: Sequence[str] = ()
    channel: str | None = None
    """Only people on this channel get it; None: everybody."""
    translated: bool = False
    """Whether a language can say it otherwise."""

    def name(self, language: str | None = None) -> str:
        """Of the form's field: `m.title`, or `t.de.title` in a translation."""
        return ".".join((*(("m",) if language is None else ("t", language)), *self.path))

    def shown(self, tree: Tree) -> str:
        """What the field has in it."""
        value = _at(tree, self.path)
        if value is None:
            return ""
        if self.kind == "flag":
            return YES if value is True else ""
        text = str(value).replace("\r\n", "\n").replace("\r", "\n")
        return text if self.kind == "text" else _one_line(text)

    def value(self, text: str) -> Any:
        """What a text in the field means; None: nothing. A number that is none stays text, which the check names."""
        if self.kind == "flag":
            return True if text == YES else None
        if self.kind == "number":
            digits = text.strip()
            is_number = digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER
            return int(digits) if is_number else digits or None
        return text or None


def _common(name: str, label: str, **more: Any) -> MessageField:
    return MessageField(path=(name,), label=label, **more)


def _of(channel: str, name: str, label: str, **more: Any) -> MessageField:
    return MessageField(path=(channel, name), label=label, channel=channel, **more)


TEXTS = (
    _common("title", "Title", translated=True),
    _common("body", "Text", kind="text", translated=True),
    _common("image", "Image", hint="An https address. Phones and chats load it; this page does not.", translated=True),
)
MORE = (
    _common("subtitle", "Subtitle", hint="Apple devices show it between title and text.", translated=True),
    _common("sound", "Sound", hint="`default`, or the name of a sound file in your app.", translated=True),
    _common("badge", "Number on the app's icon", kind="number", hint="0 removes it."),
    _common("ttl", "Worth delivering for", kind="number", hint="In seconds; 14400 is 4 hours. 0: now or never."),
    _common("priority", "Priority", kind="choice", choices=("high", "normal", "low")),
    _common("collapse_key", "Replaces messages with the same key", hint="A device shows only the newest of them."),
    _common("language", "Language of the message itself", hint="For example en. Its numbers and dates are written so."),
    _common("templates", "Templates are written in", kind="choice", choices=("jinja", "liquid")),
)
CHANNELS = (
    _of("apns", "interruption_level", "How much it may disturb", kind="choice",
        choices=("passive", "active", "time-sensitive", "critical")),
    _of("apns", "category", "Set of buttons (category)"),
    _of("apns", "thread_id", "Group (thread id)"),
    _of("fcm", "channel_id", "Android notification channel"),
    _of("fcm", "link", "Page that a tap on a web notification opens", translated=True),
    _of("fcm", "color", "Colour", hint="For example #3c4ae0."),
    _of("fcm", "analytics_label", "Label for Firebase's statistics"),
    _of("webpush", "url", "Page that a click opens", hint="An https address, or a path of your site.", translated=True),
    _of("webpush", "icon", "Icon", hint="An https address, or a path of your site."),
    _of("webpush", "require_interaction", "Stays until somebody closes it", kind="flag"),
    _of("telegram", "text", "Text for Telegram", kind="text", hint="Instead of title and text.", translated=True),
    _of("telegram", "parse_mode", "Written as", kind="choice", choices=("plain", "HTML", "MarkdownV2")),
    _of("telegram", "disable_notification", "Arrives without a sound", kind="flag"),
    _of("discord", "content", "Text for Discord", kind="text", hint="Instead of title and text.", translated=True),
    _of("discord", "username", "Name of the sender", hint="For webhooks only."),
    _of("webhook", "type", "Type", hint="For example invoice.due."),
)  # fmt: skip
ALL = (*TEXTS, *MORE, *CHANNELS)
TRANSLATED = tuple(each for each in ALL if each.translated)


def languages(tree: Tree) -> list[str]:
    """Of the translations."""
    return list(tree.get("translations", {}))


def data_rows(tree: Tree) -> list[tuple[str, str]]:
    """What `data` has in it, as its rows show it."""
    return rows_of(tree.get("data") or {})


def rows_of(texts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts as rows show them; what would be an empty row isn't shown."""
    rows = [_row(name, value) for name, value in texts.items()]
    return [row for row in rows if any(row)]


def restored(rows: Sequence[tuple[str, str]], before: Mapping[str, Any]) -> dict[str, Any]:
    """What rows mean. One that shows what was there before means that, however it is written.

    Args:
        before: what the rows were made of.
    """
    known = {_row(name, value): (name, value) for name, value in before.items()}
    hidden = {name: value for name, value in before.items() if not any(_row(name, value))}
    return hidden | dict(known.get(_row(*row), row) for row in rows if any(_row(*row)))


def _row(name: str, value: object) -> tuple[str, str]:
    return _one_line(name).strip(), _one_line(value)


def _one_line(text: object) -> str:
    """As a field of one line has it."""
    return str(text).replace("\r", "").replace("\n", "")


def filled_in(tree: Tree, form: Form) -> dict[str, Any]:
    """The message as a form changes it.

    Args:
        tree: what the form was made of.
    """
    given = {name for name, _ in form.fields}
    for field, language in _everywhere(tree):
        name = field.name(language)
        if name not in given:
            continue
        place = field.path if language is None else ("translations", language, *field.path)
        before = tree if language is None else tree["translations"][language]
        text = form.raw(name)
        if text != field.shown(before):
            tree = _with(tree, place, field.value(text))
    if "data-name" in given:
        before = tree.get("data") or {}
        data = restored(pairs(form, "data"), before)
        if data != before:
            tree = _with(tree, ("data",), data or None)
    return dict(tree)


def pairs(form: Form, name: str) -> list[tuple[str, str]]:
    """The rows of two fields each, `NAME-name` and `NAME-value`, as they were filled in."""
    names = [value for each, value in form.fields if each == f"{name}-name"]
    values = [value for each, value in form.fields if each == f"{name}-value"]
    return list(zip(names, values, strict=False))


def with_language(tree: Tree, language: str) -> dict[str, Any]:
    """With a translation that says nothing yet."""
    return {**tree, "translations": {**tree.get("translations", {}), language: {}}}


def without_language(tree: Tree, language: str) -> dict[str, Any]:
    left = {tag: each for tag, each in tree.get("translations", {}).items() if tag != language}
    rest = {name: each for name, each in tree.items() if name != "translations"}
    return {**rest, "translations": left} if left else rest


def name_of(place: str) -> str:
    """The form's field for a field of a message as errors name it: `translations.de.title` is `t.de.title`; empty if
    the form has none."""
    parts = tuple(place.split("."))
    language = parts[1] if parts[0] == "translations" and len(parts) > 2 else None
    path = parts if language is None else parts[2:]
    if path[:1] == ("data",):
        return "data"
    return next((each.name(language) for each in ALL if each.path == path), "")


def label_of(name: str) -> str:
    """What people call a field of the form: `Title (de)`; its name if it is none."""
    parts = name.split(".")
    language = parts[1] if parts[0] == "t" and len(parts) > 2 else None
    label = next((each.label for each in ALL if each.name(language) == name), name)
    return label if language is None else f"{label} ({language})"


def _everywhere(tree: Tree) -> Iterator[tuple[MessageField, str | None]]:
    yield from ((field, None) for field in ALL)
    for language in languages(tree):
        yield from ((field, language) for field in TRANSLATED)


def _at(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(name)
    return tree


def _with(tree: Tree, path: Sequence[str], value: Any) -> dict[str, Any]:
    """With a value in a place; None takes it away, and a table with it that is empty then, but no translation."""
    name, *rest = path
    if not rest:
        others = {key: each for key, each in tree.items() if key != name}
        return others if value is None else {**tree, name: value}
    inner = _with(tree.get(name) or {}, rest, value)
    if not inner and len(rest) == 1 and value is None:
        return {key: each for key, each in tree.items() if key != name}
    return {**tree, name: inner}
