"""The `stentor` command: its options, its sub-commands, and what it exits with.

Exit codes, the same for every command:

    0    done
    1    failed: what was asked could not be done (the message says why, and whether trying again may help)
    2    usage: an option, a setting, a credential or a message is wrong; nothing was done
    3    a campaign was sent to its end, and nobody was reached: it had recipients, and none was accepted
    130  interrupted with Ctrl-C

A `StentorError` is written as one line on stderr; STENTOR_DEBUG=1 shows the traceback as well. Any other exception is
a defect in Stentor, and keeps its traceback.
"""

from __future__ import annotations

import os
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stentor.cli import bench, campaign, installation, key, keys, message, report, simulate, user
from stentor.cli.demo import demo
from stentor.cli.doctor import doctor
from stentor.cli.drain import drain
from stentor.cli.import_ import import_
from stentor.cli.init import init
from stentor.cli.push import push
from stentor.cli.roles import serve, worker
from stentor.cli.send import send
from stentor.errors import (
    CredentialError,
    InvalidAudience,
    InvalidConfiguration,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    StentorError,
    UnknownCampaign,
    UnknownInstallation,
    UnknownKey,
    UnknownReport,
    UnknownUser,
)
from stentor.version import __version__

FAILED = 1
USAGE = 2
INTERRUPTED = 130

HELP = """\
Send one message to millions of phones, browsers and chats: fast, with none dropped, and every one accounted for.

\b
Examples:
  stentor demo                        try it: a campaign to simulated phones
  stentor init                        start here: writes the settings file and makes the database
  stentor doctor                      find what is wrong or missing, and how to fix it
  stentor push apns/ios TOKEN --title Hello       to one device; needs no database
  stentor send --title Hello --audience users
  stentor message send 4711 --audience users --title "Your order was shipped"     before all campaigns
  stentor serve                       keep running, and send campaigns started with --detach
  stentor simulate apns --port 8443   imitate a provider on this machine, for rehearsals
  stentor bench wire                  measure how many pushes per second this machine sends
  stentor simulate apns --help        the options of a command

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration (nothing was done), 3 a campaign reached nobody,
130 interrupted.
"""


USAGE_ERRORS = (
    CredentialError,
    InvalidAudience,
    InvalidConfiguration,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    UnknownCampaign,
    UnknownInstallation,
    UnknownKey,
    UnknownReport,
    UnknownUser,
)


def exit_code(error: StentorError) -> int:
    """USAGE if the caller must change something before it can work, else FAILED."""
    return USAGE if isinstance(error, USAGE_ERRORS) else FAILED


class Commands(TyperGroup):
    """The root of the command line, where errors become exit codes."""

    def invoke(self, ctx: Any) -> Any:  # Any: the context's class is private to typer
        try:
            return super().invoke(ctx)
        except StentorError as error:
            if os.environ.get("STENTOR_DEBUG") == "1":
                traceback.print_exception(error)
            typer.echo(f"stentor: {_one_line(error)}", err=True)
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt


app = typer.Typer(
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a pretty traceback may print local variables, and those may hold secrets
    rich_markup_mode=None,  # plain help keeps the examples as they are written
)
app.command()(demo)
app.command()(init)
app.command("import")(import_)
app.command()(doctor)
app.command()(push)
app.command()(send)
app.command()(serve)
app.command()(worker)
app.command()(drain)
app.add_typer(campaign.app, name="campaign")
app.add_typer(key.app, name="key")
app.add_typer(user.app, name="user")
app.add_typer(report.app, name="report")
app.add_typer(installation.app, name="installation")
app.add_typer(message.app, name="message")
app.add_typer(simulate.app, name="simulate")
app.add_typer(keys.app, name="keys")
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stentor {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command; each is acted on by a callback of its own."""


def _one_line(error: StentorError) -> str:
    return " ".join(str(error).split())
