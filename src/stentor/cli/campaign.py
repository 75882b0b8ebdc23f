"""`stentor campaign`: what became of campaigns, and how to pause, resume, cancel or repeat one."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import replace
from typing import Annotated

import typer
from msgspec import to_builtins
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.cli.failures import failures, nobody
from stentor.cli.live import LiveView, account, proof, view
from stentor.cli.operations import (
    FAILED,
    INTERRUPTED,
    AsJson,
    CampaignName,
    ConfigFile,
    LogFormat,
    LogLevel,
    Quiet,
    Yes,
    close,
    confirm,
    console,
    drive,
    perform,
    perform_on,
    signals,
    tell,
)
from stentor.cli.printing import say
from stentor.cli.prune import prune
from stentor.cli.start import start, unschedule
from stentor.cli.undo import edit, undo
from stentor.cli.waiting import HELD_UP, waited_for
from stentor.counted import counted
from stentor.errors import InvalidState
from stentor.recording import shapes
from stentor.recording.audit import Audit
from stentor.recording.explain import Explanation
from stentor.recording.meanings import meaning
from stentor.recording.rates import LaneRates
from stentor.recording.report import Report, Totals
from stentor.runtime.campaigns import refuse_unless_over
from stentor.runtime.sentences import HELD, still
from stentor.runtime.stentor import Stentor
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import Campaign

LOOK_EVERY = 0.5
"""Seconds between two looks whether a campaign is cancelled."""

app = typer.Typer(
    help="See how campaigns are doing, stop or continue them, and find out who was not reached and why.",
    no_args_is_help=True,
)


def list_campaigns(
    state: Annotated[CampaignState | None, typer.Option(help="Only campaigns in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="List at most this many.")] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the newest first.

    \b
    Examples:
      stentor campaign list
      stentor campaign list --state running --json
    """

    async def work(stentor: Stentor) -> tuple[list[Campaign], dict[str, Totals]]:
        found = await stentor.campaigns.newest(state=state, limit=limit)
        return found, await stentor.outcomes.totals([each.id for each in found])

    found, totals = perform(config, work)
    if as_json:
        now = time.time()
        say({"campaigns": [shapes.listed(each, totals.get(each.id, Totals()), now) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("campaign", "state", "created"):
        table.add_column(heading, no_wrap=True)
    for heading in ("accepted", "failed", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("title", overflow="fold", min_width=12)
    for each in found:
        sums = totals.get(each.id, Totals())
        took = "" if each.finished_at is None else words.lasted(shapes.lasted(each, each.finished_at))
        created = words.clock(each.created_at)[:-3]  # to the minute
        figures = (f"{sums.accepted:,}", f"{sums.failed:,}", took)
        table.add_row(each.id, each.state.value, created, *figures, Text(each.title))
    console().print(table if found else "There is no such campaign." if state else "There is no campaign yet.")


def show(
    campaign: CampaignName,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a campaign is, and what became of its recipients so far.

    If the campaign is running, the command watches it until something moves, for some seconds at most. It says so if
    nothing moves, and if no process is working on the campaign.

    \b
    Examples:
      stentor campaign show last
      stentor campaign show last --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> None:
        async with waited_for(f"Looking whether {found.title!r} gets on", out, given_up="Stopped."):
            now = await stentor.roles.glance(found.id)
        report = await stentor.outcomes.report(found.id)
        if as_json:
            told = shapes.report(replace(report, problems=now.problems))
            say({**to_builtins(told), "still": now.still})
            return
        if report.campaign.state not in FINAL:
            out.print(view(now, LaneRates(), note=still(now)))
        out.print(account(report))

    perform_on(config, campaign, work)


def watch(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show a campaign live until it ends, while other processes send it.

    Watching changes nothing: the campaign goes on, whatever happens to this command. Ctrl-C stops watching. The
    command says so if no process is working on the campaign.

    \b
    Examples:
      stentor campaign watch last
      stentor campaign watch 7k2m --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> Report:
        stop = asyncio.Event()
        with LiveView(out) as live, signals({signal.SIGINT: stop.set, signal.SIGTERM: stop.set}):
            return await stentor.roles.watch(found.id, on_progress=live.show, stop=stop)

    report = perform_on(config, campaign, work)
    if report.campaign.state in FINAL:
        close(report, out, as_json=as_json)
        return
    tell(report, out, as_json=as_json)
    here = report.campaign.id
    typer.echo(f"Campaign {here} is {report.campaign.state}, and goes on. `stentor campaign watch {here}`", err=True)
    raise typer.Exit(INTERRUPTED)


def pause(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Pause a campaign. Sending stops within a second, and nothing is lost.

    \b
    Examples:
      stentor campaign pause last
    """
    paused = perform_on(config, campaign, lambda stentor, found: stentor.campaigns.pause(found.id))
    if as_json:
        say(shapes.campaign(paused))
    else:
        console().print(
            f"Campaign {paused.id} is {paused.state}. `stentor campaign resume {paused.id}` goes on with it."
        )


def resume(
    campaign: CampaignName,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Continue a campaign that was paused, interrupted or killed, and send it to its end.

    Nobody who already has an outcome is sent the message again.

    \b
    Examples:
      stentor campaign resume last
      stentor campaign resume 7k2m --json
    """
    out = console(as_json=as_json, quiet=quiet)

    async def work(stentor: Stentor, found: Campaign) -> Report:
        if found.state in FINAL and not (await stentor.outcomes.progress(found.id)).total.pending:
            again = f"; `stentor campaign retry {found.id}` sends to everybody it did not reach"
            raise InvalidState(f"campaign {found.id} is {found.state}, there is nothing to resume{again}")
        if found.state is CampaignState.DRAFT:
            found = await stentor.campaigns.start(found.id)
        elif found.state is CampaignState.PAUSED:
            found = await stentor.campaigns.resume(found.id)
        return await drive(stentor, found, out, as_json=as_json)

    close(perform_on(config, campaign, work, (log_level, log_format)), out, as_json=as_json)


def release(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Send to everybody else, after the canary: to those who wait for this. With a hold, these are all recipients.

    Who has a time of its own that is yet to come still waits for that time.

    \b
    Examples:
      stentor campaign release last
    """
    released = perform_on(config, campaign, lambda stentor, found: stentor.campaigns.release(found.id))
    if as_json:
        say(shapes.campaign(released))
    else:
        console().print(
            f"Campaign {released.id} is released. `stentor campaign watch {released.id}` shows how it goes."
        )


def cancel(campaign: CampaignName, yes: Yes = False, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Stop a campaign for good. Sending stops within a second; everyone not reached yet counts as cancelled.

    Messages already sent stay sent. A cancelled campaign can't be resumed.

    \b
    Examples:
      stentor campaign cancel last
      stentor campaign cancel 7k2m --yes
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> Report:
        if found.state not in FINAL:
            confirm(f"Cancel {found.title!r} ({found.id}) for good?", yes=yes)
        begun, told = time.monotonic(), False
        with LiveView(out) as live:
            while (await stentor.campaigns.cancel(found.id)).state not in FINAL:
                now = await stentor.outcomes.progress(found.id)
                live.show(now)  # some process holds a part of it, and lets go soon
                if not told and time.monotonic() - begun >= HELD_UP:
                    told = True
                    held = (
                        f"{HELD.format(recipients=counted(now.total.pending, 'recipient'))} Ctrl-C leaves it to them."
                    )
                    if as_json:
                        typer.echo(held, err=True)
                    else:
                        live.note(held)
                await asyncio.sleep(LOOK_EVERY)
        return await stentor.outcomes.report(found.id)

    tell(perform_on(config, campaign, work), out, as_json=as_json)


def retry(
    campaign: CampaignName,
    reason: Annotated[
        list[str] | None, typer.Option(help="Only recipients that failed for this reason. Repeatable.")
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send again to everybody that a campaign didn't reach, except to dead addresses. The retry is a new campaign.

    It reaches the recipients that failed, those that were cancelled, and those not yet read from the audience when the
    campaign was stopped.

    \b
    Examples:
      stentor campaign retry last
      stentor campaign retry 7k2m --reason ServiceUnavailable --reason Lifetime
    """
    out = console(as_json=as_json, quiet=quiet)
    reasons = reason or []

    async def work(stentor: Stentor, found: Campaign) -> Report:
        refuse_unless_over(found)
        report = await stentor.outcomes.report(found.id)
        many = report.to_retry(reasons)
        if not many and (reasons or report.campaign.planned):
            why = f"nobody in campaign {found.id} was left out, except for dead addresses"
            told = nobody(report, reasons=reasons).rstrip(".") if reasons else why
            raise InvalidState(f"there is nobody to send to again: {told[0].lower()}{told[1:]}")
        if not as_json:
            out.print(account(report))
        about = "about " if report.unread else ""
        confirm(f"Send {found.title!r} again to {about}{counted(many, 'recipient')} not reached before?", yes=yes)
        async with waited_for("Counting them", out):
            new = await stentor.campaigns.retry(found.id, reasons=reasons)
        if new.state is CampaignState.DRAFT:
            new = await stentor.campaigns.start(new.id)
        return await drive(stentor, new, out, as_json=as_json)

    close(perform_on(config, campaign, work, (log_level, log_format)), out, as_json=as_json)


def audit(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Prove that nobody was dropped. Recounts a campaign from its recipients and their outcomes.

    Exits with 0 if all counts agree, and with 1 otherwise.

    \b
    Examples:
      stentor campaign audit last
      stentor campaign audit 7k2m --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> Audit:
        async with waited_for(f"Recounting everybody of {found.title!r}", out, given_up="Stopped."):
            return await stentor.outcomes.audit(found.id)

    result = perform_on(config, campaign, work)
    if as_json:
        say(shapes.audit(result))
    else:
        out.print(proof(result))
    if not result.exact:
        raise typer.Exit(FAILED)


def explain(
    campaign: CampaignName,
    installation: Annotated[str, typer.Argument(help="The id of the installation in the audience.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to one recipient, from the audience to the provider's answer.

    \b
    Examples:
      stentor campaign explain last 4711
      stentor campaign explain 7k2m 4711 --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> Explanation:
        async with waited_for(f"Looking for {installation} in {found.title!r}", out, given_up="Stopped."):
            return await stentor.outcomes.explain(found.id, installation)

    told = perform_on(config, campaign, work)
    if as_json:
        say(shapes.explanation(told))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, min_width=19)
    table.add_column(overflow="fold")
    for event in told.events:
        table.add_row("" if event.at is None else words.clock(event.at), Text(event.text))
    if told.failure is not None:
        row = told.failure
        table.add_row("", Text(meaning(row.lane, row.reason, row.outcome)))
    out.print(Text(f"{installation} in {told.campaign.title!r} ({told.campaign.id}):"))
    out.print(table)


for name, command in (
    ("list", list_campaigns),
    ("show", show),
    ("watch", watch),
    ("start", start),
    ("unschedule", unschedule),
    ("pause", pause),
    ("resume", resume),
    ("release", release),
    ("cancel", cancel),
    ("failures", failures),
    ("explain", explain),
    ("retry", retry),
    ("undo", undo),
    ("edit", edit),
    ("audit", audit),
    ("prune", prune),
):
    app.command(name)(command)  # in the order in which they are needed
