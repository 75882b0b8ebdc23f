"""A lane against the strict Telegram simulator: who gets what, what each refusal leads to, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration, InvalidMessage
from stentor.model import Action, Message, TelegramButton, TelegramMarkup, TelegramOptions
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content
from stentor.providers import http_lane
from stentor.providers.channels import open_lane
from stentor.providers.contract import MALFORMED_ADDRESS, NOWHERE, UNREADABLE
from stentor.providers.http_lane import PACE
from stentor.providers.lane import CampaignContent, Flight, Introduces, Slackens
from stentor.providers.telegram.channel import TelegramApp
from stentor.providers.telegram.lane import TelegramLane
from stentor.simulators import telegram as simulated
from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Faults, Latency, Storm, Trigger, Unavailable, load_faults, parse_faults
from stentor.simulators.telegram import TelegramSimulator
from stentor.simulators.telegram.messages import DELETED

PLAIN = Content(message=Message(title="Sale", body="Ends tonight"))
FAST = simulated.TelegramSetup(per_second=1000.0)
"""For tests that aren't about pace: a lane alone doesn't keep the bot's rate; its sender does."""


def chats(count: int, first: int = 1) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def app(telegram: TelegramSimulator, **other: Any) -> TelegramApp:
    given = {"token_file": telegram.token_file, "url": telegram.url, "ca_file": telegram.ca_file}
    return TelegramApp(**{**given, **other})


@asynccontextmanager
async def lane_to(telegram: TelegramSimulator, **other: Any) -> AsyncIterator[TelegramLane]:
    lane = open_lane("bot", app(telegram, **other), telegram.clock)
    assert isinstance(lane, TelegramLane)
    try:
        yield lane
    finally:
        await lane.aclose(0.0)


async def send(
    lane: TelegramLane,
    content: Content,
    addresses: Sequence[bytes],
    variables: Sequence[dict[str, Any]] | None = None,
) -> Flight:
    campaign = CampaignContent(id="c1", content=content, started_at=0.0, collapse_id="c1")
    prepared = await lane.prepare(campaign)
    flight = await lane.begin(prepared, list(addresses), addresses, None, variables)
    await flight.done()
    return flight


def reasons(flight: Flight) -> list[str]:
    return [answer.reason for _, answer in sorted(flight.answers(0.0).items())]


def verdicts(flight: Flight) -> set[Verdict]:
    return {answer.verdict for answer in flight.answers(0.0).values()}


# -- what is sent -----------------------------------------------------------------------------------------------------


async def test_a_batch_and_what_its_messages_are_found_by() -> None:
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        assert isinstance(lane, Introduces)
        assert (await lane.introduce()) == "@rehearsal_bot (Rehearsal)"
        flight = await send(lane, PLAIN, [*chats(100), b"-1001234567890", b"@news_of_us"])
        assert flight.answers(0.0) == {}
        assert sorted(telegram.ledger.addresses()) == sorted(
            [*(str(n) for n in range(1, 101)), "-1001234567890", "@news_of_us"]
        )
        receipts = {receipt.id for receipt in flight.receipts().values()}
        assert receipts == {entry.message_id for entry in telegram.ledger}
        assert flight.receipts()[100].id.startswith("-1001234567890:")
        assert telegram.ledger.answered == 102


async def test_every_kind_of_message() -> None:
    buttons = ((TelegramButton(text="Go", url="https://example.com"), TelegramButton(text="No", callback_data="no")),)
    marked = TelegramOptions(
        text="*Sale* _ends_ [tonight](https://example.com)\\!",
        parse_mode=TelegramMarkup.MARKDOWN_V2,
        buttons=buttons,
        disable_notification=True,
        protect_content=True,
        link_preview=False,
    )
    messages = [
        Message(telegram=marked),
        Message(title="Sale", image="https://example.com/a.png", telegram=TelegramOptions(buttons=buttons)),
        Message(telegram=TelegramOptions(text="<b>a</b>", parse_mode=TelegramMarkup.HTML)),
        Message(image="https://example.com/a.png"),
    ]
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        for number, message in enumerate(messages, 1):
            flight = await send(lane, Content(message=message), chats(1, number))
            assert flight.answers(0.0) == {}
        assert len(telegram.ledger) == len(messages)


async def test_each_gets_a_text_of_their_own_or_is_told_why_not() -> None:
    options = TelegramOptions(text="<b>Hello {{ name }}</b>", parse_mode=TelegramMarkup.HTML)
    names = [{"name": "Ada"}, {"name": "<3"}, {"name": "x" * 5000}, {}]
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, Content(message=Message(telegram=options)), chats(4), names)
        assert flight.accepted() == b"\x01\0\0\0"
        assert reasons(flight) == ["InvalidMessage", "PayloadTooLarge", "TemplateError"]
        assert verdicts(flight) == {Verdict.REJECT}


