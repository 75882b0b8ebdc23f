"""`stentor demo`: a whole campaign on this machine, from an app's database to simulated phones, and the proof of it.

Nothing in it is made for show: the settings, the database and the way of the campaign are those of a real one, only
that the providers are simulators, each a process of its own. Their ledgers say whether the account is right. Rules:
settings of the environment are left aside, so that nobody real can be sent to; however it ends, no process is left
running, and no file either unless it was asked for.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import typer
import uvloop
from msgspec import to_builtins
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stentor import config
from stentor.audience.contract import Selection
from stentor.bench.processes import simulator
from stentor.channels import find
from stentor.cli import crowd, stage
from stentor.cli.crowd import Crowd
from stentor.cli.live import account, proof
from stentor.cli.operations import console, drive
from stentor.cli.stage import Comparison, Facts
from stentor.cli.styles import BAD, GOOD
from stentor.counted import counted
from stentor.errors import InvalidConfiguration, StentorError
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.recording import shapes
from stentor.recording.audit import Audit
from stentor.recording.report import Report
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

SEED = "1"
CONTENT = Content(message=Message(title="Stentor", body="His voice was as loud as fifty men's.", ttl=3600))
WHOSE = {"apns": "Apple", "fcm": "Google"}
INTERRUPTED = "Interrupted. The simulators are stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo found."""

    report: Report
    audit: Audit
    lanes: Sequence[Comparison]
    refused: int | None
    """The number of a phone that was not reached; None where all were."""

    @property
    def exact(self) -> bool:
        completed = self.report.campaign.state is CampaignState.COMPLETED
        return completed and self.audit.exact and all(lane.exact for lane in self.lanes)


def demo(
    recipients: Annotated[
        int,
        typer.Option(
            min=2, help="How many phones, shared equally among the channels. At most 300 for each chat channel."
        ),
    ] = 100_000,
    channels: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Which channels: any of {','.join(crowd.CHANNELS)}.")
    ] = ",".join(crowd.USUAL),
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Make everything in this folder, and keep it for you to look at."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Send a campaign to simulated phones on this machine, watch it, and see what became of every phone.

    \b
    Starts a strict simulator for each channel. 1 % of the phones are gone; some connections are closed, some requests
    refused, and some answers lost on the way. Then makes an app's database and settings, sends as `stentor send` does,
    proves that nobody was dropped, and compares the result with the simulators' ledgers. Nothing is left running or
    behind.

    \b
    Examples:
      stentor demo
      stentor demo --recipients 1000000
      stentor demo --keep demo
      stentor demo --channels apns,fcm,webpush,telegram,discord
    """
    out = console(as_json=as_json)
    wanted = _wanted(channels)
    try:
        with _Interrupts() as interrupts, ExitStack() as stack:
            folder = _folder(keep, stack)
            facts = _start_simulators(wanted, recipients, folder, stack, interrupts, out)
            people = Crowd(recipients, wanted, facts)
            database = folder / stage.DATABASE
            stage.make_database(database, people)
            out.print(f"{counted(people.size, 'phone')} in a database such as your app's: {database}", soft_wrap=True)
            settings = stage.write_settings(folder, facts)
            out.print(f"Settings as you would write them: {settings}\n", soft_wrap=True)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(_perform(settings, facts, people, out, as_json=as_json))
    except KeyboardInterrupt:
        _say_goodbye(keep)
        raise
    if as_json:
        sys.stdout.write(json.dumps(_shape(found)) + "\n")
    else:
        show(found, out)
        _say_what_next(found, keep, out)
    if not found.exact:
        raise StentorError("the account is not exact, or differs from the simulators' ledgers; that is a defect")


class _Interrupts:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: everything is cleaned up."""

    def __init__(self) -> None:
        self._held = self._came = False

    def __enter__(self) -> Self:
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._come) for number in signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the first one wait: a process that is just being started would be lost sight of."""
        self._held = True
        yield
        self._held = False
        if self._came:
            raise KeyboardInterrupt

    def _come(self, number: int, frame: object) -> None:
        if not self._held or self._came:
            raise KeyboardInterrupt
        self._came = True


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-demo-")))
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidConfiguration(f"--keep {keep}: {error.strerror}") from None
    if any(keep.iterdir()):
        raise InvalidConfiguration(f"--keep {keep}: there is something in it; name a new folder, or an empty one")
    return keep.absolute()


def _wanted(channels: str) -> list[str]:
    """Raises: InvalidConfiguration: there is none, or one that has no part in the demo."""
    wanted = list(dict.fromkeys(name.strip() for name in channels.split(",") if name.strip()))
    if strange := [name for name in wanted if name not in crowd.CHANNELS]:
        raise InvalidConfiguration(f"--channels {strange[0]}: there are {', '.join(crowd.CHANNELS)}")
    if not wanted:
        raise InvalidConfiguration(f"--channels names none; there are {', '.join(crowd.CHANNELS)}")
    return wanted


def _start_simulators(
    channels: Sequence[str], recipients: int, folder: Path, stack: ExitStack, interrupts: _Interrupts, out: Console
) -> dict[str, Facts]:
    faults = folder / "faults.json"
    faults.write_text(json.dumps(stage.FAULTS, indent=2) + "\n", "utf-8")
    keys = folder / "simulators"
    facts: dict[str, Facts] = {}
    for name in channels:
        options = ["--faults", str(faults), "--seed", SEED, "--dir", str(keys)]
        if name == "webpush":
            options += ["--subscriptions", str(len(crowd.numbers(recipients, channels)[name]))]
        with interrupts.held():
            facts[name], _ = stack.enter_context(simulator(name, *options))
        out.print(f"{WHOSE.get(name) or find(name).title}, simulated: {facts[name]['url']}")
    return facts


async def _perform(
    settings: Path, facts: Mapping[str, Facts], people: Crowd, out: Console, *, as_json: bool
) -> DemoResult:
    """Send, as `stentor send` does, and look at what came of it from both sides."""
    async with Stentor(config.load(settings, {})) as stentor:
        selection = Selection(source=stage.AUDIENCE)
        async with stentor.roles.at_work():
            preview = await stentor.campaigns.prepare(Draft(CONTENT, selection))
            campaign = await stentor.campaigns.send(Draft(CONTENT, selection), preview=preview)
            report = await drive(stentor, campaign, out, as_json=as_json, hint=_no_hint)
        out.print()
        out.print(account(report))
        audit = await stentor.outcomes.audit(campaign.id)
        failures = [row async for row in stentor.outcomes.failures(campaign.id)]
    failed = [int(row.installation) for row in failures]
    unsure = [int(row.installation) for row in failures if row.outcome is Outcome.AMBIGUOUS]
    lanes = [
        await stage.compare(name, facts[name], people, frozenset(failed), campaign.collapse_id, unsure)
        for name in facts
    ]
    return DemoResult(report=report, audit=audit, lanes=lanes, refused=failed[0] if failed else None)


def _no_hint(_: Campaign) -> None:
    """How to resume it needn't be said: those whom it was sent to are gone with the demo."""
    raise KeyboardInterrupt


