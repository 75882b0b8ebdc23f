"""`stentor doctor` against the strict simulators and real databases: each thing that can be wrong, and its remedy."""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner, Result

from stentor.channels import find, names
from stentor.cli import waiting
from stentor.cli.access_checks import check_dashboard
from stentor.cli.app_checks import check_app
from stentor.cli.doctor import NOWHERE, doctor, examine, report
from stentor.cli.findings import (
    MIB,
    check_audiences,
    check_machine,
    check_open_files,
    check_options,
    check_space,
    check_store,
    is_missing,
)
from stentor.config import ApiConfig, AudienceConfig, Columns, Config, StoreConfig
from stentor.findings import Finding, Status
from stentor.providers import http2_lane
from stentor.providers.apns import lane as apns_lane
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.telegram.channel import TelegramApp
from stentor.simulators.apns import ApnsSetup, ApnsSimulator
from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Faults, Unavailable
from stentor.simulators.fcm import FcmSimulator
from stentor.store import tables
from stentor.store.database import Database
from stentor.store.migrate import VERSION_TABLE, migrate

TOPIC = "com.example.app"
DAY = 86_400.0


@pytest.fixture
async def apns() -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator() as simulator:
        yield simulator


@pytest.fixture
async def fcm() -> AsyncIterator[FcmSimulator]:
    async with FcmSimulator() as simulator:
        yield simulator


@pytest.fixture
async def store(tmp_path: Path) -> StoreConfig:
    return await make_store(f"sqlite:///{tmp_path / 'stentor.db'}")


async def make_store(url: str) -> StoreConfig:
    database = Database.open(url)
    await migrate(database)
    await database.aclose()
    return StoreConfig(url=url)


def apns_app(apns: ApnsSimulator, **other: Any) -> ApnsApp:
    settings = {"topic": TOPIC, "url": apns.url, "ca_file": apns.ca_file}
    key = {"key_file": apns.key_file, "key_id": apns.key_id, "team_id": apns.team_id}
    return ApnsApp.model_validate({**settings, **key, **other})


def by_certificate(apns: ApnsSimulator, file: Path, **other: Any) -> ApnsApp:
    return apns_app(apns, certificate_file=file, key_file=None, key_id=None, team_id=None, **other)


def fcm_app(fcm: FcmSimulator, **other: Any) -> FcmApp:
    settings = {"service_account_file": fcm.service_account_file, "url": fcm.url, "ca_file": fcm.ca_file}
    return FcmApp.model_validate({**settings, **other})


async def look(app: ApnsApp | FcmApp, *, offline: bool = False, clock: Any = time.time) -> dict[str, Finding]:
    """The findings about an app named `it`, by what was looked at; each says what to do if it isn't good."""
    found = await check_app("it", app, offline=offline, clock=clock)
    assert all(bool(finding.remedy) is (finding.status is not Status.OK) for finding in found)
    return {finding.check.removeprefix("apps.it: "): finding for finding in found}


def statuses(found: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.status.value for check, finding in found.items()}


# -- APNs -------------------------------------------------------------------------------------------------------------


async def test_a_good_key(apns: ApnsSimulator) -> None:
    found = await look(apns_app(apns))
    assert statuses(found) == {"key": "ok", "provider": "ok"}
    assert apns.key_id in found["key"].detail
    assert apns.summary()["accepted"] == 0
    assert not apns.violations


async def test_the_id_of_another_key(apns: ApnsSimulator) -> None:
    found = await look(apns_app(apns, key_id="AAAAAAAAAA"))
    assert statuses(found) == {"key": "ok", "provider": "problem"}
    assert "403 InvalidProviderToken" in found["provider"].detail
    assert "key id or team id is wrong" in found["provider"].remedy


async def test_the_file_of_another_key(apns: ApnsSimulator, tmp_path: Path) -> None:
    async with ApnsSimulator() as other:
        found = await look(apns_app(apns, key_file=other.key_file))
    assert "403 InvalidProviderToken" in found["provider"].detail


