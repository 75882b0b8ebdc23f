"""`stentor worker` and `stentor serve`: what their options make of the settings, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stentor.cli.main import app
from stentor.cli.roles import narrowed
from stentor.config import Config, QueueConfig
from stentor.errors import InvalidConfiguration
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.fcm.channel import FcmApp
from stentor.runtime.child import Role

SQL = Config(
    apps={
        "ios": ApnsApp(topic="com.example.app", key_file=Path("a.p8"), key_id="ABCDE12345", team_id="FGHIJ67890"),
        "android": FcmApp(service_account_file=Path("sa.json")),
    }
)
NATS = SQL.model_copy(update={"queue": QueueConfig(url="nats://127.0.0.1:1")})


def run(folder: Path, *arguments: str) -> Result:
    (folder / "stentor.toml").write_text("[store]\n")
    without: dict[str, str | None] = {name: None for name in os.environ if name.startswith("STENTOR_")}
    runner = CliRunner(env={**without, "STENTOR_CONFIG": str(folder / "stentor.toml"), "COLUMNS": "200"})
    return runner.invoke(app, list(arguments))


@pytest.mark.parametrize("role", ["planner", "sender", "recorder", "scheduler"])
def test_without_options_the_settings_are_as_they_are(role: Role) -> None:
    assert narrowed(NATS, role, lanes_wanted=(), concurrency=None) == (NATS, None)


def test_lanes_leave_a_sender_those_apps_alone() -> None:
    config, _ = narrowed(SQL, "sender", lanes_wanted=["fcm/android"], concurrency=None)
    assert config.apps == {"android": SQL.apps["android"]}
    config, _ = narrowed(SQL, "sender", lanes_wanted=["fcm/android", "apns/ios"], concurrency=None)
    assert config == SQL


def test_concurrency_is_a_senders_connections_and_a_planners_steps() -> None:
    config, at_once = narrowed(SQL, "sender", lanes_wanted=["apns/ios"], concurrency=3)
    assert [each.max_connections for each in config.apps.values()] == [3]
    assert at_once is None
    config, at_once = narrowed(SQL, "planner", lanes_wanted=(), concurrency=3)
    assert (config, at_once) == (SQL, 3)  # how an audience is divided doesn't depend on who begins


@pytest.mark.parametrize(
    ("role", "lanes", "concurrency", "says"),
    [
        ("sender", ["apns/ipad"], None, "there is no lane apns/ipad; there are: apns/ios, fcm/android"),
        ("planner", ["apns/ios"], None, "--lane is for senders alone"),
        ("recorder", [], 4, "--concurrency has no meaning for a recorder"),
        ("scheduler", [], 4, "start several of them"),
        ("planner", [], 65, "64 at most"),
        ("sender", [], 1001, "1000 at most"),
    ],
)
def test_what_has_no_meaning_is_refused(role: Role, lanes: list[str], concurrency: int | None, says: str) -> None:
    with pytest.raises(InvalidConfiguration, match=says):
        narrowed(NATS, role, lanes_wanted=lanes, concurrency=concurrency)


def test_recorders_need_somebody_who_tells_them(tmp_path: Path) -> None:
    for arguments in (("worker", "recorder"), ("serve", "--recorders", "1")):
        done = run(tmp_path, *arguments)
        assert done.exit_code == 2
        assert "senders record by themselves" in done.stderr


def test_a_role_that_does_not_exist(tmp_path: Path) -> None:
    done = run(tmp_path, "worker", "singer")
    assert done.exit_code == 2
    assert "'planner', 'sender', 'recorder', 'scheduler'" in done.stderr
