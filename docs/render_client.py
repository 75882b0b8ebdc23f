"""Draws modules of `src/stentor/client` and a table from the API's operations: `python docs/render_client.py`.

`shapes.py` has what is answered, `fields.py` what is sent, `calls.py` a method for each operation, and
`blocking_calls.py` their twins. `docs/client.md` ends with a table of all methods. The client is for programs without
the engine, so these modules repeat what the API's own say, and import none of it. A test fails when they and the
operations differ.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType

from stentor.api.docstrings import of_fields
from stentor.api.document import MessageFile
from stentor.api.operation import Operation
from stentor.api.operations import ALL
from stentor.recording.shapes import CampaignShape
from stentor.runtime import event_shapes

FOLDER = Path(__file__).parents[1] / "src" / "stentor" / "client"
WIDTH = 120
NAMES: Mapping[str, str] = {
    "preview_campaign": "campaigns.prepare",
    "create_campaign": "campaigns.create",
    "list_campaigns": "campaigns.page",
    "get_campaign": "campaigns.get",
    "get_message": "campaigns.content",
    "change_campaign": "campaigns.change",
    "delete_campaign": "campaigns.discard",
    "check_campaign": "campaigns.check",
    "start_campaign": "campaigns.start",
    "unschedule_campaign": "campaigns.unschedule",
    "test_campaign": "campaigns.test",
    "pause_campaign": "campaigns.pause",
    "resume_campaign": "campaigns.resume",
    "release_campaign": "campaigns.release",
    "cancel_campaign": "campaigns.cancel",
    "retry_campaign": "campaigns.retry",
    "preview_undo": "campaigns.prepare_undo",
    "undo_campaign": "campaigns.undo",
    "edit_campaign": "campaigns.edit",
    "get_progress": "outcomes.progress",
    "get_report": "outcomes.report",
    "audit_campaign": "outcomes.audit",
    "explain_recipient": "outcomes.explain",
    "list_failures": "outcomes.failures_page",
    "export_failures": "outcomes.export_failures",
    "export_recipients": "outcomes.export_recipients",
    "watch_campaign": "events",
    "watch_all": "events",
    "preview_series": "series.next_times",
    "create_series": "series.add",
    "list_series": "series.page",
    "get_series": "series.get",
    "get_series_draft": "series.draft",
    "get_series_message": "series.content",
    "change_series": "series.change",
    "pause_series": "series.pause",
    "resume_series": "series.resume",
    "delete_series": "series.delete",
    "list_series_runs": "series.runs",
    "send_message": "messages.send",
    "list_messages": "messages.newest",
    "get_message_outcome": "messages.get",
    "list_segments": "segments.page",
    "get_segment": "segments.get",
    "save_segment": "segments.save",
    "delete_segment": "segments.delete",
    "count_segment": "segments.count",
    "list_opt_outs": "care.opt_outs_page",
    "add_opt_outs": "care.opt_out",
    "get_opt_outs": "care.opt_outs_of",
    "set_opt_outs": "care.set_opt_outs",
    "list_exclusions": "care.exclusion_lists",
    "get_exclusions": "care.excluded",
    "add_exclusions": "care.exclude",
    "remove_exclusions": "care.readmit",
    "delete_exclusions": "care.delete_exclusion_list",
    "list_templates": "templates.page",
    "get_template": "templates.get",
    "list_template_versions": "templates.versions",
    "get_template_version": "templates.version",
    "compare_template": "templates.compare",
    "save_template": "templates.save",
    "restore_template": "templates.restore",
    "delete_template": "templates.delete",
    "list_installations": "installations.page",
    "put_installations": "installations.upsert_many",
    "get_installation": "installations.get",
    "put_installation": "installations.put",
    "delete_installation": "installations.delete",
    "erase_installation": "installations.erase",
    "list_lanes": "lanes.all",
    "list_apps": "lanes.apps",
    "list_roles": "lanes.roles",
    "get_queue": "queue.get",
    "drain_queue": "queue.begin_drain",
    "end_drain": "queue.end_drain",
    "list_targets": "reports.targets",
    "list_reports": "reports.deliveries",
    "test_reports": "reports.test",
    "replay_report": "reports.replay",
    "whoami": "access.whoami",
    "list_keys": "access.keys.page",
    "create_key": "access.keys.create",
    "get_key": "access.keys.find",
    "roll_key": "access.keys.roll",
    "revoke_key": "access.keys.revoke",
    "list_users": "access.users.page",
    "create_user": "access.users.add",
    "get_user": "access.users.find",
    "set_role": "access.users.set_role",
    "link_user": "access.users.link",
    "disable_user": "access.users.disable",
    "enable_user": "access.users.enable",
    "sign_out_user": "access.sessions.end_all",
    "list_actions": "access.log.page",
}
"""What the client calls each operation: as the library calls it, where it has the same."""
GROUPS: Mapping[str, str] = {
    "campaigns": "Campaigns: previewed, made, started, stopped, taken back.",
    "outcomes": "What became of campaigns: progress, report, failures, one recipient, the audit.",
    "series": "Series: campaigns that recur, and what became of their runs.",
    "messages": "Transactional messages: to a few recipients, ahead of all campaigns on their lanes.",
    "segments": "Segments: saved by name, and counted in an audience.",
    "care": "Whom campaigns leave alone: opt-outs and exclusion lists.",
    "templates": "Messages saved by name, in all their versions.",
    "installations": "Installations of the registry: one by one, as a stream, and a person erased.",
    "lanes": "Lanes and apps.",
    "queue": "The queue as a whole.",
    "reports": "Reports and alarms: where they go to, and what became of them.",
    "access.keys": "API keys.",
    "access.users": "The users of the dashboard.",
    "access.sessions": "Sessions of users.",
    "access.log": "Who did what.",
    "access": "Who may do what.",
}
SILENCE: Mapping[str, str] = {
    "audit_campaign": "3600.0",
    "count_segment": "self._connection.timeout + 180.0",
    "erase_installation": "self._connection.timeout + 30.0",
    "send_message": "self._connection.timeout + (wait or 0.0)",
    "get_message_outcome": "self._connection.timeout + (wait or 0.0)",
}
"""Seconds that an operation may take, where the client's timeout is too short for it."""
SECRETS: Mapping[str, tuple[str, ...]] = {
    "Failure": ("address",),
    "Installation": ("address", "attributes"),
    "IssuedKey": ("key",),
    "OneTimeLink": ("link",),
}
"""Fields that a repr doesn't show."""
DRAWN = "Drawn from the API's operations by `docs/render_client.py`; don't edit it here."
EXPORT, EVENTS = "text/csv", "text/event-stream"


