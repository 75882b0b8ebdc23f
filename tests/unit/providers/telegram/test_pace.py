"""Whose turn it is: a chat once a second, a group twenty times a minute, nobody while the bot is to be silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stentor.providers.telegram.pace import CHAT_WINDOW, GROUP_MESSAGES, GROUP_WINDOW, MARGIN, Turns, cost

CHATS = (b"7", b"8", b"-100", b"@news")
ASKS = st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(CHATS)), max_size=200)


def most_in(window: float, times: list[float]) -> int:
    return max((sum(start <= time < start + window for time in times) for start in times), default=0)


@given(ASKS)
def test_no_chat_gets_more_than_it_may(asks: list[tuple[int, bytes]]) -> None:
    turns, now = Turns(), 0.0
    sent: dict[bytes, list[float]] = {chat: [] for chat in CHATS}
    for milliseconds, chat in asks:
        now += milliseconds / 1024
        if not turns.take(chat, now):
            sent[chat].append(now)
    for chat, times in sent.items():
        assert most_in(CHAT_WINDOW, times) <= 1
        if chat[:1] in b"-@":
            assert most_in(GROUP_WINDOW, times) <= GROUP_MESSAGES


@given(ASKS)
def test_whoever_waits_as_long_as_told_gets_a_turn(asks: list[tuple[int, bytes]]) -> None:
    turns, now = Turns(), 0.0
    for milliseconds, chat in asks:
        now += milliseconds / 1024
        if wait := turns.take(chat, now):
            now += wait + 1e-6
            assert turns.take(chat, now) == 0.0


def test_a_group_gets_twenty_in_a_minute_as_fast_as_a_chat_may() -> None:
    turns, now = Turns(), 100.0
    for _ in range(GROUP_MESSAGES):
        assert turns.take(b"-5", now) == 0.0
        now += 1.5
    assert turns.take(b"-5", now) == 100.0 + GROUP_WINDOW + MARGIN - now
    assert turns.take(b"5", now) == 0.0


def test_a_silence_holds_for_all_and_is_never_shortened() -> None:
    turns = Turns()
    turns.be_silent(130.0)
    turns.be_silent(110.0)
    assert turns.take(b"1", 100.0) == 30.0
    assert turns.take(b"1", 130.0) == 0.0


def test_chats_are_forgotten_after_a_second_and_groups_after_a_minute() -> None:
    turns = Turns()
    for number in range(1, 1001):
        turns.take(b"%d" % number, number / 1024)
        turns.take(b"-%d" % number, number / 1024)
    assert len(turns) == 2000
    turns.take(b"1", 10.0)
    assert len(turns) == 1001
    turns.take(b"1", 100.0)
    assert len(turns) == 1


def test_no_more_than_so_many_are_remembered() -> None:
    turns = Turns(most_chats=100)
    for number in range(1, 1001):
        turns.take(b"%d" % number, 1.0)
        turns.take(b"-%d" % number, 1.0)
    assert 100 <= len(turns) <= 200
    assert turns.take(b"1000", 1.0) > 0


def test_what_a_campaign_costs() -> None:
    assert cost(1_000_000, 30) == cost(1_000_000, 5) == 0
    assert cost(1_000, 60) == 50
    assert cost(1_000_000, 1000) == 97_000
    assert cost(1, 1000) == 1
    assert cost(0, 1000) == 0
