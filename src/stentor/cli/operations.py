"""What the commands about campaigns share: opening Stentor, naming a campaign, and running one in front of a person."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop
from rich.console import Console

from stentor import config
from stentor.cli.live import LiveView, account
from stentor.cli.printing import say
from stentor.cli.waiting import hindrances_told
from stentor.config import Config
from stentor.counted import counted
from stentor.errors import InvalidConfiguration, InvalidState, UnknownCampaign
from stentor.recording import shapes
from stentor.recording.report import Progress, Report
from stentor.runtime.logs import start_logging
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

T = TypeVar("T")

FAILED = 1
USAGE = 2
NOBODY = 3
"""What a campaign exits with that has ended and was accepted for nobody."""
INTERRUPTED = 130
LAST = "last"
UNREACHED = (
    "campaign {campaign} reached nobody ({recipients}, 0 accepted); `stentor campaign failures {campaign}` says why"
)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="The settings file. Default: `$STENTOR_CONFIG`, or else `./stentor.toml`."),
]
LogLevel = Annotated[
    config.LogLevel | None, typer.Option("--log-level", help="How much roles log to stderr. Overrides `logging.level`.")
]
LogFormat = Annotated[
    config.LogFormat | None, typer.Option("--log-format", help="The format of the log. Overrides `logging.format`.")
]
Log = tuple[config.LogLevel | None, config.LogFormat | None]
"""What the two options say."""
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors; useful with cron.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]
CampaignName = Annotated[
    str,
    typer.Argument(
        metavar="CAMPAIGN", help="The campaign's id, any part of the id, its title, or `last` for the newest."
    ),
]


def settings_of(file: Path | None, log: Log = (None, None)) -> Config:
    """The settings, with what was asked for in their place. Raises: InvalidConfiguration."""
    found = config.load(file)
    level, form = log
    given = {name: value for name, value in (("level", level), ("format", form)) if value is not None}
    return found.model_copy(update={"logging": found.logging.model_copy(update=given)})


def perform(file: Path | None, work: Callable[[Stentor], Awaitable[T]], log: Log = (None, None)) -> T:
    """Open Stentor as the settings say, and do something with it; with a log where one is asked for."""

    async def opened() -> T:
        stentor = Stentor(settings)
        async with hindrances_told(stentor.hindrance), stentor:
            return await work(stentor)

    settings = settings_of(file, log)
    if settings.logging.level is not None:
        start_logging("stentor", settings.logging)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(opened())


def perform_on(
    file: Path | None, name: str, work: Callable[[Stentor, Campaign], Awaitable[T]], log: Log = (None, None)
) -> T:
    """Open Stentor, and do something with the campaign somebody means; see `named`."""

    async def with_it(stentor: Stentor) -> T:
        return await work(stentor, await named(stentor, name))

    return perform(file, with_it, log)


async def named(stentor: Stentor, name: str) -> Campaign:
    """The campaign somebody means.

    Raises:
        UnknownCampaign: there is none of this name, or several.
    """
    if name == LAST:
        newest = await stentor.campaigns.newest(limit=1)
        if not newest:
            raise UnknownCampaign("there is no campaign yet; `stentor send` makes one")
        return newest[0]
    return await stentor.campaigns.find(name)


def console(*, as_json: bool = False, quiet: bool = False) -> Console:
    """Where people read: stdout, or nowhere if a program reads that or nobody wants to."""
    return Console(quiet=as_json or quiet, highlight=False)


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether to go on; leave the command if not.

    Raises:
        InvalidConfiguration: there is nobody to ask.
    """
    if yes:
        return
    if not interactive():
        raise InvalidConfiguration("there is no terminal to ask on: add --yes to go on without a question")
    if not typer.confirm(question, err=True):
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(FAILED)


def interactive() -> bool:
    return sys.stdin.isatty()


def say_how_to_go_on(campaign: Campaign) -> None:
    """With a campaign that was interrupted."""
    lines = [
        f"Campaign {campaign.id} is not finished, and nothing is lost.",
        f"  stentor campaign resume {campaign.id}   goes on with it",
        f"  stentor campaign cancel {campaign.id}   stops it for good",
    ]
    typer.echo("\n".join(lines), err=True)


async def drive(
    stentor: Stentor,
    campaign: Campaign,
    out: Console,
    *,
    as_json: bool,
    hint: Callable[[Campaign], None] = say_how_to_go_on,
) -> Report:
    """Run a campaign in front of somebody until it is final or paused.

    Ctrl-C pauses it; a second one doesn't wait for that. SIGTERM stops sending and leaves it as it is, to be resumed.

    Args:
        hint: says what to do next, where it was interrupted.

    Raises:
        typer.Exit: it was interrupted; how to go on has been said.
    """
    stop = asyncio.Event()
    interrupted = False

    async def pause() -> None:
        try:
            await stentor.campaigns.pause(campaign.id)
        except InvalidState:
            pass  # it has ended meanwhile
        finally:
            stop.set()

    async def see_through(show: Callable[[Progress], None]) -> Report:
        report = await stentor.roles.run(campaign.id, on_progress=show, stop=stop)
        if not interrupted:
            return report
        await stentor.roles.stop()  # what is in flight now is in the report
        return await stentor.outcomes.report(campaign.id)

    with LiveView(out) as view:
        run = asyncio.ensure_future(see_through(view.show))
        pausing: list[asyncio.Task[None]] = []

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted:
                run.cancel()
                return
            interrupted = True
            view.note("Pausing … (Ctrl-C again doesn't wait for what is in flight)")
            pausing.append(asyncio.ensure_future(pause()))

        def terminate() -> None:
            nonlocal interrupted
            interrupted = True
            stop.set()

        with signals({signal.SIGINT: interrupt, signal.SIGTERM: terminate}):
            try:
                report = await run
            except asyncio.CancelledError:
                if not interrupted:
                    raise
                hint(campaign)
                raise typer.Exit(INTERRUPTED) from None
            finally:
                await asyncio.gather(*pausing)
    if interrupted and report.campaign.state is not CampaignState.COMPLETED:
        tell(report, out, as_json=as_json)
        hint(report.campaign)
        raise typer.Exit(INTERRUPTED)
    return report


@contextmanager
def signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Have these called when the signals come, instead of whatever else they would do."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, handler_before in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler_before)


def tell(report: Report, out: Console, *, as_json: bool) -> None:
    """Show a report to whoever reads it."""
    if as_json:
        say(shapes.report(report))
    else:
        out.print(account(report))


def close(report: Report, out: Console, *, as_json: bool) -> None:
    """Show the report of a campaign that ran, and exit by how it ended: 0 only if everybody has an outcome, and
    somebody's is that it was accepted."""
    tell(report, out, as_json=as_json)
    campaign = report.campaign
    if campaign.state is CampaignState.COMPLETED:
        total = report.total
        if total.read and not total.accepted:
            told = UNREACHED.format(campaign=campaign.id, recipients=counted(total.read, "recipient"))
            typer.echo(f"stentor: {told}", err=True)
            raise typer.Exit(NOBODY)
        return
    because = f": {campaign.problem}" if campaign.problem else ""
    typer.echo(f"stentor: campaign {campaign.id} is {campaign.state}{because}", err=True)
    if campaign.state is CampaignState.PAUSED:
        say_how_to_go_on(campaign)
    raise typer.Exit(FAILED)
