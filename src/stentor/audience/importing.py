"""Rows into the registry: read, checked, registered by the thousand, and counted by their fate.

Rows come from a file (`import_rows`) or from whatever else gives them (`take_in`). Rules: a row that cannot be used is
told with the reason and doesn't stop the rest; a value that is left out is told too. Of rows with the same id the last
counts. Importing again changes nothing that is already there, so an import that was cut short is simply repeated.

While some rows are being written, the next ones are read and checked, and on PostgreSQL written too. What is counted
and told was written, and so was all before it: where it ends early, it is known how much of it stays.

Which ids came before is kept in a temporary SQLite database on disk, for a set of ten million ids would need a
gigabyte. Its cache is small; rows are mostly in the order of their ids, which it likes best.
"""

from __future__ import annotations

import asyncio
import csv
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from stentor.audience.files import RowFile
from stentor.audience.json_lines import Bad, Read
from stentor.audience.registry import Registered, Registration, register
from stentor.audience.rows import RowReader, RowRefused
from stentor.cells import cell
from stentor.errors import InvalidConfiguration
from stentor.store.database import SQLITE, Database

BATCH = 1000
"""Rows that are registered in one transaction."""
LARGEST_BATCH = 1024 * 1024
"""Bytes of rows that are held for one transaction, or one row that is larger."""
WRITERS = 2
"""Transactions at a time, where the database takes several: one waits for the disk while the other is executed."""
AT_A_STRETCH = 100
"""Rows that are checked before others of this event loop get their turn: a few milliseconds' work."""
DUPLICATE = "duplicate"


class RowFate(StrEnum):
    """What is told of a row."""

    REJECTED = "rejected"
    """It cannot be used."""
    LEFT_OUT = "left out"
    """It was registered without a value that cannot be read, and isn't needed."""
    DUPLICATE = "duplicate"
    """A later row with the same id counts."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What is told of a row that was not registered just as it stands there."""

    line: int
    fate: RowFate
    reason: str
    """In words; of the same fault it begins with the same ones."""
    row: Mapping[str, Any] = field(repr=False)
    """What the row says, with its address; empty if it cannot be read."""


@dataclass(slots=True)
class ImportResult:
    """What became of a file's rows: `read` is the sum of all others (but of a dry run, which registers nothing)."""

    lines: int = 0
    """The line of the last of these rows."""
    read: int = 0
    registered: Registered = field(default_factory=Registered)
    unchanged: int = 0
    duplicates: int = 0
    """Rows that a later one with the same id overruled."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Rows by the rule they break."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Values of rows that were imported all the same: they could not be read, and aren't needed."""

    @property
    def fine(self) -> int:
        """Installations that the file holds."""
        return self.read - self.duplicates - self.rejected.total()

    def __iadd__(self, other: ImportResult) -> Self:
        self.lines = max(self.lines, other.lines)
        self.read += other.read
        self.registered += other.registered
        self.unchanged += other.unchanged
        self.duplicates += other.duplicates
        self.rejected.update(other.rejected)
        self.left_out.update(other.left_out)
        return self

    def as_dict(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "added": self.registered.added,
            "changed": self.registered.changed,
            "revived": self.registered.revived,
            "unchanged": self.unchanged,
            "duplicates": self.duplicates,
            "rejected": dict(self.rejected.most_common()),
            "left_out": dict(self.left_out.most_common()),
        }


