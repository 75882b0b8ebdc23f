"""Files of installations: each format, whatever is wrong with them, and flat memory."""

from __future__ import annotations

import builtins
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from stentor.audience.files import Format, RowFile, format_of
from stentor.audience.json_lines import Bad, Read
from stentor.audience.rows import ColumnMapping
from stentor.errors import InvalidConfiguration

HEADER = b"id,token,channel\n"
MAPPING = ColumnMapping()


def rows_of(path: Path, content: bytes, format_: Format = Format.CSV, mapping: ColumnMapping = MAPPING) -> list[Any]:
    path.write_bytes(content)
    file = RowFile(path, format_, mapping)
    try:
        found = list(file)
        assert file.position == file.size
        return found
    finally:
        file.close()


def values(found: list[Any]) -> list[tuple[int, Any]]:
    return [(one.line, tuple(one.row.values())) if isinstance(one, Read) else (one.line, one.rule) for one in found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_of_any_flavour(path: Path, delimiter: str, end: str, mark: str) -> None:
    lines: tuple[list[str], ...] = (
        ["id", "token", "channel", "Name"],
        ["1", "aa", "apns", f'"a{delimiter} ""b"""'],
        [],
        ["2", "bb", "fcm", "ü"],
    )
    text = mark + end.join(delimiter.join(line) for line in lines)
    found = rows_of(path, text.encode())
    assert values(found) == [(2, ("1", "aa", "apns", f'a{delimiter} "b"')), (4, ("2", "bb", "fcm", "ü"))]
    assert list(found[0].row) == ["id", "address", "channel", "Name"]


def test_a_value_of_several_lines(path: Path) -> None:
    found = rows_of(path, HEADER + b'1,"a\nb",apns\n2,c,apns\n')
    assert values(found) == [(2, ("1", "a\nb", "apns")), (4, ("2", "c", "apns"))]


def test_a_quote_that_is_never_closed_costs_only_its_line(path: Path) -> None:
    more = b"".join(b"%d,x,apns\n" % number for number in range(1000))
    found = rows_of(path, HEADER + b'0,"open,apns\n' + more)
    assert values(found)[:2] == [(2, "malformed CSV"), (3, ("0", "x", "apns"))]
    assert len(found) == 1001
    assert values(found)[-1] == (1002, ("999", "x", "apns"))


def test_two_stray_quotes_cost_only_their_lines(path: Path) -> None:
    found = rows_of(path, HEADER + b'1,"a,apns\n2,b,apns\n3,"c,apns\n4,d,apns\n')
    assert [line for line, what in values(found) if what == "malformed CSV"] == [2, 4]
    assert [what[0] for _, what in values(found) if isinstance(what, tuple)] == ["2", "4"]


def test_rows_too_short_and_too_long(path: Path) -> None:
    found = rows_of(path, HEADER + b"1,a\n2,a,apns,more\n3,a,apns,,\n")
    assert values(found) == [(2, ("1", "a", "")), (3, "malformed CSV"), (4, ("3", "a", "apns"))]
    assert found[1].detail == "4 values, the header has 3"


@pytest.mark.parametrize("first", [b"sep=;\r\n", b'"SEP=;"\n', b"\xef\xbb\xbfsep=;\n"])
def test_a_first_line_may_name_the_separator(path: Path, first: bytes) -> None:
    found = rows_of(path, first + b"id;token;channel;a,b,c,d,e\n1;a;apns;x,y\n")
    assert values(found) == [(3, ("1", "a", "apns", "x,y"))]


def test_only_a_separator_is_no_file(path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="no column is the id; there is none"):
        rows_of(path, b"sep=;\n")


def test_a_line_that_is_not_utf8_far_from_the_beginning(path: Path) -> None:
    good = b"1,aaaaaaaa,apns\n" * 5000
    found = rows_of(path, HEADER + good + b"2,\xe4,apns\n3,a,apns\n")
    assert values(found)[5000:] == [(5002, "not UTF-8"), (5003, ("3", "a", "apns"))]


def test_a_line_of_megabytes(path: Path) -> None:
    found = rows_of(path, HEADER + b"1,a,apns\n2," + b"x" * 3_000_000 + b",apns\n3,a,apns\n")
    assert [(line, what) for line, what in values(found) if isinstance(what, str)] == [(3, "line too long")]
    assert values(found)[-1] == (4, ("3", "a", "apns"))


@pytest.mark.parametrize(
    ("content", "format_", "says"),
    [
        (b"", Format.CSV, "is empty"),
        (b"", Format.PARQUET, "is empty"),
        (bytes(range(256)) * 20, Format.CSV, "not text"),
        ("id,token,channel\n1,ä".encode("utf-16"), Format.CSV, "UTF-16"),
        (HEADER + b"1,\xe4\xf6\xfc,apns\n", Format.CSV, "line 2: not UTF-8"),
        (b'{"id": "\xe4\xf6\xfc"}\n', Format.JSONL, "not UTF-8"),
        (b"1," + b"ab" * 32 + b",apns\n", Format.CSV, "no column is the id"),
        (b"ident,token,channel\n", Format.CSV, "the nearest is ident"),
        (b"id,token\n1,a\n", Format.CSV, "--channel"),
        (b"id,token,address,channel\n", Format.CSV, "several columns are the address"),
        (b'"id,token,channel\n1,2,3\n', Format.CSV, "a header"),
        (b"\n\n", Format.CSV, "a header|no column"),
        (b"PAR1 and what not", Format.CSV, "--format parquet"),
        (b"PAR1 and what not", Format.PARQUET, "not a Parquet file"),
        (HEADER, Format.PARQUET, "not a Parquet file"),
    ],
)
def test_what_is_no_such_file(path: Path, content: bytes, format_: Format, says: str) -> None:
    with pytest.raises(InvalidConfiguration, match=says) as caught:
        rows_of(path, content, format_)
    assert str(path) in str(caught.value)
    assert "ab" * 32 not in str(caught.value)  # without a header, the first row's token stands there


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="No such file"):
        RowFile(tmp_path / "none.csv", Format.CSV, MAPPING)
    with pytest.raises(InvalidConfiguration, match="directory"):
        RowFile(tmp_path, Format.CSV, MAPPING)