def modules() -> dict[str, str]:
    """The modules as they should be, by the names of their files."""
    drawn = {
        "shapes.py": _shapes(),
        "fields.py": _fields(),
        "calls.py": _calls(),
        "blocking_calls.py": _blocking_calls(),
    }
    return {file: _formatted(source, FOLDER / file) for file, source in drawn.items()}


def _formatted(source: str, file: Path) -> str:
    command = (sys.executable, "-m", "ruff", "format", "--stdin-filename", str(file), "-")
    run = subprocess.run(command, input=source, capture_output=True, encoding="utf-8", check=True, cwd=FOLDER)
    return run.stdout


def table() -> str:
    """All methods, for the page about the client."""
    rows = [f"| `{each.name}` | `{_called(each)}` | {each.summary} |" for each in ALL]
    return "\n".join(["| operation | method | what it does |", "|---|---|---|", *rows]) + "\n"


def _called(each: Operation) -> str:
    name = NAMES[each.name]
    if each.streams == EVENTS:
        return f"{name}({', '.join(each.path_names)})"
    if each.streams is not None and EXPORT in each.streams:
        return f"{name}`, `{name.replace('export', 'save')}"
    if each.query is not None and any(one.name == "cursor" for one in msgspec.structs.fields(each.query)):
        group, _, last = name.rpartition(".")
        return f"{name}`, `{group}.{paged_name(last)}"
    return name


