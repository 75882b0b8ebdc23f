"""`stentor init` where it cannot do its work: it ends, says why in a line, and leaves nothing half done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stentor.bench.processes import simulator
from stentor.testing.ports import LOOPBACK

ON_A_FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from stentor.cli.main import app
app()
"""
"""No file can grow beyond so many bytes, which the system refuses and SQLite takes for the disk's fault."""
LONG_ENOUGH = 90.0


def init(folder: Path, *options: str, room: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(room), "init", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONG_ENOUGH, check=False)


def test_a_short_file_with_simulators_works_at_once(tmp_path: Path) -> None:
    token = "ab" * 32
    said: list[str] = []
    (tmp_path / "phones.csv").write_text(f"id,token,channel\n1,{token},apns\n")
    with simulator("apns") as (facts, _):
        (tmp_path / "apns.json").write_text(json.dumps(facts))
        for command in (
            ("init", "--channels", "apns,fcm", "--simulator", "apns.json"),
            ("import", "phones.csv"),
            ("doctor", "--json"),
            ("push", "apns/simulated-apns", token, "--title", "Hello"),
            ("send", "--title", "Hello", "--audience", "registry", "--dry-run", "--json"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "stentor.cli", *command],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=LONG_ENOUGH,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            said.append(done.stdout)
    assert json.loads(said[-1])["recipients"] == 1


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    done = init(tmp_path, room=40_000)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("stentor: The SQLite database ")
    assert "disk" in done.stderr
    assert done.stderr.count("\n") == 1
    again = init(tmp_path, "--upgrade", room=40_000)  # which waits for a database, and not for a person
    assert (again.returncode, again.stderr) == (1, done.stderr)
    assert init(tmp_path, "--upgrade", room=10_000_000).returncode == 0


def test_on_a_full_disk_there_is_no_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    done = init(tmp_path, room=1000)
    assert done.returncode == 2, done.stderr
    assert "stentor.toml cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []
    file.write_text("# mine")
    assert init(tmp_path, "--force", room=1000).returncode == 2
    assert file.read_text() == "# mine"
    assert list(tmp_path.iterdir()) == [file]


def test_a_server_that_is_away_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENTOR_STORE__URL", f"postgresql://me@{LOOPBACK}:1/stentor")
    done = init(tmp_path, room=10_000_000)
    assert done.returncode == 1, done.stderr
    assert "cannot be reached; is the server running?" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_upgrade_waits_for_a_server_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a machine or a cluster is being started."""
    assert init(tmp_path, room=10_000_000).returncode == 0
    monkeypatch.setenv("STENTOR_STORE__URL", f"postgresql://me@{LOOPBACK}:1/stentor")
    command = [sys.executable, "-m", "stentor.cli", "init", "--upgrade"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
        assert waiting.poll() is None
        waiting.terminate()
    assert "cannot be reached" in said
    assert said.endswith("Waiting for it; Ctrl-C gives up.\n")
