"""The wheel that `make dist` builds, installed in a fresh environment and tried there.

Its dependencies are those of this environment, so that no index is asked; what it needs of Stentor it must bring.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stentor.version import __version__

ROOT = Path(__file__).parents[2]


def run(command: Sequence[str | Path], folder: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """With nothing of this tree on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STENTOR_"))}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe of `make dist` leaves."""
    folder = tmp_path_factory.mktemp("dist")
    (recipe,) = re.findall(r"^dist: .*\n\t(.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    program = str(recipe).replace("$(BIN)/", f"{Path(sys.executable).parent}/").split()
    assert program.pop() == "dist"
    run([*program, str(folder)], ROOT)
    return folder


@pytest.fixture(scope="module")
def fresh(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it."""
    environment = tmp_path_factory.mktemp("fresh")
    run([sys.executable, "-m", "venv", "--without-pip", environment], ROOT)
    python = environment / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "--no-cache-dir",
    ]
    run([*pip, "install", "--no-deps", "--no-index", wheel], ROOT)
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], environment).stdout.strip()
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_it_is_installed_and_runs_a_campaign(fresh: Path, tmp_path: Path) -> None:
    where = run([fresh / "python", "-c", "import stentor; print(stentor.__file__)"], tmp_path).stdout
    assert where.startswith(str(fresh.parent)), "it is the wheel that is tried"
    assert run([fresh / "stentor", "--version"], tmp_path).stdout == f"stentor {__version__}\n"
    run([fresh / "stentor", "init", "--channels", "apns,fcm"], tmp_path)
    assert (tmp_path / "stentor.db").exists(), "the migrations are in it"
    told = run([fresh / "stentor", "demo", "--recipients", "200"], tmp_path).stdout
    assert "exact: every phone is accounted for" in told


def test_all_that_is_in_the_package_is_in_the_wheel(fresh: Path) -> None:
    packages = next((fresh.parent / "lib").glob("python*")) / "site-packages" / "stentor"
    ours = {path.relative_to(ROOT / "src" / "stentor") for path in (ROOT / "src" / "stentor").rglob("*.*")}
    missing = [path for path in ours if "__pycache__" not in path.parts and not (packages / path).exists()]
    assert missing == []


def test_the_source_archive_has_what_is_needed_to_build_it(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/stentor/pipeline.py"} <= names


def test_the_readme_tells_how_to_install_it_on_its_first_screen() -> None:
    first = (ROOT / "README.md").read_text("utf-8").splitlines()[:40]
    assert any(line.startswith("pip install .") for line in first)
