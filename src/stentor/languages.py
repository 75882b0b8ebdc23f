"""Language tags as people, phones and operating systems write them. Pure.

What is written may be a BCP 47 tag (`zh-Hans-CN`), a locale of Java, which Android stores (`zh_CN_#Hans`), of POSIX
(`de_AT.UTF-8`), or the value of an `Accept-Language` header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_END = re.compile(r"[.@,;\s]")
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_SCRIPT = re.compile(r"[a-z]{4}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}|[0-9]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tag:
    """The parts of a tag that choose among translations, in lower case; empty where it says nothing."""

    language: str
    script: str = ""
    region: str = ""

    def __str__(self) -> str:
        """As BCP 47 writes it: `zh-Hans-CN`."""
        return "-".join(filter(None, (self.language, self.script.title(), self.region.upper())))


def read(written: str) -> Tag | None:
    """The parts of what is written; None if it begins with no language."""
    language, *rest = _END.split(written.strip().lower(), maxsplit=1)[0].replace("_", "-").split("-")
    if not _LANGUAGE.fullmatch(language):
        return None
    script = region = ""
    for part in (each.removeprefix("#") for each in rest):
        if len(part) == 1:
            break  # extensions follow
        if not script and _SCRIPT.fullmatch(part):
            script = part
        elif not region and _REGION.fullmatch(part):
            region = part
    return Tag(language, script, region)


def candidates(written: str) -> Iterator[str]:
    """The tags, in lower case, of translations that serve somebody who reads this language: the closest first."""
    tag = written.strip().replace("_", "-").lower()
    while "-" in tag:
        yield tag
        tag = tag.rpartition("-")[0]
    found = read(written)
    if found is not None:
        for parts in ((found.script, found.region), (found.script,), (found.region,)):
            yield "-".join((found.language, *parts))
        tag = found.language
    yield tag
