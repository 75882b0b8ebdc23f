"""What a campaign would do, as people are shown it before they are asked."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stentor.audience.contract import Selection
from stentor.cli import words
from stentor.cli.styles import CARE
from stentor.runtime.preview import Preview


def show_preview(preview: Preview, selection: Selection, out: Console) -> None:
    """What it is called, how many are on which lane, at what pace, and what they get."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("lane", no_wrap=True)
    for heading in ("installations", "at most", "takes at least"):
        table.add_column(heading, justify="right", no_wrap=True)
    for lane, each in preview.lanes.items():
        ceiling = "no limit" if each.ceiling == float("inf") else f"{each.ceiling:,.0f}/s"
        table.add_row(words.lane_name(lane), f"{each.recipients:,}", ceiling, words.lasted(each.seconds))
    out.print(Text(preview.title, style="bold"))
    out.print(Text(f"To {words.audience(selection)}:"))
    out.print(table)
    for lane, payload in preview.sample.items():
        out.print(Text(f"{words.lane_name(lane)}, e.g.: {payload.decode(errors='replace')}"), soft_wrap=True)
    for warning in preview.warnings:
        out.print(Text(f"Note: {warning}", style=CARE))
