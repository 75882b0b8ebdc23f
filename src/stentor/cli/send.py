"""`stentor send`: a message for an audience, from the question whether it is right to the report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from stentor.audience.contract import Selection
from stentor.cli import shapes, words
from stentor.cli.operations import AsJson, ConfigFile, LogFormat, LogLevel, Yes, close, confirm, console, drive, perform
from stentor.cli.previews import show_preview
from stentor.cli.values import Moment, duration, moment, pairs
from stentor.cli.waiting import waited_for
from stentor.errors import InvalidConfiguration
from stentor.model import Message, Priority
from stentor.planning.content import Content, content_from
from stentor.recording.report import Report
from stentor.runtime.preview import Preview
from stentor.runtime.stentor import Stentor
from stentor.store.campaigns import Campaign


def send(
    audience: Annotated[str, typer.Option(help="An audience of the settings, or `registry`.")],
    title: Annotated[str | None, typer.Option(help="The title people see.")] = None,
    body: Annotated[str | None, typer.Option(help="The text people see.")] = None,
    subtitle: Annotated[str | None, typer.Option(help="A second line; Apple devices only.")] = None,
    image: Annotated[str | None, typer.Option(help="An https address.")] = None,
    sound: Annotated[str | None, typer.Option(help="`default`, or a sound file in the app.")] = None,
    badge: Annotated[int | None, typer.Option(min=0, help="The number on the app's icon; 0 removes it.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="For the app's own use; may be given again."),
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Show nothing: wake the app.")] = False,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is worth delivering: 90s, 1h30m, 2d."),
    ] = None,
    priority: Annotated[Priority | None, typer.Option(help="How urgent it is.")] = None,
    collapse_key: Annotated[
        str | None,
        typer.Option(help="Of messages with the same key a device shows only the newest."),
    ] = None,
    message: Annotated[
        Path | None,
        typer.Option(help="A TOML or JSON file with all of the message, instead of the above (docs/message.md)."),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="COLUMN=VALUE",
            help="Only where the column has this value; given again for one column, any of the values.",
        ),
    ] = None,
    test_to: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this installation; may be given again."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start then: 2030-01-31T18:00, or +90m."),
    ] = None,
    max_rate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Send so many a second at most, over all lanes, e.g. 500 or 0.5."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the campaign is called in lists and reports.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Only start it, for roles that run elsewhere: `stentor serve`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, render and count; send nothing.")] = False,
    sample: Annotated[
        str | None, typer.Option(metavar="ID", help="Show what this installation would get, instead of any.")
    ] = None,
    yes: Yes = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a message to an audience, and show how it goes.

    Checks all there is to check first, shows how many get it and what they get, and asks. Ctrl-C pauses the campaign;
    `stentor campaign resume` goes on with it. With --detach it returns when the campaign is started; roles that run
    elsewhere, by `stentor serve` or `stentor worker`, send it.

    \b
    Examples:
      stentor send --title Hello --body "It works." --audience users --dry-run
      stentor send --message sale.toml --audience users --dry-run --sample 4711
      stentor send --message sale.toml --audience users --test-to 4711
      stentor send --message sale.toml --audience users --filter country=de --filter country=at
      stentor send --body "Doors open" --ttl 2h --audience users --at 2030-01-31T18:00 --yes --json
      stentor send --message sale.toml --audience users --detach
      stentor send --message sale.toml --audience users --max-rate 500
    """
    content = _content(
        message,
        {
            "title": title,
            "body": body,
            "subtitle": subtitle,
            "image": image,
            "sound": sound,
            "badge": badge,
            "data": dict(pairs("--data", data or [])) or None,
            "silent": silent or None,
            "ttl": None if ttl is None else round(duration("--ttl", ttl)),
            "priority": priority,
            "collapse_key": collapse_key,
        },
    )
    order = _Order(
        content=content,
        selection=Selection(source=audience, filters=_filters(filters or []), only=test_to or None),
        name=name,
        starts=None if at is None else moment("--at", at, time.time()),
        max_rate=max_rate,
        sample=sample,
    )
    out = console(as_json=as_json)
    if dry_run:
        preview = perform(config, lambda stentor: order.prepare(stentor, out))
        if as_json:
            shapes.say(shapes.preview(preview))
        said = "See the notes above" if preview.warnings else "All is in order"
        out.print(f"{said}; nothing was sent, as this was a dry run.")
    elif detach:
        campaign = perform(config, lambda stentor: order.start(stentor, out, yes=yes))
        _say_how_to_watch(campaign, out, as_json=as_json)
    else:
        log = (log_level, log_format)
        report = perform(config, lambda stentor: order.see_through(stentor, out, yes=yes, as_json=as_json), log)
        close(report, out, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is to be sent, to whom and when."""

    content: Content
    selection: Selection
    name: str | None
    starts: Moment | None
    max_rate: float | None
    sample: str | None

    @property
    def starts_at(self) -> float | None:
        return None if self.starts is None else self.starts.at

    async def prepare(self, stentor: Stentor, out: Console) -> Preview:
        """Check it, and show what it would do."""
        async with waited_for(f"Counting {words.audience(self.selection)}", out):
            preview = await stentor.campaigns.prepare(
                self.content,
                self.selection,
                title=self.name,
                starts_at=self.starts_at,
                max_rate=self.max_rate,
                sample=self.sample,
            )
        show_preview(preview, self.selection, out)
        if self.starts is not None:
            out.print(f"Starts {words.moment(self.starts.at)}.")
            if self.starts.doubt:
                out.print(Text(f"Note: --at {self.starts.doubt}.", style="yellow"), soft_wrap=True)
        return preview

    async def start(self, stentor: Stentor, out: Console, *, yes: bool) -> Campaign:
        """Check it, show what it does, ask, and start it."""
        preview = await self.prepare(stentor, out)
        confirm("Send it?", yes=yes)
        return await stentor.campaigns.send(
            self.content,
            self.selection,
            title=self.name,
            starts_at=self.starts_at,
            preview=preview,
            max_rate=self.max_rate,
        )

    async def see_through(self, stentor: Stentor, out: Console, *, yes: bool, as_json: bool) -> Report:
        """Start it, and send it from here to its end."""
        async with stentor.roles.at_work():  # they start while everything is checked and somebody is asked
            return await drive(stentor, await self.start(stentor, out, yes=yes), out, as_json=as_json)


def _say_how_to_watch(campaign: Campaign, out: Console, *, as_json: bool) -> None:
    if as_json:
        shapes.say(shapes.campaign(campaign))
    how = "`stentor serve`, or `stentor worker`, sends it"
    out.print(f"Campaign {campaign.id} is {campaign.state}. Nothing is sent by this command: {how}.", soft_wrap=True)
    out.print(f"  stentor campaign watch {campaign.id}   shows how it goes")
    out.print(f"  stentor campaign cancel {campaign.id}  gives it up")


def _content(file: Path | None, options: dict[str, object]) -> Content:
    given = {option: value for option, value in options.items() if value is not None}
    if file is None:
        if not given:
            raise InvalidConfiguration("there is no message: give --title and --body, or --message FILE")
        return Content(message=Message(**given))  # type: ignore[arg-type]  # the values are of their options' types
    if given:
        names = ", ".join(f"--{option.replace('_', '-')}" for option in given)
        raise InvalidConfiguration(f"--message has all of the message in its file, so {names} can't be given as well")
    return content_from(file)


def _filters(texts: list[str]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for column, value in pairs("--filter", texts):
        wanted.setdefault(column, []).append(value)
    return wanted
