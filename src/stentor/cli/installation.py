"""`stentor installation`: the registry's installations, one by one."""

from __future__ import annotations

import math
import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from stentor import words
from stentor.cli.operations import FAILED, AsJson, ConfigFile, Quiet, Yes, confirm, console, perform
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.runtime.erasing import Erased, Erasing
from stentor.runtime.installations import LARGEST_PAGE, Installation
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration, pairs

Id = Annotated[str, typer.Argument(metavar="ID", help="The installation's id.")]
Address = Annotated[bool, typer.Option("--address", help="Show the whole address.")]

app = typer.Typer(help="Look at and change the installations in Stentor's own registry.", no_args_is_help=True)


@app.callback()
def installation() -> None:
    """Look at and change the installations in Stentor's own registry."""


@app.command()
def show(id_: Id, address: Address = False, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show one installation. Only the beginning of its address is shown.

    \b
    Examples:
      stentor installation show 4711
      stentor installation show 4711 --address --json
    """

    async def work(stentor: Stentor) -> Installation:
        return await stentor.installations.get(id_, address=address)

    found = perform(config, work)
    _say(found) if as_json else _print(found)


@app.command("list")
def list_(
    channel: Annotated[str | None, typer.Option(help="Only installations on this channel, e.g. apns.")] = None,
    app_: Annotated[str | None, typer.Option("--app", help="Only installations of this app of the channel.")] = None,
    dead: Annotated[
        bool | None, typer.Option("--dead/--alive", help="Only dead addresses, or only addresses that still work.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_PAGE, help="How many to list.")] = 100,
    cursor: Annotated[
        str | None, typer.Option(help="Continue after the page before: its cursor, with the same filters.")
    ] = None,
    addresses: Annotated[bool, typer.Option("--addresses", help="Show the whole addresses.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List some installations, and the cursor of the next page.

    \b
    Examples:
      stentor installation list --channel apns --dead
      stentor installation list --limit 1000 --json
    """

    async def work(stentor: Stentor) -> None:
        page = await stentor.installations.page(
            channel=channel, app=app_, dead=dead, cursor=cursor, limit=limit, addresses=addresses
        )
        if as_json:
            _say(page)
            return
        for each in page.installations:
            lane = f"{each.channel}/{each.app}" if each.app else each.channel
            state = f"dead since {words.clock(each.dead_at)}: {each.dead_reason}" if each.dead_at else "alive"
            sys.stdout.write("  ".join((each.id, lane, each.address, state)) + "\n")
        if page.next is not None:
            sys.stdout.write(f"There are more: --cursor {page.next}\n")

    perform(config, work)


@app.command()
def put(
    id_: Id,
    address: Annotated[
        str | None, typer.Option("--address", "--token", help="Its address: a device token, subscription or chat id.")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="Its channel, e.g. apns.")] = None,
    app_: Annotated[str | None, typer.Option("--app", help="Its app, as in stentor.toml.")] = None,
    language: Annotated[str | None, typer.Option(help="Its language, e.g. de or pt-BR.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Its time zone, e.g. Europe/Berlin.")] = None,
    registered_at: Annotated[
        str | None, typer.Option(help="When its address was registered: epoch seconds, or an ISO 8601 time.")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="An attribute, for filters and templates. Repeatable; replaces all attributes."
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Add an installation, or change one. What you don't say stays as it is.

    A new installation needs an address and a channel. The checks are the same as for `stentor import`. A VALUE that is
    a JSON number, true or false is stored as such.

    \b
    Examples:
      stentor installation put 4711 --channel apns --app ios --address TOKEN
      stentor installation put 4711 --language de --attribute plan=pro
    """
    said: dict[str, Any] = {
        "id": id_,
        "address": address,
        "channel": channel,
        "app": app_,
        "language": language,
        "time_zone": time_zone,
        "registered_at": _time(registered_at),
    }
    if attribute:
        said["attributes"] = {name: _value(text) for name, text in pairs("--attribute", attribute).items()}
    values = {name: value for name, value in said.items() if value is not None}

    async def work(stentor: Stentor) -> None:
        done = await stentor.installations.put(values)
        if as_json:
            _say(done)
        else:
            sys.stdout.write(f"{done.installation.id}: {done.change}\n")

    perform(config, work)


@app.command()
def delete(id_: Id, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Take an installation out of the registry. What campaigns recorded about it stays; see `erase`.

    \b
    Examples:
      stentor installation delete 4711
    """

    async def work(stentor: Stentor) -> bool:
        return await stentor.installations.delete(id_)

    deleted = perform(config, work)
    if as_json:
        _say({"id": id_, "deleted": deleted})
    else:
        sys.stdout.write("Deleted.\n" if deleted else f"There is no installation {id_} in the registry.\n")


@app.command()
def erase(
    id_: Id,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait for batches that are being sent.")
    ] = "60s",
    yes: Yes = False,
    quiet: Quiet = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person: everything in Stentor's database that holds this id or its address, in all campaigns.

    A placeholder stays in each place, so that all counts stay right. If a campaign has not sent to the installation
    yet, it does not send to it any more. You can interrupt this and run it again. The exit code is 1 if something could
    not be removed yet. docs/installations.md says what is left elsewhere: backups, logs, providers, your own database.

    \b
    Examples:
      stentor installation erase 4711
      stentor installation erase 4711 --yes --json
    """
    patience = duration("--wait", wait)
    if not math.isfinite(patience):
        raise InvalidConfiguration(f"--wait: {wait!r} is too long")
    confirm(f"Remove everything about {id_} for good?", yes=yes)
    out = console(as_json=as_json, quiet=quiet)

    async def work(stentor: Stentor) -> Erased:
        screen = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn())
        with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal or as_json) as bar:
            task = bar.add_task("erasing")

            def show_it(now: Erasing) -> None:
                waiting = f", {now.waiting:,} to wait for" if now.waiting else ""
                text = f"{now.batches:,} of {counted(now.of, 'batch', 'batches')}, found in {now.found:,}{waiting}"
                bar.update(task, completed=now.batches, total=now.of, description=text)

            return await stentor.installations.erase(id_, on_progress=show_it, patience=patience)

    done = perform(config, work)
    if as_json:
        _say(done)
    else:
        registered = "It was in the registry. " if done.registered else ""
        found = f"{done.places:,} places in campaigns, of which {done.cancelled:,} are not sent to any more."
        out.print(f"{registered}{found}", soft_wrap=True)
        for each in done.left:
            typer.echo(f"Not removed yet: {each}", err=True)
        if not done.left:
            out.print("Everything about it is gone.")
    if done.left:
        raise typer.Exit(FAILED)


def _time(text: str | None) -> float | str | None:
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def _value(text: str) -> object:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return found if isinstance(found, bool | int | float) else text


def _say(shape: object) -> None:
    sys.stdout.write(msgspec.json.encode(shape).decode() + "\n")


def _print(found: Installation) -> None:
    facts: dict[str, str | None] = {
        "id": found.id,
        "channel": found.channel,
        "app": found.app,
        "address": found.address,
        "language": found.language,
        "time zone": found.time_zone,
        "registered": None if found.registered_at is None else words.clock(found.registered_at),
        "dead": None if found.dead_at is None else f"since {words.clock(found.dead_at)}: {found.dead_reason}",
        **{f"attribute {name}": msgspec.json.encode(value).decode() for name, value in found.attributes.items()},
    }
    width = max(map(len, facts))
    sys.stdout.write("".join(f"{name:<{width}}  {value}\n" for name, value in facts.items() if value is not None))
