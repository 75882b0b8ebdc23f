"""Draws `docs/command-line.md` from the commands: `python docs/render_command_line.py > docs/command-line.md`.

A test fails when the page and the commands differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from stentor.cli.main import app

INTRODUCTION = """\
# The command line

Drawn from `src/stentor/cli` by `docs/render_command_line.py`; don't edit it here. `stentor --help`, and `--help` after
any command, say the same.

## For all commands

**Exit codes.** 0: done. 1: failed, the message says why and whether trying again may help; also a campaign that ended
otherwise than completed, and an audit that isn't exact. 2: an option, a setting, a credential or a message is wrong,
and nothing was done. 130: interrupted; of a campaign nothing is lost. Recipients that could not be reached are counted
and listed, and don't make a command fail.

**People and programs.** Results go to stdout, errors and questions to stderr. On a terminal a running campaign is shown
live; anywhere else as a line every few seconds. With `--json`, stdout holds JSON and nothing else. Without a terminal
to ask on, what asks wants `--yes`.

**Campaigns** are named by their id or any part of it that no other has, by their title where no other has the same, or
as `last`. Where a name could mean several, the command names them and does nothing.

**Ctrl-C** while a campaign is sent pauses it, within a second, and says how to go on; what is in flight is waited for.
A second Ctrl-C doesn't wait. SIGTERM stops sending gracefully and leaves the campaign as it is:
`stentor campaign resume` goes on with it, as it does after a crash.

**Filters** choose whom of an audience: `--filter country=de`, `--filter country!=at`, `--filter "country in de,at,ch"`,
and `--filter language^=de` for what begins with `de`, in the same case. Of several on one column any value or prefix
will do, and no excluded one; filters on different columns must all hold. Rows where the column says nothing (NULL)
fulfil `!=`.

**From cron**, `--once KEY` sends only if no campaign was started with the key before, from this machine or another, and
exits with 0 either way; the key stays used when the campaign is pruned. A campaign that could not be started leaves its
key free. `--quiet` prints nothing but errors, so that a mail comes only if something is wrong.

**Waiting.** A command that cannot get on says after two seconds what it waits for: that the store's database is away,
or that somebody still holds a part of a cancelled campaign. Without a database it gives up after half a minute or so.

**Durations** are written `90s`, `15m`, `1h30m` or `2d`; times `2030-01-31T18:00` (this machine's time zone),
`2030-01-31T18:00+01:00`, or `+90m` from now.

**Roles.** `stentor send` runs all roles itself, for as long as its campaign takes. `stentor serve` and `stentor worker`
run them for as long as they are wanted, for campaigns that were started with `--detach`: see [cluster.md](cluster.md).
SIGTERM or Ctrl-C stops them gracefully, within `sending.stop_within` seconds and a few more; they exit with 0 then. A
second one doesn't wait.

`STENTOR_DEBUG=1` shows the traceback of an error. All settings can be overridden by variables: see
[configuration.md](configuration.md).

## What `--json` prints

Times are epoch seconds, durations seconds. Fields may be added; those that are there keep their meaning.

| command | object |
|---|---|
| `send`, `campaign show`, `watch`, `resume`, `cancel`, `retry` | a report: `campaign`, `installations` (read so far), \
`accepted` (by the provider; whether a phone shows it, nobody is told), \
`failed` (rejected, expired or ambiguous), `cancelled`, `pending`, \
`unread` (about how many were not read when it was stopped), `lanes`, \
`reasons`, `dead` (addresses that will never work again), `dead_letters` (batches nobody could work on) and the latest \
of them as `put_aside`, `seconds` (without those it was `paused`), `rate`, `at`; \
`show` adds `problems`: why a lane doesn't send |
| `send --dry-run` | `title`, `lanes` (each with `recipients`, `ceiling` in pushes a second or null, \
`seconds` at least, `examples` of what real recipients get, and of `looked_at` installations how many get which of the \
`languages` and how many are `lacking` which value), `recipients`, `unroutable`, `seconds`, `warnings`, `sample` \
(the payload of a lane's first example) |
| `campaign list` | `campaigns`: a list of campaigns, each with `accepted`, `failed`, `cancelled`, `pending` and \
`seconds` (from its start to its end, or to now) |
| `send --once`, if it was sent before | `already_sent`: the campaign's id |
| `send --detach`, `campaign pause` | the campaign: `id`, `title`, `state`, `problem`, `audience`, `created_at`, \
`starts_at`, `expires_at`, `finished_at`, `planned` (whether the audience is read to its end), `expected` \
(recipients by lane) |
| `campaign prune` | `campaigns` (their ids), `recipients`, `failures`, `oldest` (when the first of them ended, \
or null), `deleted` |
| `drain` | `drained`, and what is left: `campaigns` (state by id), `recipients` without an outcome, queued `batches`, \
messages of senders that are `unrecorded`; `drain --end` says `draining` |
| `campaign audit` | `campaign`, `state`, `exact`, `checks` (`name`, `ok`, `detail`), `at` |
| `campaign failures` | a line for each: `installation`, `lane`, `outcome`, `reason`, `status`, `detail`, `dead`, \
`tries`, `at`, `batch_id`, `position`, `meaning`; with `--addresses`, `address` or null |
| `campaign explain` | `campaign`, `installation`, `outcome`, `place` (lane, batch, position), `waiting`, `failure`, \
`events` (`at`, `text`) |

Each of a report's `lanes` counts its recipients by where they are: `read` is the sum of `queued`, `in_flight`,
`retrying`, `accepted`, `rejected`, `expired`, `cancelled` and `ambiguous`, at any moment.
"""

Command = Any  # typer carries its own copy of click, whose classes it doesn't export


def page() -> str:
    root = get_command(app)
    sections = [line for name, command in _commands("stentor", root) for line in _section(name, command)]
    return "\n".join([INTRODUCTION, *sections])


def _commands(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    """Every command that does something, with its full name, in the order of the help."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for child, each in command.commands.items():
        yield from _commands(f"{name} {child}", each)


def _section(name: str, command: Command) -> list[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"## {name}", "", f"`{usage}`", "", *_help(command.help or ""), ""]
    records = [each.get_help_record(context) for each in command.params]
    rows = [[cell.replace("|", "\\|") for cell in record] for record in records if record is not None]
    if rows:
        lines += ["| option | what it does |", "|---|---|"]
        lines += [f"| `{spelling}` | {' '.join(told.split())} |" for spelling, told in rows]
        lines.append("")
    return lines


def _help(text: str) -> list[str]:
    """A docstring as Markdown: its examples become a shell block."""
    lines: list[str] = []
    for block in text.replace("\b\n", "").split("\n\n"):
        if block.startswith("Examples:\n"):
            lines += ["```sh", *(line.strip() for line in block.splitlines()[1:]), "```", ""]
        else:
            lines += [*block.splitlines(), ""]
    return lines[:-1]


if __name__ == "__main__":
    sys.stdout.write(page())
