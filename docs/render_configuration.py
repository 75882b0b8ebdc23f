"""Draws `docs/configuration.md` from the settings: `python docs/render_configuration.py > docs/configuration.md`.

A test fails when the page and the settings differ, or an example on it is no valid configuration.
"""

from __future__ import annotations

import sys

from stentor.channels import find
from stentor.cli.init import settings
from stentor.config import APP, SECTIONS

INTRODUCTION = """\
# Configuration

Drawn from `src/stentor/config.py` by `docs/render_configuration.py`; don't edit it here.

All settings stand in one file, `stentor.toml`. `stentor init` writes one that names every setting, switched off;
`stentor doctor` checks all of it: the file, the databases, the audiences, the credentials, and whether the providers
take them.

- **Which file.** `--config`, or else the variable `STENTOR_CONFIG`, or else `stentor.toml` in the working directory.
- **Paths** in it count from the folder it is in, those of SQLite databases too: `sqlite:///stentor.db` lies beside it,
  `sqlite:////var/lib/stentor.db` (four slashes) is absolute. What follows the three slashes is the path as it is: a
  folder may be called `wh?at` or `100%`, and nothing in it is escaped (`%20` is no space).
- **Mistakes** are errors: an unknown setting, a value that cannot be, settings that contradict each other. The message
  names file, setting and remedy. Nothing is done with a configuration that is wrong.
- **Secrets** are in files of their own that the settings name (keys, certificates, passwords of certificates), or part
  of a database's or proxy's URL. No message and no log shows those URLs. The file is written for its owner's eyes only,
  and so is a SQLite database of Stentor's own, which holds addresses ([store.md](store.md#who-may-read-it)).

## Variables

Every setting can be overridden by a variable: `STENTOR_`, then the path to the setting in capitals, with two
underscores between its parts and one for a hyphen. Apps and audiences may be made by variables alone.

| variable | setting |
|---|---|
| `STENTOR_STORE__URL=postgresql://…` | `url` under `[store]` |
| `STENTOR_APPS__IOS__KEY_FILE=/run/secrets/ios.p8` | `key_file` under `[apps.ios]` |
| `STENTOR_AUDIENCES__USERS__COLUMNS__ATTRIBUTES=first_name,plan` | `attributes` under `[audiences.users.columns]` |
| `STENTOR_LOGGING__FORMAT=json` | `format` under `[logging]`; [what is logged](metrics.md#the-log) |

Paths in variables count from the folder of the file, too. An empty variable is as if it weren't there. An unknown
`STENTOR_…` is an error, so that a mistyped one is noticed; those that a Kubernetes service named `stentor` makes are
left alone. `STENTOR_DEBUG=1` is no setting: it shows the traceback of an error.

## Names

What stands for NAME below is yours to choose, of letters, digits, single hyphens and underscores. An app's name is what
the audience's app column holds, and part of its *lane*: the app `ios` is sent to on the lane `apns/ios`. The audience
`registry` is Stentor's own table of installations, which `stentor import` fills; it needs no settings.
"""

