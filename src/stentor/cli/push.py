"""`stentor push`: a message to the addresses on the command line, with neither database nor audience."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer
import uvloop

from stentor.cli import message_options as opts
from stentor.cli.operations import FAILED, ConfigFile, settings_of
from stentor.cli.printing import say
from stentor.planning.content import Content
from stentor.runtime.push import Pushed
from stentor.runtime.push import push as send_to

FROM_INPUT = "-"
SHOWN = 8
"""Characters of an address that are shown: who has all of it may send to it."""


@opts.takes_message
def push(
    lane: Annotated[str, typer.Argument(help="The channel and the app, such as `apns/ios`.")],
    addresses: Annotated[
        list[str],
        typer.Argument(
            metavar="ADDRESS...", help="Device tokens, subscriptions or chats. `-` reads them from stdin, one per line."
        ),
    ],
    content: Content,
    language: Annotated[
        str | None, typer.Option(help="Send this translation from the message file, e.g. de or pt-BR.")
    ] = None,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per address, each on its own line.")
    ] = False,
) -> None:
    """Send a message to a few addresses right away, to try out credentials, an app or a message.

    Needs an app in the settings, but no database and no audience. Tries each address once, and stores nothing. If you
    want retries, reports, or to take a message back, send a campaign instead. Exits with 0 if all were accepted, and
    with 1 otherwise.

    \b
    Examples:
      stentor push apns/ios 0123…cdef --title Hello
      stentor push fcm/android - --title Hello --body "It works." < tokens.txt
      stentor push telegram/bot 4711 --message sale.toml --language de --set name=Ada --json
    """
    chosen = _read() if addresses == [FROM_INPUT] else addresses
    with opts.naming_set():
        told = uvloop.run(send_to(settings_of(config), lane, content, chosen, language=language))
    for address, each in zip(chosen, told, strict=True):
        if as_json:
            say({"address": _abridged(address), **asdict(each)})
        else:
            typer.echo(f"{_abridged(address)}  {_in_words(each)}")
    if not all(each.accepted for each in told):
        raise typer.Exit(FAILED)


def _read() -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()]


def _abridged(address: str) -> str:
    return address if len(address) <= SHOWN else f"{address[:SHOWN]}…"


def _in_words(told: Pushed) -> str:
    moved = f"; the recipient's new address is {_abridged(told.moved_to)}" if told.moved_to else ""
    if told.accepted:
        return f"accepted{moved}"
    status = f" ({told.status})" if told.status else ""
    why = told.meaning or told.detail
    return f"not accepted: {told.reason}{status}{f'. {why}' if why else ''}{moved}"
