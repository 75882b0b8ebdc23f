"""`stentor campaign failures`: who was not reached, for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from msgspec import to_builtins

from stentor import words
from stentor.cells import cell
from stentor.cli.operations import CampaignName, ConfigFile, perform_on
from stentor.cli.printing import say
from stentor.recording import shapes
from stentor.recording.report import FailureRow, Report
from stentor.runtime.stentor import Stentor
from stentor.store.campaigns import Campaign

Ending = Literal["rejected", "expired", "ambiguous"]
WIDTHS = (19, 14, 12, 14)
"""Characters of the first columns, where their texts are no longer."""


def failures(
    campaign: CampaignName,
    reason: Annotated[str | None, typer.Option(help="Only recipients that failed for this reason.")] = None,
    lane: Annotated[str | None, typer.Option(help="Only recipients on this lane, e.g. apns/ios.")] = None,
    outcome: Annotated[
        Ending | None, typer.Option(help="Only recipients that ended so: rejected, expired or ambiguous.")
    ] = None,
    dead: Annotated[
        bool | None, typer.Option("--dead/--alive", help="Only dead addresses, or only addresses that still work.")
    ] = None,
    addresses: Annotated[
        bool, typer.Option("--addresses", help="Add each recipient's address, read from the audience as it is now.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header line, for spreadsheets.")] = False,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per recipient, each on its own line.")
    ] = False,
) -> None:
    """List everybody who was not reached, with the reason.

    Lines are printed as they are read, so the list may be of any length. If nobody matches, a line on stderr says
    which reasons or lanes there are. An address is left empty if it is no longer in the audience, or was registered
    after the failure. In CSV, times are ISO 8601 in UTC, and a text that a spreadsheet would run as a formula gets an
    apostrophe in front. --json prints everything unchanged.

    \b
    Examples:
      stentor campaign failures last
      stentor campaign failures last --dead --addresses --csv > dead.csv
      stentor campaign failures 7k2m --reason Unregistered --json
    """

    async def work(stentor: Stentor, found: Campaign) -> None:
        write = _writer(as_csv=as_csv, as_json=as_json, addresses=addresses)
        chosen = stentor.outcomes.failures(
            found.id, lane=lane, reason=reason, outcome=outcome, dead=dead, addresses=addresses
        )
        some = False
        async for row in chosen:
            write(row)
            some = True
        if not some:
            report = await stentor.outcomes.report(found.id)
            typer.echo(nobody(report, lane=lane, reasons=[reason] if reason else []), err=True)

    perform_on(config, campaign, work)


def nobody(report: Report, *, lane: str | None = None, reasons: Sequence[str] = ()) -> str:
    """What is said where no failure of a campaign is of this lane and for one of these reasons: which there are."""
    counts: Counter[str] = Counter()
    for name, each in report.reasons.items():
        if lane in (None, name):
            counts.update({found.reason: found.count for found in each})
    where = f" on {lane}" if lane and lane in report.reasons else ""
    here = f"campaign {report.campaign.id}{where}"
    if not report.reasons:
        return f"No recipient failed in {here}."
    if lane and not where:
        return f"No recipient on {lane} failed in {here}. Failures are on: {', '.join(sorted(report.reasons))}."
    if any(reason in counts for reason in reasons) or not reasons:
        return f"No failure in {here} matches these options."
    told = ", ".join(f"{reason} ({counts[reason]:,})" for reason in sorted(counts))
    return f"No recipient failed for {' or '.join(reasons)} in {here}. The reasons are: {told}."


def _writer(*, as_csv: bool, as_json: bool, addresses: bool) -> Callable[[FailureRow], None]:
    if as_json:
        return lambda row: say(shapes.failure(row, address=addresses))
    if as_csv:
        names = [each.name for each in fields(FailureRow) if addresses or each.name != "address"]
        table = csv.DictWriter(sys.stdout, [*names, "meaning"], lineterminator="\n")
        table.writeheader()
        return lambda row: table.writerow(_cells(row, address=addresses))

    headings = ["at", "lane", "installation", "outcome", "reason"]
    if addresses:
        headings.insert(3, "address")
    begun = False

    def write(row: FailureRow) -> None:
        nonlocal begun
        if not begun:
            begun = True
            _line(headings)
        dead = ", dead" if row.dead else ""
        outcome = row.outcome.name.lower()
        status = f" ({row.status})" if row.status else ""
        facts = [words.clock(row.at), words.lane_name(row.lane), row.installation, f"{outcome}{dead}"]
        if addresses:
            facts.insert(3, row.address or "(no address)")
        _line([*facts, f"{row.reason}{status}"])

    return write


def _line(texts: Sequence[str]) -> None:
    """One line, in columns as far as they fit: nobody knows the longest text before the last row is read."""
    *columns, last = (text.ljust(width) for text, width in zip(texts, (*WIDTHS, *[0] * len(texts)), strict=False))
    sys.stdout.write("  ".join((*columns, last)) + "\n")


def _cells(row: FailureRow, *, address: bool) -> dict[str, object]:
    at = datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        name: cell(value) for name, value in (to_builtins(shapes.failure(row, address=address)) | {"at": at}).items()
    }
