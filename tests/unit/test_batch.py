"""A batch on its way through the queue: what was put in comes out, and what is no batch is told apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.batch import (
    LARGEST_BATCH,
    VERSION,
    VERSION_WITH_LONG_NUMBERS,
    Batch,
    apart,
    beside,
    decode_batch,
    encode_batch,
    encode_variables,
)
from stentor.errors import BatchTooNew, BatchUnreadable

PLAIN = Batch(
    version=VERSION,
    id="c1/apns/ios/0.0.7.1",
    campaign_id="c1",
    lane="apns/ios",
    expires_at=1_800_000_000.5,
    recipients=[b"user-1", b"user-2"],
    addresses=[b"a" * 64, b"b" * 64],
)
FULL = msgspec.structs.replace(
    PLAIN, registered_at=[0.0, 1_700_000_000.25], languages=b"\0\1", variables=[{"name": "Ada"}, {"n": [1, None, "ü"]}]
)


@pytest.mark.parametrize("batch", [PLAIN, FULL], ids=["plain", "full"])
def test_what_was_put_in_comes_out(batch: Batch) -> None:
    assert decode_batch(encode_batch(batch)) == batch
    assert len(batch) == 2


def test_its_repr_shows_no_address() -> None:
    assert repr(FULL) == "<Batch c1/apns/ios/0.0.7.1 of 2>"


def test_an_ordinary_batch_is_well_within_a_message() -> None:
    keys = [b"%036d" % number for number in range(1000)]
    assert len(encode_batch(msgspec.structs.replace(PLAIN, recipients=keys, addresses=[b"a" * 200] * 1000))) < (
        LARGEST_BATCH // 2
    )


def test_a_newer_one_of_the_same_version_is_read() -> None:
    newer = msgspec.msgpack.decode(encode_batch(FULL)) | {"colour": "red"}
    assert decode_batch(msgspec.msgpack.encode(newer)) == FULL


def test_an_older_stentor_reads_one_without_what_it_does_not_need() -> None:
    older = msgspec.msgpack.decode(encode_batch(PLAIN))
    assert older.keys() == {"version", "id", "campaign_id", "lane", "expires_at", "recipients", "addresses"}
    assert decode_batch(msgspec.msgpack.encode(older)) == PLAIN


def test_another_version_is_not_guessed_at() -> None:
    with pytest.raises(BatchTooNew, match=r"format 3; .* reads format 2"):
        decode_batch(encode_batch(msgspec.structs.replace(PLAIN, version=3)))
    with pytest.raises(BatchUnreadable, match=r"format 0; .* reads format 2") as raised:
        decode_batch(encode_batch(msgspec.structs.replace(PLAIN, version=0)))
    assert not isinstance(raised.value, BatchTooNew)


def test_a_later_version_is_told_whatever_else_is_in_it() -> None:
    with pytest.raises(BatchTooNew):
        decode_batch(msgspec.msgpack.encode({"version": 3, "recipients": "packed otherwise"}))


@given(st.integers() | st.integers(-(2**600), 2**600))
def test_a_whole_number_of_any_length_comes_out(number: int) -> None:
    """In a batch of a later version, which an older Stentor leaves to a newer one."""
    variables: list[dict[str, Any]] = [{"n": number, "in": [{"it": number}, None]}, {"n": 1}]
    batch = msgspec.structs.replace(PLAIN, variables=variables)
    found = decode_batch(encode_batch(batch))
    assert found.variables == variables
    is_long = not -(2**63) <= number < 2**64
    assert found.version == (VERSION_WITH_LONG_NUMBERS if is_long else VERSION)
    assert msgspec.structs.replace(found, version=VERSION) == batch


def test_what_tells_personal_texts_apart_tells_long_numbers_apart() -> None:
    texts = {encode_variables({"n": number}) for number in (2**64, 2**64 + 1, -(2**64), 1)}
    assert len(texts) == 4


def test_an_extension_that_nobody_knows_is_refused() -> None:
    strange = msgspec.structs.replace(FULL, variables=[{}, {"n": msgspec.msgpack.Ext(7, b"1")}])
    with pytest.raises(BatchUnreadable, match="unknown code 7"):
        decode_batch(encode_batch(strange))


@pytest.mark.parametrize(
    "column",
    [{"addresses": [b"a"]}, {"registered_at": [0.0]}, {"languages": b"\0\0\0"}, {"variables": []}],
    ids=lambda column: next(iter(column)),
)
def test_columns_of_different_lengths_are_refused(column: dict[str, object]) -> None:
    with pytest.raises(BatchUnreadable, match="different lengths"):
        decode_batch(encode_batch(msgspec.structs.replace(PLAIN, **column)))


@given(st.binary(max_size=200))
def test_garbage_is_no_batch(payload: bytes) -> None:
    with pytest.raises(BatchUnreadable):
        decode_batch(payload)


@given(st.data())
def test_a_damaged_batch_is_read_or_refused(data: st.DataObject) -> None:
    payload = bytearray(encode_batch(FULL))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    del payload[data.draw(st.integers(1, len(payload))) :]
    try:
        batch = decode_batch(bytes(payload))
    except BatchUnreadable:
        return
    assert len(batch.addresses) == len(batch)


@pytest.mark.parametrize(
    ("receipt", "address"),
    [(b"https://push.example/m/1", b'{"endpoint":\n""}'), (b"r", b""), (b"", b"a\nb"), (b"", b"")],
)
def test_a_receipt_beside_an_address_comes_apart_again(receipt: bytes, address: bytes) -> None:
    assert apart(beside(receipt, address)) == (receipt, address)


def test_an_address_alone_is_one_without_a_receipt() -> None:
    assert apart(b"address") == (b"", b"address")
