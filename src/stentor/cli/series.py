"""`stentor series`: campaigns that recur."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.audience import written as filters
from stentor.audience.contract import Selection
from stentor.audience.described import described
from stentor.audience.segments.spelling import told
from stentor.cli import message_options as opts
from stentor.cli.operations import AsJson, ConfigFile, Yes, confirm, console, perform
from stentor.cli.previews import show_preview
from stentor.cli.printing import say
from stentor.cli.waiting import waited_for
from stentor.planning.content import Content, content_from
from stentor.runtime import series_shapes as shapes
from stentor.runtime.draft import Draft
from stentor.runtime.series import MOST, NextTimes, SeriesDraft
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import share
from stentor.store.series import Missed, RunState, Series, SeriesRun

SeriesName = Annotated[
    str, typer.Argument(metavar="SERIES", help="The name of the series, its id, or any part of the id.")
]

app = typer.Typer(help="Send campaigns again and again: every day, every Monday, every hour.", no_args_is_help=True)


@app.callback()
def series() -> None:
    """Send campaigns again and again: every day, every Monday, every hour.

    `stentor serve`, or `stentor worker scheduler`, makes and starts each run when it is due: docs/series.md.
    """


@app.command()
@opts.takes_message
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the series is called.")],
    cron: Annotated[
        str,
        typer.Option(
            metavar="LINE",
            help="When: minute, hour, day, month, weekday, e.g. '0 18 * * mon-fri' or '*/30 * * * *'.",
        ),
    ],
    audience: Annotated[str, typer.Option(help="The name of an audience in the settings, or `registry`.")],
    content: Content,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The time zone whose clocks --cron means, e.g. Europe/Berlin.")
    ] = "UTC",
    missed: Annotated[
        Missed,
        typer.Option(help="If no scheduler ran when runs were due: skip them, or send one of them late."),
    ] = Missed.SKIP,
    chosen: Annotated[list[str] | None, typer.Option("--filter", metavar="FILTER", help=filters.HELP)] = None,
    segment: Annotated[
        str | None,
        typer.Option(
            metavar="SEGMENT",
            help="Send only to recipients in this segment: a condition, or the name of a saved one, which each run"
            " looks up anew.",
        ),
    ] = None,
    max_rate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Send at most N per second across all lanes, e.g. 500 or 0.5."),
    ] = None,
    pause_above: opts.PauseAbove = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, count, and show when it would be due. Save nothing.")
    ] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Save a campaign that recurs.

    First checks everything, shows when the next runs are due and what is sent, and asks you to confirm.

    \b
    Examples:
      stentor series add "Evening news" --cron "0 18 * * *" --zone Europe/Berlin --message news.toml --audience users
      stentor series add Reminder --cron "0 9 * * mon" --body "Your week" --audience users --segment active --yes
      stentor series add Hourly --cron "0 * * * *" --title News --audience users --missed one --dry-run
    """
    condition, saved = told(segment)
    selection = Selection(source=audience, filters=filters.filters(chosen or []), segment=condition, segment_name=saved)
    draft = Draft(
        content,
        selection,
        max_rate=max_rate,
        pause_above=None if pause_above is None else share("--pause-above", pause_above),
    )
    new = SeriesDraft(name=name, draft=draft, cron=cron, zone=zone, missed=missed)
    out = console(as_json=as_json)

    async def work(stentor: Stentor) -> Series | None:
        new.check()
        async with waited_for(f"Counting {described(selection)}", out):
            preview = await stentor.campaigns.prepare(draft)
        show_preview(preview, selection, out)
        _show_times(stentor, new, out)
        if dry_run:
            return None
        confirm("Save it?", yes=yes)
        return await stentor.series.add(new, count=False)

    found = perform(config, work)
    if found is None:
        if as_json:
            say(shapes.next_times(perform(config, lambda stentor: _times(stentor, new))))
        out.print("Nothing was saved, as this was a dry run.")
        return
    if as_json:
        say(shapes.series(found))
    out.print(
        Text(f"Saved {found.name} ({found.id}). `stentor serve`, or `stentor worker scheduler`, sends its runs."),
        soft_wrap=True,
    )


