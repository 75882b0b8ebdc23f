"""Which header lists a request may have (RFC 9113 sections 8.1 to 8.3). Pure: a list in, a problem or None out."""

from __future__ import annotations

import re
from functools import lru_cache

Header = tuple[bytes, bytes]

_REQUEST_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_CONNECTION_HEADERS = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]\Z")
_REGULAR, _PSEUDO = "", ":"


@lru_cache(maxsize=1024)
def _judge_name(name: bytes) -> str:
    """`_REGULAR`, `_PSEUDO`, or what is wrong with the name."""
    if name in _REQUEST_PSEUDO:
        return _PSEUDO
    if name.startswith(b":"):
        return f"pseudo-header {name!r} is not one of a request"
    if name in _CONNECTION_HEADERS:
        return f"connection-specific header {name!r}"
    if name != name.lower():
        return f"header name {name!r} is not lower case"
    if not _NAME.fullmatch(name):
        return f"header name {name!r} has characters that no header name may have"
    return _REGULAR


def problem_of_request(headers: list[Header]) -> str | None:
    """What makes these headers malformed, or None when they are a proper request."""
    pseudo: dict[bytes, bytes] = {}
    regular_seen = False
    for name, value in headers:
        judged = _judge_name(name)
        if judged == _PSEUDO:
            if regular_seen:
                return f"pseudo-header {name!r} after a regular header"
            if name in pseudo:
                return f"pseudo-header {name!r} twice"
            pseudo[name] = value
        elif judged:
            return judged
        else:
            regular_seen = True
            if name == b"te" and value != b"trailers":
                return "header b'te' with another value than trailers"
        if _BAD_VALUE.search(value):
            return f"the value of {name!r} has a line break, NUL or white space at an end"
    for required in (b":method", b":scheme", b":path"):
        if not pseudo.get(required):
            return f"pseudo-header {required!r} is missing or empty"
    if not pseudo[b":path"].startswith((b"/", b"*")):
        return "the :path doesn't begin with a slash"
    return _authority_problem(headers, pseudo)


def _authority_problem(headers: list[Header], pseudo: dict[bytes, bytes]) -> str | None:
    authority = pseudo.get(b":authority")
    host = next((value for name, value in headers if name == b"host"), None)
    if not authority and not host:
        return "neither :authority nor host"
    if authority and host and authority != host:
        return ":authority and host differ"
    return None


def problem_of_trailers(headers: list[Header]) -> str | None:
    for name, _ in headers:
        judged = _judge_name(name)
        if judged == _PSEUDO:
            return f"pseudo-header {name!r} in trailers"
        if judged:
            return judged
    return None
