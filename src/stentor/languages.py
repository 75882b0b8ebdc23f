"""Language tags as people, phones and operating systems write them, and which translation serves whom. Pure.

What is written may be a BCP 47 tag (`zh-Hans-CN`), a locale of Java, which Android stores (`zh_CN_#Hans`), a folder of
Android's resources (`zh-rTW`, `b+zh+Hant+TW`), a locale of POSIX (`de_AT.UTF-8`), or the value of an `Accept-Language`
header. Aliases, the script that a tag implies, and a tag's parents are CLDR's, by Babel, which is loaded with the first
tag that is looked for. Rules: a tag that is there as it is written wins; nobody is served in another script than the
tag implies, so `zh-TW` is never served by `zh`, nor `sr-Latn` by `sr`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import NamedTuple

_END = re.compile(r"[.@,;\s]")
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_SCRIPT = re.compile(r"[a-z]{4}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}|[0-9]{3}", re.ASCII)
_LONG_REGION = re.compile(r"[a-z]{3}", re.ASCII)
_ANDROID_REGION = re.compile(r"r([A-Z]{2})", re.ASCII)
_ANDROID_REGION_IN_LOWER_CASE = re.compile(r"r(?!eu|ou|us|wa)([a-z]{2})", re.ASCII)
"""Without the regions that have three letters, such as Russia's `rus`."""
_ANDROID_FOLDER = "values-"
_ANDROID_BCP47 = "b-"
_OF_CHINESE = ("cmn", "yue")
"""Languages that may be written after `zh`, as `zh-yue`."""
_BY_HAND = {"no": "nb", "yue": "zh_Hant", "yue_Hans": "zh"}
"""Parents that aren't in CLDR's list: `no` is written as `nb` is, and Cantonese is written as Chinese in its script."""
_NOBODYS = ("mis", "mul", "root", "und", "zxx")
"""Languages that say nothing of what somebody reads."""
REMEMBERED = 4096
"""Tags whose closest tags are kept. There are some hundreds, but anybody may write anything there."""


@dataclass(frozen=True, slots=True)
class Tag:
    """The parts of a tag that choose among translations, in lower case; empty where it says nothing."""

    language: str
    script: str = ""
    region: str = ""

    def __str__(self) -> str:
        """As BCP 47 writes it: `zh-Hans-CN`."""
        return "-".join(filter(None, (self.language, self.script.title(), self.region.upper())))


def normal(written: str) -> str:
    """As written, but in lower case and with hyphens."""
    return written.strip().replace("_", "-").lower()


def read(written: str) -> Tag | None:
    """The parts of what is written; None if it begins with no language."""
    whole = _END.split(written.strip(), maxsplit=1)[0]
    said = whole.replace("_", "-").replace("+", "-")
    for prefix in (_ANDROID_FOLDER, _ANDROID_BCP47):
        said = said[len(prefix) :] if said.lower().startswith(prefix) else said
    language, *rest = said.split("-")
    language = language.lower()
    if not _LANGUAGE.fullmatch(language):
        return None
    script = region = ""
    for part in (each.removeprefix("#") for each in rest):
        small = part.lower()
        if len(part) == 1:
            break  # extensions follow
        if language == "zh" and small in _OF_CHINESE:
            language = small
        elif not script and _SCRIPT.fullmatch(small):
            script = small
        elif not region and (found := _region(part, small)):
            region = found
    return Tag(language, script, region)


def _region(part: str, small: str) -> str:
    """Empty if it is none."""
    android = _ANDROID_REGION.fullmatch(part) or _ANDROID_REGION_IN_LOWER_CASE.fullmatch(part)
    if android is not None:
        return android[1].lower()
    if _REGION.fullmatch(small):
        return small
    if not _LONG_REGION.fullmatch(small):
        return ""
    found = _cldr().regions.get(small.upper(), ())
    return found[0].lower() if found else ""


# -- what CLDR says --------------------------------------------------------------------------------------------------


class _Cldr(NamedTuple):
    languages: Mapping[str, str | None]
    """Another name of a language -> its own, perhaps with a script or region."""
    regions: Mapping[str, list[str]]
    """Another name of a region, or one that is no more -> those that are there now, the likeliest first."""
    likely: Mapping[str, str]
    """`zh_TW` -> `zh_Hant_TW`."""
    parents: Mapping[str, str]
    """`es_MX` -> `es_419`; where it has none, the tag without its region is the parent."""


