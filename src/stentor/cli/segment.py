"""`stentor segment`: conditions over installations, saved by name and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.audience.described import shortened
from stentor.cli.operations import AsJson, ConfigFile, Yes, confirm, console, perform
from stentor.cli.printing import say
from stentor.cli.waiting import waited_for
from stentor.errors import InvalidConfiguration
from stentor.runtime import segment_shapes as shapes
from stentor.runtime.segments import WITHIN, SegmentCount
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration
from stentor.store.segments import SavedSegment

SegmentName = Annotated[str, typer.Argument(metavar="NAME", help="The segment's name.")]

app = typer.Typer(help="Save, list, show, delete and count segments.", no_args_is_help=True)


@app.callback()
def segment() -> None:
    """Save, list, show, delete and count segments.

    A segment is a condition over installations: docs/segments.md.
    """


@app.command()
def save(
    name: SegmentName,
    condition: Annotated[
        str | None,
        typer.Argument(metavar="SEGMENT", help="The condition, e.g. 'country in [DE, AT] and last_seen > now - 7d'."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Read the condition from this file: as text, as JSON, or a list of OneSignal's filters."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Save a segment under a name, in the place of one that had it before.

    Campaigns that were made with the one before keep it.

    \b
    Examples:
      stentor segment save active "last_seen > now - 7d"
      stentor segment save dach '{"country": {"$in": ["DE", "AT", "CH"]}}'
      stentor segment save gamers --file onesignal.json
    """
    if (condition is None) == (file is None):
        raise InvalidConfiguration("give the condition, or --file FILE with it")
    said = condition if file is None else _read(file)
    assert said is not None

    found = perform(config, lambda stentor: stentor.segments.save(name, said))
    if as_json:
        say(shapes.segment(found))
        return
    console().print(Text(f"Saved {found.name}: {found.segment}"), soft_wrap=True)


@app.command("list")
def list_segments(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List saved segments.

    \b
    Examples:
      stentor segment list
      stentor segment list --json
    """

    async def work(stentor: Stentor) -> list[SavedSegment]:
        found = list[SavedSegment]()
        while page := await stentor.segments.list(after=found[-1].name if found else None):
            found += page
        return found

    found = perform(config, work)
    if as_json:
        say({"segments": [shapes.segment(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("changed", no_wrap=True)
    table.add_column("segment", overflow="fold", min_width=20)
    for each in found:
        table.add_row(Text(each.name), words.clock(each.changed_at), Text(shortened(each.segment)))
    console().print(table if found else "There is no saved segment yet.")


@app.command()
def show(name: SegmentName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show a saved segment.

    \b
    Examples:
      stentor segment show active
      stentor segment show active --json
    """
    found = perform(config, lambda stentor: stentor.segments.get(name))
    if as_json:
        say(shapes.segment(found))
        return
    console().print(Text(found.segment), soft_wrap=True)


@app.command()
def delete(name: SegmentName, yes: Yes = False, config: ConfigFile = None) -> None:
    """Delete a saved segment. Campaigns that were made with it keep it.

    \b
    Examples:
      stentor segment delete active --yes
    """

    async def work(stentor: Stentor) -> None:
        await stentor.segments.get(name)
        confirm(f"Delete the segment {name}?", yes=yes)
        await stentor.segments.delete(name)

    perform(config, work)
    console().print(Text(f"Deleted {name}."), soft_wrap=True)


@app.command()
def count(
    condition: Annotated[str, typer.Argument(metavar="SEGMENT", help="The condition, or the name of a saved segment.")],
    audience: Annotated[str, typer.Option(help="The name of an audience in the settings, or `registry`.")],
    within: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to count before an estimate will do, at most 60s.")
    ] = f"{WITHIN:.0f}s",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Count the installations of an audience that are in a segment, and show some of them.

    \b
    Examples:
      stentor segment count "plan != free" --audience users
      stentor segment count active --audience registry --within 30s --json
    """
    seconds = duration("--within", within)
    out = console(as_json=as_json)

    async def work(stentor: Stentor) -> SegmentCount:
        async with waited_for("Counting", out):
            return await stentor.segments.count(audience, condition, within=seconds)

    found = perform(config, work)
    if as_json:
        say(shapes.segment_count(found))
        return
    about = "" if found.exact else "about "
    out.print(f"{about}{found.count:,} of {audience} in: {found.segment}", soft_wrap=True, markup=False)
    for each in found.samples:
        values = ", ".join(f"{name} = {value}" for name, value in each.values.items())
        out.print(f"  {each.installation}  {each.lane or 'no lane'}  {values}", soft_wrap=True, markup=False)


def _read(file: Path) -> str:
    """Raises: InvalidConfiguration: it cannot be read."""
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"--file {file}: {error}") from None
