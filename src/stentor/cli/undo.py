"""`stentor campaign undo` and `edit`: what a campaign sent is taken back, or something better put in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stentor.audience.contract import Selection
from stentor.cli import message_options as opts
from stentor.cli.operations import (
    AsJson,
    CampaignName,
    ConfigFile,
    Log,
    LogFormat,
    LogLevel,
    Yes,
    close,
    confirm,
    console,
    drive,
    perform_on,
)
from stentor.cli.previews import show_preview
from stentor.cli.printing import say
from stentor.cli.waiting import waited_for
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.planning.content import content_from
from stentor.recording.report import Report
from stentor.runtime import shapes
from stentor.runtime.preview import Preview
from stentor.runtime.sentences import GOING, cancelled_first
from stentor.runtime.stentor import Stentor
from stentor.store.campaigns import Campaign

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check, and count the recipients it concerns. Change nothing.")]


def undo(
    campaign: CampaignName,
    message: Annotated[
        Path | None,
        typer.Option(help="A file with the message to show instead, for channels that cannot delete the old one."),
    ] = None,
    values: opts.Values = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take back what a campaign sent. A campaign that is still being sent is cancelled first.

    The undo is a new campaign. Chat messages are deleted. A push can only be replaced: by --message, or else by a
    silent push that tells the app to remove it (docs/undo.md has the code for the app). `stentor campaign failures`
    lists everyone whose message could not be taken back, with the reason.

    \b
    Examples:
      stentor campaign undo last --dry-run
      stentor campaign undo 7k2m
      stentor campaign undo 7k2m --message correction.toml --yes
    """
    if values and message is None:
        raise InvalidConfiguration("--set fills the message of --message FILE: give that, too")
    better = None if message is None else opts.with_values(values, lambda filled: content_from(message, filled))
    change = _Change(
        verb="take back",
        question="Take {title!r} back from {recipients}?",
        prepare=lambda stentor, name: stentor.campaigns.prepare_undo(name, better),
        make=lambda stentor, name: stentor.campaigns.undo(name, better),
    )
    change.perform(campaign, config, (log_level, log_format), dry_run=dry_run, yes=yes, as_json=as_json)


def edit(
    campaign: CampaignName,
    message: Annotated[Path, typer.Option(help="A file with the new message.")],
    values: opts.Values = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Replace the message that a campaign sent with another one. The edit is a new campaign.

    Chat messages are edited, pushes are replaced. If the old campaign is still being sent, it is cancelled first.

    \b
    Examples:
      stentor campaign edit last --message corrected.toml --dry-run
      stentor campaign edit 7k2m --message corrected.toml --yes --json
    """
    better = opts.with_values(values, lambda filled: content_from(message, filled))
    change = _Change(
        verb="edit",
        question="Edit {title!r} for {recipients}?",
        prepare=lambda stentor, name: stentor.campaigns.prepare_edit(name, better),
        make=lambda stentor, name: stentor.campaigns.edit(name, better),
    )
    change.perform(campaign, config, (log_level, log_format), dry_run=dry_run, yes=yes, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A campaign that changes what another one sent."""

    verb: str
    question: str
    prepare: Callable[[Stentor, str], Awaitable[Preview]]
    make: Callable[[Stentor, str], Awaitable[Campaign]]

    def perform(self, name: str, config: Path | None, log: Log, *, dry_run: bool, yes: bool, as_json: bool) -> None:
        """Count whom it concerns, ask, and run it to its end in front of somebody."""
        out = console(as_json=as_json)

        async def work(stentor: Stentor, found: Campaign) -> Report | None:
            going = found.state in GOING and not dry_run
            if going:  # at once: while somebody reads how many it has reached, it reaches more
                await self._cancel(stentor, found, out, yes=yes, as_json=as_json)
            elif found.state in GOING:
                typer.echo(cancelled_first(found, "Without --dry-run it is"), err=True)
            async with waited_for(f"Counting everybody reached by {found.title!r}", out):
                preview = await self.prepare(stentor, found.id)
            show_preview(preview, Selection(source="", reached_by=found.id), out)
            if dry_run:
                if as_json:
                    say(shapes.preview(preview))
                said = "See the notes above" if preview.warnings else "All is in order"
                out.print(f"{said}; nothing was changed, as this was a dry run.")
                return None
            if not going:
                whom = counted(preview.recipients, "recipient")
                confirm(self.question.format(title=found.title, recipients=whom), yes=yes)
            async with waited_for(f"Counting everybody reached by {found.title!r}", out):
                new = await self.make(stentor, found.id)
            return await drive(stentor, await stentor.campaigns.start(new.id), out, as_json=as_json)

        if (report := perform_on(config, name, work, log)) is not None:
            close(report, out, as_json=as_json)

    async def _cancel(self, stentor: Stentor, found: Campaign, out: Console, *, yes: bool, as_json: bool) -> None:
        """Say that it is cancelled first, ask, do it, and say what that left unsent."""
        typer.echo(cancelled_first(found), err=True)
        confirm(f"Cancel it for good, and then {self.verb} what it has sent?", yes=yes)
        await stentor.campaigns.cancel(found.id)
        left = await drive(stentor, found, out, as_json=as_json)
        total = left.total
        unsent = f"{'about ' if left.unread else ''}{total.cancelled + left.unread:,}"
        typer.echo(
            f"Campaign {found.id} is {left.campaign.state}: {total.accepted:,} accepted, {unsent} not sent to.",
            err=True,
        )
