"""What every lane does alike: it stands once, for Stentor's own channels and for those of other packages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from stentor.channels import BUILT_IN, find
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration, PoolClosed
from stentor.model import Message
from stentor.outcome import Scope, Verdict
from stentor.providers.base import BaseLane, read_text, setting
from stentor.providers.burst_lane import BurstLane
from stentor.providers.contract import Rule
from stentor.providers.lane import CampaignContent, LaneState
from stentor.settings import App

ALIKE = ("check", "reload", "meaning", "aclose", "__repr__", "prepare", "rendered_for")
"""Telegram alone adds a question to `prepare`: whether a message may cost Stars."""

TABLE = (Rule(400, "Bad", Verdict.FIX, Scope.MESSAGE, "what is bad"),)


class PlainLane(BaseLane[str, str]):
    """The least that there can be: what its file holds is what it opens."""

    def __init__(self, file: Path, rate: float | None = None) -> None:
        super().__init__(App(channel="plain"), "mine", TABLE, lambda: 0.0, rate)
        self._file = file
        self.left: list[str] = []
        self.let_go = asyncio.Event()
        self.finished = asyncio.Event()

    @property
    def files(self) -> tuple[Path]:
        return (self._file,)

    async def _open(self) -> str:
        with setting(self.name, "file"):
            return read_text(self._file)

    def _leave(self, old: str) -> None:
        self._later(self._go(old))

    async def _go(self, old: str) -> None:
        await self.let_go.wait()
        self.left.append(old)

    async def _finish(self, drain: float | None) -> None:
        self.left.append(f"drained within {drain}")
        self.finished.set()

    @property
    def state(self) -> LaneState:
        return LaneState(connections=7)

    def render(self, message: Message, campaign: CampaignContent) -> str:
        return message.title or ""

    def collapses(self, rendered: str) -> bool:
        return True

    def payload(self, rendered: str) -> bytes:
        return rendered.encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("one")
    return file


def write(file: Path, text: str) -> None:
    file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("channel", BUILT_IN)
def test_the_lanes_of_all_channels_share_what_they_do_alike(channel: str) -> None:
    lane = find(channel).lane
    module, _, name = lane.partition(":")
    kind = getattr(__import__(module, fromlist=[name]), name)
    assert issubclass(kind, BaseLane)
    own = {method for method in ALIKE if getattr(kind, method) is not getattr(BaseLane, method)}
    assert own == ({"prepare"} if channel == "telegram" else set())
    if issubclass(kind, BurstLane):
        assert all(getattr(kind, method) is getattr(BurstLane, method) for method in ("window", "backlog", "state"))


async def test_files_are_read_once_and_anew_when_they_changed(file: Path) -> None:
    lane = PlainLane(file)
    assert await lane.reload() is True
    assert await lane.reload() is False
    write(file, "two")
    assert await lane.reload() is True
    assert lane.left == []  # the first is left in the background
    lane.let_go.set()
    await lane.aclose(2.0)
    assert sorted(lane.left) == ["drained within 2.0", "one", "two"]


async def test_wrong_files_leave_the_old_ones_in_use(file: Path) -> None:
    lane = PlainLane(file)
    await lane.check()
    remove(file)
    with pytest.raises(CredentialError, match=r"apps\.mine\.file: .*secret cannot be read: No such file"):
        await lane.reload()
    assert await lane._opened.get() == "one"
    lane.let_go.set()
    await lane.aclose()
    assert "one" in lane.left


async def test_a_closed_lane_waits_for_what_it_left_and_opens_nothing_more(file: Path) -> None:
    lane = PlainLane(file)
    await lane.check()
    closing = asyncio.create_task(lane.aclose(0.0))
    await lane.finished.wait()
    await asyncio.sleep(0)  # what follows it begins
    assert not closing.done()
    lane.let_go.set()
    await closing
    assert lane.left == ["drained within 0.0", "one"]
    with pytest.raises(PoolClosed):
        await lane.check()
    assert await lane.reload() is False


async def test_names_and_meanings(file: Path) -> None:
    lane = PlainLane(file, rate=5.0)
    assert (lane.name, lane.rate, lane.ceiling) == ("plain/mine", 5.0, 5.0)
    assert PlainLane(file).ceiling == float("inf")
    assert (lane.meaning("Bad"), lane.meaning("Other")) == ("what is bad", "")
    assert repr(lane).startswith("<PlainLane plain/mine LaneState(connections=7")


@pytest.mark.parametrize("kind", [CredentialError, CredentialUnavailable, InvalidConfiguration])
def test_errors_name_the_app_and_its_setting(kind: Callable[[str], Exception]) -> None:
    with pytest.raises(Exception, match=r"^apps\.mine\.file: is gone$"), setting("plain/mine", "file"):
        raise kind("is gone")
    with pytest.raises(Exception, match=r"^apps\.mine: is gone$"), setting("plain/mine"):
        raise kind("is gone")


def test_a_secret_that_is_no_text_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfehunter2")
    with pytest.raises(CredentialError, match=r"secret isn't text$"):
        read_text(tmp_path / "secret")
