"""A batch: up to about 1,000 recipients of one campaign on one lane, as columns; the unit of queueing and accounting.

Rules: a batch is never changed once made, its columns have equal lengths, and it fits a queue's message
(`LARGEST_BATCH`). The message isn't in it: senders look that up by campaign. Encoded as MessagePack with named fields,
so that a newer Stentor's batch with more fields can be read by an older one as long as `version` is the same.
MessagePack has no whole number of more than 64 bits: a batch with one is of a later version, and has an extension
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stentor.errors import BatchTooNew, BatchUnreadable

LARGEST_BATCH = 512 * 1024
"""Bytes of an encoded batch at most; NATS takes 1 MiB by default."""
VERSION, VERSION_WITH_LONG_NUMBERS = 1, 2
LONG_NUMBER = 1
"""MessagePack's code of an extension: a whole number as its digits."""
_SHORTEST_LONG, _LONGEST_SHORT = -(2**63), 2**64 - 1


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Recipients of one campaign on one lane."""

    version: int
    id: str
    """`campaign/lane/chain.step.number`: the same however often it is planned."""
    campaign_id: str
    lane: str
    """`channel/app`."""
    expires_at: float
    """Epoch seconds after which nothing of it is sent any more."""
    recipients: list[bytes]
    """The installations' keys, as text."""
    addresses: list[bytes]
    registered_at: list[float] | None = None
    """Epoch seconds at which each address was registered, 0 where unknown; None where nobody knows any."""
    languages: bytes | None = None
    """For each recipient the index of its rendering among the campaign's languages; None: all get the first."""
    variables: list[dict[str, Any]] | None = None
    """For each recipient what its templates need; None where the message has none."""

    def __len__(self) -> int:
        return len(self.recipients)

    def __repr__(self) -> str:
        """Shows no column: they hold device tokens."""
        return f"<Batch {self.id} of {len(self)}>"


def beside(receipt: bytes, address: bytes) -> bytes:
    """The address of a recipient whose message is deleted by its receipt if it still can be, and else replaced."""
    return receipt + b"\n" + address if receipt or address else b""


def apart(address: bytes) -> tuple[bytes, bytes]:
    """The receipt and the address that `beside` put together."""
    receipt, separator, rest = address.partition(b"\n")
    return (receipt, rest) if separator else (b"", address)


def _extension(code: int, data: memoryview) -> object:
    """Raises: ValueError: it is none of ours."""
    if code != LONG_NUMBER:
        raise ValueError(f"an extension of the unknown code {code}")
    return int(bytes(data))


_ENCODER = msgspec.msgpack.Encoder(enc_hook=str)  # what only an audience knows is to templates what it reads
_DECODER = msgspec.msgpack.Decoder(Batch, ext_hook=_extension)


class _Versioned(msgspec.Struct):
    version: int


_VERSION_DECODER = msgspec.msgpack.Decoder(_Versioned)


def check_version(payload: bytes, version: int, what: str, newest: int | None = None) -> None:
    """See that a message's format is the one that is read here, whatever else is in it; or one of those up to `newest`.

    Raises: BatchTooNew: it is a later one. BatchUnreadable: it is an earlier one, or says nothing of it.
    """
    newest = newest or version
    try:
        found = _VERSION_DECODER.decode(payload).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchUnreadable(f"not {what}: {error}") from None
    if not version <= found <= newest:
        wrong = BatchTooNew if found > newest else BatchUnreadable
        raise wrong(f"{what} of format {found}; this Stentor reads format {newest}")


def encode_batch(batch: Batch) -> bytes:
    try:
        return _ENCODER.encode(batch)
    except OverflowError:
        variables = _with_long_numbers(batch.variables)
        return _ENCODER.encode(msgspec.structs.replace(batch, version=VERSION_WITH_LONG_NUMBERS, variables=variables))


def encode_variables(variables: Mapping[str, Any]) -> bytes:
    """One recipient's, as they are in a batch."""
    try:
        return _ENCODER.encode(variables)
    except OverflowError:
        return _ENCODER.encode(_with_long_numbers(variables))


def _with_long_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_long_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_long_numbers(each) for each in value]
    if isinstance(value, int) and not _SHORTEST_LONG <= value <= _LONGEST_SHORT:
        return msgspec.msgpack.Ext(LONG_NUMBER, b"%d" % value)
    return value


def decode_batch(payload: bytes) -> Batch:
    """The batch that `payload` holds.

    Raises:
        BatchTooNew: it is one of a later version.
        BatchUnreadable: it is no batch, one of an earlier version, or its columns differ in length.
    """
    check_version(payload, VERSION, "a batch", VERSION_WITH_LONG_NUMBERS)
    try:
        batch = _DECODER.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BatchUnreadable(f"not a batch: {error}") from None
    columns = (batch.addresses, batch.registered_at, batch.languages, batch.variables)
    if any(column is not None and len(column) != len(batch.recipients) for column in columns):
        raise BatchUnreadable("its columns have different lengths")
    return batch
