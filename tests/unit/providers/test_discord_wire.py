"""Discord on the wire: addresses, requests, and what each answer asks for."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.model import Message
from stentor.outcome import Scope, Verdict
from stentor.providers.contract import LARGEST_ERROR_BODY, Answer, Taken
from stentor.providers.discord import wire
from stentor.providers.discord.addresses import (
    DiscordChannel,
    DiscordUser,
    Posted,
    Webhook,
    parse_address,
    parse_receipt,
    receipt_of,
)
from stentor.providers.discord.channel import check_address
from stentor.providers.discord.message import render
from stentor.providers.discord.reasons import BY_CODE, TABLE
from stentor.providers.http_message import Response

NOW = 1_800_000_000.0
ID, OTHER = "300000000000000001", "400000000000000002"
TOKEN = "abcdefghij-0123456789_ABCDEFGHIJ"
CHANNEL, WEBHOOK = DiscordChannel(ID), Webhook(ID, TOKEN)
THREAD = Webhook(ID, TOKEN, OTHER)
API = wire.Api(url="https://discord.com", token="secret-of-the-bot", user_agent="DiscordBot (https://x.example, 1)")
RENDERED = render(Message(title="Sale", body="Ends tonight"))


def answer(status: int, body: Any = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def refused(code: int, status: int = 400, *, is_webhook: bool = False, **more: Any) -> Answer:
    return wire.refusal(answer(status, {"code": code, "message": "Words", **more}), is_webhook=is_webhook)


# Addresses


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (ID, CHANNEL),
        (f"user:{ID}", DiscordUser(ID)),
        (f"https://discord.com/api/webhooks/{ID}/{TOKEN}", WEBHOOK),
        (f"https://canary.discordapp.com/api/v10/webhooks/{ID}/{TOKEN}/", WEBHOOK),
        (f"/api/webhooks/{ID}/{TOKEN}", WEBHOOK),
        (f"https://discord.com/api/webhooks/{ID}/{TOKEN}?thread_id={OTHER}", THREAD),
    ],
)
def test_addresses(address: str, target: Any) -> None:
    assert parse_address(address) == target
    assert check_address(address) is None


BAD = [
    ("", "malformed address"),
    ("123", "malformed address"),
    ("0" + ID, "malformed address"),
    (ID + "\n", "malformed address"),
    ("٣" * 18, "malformed address"),
    (f"user:{ID}x", "malformed address"),
    ("a1" * 32, "address of another channel"),
    (f"http://discord.com/api/webhooks/{ID}/{TOKEN}", "malformed webhook"),
    (f"https://discord.com.evil.example/api/webhooks/{ID}/{TOKEN}", "malformed webhook"),
    (f"https://discord.com/api/webhooks/{ID}/{TOKEN}?wait=false", "malformed webhook"),
    (f"https://discord.com/api/webhooks/{ID}/{TOKEN}?thread_id=general", "malformed webhook"),
    (f"/api/webhooks/{ID}/{TOKEN}/../../x", "malformed webhook"),
    (f"{ID}/{OTHER}", "malformed webhook"),
]


@pytest.mark.parametrize(("address", "rule"), BAD)
def test_what_is_no_address(address: str, rule: str) -> None:
    assert parse_address(address) is None
    bad = check_address(address)
    assert bad is not None
    assert bad.rule == rule
    assert not address or address not in bad.rule + bad.detail


@pytest.mark.parametrize("posted", [Posted(CHANNEL, OTHER), Posted(WEBHOOK, OTHER), Posted(THREAD, ID)])
def test_receipts(posted: Posted) -> None:
    assert parse_receipt(receipt_of(posted)) == posted
    assert TOKEN not in repr(posted)


@pytest.mark.parametrize("receipt", ["", ID, f"{ID}/x", f"{ID}/{OTHER}/x/y", f"{ID}/{OTHER}\n", f"../{OTHER}"])
def test_what_is_no_receipt(receipt: str) -> None:
    assert parse_receipt(receipt) is None


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_not(text: str) -> None:
    parse_address(text)
    parse_receipt(text)
    check_address(text)


# Requests


def test_a_message_to_a_channel() -> None:
    nonce = wire.nonce("c1", b"anna")
    request = wire.message_request(API, CHANNEL, RENDERED, nonce)
    assert (request.method, request.url) == ("POST", f"https://discord.com/api/v10/channels/{ID}/messages")
    assert request.headers == {
        "User-Agent": "DiscordBot (https://x.example, 1)",
        "Content-Type": "application/json",
        "Authorization": "Bot secret-of-the-bot",
    }
    assert json.loads(request.body) == {
        "content": "**Sale**\nEnds tonight",
        "embeds": [],
        "allowed_mentions": {"parse": []},
        "nonce": nonce,
        "enforce_nonce": True,
    }


def test_a_message_to_a_thread_and_what_is_done_to_it_name_the_thread() -> None:
    sent = wire.message_request(API, THREAD, RENDERED, "n")
    assert sent.url == f"https://discord.com/api/v10/webhooks/{ID}/{TOKEN}?wait=true&thread_id={OTHER}"
    there = f"https://discord.com/api/v10/webhooks/{ID}/{TOKEN}/messages/{ID}?thread_id={OTHER}"
    posted = Posted(THREAD, ID)
    assert wire.edit_request(API, posted, RENDERED).url == wire.delete_request(API, posted).url == there


def test_a_message_to_a_webhook() -> None:
    request = wire.message_request(API, WEBHOOK, RENDERED, "n")
    assert request.url == f"https://discord.com/api/v10/webhooks/{ID}/{TOKEN}?wait=true"
    assert "Authorization" not in request.headers, "the bot's token is nothing to a webhook"
    assert json.loads(request.body).keys() == {"content", "embeds", "allowed_mentions"}


def test_the_nonce_is_the_same_at_every_try_and_no_others() -> None:
    nonces = [
        wire.nonce(*each)
        for each in [("c1", b"a"), ("c1", b"b"), ("c2", b"a"), ("c", b"1\0a"), ("c1", b""), ("", b"c1")]
    ]
    assert len(set(nonces)) == 6
    assert {len(nonce) for nonce in nonces} == {24}
    assert wire.nonce("c1", b"a") == nonces[0]


def test_other_requests() -> None:
    opening = wire.opening_request(API, ID)
    assert (opening.url, opening.body) == (
        "https://discord.com/api/v10/users/@me/channels",
        b'{"recipient_id":"%s"}' % ID.encode(),
    )
    assert wire.introduction_request(API).url == "https://discord.com/api/v10/users/@me"
    bulk = wire.bulk_delete_request(API, CHANNEL, [ID, OTHER])
    assert bulk.url == f"https://discord.com/api/v10/channels/{ID}/messages/bulk-delete"
    assert json.loads(bulk.body) == {"messages": [ID, OTHER]}


@pytest.mark.parametrize(
    ("place", "path", "as_bot"),
    [
        (CHANNEL, f"/channels/{ID}/messages/{OTHER}", True),
        (WEBHOOK, f"/webhooks/{ID}/{TOKEN}/messages/{OTHER}", False),
    ],
)
def test_edits_and_deletions(place: DiscordChannel | Webhook, path: str, as_bot: bool) -> None:
    posted = Posted(place, OTHER)
    edit, deletion = wire.edit_request(API, posted, RENDERED), wire.delete_request(API, posted)
    assert (edit.method, deletion.method) == ("PATCH", "DELETE")
    assert edit.url == deletion.url == f"https://discord.com/api/v10{path}"
    assert ("Authorization" in edit.headers, "Authorization" in deletion.headers) == (as_bot, as_bot)
    assert json.loads(edit.body).keys() == {"content", "embeds", "allowed_mentions"}
    assert deletion.body == b""


def test_nothing_shows_a_secret() -> None:
    requests = [wire.message_request(API, place, RENDERED, "n") for place in (CHANNEL, WEBHOOK)]
    shown = f"{API!r} {requests!r} {WEBHOOK!r}"
    assert "secret-of-the-bot" not in shown
    assert TOKEN not in shown


# Answers


def test_taken() -> None:
    found = wire.decode_message(answer(200, {"id": OTHER, "channel_id": "1"}), CHANNEL, NOW)
    assert found == Taken(at=NOW, id=f"{ID}/{OTHER}")
    assert wire.decode_message(answer(200, {"id": OTHER}), WEBHOOK, NOW) == Taken(at=NOW, id=f"{ID}/{TOKEN}/{OTHER}")
    assert wire.decode_opening(answer(200, {"id": OTHER})) == DiscordChannel(OTHER)
    assert wire.decode_introduction(answer(200, {"username": "Herald"})) == "@Herald"
    assert wire.decode_edit(answer(200, {}), Posted(CHANNEL, OTHER), NOW) == Taken(at=NOW, id=f"{ID}/{OTHER}")
    assert wire.decode_delete(answer(204, b""), NOW) == Taken(at=NOW, id="")


def test_a_web_page_changes_no_message() -> None:
    page = answer(200, b"<!DOCTYPE html><html>")
    for found in (wire.decode_edit(page, Posted(CHANNEL, OTHER), NOW), wire.decode_delete(page, NOW)):
        assert isinstance(found, Answer)
        assert found.verdict is Verdict.AMBIGUOUS


def test_a_message_too_large_to_be_read_to_its_end_is_taken() -> None:
    cut = (b'{"type":0,"content":"' + b"x" * LARGEST_ERROR_BODY)[:LARGEST_ERROR_BODY]
    assert wire.decode_message(answer(200, cut), WEBHOOK, NOW) == Taken(at=NOW, id="")


@pytest.mark.parametrize(
    ("code", "verdict", "scope"),
    [
        (10003, Verdict.DROP, Scope.ADDRESS),
        (10015, Verdict.DROP, Scope.ADDRESS),
        (50001, Verdict.DROP, Scope.ADDRESS),
        (50007, Verdict.DROP, Scope.ADDRESS),
        (50013, Verdict.DROP, Scope.ADDRESS),
        (50027, Verdict.DROP, Scope.ADDRESS),
        (50278, Verdict.DROP, Scope.ADDRESS),
        (50006, Verdict.FIX, Scope.MESSAGE),
        (50035, Verdict.FIX, Scope.MESSAGE),
        (40003, Verdict.RETRY, Scope.ADDRESS),
        (40001, Verdict.STOP, Scope.LANE),
        (10008, Verdict.REJECT, Scope.ADDRESS),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_codes_mean_the_same_with_any_status(code: int, verdict: Verdict, scope: Scope, status: int) -> None:
    found = refused(code, status)
    assert (found.verdict, found.scope, found.status) == (verdict, scope, status)
    assert found.reason.startswith(f"{code} ")


def test_opening_conversations_too_fast_is_slow_to_be_tried_again() -> None:
    assert refused(40003, 403).retry_after == 60.0
    limited = answer(
        429, {"code": 40003, "message": "m", "retry_after": 12.5, "global": False}, x_ratelimit_scope="user"
    )
    found = wire.refusal(limited, is_webhook=False)
    assert (found.reason, found.retry_after, found.asked) == ("40003 Opening DMs Too Fast", 12.5, True)


def test_a_wrong_token() -> None:
    found = wire.refusal(answer(401, {"message": "401: Unauthorized", "code": 0}), is_webhook=False)
    assert (found.verdict, found.scope, found.reason) == (Verdict.STOP, Scope.LANE, "Unauthorized")


@pytest.mark.parametrize(
    ("headers", "body", "reason", "scope"),
    [
        ({"x_ratelimit_scope": "user"}, {"global": False}, "RateLimited", Scope.ADDRESS),
        ({"x_ratelimit_scope": "shared"}, {"global": False}, "SharedRateLimit", Scope.ADDRESS),
        (
            {"x_ratelimit_scope": "global", "x_ratelimit_global": "true"},
            {"global": True},
            "GlobalRateLimit",
            Scope.ACCOUNT,
        ),
        ({}, {"global": True}, "GlobalRateLimit", Scope.ACCOUNT),
    ],
)
def test_too_fast(headers: dict[str, str], body: dict[str, Any], reason: str, scope: Scope) -> None:
    limited = answer(429, {"message": "m", "retry_after": 64.57, **body}, retry_after="65", **headers)
    found = wire.refusal(limited, is_webhook=True)
    assert (found.verdict, found.reason, found.scope) == (Verdict.RETRY, reason, scope)
    assert (found.retry_after, found.asked) == (64.57, True), "the body's seconds are the exact ones"
    assert wire.is_invalid(limited) == (reason != "SharedRateLimit")


@pytest.mark.parametrize(
    "banned",
    [
        answer(429, b"<html>Error 1015</html>", retry_after="20"),
        answer(403, b"<html>Access denied</html>"),
        answer(429, {"message": "You are being blocked from accessing our API temporarily", "code": 0}),
    ],
)
def test_a_ban(banned: Response) -> None:
    found = wire.refusal(banned, is_webhook=False)
    assert (found.verdict, found.scope, found.retry_after) == (Verdict.STOP, Scope.LANE, 3600.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_failures(status: int) -> None:
    bot, webhook = (wire.refusal(answer(status, b"<html>"), is_webhook=each) for each in (False, True))
    assert bot.verdict is Verdict.RETRY
    assert (webhook.verdict, webhook.retry_after) == (Verdict.AMBIGUOUS, math.inf), "never sent again"


def test_the_errors_tree_is_told_by_field() -> None:
    tree = {
        "embeds": {"0": {"title": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer."}]}}},
        "content": {"_errors": [{"code": "X", "message": f"Value {OTHER} is odd."}]},
    }
    found = refused(50035, errors=tree)
    assert found.verdict is Verdict.FIX
    assert found.detail == "embeds.0.title: Must be 256 or fewer.; content: Value … is odd."


def test_an_error_of_the_address_concerns_nobody_else() -> None:
    tree = {"channel_id": {"_errors": [{"code": "NUMBER_TYPE_COERCE", "message": f'Value "{ID}" is not snowflake.'}]}}
    found = refused(50035, errors=tree)
    assert (found.verdict, found.scope, found.detail) == (Verdict.REJECT, Scope.ADDRESS, "channel_id")
    both = refused(50035, errors=tree | {"content": {"_errors": [{"message": "too long"}]}})
    assert both.verdict is Verdict.FIX


def test_an_unknown_code_is_sent_again_but_for_a_refusal_that_counts() -> None:
    assert (refused(99999).verdict, refused(99999).reason, refused(99999).known) == (Verdict.RETRY, "99999", False)
    forbidden = refused(99999, 403)
    assert (forbidden.verdict, forbidden.known, forbidden.detail) == (Verdict.REJECT, False, "99999: Words")


def test_gone_already_is_deleted() -> None:
    gone = answer(404, {"code": 10008, "message": "Unknown Message"})
    assert wire.decode_delete(gone, NOW) == Taken(at=NOW, id="")
    edited = wire.decode_edit(gone, Posted(CHANNEL, OTHER), NOW)
    assert isinstance(edited, Answer)
    assert edited.verdict is Verdict.REJECT


BODIES = [b"", b"<html>", b"[]", b"null", b'{"id":', b"\xff\xfe", b'{"id":5}', b'{"code":"x","errors":[]}', b"[" * 5000]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 404, 405, 418, 500])
def test_garbage_is_no_exception_and_drops_nobody(status: int, body: bytes) -> None:
    for place in (CHANNEL, WEBHOOK):
        found = wire.decode_message(Response(status, {}, body), place, NOW)
        assert isinstance(found, Answer)
        assert found.verdict in (Verdict.RETRY, Verdict.AMBIGUOUS)
        if place is WEBHOOK and found.verdict is Verdict.AMBIGUOUS:
            assert found.retry_after == math.inf


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["_errors", "code", "message", "a"]), inner),
    max_leaves=8,
)
ANSWERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "code", "message", "errors", "retry_after", "global", "username"), JSON)
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset-after", "x-ratelimit-scope", "retry-after"]
    ),
    st.sampled_from(["", "5", "-1", "nan", "inf", "x", "1e400", "shared", "global"]),
)


@given(
    status=st.integers(200, 599),
    headers=HEADERS,
    body=st.binary() | ANSWERS.map(lambda found: json.dumps(found).encode()),
)
def test_no_answer_raises(status: int, headers: dict[str, str], body: bytes) -> None:
    response = Response(status, headers, body)
    for found in (
        wire.decode_message(response, WEBHOOK, NOW),
        wire.decode_opening(response),
        wire.decode_introduction(response),
        wire.decode_delete(response, NOW),
        wire.decode_edit(response, Posted(CHANNEL, OTHER), NOW),
    ):
        if isinstance(found, Answer):
            assert found.retry_after is None or found.retry_after >= 0
    wire.heard(response)
    wire.is_invalid(response)


def test_what_headers_say() -> None:
    told = answer(
        200,
        {},
        x_ratelimit_limit="5",
        x_ratelimit_remaining="4",
        x_ratelimit_reset_after="1.997",
        x_ratelimit_bucket="abcd",
    )
    heard = wire.heard(told)
    assert heard is not None
    assert (heard.bucket, heard.limit, heard.remaining, heard.reset_after) == ("abcd", 5, 4, 1.997)
    assert wire.heard(answer(200, {})) is None


def test_the_table() -> None:
    keys = [(rule.status, rule.reason) for rule in TABLE]
    assert keys == sorted(set(keys)), "sorted, without doubles"
    assert len({rule.reason for rule in TABLE}) == len(TABLE)
    for rule in TABLE:
        if rule.verdict is Verdict.DROP:
            assert rule.scope is Scope.ADDRESS
        if rule.verdict is Verdict.RETRY:
            assert rule.wait is not None
    assert set(BY_CODE) == {int(rule.reason.split()[0]) for rule in TABLE if rule.reason[0].isdigit()}
