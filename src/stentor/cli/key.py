"""`stentor key`: the keys with which programs prove who they are to the API."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.access import shapes
from stentor.access.caller import local_caller
from stentor.access.keys import ApiKey, IssuedKey
from stentor.access.scopes import Scope
from stentor.access.wording import key_state
from stentor.cli.operations import AsJson, ConfigFile, Yes, confirm, console, perform
from stentor.cli.printing import say
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration, moment

KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its name if no other key has it.")]

app = typer.Typer(help="Make, list, replace and revoke the API's keys.", no_args_is_help=True)


@app.callback()
def key() -> None:
    """Make, list, replace and revoke the API's keys."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, e.g. the program that uses it.")],
    scope: Annotated[
        Scope, typer.Option(help="What the key may do. Each scope includes those before it.")
    ] = Scope.VIEW,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When the key ends, e.g. +90d or 2030-01-31T18:00. Default: never."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key, and print it. Nobody can see it again, so put it where your program reads it.

    Only its hash is stored. The key begins with `stentor_live_`, so that secret scanners find it if it leaks.

    \b
    Examples:
      stentor key create shop --scope send > shop.key
      stentor key create dashboard-tv --expires +90d --json
    """
    expires_at = None if expires is None else moment("--expires", expires, time.time()).at

    async def work(stentor: Stentor) -> IssuedKey:
        return await stentor.access.keys.create(local_caller(), name, scope, expires_at=expires_at)

    _show(perform(config, work), as_json=as_json)


@app.command("list")
def list_keys(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List API keys: what each may do, when it ends, and when it was last used.

    \b
    Examples:
      stentor key list
      stentor key list --json
    """

    async def work(stentor: Stentor) -> list[ApiKey]:
        by, found = local_caller(), list[ApiKey]()
        while page := await stentor.access.keys.page(by, after=found[-1].id if found else None):
            found += page
        return sorted(found, key=lambda each: each.created_at)

    found = perform(config, work)
    if as_json:
        say({"keys": [shapes.api_key(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("key", "scope", "state", "last used"):
        table.add_column(heading, no_wrap=True)
    table.add_column("name", overflow="fold", min_width=12)
    now = time.time()
    for each in found:
        table.add_row(each.id, each.scope.value, key_state(each, now), words.clock(each.last_used_at), Text(each.name))
    console().print(table if found else "There is no API key yet.")


@app.command()
def roll(
    key: KeyName,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the old text stays valid. 0s: it ends at once.")
    ] = "1d",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give an API key a new text, and print it. The old text stays valid for a while, so nothing has to stop.

    `stentor key list --json` shows whether the old text is still used (`old_used_at`).

    \b
    Examples:
      stentor key roll shop > shop.key
      stentor key roll shop --overlap 0s
    """
    seconds = duration("--overlap", overlap)

    async def work(stentor: Stentor) -> IssuedKey:
        by = local_caller()
        found = await stentor.access.keys.find(by, key)
        return await stentor.access.keys.roll(by, found.id, overlap=seconds)

    _show(perform(config, work), as_json=as_json)


@app.command()
def revoke(key: KeyName, yes: Yes = False, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """End an API key for good. All processes refuse it within 5 seconds.

    \b
    Examples:
      stentor key revoke shop
      stentor key revoke 3k9f2m7q8r1c5d0e --yes
    """

    async def work(stentor: Stentor) -> ApiKey:
        by = local_caller()
        found = await stentor.access.keys.find(by, key)
        if found.revoked_at is None:
            confirm(f"Revoke the key {found.name!r} ({found.id}) for good?", yes=yes)
        return await stentor.access.keys.revoke(by, found.id)

    revoked = perform(config, work)
    if as_json:
        say(shapes.api_key(revoked))
    else:
        console().print(f"The key {revoked.name} ({revoked.id}) is revoked.", soft_wrap=True)


def _show(made: IssuedKey, *, as_json: bool) -> None:
    if as_json:
        say(shapes.issued(made))
        return
    typer.echo(made.text)
    ends = "never expires" if made.key.expires_at is None else f"expires on {words.clock(made.key.expires_at)}"
    typer.echo(f"The key {made.key.name} ({made.key.id}) has the scope {made.key.scope}, and {ends}.", err=True)
    if made.key.old_until is not None:
        typer.echo(f"Its old text is valid until {words.clock(made.key.old_until)}.", err=True)
    typer.echo("Keep it safe: it is not shown again.", err=True)