@pytest.mark.parametrize(("content", "said"), [("hello", "not a private key in PEM form"), (None, "cannot be read")])
async def test_a_file_that_is_no_key(apns: ApnsSimulator, tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "key.p8"
    if content:
        file.touch(mode=0o600)
        file.write_text(content)
    found = await look(apns_app(apns, key_file=file))
    assert statuses(found) == {"credentials": "problem"}
    assert said in found["credentials"].detail


async def test_another_topic() -> None:
    async with ApnsSimulator(ApnsSetup(topics=frozenset({"com.example.other"}))) as apns:
        found = await look(apns_app(apns))
    assert found["provider"].status is Status.PROBLEM
    assert "TopicDisallowed" in found["provider"].detail


async def test_a_topic_that_is_none(apns: ApnsSimulator) -> None:
    found = await look(apns_app(apns, topic="com example"))
    assert statuses(found) == {"key": "ok", "topic": "problem"}
    assert "apps.it.topic" in found["topic"].remedy


async def test_a_server_that_is_hours_ahead() -> None:
    clock = MovableClock()
    clock.advance(7200)
    async with ApnsSimulator(clock=clock) as apns:
        found = await look(apns_app(apns))
    assert found["provider"].status is Status.PROBLEM
    assert "says that a new token has expired" in found["provider"].detail
    assert "clock" in found["provider"].remedy


async def test_a_key_that_everybody_can_read(apns: ApnsSimulator) -> None:
    apns.key_file.chmod(0o644)
    found = await look(apns_app(apns), offline=True)
    assert found[apns.key_file.name].status is Status.WARNING
    assert f"chmod 600 {apns.key_file}" in found[apns.key_file.name].remedy


async def test_a_bots_token_that_everybody_can_read(tmp_path: Path) -> None:
    file = tmp_path / "bot.token"
    file.write_text(f"123456:{'a' * 35}")
    file.chmod(0o644)
    found = await check_app("bot", TelegramApp(token_file=file), offline=True)
    assert [(each.check, each.status) for each in found] == [
        ("apps.bot: credentials", Status.OK),
        ("apps.bot: bot.token", Status.WARNING),
    ]


@pytest.mark.parametrize("channel", names())
def test_every_secret_of_an_app_is_a_setting_of_it(channel: str) -> None:
    app = find(channel).app
    assert app.secrets
    assert set(app.secrets) <= set(app.model_fields)


async def test_offline_asks_nobody(apns: ApnsSimulator, fcm: FcmSimulator) -> None:
    assert statuses(await look(apns_app(apns, key_id="AAAAAAAAAA"), offline=True)) == {"key": "ok"}
    assert statuses(await look(fcm_app(fcm, url="https://127.0.0.1:1"), offline=True)) == {"credentials": "ok"}


async def test_a_provider_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_lane, "ASKED_WITHIN", 0.2)
    async with ApnsSimulator(directory=tmp_path) as apns:
        app = apns_app(apns)
    found = await look(app)
    assert statuses(found) == {"key": "ok", "provider": "problem"}
    assert "`proxy`, `url` and `ca_file` of [apps.it]" in found["provider"].remedy


async def test_a_provider_that_isnt_trusted(
    apns: ApnsSimulator, fcm: FcmSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_lane, "ASKED_WITHIN", 2.0)
    found = await look(apns_app(apns, ca_file=fcm.ca_file))
    assert "certificate is not trusted" in found["provider"].detail


async def test_a_provider_in_trouble_is_a_warning(apns: ApnsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apns_lane, "NO_TOKEN", b"0" * 64)  # one that the simulator would take
    apns.faults = Faults(unavailable=Unavailable(for_s=3600.0))
    found = await look(apns_app(apns))
    assert found["provider"].status is Status.WARNING
    assert "503 ServiceUnavailable" in found["provider"].detail


# -- certificates -----------------------------------------------------------------------------------------------------


async def test_a_good_certificate_that_ends_soon(apns: ApnsSimulator) -> None:
    """The simulator's certificates are for 30 days."""
    found = await look(by_certificate(apns, apns.client_certificate(TOPIC)))
    assert statuses(found) == {"certificate": "warning", "provider": "ok"}
    assert "expires on" in found["certificate"].detail
    early = await look(
        by_certificate(apns, apns.client_certificate(TOPIC)), offline=True, clock=lambda: time.time() - 60
    )
    assert statuses(early) == {"certificate": "ok"}


