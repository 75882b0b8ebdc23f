"""`stentor campaign start` and `unschedule`: start a draft, and take back a start that has not happened yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from stentor import words
from stentor.audience.described import described
from stentor.cli.operations import AsJson, CampaignName, ConfigFile, Yes, confirm, console, perform_on
from stentor.cli.printing import say
from stentor.cli.waiting import waited_for
from stentor.counted import counted
from stentor.errors import InvalidInput, InvalidState
from stentor.recording import shapes
from stentor.runtime.confirmation import TOLERANCE, Expectation
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign


def start(
    campaign: CampaignName,
    hold: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Send nothing for this long, e.g. 10s, so that you can take it back."),
    ] = None,
    once: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Start only if no campaign has used this key yet, e.g. news-2030-01-31."),
    ] = None,
    expect_recipients: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Start only if about this many recipients were counted."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", min=0, max=1, help=f"How far the count may be off: 0.1 is 10 %. Left out: {TOLERANCE:g}."
        ),
    ] = None,
    confirmation: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Start only what a preview showed: its `confirmation`."),
    ] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Start a draft and return. `stentor serve`, running elsewhere, sends it.

    A script says by --expect-recipients how many people it means, or by --confirmation what it previewed
    (`send --dry-run --json` prints one): if the draft is another one, or is for another number, nothing starts.

    With --hold, nothing is sent for that long. Until then, and until its time if it has one,
    `stentor campaign unschedule` makes it a draft again.

    \b
    Examples:
      stentor campaign start last
      stentor campaign start 7k2m --hold 10s --yes --json
      stentor campaign start 7k2m --expect-recipients 120000 --tolerance 0.02 --yes
    """
    out = console(as_json=as_json)
    if tolerance is not None and expect_recipients is None and confirmation is None:
        raise InvalidInput("--tolerance", "is for --expect-recipients or --confirmation; give one of them too")
    wanted = Expectation(
        confirmation=confirmation,
        recipients=expect_recipients,
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )
    seconds = 0.0 if hold is None else duration("--hold", hold)

    async def work(stentor: Stentor, found: Campaign) -> Campaign:
        if found.state is not CampaignState.DRAFT:
            raise InvalidState(f"campaign {found.id} is {found.state}; only a draft can be started")
        if not found.expected:
            draft = await stentor.campaigns.draft(found.id)
            async with waited_for(f"Counting {described(draft.selection)}", out):
                await stentor.campaigns.check(found.id)
        seen = await stentor.campaigns.confirmation(found.id)
        found = await stentor.campaigns.get(found.id)  # read after its confirmation: what is shown is never older
        confirm(f"Send {found.title!r} to {counted(found.expected_recipients, 'recipient')}?", yes=yes)
        expect = wanted if wanted.confirmation is not None else replace(wanted, confirmation=seen)
        return await stentor.campaigns.start(found.id, once=once, expect=expect, hold=seconds)

    started = perform_on(config, campaign, work)
    if as_json:
        say(shapes.campaign(started))
        return
    how = "`stentor serve`, or `stentor worker`, sends it"
    out.print(f"Campaign {started.id} is {started.state}. Nothing is sent by this command: {how}.", soft_wrap=True)
    if started.state is CampaignState.SCHEDULED and started.starts_at is not None:
        out.print(f"It starts {words.moment(started.starts_at)}.")
        out.print(f"  stentor campaign unschedule {started.id}  makes it a draft again, until then")
    out.print(f"  stentor campaign watch {started.id}  shows how it goes")


def unschedule(campaign: CampaignName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Make a campaign that waits for its start a draft again. Nothing of it is sent.

    A campaign waits for its start if it has a time, or if it is held (`start --hold`). One that has started can be
    paused or cancelled instead.

    \b
    Examples:
      stentor campaign unschedule last
      stentor campaign unschedule 7k2m --json
    """
    made = perform_on(config, campaign, lambda stentor, found: stentor.campaigns.unschedule(found.id))
    if as_json:
        say(shapes.campaign(made))
    else:
        at = "" if made.starts_at is None else f" Its time to start is still {words.moment(made.starts_at)}."
        console().print(f"Campaign {made.id} is a {made.state} again. Nothing of it was sent.{at}", soft_wrap=True)
