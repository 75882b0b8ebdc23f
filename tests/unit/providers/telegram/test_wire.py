"""Telegram on the wire: what is sent for a message, what is refused before, and what each answer leads to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidMessage
from stentor.model import Message, TelegramButton, TelegramMarkup, TelegramOptions
from stentor.outcome import Scope, Verdict
from stentor.providers.contract import LONGEST_RETRY_AFTER, MALFORMED_ADDRESS, Answer, Taken
from stentor.providers.http_message import Request, Response
from stentor.providers.payload import PayloadTooLarge
from stentor.providers.telegram import wire
from stentor.providers.telegram.channel import check_address
from stentor.providers.telegram.reasons import QUIET, TABLE

BOT = wire.Bot("https://api.telegram.org", "1234567890:AAsecret")
NOW = 1_000.0


def telegram(**options: Any) -> Message:
    return Message(telegram=TelegramOptions(**options))


def sent(message: Message, chat: bytes = b"42") -> dict[str, Any]:
    request = wire.request(BOT, wire.render(message), chat)
    assert isinstance(request, Request)
    found: dict[str, Any] = json.loads(request.body)
    return found


def said(status: int, body: Any, **headers: str) -> Response:
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, written)


def no(status: int, description: str, **parameters: int) -> Response:
    body = {"ok": False, "error_code": status, "description": description}
    return said(status, {**body, "parameters": parameters} if parameters else body)


def answer(response: Response) -> Answer:
    found = wire.decode(response, NOW)
    assert isinstance(found, Answer)
    return found


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_title_and_body_become_one_text() -> None:
    message = Message(title="Sale <now>", body="1 & 2. Ends!", sound="default", badge=3, data={"a": "b"})
    assert sent(message) == {
        "chat_id": 42,
        "text": "<b>Sale &lt;now&gt;</b>\n1 &amp; 2. Ends!",
        "parse_mode": "HTML",
    }


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (TelegramMarkup.MARKDOWN_V2, "*Sale\\.*\nEnds\\!"),
        (TelegramMarkup.PLAIN, "Sale.\nEnds!"),
        (TelegramMarkup.HTML, "<b>Sale.</b>\nEnds!"),
    ],
)
def test_title_and_body_in_each_markup(markup: TelegramMarkup, text: str) -> None:
    found = sent(Message(title="Sale.", body="Ends!", telegram=TelegramOptions(parse_mode=markup)))
    assert found["text"] == text
    assert found.get("parse_mode") == (None if markup is TelegramMarkup.PLAIN else markup.value)


@given(st.text(max_size=50), st.text(max_size=50), st.sampled_from(TelegramMarkup))
def test_no_title_or_body_breaks_the_markup(title: str, body: str, markup: TelegramMarkup) -> None:
    message = Message(title=title, body=f"x{body}", telegram=TelegramOptions(parse_mode=markup))
    assert wire.render(message).method == "sendMessage"


def test_a_text_of_its_own_is_sent_as_it_is() -> None:
    text = "*bold* and \\. [a](https://example.com)"
    found = sent(Message(title="x", telegram=TelegramOptions(text=text, parse_mode=TelegramMarkup.MARKDOWN_V2)))
    assert (found["text"], found["parse_mode"]) == (text, "MarkdownV2")
    assert sent(telegram(text="1 < 2.")) == {"chat_id": 42, "text": "1 < 2."}


def test_options_of_a_message() -> None:
    found = sent(
        telegram(
            text="x",
            disable_notification=True,
            protect_content=True,
            link_preview=False,
            allow_paid_broadcast=True,
            buttons=(
                (TelegramButton(text="Go", url="https://example.com"),),
                (TelegramButton(text="A", callback_data="é"),),
            ),
        )
    )
    assert found == {
        "chat_id": 42,
        "text": "x",
        "link_preview_options": {"is_disabled": True},
        "reply_markup": {
            "inline_keyboard": [
                [{"text": "Go", "url": "https://example.com"}],
                [{"text": "A", "callback_data": "é"}],
            ]
        },
        "disable_notification": True,
        "protect_content": True,
        "allow_paid_broadcast": True,
    }


def test_a_picture_and_its_caption() -> None:
    message = Message(title="Sale", image="https://example.com/a.png")
    rendered = wire.render(message)
    assert rendered.method == "sendPhoto"
    assert sent(message) == {
        "chat_id": 42,
        "photo": "https://example.com/a.png",
        "caption": "<b>Sale</b>",
        "parse_mode": "HTML",
    }
    alone = sent(Message(image="https://example.com/a.png", telegram=TelegramOptions(photo="AgACAgIAAxkBAAIBZ2abc")))
    assert alone == {"chat_id": 42, "photo": "AgACAgIAAxkBAAIBZ2abc"}


def test_chats_by_number_and_by_name() -> None:
    assert sent(telegram(text="x"), b"-1001234567890")["chat_id"] == -1001234567890
    assert sent(telegram(text="x"), b"@news_of_us")["chat_id"] == "@news_of_us"
    topic = sent(telegram(text="x"), b"-1001234567890:5")
    assert (topic["chat_id"], topic["message_thread_id"]) == (-1001234567890, 5)
    topic = sent(telegram(text="x"), b"@news_of_us:17")
    assert (topic["chat_id"], topic["message_thread_id"]) == ("@news_of_us", 17)
    for address in (b"", b"0", b"12a", b"@a", b'@a"b', b"\xff", b"--1", b"9" * 17, b"-100:0", b"-100:x", b"1:"):
        found = wire.request(BOT, wire.render(telegram(text="x")), address)
        assert isinstance(found, Answer)
        assert found.reason == MALFORMED_ADDRESS
        assert check_address(address.decode("latin-1")) is not None
    assert check_address("-1001234567890") is None
    assert check_address("-1001234567890:5") is None


def test_the_token_is_in_the_address_alone_and_never_shown() -> None:
    request = wire.request(BOT, wire.render(telegram(text="x")), b"1")
    assert isinstance(request, Request)
    assert request.url == "https://api.telegram.org/bot1234567890:AAsecret/sendMessage"
    assert "secret" not in repr(request) + repr(BOT)


def test_the_sample_names_no_chat() -> None:
    assert json.loads(wire.sample(wire.render(telegram(text="x")))) == {"chat_id": "…", "text": "x"}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("title", Message()),
        ("body", Message(body=" \n ")),
        ("silent", Message(silent=True)),
        ("telegram.text", telegram(text="1.", parse_mode=TelegramMarkup.MARKDOWN_V2)),
        ("telegram.text", telegram(text="<b>", parse_mode=TelegramMarkup.HTML)),
        ("telegram.text", telegram(text="**", parse_mode=TelegramMarkup.MARKDOWN_V2)),
        ("telegram.photo", telegram(text="x", photo="http://example.com/a.png")),
        ("telegram.buttons.0.0", telegram(text="x", buttons=((TelegramButton(text="a"),),))),
        (
            "telegram.buttons.0.0",
            telegram(text="x", buttons=((TelegramButton(text="a", url="https://a.b", callback_data="c"),),)),
        ),
        ("telegram.buttons.0.0.text", telegram(text="x", buttons=((TelegramButton(text=" ", url="https://a.b"),),))),
        ("telegram.buttons.0.0.url", telegram(text="x", buttons=((TelegramButton(text="a", url="javascript:1"),),))),
        (
            "telegram.buttons.1.0.callback_data",
            telegram(text="x", buttons=((), (TelegramButton(text="a", callback_data="é" * 33),))),
        ),
        ("telegram.protect_content", telegram(text="x", protect_content=1)),
    ],
)
def test_what_telegram_would_refuse_is_not_sent(field: str, message: Message) -> None:
    with pytest.raises(InvalidMessage) as error:
        wire.render(message)
    assert error.value.field == field


def test_broken_markup_is_told_with_its_place() -> None:
    with pytest.raises(InvalidMessage, match=r"telegram\.text: .*MarkdownV2: `\.` at character 5 needs a backslash"):
        wire.render(telegram(text="Ends.", parse_mode=TelegramMarkup.MARKDOWN_V2))


@pytest.mark.parametrize(("limit", "image"), [(4096, None), (1024, "https://example.com/a.png")])
def test_lengths_count_without_markup_and_in_utf_16(limit: int, image: str | None) -> None:
    wire.render(Message(image=image, body="😀" * (limit // 2)))
    wire.render(Message(image=image, title="t", body="&" * (limit - 2)))
    with pytest.raises(PayloadTooLarge, match=f"is {limit + 2:,} characters long"):
        wire.render(Message(image=image, body="😀" * (limit // 2 + 1)))
    with pytest.raises(PayloadTooLarge, match=f"at most {limit:,}"):
        wire.render(Message(image=image, body="x" * (limit + 1)))


# -- deleting and editing ---------------------------------------------------------------------------------------------


def test_deleting_one_and_many() -> None:
    one = wire.delete_request(BOT, ["42:7"])
    assert one.url.endswith("/deleteMessage")
    assert json.loads(one.body) == {"chat_id": 42, "message_id": 7}
    many = wire.delete_request(BOT, [f"-100:{number}" for number in range(1, 101)])
    assert many.url.endswith("/deleteMessages")
    assert json.loads(many.body) == {"chat_id": -100, "message_ids": list(range(1, 101))}


@pytest.mark.parametrize("receipts", [[], ["1:2", "3:4"], [f"1:{n}" for n in range(1, 102)], ["1"], ["1:2:3"], ["a:1"]])
def test_what_cannot_be_deleted_in_one_request(receipts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"receipt|messages of"):
        wire.delete_request(BOT, receipts)


def test_editing_a_text_and_a_caption() -> None:
    button = (TelegramButton(text="Go", url="https://example.com"),)
    text = wire.edit_request(BOT, "42:7", wire.render(telegram(text="y", protect_content=True, buttons=(button,))))
    assert text.url.endswith("/editMessageText")
    assert json.loads(text.body) == {
        "chat_id": 42,
        "message_id": 7,
        "text": "y",
        "reply_markup": {"inline_keyboard": [[{"text": "Go", "url": "https://example.com"}]]},
    }
    caption = wire.edit_request(BOT, "42:7", wire.render(Message(body="y", image="https://example.com/a.png")))
    assert caption.url.endswith("/editMessageCaption")
    assert json.loads(caption.body)["caption"] == "y"
    with pytest.raises(ValueError, match="receipt"):
        wire.edit_request(BOT, "x", wire.render(telegram(text="y")))


def test_what_became_of_a_change() -> None:
    done = Taken(at=NOW, id="")
    assert wire.decode_change(said(200, {"ok": True, "result": True}), NOW) == done
    assert wire.decode_change(no(400, "Bad Request: message to delete not found"), NOW) == done
    assert wire.decode_change(no(400, "Bad Request: message is not modified: specified new message"), NOW) == done
    for words in (
        "message can't be deleted for everyone",
        "message can't be deleted",
        "message to edit not found",
        "message can't be edited",
    ):
        found = wire.decode_change(no(400, f"Bad Request: {words}"), NOW)
        assert isinstance(found, Answer)
        assert found.verdict is Verdict.REJECT
        assert words.startswith(found.reason)
    cut = wire.decode_change(said(200, b'{"ok":true,"resul'), NOW)
    assert isinstance(cut, Answer)
    assert cut.verdict is Verdict.RETRY


# -- answers ----------------------------------------------------------------------------------------------------------


def test_a_yes_names_chat_and_message() -> None:
    message = {"message_id": 777, "date": 1_800_000_000, "chat": {"id": -1001, "type": "supergroup"}}
    assert wire.decode(said(200, {"ok": True, "result": message}), NOW) == Taken(at=1.8e9, id="-1001:777")


@pytest.mark.parametrize(
    "result", [{}, True, None, {"message_id": "7", "chat": {"id": 1}}, {"message_id": 7, "chat": 1}]
)
def test_a_yes_that_names_neither_is_a_yes(result: Any) -> None:
    assert wire.decode(said(200, {"ok": True, "result": result}), NOW) == Taken(at=NOW, id="")


@pytest.mark.parametrize("rule", [rule for rule in TABLE if rule.status in (400, 403)], ids=lambda rule: rule.reason)
def test_each_reason_leads_to_what_the_table_says(rule: Any) -> None:
    name = "Bad Request" if rule.status == 400 else "Forbidden"
    parameters = {"migrate_to_chat_id": -1009} if rule.verdict is Verdict.REROUTE else {}
    found = answer(no(rule.status, f"{name}: {rule.reason}", **parameters))
    assert (found.verdict, found.reason, found.known) == (rule.verdict, rule.reason, True)
    assert found.moved_to == ("-1009" if parameters else "")


@pytest.mark.parametrize(
    ("status", "description", "verdict"),
    [
        (400, "Bad Request: can't parse entities: Character '.' is reserved", Verdict.FIX),
        (400, "Bad Request: not enough rights to send photos to the chat", Verdict.REJECT),
        (400, "Bad Request: Wrong HTTP URL specified", Verdict.FIX),
        (400, "Bad Request: chat not found, perhaps", Verdict.FIX),
        (403, "Forbidden: something new about this chat", Verdict.REJECT),
        (403, "Forbidden: bot was blocked by the user or so", Verdict.REJECT),
        (401, "Unauthorized", Verdict.STOP),
        (401, "Unauthorized: invalid token specified", Verdict.STOP),
        (404, "Not Found", Verdict.STOP),
        (409, "Conflict: terminated by other getUpdates request", Verdict.STOP),
        (421, "Misdirected Request", Verdict.STOP),
        (500, "Internal Server Error: restart", Verdict.AMBIGUOUS),
        (502, "Bad Gateway", Verdict.RETRY),
        (418, "Teapot", Verdict.RETRY),
    ],
)
def test_other_answers(status: int, description: str, verdict: Verdict) -> None:
    assert answer(no(status, description)).verdict is verdict


def test_a_429_silences_the_whole_bot() -> None:
    found = answer(no(429, "Too Many Requests: retry after 35", retry_after=35))
    assert (found.verdict, found.scope, found.retry_after, found.asked) == (Verdict.RETRY, Scope.ACCOUNT, 35.0, True)
    assert answer(no(429, "Too Many Requests", retry_after=10**9)).retry_after == LONGEST_RETRY_AFTER
    by_header = answer(said(429, b"<html>", retry_after="7"))
    assert (by_header.scope, by_header.retry_after) == (Scope.ACCOUNT, 7.0)
    untold = answer(said(429, b""))
    assert (untold.scope, untold.retry_after, untold.asked) == (Scope.ACCOUNT, QUIET, False)


@pytest.mark.parametrize("parameters", [{}, {"migrate_to_chat_id": 0}, {"migrate_to_chat_id": 10**30}])
def test_a_group_that_moved_without_saying_where_is_sent_again(parameters: dict[str, int]) -> None:
    found = answer(no(400, "Bad Request: group chat was upgraded to a supergroup chat", **parameters))
    assert (found.verdict, found.known) == (Verdict.RETRY, False)


def test_numbers_beyond_all_reason_are_not_taken_over() -> None:
    huge = {"message_id": 7, "date": 10**400, "chat": {"id": 1}}
    assert wire.decode(said(200, {"ok": True, "result": huge}), NOW) in (Taken(at=NOW, id="1:7"), Taken(at=NOW, id=""))
    assert answer(said(400, {"ok": False, "error_code": 10**30, "description": "Bad Request: x"})).status == 400


def test_a_yes_that_was_cut_short_may_have_been_one() -> None:
    assert answer(said(200, b'{"ok":true,"result":{"mess')).verdict is Verdict.AMBIGUOUS
    assert answer(said(504, b"<html>")).verdict is Verdict.AMBIGUOUS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(
        st.sampled_from(["ok", "result", "error_code", "description", "parameters", "retry_after", "chat"]), inner
    ),
    max_leaves=8,
)


@given(st.integers(100, 599), st.binary(max_size=60) | JSON.map(lambda tree: json.dumps(tree).encode()))
def test_nothing_that_isnt_telegrams_own_word_drops_a_chat(status: int, body: bytes) -> None:
    for found in (wire.decode(said(status, body), NOW), wire.decode_change(said(status, body), NOW)):
        if isinstance(found, Answer):
            assert found.verdict is not Verdict.DROP
        else:
            assert json.loads(body)["ok"] is True
    wire.decode_introduction(said(status, body), NOW)


def test_who_the_bot_is() -> None:
    me = {"id": 1, "is_bot": True, "first_name": "Example", "username": "example_bot"}
    assert wire.decode_introduction(said(200, {"ok": True, "result": me}), NOW) == "@example_bot (Example)"
    refusal = wire.decode_introduction(no(401, "Unauthorized"), NOW)
    assert isinstance(refusal, Answer)
    assert refusal.verdict is Verdict.STOP
    strange = wire.decode_introduction(said(200, {"ok": True, "result": {}}), NOW)
    assert isinstance(strange, Answer)
    assert strange.verdict is Verdict.RETRY