EXAMPLES = """\
## What a column may hold

Any type of PostgreSQL's, and whatever SQLite holds. A column that cannot be what it is said to be is refused by name
before anything is sent: an address that is a date, a time that is a UUID, a key that is a list.

| column | what is read |
|---|---|
| `id` | numbers, text, UUIDs, dates and times, bytes |
| `address` | text, numbers, UUIDs, enumerations; `json` and `jsonb`, for browsers' subscriptions; bytes (`bytea`) \
as the ASCII text that they hold, or else in hex. Space around it is left out. `stentor import` reads it the same way |
| `channel`, `app` | text, numbers, UUIDs, enumerations |
| `language` | text, enumerations |
| `registered_at` | epoch seconds or milliseconds, timestamps and dates (UTC if they name no zone), or these as text |
| attributes | everything, as your app would write it: JSON, arrays, rows and ranges, too |

A `registered_at` before 1970 or after 2100 counts as unknown. Attributes of the type `numeric` come as text, and whole
numbers as numbers, however long they are.

A row is rejected by itself, as `UnreadableRow`, if something in it cannot be computed, read or carried: a cast that
fails, a date before year 1 or after 9999, text that isn't UTF-8, JSON with more than 32 lists and objects in one
another. All others are sent to. If more than a hundred rows of one page are like that, it is the column: the campaign
is paused and names it. If a condition or the query fails as a whole, the campaign is paused, too. Correct the table,
or the audience in `stentor.toml` (and restart `stentor serve` and `stentor worker`, which read that file when they
start); then `stentor campaign resume` goes on where it was.

`stentor doctor` and `stentor send --dry-run` look at up to 10,000 installations, spread over the audience: how many
addresses are malformed by what their channel says of them, and how many rows cannot be read.

## PostgreSQL's URL

`postgresql://user:password@host:port/database`, with libpq's options after a `?` and `&` between them. In a user or a
password write `/` as `%2F`, `?` as `%3F`, `#` as `%23`, `@` as `%40`, `[` as `%5B`, `]` as `%5D` and `%` as `%25`.

- **Several hosts** stand with commas between, each with its port: `postgresql://me@a:5432,b:5432/app`. They are tried
  in that order; `?target_session_attrs=read-write` takes the one that can be written to.
- **Taken** are the options that say whom to connect to and how: `sslmode`, `sslrootcert` (also `system`, for the
  authorities that this machine trusts) and the others that begin with `ssl`, `connect_timeout`, `application_name`,
  `options`, `passfile`, `target_session_attrs`. Any other name is a setting of the server's, such as
  `statement_timeout=60s`, which the server refuses if it doesn't know it.
- **Ignored** are those that the driver has nothing for: `channel_binding`, `gssencmode`, `keepalives` and its kin,
  `load_balance_hosts`, `require_auth` and the like; `stentor doctor` names them. Use `sslmode=verify-full` to be sure
  whom you talk to.
- **A pooler** before the server (PgBouncer, and what Supabase and Neon call pooled) is noticed by itself, in
  transaction mode, too: statements are then prepared without a name, each time anew. That costs some speed, so give
  `[store]` the server's own address if you have both; for `[audiences.…]` it makes no difference.

## A table in PostgreSQL

The app's database has a table of devices for both platforms; Stentor reads it, and keeps its own tables in a database
of its own. The user that reads needs SELECT on that table, nothing else.

```toml
[store]
url = "postgresql://stentor:password@db.internal/stentor"

[apps.ios]
channel = "apns"
topic = "com.example.app"
key_file = "AuthKey_ABCDE12345.p8"
key_id = "ABCDE12345"
team_id = "FGHIJ67890"

[apps.android]
channel = "fcm"
service_account_file = "service-account.json"

[audiences.users]
url = "postgresql://reader:password@db.internal/app"
table = "public.devices"
where = "deleted_at IS NULL"
channels = { ios = "apns", android = "fcm" }

[audiences.users.columns]
id = "device_id"
address = "push_token"
channel = "platform"
language = "locale"
registered_at = "token_updated_at"
attributes = ["first_name", "plan"]
```

The column `id` must be unique and never NULL, and should have an index: the table is read in its order, a page at a
time. Installations whose channel or app isn't configured are on no lane: `stentor doctor` counts them, and nobody sends
to them.

## A query, and one channel

```toml
[apps.watch]
channel = "apns"
topic = "com.example.watch"
certificate_file = "watch.p12"
certificate_password_file = "watch.password"

[audiences.subscribers]
query = "SELECT d.id, d.token, u.language FROM devices d JOIN users u ON u.id = d.user_id WHERE u.subscribed"
channel = "apns"
app = "watch"

[audiences.subscribers.columns]
language = "language"
```

## A rehearsal

The simulators print where they are and what a sender needs; `stentor init` makes apps of that:

```sh
stentor simulate apns --json > apns.json &
stentor simulate fcm --json > fcm.json &
stentor init rehearsal --simulator apns.json --simulator fcm.json
stentor doctor --config rehearsal/stentor.toml
```

That is the same as writing it by hand. `url` says where to send instead of Apple and Google, `ca_file` whom to trust:

```toml
[apps.ios]
channel = "apns"
topic = "com.example.app"
key_file = "simulators/AuthKey_ABCDE12345.p8"
key_id = "ABCDE12345"
team_id = "FGHIJ67890"
url = "https://127.0.0.1:2197"
ca_file = "simulators/apns-ca.pem"

[apps.android]
channel = "fcm"
service_account_file = "simulators/service-account.json"
url = "https://127.0.0.1:2198"
ca_file = "simulators/fcm-ca.pem"
```
"""


def page() -> str:
    parts = [INTRODUCTION]
    for title, model in SECTIONS:
        rows = [
            f"| `{setting.name}` | {_cell(setting.meaning)} |"
            f" {'required' if setting.required else f'`{setting.default}`' if setting.default else ''} |"
            f" {'' if setting.example == setting.default else f'`{_cell(setting.example)}`'} |"
            for setting in settings(model)
        ]
        head = ["| setting | what it says | default | example |", "|---|---|---|---|"]
        meaning = (model.__doc__ or "").splitlines()[0]
        channel = f" ({find(model.model_fields['channel'].default).title})" if title == APP else ""
        parts.append("\n".join([f"## `[{title}]`{channel}", "", meaning, "", *head, *rows, ""]))
    return "\n".join([*parts, EXAMPLES])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
