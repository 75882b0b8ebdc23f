"""`stentor report`: whether reports arrive, what became of them, and sending one again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stentor import words
from stentor.cli.operations import FAILED, AsJson, ConfigFile, console, named, perform
from stentor.cli.printing import say
from stentor.reporting import shapes
from stentor.reporting.outbox import DeliveryStatus, ReportDelivery, TargetAnswer
from stentor.runtime.stentor import Stentor

app = typer.Typer(help="Reports and alarms: test a target, list reports, send one again.", no_args_is_help=True)

Target = Annotated[str | None, typer.Option(metavar="NAME", help="Only this target, by its name in the settings.")]


@app.command("test")
def try_targets(
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="The target, by its name in the settings. Default: all.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a test report to a target or to all targets, and show what they answer.

    Exits with 1 if a target doesn't take it. The test isn't in the list of reports, and it isn't tried again.

    \b
    Examples:
      stentor report test
      stentor report test team
      stentor report test --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor) -> dict[str, TargetAnswer]:
        return await stentor.reports.test(target)

    answers = perform(config, work)
    if as_json:
        say({"targets": {name: shapes.target_answer(answer) for name, answer in answers.items()}})
    for name, answer in answers.items():
        status = f" ({answer.status})" if answer.status else ""
        said = f": {answer.text}" if answer.text else ""
        out.print(f"{name}: {'sent' if answer.sent else 'not sent'}{status}{said}", soft_wrap=True, markup=False)
    if not all(answer.sent for answer in answers.values()):
        raise typer.Exit(FAILED)


@app.command("list")
def list_(
    campaign: Annotated[
        str | None, typer.Option(metavar="CAMPAIGN", help="Only reports on this campaign: its id, title, or `last`.")
    ] = None,
    target: Target = None,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only reports with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The maximum number of reports to show.")] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List reports and alarms, newest first, with what became of each.

    A report that can't be sent is tried again for a day. After that its status is `failed`.

    \b
    Examples:
      stentor report list
      stentor report list --status failed
      stentor report list --campaign last --target team --json
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor) -> list[ReportDelivery]:
        found = None if campaign is None else (await named(stentor, campaign)).id
        return await stentor.reports.deliveries(campaign_id=found, target=target, status=status, limit=limit)

    _show(perform(config, work), out, as_json=as_json)


@app.command()
def replay(
    report: Annotated[str, typer.Argument(metavar="REPORT", help="The report's id, or any part of it.")],
    target: Target = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a report again, with the same content and the same id.

    Without --target it goes to all targets that it was for. Exits with 1 if a target doesn't take it now. Stentor then
    keeps trying for a day.

    \b
    Examples:
      stentor report list --status failed
      stentor report replay completed/01ngt4k2m7x3w9qa
      stentor report replay 01ngt4k2m7x3w9qa --target team
    """
    out = console(as_json=as_json)

    async def work(stentor: Stentor) -> list[ReportDelivery]:
        return await stentor.reports.replay(report, target)

    found = perform(config, work)
    _show(found, out, as_json=as_json)
    if not all(each.status is DeliveryStatus.SENT for each in found):
        raise typer.Exit(FAILED)


def _show(found: Sequence[ReportDelivery], out: Console, *, as_json: bool) -> None:
    if as_json:
        say({"reports": [shapes.delivery(each) for each in found]})
        return
    if not found:
        out.print("There are no reports.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("REPORT", "HAPPENED", "TARGET", "STATUS", "TRIES", "ANSWER"):
        table.add_column(name, overflow="fold")
    for each in found:
        answer = " ".join(filter(None, (str(each.answer_status or ""), each.answer or "")))
        next_try = "" if each.ready_at is None else f", next try {words.clock(each.ready_at)}"
        status = f"{each.status}{next_try if each.tries else ''}"
        table.add_row(each.event_id, words.clock(each.at), each.target, status, str(each.tries), answer or "–")
    out.print(table, markup=False)
