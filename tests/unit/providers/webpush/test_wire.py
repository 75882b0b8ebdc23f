"""A message as browsers get it, and what push services' answers ask for. No socket anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidMessage
from stentor.http2.burst import Template
from stentor.model import (
    Action,
    ApnsOptions,
    LocalizedText,
    Message,
    Priority,
    Urgency,
    WebPushAction,
    WebPushOptions,
)
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content, content_from
from stentor.planning.retraction import correction, retraction
from stentor.providers.contract import Decode
from stentor.providers.payload import PayloadTooLarge
from stentor.providers.webpush import wire
from stentor.providers.webpush.endpoints import ForbiddenEndpoint, MalformedEndpoint, Origin, Policy
from stentor.providers.webpush.reasons import OURS, TABLE
from stentor.simulators.webpush import Browser

ORIGIN = Origin("push.vendor.net", 443)


def payload(message: Message, collapse_id: str = "c1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire.render(message, collapse_id=collapse_id).payload)
    return found


def headers(message: Message, collapse_id: str = "c1") -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in wire.render(message, collapse_id=collapse_id).headers}


def push(**options: Any) -> Message:
    return Message(title="Sale", webpush=WebPushOptions(**options))


# -- the payload --------------------------------------------------------------------------------------------------


def test_a_message_with_everything() -> None:
    message = Message(
        title="Sale",
        body="Ends tonight",
        image="https://example.com/i.png",
        badge=3,
        data={"id": "7"},
        webpush=WebPushOptions(
            url="/sale",
            icon="/icon.png",
            badge="https://example.com/b.png",
            actions=(WebPushAction(action="buy", title="Buy"), WebPushAction(action="no", title="No", icon="/n.png")),
            require_interaction=True,
            payload={"lang": "en", "icon": None},
        ),
    )
    assert payload(message) == {
        "title": "Sale",
        "body": "Ends tonight",
        "image": "https://example.com/i.png",
        "badge": "https://example.com/b.png",
        "app_badge": 3,
        "url": "/sale",
        "actions": [{"action": "buy", "title": "Buy"}, {"action": "no", "title": "No", "icon": "/n.png"}],
        "requireInteraction": True,
        "tag": "c1",
        "data": {"id": "7"},
        "lang": "en",
    }


def test_texts_that_the_app_translates() -> None:
    message = Message(title_localized=LocalizedText(key="sale", args=("7",)), webpush=WebPushOptions(tag="t"))
    assert payload(message) == {"title_loc_key": "sale", "title_loc_args": ["7"], "tag": "t"}


def test_an_option_wins_over_the_common_field() -> None:
    message = Message(
        title="a",
        image="https://example.com/a",
        collapse_key="k",
        ttl=5,
        priority=Priority.LOW,
        webpush=WebPushOptions(image="/b", tag="t", ttl=7, urgency=Urgency.VERY_LOW, topic="mine"),
    )
    assert (payload(message)["image"], payload(message)["tag"]) == ("/b", "t")
    assert wire.render(message).ttl == 7
    assert (headers(message)["urgency"], headers(message)["topic"]) == ("very-low", "mine")


def test_a_silent_message_shows_nothing() -> None:
    assert payload(Message(silent=True, data={"a": "b"})) == {"silent": True, "data": {"a": "b"}}
    with pytest.raises(InvalidMessage, match=r"webpush\.icon"):
        payload(Message(silent=True, webpush=WebPushOptions(icon="/x")))


@pytest.mark.parametrize(
    "message",
    [
        Message(title="Sale"),
        Message(title="Sale", collapse_key="promo"),
        Message(title="Sale", apns=ApnsOptions(collapse_id="apple's")),
        push(tag="mine"),
        push(topic="mine"),
    ],
)
def test_taking_back_what_was_shown(message: Message) -> None:
    shown = payload(message)["tag"]
    silent = retraction(Content(message=message), "c1").message
    found = payload(silent)
    assert (found["silent"], found["stentor"], found["data"]) == (True, {"retract": shown}, {"stentor-retract": shown})
    assert headers(silent)["topic"] == headers(message)["topic"], "in the place of what waits"


@pytest.mark.parametrize("message", [Message(title="Sale"), push(tag="mine"), push(topic="mine")])
def test_a_correction_takes_its_place(message: Message) -> None:
    better = correction(Content(message=message), Content(message=Message(title="Sorry")), Action.EDIT).message
    assert payload(better)["tag"] == payload(message)["tag"]
    assert headers(better)["topic"] == headers(message)["topic"]
    for other in (push(tag="another"), push(topic="another")):
        with pytest.raises(InvalidMessage, match="of the same key alone"):
            correction(Content(message=message), Content(message=other), Action.EDIT)


def test_a_payload_of_ones_own() -> None:
    rendered = wire.render(push(raw_payload=b'{"tag":"x"}'))
    assert (rendered.payload, rendered.collapses) == (b'{"tag":"x"}', True)
    rendered = wire.render(push(raw_payload=b"\x00 anything"))
    assert (rendered.payload, rendered.collapses) == (b"\x00 anything", False)


def test_who_gets_it_twice_sees_it_once() -> None:
    assert wire.render(Message(title="a"), collapse_id="c1").collapses
    assert wire.render(Message(silent=True), collapse_id="c1").collapses
    assert not wire.render(push(payload={"tag": None}), collapse_id="c1").collapses


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(), "webpush.payload"),
        (Message(image="https://example.com/x"), "webpush.payload"),
        (push(url="http://example.com"), "webpush.url"),
        (push(url="//example.com"), "webpush.url"),
        (push(icon="icon.png"), "webpush.icon"),
        (push(actions=(WebPushAction(action="", title="x"),)), "webpush.actions.0.action"),
        (push(actions=(WebPushAction(action="x", title="x", icon="y"),)), "webpush.actions.0.icon"),
        (push(tag=""), "webpush.tag"),
        (push(topic="a b"), "webpush.topic"),
        (push(topic="x" * 33), "webpush.topic"),
        (push(urgency="soon"), "webpush.urgency"),
        (push(ttl=-1), "webpush.ttl"),
        (push(ttl=28 * 86_400 + 1), "webpush.ttl"),
        (push(require_interaction="yes"), "webpush.require_interaction"),
        (push(payload={"x": object()}), "webpush.payload"),
        (push(raw_payload="text"), "webpush.raw_payload"),
        (Message(title="x" * 3993), "webpush.payload"),
        (push(raw_payload=b"x" * 3994), "webpush.raw_payload"),
    ],
)
def test_what_no_browser_could_show_names_the_field(message: Message, field: str) -> None:
    with pytest.raises(InvalidMessage) as raised:
        wire.render(message)
    assert raised.value.field == field
    assert isinstance(raised.value, PayloadTooLarge) == (
        "bytes" in str(raised.value) and "must" not in str(raised.value)
    )


def test_the_largest_payload_fits_exactly() -> None:
    empty = len(wire.render(Message(title="a")).payload) - 1
    assert len(wire.render(Message(title="x" * (3993 - empty))).payload) == 3993
    with pytest.raises(PayloadTooLarge, match=r"its largest field is `title`"):
        wire.render(Message(title="x" * (3994 - empty)))


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "webpush.md").read_text()
    file = tmp_path / "message.toml"
    file.write_text(page.partition('```toml\ntitle = "Sale"')[2].partition("```")[0])
    content = content_from(file)
    assert content.variables == ("name",)
    message = content.render(0, {"name": "Ada"})
    assert payload(message) == {
        "body": "Ends tonight, Ada",
        "image": "https://example.com/sale.jpg",
        "icon": "/icon-192.png",
        "url": "/sale?from=push",
        "actions": [{"action": "buy", "title": "Buy"}, {"action": "later", "title": "Later"}],
        "tag": "c1",
    }
    assert wire.render(content.outline(0)).ttl == 86_400


# -- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "topic"),
    [("promo", b"promo_"), ("promo1", b"promo1"), ("a", b"a_"), ("x" * 29, b"x" * 29 + b"_"), ("x" * 32, b"x" * 32)],
)
def test_topics_that_are_legal_already(name: str, topic: bytes) -> None:
    assert wire.legal_topic(name) == topic


@given(st.text(min_size=1, max_size=80))
def test_every_name_becomes_a_topic_that_every_service_takes(name: str) -> None:
    topic = wire.legal_topic(name)
    assert 1 <= len(topic) <= 32
    assert len(topic) % 4 != 1
    assert not topic.translate(None, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert topic == wire.legal_topic(name)


def test_the_headers_of_a_request() -> None:
    rendered = wire.render(Message(title="a", priority=Priority.HIGH), collapse_id="c1")
    template = wire.template(rendered.headers, origin=ORIGIN, authorization=b"vapid t=x", ttl=60)
    assert isinstance(template, Template)
    assert dict(template.constant) == {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": b"push.vendor.net",
        b"authorization": b"vapid t=x",
        b"ttl": b"60",
        b"content-encoding": b"aes128gcm",
        b"content-type": b"application/octet-stream",
        b"urgency": b"high",
        b"topic": b"c1",
    }


@pytest.mark.parametrize(("ttl", "now", "left"), [(None, 5000.0, 28 * 86_400), (60, 110.0, 50), (60, 500.0, 0)])
def test_the_lifetime_counts_from_the_start(ttl: int | None, now: float, left: int) -> None:
    assert wire.ttl_left(wire.render(Message(title="a", ttl=ttl)), started_at=100.0, now=now) == left


def test_a_clock_that_is_set_back_lengthens_nothing() -> None:
    assert wire.ttl_left(wire.render(Message(title="a", ttl=60)), started_at=100.0, now=50.0) == 60


# -- recipients ---------------------------------------------------------------------------------------------------


def test_each_recipient_gets_what_only_it_can_read() -> None:
    rendered = wire.render(Message(title="a"), collapse_id="c1")
    people = [Browser.of(f"b{number}", 0) for number in range(3)]
    addresses = [each.subscription(f"https://push.vendor.net/{n}").encode() for n, each in enumerate(people)]
    for number, found in enumerate(wire.seal(addresses, [rendered] * 3, Policy())):
        assert isinstance(found, tuple)
        assert found[0] == wire.Target(ORIGIN, b"/%d" % number)
        assert people[number].decrypt(found[1]) == rendered.payload


# -- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("decode", [wire.decode, wire.decode_delete])
def test_a_web_page_is_no_acceptance(status: int, decode: Decode) -> None:
    answer = decode(status, (), b"<!doctype html><h1>Blocked by your administrator", 0.0)
    assert (answer.verdict, answer.reason) == (Verdict.RECONNECT, "unreadable")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_was_taken(status: int) -> None:
    assert wire.decode(status, (), b"", 0.0).verdict is Verdict.ACCEPT


CHROME = b"the VAPID credentials in the authorization header do not correspond to the credentials used to create the"
HTML = b"<!DOCTYPE html><html><title>Error</title>"


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (410, b'{"code":410,"errno":106,"error":"","message":"Request did not validate"}', Verdict.DROP, "errno106"),
        (404, b'{"code":404,"errno":102,"error":"Not Found"}', Verdict.DROP, "errno102"),
        (401, b'{"code":401,"errno":109}', Verdict.STOP, "errno109"),
        (400, b'{"code":400,"errno":113}', Verdict.FIX, "errno113"),
        (413, b'{"code":413,"errno":104}', Verdict.FIX, "errno104"),
        (503, b'{"code":503,"errno":202}', Verdict.RETRY, "errno202"),
        (502, b'{"code":502,"errno":901}', Verdict.RETRY, "errno901"),
        (410, b'{"code":410,"errno":4711}', Verdict.RETRY, "errno4711"),
        (429, b'{"code":429,"errno":4711}', Verdict.RETRY, "errno4711"),
        (400, b'{"reason":"BadWebPushTopic"}', Verdict.FIX, "BadWebPushTopic"),
        (400, b'{"reason":"VapidPkHashMismatch"}', Verdict.DROP, "VapidPkHashMismatch"),
        (403, b'{"reason":"VapidPkHashMismatch"}', Verdict.DROP, "VapidPkHashMismatch"),
        (403, b'{"reason":"BadJwtToken"}', Verdict.STOP, "BadJwtToken"),
        (404, b'{"reason":"BadPath"}', Verdict.DROP, "BadPath"),
        (410, b'{"reason":"NewWord"}', Verdict.RETRY, "NewWord"),
        (403, b'{"reason":"NewWord"}', Verdict.STOP, "NewWord"),
        (403, CHROME, Verdict.DROP, "VapidMismatch"),
        (400, b"<HTML>UnauthorizedRegistration</HTML>", Verdict.DROP, "UnauthorizedRegistration"),
        (410, b"push subscription has unsubscribed or expired.\n", Verdict.DROP, "Gone"),
        (410, b"", Verdict.DROP, "Gone"),
        (404, b"", Verdict.DROP, "NotFound"),
        (404, HTML, Verdict.REJECT, "NotFoundPage"),
        (410, HTML, Verdict.RETRY, "unreadable"),
        (403, HTML, Verdict.RETRY, "unreadable"),
        (502, HTML, Verdict.RETRY, "BadGateway"),
        (429, b"", Verdict.RETRY, "TooManyRequests"),
        (406, b"", Verdict.RETRY, "NotAcceptable"),
        (503, b"", Verdict.RETRY, "Unavailable"),
        (400, b"who knows", Verdict.RETRY, "unreadable"),
        (301, b"", Verdict.REJECT, "Redirect"),
        (308, HTML, Verdict.REJECT, "Redirect"),
        (206, b"", Verdict.AMBIGUOUS, "unreadable"),
    ],
)
def test_every_dialect(status: int, body: bytes, verdict: Verdict, reason: str) -> None:
    found = wire.decode(status, (), body, 0.0)
    assert (found.verdict, found.reason, found.status) == (verdict, reason, status)


def test_the_wait_that_is_asked_for_wins() -> None:
    found = wire.decode(503, ((b"retry-after", b"7"),), b"", 0.0)
    assert (found.retry_after, found.asked) == (7.0, True)
    assert wire.decode(503, (), b"", 0.0).retry_after == 30.0


def test_what_windows_says_is_told() -> None:
    said = b"Ttl value conflicts with X-WNS-Cache-Policy."
    found = wire.decode(400, ((b"x-wns-status", b"dropped"), (b"x-wns-error-description", said)), b"", 0.0)
    assert (found.verdict, found.detail) == (Verdict.RETRY, said.decode())
    gone = wire.decode(410, ((b"x-wns-error-description", b"Token gAAAAABmsecret0123456789abcdefghij"),), b"", 0.0)
    assert (gone.verdict, gone.detail) == (Verdict.DROP, "Token …")


def test_no_address_is_in_what_is_said() -> None:
    secret = "gAAAAABmsecret0123456789abcdefghij"
    body = json.dumps({"errno": 102, "message": f"no such endpoint {secret}"}).encode()
    assert secret not in wire.decode(404, (), body, 0.0).detail
    assert secret not in wire.decode(410, (), f"gone: {secret}".encode(), 0.0).detail


@given(st.integers(200, 599), st.binary(max_size=200) | st.text(max_size=80).map(lambda t: t.encode()))
def test_no_answer_breaks_it(status: int, body: bytes) -> None:
    found = wire.decode(status, (), body, 0.0)
    assert (found.verdict is Verdict.ACCEPT) == (status in wire.TAKEN)
    if found.verdict is Verdict.DROP:
        assert status in (404, 410) or b"mismatch" in body.lower() or b"vapid" in body.lower()


def test_the_table_is_consistent() -> None:
    keys = [(rule.status, rule.reason) for rule in TABLE]
    assert keys == sorted(set(keys))
    assert [rule.reason for rule in OURS] == sorted(rule.reason for rule in OURS)
    for rule in TABLE:
        if rule.verdict in (Verdict.DROP, Verdict.REJECT, Verdict.RETRY):
            assert rule.scope is Scope.ADDRESS
        if rule.verdict is Verdict.STOP:
            assert rule.scope is Scope.PLATFORM, "one vendor's refusal stops no other"
        if rule.verdict is Verdict.RETRY:
            assert rule.wait is not None


# -- undo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (b"https://push.vendor.net/m/1", "https://push.vendor.net/m/1"),
        (b"/m/1", "https://push.vendor.net/m/1"),
        (b"https://evil.example/m/1", ""),
        (b"http://push.vendor.net/m/1", ""),
        (b"https://push.vendor.net@evil.example/m/1", ""),
        (b"https://push.vendor.net:8443/m/1", ""),
        (b"//[", ""),
        (b"\xff", ""),
        (b"/" + b"x" * 3000, ""),
    ],
)
def test_where_a_message_can_be_taken_back(location: bytes, url: str) -> None:
    assert wire.message_url(((b"location", location),), ORIGIN) == url


def test_no_location_no_receipt() -> None:
    assert wire.message_url((), ORIGIN) == ""


def test_the_request_that_takes_it_back() -> None:
    target = wire.parse_message_url("https://push.vendor.net/m/1", Policy())
    assert (target.origin, target.path) == (ORIGIN, b"/m/1")
    template = wire.deletion(ORIGIN, b"vapid t=x")
    assert template.varying == (b":path",)
    assert dict(template.constant) == {
        b":method": b"DELETE",
        b":scheme": b"https",
        b":authority": b"push.vendor.net",
        b"authorization": b"vapid t=x",
    }


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("chat:message", MalformedEndpoint),
        ("https://127.0.0.1/m/1", ForbiddenEndpoint),
        ("https://push.vendor.net:1/m/1", ForbiddenEndpoint),
    ],
)
def test_nothing_is_deleted_where_nothing_is_sent(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        wire.parse_message_url(url, Policy())


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        (204, Verdict.ACCEPT, ""),
        (200, Verdict.ACCEPT, ""),
        (404, Verdict.REJECT, "TooLate"),
        (410, Verdict.REJECT, "TooLate"),
        (405, Verdict.REJECT, "TooLate"),
        (401, Verdict.STOP, "Unauthorized"),
        (503, Verdict.RETRY, "Unavailable"),
    ],
)
def test_what_became_of_taking_it_back(status: int, verdict: Verdict, reason: str) -> None:
    found = wire.decode_delete(status, (), b"", 0.0)
    assert (found.verdict, found.reason) == (verdict, reason)
