"""What a campaign says: a message, its translations, and the templates in both.

Any text of a message may hold Jinja (`{{ name }}`, filters, `default`), sandboxed and within bounds (`templates.py`);
what a template names is a column or attribute of the installation. Rules: a template that writes what an installation
doesn't have is an error, never an empty gap, and one that asks for it finds it false; NULL counts as missing; the same
content renders to the same message on every machine and at every retry; what a template makes without a value is found
by the check. A campaign's own values fill templates before an
installation's do, and are text: nothing in them is run.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import msgspec

from stentor import channels, languages
from stentor.audience.contract import LANGUAGE, TIME_ZONE
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.model import Action, JsonObject, Message
from stentor.planning.formats import Formats, formats_for
from stentor.planning.local_filters import NAMES as LOCAL_FILTERS
from stentor.planning.skipping import NAME as SKIP
from stentor.planning.templates import MOST_PARTS, Text, check_text, filling, is_template
from stentor.planning.trees import (
    DEEPEST,
    TextPath,
    check_names,
    from_tree,
    hints_of,
    laid_over,
    leads_somewhere,
    texts,
    to_tree,
    with_text,
)

DEFAULT = ""
"""The first of `Content.languages`: the message itself, for everybody without a translation."""
VERSION, VERSION_WITH_ACTION, VERSION_WITH_SECTIONS, VERSION_WITH_VALUES, VERSION_WITH_LANGUAGE = 1, 2, 3, 4, 5
"""Of what is stored. A Stentor that knows the first alone would send what is to take something back; one that knows two
would say in the message's language what a translation says in a channel's options; one that knows three would look for
the campaign's own values in the audience; one that knows four would give people translations where the message itself
is in their language, and knows neither Liquid nor `skip`, nor a filter that writes numbers or moments."""

MOST_TRANSLATIONS = 255
"""A batch has a byte for each recipient's language, and the message itself is one of them."""
LARGEST_CONTENT = 1024 * 1024
"""Bytes of a message with its translations, as JSON."""
LARGEST_FILE = 4 * LARGEST_CONTENT
"""Of a message; there may be comments and gaps in it."""

_STRING_OR_COMMENT = re.compile(
    r"""#[^\n]*|\"{3}(?:[^"\\]|\\.?|"(?!""))*(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z)|"(?:[^"\\\n]|\\[^\n]?)*"?|'[^'\n]*'?""",
    re.DOTALL,
)
"""In TOML. One that isn't closed goes on to where the reader would complain. Nothing of it is possessive: up to Python
3.11.4, `(?:…)*+` ends too early."""
_DEEP_NAME = re.compile(rf"(?<![\w.-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{DEEPEST}}}", re.ASCII)
"""A name of so many parts as no field has. For one of 32,000 parts, the TOML reader takes a minute and more."""
_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
_ADDRESSES = (
    "image",
    "fcm.link",
    "webpush.url",
    "webpush.icon",
    "webpush.image",
    "webpush.badge",
    "telegram.photo",
    "telegram.buttons.url",
)
"""Without the numbers of those in lists."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"\.\d+")
_LOCAL = re.compile(rf"\|\s*(?:{'|'.join(sorted(LOCAL_FILTERS))})\b|\b{SKIP}\s*\(")
_PLACEHOLDER = "x"
_PLACEHOLDER_ADDRESS = "https://example.com/"


class TemplateLanguage(StrEnum):
    """What templates are written in."""

    JINJA = "jinja"
    LIQUID = "liquid"
    """As Braze, OneSignal and Customer.io have it; Braze's `${name}` is read as a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What a language says otherwise; what is left out stays as it is in the message.

    A channel's options, `data` and `options` are laid over the message's, object by object; a list takes the place of
    the list there.
    """

    title: str | None = None
    subtitle: str | None = None
    body: str | None = None
    image: str | None = None
    sound: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    """For the app's own use."""
    apns: JsonObject = field(default_factory=dict)
    """Any of `ApnsOptions`."""
    fcm: JsonObject = field(default_factory=dict)
    """Any of `FcmOptions`."""
    webpush: JsonObject = field(default_factory=dict)
    """Any of `WebPushOptions`: the titles of buttons, say."""
    telegram: JsonObject = field(default_factory=dict)
    """Any of `TelegramOptions`: the text, or the buttons."""
    discord: JsonObject = field(default_factory=dict)
    """Any of `DiscordOptions`: the content, or the embeds."""
    webhook: JsonObject = field(default_factory=dict)
    """Any of `WebhookOptions`."""
    options: Mapping[str, JsonObject] = field(default_factory=dict)
    """By name, options of channels that other packages add."""

    @property
    def sections(self) -> dict[str, JsonObject]:
        """Those of the built-in channels' options of which it says something."""
        return {name: said for name in channels.BUILT_IN if (said := getattr(self, name))}

    def says(self, place: TextPath) -> bool:
        """Whether the text in this place of a message is this translation's."""
        return leads_somewhere(self._tree, place)

    def over(self, message: Message) -> Message:
        """The message in this language. Raises: InvalidMessage: of wrong types, named as in a message."""
        return from_tree(laid_over(to_tree(message), self._tree), Message)

    @property
    def _tree(self) -> dict[str, Any]:
        return {name: said for name, said in to_tree(self).items() if said not in (None, {})}


