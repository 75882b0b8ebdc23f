"""The arithmetic of a shared budget: how fast a bucket lets through, who gets what, and that nobody is ever over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stentor.pace.pacing import (
    FAR_ENOUGH,
    KEPT,
    LEASE,
    Claim,
    Member,
    Quiet,
    Sheet,
    TokenBucket,
    burst,
    decode_sheet,
    encode_sheet,
    shares,
)

TICKS = 1024
"""Moments in a second of these tests: binary fractions, so that sums of them are exact."""

# -- the bucket --------------------------------------------------------------------------------------------------------


def run(rate: float, asks: list[tuple[int, int]]) -> list[tuple[float, int]]:
    """What a bucket lets through: (moment, how many), where `asks` are (ticks since the last, how many)."""
    bucket, now, found = TokenBucket(rate, 0.0), 0.0, []
    for ticks, most in asks:
        now += ticks / TICKS
        if taken := bucket.take(most, now):
            found.append((now, taken))
    return found


def fullest(sent: list[tuple[float, int]], seconds: float = 1.0) -> int:
    """The most that were sent in any stretch of so many seconds, its end not included."""
    found = end = inside = 0
    for start, (begin, count) in enumerate(sent):
        while end < len(sent) and sent[end][0] < begin + seconds:
            inside += sent[end][1]
            end += 1
        found = max(found, inside)
        inside -= count
        assert start < end
    return found


asks = st.lists(st.tuples(st.integers(0, 2 * TICKS), st.integers(1, 30_000)), max_size=60)


@given(rate=st.integers(1, 20_000), asks=asks)
def test_no_second_has_more_than_a_twentieth_above_the_rate(rate: int, asks: list[tuple[int, int]]) -> None:
    assert fullest(run(rate, asks)) <= (rate if rate < 20 else 1.05 * rate)


@pytest.mark.parametrize("rate", [1, 3, 19, 20, 30, 1000, 10_000])
def test_nor_the_one_after_a_rest(rate: int) -> None:
    sent = run(rate, [(2 * TICKS, 30_000), *[(8, 30_000)] * 400])
    assert 0.9 * rate <= fullest(sent) <= (rate if rate < 20 else 1.05 * rate)


@pytest.mark.parametrize("rate", [1, 3, 10, 15, 20, 25, 33])
def test_who_is_a_little_late_each_time_loses_nothing_and_is_one_ahead_at_most(rate: int) -> None:
    bucket, now, sent = TokenBucket(rate, 0.0), 0.0, []
    for number in range(100 * rate):
        now += bucket.wait(1, now) + (0.0, 0.015, 0.004)[number % 3]
        sent.append((now, bucket.take(1, now)))
    assert sum(count for _, count in sent) == 100 * rate
    assert now == pytest.approx(100.0, abs=0.1)
    assert fullest(sent) <= rate + 1


def test_who_comes_much_too_late_gets_no_more_for_it() -> None:
    bucket = TokenBucket(10.0, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(10, 60.0) == 1
    assert bucket.wait(1, 60.0) == pytest.approx(0.08)


@given(rate=st.floats(0.01, 20_000), asks=asks, seconds=st.floats(0.01, 5.0))
def test_no_stretch_has_more_than_its_rate_and_one_burst(
    rate: float, asks: list[tuple[int, int]], seconds: float
) -> None:
    assert fullest(run(rate, asks), seconds) <= rate * seconds + burst(rate) + 1e-6


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.75, 30.0, 10_000.0])
def test_whoever_asks_in_time_gets_all_of_the_rate(rate: float) -> None:
    bucket, now, sent = TokenBucket(rate, 0.0), 0.0, 0
    while now < 100.0:
        now += bucket.wait(1, now)
        sent += bucket.take(10**9, now)
    assert sent == pytest.approx(100 * rate, abs=1.0)


def test_it_begins_empty_and_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket(1000.0, 5.0)
    assert bucket.take(10, 5.0) == 0
    assert bucket.take(10_000, 500.0) == 50 == bucket.burst


def test_a_wait_is_as_long_as_is_said_and_no_longer_than_a_full_bucket_needs() -> None:
    bucket = TokenBucket(1000.0, 0.0)
    assert bucket.wait(25, 0.0) == pytest.approx(0.025)
    assert bucket.wait(5000, 0.0) == pytest.approx(0.05)
    assert bucket.wait(25, 0.025) == 0.0


def test_a_bucket_without_a_rate_lets_nothing_through_and_forgets_what_it_had() -> None:
    bucket = TokenBucket(1000.0, 0.0)
    bucket.set_rate(0.0, 1.0)
    assert (bucket.take(10, 9.0), bucket.wait(1, 9.0)) == (0, math.inf)
    bucket.set_rate(1000.0, 10.0)
    assert bucket.take(10, 10.0) == 0


def test_a_lower_rate_keeps_no_more_than_its_own_burst() -> None:
    bucket = TokenBucket(1000.0, 0.0)
    bucket.set_rate(100.0, 1.0)
    assert bucket.take(100, 1.0) == 5


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1000.0, 100.0)
    assert bucket.take(10, 50.0) == 0
    assert bucket.take(100, 100.05) == 50
    assert "1000/s" in repr(bucket)


# -- who gets what -----------------------------------------------------------------------------------------------------

demands = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(0, 50_000), min_size=1, max_size=12)


@given(budget=st.floats(0.1, 20_000), demands=demands)
def test_a_budget_is_divided_without_rest_and_fairly(budget: float, demands: dict[str, float]) -> None:
    given_out = shares(budget, demands)
    assert given_out.keys() == demands.keys()
    assert math.fsum(given_out.values()) == pytest.approx(budget)
    assert min(given_out.values()) >= 0
    assert sum(share != int(share) for share in given_out.values()) <= 1
    for name, share in given_out.items():
        if share < demands[name]:
            assert max(given_out.values()) < share + 2  # nobody has a whole push more, rounding aside


@pytest.mark.parametrize(
    ("budget", "demands", "expected"),
    [
        (9000.0, {"a": 9000.0, "b": 9000.0, "c": 9000.0}, [3000, 3000, 3000]),
        (10_000.0, {"a": 10_000.0, "b": 100.0, "c": 10_000.0}, [4950, 100, 4950]),
        (10_000.0, {"a": 100.0, "b": 0.0}, [5050, 4950]),  # what nobody demands lies ready
        (30.0, dict.fromkeys("abcdefgh", 30.0), [3, 3, 4, 4, 4, 4, 4, 4]),
        (30.0, dict.fromkeys("abcd", 0.0), [7, 7, 8, 8]),
        (2.5, dict.fromkeys("abcd", 2.5), [0, 0, 1, 1.5]),
        (0.5, {"a": 0.5, "b": 0.5}, [0, 0.5]),
        (30.0, {"a": 0.3, "b": 30.0}, [1, 29]),
    ],
)
def test_shares(budget: float, demands: dict[str, float], expected: list[float]) -> None:
    given_out = shares(budget, demands)
    assert [given_out[name] for name in demands] == expected


# -- the members -------------------------------------------------------------------------------------------------------


def look(member: Member, sheet: Sheet, now: float, demand: float = 0.0) -> tuple[Sheet, float]:
    """One look whose write succeeds, and for how long it must be quiet."""
    quiet = member.see(sheet, now, now)
    proposal = member.propose(sheet, demand, now)
    if proposal is None:
        return sheet, quiet
    member.renewed(proposal, now)
    return decode_sheet(encode_sheet(proposal)), quiet


def test_the_first_has_all_and_the_second_gets_its_half_when_the_first_lets_go() -> None:
    first, second = Member("first", 1000.0), Member("second", 1000.0)
    sheet, _ = look(first, Sheet(), 0.0, 1000.0)
    sheet, _ = look(second, sheet, 0.5, 1000.0)
    assert (first.usable(0.5), second.usable(0.5), second.share) == (1000.0, 0.0, 500.0)
    sheet, _ = look(first, sheet, 1.0, 1000.0)
    assert (first.usable(1.0), second.usable(1.0)) == (500.0, 0.0)
    sheet, _ = look(second, sheet, 1.2, 1000.0)
    assert (first.usable(1.2), second.usable(1.2)) == (500.0, 500.0)


def test_a_member_stops_by_itself_before_the_others_divide_its_slice() -> None:
    dead, alive = Member("dead", 1000.0), Member("alive", 1000.0)
    sheet, _ = look(dead, Sheet(), 0.0, 1000.0)
    for now in (0.0, 1.0, 2.0, 3.0, 4.0, 4.9):
        sheet, _ = look(alive, sheet, now, 1000.0)
        assert dead.usable(now) == (1000.0 if now < KEPT else 0.0)
        assert alive.usable(now) == 0.0
    sheet, _ = look(alive, sheet, LEASE, 1000.0)
    assert alive.usable(LEASE) == 1000.0
    assert list(sheet.claims) == ["alive"]


def test_who_was_taken_for_dead_begins_with_nothing() -> None:
    one, other = Member("one", 1000.0), Member("other", 1000.0)
    sheet, _ = look(one, Sheet(), 0.0, 1000.0)
    sheet, _ = look(other, sheet, 0.0, 1000.0)
    sheet, _ = look(other, sheet, LEASE, 1000.0)
    sheet, _ = look(one, sheet, LEASE, 1000.0)
    assert (one.usable(LEASE), other.usable(LEASE)) == (0.0, 1000.0)
    sheet, _ = look(other, sheet, LEASE + 1, 1000.0)
    sheet, _ = look(one, sheet, LEASE + 1, 1000.0)
    assert (one.usable(LEASE + 1), other.usable(LEASE + 1)) == (500.0, 500.0)


def test_while_the_settings_differ_the_lowest_budget_holds() -> None:
    old, new = Member("old", 1000.0), Member("new", 400.0)
    sheet, _ = look(old, Sheet(), 0.0, 1000.0)
    sheet, _ = look(new, sheet, 0.0, 400.0)
    sheet, _ = look(old, sheet, 1.0, 1000.0)
    sheet, _ = look(new, sheet, 1.0, 400.0)
    assert (old.usable(1.0), new.usable(1.0)) == (200.0, 200.0)


def test_who_leaves_gives_back_at_once() -> None:
    one, other = Member("one", 1000.0), Member("other", 1000.0)
    sheet, _ = look(one, Sheet(), 0.0)
    left = one.leave(sheet)
    assert left is not None
    assert one.usable(0.0) == 0.0
    look(other, left, 0.0)
    assert other.usable(0.0) == 1000.0
    assert other.leave(Sheet()) is None


def test_a_claim_that_stays_as_it_is_is_renewed_now_and_then() -> None:
    member = Member("one", 1000.0)
    sheet, _ = look(member, Sheet(), 0.0)
    assert member.see(sheet, 0.1, 0.1) == 0.0
    assert member.propose(sheet, 0.0, 0.1) is None
    assert member.propose(sheet, 0.0, 1.0) is not None


def test_a_document_that_cannot_be_read_is_begun_anew() -> None:
    assert decode_sheet(None) == decode_sheet(b"") == decode_sheet(b"\xff{") == decode_sheet(b'{"claims":3}') == Sheet()
    known = Sheet({"a": Claim(grant=1.0, demand=2.0, budget=3.0, beat=4)}, Quiet("q", 5.0))
    assert decode_sheet(encode_sheet(known)) == known
    assert decode_sheet(encode_sheet(known)[:-1] + b',"later":1}') == known  # a newer Stentor's


# -- quiet -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [None, 1000.0])
def test_quiet_is_heard_once_by_each_and_not_by_who_asked_for_it(budget: float | None) -> None:
    asked, other, late = (Member(name, budget) for name in ("asked", "other", "late"))
    sheet, _ = look(asked, Sheet(), 0.0)
    sheet, _ = look(other, sheet, 0.0)
    assert asked.be_quiet(30.0, 1.0)
    sheet, quiet = look(asked, sheet, 1.0)
    assert quiet == 0.0
    sheet, quiet = look(other, sheet, 1.5)
    assert quiet == pytest.approx(30.0, abs=1.0)
    for now in (2.0, 11.0):
        sheet, quiet = look(asked, sheet, now)
        assert quiet == 0.0
        sheet, quiet = look(other, sheet, now)
        assert quiet == 0.0
    sheet, quiet = look(late, sheet, 11.0)
    assert quiet == pytest.approx(20.0, abs=1.0)  # the rest of it
    for now in (31.5, 32.0):
        for member in (asked, other, late):
            sheet, quiet = look(member, sheet, now)
            assert quiet == 0.0
    assert sheet.quiet is None
    assert look(Member("newest", budget), sheet, 33.0)[1] == 0.0


def test_without_a_budget_nothing_is_written_but_quiet() -> None:
    member = Member("one", None)
    assert member.see(Sheet(), 0.0, 0.0) == 0.0
    assert member.propose(Sheet(), 0.0, 0.0) is None
    assert member.usable(0.0) == 0.0


def test_what_all_obey_already_is_not_told_again() -> None:
    one, other = Member("one", None), Member("other", None)
    assert one.be_quiet(30.0, 0.0)
    sheet, _ = look(one, Sheet(), 0.0)
    look(other, sheet, 0.0)
    assert not other.be_quiet(30.0 + FAR_ENOUGH / 2, 0.0)
    assert not one.be_quiet(29.0, 0.5)
    assert other.be_quiet(40.0, 0.0)
    sheet, quiet = look(other, sheet, 0.0)
    assert quiet == 0.0
    assert look(one, sheet, 0.0)[1] == pytest.approx(40.0)


def test_of_two_that_are_asked_at_once_the_longer_quiet_holds() -> None:
    short, long = Member("short", None), Member("long", None)
    assert short.be_quiet(10.0, 0.0)
    assert long.be_quiet(60.0, 0.0)
    sheet, _ = look(short, Sheet(), 0.0)
    sheet, quiet = look(long, sheet, 0.0)
    assert quiet == 0.0
    sheet, quiet = look(short, sheet, 0.0)
    assert quiet == pytest.approx(60.0)
    assert sheet.quiet is not None
    assert sheet.quiet.seconds == pytest.approx(60.0)


def test_who_is_asked_for_less_than_another_takes_over_that_ones_quiet() -> None:
    short, long = Member("short", None), Member("long", None)
    assert short.be_quiet(10.0, 0.0)
    assert long.be_quiet(60.0, 0.0)
    sheet, _ = look(long, Sheet(), 0.0)
    sheet, quiet = look(short, sheet, 0.0)
    assert quiet == pytest.approx(60.0)
    assert sheet.quiet is not None
    assert sheet.quiet.seconds == pytest.approx(60.0)


# -- nobody is ever over it --------------------------------------------------------------------------------------------

BUDGET = 30.0
DEMANDS = st.sampled_from([0.0, 0.7, 4.0, BUDGET])


@dataclass
class Sender:
    """A member with a clock of its own, at some point of a look."""

    member: Member
    offset: float
    speed: float
    began: float = 0.0
    read: tuple[Sheet, int] | None = None
    proposal: Sheet | None = None
    written: bool = False
    demand: float = 0.0
    stalled: bool = False


class Cluster(RuleBasedStateMachine):
    """Senders that read, write, stall, die and join in any order, and lose the answers to what they wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.true = 0.0
        self.sheet, self.revision = Sheet(), 0
        self.senders: list[Sender] = []
        self.names = 0

    def now(self, sender: Sender) -> float:
        return sender.offset + self.true * sender.speed

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        for number in range(count):
            self.join(1000.0 * number, 1.0)

    @rule(offset=st.floats(-1e6, 1e6), speed=st.floats(0.9, 1.1))
    def join(self, offset: float, speed: float) -> None:
        self.names += 1
        self.senders.append(Sender(Member(f"m{self.names}", BUDGET), offset, speed))

    @precondition(lambda self: self.senders)
    @rule(data=st.data())
    def die(self, data: Any) -> None:
        self.senders.remove(data.draw(st.sampled_from(self.senders)))

    @precondition(lambda self: self.senders)
    @rule(data=st.data())
    def stall_or_go_on(self, data: Any) -> None:
        sender = data.draw(st.sampled_from(self.senders))
        sender.stalled = not sender.stalled

    @rule(seconds=st.floats(0.0, 7.0))
    def time_passes(self, seconds: float) -> None:
        self.true += seconds

    @rule(rounds=st.integers(1, 8), seconds=st.floats(0.2, 1.0), demand=DEMANDS)
    def all_look_in_turn(self, rounds: int, seconds: float, demand: float) -> None:
        for _ in range(rounds):
            self.true += seconds
            for sender in self.awake:
                sender.demand = demand
                for _ in range(4):
                    self.step(sender)

    @rule(rounds=st.integers(1, 4), demand=DEMANDS)
    def all_look_at_once(self, rounds: int, demand: float) -> None:
        """Each reads before any writes: one of them is the first, the others must begin anew."""
        for _ in range(4 * rounds):
            for sender in self.awake:
                sender.demand = demand
                self.step(sender)

    @precondition(lambda self: self.senders)
    @rule(data=st.data(), steps=st.integers(1, 12), demand=DEMANDS)
    def one_goes_on(self, data: Any, steps: int, demand: float) -> None:
        """The next steps of a look, or of several."""
        sender = data.draw(st.sampled_from(self.senders))
        sender.demand = demand
        for _ in range(steps):
            self.step(sender)

    @precondition(lambda self: self.senders)
    @rule(data=st.data())
    def lose_the_answer(self, data: Any) -> None:
        """The connection is lost: whether it was written or not, the sender doesn't hear of it."""
        sender = data.draw(st.sampled_from(self.senders))
        sender.read = sender.proposal = None
        sender.written = False

    @property
    def awake(self) -> list[Sender]:
        return [sender for sender in self.senders if not sender.stalled]

    def step(self, sender: Sender) -> None:
        if sender.read is None:
            sender.began = self.now(sender)
            sender.read = (self.sheet, self.revision)
        elif sender.proposal is None:
            sheet, _ = sender.read
            sender.member.see(sheet, sender.began, self.now(sender))
            sender.proposal = sender.member.propose(sheet, sender.demand, self.now(sender))
            sender.began = self.now(sender)
            if sender.proposal is None:
                sender.read = None
        elif not sender.written:
            if sender.read[1] == self.revision:
                self.sheet, self.revision = sender.proposal, self.revision + 1
                sender.written = True
            else:
                sender.read = sender.proposal = None
        else:
            sender.member.renewed(sender.proposal, sender.began)
            sender.read = sender.proposal = None
            sender.written = False
        self.nobody_is_over_it()

    @invariant()
    def nobody_is_over_it(self) -> None:
        used = math.fsum(sender.member.usable(self.now(sender)) for sender in self.senders)
        assert used <= BUDGET + 1e-9
        assert math.fsum(claim.grant for claim in self.sheet.claims.values()) <= BUDGET + 1e-9


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=200, stateful_step_count=30)