# Types: what is answered are structs; what is sent are plain objects, as programs write them.


def _short(kind: type) -> str:
    return kind.__name__.removesuffix("Shape").removesuffix("Fields")


def _answered(hint: Any) -> str:
    """The type of something that is answered. A text out of a few is any text: there may be more of them some day."""
    return _type(hint, named=_short, literal=lambda values: "str", table="dict", tree="dict[str, Any]")


def _sent(hint: Any, module: str = "") -> str:
    """The type of something that is sent."""
    return _type(
        hint,
        named=lambda kind: module + _short(kind),
        literal=lambda values: f"Literal[{', '.join(map(_quoted, values))}]",
        table="Mapping",
        tree=f"{module}MessageFile",
    )


def _type(
    hint: Any,
    *,
    named: Callable[[type], str],
    literal: Callable[[Sequence[str]], str],
    table: str,
    tree: str,
) -> str:
    def of(hint: Any) -> str:
        origin, inner = get_origin(hint), get_args(hint)
        if origin is Annotated:
            schema = getattr(inner[1], "extra_json_schema", None) or {}
            return tree if schema.get("$ref", "").endswith("/MessageFile") else of(inner[0])
        if origin in (Union, UnionType):
            kept = [of(each) for each in inner if each not in (NoneType, UnsetType)]
            return " | ".join([*dict.fromkeys(kept), *(["None"] if NoneType in inner or UnsetType in inner else [])])
        if origin is Literal:
            return literal(inner)
        if origin is not None and issubclass(origin, Mapping):
            return f"{table}[{of(inner[0])}, {of(inner[1])}]"
        if origin is not None and issubclass(origin, Sequence):
            return f"list[{of(inner[0])}]"
        if hint is bytes:
            return "str"
        if hint is Any:
            return "Any"
        if issubclass(hint, Enum):
            return literal([each.value for each in hint])
        return named(hint) if _is_table(hint) else str(hint.__name__)

    return of(hint)


def _is_table(hint: Any) -> bool:
    return isinstance(hint, type) and (issubclass(hint, msgspec.Struct) or is_dataclass(hint))


def _reached(roots: Iterable[Any]) -> list[type]:
    """All tables that these are made of, each after those that it needs."""
    found: list[type] = []
    begun: set[type] = set()

    def visit(hint: Any) -> None:
        for inner in get_args(hint):
            visit(inner)
        if _is_table(hint) and hint not in begun:
            begun.add(hint)
            for each in get_type_hints(hint, include_extras=True).values():
                visit(each)
            found.append(hint)

    for root in roots:
        visit(root)
    names = [_short(each) for each in found]
    assert len(set(names)) == len(names), f"two of these have the same name: {names}"
    return found


def _shapes() -> str:
    roots = [*(each.answer for each in ALL if each.answer is not None), *_event_shapes()]
    parts = [
        f'"""What the API answers.\n\n{DRAWN}\nTimes are epoch seconds, durations are seconds. New versions of the API '
        'may add fields; this leaves them out.\n"""\n\nfrom __future__ import annotations\n\nfrom typing import Any\n\n'
        "import msgspec\n",
        *map(_struct, _reached(roots)),
        "def _without(shape: msgspec.Struct, *hidden: str) -> str:\n"
        "    shown = (name for name in shape.__struct_fields__ if name not in hidden)\n"
        "    return f\"{type(shape).__name__}({', '.join(f'{name}={getattr(shape, name)!r}' for name in shown)})\"\n",
    ]
    return "\n\n".join(parts)


def _event_shapes() -> list[type]:
    """What events say."""
    return [
        each
        for each in vars(event_shapes).values()
        if isinstance(each, type) and each.__module__ == event_shapes.__name__
    ]