@dataclass(frozen=True, kw_only=True)
class Content:
    """A message in all its languages.

    Example:
        content = Content(
            message=Message(title="Hello {{ name | default('you') }}", body="Sale ends tonight"),
            translations={"de": Translation(title="Hallo {{ name | default('du') }}", body="Nur noch heute")},
        )
    """

    message: Message
    translations: Mapping[str, Translation] = field(default_factory=dict)
    """By BCP 47 language tag, e.g. `de` or `pt-BR`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Values for the templates that are the same for everybody, by name. They are shown as they are, so that text from
    elsewhere may be passed here: braces in it mean nothing. A column of the same name is not read."""
    action: Action = Action.SEND
    language: str = ""
    """The language of the message itself, as a tag; empty: nobody says. Its numbers and moments are written so, and
    whoever reads it gets the message itself rather than a translation that is further from it."""
    templates: TemplateLanguage = TemplateLanguage.JINJA
    """What its templates are written in."""

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The message itself, as `DEFAULT`, then the translations' tags in lower case, in order."""
        return (DEFAULT, *sorted(map(languages.normal, self.translations)))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the columns and attributes that the templates need, in order; `LANGUAGE` and `TIME_ZONE` of the
        audience's contract among them, where numbers or moments are written. Raises: as `check`."""
        return tuple(sorted({name for compiled in self._compiled for name in compiled.variables}))

    @property
    def name(self) -> str | None:
        """What people call it: its title or else its body, with the campaign's own values in it. Raises: as `check`."""
        message = self._compiled[0].message
        return message.title or message.body

    def language_index(self, tag: str | None) -> int:
        """Which of `languages` serves somebody who reads this one, by CLDR: `de-AT`, else `de`, else the default.
        Android's locales (`zh_CN_#Hans`) will do. See `stentor.languages`."""
        return self._index_of(tag) if tag and self.translations else 0

    def check(self) -> None:
        """Look at every text and language tag, compile every template, and fill those that need nothing.

        Nothing of it ever changes, so what was found right once is not looked at again.

        Raises: InvalidMessage: names the field, and the line of a template.
        """
        _ = self._is_right

    @cached_property
    def _is_right(self) -> bool:
        """True. Raises: as `check`."""
        _check_values(self.values)
        if len(self.translations) > MOST_TRANSLATIONS:
            raise InvalidMessage(
                "translations", f"there are {len(self.translations)}; a message has at most {MOST_TRANSLATIONS}"
            )
        self._check_tags()
        kinds = hints_of(Message)
        for tag, translation in self.translations.items():
            for channel, said in translation.sections.items():
                check_names(said, kinds[channel], f"translations.{tag}.{channel}.")
        for options in (self.message.options, *(each.options for each in self.translations.values())):
            for name in options:
                _check_channel(name)
        _check_texts(to_tree(self.message), "")
        for tag, translation in self.translations.items():
            _check_texts(to_tree(translation), f"translations.{tag}.")
        if (size := len(encode_content(self))) > LARGEST_CONTENT:
            raise InvalidMessage(
                "message", f"is {size:,} bytes long with its translations; it may be at most {LARGEST_CONTENT:,}"
            )
        _ = self.variables
        if self.action is Action.SEND and _says_nothing(self.message):
            raise InvalidMessage("message", "says nothing; give it a title, a body or data, or make it silent")
        if unused := sorted(set(self.values) - self._named):
            named = ", ".join(sorted(self._named)) or "no value"
            raise InvalidMessage("values", f"no text of the message uses `{unused[0]}`; its templates name: {named}")
        return True

    def _check_tags(self) -> None:
        """Raises: InvalidMessage: one is none, or there twice."""
        if self.language and languages.read(self.language) is None:
            raise InvalidMessage("language", f"{self.language!r} is not a language tag such as `en` or `pt-BR`")
        known: set[str] = set()
        for tag in self.translations:
            normal = languages.normal(tag)
            if not _TAG.fullmatch(normal):
                raise InvalidMessage("translations", f"{tag!r} is not a language tag such as `de` or `pt-BR`")
            if normal in known:
                raise InvalidMessage("translations", f"`{normal}` is there twice, in different spellings")
            known.add(normal)

    def render(self, language: int, variables: Mapping[str, Any]) -> Message:
        """The message for somebody, `language` being an index of `languages`.

        Raises:
            Skipped: a template says that this recipient gets nothing.
            InvalidMessage: a template needs a variable that is missing, failed, or took more than it may. Names the
                field.
        """
        return self._compiled[language].render(variables)

    def outline(self, language: int) -> Message:
        """The message with something harmless in place of each text that is a template."""
        return self._compiled[language].outline()

    @property
    def _named(self) -> set[str]:
        """Whatever the templates name, the campaign's own values among it."""
        return {name for compiled in self._compiled for name in compiled.named}

    @cached_property
    def _index_of(self) -> Callable[[str], int]:
        """Each is asked for millions of times, but anybody may write anything there."""
        tags = sorted(self.translations)
        offer = languages.Offer([*tags, self.language] if self.language else tags)
        indices = {languages.normal(self.language): 0} | {tag: at for at, tag in enumerate(self.languages)}

        def found(tag: str) -> int:
            served = offer.find(tag)
            return 0 if served is None else indices[languages.normal(served)]

        return lru_cache(languages.REMEMBERED)(found)

    @cached_property
    def _compiled(self) -> tuple[_Compiled, ...]:
        by_tag = {languages.normal(tag): translation for tag, translation in self.translations.items()}
        known = _Texts(self.templates)
        with filling():  # one allowance for whatever needs no variables, in all languages
            return tuple(
                _Compiled(self.message, tag or self.language, by_tag.get(tag), known, self.values)
                for tag in self.languages
            )


