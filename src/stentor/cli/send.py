"""`stentor send`: a message for an audience, from the question whether it is right to the report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from stentor import words
from stentor.audience import written as filters
from stentor.audience.contract import Selection
from stentor.audience.described import described
from stentor.audience.segments.spelling import told
from stentor.cli import message_options as opts
from stentor.cli.operations import (
    AsJson,
    ConfigFile,
    Log,
    LogFormat,
    LogLevel,
    Quiet,
    Yes,
    close,
    confirm,
    console,
    drive,
    perform,
)
from stentor.cli.previews import show_preview
from stentor.cli.printing import say
from stentor.cli.styles import CARE
from stentor.cli.timing_options import naming_options, takes_timing
from stentor.cli.waiting import waited_for
from stentor.errors import AlreadySent
from stentor.planning.contract import ANYTIME, Timing
from stentor.planning.timing.forecast import refuse_unruled
from stentor.recording.report import Report
from stentor.recording.shapes import campaign as campaign_shape
from stentor.runtime.draft import Draft
from stentor.runtime.preview import Preview
from stentor.runtime.shapes import preview as preview_shape
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import Moment, moment, share
from stentor.store.campaigns import Campaign
from stentor.store.caring import CareSettings


@opts.takes_message
@takes_timing
def send(
    audience: Annotated[str, typer.Option(help="The name of an audience in the settings, or `registry`.")],
    said: opts.Said,
    chosen: Annotated[list[str] | None, typer.Option("--filter", metavar="FILTER", help=filters.HELP)] = None,
    segment: Annotated[
        str | None,
        typer.Option(
            metavar="SEGMENT",
            help="Send only to recipients in this segment: a condition such as 'country in [DE, AT] and last_seen > "
            "now - 7d' (docs/segments.md), or the name of a saved one.",
        ),
    ] = None,
    test_to: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Send only to the installation with this id. Repeatable."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When to start: 18:00 (the next one), 2030-01-31T18:00 or +90m."),
    ] = None,
    timing: Timing = ANYTIME,
    max_rate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Send at most N per second across all lanes, e.g. 500 or 0.5."),
    ] = None,
    pause_above: opts.PauseAbove = None,
    category: Annotated[
        str | None,
        typer.Option(metavar="CATEGORY", help="What it is about, e.g. news. Who said no to that gets nothing."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help="Leave out who is on this exclusion list. Repeatable."),
    ] = None,
    not_reached_by: Annotated[
        list[str] | None,
        typer.Option(metavar="CAMPAIGN", help="Leave out whoever this campaign reached. Repeatable."),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAP", help="Leave out who got as many messages already, e.g. '1 a day' or '3 in 24h'. Repeatable."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the campaign is called in lists and reports.")] = None,
    once: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Send only if no campaign has used this key yet, e.g. news-2030-01-31."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Start the campaign and return. `stentor serve`, running elsewhere, sends it."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, count and show examples. Send nothing.")] = False,
    sample: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Show what this installation would get, instead of one that Stentor picks."),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a message to an audience, and show the progress.

    First checks everything, shows how many people get the message and what they get, and asks you to confirm. Ctrl-C
    pauses the campaign; `stentor campaign resume` continues it. With --detach the command returns as soon as the
    campaign is started; `stentor serve` or `stentor worker`, running elsewhere, sends it. Exits with 0 if the campaign
    was sent to its end, and with 3 if it was and no provider accepted any of the recipients.

    \b
    Examples:
      stentor send --title Hello --body "It works." --audience users --dry-run
      stentor send --message sale.toml --audience users --dry-run --sample 4711
      stentor send --template sale --set city=Bern --audience users
      stentor send --message sale.toml --audience users --test-to 4711
      stentor send --message sale.toml --audience users --filter "country in de,at" --filter plan!=free
      stentor send --message sale.toml --audience users --segment "country in [DE, AT] and app_version >= v5.2"
      stentor send --body "Doors open" --ttl 2h --audience users --at 2030-01-31T18:00 --yes --json
      stentor send --message sale.toml --audience users --local-at 2030-01-31T18:00 --no-zone skip --past tomorrow
      stentor send --message sale.toml --audience users --quiet-hours 22:00-08:00 --no-zone Europe/Berlin --spread 2h
      stentor send --message sale.toml --audience users --detach
      stentor send --message sale.toml --audience users --max-rate 500 --pause-above 20%
      stentor send --message sale.toml --audience users --category offers --exclude staff --cap "1 a day"
      stentor send --message news.toml --audience users --once "news-$(date +%F)" --yes --quiet
      stentor send --title "{{ show }}: {{ title }}" --set show=News --set title="50 % {off}" --audience users
    """
    starts = None if at is None else moment("--at", at, time.time())
    condition, saved = told(segment)
    selection = Selection(
        source=audience,
        filters=filters.filters(chosen or []),
        segment=condition,
        segment_name=saved,
        only=test_to or None,
    )
    order = _Order(
        said=said,
        selection=selection,
        title=name,
        max_rate=max_rate,
        starts=starts,
        sample=sample,
        once=once,
        timing=timing,
        pause_above=None if pause_above is None else share("--pause-above", pause_above),
        care=CareSettings(
            category=category,
            exclude=tuple(exclude or ()),
            not_reached_by=tuple(not_reached_by or ()),
            caps=tuple(cap or ()),
            exempt=bool(test_to),
        ),
    )
    out = console(as_json=as_json, quiet=quiet)
    manner = _Manner(dry_run=dry_run, detach=detach, yes=yes, as_json=as_json, log=(log_level, log_format))
    try:
        with naming_options():
            manner.carry_out(order, out, config)
    except AlreadySent as sent:  # as was asked for
        if as_json:
            say({"already_sent": sent.campaign_id})
        out.print(f"Nothing to do: {sent}.", soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is to be sent, to whom and when."""

    said: opts.Said
    selection: Selection
    title: str | None
    max_rate: float | None
    starts: Moment | None
    sample: str | None
    once: str | None
    timing: Timing
    pause_above: float | None
    care: CareSettings

    async def prepare(self, stentor: Stentor, out: Console) -> tuple[Draft, Preview]:
        """Check it, and show what it would do."""
        await self._refuse_a_second(stentor)
        draft = await self._draft(stentor)
        async with waited_for(f"Counting {described(self.selection)}", out):
            preview = await stentor.campaigns.prepare(draft, sample=self.sample)
        show_preview(preview, self.selection, out)
        if self.starts is not None:
            out.print(f"Starts {words.moment(self.starts.at)}.")
            if self.starts.doubt:
                out.print(Text(f"Note: --at {self.starts.doubt}.", style=CARE), soft_wrap=True)
        return draft, preview

    async def start(self, stentor: Stentor, out: Console, *, yes: bool) -> Campaign:
        """Check it, show what it does, ask, and start it."""
        draft, preview = await self.prepare(stentor, out)
        if preview.forecast is not None:
            refuse_unruled(preview.forecast)
        confirm("Send it?", yes=yes)
        return await stentor.campaigns.send(draft, preview=preview, once=self.once)

    async def see_through(self, stentor: Stentor, out: Console, *, yes: bool, as_json: bool) -> Report:
        """Start it, and send it from here to its end."""
        await self._refuse_a_second(stentor)
        async with stentor.roles.at_work():  # they start while everything is checked and somebody is asked
            return await drive(stentor, await self.start(stentor, out, yes=yes), out, as_json=as_json)

    async def _draft(self, stentor: Stentor) -> Draft:
        content, used = await self.said.told(stentor)
        return Draft(
            content,
            self.selection,
            title=self.title,
            starts_at=None if self.starts is None else self.starts.at,
            max_rate=self.max_rate,
            timing=self.timing,
            pause_above=self.pause_above,
            care=self.care,
            template=used,
        )

    async def _refuse_a_second(self, stentor: Stentor) -> None:
        if self.once is not None:
            await stentor.campaigns.refuse_a_second(self.once)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manner:
    """How far an order is carried out, and how that is shown."""

    dry_run: bool
    detach: bool
    yes: bool
    as_json: bool
    log: Log

    def carry_out(self, order: _Order, out: Console, config: Path | None) -> None:
        """Raises: AlreadySent: its key was used before."""
        if self.dry_run:
            _, preview = perform(config, lambda stentor: order.prepare(stentor, out))
            if self.as_json:
                say(preview_shape(preview))
            said = "See the notes above" if preview.warnings else "All is in order"
            out.print(f"{said}; nothing was sent, as this was a dry run.")
        elif self.detach:
            campaign = perform(config, lambda stentor: order.start(stentor, out, yes=self.yes))
            _say_how_to_watch(campaign, out, as_json=self.as_json)
        else:
            report = perform(
                config, lambda stentor: order.see_through(stentor, out, yes=self.yes, as_json=self.as_json), self.log
            )
            close(report, out, as_json=self.as_json)


def _say_how_to_watch(campaign: Campaign, out: Console, *, as_json: bool) -> None:
    if as_json:
        say(campaign_shape(campaign))
    how = "`stentor serve`, or `stentor worker`, sends it"
    out.print(f"Campaign {campaign.id} is {campaign.state}. Nothing is sent by this command: {how}.", soft_wrap=True)
    out.print(f"  stentor campaign watch {campaign.id}   shows how it goes")
    out.print(f"  stentor campaign cancel {campaign.id}  stops it for good")
