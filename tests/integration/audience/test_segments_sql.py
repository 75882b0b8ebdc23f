"""The rows that a segment finds in SQLite and PostgreSQL are those that plain Python finds, NULLs and junk included."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from sqlalchemy import dialects
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from stentor.audience.segments import text
from stentor.audience.segments.evaluate import holds
from stentor.audience.segments.mysql import MysqlColumn
from stentor.audience.segments.postgresql import PostgresqlAttribute, PostgresqlColumn
from stentor.audience.segments.sql import Mismatch, Operand, Type, compiled
from stentor.audience.segments.sqlite import SqliteOperand
from stentor.audience.segments.tree import Instant, Now, Tree, Value, Version
from stentor.audience.segments.written import written
from tests.unit.audience.drawn_segments import leaves, trees

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY = 86_400

# -- what rows and conditions are drawn from: few values, so that they meet ----------------------------------------

TEXTS = [
    *(
        "",
        "DE",
        "de",
        "AT",
        "it's; --",
        "ß",
        "é",
        "e\u0301",
        "日本",
        "\U0001f600",
        "a%b",
        "a_b",
        "a/b",
        "\\",
        "[a]",
        "{}",
    ),
    *("5", "-5", "05", "5.0", "5.5", "-0", "+5", "1e3", ".5", "5.", "٣", "true", "True", "false", "null", "DE ", " DE"),
    *("v5.2", "5.2", "5.2.0", "5.10", "5.9", "V5", "5.02", "5.2-beta", "5.2 (31)", "5..2", "5.2.", "v", "1.2.3.4.5.6"),
    *("1.2.3.4.5.6.7", "5.2x", "5.2\n", "5.123456789012345678", "5.1234567890123456789"),
    *("2026-11-23", "2026-11-30T12:00:00Z", "2026-11-30 12:00", "2026-11-30T13:00+01:00", "2026-02-30", "2024-02-29"),
    *(
        "2023-02-29",
        "2026-11-30T24:00",
        "2026-11-30T11:59:59.9999999Z",
        "2026-11-30T12:00:00.5",
        "2026-11-30T12:00:00.",
    ),
    *(
        "2026-11-30T12:00:00.25-00:30",
        "2026-11-30T12:00z",
        "2026-11-30T12:00 ",
        "0000-01-01",
        "2026-11-30TT12:00",
        "2026-13-01",
    ),
    *(
        "2026-11-30T12:00:60",
        "2026-11-30T12:00+15:00",
        "2026-11-30T",
        "1796040000",
        "1796040000000",
        "2026-11-30T12:00:000",
    ),
]
NUMBERS: list[int | float] = [0, 1, 5, -5, 5.5, 0.1, 0.25, 1e10, 1e11, 10**14, -3, 1.5, int(NOW), int(NOW) * 1000]
CONDITIONS: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.sampled_from(["5", "5.2", "5.2.0", "5.9", "5.10", "0", "1.2.3.4.5.6", "5.123456789012345678"]).map(Version),
    st.sampled_from(
        ["2026-11-23", "2026-11-30T12:00:00", "2026-11-30T12:00:00.500000", "2024-02-29", "1970-01-01"]
    ).map(lambda said: Instant(datetime.fromisoformat(said).replace(tzinfo=UTC))),
    st.sampled_from([0, -7 * DAY, DAY, 1]).map(Now),
)
WHOLE = st.sampled_from([number for number in NUMBERS if isinstance(number, int)])
FLOATS = st.sampled_from([*(float(number) for number in NUMBERS), float("inf")])
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4)),
    "int": WHOLE,
    "real": FLOATS,
}
JSON_SCALARS = st.one_of(
    SCALARS["text"], WHOLE, st.sampled_from([5.5, 0.1, 1e20, -1.5]), st.booleans(), st.none(), st.just({"x": 1})
)
JSON = st.one_of(JSON_SCALARS, st.lists(JSON_SCALARS, max_size=3))


def rows(columns: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with some of these, and two attributes of a JSON object."""
    return st.lists(
        st.fixed_dictionaries(
            {name: st.none() | drawn for name, drawn in columns.items()}
            | {"attributes": st.none() | st.fixed_dictionaries({}, optional={"tag": JSON, "odd name": JSON})}
        ),
        min_size=1,
        max_size=12,
    )