class _Template(Protocol):
    """A text that is a template, compiled; see `templates.Text`."""

    size: int
    variables: frozenset[str]
    reads: frozenset[str]

    @property
    def writes(self) -> bool: ...
    @property
    def constant(self) -> str: ...
    def context(self, variables: Mapping[str, Any]) -> Any: ...
    def fill(self, context: Any) -> str: ...


class _Texts:
    """The templates of a content, each compiled once, however many languages share it."""

    def __init__(self, written_in: TemplateLanguage) -> None:
        self._is_template, self._make = _ways(written_in)
        self._texts: dict[tuple[str, str], _Template] = {}
        self._size = 0

    def is_template(self, source: str) -> bool:
        return self._is_template(source)

    def get(self, name: str, source: str) -> _Template:
        """Raises: InvalidMessage: it is broken, or one too many."""
        found = self._texts.get((name, source))
        if found is None:
            found = self._texts[name, source] = self._make(name, source)
            self._size += found.size
            if self._size > MOST_PARTS:
                raise InvalidMessage(name, f"the templates of the message have more than {MOST_PARTS:,} parts in all")
        return found


def _ways(written_in: TemplateLanguage) -> tuple[Callable[[str], bool], Callable[[str, str], _Template]]:
    """How to tell that a text is a template, and how to compile one."""
    if written_in is TemplateLanguage.JINJA:
        return is_template, Text
    from stentor.planning.liquid_text import LiquidText, is_liquid  # noqa: PLC0415 - few messages need it

    return is_liquid, LiquidText


