"""What a campaign would do, as people are shown it before they are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.audience.contract import Selection
from stentor.audience.described import described
from stentor.cli.styles import BAD, CARE
from stentor.counted import counted
from stentor.runtime.preview import Preview
from stentor.runtime.renditions import LanguageSize

MOST_TAGS = 20
"""Language tags that are shown."""


def show_preview(preview: Preview, selection: Selection, out: Console) -> None:
    """What it is called, how many are on which lane, at what pace, and what they get."""
    out.print(Text(preview.title, style="bold"))
    out.print(Text(f"To {described(selection)}:"))
    out.print(_lanes(preview))
    if preview.seconds > max((each.seconds for each in preview.lanes.values()), default=0.0):
        out.print(f"All of it takes at least {words.lasted(preview.seconds)}.")
    looked_at = f"of {sum(each.looked_at for each in preview.lanes.values()):,} looked at"
    if languages := _sum(each.languages for each in preview.lanes.values()):
        told = ", ".join(f"{language or 'the message itself'} {number:,}" for language, number in languages)
        out.print(Text(f"Languages, {looked_at}: {told}"))
    if tags := _served(preview):
        told = "; ".join(f"{tag} → {language} {number:,}" for (tag, language), number in tags[:MOST_TAGS])
        more = f"; and {counted(len(tags) - MOST_TAGS, 'tag')} more" if len(tags) > MOST_TAGS else ""
        out.print(Text(f"Language tags, {looked_at}: {told}{more}"))
    if lacking := _sum(each.lacking for each in preview.lanes.values()):
        out.print(Text(f"Without a value, {looked_at}: {', '.join(f'{name} {number:,}' for name, number in lacking)}"))
    if preview.left_out:
        out.print(_left_out(preview))
    for lane, each in preview.lanes.items():
        for example in each.examples:
            whose = " ".join(
                filter(None, ("e.g.", example.installation, f"({example.language})" * bool(example.language)))
            )
            shown = example.payload.decode(errors="replace")
            out.print(Text(f"{words.lane_name(lane)}, {whose}: {shown}"), soft_wrap=True)
    for lane, each in preview.lanes.items():
        for found in each.sizes:
            out.print(_size(lane, found), soft_wrap=True)
    for warning in preview.warnings:
        out.print(Text(f"Note: {warning}", style=CARE))


def _lanes(preview: Preview) -> Table:
    """How many are on which lane, and at what pace."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("lane", no_wrap=True)
    for heading in ("installations", "at most", "takes at least"):
        table.add_column(heading, justify="right", no_wrap=True)
    for lane, each in preview.lanes.items():
        ceiling = "no limit" if each.ceiling == float("inf") else f"{each.ceiling:,.0f}/s"
        table.add_row(words.lane_name(lane), f"{each.recipients:,}", ceiling, words.lasted(each.seconds))
    return table


def _left_out(preview: Preview) -> Text:
    """How many get nothing by which rule."""
    told = ", ".join(f"{reason} {number:,}" for reason, number in preview.left_out.items())
    return Text(f"Left out by rules{'' if preview.left_out_exact else ', about'}: {told}")


def _served(preview: Preview) -> list[tuple[tuple[str, str], int]]:
    """Which translation each language tag gets, and how many have it; the most frequent tags first."""
    total: Counter[tuple[str, str]] = Counter()
    for lane in preview.lanes.values():
        for each in lane.tags:
            total[each.tag or "no language", each.language or "the message itself"] += each.installations
    return total.most_common()


def _size(lane: str, found: LanguageSize) -> Text:
    """How much of the provider's limit the message takes in one language."""
    size = found.size
    where = f"{words.lane_name(lane)}{f', {found.language}' if found.language else ''}"
    whose = f" for {found.installation}, the longest looked at" if found.installation else ""
    told = f"{where}: {size.what} {size.size:,} of {size.limit:,} {size.unit}{whose}"
    if size.left < 0:
        return Text(f"{told}: {-size.left:,} TOO MANY, it would be rejected", style=BAD)
    return Text(f"{told}, {size.left:,} left")


def _sum(counts: Iterable[Mapping[str, int]]) -> list[tuple[str, int]]:
    """What all of them count, the most frequent first."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total.most_common()
