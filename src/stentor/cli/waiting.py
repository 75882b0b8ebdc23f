"""What takes as long as it takes, counting an audience above all: people are told what it is, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from stentor import words

SOON = 1.0
"""Seconds after which it is worth a word."""
HELD_UP = 2.0
"""Seconds after which it is said what keeps something from being done at all."""
REDRAW, LINE_EVERY = 0.25, 30.0
"""Seconds between two looks at the time on a terminal, and between two lines anywhere else."""


@asynccontextmanager
async def hindrances_told(hindrance: Callable[[float], str | None]) -> AsyncIterator[None]:
    """Say on stderr what the work in this context waits for: once, as often as it begins to wait."""
    telling = asyncio.create_task(_tell_hindrances(hindrance))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def _tell_hindrances(hindrance: Callable[[float], str | None]) -> None:
    told = False
    while True:
        found = hindrance(HELD_UP)
        if found and not told:
            typer.echo(f"Waiting: {found} It is tried again for a while; Ctrl-C gives up.", err=True)
        told = bool(found)
        await asyncio.sleep(REDRAW)


@asynccontextmanager
async def waited_for(
    what: str, out: Console, *, given_up: str = "Stopped waiting; nothing was sent."
) -> AsyncIterator[None]:
    """Say that `what` is being done, and for how long already, for as long as this context lasts: in place on a
    terminal, and nowhere else unless it takes long; then in a line on stderr now and then."""
    telling = asyncio.create_task(_tell(what, out))
    try:
        yield
    except asyncio.CancelledError:
        out.print(given_up)
        raise
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def _tell(what: str, out: Console) -> None:
    begun = time.monotonic()

    def said() -> str:
        return f"{what}: {words.countdown(time.monotonic() - begun)} so far. Ctrl-C gives up."

    if out.quiet:
        return
    if not out.is_terminal:
        while True:
            await asyncio.sleep(LINE_EVERY)
            typer.echo(said(), err=True)
    await asyncio.sleep(SOON)
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            live.update(Text(said()), refresh=True)
            await asyncio.sleep(REDRAW)