def drawn_trees(names: Sequence[str]) -> st.SearchStrategy[Tree]:
    return trees(leaves(st.sampled_from(names), CONDITIONS, st.sampled_from([*TEXTS, "D", "5", "."])), most=6)


def found_by_python(tree: Tree, drawn: list[dict[str, Any]]) -> list[int]:
    return [
        number
        for number, row in enumerate(drawn)
        if holds(tree, {**{name: row[name] for name in row if name != "attributes"}, **(row["attributes"] or {})}, NOW)
    ]


FEW = settings(
    max_examples=150,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller example would take a server minutes to find
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# -- SQLite -----------------------------------------------------------------------------------------------------------

SQLITE_COLUMNS = {
    "text": SCALARS["text"],
    "int": st.one_of(SCALARS["int"], SCALARS["text"]),
    "real": SCALARS["real"],
    "any": st.one_of(*SCALARS.values(), st.binary(max_size=3)),
    "nocase": SCALARS["text"],
}
SQLITE_TABLE = (
    'CREATE TABLE t (n INTEGER, text TEXT, int INTEGER, real REAL, "any", nocase TEXT COLLATE NOCASE, attributes TEXT)'
)


@pytest.fixture(scope="module")
def memory() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(SQLITE_TABLE)
    connection.execute("CREATE INDEX i ON t (text)")
    yield connection
    connection.close()


def sqlite_operand(name: str) -> Operand:
    if name in SQLITE_COLUMNS:
        return SqliteOperand.of_column(sa.column(name))
    return SqliteOperand.of_attribute(sa.column("attributes"), name)


def found_by_sqlite(connection: sqlite3.Connection, tree: Tree) -> list[int]:
    table = sa.table("t", sa.column("n", sa.Integer))
    query = sa.select(table.c.n).where(compiled(tree, sqlite_operand, NOW)).order_by(table.c.n)
    statement = query.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    parameters = [statement.params[name] for name in statement.positiontup or ()]
    return [row[0] for row in connection.execute(str(statement), parameters)]


@FEW
@given(rows(SQLITE_COLUMNS), drawn_trees([*SQLITE_COLUMNS, "tag", "odd name", "missing"]))
def test_sqlite_finds_the_rows_that_python_finds(
    memory: sqlite3.Connection, drawn: list[dict[str, Any]], tree: Tree
) -> None:
    memory.execute("DELETE FROM t")
    for number, row in enumerate(drawn):
        attributes = None if row["attributes"] is None else json.dumps(row["attributes"])
        said = [row[name] for name in SQLITE_COLUMNS]
        memory.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *said, attributes))
    names = ", ".join(f'"{name}"' for name in SQLITE_COLUMNS)
    stored = [
        dict(zip(SQLITE_COLUMNS, row, strict=True)) for row in memory.execute(f"SELECT {names} FROM t ORDER BY n")
    ]
    kept = [found | {"attributes": row["attributes"]} for found, row in zip(stored, drawn, strict=True)]
    assert found_by_sqlite(memory, tree) == found_by_python(tree, kept), written(tree)


# -- PostgreSQL -------------------------------------------------------------------------------------------------------

