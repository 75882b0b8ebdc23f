"""`stentor message`: transactional messages to a few recipients, and what became of them."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from stentor import words
from stentor.cli import message_options as opts
from stentor.cli.operations import FAILED, AsJson, ConfigFile, Quiet, console, perform
from stentor.config import REGISTRY
from stentor.errors import AlreadySent
from stentor.recording import message_shapes as shapes
from stentor.recording.messages import WAITING, MessageOutcome, RecipientOutcome
from stentor.runtime.stentor import Stentor

app = typer.Typer(help="Send a message to a few recipients at once, before all campaigns.", no_args_is_help=True)

FROM_INPUT = "-"
MessageId = Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id.")]


@app.command()
@opts.takes_message
def send(
    to: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of installations of the audience, up to 100.")
    ] = None,
    audience: Annotated[
        str, typer.Option(help="The audience that the ids are of: one in the settings, or `registry`.")
    ] = REGISTRY,
    lane: Annotated[str | None, typer.Option(help="With --address: the channel and the app, such as apns/ios.")] = None,
    addresses: Annotated[
        list[str] | None,
        typer.Option(
            "--address", help="A device token, subscription or chat, instead of ids. Repeatable. `-` reads from stdin."
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="With --address: the translation that they get, e.g. de or pt-BR.")
    ] = None,
    *,
    said: opts.Said,
    name: Annotated[str | None, typer.Option(help="What the message is called in lists.")] = None,
    once: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Send only if nothing was sent with this key yet, e.g. order-4711-shipped."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Queue the message and return. `stentor serve`, running elsewhere, sends it."),
    ] = False,
    quiet: Quiet = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a message to a few installations or addresses, before all campaigns on their lanes.

    Everything that holds of campaigns holds of it: it is stored before it is sent, tried again within its lifetime, and
    everybody has an outcome. Without --detach the command sends it itself and shows the outcomes; it exits with 1 if
    somebody did not get it.

    \b
    Examples:
      stentor message send 4711 --audience users --title "Your order was shipped"
      stentor message send 4711 4712 --audience users --message shipped.toml --set order=88 --once order-88-shipped
      stentor message send 4711 --audience users --template shipped --set order=88
      stentor message send --lane apns/ios --address 0123…cdef --title "Your code is 4711" --ttl 10m
      stentor message send --lane telegram/bot --address - --body "The build failed." --detach --json < chats.txt
    """
    chosen = [line.strip() for line in sys.stdin if line.strip()] if addresses == [FROM_INPUT] else addresses

    async def work(stentor: Stentor) -> MessageOutcome:
        async def queue() -> MessageOutcome:
            content, used = await said.told(stentor)
            return await stentor.messages.send(
                content,
                to or (),
                audience=audience,
                lane=lane,
                addresses=chosen or (),
                language=language,
                title=name,
                template=used,
                once=once,
            )

        if detach:
            return await queue()
        async with stentor.roles.at_work():
            sent = await queue()
            await stentor.roles.run(sent.id)
        return await stentor.messages.get(sent.id)

    out = console(as_json=as_json, quiet=quiet)
    try:
        outcome = perform(config, work)
    except AlreadySent as sent:  # as was asked for
        if as_json:
            _say({"already_sent": sent.campaign_id})
        out.print(f"Nothing to do: {sent}.", soft_wrap=True)
        return
    _tell(outcome, out, as_json=as_json)
    if detach:
        out.print("Nothing is sent by this command: `stentor serve`, or `stentor worker`, sends it.", soft_wrap=True)
    if any(each.outcome not in (WAITING, "accepted") for each in outcome.recipients):
        raise typer.Exit(FAILED)


@app.command()
def show(
    message_id: MessageId,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="Wait so long for everybody to have an outcome.")
    ] = 0.0,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what became of a message and of everybody whom it is for.

    `stentor campaign explain`, `audit`, `cancel`, `retry` and `undo` take a message's id, too.

    \b
    Examples:
      stentor message show 01ng4w5x8k2m9p3q
      stentor message show 01ng4w5x8k2m9p3q --wait 10 --json
    """
    outcome = perform(config, lambda stentor: stentor.messages.settled(message_id, wait))
    _tell(outcome, console(as_json=as_json), as_json=as_json)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many to show at most.")] = 20,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List messages, the newest first.

    \b
    Examples:
      stentor message list
      stentor message list --limit 100 --json
    """
    found = perform(config, lambda stentor: stentor.messages.newest(limit=limit))
    out = console(as_json=as_json)
    for each in found:
        if as_json:
            _say(shapes.listed_message(each))
        out.print(f"{each.id}  {words.moment(each.created_at)}  {each.state}  {each.title}", soft_wrap=True)
    if not found:
        out.print("There is no message yet; `stentor message send` sends one.")


def _tell(outcome: MessageOutcome, out: Console, *, as_json: bool) -> None:
    if as_json:
        _say(shapes.message(outcome))
    out.print(f"Message {outcome.id} ({outcome.campaign.title}) is {outcome.campaign.state}.", soft_wrap=True)
    for each in outcome.recipients:
        out.print(f"  {each.installation}  {_in_words(each)}", soft_wrap=True, markup=False)


def _in_words(told: RecipientOutcome) -> str:
    where = f" by {told.lane}" if told.lane and told.outcome == "accepted" else ""
    status = f" ({told.status})" if told.status else ""
    detail = f". {told.detail}" if told.detail else ""
    why = f": {told.reason}{status}{detail}" if told.reason else ""
    again = f"; tried again {words.moment(told.next_try_at)}" if told.next_try_at is not None else ""
    return f"{told.outcome}{where}{why}{again}"


def _say(told: object) -> None:
    typer.echo(msgspec.json.encode(told).decode())