@app.command("list")
def list_series(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List series, with the next and the newest run of each.

    \b
    Examples:
      stentor series list
      stentor series list --json
    """

    async def work(stentor: Stentor) -> tuple[list[Series], dict[str, SeriesRun]]:
        found = list[Series]()
        while page := await stentor.series.list(after=found[-1].name if found else None):
            found += page
        return found, await stentor.series.newest_runs(found)

    found, runs = perform(config, work)
    if as_json:
        say({"series": [shapes.listed(each, runs.get(each.id)) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("series", "next run", "newest run"):
        table.add_column(heading, no_wrap=True)
    table.add_column("name", overflow="fold", min_width=12)
    for each in found:
        last = runs.get(each.id)
        newest = "none yet" if last is None else f"{words.clock(last.due)[:-3]} {last.state}"
        table.add_row(each.id, _next(each), newest, Text(each.name))
    console().print(table if found else "There is no series yet.")


@app.command()
def show(name: SeriesName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show a series: what it sends to whom, and when it is due.

    \b
    Examples:
      stentor series show "Evening news"
      stentor series show "Evening news" --json
    """

    async def work(stentor: Stentor) -> tuple[Series, SeriesDraft, SeriesRun | None]:
        found = await stentor.series.find(name)
        newest = await stentor.series.newest_runs([found])
        draft = await stentor.series.draft(found.id)
        if not as_json:
            _show(stentor, found, draft, newest.get(found.id))
        return found, draft, newest.get(found.id)

    found, _, last = perform(config, work)
    if as_json:
        say(shapes.listed(found, last))


@app.command()
def runs(
    name: SeriesName,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="List at most this many.")] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List what became of the runs of a series, the newest first.

    \b
    Examples:
      stentor series runs "Evening news"
      stentor series runs "Evening news" --limit 5 --json
    """

    async def work(stentor: Stentor) -> list[SeriesRun]:
        found = await stentor.series.find(name)
        return list(await stentor.series.runs(found.id, limit=limit))

    found = perform(config, work)
    if as_json:
        say({"runs": [shapes.run(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("due", "run", "campaign"):
        table.add_column(heading, no_wrap=True)
    table.add_column("reason", overflow="fold", min_width=12)
    for each in found:
        campaign = each.campaign_id if each.was_started else "–"
        table.add_row(words.clock(each.due), each.state.value, campaign, Text(each.reason or ""))
    console().print(table if found else "It has had no run yet.")


@app.command()
def change(
    name: SeriesName,
    cron: Annotated[str | None, typer.Option(metavar="LINE", help="When its runs are due from now on.")] = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="The time zone whose clocks --cron means.")] = None,
    missed: Annotated[Missed | None, typer.Option(help="What becomes of runs that no scheduler made in time.")] = None,
    called: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    message: Annotated[
        Path | None, typer.Option(help="A TOML or JSON file with the message that its runs send from now on.")
    ] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Change when a series is due, its name, or its message. What you leave out stays as it is.

    \b
    Examples:
      stentor series change "Evening news" --cron "0 19 * * mon-fri"
      stentor series change "Evening news" --message better.toml --yes
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor) -> Series:
        found = await stentor.series.find(name)
        before = await stentor.series.draft(found.id)
        draft = before.draft
        if message is not None:
            draft = replace(draft, content=content_from(message, draft.content.values))
        new = SeriesDraft(
            name=called or before.name,
            draft=draft,
            cron=cron or before.cron,
            zone=zone or before.zone,
            missed=missed or before.missed,
        )
        new.check()
        _show_times(stentor, new, out)
        confirm("Save it?", yes=yes)
        return await stentor.series.change(found.id, new, revision=found.revision)

    found = perform(config, work)
    if as_json:
        say(shapes.series(found))
    out.print(Text(f"Changed {found.name}."), soft_wrap=True)


@app.command()
def pause(name: SeriesName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Make no more runs until the series is resumed. A run under way goes on.

    \b
    Examples:
      stentor series pause "Evening news"
    """

    async def work(stentor: Stentor) -> Series:
        return await stentor.series.pause((await stentor.series.find(name)).id)

    found = perform(config, work)
    if as_json:
        say(shapes.series(found))
        return
    console().print(Text(f"{found.name} is paused. `stentor series resume {found.id}` goes on."), soft_wrap=True)


@app.command()
def resume(name: SeriesName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Go on with the next run that is due. Runs that were due meanwhile are left out.

    \b
    Examples:
      stentor series resume "Evening news"
    """

    async def work(stentor: Stentor) -> Series:
        return await stentor.series.resume((await stentor.series.find(name)).id)

    found = perform(config, work)
    if as_json:
        say(shapes.series(found))
        return
    console().print(Text(f"{found.name} goes on. Its next run is due {_next(found)}."), soft_wrap=True)


@app.command()
def delete(name: SeriesName, yes: Yes = False, config: ConfigFile = None) -> None:
    """Delete a series and the list of its runs. Campaigns that its runs have made stay, and go on.

    \b
    Examples:
      stentor series delete "Evening news" --yes
    """

    async def work(stentor: Stentor) -> Series:
        found = await stentor.series.find(name)
        confirm(f"Delete the series {found.name}?", yes=yes)
        await stentor.series.delete(found.id)
        return found

    console().print(Text(f"Deleted {perform(config, work).name}."), soft_wrap=True)


async def _times(stentor: Stentor, new: SeriesDraft) -> NextTimes:
    return stentor.series.next_times(new.cron, new.zone)


def _show_times(stentor: Stentor, new: SeriesDraft, out: Console) -> None:
    found = stentor.series.next_times(new.cron, new.zone)
    out.print(Text(f"{found.explained} ({new.zone}). The next runs are due:"), soft_wrap=True)
    for each in found.written:
        out.print(f"  {each}", highlight=False)


def _show(stentor: Stentor, found: Series, draft: SeriesDraft, last: SeriesRun | None) -> None:
    out = console()
    rows = [
        ("Series", f"{found.name} ({found.id})"),
        ("Message", draft.draft.content.name or "untitled"),
        ("Audience", described(draft.draft.selection)),
        ("Due", f"{stentor.series.next_times(found.cron, found.zone, 1).explained} ({found.cron}, {found.zone})"),
        ("Missed runs", "are left out" if found.missed is Missed.SKIP else "the newest of them is sent late"),
        ("Next run", _next(found)),
    ]
    if draft.draft.max_rate is not None:
        rows.append(("At most", f"{draft.draft.max_rate:g} per second"))
    if draft.draft.pause_above is not None:
        rows.append(("Pauses above", f"{100 * draft.draft.pause_above:g} % failures on a lane"))
    if last is not None:
        why = f": {last.reason}" if last.reason else ""
        which = f", campaign {last.campaign_id}" if last.state is RunState.STARTED else ""
        rows.append(("Newest run", f"{words.clock(last.due)} {last.state}{which}{why}"))
    for label, value in rows:
        out.print(Text(f"{label + ':':<14}{value}"), soft_wrap=True)


def _next(found: Series) -> str:
    if found.paused:
        return "paused"
    return "never" if found.next_at is None else words.clock(found.next_at)[:-3]