class _Compiled:
    """The message in one language, its templates compiled; those that need no variables, filled."""

    def __init__(
        self,
        message: Message,
        tag: str,
        translation: Translation | None,
        known: _Texts,
        values: Mapping[str, str],
    ) -> None:
        if translation is not None:
            try:
                message = translation.over(message)
            except InvalidMessage as error:
                raise error.within(f"translations.{tag}") from None
        tree: Any = to_tree(message)
        self._tag = tag
        self._templates: list[tuple[TextPath, _Template]] = []
        self._values = values
        self.variables: set[str] = set()
        """What is needed of each installation."""
        self.named: set[str] = set()
        """That, and the campaign's own values that are used."""
        for place, source in texts(tree, ()):
            if not known.is_template(source):
                continue
            name = _name(place)
            text = known.get(f"translations.{tag}.{name}" if translation and translation.says(place) else name, source)
            self.named |= text.variables
            if needed := (text.variables - values.keys()) | text.reads:
                self.variables |= needed
                self._templates.append((place, text))
            else:
                constant = text.fill(text.context(values)) if text.variables else text.constant
                tree = with_text(tree, place, constant)
                message = from_tree(tree, Message)
        self._tree, self._message = tree, message

    @property
    def message(self) -> Message:
        """With its templates as they are written, but for those that are filled already."""
        return self._message

    def render(self, variables: Mapping[str, Any]) -> Message:
        if not self._templates:
            return self._message
        known = {name: value for name, value in variables.items() if value is not None}
        known |= self._values
        shared = self._templates[0][1].context(known)
        with filling(self._formats(variables)):
            return self._filled(
                [text.fill(text.context(known) if text.writes else shared) for _, text in self._templates]
            )

    def _formats(self, variables: Mapping[str, Any]) -> Formats:
        language, zone = variables.get(LANGUAGE), variables.get(TIME_ZONE)
        return formats_for(self._tag, str(language or ""), str(zone or ""))

    def outline(self) -> Message:
        names = (_NUMBER.sub("", _name(place)) for place, _ in self._templates)
        return self._filled([_PLACEHOLDER_ADDRESS if name in _ADDRESSES else _PLACEHOLDER for name in names])

    def _filled(self, filled: list[str]) -> Message:
        tree = self._tree
        for (place, _), text in zip(self._templates, filled, strict=True):
            tree = with_text(tree, place, text)
        return from_tree(tree, Message)


def _name(place: TextPath) -> str:
    return ".".join(map(str, place))


def _says_nothing(message: Message) -> bool:
    """Whether there is neither a text, nor anything else that a device could show or an app act on. What a channel's
    options make of it is that channel's matter."""
    if any(text and text.strip() for text in (message.title, message.subtitle, message.body)):
        return False
    bare = replace(message, title=None, subtitle=None, body=None, collapse_key=None, ttl=None, priority=None)
    return bare == Message()


def _check_texts(tree: dict[str, Any], prefix: str) -> None:
    """Raises: InvalidMessage: a text, or the name of one, cannot be stored or sent, or is too long."""
    for place, text in texts(tree, ()):
        name = prefix + _name(place).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for part in (*place, text):
            if isinstance(part, str):
                check_text(name, part)


def _check_values(values: Mapping[str, str]) -> None:
    """Raises: InvalidMessage: a name that no template can use, or a text that cannot be stored or sent."""
    for name, text in values.items():
        if not _NAME.fullmatch(name):
            raise InvalidMessage("values", f"{name!r} is not a name that a template can use, such as `episode`")
        check_text(f"values.{name}", text)


def _check_channel(name: str) -> None:
    """Options are of channels that packages add: Stentor's own have fields, and who has no package, a typing error."""
    if name in channels.BUILT_IN:
        raise InvalidMessage(
            f"options.{name}", f"is not read there; the field `{name}` has the options of this channel"
        )
    if name not in channels.names():
        added = [each for each in channels.names() if each not in channels.BUILT_IN]
        near = difflib.get_close_matches(name, added, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else "install the package that adds it, or remove this"
        raise InvalidMessage(f"options.{name}", f"is not a channel that is installed here; {hint}")


# -- as JSON, and as files ------------------------------------------------------------------------------------------


class _Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    version: int
    message: Message
    translations: dict[str, Translation]
    values: dict[str, str] = {}
    action: Action = Action.SEND
    language: str = ""
    templates: TemplateLanguage = TemplateLanguage.JINJA


def encode_content(content: Content) -> bytes:
    """As JSON, for the store."""
    if content.language or content.templates is not TemplateLanguage.JINJA or _is_local(content):
        version = VERSION_WITH_LANGUAGE
    elif content.values:
        version = VERSION_WITH_VALUES
    elif any(each.sections for each in content.translations.values()):
        version = VERSION_WITH_SECTIONS
    else:
        version = VERSION if content.action is Action.SEND else VERSION_WITH_ACTION
    return msgspec.json.encode(
        _Stored(
            version=version,
            message=content.message,
            translations=dict(content.translations),
            values=dict(content.values),
            action=content.action,
            language=content.language,
            templates=content.templates,
        )
    )


def _is_local(content: Content) -> bool:
    """Whether a template may have a filter that writes numbers or moments, or may skip. It may be broken, too."""
    trees = (to_tree(content.message), *map(to_tree, content.translations.values()))
    return any(_LOCAL.search(text) for tree in trees for _, text in texts(tree, ()) if is_template(text))


def decode_content(stored: bytes) -> Content:
    """What `encode_content` made.

    Raises: InvalidMessage: it isn't, or another version's.
    """
    try:
        found = msgspec.json.decode(stored, type=_Stored)
    except msgspec.DecodeError as error:
        raise InvalidMessage("content", f"cannot be read: {error}") from None
    if not VERSION <= found.version <= VERSION_WITH_LANGUAGE:
        newest = VERSION_WITH_LANGUAGE
        raise InvalidMessage("content", f"is of format {found.version}; this Stentor reads formats up to {newest}")
    return Content(
        message=found.message,
        translations=found.translations,
        values=found.values,
        action=found.action,
        language=found.language,
        templates=found.templates,
    )


def _read_toml(text: str) -> dict[str, Any]:
    """Raises: ValueError: it isn't TOML, or has a name that would take minutes to read."""
    bare = _STRING_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else "_", text)
    if (deep := _DEEP_NAME.search(bare)) is not None:
        raise ValueError(f"the name {deep[0][:20]}… has more than {DEEPEST + 1} parts with dots between")
    return tomllib.loads(text)