def _struct(kind: type) -> str:
    name, said = _short(kind), of_fields(kind)
    lines = [f"class {name}(msgspec.Struct, frozen=True, kw_only=True):", *_docstring(_about(kind), 4), ""]
    for each in msgspec.structs.fields(kind):
        assert each.encode_name == each.name, each
        lines += [f"    {each.name}: {_answered(each.type)}{_default(each)}", *_docstring(said.get(each.name, ""), 4)]
    if kind is CampaignShape:
        lines += ['    etag: str = ""', *_docstring("The header `ETag`, for `if_match`. Empty inside of a list.", 4)]
    if name in SECRETS:
        known = {each.name for each in msgspec.structs.fields(kind)}
        assert set(SECRETS[name]) <= known, f"SECRETS names what {name} doesn't have"
        hidden = ", ".join(map(_quoted, SECRETS[name]))
        lines += ["", "    def __repr__(self) -> str:", f"        return _without(self, {hidden})"]
    return "\n".join(lines) + "\n"


def _default(each: msgspec.structs.FieldInfo) -> str:
    if each.required:
        return ""
    if each.default_factory is not NODEFAULT:
        return " = []" if each.default_factory() == [] else " = {}"
    return " = None" if each.default in (UNSET, None) else f" = {each.default!r}"


def _fields() -> str:
    roots = [MessageFile]
    for each in ALL:
        roots += [one.type for one in msgspec.structs.fields(each.body)] if each.body is not None else []
    body = "\n\n".join(map(_typed_dict, _reached(roots)))
    return (
        f'"""What the API is sent: plain objects, as they are in JSON.\n\n{DRAWN}\n"""\n\n'
        "from __future__ import annotations\n\nfrom collections.abc import Mapping\n"
        "from typing import Any, Literal, Required, TypedDict\n\n\n" + body
    )


def _typed_dict(kind: type) -> str:
    said, hints, needed = of_fields(kind), get_type_hints(kind, include_extras=True), _needed(kind)
    lines = [f"class {_short(kind)}(TypedDict, total=False):", *_docstring(_about(kind), 4), ""]
    for name in needed:
        text = _sent(hints[name])
        lines += [f"    {name}: {f'Required[{text}]' if needed[name] else text}", *_docstring(said.get(name, ""), 4)]
    return "\n".join(lines) + "\n"


def _needed(kind: Any) -> dict[str, bool]:
    """By field, whether it must be there."""
    if is_dataclass(kind):
        return {each.name: each.default is MISSING and each.default_factory is MISSING for each in fields(kind)}
    return {each.name: each.required for each in msgspec.structs.fields(kind)}


# Methods: one for each operation, and an iterator for each list that comes in pages.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    name: str
    type: str
    required: bool
    default: str
    meaning: str
    place: str
    """`path`, `body`, `query` or `header`."""

    @property
    def declared(self) -> str:
        return f"{self.name}: {self.type}" + ("" if self.required else f" = {self.default}")


def _parameters(each: Operation) -> list[_Parameter]:
    found = [
        _Parameter(name=name, type="str", required=True, default="", meaning="", place="path")
        for name in each.path_names
    ]
    sources: list[tuple[str, Any]] = [("body", each.body), ("query", each.query)]
    for place, kind in sources:
        if kind is None:
            continue
        said = of_fields(kind)
        for one in msgspec.structs.fields(kind):
            text = _sent(one.type, "fields.")
            flag = one.default is False
            optional = not one.required and not flag and not text.endswith("| None")
            meaning = said.get(one.name) or (_about(one.type) if _is_table(one.type) else "")
            if optional and isinstance(one.default, str | int | float) and not isinstance(one.default, bool):
                meaning = f"{meaning} Left out: {getattr(one.default, 'value', one.default)}.".strip()
            found.append(
                _Parameter(
                    name=one.name,
                    type=f"{text} | None" if optional else text,
                    required=one.required,
                    default="False" if flag else "None",
                    meaning=meaning,
                    place=place,
                )
            )
    if each.matches:
        meaning = "The campaign as you got it, or its ETag: refuse if it was changed meanwhile."
        found.append(_header("if_match", "shapes.Campaign | str | None", meaning))
    if _may_be_unchanged(each):
        meaning = "The campaign as you got it: it is what you get if nothing has changed, and nothing is sent again."
        found.append(_header("if_none_match", "shapes.Campaign | None", meaning))
    if each.method == "POST":
        meaning = "Repeats an earlier request under its key. Left out: a new one."
        found.append(_header("idempotency_key", "str | None", meaning))
    names = [one.name for one in found]
    assert len(set(names)) == len(names), f"{each.name} takes two of one name: {names}"
    return found


