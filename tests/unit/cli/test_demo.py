"""The demo's stage: phones that are told apart by their tokens, settings that load, and what counts as exact."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stentor import config
from stentor.cli import stage
from stentor.cli.crowd import Crowd
from stentor.cli.stage import Comparison
from stentor.errors import InvalidConfiguration
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.fcm.channel import FcmApp

URLS = {"url": "https://127.0.0.1:2", "ca_file": "ca.pem"}
FACTS: dict[str, dict[str, Any]] = {
    "apns": {"provider": "apns", "key_file": "k.p8", "key_id": "ABCDE12345", "team_id": "FGHIJ67890", **URLS},
    "fcm": {
        "provider": "fcm",
        "service_account_file": "a.json",
        "project": "p",
        "token_url": "https://127.0.0.1:3/token",
        **URLS,
    },
}
GOOD = Comparison(lane="apns/ios", recipients=10, accepted=9, phones=9)


def test_every_phone_is_known_by_its_token(tmp_path: Path) -> None:
    people = Crowd(9)
    stage.make_database(tmp_path / "app.db", people)
    with sqlite3.connect(tmp_path / "app.db") as database:
        rows = database.execute("SELECT id, platform, token FROM devices").fetchall()
    database.close()
    assert [number for number, _, _ in rows] == list(range(1, 10))
    for channel, platform in (("apns", "ios"), ("fcm", "android")):
        mine = [(number, token) for number, on, token in rows if on == platform]
        assert list(people.numbers(channel)) == [number for number, _ in mine]
        assert list(map(people.number_of(channel), (token for _, token in mine))) == list(people.numbers(channel))


def test_an_old_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_text("precious")
    with pytest.raises(InvalidConfiguration, match="is there already"):
        stage.make_database(tmp_path / "app.db", Crowd(2))
    assert (tmp_path / "app.db").read_text() == "precious"


def test_the_settings_send_to_the_simulators_and_nowhere_else(tmp_path: Path) -> None:
    file = stage.write_settings(tmp_path, FACTS)
    loaded = config.load(file, {})
    assert set(config.lanes(loaded)) == {"apns/ios", "fcm/android"}
    ios, android = loaded.apps["ios"], loaded.apps["android"]
    assert isinstance(ios, ApnsApp)
    assert isinstance(android, FcmApp)
    assert ios.url == android.url == URLS["url"]
    assert android.token_url == FACTS["fcm"]["token_url"]
    assert loaded.audiences[stage.AUDIENCE].url == f"sqlite:///{tmp_path / 'app.db'}"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "exact"),
    [
        ({}, True),
        ({"duplicates": 2, "collapsing": 2}, True),
        ({"duplicates": 2, "collapsing": 1}, False),
        ({"missing": 1, "unexpected": 1}, False),
        ({"phones": 8}, False),
        ({"violations": 1}, False),
    ],
)
def test_what_is_exact(change: dict[str, int], exact: bool) -> None:
    assert replace(GOOD, **change).exact is exact  # type: ignore[arg-type]  # all of these are numbers
