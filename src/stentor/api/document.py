"""The OpenAPI 3.1 document of the API, made of its operations.

Rules: every answer that an operation can give is in it, problems too; every field has its meaning.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any, get_type_hints

import msgspec

from stentor.access.shapes import IssuedKeyShape, UserShape
from stentor.api import problems
from stentor.api.bodies import JSON
from stentor.api.docstrings import of_fields
from stentor.api.idempotency import HEADER, KEY, LONGEST_KEY, REPLAYED
from stentor.api.operation import Operation
from stentor.api.problems import CONTENT_TYPE, ProblemDocument, ProblemKind, kind_of
from stentor.model import Message
from stentor.planning.content import TemplateLanguage, Translation
from stentor.recording.message_shapes import MessageShape
from stentor.recording.shapes import CampaignShape
from stentor.runtime.installations import Put
from stentor.version import __version__

REF = "#/components/schemas/"
_SUFFIXES = ("Shape", "Fields", "Document")
DESCRIPTION = """\
Sends one message to millions of installations, with none dropped and every one accounted for.

Times are epoch seconds, durations are seconds. New versions may add fields and answers; the others keep their meaning.
Errors are `application/problem+json` (RFC 9457); the `type` of each leads to what it means and what to do.

Send an `Idempotency-Key` with every POST: then it may be repeated, and nothing is done twice."""
MADE: dict[Any, tuple[str, str]] = {
    MessageShape: ("message_id", "/id"),
    CampaignShape: ("campaign", "/id"),
    IssuedKeyShape: ("key", "/about/id"),
    UserShape: ("user", "/id"),
    Put: ("installation", "/installation/id"),
}
"""By what is answered, the parameter that its id is, and where the id stands."""
ALWAYS = (problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.TOO_MANY, problems.INTERNAL, problems.UNAVAILABLE)
"""What any operation with a scope may answer."""
WITH_BODY = (
    *(problems.BAD_BODY, problems.INVALID_INPUT, problems.TOO_SLOW, problems.TOO_LARGE),
    problems.UNSUPPORTED_MEDIA_TYPE,
)
WITH_KEY = (problems.IN_PROGRESS, problems.OTHER_BODY, problems.INVALID_INPUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFile(Message):
    """A message in all its languages, as a message file has it."""

    translations: Mapping[str, Translation] = field(default_factory=dict)
    """By BCP 47 language tag, what is otherwise in that language."""
    language: str = ""
    """The language of the message itself, such as `en`. Its numbers and dates are written so."""
    templates: TemplateLanguage = TemplateLanguage.JINJA
    """What its templates are written in: `jinja` or `liquid`."""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document of these operations, as JSON values."""
    kinds = [ProblemDocument, *(each for one in operations for each in (one.body, one.answer) if each is not None)]
    _, schemas = msgspec.json.schema_components(
        [*kinds, MessageFile], schema_hook=_schema_hook, ref_template=REF + "{name}"
    )
    renamed = {name: _short(name) for name in schemas}
    same = [name for name, n in Counter(renamed.values()).items() if n > 1]
    assert not same, f"several schemas are called {same}"
    described = {name: _described(name, schema, kinds) for name, schema in schemas.items()}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        told = paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
        if links := _links(each, operations):
            told["responses"][str(each.status)]["links"] = links
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Stentor",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in operations)],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: `stentor key create` makes one.",
                }
            },
            "schemas": described,
        },
    }
    renamed_whole: dict[str, Any] = _rename(whole, renamed)
    return renamed_whole


def _operation(each: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": each.name,
        "tags": [each.tag],
        "summary": each.summary,
        "description": "\n\n".join(filter(None, (each.description, _needs(each)))),
        "parameters": [*_path_parameters(each), *_query_parameters(each), *_headers(each)],
        "responses": _responses(each),
    }
    if each.scope is None:
        told["security"] = []
    if each.takes is not None:
        told["requestBody"] = {"required": True, "content": {kind: {} for kind in each.takes.split(", ")}}
    elif each.body is not None:
        required = bool(msgspec.json.schema(each.body)["$defs"][each.body.__name__].get("required"))
        told["requestBody"] = {"required": required, "content": {JSON: {"schema": _schema(each.body)}}}
    return told