async def test_broken_markup_is_refused_before_anything_is_sent() -> None:
    broken = Message(telegram=TelegramOptions(text="Ends.", parse_mode=TelegramMarkup.MARKDOWN_V2))
    async with TelegramSimulator() as telegram, lane_to(telegram) as lane:
        with pytest.raises(InvalidMessage, match="at character 5"):
            await send(lane, Content(message=broken), chats(1))
        assert telegram.summary()["connections"] == 0


async def test_what_is_no_chat_is_not_asked_about() -> None:
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, [b"12", b"abc", b""])
        assert flight.accepted() == b"\x01\0\0"
        assert reasons(flight) == [MALFORMED_ADDRESS, NOWHERE.reason]


async def test_a_rate_that_costs_stars_needs_leave() -> None:
    paid = Message(title="Sale", telegram=TelegramOptions(allow_paid_broadcast=True))
    async with TelegramSimulator(FAST) as telegram:
        async with lane_to(telegram) as ordinary:
            assert (ordinary.rate, ordinary.ceiling) == (30.0, 30.0)
        async with lane_to(telegram, rate=500.0) as lane:
            assert lane.rate == 500.0
            assert isinstance(lane, Slackens)
            assert [lane.rate_of(action) for action in (Action.SEND, Action.EDIT, Action.UNDO)] == [None, 30.0, 30.0]
            with pytest.raises(InvalidConfiguration, match=r"rate: is 500 a second; more than 30 costs Stars"):
                await send(lane, PLAIN, chats(1))
            assert (await send(lane, Content(message=paid), chats(50))).answers(0.0) == {}


# -- refusals ---------------------------------------------------------------------------------------------------------


async def test_dead_chats_are_dropped_and_others_served() -> None:
    faults = parse_faults({"devices": {"unregistered": 0.2, "wrong_app": 0.1, "malformed": 0.1}})
    async with TelegramSimulator(FAST, faults=faults, seed=3) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, [*chats(150), *(b"-%d" % number for number in range(1, 51))])
        assert verdicts(flight) == {Verdict.DROP}
        assert set(reasons(flight)) >= {
            "bot was blocked by the user",
            "user is deactivated",
            "bot can't initiate conversation with a user",
            "bot was kicked from the group chat",
            "bot is not a member of the group chat",
            "chat not found",
        }
        assert flight.accepted().count(1) == len(telegram.ledger) == 200 - len(reasons(flight))


async def test_a_group_that_moved_is_followed() -> None:
    options = simulated.TelegramSetup(per_second=1000.0, migrated=1.0)
    async with TelegramSimulator(options) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, [b"-77", b"77"])
        assert flight.answers(0.0) == {}
        moved = flight.receipts()[0]
        assert moved.moved_to == "-1000000000077"
        assert moved.id.startswith("-1000000000077:")
        assert flight.receipts()[1].moved_to == ""
        assert sorted(telegram.ledger.addresses()) == ["-1000000000077", "77"]


async def test_topics_of_a_forum_get_it_at_the_pace_of_their_chat() -> None:
    options = simulated.TelegramSetup(per_second=1000.0)
    async with TelegramSimulator(options) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, [b"-1001234567890:5", b"@forum:7", b"-1001234567890:6"])
        assert {(at, each.reason) for at, each in flight.answers(0.0).items()} == {(2, "Pace")}
        assert flight.receipts()[0].id.startswith("-1001234567890:")
        assert sorted(telegram.ledger.addresses()) == ["-1001234567890:5", "@forum:7"]


async def test_a_chat_that_forbids_it_is_kept() -> None:
    faults = parse_faults({"devices": {"third_party_auth": 1.0}})
    async with TelegramSimulator(FAST, faults=faults) as telegram, lane_to(telegram) as lane:
        assert verdicts(await send(lane, PLAIN, chats(3))) == {Verdict.REJECT}


async def test_one_429_silences_the_lane() -> None:
    options = simulated.TelegramSetup(per_second=5.0)
    async with TelegramSimulator(options) as telegram, lane_to(telegram, max_connections=1) as lane:
        flight = await send(lane, PLAIN, chats(40))
        found = [answer for _, answer in sorted(flight.answers(0.0).items())]
        assert [answer.verdict for answer in found] == [Verdict.RETRY, *[Verdict.WAIT] * (len(found) - 1)]
        assert (found[0].scope, found[0].asked) == (Scope.ACCOUNT, True)
        assert {answer.reason for answer in found[1:]} == {PACE}
        assert all((answer.retry_after or 0) > 0 for answer in found)
        assert telegram.summary()["rejected"] == {"Too Many Requests: retry after …": 1}
        later = await send(lane, PLAIN, chats(5, first=1000))
        assert verdicts(later) == {Verdict.WAIT}


