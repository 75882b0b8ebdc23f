"""Which header lists a response may have (RFC 9113, 8.1 to 8.3): a malformed one is no answer, whatever its status.

Names and pseudo-headers are judged, and what `content-length` promises. Other values are not: nothing passes them on.
"""

from __future__ import annotations

import re

from stentor.http2.hpack import Fields

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_CONNECTION_HEADERS = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_LENGTH = b"content-length"
_LENGTHLESS = (b"204", b"304")
"""Statuses whose responses have no body, whatever length they name."""
_MOST_NAMES = 256


class ResponseJudge:
    """Judges the header lists of one connection. What was found in order once costs little the next time."""

    __slots__ = ("names", "plain")

    def __init__(self) -> None:
        self.names: set[bytes] = set()
        """Names that are in order wherever they stand after `:status`, and say nothing of the body."""
        self.plain: Fields | None = None
        """The newest list that is in order and says nothing of the body's length."""

    def judge(self, fields: Fields) -> tuple[str, int | None]:
        """What is wrong with the headers of a response, empty if nothing is; and how long its body must be, if told."""
        if not fields or fields[0][0] != b":status":
            return "no valid status", None
        length: int | None = None
        names = self.names
        for name, value, _ in fields[1:]:
            if name in names:
                continue
            if name == _LENGTH:
                if not value.isdigit() or length not in (None, int(value)):
                    return "a content-length that is no number, or two", None
                length = int(value)
            elif problem := _problem_of_name(name):
                return problem, None
            elif len(names) < _MOST_NAMES:
                names.add(name)
        if length is None:
            self.plain = fields
        return "", None if fields[0][1] in _LENGTHLESS else length

    def judge_trailers(self, fields: Fields) -> str:
        """What is wrong with them; empty if nothing is."""
        return next(filter(None, (_problem_of_name(name) for name, _, _ in fields)), "")


def _problem_of_name(name: bytes) -> str:
    if name.startswith(b":"):
        return f"pseudo-header {name.decode('latin-1')!r} where none may be"
    if name in _CONNECTION_HEADERS:
        return f"connection-specific header {name.decode()!r}"
    if not _NAME.fullmatch(name):
        return f"header name {name.decode('latin-1')!r} is not lower case, or has other characters than names have"
    return ""
