"""The client's drawn modules are the operations of the API: names, parameters and answers, in both clients."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Iterator
from operator import attrgetter
from typing import Any, Required, get_args, get_origin, get_type_hints

import msgspec
import pytest

from docs.render_client import FOLDER, GROUPS, NAMES, class_name, modules, paged_name, table
from stentor.api.document import document
from stentor.api.operation import Operation
from stentor.api.operations import ALL
from stentor.client import BlockingClient, Client, blocking_calls, calls, fields, shapes
from stentor.client.following import KINDS
from stentor.errors import ChangedMeanwhile
from stentor.recording.shapes import CampaignShape
from stentor.runtime import changes, event_shapes

CLIENT = Client("http://127.0.0.1:1", "key")
OWN = {"file", "rows"}
"""What methods take beside an operation's parameters: files and rows are bodies here."""
DOCUMENT = document(ALL)
STREAMED = [each for each in ALL if each.streams == "text/event-stream"]


@pytest.fixture
def blocking_client() -> Iterator[BlockingClient]:
    with BlockingClient("http://127.0.0.1:1", "key") as client:
        yield client


def parameters_of(operation: Operation) -> tuple[set[str], set[str]]:
    """All that the API's document says an operation takes, and what of it must be there."""
    told = DOCUMENT["paths"][operation.path][operation.method.lower()]
    names = {each["name"]: each["required"] for each in told["parameters"] if each["in"] != "header"}
    for content in told.get("requestBody", {}).get("content", {}).values():
        if "$ref" in content.get("schema", {}):
            schema = DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
            names |= {name: name in schema.get("required", ()) for name in schema["properties"]}
    headers = {each["name"] for each in told["parameters"] if each["in"] == "header"}
    if "Idempotency-Key" in headers:
        names["idempotency_key"] = False
    if ChangedMeanwhile in operation.raises:
        names["if_match"] = False
    if operation.method == "GET" and operation.answer is CampaignShape:
        names["if_none_match"] = False
    return set(names), {name for name, required in names.items() if required}


def methods_of(operation: Operation, name: str) -> list[Any]:
    found = [attrgetter(name)(CLIENT)]
    if operation.query is not None and any(each.name == "cursor" for each in msgspec.structs.fields(operation.query)):
        found.append(attrgetter(name.rpartition(".")[0] + "." + paged_name(name.rpartition(".")[2]))(CLIENT))
    if operation.streams is not None and "csv" in operation.streams:
        found.append(attrgetter(name.replace("export", "save"))(CLIENT))
    return found


def same(ours: Any, theirs: Any) -> None:
    """See that two types read the same JSON, by name of class, field and kind."""
    if isinstance(theirs, type) and issubclass(theirs, msgspec.Struct):
        assert ours.__name__ == theirs.__name__.removesuffix("Shape")
        fields_of_ours = {each.name: each for each in msgspec.structs.fields(ours) if each.name != "etag"}
        fields_of_theirs = {each.name: each for each in msgspec.structs.fields(theirs)}
        assert list(fields_of_ours) == list(fields_of_theirs), ours
        for name, each in fields_of_theirs.items():
            assert fields_of_ours[name].required == each.required, (ours, name)
            if each.type != theirs and theirs not in get_args(each.type):
                _same_parts(fields_of_ours[name].type, each.type)
    else:
        _same_parts(ours, theirs)


def _same_parts(ours: Any, theirs: Any) -> None:
    def structs(hint: Any) -> list[Any]:
        found = [hint] if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else []
        return [*found, *(each for inner in get_args(hint) for each in structs(inner))]

    assert (type(None) in get_args(ours)) == (bool({type(None), msgspec.UnsetType} & set(get_args(theirs))))
    for one, other in zip(structs(ours), structs(theirs), strict=True):
        same(one, other)


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return modules()


@pytest.mark.parametrize("file", ["shapes.py", "fields.py", "calls.py", "blocking_calls.py"])
def test_the_drawn_modules_are_current(drawn: dict[str, str], file: str) -> None:
    assert (FOLDER / file).read_text(encoding="utf-8") == drawn[file], "run `python docs/render_client.py`"


def test_the_page_has_all_methods() -> None:
    page = (FOLDER.parents[2] / "docs" / "client.md").read_text("utf-8")
    assert page.endswith(table()), "run `python docs/render_client.py`"


