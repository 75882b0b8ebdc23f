"""`stentor doctor`: looks at everything a campaign needs, and says what to fix.

Rules: every check has a finding, good or bad; one that fails doesn't keep the others from being made; nothing is
changed, and nobody is sent anything.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stentor.cli.access_checks import check_access, check_dashboard
from stentor.cli.app_checks import check_app
from stentor.cli.findings import check_audiences, check_machine, check_store
from stentor.cli.styles import BAD, CARE, GOOD
from stentor.config import Config, load
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.findings import Finding, Status, problem

NOWHERE = Console(quiet=True)
STYLES = {Status.OK: GOOD, Status.WARNING: CARE, Status.PROBLEM: f"bold {BAD}"}


def doctor(
    config: Annotated[Path | None, typer.Option(help="The settings file. Default: stentor.toml.")] = None,
    app: Annotated[str | None, typer.Option(help="Check only this app.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Don't contact any provider.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Check settings, databases, queue, audiences, credentials and providers, and say what to fix.

    \b
    Asks each provider to deliver to an address that cannot exist. The answer shows whether the credentials work, and
    nobody gets anything. Exits with 1 if there is any problem. A warning is not a problem.

    \b
    Examples:
      stentor doctor
      stentor doctor --app ios
      stentor doctor --offline --json
    """
    try:
        settings = load(config)
    except InvalidConfiguration as error:
        found = [problem("configuration", str(error), "Fix that first. The rest is checked after that.")]
    else:
        if app is not None and app not in settings.apps:
            known = ", ".join(settings.apps) or "none"
            raise InvalidConfiguration(f"--app: there is no app {app}; the file has {known}")
        out = Console(quiet=as_json)
        found = uvloop.run(examine(settings, app=app, offline=offline, out=out))
    if as_json:
        sys.stdout.write(json.dumps(report(found)) + "\n")
    else:
        show(found, Console())
    if any(finding.status is Status.PROBLEM for finding in found):
        raise typer.Exit(1)


async def examine(
    config: Config, *, app: str | None = None, offline: bool = False, out: Console = NOWHERE
) -> list[Finding]:
    """All findings about a configuration, or those about one of its apps. Apps are looked at all at once.

    Args:
        out: where people are told what takes long.
    """
    chosen = {name: each for name, each in config.apps.items() if app in (None, name)}
    found: list[Finding] = []
    if app is None:
        found = [Finding(check="configuration", detail="readable, and every setting known")]
        found += [*await check_machine(config), *await check_store(config)]
        if config.queue.url is None:
            found.append(Finding(check="queue", detail="in the store"))
        else:
            from stentor.cli.queue_checks import check_queue  # noqa: PLC0415 - NATS takes a sixth of a second to load

            found += await check_queue(config)
        found += await check_dashboard(config)
        found += await check_access(config.access, config.api.public_url, offline=offline)
        found += await check_audiences(config, out)
        if config.reports.targets:
            from stentor.cli.report_checks import check_reports  # noqa: PLC0415 - few have one

            found += await check_reports(config)
        if not chosen:
            found.append(problem("apps", "there is none", "Add one under [apps.NAME]: without it nothing can be sent."))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(check_app(name, each, offline=offline)) for name, each in chosen.items()]
    return [*found, *(finding for task in tasks for finding in task.result())]


def report(found: Sequence[Finding]) -> dict[str, object]:
    """The findings for programs."""
    statuses = [finding.status for finding in found]
    return {
        "ok": Status.PROBLEM not in statuses,
        "problems": statuses.count(Status.PROBLEM),
        "warnings": statuses.count(Status.WARNING),
        "checks": [asdict(finding) for finding in found],
    }


def show(found: Sequence[Finding], console: Console) -> None:
    """The findings for people."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found:
        status = Text(finding.status, style=STYLES[finding.status])
        said = Text.assemble((finding.check, "bold"), ": ", finding.detail)  # no markup: [apps.ios] is to be shown
        table.add_row(status, said.append(f"\n→ {finding.remedy}") if finding.remedy else said)
    console.print(table)
    counts = [
        (status, sum(finding.status is status for finding in found)) for status in (Status.PROBLEM, Status.WARNING)
    ]
    console.print(", ".join(counted(count, status) for status, count in counts), highlight=False)