async def test_an_expired_certificate(apns: ApnsSimulator) -> None:
    app = by_certificate(apns, apns.client_certificate(TOPIC))
    found = await look(app, clock=lambda: time.time() + 31 * DAY)
    assert statuses(found) == {"credentials": "problem"}
    assert "expired on" in found["credentials"].detail


async def test_the_certificate_of_another_topic(apns: ApnsSimulator) -> None:
    found = await look(by_certificate(apns, apns.client_certificate("com.example.other")))
    assert statuses(found) == {"certificate": "problem", "provider": "problem"}
    assert "is for com.example.other" in found["certificate"].detail
    assert "TopicDisallowed" in found["provider"].detail


async def test_a_certificate_whose_key_is_in_another_file(apns: ApnsSimulator, tmp_path: Path) -> None:
    key, begin, certificate = apns.client_certificate(TOPIC).read_text().partition("-----BEGIN CERTIFICATE")
    (tmp_path / "push.pem").write_text(begin + certificate)
    (tmp_path / "push.key").write_text(key)
    (tmp_path / "push.key").chmod(0o600)
    app = by_certificate(apns, tmp_path / "push.pem", certificate_key_file=tmp_path / "push.key")
    assert statuses(await look(app)) == {"certificate": "warning", "provider": "ok"}
    late = await look(app, offline=True, clock=lambda: time.time() + 31 * DAY)
    assert statuses(late) == {"credentials": "problem"}


async def test_a_password_file_that_isnt_there(apns: ApnsSimulator, tmp_path: Path) -> None:
    app = by_certificate(apns, apns.client_certificate(TOPIC), certificate_password_file=tmp_path / "nothing")
    found = await look(app)
    assert "apps.it.certificate_password_file" in found["credentials"].detail


# -- FCM --------------------------------------------------------------------------------------------------------------


async def test_a_good_service_account(fcm: FcmSimulator) -> None:
    found = await look(fcm_app(fcm))
    assert statuses(found) == {"credentials": "ok", "provider": "ok"}
    assert f"project {fcm.project}" in found["credentials"].detail
    assert fcm.summary()["accepted"] == 0
    assert not fcm.violations


async def test_another_project(fcm: FcmSimulator) -> None:
    found = await look(fcm_app(fcm, project="another"))
    assert statuses(found) == {"credentials": "warning", "provider": "problem"}
    assert "404 NOT_FOUND" in found["provider"].detail


async def test_the_account_of_another(fcm: FcmSimulator, tmp_path: Path) -> None:
    async with FcmSimulator() as other:
        found = await look(fcm_app(fcm, service_account_file=other.service_account_file, token_url=fcm.token_url))
    assert found["credentials"].status is Status.PROBLEM
    assert "invalid_grant" in found["credentials"].detail


async def test_a_file_that_is_no_account(fcm: FcmSimulator, tmp_path: Path) -> None:
    (tmp_path / "sa.json").touch(mode=0o600)
    (tmp_path / "sa.json").write_text("{}")
    found = await look(fcm_app(fcm, service_account_file=tmp_path / "sa.json"))
    assert statuses(found) == {"credentials": "problem"}


async def test_a_token_server_whose_clock_differs() -> None:
    clock = MovableClock()
    clock.advance(7200)
    async with FcmSimulator(clock=clock) as fcm:
        found = await look(fcm_app(fcm))
    assert found["credentials"].status is Status.PROBLEM
    assert "clock" in found["credentials"].detail


async def test_a_token_server_that_cannot_be_reached(tmp_path: Path) -> None:
    async with FcmSimulator(directory=tmp_path) as fcm:
        app = fcm_app(fcm)
    found = await look(app)
    assert found["credentials"].status is Status.PROBLEM
    assert "`proxy` of [apps.it]" in found["credentials"].remedy


# -- machine and store ------------------------------------------------------------------------------------------------


async def test_the_machine(store: StoreConfig) -> None:
    found = {finding.check: finding.status for finding in await check_machine(Config(store=store))}
    assert found == {"event loop": Status.WARNING, "open files": Status.OK}, "these tests run on asyncio's own loop"