async def test_a_chat_has_to_wait_for_its_turn() -> None:
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, [b"5", b"5", b"6"])
        assert flight.accepted() == b"\x01\0\x01"
        assert (reasons(flight), verdicts(flight)) == ([PACE], {Verdict.WAIT})
        assert len(telegram.ledger) == 2


# -- trouble ----------------------------------------------------------------------------------------------------------


async def test_a_wrong_token_stops_the_lane_and_drops_nobody(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.token"
    wrong.write_text("1234567890:" + "A" * 35 + "\n")
    async with TelegramSimulator() as telegram, lane_to(telegram, token_file=wrong) as lane:
        flight = await send(lane, PLAIN, chats(3))
        assert (verdicts(flight), set(reasons(flight))) == ({Verdict.STOP}, {"Unauthorized"})
        with pytest.raises(
            CredentialError, match=r"apps\.bot\.token_file: Telegram answers 401 Unauthorized\. The token"
        ):
            await lane.introduce()


@pytest.mark.parametrize("content", ["", "no token", "123:short", "é" * 50, "1:" + "a" * 34])
async def test_a_file_without_a_token_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bot.token"
    file.write_text(content)
    lane = TelegramLane(TelegramApp(token_file=file), "bot", lambda: 0.0)
    with pytest.raises(CredentialError, match=r"apps\.bot\.token_file: .* holds no bot token") as error:
        await lane.check()
    assert not content or content not in str(error.value)
    file.unlink()
    with pytest.raises(CredentialError, match="cannot be read"):
        await lane.check()
    await lane.aclose()


async def test_a_token_that_was_changed_is_read_again() -> None:
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        assert (await send(lane, PLAIN, chats(1))).answers(0.0) == {}
        telegram.telegram.token = "9876543210:" + "B" * 35
        assert verdicts(await send(lane, PLAIN, chats(1, 2))) == {Verdict.STOP}
        telegram.token_file.write_text(telegram.token)
        assert await lane.reload()
        assert (await send(lane, PLAIN, chats(1, 3))).answers(0.0) == {}


async def test_garbage_is_sent_again_and_never_drops() -> None:
    faults = parse_faults({"malformed": {"share": 1.0, "forms": ["html502", "empty", "truncated", "unknown_reason"]}})
    async with TelegramSimulator(FAST, faults=faults) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, chats(60))
        assert verdicts(flight) == {Verdict.RETRY}
        assert set(reasons(flight)) == {"Bad Gateway", UNREADABLE, "Something New: never heard of"}
        assert len(telegram.ledger) == 0


async def test_a_yes_without_an_id_leaves_nothing_to_delete_by() -> None:
    faults = parse_faults({"malformed": {"share": 1.0, "forms": ["missing_id"]}})
    async with TelegramSimulator(FAST, faults=faults) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, chats(2))
        assert (flight.accepted(), flight.receipts()) == (b"\x01\x01", {})


@pytest.mark.parametrize(
    ("faults", "verdict"),
    [
        (Faults(script=(Trigger(after=1, do="drop_after_accept"),)), Verdict.AMBIGUOUS),
        (Faults(script=(Trigger(after=1, do="drop_before_body"),)), Verdict.AMBIGUOUS),
        (parse_faults({"unavailable": {"for_s": 60.0, "status": 500}}), Verdict.AMBIGUOUS),
        (parse_faults({"unavailable": {"for_s": 60.0, "retry_after": ["7"]}}), Verdict.RETRY),
        (parse_faults({"storm": {"for_s": 60.0, "retry_after": ["9"]}}), Verdict.RETRY),
    ],
    ids=["cut after it was taken", "cut before", "500", "503", "storm"],
)
async def test_times_of_trouble(faults: Faults, verdict: Verdict) -> None:
    async with TelegramSimulator(FAST, faults=faults) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, chats(1))
        assert verdicts(flight) == {verdict}
        taken = [trigger for trigger in faults.script if trigger.do == "drop_after_accept"]
        assert len(telegram.ledger) == len(taken)


async def test_no_answer_in_time_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_lane, "ANSWER_WITHIN", 3.0)
    faults = Faults(script=(Trigger(after=1, do="hang"),))
    async with TelegramSimulator(FAST, faults=faults) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, chats(2))
        assert (verdicts(flight), flight.accepted().count(1)) == ({Verdict.AMBIGUOUS}, 1)
        assert len(telegram.ledger) == 2


