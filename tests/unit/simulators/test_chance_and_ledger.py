"""Chance is repeatable and as asked; the ledger keeps what it was given and counts duplicates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.simulators.chance import ALIVE, UNREGISTERED, Chance, fate_of, latency_of
from stentor.simulators.faults import Devices, Latency, Storm, parse_faults
from stentor.simulators.injector import Injector, is_raging
from stentor.simulators.ledger import ProviderLedger


def keys(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_the_same_seed_draws_the_same() -> None:
    first, again, other = Chance(1), Chance(1), Chance(2)
    draws = [first.unit(b"x", key) for key in keys(50)]
    assert draws == [again.unit(b"x", key) for key in keys(50)]
    assert draws != [other.unit(b"x", key) for key in keys(50)]
    assert draws != [first.unit(b"y", key) for key in keys(50)]
    assert first.unit(b"x", b"0") == 0.040305890130464615  # on any machine, and in any later version


def test_fates_come_in_their_shares() -> None:
    devices = Devices(unregistered=0.1, malformed=0.05)
    fates = [fate_of(Chance(3), devices, key) for key in keys(5_000)]
    assert 400 < fates.count(UNREGISTERED) < 600
    assert 4_100 < fates.count(ALIVE) < 4_400


def test_latencies_have_the_median_and_tail_asked_for() -> None:
    latency = Latency(median_s=0.06, p99_s=1.0, tail_share=0.01)
    drawn = sorted(latency_of(Chance(1), latency, key) for key in keys(5_000))
    assert 0.055 < drawn[2_500] < 0.068
    assert 0.7 < drawn[int(5_000 * 0.98)] < 1.2
    late = [seconds for seconds in drawn if seconds >= 15]
    assert 25 < len(late) < 80
    assert max(late) <= 30


def test_latency_of_one_value_only() -> None:
    assert latency_of(Chance(1), Latency(median_s=0.5), b"x") == 0.5


@pytest.mark.parametrize(
    ("elapsed", "raging"), [(0, False), (10, True), (14.9, True), (15, False), (110, True), (116, False)]
)
def test_times_of_trouble(elapsed: float, raging: bool) -> None:
    assert is_raging(Storm(at_s=10, for_s=5, every_s=100), elapsed) is raging


def test_accidents_follow_counters_and_repeat() -> None:
    faults = parse_faults({"goaway": {"every": 7}, "reset": {"cancel": 0.3}, "malformed": {"share": 0.2}})
    runs = []
    for _ in range(2):
        injector = Injector(faults, Chance(4))
        runs.append([injector.on_request() for _ in range(200)])
    assert runs[0] == runs[1]
    assert [n for n, act in enumerate(runs[0], 1) if act and act.do == "goaway"] == list(range(7, 201, 7))


def test_a_quiet_injector_need_not_be_asked() -> None:
    assert not Injector(parse_faults({"devices": {"unregistered": 1}}), Chance(0)).touches_requests


ENTRIES = st.lists(st.tuples(st.text(max_size=5), st.sampled_from(["", "c1", "c2"]), st.text(max_size=4)))


@given(entries=ENTRIES, answered=st.sets(st.integers(0, 20)))
def test_the_ledger_gives_back_what_it_got(entries: list[tuple[str, str, str]], answered: set[int]) -> None:
    ledger = ProviderLedger()
    for number, (address, dedup_id, message_id) in enumerate(entries):
        assert ledger.record(address, dedup_id, message_id, float(number)) == number
    for number in answered:
        ledger.mark_answered(number)
    assert [entry[1:4] for entry in ledger] == entries
    assert [entry.time for entry in ledger] == [float(number) for number in range(len(entries))]
    assert ledger.answered == len([number for number in answered if number < len(entries)])
    identities = [(address, dedup_id or message_id) for address, dedup_id, message_id in entries]
    assert ledger.duplicates == len(identities) - len(set(identities))


def test_pages() -> None:
    ledger = ProviderLedger()
    for number in range(5):
        ledger.record(f"a{number}", "", "", 0.0)
    assert [entry.number for entry in ledger.page(-1, 2)] == [0, 1]
    assert [entry.number for entry in ledger.page(3, 10)] == [4]
    assert ledger.page(99, 10) == []
    with pytest.raises(IndexError):
        ledger[5]
    ledger.clear()
    assert len(ledger) == ledger.duplicates == 0
