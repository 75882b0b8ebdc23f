"""`stentor init`: the file it writes, which knows every setting, and what it never overwrites."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from stentor.channels import BUILT_IN, find
from stentor.cli.init import NEEDED, init, render, settings, toml
from stentor.config import APP, SECTIONS, Config, load
from stentor.errors import InvalidConfiguration
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.discord.channel import DiscordApp
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.webpush.channel import WebPushApp

APNS = {
    "provider": "apns",
    "mode": "strict",
    "url": "https://127.0.0.1:1",
    "ca_file": "/ca/apns.pem",
    "key_file": "/keys/a.p8",
    "key_id": "ABCDE12345",
    "team_id": "FGHIJ67890",
}
FCM = {
    "provider": "fcm",
    "mode": "strict",
    "url": "https://127.0.0.1:2",
    "token_url": "https://127.0.0.1:2/token",
    "ca_file": "/ca/fcm.pem",
    "project": "p",
    "service_account_file": "/keys/sa.json",
}


def run(*arguments: str | Path, **variables: str) -> Result:
    app = typer.Typer()
    app.command()(init)
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith("STENTOR_")}
    return CliRunner(env={**environment, **variables}).invoke(app, [str(argument) for argument in arguments])


def tables(database: Path) -> set[str]:
    connection = sqlite3.connect(database)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()


def read(folder: Path, text: str) -> Config:
    (folder / "stentor.toml").write_text(text)
    return load(folder / "stentor.toml", {})


def test_the_file_as_it_is_written_sets_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, render()) == read(tmp_path, "")


def test_uncommenting_gives_a_valid_configuration(tmp_path: Path) -> None:
    config = read(tmp_path, re.sub(r"^#(?=[\w\[])", "", render(), flags=re.MULTILINE))
    assert set(config.apps) == {find(name).example_app for name in BUILT_IN}
    ios, users = config.apps["ios"], config.audiences["users"]
    assert isinstance(ios, ApnsApp)
    assert ios.key_file == tmp_path / "AuthKey_ABCDE12345.p8"
    assert users.columns.channel == "platform"
    default = Config().sending.model_copy(update={"pause_above": 0.2})
    assert config.sending == default, "what has a default is shown with it, all else with its example"


def test_every_setting_is_there_once_explained() -> None:
    content = render()
    for title, model in SECTIONS:
        app = find(model.model_fields["channel"].default).example_app if title == APP else "users"
        app = "team" if title.startswith("reports.") else app
        name = title.replace("NAME", app)
        _, _, section = content.partition(f"[{name}]\n")
        section, _, _ = section.partition("\n\n")
        for field in model.model_fields:
            if field not in ("columns", "oidc", "targets"):  # tables of their own
                assert len(re.findall(rf"^# \S.*\n#{{0,2}}{field} = ", section, re.MULTILINE)) == 1, f"{name}.{field}"


def test_what_excludes_another_says_so() -> None:
    assert "\n##certificate_file = " in render()
    assert "\n##query = " in render()


def test_a_setting_as_people_are_told_of_it() -> None:
    found = {setting.name: setting for setting in settings(ApnsApp)}
    assert (found["max_connections"].default, found["max_connections"].required) == ("16", False)
    assert (found["channel"].default, found["channel"].required, found["channel"].example) == ("", True, '"apns"')
    assert found["topic"].required
    assert (found["key_file"].default, found["key_file"].example) == ("", '"AuthKey_ABCDE12345.p8"')


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (16, "16"),
        (30.0, "30.0"),
        ('ä "b" \\', '"ä \\"b\\" \\\\"'),
        (("a", "b"), '["a", "b"]'),
        ({"i os": "apns"}, '{ "i os" = "apns" }'),
    ],
)
def test_values_are_written_as_toml(value: Any, written: str) -> None:
    assert toml(value) == written


def test_it_writes_the_file_and_makes_the_tables(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    done = run(folder)
    assert done.exit_code == 0, done.output
    assert "stentor doctor" in done.output
    assert (folder / "stentor.toml").read_text() == render()
    assert stat.S_IMODE((folder / "stentor.toml").stat().st_mode) == 0o600
    assert "stentor_campaigns" in tables(folder / "stentor.db")


@pytest.mark.parametrize("name", ["wh?at", "feature%2Ffoo", "a#b c", os.fsdecode(b"no text \xff")])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    done = run()
    assert done.exit_code == 0, done.output
    assert "stentor_campaigns" in tables(folder / "stentor.db")
    assert os.listdir(tmp_path) == [name]
    assert run("--upgrade").exit_code == 0


def test_nobody_else_can_read_what_it_makes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert run(tmp_path).exit_code == 0
    finally:
        os.umask(before)
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {
        "stentor.toml": 0o600,
        "stentor.db": 0o600,
    }


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text("# mine")
    done = run(tmp_path)
    assert isinstance(done.exception, InvalidConfiguration)
    assert "--upgrade" in str(done.exception)
    assert file.read_text() == "# mine"
    assert not (tmp_path / "stentor.db").exists()
    assert run(tmp_path, "--force").exit_code == 0
    assert file.read_text() == render()


def test_upgrading_leaves_the_file(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text('[store]\nurl = "sqlite:///other.db"')
    done = run(tmp_path, "--upgrade")
    assert done.exit_code == 0, done.output
    assert file.read_text() == '[store]\nurl = "sqlite:///other.db"'
    assert "stentor_campaigns" in tables(tmp_path / "other.db")
    assert "Next" not in done.output
    assert run(tmp_path, "--upgrade").exit_code == 0, "again does nothing"


def test_upgrading_without_a_file_writes_none(tmp_path: Path) -> None:
    done = run(tmp_path, "--upgrade")
    assert isinstance(done.exception, InvalidConfiguration)
    assert list(tmp_path.iterdir()) == []


def test_the_variable_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "mine.toml"
    assert run(STENTOR_CONFIG=str(file)).exit_code == 0
    assert file.exists()
    assert (tmp_path / "sub" / "stentor.db").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path / "file" / "folder")
    assert isinstance(done.exception, InvalidConfiguration)
    assert "cannot be written" in str(done.exception)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_short_file_has_what_a_channel_needs(tmp_path: Path, name: str) -> None:
    """And is one that can be used once its examples are replaced."""
    done = run(tmp_path, "--channels", name)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "stentor.toml").read_text()
    assert len(text.splitlines()) < 50
    config = load(tmp_path / "stentor.toml", {})
    app = config.apps[find(name).example_app]
    assert all(getattr(app, setting) for setting in NEEDED[name])
    users = config.audiences["users"]
    assert (users.channel, users.columns.channel, users.table) == (name, None, "devices")
    assert "stentor_campaigns" in tables(tmp_path / "stentor.db")


def test_a_short_file_of_several_channels(tmp_path: Path) -> None:
    assert run(tmp_path, "--channels", "apns, fcm,telegram,fcm").exit_code == 0
    config = load(tmp_path / "stentor.toml", {})
    assert list(config.apps) == ["ios", "android", "bot"]
    users = config.audiences["users"]
    assert (users.channel, users.columns.channel) == (None, "platform")
    assert users.channels == {"ios": "apns", "android": "fcm"}
    assert len((tmp_path / "stentor.toml").read_text().splitlines()) < 70


@pytest.mark.parametrize("chosen", ["apsn", "apns,hms", "", ","])
def test_a_channel_that_is_none_writes_nothing(tmp_path: Path, chosen: str) -> None:
    done = run(tmp_path, "--channels", chosen)
    assert isinstance(done.exception, InvalidConfiguration)
    assert "there are apns, fcm" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_simulators_become_apps(tmp_path: Path) -> None:
    for facts in (APNS, FCM):
        (tmp_path / f"{facts['provider']}.json").write_text(json.dumps(facts) + '\n{"accepted": 0}\n')
    done = run(tmp_path / "rehearsal", "--simulator", tmp_path / "apns.json", "--simulator", tmp_path / "fcm.json")
    assert done.exit_code == 0, done.output
    apps = load(tmp_path / "rehearsal" / "stentor.toml", {}).apps
    apns, fcm = apps["simulated-apns"], apps["simulated-fcm"]
    assert isinstance(apns, ApnsApp)
    assert isinstance(fcm, FcmApp)
    assert (str(apns.key_file), apns.key_id, apns.url) == ("/keys/a.p8", "ABCDE12345", "https://127.0.0.1:1")
    assert (str(fcm.service_account_file), fcm.project, fcm.token_url) == ("/keys/sa.json", "p", FCM["token_url"])
    assert str(apns.ca_file) == "/ca/apns.pem"


def test_with_simulators_nothing_else_of_a_short_file_is_on(tmp_path: Path) -> None:
    """Neither an app without credentials, nor an audience in a database that isn't there."""
    for facts in (APNS, FCM):
        (tmp_path / f"{facts['provider']}.json").write_text(json.dumps(facts))
    simulators = ("--simulator", tmp_path / "apns.json", "--simulator", tmp_path / "fcm.json")
    assert run(tmp_path / "new", "--channels", "apns,fcm,telegram", *simulators).exit_code == 0
    file = tmp_path / "new" / "stentor.toml"
    config = load(file, {})
    assert (list(config.apps), config.audiences) == (["simulated-apns", "simulated-fcm"], {})
    config = read(tmp_path, re.sub(r"^#(?=[\w\[])", "", file.read_text(), flags=re.MULTILINE))
    assert list(config.apps) == ["ios", "android", "bot", "simulated-apns", "simulated-fcm"]
    assert config.audiences["users"].channels == {"ios": "apns", "android": "fcm"}


