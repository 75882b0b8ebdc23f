"""What `stentor doctor` makes of a lane, whichever channel's: no provider is known to it by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from stentor import channels
from stentor.cli import app_checks
from stentor.cli.app_checks import check_app
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration
from stentor.findings import Finding, Status, problem
from stentor.settings import App

APP = App(channel="any")
CLOCK = Finding(check="clock", detail="agrees")


class Silent:
    """A lane that has nothing to say but that its files are right."""

    closed = False

    async def check(self) -> None:
        """They are."""

    async def aclose(self, drain: float | None = None) -> None:
        self.closed = True


class Talking(Silent):
    """One that also tells what its provider said, or fails with it."""

    def __init__(self, said: str | list[Finding] | Exception) -> None:
        self.said = said

    async def introduce(self) -> str | list[Finding]:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


class Describing(Talking):
    """One that knows whose its credentials are."""

    def describe(self) -> Finding:
        return Finding(check="credentials", detail="of the project p")


async def look(lane: Silent, monkeypatch: pytest.MonkeyPatch, *, offline: bool = False) -> list[tuple[str, str, str]]:
    monkeypatch.setattr(app_checks, "open_lane", lambda *_: lane)
    found = await check_app("it", APP, offline=offline)
    assert lane.closed
    assert all(bool(each.remedy) is (each.status is not Status.OK) for each in found)
    assert len({each.check for each in found}) == len(found)
    return [(each.check.removeprefix("apps.it: "), each.status.value, each.detail) for each in found]


COMPLETE = ("credentials", "ok", "complete")


async def test_a_lane_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await look(Silent(), monkeypatch) == [COMPLETE]


async def test_a_few_words_are_the_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await look(Talking("@bot"), monkeypatch) == [COMPLETE, ("provider", "ok", "@bot")]
    assert await look(Talking("@bot"), monkeypatch, offline=True) == [COMPLETE]


async def test_findings_are_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [problem("provider", "apps.it: it refuses us", "Ask it why."), CLOCK]
    assert await look(Describing(told), monkeypatch) == [
        ("credentials", "ok", "of the project p"),
        ("provider", "problem", "it refuses us"),
        ("clock", "ok", "agrees"),
    ]
    assert await look(Describing(told), monkeypatch, offline=True) == [("credentials", "ok", "of the project p")]


async def test_what_is_found_later_of_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [problem("credentials", "no token was to be had", "See that this machine reaches the token server.")]
    assert await look(Describing(told), monkeypatch) == [("credentials", "problem", "no token was to be had")]


async def test_a_provider_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await look(Talking(CredentialUnavailable("no answer in time")), monkeypatch)
    assert found == [COMPLETE, ("provider", "problem", "no answer in time")]


async def test_credentials_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await look(Describing(CredentialError("apps.it.token_file: it is unknown")), monkeypatch)
    assert found == [("credentials", "problem", "apps.it.token_file: it is unknown")]


async def test_a_lane_that_cannot_be_loaded_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Silent:
        raise InvalidConfiguration("the channel 'any' cannot be loaded")

    monkeypatch.setattr(app_checks, "open_lane", fail)
    (found,) = await check_app("it", APP, offline=True)
    assert (found.check, found.status) == ("apps.it: credentials", Status.PROBLEM)


def test_it_knows_no_channel_by_name() -> None:
    source = Path(app_checks.__file__).read_text()
    assert [name for name in channels.BUILT_IN if f"providers.{name}" in source] == []
