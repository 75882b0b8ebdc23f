"""Messages to the recorders: what was told is what is read, in as many parts as it takes, by the next Stentor too."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.batch import LARGEST_BATCH, VERSION, Batch
from stentor.errors import BatchTooNew, BatchUnreadable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.contract import Failure, Settlement, Standing, Waiting
from stentor.recording.merging import merged
from stentor.recording.tidings import decode_tidings, encode_tidings, settlement_of


def lease(payload: bytes = b"") -> Lease:
    return Lease(id="c1/apns/ios/0.1", lane="apns/ios", campaign_id="c1", payload=payload, deliveries=1, token="")


def settlement(outcomes: bytes, detail: str = "", waiting: tuple[Waiting, ...] = ()) -> Settlement:
    size = len(outcomes)
    batch = Batch(
        version=VERSION,
        id="c1/apns/ios/0.1",
        campaign_id="c1",
        lane="apns/ios",
        expires_at=1.0,
        recipients=[b"k%d" % number for number in range(size)],
        addresses=[b"a%d" % number for number in range(size)],
    )
    failures = tuple(
        Failure(position=at, outcome=Outcome(outcome), reason="Refused", detail=detail)
        for at, outcome in enumerate(outcomes)
        if outcome in (Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS)
    )
    return Settlement(lease=lease(), batch=batch, outcomes=outcomes, failures=failures, waiting=waiting)


def read(messages: list[bytes], size: int) -> tuple[bytes, list[tuple[Failure, bytes, bytes]], list[Waiting]]:
    """What recorders make of them."""
    standing = Standing(pending=size)
    failures: list[tuple[Failure, bytes, bytes]] = []
    waiting: list[Waiting] = []
    for message in messages:
        found = settlement_of(lease(message))
        standing = merged(standing, found.outcomes, ())
        waiting += found.waiting
        for each in found.failures:
            assert found.batch is not None
            who = found.batch.recipients[each.position], found.batch.addresses[each.position]
            failures.append((each, *who))
    return standing.outcomes or bytes(size), failures, waiting


@given(st.lists(st.sampled_from([int(each) for each in Outcome]), min_size=1).map(bytes))
def test_what_was_told_is_what_is_read(outcomes: bytes) -> None:
    waiting = tuple(Waiting(at, 1, 2.0, "r") for at, each in enumerate(outcomes) if each == Outcome.PENDING)
    told = settlement(outcomes, waiting=waiting)
    (message,) = encode_tidings(told, 7.5)
    assert decode_tidings(message).at == 7.5
    found, failures, waits = read([message], len(outcomes))
    assert found == outcomes
    assert failures == [(each, b"k%d" % each.position, b"a%d" % each.position) for each in told.failures]
    assert tuple(waits) == waiting


def test_what_is_too_large_goes_in_parts() -> None:
    outcomes = bytes([Outcome.REJECTED, Outcome.ACCEPTED, Outcome.PENDING]) * 300
    waiting = tuple(Waiting(at, 1, 2.0, "r") for at, each in enumerate(outcomes) if each == Outcome.PENDING)
    told = settlement(outcomes, detail="x" * 5000, waiting=waiting)
    messages = encode_tidings(told, 1.0)
    assert len(messages) > 1
    assert max(map(len, messages)) <= LARGEST_BATCH
    found, failures, waits = read(messages, len(outcomes))
    assert found == outcomes
    assert [each for each, _, _ in failures] == list(told.failures)
    assert tuple(waits) == waiting


def test_it_names_only_those_who_failed() -> None:
    (message,) = encode_tidings(settlement(bytes([Outcome.ACCEPTED, Outcome.REJECTED])), 1.0)
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
    (message,) = encode_tidings(settlement(bytes([Outcome.ACCEPTED, Outcome.REJECTED])), 1.0)
    plain = msgspec.msgpack.decode(message, strict=False)
    newer = plain | {"colour": "blue", "failures": [plain["failures"][0] | {"shade": "dark"}]}
    assert decode_tidings(msgspec.msgpack.encode(newer)) == decode_tidings(message)
    older = {key: plain[key] for key in ("version", "at", "outcomes")}
    assert decode_tidings(msgspec.msgpack.encode(older)).outcomes == plain["outcomes"]


def test_a_standing_takes_nothing_of_other_sizes() -> None:
    standing = Standing(pending=2)
    assert merged(standing, b"\1\1\1", ()) is standing
    assert merged(standing, b"", [Waiting(7, 1, 1.0, "r"), Waiting(0, 1, 1.0, "r")]).waiting == (
        Waiting(0, 1, 1.0, "r"),
    )