def _may_be_unchanged(each: Operation) -> bool:
    """Whether what it answers can be asked for again with its ETag."""
    return each.method == "GET" and each.answer is CampaignShape


def _header(name: str, type_: str, meaning: str) -> _Parameter:
    return _Parameter(name=name, type=type_, required=False, default="None", meaning=meaning, place="header")


def _calls() -> str:
    missing = {each.name for each in ALL} ^ set(NAMES)
    assert not missing, f"NAMES and the operations differ in {missing}"
    head = (
        f'"""A method for each operation of the API.\n\n{DRAWN}\nEach method raises `ApiProblem`.\n"""\n\n'
        "from __future__ import annotations\n\nfrom collections.abc import AsyncGenerator, Mapping\n"
        "from typing import Any, BinaryIO, Literal\n\nfrom stentor.client import fields, shapes\n"
        "from stentor.client.calling import headers, paged\n"
        "from stentor.client.connection import ApiConnection, ApiRequest, path\n"
        "from stentor.client.exporting import ExportFormat, rows, save\n"
        "from stentor.client.uploading import InstallationRows, upsert\n"
    )
    return "\n\n".join([head, *map(_class, GROUPS)])


def _class(group: str) -> str:
    lines = [f"class {class_name(group)}:", *_docstring(GROUPS[group], 4), ""]
    lines += ["    def __init__(self, connection: ApiConnection) -> None:", "        self._connection = connection"]
    for child in _children(group):
        lines += [f"        self.{child.rpartition('.')[2]} = {class_name(child)}(connection)"]
    for each in _of(group):
        for method in _methods(each):
            lines += ["", *method]
    return "\n".join(lines) + "\n"


def class_name(group: str) -> str:
    return group.rpartition(".")[2].capitalize() + "Calls"


def _children(group: str) -> list[str]:
    return [each for each in GROUPS if each.rpartition(".")[0] == group]


def _of(group: str) -> list[Operation]:
    return [each for each in ALL if NAMES[each.name].rpartition(".")[0] == group]


def _methods(each: Operation) -> Iterator[list[str]]:
    name, parameters = NAMES[each.name].rpartition(".")[2], _parameters(each)
    if each.takes is not None:
        yield _upload(each, name, parameters)
    elif each.streams is not None:
        yield from _exports(each, name, parameters)
    else:
        yield _plain(each, name, parameters)
        if any(one.name == "cursor" for one in parameters):
            yield _paged(each, name, parameters)


def _plain(each: Operation, name: str, parameters: Sequence[_Parameter]) -> list[str]:
    answer = "None" if each.answer is None else f"shapes.{_short(each.answer)}"
    lines = [*_signature("async def", name, parameters, answer), *_described(each, parameters)]
    keep = "" if each.answer is None else "return "
    lines += [
        f"        {keep}await self._connection.ask(",
        "            ApiRequest(",
        f'                method="{each.method}",',
        f"                path={_path(each)},",
    ]
    for place in ("query", "body"):
        given = [one.name for one in parameters if one.place == place]
        if given or (place == "body" and each.body is not None):
            lines += [
                f"                {place}={{",
                *(f'                    "{one}": {one},' for one in given),
                "                },",
            ]
    if given := [f"{one.name}={one.name}" for one in parameters if one.place == "header"]:
        lines += [f"                headers=headers({', '.join(given)}),"]
    if _may_be_unchanged(each):
        lines += ["                known=if_none_match,"]
    if each.name in SILENCE:
        lines += [f"                silence={SILENCE[each.name]},"]
    return [*lines, "            ),", f"            {answer},", "        )"]


