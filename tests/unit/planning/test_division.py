"""Pages become batches: everybody in exactly one, in order, none too large, and the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.contract import NO_LANE, UNREADABLE_ROW, Page
from stentor.batch import LARGEST_BATCH, Batch, decode_batch
from stentor.planning.division import NO_LANE_REASON, TOO_LARGE_REASON, Divider, LeftOut, Planned

IOS, ANDROID = "apns/ios", "fcm/android"
LANES = st.sampled_from([IOS, ANDROID, "apns/mac", NO_LANE])


def make_page(lanes: list[str] | str, size: int | None = None, **columns: Any) -> Page:
    size = len(lanes) if size is None else size
    keys = [b"key%d" % number for number in range(size)]
    return Page(keys=keys, addresses=[b"address of " + key for key in keys], lanes=lanes, **columns)


def divide(page: Page, *, largest: int = 1000, **options: Any) -> list[Planned]:
    return Divider(campaign_id="c1", expires_at=9.0, largest=largest, **options).divide(page, "0.2.7")


def batches(planned: Sequence[Planned]) -> list[Batch]:
    return [each.batch for each in planned]


@given(lanes=st.lists(LANES, max_size=60), largest=st.integers(1, 20))
def test_everybody_is_in_one_batch_of_their_lane_in_order(lanes: list[str], largest: int) -> None:
    page = make_page(lanes)
    planned = divide(page, largest=largest)
    of = dict(zip(page.keys, lanes, strict=True))
    for lane in {*lanes}:
        mine = [batch for batch in batches(planned) if batch.lane == lane]
        assert [key for batch in mine for key in batch.recipients] == [key for key in page.keys if of[key] == lane]
        sizes = [len(batch) for batch in mine]
        assert max(sizes) <= largest
        assert max(sizes) - min(sizes) <= 1
        assert len(mine) == -(-sum(sizes) // largest)
    assert {batch.lane for batch in batches(planned)} == {*lanes}
    assert all(batch.addresses == [b"address of " + key for key in batch.recipients] for batch in batches(planned))
    assert len({each.batch.id for each in planned}) == len(planned)
    assert divide(page, largest=largest) == planned


@given(size=st.integers(0, 50), largest=st.integers(1, 20))
def test_a_page_of_one_lane_is_divided_as_one_that_names_it_for_each(size: int, largest: int) -> None:
    assert divide(make_page(IOS, size), largest=largest) == divide(make_page([IOS] * size), largest=largest)


def test_nobody_makes_no_batch() -> None:
    assert divide(make_page(IOS, 0)) == []
    assert divide(make_page([])) == []


def test_ids_depend_on_campaign_lane_and_step() -> None:
    planned = divide(make_page([ANDROID, IOS, NO_LANE, IOS]), largest=1)
    assert [each.batch.id for each in planned] == [
        "c1/none/0.2.7.0",
        "c1/apns/ios/0.2.7.1",
        "c1/apns/ios/0.2.7.2",
        "c1/fcm/android/0.2.7.3",
    ]


def test_the_other_columns_go_with_their_recipients() -> None:
    page = make_page(
        [IOS, ANDROID, IOS, ANDROID],
        registered_at=[1.0, 2.0, 3.0, 0.0],
        languages=["de", None, "fr", "de"],
        variables=[{"n": number} for number in range(4)],
    )
    ios, android = divide(page, index_of=lambda language: {"de": 1, "fr": 2}.get(language or "", 0))
    assert decode_batch(ios.payload) == ios.batch
    assert ios.batch.registered_at == [1.0, 3.0]
    assert ios.batch.languages == bytes([1, 2])
    assert ios.batch.variables == [{"n": 0}, {"n": 2}]
    assert android.batch.registered_at == [2.0, 0.0]
    assert android.batch.languages == bytes([0, 1])
    assert android.batch.variables == [{"n": 1}, {"n": 3}]
    assert (android.batch.campaign_id, android.batch.expires_at) == ("c1", 9.0)


def test_columns_that_nobody_needs_are_left_out() -> None:
    (planned,) = divide(make_page(IOS, 2, languages=["de", "fr"]))
    assert planned.batch.languages is None
    assert planned.batch.registered_at is None
    assert planned.batch.variables is None


def test_what_is_on_no_lane_is_refused_and_not_queued() -> None:
    refused, sent = divide(make_page([IOS, NO_LANE]))
    assert (refused.refused, refused.batch.recipients) == (NO_LANE_REASON, [b"key1"])
    assert (sent.refused, sent.batch.recipients) == (None, [b"key0"])
    assert sent.task.payload == sent.payload
    assert (sent.task.id, sent.task.lane, sent.task.campaign_id) == (sent.batch.id, IOS, "c1")


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=24))
def test_what_is_too_large_is_halved_until_it_fits(sizes: list[int]) -> None:
    planned = divide(make_page(IOS, len(sizes), variables=[{"t": "x" * size} for size in sizes]))
    assert all(len(each.payload) <= LARGEST_BATCH for each in planned)
    assert all(decode_batch(each.payload) == each.batch for each in planned)
    assert [key for batch in batches(planned) for key in batch.recipients] == [b"key%d" % n for n in range(len(sizes))]
    assert len({batch.id for batch in batches(planned)}) == len(planned)
    # Chain, step and number are told apart by dots, so a half must not bring another one.
    assert all(batch.id.rpartition("/")[2].startswith("0.2.7.0") for batch in batches(planned))
    assert all(batch.id.count(".") == 3 for batch in batches(planned))


def test_who_is_too_large_alone_is_refused_and_nobody_else_is() -> None:
    variables: list[dict[str, Any]] = [{"t": "x"}, {"t": "x" * LARGEST_BATCH}, {"t": "x"}]
    planned = divide(make_page(IOS, 3, variables=variables))
    assert {each.batch.recipients[0]: each.refused for each in planned if len(each.batch) == 1 and each.refused} == {
        b"key1": TOO_LARGE_REASON
    }
    assert sorted(key for batch in batches(planned) for key in batch.recipients) == [b"key0", b"key1", b"key2"]


@pytest.mark.parametrize("value", [ip_address("192.0.2.1"), [ip_address("192.0.2.1")]], ids=repr)
def test_values_that_only_a_database_knows_go_as_text(value: object) -> None:
    (planned,) = divide(make_page(IOS, 1, variables=[{"address": value}]))
    found = decode_batch(planned.payload).variables
    assert found == [{"address": "192.0.2.1" if isinstance(value, type(ip_address("192.0.2.1"))) else ["192.0.2.1"]}]


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udcff"]}], ids=repr)
def test_who_cannot_be_put_into_a_batch_is_refused_and_nobody_else_is(value: object) -> None:
    planned = divide(make_page(IOS, 3, variables=[{"t": "x"}, {"t": value}, {"t": "y"}]))
    (refused,) = [each for each in planned if each.refused]
    assert (refused.batch.recipients, refused.refused) == ([b"key1"], UNREADABLE_ROW)
    assert "surrogates not allowed" in refused.details[0]
    assert sorted(key for batch in batches(planned) for key in batch.recipients) == [b"key0", b"key1", b"key2"]


def test_whom_a_rule_leaves_out_is_in_a_batch_of_the_reason() -> None:
    page = replace(make_page([IOS, IOS, IOS, IOS, NO_LANE]), refused={b"key3": "it cannot be read"})
    why = {b"key1": LeftOut("Skipped", "no order"), b"key3": LeftOut("Skipped"), b"key4": LeftOut("Skipped")}
    planned = Divider(campaign_id="c1", expires_at=9.0, largest=1000).divide(page, "0.0.0", why)
    found = {(each.batch.lane, each.refused): (each.batch.recipients, list(each.details)) for each in planned}
    assert found == {
        (IOS, None): ([b"key0", b"key2"], []),
        (IOS, "Skipped"): ([b"key1"], ["no order"]),
        (IOS, UNREADABLE_ROW): ([b"key3"], ["it cannot be read"]),
        (NO_LANE, NO_LANE_REASON): ([b"key4"], []),
    }


def test_whose_row_cannot_be_read_is_refused_as_planned() -> None:
    """On the lane it is on, apart from the others, the same however often it is planned."""
    page = replace(
        make_page([IOS, ANDROID, IOS, NO_LANE]), refused={b"key2": "columns.v: v cannot be read", b"key3": "nor this"}
    )
    planned = divide(page)
    assert planned == divide(page)
    found = {(each.batch.lane, each.refused): (each.batch.recipients, list(each.details)) for each in planned}
    assert found == {
        (IOS, None): ([b"key0"], []),
        (IOS, UNREADABLE_ROW): ([b"key2"], ["columns.v: v cannot be read"]),
        (ANDROID, None): ([b"key1"], []),
        (NO_LANE, NO_LANE_REASON): ([b"key3"], []),
    }
    assert len({each.batch.id for each in planned}) == 4
