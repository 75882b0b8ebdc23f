"""Messages to the recorders: what was told is what is read, in as many parts as it takes, by the next Stentor too."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.account import Account, Failure, Receipt, Waiting, merge, unknown
from stentor.batch import LARGEST_BATCH, VERSION, Batch
from stentor.errors import BatchTooNew, BatchUnreadable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.tidings import decode_tidings, encode_tidings, settlement_of


def lease(payload: bytes = b"") -> Lease:
    return Lease(
        id="c1/apns/ios/0.1", lane="apns/ios", campaign_id="c1", payload=payload, deliveries=1, token="", until=0.0
    )


def batch_of(size: int) -> Batch:
    return Batch(
        version=VERSION,
        id="c1/apns/ios/0.1",
        campaign_id="c1",
        lane="apns/ios",
        expires_at=1.0,
        recipients=[b"k%d" % number for number in range(size)],
        addresses=[b"a%d" % number for number in range(size)],
    )


def account(outcomes: bytes, detail: str = "") -> Account:
    """With a failure for each who owes one; and all others wait."""
    failures = tuple(
        Failure(position=at, outcome=Outcome(outcome), reason="Refused", detail=detail)
        for at, outcome in enumerate(outcomes)
        if outcome in (Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS)
    )
    waiting = tuple(Waiting(at, 1, 2.0, "r") for at, each in enumerate(outcomes) if each == Outcome.PENDING)
    return Account(outcomes=outcomes, failures=failures, waiting=waiting)


def encoded(told: Account, at: float = 1.0) -> list[bytes]:
    return encode_tidings(told, batch_of(len(told)), at)


def read(messages: list[bytes], size: int) -> Account:
    """What recorders make of them, who find a name for everybody who failed."""
    found = unknown(size)
    for message in messages:
        settlement = settlement_of(lease(message))
        assert settlement.account is not None
        assert settlement.batch is not None
        for each in settlement.account.failures:
            assert settlement.batch.recipients[each.position] == b"k%d" % each.position
            assert settlement.batch.addresses[each.position] == b"a%d" % each.position
        found = merge(found, settlement.account)
    return found


@given(st.lists(st.sampled_from([int(each) for each in Outcome]), min_size=1).map(bytes))
def test_what_was_told_is_what_is_read(outcomes: bytes) -> None:
    told = account(outcomes)
    (message,) = encoded(told, 7.5)
    assert decode_tidings(message).at == settlement_of(lease(message)).at == 7.5
    assert read([message], len(outcomes)) == told


def test_what_is_too_large_goes_in_parts() -> None:
    outcomes = bytes([Outcome.REJECTED, Outcome.ACCEPTED, Outcome.PENDING]) * 300
    receipts = tuple(Receipt(at, 1.0, "7") for at in range(1, 900, 3))
    told = msgspec.structs.replace(account(outcomes, detail="x" * 5000), receipts=receipts)
    messages = encoded(told)
    assert len(messages) > 1
    assert max(map(len, messages)) <= LARGEST_BATCH
    assert read(messages, len(outcomes)) == told
    for message in messages:  # each stands for itself, as others may be put aside
        part = decode_tidings(message)
        explained = [at for at, outcome in enumerate(part.outcomes) if outcome == Outcome.REJECTED]
        assert [each.position for each in part.failures] == explained


def test_it_names_only_those_who_failed() -> None:
    (message,) = encoded(account(bytes([Outcome.ACCEPTED, Outcome.REJECTED])))
    assert b"a1" in message
    assert b"a0" not in message


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"version": 1}),
        msgspec.msgpack.encode({"version": 0, "at": 1.0, "outcomes": b""}),
        msgspec.msgpack.encode({"at": 1.0, "outcomes": b""}),
    ],
)
def test_what_is_unreadable(message: bytes) -> None:
    with pytest.raises(BatchUnreadable) as raised:
        decode_tidings(message)
    assert not isinstance(raised.value, BatchTooNew)


@pytest.mark.parametrize("position", [-1, 1, 9])
def test_failures_of_nobody_are_unreadable(position: int) -> None:
    failure = {"position": position, "outcome": int(Outcome.REJECTED), "reason": "r"}
    message = {"version": 1, "at": 1.0, "outcomes": b"\2", "failures": [failure]}
    with pytest.raises(BatchUnreadable):
        decode_tidings(msgspec.msgpack.encode(message))


def test_a_failure_that_names_nobody_is_unreadable() -> None:
    failure = {"position": 0, "outcome": int(Outcome.REJECTED), "reason": "r"}
    named: dict[str, dict[int, bytes]] = {"recipients": {}, "addresses": {}}
    message = {"version": 1, "at": 1.0, "outcomes": b"\2", "failures": [failure], "named": named}
    with pytest.raises(BatchUnreadable):
        decode_tidings(msgspec.msgpack.encode(message))


def test_one_of_a_later_version_is_too_new_whatever_else_is_in_it() -> None:
    with pytest.raises(BatchTooNew, match="format 2"):
        decode_tidings(msgspec.msgpack.encode({"version": 2, "outcomes": ["otherwise"]}))


def test_old_and_new_read_each_others() -> None:
    (message,) = encoded(account(bytes([Outcome.ACCEPTED, Outcome.REJECTED])))
    plain = msgspec.msgpack.decode(message, strict=False)
    newer = plain | {"colour": "blue", "failures": [plain["failures"][0] | {"shade": "dark"}]}
    assert decode_tidings(msgspec.msgpack.encode(newer)) == decode_tidings(message)
    older = {key: plain[key] for key in ("version", "at", "outcomes")}
    assert decode_tidings(msgspec.msgpack.encode(older)).outcomes == plain["outcomes"]


def test_of_what_could_not_be_read_nobody_is_named() -> None:
    told = account(bytes([Outcome.REJECTED, Outcome.PENDING]))
    (message,) = encode_tidings(told, None, 1.0)
    found = settlement_of(lease(message))
    assert found.batch is None
    assert found.account is not None
    assert merge(unknown(2), found.account) == told
