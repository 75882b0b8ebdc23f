"""What people are told while something takes as long as it takes."""

from __future__ import annotations

import asyncio
import io
import re

import pytest
from rich.console import Console

from stentor.cli import waiting
from stentor.cli.waiting import hindrances_told, waited_for

WITHIN = 30.0


class Paper(io.StringIO):
    """Where a console writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)

    async def says(self, what: str, times: int = 1) -> None:
        """Returns when it says so."""
        async with asyncio.timeout(WITHIN):
            while self.getvalue().count(what) < times:
                self.written.clear()
                await self.written.wait()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOON", "REDRAW", "LINE_EVERY"):
        monkeypatch.setattr(waiting, name, 0.0)


SAID = re.compile(r"Counting users: 0:0\d so far\. Ctrl-C gives up\.")


async def test_on_a_terminal_it_is_said_in_place_what_is_done_and_for_how_long() -> None:
    paper = Paper()
    async with waited_for("Counting users", Console(file=paper, force_terminal=True, width=80)):
        await paper.says("Counting users", 3)
    said = paper.getvalue()
    assert SAID.search(said)
    assert "Stopped" not in said
    last = said.rpartition("Counting users")[2]
    assert "\x1b[2K" in last, "the line is taken away at the end"


async def test_anywhere_else_what_takes_long_is_said_on_stderr_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper()
    lines: list[str] = []
    async with waited_for("Counting users", Console(file=paper, force_terminal=False)):
        async with asyncio.timeout(WITHIN):
            while len(lines) < 3:
                await asyncio.sleep(0)
                lines += capsys.readouterr().err.splitlines()
    assert all(SAID.fullmatch(line) for line in lines)
    assert paper.getvalue() == ""
    monkeypatch.setattr(waiting, "LINE_EVERY", 3600.0)
    async with waited_for("Counting users", Console(file=paper, force_terminal=False)):
        for _ in range(10):
            await asyncio.sleep(0)
    assert (paper.getvalue(), capsys.readouterr().err) == ("", ""), "nothing is left of what was done soon"


async def test_what_is_done_at_once_needs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SOON", 3600.0)
    paper = Paper()
    async with waited_for("Counting users", Console(file=paper)):
        await asyncio.sleep(0)
    assert paper.getvalue() == ""


async def test_giving_up_is_said() -> None:
    paper = Paper()

    async def count() -> None:
        async with waited_for("Counting users", Console(file=paper, force_terminal=True)):
            await asyncio.Event().wait()

    counting = asyncio.create_task(count())
    await paper.says("Counting users")
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting
    assert "Stopped waiting; nothing was sent." in paper.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
async def test_programs_are_told_nothing(capsys: pytest.CaptureFixture[str], terminal: bool) -> None:
    paper = Paper()
    async with waited_for("Counting users", Console(file=paper, quiet=True, force_terminal=terminal)):
        for _ in range(10):
            await asyncio.sleep(0)
    assert (paper.getvalue(), capsys.readouterr().err) == ("", "")


async def test_what_keeps_a_command_waiting_is_said_once_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: asyncio.Queue[float] = asyncio.Queue()
    away: str | None = "The database db on host cannot be reached."

    def hindrance(after: float) -> str | None:
        asked.put_nowait(after)
        return away

    async def looks(times: int) -> None:
        async with asyncio.timeout(WITHIN):
            for _ in range(times):
                assert await asked.get() == 2.0

    line = "Waiting: The database db on host cannot be reached. It is tried again for a while; Ctrl-C gives up.\n"
    async with hindrances_told(hindrance):
        await looks(3)
        assert capsys.readouterr() == ("", line)
        away = None
        await looks(3)
        away = "The database db on host cannot be reached."
        await looks(3)
        assert capsys.readouterr() == ("", line)
