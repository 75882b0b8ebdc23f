"""`stentor user`: people who sign in to the dashboard, and the log of who did what."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.access import shapes
from stentor.access.caller import Caller, local_caller
from stentor.access.log import ActionFilter, LoggedAction
from stentor.access.scopes import Scope
from stentor.access.users import OneTimeLink, User
from stentor.access.wording import way_in
from stentor.cli.operations import AsJson, ConfigFile, Yes, confirm, console, interactive, perform
from stentor.cli.printing import say
from stentor.errors import InvalidConfiguration, InvalidState
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration

UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name or id.")]
Role = Annotated[Scope, typer.Option(help="What the user may do. Each role includes those before it.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]

app = typer.Typer(help="Manage the dashboard's users, and see who did what.", no_args_is_help=True)


@app.callback()
def user() -> None:
    """Manage the dashboard's users, and see who did what."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The name to sign in with: letters, digits, and . _ @ + -")],
    role: Role = Scope.VIEW,
    password_stdin: FromStdin = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a user. Without a password, print a one-time link with which the user sets one.

    \b
    Examples:
      stentor user add ada --role send
      stentor user add ops@example.com --role admin --password-stdin < password.txt
    """
    password = _first_line() if password_stdin else None

    async def work(stentor: Stentor) -> tuple[User, OneTimeLink | None]:
        by = local_caller()
        made = await stentor.access.users.add(by, name, role, password=password)
        link = await stentor.access.users.link(by, made.id) if password is None else None
        return made, link

    made, link = perform(config, work)
    if as_json:
        say({"user": shapes.user(made), "link": None if link is None else shapes.link(link)})
        return
    typer.echo(f"The user {made.name} has the role {made.role}.", err=True)
    if link is not None:
        _show_link(link)


@app.command("list")
def list_users(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List users: what each may do, whether they can sign in, and when they last did.

    \b
    Examples:
      stentor user list
      stentor user list --json
    """

    async def work(stentor: Stentor) -> list[User]:
        by, found = local_caller(), list[User]()
        while page := await stentor.access.users.page(by, after=found[-1].name if found else None):
            found += page
        return found

    found = perform(config, work)
    if as_json:
        say({"users": [shapes.user(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("user", "role", "signs in with", "last signed in"):
        table.add_column(heading)
    for each in found:
        table.add_row(Text(each.name), each.role.value, Text(way_in(each)), words.clock(each.signed_in_at))
    console().print(table if found else "There is no user yet; `stentor user link` makes a link for the first admin.")


@app.command()
def role(
    user: UserName,
    role: Annotated[Scope, typer.Argument(metavar="ROLE", help="view, write, send or admin.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a user another role. It counts from the user's next request on.

    \b
    Examples:
      stentor user role ada send
    """

    async def work(stentor: Stentor, by: Caller, found: User) -> User:
        return await stentor.access.users.set_role(by, found.id, role)

    changed = _perform_on(config, user, work)
    _tell(changed, f"The user {changed.name} has the role {changed.role}.", as_json=as_json)


@app.command()
def password(
    user: UserName, password_stdin: FromStdin = False, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Set a user's password, and end all sessions of this user.

    A password has at least 15 characters, of any kind. `stentor user link` lets users set their own.

    \b
    Examples:
      stentor user password ada
      stentor user password ada --password-stdin < password.txt
    """
    new = _first_line() if password_stdin else _asked()

    async def work(stentor: Stentor, by: Caller, found: User) -> User:
        return await stentor.access.users.set_password(by, found.id, new)

    changed = _perform_on(config, user, work)
    _tell(changed, f"The password of {changed.name} is set. All sessions of this user have ended.", as_json=as_json)


@app.command()
def disable(user: UserName, yes: Yes = False, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Let a user sign in no more, and end all sessions of this user at once.

    \b
    Examples:
      stentor user disable ada
    """

    async def work(stentor: Stentor, by: Caller, found: User) -> User:
        if found.disabled_at is None:
            confirm(f"Disable the user {found.name!r}, and end all sessions of this user?", yes=yes)
        return await stentor.access.users.disable(by, found.id)

    changed = _perform_on(config, user, work)
    _tell(changed, f"The user {changed.name} is disabled.", as_json=as_json)


@app.command()
def enable(user: UserName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Let a disabled user sign in again.

    \b
    Examples:
      stentor user enable ada
    """

    async def work(stentor: Stentor, by: Caller, found: User) -> User:
        return await stentor.access.users.enable(by, found.id)

    changed = _perform_on(config, user, work)
    _tell(changed, f"The user {changed.name} may sign in.", as_json=as_json)


@app.command()
def link(
    user: Annotated[
        str | None, typer.Argument(metavar="USER", help="The user's name or id. Left out: for the first admin.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a link with which a user sets a password. It works once, for a day, and replaces the one before.

    Without a user, the link makes the first admin. There is such a link only while there is no user.

    \b
    Examples:
      stentor user link
      stentor user link ada
    """

    async def work(stentor: Stentor) -> OneTimeLink:
        by, users = local_caller(), stentor.access.users
        if user is not None:
            return await users.link(by, (await users.find(by, user)).id)
        first = await users.first_link()
        if first is None:
            raise InvalidState("there are users already; name the one whose password the link shall set")
        return first

    made = perform(config, work)
    if as_json:
        say(shapes.link(made))
    else:
        _show_link(made)


@app.command("sign-out")
def sign_out(user: UserName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """End all sessions of a user, on all devices.

    \b
    Examples:
      stentor user sign-out ada
    """

    async def work(stentor: Stentor) -> tuple[User, int]:
        by = local_caller()
        found = await stentor.access.users.find(by, user)
        return found, await stentor.access.sessions.end_all(by, found.id)

    found, ended = perform(config, work)
    if as_json:
        say({"user": shapes.user(found), "ended": ended})
    else:
        console().print(f"{ended} session{'' if ended == 1 else 's'} of {found.name} ended.", soft_wrap=True)


@app.command()
def log(
    caller: Annotated[str | None, typer.Option(help="Only what the key or user with this id did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, e.g. campaign.start.")] = None,
    on: Annotated[str | None, typer.Option("--object", help="Only what was done to this id.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only this outcome: done, refused or failed.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only what was done in this time, e.g. 7d.")
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind the row with this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Show at most this many rows.")] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what, the newest first: at the API, in the dashboard, and with `stentor key` and `stentor user`.

    \b
    Examples:
      stentor user log
      stentor user log --action session.begin --outcome refused --since 1d
      stentor user log --object 3k9f2m7q8r1c5d0e --json
    """
    begin = None if since is None else time.time() - duration("--since", since)
    wanted = ActionFilter(caller_id=caller, action=action, object=on, outcome=outcome, since=begin)

    async def work(stentor: Stentor) -> list[LoggedAction]:
        return await stentor.access.log.page(local_caller(), wanted, after=after, limit=limit)

    found = perform(config, work)
    if as_json:
        say({"actions": [shapes.action(each) for each in found]})
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("at", "who", "did", "to", "outcome"):
        table.add_column(heading)
    table.add_column("detail", overflow="fold", min_width=12)
    for each in found:
        who = Text(f"{each.caller_name} ({each.caller_kind})")
        table.add_row(words.clock(each.at), who, each.action, Text(each.object), each.outcome, Text(each.detail))
    console().print(table if found else "Nothing like that was done.")


def _perform_on(config: ConfigFile, name: str, work: Callable[[Stentor, Caller, User], Awaitable[User]]) -> User:
    async def with_it(stentor: Stentor) -> User:
        by = local_caller()
        return await work(stentor, by, await stentor.access.users.find(by, name))

    return perform(config, with_it)


def _tell(user: User, sentence: str, *, as_json: bool) -> None:
    if as_json:
        say(shapes.user(user))
    else:
        console().print(Text(sentence), soft_wrap=True)


def _show_link(link: OneTimeLink) -> None:
    whose = "makes the first admin" if link.user is None else f"sets the password of {link.user.name}"
    where = "" if link.base else " Put it behind the dashboard's address, or set `api.public_url` to that."
    typer.echo(f"This link {whose}. It works once, until {words.clock(link.ends_at)}.{where}", err=True)
    typer.echo(link.url)


def _first_line() -> str:
    """Raises: InvalidConfiguration: there is nothing on standard input."""
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise InvalidConfiguration("--password-stdin: there is no password on standard input")
    return line


def _asked() -> str:
    """Raises: InvalidConfiguration: there is nobody to ask."""
    if not interactive():
        raise InvalidConfiguration("there is no terminal to ask for a password on: add --password-stdin")
    given: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    return given
