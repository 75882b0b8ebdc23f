"""The import of a file into the registry: rows read, checked, registered by the thousand, and counted by their fate.

Rules: a row that cannot be used is written to the rejects file and doesn't stop the rest; a value that is left out is
noted there too. That file never replaces another one unasked, nor ever the one that is read. Of rows with the same id
the last counts. Importing again changes nothing that is already there, so an import that was cut short is simply
repeated.

Which ids came before is kept in a temporary SQLite database on disk, for a set of ten million ids would need a
gigabyte. Its cache is small; files are mostly in the order of their ids, which it likes best.
"""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from stentor.audience.files import Bad, Read, RowFile
from stentor.audience.registry import Registered, Registration, register
from stentor.audience.rows import RowReader, RowRefused
from stentor.cells import cell
from stentor.errors import InvalidConfiguration
from stentor.store.database import Database

BATCH = 1000
"""Rows that are registered in one transaction."""
DUPLICATE = "duplicate"


@dataclass(slots=True)
class ImportResult:
    """What became of a file's rows: `read` is the sum of all others (but of a dry run, which registers nothing)."""

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
    result = ImportResult()
    rows = iter(file)
    with closing(_Seen()) as seen:
        while batch := list(islice(rows, BATCH)):
            result.read += len(batch)
            latest: dict[str, tuple[int, Registration]] = {}
            for line, registration in _accepted(batch, reader, rejects, result):
                if registration.id in latest:
                    _overrule(rejects, result, latest[registration.id][0], line, registration.id)
                latest[registration.id] = (line, registration)
            known = seen.add({key: line for key, (line, _) in latest.items()})
            for key, line in known.items():
                _overrule(rejects, result, line, latest[key][0], key)
            if database is not None:
                fresh = [registration for key, (_, registration) in latest.items() if key not in known]
                new = await register(database, fresh)
                result.registered += new
                result.unchanged += len(fresh) - new.added - new.changed - new.revived
                # Their installations were counted when they came first.
                await register(database, [latest[key][1] for key in known])
            progress(result)
    return result


def _accepted(
    batch: list[Read | Bad], reader: RowReader, rejects: Rejects, result: ImportResult
) -> Iterator[tuple[int, Registration]]:
    for one in batch:
        if isinstance(one, Bad):
            result.rejected[one.rule] += 1
            rejects.write(one.line, f"{one.rule}: {one.detail}" if one.detail else one.rule, {})
            continue
        try:
            registration, left_out = reader.registration(one.row)
        except RowRefused as refusal:
            result.rejected[refusal.rule] += 1
            rejects.write(one.line, str(refusal), one.row)
            continue
        for value in left_out:
            result.left_out[value.rule] += 1
            rejects.write(one.line, f"imported without it: {value.rule}: {value.detail}", one.row)
        yield one.line, registration


def _overrule(rejects: Rejects, result: ImportResult, line: int, by: int, key: str) -> None:
    result.duplicates += 1
    rejects.write(line, f"{DUPLICATE} of line {by}, which counts", {"id": key})