def test_too_few_open_files() -> None:
    config = Config(apps={"a": FcmApp(max_connections=1000)})
    assert check_open_files(config, 256).status is Status.PROBLEM
    assert "ulimit -n 4096" in check_open_files(config, 256).remedy
    assert check_open_files(config, 1064).status is Status.OK
    assert check_open_files(config, resource.RLIM_INFINITY).status is Status.OK
    assert check_open_files(Config(), 256).status is Status.OK


@pytest.mark.parametrize(("free", "status"), [(10, "problem"), (100, "warning"), (2000, "ok")])
def test_free_space(free: int, status: str) -> None:
    assert check_space(free * MIB, Path("folder")).status.value == status


def test_options_of_a_url_that_change_nothing_are_told() -> None:
    (found,) = check_options("store", Database.open("postgresql://me@h/db?channel_binding=require&sslmode=require"))
    assert (found.check, found.status) == ("store.url", Status.WARNING)
    assert found.detail.endswith(" ignores channel_binding")
    assert check_options("store", Database.open("postgresql://me@h/db?sslmode=require")) == []


async def test_a_good_store(database_url: str) -> None:
    found = await check_store(Config(store=await make_store(database_url)))
    assert found[0].status is Status.OK
    assert [finding.check for finding in found] == ["store"] + (["disk"] if "sqlite" in database_url else [])


def test_a_store_that_isnt_there_isnt_made(tmp_path: Path) -> None:
    (finding,) = asyncio.run(check_store(Config(store=StoreConfig(url=f"sqlite:///{tmp_path / 'none.db'}"))))
    assert finding.status is Status.PROBLEM
    assert "stentor init" in finding.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_everybody_can_read(tmp_path: Path) -> None:
    file = tmp_path / "stentor.db"
    config = Config(store=asyncio.run(make_store(f"sqlite:///{file}")))
    assert "store: rights" not in [each.check for each in asyncio.run(check_store(config))]
    file.chmod(0o640)  # a group is somebody's decision
    assert "store: rights" not in [each.check for each in asyncio.run(check_store(config))]
    file.chmod(0o644)
    found = next(each for each in asyncio.run(check_store(config)) if each.check == "store: rights")
    assert found.status is Status.WARNING
    assert str(file) in found.detail
    assert f"chmod 600 {file}" in found.remedy


async def test_a_store_without_tables(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    (finding,) = await check_store(Config(store=StoreConfig(url=f"sqlite:///{tmp_path / 'empty.db'}")))
    assert finding.status is Status.PROBLEM
    assert "stentor init" in finding.detail


async def test_a_store_of_another_version(store: StoreConfig) -> None:
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.execute("UPDATE stentor_schema SET compatible = '9999'")
    connection.commit()
    connection.close()
    (finding,) = await check_store(Config(store=store))
    assert finding.status is Status.PROBLEM
    assert "newer Stentor" in finding.detail


async def test_a_store_that_lacks_something(store: StoreConfig) -> None:
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute("DROP TABLE stentor_receipts")
    connection.execute("ALTER TABLE stentor_batches DROP COLUMN edition")
    connection.commit()
    connection.close()
    (finding,) = await check_store(Config(store=store))
    assert finding.status is Status.PROBLEM
    assert finding.detail.startswith("Somebody removed the column stentor_batches.edition and the table ")
    assert finding.detail.endswith("; restore it from a backup.")


async def test_a_store_that_is_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is a text\n" * 100)
    (finding,) = await check_store(Config(store=StoreConfig(url=f"sqlite:///{tmp_path / 'text'}")))
    assert finding.status is Status.PROBLEM
    assert "another kind of file" in finding.detail


async def test_lanes_that_stopped(store: StoreConfig) -> None:
    async def stop(connection: AsyncConnection) -> None:
        row = {"lane": "apns/ios", "problem": "the key was revoked", "remedy": "make a new one"}
        await connection.execute(insert(tables.lanes).values(row))

    database = Database.open(store.url)
    await database.write(stop)
    await database.aclose()
    stopped = next(finding for finding in await check_store(Config(store=store)) if finding.check == "lane apns/ios")
    assert (stopped.status, stopped.remedy) == (Status.WARNING, "make a new one")
    assert "the key was revoked" in stopped.detail


# -- audiences --------------------------------------------------------------------------------------------------------


APPS: dict[str, Any] = {"ios": ApnsApp(topic=TOPIC, key_file=Path("k"), key_id="k", team_id="t"), "droid": FcmApp()}
USERS = AudienceConfig(table="devices", columns=Columns(channel="platform"), channels={"i": "apns", "a": "fcm"})


TOKENS: dict[str, Any] = {"i": "ab" * 32, "a": "c-" * 71}


def make_devices(store: StoreConfig, *platforms: str, tokens: Mapping[str, Any] = TOKENS) -> None:
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY, token, platform TEXT)")
    rows = [(tokens[each], each) for each in platforms]
    connection.executemany("INSERT INTO devices (token, platform) VALUES (?, ?)", rows)
    connection.commit()
    connection.close()


