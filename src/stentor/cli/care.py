"""`stentor opt-out` and `stentor exclusion`: whom campaigns leave alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.caps import EVERYTHING
from stentor.cli.operations import AsJson, ConfigFile, Yes, confirm, console, perform
from stentor.cli.printing import say
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.runtime import care_shapes as shapes
from stentor.runtime.stentor import Stentor
from stentor.store.opt_outs import OptOut

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="The installations' ids.")]
Category = Annotated[
    str | None, typer.Option(metavar="CATEGORY", help="Only messages of this category, e.g. news. Left out: all.")
]
ListName = Annotated[str, typer.Argument(metavar="LIST", help="The list's name.")]
File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A text file with an id on each line, or a CSV file (`.csv`) with a column of ids."
    ),
]
Column = Annotated[str, typer.Option(metavar="NAME", help="Of a CSV file, the column with the ids.")]

opt_outs = typer.Typer(help="Record who wants no messages, or none of a category.", no_args_is_help=True)
exclusions = typer.Typer(help="Keep lists of installations that campaigns leave out.", no_args_is_help=True)


@opt_outs.callback()
def opt_out() -> None:
    """Record who wants no messages of campaigns, or none of a category.

    Whoever said no gets nothing of what is planned from then on: docs/care.md. Transactional messages are sent all the
    same.
    """


@opt_outs.command("add")
def add_opt_outs(ids: Ids, category: Category = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Record that installations want no messages, or none of a category.

    \b
    Examples:
      stentor opt-out add 4711
      stentor opt-out add 4711 4712 --category news
    """
    _opt_out(ids, category, config, as_json=as_json)


