"""What is wrong is said in one paragraph that names it and the remedy, with the right exit code; nothing is begun."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from stentor.bench.processes import simulator
from stentor.cli.main import app
from stentor.store.migrate import VERSION_TABLE
from tests.integration.runtime.rehearsal import Facts, change, write

FAILED, USAGE = 1, 2
SEND = ("send", "--audience", "users", "--yes")


@dataclass
class Shop:
    """A folder with settings and a database of 40 phones."""

    folder: Path
    file: Path

    def __call__(self, *arguments: str) -> Any:  # Any: click's result
        runner = CliRunner(env={"STENTOR_CONFIG": str(self.file), "STENTOR_DEBUG": None, "COLUMNS": "80"})
        return runner.invoke(app, list(arguments))

    def set(self, before: str, after: str) -> None:
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))

    def change(self, statement: str) -> None:
        change(self.folder, statement)

    @property
    def begun(self) -> int:
        """How many campaigns there are."""
        store = self.folder / "stentor.db"
        if not store.exists():
            return 0
        database = sqlite3.connect(store)
        try:
            return int(database.execute("SELECT count(*) FROM stentor_campaigns").fetchone()[0])
        except sqlite3.OperationalError:  # no such table
            return 0
        finally:
            database.close()

    def refuses(self, *arguments: str, says: tuple[str, ...], code: int = USAGE) -> str:
        begun = self.begun
        result = self(*arguments)
        assert result.exit_code == code, result.output
        said: str = result.stderr
        assert said.startswith("stentor: "), said
        assert said.count("\n") == 1, said
        assert "Traceback" not in result.output
        for words in says:
            assert words in said
        assert self.begun == begun
        return said


@pytest.fixture
def shop(tmp_path: Path, facts: Facts) -> Shop:
    return Shop(tmp_path, write(tmp_path, facts))


def remake(shop: Shop, columns: str, *rows: str) -> None:
    shop.change("DROP TABLE devices")
    shop.change(f"CREATE TABLE devices ({columns})")
    for row in rows:
        shop.change(f"INSERT INTO devices VALUES ({row})")


COLUMNS = "id INTEGER, platform TEXT, token TEXT, language TEXT"


def two_keys_alike(shop: Shop) -> None:
    remake(shop, COLUMNS, "1, 'ios', 'aa', 'de'", "1, 'ios', 'bb', 'de'")


def keys_of_two_types(shop: Shop) -> None:
    remake(shop, "id, platform TEXT, token TEXT, language TEXT", "1, 'ios', 'aa', 'de'", "'x', 'ios', 'bb', 'de'")


def wrong_key_file(shop: Shop) -> None:
    (shop.folder / "wrong.p8").write_text("this is no key")
    lines = shop.file.read_text().splitlines()
    shop.file.write_text("\n".join('key_file = "wrong.p8"' if line.startswith("key_file") else line for line in lines))


def expired_certificate(shop: Shop) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services: com.example.app")])
    long_ago = datetime.now(UTC) - timedelta(days=400)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(long_ago)
        .not_valid_after(long_ago + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (shop.folder / "push.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    text = [line for line in shop.file.read_text().splitlines() if not line.startswith(("key_id", "team_id"))]
    lines = ['certificate_file = "push.pem"' if line.startswith("key_file") else line for line in text]
    shop.file.write_text("\n".join(lines))


def setting(before: str, after: str) -> Callable[[Shop], None]:
    return lambda shop: shop.set(before, after)


def statement(sql: str) -> Callable[[Shop], None]:
    return lambda shop: shop.change(sql)


def nothing(shop: Shop) -> None: ...


TITLE = ("--title", "Hello")
CASES: dict[str, tuple[Callable[[Shop], None], tuple[str, ...], tuple[str, ...]]] = {
    "unknown column": (
        setting('address = "token"', 'address = "tokn"'),
        (*SEND, *TITLE),
        ("audiences.users.columns.address", "no column tokn", "token"),
    ),
    "unknown table": (setting('"devices"', '"device"'), (*SEND, *TITLE), ("audiences.users.table", "devices")),
    "empty audience": (statement("DELETE FROM devices"), (*SEND, *TITLE), ("the audience users is empty",)),
    "wrong key type": (keys_of_two_types, (*SEND, *TITLE), ("audiences.users.columns.id", "a key needs one type")),
    "duplicate ids": (two_keys_alike, (*SEND, *TITLE), ("audiences.users.columns.id", "not unique", "unique index")),
    "unknown channel": (
        statement("UPDATE devices SET platform = 'windows'"),
        (*SEND, *TITLE),
        ("users has 40 installations, none on a configured app (40 with `platform` 'windows')", "with `channels`"),
    ),
    "wrong key file": (wrong_key_file, (*SEND, *TITLE), ("wrong.p8",)),
    "expired certificate": (expired_certificate, (*SEND, *TITLE), ("push.pem", "expired")),
    "broken template": (nothing, (*SEND, "--title", "{{ name"), ("title", "broken template, line 1")),
    "unknown variable": (nothing, (*SEND, "--title", "{{ nickname }}"), ("nickname",)),
    "payload too big": (nothing, (*SEND, "--body", "x" * 5000), ("bytes",)),
    "no message": (nothing, SEND, ("--title", "--message FILE")),
    "unknown setting": (setting("batch", "btach"), (*SEND, *TITLE), ("sending.btach", "did you mean `batch`?")),
    "unknown audience": (nothing, ("send", "--audience", "usres", "--yes", *TITLE), ("did you mean `users`?",)),
    "a time that has passed": (nothing, (*SEND, *TITLE, "--at", "2020-01-31T18:00"), ("--at", "past")),
    "nobody to ask": (nothing, ("send", "--audience", "users", *TITLE), ("--yes",)),
    "unknown campaign": (nothing, ("campaign", "show", "nope"), ("of the id or title 'nope'", "stentor campaign list")),
    "no campaign yet": (nothing, ("campaign", "resume", "last"), ("no campaign yet", "stentor send")),
    "unreadable file": (nothing, ("import", "nowhere.csv"), ("nowhere.csv",)),
}


@pytest.mark.parametrize(("spoil", "command", "says"), CASES.values(), ids=CASES.keys())
def test_it_is_refused_before_anything_begins(
    shop: Shop, spoil: Callable[[Shop], None], command: tuple[str, ...], says: tuple[str, ...]
) -> None:
    shop.set("[sending]", "[sending]\nbatch = 100")
    spoil(shop)
    shop.refuses(*command, says=says)
    assert shop.begun == 0


def test_settings_that_are_missing(shop: Shop) -> None:
    shop.file.unlink()
    shop.refuses(*SEND, *TITLE, says=("stentor.toml", "`stentor init` writes one"))


def test_what_is_said_of_missing_tables_helps(shop: Shop) -> None:
    (shop.folder / "stentor.db").unlink(missing_ok=True)
    assert "Run `stentor init --upgrade`, which makes it" in shop("doctor").output
    assert shop("init", "--upgrade").exit_code == 0
    assert "Run `stentor init" not in shop("doctor").output


def test_a_store_that_is_not_reached(shop: Shop) -> None:
    store = shop.folder / "folder"
    store.mkdir()
    shop.set("sqlite:///stentor.db", "sqlite:///folder")
    says = ("SQLite database", "folder cannot be opened: check that its folder exists")
    shop.refuses(*SEND, *TITLE, says=says, code=FAILED)


def test_a_store_of_a_newer_stentor(shop: Shop) -> None:
    assert shop("campaign", "list").exit_code == 0
    database = sqlite3.connect(shop.folder / "stentor.db")
    database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    database.execute("UPDATE stentor_schema SET compatible = '9999'")
    database.commit()
    database.close()
    shop.refuses(*SEND, *TITLE, says=("newer Stentor", "upgrade it"), code=FAILED)


def test_tokens_of_another_channel_are_rejected_alone(shop: Shop) -> None:
    shop.change("UPDATE devices SET token = (SELECT token FROM devices WHERE id = 2) || 'x' WHERE id = 1")
    result = shop(*SEND, *TITLE, "--json")
    assert result.exit_code == 0, result.output
    assert '"accepted": 39' in result.stdout
    told = shop("campaign", "failures", "last")
    assert "  1             rejected        MalformedAddress" in told.stdout
    assert told.stdout.count("\n") == 2, "a heading and a line"

    resumed = shop.refuses("campaign", "resume", "last", says=("is completed", "stentor campaign retry"))
    assert "nothing to resume" in resumed
    shop.refuses("campaign", "cancel", "last", "--yes", says=("is completed",))
    shop.refuses("campaign", "pause", "last", says=("is completed",))


def test_tokens_of_another_channel_are_not_imported(shop: Shop) -> None:
    file = shop.folder / "phones.csv"
    file.write_text(f"id,channel,token\n1,apns,{'0' * 64}\n2,apns,phone:APA91b{'0' * 134}\n3,apns,{'0' * 63}1\n")
    shop("init", "--upgrade")
    result = shop("import", str(file))
    assert "Traceback" not in result.output
    rejects = [path for path in shop.folder.iterdir() if "reject" in path.name]
    assert len(rejects) == 1, result.output
    assert "2" in rejects[0].read_text()


@pytest.fixture(scope="module")
def slow_facts(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    """APNs as it is; answers so late that a campaign takes a while."""
    faults = tmp_path_factory.mktemp("faults") / "faults.json"
    faults.write_text('{"latency": {"median_s": 0.5, "p99_s": 0.6}}')
    with simulator("apns", "--faults", str(faults)) as (slow, _):
        yield {**facts, "apns": slow}


@pytest.mark.parametrize(("verb", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_campaign_is_stopped_from_another_terminal(tmp_path: Path, slow_facts: Facts, verb: str, state: str) -> None:
    shop = Shop(tmp_path, write(tmp_path, slow_facts, 30_000, more="batch = 100\n"))
    command = [sys.executable, "-m", "stentor.cli", *SEND, *TITLE, "--json", "--config", str(shop.file)]
    sending = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with sending:
        while not shop.begun:
            assert sending.poll() is None, sending.communicate()
            os.sched_yield()
        stopped = shop("campaign", verb, "last", *(["--yes"] if verb == "cancel" else []), "--json")
        assert stopped.exit_code == 0, stopped.output
        out, err = sending.communicate(timeout=60)
    assert sending.returncode == FAILED, err
    assert f"is {state}" in err
    assert f'"state": "{state}"' in out
    audit = shop("campaign", "audit", "last")
    assert audit.exit_code == 0, audit.output
    if verb == "pause":
        cancelled = shop("campaign", "cancel", "last", "--yes", "--json")
        assert cancelled.exit_code == 0, cancelled.output
        assert '"state": "cancelled"' in cancelled.stdout
        assert '"pending": 0' in cancelled.stdout
