"""The rule of tests/conftest.py: a skip without a reason fails the run, a skip with one does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

EXPLAINED = """
import pytest
@pytest.mark.skip(reason="needs a printer")
def test_marked(): ...
def test_called(): pytest.skip("no paper")
@pytest.mark.xfail(reason="known, see the issue")
def test_known(): assert 0
def test_runs(): ...
"""
UNEXPLAINED = {
    "marker": "import pytest\n@pytest.mark.skip\ndef test_it(): ...",
    "marker with brackets": "import pytest\n@pytest.mark.skip()\ndef test_it(): ...",
    "empty reason": "import pytest\n@pytest.mark.skip(reason='')\ndef test_it(): ...",
    "call": "import pytest\ndef test_it(): pytest.skip()",
    "whole module": "import pytest\npytest.skip(allow_module_level=True)",
    "expected failure": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert 0",
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n    def test_it(self): self.skipTest('')",
}


def run(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_sample.py").write_text(source + "\ndef test_other(): ...\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    clean["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # to load all that are installed takes longer than what is tested
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "-p", "xdist", *options]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_explained_skips_pass_and_are_listed(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, EXPLAINED, *options)
    assert done.returncode == 0, done.stdout
    assert "needs a printer" in done.stdout
    assert "no paper" in done.stdout


@pytest.mark.parametrize("source", UNEXPLAINED.values(), ids=UNEXPLAINED.keys())
def test_an_unexplained_skip_fails_the_run(tmp_path: Path, source: str) -> None:
    done = run(tmp_path, source)
    assert done.returncode == 1, done.stdout
    assert "without a reason" in done.stdout
    assert "test_sample.py" in done.stdout.partition("without a reason")[2]


@pytest.mark.parametrize("kind", ["marker", "whole module"])
def test_it_holds_with_xdist_too(tmp_path: Path, kind: str) -> None:
    done = run(tmp_path, UNEXPLAINED[kind], "-n", "2")
    assert done.returncode == 1, done.stdout
