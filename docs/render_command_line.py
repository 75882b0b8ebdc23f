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

This page is generated from `src/stentor/cli` by `docs/render_command_line.py`; don't edit it here. `stentor --help`,
and `--help` after any command, show the same texts.

## For all commands

**Exit codes.**

- 0: done. Recipients that could not be reached are counted and listed; they don't make a command fail, unless nobody
  was reached.
- 1: failed. The message says why, and whether trying again may help. A campaign that ended in any other state than
  completed exits with 1 too, and so does an audit that isn't exact.
- 2: an option, a setting, a credential or a message is wrong. Nothing was done.
- 3: a campaign was sent to its end and reached nobody: it had recipients, and no provider accepted any of them. The
  report and `stentor campaign failures` say why.
- 130: interrupted. Nothing of the campaign is lost.

**People and programs.** Results go to stdout, errors and questions to stderr. On a terminal, a running campaign is
shown live. Without a terminal, a line is printed every few seconds. With `--json`, stdout holds JSON and nothing else.
Without a terminal, a command that asks for confirmation needs `--yes`.

**Campaigns.** You can name a campaign by its id, by any unique part of its id, by its title if no other campaign has
the same title, or as `last`. If a name could mean several campaigns, the command lists them and does nothing.

**Ctrl-C** while a campaign is being sent pauses it within a second. The command waits for requests in flight, and says
how to continue. A second Ctrl-C doesn't wait. SIGTERM stops sending gracefully and leaves the campaign as it is:
`stentor campaign resume` continues it, as it does after a crash.

**Filters** choose a part of an audience, e.g. `--filter country=de`, `--filter country!=at`,
`--filter "country in de,at,ch"` or `--filter "country not in de,at"`. `--filter language^=de` matches values that begin
with `de` (upper and lower case differ). Spaces around a value don't count. Put quotes around a value with a comma. If
there are several filters on one column, a row must match at least one of the values or prefixes, and none of the
excluded values. Filters on different columns must all match. A row without a value in the column (NULL) matches `!=`
and `not in`. Conditions of any other kind, such as `age > 30`, belong in the `where` of an audience
([configuration.md](configuration.md)).

**From cron**, use `--once KEY`: it sends only if no campaign was started with this key before, on this machine or
another. The command exits with 0 either way. The key stays used even after the campaign is pruned. If a campaign could
not be started, its key stays free. `--quiet` prints only errors, so that cron mails you only if something is wrong.

**Waiting.** If a command has to wait for more than two seconds, it says what for: the store's database cannot be
reached, or another process still holds a part of a cancelled campaign. Without a database it gives up after about half
a minute. What takes long by itself, such as counting an audience, is shown on a terminal while it lasts; elsewhere, a
line on stderr says so every 30 seconds.

**Durations** are written `90s`, `15m`, `1h30m` or `2d`. Times are written `2030-01-31T18:00` (this machine's time
zone), `2030-01-31T18:00+01:00`, or `+90m` (from now).

**Roles.** `stentor send` runs all roles itself, until its campaign ends. `stentor serve` and `stentor worker` keep
running, and send campaigns that were started with `--detach`: see [cluster.md](cluster.md). SIGTERM or Ctrl-C stops
them gracefully, within `sending.stop_within` seconds and a few more; then they exit with 0. After a second signal they
stop without waiting.

`STENTOR_DEBUG=1` shows the traceback of an error. Environment variables override all settings: see
[configuration.md](configuration.md).

## What `--json` prints

Times are epoch seconds, durations are seconds. New versions may add fields; existing fields keep their meaning.

