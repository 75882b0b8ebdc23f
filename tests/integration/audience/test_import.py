"""`stentor import`: files into the registry, with an account of every row."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from stentor.audience import importing
from stentor.cli.import_ import import_
from stentor.cli.main import Commands
from stentor.store.database import Database
from stentor.store.tables import METADATA, installations

TOKEN = "{:064x}".format
PROGRAM = """
import typer
from stentor.cli.import_ import import_
typer.run(import_)
"""

APPS = """
[apps.ios]
channel = "apns"
topic = "com.example.app"
certificate_file = "apns.p12"

[apps.android]
channel = "fcm"
"""

app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False)
app.command("import")(import_)
app.command("other")(lambda: None)


@pytest.fixture
def folder(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with settings and an empty registry."""
    (tmp_path / "stentor.toml").write_text(f"[store]\nurl = {json.dumps(database_url)}\n{APPS}")
    monkeypatch.chdir(tmp_path)

    async def create() -> None:
        database = Database.open(database_url)
        await database.write(lambda connection: connection.run_sync(METADATA.create_all))
        await database.aclose()

    asyncio.run(create())
    return tmp_path


@pytest.fixture
def registry(folder: Path, database_url: str) -> Any:
    async def read() -> dict[str, Any]:
        database = Database.open(database_url)
        async with database.read() as connection:
            rows = {row.id: row for row in await connection.execute(sa.select(installations))}
        await database.aclose()
        return rows

    return lambda: asyncio.run(read())


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["import", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def account(*arguments: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json", code=code).stdout)
    parts = (found[name] for name in ("added", "changed", "revived", "unchanged", "duplicates"))
    assert found["read"] == sum(parts) + sum(found["rejected"].values())
    return found


def rejects(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_file_with_bad_rows_and_duplicates(folder: Path, registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 4)
    lines = [
        "id;push_token;Language;country",
        f"1;{TOKEN(1)};de;AT",
        f"2;{TOKEN(2)};de;DE",
        "3;fcmtoken:APA91b;;",
        f"2;{TOKEN(22)};fr;DE",  # in the same batch
        f"1;{TOKEN(11)};it;CH",  # in another
        '4;"oops;;',
        f"5;{TOKEN(5)};nonsense",
        f";{TOKEN(6)};de;",
        f"7;{TOKEN(7)};;",
        f"1;{TOKEN(12)};;IT",  # and another
    ]
    file = folder / "users.csv"
    file.write_text("\r\n".join(lines))
    found = account(str(file), "--channel", "apns", "--app", "ios", "--column", "token=push_token")
    assert {name: found[name] for name in ("read", "added", "changed", "duplicates")} == {
        "read": 10,
        "added": 4,
        "changed": 0,
        "duplicates": 3,
    }
    assert found["rejected"] == {"malformed CSV": 1, "address of another channel": 1, "no id": 1}
    assert found["left_out"] == {"malformed language": 1}
    rows = registry()
    assert {key: (row.address, row.language, row.attributes) for key, row in rows.items()} == {
        "1": (TOKEN(12), "it", '{"country":"IT"}'),
        "2": (TOKEN(22), "fr", '{"country":"DE"}'),
        "5": (TOKEN(5), None, None),
        "7": (TOKEN(7), None, None),
    }
    assert {row.app for row in rows.values()} == {"ios"}
    written = rejects(Path(found["rejects"]))
    assert written[0] == ["line", "reason", "id", "address"]
    assert sorted((int(line), reason.split(":")[0].split(",")[0], key) for line, reason, key, _ in written[1:]) == [
        (2, "duplicate of line 6", "1"),
        (3, "duplicate of line 5", "2"),
        (4, "address of another channel", "3"),
        (6, "duplicate of line 11", "1"),
        (7, "malformed CSV", ""),
        (8, "imported without it", "5"),
        (9, "no id", ""),
    ]
    assert TOKEN(6) not in Path(found["rejects"]).read_text()


def test_importing_again_changes_only_what_differs(folder: Path) -> None:
    file = folder / "users.jsonl"
    rows = [{"id": number, "token": TOKEN(number), "channel": "apns"} for number in range(2500)]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert account(str(file))["added"] == 2500
    rows[7]["token"] = TOKEN(70_000)
    file.write_text("\n".join(map(json.dumps, rows)))
    found = account(str(file))
    assert (found["changed"], found["unchanged"], found["rejects"]) == (1, 2499, None)
    assert not (folder / "users.jsonl.rejects.csv").exists()


def test_the_report_for_people(folder: Path) -> None:
    (folder / "a.csv").write_text(f"id,token,channel\n1,{TOKEN(1)},apns\n2,x,apns\n")
    output = run("a.csv", "--rejects", "bad.csv").stdout
    assert "added" in output
    assert "malformed address" in output
    assert "bad.csv" in output
    assert (folder / "bad.csv").exists()


PHONES = "id,token,platform\n1,{},ios\n2,x,ios\n"


def test_the_words_of_a_column_are_mapped(folder: Path, registry: Any) -> None:
    (folder / "a.csv").write_text(PHONES.format(TOKEN(1)))
    assert account("a.csv", "--map", "platform.ios=apns")["added"] == 1
    assert registry()["1"].channel == "apns"
    for wrong in ("platform=apns", "platform.ios", ".ios=apns", "platform.=apns"):
        assert "COLUMN.VALUE=MEANING" in run("a.csv", "--map", wrong, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--app", "iso"], "--app iso: there is no app 'iso' in stentor.toml; the nearest is ios"),
        (["--app", "x", "--dry-run"], "there are android, ios"),
        (["--app", "android"], "--app android: the app's channel is fcm, not apns; name ios"),
        (["--map", "App.red=iso"], "--map …=iso: there is no app 'iso'"),
        (["--column", "app=team", "--map", "team.red=x"], "--map …=x: there is no app 'x'"),
    ],
)
def test_an_app_that_isnt_configured_is_refused(folder: Path, registry: Any, arguments: list[str], says: str) -> None:
    (folder / "a.csv").write_text(f"id,token,App,team\n1,{TOKEN(1)},red,red\n")
    assert says in run("a.csv", "--channel", "apns", *arguments, code=2).stderr
    assert registry() == {}
    (folder / "stentor.toml").write_text("")
    assert "add [apps.ios]" in run("a.csv", "--channel", "apns", "--app", "ios", code=2).stderr


def test_the_words_for_apps_are_mapped(folder: Path, registry: Any) -> None:
    (folder / "a.csv").write_text(f"id,token,App\n1,{TOKEN(1)},red\n2,{TOKEN(2)},\n")
    assert account("a.csv", "--channel", "apns", "--map", "App.red=ios", "--app", "ios")["added"] == 2
    assert {row.app for row in registry().values()} == {"ios"}


def test_rejects_replace_no_file_unasked(folder: Path) -> None:
    text = PHONES.format(TOKEN(1))
    (folder / "a.csv").write_text(text)
    (folder / "link.csv").symlink_to("a.csv")
    (folder / "mine.txt").write_text("mine")
    mapped = ("a.csv", "--map", "platform.ios=apns")
    for same in ("a.csv", "link.csv"):
        for more in ((), ("--overwrite",)):
            assert "is the file that is read" in run(*mapped, "--rejects", same, *more, code=2).stderr
    assert (folder / "a.csv").read_text() == text
    assert "mine.txt is there already; name another" in run(*mapped, "--rejects", "mine.txt", code=2).stderr
    assert (folder / "mine.txt").read_text() == "mine"
    assert account(*mapped, "--rejects", "mine.txt", "--overwrite")["rejects"] == "mine.txt"
    names = [Path(account(*mapped)["rejects"]).name for _ in range(2)]
    assert names == ["a.csv.rejects.csv", "a.csv.rejects-2.csv"]
    assert Path(account(*mapped, "--overwrite")["rejects"]).name == "a.csv.rejects.csv"


def test_a_dry_run_registers_nothing(folder: Path, registry: Any) -> None:
    (folder / "a.csv").write_text(f"id,token,channel\n1,{TOKEN(1)},apns\n2,x,apns\n")
    assert "dry run" in run("a.csv", "--dry-run").stdout
    assert registry() == {}


@pytest.mark.parametrize(
    ("content", "arguments", "code", "says"),
    [
        (b"id,token,channel\n1,x,apns\n", [], 1, "malformed address"),
        (b"id,token,channel\n", [], 1, "read"),
        (b"", [], 2, "is empty"),
        (bytes(range(256)), [], 2, "not text"),
        (b"1,2,3\n", [], 2, "no column is the id"),
        (b"id,token,channel\n1,\xe4\xe4\xe4,apns\n", [], 2, "not UTF-8"),
        (b"id,token\n", ["--channel", "ios"], 2, "known are apns, fcm"),
        (b"id,token\n", ["--column", "token"], 2, "NAME=FILECOLUMN"),
        (b"id,token\n", ["--column", "token=tokn", "--channel", "apns"], 2, "the nearest is token"),
        (b"id,token,channel\n1,x,apns\n", ["--rejects", "none/bad.csv"], 2, "--rejects: none/bad.csv"),
        (b"id,token,channel\n", ["--config", "none.toml"], 2, "none.toml"),
        (b"id,token,channel\n", ["--format", "parquet"], 2, "not a Parquet file"),
    ],
)
def test_exit_codes(folder: Path, content: bytes, arguments: list[str], code: int, says: str) -> None:
    (folder / "a.csv").write_bytes(content)
    result = run("a.csv", *arguments, code=code)
    assert says in result.output + result.stderr


def test_a_file_that_is_not_there(folder: Path) -> None:
    assert "No such file" in run("none.csv", code=2).stderr


def test_ctrl_c_keeps_what_was_imported(folder: Path, registry: Any) -> None:
    """The file is a pipe that stays open, so the import is surely under way when the signal comes."""
    pipe = folder / "users.csv"
    os.mkfifo(pipe)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(pipe)], stderr=subprocess.PIPE, text=True)
    try:
        with pipe.open("w") as file:
            file.write("id,token,channel\n" + "".join(f"{n},{TOKEN(n)},apns\n" for n in range(5000)))
            file.flush()
            while len(registry()) < 5000:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "importing the file again is safe" in errors
    assert len(registry()) == 5000