MOMENTS = st.sampled_from([NOW, NOW - 7 * DAY, NOW + 0.5, NOW - 1e-6, 0.0, NOW + DAY])
POSTGRESQL_COLUMNS: dict[str, tuple[str, Type, st.SearchStrategy[Any]]] = {
    "text": ("TEXT", Type.TEXT, SCALARS["text"]),
    "like": ("odd", Type.LIKE_TEXT, st.sampled_from(["DE", "5", "v5.2", "2026-11-23"])),
    "int": ("BIGINT", Type.INTEGER, SCALARS["int"]),
    "numeric": (
        "NUMERIC(20, 3)",
        Type.NUMERIC,
        st.sampled_from(["5.000", "5.500", "0.100", "100000000000", "NaN"]).map(Decimal),
    ),
    "real": ("DOUBLE PRECISION", Type.FLOAT, st.one_of(FLOATS, st.just(float("nan")))),
    "bool": ("BOOLEAN", Type.BOOLEAN, st.booleans()),
    "zoned": ("TIMESTAMPTZ", Type.ZONED, MOMENTS.map(lambda at: datetime.fromtimestamp(at, UTC))),
    "time": ("TIMESTAMP", Type.TIME, MOMENTS.map(lambda at: datetime.fromtimestamp(at, UTC).replace(tzinfo=None))),
    "day": ("DATE", Type.DATE, st.sampled_from([date(2026, 11, 23), date(2026, 11, 30), date(1970, 1, 1)])),
    "json": ("JSON", Type.OTHER, st.just("{}")),
}


def postgresql_operand(name: str) -> Operand:
    if name in POSTGRESQL_COLUMNS:
        return PostgresqlColumn(sa.column(name), POSTGRESQL_COLUMNS[name][1])
    return PostgresqlAttribute(sa.column("attributes"), name)


GRID = [
    f"{name} {sign} {value}"
    for name in ("text", "tag")
    for value in (
        "5",
        "0.5",
        "v5.2",
        "v5.9",
        "v0",
        "now",
        "2026-11-23",
        "2024-02-28",
        "1970-01-01T00:00:05",
        "true",
        "DE",
    )
    for sign in (("=", "!=") if value == "true" else ("=", "!=", "<", "<=", ">", ">="))
]
"""Each kind of value, in each comparison, against each text that might be one."""


def test_sqlite_reads_each_text_as_python_does(memory: sqlite3.Connection) -> None:
    memory.execute("DELETE FROM t")
    drawn = [{"text": each, "attributes": {"tag": each}} for each in TEXTS]
    for number, row in enumerate(drawn):
        memory.execute(
            "INSERT INTO t (n, text, attributes) VALUES (?, ?, ?)", (number, row["text"], json.dumps(row["attributes"]))
        )
    for segment in GRID:
        tree = text.read(segment)
        assert found_by_sqlite(memory, tree) == found_by_python(tree, drawn), segment