def _paged(each: Operation, name: str, parameters: Sequence[_Parameter]) -> list[str]:
    (listed,) = [one for one in msgspec.structs.fields(each.answer) if one.name != "next"]
    (kind,) = get_args(listed.type)
    most = get_args(get_type_hints(each.query, include_extras=True)["limit"])[1].le
    kept = [one for one in parameters if one.name not in ("limit", "cursor")]
    given = [one.name if one.place == "path" else f"{one.name}={one.name}" for one in kept]
    given = [*given, f"limit={most}", "cursor=cursor"]
    return [
        *_signature("def", paged_name(name), kept, f"AsyncGenerator[shapes.{_short(kind)}, None]"),
        *_docstring(f"Each of them, from all pages: see `{name}`.", 8),
        "        return paged(",
        f"            lambda cursor: self.{name}({', '.join(given)}),",
        f"            lambda page: page.{listed.name},",
        "        )",
    ]


def paged_name(name: str) -> str:
    """What the iterator over pages is called: `all` for `page`, `failures` for `failures_page`."""
    return "all" if name == "page" else name.removesuffix("_page")


def _exports(each: Operation, name: str, parameters: Sequence[_Parameter]) -> Iterator[list[str]]:
    kept = [one for one in parameters if one.name != "format"]
    query = [f'                "{one.name}": {one.name},' for one in kept if one.place == "query"]
    kind = f"shapes.{_short(each.answer)}"
    yield [
        *_signature("def", name, kept, f"AsyncGenerator[{kind}, None]"),
        *_described(
            each,
            kept,
            f"{each.summary.partition(', as ')[0]}.",
            "The list comes compressed. If the connection breaks, it goes on by itself after the last row.",
        ),
        "        return rows(",
        "            self._connection,",
        f"            {_path(each)},",
        "            {",
        *query,
        "            },",
        f"            {kind},",
        "        )",
    ]
    saved = name.replace("export", "save")
    own = [
        _Parameter(name="file", type="BinaryIO", required=True, default="", meaning="", place="path"),
        _Parameter(name="format", type="ExportFormat", required=False, default='"csv"', meaning="", place="query"),
    ]
    in_path = [one for one in kept if one.place == "path"]
    yield [
        *_signature("async def", saved, [*in_path, *own, *kept[len(in_path) :]], "None"),
        *_docstring(f"Write the rows of `{name}` to a file, as they come.", 8),
        "        await save(",
        "            self._connection,",
        f"            {_path(each)},",
        "            {",
        *query,
        "            },",
        "            file,",
        "            format,",
        "        )",
    ]


def _upload(each: Operation, name: str, parameters: Sequence[_Parameter]) -> list[str]:
    own = _Parameter(name="rows", type="InstallationRows", required=True, default="", meaning="", place="path")
    answer = f"shapes.{_short(each.answer)}"
    more = "They are sent as they are taken from `rows`, never all at once."
    return [
        *_signature("async def", name, [own, *parameters], answer),
        *_described(each, parameters, f"{each.summary}.", *each.description.split("\n\n"), more),
        "        return await upsert(",
        "            self._connection,",
        f"            {_path(each)},",
        "            {",
        *(f'                "{one.name}": {one.name},' for one in parameters),
        "            },",
        "            rows,",
        "        )",
    ]


def _signature(begin: str, name: str, parameters: Sequence[_Parameter], answer: str) -> list[str]:
    first = [one.declared for one in parameters if one.place == "path"]
    named = [one.declared for one in parameters if one.place != "path"]
    whole = ["self", *first, *(["*", *named] if named else [])]
    if not named:
        return [f"    {begin} {name}({', '.join(whole)}) -> {answer}:"]
    return [f"    {begin} {name}(", *(f"        {one}," for one in whole), f"    ) -> {answer}:"]