async def test_a_provider_that_isnt_there_leaves_everybody_unsent(tmp_path: Path) -> None:
    async with TelegramSimulator() as telegram:
        url = telegram.url
    token_file = tmp_path / "bot.token"
    token_file.write_text(telegram.token)
    lane = TelegramLane(TelegramApp(token_file=token_file, url=url), "bot", telegram.clock)
    flight = await send(lane, PLAIN, chats(3))
    assert verdicts(flight) == {Verdict.RECONNECT}
    with pytest.raises(CredentialUnavailable, match="no connection to"):
        await lane.introduce()
    await lane.aclose()


async def test_what_the_menu_has_is_met_without_losing_anybody() -> None:
    faults = replace(load_faults("menu"), latency=Latency(), unavailable=Unavailable(), storm=Storm())
    async with TelegramSimulator(FAST, faults=faults, seed=5) as telegram, lane_to(telegram) as lane:
        flight = await send(lane, PLAIN, chats(1000))
        accepted = flight.accepted().count(1)
        assert accepted + len(flight.answers(0.0)) == 1000
        assert len(telegram.ledger) - accepted == reasons(flight).count("NoAnswer")
        assert telegram.summary()["injected"].keys() <= {"drop_after_accept", "malformed"}
        assert 900 < accepted < 1000


# -- taking back and changing -----------------------------------------------------------------------------------------


async def test_messages_are_edited_and_deleted() -> None:
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram) as lane:
        sent = await send(lane, PLAIN, chats(5))
        receipts = [sent.receipts()[index].id.encode() for index in range(5)]
        better = replace(PLAIN, message=Message(title="Sale", body="Ends tomorrow"), action=Action.EDIT)
        for _ in range(2):  # the second changes nothing, and is no failure
            assert (await send(lane, better, receipts)).answers(0.0) == {}
        assert telegram.summary()["edited"] == 5
        gone = replace(PLAIN, action=Action.UNDO)
        for _ in range(2):
            assert (await send(lane, gone, receipts)).answers(0.0) == {}
        assert telegram.summary()["deleted"] == 5
        assert all(telegram.telegram.messages.flags(number) & DELETED for number in range(1, 6))
        too_late = await send(lane, better, receipts)
        assert (verdicts(too_late), set(reasons(too_late))) == ({Verdict.REJECT}, {"message to edit not found"})
        strange = await send(lane, gone, [b"no receipt", b""])
        assert reasons(strange) == [MALFORMED_ADDRESS, NOWHERE.reason]


async def test_changes_keep_silent_too() -> None:
    faults = parse_faults({"storm": {"for_s": 60.0, "retry_after": ["9"]}})
    async with TelegramSimulator(FAST) as telegram, lane_to(telegram, max_connections=1) as lane:
        sent = await send(lane, PLAIN, chats(3))
        receipts = [receipt.id.encode() for receipt in sent.receipts().values()]
        telegram.faults = faults
        better = Content(message=Message(title="Sale", body="Ends tomorrow"), action=Action.EDIT)
        found = (await send(lane, better, receipts)).answers(0.0)
        assert [found[index].verdict for index in range(3)] == [Verdict.RETRY, Verdict.WAIT, Verdict.WAIT]
        assert telegram.summary()["edited"] == 0


async def test_after_48_hours_nothing_is_taken_back() -> None:
    clock = MovableClock()
    async with TelegramSimulator(FAST, clock=clock) as telegram, lane_to(telegram) as lane:
        sent = await send(lane, PLAIN, chats(1))
        clock.advance(48 * 3600 + 1)
        flight = await send(lane, replace(PLAIN, action=Action.UNDO), [sent.receipts()[0].id.encode()])
        assert (verdicts(flight), reasons(flight)) == ({Verdict.REJECT}, ["message can't be deleted"])
        assert telegram.summary()["deleted"] == 0


async def test_lanes_of_a_slow_telegram_close_at_once() -> None:
    options = simulated.TelegramSetup(per_second=1.0, slow_429=True)
    async with TelegramSimulator(options) as telegram, lane_to(telegram) as lane:
        campaign = CampaignContent(id="c1", content=PLAIN, started_at=0.0, collapse_id="c1")
        flight = await lane.begin(await lane.prepare(campaign), chats(4), chats(4))
        while telegram.summary()["rejected"] == {}:  # noqa: ASYNC110 - it is the simulator's, in this very loop
            await asyncio.sleep(0)
        await lane.aclose(0.0)
        await flight.done()
        assert Verdict.AMBIGUOUS in verdicts(flight)