def _say_goodbye(keep: Path | None) -> None:
    rest = "and nothing is left behind." if keep is None else f"and {keep} stays as it is."
    typer.echo(f"{INTERRUPTED}, {rest}", err=True)


# -- what is shown ----------------------------------------------------------------------------------------------------


def show(found: DemoResult, out: Console) -> None:
    """What was found, from both sides."""
    out.print("\n[bold]The audit[/bold]: every recipient recounted from the outcomes on record")
    out.print(proof(found.audit))
    out.print("\n[bold]The simulators' ledgers[/bold]: what they really accepted, phone by phone")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("lane", no_wrap=True)
    for heading in ("phones", "accepted", "in the ledger", "missing", "too many", "twice"):
        table.add_column(heading, justify="right", no_wrap=True)
    for lane in found.lanes:
        figures = (lane.recipients, lane.accepted, lane.phones, lane.missing, lane.unexpected, lane.duplicates)
        table.add_row(lane.lane, *(f"{figure:,}" for figure in figures))
    out.print(table)
    for lane in found.lanes:
        if lane.faults:
            told = ", ".join(f"{count} × {fault}" for fault, count in sorted(lane.faults.items()))
            out.print(Text(f"{lane.lane} met on the way: {told}", style="dim"))
    if twice := sum(lane.duplicates for lane in found.lanes):
        same = sum(lane.collapsing for lane in found.lanes)
        out.print(
            f"Accepted twice, as the answer to the first was lost: {counted(twice, 'push', 'pushes')}, {same:,} of them"
            " with the same id as the first time, so that the phone shows one."
        )
    verdict = "exact: every phone is accounted for, and the ledgers agree to the last one"
    out.print(Text(verdict, style=GOOD) if found.exact else Text("not exact", style=f"bold {BAD}"))


def _say_what_next(found: DemoResult, keep: Path | None, out: Console) -> None:
    stentor = "stentor" if shutil.which("stentor") else sys.argv[0]
    phone = found.refused or 1
    if keep is None:
        steps = {
            "demo --keep demo": "the same, and keep its folder to look around in",
            "demo --recipients 1000000": "a million",
            "init": "begin with a table of your own; docs/tutorial.md shows how",
        }
        out.print("\nWhat to try next:")
    else:
        steps = {
            f"campaign explain last {phone}": "what became of this phone, and why",
            "campaign failures last": "everybody who was not reached",
            "campaign show last": "the report",
            "campaign audit last": "the proof",
        }
        out.print("\nThe simulators are gone; everything else is kept. Go on with it:")
        out.print(Text(f"  export STENTOR_CONFIG={keep / config.FILE}"), soft_wrap=True)
    width = max(map(len, steps))
    for command, purpose in steps.items():
        out.print(Text(f"  {stentor} {command:<{width}}  {purpose}"), soft_wrap=True)
    out.print(Text(f"\nThe dashboard: run `{stentor} serve`, and open the link that it shows."), soft_wrap=True)
    out.print(Text(f"It is at {config.ApiConfig().address} then, {'with this campaign' if keep else 'and empty'}."))


def _shape(found: DemoResult) -> dict[str, Any]:
    return {
        "exact": found.exact,
        "report": to_builtins(shapes.report(found.report)),
        "audit": to_builtins(shapes.audit(found.audit)),
        "ledgers": [asdict(lane) for lane in found.lanes],
    }
