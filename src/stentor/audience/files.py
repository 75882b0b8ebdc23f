"""Files of installations, read row by row: CSV, JSON Lines, Parquet. Memory stays the same whatever a file's size.

A file that is no such file at all is an error before anything was read. One bad row is a `Bad`, and the rest goes on:
even a quote that is never closed costs only its own line. Lines count from 1, a CSV's header included; Parquet has no
lines, so its rows are counted.
"""

from __future__ import annotations

import csv
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from enum import StrEnum
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from stentor.audience.json_lines import BOM, LONGEST_LINE, Bad, ObjectReader, Read, too_long
from stentor.audience.rows import FIELDS, ColumnMapping, Picked
from stentor.audience.source import nearest_to
from stentor.counted import counted
from stentor.errors import InvalidConfiguration

LONGEST_RECORD = 128
"""Lines that one CSV record may span: a quote that isn't closed within them never is."""
PROBE = 64 * 1024
"""Bytes from a file's beginning by which it is seen whether it is text."""
DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""What Excel writes, and reads, above the header."""
_OTHERWISE = {
    "id": "; one column may be both: --column id=token --column token=token",
    "address": "; one column may be both: --column id=chat_id --column token=chat_id",
    "channel": ", or --channel if all have the same",
}
"""What else helps where no column is what every row needs."""


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


ENDINGS = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".txt": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
}


def format_of(path: Path) -> Format:
    """The format that a file's name ends in.

    Raises:
        InvalidConfiguration: none that is known.
    """
    try:
        return ENDINGS[path.suffix.lower()]
    except KeyError:
        raise InvalidConfiguration(
            f"{path}: its name doesn't say which format it has; give --format {', '.join(Format)}."
        ) from None


class RowFile:
    """A file of installations, opened. Iterate over it once."""

    def __init__(self, path: Path, format_: Format, mapping: ColumnMapping) -> None:
        """Raises:
        InvalidConfiguration: it cannot be read, or isn't a file of this format; nothing was read.
        """
        self._path = path
        self._format = format_
        self._mapping = mapping
        self._lines = 0
        self.position = 0
        """Bytes read so far, or about as many."""
        try:
            status = path.stat()
            self.size = status.st_size
            self.is_there = stat.S_ISREG(status.st_mode)
            """Whether all of it is there, so that reading waits for nobody: not of a pipe."""
            self._file = BufferedReader(FileIO(path), PROBE)
            probe = self._file.peek()  # a pipe cannot be wound back
        except OSError as error:
            raise InvalidConfiguration(f"{path}: {error.strerror}.") from None
        try:
            if not probe:
                raise InvalidConfiguration(f"{path} is empty.")
            if format_ is not Format.PARQUET:
                self._check_text(probe)
            if probe.startswith(BOM):
                self.position = len(self._file.read(len(BOM)))
            start = {Format.CSV: self._open_csv, Format.JSONL: self._open_json, Format.PARQUET: self._open_parquet}
            self._rows = start[format_]()
        except BaseException:
            self._file.close()
            raise

    def __repr__(self) -> str:
        return f"<RowFile {self._path}, {self.position} of {self.size} bytes>"

    def __iter__(self) -> Iterator[Read | Bad]:
        return self._rows

    def close(self) -> None:
        self._file.close()

    def _check_text(self, probe: bytes) -> None:
        if probe.startswith(b"PAR1"):
            raise InvalidConfiguration(f"{self._path} is a Parquet file; give --format parquet.")
        if probe.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InvalidConfiguration(f"{self._path} is UTF-16; save it as UTF-8, e.g. `iconv -f UTF-16 -t UTF-8`.")
        if b"\0" in probe:
            raise InvalidConfiguration(f"{self._path} is not text, so not a {self._format} file.")
        try:
            probe.decode()
        except UnicodeDecodeError as error:
            if error.start < len(probe) - 3:  # else a character that the probe's end cuts in two
                line = probe.count(b"\n", 0, error.start) + 1
                raise InvalidConfiguration(
                    f"{self._path}, line {line}: not UTF-8. Save it as UTF-8, e.g. `iconv -f WINDOWS-1252 -t UTF-8`."
                ) from None

    def _text_lines(self) -> Iterator[str | Bad]:
        """The lines as text with their ends. `self._lines` is the number of the one given last."""
        read = self._file.readline
        while raw := read(LONGEST_LINE):
            self._lines += 1
            self.position += len(raw)
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                while not raw.endswith(b"\n") and (raw := read(LONGEST_LINE)):
                    self.position += len(raw)
                yield too_long(self._lines)
                continue
            try:
                yield raw.decode()
            except UnicodeDecodeError:
                yield Bad(self._lines, "not UTF-8")

    # CSV

    def _open_csv(self) -> Iterator[Read | Bad]:
        lines = self._text_lines()
        first = next(lines, "")
        separator = None if isinstance(first, Bad) else _SEPARATOR.fullmatch(first.strip("\r\n"))
        if separator is not None:
            first = next(lines, "")
        if isinstance(first, Bad):
            raise InvalidConfiguration(
                f"{self._path}, line {first.line}: {first.rule}; this line must be a header that names the columns."
            )
        delimiter = separator[1] if separator is not None else max(DELIMITERS, key=first.count)
        try:
            header = [column.strip() for column in next(csv.reader([first], delimiter=delimiter, strict=True))]
        except (csv.Error, StopIteration):
            where = f"{self._path}, line {max(1, self._lines)}"
            raise InvalidConfiguration(f"{where}: this line must be a header that names the columns.") from None
        picked = self._mapping.pick(header)
        self._check_names(header, picked.names)
        return self._csv_rows(lines, picked, len(header), delimiter)

    def _csv_rows(self, lines: Iterator[str | Bad], picked: Picked, width: int, delimiter: str) -> Iterator[Read | Bad]:
        again: deque[tuple[int, str | Bad]] = deque()  # lines that a broken record had swallowed
        while True:
            record: list[tuple[int, str]] = []
            spoilt: list[Bad] = []

            def feed(record: list[tuple[int, str]] = record, spoilt: list[Bad] = spoilt) -> Iterator[str]:
                """The lines of one record, as far as the reader asks for them."""
                while len(record) < LONGEST_RECORD:
                    if again:
                        number, line = again.popleft()
                    else:
                        line = next(lines, "")
                        number = self._lines
                        if line == "":
                            return
                    if isinstance(line, Bad):
                        spoilt.append(line)
                        return
                    record.append((number, line))
                    yield line

            bad = ""
            values: list[str] | None = None
            try:
                values = next(csv.reader(feed(), delimiter=delimiter, strict=True), None)
            except csv.Error as error:
                bad = "a quote that isn't closed" if "end of data" in str(error) else str(error)
            values = _fitted(values or [], width)
            if len(values) > width:
                bad = f"{counted(len(values), 'value')}, the header has {width}"
            if not record and not spoilt:
                return
            if bad:
                yield Bad(record[0][0], "malformed CSV", bad)
                again.extendleft(reversed(record[1:]))
            elif values:  # an empty line is nothing
                yield Read(record[0][0], picked.row(values))
            yield from spoilt

    def _check_names(self, columns: list[str], names: Sequence[str]) -> None:
        """See that what every row needs is there."""
        shown = [column if len(column) <= 24 else f"{column[:6]}…" for column in columns]
        for name, column in self._mapping.named.items():
            if column not in columns:
                raise InvalidConfiguration(
                    f"{self._path}: no column {column!r}, which --column names for {name}; {nearest_to(column, shown)}."
                )
        for column in self._mapping.values:
            if column not in columns and column not in names:
                raise InvalidConfiguration(
                    f"{self._path}: no column {column!r}, for which --map names a value; {nearest_to(column, shown)}."
                )
        for wanted in ("id", "address", "channel"):
            if wanted not in names and not (wanted == "channel" and self._mapping.channel):
                more = _OTHERWISE[wanted]
                raise InvalidConfiguration(
                    f"{self._path}: no column is the {wanted}; {nearest_to(wanted, shown)}. Its first line must name "
                    f"the columns; say which it is with --column {wanted}=NAME{more}."
                )
        for name in names:
            if name in FIELDS and names.count(name) > 1:
                raise InvalidConfiguration(f"{self._path}: several columns are the {name}; choose with --column.")

    # JSON Lines

    def _open_json(self) -> Iterator[Read | Bad]:
        return self._json_rows()

    def _json_rows(self) -> Iterator[Read | Bad]:
        reader = ObjectReader(self._mapping)
        for line in self._text_lines():
            row = line if isinstance(line, Bad) else reader.read(self._lines, line)
            if row is not None:
                yield row

    # Parquet

    def _open_parquet(self) -> Iterator[Read | Bad]:
        try:
            import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415  # optional, and slow to import
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError:
            raise InvalidConfiguration(
                f"{self._path}: Parquet files need pyarrow; `pip install 'stentor[parquet]'`."
            ) from None
        try:
            table = parquet.ParquetFile(self._file)
        except pyarrow.ArrowException as error:
            raise InvalidConfiguration(f"{self._path} is not a Parquet file: {error}") from None
        columns = list(table.schema_arrow.names)
        picked = self._mapping.pick(columns)
        self._check_names(columns, picked.names)
        return self._parquet_rows(table, picked, pyarrow.ArrowException)

    def _parquet_rows(self, table: Any, picked: Picked, broken: type[Exception]) -> Iterator[Read | Bad]:
        rows = table.metadata.num_rows
        try:
            for batch in table.iter_batches(batch_size=1000):
                columns = [column.to_pylist() for column in batch.columns]
                for values in zip(*columns, strict=True):
                    self._lines += 1
                    yield Read(self._lines, picked.row(values))
                self.position = self.size * self._lines // rows
        except (broken, OSError) as error:
            yield Bad(self._lines + 1, "malformed Parquet", f"the rest cannot be read: {error}")


def _fitted(values: list[str], width: int) -> list[str]:
    """A row's cells, as many as there are columns: spreadsheets leave out empty ones at its end, or write too many.
    An empty line stays empty; more cells than columns stay if they hold anything."""
    if not values:
        return values
    while len(values) > width and not values[-1]:
        values.pop()
    return values + [""] * (width - len(values))
