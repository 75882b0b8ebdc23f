"""What differs between two versions of a message, field by field, in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from stentor.planning.content import Content, to_file

SHOWN = 200
"""Characters of a text that are told."""
_BEFORE = 20
"""Characters that are told before the first difference of two long texts."""
_LANGUAGES = ("translations",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChange:
    """A field of which one version says something else than another."""

    path: tuple[str, ...]
    """Where it is in a message file: `("translations", "de", "title")`."""
    before: Any
    """As JSON; UNSET: the field wasn't there."""
    after: Any
    """As JSON; UNSET: it is gone."""

    @property
    def place(self) -> str:
        """The field as people call it: `title in de`."""
        if self.path[:1] != _LANGUAGES:
            return ".".join(self.path)
        return f"{'.'.join(self.path[2:])} in {self.path[1]}" if self.path[2:] else f"the language {self.path[1]}"

    @property
    def told(self) -> str:
        """In a sentence: `title in de: "Hallo" became "Hi"`."""
        before, after = _in_words(self.before), _in_words(self.after)
        if self.before is UNSET:
            return f"{self.place} was added{f': {_cut(after, 0)}' if after else ''}"
        if self.after is UNSET:
            return f"{self.place} was removed{f'; it was {_cut(before, 0)}' if before else ''}"
        at = _first_difference(before, after)
        return f"{self.place}: {_cut(before, at)} became {_cut(after, at)}"


def changes_between(before: Content, after: Content) -> list[TemplateChange]:
    """What `after` says otherwise than `before`: the message itself, then its languages. Empty: they say the same."""
    found = _changes(to_file(before), to_file(after), ())
    return sorted(found, key=lambda change: change.path[:1] == _LANGUAGES)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[TemplateChange]:
    for name in dict.fromkeys((*before, *after)):
        old, new, here = before.get(name, UNSET), after.get(name, UNSET), (*place, name)
        if old == new:
            continue
        tables = [each for each in (old, new) if isinstance(each, Mapping)]
        apart = UNSET in (old, new) and place == _LANGUAGES  # a language comes and goes as a whole
        if any(tables) and not apart and len(tables) + [old, new].count(UNSET) == 2:
            yield from _changes(_table(old), _table(new), here)
        else:
            yield TemplateChange(path=here, before=old, after=new)


def _table(value: Any) -> Mapping[str, Any]:
    return {} if value is UNSET else value


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(each)}" for name, each in value.items())
    return "" if value is UNSET else json.dumps(value, ensure_ascii=False)


def _first_difference(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _cut(text: str, at: int) -> str:
    """A long text around a place in it."""
    if len(text) <= SHOWN:
        return text
    begin = max(0, min(at - _BEFORE, len(text) - SHOWN))
    end = begin + SHOWN
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"
