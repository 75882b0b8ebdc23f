"""What `stentor doctor` finds about the machine, the store and the audiences.

Rules: a check changes nothing and never raises what the reader can mend: that is a finding, with its remedy.
"""

from __future__ import annotations

import asyncio
import resource
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Selection, Wanted
from stentor.audience.registry import RegistryAudience
from stentor.audience.sampling import LaneSample, look_at, strays
from stentor.audience.sql import SqlAudience
from stentor.cli.waiting import waited_for
from stentor.config import REGISTRY, AudienceConfig, Config, default_app
from stentor.errors import AudienceUnavailable, InvalidAudience, InvalidConfiguration, StentorError
from stentor.findings import Finding, problem, warning
from stentor.runtime.sources import routes
from stentor.settings import sqlite_path
from stentor.store import flags, tables
from stentor.store.database import Database
from stentor.store.migrate import check as check_tables

PATIENCE = 3.0
"""Seconds that a check waits for a database that is locked or away."""
SPARE_FILES = 64
"""File descriptors beside those of the connections to providers and databases."""
MIB = 1024 * 1024
LITTLE_SPACE = 1024 * MIB
NO_SPACE = 64 * MIB


async def check_machine(config: Config) -> list[Finding]:
    """What a sender process needs of this machine."""
    return [
        _check_loop(asyncio.get_running_loop()),
        check_open_files(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    ]


def _check_loop(loop: asyncio.AbstractEventLoop) -> Finding:
    if type(loop).__module__.partition(".")[0] == "uvloop":
        return Finding(check="event loop", detail="uvloop")
    return warning("event loop", "asyncio's own, which sends at half the rate", "Install uvloop.")


def check_open_files(config: Config, limit: int) -> Finding:
    """Whether a process may open a connection for everything that is configured, given its limit of open files."""
    needed = SPARE_FILES + sum(app.max_connections for app in config.apps.values())
    needed += sum(audience.connections for audience in config.audiences.values())
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return Finding(check="open files", detail="no limit" if limit == resource.RLIM_INFINITY else f"up to {limit:,}")
    return problem(
        "open files",
        f"a process may open {limit:,}, and may need {needed:,}",
        f"Run `ulimit -n {max(4096, needed)}` first, or set LimitNOFILE in the service's unit, or lower"
        " `max_connections`.",
    )


# -- the store --------------------------------------------------------------------------------------------------------


async def check_store(config: Config) -> list[Finding]:
    """Whether it opens, has this version's tables and can be written to; lanes that stopped; free space."""
    file = _file(config.store.url)
    if file is not None and is_missing(config.store.url):
        remedy = "Run `stentor init --upgrade`, which makes it, or correct `store.url`."
        return [problem("store", f"there is no {file}", remedy)]
    database = Database.open(config.store.url, patience=PATIENCE)
    try:
        await check_tables(database)
        await database.write(_touch)
        async with database.read() as connection:
            stopped = (await connection.execute(_STOPPED)).all()
            draining = await flags.get(connection, flags.DRAINING)
    except StentorError as error:
        return [problem("store", str(error), "Fix that, or correct `store.url`.")]
    finally:
        await database.aclose()
    detail = f"{file or database.name}: its tables are of this version, and can be written"
    found = [Finding(check="store", detail=detail), *check_options("store", database)]
    found += [
        warning(f"lane {row.lane}", f"{'stopped' if row.waiting is None else 'waits'}: {row.problem}", row.remedy or "")
        for row in stopped
    ]
    if draining is not None:
        found.append(warning("campaigns", "held back by `stentor drain`", "`stentor drain --end` lets them start."))
    if file is not None:
        found += check_secrecy(file)
        found.append(check_space(shutil.disk_usage(file.parent).free, file.parent))
    return found


def check_options(check: str, database: Database) -> list[Finding]:
    """Those in its URL that change nothing."""
    if not database.ignored:
        return []
    return [
        warning(
            f"{check}.url",
            f"the database driver ignores {', '.join(database.ignored)}",
            "Remove that from the URL. If you rely on it, use the server's own settings instead.",
        )
    ]


_STOPPED = sa.select(tables.lanes).where(tables.lanes.c.problem.is_not(None))


def _file(url: str) -> Path | None:
    """The file of a SQLite database."""
    path = sqlite_path(url)
    return None if path is None else Path(path)


def is_missing(url: str) -> bool:
    """Whether it is a SQLite database that isn't there: opening it would make it."""
    file = _file(url)
    return file is not None and not file.exists()


async def _touch(connection: AsyncConnection) -> None:
    """A write that takes the lock and changes nothing."""
    await connection.execute(sa.delete(tables.lanes).where(tables.lanes.c.lane == NO_LANE))


def check_secrecy(file: Path) -> list[Finding]:
    """Whether every user of this machine can read or change the store's file, or the two that SQLite keeps beside it.
    To let a group do so is somebody's decision."""
    files = [file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm"))]
    open_to_all = [each for each in files if each.exists() and each.stat().st_mode & 0o006]
    if not open_to_all:
        return []
    names = " ".join(shlex.quote(str(each)) for each in open_to_all)
    return [
        warning(
            "store: rights", f"everybody on this machine can read the addresses in {file}", f"Run `chmod 600 {names}`."
        )
    ]


def check_space(free: int, folder: Path) -> Finding:
    """`free` is in bytes."""
    detail = f"{free // MIB:,} MiB free in {folder}"
    if free < NO_SPACE:
        return problem("disk", detail, "Free some space: while the disk is full, nothing is sent.")
    if free < LITTLE_SPACE:
        return warning("disk", detail, "Free some space: a campaign to a million takes about 200 MiB.")
    return Finding(check="disk", detail=detail)


# -- the audiences ----------------------------------------------------------------------------------------------------


async def check_audiences(config: Config, out: Console) -> list[Finding]:
    """Each audience, and the registry where somebody is in it, with its installations by lane. They are counted for as
    long as it takes, which people are told by `out`."""
    found = []
    for name, settings in config.audiences.items():
        async with waited_for(f"Counting {name}", out):
            found += await _check_audience(config, name, settings)
    async with waited_for(f"Counting {REGISTRY}", out):
        return [*found, *await _check_registry(config)]


async def _check_audience(config: Config, name: str, settings: AudienceConfig) -> list[Finding]:
    check = f"audiences.{name}"
    url = settings.url or config.store.url
    if is_missing(url):
        remedy = f"Make it, or correct `{check}.url`: a relative path starts from the folder of the settings file."
        return [problem(check, f"there is no {_file(url)}", remedy)]
    try:
        database = Database.open(url, connections=1, patience=PATIENCE, foreign=True)
    except InvalidConfiguration as error:
        return [problem(check, str(error), f"Correct `{check}.url`.")]
    try:
        audience = SqlAudience(database, settings, Selection(source=name), routes(config))
        wanted = Wanted(language=True, variables=settings.columns.attributes)
        await audience.check(wanted)
        counts = dict(await audience.count())
        nowhere = strays(await audience.nowhere())
        found = _describe(check, counts, nowhere, await look_at(audience, wanted), _undecided(config))
        return [found, *check_options(check, database)]
    except (InvalidAudience, AudienceUnavailable) as error:
        return [problem(check, str(error).removeprefix(f"{check}: "), f"Fix the database, or [{check}] in the file.")]
    finally:
        await database.aclose()


async def _check_registry(config: Config) -> Sequence[Finding]:
    """Nothing where the registry cannot be read, which the check of the store tells, or where it isn't used."""
    if is_missing(config.store.url):
        return ()
    database = Database.open(config.store.url, connections=1, patience=PATIENCE, foreign=True)
    try:
        audience = RegistryAudience(database, Selection(source=REGISTRY), routes(config))
        counts, nowhere = dict(await audience.count()), strays(await audience.nowhere())
        seen = await look_at(audience, Wanted())
    except (InvalidAudience, AudienceUnavailable):
        return ()
    finally:
        await database.aclose()
    return [_describe(REGISTRY, counts, nowhere, seen, _undecided(config))] if counts else ()


def _undecided(config: Config) -> dict[str, list[str]]:
    """The apps of each channel that has several and no default one, by the channel's name."""
    found: dict[str, list[str]] = {}
    for name, app in config.apps.items():
        found.setdefault(app.channel, []).append(name)
    return {channel: names for channel, names in found.items() if default_app(config, channel) is None}


def _describe(
    check: str,
    counts: dict[str, int],
    strays: str,
    seen: Mapping[str, LaneSample],
    undecided: Mapping[str, Sequence[str]],
) -> Finding:
    """Args:
    strays: what those on no lane say of their channel and app.
    """
    nowhere = counts.pop(NO_LANE, 0)
    shown = [f"{count:,} on {lane}" for lane, count in sorted(counts.items())]
    if nowhere:
        shown.append(f"{nowhere:,} on no lane ({strays})")
    if bad := {lane: each for lane, each in sorted(seen.items()) if each.unsendable}:
        return (problem if any(each.unsendable == each.looked_at for each in bad.values()) else warning)(
            check,
            ". ".join([", ".join(shown), *(f"{lane}: {each.problem}" for lane, each in bad.items())]),
            "They won't be reached: correct their rows, or name the right columns.",
        )
    if nowhere and undecided:
        apps = " and ".join(f"{channel} has {len(names)} apps" for channel, names in undecided.items())
        tables = ", ".join(f"[apps.{name}]" for names in undecided.values() for name in names)
        return problem(
            check,
            f"{', '.join(shown)}: {apps}, and none of them is the default",
            f"Set `default = true` in one of {tables}, or name each installation's app in a column (`columns.app`).",
        )
    if nowhere:
        return (warning if counts else problem)(
            check,
            ", ".join(shown),
            "The installations on no lane won't be reached: add the app they name under [apps.NAME], set"
            " `default = true` for one app of their channel, or translate the channel column's values with `channels`.",
        )
    if not shown:
        return warning(check, "it has no installations", "Check its `where`, or add installations.")
    return Finding(check=check, detail=", ".join(shown))