def test_a_provider_has_one_simulator(tmp_path: Path) -> None:
    (tmp_path / "apns.json").write_text(json.dumps(APNS))
    done = run(tmp_path / "new", *("--simulator", tmp_path / "apns.json") * 2)
    assert "is the second of apns" in str(done.exception)
    assert not (tmp_path / "new").exists()


def test_a_simulated_discord_becomes_an_app(tmp_path: Path) -> None:
    facts = {"provider": "discord", "mode": "strict", "url": "https://127.0.0.1:3", "ca_file": "/ca/discord.pem"}
    (tmp_path / "discord.json").write_text(json.dumps({**facts, "token_file": "/keys/discord-token.txt"}))
    done = run(tmp_path / "rehearsal", "--simulator", tmp_path / "discord.json")
    assert done.exit_code == 0, done.output
    found = load(tmp_path / "rehearsal" / "stentor.toml", {}).apps["simulated-discord"]
    assert isinstance(found, DiscordApp)
    assert (str(found.token_file), found.url) == ("/keys/discord-token.txt", "https://127.0.0.1:3")


def test_a_simulated_web_push_becomes_an_app_whose_subscriptions_say_where_they_are(tmp_path: Path) -> None:
    facts = {"provider": "webpush", "mode": "strict", "url": "https://127.0.0.1:4", "ca_file": "/ca/webpush.pem"}
    own = {"private_key_file": "/keys/v.pem", "subject": "mailto:a@example.com"}
    other = {"allow_private_endpoints": True, "deletes_at": ["127.0.0.1"]}
    (tmp_path / "webpush.json").write_text(json.dumps({**facts, **own, **other}))
    done = run(tmp_path / "rehearsal", "--simulator", tmp_path / "webpush.json")
    assert done.exit_code == 0, done.output
    found = load(tmp_path / "rehearsal" / "stentor.toml", {}).apps["simulated-webpush"]
    assert isinstance(found, WebPushApp)
    assert (str(found.private_key_file), found.url, found.allow_private_endpoints) == ("/keys/v.pem", None, True)
    assert found.deletes_at == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "isn't what a simulator prints"),
        ('{"provider": "hms", "mode": "strict"}', "isn't what a simulator prints"),
        ('{"provider": "apns", "mode": "fast"}', "--mode strict"),
        (None, "cannot be read"),
    ],
)
def test_facts_that_are_none(tmp_path: Path, content: str | None, said: str) -> None:
    facts = tmp_path / "facts.json"
    if content is not None:
        facts.write_text(content)
    done = run(tmp_path / "new", "--simulator", facts)
    assert isinstance(done.exception, InvalidConfiguration)
    assert said in str(done.exception)
    assert not (tmp_path / "new").exists(), "nothing half done"
