"""A Discord lane against the strict simulator: who gets what, and limits that are kept without one that was broken."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stentor.errors import CredentialError, CredentialUnavailable, InvalidMessage
from stentor.model import Action, DiscordOptions, Message
from stentor.outcome import Outcome, Scope, Verdict
from stentor.pace.budget import Budget
from stentor.planning.content import Content
from stentor.providers.channels import open_lane
from stentor.providers.contract import MALFORMED_ADDRESS, Answer
from stentor.providers.discord.channel import DiscordApp
from stentor.providers.discord.lane import DiscordLane
from stentor.providers.lane import CampaignContent, Distinguishes, Divides, Introduces
from stentor.sending.gatekeeper import Gatekeeper
from stentor.sending.retry import Circumstances, decide
from stentor.simulators.discord import DiscordSetup, DiscordSimulator
from stentor.simulators.faults import Devices, Faults, Malformed, Storm, Trigger, Unavailable
from stentor.testing.board import MemoryBoard
from tests.integration.sending.doubles import DeskDouble

SALE = Content(message=Message(title="Sale", body="Ends tonight"))
PERSONAL = Content(message=Message(title="Hello {{ name }}", body="{{ text }}"))
TOKEN = "abcdefghij-0123456789_ABCDEFGHIJ"


def channels(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % (300_000_000_000_000_000 + number) for number in range(first, first + count)]


def users(count: int) -> list[bytes]:
    return [b"user:%d" % (200_000_000_000_000_000 + number) for number in range(count)]


def webhooks(count: int) -> list[bytes]:
    path = f"/{TOKEN}".encode()
    return [b"https://discord.com/api/webhooks/%d" % (400_000_000_000_000_000 + n) + path for n in range(count)]


def campaign(content: Content = SALE, name: str = "c1") -> CampaignContent:
    return CampaignContent(id=name, content=content, started_at=0.0, collapse_id=name)


def app_of(simulator: DiscordSimulator, **other: Any) -> DiscordApp:
    given = {"token_file": simulator.token_file, "url": simulator.url, "ca_file": simulator.ca_file, "rate": 1000}
    return DiscordApp(**{**given, **other})


async def opened(app: DiscordApp) -> AsyncIterator[DiscordLane]:
    lane = DiscordLane(app, "bot", time.time)
    try:
        yield lane
    finally:
        await lane.aclose(0.0)


@pytest.fixture
async def discord() -> AsyncIterator[DiscordSimulator]:
    async with DiscordSimulator(DiscordSetup(requests_per_second=10_000)) as simulator:
        yield simulator


@pytest.fixture
async def lane(discord: DiscordSimulator) -> AsyncIterator[DiscordLane]:
    async for one in opened(app_of(discord)):
        yield one


async def send(
    lane: DiscordLane,
    addresses: Sequence[bytes],
    content: Content = SALE,
    name: str = "c1",
    variables: Sequence[dict[str, Any]] | None = None,
) -> tuple[dict[int, Answer], dict[int, str]]:
    """The last answers, by index, of those who weren't accepted; and the receipts of the others. Who must wait is sent
    to again when it may."""
    prepared = await lane.prepare(campaign(content, name))
    answers: dict[int, Answer] = {}
    receipts: dict[int, str] = {}
    left = list(range(len(addresses)))
    while left:
        flight = await lane.begin(
            prepared,
            [b"r%d" % index for index in left],
            [addresses[index] for index in left],
            None,
            [variables[index] for index in left] if variables else None,
        )
        await flight.done()
        found = {left[at]: answer for at, answer in flight.answers(0.0).items()}
        receipts |= {left[at]: taken.id for at, taken in flight.receipts().items()}
        left = [index for index, answer in found.items() if answer.verdict is Verdict.WAIT]
        answers |= {index: answer for index, answer in found.items() if answer.verdict is not Verdict.WAIT}
        if left:
            await asyncio.sleep(min(found[index].retry_after or 0.0 for index in left))
    return answers, receipts


def refused(simulator: DiscordSimulator, what: str = "429") -> list[str]:
    return [reason for reason in simulator.summary()["rejected"] if what in reason]


# Who gets what


async def test_channels_users_and_webhooks(discord: DiscordSimulator, lane: DiscordLane) -> None:
    addresses = [*channels(8), *users(4), *webhooks(4)]
    answers, receipts = await send(lane, addresses)
    assert answers == {}
    assert sorted(discord.ledger.addresses()) == sorted(address.decode() for address in addresses)
    entries = {entry.address: entry for entry in discord.ledger}
    assert all(20 <= len(entries[address.decode()].dedup_id) <= 25 for address in addresses[:12])
    assert receipts[0] == f"{addresses[0].decode()}/{entries[addresses[0].decode()].message_id}"
    assert receipts[15].split("/")[1:] == [TOKEN, entries[addresses[15].decode()].message_id]
    assert discord.summary()["invalid_requests"] == 0


def test_only_a_webhook_shows_what_was_sent_twice_two_times(lane: DiscordLane) -> None:
    receipts = [b"%d/%d" % (3 * 10**17, 10**18), b"%d/%s/%d" % (3 * 10**17, TOKEN.encode(), 10**18)]
    assert isinstance(lane, Distinguishes)
    assert all(map(lane.repeats, webhooks(2)))
    assert not any(map(lane.repeats, [*channels(2), *users(2), *receipts, b"?", b"\xff"]))


async def test_a_second_try_is_answered_with_the_first_message(discord: DiscordSimulator, lane: DiscordLane) -> None:
    _, first = await send(lane, [*channels(2), *users(2)])
    _, again = await send(lane, [*channels(2), *users(2)])
    assert again == first
    assert (len(discord.ledger), discord.discord.collapsed) == (4, 4)
    await send(lane, channels(2), name="c2")
    assert len(discord.ledger) == 6, "another campaign is another message"


async def test_a_conversation_is_opened_once(discord: DiscordSimulator, lane: DiscordLane) -> None:
    await send(lane, users(1))
    await send(lane, users(1), name="c2")
    assert discord.summary()["accepted"] == 2
    assert lane._conversations.keys() == {users(1)[0].decode().removeprefix("user:")}


async def test_conversations_are_forgotten_at_last(lane: DiscordLane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.providers.discord.lane.MOST_CONVERSATIONS", 3)
    answers, _ = await send(lane, users(5))
    assert answers == {}
    assert len(lane._conversations) == 3


async def test_what_is_personal(discord: DiscordSimulator, lane: DiscordLane) -> None:
    variables = [{"name": "A_da", "text": "x"}, {"name": "B", "text": "x" * 2001}, {"name": "C"}]
    answers, receipts = await send(lane, channels(3), PERSONAL, variables=variables)
    assert [answers[index].reason for index in (1, 2)] == ["PayloadTooLarge", "TemplateError"]
    posted = discord.discord._messages[receipts[0].split("/")[1]]
    assert posted.content["content"] == "**Hello A\\_da**\nx"
    assert posted.content["allowed_mentions"] == {"parse": []}


async def test_no_address_of_discords(discord: DiscordSimulator, lane: DiscordLane) -> None:
    answers, _ = await send(lane, [b"12", b"user:x", b"https://example.com/api/webhooks/1/2", b"\xff"])
    assert {answer.reason for answer in answers.values()} == {MALFORMED_ADDRESS}
    assert discord.summary()["connections"] == 0


async def test_the_dead(discord: DiscordSimulator, lane: DiscordLane) -> None:
    expected = {
        "unregistered": ("10003 Unknown Channel", "10013 Unknown User", "10015 Unknown Webhook"),
        "wrong_app": ("50001 Missing Access", "50007 Cannot DM User", "10015 Unknown Webhook"),
        "third_party_auth": ("50013 Missing Permissions", "50278 No Mutual Server", "10015 Unknown Webhook"),
        "malformed": ("50008 Non-Text Channel", "50033 Invalid Recipient", "50027 Invalid Webhook Token"),
    }
    for user, (fate, reasons) in zip(users(4), expected.items(), strict=True):
        discord.faults = Faults(devices=Devices(**{fate: 1.0}))
        answers, _ = await send(lane, [*channels(1), user, *webhooks(1)], name=fate)
        assert tuple(answers[index].reason for index in range(3)) == reasons
        assert {answer.verdict for answer in answers.values()} == {Verdict.DROP}
        assert all(lane.meaning(answer.reason) for answer in answers.values())


# Limits


async def test_buckets_are_kept_without_one_429() -> None:
    """One channel and one webhook, each twelve times: more than two buckets full."""
    setup = DiscordSetup(requests_per_second=10_000, messages_period_s=0.6, webhook_period_s=0.6)
    async with DiscordSimulator(setup) as simulator:
        async for lane in opened(app_of(simulator)):
            for number in range(3):
                answers, _ = await send(lane, [*channels(1) * 4, *webhooks(1) * 4], name=f"c{number}")
                assert answers == {}
            times = sorted(entry.time for entry in simulator.ledger if entry.dedup_id)
            assert refused(simulator) == []
            assert times[10] - times[0] >= 1.2, "the eleventh is in the third window"


async def test_many_users_at_once(discord: DiscordSimulator) -> None:
    """The opening of conversations has one bucket for all of them."""
    setup = DiscordSetup(requests_per_second=10_000, openings=10, openings_period_s=0.5)
    async with DiscordSimulator(setup) as simulator:
        async for lane in opened(app_of(simulator)):
            answers, _ = await send(lane, users(30))
            assert answers == {}
            assert refused(simulator) == []
            assert len(simulator.ledger) == 30


async def test_the_requests_of_all_routes_stay_below_the_global_limit() -> None:
    async with DiscordSimulator(DiscordSetup(requests_per_second=26, openings=1000)) as simulator:
        async for lane in opened(app_of(simulator, rate=17)):
            answers, _ = await send(lane, users(20))
            assert answers == {}
            assert refused(simulator) == []


async def test_a_limit_that_is_shared_with_others(discord: DiscordSimulator, lane: DiscordLane) -> None:
    discord.faults = Faults(devices=Devices(throttled=1.0, throttled_for_s=900.0))
    answers, _ = await send(lane, channels(1))
    assert (answers[0].reason, answers[0].verdict, answers[0].scope) == (
        "SharedRateLimit",
        Verdict.RETRY,
        Scope.ADDRESS,
    )
    assert answers[0].asked
    assert lane.turn(channels(1)[0], time.monotonic()) > 0
    assert discord.summary()["invalid_requests"] == 0


async def test_the_whole_bot_too_fast(discord: DiscordSimulator, lane: DiscordLane) -> None:
    discord.faults = Faults(storm=Storm(for_s=900.0))
    answers, _ = await send(lane, channels(1))
    assert (answers[0].reason, answers[0].scope, answers[0].retry_after) == ("GlobalRateLimit", Scope.ACCOUNT, 1.234)


async def test_forbidden_channels_wait_long_before_a_ban(discord: DiscordSimulator, lane: DiscordLane) -> None:
    """A sender that just came provokes few refusals at once: the rest of them waits."""
    discord.faults = Faults(devices=Devices(wrong_app=1.0))
    prepared = await lane.prepare(campaign())
    flight = await lane.begin(prepared, [b"r"] * 200, channels(200))
    await flight.done()
    waiting = [answer for answer in flight.answers(0.0).values() if answer.verdict is Verdict.WAIT]
    assert 30 <= discord.summary()["invalid_requests"] <= 60
    assert len(waiting) == 200 - discord.summary()["invalid_requests"]
    assert max(answer.retry_after or 0.0 for answer in waiting) >= 4.0


async def test_its_part_is_what_the_sender_has_of_the_lane(discord: DiscordSimulator, lane: DiscordLane) -> None:
    assert isinstance(lane, Divides)
    lane.share(lambda: 0.01)
    discord.faults = Faults(devices=Devices(wrong_app=1.0))
    prepared = await lane.prepare(campaign())
    flight = await lane.begin(prepared, [b"r"] * 50, channels(50))
    await flight.done()
    assert discord.summary()["invalid_requests"] <= 5


async def test_senders_divide_what_the_lane_may_provoke(discord: DiscordSimulator) -> None:
    """By their slices of its budget, so that all of them together provoke no more than one alone."""
    now = 0.0
    board, lanes = MemoryBoard(), [DiscordLane(app_of(discord, rate=40), "bot", time.time) for _ in range(2)]
    budgets = [Budget(board, lane.name, lane.rate, clock=lambda: now) for lane in lanes]
    for lane, budget in zip(lanes, budgets, strict=True):
        Gatekeeper(lane, DeskDouble(), 300.0).share(budget, nothing_to_do)
        assert lane.part == 0.0, "nothing before it has a slice"
    await budgets[0].look()
    assert [lane.part for lane in lanes] == [1.0, 0.0]
    for _ in range(3):
        now += 1.0
        for budget in budgets:
            await budget.look()
    assert [lane.part for lane in lanes] == [0.5, 0.5]
    now += 100.0
    assert [lane.part for lane in lanes] == [0.0, 0.0], "who can't renew its slice has none"
    for lane in lanes:
        await lane.aclose(0.0)


async def nothing_to_do() -> bool:
    return False


async def test_a_ban_stops_the_lane(lane: DiscordLane, discord: DiscordSimulator) -> None:
    async with DiscordSimulator(
        DiscordSetup(invalid_limit=1), faults=Faults(devices=Devices(wrong_app=1.0))
    ) as simulator:
        async for one in opened(app_of(simulator)):
            await send(one, channels(1))
            answers, _ = await send(one, channels(1, first=1))
            assert (answers[0].verdict, answers[0].scope, answers[0].reason) == (Verdict.STOP, Scope.LANE, "Banned")
            assert answers[0].retry_after == 3600.0


# What goes wrong


async def test_a_wrong_token(discord: DiscordSimulator, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("MTk4NjIyNDgzNDcx.wrong")
    async for lane in opened(app_of(discord, token_file=wrong)):
        answers, _ = await send(lane, channels(1))
        assert (answers[0].verdict, answers[0].scope) == (Verdict.STOP, Scope.LANE)
        with pytest.raises(CredentialError, match="token"):
            await lane.introduce()
        wrong.write_text(f"Bot {discord.token}\n")
        assert await lane.reload()
        answers, _ = await send(lane, channels(1))
        assert answers == {}


@pytest.mark.parametrize("content", [None, "", "two words", "\xff\x00"])
async def test_a_token_file_that_is_none(discord: DiscordSimulator, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content, "latin-1")
    async for lane in opened(app_of(discord, token_file=file)):
        with pytest.raises(CredentialError, match=r"apps.bot.token_file: .*token"):
            await lane.check()


async def test_a_thread_of_a_webhooks_channel_is_written_to_and_its_message_changed(
    discord: DiscordSimulator, lane: DiscordLane
) -> None:
    thread = webhooks(1)[0] + b"?thread_id=500000000000000001"
    answers, receipts = await send(lane, [thread])
    assert answers == {}
    assert list(discord.ledger.addresses()) == [thread.decode()]
    assert receipts[0].endswith("/500000000000000001")
    answers, _ = await send(lane, [receipts[0].encode()], Content(message=Message(silent=True), action=Action.UNDO))
    assert answers == {}
    assert discord.summary()["deleted"] == 1


async def test_webhooks_need_no_bot(discord: DiscordSimulator) -> None:
    async for lane in opened(app_of(discord, token_file=None)):
        assert "no bot" in await lane.introduce()
        answers, _ = await send(lane, [*webhooks(2), *channels(1), *users(1)])
        assert {index: (each.verdict, each.scope) for index, each in answers.items()} == {
            2: (Verdict.STOP, Scope.PLATFORM),
            3: (Verdict.STOP, Scope.PLATFORM),
        }, "these wait until the app has a token, and nobody else does"
        assert len(discord.ledger) == 2


async def test_who_the_bot_is(discord: DiscordSimulator, lane: DiscordLane) -> None:
    assert isinstance(lane, Introduces)
    assert await lane.introduce() == "@Rehearsal"
    await discord.stop()
    with pytest.raises(CredentialUnavailable, match="no connection"):
        await lane.introduce()


async def test_no_answer(discord: DiscordSimulator, lane: DiscordLane) -> None:
    """A bot's message is sent again, as its nonce tells Discord; a webhook's stays open."""
    addresses = [*channels(1), *webhooks(1)]
    answers = {}
    for index, address in enumerate(addresses):
        discord.script(Trigger(after=1, do="drop_after_accept"))
        found, _ = await send(lane, [address])
        answers[index] = found[0]
    decision = decide(2, range(2), answers, {}, where(collapses=(await lane.prepare(campaign())).collapses))
    assert list(decision.outcomes) == [Outcome.PENDING, Outcome.AMBIGUOUS]
    assert len(discord.ledger) == 2
    assert await send(lane, channels(1)) == ({}, {0: f"{addresses[0].decode()}/{discord.ledger[0].message_id}"})
    assert len(discord.ledger) == 2


def where(**other: Any) -> Circumstances:
    given = {"now": 0.0, "deadline": 1e9, "longest_backoff": 300.0, "chance": 0.5, "proven": True, "blamed": False}
    return Circumstances(**{**given, "collapses": True, "alike": True, "one_host": True, "remainder": False, **other})


async def test_servers_that_fail(discord: DiscordSimulator, lane: DiscordLane) -> None:
    discord.faults = Faults(unavailable=Unavailable(for_s=900.0))
    answers, _ = await send(lane, [*channels(1), *users(1), *webhooks(1)])
    assert [answers[index].verdict for index in range(3)] == [Verdict.RETRY, Verdict.RETRY, Verdict.AMBIGUOUS]
    assert list(decide(3, range(3), answers, {}, where()).outcomes) == [0, 0, Outcome.AMBIGUOUS]


@pytest.mark.parametrize("form", ["html502", "empty", "truncated", "unknown_reason", "missing_id"])
async def test_garbage_drops_nobody(discord: DiscordSimulator, lane: DiscordLane, form: Any) -> None:
    discord.faults = Faults(malformed=Malformed(share=1.0, forms=(form,)))
    answers, _ = await send(lane, [*channels(2), *users(2), *webhooks(2)])
    assert {answer.verdict for answer in answers.values()} <= {Verdict.RETRY, Verdict.AMBIGUOUS}
    assert len(answers) == 6
    discord.faults = Faults()
    assert (await send(lane, [*channels(2), *users(2), *webhooks(2)], name="c2"))[0] == {}


async def test_a_message_that_discord_would_refuse(lane: DiscordLane, discord: DiscordSimulator) -> None:
    with pytest.raises(InvalidMessage):
        await lane.prepare(campaign(Content(message=Message(body="x" * 2001))))
    with pytest.raises(InvalidMessage):
        await lane.prepare(campaign(Content(message=Message())))
    assert discord.summary()["connections"] == 0


async def test_no_secret_is_shown(discord: DiscordSimulator, lane: DiscordLane) -> None:
    await send(lane, webhooks(1))
    discord.faults = Faults(devices=Devices(malformed=1.0))
    answers, _ = await send(lane, [*webhooks(1), *channels(1)])
    shown = "\n".join(map(repr, [lane, lane._api, lane._pace, lane.state, answers]))
    assert TOKEN not in shown
    assert discord.token not in shown
    assert channels(1)[0].decode() not in shown


# What was sent before


async def test_messages_are_edited_and_deleted(discord: DiscordSimulator, lane: DiscordLane) -> None:
    _, receipts = await send(lane, [*channels(2), *users(1), *webhooks(1)])
    known = [receipts[index].encode() for index in range(4)]
    better = Content(message=Message(title="Sorry", body="Tomorrow"), action=Action.EDIT)
    answers, _ = await send(lane, known, better, name="edit")
    assert answers == {}
    assert {each.content["content"] for each in discord.discord._messages.values()} == {"**Sorry**\nTomorrow"}
    gone = Content(message=Message(silent=True), action=Action.UNDO)
    answers, _ = await send(lane, known, gone, name="undo")
    assert answers == {}
    assert discord.discord._messages == {}
    assert (discord.summary()["edited"], discord.summary()["deleted"]) == (4, 4)
    assert (await send(lane, known, gone, name="undo"))[0] == {}, "what is gone already was to be gone"
    answers, _ = await send(lane, known[:1], better, name="edit")
    assert answers[0].reason == "10008 Unknown Message"
    assert (await send(lane, [b"nonsense"], gone, name="undo"))[0][0].reason == MALFORMED_ADDRESS
    assert refused(discord) == []


async def test_options(discord: DiscordSimulator, lane: DiscordLane) -> None:
    options = DiscordOptions(username="Herald", silent=True, embeds=({"title": "T", "color": 255},))
    content = Content(message=Message(body="b", image="https://example.com/i.png", discord=options))
    _, receipts = await send(lane, [*channels(1), *webhooks(1)], content)
    bot, webhook = (discord.discord._messages[receipts[index].split("/")[-1]].content for index in range(2))
    assert bot["embeds"] == [
        {"description": "b", "image": {"url": "https://example.com/i.png"}},
        {"title": "T", "color": 255},
    ]
    assert (bot["flags"], bot["content"]) == (4096, "")
    assert ("username" in bot, webhook["username"]) == (False, "Herald")


def test_the_channel_opens_it(tmp_path: Path) -> None:
    app = DiscordApp(token_file=tmp_path / "token")
    lane = open_lane("bot", app, time.time)
    assert (lane.name, lane.rate) == ("discord/bot", 45.0)
    assert json.loads(app.model_dump_json())["channel"] == "discord"
