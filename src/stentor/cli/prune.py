"""`stentor campaign prune`: deletes campaigns that ended long ago."""

from __future__ import annotations

from typing import Annotated

import typer

from stentor import words
from stentor.cli.operations import AsJson, ConfigFile, Quiet, Yes, confirm, console, perform
from stentor.cli.printing import say
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.recording import shapes
from stentor.recording.pruning import LEAST
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration


def prune(
    older_than: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Delete campaigns that ended longer ago than this, e.g. 90d; at least 1d."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted. Delete nothing.")] = False,
    yes: Yes = False,
    quiet: Quiet = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Delete campaigns that ended long ago, and everything stored about their recipients.

    A deleted campaign can't be shown, retried or taken back. A campaign is kept if another campaign still needs it, or
    if some of its recipients have no outcome yet. Set `store.keep_days` to let schedulers do this automatically.

    \b
    Examples:
      stentor campaign prune --older-than 90d --dry-run
      stentor campaign prune --older-than 30d --yes --quiet
    """
    age = duration("--older-than", older_than)
    if age < LEAST:
        raise InvalidConfiguration(
            f"--older-than: {older_than} is less than a day; campaigns are kept for 1d at least, as late outcomes still"
            " need them"
        )
    out = console(as_json=as_json, quiet=quiet)

    async def work(stentor: Stentor) -> None:
        found = await stentor.campaigns.prunable(age)
        ended = counted(len(found.campaigns), "campaign")
        since = f", the first of which ended on {words.clock(found.oldest)}" if found.campaigns else ""
        out.print(
            f"{ended}{since}: {counted(found.recipients, 'recipient')}, {counted(found.failures, 'failure')}.",
            soft_wrap=True,
        )
        if found.campaigns and not dry_run:
            confirm(f"Delete {ended} for good?", yes=yes)
            found = await stentor.campaigns.prune(age)
        deleted = bool(found.campaigns) and not dry_run
        out.print("Deleted." if deleted else "Nothing was deleted.")
        if as_json:
            say(shapes.pruned(found, deleted=deleted))

    perform(config, work)
