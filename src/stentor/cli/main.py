"""The `stentor` command: its options, its sub-commands, and what it exits with.

Exit codes, the same for every command:

    0    done
    1    failed: what was asked could not be done (the message says why, and whether trying again may help)
    2    usage: an option, a setting, a credential or a message is wrong; nothing was done
    3    a campaign was sent to its end, and nobody was reached: it had recipients, and none was accepted
    130  interrupted with Ctrl-C

A `StentorError` is written as one line on stderr, and below it the place in a segment that is at fault; STENTOR_DEBUG=1
shows the traceback as well. Any other exception is a defect in Stentor, and keeps its traceback.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from stentor.errors import (
    CredentialError,
    InvalidAudience,
    InvalidConfiguration,
    InvalidInput,
    InvalidMessage,
    InvalidSegment,
    InvalidState,
    StentorError,
    UnknownCampaign,
    UnknownExclusionList,
    UnknownInstallation,
    UnknownKey,
    UnknownReport,
    UnknownSegment,
    UnknownSeries,
    UnknownTemplate,
    UnknownUser,
)
from stentor.loading import load
from stentor.version import __version__

FAILED = 1
USAGE = 2
INTERRUPTED = 130

COMMANDS = {
    "demo": "stentor.cli.demo:demo",
    "init": "stentor.cli.init:init",
    "import": "stentor.cli.import_:import_",
    "doctor": "stentor.cli.doctor:doctor",
    "push": "stentor.cli.push:push",
    "send": "stentor.cli.send:send",
    "serve": "stentor.cli.roles:serve",
    "worker": "stentor.cli.roles:worker",
    "roles": "stentor.cli.processes:roles",
    "drain": "stentor.cli.drain:drain",
    "campaign": "stentor.cli.campaign:app",
    "key": "stentor.cli.key:app",
    "user": "stentor.cli.user:app",
    "report": "stentor.cli.report:app",
    "series": "stentor.cli.series:app",
    "segment": "stentor.cli.segment:app",
    "opt-out": "stentor.cli.care:opt_outs",
    "exclusion": "stentor.cli.care:exclusions",
    "template": "stentor.cli.template:app",
    "installation": "stentor.cli.installation:app",
    "message": "stentor.cli.message:app",
    "simulate": "stentor.cli.simulate:app",
    "keys": "stentor.cli.keys:app",
    "bench": "stentor.cli.bench:app",
}
"""Where each command lives, in the order of the help."""

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
  stentor serve                       keep running: opens the dashboard and the API, and sends what they start
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
    UnknownExclusionList,
    UnknownSegment,
    UnknownSeries,
    UnknownTemplate,
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
            if isinstance(error, InvalidSegment) and error.pointed is not None:
                typer.echo(error.pointed, err=True)
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt


class _Loaded(Mapping[str, Any]):
    """The commands, each loaded when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        found, root = load(COMMANDS[name]), typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            root.add_typer(found, name=name)
        else:
            root.command(name)(found)
        return get_group(root).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Root(Commands):
    """`stentor` itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Loaded()})


app = typer.Typer(
    cls=_Root,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a pretty traceback may print local variables, and those may hold secrets
    rich_markup_mode=None,  # plain help keeps the examples as they are written
)


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