| command | object |
|---|---|
| `send`, `campaign show`, `watch`, `resume`, `cancel`, `retry` | a report: `campaign`, `installations` (read so far), \
`accepted` (by the provider; providers don't say whether a phone showed the message), \
`failed` (rejected, expired or ambiguous), `cancelled`, `pending`, \
`unread` (about how many were not yet read when it was stopped), `left_out` (those of `failed` who got nothing by a \
rule, such as `skip` in a template), `lanes`, \
`reasons`, `dead` (addresses that will never work again), `dead_letters` (batches that could not be processed) and the \
latest of them as `put_aside`, `seconds` (not counting the time it was `paused`), `rate`, \
`problems` (by lane: why it doesn't send; with `show` also which role runs nowhere), `at`; \
`show` adds `still`: nothing moved while it looked |
| `send --dry-run` | `title`, `lanes` (each with `recipients`, `ceiling` in pushes per second or null, \
`seconds` at least, `examples` of what real recipients get; and, of `looked_at` installations, how many get each of \
the `languages`, which of them each of the `tags` gets, and how many are `lacking` each value), `recipients`, \
`unroutable`, `seconds`, `times` (of a campaign with a timing: `zones`, each with its `recipients`, whether its local \
time is `past`, how many are `left_out` by which reason, when the `first` and the `last` of them are sent to, when \
quiet hours begin next (`quiet_at`), and whether sending `runs_into_quiet` hours; how many are `without_zone`; else \
null), \
`warnings`, `left_out` (how many of them get nothing by which rule) and whether that is an estimate \
(`left_out_about`), `sample` \
(the payload of a lane's first example), `confirmation` (with it, the API starts only this) |
| `campaign list` | `campaigns`: a list of campaigns, each with `accepted`, `failed`, `cancelled`, `pending` and \
`seconds` (from its start to its end, or to now) |
| `send --once`, if it was sent before | `already_sent`: the campaign's id |
| `send --detach`, `campaign start`, `unschedule`, `pause` | \
the campaign: `id`, `title`, `state`, `problem`, `audience`, `created_at`, \
`starts_at`, `expires_at`, `finished_at`, `planned` (whether the whole audience has been read), `expected` \
(recipients by lane), `max_rate` (the most pushes per second over all lanes, or \
null), `timing` (when each recipient gets it; null: everybody at once), `released_at` (since when those get it, too, \
who wait for a release; or null), `pause_above` (the share of failures on a lane above which it pauses by itself, or \
null), `revision` (how often it was changed as a draft, or made a draft again), `held_until` \
(before when it does not start, as its start was held; or null), and whom it leaves alone: `category`, `exclude`, \
`not_reached_by`, `caps`, and `template` (the `name` and the `version` of the saved template that it was made from, or \
null) |
| `series add`, `change`, `pause`, `resume` | the series: `id`, `name`, `cron`, `zone`, `missed` (`skip` or `one`), \
`paused`, `next_at` (or null: it is paused), `revision`, `created_at`, `changed_at`; `add --dry-run` prints \
`explained` (the cron line in English), `times`, and the same as `local` |
| `series list`, `series show` | `series`: a list of series, each with `last_run` (or null); or one of these |
| `series runs` | `runs`: each with `due`, `state` (`due`, `started`, `failed`, `skipped` or `missed`), `campaign` (or \
null: it was not started), `reason`, `runs` (how many in a row were missed), `at` |
| `template save`, `show`, `restore` | a version of a template: `name`, `version`, `newest`, `title`, `created_at` \
(of the template), `saved_at`, `saved_by`, `restored` (the version that it is a copy of, or null), `message` |
| `template list`, `versions` | `templates`: the newest version of each, without `message`; or `versions`: those of \
one template |
| `template compare` | `changes`: each with `field` (its path in a message file), `told` (the change in a sentence), \
`before` and `after` as JSON; each left out if the field isn't there |
| `campaign prune` | `campaigns` (their ids), `recipients`, `failures`, `oldest` (when the first of them ended, \
or null), `deleted` |
| `drain` | `drained`, and what is left: `campaigns` (state by id), `recipients` without an outcome, queued `batches`, \
messages from senders that are still `unrecorded`; `drain --end` says `draining` |
| `installation show` | `id`, `channel`, `app`, `address` (its beginning, unless asked for), \
`language`, `time_zone`, `attributes`, `registered_at`, `dead_at`, `dead_reason` |
| `installation list` | `installations`, and `next`: the cursor of the next page, or null |
| `installation put` | `change` (added, changed, revived or unchanged), `installation` |
| `installation delete` | `id`, `deleted` |
| `installation erase` | `registered`, `places` (in campaigns), `cancelled` (of these, not sent to any more), \
`campaigns` (their ids), `left` (what could not be removed yet, and why) |
| `opt-out list` | `opt_outs`: each with `installation`, `category` (`all`: all messages) and `at`; `opt-out add` and \
`import` print how many are new (`added`), `opt-out remove` how many were `removed` |
| `exclusion list` | `lists`: each with `name`, `installations` (how many), `created_at`, `changed_at`; with a list's \
name: its `installations`. `exclusion add` and `import` print `added`, `exclusion remove` prints `removed` |
| `campaign audit` | `campaign`, `state`, `exact`, `checks` (`name`, `ok`, `detail`), `at` |
| `campaign failures` | one line per recipient: `installation`, `lane`, `outcome`, `reason`, `status`, `detail`, \
`dead`, `tries`, `at`, `batch_id`, `position`, `meaning`; with `--addresses`, `address` or null |
| `key create`, `key roll` | `key` (the text, shown only here) and `about`: the key as in `key list` |
| `key list` | `keys`: a list of keys, each with `id`, `name`, `scope`, `created_at`, `created_by`, `expires_at`, \
`revoked_at`, `last_used_at` (to a minute), `old_until` (until when the text from before it was rolled is valid) and \
`old_used_at` (when that text was last used); `key revoke` prints one of these |
| `user list` | `users`: a list of users, each with `id`, `name`, `role`, `created_at`, `created_by`, `issuer` (of the \
OpenID provider that signs this user in, or null), `password_at`, `disabled_at`, `signed_in_at`; `user role`, \
`password`, `disable` and `enable` print one of these |
| `user add`, `user link` | `user` (or null: the first admin) and `link`; a link has `link`, `ends_at` and `user` |
| `user sign-out` | `user`, and how many sessions `ended` |
| `user log` | `actions`: a list of rows, each with `id`, `at`, `caller_id`, `caller_name`, `caller_kind`, `action`, \
`object`, `outcome`, `detail` |
| `report test` | `targets`: by name, whether it was `sent`, the HTTP `status` or null, and how the `answer` begins |
| `report list`, `report replay` | `reports`: each with `report` (its id), `kind`, `campaign` or null, `lane` or null, \
`at` (when it happened), `target`, `status` (`waiting`, `sent` or `failed`), `tries`, `created_at`, \
`ready_at` (the next try, or null), `tried_at`, `answer_status`, `answer` |
| `campaign explain` | `campaign`, `installation`, `outcome`, `place` (lane, batch, position), `waiting`, `failure`, \
`events` (`at`, `text`) |

Each of a report's `lanes` counts its recipients by state. At any moment, `read` is the sum of `queued`, `in_flight`,
`retrying`, `accepted`, `rejected`, `expired`, `cancelled` and `ambiguous`.
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
