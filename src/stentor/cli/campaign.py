"""`stentor campaign`: what became of campaigns, and how to pause, resume, cancel or repeat one."""

from __future__ import annotations

import asyncio
import csv
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stentor.cli import shapes, words
from stentor.cli.live import LaneRates, LiveView, account, proof, view
from stentor.cli.operations import (
    FAILED,
    INTERRUPTED,
    AsJson,
    CampaignName,
    ConfigFile,
    LogFormat,
    LogLevel,
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
from stentor.cli.undo import edit, undo
from stentor.cli.waiting import waited_for
from stentor.errors import InvalidState
from stentor.recording.report import FailureRow, Report
from stentor.runtime.stentor import Stentor
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import Campaign

LOOK_EVERY = 0.5
"""Seconds between two looks whether a campaign is cancelled."""

app = typer.Typer(
    help="Look at campaigns, stop them, go on with them, and learn who was not reached and why.",
    no_args_is_help=True,
)
app.command()(undo)
app.command()(edit)


@app.command("list")
def list_campaigns(
    state: Annotated[CampaignState | None, typer.Option(help="Only campaigns in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the newest first.

    \b
    Examples:
      stentor campaign list
      stentor campaign list --state running --json
    """
    found = perform(config, lambda stentor: stentor.campaigns.newest(state=state, limit=limit))
    if as_json:
        shapes.say({"campaigns": [shapes.campaign(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("campaign", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("created", no_wrap=True)
    table.add_column("expected", justify="right", no_wrap=True)
    table.add_column("title", overflow="fold")
    for each in found:
        expected = f"{sum(each.expected.values()):,}"
        table.add_row(each.id, each.state.value, words.clock(each.created_at), expected, Text(each.title))
    console().print(table if found else "There is no such campaign." if state else "There is no campaign yet.")


@app.command()
def show(
    campaign: CampaignName,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a campaign is and what became of its recipients so far.

    \b
    Examples:
      stentor campaign show last
      stentor campaign show last --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> None:
        report = await stentor.outcomes.report(found.id)
        if as_json:
            now = await stentor.outcomes.progress(found.id)
            shapes.say(shapes.report(report) | {"problems": shapes.progress(now)["problems"]})
            return
        if report.campaign.state not in FINAL:
            out.print(view(await stentor.outcomes.progress(found.id), LaneRates()))
        out.print(account(report))

    perform_on(config, campaign, work)


@app.command()
def watch(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show a campaign live until it ends, while roles that run elsewhere send it.

    Looking changes nothing: the campaign goes on, whatever happens to this command. Ctrl-C leaves. Says so where
    nothing is working on it.

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


@app.command()
def pause(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Pause a campaign: within a second nothing is sent any more, and nothing is lost.

    \b
    Examples:
      stentor campaign pause last
    """
    paused = perform_on(config, campaign, lambda stentor, found: stentor.campaigns.pause(found.id))
    if as_json:
        shapes.say(shapes.campaign(paused))
    else:
        console().print(
            f"Campaign {paused.id} is {paused.state}. `stentor campaign resume {paused.id}` goes on with it."
        )


@app.command()
def resume(
    campaign: CampaignName,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a campaign that was paused, interrupted or killed, and send it to its end.

    Recipients that have an outcome are not sent to again.

    \b
    Examples:
      stentor campaign resume last
      stentor campaign resume 7k2m --json
    """
    out = console(as_json=as_json)

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


@app.command()
def cancel(campaign: CampaignName, yes: Yes = False, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Give a campaign up: within a second nothing is sent any more, and who wasn't sent to counts as cancelled.

    What was sent stays sent. A cancelled campaign can't be resumed.

    \b
    Examples:
      stentor campaign cancel last
      stentor campaign cancel 7k2m --yes
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor, found: Campaign) -> Report:
        if found.state not in FINAL:
            confirm(f"Cancel {found.title!r} ({found.id}) for good?", yes=yes)
        with LiveView(out) as live:
            while (await stentor.campaigns.cancel(found.id)).state not in FINAL:
                live.show(
                    await stentor.outcomes.progress(found.id)
                )  # some process holds a part of it, and lets go soon
                await asyncio.sleep(LOOK_EVERY)
        return await stentor.outcomes.report(found.id)

    tell(perform_on(config, campaign, work), out, as_json=as_json)


@app.command()
def retry(
    campaign: CampaignName,
    reason: Annotated[
        list[str] | None, typer.Option(help="Only those that failed for this reason; may be given again.")
    ] = None,
    yes: Yes = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send again to everybody that a campaign didn't reach, as a new campaign; not to addresses that are dead for good.

    These are the recipients that failed, that were cancelled, and that were not read yet when the campaign was stopped.

    \b
    Examples:
      stentor campaign retry last
      stentor campaign retry 7k2m --reason ServiceUnavailable --reason Lifetime
    """
    out = console(as_json=as_json)
    reasons = reason or []

    async def work(stentor: Stentor, found: Campaign) -> Report:
        report = await stentor.outcomes.report(found.id)
        chosen = [each.count for lane in report.reasons.values() for each in lane if each.reason in reasons]
        total = report.total
        many = sum(chosen) if reasons else total.failed - report.dead + total.cancelled + report.unread
        if not many and (reasons or report.campaign.planned):
            why = f"failed for {' or '.join(reasons)}" if reasons else "was left out whose address may still work"
            raise InvalidState(f"nobody in campaign {found.id} {why}: there is nobody to send to again")
        if not as_json:
            out.print(account(report))
        about = "about " if report.unread else ""
        confirm(f"Send {found.title!r} again to the {about}{many:,} that were not reached?", yes=yes)
        async with waited_for("Counting them", out):
            new = await stentor.campaigns.retry(found.id, reasons=reasons)
        if new.state is CampaignState.DRAFT:
            new = await stentor.campaigns.start(new.id)
        return await drive(stentor, new, out, as_json=as_json)

    close(perform_on(config, campaign, work, (log_level, log_format)), out, as_json=as_json)


@app.command()
def audit(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Prove that nobody was dropped: recount a campaign from its recipients and their outcomes.

    Exits with 0 if everything agrees, and with 1 if anything doesn't.

    \b
    Examples:
      stentor campaign audit last
      stentor campaign audit 7k2m --json
    """
    result = perform_on(config, campaign, lambda stentor, found: stentor.outcomes.audit(found.id))
    if as_json:
        shapes.say(shapes.audit(result))
    else:
        console().print(proof(result))
    if not result.exact:
        raise typer.Exit(FAILED)


@app.command()
def failures(
    campaign: CampaignName,
    reason: Annotated[str | None, typer.Option(help="Only those that failed for this reason.")] = None,
    lane: Annotated[str | None, typer.Option(help="Only those of this lane, e.g. apns/ios.")] = None,
    dead: Annotated[
        bool | None, typer.Option("--dead/--alive", help="Only dead addresses, or only those that aren't.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line, one for each.")] = False,
) -> None:
    """List everybody who was not reached, with the reason.

    They come as they are read, however many they are.

    \b
    Examples:
      stentor campaign failures last
      stentor campaign failures last --dead --csv > dead.csv
      stentor campaign failures 7k2m --reason Unregistered --json
    """

    async def work(stentor: Stentor, found: Campaign) -> None:
        write = _writer(as_csv=as_csv, as_json=as_json)
        async for row in stentor.outcomes.failures(found.id, lane=lane, reason=reason, dead=dead):
            write(row)

    perform_on(config, campaign, work)


def _writer(*, as_csv: bool, as_json: bool) -> Callable[[FailureRow], None]:
    if as_json:
        return lambda row: shapes.say(shapes.failure(row))
    if as_csv:
        names = [*(each.name for each in fields(FailureRow)), "meaning"]
        table = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        table.writeheader()
        return lambda row: table.writerow(shapes.failure(row))

    def write(row: FailureRow) -> None:
        dead = ", dead" if row.dead else ""
        outcome = row.outcome.name.lower()
        status = f" ({row.status})" if row.status else ""
        facts = (words.clock(row.at), words.lane_name(row.lane), row.installation, f"{outcome}{dead}")
        sys.stdout.write("  ".join((*facts, f"{row.reason}{status}")) + "\n")

    return write


@app.command()
def explain(
    campaign: CampaignName,
    installation: Annotated[str, typer.Argument(help="The installation's id, as in the audience.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell what became of one recipient, from the audience to the provider's answer.

    \b
    Examples:
      stentor campaign explain last 4711
      stentor campaign explain 7k2m 4711 --json
    """
    told = perform_on(config, campaign, lambda stentor, found: stentor.outcomes.explain(found.id, installation))
    if as_json:
        shapes.say(shapes.explanation(told))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, min_width=19)
    table.add_column(overflow="fold")
    for event in told.events:
        table.add_row("" if event.at is None else words.clock(event.at), Text(event.text))
    if told.failure is not None:
        row = told.failure
        table.add_row("", Text(words.meaning(row.lane, row.reason, row.outcome)))
    out = console()
    out.print(Text(f"{installation} in {told.campaign.title!r} ({told.campaign.id}):"))
    out.print(table)
