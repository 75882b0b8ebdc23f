"""Imports run one way through the house: doors -> runtime -> pipeline -> stages -> the words all of them use.

Stages don't import each other except through a contract (`<stage>/contract.py`) or an edge in ALLOWED, so that each
can be read, tested and replaced by itself. The rules are in the tables below; a new package must take its place there.
"""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"

LAYERS = [  # a layer may import the layers below it, and never one above
    {"cli", "contrib"},
    {"service"},
    {"dashboard"},
    {"api"},
    {"bench"},
    {"runtime"},
    {"reporting", "access"},
    {"pipeline", "words"},
    {
        *{"audience", "planning", "queue", "providers", "pace", "sending", "recording", "writeback", "feeds"},
        *{"http2", "simulators"},
    },
    {"store", "client"},  # the client knows nothing of the engine
    {
        *{"model", "batch", "account", "states", "outcome", "errors", "config", "settings", "channels", "findings"},
        *{"cells", "counted", "clock", "meter", "own_reasons", "absence", "version", "languages", "twin"},
        *{"loading", "wrong_types", "answer_times", "caps"},
    },
]
BASE = len(LAYERS) - 1  # the only layer whose modules may import each other
LAYER_OF = {part: number for number, layer in enumerate(LAYERS) for part in layer}
ALLOWED = [  # (who, what): edges between parts of one layer
    ("providers", "stentor.http2"),
    ("pace", "stentor.providers"),
    ("sending", "stentor.providers"),
    ("sending", "stentor.pace"),
    ("simulators", "stentor.http2.frames"),
    ("simulators", "stentor.http2.encode"),
    ("simulators", "stentor.http2.hpack"),
]
NEVER = [  # (who, what): although it lies below, or is a contract
    ("providers", "stentor.queue"),
    ("providers", "stentor.store"),
    ("providers", "stentor.recording"),
    ("simulators", "stentor.store"),
]
FREE = {"", "testing"}  # the root package (its version, its public names) and the test kit may import anything


def find_violations(src: Path) -> list[str]:
    """Every import under `src/stentor` that goes the wrong way, as `file:line: what is wrong`."""
    modules = {_module_name(path, src): path for path in sorted((src / "stentor").rglob("*.py"))}
    found = []
    for importer, path in modules.items():
        for line, imported in _imports(importer, path, set(modules)):
            if problem := _problem(_part(importer), _part(imported), imported):
                found.append(f"{path.relative_to(src)}:{line}: {problem}")
    return found