@pytest.mark.parametrize("operation", ALL, ids=lambda each: each.name)
def test_each_operation_has_its_method(operation: Operation) -> None:
    """With the parameters of the API's document, and what it answers, in both clients."""
    name = NAMES[operation.name]
    if operation in STREAMED:
        assert list(inspect.signature(CLIENT.events).parameters) == ["campaign"]
        return
    method, *others = methods_of(operation, name)
    taken = inspect.signature(method).parameters
    known, required = parameters_of(operation)
    streamed = operation.streams is not None and operation.takes is None
    assert set(taken) - OWN == known - ({"format"} if streamed else set())
    assert {name for name, each in taken.items() if each.default is each.empty} - OWN == required
    assert f"`{operation.name}`" in (method.__doc__ or "")
    answer = get_type_hints(method)["return"]
    if streamed:
        assert get_origin(answer) is AsyncGenerator
        same(get_args(answer)[0], operation.answer)
    elif operation.answer is None:
        assert answer is type(None)
    else:
        same(answer, operation.answer)
    for other in others:
        left = set(taken) - set(inspect.signature(other).parameters)
        assert left in ({"limit", "cursor"}, set()), other


@pytest.mark.parametrize("operation", ALL, ids=lambda each: each.name)
def test_each_method_has_its_blocking_twin(operation: Operation, blocking_client: BlockingClient) -> None:
    name = NAMES[operation.name]
    if operation in STREAMED:
        assert inspect.signature(blocking_client.events).parameters == inspect.signature(CLIENT.events).parameters
        return
    for method in methods_of(operation, name):
        place = f"{name.rpartition('.')[0]}.{method.__name__}"
        twin = attrgetter(place)(blocking_client)
        assert inspect.signature(twin).parameters == inspect.signature(method).parameters
        assert twin.__doc__ == method.__doc__


def test_no_method_is_without_an_operation(blocking_client: BlockingClient) -> None:
    known = {
        f"{NAMES[each.name].rpartition('.')[0]}.{method.__name__}"
        for each in ALL
        if each not in STREAMED
        for method in methods_of(each, NAMES[each.name])
    }
    for group in GROUPS:
        for module, client in ((calls, CLIENT), (blocking_calls, blocking_client)):
            kind = getattr(module, class_name(group) if module is calls else f"Blocking{class_name(group)}")
            assert isinstance(attrgetter(group)(client), kind)
            public = {f"{group}.{name}" for name in vars(kind) if not name.startswith("_")}
            assert public <= known, public - known


def test_every_event_of_the_service_can_be_read() -> None:
    events = [each for each in vars(changes).values() if inspect.isclass(each) and each.__module__ == changes.__name__]
    kinds = {each.kind for each in events if hasattr(each, "kind")}
    assert "snapshot" in kinds
    assert set(KINDS) == kinds
    own = {
        each.__name__.removesuffix("Shape")
        for each in vars(event_shapes).values()
        if inspect.isclass(each) and each.__module__ == event_shapes.__name__
    }
    assert own <= set(vars(shapes))


def test_a_message_is_typed_to_its_depths() -> None:
    hints = get_type_hints(fields.MessageFile, include_extras=True)
    told = DOCUMENT["components"]["schemas"]["MessageFile"]["properties"]
    assert set(hints) == set(told)
    assert hints["apns"] == fields.ApnsOptions
    assert fields.Translation in get_args(hints["translations"])
    for kind, needed in ((fields.LiveActivity, {"event"}), (fields.Audience, {"source"})):
        found = get_type_hints(kind, include_extras=True)
        assert {name for name, hint in found.items() if get_origin(hint) is Required} == needed


@pytest.mark.parametrize(
    ("kind", "hidden"),
    [
        (shapes.IssuedKey, {"key"}),
        (shapes.OneTimeLink, {"link"}),
        (shapes.Failure, {"address"}),
        (shapes.Installation, {"address", "attributes"}),
    ],
)
def test_no_repr_shows_a_secret(kind: type[msgspec.Struct], hidden: set[str]) -> None:
    shown = repr(kind(**{name: f"<{name}>" for name in kind.__struct_fields__}))
    assert {name for name in kind.__struct_fields__ if f"<{name}>" not in shown} == hidden
