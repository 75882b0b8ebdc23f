"""Time zones as installations and people write them. Pure, but for the zones' data.

A zone is an IANA name (`Europe/Berlin`, also an old one such as `US/Pacific`, in any case) or an offset (`+02:00`,
`UTC+2`, `GMT-0800`, `Z`). Anything else means no zone, and is harmless: a name is looked for in the list of names, and
never as a path. Rules: all data is that of the `tzdata` package and never the machine's own, so that every machine has
the same rules; `Factory`, which means that nobody set a zone, is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from zoneinfo import ZoneInfo

LONGEST = 64
"""Characters of what may be a zone."""
REMEMBERED = 2048
"""Texts whose zones are kept. There are some hundreds, but anybody may write anything there."""
FARTHEST = timedelta(hours=14)
"""From UTC, to the east or the west."""
_OFFSET = re.compile(r"(?:GMT|UTC)? ?([+-])(\d\d?)(?::?([0-5]\d))?", re.ASCII | re.IGNORECASE)
"""As Java and Swift write a zone that has no name: `GMT+0530`, `GMT-08:00`."""
_UNSET = "factory"


def zone_of(written: object) -> tzinfo | None:
    """The zone that is meant; None: none is. `str` of a zone is its name: `Europe/Berlin`, `UTC+02:00`."""
    if not isinstance(written, str) or len(written) > LONGEST:
        return None
    return _zone_of(written)


@lru_cache(REMEMBERED)
def _zone_of(written: str) -> tzinfo | None:
    said = written.strip()
    if said in ("UTC", "Z", "z"):
        return UTC
    if (offset := _OFFSET.fullmatch(said)) is not None:
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-length if offset[1] == "-" else length) if length <= FARTHEST else None
    name = _names().get(said.lower())
    return None if name is None else _load(name)


def names() -> list[str]:
    """Of all zones that have one, in order."""
    return sorted(_names().values())


@cache
def _names() -> Mapping[str, str]:
    """By the same in lower case."""
    listed = files("tzdata").joinpath("zones").read_text("utf-8").split()
    return MappingProxyType({name.lower(): name for name in listed if name.lower() != _UNSET})


@cache
def _load(name: str) -> ZoneInfo:
    """Of a name in the list."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
