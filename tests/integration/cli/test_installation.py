"""`stentor installation`: what each command prints, for people and programs, and what it exits with."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stentor.cli.main import app

TOKEN = "ab" * 32
PAGE = (Path(__file__).parents[3] / "docs" / "installations.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with settings; the store is made at the first use."""
    (tmp_path / "stentor.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path / "stentor.db"}"\n')
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, code: int = 0) -> Result:
    found = CliRunner().invoke(app, ["installation", *arguments])
    assert found.exit_code == code, found.output
    assert "Traceback" not in found.output
    return found


def told(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_one_is_put_shown_and_deleted() -> None:
    put = ("put", "4711", "--channel", "apns", "--token", TOKEN, "--attribute", "plan=pro", "--attribute", "age=41")
    assert run(*put).stdout == "4711: added\n"
    assert told("put", "4711", "--language", "de", "--registered-at", "5")["change"] == "changed"
    found = told("show", "4711")
    assert (found["address"], found["language"], found["registered_at"]) == ("abababab…", "de", 5.0)
    assert found["attributes"] == {"plan": "pro", "age": 41}
    assert told("show", "4711", "--address")["address"] == TOKEN
    people = run("show", "4711").stdout
    assert "abababab…" in people
    assert TOKEN not in people
    assert told("delete", "4711") == {"id": "4711", "deleted": True}
    assert "no installation 4711" in run("delete", "4711").stdout
    assert "no installation '4711'" in run("show", "4711", code=2).stderr


def test_what_cannot_be_used_names_the_option() -> None:
    refused = run("put", "4711", "--channel", "apns", "--token", "xyz" * 9, code=2)
    assert "address: malformed address" in refused.stderr
    assert "xyz" not in refused.stderr
    unread = run("put", "1", "--channel", "apns", "--token", TOKEN, "--language", "n!", code=2)
    assert "language: malformed language" in unread.stderr


def test_pages_go_on_by_the_cursor() -> None:
    for number in range(3):
        run("put", str(number), "--channel", "apns", "--token", TOKEN)
    first = told("list", "--limit", "2")
    assert [each["id"] for each in first["installations"]] == ["0", "1"]
    assert [each["id"] for each in told("list", "--cursor", first["next"])["installations"]] == ["2"]
    assert f"--cursor {first['next']}" in run("list", "--limit", "2").stdout
    assert told("list", "--dead") == {"installations": [], "next": None}
    assert "say which channel" in run("list", "--app", "ios", code=2).stderr


def test_a_person_is_erased() -> None:
    run("put", "4711", "--channel", "apns", "--token", TOKEN)
    assert "add --yes" in run("erase", "4711", code=2).stderr
    assert told("erase", "4711", "--yes") == {
        "registered": True,
        "places": 0,
        "cancelled": 0,
        "campaigns": [],
        "left": [],
    }
    assert "Everything about it is gone." in run("erase", "4711", "--yes").stdout


def test_the_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(example, "installations.md", "exec"), names)  # the page is ours
    asyncio.run(names["register"]())
    asyncio.run(names["take_in"]())
    assert capsys.readouterr().out.splitlines() == [
        "added abababab…",
        "1 None",
        "2 rejected malformed address: an APNs token is hex digits, mostly 64",
        "1 {'malformed address': 1}",
    ]
