"""What takes as long as it takes, counting an audience above all: people are told what it is, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stentor.cli import words

SOON = 1.0
"""Seconds after which it is worth a word."""
REDRAW, LINE_EVERY = 0.25, 30.0
"""Seconds between two looks at the time on a terminal, and between two lines anywhere else."""


@asynccontextmanager
async def waited_for(what: str, out: Console) -> AsyncIterator[None]:
    """Say that `what` is being done, and for how long already, for as long as this context lasts: in place on a
    terminal, in a line now and then anywhere else."""
    telling = asyncio.create_task(_tell(what, out))
    try:
        yield
    except asyncio.CancelledError:
        out.print("Given up; nothing was sent.")
        raise
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def _tell(what: str, out: Console) -> None:
    begun = time.monotonic()
    await asyncio.sleep(SOON)
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            line = Text(f"{what}: {words.countdown(time.monotonic() - begun)} so far. Ctrl-C gives up.")
            if out.is_terminal:
                live.update(line, refresh=True)
            else:
                out.print(line, soft_wrap=True)
            await asyncio.sleep(REDRAW if out.is_terminal else LINE_EVERY)
