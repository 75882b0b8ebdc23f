"""Bodies and queries of requests, read within limits: what is wrong with them is told by field.

Rules: no more than `LARGEST` bytes are kept of a body that isn't streamed; a name that isn't declared is an error,
which names the nearest that is; numbers of a query are numbers, not texts.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from starlette.requests import ClientDisconnect, Request

from stentor.api.operation import Fields
from stentor.api.problems import (
    BAD_BODY,
    INVALID_INPUT,
    TOO_LARGE,
    TOO_SLOW,
    UNSUPPORTED_MEDIA_TYPE,
    FieldProblem,
    ProblemAnswer,
    pointer,
)
from stentor.wrong_types import NOT_ALLOWED, in_words

LARGEST = 2**20
"""Bytes of a body that isn't streamed: a message with all its translations has no more (`planning.content`)."""
READ_WITHIN = 30.0
"""Seconds within which such a body must have come."""
JSON = "application/json"
_NOT_TEXT = re.compile(r", not text$")
"""What is left out of what is said of a parameter, as each of them is a text at first."""
_UNKNOWN = re.compile(r"object contains unknown field `(.*)`$")

F = TypeVar("F", bound=Fields)


def media_type(request: Request) -> str:
    """Without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def see_content_type(request: Request, wanted: str) -> None:
    """Raises: ProblemAnswer: the body is of another kind."""
    if (found := media_type(request)) not in wanted.split(", "):
        said = f"is {found!r}" if found else "is missing"
        raise ProblemAnswer(UNSUPPORTED_MEDIA_TYPE, f"The header Content-Type {said}; this operation reads {wanted}.")


async def read(request: Request) -> bytes:
    """All of a body. Raises: ProblemAnswer: it is too large or too slow, or the client went away."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN):
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST:
                    raise _too_large()
    except TimeoutError:
        said = f"The body was not complete after {READ_WITHIN:g} s."
        raise ProblemAnswer(TOO_SLOW, said, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise ProblemAnswer(BAD_BODY, "The body ended before it was complete.") from None
    return bytes(body)


def _too_large() -> ProblemAnswer:
    return ProblemAnswer(TOO_LARGE, f"The body is larger than {LARGEST:,} bytes.", headers={"Connection": "close"})


def decode(body: bytes, kind: type[F]) -> F:
    """A body as what it must be; of none, what has no required fields.

    Raises: ProblemAnswer: it isn't JSON, or a field is wrong.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        place, said = _of(error, kind)
        at = pointer(place)
        raise ProblemAnswer(
            INVALID_INPUT, f"{place or 'The body'}: {said}", errors=[FieldProblem(pointer=at, detail=said)]
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProblemAnswer(BAD_BODY, f"The body is not JSON: {error}") from None
    except RecursionError:
        raise ProblemAnswer(BAD_BODY, "The body nests objects or lists too deeply.") from None


def decode_query(request: Request, kind: type[F]) -> F:
    """The query as what it must be. Raises: as `decode_parameters`."""
    return decode_parameters(request.query_params.multi_items(), kind)


def decode_parameters(parameters: Iterable[tuple[str, str]], kind: type[F]) -> F:
    """Names and values as what they must be. A name that may be there several times has a list as its type.

    Raises: ProblemAnswer: a parameter is wrong or unknown.
    """
    fields = {each.encode_name: each for each in msgspec.structs.fields(kind)}
    given: dict[str, Any] = {}
    for name, text in parameters:
        if name in fields and _is_list(fields[name].type):
            given.setdefault(name, []).append(text)
        elif name in given:
            raise _wrong_parameter(name, "is there twice; give it once")
        elif text == "null" and name in fields and not _may_be_text(fields[name].type):
            raise _wrong_parameter(name, "is `null`; leave it out instead")
        else:
            given[name] = text
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        place, said = _of(error, kind)
        raise _wrong_parameter(place.partition("[")[0], _NOT_TEXT.sub("", said)) from None


def _may_be_text(kind: Any) -> bool:
    return kind is str or str in get_args(kind)


def _is_list(kind: Any) -> bool:
    return str(kind).startswith(("list[", "typing.List"))


def _wrong_parameter(name: str, said: str) -> ProblemAnswer:
    return ProblemAnswer(INVALID_INPUT, f"{name}: {said}", errors=[FieldProblem(parameter=name, detail=said)])


def _of(error: msgspec.ValidationError, kind: type[Fields]) -> tuple[str, str]:
    """Where msgspec found what, in our words."""
    place, said = in_words(error)
    if unknown := _UNKNOWN.match(said):
        names: Mapping[str, Any] = {each.encode_name: each for each in msgspec.structs.fields(kind)}
        near = difflib.get_close_matches(unknown[1], names, 1) if not place else []
        hint = f"did you mean `{near[0]}`?" if near else "take it out"
        return ".".join(filter(None, (place, unknown[1]))), f"there is no such field; {hint}"
    offered = {each.encode_name: _offered(each.type) for each in msgspec.structs.fields(kind)}.get(place)
    if offered and said.endswith(NOT_ALLOWED):
        return place, f"{said}: {', '.join(offered)}"
    return place, said


def _offered(kind: Any) -> list[str]:
    """The values that a field may have, if they can be named."""
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(each.value) for each in kind]
    return [value for part in get_args(kind) for value in _offered(part)]
