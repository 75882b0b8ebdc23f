"""`stentor keys vapid`: a key that is its owner's alone, and never overwritten."""

from __future__ import annotations

import stat
from pathlib import Path

from typer.testing import CliRunner, Result

from stentor.cli.keys import app
from stentor.errors import InvalidConfiguration
from stentor.providers.webpush.vapid import Vapid


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_key_is_written_and_its_public_part_shown(tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    done = run("vapid", "--out", file)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert done.stdout == Vapid.from_file(file, "mailto:a@example.com", lambda: 0.0).public_key + "\n"
    assert len(done.stdout) == 88
    assert "BEGIN" not in done.output


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    file.write_text("precious")
    done = run("vapid", "--out", file)
    assert isinstance(done.exception, InvalidConfiguration)
    assert "subscriptions may be bound to it" in str(done.exception)
    assert file.read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = run("vapid", "--out", tmp_path / "no" / "vapid.pem")
    assert isinstance(done.exception, InvalidConfiguration)
    assert "cannot be written" in str(done.exception)