@opt_outs.command("import")
def import_opt_outs(
    file: File, category: Category = None, column: Column = "id", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Record the installations in a file as wanting no messages, or none of a category.

    \b
    Examples:
      stentor opt-out import unsubscribed.txt --category news
      stentor opt-out import export.csv --column user_id
    """
    _opt_out(_read(file, column), category, config, as_json=as_json)


def _opt_out(ids: list[str], category: str | None, config: Path | None, *, as_json: bool) -> None:
    added = perform(config, lambda stentor: stentor.care.opt_out(ids, category))
    if as_json:
        say({"added": added})
        return
    what = f"messages of the category {category}" if category else "all messages"
    console().print(f"Recorded {counted(added, 'new opt-out')} from {what}.", markup=False)


@opt_outs.command("remove")
def remove_opt_outs(
    ids: Ids,
    category: Annotated[
        str | None,
        typer.Option(metavar="CATEGORY", help="Only their no to this category; `all`: only their no to all messages."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget what installations said no to: everything, or one category.

    \b
    Examples:
      stentor opt-out remove 4711
      stentor opt-out remove 4711 --category news
    """
    removed = perform(config, lambda stentor: stentor.care.opt_in(ids, category))
    if as_json:
        say({"removed": removed})
        return
    console().print(f"Removed {counted(removed, 'opt-out')}.")


@opt_outs.command("list")
def list_opt_outs(
    installation: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this installation's.")] = None,
    category: Annotated[
        str | None, typer.Option(metavar="CATEGORY", help="Only of this category; `all`: only those of all messages.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="List at most this many.")] = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List who said no, and to what.

    \b
    Examples:
      stentor opt-out list
      stentor opt-out list 4711
      stentor opt-out list --category news --limit 1000 --json
    """

    async def work(stentor: Stentor) -> list[OptOut]:
        if installation is not None:
            return [each for each in await stentor.care.opt_outs_of(installation) if category in (None, each.category)]
        found: list[OptOut] = []
        after = None
        while len(found) < limit:
            page = await stentor.care.opt_outs(category, after=after, limit=limit - len(found))
            if not page:
                break
            found += page
            after = (page[-1].installation, page[-1].category)
        return found

    found = perform(config, work)
    if as_json:
        say({"opt_outs": [shapes.opt_out(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("installation", "no to", "since"):
        table.add_column(heading, no_wrap=True)
    for each in found:
        no = "all messages" if each.category == EVERYTHING else each.category
        table.add_row(Text(each.installation), no, words.clock(each.at))
    console().print(table if found else "Nobody said no.")


@exclusions.callback()
def exclusion() -> None:
    """Keep lists of installations that campaigns leave out.

    `stentor send --exclude LIST` leaves out whoever is on the list: docs/care.md.
    """


@exclusions.command("add")
def add_exclusions(name: ListName, ids: Ids, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Put installations on a list. The list is made if there is none of this name.

    \b
    Examples:
      stentor exclusion add staff 4711 4712
    """
    _exclude(name, ids, config, as_json=as_json)


@exclusions.command("import")
def import_exclusions(
    name: ListName, file: File, column: Column = "id", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Put the installations in a file on a list.

    \b
    Examples:
      stentor exclusion import buyers buyers.txt
      stentor exclusion import buyers export.csv --column device
    """
    _exclude(name, _read(file, column), config, as_json=as_json)


def _exclude(name: str, ids: list[str], config: Path | None, *, as_json: bool) -> None:
    added = perform(config, lambda stentor: stentor.care.exclude(name, ids))
    if as_json:
        say({"added": added})
        return
    console().print(f"Added {counted(added, 'installation')} to {name}.", markup=False)


@exclusions.command("remove")
def remove_exclusions(name: ListName, ids: Ids, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Take installations off a list.

    \b
    Examples:
      stentor exclusion remove staff 4711
    """
    removed = perform(config, lambda stentor: stentor.care.readmit(name, ids))
    if as_json:
        say({"removed": removed})
        return
    console().print(f"Took {counted(removed, 'installation')} off {name}.", markup=False)


@exclusions.command("list")
def list_exclusions(
    name: Annotated[str | None, typer.Argument(metavar="[LIST]", help="Show who is on this list.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Show at most this many.")] = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the lists, or who is on one.

    \b
    Examples:
      stentor exclusion list
      stentor exclusion list staff --json
    """
    if name is not None:
        _show_list(name, limit, config, as_json=as_json)
        return
    found = perform(config, lambda stentor: stentor.care.exclusion_lists())
    if as_json:
        say({"lists": [shapes.exclusion_list(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("list", no_wrap=True)
    table.add_column("installations", justify="right", no_wrap=True)
    table.add_column("changed", no_wrap=True)
    for each in found:
        table.add_row(Text(each.name), f"{each.installations:,}", words.clock(each.changed_at))
    console().print(table if found else "There is no exclusion list yet.")


def _show_list(name: str, limit: int, config: Path | None, *, as_json: bool) -> None:
    async def work(stentor: Stentor) -> list[str]:
        found: list[str] = []
        while len(found) < limit:
            after = found[-1] if found else None
            page = await stentor.care.excluded(name, after=after, limit=limit - len(found))
            if not page:
                break
            found += page
        return found

    found = perform(config, work)
    if as_json:
        say({"installations": found})
        return
    for each in found:
        console().print(each, markup=False, highlight=False, soft_wrap=True)


@exclusions.command("delete")
def delete_exclusions(name: ListName, yes: Yes = False, config: ConfigFile = None) -> None:
    """Delete a list. A campaign that leaves it out and is still being planned is paused.

    \b
    Examples:
      stentor exclusion delete staff --yes
    """

    async def work(stentor: Stentor) -> None:
        found = await stentor.care.exclusion_list(name)
        confirm(f"Delete the list {found.name} of {counted(found.installations, 'installation')}?", yes=yes)
        await stentor.care.delete_exclusion_list(name)

    perform(config, work)
    console().print(f"Deleted {name}.", markup=False)


def _read(file: Path, column: str) -> list[str]:
    """The ids in a file. Raises: InvalidConfiguration: it cannot be read, or has no such column."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            if file.suffix.lower() != ".csv":
                return [line.strip() for line in opened if line.strip()]
            rows = csv.DictReader(opened)
            if column not in (known := list(rows.fieldnames or [])):
                raise InvalidConfiguration(
                    f"{file} has no column {column!r}; it has {', '.join(known)[:200]}. Name one with --column"
                )
            return [said for row in rows if (said := (row[column] or "").strip())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidConfiguration(f"{file} cannot be read: {error}") from None