def find_circle(src: Path) -> list[str]:
    """Modules that need each other, if there are any: wherever an import stands, for types only too."""
    modules = {_module_name(path, src): path for path in sorted((src / "stentor").rglob("*.py"))}
    needs = {name: {each for _, each in _imports(name, path, set(modules))} for name, path in modules.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def _problem(importer: str, imported: str, module: str) -> str | None:
    """What is wrong with part `importer` importing `module` of part `imported`, if anything."""
    for part in (importer, imported):
        if part not in LAYER_OF and part not in FREE:
            return f"`{part}` has no place in the layers of {Path(__file__).name}"
    if importer in FREE or imported in ("", importer):
        return None
    if imported in FREE:
        return f"{importer} must not import {module}: it is for tests"
    if any(importer == who and _within(module, what) for who, what in NEVER):
        return f"{importer} must not import {module}: it knows nothing of that"
    above, below = LAYER_OF[importer], LAYER_OF[imported]
    if below < above:
        return f"{importer} must not import {module}: it lies above"
    if above < below or above == BASE or module == f"stentor.{imported}.contract":
        return None
    if any(importer == who and _within(module, what) for who, what in ALLOWED):
        return None
    return f"{importer} must not import {module}: they meet only through stentor.{imported}.contract"


def _imports(importer: str, path: Path, modules: set[str]) -> list[tuple[int, str]]:
    """(line, module) of each import of our own, wherever it stands, also inside functions and `if TYPE_CHECKING`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, importer, path)
            names = [f"{base}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name if name in modules else base) for name in names]
    return [(line, name) for line, name in found if _within(name, "stentor")]


def _absolute(node: ast.ImportFrom, importer: str, path: Path) -> str:
    if not node.level:
        return node.module or ""
    package = importer.split(".") if path.name == "__init__.py" else importer.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _module_name(path: Path, src: Path) -> str:
    parts = path.relative_to(src).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _part(module: str) -> str:
    """The folder or file right under the package: `senders` of `stentor.providers.apns.wire`, "" of `stentor`."""
    return module.partition(".")[2].partition(".")[0]


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_imports_run_one_way() -> None:
    assert find_violations(SRC) == []


def test_no_modules_import_each_other() -> None:
    """Each can be read, and loaded, with nothing but what lies below it."""
    assert find_circle(SRC) == []


CIRCLES = {
    "of two": {"store/a.py": "from stentor.store import b", "store/b.py": "import stentor.store.a"},
    "inside a function": {
        "store/a.py": "from stentor.store.b import x",
        "store/b.py": "def f():\n    import stentor.store.a",
    },
    "for types only": {
        "store/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stentor.store.b import x",
        "store/b.py": "from stentor.store import a",
    },
    "of three": {
        "store/a.py": "from stentor.store import b",
        "store/b.py": "from stentor.store import c",
        "store/c.py": "from stentor.store import a",
    },
    "with the root": {"store/a.py": "import stentor", "__init__.py": "from stentor.store import a"},
}


@pytest.mark.parametrize("files", CIRCLES.values(), ids=CIRCLES.keys())
def test_a_planted_circle_is_caught(tmp_path: Path, files: dict[str, str]) -> None:
    assert plant(tmp_path, files | {"store/d.py": "from stentor.store import a"}) == []
    planted = [f"stentor.{name.removesuffix('.py').replace('/', '.')}" for name in files]
    assert find_circle(tmp_path) == sorted(each.replace("stentor.__init__", "stentor") for each in planted)


def test_no_room_is_a_fifth_of_the_house() -> None:
    """What grows beyond that has more than one reason to exist."""
    lines = Counter[str]()
    for path in (SRC / "stentor").rglob("*.py"):
        lines[_part(_module_name(path, SRC))] += len(path.read_text().splitlines())
    (biggest, most), *_ = lines.most_common()
    assert most * 5 < lines.total(), f"{biggest} has {most:,} of {lines.total():,} lines"


def plant(src: Path, files: dict[str, str]) -> list[str]:
    for name, source in files.items():
        path = src / "stentor" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        (path.parent / "__init__.py").touch()
    return find_violations(src)


WRONG = {
    "upward": ("sending/a.py", "from stentor.runtime import roles"),
    "to a door": ("pipeline.py", "import stentor.cli.main"),
    "to the story": ("store/a.py", "from stentor import pipeline"),
    "stage to stage": ("planning/a.py", "from stentor.queue.sql import take"),
    "stage to stage by package": ("planning/a.py", "from stentor import queue"),
    "relative": ("planning/a.py", "from ..queue import sql"),
    "relative in a package": ("planning/__init__.py", "from ..queue.sql import take"),
    "inside a function": ("planning/a.py", "def f():\n    from stentor.queue import sql"),
    "for types only": (
        "planning/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import stentor.queue.sql",
    ),
    "against an allowed edge": ("http2/a.py", "from stentor.providers import apns"),
    "against the flow": ("providers/a.py", "from stentor.sending import courier"),
    "a provider that knows the queue": ("providers/a.py", "from stentor.queue.contract import Lease"),
    "a provider that knows the store": ("providers/a.py", "from stentor.store import tables"),
    "beside an allowed edge": ("simulators/a.py", "from stentor.http2.pool import Pool"),
    "hidden beside a good one": ("planning/a.py", "from stentor.queue import contract, sql"),
    "base to stage": ("model.py", "from stentor.http2 import frames"),
    "door to door": ("api/a.py", "from stentor.cli import main"),
    "product to test kit": ("queue/a.py", "from stentor.testing import clock"),
    "a package without a place": ("misc/a.py", "from stentor.model import Batch"),
}
RIGHT = {
    "downward": ("sending/a.py", "from stentor.model import Batch"),
    "past a layer": ("cli/a.py", "from stentor.providers.apns import wire"),
    "within a stage": ("sending/a.py", "from . import b\nfrom stentor.sending.b import x"),
    "a contract": ("planning/a.py", "from stentor.queue.contract import Queue\nfrom stentor.queue import contract"),
    "providers on the wire": ("providers/a.py", "from stentor.http2.pool import Pool\nfrom stentor.http2 import pool"),
    "the senders on a pace": ("sending/a.py", "from stentor.pace.budget import Budget"),
    "simulators on frames": ("simulators/a.py", "from stentor.http2 import frames\nimport stentor.http2.frames"),
    "base to base": ("model.py", "from stentor.errors import InvalidMessage"),
    "the version": ("api/a.py", "from stentor import __version__"),
    "the test kit": ("testing/a.py", "from stentor.runtime import roles\nfrom stentor.queue import sql"),
    "not ours": ("model.py", "import stentorian.cli\nimport ast"),
}
SURROUNDINGS = {
    "queue/contract.py": "",
    "queue/sql.py": "",
    "http2/frames.py": "",
    "http2/pool.py": "",
    "runtime/roles.py": "",
    "pipeline.py": "",
}


@pytest.mark.parametrize(("name", "source"), WRONG.values(), ids=WRONG.keys())
def test_a_planted_violation_is_caught(tmp_path: Path, name: str, source: str) -> None:
    found = plant(tmp_path, SURROUNDINGS | {name: source})
    assert len(found) == 1, found
    assert found[0].startswith(f"stentor/{name}:")


@pytest.mark.parametrize(("name", "source"), RIGHT.values(), ids=RIGHT.keys())
def test_what_is_allowed_is_not_caught(tmp_path: Path, name: str, source: str) -> None:
    assert plant(tmp_path, SURROUNDINGS | {name: source}) == []
