"""A lost batch is made again: whoever is pending and found is where they were, and nobody else has an address."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.contract import UNREADABLE_ROW, Page
from stentor.batch import LARGEST_BATCH, Batch, decode_batch
from stentor.outcome import Outcome
from stentor.planning.division import TOO_LARGE_REASON, Divider
from stentor.planning.restoring import GONE_REASON, Lost, Restored, restore, restore_to_end

IOS, ANDROID = "apns/ios", "fcm/android"


def make_lost(outcomes: bytes, **values: Any) -> Lost:
    recipients = [b"key%d" % number for number in range(len(outcomes))]
    made = {"id": "c1/apns/ios/0.0.1.0", "campaign_id": "c1", "lane": IOS, "edition": "abc", "recipients": recipients}
    return Lost(**{**made, "outcomes": outcomes, **values})


def make_page(keys: list[bytes], lanes: list[str] | str = IOS, **columns: Any) -> Page:
    return Page(keys=keys, addresses=[b"address of " + key for key in keys], lanes=lanes, **columns)


def batch_of(restored: Restored) -> Batch:
    return decode_batch(restored.task.payload)


@given(data=st.data(), outcomes=st.lists(st.sampled_from(Outcome), min_size=1, max_size=40).map(bytes))
def test_the_pending_who_are_found_have_their_address_and_place(data: st.DataObject, outcomes: bytes) -> None:
    lost = make_lost(outcomes)
    keys = data.draw(st.permutations(lost.recipients))
    lanes = data.draw(st.lists(st.sampled_from([IOS, ANDROID]), min_size=len(keys), max_size=len(keys)))
    there = data.draw(st.integers(0, len(keys)))
    restored = restore(lost, 9.0, make_page(keys[:there], lanes[:there]))
    batch = batch_of(restored)
    found = {key for key, lane in zip(keys[:there], lanes[:there], strict=True) if lane == IOS}
    assert batch.recipients == lost.recipients
    for position, key in enumerate(lost.recipients):
        sendable = key in found and outcomes[position] == Outcome.PENDING
        assert batch.addresses[position] == (b"address of " + key if sendable else b"")
        assert (position in restored.unsendable) == (key not in found and outcomes[position] == Outcome.PENDING)
    assert {*restored.unsendable.values()} <= {GONE_REASON}


def test_it_is_the_batch_that_was_planned() -> None:
    columns: dict[str, Any] = {
        "registered_at": [5.0, 0.0, 7.0],
        "languages": ["de", None, "fr"],
        "variables": [{"name": "Ann"}, {}, {"name": "Bob"}],
    }
    keys = [b"key0", b"key1", b"key2"]

    def index_of(language: str | None) -> int:
        return ["", "fr", "de"].index(language or "")

    page = make_page(keys, **columns)
    (planned,) = Divider(campaign_id="c1", expires_at=9.0, largest=10, index_of=index_of).divide(page, "0.0.1")
    lost = make_lost(bytes(3), id=planned.batch.id, edition=planned.edition)
    restored = restore(lost, 9.0, page, index_of)
    again = replace(planned.task, again=True)
    assert restored.task == again
    assert not restored.unsendable
    backwards = make_page(keys[::-1], **{name: values[::-1] for name, values in columns.items()})
    assert restore(lost, 9.0, backwards, index_of).task == again


def test_a_lane_for_all_of_a_page() -> None:
    lost = make_lost(bytes(12))
    assert not restore(lost, 9.0, make_page(list(lost.recipients), IOS)).unsendable
    elsewhere = restore(lost, 9.0, make_page(list(lost.recipients), ANDROID))
    assert elsewhere.unsendable == dict.fromkeys(range(12), GONE_REASON)


def test_whose_row_can_no_longer_be_read_is_told_apart() -> None:
    lost = make_lost(bytes(3))
    page = make_page([b"key0", b"key1"], refused={b"key1": "it cannot be read"})
    restored = restore(lost, 9.0, page)
    assert restored.unsendable == {1: UNREADABLE_ROW, 2: GONE_REASON}
    assert batch_of(restored).addresses == [b"address of key0", b"", b""]


def test_what_has_grown_too_large_leaves_out_the_largest() -> None:
    lost = make_lost(bytes(40))
    long = LARGEST_BATCH // 30
    variables = [{"text": "x" * (long if number % 2 else 10)} for number in range(40)]
    variables[7] = {"text": "x" * 15 * long}
    restored = restore(lost, 9.0, make_page(list(lost.recipients), variables=variables))
    assert len(restored.task.payload) <= LARGEST_BATCH
    assert restored.unsendable == {7: TOO_LARGE_REASON}
    assert batch_of(restored).addresses[7] == b""
    assert batch_of(restored).addresses[9] == b"address of key9"
    larger = [{"text": "x" * long}] * 40
    several = restore(lost, 9.0, make_page(list(lost.recipients), variables=larger))
    assert len(several.task.payload) <= LARGEST_BATCH
    assert {*several.unsendable.values()} == {TOO_LARGE_REASON}
    assert 8 < len(several.unsendable) < 15


def test_one_to_be_ended_needs_no_address() -> None:
    lost = make_lost(bytes([0, 1, 0]))
    task = restore_to_end(lost, 9.0)
    batch = decode_batch(task.payload)
    assert (task.id, task.lane, task.campaign_id, task.edition) == (lost.id, IOS, "c1", "abc")
    assert (batch.recipients, batch.addresses, batch.expires_at) == (lost.recipients, [b""] * 3, 9.0)
