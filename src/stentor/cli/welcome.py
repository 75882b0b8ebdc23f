"""What `stentor serve` and `stentor worker api` say while there is no user yet: how the first admin is made.

Rule: a one-time link is a credential. It is shown on a terminal, and written to no log: if stderr leads elsewhere, as
in a container or under systemd, only the command that makes a link is named.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import typer

from stentor import words
from stentor.errors import StentorError
from stentor.runtime.stentor import Stentor

logger = logging.getLogger(__name__)

NO_USER = "the dashboard has no user yet: run `stentor user link` for a link that makes the first admin"


async def welcome(stentor: Stentor, address: str) -> None:
    """Show how the first admin is made, if there is no user yet.

    Args:
        address: where the dashboard is.
    """
    try:
        if not sys.stderr.isatty():
            if not await stentor.access.users.any():
                logger.warning(NO_USER)
            return
        link = await stentor.access.users.first_link()
    except StentorError as error:
        logger.warning("whether the dashboard has a user is not known: %s", error)
        return
    if link is not None:
        url = replace(link, base=address).url
        typer.echo(
            "\n  Welcome to Stentor. The dashboard has no user yet.\n"
            "  Open this link in a browser to become the first admin:\n"
            f"\n    {url}\n\n"
            f"  It works once, until {words.clock(link.ends_at)}. `stentor user link` makes another one.\n",
            err=True,
        )