async def test_an_audience_is_counted_by_lane(store: StoreConfig) -> None:
    make_devices(store, "i", "i", "a")
    (finding,) = await check_audiences(Config(store=store, apps=APPS, audiences={"users": USERS}), NOWHERE)
    assert (finding.check, finding.status) == ("audiences.users", Status.OK)
    assert finding.detail == "2 on apns/ios, 1 on fcm/droid"


async def test_installations_without_a_lane(store: StoreConfig) -> None:
    make_devices(store, "i", "a")
    only: dict[str, Any] = {"ios": APPS["ios"]}
    (finding,) = await check_audiences(Config(store=store, apps=only, audiences={"users": USERS}), NOWHERE)
    assert finding.status is Status.WARNING
    assert finding.detail == "1 on apns/ios, 1 on no lane (1 with `platform` 'a')"


async def test_words_that_mean_no_channel_are_counted(store: StoreConfig) -> None:
    """A problem if nobody is on a lane, and else a warning."""
    make_devices(
        store, *["windows"] * 3, *"bcdefg", "i", tokens=dict.fromkeys(["windows", *"bcdefg", "i"], TOKENS["i"])
    )
    config = Config(store=store, apps=APPS, audiences={"users": USERS})
    (finding,) = await check_audiences(config, NOWHERE)
    assert finding.status is Status.WARNING
    assert finding.detail.startswith("1 on apns/ios, 9 on no lane (3 with `platform` 'windows', 1 with `platform` '")
    assert finding.detail.endswith(", 2 with something else)")
    assert "with `channels`" in finding.remedy
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute("DELETE FROM devices WHERE platform = 'i'")
    connection.commit()
    connection.close()
    (finding,) = await check_audiences(config, NOWHERE)
    assert finding.status is Status.PROBLEM


async def test_two_apps_of_a_channel_without_a_default_are_a_problem_that_names_them(store: StoreConfig) -> None:
    make_devices(store, "i", "a", "a")
    apps: dict[str, Any] = {**APPS, "tablet": FcmApp()}
    (finding,) = await check_audiences(Config(store=store, apps=apps, audiences={"users": USERS}), NOWHERE)
    assert finding.status is Status.PROBLEM
    assert finding.detail == (
        "1 on apns/ios, 2 on no lane (2 with `platform` 'a'): fcm has 2 apps, and none of them is the default"
    )
    assert "`default = true` in one of [apps.droid], [apps.tablet]" in finding.remedy
    apps["tablet"] = FcmApp(default=True)
    (finding,) = await check_audiences(Config(store=store, apps=apps, audiences={"users": USERS}), NOWHERE)
    assert finding.status is Status.OK


@pytest.mark.parametrize("token", ["t1", 4711, b"\0\1\2", "a\0b", None, ""])
async def test_malformed_addresses_are_counted_and_not_shown(store: StoreConfig, token: object) -> None:
    """A lane's are a problem if all are malformed, and else a warning."""
    make_devices(store, "i", "i", "a", tokens=TOKENS | {"i": token})
    config = Config(store=store, apps=APPS, audiences={"users": USERS})
    (finding,) = await check_audiences(config, NOWHERE)
    assert finding.status is Status.PROBLEM
    what = "malformed address: an APNs token is hex" if token else "missing address: it is empty"
    assert f"2 on apns/ios, 1 on fcm/droid. apns/ios: 2 of 2 installations looked at have a {what}" in finding.detail
    assert not token or str(token) not in finding.detail
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute("INSERT INTO devices (token, platform) VALUES (?, 'i')", (TOKENS["i"],))
    connection.commit()
    connection.close()
    (finding,) = await check_audiences(config, NOWHERE)
    assert finding.status is Status.WARNING
    assert "2 of 3 installations looked at" in finding.detail