class Rejects:
    """The file of rows that were refused: made when there is the first. Holds no address whole."""

    def __init__(self, path: Path, read: Path, *, overwrite: bool = False) -> None:
        """Args:
        read: the file that is imported.
        overwrite: whether what is there may be replaced.

        Raises:
            InvalidConfiguration: it is the file that is read, or is there already.
        """
        if path.exists() and read.exists() and path.samefile(read):
            raise InvalidConfiguration(f"--rejects: {path} is the file that is read; name another one.")
        if path.is_file() and not overwrite:
            raise InvalidConfiguration(
                f"--rejects: {path} is there already; name another file, or add --overwrite to replace it."
            )
        self.path = path
        self.written = 0
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, line: int, reason: str, row: Mapping[str, Any]) -> None:
        """Raises:
        InvalidConfiguration: the file cannot be written.
        """
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", newline="")
                csv.writer(self._file).writerow(("line", "reason", "id", "address"))
            key, address = _shown(row.get("id"), 80), shorten(row.get("address"))
            csv.writer(self._file).writerow(map(cell, (line, reason, key, address)))
        except OSError as error:
            raise InvalidConfiguration(f"--rejects: {self.path}: {error.strerror}.") from None
        self.written += 1


def shorten(address: object) -> str:
    """The beginning of an address: enough to find it by, too little to send to."""
    text = _shown(address, 4096)
    return text if not text else f"{text[: min(8, len(text) // 2)]}…"


def _shown(value: object, longest: int) -> str:
    text = "" if value is None else str(value)[:longest]
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def rejects_of(file: Path, *, overwrite: bool) -> Path:
    """Where the rejects of a file go unless somebody says otherwise: beside it, under a name that isn't taken."""
    path = file.with_name(f"{file.name}.rejects.csv")
    number = 2
    while path.is_file() and not overwrite:
        path = file.with_name(f"{file.name}.rejects-{number}.csv")
        number += 1
    return path