def test_a_column_that_the_mapping_names_and_the_file_lacks(path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"no column 'push_tokn'.*the nearest is push_token"):
        rows_of(path, b"id,push_token,channel\n", mapping=ColumnMapping({"token": "push_tokn"}))


def test_a_word_is_mapped_of_a_column_that_the_file_lacks(path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"no column 'platfrm', for which --map names a value.*platform"):
        rows_of(path, b"id,token,platform\n", mapping=ColumnMapping(values={"platfrm": {"ios": "apns"}}))


@pytest.mark.parametrize(
    ("content", "format_"),
    [(b"chat,platform\n4711,tg\n", Format.CSV), (b'{"chat":4711,"platform":"tg"}\n', Format.JSONL)],
)
def test_one_column_as_two_and_words_with_a_meaning(path: Path, content: bytes, format_: Format) -> None:
    mapping = ColumnMapping({"id": "chat", "token": "chat"}, values={"platform": {"tg": "telegram"}})
    (found,) = rows_of(path, content, format_, mapping)
    assert {name: str(value) for name, value in found.row.items()} == {
        "id": "4711",
        "address": "4711",
        "channel": "telegram",
    }


def test_json_lines(path: Path) -> None:
    content = b'{"id":1,"token":"aa","n":{"a":[1]}}\n\n{"id":\n[1]\n{"id":"2"}\n' + b"[" * 5000 + b"\n{}"
    found = rows_of(path, content, Format.JSONL)
    assert values(found) == [
        (1, (1, "aa", {"a": [1]})),
        *((line, "malformed JSON") for line in (3, 4)),
        (5, ("2",)),
        (6, "malformed JSON"),
        (7, ()),
    ]


def test_parquet(path: Path) -> None:
    parquet.write_table(pa.table({"id": [1, 2], "push": ["a", None], "n": [1.5, 2.5]}), path)
    file = RowFile(path, Format.PARQUET, ColumnMapping({"token": "push"}, channel="apns"))
    found = list(file)
    file.close()
    assert [one.row for one in found if isinstance(one, Read)] == [
        {"id": 1, "address": "a", "n": 1.5},
        {"id": 2, "address": None, "n": 2.5},
    ]
    assert file.position == file.size


def test_parquet_that_breaks_off(path: Path) -> None:
    parquet.write_table(
        pa.table({"id": list(range(50_000)), "token": [f"{number:064x}" for number in range(50_000)]}),
        path,
        compression="none",
    )
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(1000)
    path.write_bytes(content)
    file = RowFile(path, Format.PARQUET, ColumnMapping(channel="apns"))
    found = list(file)
    file.close()
    assert isinstance(found[-1], Bad)
    assert found[-1].rule == "malformed Parquet"


def test_parquet_without_pyarrow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    path.write_bytes(b"PAR1")
    with pytest.raises(InvalidConfiguration, match=r"pip install 'stentor\[parquet\]'"):
        RowFile(path, Format.PARQUET, MAPPING)


@pytest.mark.parametrize(("name", "format_"), [("a.CSV", "csv"), ("a.b.ndjson", "jsonl"), ("a.parquet", "parquet")])
def test_formats_by_name(name: str, format_: str) -> None:
    assert format_of(Path(name)) == format_


def test_a_name_that_says_nothing() -> None:
    with pytest.raises(InvalidConfiguration, match="--format csv, jsonl, parquet"):
        format_of(Path("users.xlsx"))


@given(st.binary(max_size=300), st.sampled_from([Format.CSV, Format.JSONL]))
def test_any_bytes_are_rows_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, format_: Format
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    for some in (content, HEADER + content if format_ is Format.CSV else b"{}\n" + content):
        with suppress(InvalidConfiguration):
            assert all(isinstance(one, Read | Bad) for one in rows_of(path, some, format_))


def test_memory_is_flat(path: Path) -> None:
    with path.open("wb") as file:
        file.write(HEADER)
        for number in range(30_000):
            file.write(b"%d,%064x,apns\n" % (number, number))
    rows = RowFile(path, Format.CSV, MAPPING)
    tracemalloc.start()
    try:
        count = sum(1 for _ in rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        rows.close()
    assert count == 30_000
    assert peak < 1_000_000
