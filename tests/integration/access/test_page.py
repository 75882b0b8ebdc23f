"""What docs/access.md says of numbers is so, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stentor.access import hashing, keys, lockout, password_rules, sessions, users
from stentor.access.key_text import checksum
from stentor.config import AccessConfig, load

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text("utf-8")


async def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "stentor.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STENTOR_CONFIG", raising=False)
    names: dict[str, object] = {}
    exec(compile(example, "access.md", "exec"), names)  # the page is ours
    made = names["make_a_key"]
    assert callable(made)
    assert (await made()).startswith("stentor_live_")


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "stentor.toml").write_text(settings)
    oidc = load(tmp_path / "stentor.toml", {}).access.oidc
    assert oidc.roles == {"push-readers": "view", "push-editors": "send", "push-admins": "admin"}


def test_the_key_of_the_page_is_whole() -> None:
    (body,) = re.findall(r"`(stentor_live_0+)`", PAGE)
    assert f"`{checksum(body)}`" in PAGE


def test_the_numbers_are_those_of_the_code() -> None:
    plain = " ".join(PAGE.split())
    defaults = AccessConfig()
    for said in (
        f"remembers for {keys.KNOWN_FOR:.0f} seconds",
        f"once in {keys.KNOWN_FOR:.0f} seconds per key",
        f"at least {password_rules.SHORTEST} characters",
        f"({hashing.MEMORY // 1024} MiB, {hashing.PASSES} passes)",
        f"first {lockout.FREE_BY_USER} failures in a row for a name, and the first {lockout.FREE_BY_ADDRESS} from",
        f"to wait: {lockout.FIRST_WAIT:.0f} seconds, then {2 * lockout.FIRST_WAIT:.0f}, 8, and so on, up to an hour",
        f"computes {hashing.AT_ONCE} hashes at a time, and lets {hashing.WAITING} attempts wait",
        f"ends after {defaults.session_idle / 3600:.0f} hours without a request",
        f"after {defaults.session_lasts / 86_400:.0f} days in any case",
        f"at most {sessions.MOST} sessions",
        f"at most {sessions.REFUSALS} rows a minute",
    ):
        assert said in plain, said
    assert (lockout.LONGEST_WAIT, lockout.FORGOTTEN_AFTER, users.LINK_LASTS) == (3600.0, 86_400.0, 86_400.0)
    assert (keys.NOTED_EVERY, sessions.REFUSALS_EVERY) == (60.0, 60.0)