class _Seen:
    """The ids that came before, and on which line."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file that goes by itself
        self._database.execute("PRAGMA cache_size=-8192")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID")

    def close(self) -> None:
        self._database.close()

    def add(self, lines: Mapping[str, int]) -> dict[str, int]:
        """Note ids and their lines; of those that came before, the lines they stood on."""
        execute = self._database.execute
        before = self._database.total_changes
        execute("BEGIN")
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", lines.items())
        known: dict[str, int] = {}
        if self._database.total_changes - before < len(lines):
            marks = ",".join("?" * len(lines))
            found = execute(f"SELECT id, line FROM seen WHERE id IN ({marks})", list(lines))
            known = {key: line for key, line in found if line != lines[key]}
            self._database.executemany("UPDATE seen SET line = ?2 WHERE id = ?1", [(k, lines[k]) for k in known])
        execute("COMMIT")
        return known


async def import_rows(
    file: RowFile,
    reader: RowReader,
    rejects: Rejects,
    database: Database | None,
    progress: Callable[[ImportResult], None] = lambda result: None,
) -> ImportResult:
    """Register the installations of a file.

    Args:
        database: whose registry; None only checks the rows.
        progress: called after each batch.

    Raises:
        StoreUnavailable: the database cannot be written to; what was committed stays.
        InvalidConfiguration: the rejects file cannot be written.
    """

    async def tell(remarks: Sequence[Remark]) -> None:
        for remark in remarks:
            rejects.write(remark.line, remark.reason, remark.row)

    return await take_in(_batches_of(file), reader, database, tell, progress, ahead=file.is_there)


async def take_in(
    batches: AsyncIterable[Sequence[Read | Bad]],
    reader: RowReader,
    database: Database | None,
    tell: Callable[[Sequence[Remark]], Awaitable[None]],
    progress: Callable[[ImportResult], None] = lambda result: None,
    *,
    ahead: bool = True,
) -> ImportResult:
    """Register rows, some at a time, each lot of them in a transaction.

    Args:
        batches: rows in the order of their lines. What it raises goes to the caller; what was read before it stays.
        database: whose registry; None only checks the rows.
        tell: is told about some rows once they are committed.
        progress: told what is committed so far, after each batch.
        ahead: read the next rows while some are written. Not for rows that block the event loop until they come.

    Raises:
        StoreUnavailable: the database cannot be written to; what was committed stays.
    """
    total = ImportResult()
    most = 1 if database is None or database.dialect == SQLITE else WRITERS

    async def write(checked: _Checked, before: asyncio.Task[None] | None) -> None:
        result = checked.result
        if database is not None:
            new = await register(database, checked.fresh)
            result.registered += new
            result.unchanged += len(checked.fresh) - new.added - new.changed - new.revived
            await register(database, checked.again)
        if before is not None:
            await before
        nonlocal total
        total += result
        if checked.remarks:
            await tell(checked.remarks)
        progress(total)

    writing: deque[asyncio.Task[None]] = deque()
    try:
        with closing(_Seen()) as seen:
            async for batch in batches:
                checked = await _check(batch, reader, seen)
                while len(writing) >= (1 if checked.again else most):
                    await writing.popleft()
                writing.append(asyncio.create_task(write(checked, writing[-1] if writing else None)))
                await (asyncio.sleep(0) if ahead else writing[-1])
        while writing:
            await writing.popleft()
    except asyncio.CancelledError:
        for each in writing:
            each.cancel()
        raise
    finally:  # also where the rows ended in an error: what was read before it is registered, and told
        await asyncio.gather(*writing, return_exceptions=True)
    return total


async def _batches_of(file: RowFile) -> AsyncIterator[list[Read | Bad]]:
    batch: list[Read | Bad] = []
    since = file.position
    for row in file:
        batch.append(row)
        if len(batch) == BATCH or file.position - since >= LARGEST_BATCH:
            yield batch
            batch, since = [], file.position
    if batch:
        yield batch


@dataclass(slots=True)
class _Checked:
    """Rows that were checked, and are yet to be registered."""

    result: ImportResult
    """Without what registering them does."""
    fresh: list[Registration] = field(default_factory=list)
    again: list[Registration] = field(default_factory=list)
    """Of installations that came in a batch before, and were counted then."""
    remarks: list[Remark] = field(default_factory=list)

    def overrule(self, line: int, by: int, key: str) -> None:
        self.result.duplicates += 1
        reason = f"{DUPLICATE} of line {by}, which counts"
        self.remarks.append(Remark(line, RowFate.DUPLICATE, reason, {"id": key}))


async def _check(batch: Sequence[Read | Bad], reader: RowReader, seen: _Seen) -> _Checked:
    checked = _Checked(ImportResult(lines=batch[-1].line, read=len(batch)))
    latest: dict[str, tuple[int, Registration]] = {}
    for start in range(0, len(batch), AT_A_STRETCH):
        for one in batch[start : start + AT_A_STRETCH]:
            if (registration := _registration(one, reader, checked)) is not None:
                if registration.id in latest:
                    checked.overrule(latest[registration.id][0], one.line, registration.id)
                latest[registration.id] = (one.line, registration)
        await asyncio.sleep(0)
    known = seen.add({key: line for key, (line, _) in latest.items()})
    for key, line in known.items():
        checked.overrule(line, latest[key][0], key)
    for key, (_, registration) in latest.items():
        (checked.again if key in known else checked.fresh).append(registration)
    return checked


def _registration(one: Read | Bad, reader: RowReader, checked: _Checked) -> Registration | None:
    """What a row registers; None if it cannot be used."""
    result, remarks = checked.result, checked.remarks
    if isinstance(one, Bad):
        result.rejected[one.rule] += 1
        reason = f"{one.rule}: {one.detail}" if one.detail else one.rule
        remarks.append(Remark(one.line, RowFate.REJECTED, reason, {}))
        return None
    try:
        registration, left_out = reader.registration(one.row)
    except RowRefused as refusal:
        result.rejected[refusal.rule] += 1
        remarks.append(Remark(one.line, RowFate.REJECTED, str(refusal), one.row))
        return None
    for value in left_out:
        result.left_out[value.rule] += 1
        reason = f"imported without it: {value.rule}: {value.detail}"
        remarks.append(Remark(one.line, RowFate.LEFT_OUT, reason, one.row))
    return registration