def _described(each: Operation, parameters: Sequence[_Parameter], *instead: str) -> list[str]:
    """The docstring of a method.

    Args:
        instead: paragraphs in place of what the operation says of itself.
    """
    needs = "" if each.scope is None else f", which needs the scope `{each.scope.value}`"
    own = instead or (f"{each.summary}.", *each.description.split("\n\n"))
    paragraphs = [*own, f"Calls `{each.name}`{needs}."]
    lines = ['        """' + paragraphs[0]]
    for paragraph in filter(str.strip, paragraphs[1:]):
        lines += ["", *_wrapped(" ".join(paragraph.split()), 8)]
    said = [(one.name, one.meaning) for one in parameters if one.meaning]
    if said:
        lines += ["", "        Args:"]
        for name, meaning in said:
            lines += _wrapped(f"{name}: {meaning}", 12, 16)
    return [*lines, '        """']


def _path(each: Operation) -> str:
    if not each.path_names:
        return f'"{each.path}"'
    return f'path("{each.path}", {", ".join(f"{name}={name}" for name in each.path_names)})'


def _blocking_calls() -> str:
    names = sorted(class_name(group) for group in GROUPS)
    head = (
        f'"""The blocking twins of `calls.py`.\n\n{DRAWN}\n"""\n\n'
        "from __future__ import annotations\n\nimport asyncio\n\n"
        "from stentor.client.calls import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
        "from stentor.twin import Twin, blocking, iterating\n"
    )
    return "\n\n".join([head, *map(_blocking_class, GROUPS)])


def _blocking_class(group: str) -> str:
    of = class_name(group)
    lines = [f"class Blocking{of}(Twin[{of}]):", f'    """See `{of}`."""', ""]
    for each in _of(group):
        for begin, name in (_named(method[0]) for method in _methods(each)):
            lines += [f"    {name} = {'blocking' if begin == 'async def' else 'iterating'}({of}.{name})"]
    if children := _children(group):
        lines += ["", f"    def __init__(self, part: {of}, runner: asyncio.Runner) -> None:"]
        lines += ["        super().__init__(part, runner)"]
        for child in children:
            name = child.rpartition(".")[2]
            lines += [f"        self.{name} = Blocking{class_name(child)}(part.{name}, runner)"]
    return "\n".join(lines) + "\n"


def _named(line: str) -> tuple[str, str]:
    begin, _, name = line.strip().partition("(")[0].rpartition(" ")
    return begin, name


# Text.


def _about(kind: type) -> str:
    """The docstring of a class; a plain one for those that have none of their own."""
    said = kind.__dict__.get("__doc__") or ""
    first = " ".join(said.split("\n\n", maxsplit=1)[0].split())
    return (
        first
        if first and "(" not in first[: len(kind.__name__) + 1]
        else f"See `{_short(kind)}` in the API's document."
    )


def _docstring(text: str, indent: int) -> list[str]:
    if not text:
        return []
    text = text.replace("\\", "\\\\")
    if indent + len(text) + 6 <= WIDTH:
        return [f'{" " * indent}"""{text}"""']
    lines = textwrap.wrap(text, WIDTH, initial_indent=f'{" " * indent}"""', subsequent_indent=" " * indent)
    if len(lines[-1]) + 3 <= WIDTH:
        return [*lines[:-1], f'{lines[-1]}"""']
    return textwrap.wrap(f'{text}"""', WIDTH, initial_indent=f'{" " * indent}"""', subsequent_indent=" " * indent)


def _wrapped(text: str, indent: int, further: int | None = None) -> list[str]:
    after = " " * (indent if further is None else further)
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=after)


def _quoted(text: str) -> str:
    return f'"{text}"'


if __name__ == "__main__":
    for file, source in modules().items():
        (FOLDER / file).write_text(source, encoding="utf-8")
    page, mark = FOLDER.parents[2] / "docs" / "client.md", "## All methods\n\n"
    page.write_text(page.read_text("utf-8").partition(mark)[0] + mark + table(), encoding="utf-8")
