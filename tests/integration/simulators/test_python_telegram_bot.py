"""The best-known Telegram client works against the strict simulator: proof that it speaks as Telegram does."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.constants import ParseMode
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter
from telegram.request import HTTPXRequest

from stentor.simulators.faults import parse_faults
from stentor.simulators.telegram import TelegramSetup, TelegramSimulator

FAST = TelegramSetup(per_second=1000.0)


@asynccontextmanager
async def client(telegram: TelegramSimulator, token: str | None = None) -> AsyncIterator[Bot]:
    trust = ssl.create_default_context(cafile=str(telegram.ca_file))
    request, updates = (HTTPXRequest(httpx_kwargs={"verify": trust}) for _ in range(2))
    bot = Bot(token or telegram.token, base_url=f"{telegram.url}/bot", request=request, get_updates_request=updates)
    async with bot:
        yield bot


async def test_messages_arrive_and_are_found_again() -> None:
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Go", url="https://example.com")]])
    async with TelegramSimulator(FAST) as telegram, client(telegram) as bot:
        assert (await bot.get_me()).username == "rehearsal_bot"
        text = await bot.send_message(
            42,
            "*Sale* ends _tonight_\\!",
            parse_mode=ParseMode.MARKDOWN_V2,
            reply_markup=keyboard,
            disable_notification=True,
            protect_content=True,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
        )
        assert (text.chat_id, text.text, text.has_protected_content) == (42, "Sale ends tonight!", True)
        assert text.reply_markup == keyboard
        photo = await bot.send_photo(-100, "https://example.com/a.png", "<b>Sale</b>", parse_mode=ParseMode.HTML)
        assert photo.caption == "Sale"
        upload = await bot.send_photo("@news_of_us", b"\x89PNG not really", filename="a.png")
        assert upload.chat.type == "supergroup"
        edited = await bot.edit_message_text("Over", 42, text.message_id)
        assert not isinstance(edited, bool)
        assert edited.text == "Over"
        await bot.edit_message_caption(-100, photo.message_id, caption="Over", reply_markup=keyboard)
        with pytest.raises(BadRequest, match="Message is not modified"):
            await bot.edit_message_text("Over", 42, text.message_id)
        assert await bot.delete_message(42, text.message_id)
        assert await bot.delete_messages(-100, [photo.message_id, 999])
        with pytest.raises(BadRequest, match="Message to delete not found"):
            await bot.delete_message(42, text.message_id)
        summary = telegram.summary()
    assert (summary["accepted"], summary["edited"], summary["deleted"]) == (3, 2, 2)
    assert telegram.violations == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"text": "Ends.", "parse_mode": "MarkdownV2"}, "Can't parse entities: character '.' is reserved and must be"),
        ({"text": "<b>Ends", "parse_mode": "HTML"}, 'can\'t find end tag corresponding to start tag "b"'),
        ({"text": "<x>Ends</x>", "parse_mode": "HTML"}, 'unsupported start tag "x" at byte offset 0'),
        ({"text": " "}, "Message text is empty"),
        ({"text": "x" * 4097}, "Message is too long"),
        (
            {"text": "x", "reply_markup": InlineKeyboardMarkup([[InlineKeyboardButton("a")]])},
            "Text buttons are unallowed",
        ),
    ],
)
async def test_what_is_wrong_is_told_in_telegrams_words(given: dict[str, Any], problem: str) -> None:
    async with TelegramSimulator() as telegram, client(telegram) as bot:
        with pytest.raises(BadRequest) as error:
            await bot.send_message(1, **given)
        assert problem.lower() in str(error.value).lower()
        assert len(telegram.ledger) == 0


async def test_refusals_have_their_own_exceptions() -> None:
    async with TelegramSimulator(TelegramSetup(migrated=1.0)) as telegram, client(telegram) as bot:
        with pytest.raises(ChatMigrated) as moved:
            await bot.send_message(-77, "x")
        assert moved.value.new_chat_id == -1000000000077
        telegram.faults = parse_faults({"devices": {"unregistered": 1.0}})
        with pytest.raises(Forbidden):
            await bot.send_message(5, "x")
        telegram.faults = parse_faults({"devices": {"malformed": 1.0}})
        with pytest.raises(BadRequest, match="Chat not found"):
            await bot.send_message(6, "x")
        with pytest.raises(InvalidToken):
            async with client(telegram, "1234567890:" + "A" * 35):
                pass


async def test_whoever_is_too_fast_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # the client warns of its own older way
    async with TelegramSimulator(TelegramSetup(per_second=3.0)) as telegram, client(telegram) as bot:
        waits: list[Any] = []
        for strike in range(3):
            for chat in range(1, 4):
                await bot.send_message(10 * strike + chat, "x")
            with pytest.raises(RetryAfter) as error:
                await bot.send_message(9, "x")
            waits.append(error.value.retry_after)
            telegram.clock.advance(waits[-1].total_seconds())
        assert [wait.total_seconds() for wait in waits] == [3, 6, 12]