@pytest.fixture
async def postgresql(postgres: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a database with the table; its time zone is not UTC."""
    engine = create_async_engine(
        postgres.replace("postgresql://", "postgresql+asyncpg://"),
        connect_args={"server_settings": {"timezone": "America/New_York"}},
    )
    columns = ", ".join(f'"{name}" {type_}' for name, (type_, _, _) in POSTGRESQL_COLUMNS.items())
    async with engine.connect() as connection:
        await connection.execute(sa.text("CREATE DOMAIN odd AS TEXT"))
        await connection.execute(sa.text(f"CREATE TABLE t (n BIGINT, {columns}, attributes TEXT)"))
        await connection.commit()
        yield connection
    await engine.dispose()


@FEW
@given(
    rows({name: values for name, (_, _, values) in POSTGRESQL_COLUMNS.items()}),
    drawn_trees([*POSTGRESQL_COLUMNS, "tag", "odd name", "missing"]),
)
async def test_postgresql_finds_the_rows_that_python_finds(
    postgresql: AsyncConnection, drawn: list[dict[str, Any]], tree: Tree
) -> None:
    try:
        condition = compiled(tree, postgresql_operand, NOW)
    except Mismatch:
        reject()
    await postgresql.rollback()  # the rows of the example before
    table = sa.table("t", *(sa.column(name) for name in ["n", *POSTGRESQL_COLUMNS, "attributes"]))
    for number, row in enumerate(drawn):
        attributes = None if row["attributes"] is None else json.dumps(row["attributes"])
        await postgresql.execute(sa.insert(table).values({"n": number, **row, "attributes": attributes}))
    found = await postgresql.execute(sa.select(table.c.n).where(condition).order_by(table.c.n))
    assert list(found.scalars()) == found_by_python(tree, drawn), written(tree)


MARIADB_COLUMNS = {"text": Type.TEXT, "int": Type.INTEGER, "numeric": Type.NUMERIC, "time": Type.TIME, "day": Type.DATE}


async def test_postgresql_reads_each_text_as_python_does(postgresql: AsyncConnection) -> None:
    table = sa.table("t", *(sa.column(name) for name in ["n", "text", "attributes"]))
    drawn = [{"text": each, "attributes": {"tag": each}} for each in TEXTS]
    for number, row in enumerate(drawn):
        said = {"n": number, "text": row["text"], "attributes": json.dumps(row["attributes"])}
        await postgresql.execute(sa.insert(table).values(said))
    for segment in GRID:
        tree = text.read(segment)
        condition = compiled(tree, postgresql_operand, NOW)
        found = await postgresql.execute(sa.select(table.c.n).where(condition).order_by(table.c.n))
        assert list(found.scalars()) == found_by_python(tree, drawn), segment


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("zoned > 5", "zoned holds times with a zone, which are never a number; compare it with a day such as"),
        ("numeric = five", "numeric holds numbers, which are never a text; compare it with a number"),
        ("bool = v5", "bool holds true and false, which are never a version"),
        ("not (json = five)", "json holds values of another kind, which are never a text; only `exists`"),
    ],
)
def test_what_can_never_be_compared_is_an_error(said: str, problem: str) -> None:
    with pytest.raises(Mismatch) as caught:
        compiled(text.read(said), postgresql_operand, NOW)
    assert problem in str(caught.value)


@FEW
@given(drawn_trees([*MARIADB_COLUMNS]))
def test_for_mariadb_every_value_is_a_parameter(tree: Tree) -> None:
    try:
        condition = compiled(tree, lambda name: MysqlColumn(sa.column(name), MARIADB_COLUMNS[name]), NOW)
    except Mismatch:
        reject()
    statement = str(condition.compile(dialect=mysql.dialect()))
    assert "DE" not in statement
    assert not re.search(r"\b2026\b", statement)


def test_mariadb_compares_texts_by_their_bytes() -> None:
    """Its usual collations take DE for de; what they find is looked at again."""
    condition = compiled(text.read("text = DE"), lambda name: MysqlColumn(sa.column(name), Type.TEXT), NOW)
    said = str(condition.compile(dialect=mysql.dialect(), compile_kwargs={"literal_binds": True}))
    assert said == "text IN ('DE') AND CAST(CAST(text AS CHAR) AS BINARY) = CAST(CAST('DE' AS CHAR) AS BINARY)"


def test_postgresql_compares_a_column_as_it_stands() -> None:
    """So that its indexes are used, and a count is as fast as one that is written by hand."""
    said = {
        "text in [DE, AT]": "text IN ('DE', 'AT')",
        "text != DE": "text != 'DE'",
        "text starts with D": "text LIKE 'D' || '%%' ESCAPE '/'",
        "int >= 5": "int >= 5",
        "int in [1, 2]": "int IN (1, 2)",
        "bool = true": "bool = true",
        "zoned > 2026-11-01": "zoned > '2026-11-01 00:00:00+00:00'",
    }
    for segment, expected in said.items():
        condition = compiled(text.read(segment), postgresql_operand, NOW)
        dialect = dialects.postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no annotations
        said_in_sql = condition.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        assert str(said_in_sql) == expected
