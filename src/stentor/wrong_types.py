"""What is wrong with a value, in plain words: msgspec says "Expected `str`, got `int`", which only programmers read.

Pure.
"""

from __future__ import annotations

import re

import msgspec

_WHERE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_MISSING = re.compile(r"Object missing required field `(.*)`$")
_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`$")
_LENGTH = re.compile(r"Expected `(\w+)[^`]*` of length (>=|<=|==) (\d+)$")
_BOUND = re.compile(r"Expected `(?:int|float)[^`]*` (>=|<=|>|<) (\S+)$")
_CHOICE = re.compile(r"Invalid enum value (.+)$")
NOT_ALLOWED = " is not one of the values that are allowed"
"""What is said, after the value, of one that is none of a few."""
_WANTED = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_GOT = _WANTED | {"int": "a number"}
_BOUNDS = {">=": "{} or more", "<=": "{} or less", ">": "more than {}", "<": "less than {}", "==": "exactly {}"}
_ENTRIES = {"str": "characters", "bytes": "bytes"}


def in_words(error: msgspec.ValidationError) -> tuple[str, str]:
    """Where something is wrong (`a.b[2].c`; empty: in the whole), and what: "must be text, not a number"."""
    said = str(error)
    where = _WHERE.search(said)
    place, said = where[1] if where else "", _WHERE.sub("", said)
    if missing := _MISSING.match(said):
        return ".".join(filter(None, (place.replace("[...]", ""), missing[1]))), "is missing"
    told = _in_words(said)
    if place.endswith("[...]") and told.startswith("must "):
        told = f"each value in it {told}"
    return place.replace("[...]", ""), told


def _in_words(said: str) -> str:
    if found := _TYPE.match(said):
        wanted = " or ".join(_WANTED.get(each, each) for each in found[1].removesuffix(" | null").split(" | "))
        got = "a number with a fraction" if (found[1], found[2]) == ("int", "float") else _GOT.get(found[2], found[2])
        return f"must be {wanted}, not {got}"
    if found := _LENGTH.match(said):
        return f"must have {_BOUNDS[found[2]].format(found[3])} {_ENTRIES.get(found[1], 'entries')}"
    if found := _BOUND.match(said):
        return f"must be {_BOUNDS[found[1]].format(found[2].removesuffix('.0'))}"
    if found := _CHOICE.match(said):
        return f"{found[1]}{NOT_ALLOWED}"
    return said[:1].lower() + said[1:]