@cache
def _cldr() -> _Cldr:
    from babel.core import get_global  # noqa: PLC0415 - it takes a twentieth of a second to load

    return _Cldr(
        languages=get_global("language_aliases"),
        regions=get_global("territory_aliases"),
        likely=get_global("likely_subtags"),
        parents={**get_global("parent_exceptions"), **_BY_HAND},
    )


def full(tag: Tag) -> Tag:
    """With the script and the region that it implies: `zh-Hant-TW` of `zh-TW`. Aliases are read as what they mean."""
    data = _cldr()
    language, script, region = tag.language, tag.script, tag.region
    if (alias := data.languages.get(language)) is not None:
        meant = _of_cldr(alias)
        language, script, region = meant.language, script or meant.script, region or meant.region
    if (regions := data.regions.get(region.upper())) is not None:
        region = regions[0].lower()
    for known in (Tag(language, script, region), Tag(language, "", region), Tag(language, script), Tag(language)):
        if (likely := data.likely.get(_as_cldr(known))) is not None:
            implied = _of_cldr(likely)
            return Tag(language, script or implied.script, region or implied.region)
    return Tag(language, script, region)


def short(tag: Tag) -> Tag:
    """Under its own name, without the script that its language is mostly written in: `zh-CN` of `zh-Hans-CN`, and
    `zh-Hant-TW` of `zh-TW`. Where the region would imply another script, that stays: in `zh-Hans-HK`."""
    whole = full(tag)
    bare = Tag(whole.language, "", whole.region if tag.region or _names_region(tag) else "")
    is_usual = whole.script == full(Tag(whole.language)).script == full(bare).script
    return bare if is_usual else replace(bare, script=whole.script)


def _names_region(tag: Tag) -> bool:
    return _of_cldr(_cldr().languages.get(tag.language) or "").region != ""


def _of_cldr(written: str) -> Tag:
    language, *rest = written.lower().split("_")
    script = next((each for each in rest if _SCRIPT.fullmatch(each)), "")
    return Tag(language, script, next((each for each in rest if _REGION.fullmatch(each)), ""))


def _as_cldr(tag: Tag) -> str:
    return "_".join(filter(None, (tag.language, tag.script.title(), tag.region.upper())))


def _parent(tag: Tag) -> Tag | None:
    """Of a short one; None: nothing else is in its script."""
    if (known := _cldr().parents.get(_as_cldr(tag))) is not None:
        return short(_of_cldr(known))
    return short(replace(tag, region="")) if tag.region else None


# -- which translation serves whom -----------------------------------------------------------------------------------


@lru_cache(REMEMBERED)
def closest(written: str) -> tuple[Tag, ...]:
    """What somebody can read who reads this language, as short tags, the closest first: `es-MX`, `es-419`, `es`."""
    found = read(written)
    return () if found is None or found.language in _NOBODYS else tuple(_ancestry(short(found)))


def _ancestry(tag: Tag | None) -> Iterator[Tag]:
    seen: set[Tag] = set()
    while tag is not None and tag not in seen:
        seen.add(tag)
        yield tag
        tag = _parent(tag)


class Offer:
    """The tags of some translations, to find among."""

    def __init__(self, tags: Iterable[str]) -> None:
        """The first of two that mean the same is preferred, but for what is asked for as it is written."""
        self._written: dict[str, str] = {}
        self._meant: dict[Tag, str] = {}
        for tag in tags:
            self._written.setdefault(normal(tag), tag)
        # Of `zh` and `zh-Hans`, which are the same, `zh-SG` gets the one that says more.
        for tag in sorted(self._written.values(), key=lambda each: -normal(each).count("-")):
            if (found := read(tag)) is not None:
                self._meant.setdefault(short(found), tag)
                self._meant.setdefault(full(found), tag)

    def find(self, written: str) -> str | None:
        """The one that serves somebody who reads this language; None: none does."""
        said = normal(written)
        if (found := self._written.get(said)) is not None:
            return found
        meant = read(written)
        while "-" in said:  # de-DE-1996 is served by de-1996's neighbours that mean the same
            said = said.rpartition("-")[0]
            if (found := self._written.get(said)) is not None and read(said) == meant:
                return found
        for tag in closest(written):
            found = self._meant.get(tag) or self._meant.get(full(tag))
            if found is not None:
                return found
        return None
