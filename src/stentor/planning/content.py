"""What a campaign says: a message, its translations, and the templates in both.

Any text of a message may hold Jinja (`{{ name }}`, filters, `default`), sandboxed; what a template names is a column or
attribute of the installation. Rules: a template that needs what an installation doesn't have is an error, never an
empty gap; NULL counts as missing; the same content renders to the same message on every machine and at every retry.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stentor import channels
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.model import Action, JsonObject, Message
from stentor.planning.trees import (
    TextPath,
    check_names,
    check_texts,
    from_tree,
    laid_over,
    leads_somewhere,
    texts,
    to_tree,
    with_text,
)

DEFAULT = ""
"""The first of `Content.languages`: the message itself, for everybody without a translation."""
VERSION, VERSION_WITH_ACTION, VERSION_WITH_SECTIONS = 1, 2, 3
"""Of what is stored. A Stentor that knows the first alone would send what is to take something back; one that knows two
would say in the message's language what a translation says in a channel's options."""

_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
_IS_TEMPLATE = re.compile(r"\{[{%#]")
_MISSING = re.compile(r"'(\w+)' is undefined")
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
_NUMBER = re.compile(r"\.\d+")
_PLACEHOLDER = "x"
_PLACEHOLDER_ADDRESS = "https://example.com/"
_WRITES = (nodes.Assign, nodes.AssignBlock, nodes.Block, nodes.Extends, nodes.FromImport, nodes.Import, nodes.Macro)
"""What changes a template's context, so that no other may share it."""
_RENDER_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What an expression over values of the wrong type or shape may raise."""


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
    action: Action = Action.SEND

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The message itself, as `DEFAULT`, then the translations' tags in lower case, in order."""
        return (DEFAULT, *sorted(map(_normal, self.translations)))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the columns and attributes that the templates need, in order. Raises: as `check`."""
        return tuple(sorted({name for compiled in self._compiled for name in compiled.variables}))

    def language_index(self, tag: str | None) -> int:
        """Which of `languages` serves somebody who reads this one: `de-AT`, else `de`, else the default."""
        found = self._indices.get(tag) if tag else 0
        if found is None:
            found = self._find_index(_normal(tag or ""))
            if len(self._indices) < 1000:  # each is asked for millions of times, but anybody may write anything there
                self._indices[tag] = found
        return found

    def check(self) -> None:
        """Compile every template and look at every text and language tag.

        Raises: InvalidMessage: names the field, and the line of a template.
        """
        check_texts(to_tree(self.message))
        known: set[str] = set()
        kinds = get_type_hints(Message)
        for tag, translation in self.translations.items():
            normal = _normal(tag)
            if not _TAG.fullmatch(normal):
                raise InvalidMessage("translations", f"{tag!r} is not a language tag such as `de` or `pt-BR`")
            if normal in known:
                raise InvalidMessage("translations", f"`{normal}` is there twice, in different spellings")
            known.add(normal)
            check_texts(to_tree(translation), f"translations.{tag}.")
            for channel, said in translation.sections.items():
                check_names(said, kinds[channel], f"translations.{tag}.{channel}.")
        for options in (self.message.options, *(each.options for each in self.translations.values())):
            for name in options:
                _check_channel(name)
        _ = self.variables

    def render(self, language: int, variables: Mapping[str, Any]) -> Message:
        """The message for somebody, `language` being an index of `languages`.

        Raises: InvalidMessage: a template needs a variable that is missing, or failed. Names field and variable.
        """
        return self._compiled[language].render(variables)

    def outline(self, language: int) -> Message:
        """The message with something harmless in place of each text that is a template."""
        return self._compiled[language].outline()

    @cached_property
    def _indices(self) -> dict[str | None, int]:
        return {}

    def _find_index(self, tag: str) -> int:
        while tag:
            if tag in self.languages:
                return self.languages.index(tag)
            tag = tag.rpartition("-")[0]
        return 0

    @cached_property
    def _compiled(self) -> tuple[_Compiled, ...]:
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
        by_tag = {_normal(tag): translation for tag, translation in self.translations.items()}
        return tuple(_Compiled(self.message, tag, by_tag.get(tag), environment) for tag in self.languages)


class _Compiled:
    """The message in one language, its templates compiled."""

    def __init__(
        self, message: Message, tag: str, translation: Translation | None, environment: ImmutableSandboxedEnvironment
    ) -> None:
        if translation is not None:
            try:
                message = translation.over(message)
            except InvalidMessage as error:
                raise error.within(f"translations.{tag}") from None
        self._message = message
        self._tree = to_tree(message)
        self._templates: list[tuple[TextPath, str, Template, bool]] = []
        self.variables: set[str] = set()
        for path, text in texts(self._tree, ()):
            if not _IS_TEMPLATE.search(text):
                continue
            name = ".".join(map(str, path))
            if translation is not None and translation.says(path):
                name = f"translations.{tag}.{name}"
            try:
                parsed = environment.parse(text)
                self.variables |= meta.find_undeclared_variables(parsed)
                writes = next(parsed.find_all(_WRITES), None) is not None
                self._templates.append((path, name, environment.from_string(text), writes))
            except TemplateSyntaxError as error:
                raise InvalidMessage(name, f"broken template, line {error.lineno}: {error.message}") from None

    def render(self, variables: Mapping[str, Any]) -> Message:
        if not self._templates:
            return self._message
        known = {name: value for name, value in variables.items() if value is not None}
        shared = self._templates[0][2].new_context(known)
        return self._filled(
            [
                _fill(name, template, template.new_context(known) if writes else shared)
                for _, name, template, writes in self._templates
            ]
        )

    def outline(self) -> Message:
        names = (_NUMBER.sub("", ".".join(map(str, path))) for path, *_ in self._templates)
        return self._filled([_PLACEHOLDER_ADDRESS if name in _ADDRESSES else _PLACEHOLDER for name in names])

    def _filled(self, texts: list[str]) -> Message:
        tree: Any = self._tree
        for (path, *_), text in zip(self._templates, texts, strict=True):
            tree = with_text(tree, path, text)
        return from_tree(tree, Message)


def _fill(name: str, template: Template, context: Context) -> str:
    """What `template.render` does, but for making a context of its own, which would take ten times as long."""
    try:
        return "".join(template.root_render_func(context))
    except UndefinedError as error:
        missing = _MISSING.search(error.message or "")
        problem = f"needs `{missing[1]}`, which this installation doesn't have" if missing else str(error.message)
        raise InvalidMessage(name, problem) from None
    except _RENDER_ERRORS as error:
        raise InvalidMessage(name, f"the template failed: {type(error).__name__}: {error}") from None


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
        raise InvalidMessage(f"options.{name}", f"is of no channel that is installed here; {hint}")


def _normal(tag: str) -> str:
    return tag.strip().replace("_", "-").lower()


# -- as JSON, and as files ------------------------------------------------------------------------------------------


class _Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    version: int
    message: Message
    translations: dict[str, Translation]
    action: Action = Action.SEND


def encode_content(content: Content) -> bytes:
    """As JSON, for the store."""
    if any(each.sections for each in content.translations.values()):
        version = VERSION_WITH_SECTIONS
    else:
        version = VERSION if content.action is Action.SEND else VERSION_WITH_ACTION
    return msgspec.json.encode(
        _Stored(
            version=version,
            message=content.message,
            translations=dict(content.translations),
            action=content.action,
        )
    )


def decode_content(stored: bytes) -> Content:
    """What `encode_content` made.

    Raises: InvalidMessage: it isn't, or another version's.
    """
    try:
        found = msgspec.json.decode(stored, type=_Stored)
    except msgspec.DecodeError as error:
        raise InvalidMessage("content", f"cannot be read: {error}") from None
    if not VERSION <= found.version <= VERSION_WITH_SECTIONS:
        newest = VERSION_WITH_SECTIONS
        raise InvalidMessage("content", f"is of format {found.version}; this Stentor reads formats up to {newest}")
    return Content(message=found.message, translations=found.translations, action=found.action)


def content_from(path: Path) -> Content:
    """Read a message file: TOML, or JSON where its name ends so. `Message`'s fields, and `translations` by language.

    Raises:
        InvalidConfiguration: the file cannot be read.
        InvalidMessage: an unknown field (the nearest known one is named), a value of the wrong type, a broken template.
    """
    try:
        text = path.read_text()
        tree = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidConfiguration(f"message file {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise InvalidConfiguration(f"message file {path} is not {kind}: {error}") from None
    if not isinstance(tree, dict):
        raise InvalidConfiguration(f"message file {path} must be an object with a message's fields")
    translations = tree.pop("translations", {})
    check_names(tree, Message, "", more=("translations",))
    if not isinstance(translations, dict):
        raise InvalidMessage("translations", "must be an object: a language tag, and what that language says otherwise")
    for tag, each in translations.items():
        check_names(each, Translation, f"translations.{tag}.")
    content = Content(
        message=from_tree(tree, Message),
        translations={tag: from_tree(each, Translation, f"translations.{tag}") for tag, each in translations.items()},
    )
    content.check()
    return content
