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

This page is generated from `src/stentor/config.py` by `docs/render_configuration.py`; don't edit it here.

All settings are in one file, `stentor.toml`. `stentor init` writes a file that lists every setting, switched off.
`stentor doctor` checks everything: the file, the databases, the audiences, the credentials, and whether the providers
accept them.

- **Which file.** Stentor uses the file in `--config`. Without that, it uses the file in the variable `STENTOR_CONFIG`,
  or else `stentor.toml` in the working directory.
- **Paths** are relative to the folder of the file, also in the URL of a SQLite database: `sqlite:///stentor.db` is in
  the same folder. With four slashes the path is absolute: `sqlite:////var/lib/stentor.db`. Everything after the three
  slashes is the path itself, and nothing in it is escaped. So a folder may be called `wh?at` or `100%`, and `%20` is
  not a space.
- **Mistakes** are errors: an unknown setting, an impossible value, or settings that contradict each other. The message
  names the file and the setting, and says how to fix it. Stentor does nothing until the settings are correct.
- **Secrets** (keys, certificates, passwords of certificates) are in separate files that the settings name. A password
  can also be part of the URL of a database or a proxy. No message and no log shows these URLs. `stentor init` writes
  the settings file so that only its owner can read it. The same is true of Stentor's own SQLite database, because it
  holds addresses ([store.md](store.md#who-may-read-it)).

## Variables

An environment variable can override every setting. Its name is `STENTOR_`, followed by the path to the setting in
capital letters. Put two underscores between the parts of the path, and one in place of a hyphen. You can also define
apps and audiences by variables alone.

| variable | setting |
|---|---|
| `STENTOR_STORE__URL=postgresql://…` | `url` under `[store]` |
| `STENTOR_APPS__IOS__KEY_FILE=/run/secrets/ios.p8` | `key_file` under `[apps.ios]` |
| `STENTOR_AUDIENCES__USERS__COLUMNS__ATTRIBUTES=first_name,plan` | `attributes` under `[audiences.users.columns]` |
| `STENTOR_LOGGING__FORMAT=json` | `format` under `[logging]`; [what is logged](metrics.md#the-log) |

Paths in variables are relative to the folder of the file, too. An empty variable is ignored. An unknown `STENTOR_…` is
an error, so that you notice a typing mistake. Variables that Kubernetes makes for a service named `stentor` are
ignored. `STENTOR_DEBUG=1` is not a setting: it shows the traceback of an error. `STENTOR_URL` and `STENTOR_KEY` belong
to the [client](client.md).

## Names

You choose the names that are shown as NAME below. They may contain letters, digits, single hyphens and underscores. An
app's name is what the audience's app column holds. It is also part of the app's *lane*: the lane of the app `ios` is
`apns/ios`. The audience `registry` is Stentor's own table of installations, which `stentor import` fills. It needs no
settings.
"""

EXAMPLES = """\
## What a column may hold

A column may have any type that PostgreSQL or SQLite has. If a column's type doesn't fit its use, Stentor refuses the
column by name before anything is sent. Examples are an address that is a date, a time that is a UUID, and a key that is
a list.

| column | what it may contain |
|---|---|
| `id` | numbers, text, UUIDs, dates and times, bytes |
| `address` | text, numbers, UUIDs, enumerations; `json` and `jsonb`, for browsers' subscriptions; bytes (`bytea`), \
read as ASCII text if possible, or else written in hex. Spaces around an address are removed. `stentor import` \
reads addresses the same way |
| `channel`, `app` | text, numbers, UUIDs, enumerations |
| `language` | text, enumerations |
| `registered_at` | epoch seconds or milliseconds, timestamps and dates (UTC if they name no zone), \
or any of these as text |
| attributes | everything, written as your app would write it; JSON, arrays, rows and ranges too |

A `registered_at` before 1970 or after 2100 counts as unknown. Attributes of the type `numeric` are read as text. Whole
numbers are read as numbers, however long they are.

A single row is rejected as `UnreadableRow` if something in it cannot be computed, read or put into a batch: a cast that
fails, a date before year 1 or after 9999, text that isn't UTF-8, JSON nested more than 32 levels deep. All other rows
are sent to. If more than a hundred rows of one page are rejected, the column itself is wrong: Stentor pauses the
campaign and names the column. If a condition or the query fails as a whole, the campaign is paused too. Correct the
table, or the audience in `stentor.toml`. If you changed the file, restart `stentor serve` and `stentor worker`, which
read it when they start. Then `stentor campaign resume` continues where the campaign stopped.

`stentor doctor` and `stentor send --dry-run` look at up to 10,000 installations, spread over the audience. They count
the addresses that are malformed for their channel, and the rows that cannot be read.

## PostgreSQL's URL

The URL is `postgresql://user:password@host:port/database`. After a `?` it may have libpq's options, with `&` between
them. In a user or a password, write `/` as `%2F`, `?` as `%3F`, `#` as `%23`, `@` as `%40`, `[` as `%5B`, `]` as `%5D`
and `%` as `%25`.

- **Several hosts** are separated by commas, each with its port: `postgresql://me@a:5432,b:5432/app`. Stentor tries them
  in this order. With `?target_session_attrs=read-write` it takes the one that can be written to.
- **Supported options** say where to connect and how: `sslmode`, `sslrootcert` (also `system`, for the authorities that
  this machine trusts) and the others that begin with `ssl`, `connect_timeout`, `application_name`, `options`,
  `passfile`, `target_session_attrs`. Any other name is passed to the server as a setting, such as
  `statement_timeout=60s`. The server refuses a setting that it doesn't know.
- **Ignored options** are those that the driver doesn't support: `channel_binding`, `gssencmode`, `keepalives` and
  related options, `load_balance_hosts`, `require_auth` and the like. `stentor doctor` names them. Use
  `sslmode=verify-full` to be sure which server you are connected to.
- **Connection poolers** (PgBouncer, and the pooled connections of Supabase and Neon) are detected automatically, in
  transaction mode too. Statements are then prepared without a name, each time anew. That costs some speed. So give
  `[store]` the server's own address if you have both. For `[audiences.…]` it makes no difference.

## A table in PostgreSQL

In this example, the app's database has a table of devices for both platforms. Stentor reads this table, and keeps its
own tables in a separate database. The user that reads the table needs only SELECT on it.

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

The column `id` must be unique and never NULL. It should have an index, because the table is read in the order of `id`,
one page at a time. Installations whose channel or app isn't configured, or whose channel column holds a word that means
no channel, are on no lane: Stentor rejects them as `NoLane` and sends to all others. `stentor doctor` and the preview
count them, and say what their rows hold.

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

The simulators print their address and everything a sender needs. `stentor init` makes apps from that:

```sh
stentor simulate apns --json > apns.json &
stentor simulate fcm --json > fcm.json &
stentor init rehearsal --simulator apns.json --simulator fcm.json
stentor doctor --config rehearsal/stentor.toml
```

With `--channels apns,fcm` as well, the file is short, and all of it but the simulators' apps is switched off. You can
also write the same settings by hand. `url` says where to send instead of Apple and Google. `ca_file` says which
authority to trust:

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
        head = ["| setting | meaning | default | example |", "|---|---|---|---|"]
        meaning = (model.__doc__ or "").splitlines()[0]
        channel = f" ({find(model.model_fields['channel'].default).title})" if title == APP else ""
        parts.append("\n".join([f"## `[{title}]`{channel}", "", meaning, "", *head, *rows, ""]))
    return "\n".join([*parts, EXAMPLES])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