async def test_a_column_whose_values_are_of_no_use_is_named(store: StoreConfig) -> None:
    make_devices(store, "i", "a")
    query = "SELECT id, id * 1.5 AS token, platform FROM devices"
    columns = USERS.columns.model_copy(update={"registered_at": "platform"})
    audiences = {
        "floats": USERS.model_copy(update={"table": None, "query": query}),
        "times": USERS.model_copy(update={"columns": columns}),
    }
    floats, times = await check_audiences(Config(store=store, apps=APPS, audiences=audiences), NOWHERE)
    assert floats.status is times.status is Status.PROBLEM
    assert floats.detail.startswith("audiences.floats.columns.address: token holds values of the type float")
    assert times.detail.startswith("audiences.times.columns.registered_at: platform holds values of the type str")


async def test_it_is_said_what_is_counted_and_nothing_of_it_is_left(
    store: StoreConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_devices(store, "i", "a")
    config = Config(store=store, apps=APPS, audiences={"users": USERS})
    for name in ("SOON", "LINE_EVERY"):
        monkeypatch.setattr(waiting, name, 0.0)
    terminal, paper = io.StringIO(), io.StringIO()
    await check_audiences(config, Console(file=terminal, force_terminal=True, width=80))
    await check_audiences(config, Console(file=paper, force_terminal=False))
    for said in (terminal.getvalue(), capsys.readouterr().err):
        assert "Counting users: 0:0" in said
        assert "Counting registry: 0:0" in said
    assert paper.getvalue() == ""


async def test_an_empty_audience(store: StoreConfig) -> None:
    make_devices(store)
    (finding,) = await check_audiences(Config(store=store, apps=APPS, audiences={"users": USERS}), NOWHERE)
    assert (finding.status, finding.detail) == (Status.WARNING, "it has no installations")


async def test_an_audience_that_cannot_be_read(store: StoreConfig, tmp_path: Path) -> None:
    gone = USERS.model_copy(update={"url": f"sqlite:///{tmp_path / 'gone.db'}"})
    audiences = {"users": USERS, "gone": gone}
    found = await check_audiences(Config(store=store, apps=APPS, audiences=audiences), NOWHERE)
    assert [finding.status for finding in found] == [Status.PROBLEM, Status.PROBLEM]
    assert "devices" in found[0].detail
    assert "gone.db" in found[1].detail
    assert not (tmp_path / "gone.db").exists()


async def test_an_apps_database_is_left_as_it_is(store: StoreConfig, tmp_path: Path) -> None:
    theirs = StoreConfig(url=f"sqlite:///{tmp_path / 'app.db'}")
    make_devices(theirs, "i")
    users = USERS.model_copy(update={"url": theirs.url})
    (finding,) = await check_audiences(Config(store=store, apps=APPS, audiences={"users": users}), NOWHERE)
    assert finding.status is Status.OK
    connection = sqlite3.connect(tmp_path / "app.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


async def test_the_registry_is_shown_where_it_is_used(store: StoreConfig) -> None:
    assert await check_audiences(Config(store=store, apps=APPS), NOWHERE) == []
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute(
        "INSERT INTO stentor_installations (id, channel, address) VALUES ('x', 'fcm', ?)", (TOKENS["a"],)
    )
    connection.commit()
    connection.close()
    (finding,) = await check_audiences(Config(store=store, apps=APPS), NOWHERE)
    assert (finding.check, finding.detail) == ("registry", "1 on fcm/droid")


async def test_malformed_addresses_of_the_registry_are_counted_too(store: StoreConfig) -> None:
    """Of an older import, say: none is imported today."""
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    rows = [("x", "fcm", TOKENS["a"]), ("y", "fcm", "a token")]
    connection.executemany("INSERT INTO stentor_installations (id, channel, address) VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    (finding,) = await check_audiences(Config(store=store, apps=APPS), NOWHERE)
    assert (finding.check, finding.status) == ("registry", Status.WARNING)
    assert "fcm/droid: 1 of 2 installations looked at has a malformed address" in finding.detail


# -- the dashboard ----------------------------------------------------------------------------------------------------


async def test_where_the_dashboard_is_and_that_nobody_can_sign_in(tmp_path: Path, store: StoreConfig) -> None:
    (found,) = await check_dashboard(Config(store=store))
    assert (found.check, found.status) == ("api", Status.OK)
    assert "http://127.0.0.1:8383 while `stentor serve` runs" in found.detail
    assert "no user yet: `stentor user link` makes the first admin" in found.detail
    database = Database.open(store.url)
    user = {"id": "u1", "name": "ada", "folded": "ada", "role": "admin", "created_at": 0.0, "created_by": "x"}
    await database.write(lambda connection: connection.execute(insert(tables.users).values(user)))
    await database.aclose()
    (found,) = await check_dashboard(Config(store=store))
    assert "no user" not in found.detail
    nowhere = Config(store=StoreConfig(url=f"sqlite:///{tmp_path}/none.db"), api=ApiConfig(enabled=False))
    (found,) = await check_dashboard(nowhere)
    assert found.detail.startswith("off (`api.enabled`)")
    assert is_missing(nowhere.store.url)


# -- the command ------------------------------------------------------------------------------------------------------


async def test_everything_is_looked_at(apns: ApnsSimulator, fcm: FcmSimulator, store: StoreConfig) -> None:
    make_devices(store, "i", "a")
    apps: dict[str, Any] = {"ios": apns_app(apns), "droid": fcm_app(fcm)}
    found = await examine(Config(store=store, apps=apps, audiences={"users": USERS}))
    checks = [finding.check for finding in found]
    assert checks == [
        *("configuration", "event loop", "open files", "store", "disk", "queue", "api", "audiences.users"),
        *("apps.ios: key", "apps.ios: provider", "apps.droid: credentials", "apps.droid: provider"),
    ]
    assert {finding.check for finding in found if finding.status is Status.PROBLEM} == set()
    alone = await examine(Config(store=store, apps=apps), app="ios", offline=True)
    assert [finding.check for finding in alone] == ["apps.ios: key"]


async def test_no_app_is_a_problem(store: StoreConfig) -> None:
    found = await examine(Config(store=store))
    assert [finding.check for finding in found if finding.status is Status.PROBLEM] == ["apps"]


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(doctor)
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith("STENTOR_")}
    runner = CliRunner(env={**environment, "COLUMNS": "80", "NO_COLOR": "1"})
    return runner.invoke(app, [str(argument) for argument in arguments])


KEY = """
[apps.ios]
channel = "apns"
topic = "com.example.app"
key_file = "nothing.p8"
key_id = "ABCDE12345"
team_id = "FGHIJ67890"
"""


def test_people_read_it_on_80_columns(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text(KEY)
    done = run("--config", file, "--offline")
    assert done.exit_code == 1, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    said = " ".join(done.output.split())
    assert "problem store: there is no" in said
    assert "→ Fix the files, or the settings in [apps.ios] that name them." in said
    assert said.endswith("2 problems, 0 warnings")


def test_programs_read_json(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text(KEY)
    done = run("--config", file, "--offline", "--json", "--app", "ios")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["ok"], found["problems"], found["warnings"]) == (False, 1, 0)
    assert found["checks"][0]["check"] == "apps.ios: credentials"
    assert found["checks"][0]["status"] == "problem"


def test_a_configuration_that_is_wrong_is_a_finding(tmp_path: Path) -> None:
    done = run("--config", tmp_path / "none.toml", "--json")
    assert done.exit_code == 1
    (check,) = json.loads(done.stdout)["checks"]
    assert check["check"] == "configuration"
    assert "stentor init" in check["detail"]


def test_an_unknown_app_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text(KEY)
    done = run("--config", file, "--app", "io")
    assert "there is no app io; the file has ios" in str(done.exception)


def test_warnings_are_no_problem() -> None:
    found = [Finding(check="a", detail="b"), Finding(check="c", status=Status.WARNING, detail="d", remedy="e")]
    assert report(found) | {"checks": ()} == {"ok": True, "problems": 0, "warnings": 1, "checks": ()}