def content_from(path: Path, values: Mapping[str, str] | None = None) -> Content:
    """Read a message file: TOML, or JSON where its name ends so. `Message`'s fields, `language`, `templates`, and
    `translations` by language.

    Args:
        values: for its templates; see `Content.values`.

    Raises:
        InvalidConfiguration: the file cannot be read.
        InvalidMessage: an unknown field (the nearest known one is named), a value of the wrong type, a broken template.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise InvalidConfiguration(f"message file {path} is longer than {LARGEST_FILE:,} bytes")
        text = raw.decode("utf-8-sig")
        tree = json.loads(text) if path.suffix.lower() == ".json" else _read_toml(text)
    except OSError as error:
        raise InvalidConfiguration(f"message file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"message file {path} is not UTF-8 text; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise InvalidConfiguration(f"message file {path} is not {kind}: {error}") from None
    if not isinstance(tree, dict):
        raise InvalidConfiguration(f"message file {path} must be an object with a message's fields")
    return content_of(tree, values)


def content_of(tree: Mapping[str, Any], values: Mapping[str, str] | None = None, *, check: bool = True) -> Content:
    """A message with its translations, of JSON values as a message file has them.

    Args:
        values: for its templates; see `Content.values`.
        check: False: see only that the fields and their types are right, as of a message that is still being written.

    Raises: InvalidMessage: as `content_from`.
    """
    tree = dict(tree)
    translations, language = tree.pop("translations", {}), tree.pop("language", "")
    templates = tree.pop("templates", TemplateLanguage.JINJA)
    check_names(tree, Message, "", more=("language", "templates", "translations"))
    if not isinstance(language, str):
        raise InvalidMessage("language", "must be the tag of the message's own language, such as `en`")
    if templates not in list(TemplateLanguage):
        raise InvalidMessage("templates", f"must be one of {', '.join(TemplateLanguage)}")
    if not isinstance(translations, dict):
        raise InvalidMessage(
            "translations", "must be an object: each language tag, with the fields that differ in that language"
        )
    for tag, each in translations.items():
        check_names(each, Translation, f"translations.{tag}.")
    content = Content(
        message=from_tree(tree, Message),
        translations={tag: from_tree(each, Translation, f"translations.{tag}") for tag, each in translations.items()},
        values=values or {},
        language=language,
        templates=TemplateLanguage(templates),
    )
    if check:
        content.check()
    return content


def to_file(content: Content) -> dict[str, Any]:
    """A content as JSON values, as `content_of` reads them, without its `values`; what says nothing is left out."""
    tree = _without_defaults(content.message)
    if content.language:
        tree["language"] = content.language
    if content.templates is not TemplateLanguage.JINJA:
        tree["templates"] = content.templates.value
    if content.translations:
        tree["translations"] = {tag: _without_defaults(each) for tag, each in content.translations.items()}
    return tree


def _without_defaults(of: Any) -> dict[str, Any]:
    """The fields of a record that say something, as JSON values."""
    tree, plain = to_tree(of), to_tree(type(of)())
    return {name: _pruned(value, plain.get(name)) for name, value in tree.items() if value != plain.get(name)}


def _pruned(value: Any, plain: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(plain, dict) or not plain:
        return value
    return {name: each for name, each in value.items() if name not in plain or each != plain[name]}