def _links(each: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """Where what an operation made can be used (OpenAPI's links)."""
    if each.answer not in MADE:
        return {}
    name, where = MADE[each.answer]
    return {
        other.name: {"operationId": other.name, "parameters": {name: f"$response.body#{where}"}}
        for other in operations
        if other.path_names == (name,) and other is not each
    }


def _needs(each: Operation) -> str:
    return "" if each.scope is None else f"Needs the scope `{each.scope.value}`."


def _path_parameters(each: Operation) -> Iterable[dict[str, Any]]:
    for name in each.path_names:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(each: Operation) -> Iterable[dict[str, Any]]:
    if each.query is None:
        return
    said = of_fields(each.query)
    for one in msgspec.structs.fields(each.query):
        schema = msgspec.json.schema(one.type)
        if "anyOf" in schema:  # what may be left out is no null in a query
            kept = [part for part in schema.pop("anyOf") if part != {"type": "null"}]
            schema |= kept[0] if len(kept) == 1 else {"anyOf": kept}
        schema = _inlined(schema)
        if one.default not in (msgspec.NODEFAULT, None):
            schema["default"] = one.default
        yield {
            "name": one.encode_name,
            "in": "query",
            "required": one.required,
            "description": said.get(one.name, ""),
            "schema": schema,
        }


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A small schema without references of its own."""
    definitions = schema.pop("$defs", {})
    if "$ref" in schema:
        schema |= definitions[schema.pop("$ref").rpartition("/")[2]]
    return schema


def _headers(each: Operation) -> Iterable[dict[str, Any]]:
    if each.method == "POST":
        yield {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "Any text that is new for each request. Repeat it with the request if no answer came.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": f"^{KEY}$"},
        }
    if each.matches:
        yield _header("If-Match", "The `ETag` of what you saw: nothing is done if it was changed meanwhile (412).")
    if _may_be_unchanged(each):
        yield _header("If-None-Match", "The `ETag` of what you have: the answer is 304 if that is as it was.")


def _header(name: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}


def _may_be_unchanged(each: Operation) -> bool:
    """Whether it may answer that nothing has changed."""
    return each.method == "GET" and each.streams is None and each.answer is not None


def _responses(each: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": each.summary}
    if each.streams is not None:
        line = {"schema": {"type": "string"}, "x-itemSchema": _schema(each.answer)}
        good["content"] = dict.fromkeys(each.streams.split(", "), line)
    elif each.answer is not None:
        good["content"] = {JSON: {"schema": _schema(each.answer)}}
    headers = {}
    if each.streams is None and each.answer is not None:
        headers["ETag"] = {"description": "Another one if the answer is another one.", "schema": {"type": "string"}}
    if each.method == "POST":
        said = "`true` if this was answered before."
        headers[REPLAYED] = {"description": said, "schema": {"type": "string"}}
    if headers:
        good["headers"] = headers
    responses = {str(each.status): good}
    if _may_be_unchanged(each):
        responses["304"] = {
            "description": "It is as it was when you got the `ETag` that you sent.",
            "headers": {"ETag": headers["ETag"]},
        }
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in kinds_of(each):
        by_status.setdefault(kind.status, []).append(kind)
    for status, found in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "\n\n".join(f"**{kind.title}** (`{kind.type}`). {kind.remedy}" for kind in found),
            "content": {CONTENT_TYPE: {"schema": _schema(ProblemDocument)}},
        }
    return responses


def kinds_of(each: Operation) -> list[ProblemKind]:
    """The kinds of problems that an operation may answer."""
    found = [kind_of(error) for error in each.raises]
    if each.scope is not None:
        found += ALWAYS
    if each.writes or each.query is not None or each.path_names:
        found += [problems.INVALID_INPUT]
    if each.writes:
        found += WITH_BODY
    if each.method == "POST":
        found += WITH_KEY
    if each.query is not None and any(one.name == "cursor" for one in msgspec.structs.fields(each.query)):
        found += [problems.INVALID_CURSOR]
    return [kind for kind in problems.KINDS if kind in found]


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=_schema_hook, ref_template=REF + "{name}")
    found: dict[str, Any] = schema
    return found


def _schema_hook(kind: type) -> dict[str, Any]:
    raise NotImplementedError(kind)


def _described(name: str, schema: dict[str, Any], kinds: Sequence[Any]) -> dict[str, Any]:
    """With what the fields' docstrings say."""
    found = next((each for each in _reached(kinds) if each.__name__ == name), None)
    if found is None:
        return schema
    said = of_fields(found)
    for field_name, each in schema.get("properties", {}).items():
        if field_name in said:
            schema["properties"][field_name] = each | {"description": said[field_name]}
    if is_dataclass(found):
        schema["additionalProperties"] = False
    return schema


def _reached(kinds: Sequence[Any]) -> list[type]:
    """All classes that these are made of."""
    found: dict[type, None] = {}
    waiting: list[Any] = [*kinds, MessageFile]
    while waiting:
        kind = waiting.pop()
        waiting += getattr(kind, "__args__", ())
        if not isinstance(kind, type) or kind in found or issubclass(kind, enum.Enum):
            continue
        found[kind] = None
        if issubclass(kind, msgspec.Struct):
            waiting += [each.type for each in msgspec.structs.fields(kind)]
        elif is_dataclass(kind):
            waiting += get_type_hints(kind).values()
    return list(found)


def _short(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_rename(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].removeprefix(REF)
        return value | {"$ref": REF + names.get(name, name)}
    return {
        key: {names.get(name, name): _rename(schema, names) for name, schema in each.items()}
        if key == "schemas"
        else _rename(each, names)
        for key, each in value.items()
    }
