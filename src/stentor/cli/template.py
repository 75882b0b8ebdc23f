"""`stentor template`: messages saved by name, in all their versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.access.caller import local_caller
from stentor.cli import message_options as opts
from stentor.cli.operations import AsJson, ConfigFile, Yes, confirm, console, perform
from stentor.cli.printing import say
from stentor.planning.content import Content, to_file
from stentor.runtime import template_shapes as shapes
from stentor.runtime.stentor import Stentor
from stentor.runtime.templates import SavedTemplate, read
from stentor.store.templates import TemplateVersion

TemplateName = Annotated[str, typer.Argument(metavar="NAME", help="The template's name.")]
Over = Annotated[
    int | None,
    typer.Option(
        metavar="VERSION", min=0, help="Save only if this is the newest version. 0: only if the name is not used yet."
    ),
]

app = typer.Typer(help="Save, list, show, compare, restore and delete templates.", no_args_is_help=True)


@app.callback()
def template() -> None:
    """Save, list, show, compare, restore and delete templates.

    A template is a message that is saved under a name, in all its versions: docs/templates.md.
    """


@app.command()
@opts.takes_message
def save(
    name: TemplateName,
    unfilled: Content,
    over: Over = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Save a message under a name, as a new version.

    The names in it, such as {{ city }}, are filled when a campaign is made. If the newest version says the same, there
    is no new one. Campaigns that were made from an earlier version keep it.

    \b
    Examples:
      stentor template save sale --message sale.toml
      stentor template save sale --message sale.toml --over 3
      stentor template save shipped --title "Your order {{ order }} was shipped" --json
    """
    by = local_caller().name
    saved = perform(config, lambda stentor: stentor.templates.save(name, unfilled, over=over, by=by))
    _tell_saved(saved, as_json=as_json)


@app.command("list")
def list_templates(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List templates, each in its newest version.

    \b
    Examples:
      stentor template list
      stentor template list --json
    """

    async def work(stentor: Stentor) -> list[TemplateVersion]:
        found = list[TemplateVersion]()
        while page := await stentor.templates.list(after=found[-1].name if found else None):
            found += page
        return found

    found = perform(config, work)
    if as_json:
        say({"templates": [shapes.listed(each) for each in found]})
        return
    console().print(_table(found, "name") if found else "There is no template yet; `stentor template save` makes one.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The template's name, and a version of it.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the message of a template, as a message file has it.

    \b
    Examples:
      stentor template show sale > sale.json
      stentor template show sale@3 --json
    """
    found = perform(config, lambda stentor: stentor.templates.get(*read(name)))
    if as_json:
        say(shapes.template(found))
        return
    typer.echo(json.dumps(to_file(found.content), ensure_ascii=False, indent=2))


@app.command()
def versions(name: TemplateName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the versions of a template, the newest first.

    \b
    Examples:
      stentor template versions sale
      stentor template versions sale --json
    """

    async def work(stentor: Stentor) -> list[TemplateVersion]:
        found = list(await stentor.templates.versions(name))
        while page := await stentor.templates.versions(name, before=found[-1].version):
            found += page
        return found

    found = perform(config, work)
    if as_json:
        say({"versions": [shapes.listed(each) for each in found]})
        return
    console().print(_table(found, "version"))


@app.command()
def compare(
    name: TemplateName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The earlier version.")],
    to: Annotated[
        int | None,
        typer.Argument(metavar="[OTHER]", min=1, help="The version it is compared with. Left out: the newest."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell what one version of a template says otherwise than an earlier one.

    \b
    Examples:
      stentor template compare sale 2
      stentor template compare sale 1 3 --json
    """
    found = perform(config, lambda stentor: stentor.templates.compare(name, version, to))
    if as_json:
        say(shapes.comparison(found))
        return
    for each in found:
        console().print(Text(each.told), soft_wrap=True)
    if not found:
        console().print("Both versions say the same.")


@app.command()
def restore(
    name: TemplateName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version to save again.")],
    over: Over = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Save an older version of a template again, as a new version. No version is lost.

    \b
    Examples:
      stentor template restore sale 2
      stentor template restore sale 2 --over 5 --json
    """
    by = local_caller().name
    saved = perform(config, lambda stentor: stentor.templates.restore(name, version, over=over, by=by))
    _tell_saved(saved, as_json=as_json)


@app.command()
def delete(name: TemplateName, yes: Yes = False, config: ConfigFile = None) -> None:
    """Delete a template with all its versions. Campaigns that were made from it stay as they are.

    \b
    Examples:
      stentor template delete sale --yes
    """

    async def work(stentor: Stentor) -> None:
        newest = (await stentor.templates.get(name)).version.version
        confirm(f"Delete the template {name} with all its versions?", yes=yes)
        await stentor.templates.delete(name, over=newest)

    perform(config, work)
    console().print(Text(f"Deleted {name}."), soft_wrap=True)


def _tell_saved(saved: SavedTemplate, *, as_json: bool) -> None:
    if as_json:
        say(shapes.template(saved))
        return
    told = saved.version
    console().print(Text(f"{told.name} is at version {told.version}: {told.title}"), soft_wrap=True)


def _table(found: Sequence[TemplateVersion], first: str) -> Table:
    """Args:
    first: what tells one row from the next.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    headings = ("name", "version") if first == "name" else ("version",)
    for heading in (*headings, "saved", "by"):
        table.add_column(heading, no_wrap=True)
    table.add_column("title", overflow="fold", min_width=12)
    for each in found:
        number = f"{each.version}" if each.restored is None else f"{each.version} (is {each.restored} again)"
        begin = [Text(each.name)] if first == "name" else []
        table.add_row(*begin, number, words.clock(each.saved_at)[:-3], Text(each.saved_by or "–"), Text(each.title))
    return table
