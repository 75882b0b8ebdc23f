"""A backup of a SQLite store as the page says it is made, while others write."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.database import Database
from stentor.store.migrate import check, migrate
from tests.integration.recording.rows import Rows

PAGE = Path(__file__).parents[3] / "docs" / "housekeeping.md"
PAIRS = "CREATE TABLE pairs (number INTEGER)"


def documented() -> str:
    section = PAGE.read_text("utf-8").partition("## Backing up SQLite")[2]
    (command, *_) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert "python3" in command
    return str(command).replace("python3", f'"{sys.executable}"')


def write_pairs(file: Path, begun: threading.Event, stop: threading.Event) -> None:
    """Two rows a transaction, again and again."""
    database = sqlite3.connect(file, timeout=60, isolation_level=None)
    number = 0
    while not stop.is_set():
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO pairs VALUES (?)", (number,))
        database.execute("INSERT INTO pairs VALUES (?)", (number,))
        database.execute("COMMIT")
        number += 1
        begun.set()
    database.close()


async def test_the_documented_backup_is_whole_while_others_write(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
    await migrate(database)
    rows = Rows(database)
    await rows.campaign()
    await rows.batch(1, "aarx")
    make_pairs(tmp_path / "stentor.db")
    begun, stop = threading.Event(), threading.Event()
    writer = threading.Thread(target=write_pairs, args=(tmp_path / "stentor.db", begun, stop))
    writer.start()
    try:
        assert begun.wait(60)
        first, again = (run(tmp_path) for _ in range(2))
    finally:
        stop.set()
        writer.join()
    await database.aclose()
    assert first.returncode == 0, first.stderr
    assert again.returncode != 0, "it overwrites nothing"

    copy = tmp_path / "backup.db"
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
    assert ask(copy, "SELECT number FROM pairs GROUP BY number HAVING count(*) <> 2") == []
    restored = Database.open(f"sqlite:///{copy}")
    await check(restored)
    async with restored.read() as connection:
        assert (await campaigns.get(connection, "c1")).state is CampaignState.RUNNING
    await restored.aclose()
    assert ask(copy, "SELECT accepted, rejected, expired FROM stentor_batches") == [(2, 1, 1)]


def make_pairs(file: Path) -> None:
    database = sqlite3.connect(file)
    database.execute(PAIRS)
    database.commit()
    database.close()


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", documented()], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def ask(file: Path, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(file)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()
