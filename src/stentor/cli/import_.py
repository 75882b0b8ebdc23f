"""`stentor import`: a file of installations into the embedded registry."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from stentor import channels
from stentor import config as settings
from stentor.audience.files import Format, RowFile, format_of
from stentor.audience.importing import ImportResult, Rejects, import_rows, rejects_of
from stentor.audience.rows import ColumnMapping, RowReader
from stentor.audience.source import nearest_to
from stentor.cli.waiting import hindrances_told
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.settings import listed
from stentor.store.database import Database

NOTHING_FINE = 1


def import_(
    file: Annotated[Path, typer.Argument(help="A CSV, JSON Lines or Parquet file.")],
    config: Annotated[Path | None, typer.Option(help="The settings file. Default: stentor.toml.")] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="The format of FILE, if its name doesn't tell.")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="The channel of rows without a channel, e.g. apns.")] = None,
    app: Annotated[
        str | None, typer.Option(help="The app of rows without an app, by its name in the settings.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILECOLUMN", help="The column of FILE that holds NAME, e.g. token=push_token. Repeatable."
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN.VALUE=MEANING",
            help="What a value in a column means, e.g. platform.ios=apns. Repeatable.",
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="The file for rows that cannot be used. Default: FILE.rejects.csv, or -2, -3 … if that exists."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the rejects file if it exists.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the rows. Import nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one line of JSON.")] = False,
) -> None:
    """Import installations into Stentor's own registry.

    A row needs `id`, `token` and `channel`. It may have `app`, `language`, `time_zone` and `registered_at`. All other
    columns become attributes, for filters and templates. You can import the same file again: existing installations
    are updated. If a language, time zone, time or attribute cannot be read, it is left out and counted, and the row is
    imported without it.

    \b
    Examples:
      stentor import users.csv
      stentor import devices.parquet --channel apns --app ios --column token=push_token
      stentor import phones.csv --column channel=platform --map platform.ios=apns --map platform.android=fcm
      stentor import chats.csv --channel telegram --column id=chat_id --column token=chat_id
      stentor import users.jsonl --dry-run
    """
    if channel is not None and channel not in channels.names():
        raise InvalidConfiguration(f"--channel {channel}: known are {', '.join(channels.names())}.")
    mapping = ColumnMapping(_columns(column or []), channel=channel, app=app, values=_values(map_ or []))
    refused = Rejects(rejects or rejects_of(file, overwrite=overwrite), file, overwrite=overwrite)
    loaded = None if dry_run and not mapping.apps else settings.load(config)
    if loaded is not None:
        _check_apps(mapping, loaded)
    database = None if dry_run or loaded is None else Database.open(loaded.store.url)
    rows = RowFile(file, format_ or format_of(file), mapping)
    console = Console(stderr=True)
    result = ImportResult()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, refused:
            try:
                result = runner.run(_import(rows, mapping, refused, database, console))
            finally:
                if database is not None:  # in a run of its own: Ctrl-C must not interrupt this as well
                    runner.run(database.aclose())
    except KeyboardInterrupt:
        console.print("Interrupted. What was imported so far stays; importing the file again is safe.")
        raise
    finally:
        rows.close()
    if as_json:
        found = result.as_dict() | {"rejects": str(refused.path) if refused.written else None, "dry_run": dry_run}
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write(_report(result, refused, dry_run=dry_run) + "\n")
    if not result.fine:
        raise typer.Exit(NOTHING_FINE)


def _columns(given: list[str]) -> dict[str, str]:
    columns = {}
    for pair in given:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise InvalidConfiguration(f"--column {pair}: expected NAME=FILECOLUMN, e.g. token=push_token.")
        columns[name] = column
    return columns


def _values(given: list[str]) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for pair in given:
        place, equals, meaning = pair.partition("=")
        column, dot, value = place.partition(".")
        if not (column and dot and value and equals and meaning):
            raise InvalidConfiguration(f"--map {pair}: expected COLUMN.VALUE=MEANING, e.g. platform.ios=apns.")
        values.setdefault(column, {})[value] = meaning
    return values


def _check_apps(mapping: ColumnMapping, config: settings.Config) -> None:
    """Raises: InvalidConfiguration: an option names an app that isn't configured, or one of another channel."""
    for name in mapping.apps:
        option = f"--app {name}" if name == mapping.app else f"--map …={name}"
        app = config.apps.get(name)
        if app is None:
            known = nearest_to(name, config.apps) if config.apps else f"add [apps.{name}]"
            raise InvalidConfiguration(f"{option}: there is no app {name!r} in stentor.toml; {known}.")
        if mapping.channel not in (None, app.channel):
            fitting = [each for each, other in config.apps.items() if other.channel == mapping.channel]
            remedy = f"name {listed(fitting, 'or')}" if fitting else f"use --channel {app.channel}"
            raise InvalidConfiguration(
                f"{option}: the app's channel is {app.channel}, not {mapping.channel}; {remedy}."
            )


async def _import(
    rows: RowFile, mapping: ColumnMapping, rejects: Rejects, database: Database | None, console: Console
) -> ImportResult:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("importing", total=rows.size)

        def show(result: ImportResult) -> None:
            bar.update(task, completed=rows.position, description=counted(result.read, "row"))

        reader = RowReader(mapping, frozenset(channels.names()))
        async with hindrances_told(lambda after: database.hindrance(after) if database is not None else None):
            return await import_rows(rows, reader, rejects, database, show)


def _report(result: ImportResult, rejects: Rejects, *, dry_run: bool) -> str:
    counts: list[tuple[str, int]] = [("read", result.read)]
    if dry_run:
        counts.append(("fine", result.fine))
    else:
        new = result.registered
        counts += [("added", new.added), ("changed", new.changed), ("revived", new.revived)]
        counts.append(("unchanged", result.unchanged))
    counts.append(("duplicates", result.duplicates))
    counts.append(("rejected", result.rejected.total()))
    counts += [(f"  {rule}", count) for rule, count in result.rejected.most_common()]
    counts += [(f"left out: {rule}", count) for rule, count in result.left_out.most_common()]
    width = max(len(name) for name, _ in counts)
    lines = [f"{name:<{width}}  {count:>12,}" for name, count in counts]
    if rejects.written:
        lines.append(f"What was refused or left out, and why: {rejects.path}")
    if dry_run:
        lines.append("Nothing was imported: this was a dry run.")
    return "\n".join(lines)
