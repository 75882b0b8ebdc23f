"""The Telegram simulator's rules by themselves: its parsers' own words, its limits, what it takes of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Faults, parse_faults
from stentor.simulators.telegram.forms import BadForm, read_form
from stentor.simulators.telegram.markup import ParseError, parse
from stentor.simulators.telegram.pace import CHAT_BURST, Limits
from stentor.simulators.telegram.provider import DELETABLE_FOR_S, SLOW_S, TelegramProvider, TelegramSetup
from stentor.simulators.world import Judgement, World

TOKEN = "1234567890:" + "A" * 35


class Telegram:
    """A provider without a server."""

    def __init__(self, faults: Faults | None = None, **options: Any) -> None:
        self.clock = MovableClock()
        self.world = World(seed=1, faults=faults or Faults(), clock=self.clock)
        options = {"per_second": 1000.0, **options}
        self.provider = TelegramProvider(self.world, TelegramSetup(**options), TOKEN, {})
        self.session = self.provider.open_session(None)

    def ask(self, method: str, token: str = TOKEN, **given: Any) -> tuple[Judgement, dict[str, Any]]:
        path = f"/bot{token}/{method}".encode()
        headers = [(b":method", b"POST"), (b":path", path), (b"content-type", b"application/json")]
        answer = self.provider.judge(self.session, headers, json.dumps(given).encode())
        return answer, json.loads(answer.body)

    def refusal(self, method: str, token: str = TOKEN, **given: Any) -> str:
        answer, body = self.ask(method, token, **given)
        assert (body["ok"], answer.accepted) == (False, False)
        assert answer.headers[0] == (b":status", str(body["error_code"]).encode())
        return f"{body['error_code']} {body['description']}"


# -- markup, with the words of Telegram's own tests --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("🏟 🏟_abacaba", "Can't find end of Italic entity at byte offset 9"),
        ("🏟 🏟_abac * asd ", "Can't find end of Bold entity at byte offset 15"),
        ("🏟 🏟```a ", "Can't find end of PreCode entity at byte offset 9"),
        ("🏟 🏟```🏟 🏟`", "Can't find end of Code entity at byte offset 21"),
        ("🏟 🏟__🏟 _🏟___", "Can't find end of Italic entity at byte offset 23"),
        ("[telegram\\.org](asd", "Can't find end of a URL at byte offset 16"),
        ("🏟 🏟!", "Character '!' is reserved and must be escaped with the preceding '\\'"),
        ("🏟 🏟![👍]", "Custom emoji entity must contain a tg://emoji URL"),
        ("🏟 🏟![👍](tg://emoji?id=1234", "Can't find end of a custom emoji URL at byte offset 17"),
        ("🏟 🏟![👍](t://emoji?id=1234)", "Custom emoji URL must have scheme tg"),
        ("🏟 🏟![👍](tg:emojis?id=1234)", 'Custom emoji URL must have host "emoji"'),
        ("![now](tg://time?unix=0)", "Invalid date_time identifier specified"),
        ("![now](tg://time?unix=1647531900&format=rw)", "Invalid date_time format specified"),
        ("🏟 🏟![👍](tg://emoji#test)", "Custom emoji URL must have an emoji identifier"),
        ("🏟 🏟![👍](tg://emoji?test=1231&id=025)", "Invalid custom emoji identifier specified"),
        (">asd\n>q||ew\n||asdad", "Can't find end of Spoiler entity at byte offset 7"),
    ],
)
def test_broken_markdown(text: str, problem: str) -> None:
    with pytest.raises(ParseError) as error:
        parse(text, "MarkdownV2")
    assert str(error.value) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a<div>b</div>", 'Unsupported start tag "div" at byte offset 1'),
        ("<b>a", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<b>a</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("a</b>", "Unexpected end tag at byte offset 1"),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<a href='x", 'Unclosed start tag "a" at byte offset 0'),
        ("<b>a</b", "Unclosed end tag at byte offset 4"),
        ("<a href=x_y>a</a>", "Unexpected end of name token at byte offset 8"),
        ("<span>a</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("<tg-emoji>a</tg-emoji>", "Invalid custom emoji identifier specified"),
        ("<a =x>a</a>", 'Empty attribute name in the tag "a" at byte offset 0'),
    ],
)
def test_broken_html(text: str, problem: str) -> None:
    with pytest.raises(ParseError) as error:
        parse(text, "HTML")
    assert str(error.value) == problem


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("*Sale* ends _tonight_! (1.5-2)", "Sale ends tonight! (1.5-2)"),
        (r"a\_b \* \` \[ \.", r"a_b * ` [ \."),
        ("[here](https://example.com/a_b) and [there]", "here and there"),
        ("[](x)[a](b", "(x)a"),
        ("`a*b` ```python\nx_y``` ```z```", "a*b x_y z"),
        ("🏟 *🏟*", "🏟 🏟"),
    ],
)
def test_the_first_markdown(text: str, seen: str) -> None:
    assert parse(text, "Markdown") == seen


@pytest.mark.parametrize(
    ("text", "begun"), [("a_b", 1), ("🏟*", 4), ("[a", 0), ("```a``", 0), ("*a* `b", 4), ("snake_case_here_", 15)]
)
def test_the_first_markdown_unfinished(text: str, begun: int) -> None:
    with pytest.raises(ParseError) as error:
        parse(text, "Markdown")
    assert str(error.value) == f"Can't find end of the entity starting at byte offset {begun}"


def test_an_unknown_mode() -> None:
    with pytest.raises(ParseError, match="unsupported parse_mode"):
        parse("a", "BBCode")


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_bot_may_send_so_many_and_then_waits_longer_each_time() -> None:
    limits, now = Limits(30.0, 1000.0, 20), 1000.0
    waits = []
    for strike in range(4):
        sent = [limits.take(10_000 * strike + chat, now, paid=False) for chat in range(1, 40)]
        assert sent.count(0) == 30
        assert len(set(sent)) == 2, "all others get the same wait"
        waits.append(max(sent))
        now += waits[-1] + 1.0
    assert waits == [3, 6, 12, 24]
    assert max(limits.take(chat, now + 3600, paid=False) for chat in range(1, 40)) == 3, "it forgives in time"


def test_even_at_the_full_rate_nobody_is_refused() -> None:
    limits = Limits(30.0, 1000.0, 20)
    assert not any(limits.take(chat, 1000.0 + chat / 30.0, paid=False) for chat in range(1, 3000))


def test_a_paid_broadcast_has_a_bucket_of_its_own() -> None:
    limits = Limits(30.0, 1000.0, 20)
    assert not any(limits.take(chat, 1.0, paid=True) for chat in range(1, 1001))
    assert limits.take(2000, 1.0, paid=True)


def test_a_chat_takes_a_short_burst_and_a_group_twenty_a_minute() -> None:
    limits = Limits(1000.0, 1000.0, 20)
    assert [bool(limits.take(7, 5.0, paid=False)) for _ in range(int(CHAT_BURST) + 1)] == [False, False, False, True]
    limits = Limits(1000.0, 1000.0, 20)
    assert not any(limits.take(-7, 100.0 + 2.0 * number, paid=False) for number in range(20))
    assert limits.take(-7, 140.0, paid=False)
    assert not limits.take(-7, 200.0, paid=False)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_every_kind_of_body_says_the_same() -> None:
    wanted = {"chat_id": "-5", "text": "a & b", "reply_markup": {"inline_keyboard": []}}
    keyboard = '{"inline_keyboard":[]}'
    parts = "".join(
        f'--B\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("chat_id", "-5"), ("text", "a & b"), ("reply_markup", keyboard))
    )
    file = '--B\r\ncontent-disposition: form-data; name="photo"; filename="a.png"\r\n\r\n\x01\x02\r\n--B--\r\n'
    form = f"chat_id=-5&text=a+%26+b&reply_markup={keyboard}".encode()
    assert read_form(b"application/x-www-form-urlencoded", "", form) == wanted
    assert read_form(b"application/json; charset=utf-8", "chat_id=9&text=x", json.dumps(wanted).encode()) == wanted
    multipart = read_form(b'multipart/form-data; boundary="B"', "", (parts + file).encode())
    assert multipart == {**wanted, "photo": b"\x01\x02"}
    assert read_form(b"", "chat_id=-5", b"") == {"chat_id": "-5"}


@pytest.mark.parametrize("body", [b"{", b"[1]", b"null", b'"x"', b"", b"[" * 100_000])
def test_json_that_cannot_be_read_is_ignored(body: bytes) -> None:
    assert read_form(b"application/json", "chat_id=5", body) == {"chat_id": "5"}
    headers = [(b":method", b"POST"), (b":path", f"/bot{TOKEN}/getMe".encode()), (b"content-type", b"application/json")]
    telegram = Telegram()
    assert json.loads(telegram.provider.judge(telegram.session, headers, body).body)["ok"]


def test_json_within_a_form_must_be_readable() -> None:
    with pytest.raises(BadForm, match="Bad Request: can't parse reply keyboard markup JSON object"):
        read_form(b"", "", b"reply_markup=x")
    assert read_form(b"", "", b"reply_markup=") == {"reply_markup": None}


def test_a_part_with_a_file_name_is_a_file_even_if_it_is_empty() -> None:
    body = b'--B\r\ncontent-disposition: form-data; name="photo"; filename=""\r\n\r\n\x01\xff\r\n--B--\r\n'
    assert read_form(b"multipart/form-data; boundary=B", "", body) == {"photo": b"\x01\xff"}


# -- methods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "given", "refusal"),
    [
        ("sendMessage", {"text": "x"}, "400 Bad Request: chat_id is empty"),
        ("sendMessage", {"chat_id": "x", "text": "x"}, "400 Bad Request: chat not found"),
        ("sendMessage", {"chat_id": 1}, "400 Bad Request: message text is empty"),
        ("sendMessage", {"chat_id": 1, "text": "😀" * 2049}, "400 Bad Request: message is too long"),
        ("sendPhoto", {"chat_id": 1}, "400 Bad Request: there is no photo in the request"),
        ("sendPhoto", {"chat_id": 1, "photo": "https://x"}, "400 Bad Request: wrong HTTP URL specified"),
        ("sendPhoto", {"chat_id": 1, "photo": "x"}, "400 Bad Request: wrong file identifier/HTTP URL specified"),
        (
            "sendPhoto",
            {"chat_id": 1, "photo": "https://a.b/c", "caption": "x" * 1025},
            "400 Bad Request: message caption is too long",
        ),
        ("deleteMessage", {"chat_id": 1, "message_id": 1}, "400 Bad Request: message to delete not found"),
        ("deleteMessages", {"chat_id": 1}, "400 Bad Request: message identifiers are not specified"),
        (
            "deleteMessages",
            {"chat_id": 1, "message_ids": list(range(101))},
            "400 Bad Request: too many message identifiers specified",
        ),
        ("editMessageText", {"chat_id": 1, "message_id": 1, "text": "x"}, "400 Bad Request: message to edit not found"),
        ("getUpdates", {}, "404 Not Found: method not found"),
    ],
)
def test_what_is_refused(method: str, given: dict[str, Any], refusal: str) -> None:
    assert Telegram().refusal(method, **given) == refusal


BUTTONS: list[dict[str, Any]] = [
    {"text": "a", "url": "https://example.com"},
    {"text": "a", "callback_data": "x"},
    {"text": "a", "switch_inline_query": ""},
    {"text": "a", "switch_inline_query_current_chat": "q"},
    {"text": "a", "switch_inline_query_chosen_chat": {"allow_user_chats": True}},
    {"text": "a", "web_app": {"url": "https://example.com"}},
    {"text": "a", "login_url": {"url": "https://example.com"}},
    {"text": "a", "copy_text": {"text": "b"}},
    {"text": "a", "pay": True},
    {"text": "a", "callback_game": {}},
]


@pytest.mark.parametrize("button", BUTTONS, ids=lambda button: list(button)[1])
def test_every_button_of_an_inline_keyboard(button: dict[str, Any]) -> None:
    markup = {"inline_keyboard": [[button]]}
    assert (
        Telegram().ask("sendMessage", chat_id=1, text="x", reply_markup=markup)[1]["result"]["reply_markup"] == markup
    )


@pytest.mark.parametrize(
    "markup",
    [
        {"keyboard": [["yes", {"text": "Where?", "request_location": True}], []], "resize_keyboard": True},
        {"remove_keyboard": True},
        {"force_reply": True, "selective": True},
        {"inline_keyboard": []},
        {},
        None,
    ],
)
def test_other_markup_is_taken_and_not_told(markup: object) -> None:
    answer = Telegram().ask("sendMessage", chat_id=1, text="x", reply_markup=markup)[1]
    assert (answer["ok"], "reply_markup" in answer["result"]) == (True, False)


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ([], "object expected as reply markup"),
        ({"keyboard": 5}, 'field "keyboard" of the ReplyKeyboardMarkup must be an Array'),
        ({"keyboard": ["a"]}, 'field "keyboard" of the ReplyKeyboardMarkup must be an Array of Arrays'),
        ({"keyboard": [[5]]}, "can't parse keyboard button: KeyboardButton must be a String or an Object"),
        ({"keyboard": [[{}]]}, 'can\'t parse keyboard button: Field "text" must be of type String'),
        ({"inline_keyboard": [[5]]}, "can't parse inline keyboard button: InlineKeyboardButton must be an Object"),
        (
            {"inline_keyboard": [[{"text": "a"}]]},
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        ({"inline_keyboard": [[{"text": "", "pay": True}]]}, "inline keyboard button text must be non-empty"),
        ({"inline_keyboard": [[{"text": "a", "callback_data": ""}]]}, "BUTTON_DATA_INVALID"),
        (
            {"inline_keyboard": [[{"text": "a", "url": "x"}]]},
            "inline keyboard button URL 'x' is invalid: Wrong HTTP URL",
        ),
    ],
)
def test_what_is_wrong_with_markup(markup: object, problem: str) -> None:
    refusal = Telegram().refusal("sendMessage", chat_id=1, text="x", reply_markup=markup)
    assert refusal == f"400 Bad Request: {problem}"


def test_only_an_inline_keyboard_can_be_edited_in() -> None:
    telegram = Telegram()
    message = telegram.ask("sendMessage", chat_id=1, text="x")[1]["result"]["message_id"]
    given = {"chat_id": 1, "message_id": message, "text": "y"}
    refusal = telegram.refusal("editMessageText", **given, reply_markup={"keyboard": [["a"]]})
    assert refusal == "400 Bad Request: inline keyboard expected"
    assert telegram.ask("editMessageText", **given, reply_markup={"inline_keyboard": [[BUTTONS[0]]]})[1]["ok"]


def test_numbers_where_words_are_expected_are_taken_as_written() -> None:
    assert Telegram().ask("sendMessage", chat_id=1, text=5)[1]["result"]["text"] == "5"


def test_tokens() -> None:
    telegram = Telegram()
    assert telegram.refusal("getMe", token="x") == "404 Not Found"
    assert telegram.refusal("getMe", token="1234567890:" + "B" * 35) == "401 Unauthorized"
    assert Telegram(parse_faults({"credential": {"revoke_at_s": 1}})).ask("getMe")[1]["ok"]
    revoked = Telegram(parse_faults({"credential": {"revoke_at_s": 1}}))
    revoked.clock.advance(2.0)
    assert revoked.refusal("getMe") == "401 Unauthorized"


def test_a_message_is_deleted_once_and_for_48_hours() -> None:
    telegram = Telegram()
    first, second = (telegram.ask("sendMessage", chat_id=1, text="x")[1]["result"]["message_id"] for _ in range(2))
    assert (
        telegram.refusal("deleteMessage", chat_id=2, message_id=first) == "400 Bad Request: message to delete not found"
    )
    assert telegram.ask("deleteMessage", chat_id=1, message_id=first)[1] == {"ok": True, "result": True}
    assert telegram.refusal("deleteMessage", chat_id=1, message_id=first).endswith("message to delete not found")
    assert telegram.ask("deleteMessages", chat_id=1, message_ids=[first, 99])[1]["ok"]
    telegram.clock.advance(DELETABLE_FOR_S + 1.0)
    for method, given in (("deleteMessage", {"message_id": second}), ("deleteMessages", {"message_ids": [second]})):
        assert telegram.refusal(method, chat_id=1, **given).endswith("message can't be deleted for everyone")
    assert telegram.world.tally.deleted == 1


def test_the_same_words_to_the_same_chat_are_a_duplicate() -> None:
    telegram = Telegram()
    for chat, text in ((1, "x"), (1, "x"), (1, "y"), (2, "x")):
        telegram.world.record(telegram.ask("sendMessage", chat_id=chat, text=text)[0])
    assert (len(telegram.world.ledger), telegram.world.ledger.duplicates) == (4, 1)


def test_an_edit_must_change_something_of_its_own_kind() -> None:
    telegram = Telegram()
    message = telegram.ask("sendMessage", chat_id=1, text="x")[1]["result"]["message_id"]
    edit = {"chat_id": 1, "message_id": message}
    assert telegram.refusal("editMessageText", **edit, text="x").startswith(
        "400 Bad Request: message is not modified: "
    )
    assert telegram.refusal("editMessageCaption", **edit, caption="y").endswith("no caption in the message to edit")
    assert telegram.ask("editMessageText", **edit, text="y")[1]["result"]["text"] == "y"
    assert telegram.world.tally.edited == 1


def test_a_slow_429_is_held_back() -> None:
    telegram = Telegram(per_second=1.0, slow_429=True)
    assert telegram.ask("sendMessage", chat_id=1, text="x")[0].delay_s == 0.0
    answer, body = telegram.ask("sendMessage", chat_id=2, text="x")
    assert (answer.delay_s, body["parameters"]) == (SLOW_S, {"retry_after": 3})
    assert (b"retry-after", b"3") in answer.headers


def test_a_throttled_chat_recovers() -> None:
    telegram = Telegram(parse_faults({"devices": {"throttled": 1.0, "throttled_for_s": 10}}))
    assert telegram.refusal("sendMessage", chat_id=1, text="x") == "429 Too Many Requests: retry after 5"
    telegram.clock.advance(10.0)
    assert telegram.ask("sendMessage", chat_id=1, text="x")[1]["ok"]
