"""House rules that a linter does not know: what every file of the repository must, or must not, have."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "bench").rglob("*.md"))]
TEST_COMMAND = "make test"
SAME_NAME = {
    "Scope": "what a caller may do, as APIs call it; and whom a provider's answer is about. No module needs both",
    "Rendered": "what a channel's lane makes of a message: the same thing in each, and known outside of none",
}
"""Public classes that may have the name of another, and why."""
DRAWN = {"stentor/client/shapes.py", "stentor/client/fields.py"}
"""Modules that repeat the API's shapes under its names, for programs without the engine."""
PRIVATE_PATH = re.compile(r"(?<![\w.:/-])(/root/|/home/\w|/Users/\w|/tmp/\w|[A-Z]:\\Users\\)")


def project_files(root: Path) -> list[Path]:
    """The files that belong to the repository: what git tracks or would add; in a tree without git, all but `.venv`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if name and (path := root / name).is_file()]
    made = {".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
    return [path for path in root.rglob("*") if path.is_file() and made.isdisjoint(path.relative_to(root).parts)]


def swallowed(source: str) -> list[int]:
    """The lines where everything is caught and nothing is done about it."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and all(isinstance(line, ast.Pass | ast.Continue) or _is_ellipsis(line) for line in node.body)
    ]


def _is_ellipsis(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and line.value.value is ...


def in_the_locales_encoding(source: str) -> list[int]:
    """The lines where a text file is read or written in whatever encoding the machine prefers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            before = {"read_text": 0, "write_text": 1}.get(node.func.attr)
            if before == len(node.args) and not any(each.arg == "encoding" for each in node.keywords):
                found.append(node.lineno)
    return found


def private_paths(text: str, root: Path) -> list[str]:
    """Paths that exist only on somebody's machine: home and scratch folders, and the place of this very clone."""
    found = [match.group() for match in PRIVATE_PATH.finditer(text)]
    clone = str(root)
    if clone.count("/") > 1 and re.search(rf"(?<![\w.:/-]){re.escape(clone)}(?![\w.-])", text):
        found.append(clone)
    return found


def locked_versions(lock: str) -> dict[str, set[str]]:
    """name -> versions in requirements.lock (more than one where platforms differ)."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def classes_of_one_name(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Where the public classes are that share a name, by that name; `sources` are the modules' by their paths."""
    found: dict[str, list[str]] = {}
    for where, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(where)
    return {name: places for name, places in found.items() if len(places) > 1}


def test_one_name_is_one_thing() -> None:
    """Whoever reads `Answer` in one file knows what it is in all others."""
    sources = {str(path.relative_to(ROOT / "src")): path.read_text() for path in MODULES}
    assert set(sources) >= DRAWN
    shared = classes_of_one_name({where: source for where, source in sources.items() if where not in DRAWN})
    assert {name: places for name, places in shared.items() if name not in SAME_NAME} == {}
    assert set(SAME_NAME) <= set(shared), "an exception that isn't needed any more"


def test_a_name_that_two_classes_share_is_caught() -> None:
    sources = {"a.py": "class Place: ...\nclass _Own: ...", "b.py": "class Place: ...\nclass _Own: ..."}
    assert classes_of_one_name(sources) == {"Place": ["a.py", "b.py"]}
    assert classes_of_one_name({"a.py": "class Place: ...", "b.py": "def f():\n    class Place: ..."}) == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_every_module_opens_with_its_purpose(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a module opens with a docstring that says what it is for"


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without `__init__.py` imports all the same, but says nowhere what it is for."""
    assert {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()} == set()


def test_nothing_swallows_every_exception() -> None:
    files = [path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert {str(path.relative_to(ROOT)): lines for path in files if (lines := swallowed(path.read_text()))} == {}


def test_text_files_are_utf_8_on_every_machine() -> None:
    product = [path for path in MODULES if not {"testing", "bench"} & set(path.relative_to(ROOT).parts)]
    found = {str(path): lines for path in product if (lines := in_the_locales_encoding(path.read_text("utf-8")))}
    assert found == {}
    assert in_the_locales_encoding("p.read_text()\np.write_text(t)") == [1, 2]
    assert in_the_locales_encoding("p.read_text('utf-8')\np.write_text(t, encoding='utf-8')") == []


@pytest.mark.parametrize(
    ("handler", "caught"),
    [
        ("except Exception: pass", True),
        ("except BaseException as e: ...", True),
        ("except: pass", True),
        ("except ValueError: pass", False),
        ("except Exception: raise", False),
    ],
)
def test_a_swallowed_exception_is_caught(handler: str, caught: bool) -> None:
    assert bool(swallowed(f"try: f()\n{handler}")) is caught


def shell_lines(markdown: str) -> list[str]:
    """The commands of a page's shell blocks, without their comments."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", markdown, re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]


def test_ci_runs_the_command_of_the_readme() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == TEST_COMMAND
    assert TEST_COMMAND in shell_lines((ROOT / "README.md").read_text())


def test_the_readme_names_only_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def rooms_left_out(page: str, package: Path) -> set[str]:
    """The folders of a package that a page doesn't name."""
    return {path.parent.name for path in package.glob("*/__init__.py")} - set(re.findall(r"`(\w+)/`", page))


def test_every_room_is_on_the_page_about_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert rooms_left_out(page, ROOT / "src" / "stentor") == set()
    named = set(re.findall(r"`(\w+/[\w/]+\.py)`", page))
    assert len(named) > 10
    places = (ROOT, ROOT / "src" / "stentor")
    assert [name for name in sorted(named) if not any((place / name).exists() for place in places)] == []


def test_a_room_that_is_left_out_is_found(tmp_path: Path) -> None:
    for room in ("store", "attic"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    assert rooms_left_out("`store/` and `cellar/`, attic", tmp_path) == {"attic"}


def test_every_decision_is_listed_and_says_why() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name[:4] for name in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    assert re.findall(r"\((\d\S+\.md)\)", (folder / "README.md").read_text()) == pages
    for name in pages:
        text = (folder / name).read_text()
        assert all(part in text for part in ("**Decided.**", "**Why.**", "**Cost.**")), name
        assert len(text.splitlines()) <= 40, f"{name} is longer than a page"


def test_the_quick_subset_is_there() -> None:
    """Each suite that it names, by class; and `make help` shows it."""
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^quick:.*## ", makefile, re.MULTILINE)
    (named,) = re.findall(r"^QUICK := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    for each in named.replace("\\\n", " ").split():
        path, _, suite = each.partition("::")
        assert (ROOT / path).exists(), each
        assert not suite or f"class {suite}(" in (ROOT / path).read_text(), each


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_no_file_names_somebodys_machine() -> None:
    found = {}
    for path in project_files(ROOT):
        if path != Path(__file__) and (paths := private_paths(path.read_text(errors="replace"), ROOT)):
            found[str(path.relative_to(ROOT))] = paths
    assert found == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /home/ada/keys", True),
        ("cd /srv/code/stentor && make", True),
        ('open("/root/x")', True),
        ("https://example.org/home/ada", False),
        ("POST /3/device/00ff", False),
        ("/srv/code/stentor-two", False),
    ],
)
def test_a_private_path_is_found(text: str, found: bool) -> None:
    assert bool(private_paths(text, Path("/srv/code/stentor"))) is found


def test_the_lock_fits_the_ranges_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [entry for group in project["dependency-groups"].values() for entry in group if isinstance(entry, str)]
    locked = locked_versions((ROOT / "requirements.lock").read_text())
    for requirement in map(Requirement, [*project["project"]["dependencies"], *groups]):
        versions = locked.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: run `make lock`"


def test_the_lock_names_no_host() -> None:
    """Which mirror a package comes from is this machine's affair; the hashes say that it is the right one."""
    assert "://" not in (ROOT / "requirements.lock").read_text()
